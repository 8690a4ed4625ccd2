// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// The clock is the tests' own, ids are short literals, and casts cut what was bounded before.
// forge-lint: disable-start(block-timestamp, unsafe-typecast)

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {HardwareRegistry as Registry} from "../src/trust/HardwareRegistry.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {TestIdentity, TrustFixture} from "./TrustFixture.sol";
import {Revocable} from "../src/trust/Revocable.sol";

contract HardwareRegistryTest is TrustFixture {
    bytes32 constant OTHER = keccak256("other machine");

    function setUp() public {
        deploy();
    }

    function test_constructor_refusesZeroIdentity() public {
        vm.expectRevert(Revocable.ZeroAccount.selector);
        new Registry(OWNER, REVOKER, DELAY, IIdentity(address(0)));
    }

    function test_life() public {
        uint64 readyAt = uint64(block.timestamp) + DELAY;
        vm.expectEmit(true, true, true, true, address(hardware));
        emit Registry.HardwareProposed(AGENT, OTHER, 2, 1, 3, readyAt);
        _propose();
        Registry.Machine memory machine = hardware.machineAt(2);
        require(machine.stage == Registry.Stage.Proposed && machine.since == readyAt && machine.custody == 3);
        require(machine.agentId == AGENT && machine.hardware == OTHER && machine.agentEpoch == 1);
        require(!hardware.isAllowed(AGENT, OTHER));

        vm.warp(readyAt + 5);
        vm.expectEmit(true, true, true, true, address(hardware));
        emit Registry.HardwareAllowed(AGENT, OTHER, readyAt + 5);
        _allow();
        require(hardware.isAllowed(AGENT, OTHER) && !hardware.isAllowed(8, OTHER));
        (bool allowed, uint8 custody, uint64 endedAt) = hardware.standing(2);
        require(allowed && custody == 3 && endedAt == 0);

        vm.expectEmit(true, true, true, true, address(hardware));
        emit Registry.HardwareRevoked(AGENT, OTHER, readyAt + 5);
        _revoke();
        (allowed,, endedAt) = hardware.standing(2);
        require(!allowed && endedAt == readyAt + 5 && !hardware.isAllowed(AGENT, OTHER));
        _expectWrongStage(Registry.Stage.Revoked);
        _propose();
        _expectWrongStage(Registry.Stage.Revoked);
        _allow();
        _expectWrongStage(Registry.Stage.Revoked);
        _revoke();
    }

    function test_unknownMachine() public view {
        (bool allowed, uint8 custody, uint64 endedAt) = hardware.standing(0);
        require(!allowed && custody == 0 && endedAt == 0);
        require(!hardware.isAllowed(AGENT, OTHER) && hardware.numberOf(AGENT, OTHER) == 0);
    }

    function testFuzz_allow_waits(uint64 wait) public {
        _propose();
        uint64 readyAt = uint64(block.timestamp) + DELAY;
        vm.warp(block.timestamp + wait % DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, readyAt));
        _allow();
    }

    function testFuzz_onlyRoles(address caller) public {
        vm.assume(caller != OWNER && caller != REVOKER);
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        vm.startPrank(caller);
        vm.expectRevert(refused);
        hardware.propose(AGENT, OTHER, 0);
        vm.expectRevert(refused);
        hardware.allow(AGENT, OTHER);
        refused = abi.encodeWithSelector(Revocable.NotRevoker.selector, caller);
        vm.expectRevert(refused);
        hardware.revoke(AGENT, HARDWARE);
        vm.expectRevert(refused);
        hardware.revokeForAll(HARDWARE);
    }

    function test_propose_refuses() public {
        vm.expectRevert(Registry.ZeroHardware.selector);
        vm.prank(OWNER);
        hardware.propose(AGENT, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(TestIdentity.NoAgent.selector, 99));
        vm.prank(OWNER);
        hardware.propose(99, OTHER, 0);
        _propose();
        _expectWrongStage(Registry.Stage.Proposed);
        _propose();
    }

    function test_allow_refusesUnknown() public {
        _expectWrongStage(Registry.Stage.None);
        _allow();
        _expectWrongStage(Registry.Stage.None);
        _revoke();
    }

    function test_revoke_vetoesProposal() public {
        _propose();
        _revoke();
        Registry.Machine memory machine = hardware.machineAt(2);
        require(machine.since == block.timestamp && machine.revokedAt == block.timestamp);
        vm.warp(block.timestamp + DELAY);
        _expectWrongStage(Registry.Stage.Revoked);
        _allow();
    }

    /// A buyer has shown nobody his machines.
    function test_permissionEndsWhenAgentMoves() public {
        identity.set(AGENT, STRANGER);
        require(!hardware.isAllowed(AGENT, HARDWARE));
        (bool allowed,, uint64 endedAt) = hardware.standing(1);
        require(!allowed && endedAt == 0);

        vm.prank(OWNER);
        hardware.propose(AGENT, HARDWARE, 1);
        identity.set(AGENT, vm.addr(AGENT_OWNER));
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Registry.AgentMoved.selector, AGENT, 2, 3));
        vm.prank(OWNER);
        hardware.allow(AGENT, HARDWARE);
        vm.prank(OWNER);
        hardware.propose(AGENT, HARDWARE, 1);
        vm.warp(block.timestamp + DELAY);
        vm.prank(OWNER);
        hardware.allow(AGENT, HARDWARE);
        require(hardware.isAllowed(AGENT, HARDWARE) && hardware.machineCount() == 1);
    }

    function test_revokeForAll() public {
        _propose();
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit(true, true, true, true, address(hardware));
        emit Registry.HardwareRevokedForAll(OTHER, uint64(block.timestamp));
        _revokeForAll(OTHER);
        bytes memory refused = abi.encodeWithSelector(Registry.RevokedForAll.selector, OTHER, uint64(block.timestamp));
        vm.expectRevert(refused);
        _allow();
        vm.expectRevert(refused);
        _revokeForAll(OTHER);
        vm.expectRevert(refused);
        vm.prank(OWNER);
        hardware.propose(8, OTHER, 0);
        vm.expectRevert(Registry.ZeroHardware.selector);
        _revokeForAll(0);

        uint64 first = uint64(block.timestamp);
        _revokeForAll(HARDWARE);
        vm.warp(first + 9);
        vm.prank(REVOKER);
        hardware.revoke(AGENT, HARDWARE);
        (bool allowed,, uint64 endedAt) = hardware.standing(1);
        require(!allowed && endedAt == first && !hardware.isAllowed(AGENT, HARDWARE));
    }

    function _propose() private {
        vm.prank(OWNER);
        hardware.propose(AGENT, OTHER, 3);
    }

    function _allow() private {
        vm.prank(OWNER);
        hardware.allow(AGENT, OTHER);
    }

    function _revoke() private {
        vm.prank(REVOKER);
        hardware.revoke(AGENT, OTHER);
    }

    function _revokeForAll(bytes32 id) private {
        vm.prank(REVOKER);
        hardware.revokeForAll(id);
    }

    function _expectWrongStage(Registry.Stage stage) private {
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, AGENT, OTHER, stage));
    }
}
// forge-lint: disable-end(block-timestamp, unsafe-typecast)
