// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../interfaces/IStaking.sol";
import {IAttestedKeys, Platform} from "../interfaces/ITrust.sol";
import {Eip712Domain} from "../trust/Eip712Domain.sol";
import {ComputeRegistry} from "./ComputeRegistry.sol";
import {Voucher} from "./PrepaidBalance.sol";
import {Receipt, Receipts} from "./Receipts.sol";
import {WorkerCode} from "./WorkerCode.sol";

/// @title WorkerRegistry
/// @notice Workers, the providers that run them, and what is paid for running them.
/// @dev A provider runs a worker if it has stake (`ComputeRegistry` or `ComputeStaking`) and the worker's owner accepted
/// it. An invocation counts only with the receipt of an attested key that the provider answers for, each receipt once.
/// It is paid by whoever signed a voucher for that very request: the worker's owner or a user. The signed amount is what is
/// charged, so no change of the price reaches back. Providers settle up to `NOTICE` after they or the worker stopped: an
/// owner can't be served and then end the worker in front of the charge.
contract WorkerRegistry is WorkerCode {
    using Receipts for Receipt;

    /// @notice A provider that runs a worker, as Jeju clients decode it.
    /// @param workerId The worker.
    /// @param providerAddress The provider.
    /// @param endpoint Base URL.
    /// @param attestationHash What the provider says of itself; proves nothing.
    /// @param teeType One of `Platform`, or zero for none; what the provider says of itself.
    /// @param active Whether it runs the worker.
    /// @param invocations Counted invocations.
    /// @param errors Those of them that failed.
    /// @param avgLatencyMs Mean over the counted ones, as the provider measured it.
    struct WorkerEndpoint {
        bytes32 workerId;
        address providerAddress;
        string endpoint;
        bytes32 attestationHash;
        uint8 teeType;
        bool active;
        uint64 invocations;
        uint64 errors;
        uint256 avgLatencyMs;
    }

    struct Membership {
        // Place in `_endpoints` plus one; zero: never had an endpoint.
        uint64 place;
        uint64 endedAt;
        bool accepted;
    }

    /// @notice Highest latency that is recorded, in milliseconds.
    uint256 public constant MAX_LATENCY = 1 days * 1000;

    /// @notice Where providers are registered.
    ComputeRegistry public immutable computeRegistry;
    /// @notice Where providers may have stake instead.
    IStaking public immutable staking;
    /// @notice Where the keys of receipts are registered.
    IAttestedKeys public immutable attestedKeys;

    mapping(bytes32 workerId => WorkerEndpoint[]) private _endpoints;
    mapping(bytes32 workerId => mapping(address provider => Membership)) private _members;
    /// @notice Whether a receipt was recorded, by `receiptId`.
    mapping(bytes32 receipt => bool) public isRecorded;

    /// @notice A provider runs the worker.
    event EndpointAdded(bytes32 indexed workerId, address indexed provider, string endpoint, bytes32 attestation);
    /// @notice A provider runs the worker no longer.
    event EndpointRemoved(bytes32 indexed workerId, address indexed provider);
    /// @notice A provider says that it ran the worker.
    event WorkerInvoked(bytes32 indexed workerId, address indexed provider, address indexed caller, bool success);
    /// @notice The invocation has a receipt, and counts.
    event InvocationCounted(bytes32 indexed workerId, address indexed provider, bytes32 receipt, uint256 amount);
    /// @notice The worker's owner lets a provider run it, or no longer.
    event ProviderAccepted(bytes32 indexed workerId, address indexed provider, bool accepted);

    /// @notice The caller doesn't run the worker.
    error EndpointNotFound();
    /// @notice The endpoint is empty.
    error InvalidEndpoint();
    /// @notice The caller has no provider's stake.
    error NotProvider(address account);
    /// @notice The worker's owner didn't accept the provider.
    error NotAccepted(bytes32 workerId, address provider);
    /// @notice No such platform.
    error InvalidTeeType(uint8 teeType);
    /// @notice The latency is out of bounds.
    error InvalidLatency(uint256 latencyMs, uint256 maximum);
    /// @notice Invocations of this worker are recorded with a receipt.
    error ReceiptRequired();
    /// @notice The provider doesn't answer for the key that signed the receipt.
    error KeyOfOtherProvider(address key, address provider);
    /// @notice The receipt names another agent than its key is registered for.
    error ReceiptOfOtherAgent(uint256 named, uint256 registered);
    /// @notice The receipt was recorded.
    error ReceiptRecorded(bytes32 receipt);

    /// @param registry `ComputeRegistry`.
    /// @param staking_ `ComputeStaking`.
    constructor(ComputeRegistry registry, IStaking staking_) Eip712Domain("Jeju WorkerRegistry") {
        if (address(registry) == address(0) || address(staking_) == address(0)) revert ZeroAccount();
        computeRegistry = registry;
        staking = staking_;
        attestedKeys = registry.attestedKeys();
    }

    // ------------------------------------------------------------------ endpoints

    /// @notice Lets a provider run the worker, or ends that at once.
    /// @param workerId Worker of the caller.
    /// @param provider The provider.
    /// @param accepted Whether it may.
    function setProviderAccepted(bytes32 workerId, address provider, bool accepted) external {
        if (accepted) _living(workerId);
        else _owned(workerId);
        _members[workerId][provider].accepted = accepted;
        emit ProviderAccepted(workerId, provider, accepted);
        if (!accepted) _endEndpoint(workerId, provider);
    }

    /// @notice Says where the caller runs the worker, in place of what it said before.
    /// @param workerId The worker.
    /// @param endpoint Base URL.
    /// @param attestationHash Free for the provider's use.
    /// @param teeType One of `Platform`, or zero.
    function addEndpoint(bytes32 workerId, string calldata endpoint, bytes32 attestationHash, uint8 teeType) external {
        Worker storage worker = _workers[workerId];
        if (worker.owner == address(0)) revert WorkerNotFound();
        if (worker.status != WorkerStatus.ACTIVE) revert WorkerNotActive();
        if (!isProvider(msg.sender)) revert NotProvider(msg.sender);
        Membership storage member = _members[workerId][msg.sender];
        if (!member.accepted) revert NotAccepted(workerId, msg.sender);
        if (bytes(endpoint).length == 0) revert InvalidEndpoint();
        _requireShort(endpoint);
        if (teeType > Platform.NITRO && teeType != Platform.SIMULATED) revert InvalidTeeType(teeType);

        if (member.place == 0) {
            _endpoints[workerId].push();
            // forge-lint: disable-next-line(unsafe-typecast)
            member.place = uint64(_endpoints[workerId].length);
        }
        WorkerEndpoint storage entry = _endpoints[workerId][member.place - 1];
        entry.workerId = workerId;
        entry.providerAddress = msg.sender;
        entry.endpoint = endpoint;
        entry.attestationHash = attestationHash;
        entry.teeType = teeType;
        entry.active = true;
        emit EndpointAdded(workerId, msg.sender, endpoint, attestationHash);
    }

    /// @notice Ends the caller's endpoint.
    /// @param workerId The worker.
    function removeEndpoint(bytes32 workerId) external {
        if (!_endEndpoint(workerId, msg.sender)) revert EndpointNotFound();
    }

    // ------------------------------------------------------------------ invocations

    /// @notice Tells that the caller ran a free worker. Counts nothing and pays nothing: it is the provider's word.
    /// @param workerId The worker.
    /// @param success Whether it worked.
    /// @param latencyMs How long it took.
    function recordInvocation(bytes32 workerId, bool success, uint256 latencyMs) external {
        _endpointOfCaller(workerId);
        if (latencyMs > MAX_LATENCY) revert InvalidLatency(latencyMs, MAX_LATENCY);
        if (_workers[workerId].paymentMode != PaymentMode.FREE) revert ReceiptRequired();
        emit WorkerInvoked(workerId, msg.sender, msg.sender, success);
    }

    /// @notice Counts an invocation that wasn't paid here.
    /// @param workerId The worker.
    /// @param success Whether it worked.
    /// @param latencyMs How long it took.
    /// @param receipt What the enclave says of it.
    /// @param signature By a live key that the caller answers for.
    function recordAttestedInvocation(
        bytes32 workerId,
        bool success,
        uint256 latencyMs,
        Receipt calldata receipt,
        bytes calldata signature
    ) external {
        WorkerEndpoint storage entry = _endpointOfCaller(workerId);
        bytes32 id = _useReceipt(receipt, signature);
        _count(entry, success, latencyMs);
        emit WorkerInvoked(workerId, msg.sender, msg.sender, success);
        emit InvocationCounted(workerId, msg.sender, id, 0);
    }

    /// @notice Counts an invocation and charges for it what its user signed.
    /// @param workerId The worker.
    /// @param success Whether it worked.
    /// @param latencyMs How long it took.
    /// @param receipt What the enclave says of it.
    /// @param signature By a live key that the caller answers for.
    /// @param voucher For the receipt's request, to the caller.
    /// @param voucherSignature The user's.
    /// @return amount What the caller earned.
    function recordPrepaidInvocation(
        bytes32 workerId,
        bool success,
        uint256 latencyMs,
        Receipt calldata receipt,
        bytes calldata signature,
        Voucher calldata voucher,
        bytes calldata voucherSignature
    ) external returns (uint256 amount) {
        WorkerEndpoint storage entry = _endpointOfCaller(workerId);
        bytes32 id = _useReceipt(receipt, signature);
        _requireDigests(voucher, receipt.requestDigest, receipt.responseDigest);
        _count(entry, success, latencyMs);
        amount = _charge(voucher, voucherSignature);
        emit WorkerInvoked(workerId, msg.sender, voucher.user, success);
        emit InvocationCounted(workerId, msg.sender, id, amount);
    }

    /// @notice Lets a provider charge what the caller signs, from the caller's balance.
    /// @param provider The provider.
    function openCharges(address provider) external {
        _openCharges(provider);
    }

    /// @notice Ends that, `NOTICE` from now.
    /// @param provider The provider.
    function closeCharges(address provider) external {
        _closeCharges(provider);
    }

    // ------------------------------------------------------------------ reading

    /// @notice Whether the account has a provider's stake.
    /// @param account Any account.
    function isProvider(address account) public view returns (bool) {
        return computeRegistry.isActive(account) || staking.isProvider(account);
    }

    /// @notice Whether the worker's owner lets the provider run it.
    /// @param workerId Any id.
    /// @param provider Any account.
    function isAccepted(bytes32 workerId, address provider) external view returns (bool) {
        return _members[workerId][provider].accepted;
    }

    /// @notice All endpoints that a worker ever had: at most one for each provider that its owner accepted.
    /// @param workerId Any id.
    function getWorkerEndpoints(bytes32 workerId) external view returns (WorkerEndpoint[] memory) {
        return _endpoints[workerId];
    }

    /// @notice Endpoints that run the worker now: none of a stopped worker, and none of a provider without stake.
    /// @param workerId Any id.
    function getActiveEndpoints(bytes32 workerId) external view returns (WorkerEndpoint[] memory active) {
        WorkerEndpoint[] storage all = _endpoints[workerId];
        active = new WorkerEndpoint[](all.length);
        uint256 found;
        bool runs = _workers[workerId].status == WorkerStatus.ACTIVE;
        for (uint256 i = 0; runs && i < all.length; i++) {
            if (all[i].active && isProvider(all[i].providerAddress)) active[found++] = all[i];
        }
        assembly ("memory-safe") {
            mstore(active, found)
        }
    }

    /// @notice What names a receipt: an enclave uses a request id once, so two receipts for one are one response.
    /// @param receipt The receipt.
    function receiptId(Receipt calldata receipt) public pure returns (bytes32) {
        return keccak256(abi.encode(receipt.agentId, receipt.boot, receipt.requestId));
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _endEndpoint(bytes32 workerId, address provider) private returns (bool ended) {
        Membership storage member = _members[workerId][provider];
        if (member.place == 0) return false;
        WorkerEndpoint storage entry = _endpoints[workerId][member.place - 1];
        if (!entry.active) return false;
        entry.active = false;
        member.endedAt = _now();
        emit EndpointRemoved(workerId, provider);
        return true;
    }

    /// The caller runs the worker, or did `NOTICE` ago.
    function _endpointOfCaller(bytes32 workerId) private view returns (WorkerEndpoint storage entry) {
        Membership storage member = _members[workerId][msg.sender];
        if (member.place == 0) revert EndpointNotFound();
        entry = _endpoints[workerId][member.place - 1];
        if (!entry.active && _now() >= member.endedAt + NOTICE) revert EndpointNotFound();
        Worker storage worker = _workers[workerId];
        if (worker.status != WorkerStatus.ACTIVE && _now() >= worker.statusSince + NOTICE) revert WorkerNotActive();
    }

    function _useReceipt(Receipt calldata receipt, bytes calldata signature) private returns (bytes32 id) {
        bytes32 digest = Receipts.digest(receipt.hash(), address(attestedKeys));
        (address key, uint256 agentId) = attestedKeys.checkSignature(digest, signature);
        if (agentId != receipt.agentId) revert ReceiptOfOtherAgent(receipt.agentId, agentId);
        address provider = computeRegistry.providerOfKey(key);
        if (provider != msg.sender) revert KeyOfOtherProvider(key, provider);
        id = receiptId(receipt);
        if (isRecorded[id]) revert ReceiptRecorded(id);
        isRecorded[id] = true;
    }

    function _count(WorkerEndpoint storage entry, bool success, uint256 latencyMs) private {
        if (latencyMs > MAX_LATENCY) revert InvalidLatency(latencyMs, MAX_LATENCY);
        Worker storage worker = _workers[entry.workerId];
        worker.totalInvocations++;
        uint256 before = entry.invocations++;
        entry.avgLatencyMs = (entry.avgLatencyMs * before + latencyMs) / (before + 1);
        if (!success) {
            worker.totalErrors++;
            entry.errors++;
        }
    }
}
