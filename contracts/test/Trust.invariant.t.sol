// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AttestedKeyRegistry as Keys} from "../src/trust/AttestedKeyRegistry.sol";
import {AttestedKeys as Records} from "../src/trust/AttestedKeys.sol";
import {MeasurementRecords} from "../src/trust/MeasurementRecords.sol";
import {TrustFixture} from "./TrustFixture.sol";

/// Does whatever anybody may do to the three registries, at any time and in any order, and keeps its own account of it.
contract TrustActor is TrustFixture {
    uint8 public constant KEYS = 6;
    uint8 public constant IDS = 4;
    uint8 public constant AGENTS = 3;

    /// What a key was registered with.
    struct Ghost {
        bytes32 id;
        bytes32 machine;
        uint256 agent;
        uint64 agentEpoch;
        uint64 expiry;
        uint32 generation;
        uint8 tcb;
        bool revoked;
        bool recorded;
    }

    mapping(address => Ghost) public ghosts;
    mapping(bytes32 => bool) public idRevoked;
    mapping(bytes32 => uint64) public idUntil;
    mapping(bytes32 => bool) public machineRevoked;
    mapping(uint256 => mapping(bytes32 => bool)) public pairRevoked;
    uint32 public generation;
    uint8 public worstTcb;
    mapping(bytes32 => uint256) public announcedAt;
    bool public timelockSkipped;
    uint256 public registrations;

    constructor(bool tells) {
        deploy();
        if (tells) connect();
        change(keys, abi.encodeCall(keys.setWorstTcb, (TDX, 2)));
        worstTcb = 2;
        for (uint256 agent = 1; agent < AGENTS; agent++) {
            identity.set(AGENT + agent, vm.addr(AGENT_OWNER));
        }
        for (uint8 i = 0; i < IDS; i++) {
            vm.startPrank(OWNER);
            measurements.propose(idOf(i), RELEASE, 5 + i, TDX, 3, 0);
            for (uint256 agent = 0; agent < AGENTS; agent++) {
                hardware.propose(AGENT + agent, machineOf(i), 2);
            }
            vm.stopPrank();
            stateRebuild(REBUILDER, idOf(i), RELEASE);
        }
        vm.warp(block.timestamp + DELAY);
        for (uint8 i = 0; i < IDS; i++) {
            vm.startPrank(OWNER);
            measurements.activate(idOf(i));
            for (uint256 agent = 0; agent < AGENTS; agent++) {
                hardware.allow(AGENT + agent, machineOf(i));
            }
            vm.stopPrank();
        }
    }

    function idOf(uint256 which) public pure returns (bytes32) {
        return keccak256(abi.encode("id", which % IDS));
    }

    function machineOf(uint256 which) public pure returns (bytes32) {
        return keccak256(abi.encode("machine", which % IDS));
    }

    function keyOf(uint256 which) public pure returns (address) {
        return vm.addr(ENCLAVE + which % KEYS);
    }

    function registry() external view returns (Keys) {
        return keys;
    }

    function isActive(bytes32 id) external view returns (bool) {
        return measurements.isActive(id);
    }

    function stageOf(bytes32 id) external view returns (MeasurementRecords.Stage) {
        return measurements.recordOf(id).stage;
    }

    function agentEpoch(uint256 agent) external view returns (uint64) {
        return identity.agentEpoch(agent);
    }

    // ------------------------------------------------------------------ steps

    function wait(uint32 delay) external {
        vm.warp(block.timestamp + delay % 1 days);
    }

    function register(uint8 which, uint8 id, uint8 machine, uint8 tcb, uint32 life) public {
        uint256 agentId = AGENT + which % KEYS % AGENTS;
        Registration memory r = prepareFor(ENCLAVE + which % KEYS, agentId);
        r.claims.measurement = idOf(id);
        r.claims.hardware = machine % 5 == 0 ? bytes32(0) : machineOf(machine);
        r.claims.tcbStatus = tcb % 3;
        r.claims.expiry = uint64(block.timestamp) + life % 5 days;
        r.consent.expiry = r.claims.expiry + 1;
        complete(r);
        submit(r);
        registrations++;
        ghosts[r.claims.key] = Ghost({
            id: r.claims.measurement,
            machine: r.claims.hardware,
            agent: agentId,
            agentEpoch: identity.agentEpoch(agentId),
            expiry: r.claims.expiry,
            generation: generation,
            tcb: r.claims.tcbStatus,
            revoked: false,
            recorded: false
        });
    }

    /// Most registrations should get through, or nothing else would have anything to kill.
    function registerPlain(uint8 which, uint8 id, uint8 machine) external {
        register(which, id, machine, machine, 4 days);
    }

    function revokeMeasurement(uint8 which) external {
        if (which % 4 != 0) return;
        vm.prank(REVOKER);
        measurements.revoke(idOf(which / 4));
        idRevoked[idOf(which / 4)] = true;
    }

    function limitValidity(uint8 which, uint32 life) external {
        uint64 until = uint64(block.timestamp) + life % 3 days;
        vm.prank(OWNER);
        measurements.limitValidity(idOf(which), until);
        idUntil[idOf(which)] = until;
    }

    function expire(uint8 which) external {
        measurements.expire(idOf(which));
        idRevoked[idOf(which)] = true;
    }

    function raiseFloor(uint8 floor) external {
        if (floor % 4 != 0) return;
        vm.prank(OWNER);
        measurements.raiseVersionFloor(floor % 8);
    }

    function revokeMachine(uint8 which, uint8 agent) external {
        vm.prank(REVOKER);
        hardware.revoke(AGENT + agent % AGENTS, machineOf(which));
        pairRevoked[AGENT + agent % AGENTS][machineOf(which)] = true;
    }

    function revokeMachineForAll(uint8 which) external {
        if (which % 8 != 0) return;
        vm.prank(REVOKER);
        hardware.revokeForAll(machineOf(which / 8));
        machineRevoked[machineOf(which / 8)] = true;
    }

    function moveAgent(uint8 agent) external {
        if (agent % 2 != 0) return;
        identity.set(AGENT + agent / 2 % AGENTS, vm.addr(AGENT_OWNER));
    }

    function raiseTcb(uint8 worst) external {
        vm.prank(worst % 2 == 0 ? OWNER : REVOKER);
        keys.raiseTcbFloor(TDX, worst % 3);
        worstTcb = worst % 3;
    }

    function removeVerifier(uint8 really) external {
        if (really % 8 != 0) return;
        vm.prank(REVOKER);
        keys.removeVerifier(TDX);
        generation++;
    }

    function announceRule(uint8 which, uint8 value) external {
        bytes memory call = _rule(which, value);
        vm.prank(OWNER);
        keys.announce(call);
        announcedAt[keccak256(call)] = block.timestamp;
    }

    function vetoRule(uint8 which, uint8 value) external {
        bytes32 change_ = keccak256(_rule(which, value));
        vm.prank(REVOKER);
        keys.veto(change_);
        announcedAt[change_] = 0;
    }

    function makeRule(uint8 which, uint8 value) external {
        bytes memory call = _rule(which, value);
        bytes32 change_ = keccak256(call);
        make(keys, call);
        // forge-lint: disable-next-line(block-timestamp)
        if (announcedAt[change_] == 0 || block.timestamp < announcedAt[change_] + DELAY) timelockSkipped = true;
        announcedAt[change_] = 0;
        if (which % 2 == 0) worstTcb = value % 3;
    }

    function _rule(uint8 which, uint8 value) private view returns (bytes memory) {
        if (which % 2 == 0) return abi.encodeCall(keys.setWorstTcb, (TDX, value % 3));
        return abi.encodeCall(keys.setVerifier, (TDX, verifier));
    }

    function revokeKey(uint8 which) external {
        if (which % 4 != 0) return;
        address key = keyOf(which / 4);
        vm.prank(which % 8 == 0 ? REVOKER : vm.addr(AGENT_OWNER));
        keys.revoke(key);
        ghosts[key].revoked = true;
    }

    function recordDeath(uint8 which) external {
        keys.recordDeath(keyOf(which));
        ghosts[keyOf(which)].recorded = true;
    }

    function refresh(uint8 which) external {
        keys.refresh(keyOf(which));
    }
}

