// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// The clock is the tests' own, ids are short literals, and casts cut what was bounded before.
// forge-lint: disable-start(block-timestamp, unsafe-typecast)

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Governed} from "../src/trust/Governed.sol";
import {Observed} from "../src/trust/Observed.sol";
import {HardwareRegistry} from "../src/trust/HardwareRegistry.sol";
import {MeasurementRegistry} from "../src/trust/MeasurementRegistry.sol";
import {ITrustObserver} from "../src/interfaces/IObservers.sol";
import {TrustFixture} from "./TrustFixture.sol";
import {Revocable} from "../src/trust/Revocable.sol";

contract Listener is ITrustObserver {
    uint256 public told;
    bool public broken;
    bool public greedy;

    function setBroken(bool broken_) external {
        broken = broken_;
    }

    function setGreedy(bool greedy_) external {
        greedy = greedy_;
    }

    function trustChanged() external {
        require(!broken);
        while (greedy) told++;
        told++;
    }
}

/// What all three registries share: the timelock, the roles, and observers.
contract GovernedTest is TrustFixture {
    Listener listener;
    bytes call;
    bytes32 change_;

    function setUp() public {
        deploy();
        listener = new Listener();
        call = abi.encodeCall(keys.setMaxLifetime, (2 days));
        change_ = keccak256(call);
    }

    // ------------------------------------------------------------------ timelock

    function test_announce() public {
        vm.expectEmit(true, true, true, true, address(keys));
        emit Governed.ChangeAnnounced(change_, call, uint64(block.timestamp) + DELAY);
        _announce(keys, call);
        require(keys.announcedFor(change_) == block.timestamp + DELAY);
    }

    function testFuzz_announce_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        vm.prank(caller);
        keys.announce(call);
    }

    function test_change_isMadeOnce() public {
        change(keys, call);
        require(keys.maxLifetime() == 2 days);
        vm.expectRevert(abi.encodeWithSelector(Governed.NotAnnounced.selector, change_));
        vm.prank(OWNER);
        keys.setMaxLifetime(2 days);
    }

    function testFuzz_change_waits(uint64 wait) public {
        _announce(keys, call);
        uint64 readyAt = uint64(block.timestamp) + DELAY;
        vm.warp(block.timestamp + wait % DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, readyAt));
        vm.prank(OWNER);
        keys.setMaxLifetime(2 days);
    }

    function test_change_isForgottenAfterGrace() public {
        _announce(keys, call);
        uint64 end = uint64(block.timestamp) + DELAY + keys.GRACE();
        vm.warp(end);
        vm.expectRevert(abi.encodeWithSelector(Governed.TooLate.selector, end));
        vm.prank(OWNER);
        keys.setMaxLifetime(2 days);
        vm.warp(end - 1);
        vm.prank(OWNER);
        keys.setMaxLifetime(2 days);
    }

    function test_change_mustBeTheAnnouncedOne() public {
        _announce(keys, call);
        vm.warp(block.timestamp + DELAY);
        bytes memory other = abi.encodeCall(keys.setMaxLifetime, (3 days));
        vm.expectRevert(abi.encodeWithSelector(Governed.NotAnnounced.selector, keccak256(other)));
        vm.prank(OWNER);
        keys.setMaxLifetime(3 days);
    }

    /// Every change that the timelock guards, in every registry: as announced only, not before its time, not after its end.
    function test_change_ofEachKind_waitsAndIsForgotten() public {
        _waits(keys, abi.encodeCall(keys.setVerifier, (TDX, verifier)));
        _waits(keys, abi.encodeCall(keys.setWorstTcb, (TDX, 1)));
        _waits(keys, abi.encodeCall(keys.setHardwareRequired, (TDX, true)));
        _waits(keys, abi.encodeCall(keys.setMaxLifetime, (2 days)));
        _waits(measurements, abi.encodeCall(measurements.setRebuilder, (STRANGER)));
        _waits(measurements, abi.encodeCall(measurements.setRequiredRebuilds, (2)));
        _waits(measurements, abi.encodeCall(measurements.addObserver, (address(listener))));
        _waits(hardware, abi.encodeCall(hardware.addObserver, (address(listener))));
    }

    function _waits(Governed target, bytes memory made) private {
        _refused(target, made, abi.encodeWithSelector(Governed.NotAnnounced.selector, keccak256(made)));
        _announce(target, made);
        uint64 readyAt = uint64(block.timestamp) + DELAY;
        vm.warp(readyAt - 1);
        _refused(target, made, abi.encodeWithSelector(Revocable.TooEarly.selector, readyAt));
        uint64 end = readyAt + target.GRACE();
        vm.warp(end);
        _refused(target, made, abi.encodeWithSelector(Governed.TooLate.selector, end));
        vm.warp(end - 1);
        make(target, made);
    }

    function _refused(Governed target, bytes memory made, bytes memory reason) private {
        vm.prank(OWNER);
        (bool done, bytes memory answer) = address(target).call(made);
        require(!done && keccak256(answer) == keccak256(reason));
    }

    /// Nobody can announce in one registry and make it in another: each has its own announcements.
    function test_change_ofAnotherContractDoesNotCount() public {
        bytes memory add = abi.encodeCall(hardware.addObserver, (address(listener)));
        _announce(hardware, add);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Governed.NotAnnounced.selector, keccak256(add)));
        vm.prank(OWNER);
        measurements.addObserver(address(listener));
    }

    function test_veto_byRevokerAndOwner() public {
        for (uint256 i = 0; i < 2; i++) {
            address by = i == 0 ? REVOKER : OWNER;
            _announce(keys, call);
            vm.expectEmit(true, true, true, true, address(keys));
            emit Governed.ChangeVetoed(change_, by);
            vm.prank(by);
            keys.veto(change_);
            vm.warp(block.timestamp + DELAY);
            vm.expectRevert(abi.encodeWithSelector(Governed.NotAnnounced.selector, change_));
            vm.prank(OWNER);
            keys.setMaxLifetime(2 days);
        }
    }

    function test_veto_refuses() public {
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, STRANGER));
        vm.prank(STRANGER);
        keys.veto(change_);
        vm.expectRevert(abi.encodeWithSelector(Governed.NotAnnounced.selector, change_));
        vm.prank(REVOKER);
        keys.veto(change_);
    }

    // ------------------------------------------------------------------ roles

    function test_constructors_refuse() public {
        vm.expectRevert(Revocable.ZeroAccount.selector);
        new HardwareRegistry(OWNER, address(0), DELAY, identity);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, OWNER));
        new HardwareRegistry(OWNER, OWNER, DELAY, identity);
        vm.expectRevert(abi.encodeWithSelector(Revocable.DelayTooShort.selector, DELAY - 1, DELAY));
        new HardwareRegistry(OWNER, REVOKER, DELAY - 1, identity);
        vm.chainId(31337);
        new HardwareRegistry(OWNER, REVOKER, 0, identity);
    }

    function test_revoker_isReplaced() public {
        vm.prank(OWNER);
        keys.nominateRevoker(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, uint64(block.timestamp) + DELAY));
        vm.prank(STRANGER);
        keys.acceptRevoker();
        vm.warp(block.timestamp + DELAY);
        vm.prank(STRANGER);
        keys.acceptRevoker();
        require(keys.revoker() == STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotNominated.selector, STRANGER));
        vm.prank(STRANGER);
        keys.acceptRevoker();
    }

    function test_roles_stayApart() public {
        vm.prank(OWNER);
        keys.transferOwnership(REVOKER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, REVOKER));
        vm.prank(REVOKER);
        keys.acceptOwnership();
        vm.prank(OWNER);
        vm.expectRevert(Revocable.RenounceRefused.selector);
        keys.renounceOwnership();
        address rebuilder = vm.addr(REBUILDER);
        vm.prank(OWNER);
        measurements.transferOwnership(rebuilder);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, rebuilder));
        vm.prank(rebuilder);
        measurements.acceptOwnership();
        vm.prank(OWNER);
        measurements.nominateRevoker(rebuilder);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, rebuilder));
        vm.prank(rebuilder);
        measurements.acceptRevoker();
    }

    // ------------------------------------------------------------------ observers

    function _addListener() private {
        change(hardware, abi.encodeCall(hardware.addObserver, (address(listener))));
    }

    function test_addObserver() public {
        bytes memory add = abi.encodeCall(hardware.addObserver, (address(listener)));
        _announce(hardware, add);
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit(true, true, true, true, address(hardware));
        emit Observed.ObserverAdded(address(listener));
        make(hardware, add);
        require(hardware.isObserver(address(listener)) && listener.told() == 1);
        _revokeMachine("one");
        require(listener.told() == 2);
    }

    function test_addObserver_refuses() public {
        address one = address(listener);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        hardware.addObserver(one);
        _addListener();
        bytes memory again = abi.encodeCall(hardware.addObserver, (one));
        _announce(hardware, again);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Observed.AlreadyObserver.selector, one));
        vm.prank(OWNER);
        hardware.addObserver(one);
        for (uint256 i = 0; i < 2; i++) {
            address unfit = i == 0 ? STRANGER : address(identity);
            _announce(hardware, abi.encodeCall(hardware.addObserver, (unfit)));
            vm.warp(block.timestamp + DELAY);
            vm.expectRevert(abi.encodeWithSelector(Observed.ObserverUnfit.selector, unfit));
            vm.prank(OWNER);
            hardware.addObserver(unfit);
        }
        for (uint256 i = 0; i < 3; i++) {
            change(hardware, abi.encodeCall(hardware.addObserver, (address(new Listener()))));
        }
        Listener fifth = new Listener();
        _announce(hardware, abi.encodeCall(hardware.addObserver, (address(fifth))));
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(Observed.TooManyObservers.selector);
        vm.prank(OWNER);
        hardware.addObserver(address(fifth));
    }

    function test_brokenObserver_blocksNothing() public {
        _addListener();
        listener.setBroken(true);
        vm.expectEmit(true, true, true, true, address(hardware));
        emit Observed.ObserverFailed(address(listener));
        _revokeMachine("one");
        listener.setBroken(false);
        listener.setGreedy(true);
        uint256 before = gasleft();
        _revokeMachine("two");
        require(before - gasleft() < 200_000 && hardware.hardwareRevokedAt("two") != 0);
    }

    /// Whatever gas the caller gives: either nothing is revoked, or the observer was told.
    function testFuzz_observerIsNeverStarved(uint256 gas_) public {
        _addListener();
        gas_ = 20_000 + gas_ % 150_000;
        uint256 told = listener.told();
        vm.prank(REVOKER);
        try hardware.revokeForAll{gas: gas_}("one") {
            require(listener.told() == told + 1);
        } catch {
            require(hardware.hardwareRevokedAt("one") == 0);
        }
    }

    /// Nothing that observers must hear of is done with too little gas to tell them.
    function test_tooLittleGas() public {
        _addListener();
        change(measurements, abi.encodeCall(measurements.addObserver, (address(listener))));
        uint64 end = uint64(block.timestamp) + 1 days;
        _starved(hardware, REVOKER, abi.encodeCall(hardware.revokeForAll, ("one")));
        _starved(hardware, REVOKER, abi.encodeCall(hardware.revoke, (AGENT, HARDWARE)));
        _starved(measurements, OWNER, abi.encodeCall(measurements.raiseVersionFloor, (6)));
        _starved(measurements, OWNER, abi.encodeCall(measurements.limitValidity, (MEASUREMENT, end)));
        _starved(measurements, REVOKER, abi.encodeCall(measurements.revoke, (MEASUREMENT)));
        vm.prank(OWNER);
        measurements.limitValidity(MEASUREMENT, end);
        vm.warp(end);
        _starved(measurements, STRANGER, abi.encodeCall(measurements.expire, (MEASUREMENT)));
    }

    function _starved(Governed target, address caller, bytes memory made) private {
        vm.prank(caller);
        (bool done, bytes memory reason) = address(target).call{gas: 57_000}(made);
        require(!done && bytes4(reason) == Observed.TooLittleGas.selector);
    }

    function _revokeMachine(bytes32 id) private {
        vm.prank(REVOKER);
        hardware.revokeForAll(id);
    }
}
// forge-lint: disable-end(block-timestamp, unsafe-typecast)
