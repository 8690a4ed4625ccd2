// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MeasurementRecords as Records} from "../src/trust/MeasurementRecords.sol";
import {MeasurementRegistry as Registry} from "../src/trust/MeasurementRegistry.sol";
import {Test} from "./Vm.sol";

/// Calls the registry as owner, revoker or anyone, at any time, and keeps its own account of what happened.
contract Actor is Test {
    Registry public immutable registry;
    address[4] public accounts = [address(0xA0), address(0xB0), address(0xC0), address(0xD0)];
    uint8 public constant IDS = 12;

    mapping(bytes32 => uint256) public proposedAt;
    mapping(bytes32 => uint256) public activatedAt;
    mapping(bytes32 => bool) public revoked;
    mapping(bytes32 => uint32) public version;
    uint256 public nominatedAt;
    uint64 public changes;
    bool public revokerTooEarly;

    constructor(Registry registry_) {
        registry = registry_;
    }

    function idOf(uint8 which) public pure returns (bytes32) {
        return keccak256(abi.encode(which));
    }

    function wait(uint32 delay) external {
        vm.warp(block.timestamp + delay % 3 days);
    }

    function propose(uint8 who, uint8 which, uint32 version_) external {
        bytes32 id = idOf(which % IDS);
        vm.prank(_caller(who));
        registry.propose(id, id, version_ % 8, 1, 0, 0);
        proposedAt[id] = block.timestamp;
        version[id] = version_ % 8;
    }

    function activate(uint8 who, uint8 which) external {
        bytes32 id = _next(which, which < 192 ? Records.Stage.Proposed : Records.Stage.Revoked);
        vm.prank(_caller(who));
        registry.activate(id);
        activatedAt[id] = block.timestamp;
        changes++;
    }

    function revoke(uint8 who, uint8 which) external {
        bytes32 id = _next(which, which < 128 ? Records.Stage.Active : Records.Stage.Revoked);
        vm.prank(_caller(who));
        registry.revoke(id);
        revoked[id] = true;
        changes++;
    }

    function raiseVersionFloor(uint8 who, uint8 floor) external {
        vm.prank(_caller(who));
        registry.raiseVersionFloor(floor % 6);
        changes++;
    }

    function nominateRevoker(uint8 who, uint8 nominee) external {
        vm.prank(_caller(who));
        registry.nominateRevoker(accounts[nominee % 4]);
        nominatedAt = block.timestamp;
    }

    function acceptRevoker(uint8 who) external {
        vm.prank(_caller(who));
        registry.acceptRevoker();
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < nominatedAt + registry.minDelay()) revokerTooEarly = true;
    }

    function moveOwnership(uint8 who, uint8 to) external {
        vm.prank(_caller(who));
        registry.transferOwnership(accounts[to % 4]);
        vm.prank(accounts[to % 4]);
        registry.acceptOwnership();
    }

    /// The first id from `which` on in that stage, else any: few random ids would be ready for the call.
    function _next(uint8 which, Records.Stage stage) private view returns (bytes32) {
        for (uint8 i = 0; i < IDS; i++) {
            bytes32 id = idOf((which % IDS + i) % IDS);
            if (registry.recordOf(id).stage == stage) return id;
        }
        return idOf(which % IDS);
    }

    /// Half of the calls come from a role, else too few would get through.
    function _caller(uint8 who) private view returns (address) {
        if (who < 64) return registry.owner();
        if (who < 128) return registry.revoker();
        return accounts[who % 4];
    }
}

contract MeasurementRegistryInvariant is Test {
    Registry registry;
    Actor actor;

    function setUp() public {
        vm.warp(1_800_000_000);
        registry = new Registry(address(0xA0), address(0xB0), 48 hours);
        actor = new Actor(registry);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function invariant_revokedIsNeverActive() public view {
        for (uint8 i = 0; i < actor.IDS(); i++) {
            bytes32 id = actor.idOf(i);
            if (!actor.revoked(id)) continue;
            require(!registry.isActive(id) && registry.recordOf(id).stage == Records.Stage.Revoked);
            require(registry.recordOf(id).revokedAt != 0);
        }
    }

    function invariant_timelockIsNeverSkipped() public view {
        for (uint8 i = 0; i < actor.IDS(); i++) {
            bytes32 id = actor.idOf(i);
            if (registry.isActive(id)) require(actor.activatedAt(id) != 0);
            if (actor.activatedAt(id) == 0) continue;
            require(actor.proposedAt(id) != 0);
            require(actor.activatedAt(id) >= actor.proposedAt(id) + registry.minDelay());
            require(registry.recordOf(id).validFrom == actor.activatedAt(id));
        }
    }

    function invariant_revokerWaitsAsLong() public view {
        require(!actor.revokerTooEarly());
    }

    function invariant_belowFloorIsNeverActive() public view {
        for (uint8 i = 0; i < actor.IDS(); i++) {
            bytes32 id = actor.idOf(i);
            if (registry.isActive(id)) require(actor.version(id) >= registry.versionFloor());
        }
    }

    function invariant_rolesAreApart() public view {
        require(registry.owner() != registry.revoker());
        require(registry.owner() != address(0) && registry.revoker() != address(0));
    }

    function invariant_everyChangeMovesTheEpoch() public view {
        require(registry.policyEpoch() == actor.changes());
    }
}
