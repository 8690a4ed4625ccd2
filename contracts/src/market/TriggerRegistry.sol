// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IIdentity} from "../interfaces/IIdentity.sol";
import {Eip712Domain} from "../trust/Eip712Domain.sol";
import {PrepaidBalance, Voucher} from "./PrepaidBalance.sol";

/// @title TriggerRegistry
/// @notice What should be called when, and what its executors earn.
/// @dev Executors are those that a trigger's owner authorised, for its own triggers alone: nobody else records anything or
/// touches a balance. A paid execution is charged by a voucher that the owner signed for this trigger, and all of it goes
/// to the executor. The price is an offer: what was signed is what is charged, so changing the price, the mode or the state
/// of a trigger takes nothing back.
contract TriggerRegistry is PrepaidBalance {
    /// @notice What sets a trigger off, as Jeju clients decode it.
    enum TriggerType {
        CRON,
        WEBHOOK,
        EVENT
    }

    /// @notice How executions are paid, as Jeju clients decode it.
    enum PaymentMode {
        FREE,
        X402,
        PREPAID
    }

    /// @notice A trigger, as Jeju clients decode it.
    /// @param triggerId Its id.
    /// @param owner Who registered it.
    /// @param agentId Agent of the owner; zero if there is none or its NFT moved.
    /// @param triggerType What sets it off.
    /// @param name Display name.
    /// @param description Free text.
    /// @param cronExpression Five cron fields, for `CRON`.
    /// @param webhookPath Path, for `WEBHOOK`.
    /// @param eventTypes Names of events, for `EVENT`.
    /// @param endpoint URL that is called.
    /// @param method HTTP method.
    /// @param timeout In seconds.
    /// @param paymentMode How executions are paid.
    /// @param pricePerExecution Offer to executors, in wei.
    /// @param active Whether it is to be executed.
    /// @param createdAt Unix seconds.
    /// @param lastExecutedAt Unix seconds; zero: never.
    /// @param executionCount How many executions were recorded.
    struct Trigger {
        bytes32 triggerId;
        address owner;
        uint256 agentId;
        TriggerType triggerType;
        string name;
        string description;
        string cronExpression;
        string webhookPath;
        string[] eventTypes;
        string endpoint;
        string method;
        uint256 timeout;
        PaymentMode paymentMode;
        uint256 pricePerExecution;
        bool active;
        uint256 createdAt;
        uint256 lastExecutedAt;
        uint256 executionCount;
    }

    /// @notice An execution, as Jeju clients decode it.
    /// @param executionId Its id.
    /// @param triggerId The trigger.
    /// @param executor Who executed.
    /// @param startedAt Unix seconds of the record.
    /// @param finishedAt The same.
    /// @param success Whether it worked.
    /// @param outputHash Digest of the output.
    /// @param cost What the executor earned, in wei.
    struct Execution {
        bytes32 executionId;
        bytes32 triggerId;
        address executor;
        uint256 startedAt;
        uint256 finishedAt;
        bool success;
        bytes32 outputHash;
        uint256 cost;
    }

    struct ExecutionRecord {
        bytes32 triggerId;
        address executor;
        uint64 recordedAt;
        bool success;
        bytes32 outputHash;
        uint256 cost;
    }

    /// @notice Longest text, in bytes.
    uint256 public constant MAX_TEXT = 1024;
    /// @notice Most event types of a trigger.
    uint256 public constant MAX_EVENT_TYPES = 32;
    /// @notice Longest timeout, in seconds.
    uint256 public constant MAX_TIMEOUT = 3600;

    /// @notice Registry of agents.
    IIdentity public immutable identityRegistry;

    mapping(bytes32 triggerId => Trigger) private _triggers;
    mapping(bytes32 triggerId => uint64) private _agentEpochs;
    mapping(bytes32 executionId => ExecutionRecord) private _executions;
    mapping(bytes32 triggerId => bytes32[]) private _history;
    mapping(address owner => bytes32[]) private _ownerTriggers;
    mapping(uint256 agentId => mapping(uint64 epoch => bytes32[])) private _agentTriggers;
    bytes32[] private _all;

    /// @notice A trigger is there.
    event TriggerRegistered(bytes32 indexed triggerId, address indexed owner, string name, TriggerType triggerType);
    /// @notice A trigger of an agent is there.
    event TriggerRegisteredWithAgent(
        bytes32 indexed triggerId, address indexed owner, uint256 indexed agentId, string name
    );
    /// @notice A trigger starts, stops, or changed.
    event TriggerUpdated(bytes32 indexed triggerId, bool active);
    /// @notice A trigger was executed.
    event TriggerExecuted(
        bytes32 indexed triggerId, bytes32 indexed executionId, address indexed executor, bool success
    );
    /// @notice An owner, named by `ChargesOpened` or `ChargesClosed` of the same call, authorised an executor or ended it.
    event ExecutorAuthorized(address indexed executor, bool authorized);

    /// @notice There is no such trigger.
    error TriggerNotFound(bytes32 triggerId);
    /// @notice The trigger is stopped.
    error TriggerNotActive(bytes32 triggerId);
    /// @notice The caller doesn't own the trigger.
    error NotTriggerOwner(address caller, address owner);
    /// @notice A text is empty that may not be, or too long.
    error InvalidText(uint256 length, uint256 maximum);
    /// @notice There are too many event types.
    error TooManyEventTypes(uint256 maximum);
    /// @notice The timeout is out of bounds.
    error InvalidTimeout(uint256 timeout, uint256 maximum);
    /// @notice Prepaid executions cost something, free ones nothing.
    error InvalidPrice();
    /// @notice Zero is no agent.
    error InvalidAgentId();
    /// @notice The caller doesn't own the agent.
    error NotAgentOwner(uint256 agentId, address caller);
    /// @notice The trigger's owner didn't authorise the executor.
    error NotAuthorized(address owner, address executor);
    /// @notice Executions of this trigger are recorded with a voucher.
    error VoucherRequired();
    /// @notice The voucher isn't signed by the trigger's owner.
    error VoucherOfOtherUser(address user, address owner);

    /// @param identity `IdentityRegistry`.
    constructor(IIdentity identity) Eip712Domain("Jeju TriggerRegistry") {
        if (address(identity) == address(0)) revert ZeroAccount();
        identityRegistry = identity;
    }

    // ------------------------------------------------------------------ what owners call

    /// @notice Registers a trigger of the caller.
    /// @param name Display name.
    /// @param description Free text.
    /// @param triggerType What sets it off.
    /// @param cronExpression Five cron fields, for `CRON`.
    /// @param webhookPath Path, for `WEBHOOK`.
    /// @param eventTypes Names of events, for `EVENT`.
    /// @param endpoint URL that is called.
    /// @param method HTTP method.
    /// @param timeout In seconds, 1 to `MAX_TIMEOUT`.
    /// @param paymentMode How executions are paid.
    /// @param pricePerExecution Offer to executors, in wei.
    /// @return triggerId Its id, never given twice.
    function registerTrigger(
        string memory name,
        string memory description,
        TriggerType triggerType,
        string memory cronExpression,
        string memory webhookPath,
        string[] memory eventTypes,
        string memory endpoint,
        string memory method,
        uint256 timeout,
        PaymentMode paymentMode,
        uint256 pricePerExecution
    ) external returns (bytes32 triggerId) {
        triggerId = _newId();
        Trigger storage trigger = _triggers[triggerId];
        trigger.name = name;
        trigger.description = description;
        trigger.triggerType = triggerType;
        trigger.cronExpression = cronExpression;
        trigger.webhookPath = webhookPath;
        trigger.eventTypes = eventTypes;
        trigger.endpoint = endpoint;
        trigger.method = method;
        trigger.timeout = timeout;
        trigger.paymentMode = paymentMode;
        trigger.pricePerExecution = pricePerExecution;
        _register(triggerId);
        emit TriggerRegistered(triggerId, msg.sender, trigger.name, trigger.triggerType);
    }

    /// @notice Registers a trigger of an agent that the caller owns. It is the agent's until the agent's NFT moves.
    /// @param name Display name.
    /// @param description Free text.
    /// @param triggerType What sets it off.
    /// @param cronExpression Five cron fields, for `CRON`.
    /// @param endpoint URL that is called, by POST.
    /// @param timeout In seconds, 1 to `MAX_TIMEOUT`.
    /// @param paymentMode How executions are paid.
    /// @param pricePerExecution Offer to executors, in wei.
    /// @param agentId The agent.
    /// @return triggerId Its id, never given twice.
    function registerTriggerWithAgent(
        string memory name,
        string memory description,
        TriggerType triggerType,
        string memory cronExpression,
        string memory endpoint,
        uint256 timeout,
        PaymentMode paymentMode,
        uint256 pricePerExecution,
        uint256 agentId
    ) external returns (bytes32 triggerId) {
        if (agentId == 0) revert InvalidAgentId();
        if (identityRegistry.ownerOf(agentId) != msg.sender) revert NotAgentOwner(agentId, msg.sender);
        triggerId = _newId();
        Trigger storage trigger = _triggers[triggerId];
        trigger.name = name;
        trigger.description = description;
        trigger.triggerType = triggerType;
        trigger.cronExpression = cronExpression;
        trigger.endpoint = endpoint;
        trigger.method = "POST";
        trigger.timeout = timeout;
        trigger.paymentMode = paymentMode;
        trigger.pricePerExecution = pricePerExecution;
        trigger.agentId = agentId;
        _register(triggerId);
        uint64 epoch = identityRegistry.agentEpoch(agentId);
        _agentEpochs[triggerId] = epoch;
        _agentTriggers[agentId][epoch].push(triggerId);
        emit TriggerRegisteredWithAgent(triggerId, msg.sender, agentId, trigger.name);
    }

    /// @notice Starts or stops a trigger.
    /// @param triggerId Trigger of the caller.
    /// @param active Whether it is to be executed.
    function setTriggerActive(bytes32 triggerId, bool active) external {
        _owned(triggerId).active = active;
        emit TriggerUpdated(triggerId, active);
    }

    /// @notice Changes what a trigger calls.
    /// @param triggerId Trigger of the caller.
    /// @param endpoint URL.
    function updateTriggerEndpoint(bytes32 triggerId, string calldata endpoint) external {
        Trigger storage trigger = _owned(triggerId);
        _requireText(bytes(endpoint).length, 1);
        trigger.endpoint = endpoint;
        emit TriggerUpdated(triggerId, trigger.active);
    }

    /// @notice Changes what executors are offered. What is signed already stays.
    /// @param triggerId Trigger of the caller.
    /// @param paymentMode How executions are paid.
    /// @param pricePerExecution In wei.
    function updateTriggerPricing(bytes32 triggerId, PaymentMode paymentMode, uint256 pricePerExecution) external {
        Trigger storage trigger = _owned(triggerId);
        trigger.paymentMode = paymentMode;
        trigger.pricePerExecution = pricePerExecution;
        _requirePrice(trigger);
        emit TriggerUpdated(triggerId, trigger.active);
    }

    /// @notice Lets an executor record executions of the caller's triggers and charge what the caller signs, or ends that
    /// `NOTICE` from now.
    /// @param executor The executor.
    /// @param authorized Whether it may.
    function setExecutorAuthorized(address executor, bool authorized) external {
        if (authorized) _openCharges(executor);
        else _closeCharges(executor);
        emit ExecutorAuthorized(executor, authorized);
    }

    // ------------------------------------------------------------------ what executors call

    /// @notice Records an execution that isn't paid from the owner's balance.
    /// @param triggerId The trigger.
    /// @param success Whether it worked.
    /// @param outputHash Digest of the output.
    /// @return executionId Its id, never given twice.
    function recordExecution(bytes32 triggerId, bool success, bytes32 outputHash)
        external
        returns (bytes32 executionId)
    {
        Trigger storage trigger = _executable(triggerId);
        if (!trigger.active) revert TriggerNotActive(triggerId);
        if (trigger.paymentMode == PaymentMode.PREPAID) revert VoucherRequired();
        return _record(trigger, success, outputHash, 0);
    }

    /// @notice Records an execution and charges for it what the owner signed: also of a trigger that was stopped since.
    /// @param triggerId The trigger.
    /// @param success Whether it worked.
    /// @param outputHash Digest of the output.
    /// @param voucher Of the trigger's owner to the caller. Its request digest is the trigger's id, its response digest the
    /// output's or zero.
    /// @param signature The owner's.
    /// @return executionId Its id, never given twice.
    function recordPrepaidExecution(
        bytes32 triggerId,
        bool success,
        bytes32 outputHash,
        Voucher calldata voucher,
        bytes calldata signature
    ) external returns (bytes32 executionId) {
        Trigger storage trigger = _executable(triggerId);
        if (voucher.user != trigger.owner) revert VoucherOfOtherUser(voucher.user, trigger.owner);
        _requireDigests(voucher, triggerId, outputHash);
        return _record(trigger, success, outputHash, _charge(voucher, signature));
    }

    // ------------------------------------------------------------------ reading

    /// @notice A trigger; all zero if there is none.
    /// @param triggerId Any id.
    function getTrigger(bytes32 triggerId)
        external
        view
        returns (
            address owner,
            TriggerType triggerType,
            string memory name,
            string memory endpoint,
            bool active,
            uint256 executionCount,
            uint256 lastExecutedAt,
            uint256 agentId
        )
    {
        Trigger storage trigger = _triggers[triggerId];
        return (
            trigger.owner,
            trigger.triggerType,
            trigger.name,
            trigger.endpoint,
            trigger.active,
            trigger.executionCount,
            trigger.lastExecutedAt,
            _agentOf(trigger)
        );
    }

    /// @notice All of a trigger; all zero if there is none.
    /// @param triggerId Any id.
    function triggers(bytes32 triggerId) external view returns (Trigger memory trigger) {
        trigger = _triggers[triggerId];
        trigger.agentId = _agentOf(_triggers[triggerId]);
    }

    /// @notice An execution; all zero if there is none.
    /// @param executionId Any id.
    function executions(bytes32 executionId) external view returns (Execution memory) {
        ExecutionRecord storage record = _executions[executionId];
        uint64 time = record.recordedAt;
        bytes32 id = time == 0 ? bytes32(0) : executionId;
        return
            Execution(id, record.triggerId, record.executor, time, time, record.success, record.outputHash, record.cost);
    }

    /// @notice Triggers of an agent's present owner. Unbounded, off chain only.
    /// @param agentId The agent.
    function getAgentTriggers(uint256 agentId) external view returns (bytes32[] memory) {
        return _agentTriggers[agentId][identityRegistry.agentEpoch(agentId)];
    }

    /// @notice All active triggers of a type. Unbounded, off chain only: see `getActiveTriggersPage`.
    /// @param triggerType The type.
    function getActiveTriggers(TriggerType triggerType) external view returns (bytes32[] memory active) {
        (active,) = getActiveTriggersPage(triggerType, 0, type(uint256).max);
    }

    /// @notice Active triggers of a type among those at `cursor` to `cursor + limit` of all, a list that only grows.
    /// @param triggerType The type.
    /// @param cursor Where to start.
    /// @param limit How many triggers to look at.
    /// @return active Those that are active and of the type.
    /// @return next Cursor of the next page; the list's length once it is through.
    function getActiveTriggersPage(TriggerType triggerType, uint256 cursor, uint256 limit)
        public
        view
        returns (bytes32[] memory active, uint256 next)
    {
        uint256 left = cursor < _all.length ? _all.length - cursor : 0;
        if (limit > left) limit = left;
        active = new bytes32[](limit);
        uint256 found;
        for (uint256 i = 0; i < limit; i++) {
            Trigger storage trigger = _triggers[_all[cursor + i]];
            if (trigger.active && trigger.triggerType == triggerType) active[found++] = trigger.triggerId;
        }
        next = limit == left ? _all.length : cursor + limit;
        assembly ("memory-safe") {
            mstore(active, found)
        }
    }

    /// @notice What a scheduler needs of all active cron triggers. Unbounded, off chain only: see `getActiveTriggersPage`.
    function getCronTriggers()
        external
        view
        returns (bytes32[] memory triggerIds, string[] memory cronExpressions, string[] memory endpoints)
    {
        (triggerIds,) = getActiveTriggersPage(TriggerType.CRON, 0, type(uint256).max);
        cronExpressions = new string[](triggerIds.length);
        endpoints = new string[](triggerIds.length);
        for (uint256 i = 0; i < triggerIds.length; i++) {
            cronExpressions[i] = _triggers[triggerIds[i]].cronExpression;
            endpoints[i] = _triggers[triggerIds[i]].endpoint;
        }
    }

    /// @notice The newest executions of a trigger, oldest of them first.
    /// @param triggerId Any id.
    /// @param limit How many at most.
    function getExecutionHistory(bytes32 triggerId, uint256 limit) external view returns (bytes32[] memory newest) {
        bytes32[] storage history = _history[triggerId];
        uint256 count = history.length < limit ? history.length : limit;
        newest = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            newest[i] = history[history.length - count + i];
        }
    }

    /// @notice Triggers that an account registered. Unbounded, off chain only.
    /// @param owner Any account.
    function getOwnerTriggers(address owner) external view returns (bytes32[] memory) {
        return _ownerTriggers[owner];
    }

    /// @notice How many triggers were ever registered.
    function getTriggerCount() external view returns (uint256) {
        return _all.length;
    }

    /// @notice Whether an executor may record executions of an owner's triggers.
    /// @param owner Any account.
    /// @param executor Any account.
    function isExecutor(address owner, address executor) external view returns (bool) {
        return mayCharge(owner, executor);
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    /// The count makes ids unique, also for the same name twice in one block.
    function _newId() private view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), msg.sender, _all.length));
    }

    function _register(bytes32 triggerId) private {
        Trigger storage trigger = _triggers[triggerId];
        _requireText(bytes(trigger.name).length, 1);
        _requireText(bytes(trigger.description).length, 0);
        _requireText(bytes(trigger.cronExpression).length, 0);
        _requireText(bytes(trigger.webhookPath).length, 0);
        _requireText(bytes(trigger.endpoint).length, 1);
        _requireText(bytes(trigger.method).length, 0);
        uint256 count = trigger.eventTypes.length;
        if (count > MAX_EVENT_TYPES) revert TooManyEventTypes(MAX_EVENT_TYPES);
        for (uint256 i = 0; i < count; i++) {
            _requireText(bytes(trigger.eventTypes[i]).length, 1);
        }
        uint256 timeout = trigger.timeout;
        if (timeout == 0 || timeout > MAX_TIMEOUT) revert InvalidTimeout(timeout, MAX_TIMEOUT);
        _requirePrice(trigger);

        trigger.triggerId = triggerId;
        trigger.owner = msg.sender;
        trigger.active = true;
        trigger.createdAt = _now();
        _all.push(triggerId);
        _ownerTriggers[msg.sender].push(triggerId);
    }

    function _record(Trigger storage trigger, bool success, bytes32 outputHash, uint256 cost)
        private
        returns (bytes32 executionId)
    {
        bytes32 triggerId = trigger.triggerId;
        executionId = keccak256(abi.encode(triggerId, trigger.executionCount++));
        trigger.lastExecutedAt = _now();
        _executions[executionId] = ExecutionRecord(triggerId, msg.sender, _now(), success, outputHash, cost);
        _history[triggerId].push(executionId);
        emit TriggerExecuted(triggerId, executionId, msg.sender, success);
    }

    function _owned(bytes32 triggerId) private view returns (Trigger storage trigger) {
        trigger = _existing(triggerId);
        if (trigger.owner != msg.sender) revert NotTriggerOwner(msg.sender, trigger.owner);
    }

    function _executable(bytes32 triggerId) private view returns (Trigger storage trigger) {
        trigger = _existing(triggerId);
        if (!mayCharge(trigger.owner, msg.sender)) revert NotAuthorized(trigger.owner, msg.sender);
    }

    function _existing(bytes32 triggerId) private view returns (Trigger storage trigger) {
        trigger = _triggers[triggerId];
        if (trigger.owner == address(0)) revert TriggerNotFound(triggerId);
    }

    function _agentOf(Trigger storage trigger) private view returns (uint256 agentId) {
        agentId = trigger.agentId;
        if (agentId != 0 && identityRegistry.agentEpoch(agentId) != _agentEpochs[trigger.triggerId]) return 0;
    }

    function _requirePrice(Trigger storage trigger) private view {
        if ((trigger.paymentMode == PaymentMode.FREE) != (trigger.pricePerExecution == 0)) revert InvalidPrice();
    }

    function _requireText(uint256 length, uint256 least) private pure {
        if (length < least || length > MAX_TEXT) revert InvalidText(length, MAX_TEXT);
    }
}
