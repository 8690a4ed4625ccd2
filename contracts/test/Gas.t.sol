// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

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
