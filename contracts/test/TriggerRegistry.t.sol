// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {PrepaidBalance, Voucher} from "../src/market/PrepaidBalance.sol";
import {PullPayments} from "../src/market/PullPayments.sol";
import {TriggerRegistry as Triggers} from "../src/market/TriggerRegistry.sol";
import {WorkFixture} from "./WorkFixture.sol";

contract TriggerRegistryTest is WorkFixture {
    uint256 constant PRICE = 0.1 ether;
    address constant EXECUTOR = address(0xC0);

    Triggers triggers;
    bytes32 id;

    function setUp() public {
        _deployMarket();
        triggers = new Triggers(identity);
        id = _register("one");
    }

    // ------------------------------------------------------------------ registering

    function test_constructor() public {
        require(address(triggers.identityRegistry()) == address(identity));
        require(keccak256(bytes(triggers.version())) == keccak256("2.0.0"));
        _expect(PullPayments.ZeroAccount.selector);
        new Triggers(IIdentity(address(0)));
    }

    /// The tuple that Jeju's clients decode.
    function test_getTrigger_tuple() public view {
        (
            address triggerOwner,
            Triggers.TriggerType kind,
            string memory name,
            string memory endpoint,
            bool active,
            uint256 count,
            uint256 last,
            uint256 agentId
        ) = triggers.getTrigger(id);
        require(triggerOwner == owner && kind == Triggers.TriggerType.CRON && active);
        require(keccak256(bytes(name)) == keccak256("one") && keccak256(bytes(endpoint)) == keccak256("https://t"));
        require(count == 0 && last == 0 && agentId == 0);
        (triggerOwner,,,,,,, agentId) = triggers.getTrigger("none");
        require(triggerOwner == address(0) && agentId == 0);
    }

    function test_register() public view {
        Triggers.Trigger memory trigger = triggers.triggers(id);
        require(trigger.triggerId == id && trigger.owner == owner && trigger.createdAt == START);
        require(trigger.timeout == 60 && trigger.pricePerExecution == PRICE && trigger.eventTypes.length == 1);
        require(trigger.paymentMode == Triggers.PaymentMode.PREPAID);
        require(keccak256(bytes(trigger.webhookPath)) == keccak256("/hook"));
        require(triggers.getOwnerTriggers(owner)[0] == id && triggers.getTriggerCount() == 1);
        (bytes32[] memory ids, string[] memory crons, string[] memory endpoints) = triggers.getCronTriggers();
        require(ids.length == 1 && ids[0] == id && keccak256(bytes(crons[0])) == keccak256("* * * * *"));
        require(keccak256(bytes(endpoints[0])) == keccak256("https://t"));
    }

    function test_register_refusals() public {
        string memory long = string(new bytes(1025));
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 0, 1024));
        _try("", "", "", "", "e", "", 0, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 1025, 1024));
        _try(long, "", "", "", "e", "", 0, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 1025, 1024));
        _try("n", long, "", "", "e", "", 0, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 1025, 1024));
        _try("n", "", long, "", "e", "", 0, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 1025, 1024));
        _try("n", "", "", long, "e", "", 0, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 0, 1024));
        _try("n", "", "", "", "", "", 0, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 1025, 1024));
        _try("n", "", "", "", "e", long, 0, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 0, 1024));
        _try("n", "", "", "", "e", "", 1, 60);
        _expect(abi.encodeWithSelector(Triggers.TooManyEventTypes.selector, 32));
        _try("n", "", "", "", "e", "", 33, 60);
        _expect(abi.encodeWithSelector(Triggers.InvalidTimeout.selector, 0, 3600));
        _try("n", "", "", "", "e", "", 0, 0);
        _expect(abi.encodeWithSelector(Triggers.InvalidTimeout.selector, 3601, 3600));
        _try("n", "", "", "", "e", "", 0, 3601);
        _expect(Triggers.InvalidPrice.selector);
        triggers.registerTrigger(
            "n", "", Triggers.TriggerType.CRON, "", "", new string[](0), "e", "", 1, Triggers.PaymentMode.FREE, 1
        );
        _expect(Triggers.InvalidPrice.selector);
        triggers.registerTrigger(
            "n", "", Triggers.TriggerType.CRON, "", "", new string[](0), "e", "", 1, Triggers.PaymentMode.PREPAID, 0
        );
    }

    function test_registerWithAgent() public {
        vm.expectEmit(false, true, true, true, address(triggers));
        emit Triggers.TriggerRegisteredWithAgent(0, PROVIDER, agent, "agent's");
        bytes32 mine = _registerWithAgent(PROVIDER, agent);
        require(triggers.triggers(mine).agentId == agent && triggers.getAgentTriggers(agent)[0] == mine);
        require(keccak256(bytes(triggers.triggers(mine).method)) == keccak256("POST"));
        // What was agreed with the last owner ends when the agent moves.
        vm.prank(PROVIDER);
        identity.transferFrom(PROVIDER, OTHER, agent);
        (,,,,,,, uint256 agentId) = triggers.getTrigger(mine);
        require(agentId == 0 && triggers.triggers(mine).agentId == 0);
        require(triggers.getAgentTriggers(agent).length == 0);
        bytes32 theirs = _registerWithAgent(OTHER, agent);
        require(triggers.getAgentTriggers(agent).length == 1 && triggers.getAgentTriggers(agent)[0] == theirs);
    }

    function test_registerWithAgent_refusals() public {
        string memory long = string(new bytes(1025));
        vm.startPrank(PROVIDER);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 0, 1024));
        _tryWithAgent("", "", "e", 60, 0);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 1025, 1024));
        _tryWithAgent("n", long, "e", 60, 0);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 0, 1024));
        _tryWithAgent("n", "", "", 60, 0);
        _expect(abi.encodeWithSelector(Triggers.InvalidTimeout.selector, 0, 3600));
        _tryWithAgent("n", "", "e", 0, 0);
        _expect(abi.encodeWithSelector(Triggers.InvalidTimeout.selector, 3601, 3600));
        _tryWithAgent("n", "", "e", 3601, 0);
        _expect(Triggers.InvalidPrice.selector);
        _tryWithAgent("n", "", "e", 60, 1);
        vm.stopPrank();
        require(triggers.getAgentTriggers(agent).length == 0);
    }

    function test_owner_refusals() public {
        _refused(STRANGER, _ownerCalls(id), abi.encodeWithSelector(Triggers.NotTriggerOwner.selector, STRANGER, owner));
        _refused(owner, _ownerCalls("none"), abi.encodeWithSelector(Triggers.TriggerNotFound.selector, _word("none")));
        vm.startPrank(owner);
        _expect(abi.encodeWithSelector(Triggers.InvalidText.selector, 0, 1024));
        triggers.updateTriggerEndpoint(id, "");
        _expect(Triggers.InvalidPrice.selector);
        triggers.updateTriggerPricing(id, Triggers.PaymentMode.FREE, 1);
        vm.stopPrank();
    }

    function test_updates() public {
        vm.startPrank(owner);
        triggers.updateTriggerEndpoint(id, "https://new");
        triggers.updateTriggerPricing(id, Triggers.PaymentMode.X402, 7);
        triggers.setTriggerActive(id, false);
        vm.stopPrank();
        Triggers.Trigger memory trigger = triggers.triggers(id);
        require(keccak256(bytes(trigger.endpoint)) == keccak256("https://new") && trigger.pricePerExecution == 7);
        require(!trigger.active && triggers.getActiveTriggers(Triggers.TriggerType.CRON).length == 0);
    }

    function test_pages() public {
        bytes32 two = _register("two");
        bytes32 three = _registerWithAgent(PROVIDER, agent);
        vm.prank(owner);
        triggers.setTriggerActive(two, false);
        (bytes32[] memory page, uint256 next) = triggers.getActiveTriggersPage(Triggers.TriggerType.CRON, 0, 2);
        require(page.length == 1 && page[0] == id && next == 2);
        (page, next) = triggers.getActiveTriggersPage(Triggers.TriggerType.CRON, next, 2);
        require(page.length == 0 && next == 3);
        (page, next) = triggers.getActiveTriggersPage(Triggers.TriggerType.WEBHOOK, 2, 9);
        require(page.length == 1 && page[0] == three && next == 3);
        (page,) = triggers.getActiveTriggersPage(Triggers.TriggerType.CRON, 9, 9);
        require(page.length == 0);
    }

    // ------------------------------------------------------------------ executions

    function test_recordExecution_free() public {
        vm.startPrank(owner);
        triggers.updateTriggerPricing(id, Triggers.PaymentMode.FREE, 0);
        triggers.setExecutorAuthorized(EXECUTOR, true);
        vm.stopPrank();
        vm.startPrank(EXECUTOR);
        bytes32 first = triggers.recordExecution(id, true, "out");
        bytes32 second = triggers.recordExecution(id, false, "out");
        vm.stopPrank();
        Triggers.Execution memory execution = triggers.executions(first);
        require(execution.executionId == first && execution.triggerId == id && execution.executor == EXECUTOR);
        require(execution.success && execution.outputHash == "out" && execution.cost == 0);
        require(execution.startedAt == START && execution.finishedAt == START);
        require(triggers.executions("none").executionId == 0);
        require(first != second && triggers.getExecutionHistory(id, 1)[0] == second);
        require(triggers.getExecutionHistory(id, 9).length == 2);
        (,,,,, uint256 count, uint256 last,) = triggers.getTrigger(id);
        require(count == 2 && last == START);
    }

    function test_recordExecution_refusals() public {
        _authorize();
        vm.startPrank(EXECUTOR);
        _expect(Triggers.VoucherRequired.selector);
        triggers.recordExecution(id, true, "out");
        _expect(abi.encodeWithSelector(Triggers.TriggerNotFound.selector, _word("none")));
        triggers.recordExecution("none", true, "out");
        vm.stopPrank();
        vm.prank(owner);
        triggers.setTriggerActive(id, false);
        vm.prank(EXECUTOR);
        _expect(abi.encodeWithSelector(Triggers.TriggerNotActive.selector, id));
        triggers.recordExecution(id, true, "out");
    }

    function test_recordPrepaidExecution() public {
        _authorize();
        bytes32 execution = _recordPaid(PRICE, 1);
        require(triggers.executions(execution).cost == PRICE && triggers.owed(EXECUTOR) == PRICE);
        require(triggers.prepaidBalances(owner) == 3 ether - PRICE);
        // Stopping the trigger or changing its price takes nothing back.
        vm.startPrank(owner);
        triggers.setTriggerActive(id, false);
        triggers.updateTriggerPricing(id, Triggers.PaymentMode.PREPAID, 1);
        triggers.setExecutorAuthorized(EXECUTOR, false);
        vm.stopPrank();
        _recordPaid(2 * PRICE, 2);
        require(triggers.owed(EXECUTOR) == 2 * PRICE && triggers.isExecutor(owner, EXECUTOR));
        vm.warp(START + 1 hours);
        (Voucher memory voucher, bytes memory signature) = _voucher(3 * PRICE, 3);
        vm.prank(EXECUTOR);
        _expect(abi.encodeWithSelector(Triggers.NotAuthorized.selector, owner, EXECUTOR));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
    }

    function test_recordPrepaidExecution_refusals() public {
        _authorize();
        (Voucher memory voucher, bytes memory signature) = _voucher(PRICE, 1);
        bytes32 two = _register("two");
        vm.startPrank(EXECUTOR);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherForOther.selector, id, _word("out")));
        triggers.recordPrepaidExecution(two, true, "out", voucher, signature);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherForOther.selector, id, _word("out")));
        triggers.recordPrepaidExecution(id, true, "other", voucher, signature);
        voucher.user = user;
        _expect(abi.encodeWithSelector(Triggers.VoucherOfOtherUser.selector, user, owner));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        voucher.user = owner;
        voucher.cumulative = 3 ether;
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherNotSigned.selector, owner));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        voucher.cumulative = PRICE;
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        _expect(abi.encodeWithSelector(PrepaidBalance.NothingToCharge.selector, PRICE, PRICE));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        _expect(abi.encodeWithSelector(Triggers.TriggerNotFound.selector, _word("none")));
        triggers.recordPrepaidExecution("none", true, "out", voucher, signature);
        voucher.provider = STRANGER;
        _expect(abi.encodeWithSelector(PrepaidBalance.NotVoucherProvider.selector, EXECUTOR, STRANGER));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        vm.stopPrank();
    }

    function test_recordPrepaidExecution_refusesOldVouchersAndEmptyBalances() public {
        _authorize();
        _recordPaid(PRICE, 2);
        (Voucher memory voucher, bytes memory signature) = _voucher(2 * PRICE, 1);
        vm.startPrank(EXECUTOR);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherOutdated.selector, 1, 2));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        (voucher, signature) = _voucher(5 ether, 3);
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        _expect(PrepaidBalance.InsufficientPrepaid.selector);
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        vm.warp(START + 1 days + 1);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherExpired.selector, START + 1 days));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        vm.stopPrank();
    }

    function test_executor_isAuthorizedAndDismissedOnce() public {
        vm.startPrank(owner);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesNotOpen.selector, owner, EXECUTOR));
        triggers.setExecutorAuthorized(EXECUTOR, false);
        _expect(PullPayments.ZeroAccount.selector);
        triggers.setExecutorAuthorized(address(0), true);
        triggers.setExecutorAuthorized(EXECUTOR, true);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesAlreadyOpen.selector, owner, EXECUTOR));
        triggers.setExecutorAuthorized(EXECUTOR, true);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ the seed's bugs

    /// Measured there: a stranger recorded executions until an owner's 3 ETH were gone.
    function test_seedBug_strangerDrainsPrepaid3Eth() public {
        _authorize();
        (Voucher memory voucher, bytes memory signature) = _voucher(3 ether, 1);
        vm.startPrank(STRANGER);
        _expect(abi.encodeWithSelector(Triggers.NotAuthorized.selector, owner, STRANGER));
        triggers.recordExecution(id, true, "out");
        _expect(abi.encodeWithSelector(Triggers.NotAuthorized.selector, owner, STRANGER));
        triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
        // Being someone else's executor helps nothing.
        triggers.setExecutorAuthorized(STRANGER, true);
        _expect(abi.encodeWithSelector(Triggers.NotAuthorized.selector, owner, STRANGER));
        triggers.recordExecution(id, true, "out");
        vm.stopPrank();
        require(triggers.prepaidBalances(owner) == 3 ether);
    }

    /// Measured there: 2.7 of these 3 ETH were nobody's ever after.
    function test_seedBug_2_7EthStuck() public {
        _authorize();
        _recordPaid(3 ether, 1);
        require(triggers.prepaidBalances(owner) == 0 && triggers.owed(EXECUTOR) == 3 ether);
        vm.prank(EXECUTOR);
        triggers.withdraw();
        require(EXECUTOR.balance == 3 ether && address(triggers).balance == 0);
    }

    /// There a trigger could name anybody's agent.
    function test_seedBug_agentOwnershipUnchecked() public {
        _expect(abi.encodeWithSelector(Triggers.NotAgentOwner.selector, agent, STRANGER));
        _registerWithAgent(STRANGER, agent);
        _expect(Triggers.InvalidAgentId.selector);
        _registerWithAgent(STRANGER, 0);
        _expect(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 999));
        _registerWithAgent(STRANGER, 999);
    }

    /// There two triggers of one name in one block had one id.
    function test_seedBug_sameNameTriggersCollide() public {
        bytes32 first = _register("same");
        require(first != _register("same") && triggers.getTriggerCount() == 3);
    }

    // ------------------------------------------------------------------ inside

    function _register(string memory name) private returns (bytes32) {
        string[] memory events = new string[](1);
        events[0] = "event";
        vm.prank(owner);
        return triggers.registerTrigger(
            name,
            "text",
            Triggers.TriggerType.CRON,
            "* * * * *",
            "/hook",
            events,
            "https://t",
            "GET",
            60,
            Triggers.PaymentMode.PREPAID,
            PRICE
        );
    }

    function _registerWithAgent(address account, uint256 agentId) private returns (bytes32) {
        vm.prank(account);
        return triggers.registerTriggerWithAgent(
            "agent's", "text", Triggers.TriggerType.WEBHOOK, "", "https://a", 60, Triggers.PaymentMode.FREE, 0, agentId
        );
    }

    /// Everything that only the trigger's owner may call.
    function _ownerCalls(bytes32 trigger) private view returns (bytes[] memory calls) {
        calls = new bytes[](3);
        calls[0] = abi.encodeCall(triggers.setTriggerActive, (trigger, false));
        calls[1] = abi.encodeCall(triggers.updateTriggerEndpoint, (trigger, "e"));
        calls[2] = abi.encodeCall(triggers.updateTriggerPricing, (trigger, Triggers.PaymentMode.FREE, 0));
    }

    function _refused(address caller, bytes[] memory calls, bytes memory reason) private {
        for (uint256 i = 0; i < calls.length; i++) {
            vm.prank(caller);
            (bool done, bytes memory data) = address(triggers).call(calls[i]);
            require(!done && keccak256(data) == keccak256(reason));
        }
    }

    function _tryWithAgent(
        string memory name,
        string memory description,
        string memory endpoint,
        uint256 timeout,
        uint256 price
    ) private {
        triggers.registerTriggerWithAgent(
            name,
            description,
            Triggers.TriggerType.WEBHOOK,
            "",
            endpoint,
            timeout,
            Triggers.PaymentMode.FREE,
            price,
            agent
        );
    }

    function _try(
        string memory name,
        string memory description,
        string memory cron,
        string memory path,
        string memory endpoint,
        string memory method,
        uint256 events,
        uint256 timeout
    ) private {
        triggers.registerTrigger(
            name,
            description,
            Triggers.TriggerType.EVENT,
            cron,
            path,
            new string[](events),
            endpoint,
            method,
            timeout,
            Triggers.PaymentMode.FREE,
            0
        );
    }

    function _authorize() private {
        vm.startPrank(owner);
        triggers.depositPrepaid{value: 3 ether}();
        triggers.setExecutorAuthorized(EXECUTOR, true);
        vm.stopPrank();
    }

    function _voucher(uint256 cumulative, uint64 sequence)
        private
        view
        returns (Voucher memory voucher, bytes memory signature)
    {
        voucher = Voucher(owner, EXECUTOR, cumulative, sequence, id, "out", START + 1 days);
        signature = _signVoucher(triggers, OWNER_KEY, voucher);
    }

    function _recordPaid(uint256 cumulative, uint64 sequence) private returns (bytes32) {
        (Voucher memory voucher, bytes memory signature) = _voucher(cumulative, sequence);
        vm.prank(EXECUTOR);
        return triggers.recordPrepaidExecution(id, true, "out", voucher, signature);
    }
}
