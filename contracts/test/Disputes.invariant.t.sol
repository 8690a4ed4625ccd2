// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Disputes} from "../src/market/Disputes.sol";
import {CourtSetUp} from "./SlashingCourt.t.sol";
import {Test} from "./Vm.sol";

/// Two sides, an arbiter and governance, at any time; keeps its own account of bonds and rulings.
contract DisputeActor is CourtSetUp {
    uint256 public deposited;
    uint256 public paid;
    mapping(uint256 => uint256) public upheldAt;
    bool public slashedWithoutRuling;

    constructor() {
        _deploy();
    }

    function balances() external view returns (uint256 held, uint256 bonds, uint256 owed) {
        return (address(court).balance, court.totalBonds(), court.totalOwed());
    }

    function owedSum() external view returns (uint256) {
        return court.owed(PROVIDER) + court.owed(REPORTER) + court.owed(STRANGER);
    }

    function bondSum() external view returns (uint256 sum) {
        for (uint256 i = 1; i <= court.disputeCount(); i++) {
            Disputes.Dispute memory dispute = court.disputeOf(i);
            if (dispute.stage == Disputes.Stage.Closed) continue;
            sum += uint256(dispute.bond) * (1 + (dispute.answered ? 1 : 0) + (dispute.appealed ? 1 : 0));
        }
    }

    /// What open disputes that were opened in time can still reach.
    function openDisputesHold() external view returns (bool) {
        for (uint256 i = 1; i <= court.disputeCount(); i++) {
            Disputes.Dispute memory dispute = court.disputeOf(i);
            if (dispute.stage == Disputes.Stage.Closed) continue;
            uint64 until = staking.heldUntil(PROVIDER, address(court), bytes32(i));
            // A dispute that could still be ruled on, or whose ruling waits, has its hold.
            // forge-lint: disable-next-line(block-timestamp)
            if (block.timestamp <= dispute.deadline && until < dispute.deadline) return false;
        }
        return true;
    }

    function wait(uint32 delay) external {
        vm.warp(block.timestamp + delay % 3 days);
    }

    function open(uint96 amount) external {
        uint256 wanted = uint256(amount) % 3 ether + 1;
        uint256 bond = court.bondFor(wanted);
        vm.prank(REPORTER);
        court.openDispute{value: bond}(PROVIDER, wanted, 0, "");
        deposited += bond;
    }

    function answer(uint8 which) external {
        uint256 id = _some(which, Disputes.Stage.Open);
        uint256 bond = court.disputeOf(id).bond;
        vm.prank(PROVIDER);
        court.answer{value: bond}(id, 0, "");
        deposited += bond;
    }

    function appeal(uint8 which) external {
        uint256 id = _some(which, which % 2 == 0 ? Disputes.Stage.Open : Disputes.Stage.Answered);
        Disputes.Dispute memory dispute = court.disputeOf(id);
        uint256 bond = dispute.stage == Disputes.Stage.Answered ? dispute.bond : 0;
        vm.prank(REPORTER);
        court.appeal{value: bond}(id);
        deposited += bond;
    }

    function rule(uint8 which, bool upheld) external {
        uint256 id = _some(which, Disputes.Stage.Appealed);
        vm.prank(court.arbiter());
        court.rule(id, upheld);
        if (upheld) upheldAt[id] = block.timestamp;
    }

    function close(uint8 which) external {
        uint256 id = which % (court.disputeCount() + 1);
        uint256 before = _stake();
        court.close(id);
        if (_stake() == before) return;
        // forge-lint: disable-next-line(block-timestamp)
        if (upheldAt[id] == 0 || block.timestamp < upheldAt[id] + 3 days) slashedWithoutRuling = true;
    }

    function replaceArbiter(uint8 to) external {
        vm.prank(OWNER);
        court.setArbiter(to < 200 ? ARBITER : STRANGER);
    }

    function withdraw(uint8 who) external {
        vm.prank(who % 2 == 0 ? PROVIDER : REPORTER);
        paid += court.withdraw();
    }

    function addStake() external {
        vm.prank(PROVIDER);
        staking.addStake{value: 1 ether}();
    }

    function _stake() private view returns (uint256) {
        return
            uint256(staking.totalBonded()) + staking.totalLeaving() + registry.totalBonded() + registry.totalLeaving();
    }

    function _some(uint8 which, Disputes.Stage stage) private view returns (uint256) {
        uint256 count = court.disputeCount();
        for (uint256 i = 0; i < count; i++) {
            uint256 id = (uint256(which) + i) % count + 1;
            if (court.disputeOf(id).stage == stage) return id;
        }
        return which;
    }
}

contract DisputesInvariant is Test {
    DisputeActor actor;

    function setUp() public {
        actor = new DisputeActor();
    }

    /// One that is none of the accounts whose balances are compared: forge may give a sender money.
    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xF0F0);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function invariant_bondsAreConserved() public view {
        (uint256 held, uint256 bonds, uint256 owed) = actor.balances();
        require(held == bonds + owed && held == actor.deposited() - actor.paid());
        require(bonds == actor.bondSum() && owed == actor.owedSum());
    }

    function invariant_nothingIsSlashedWithoutARulingThatWaited() public view {
        require(!actor.slashedWithoutRuling());
    }

    function invariant_holdsOutliveDisputes() public view {
        require(actor.openDisputesHold());
    }
}
