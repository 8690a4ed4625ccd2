// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BondedStake} from "../src/market/BondedStake.sol";
import {ComputeStaking as Staking} from "../src/market/ComputeStaking.sol";
import {Test} from "./Vm.sol";
import {SmartAccount} from "./WorkFixture.sol";

contract ComputeStakingTest is Test {
    uint64 constant START = 1_800_000_000;
    uint64 constant UNBONDING = 7 days;
    uint64 constant MAX_HOLD = 14 days;
    bytes32 constant WORD_C = "c";
    bytes32 constant WORD_O = "o";
    address constant OWNER = address(0xA0);
    address constant SINK = address(0xA1);
    address constant COURT = address(0xA2);
    address constant ALICE = address(0xB0);
    address constant BOB = address(0xB1);
    address constant REPORTER = address(0xB2);

    Staking staking;

    function setUp() public {
        vm.warp(START);
        staking = new Staking(OWNER, SINK, 30 days, COURT);
        vm.deal(ALICE, 100 ether);
        vm.deal(BOB, 100 ether);
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public view {
        require(staking.owner() == OWNER && staking.sink() == SINK && staking.challengerDelay() == 30 days);
        require(staking.isChallenger(COURT) && staking.lockPeriod() == 7 days);
        require(keccak256(bytes(staking.version())) == keccak256("2.0.0"));
    }

    function test_constructor_refusals() public {
        vm.expectRevert(BondedStake.ZeroAccount.selector);
        new Staking(OWNER, address(0), 30 days, COURT);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.SinkIsOwner.selector, OWNER));
        new Staking(OWNER, OWNER, 30 days, COURT);
        new Staking(OWNER, SINK, 0, address(0));
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.DelayTooShort.selector, 30 days - 1, 30 days));
        new Staking(OWNER, SINK, 30 days - 1, COURT);
    }

    /// Whoever distrusts a new challenger is out before it can act, whatever the present ones hold.
    function test_challengerDelayOutlastsEveryExit() public view {
        require(staking.MIN_CHALLENGER_DELAY() > UNBONDING + MAX_HOLD);
        require(staking.UNBONDING() == UNBONDING && staking.MAX_HOLD() == MAX_HOLD);
    }

    // ------------------------------------------------------------------ staking

    function test_stake_ranks() public {
        vm.expectEmit(true, true, true, true, address(staking));
        emit Staking.StakedAsUser(ALICE, 0.01 ether);
        vm.prank(ALICE);
        staking.stakeAsUser{value: 0.01 ether}();
        require(staking.isStaked(ALICE) && !staking.isProvider(ALICE) && !staking.isGuardian(ALICE));

        vm.expectEmit(true, true, true, true, address(staking));
        emit Staking.StakedAsProvider(BOB, 0.1 ether);
        vm.prank(BOB);
        staking.stakeAsProvider{value: 0.1 ether}();
        require(staking.isStaked(BOB) && staking.isProvider(BOB) && !staking.isGuardian(BOB));

        vm.deal(REPORTER, 1 ether);
        vm.expectEmit(true, true, true, true, address(staking));
        emit Staking.StakedAsGuardian(REPORTER, 1 ether);
        vm.prank(REPORTER);
        staking.stakeAsGuardian{value: 1 ether}();
        require(staking.isStaked(REPORTER) && staking.isProvider(REPORTER) && staking.isGuardian(REPORTER));

        (uint256 user, uint256 provider, uint256 guardian, uint256 total) = staking.getTotalStaked();
        require(user == 0.01 ether && provider == 0.1 ether && guardian == 1 ether && total == 1.11 ether);
        require(staking.getStakeAmount(BOB) == 0.1 ether);
    }

    function test_stake_refusesTooLittle() public {
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.InsufficientStake.selector, 0.01 ether - 1, 0.01 ether));
        staking.stakeAsUser{value: 0.01 ether - 1}();
        vm.expectRevert(abi.encodeWithSelector(BondedStake.InsufficientStake.selector, 0.1 ether - 1, 0.1 ether));
        staking.stakeAsProvider{value: 0.1 ether - 1}();
        vm.expectRevert(abi.encodeWithSelector(BondedStake.InsufficientStake.selector, 1 ether - 1, 1 ether));
        staking.stakeAsGuardian{value: 1 ether - 1}();
        vm.stopPrank();
    }

    function test_stake_refusesTwice() public {
        vm.startPrank(ALICE);
        staking.stakeAsUser{value: 1 ether}();
        vm.expectRevert(Staking.AlreadyStaked.selector);
        staking.stakeAsUser{value: 1 ether}();
        vm.expectRevert(Staking.AlreadyStaked.selector);
        staking.stakeAsProvider{value: 1 ether}();
        vm.expectRevert(Staking.AlreadyStaked.selector);
        staking.stakeAsGuardian{value: 1 ether}();
        vm.stopPrank();
    }

    function test_addStake() public {
        vm.startPrank(ALICE);
        vm.expectRevert(Staking.NotStaked.selector);
        staking.addStake{value: 1 ether}();
        staking.stakeAsUser{value: 1 ether}();
        vm.expectRevert(BondedStake.InvalidAmount.selector);
        staking.addStake();
        vm.expectEmit(true, true, true, true, address(staking));
        emit Staking.StakeAdded(ALICE, 2 ether, 3 ether);
        staking.addStake{value: 2 ether}();
        vm.stopPrank();
        require(staking.getStakeAmount(ALICE) == 3 ether);
        // A user with much stake is still a user.
        require(!staking.isProvider(ALICE));
    }

    function test_getStake() public {
        Staking.Stake memory stake = staking.getStake(ALICE);
        require(stake.amount == 0 && stake.stakeType == Staking.StakeType.NONE && stake.lockedUntil == 0);
        vm.startPrank(ALICE);
        staking.stakeAsProvider{value: 1 ether}();
        stake = staking.getStake(ALICE);
        require(stake.amount == 1 ether && stake.stakeType == Staking.StakeType.PROVIDER && !stake.slashed);
        require(stake.stakedAt == START && stake.lockedUntil == START + UNBONDING);
        vm.warp(START + 1 days);
        staking.unstake(0.4 ether);
        vm.warp(START + 2 days);
        stake = staking.getStake(ALICE);
        require(stake.amount == 0.6 ether && stake.lockedUntil == START + 1 days + UNBONDING);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ leaving

    function test_unstake_paysAfterUnbonding() public {
        _stake(ALICE, 1 ether);
        vm.expectEmit(true, true, true, true, address(staking));
        emit BondedStake.UnbondingStarted(ALICE, 1 ether, 1 ether, START + UNBONDING);
        vm.prank(ALICE);
        staking.unstake(1 ether);
        require(!staking.isProvider(ALICE) && !staking.isStaked(ALICE) && staking.getStakeAmount(ALICE) == 0);
        require(staking.atRisk(ALICE) == 1 ether && staking.withdrawable(ALICE) == 0);

        vm.warp(START + UNBONDING - 1);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingToWithdraw.selector, ALICE, START + UNBONDING));
        vm.prank(ALICE);
        staking.withdraw();

        vm.warp(START + UNBONDING);
        require(staking.withdrawable(ALICE) == 1 ether && staking.atRisk(ALICE) == 0);
        vm.expectEmit(true, true, true, true, address(staking));
        emit Staking.Unstaked(ALICE, 1 ether);
        vm.expectEmit(true, true, true, true, address(staking));
        emit BondedStake.Withdrawn(ALICE, ALICE, 1 ether);
        vm.prank(ALICE);
        require(staking.withdraw() == 1 ether);
        require(ALICE.balance == 100 ether && address(staking).balance == 0);
        (uint256 leaving, uint64 readyAt,) = staking.leavingOf(ALICE);
        require(leaving == 0 && readyAt == 0 && staking.totalLeaving() == 0 && staking.totalOwed() == 0);
    }

    function test_unstake_refusals() public {
        vm.startPrank(ALICE);
        vm.expectRevert(Staking.NotStaked.selector);
        staking.unstake(1);
        staking.stakeAsProvider{value: 1 ether}();
        vm.expectRevert(BondedStake.InvalidAmount.selector);
        staking.unstake(0);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.InsufficientStake.selector, 1 ether, 1 ether + 1));
        staking.unstake(1 ether + 1);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.InsufficientStake.selector, 0.1 ether - 1, 0.1 ether));
        staking.unstake(0.9 ether + 1);
        vm.stopPrank();
    }

    function test_unstake_moreStartsAnew_butNotWhatIsFree() public {
        _stake(ALICE, 3 ether);
        vm.startPrank(ALICE);
        staking.unstake(1 ether);
        vm.warp(START + 3 days);
        staking.unstake(1 ether);
        (uint256 leaving, uint64 readyAt, uint64 freeAt) = staking.leavingOf(ALICE);
        require(leaving == 2 ether && readyAt == START + 3 days + UNBONDING && freeAt == readyAt);
        vm.warp(readyAt);
        staking.unstake(1 ether);
        require(staking.owed(ALICE) == 2 ether && staking.atRisk(ALICE) == 1 ether);
        require(staking.withdraw() == 2 ether);
        vm.stopPrank();
    }

    function test_restakeWhileLeaving() public {
        _stake(ALICE, 1 ether);
        vm.startPrank(ALICE);
        staking.unstake(1 ether);
        staking.stakeAsUser{value: 1 ether}();
        require(staking.atRisk(ALICE) == 2 ether && !staking.isProvider(ALICE));
        vm.stopPrank();
    }

    function test_withdraw_refusesNothing() public {
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingToWithdraw.selector, ALICE, 0));
        vm.prank(ALICE);
        staking.withdraw();
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingToWithdraw.selector, ALICE, 0));
        vm.prank(ALICE);
        staking.withdrawTo(BOB);
    }

    /// Whoever is paid can't come back by any function that pays.
    function test_withdraw_reentrancy() public {
        SmartAccount thief = new SmartAccount();
        vm.deal(address(thief), 1 ether);
        _stake(ALICE, 5 ether);
        vm.prank(COURT);
        staking.slash(ALICE, 1 ether, "o");
        thief.run(address(staking), 1 ether, abi.encodeCall(staking.stakeAsUser, ()));
        bytes[3] memory calls = [
            abi.encodeCall(staking.withdraw, ()),
            abi.encodeCall(staking.withdrawTo, (address(thief))),
            abi.encodeCall(staking.flushSink, ())
        ];
        bytes4 refusal = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        for (uint256 i = 0; i < 3; i++) {
            thief.run(address(staking), 0, abi.encodeCall(staking.unstake, (0.2 ether)));
            vm.warp(START + (i + 1) * UNBONDING);
            thief.setCallback(address(staking), calls[i]);
            thief.run(address(staking), 0, calls[i % 2]);
            require(keccak256(thief.failure()) == keccak256(abi.encodePacked(refusal)));
        }
        require(address(thief).balance == 0.6 ether && address(staking).balance == 5.4 ether);
        require(staking.owed(SINK) == 1 ether);
    }

    function test_withdrawTo_forAccountsThatCannotReceive() public {
        SmartAccount deaf = new SmartAccount();
        vm.deal(address(deaf), 1 ether);
        deaf.setRefuses(true);
        deaf.run(address(staking), 1 ether, abi.encodeCall(staking.stakeAsUser, ()));
        deaf.run(address(staking), 0, abi.encodeCall(staking.unstake, (1 ether)));
        vm.warp(START + UNBONDING);
        vm.expectRevert(BondedStake.TransferFailed.selector);
        deaf.run(address(staking), 0, abi.encodeCall(staking.withdraw, ()));
        vm.expectRevert(BondedStake.TransferFailed.selector);
        deaf.run(address(staking), 0, abi.encodeCall(staking.withdrawTo, (address(deaf))));
        vm.expectRevert(BondedStake.ZeroAccount.selector);
        deaf.run(address(staking), 0, abi.encodeCall(staking.withdrawTo, (address(0))));
        deaf.run(address(staking), 0, abi.encodeCall(staking.withdrawTo, (BOB)));
        require(BOB.balance == 101 ether);
    }

    function test_flushSink_whereTheSinkRefuses() public {
        SmartAccount sink = new SmartAccount();
        sink.setRefuses(true);
        staking = new Staking(OWNER, address(sink), 30 days, COURT);
        _stake(ALICE, 1 ether);
        vm.prank(COURT);
        staking.slash(ALICE, 0.2 ether, "o");
        vm.expectRevert(BondedStake.TransferFailed.selector);
        staking.flushSink();
        require(staking.owed(address(sink)) == 0.2 ether);
    }

    function test_pauseStopsNewStakeOnly() public {
        _stake(ALICE, 2 ether);
        vm.startPrank(OWNER);
        vm.expectRevert(Pausable.ExpectedPause.selector);
        staking.unpause();
        staking.pause();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        staking.pause();
        vm.stopPrank();
        vm.startPrank(BOB);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        staking.stakeAsUser{value: 1 ether}();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        staking.stakeAsProvider{value: 1 ether}();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        staking.stakeAsGuardian{value: 1 ether}();
        vm.stopPrank();
        vm.startPrank(ALICE);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        staking.addStake{value: 1 ether}();
        staking.unstake(2 ether);
        vm.warp(START + UNBONDING);
        staking.withdraw();
        vm.stopPrank();
        vm.prank(OWNER);
        staking.unpause();
        _stake(BOB, 1 ether);
    }

    // ------------------------------------------------------------------ holds

    function test_hold_keepsLeavingStake() public {
        _stake(ALICE, 1 ether);
        vm.prank(ALICE);
        staking.unstake(1 ether);
        vm.warp(START + UNBONDING - 1);
        uint64 until = START + UNBONDING - 1 + MAX_HOLD;
        vm.expectEmit(true, true, true, true, address(staking));
        emit BondedStake.Held(ALICE, COURT, "c", until);
        vm.prank(COURT);
        staking.hold(ALICE, "c");
        require(staking.heldUntil(ALICE, COURT, "c") == until);

        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingToWithdraw.selector, ALICE, until));
        vm.prank(ALICE);
        staking.withdraw();
        vm.expectEmit(true, true, true, true, address(staking));
        emit BondedStake.Released(ALICE, COURT, "c");
        vm.prank(COURT);
        staking.release(ALICE, "c");
        vm.prank(ALICE);
        staking.withdraw();
    }

    function test_hold_placedBeforeUnstakeCounts() public {
        _stake(ALICE, 1 ether);
        vm.warp(START + 1);
        vm.prank(COURT);
        staking.hold(ALICE, "c");
        vm.prank(ALICE);
        staking.unstake(1 ether);
        vm.warp(START + 1 + MAX_HOLD - 1);
        require(staking.withdrawable(ALICE) == 0);
        vm.warp(START + 1 + MAX_HOLD);
        require(staking.withdrawable(ALICE) == 1 ether);
    }

    function test_hold_endsByItself() public {
        _stake(ALICE, 1 ether);
        vm.prank(COURT);
        staking.hold(ALICE, "c");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.HoldAlive.selector, START + MAX_HOLD));
        staking.releaseExpired(ALICE, COURT, "c");
        vm.warp(START + MAX_HOLD);
        staking.releaseExpired(ALICE, COURT, "c");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.UnknownHold.selector, ALICE, COURT, WORD_C));
        staking.releaseExpired(ALICE, COURT, "c");
    }

    /// Challenges one after another, each opened before the last one ends, can't keep stake beyond the limit.
    function testFuzz_holds_cannotBlockForEver(uint8 step) public {
        uint256 pace = uint256(step) % 10 + 1;
        _stake(ALICE, 1 ether);
        vm.prank(ALICE);
        staking.unstake(1 ether);
        uint256 last = START + UNBONDING + MAX_HOLD;
        // forge-lint: disable-next-line(block-timestamp)
        for (uint256 i = 0; block.timestamp < last; i++) {
            vm.prank(COURT);
            (bool done,) = address(staking).call(abi.encodeCall(staking.hold, (ALICE, bytes32(i))));
            if (!done) break;
            vm.warp(block.timestamp + pace * 1 days);
        }
        vm.warp(last);
        vm.prank(ALICE);
        require(staking.withdraw() == 1 ether);
    }

    function test_hold_doesNotReachWhatWasReady() public {
        _stake(ALICE, 3 ether);
        vm.prank(ALICE);
        staking.unstake(1 ether);
        vm.warp(START + UNBONDING);
        vm.prank(COURT);
        staking.hold(ALICE, "c");
        require(staking.atRisk(ALICE) == 2 ether && staking.owed(ALICE) == 1 ether);
        vm.prank(ALICE);
        staking.withdraw();
    }

    function test_hold_refusals() public {
        _stake(ALICE, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NotChallenger.selector, BOB));
        vm.prank(BOB);
        staking.hold(ALICE, "c");
        vm.startPrank(COURT);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingAtRisk.selector, BOB));
        staking.hold(BOB, "c");
        staking.hold(ALICE, "c");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.AlreadyHeld.selector, ALICE, WORD_C));
        staking.hold(ALICE, "c");
        vm.stopPrank();
    }

    function test_release_byItsPlacerOnly() public {
        _stake(ALICE, 1 ether);
        vm.prank(COURT);
        staking.hold(ALICE, "c");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.UnknownHold.selector, ALICE, ALICE, WORD_C));
        vm.prank(ALICE);
        staking.release(ALICE, "c");
        vm.prank(OWNER);
        staking.removeChallenger(COURT);
        vm.prank(COURT);
        staking.release(ALICE, "c");
    }

    // ------------------------------------------------------------------ slashing

    function test_slash() public {
        _stake(ALICE, 1 ether);
        vm.expectEmit(true, true, true, true, address(staking));
        emit BondedStake.OffenceSlashed(ALICE, COURT, "o", 0.2 ether, address(0), 0);
        vm.expectEmit(true, true, true, true, address(staking));
        emit Staking.Slashed(ALICE, 0.2 ether, "0x6f00000000000000000000000000000000000000000000000000000000000000");
        vm.prank(COURT);
        staking.slash(ALICE, 0.2 ether, "o");
        require(staking.getStakeAmount(ALICE) == 0.8 ether && staking.owed(SINK) == 0.2 ether);
        require(staking.isPunished(ALICE, COURT, "o") && staking.getStake(ALICE).slashed);
        require(staking.isProvider(ALICE));
        staking.flushSink();
        require(SINK.balance == 0.2 ether);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingToWithdraw.selector, SINK, 0));
        staking.flushSink();
    }

    function test_slash_reachesLeavingStakeAfterBonded() public {
        _stake(ALICE, 1 ether);
        vm.startPrank(ALICE);
        staking.unstake(0.8 ether);
        vm.stopPrank();
        vm.prank(COURT);
        require(staking.slashFor(ALICE, type(uint256).max, "o", address(0)) == 0.5 ether);
        require(staking.getStakeAmount(ALICE) == 0 && staking.atRisk(ALICE) == 0.5 ether);
        (uint256 leaving,,) = staking.leavingOf(ALICE);
        require(leaving == 0.5 ether && !staking.isStaked(ALICE));
    }

    function test_slash_doesNotReachWhatIsFree() public {
        _stake(ALICE, 1 ether);
        vm.prank(ALICE);
        staking.unstake(1 ether);
        vm.warp(START + UNBONDING);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingAtRisk.selector, ALICE));
        vm.prank(COURT);
        staking.slash(ALICE, 1 ether, "o");
        vm.prank(ALICE);
        require(staking.withdraw() == 1 ether);
    }

    /// More than half of what is at risk is never lost at once, and the reporter gets a tenth of it, 0.05 ETH at most.
    function testFuzz_slash_isBounded(uint96 stake, uint256 amount) public {
        uint256 value = 0.1 ether + uint256(stake) % 50 ether;
        vm.assume(amount != 0);
        _stake(ALICE, value);
        vm.prank(COURT);
        uint256 taken = staking.slashFor(ALICE, amount, "o", REPORTER);
        require(taken <= value / 2 && taken <= amount);
        uint256 reward = staking.owed(REPORTER);
        require(reward <= taken / 10 && reward <= 0.05 ether);
        require(reward + staking.owed(SINK) == taken);
        require(staking.getStakeAmount(ALICE) == value - taken);
        require(address(staking).balance == value);
    }

    function test_slash_refusals() public {
        _stake(ALICE, 1 ether);
        vm.startPrank(COURT);
        vm.expectRevert(BondedStake.InvalidAmount.selector);
        staking.slash(ALICE, 0, "o");
        vm.expectRevert(BondedStake.InvalidAmount.selector);
        staking.slashFor(ALICE, 0, "o", REPORTER);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingAtRisk.selector, BOB));
        staking.slash(BOB, 1, "o");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NothingAtRisk.selector, BOB));
        staking.slashFor(BOB, 1, "o", REPORTER);
        staking.slash(ALICE, 1, "o");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.AlreadyPunished.selector, ALICE, WORD_O));
        staking.slash(ALICE, 1, "o");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.AlreadyPunished.selector, ALICE, WORD_O));
        staking.slashFor(ALICE, 1, "o", REPORTER);
        vm.stopPrank();
    }

    /// Reporting oneself loses nine tenths of the slash at least.
    function testFuzz_slash_oneselfDoesNotPay(uint96 stake) public {
        uint256 value = 0.1 ether + uint256(stake) % 50 ether;
        _stake(ALICE, value);
        vm.prank(COURT);
        uint256 taken = staking.slashFor(ALICE, type(uint256).max, "o", ALICE);
        require(staking.atRisk(ALICE) + staking.owed(ALICE) <= value - taken * 9 / 10);
    }

    // ------------------------------------------------------------------ governance

    function test_proposeChallenger_waits() public {
        address next = address(new SmartAccount());
        vm.expectEmit(true, true, true, true, address(staking));
        emit BondedStake.ChallengerProposed(next, START + 30 days);
        vm.prank(OWNER);
        staking.proposeChallenger(next);
        _stake(ALICE, 1 ether);
        vm.warp(START + 30 days - 1);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NotChallenger.selector, next));
        vm.prank(next);
        staking.slash(ALICE, 1, "o");
        vm.warp(START + 30 days);
        vm.prank(next);
        staking.slash(ALICE, 1, "o");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.AlreadyChallenger.selector, next));
        vm.prank(OWNER);
        staking.proposeChallenger(next);
    }

    function test_proposeChallenger_refusesAccountWithoutCode() public {
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NotContract.selector, BOB));
        vm.prank(OWNER);
        staking.proposeChallenger(BOB);
    }

    function test_removeChallenger() public {
        _stake(ALICE, 1 ether);
        vm.expectEmit(true, true, true, true, address(staking));
        emit BondedStake.ChallengerRemoved(COURT);
        vm.prank(OWNER);
        staking.removeChallenger(COURT);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NotChallenger.selector, COURT));
        vm.prank(COURT);
        staking.slash(ALICE, 1, "o");
        vm.expectRevert(abi.encodeWithSelector(BondedStake.NotChallenger.selector, COURT));
        vm.prank(OWNER);
        staking.removeChallenger(COURT);
    }

    function testFuzz_governance_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        vm.startPrank(caller);
        bytes memory refusal = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        vm.expectRevert(refusal);
        staking.proposeChallenger(address(this));
        vm.expectRevert(refusal);
        staking.removeChallenger(COURT);
        vm.expectRevert(refusal);
        staking.pause();
        vm.expectRevert(refusal);
        staking.unpause();
        vm.stopPrank();
    }

    function test_sinkNeverOwns() public {
        vm.prank(OWNER);
        staking.transferOwnership(SINK);
        vm.expectRevert(abi.encodeWithSelector(BondedStake.SinkIsOwner.selector, SINK));
        vm.prank(SINK);
        staking.acceptOwnership();
        vm.prank(OWNER);
        staking.renounceOwnership();
        require(staking.owner() == address(0));
    }

    // ------------------------------------------------------------------ the seed's bugs

    /// Seed: any account with 1 ETH slashed anyone's whole stake, and the owner got it.
    function test_seedBug_guardianSlashesAtWill() public {
        vm.deal(REPORTER, 1 ether);
        vm.prank(REPORTER);
        staking.stakeAsGuardian{value: 1 ether}();
        _stake(ALICE, 1 ether);
        address[2] memory callers = [REPORTER, OWNER];
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(BondedStake.NotChallenger.selector, callers[i]));
            vm.prank(callers[i]);
            staking.slash(ALICE, 1 ether, "o");
            vm.expectRevert(abi.encodeWithSelector(BondedStake.NotChallenger.selector, callers[i]));
            vm.prank(callers[i]);
            staking.slashFor(ALICE, 1 ether, "o", callers[i]);
            vm.prank(callers[i]);
            (bool done,) =
                address(staking).call(abi.encodeWithSignature("slash(address,uint256,string)", ALICE, 100, "x"));
            require(!done);
        }
        require(staking.getStakeAmount(ALICE) == 1 ether);
    }

    /// Seed: after a slash the rest was locked for ever, and couldn't be added to.
    function test_seedBug_restIsLockedAfterSlash() public {
        _stake(ALICE, 1 ether);
        vm.prank(COURT);
        staking.slash(ALICE, type(uint256).max, "o");
        vm.startPrank(ALICE);
        staking.addStake{value: 0.5 ether}();
        staking.unstake(1 ether);
        vm.warp(START + UNBONDING);
        require(staking.withdraw() == 1 ether);
        vm.stopPrank();
    }

    /// The rest can leave even where it is less than the rank's minimum.
    function test_seedBug_restBelowMinimumLeaves() public {
        _stake(ALICE, 0.1 ether);
        vm.prank(COURT);
        staking.slash(ALICE, type(uint256).max, "o");
        require(!staking.isProvider(ALICE) && staking.isStaked(ALICE));
        vm.startPrank(ALICE);
        staking.unstake(0.05 ether);
        vm.warp(START + UNBONDING);
        require(staking.withdraw() == 0.05 ether);
        vm.stopPrank();
    }

    /// Seed: a guardian that left and came back was listed twice.
    function test_seedBug_guardianListedTwice() public {
        vm.deal(REPORTER, 10 ether);
        vm.prank(REPORTER);
        staking.stakeAsGuardian{value: 1 ether}();
        vm.startPrank(ALICE);
        staking.stakeAsGuardian{value: 1 ether}();
        staking.unstake(1 ether);
        require(staking.getGuardianCount() == 1 && !staking.isGuardian(ALICE));
        staking.stakeAsGuardian{value: 1 ether}();
        vm.stopPrank();
        vm.prank(REPORTER);
        staking.unstake(1 ether);
        address[] memory guardians = staking.getGuardians();
        require(guardians.length == 1 && guardians[0] == ALICE);
    }

    /// A guardian below the minimum isn't one, and is again once it is above.
    function test_guardian_followsItsStake() public {
        vm.prank(ALICE);
        staking.stakeAsGuardian{value: 1 ether}();
        vm.prank(COURT);
        staking.slash(ALICE, 1, "o");
        require(!staking.isGuardian(ALICE) && staking.isProvider(ALICE) && staking.getGuardianCount() == 0);
        vm.prank(ALICE);
        staking.addStake{value: 1}();
        require(staking.isGuardian(ALICE));
    }

    function testFuzz_getGuardiansPage(uint8 offset, uint8 limit) public {
        for (uint160 i = 0; i < 4; i++) {
            vm.deal(address(0x100 + i), 1 ether);
            vm.prank(address(0x100 + i));
            staking.stakeAsGuardian{value: 1 ether}();
        }
        address[] memory page = staking.getGuardiansPage(offset, limit);
        uint256 left = offset < 4 ? 4 - uint256(offset) : 0;
        require(page.length == (limit < left ? limit : left));
        for (uint256 i = 0; i < page.length; i++) {
            // forge-lint: disable-next-line(unsafe-typecast)
            require(page[i] == address(uint160(0x100 + offset + i)));
        }
    }

    function _stake(address account, uint256 amount) private {
        vm.prank(account);
        staking.stakeAsProvider{value: amount}();
    }
}
