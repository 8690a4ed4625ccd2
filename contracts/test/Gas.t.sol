// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AttestedKeyRegistry} from "../src/trust/AttestedKeyRegistry.sol";
import {FrostVerifier} from "../src/trust/FrostVerifier.sol";
import {HardwareRegistry} from "../src/trust/HardwareRegistry.sol";
import {IdentityRegistry} from "../src/identity/IdentityRegistry.sol";
import {FrostSigner} from "./FrostSigner.sol";
import {TrustFixture} from "./TrustFixture.sol";

/// What the trust contracts promise, in gas of the whole call as its caller pays it: passing the arguments on included,
/// every slot cold. The called contract's own account is warm; a transaction that hasn't touched it pays 2,500 more.
/// The bounds are part of the interface: `forge test` fails when one is broken, `-vv` shows the numbers.
abstract contract TrustGas is TrustFixture {
    event log_named_uint(string name, uint256 value);

    bytes32 constant DIGEST = keccak256("response");

    function setUp() public virtual {
        deploy();
    }

    function _coldSlots() internal {
        vm.cool(address(keys));
        vm.cool(address(measurements));
        vm.cool(address(hardware));
        vm.cool(address(identity));
        vm.cool(address(verifier));
    }

    function _bound(string memory name, uint256 used, uint256 most) internal {
        emit log_named_uint(name, used);
        vm.snapshotValue("trust", name, used);
        require(used <= most, name);
    }

    function _check(string memory name, uint256 most) internal {
        bytes memory signature = sign(ENCLAVE, DIGEST);
        _coldSlots();
        uint256 before = gasleft();
        (address key, uint256 agent) = keys.checkSignature(DIGEST, signature);
        uint256 used = before - gasleft();
        require(key == vm.addr(ENCLAVE) && agent == AGENT);
        _bound(name, used, most);
    }

    function _register(string memory name, uint256 most) internal {
        Registration memory r = prepare(ENCLAVE);
        _coldSlots();
        uint256 before = gasleft();
        keys.register(r.claims, r.buffer, r.proof, r.consent);
        _bound(name, before - gasleft(), most);
    }
}

/// As deployed: every registry tells.
contract TrustGasTold is TrustGas {
    function setUp() public override {
        super.setUp();
        connect();
    }

    function test_checkSignature() public {
        registerKey(ENCLAVE);
        _check("response check", 12_000);
    }

    function test_checkSignature_afterChange() public {
        registerKey(ENCLAVE);
        vm.prank(REVOKER);
        hardware.revokeForAll("other");
        _check("response check after a change", 45_000);
        _coldSlots();
        uint256 before = gasleft();
        keys.refresh(vm.addr(ENCLAVE));
        _bound("refresh", before - gasleft(), 55_000);
        _check("response check after refresh", 12_000);
    }

    /// With a verifier that checks one ECDSA signature.
    function test_register() public {
        _register("registration", 120_000);
        vm.warp(block.timestamp + 1 days);
        _register("renewal", 80_000);
    }

    function test_registry() public {
        _coldSlots();
        uint256 before = gasleft();
        measurements.query(MEASUREMENT);
        _bound("measurement query", before - gasleft(), 5_600);

        bytes32 id = "next";
        vm.startPrank(OWNER);
        before = gasleft();
        measurements.propose(id, RELEASE, 6, TDX, 0, 0);
        _bound("propose", before - gasleft(), 130_000);
        vm.stopPrank();
        stateRebuild(REBUILDER, id, RELEASE);
        vm.warp(block.timestamp + DELAY);
        _coldSlots();
        vm.startPrank(OWNER);
        before = gasleft();
        measurements.activate(id);
        _bound("activate", before - gasleft(), 25_000);
        vm.stopPrank();
        _coldSlots();
        vm.startPrank(REVOKER);
        before = gasleft();
        measurements.revoke(id);
        _bound("revoke, one observer told", before - gasleft(), 40_000);
        vm.stopPrank();
    }
}

