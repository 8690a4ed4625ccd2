// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ComputeStaking as Staking} from "../src/market/ComputeStaking.sol";
import {Test} from "./Vm.sol";

/// Stakers, two challengers and governance, at any time; keeps its own account of what must hold.
contract StakingActor is Test {
    struct Open {
        address account;
        uint256 covered;
        uint64 until;
        bool live;
    }

    Staking public immutable staking;
    address public constant OWNER = address(0xA0);
    address public constant SINK = address(0xA1);
    address[2] public challengers = [address(0xA2), address(0xA3)];
    address[4] public accounts = [address(0xB0), address(0xB1), address(0xB2), address(0xB3)];

    uint256 public deposited;
    uint256 public paid;
    uint256 public slashed;
    uint256 public rewards;
    mapping(address => uint256) public unbondedAt;
    mapping(address => uint256) public lost;
    Open[] public opened;
    bool public blockedTooLong;
    bool public rewardTooLarge;
    uint256 private _offences;

    constructor() {
        staking = new Staking(OWNER, SINK, 0, challengers[0]);
        for (uint256 i = 0; i < 4; i++) {
            vm.deal(accounts[i], 1_000_000 ether);
        }
    }

    function openedCount() external view returns (uint256) {
        return opened.length;
    }

    function wait(uint32 delay) external {
        vm.warp(block.timestamp + delay % 4 days);
    }

    function stake(uint8 who, uint8 kind, uint96 amount) external {
        uint256 value = 1 ether + uint256(amount) % 10 ether;
        vm.prank(accounts[who % 4]);
        if (kind % 3 == 0) staking.stakeAsUser{value: value}();
        else if (kind % 3 == 1) staking.stakeAsProvider{value: value}();
        else staking.stakeAsGuardian{value: value}();
        deposited += value;
    }

    function add(uint8 who, uint96 amount) external {
        uint256 value = 1 + uint256(amount) % 3 ether;
        vm.prank(accounts[who % 4]);
        staking.addStake{value: value}();
        deposited += value;
    }

    function unstake(uint8 who, uint256 amount) external {
        address account = accounts[who % 4];
        uint256 bonded = staking.getStakeAmount(account);
        amount = amount % 3 == 0 ? bonded : amount % (bonded + 1) / 4;
        vm.prank(account);
        staking.unstake(amount);
        unbondedAt[account] = block.timestamp;
    }

    function withdraw(uint8 who) external {
        address account = accounts[who % 4];
        (uint256 leaving,,) = staking.leavingOf(account);
        // forge-lint: disable-next-line(block-timestamp)
        bool due = leaving != 0 && block.timestamp >= unbondedAt[account] + 21 days;
        vm.prank(account);
        try staking.withdraw() returns (uint256 amount) {
            paid += amount;
        } catch {
            if (due) blockedTooLong = true;
        }
    }

    function flush() external {
        paid += staking.flushSink();
    }

    function hold(uint8 who, uint8 by) external {
        address account = accounts[who % 4];
        vm.prank(_challenger(by));
        staking.hold(account, bytes32(opened.length));
        (uint256 leaving, uint64 readyAt,) = staking.leavingOf(account);
        // forge-lint: disable-next-line(block-timestamp)
        uint256 covered = staking.getStakeAmount(account) + (block.timestamp < readyAt ? leaving : 0);
        // forge-lint: disable-next-line(unsafe-typecast)
        opened.push(Open(account, covered + lost[account], uint64(block.timestamp) + 14 days, true));
    }

    function release(uint256 which, uint8 by) external {
        if (opened.length == 0) return;
        which %= opened.length;
        vm.prank(_challenger(by));
        staking.release(opened[which].account, bytes32(which));
        opened[which].live = false;
    }

    function slash(uint8 who, uint8 by, uint256 amount) external {
        address account = accounts[who % 4];
        address reporter = by < 128 ? accounts[(who + 1) % 4] : address(0);
        uint256 before = staking.owed(reporter);
        vm.prank(_challenger(by));
        uint256 taken = staking.slashFor(account, amount, bytes32(_offences++), reporter);
        uint256 reward = reporter == address(0) ? 0 : staking.owed(reporter) - before;
        if (reward > taken / 10) rewardTooLarge = true;
        slashed += taken;
        rewards += reward;
        lost[account] += taken;
    }

    /// Rarely, else nothing would happen.
    function pause(uint8 on) external {
        vm.prank(OWNER);
        if (on < 16) staking.pause();
        else staking.unpause();
    }

    function swapChallenger(uint8 on) external {
        vm.prank(OWNER);
        if (on >= 16) staking.proposeChallenger(address(this));
        else staking.removeChallenger(address(this));
    }

    function _challenger(uint8 by) private view returns (address) {
        return by % 2 == 0 ? challengers[0] : address(this);
    }
}

contract BondedStakeInvariant is Test {
    StakingActor actor;
    Staking staking;

    function setUp() public {
        vm.warp(1_800_000_000);
        actor = new StakingActor();
        actor.swapChallenger(255);
        staking = actor.staking();
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

    function invariant_balanceIsStakesLeavingAndOwed() public view {
        uint256 parts = uint256(staking.totalBonded()) + staking.totalLeaving() + staking.totalOwed();
        require(address(staking).balance == parts);
        require(address(staking).balance == actor.deposited() - actor.paid());
    }

    function invariant_totalsAreSums() public view {
        uint256 bonded;
        uint256 leaving;
        uint256 owed = staking.owed(actor.SINK());
        for (uint256 i = 0; i < 4; i++) {
            address account = actor.accounts(i);
            (uint256 part,,) = staking.leavingOf(account);
            bonded += staking.getStakeAmount(account);
            leaving += part;
            owed += staking.owed(account);
        }
        require(staking.totalBonded() == bonded && staking.totalLeaving() == leaving && staking.totalOwed() == owed);
        (uint256 user, uint256 provider, uint256 guardian, uint256 total) = staking.getTotalStaked();
        require(user + provider + guardian == total && total == bonded);
    }

    /// What a hold covers is there for as long as the hold lives, but for what was slashed.
    function invariant_stakeStaysWhileAChallengeIsOpen() public view {
        for (uint256 i = 0; i < actor.openedCount(); i++) {
            (address account, uint256 covered, uint64 until, bool live) = actor.opened(i);
            // forge-lint: disable-next-line(block-timestamp)
            if (!live || block.timestamp >= until) continue;
            require(staking.atRisk(account) + actor.lost(account) >= covered);
        }
    }

    function invariant_nobodyIsBlockedForEver() public view {
        require(!actor.blockedTooLong());
        for (uint256 i = 0; i < 4; i++) {
            address account = actor.accounts(i);
            (uint256 leaving,, uint64 freeAt) = staking.leavingOf(account);
            if (leaving != 0) require(freeAt <= actor.unbondedAt(account) + 21 days);
        }
    }

    function invariant_slashedGoesToTheSink() public view {
        require(!actor.rewardTooLarge());
        address sink = actor.SINK();
        require(staking.owed(sink) + sink.balance == actor.slashed() - actor.rewards());
    }

    function invariant_guardiansAreListedOnce() public view {
        address[] memory guardians = staking.getGuardians();
        for (uint256 i = 0; i < guardians.length; i++) {
            require(staking.isGuardian(guardians[i]) && staking.getStakeAmount(guardians[i]) >= 1 ether);
            for (uint256 j = 0; j < i; j++) {
                require(guardians[i] != guardians[j]);
            }
        }
    }
}
