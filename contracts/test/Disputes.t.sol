// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BondedStake} from "../src/market/BondedStake.sol";
import {Disputes} from "../src/market/Disputes.sol";
import {SlashingCourt} from "../src/market/SlashingCourt.sol";
import {CourtSetUp} from "./SlashingCourt.t.sol";

/// Accuses, and calls back or refuses while it is paid.
contract Accuser {
    SlashingCourt public immutable court;
    bool public deaf;
    uint256 public refused;

    constructor(SlashingCourt court_) {
        court = court_;
    }

    function accuse(address accused) external payable returns (uint256) {
        return court.openDispute{value: msg.value}(accused, 1, 0, "");
    }

    function setDeaf(bool deaf_) external {
        deaf = deaf_;
    }

    function appeal(uint256 id) external {
        court.appeal(id);
    }

    function withdraw() external {
        court.withdraw();
    }

    function withdrawTo(address to) external {
        court.withdrawTo(to);
    }

    receive() external payable {
        require(!deaf);
        bytes[3] memory calls = [
            abi.encodeCall(court.withdraw, ()),
            abi.encodeCall(court.withdrawTo, (address(this))),
            abi.encodeCall(court.close, (2))
        ];
        for (uint256 i = 0; i < 3; i++) {
            (bool done, bytes memory data) = address(court).call(calls[i]);
            bytes4 refusal = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
            require(!done && keccak256(data) == keccak256(abi.encodePacked(refusal)));
            refused++;
        }
    }
}