/// With the verifier that is deployed: the committee's one signature, with y of R given.
contract TrustGasOfTheCommittee is TrustGas, FrostSigner {
    FrostVerifier committee;

    function setUp() public override {
        super.setUp();
        connect();
        (uint256 px, uint8 parity) = groupKey(COMMITTEE);
        committee = new FrostVerifier(OWNER, REVOKER, DELAY, px, parity);
        change(keys, abi.encodeCall(keys.setVerifier, (TDX, committee)));
    }

    function test_register() public {
        Registration memory r = prepare(ENCLAVE);
        r.proof = frostLong(COMMITTEE, committee.digestOf(r.claims));
        _coldSlots();
        vm.cool(address(committee));
        uint256 before = gasleft();
        keys.register(r.claims, r.buffer, r.proof, r.consent);
        _bound("registration, committee", before - gasleft(), 120_000);
    }
}

/// Where the identity registry has no word for it, it is asked each time.
contract TrustGasAgentsAsk is TrustGas {
    function setUp() public override {
        super.setUp();
        change(measurements, abi.encodeCall(measurements.addObserver, (address(keys))));
        change(hardware, abi.encodeCall(hardware.addObserver, (address(keys))));
        keys.connect();
    }

    function test_checkSignature() public {
        registerKey(ENCLAVE);
        _check("response check, agents asked", 12_600);
    }
}

/// With the identity registry that is deployed: cheap, and over when the agent moves.
contract TrustGasOfTheRealRegistry is TrustGas {
    IdentityRegistry agents;
    uint256 agent;

    function setUp() public override {
        super.setUp();
        agents = new IdentityRegistry(OWNER, REVOKER, DELAY);
        address agentOwner = vm.addr(AGENT_OWNER);
        vm.prank(agentOwner);
        agent = agents.register();
        hardware = new HardwareRegistry(OWNER, REVOKER, DELAY, agents);
        keys = new AttestedKeyRegistry(OWNER, REVOKER, DELAY, measurements, hardware, validation);
        vm.prank(OWNER);
        hardware.propose(agent, HARDWARE, 2);
        _announce(keys, abi.encodeCall(keys.setVerifier, (TDX, verifier)));
        _announce(measurements, abi.encodeCall(measurements.addObserver, (address(keys))));
        _announce(hardware, abi.encodeCall(hardware.addObserver, (address(keys))));
        _announce(agents, abi.encodeCall(agents.addObserver, (address(keys))));
        vm.warp(block.timestamp + DELAY);
        vm.startPrank(OWNER);
        hardware.allow(agent, HARDWARE);
        keys.setVerifier(TDX, verifier);
        measurements.addObserver(address(keys));
        hardware.addObserver(address(keys));
        agents.addObserver(address(keys));
        vm.stopPrank();
        keys.connect();
        require(keys.connected() == 7, "all tell");
        Registration memory r = prepareFor(ENCLAVE, agent);
        complete(r);
        submit(r);
    }

    function test_checkSignature_untilTheAgentMoves() public {
        bytes memory signature = sign(ENCLAVE, DIGEST);
        // The account is warm, as above: the other tests register their key in the same transaction.
        require(keys.connected() == 7, "all tell");
        _coldSlots();
        vm.cool(address(agents));
        uint256 before = gasleft();
        keys.checkSignature(DIGEST, signature);
        _bound("response check, real registry", before - gasleft(), 12_000);

        address agentOwner = vm.addr(AGENT_OWNER);
        _coldSlots();
        vm.cool(address(agents));
        vm.prank(agentOwner);
        before = gasleft();
        agents.transferFrom(agentOwner, STRANGER, agent);
        _bound("transfer of an agent, one observer told", before - gasleft(), 100_000);
        vm.expectRevert(abi.encodeWithSignature("NotLive(address)", vm.addr(ENCLAVE)));
        keys.checkSignature(DIGEST, signature);
        // And it doesn't come back with the agent: that is another epoch.
        vm.prank(STRANGER);
        agents.transferFrom(STRANGER, agentOwner, agent);
        require(!keys.isLive(vm.addr(ENCLAVE)), "dead");
    }
}