abstract contract TrustInvariant is TrustFixture {
    TrustActor actor;
    Keys registry;

    function _start(bool tells) internal {
        actor = new TrustActor(tells);
        registry = actor.registry();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    /// A key lives exactly as long as all that it rests on, told from the actor's own account: a revoked measurement has
    /// no live key, nor has a revoked machine, a former owner, a refused firmware, a removed verifier, or the past.
    function invariant_keysLiveAsLongAsWhatTheyRestOn() public view {
        for (uint8 i = 0; i < actor.KEYS(); i++) {
            address key = actor.keyOf(i);
            require(registry.isLive(key) == _shouldLive(key), "live");
        }
    }

    /// The cheap answer and the thorough one are the same.
    function invariant_fastAndSlowAgree() public view {
        for (uint8 i = 0; i < actor.KEYS(); i++) {
            address key = actor.keyOf(i);
            (Records.Cause cause, uint64 since) = registry.causeOfDeath(key);
            require(registry.isLive(key) == (cause == Records.Cause.None), "agree");
            // forge-lint: disable-next-line(block-timestamp)
            require(since <= block.timestamp && (cause != Records.Cause.None || since == 0), "since");
        }
    }

    function invariant_revokedMeasurementHasNoLiveKey() public view {
        for (uint8 i = 0; i < actor.KEYS(); i++) {
            address key = actor.keyOf(i);
            (bytes32 id,,,,,,,,) = actor.ghosts(key);
            if (actor.idRevoked(id)) require(!registry.isLive(key));
            if (registry.isLive(key)) require(actor.stageOf(id) == MeasurementRecords.Stage.Active);
        }
    }

    function invariant_timelockIsNeverSkipped() public view {
        require(!actor.timelockSkipped());
    }

    function _shouldLive(address key) private view returns (bool) {
        (
            bytes32 id,
            bytes32 machine,
            uint256 agent,
            uint64 epoch,
            uint64 expiry,
            uint32 generation,
            uint8 tcb,
            bool revoked,
            bool recorded
        ) = actor.ghosts(key);
        if (id == 0 || revoked || recorded) return false;
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp >= expiry || actor.idRevoked(id) || !actor.isActive(id)) return false;
        uint64 until = actor.idUntil(id);
        // forge-lint: disable-next-line(block-timestamp)
        if (until != 0 && block.timestamp >= until) return false;
        if (machine != 0 && (actor.machineRevoked(machine) || actor.pairRevoked(agent, machine))) return false;
        if (actor.agentEpoch(agent) != epoch) return false;
        return generation == actor.generation() && tcb <= actor.worstTcb();
    }
}

contract TrustToldInvariant is TrustInvariant {
    function setUp() public {
        _start(true);
    }
}

contract TrustAskInvariant is TrustInvariant {
    function setUp() public {
        _start(false);
    }
}