contract DisputesTest is CourtSetUp {
    uint256 constant BOND = 0.05 ether;

    function setUp() public {
        _deploy();
    }

    // ------------------------------------------------------------------ opening

    function test_openDispute() public {
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.DisputeOpened(
            1, REPORTER, PROVIDER, 0.3 ether, BOND, ARBITER, "evidence", "ipfs://e", START + 3 days
        );
        require(_open(0.3 ether) == 1);
        Disputes.Dispute memory dispute = court.disputeOf(1);
        require(dispute.accuser == REPORTER && dispute.accused == PROVIDER && dispute.arbiter == ARBITER);
        require(dispute.stage == Disputes.Stage.Open && dispute.deadline == START + 3 days);
        require(dispute.bond == BOND && dispute.amount == 0.3 ether && court.totalBonds() == BOND);
        require(staking.heldUntil(PROVIDER, address(court), bytes32(uint256(1))) == START + 14 days);
        require(registry.heldUntil(PROVIDER, address(court), bytes32(uint256(1))) == START + 14 days);
    }

    function test_openDispute_refusals() public {
        vm.startPrank(REPORTER);
        vm.expectRevert(Disputes.SelfDispute.selector);
        court.openDispute{value: BOND}(REPORTER, 1, 0, "");
        vm.expectRevert(Disputes.InvalidAmount.selector);
        court.openDispute{value: BOND}(PROVIDER, 0, 0, "");
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongBond.selector, BOND - 1, BOND));
        court.openDispute{value: BOND - 1}(PROVIDER, 1, 0, "");
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongBond.selector, BOND, 0.1 ether));
        court.openDispute{value: BOND}(PROVIDER, 1 ether, 0, "");
        vm.expectRevert(abi.encodeWithSelector(Disputes.NothingAtRisk.selector, STRANGER));
        court.openDispute{value: BOND}(STRANGER, 1, 0, "");
        vm.stopPrank();
    }

    /// The least bond, or a tenth of the stake at issue.
    function testFuzz_bondFor(uint128 amount) public view {
        uint256 bond = court.bondFor(amount);
        require(bond >= BOND && bond >= uint256(amount) / 10 && (bond == BOND || bond == uint256(amount) / 10));
    }

    function test_stakeStaysWhileTheDisputeIsOpen() public {
        vm.startPrank(PROVIDER);
        staking.unstake(2 ether);
        registry.deactivate();
        registry.withdrawStake(2 ether);
        vm.stopPrank();
        vm.warp(START + 7 days - 1);
        _open(1 ether);
        _answer(1);
        _appeal(1, 0.1 ether);
        _rule(1, true);
        vm.warp(START + 10 days - 1);
        require(staking.withdrawable(PROVIDER) == 0 && registry.withdrawable(PROVIDER) == 0);
        court.close(1);
        require(staking.withdrawable(PROVIDER) == 1 ether && registry.withdrawable(PROVIDER) == 2 ether);
        require(staking.owed(SINK) == 1 ether);
    }

    // ------------------------------------------------------------------ every way a dispute ends

    function test_unanswered_andNotPursued_accusedWins() public {
        _open(0.3 ether);
        vm.warp(START + 6 days);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooEarly.selector, START + 6 days));
        court.close(1);
        vm.warp(START + 6 days + 1);
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.DisputeClosed(1, Disputes.Outcome.Rejected, 0, BOND, 0);
        court.close(1);
        require(court.owed(PROVIDER) == BOND && court.owed(REPORTER) == 0 && court.totalBonds() == 0);
        require(staking.heldUntil(PROVIDER, address(court), bytes32(uint256(1))) == 0);
    }

    function test_unanswered_upheld() public {
        _open(0.3 ether);
        vm.warp(START + 3 days + 1);
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.DisputeAppealed(1, START + 6 days + 1);
        _appeal(1, 0);
        _rule(1, true);
        vm.warp(START + 6 days + 1);
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.DisputeClosed(1, Disputes.Outcome.Upheld, BOND, 0, 0.3 ether);
        court.close(1);
        require(staking.owed(SINK) == 0.3 ether && staking.owed(REPORTER) == 0);
        require(court.owed(REPORTER) == BOND && court.owed(PROVIDER) == 0);
    }

    function test_answered_notAppealed_accusedWins() public {
        _open(0.3 ether);
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.DisputeAnswered(1, "no", "ipfs://a", START + 3 days);
        _answer(1);
        vm.warp(START + 3 days);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooEarly.selector, START + 3 days));
        court.close(1);
        vm.warp(START + 3 days + 1);
        court.close(1);
        require(court.owed(PROVIDER) == 2 * BOND && court.owed(REPORTER) == 0);
    }

    function test_appealed_upheld() public {
        _open(0.3 ether);
        _answer(1);
        _appeal(1, BOND);
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.DisputeRuled(1, true, START + 3 days);
        _rule(1, true);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooEarly.selector, START + 3 days));
        court.close(1);
        vm.warp(START + 3 days);
        court.close(1);
        require(court.owed(REPORTER) == 3 * BOND && court.owed(PROVIDER) == 0);
        require(staking.owed(SINK) == 0.3 ether && staking.getStakeAmount(PROVIDER) == 1.7 ether);
    }

    function test_appealed_rejected() public {
        _open(0.3 ether);
        _answer(1);
        _appeal(1, BOND);
        _rule(1, false);
        vm.warp(START + 3 days);
        court.close(1);
        require(court.owed(REPORTER) == 0 && court.owed(PROVIDER) == 3 * BOND);
        require(staking.getStakeAmount(PROVIDER) == 2 ether);
    }

    /// An arbiter that is silent leaves both sides as they were.
    function test_appealed_notRuled_lapses() public {
        _open(0.3 ether);
        _answer(1);
        _appeal(1, BOND);
        vm.warp(START + 3 days);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooEarly.selector, START + 3 days));
        court.close(1);
        vm.warp(START + 3 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooLate.selector, START + 3 days));
        _rule(1, true);
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.DisputeClosed(1, Disputes.Outcome.Lapsed, 2 * BOND, BOND, 0);
        court.close(1);
        require(court.owed(REPORTER) == 2 * BOND && court.owed(PROVIDER) == BOND);
    }

    /// Governance has the ruling's delay to replace an arbiter that was stolen.
    function test_replacedArbiter_rulingDoesNotTakeEffect() public {
        _open(0.3 ether);
        _answer(1);
        _appeal(1, BOND);
        _rule(1, true);
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.ArbiterChanged(ARBITER, STRANGER);
        vm.prank(OWNER);
        court.setArbiter(STRANGER);
        vm.warp(START + 3 days);
        court.close(1);
        require(court.owed(REPORTER) == 2 * BOND && court.owed(PROVIDER) == BOND);
        require(staking.getStakeAmount(PROVIDER) == 2 ether);
    }

    function test_replacedArbiter_neitherRules() public {
        _open(0.3 ether);
        _answer(1);
        _appeal(1, BOND);
        vm.prank(OWNER);
        court.setArbiter(STRANGER);
        address[2] memory arbiters = [ARBITER, STRANGER];
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(Disputes.NotParty.selector, 1, arbiters[i]));
            vm.prank(arbiters[i]);
            court.rule(1, true);
        }
    }

    /// More than one stake contract has: the rest comes from the other.
    function test_upheld_slashesBothUpToTheirParts() public {
        _open(10 ether);
        vm.warp(START + 3 days + 1);
        _appeal(1, 0);
        _rule(1, true);
        vm.warp(START + 6 days + 1);
        court.close(1);
        require(staking.owed(SINK) == 1 ether && registry.owed(SINK) == 1 ether);
    }

    /// Bonds don't hang on holds that ran out, nor on the court's being a challenger.
    function test_close_afterHoldsRanOut() public {
        _open(0.3 ether);
        vm.warp(START + 14 days);
        staking.releaseExpired(PROVIDER, address(court), bytes32(uint256(1)));
        vm.prank(OWNER);
        registry.removeChallenger(address(court));
        court.close(1);
        require(court.owed(PROVIDER) == BOND);
    }

    function test_upheld_whereNothingIsLeft() public {
        _open(0.3 ether);
        vm.warp(START + 3 days + 1);
        _appeal(1, 0);
        _rule(1, true);
        vm.startPrank(OWNER);
        staking.removeChallenger(address(court));
        registry.removeChallenger(address(court));
        vm.stopPrank();
        vm.warp(START + 6 days + 1);
        court.close(1);
        require(court.owed(REPORTER) == BOND && staking.getStakeAmount(PROVIDER) == 2 ether);
    }

    function test_oneStakeContractOnly() public {
        vm.startPrank(STRANGER);
        staking.stakeAsUser{value: 1 ether}();
        vm.stopPrank();
        vm.prank(REPORTER);
        court.openDispute{value: BOND}(STRANGER, 0.1 ether, 0, "");
        require(registry.heldUntil(STRANGER, address(court), bytes32(uint256(1))) == 0);
        vm.warp(START + 3 days + 1);
        _appeal(1, 0);
        _rule(1, true);
        vm.warp(START + 6 days + 1);
        court.close(1);
        require(staking.owed(SINK) == 0.1 ether);
    }

    // ------------------------------------------------------------------ refusals

    function test_answer_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongStage.selector, 1, Disputes.Stage.None));
        court.answer(1, 0, "");
        _open(0.3 ether);
        vm.expectRevert(abi.encodeWithSelector(Disputes.NotParty.selector, 1, STRANGER));
        vm.prank(STRANGER);
        court.answer{value: BOND}(1, 0, "");
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongBond.selector, BOND + 1, BOND));
        vm.prank(PROVIDER);
        court.answer{value: BOND + 1}(1, 0, "");
        vm.warp(START + 3 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooLate.selector, START + 3 days));
        vm.prank(PROVIDER);
        court.answer{value: BOND}(1, 0, "");
    }

    function test_appeal_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongStage.selector, 1, Disputes.Stage.None));
        court.appeal(1);
        _open(0.3 ether);
        vm.expectRevert(abi.encodeWithSelector(Disputes.NotParty.selector, 1, STRANGER));
        vm.prank(STRANGER);
        court.appeal(1);
        vm.warp(START + 3 days);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooEarly.selector, START + 3 days));
        _appeal(1, 0);
        vm.warp(START + 3 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongBond.selector, 1, 0));
        _appeal(1, 1);
        vm.warp(START + 6 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooLate.selector, START + 6 days));
        _appeal(1, 0);
    }

    function test_appeal_afterAnswer_refusals() public {
        _open(0.3 ether);
        _answer(1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongBond.selector, 0, BOND));
        _appeal(1, 0);
        vm.warp(START + 3 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.TooLate.selector, START + 3 days));
        _appeal(1, BOND);
    }

    function test_rule_refusals() public {
        _open(0.3 ether);
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongStage.selector, 1, Disputes.Stage.Open));
        _rule(1, true);
        _answer(1);
        _appeal(1, BOND);
        vm.expectRevert(abi.encodeWithSelector(Disputes.NotParty.selector, 1, OWNER));
        vm.prank(OWNER);
        court.rule(1, true);
        _rule(1, false);
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongStage.selector, 1, Disputes.Stage.Ruled));
        _rule(1, true);
    }

    function test_close_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongStage.selector, 1, Disputes.Stage.None));
        court.close(1);
        _open(0.3 ether);
        vm.warp(START + 7 days);
        court.close(1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongStage.selector, 1, Disputes.Stage.Closed));
        court.close(1);
    }

    function test_setArbiter_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        court.setArbiter(STRANGER);
        vm.expectRevert(Disputes.ZeroAccount.selector);
        vm.prank(OWNER);
        court.setArbiter(address(0));
    }

    // ------------------------------------------------------------------ paying out

    function test_withdraw() public {
        vm.expectRevert(abi.encodeWithSelector(Disputes.NothingOwed.selector, PROVIDER));
        vm.prank(PROVIDER);
        court.withdraw();
        _open(0.3 ether);
        vm.warp(START + 7 days);
        court.close(1);
        uint256 before = PROVIDER.balance;
        vm.expectEmit(true, true, true, true, address(court));
        emit Disputes.Withdrawn(PROVIDER, PROVIDER, BOND);
        vm.prank(PROVIDER);
        require(court.withdraw() == BOND);
        require(PROVIDER.balance == before + BOND && address(court).balance == 0 && court.totalOwed() == 0);
    }

    function test_withdrawTo() public {
        _open(0.3 ether);
        vm.warp(START + 7 days);
        court.close(1);
        vm.startPrank(PROVIDER);
        vm.expectRevert(Disputes.ZeroAccount.selector);
        court.withdrawTo(address(0));
        court.withdrawTo(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Disputes.NothingOwed.selector, PROVIDER));
        court.withdrawTo(STRANGER);
        vm.stopPrank();
        require(STRANGER.balance == 100 ether + BOND);
    }

    function test_withdraw_reentrancyAndFailure() public {
        Accuser accuser = new Accuser(court);
        accuser.accuse{value: BOND}(PROVIDER);
        _open(0.3 ether);
        vm.warp(START + 3 days + 1);
        accuser.appeal(1);
        vm.warp(START + 6 days + 2);
        court.close(1);
        accuser.setDeaf(true);
        vm.expectRevert(Disputes.TransferFailed.selector);
        accuser.withdraw();
        vm.expectRevert(Disputes.TransferFailed.selector);
        accuser.withdrawTo(address(accuser));
        accuser.setDeaf(false);
        accuser.withdraw();
        require(address(accuser).balance == BOND && address(court).balance == BOND && accuser.refused() == 3);
        court.close(2);
    }

    // ------------------------------------------------------------------ what must hold

    /// A guardian has no power of its own: it opens a dispute like anyone, with its bond, and nothing is lost before a
    /// ruling.
    function test_seedBug_guardianSlashesAtWill() public {
        vm.startPrank(STRANGER);
        staking.stakeAsGuardian{value: 1 ether}();
        vm.expectRevert(abi.encodeWithSelector(Disputes.WrongBond.selector, 0, BOND));
        court.openDispute(PROVIDER, 0.3 ether, 0, "");
        court.openDispute{value: BOND}(PROVIDER, 0.3 ether, 0, "");
        vm.expectRevert(abi.encodeWithSelector(Disputes.NotParty.selector, 1, STRANGER));
        court.answer{value: BOND}(1, 0, "");
        vm.warp(START + 3 days + 1);
        court.appeal(1);
        vm.expectRevert(abi.encodeWithSelector(Disputes.NotParty.selector, 1, STRANGER));
        court.rule(1, true);
        vm.warp(START + 7 days);
        court.close(1);
        vm.stopPrank();
        require(staking.getStakeAmount(PROVIDER) == 2 ether && registry.getProviderStake(PROVIDER) == 2 ether);
    }

    /// Whoever accuses itself through another account loses what is slashed, and the bonds only move.
    function test_accusingOneselfDoesNotPay() public {
        uint256 before = PROVIDER.balance + REPORTER.balance;
        _open(0.3 ether);
        _answer(1);
        _appeal(1, BOND);
        _rule(1, true);
        vm.warp(START + 3 days);
        court.close(1);
        vm.prank(REPORTER);
        court.withdraw();
        require(PROVIDER.balance + REPORTER.balance == before);
        require(staking.atRisk(PROVIDER) == 1.7 ether);
    }

    /// Disputes one after another can't keep stake beyond the limit.
    function test_disputesCannotBlockForEver() public {
        vm.prank(PROVIDER);
        staking.unstake(2 ether);
        for (uint64 day = 0; day < 21; day += 3) {
            vm.warp(START + day * 1 days);
            _open(0.3 ether);
        }
        vm.warp(START + 21 days);
        vm.prank(PROVIDER);
        require(staking.withdraw() == 2 ether);
    }

    function _open(uint256 amount) private returns (uint256) {
        uint256 bond = court.bondFor(amount);
        vm.prank(REPORTER);
        return court.openDispute{value: bond}(PROVIDER, amount, "evidence", "ipfs://e");
    }

    function _answer(uint256 id) private {
        uint256 bond = court.disputeOf(id).bond;
        vm.prank(PROVIDER);
        court.answer{value: bond}(id, "no", "ipfs://a");
    }

    function _appeal(uint256 id, uint256 bond) private {
        vm.prank(REPORTER);
        court.appeal{value: bond}(id);
    }

    function _rule(uint256 id, bool upheld) private {
        vm.prank(ARBITER);
        court.rule(id, upheld);
    }
}
