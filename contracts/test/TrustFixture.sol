// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// The clock is the tests' own, ids are short literals, and casts cut what was bounded before.
// forge-lint: disable-start(block-timestamp, unsafe-typecast)

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {AttestedKeyRegistry as Keys} from "../src/trust/AttestedKeyRegistry.sol";
import {ClaimsBuffer} from "../src/trust/ClaimsBuffer.sol";
import {HardwareRegistry} from "../src/trust/HardwareRegistry.sol";
import {MeasurementRegistry} from "../src/trust/MeasurementRegistry.sol";
import {Governed} from "../src/trust/Governed.sol";
import {Rebuilders} from "../src/trust/Rebuilders.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {IAgentObserver, ITrustSource} from "../src/interfaces/IObservers.sol";
import {IQuoteVerifier, QuoteClaims} from "../src/interfaces/ITrust.sol";
import {IValidation} from "../src/interfaces/IValidation.sol";
import {Test} from "./Vm.sol";

/// Writes claims-buffers: the one encoding of each set of claims.
library ClaimsEncoder {
    function encode(ClaimsBuffer.Claims memory c) internal pure returns (bytes memory) {
        bytes memory keys = abi.encodePacked(
            hex"b2",
            hex"6365766d5821",
            c.evmParity,
            c.evmX,
            hex"63677075825820",
            c.gpuDigest,
            uint_(c.gpuCount),
            hex"636c6f675820",
            c.log,
            hex"64626f6f7450",
            c.boot,
            hex"646b6579735820",
            c.keys
        );
        keys = abi.encodePacked(
            keys, hex"646d6f6465", uint_(c.mode), hex"64726573705820", c.resp, hex"64726f6c65", uint_(c.role)
        );
        bytes memory chain = abi.encodePacked(
            hex"656167656e745820",
            c.agent,
            hex"65636861696e82",
            uint_(c.chainId),
            hex"54",
            c.registry,
            hex"6565706f6368",
            uint_(c.epoch),
            hex"656e6f6e63655820",
            c.nonce
        );
        chain = abi.encodePacked(
            chain,
            hex"66616e63686f7282",
            uint_(c.anchorNumber),
            hex"5820",
            c.anchorHash,
            hex"666c61756e63685820",
            c.launch,
            hex"676368616e6e656c5820",
            c.channel
        );
        return abi.encodePacked(
            keys,
            chain,
            hex"6770726f66696c65781d",
            "tag:jeju,2026:node-evidence/1",
            hex"68726563656970747383",
            uint_(c.receiptsEpoch),
            uint_(c.receiptsCount),
            hex"5820",
            c.receiptsRoot,
            hex"6b7075626b65792d68617368582482015820",
            c.pubkeyHash
        );
    }

    function uint_(uint256 value) internal pure returns (bytes memory) {
        if (value < 24) return abi.encodePacked(uint8(value));
        if (value < 1 << 8) return abi.encodePacked(uint8(24), uint8(value));
        if (value < 1 << 16) return abi.encodePacked(uint8(25), uint16(value));
        if (value < 1 << 32) return abi.encodePacked(uint8(26), uint32(value));
        return abi.encodePacked(uint8(27), uint64(value));
    }
}

/// Agents whose owner anyone may set.
contract TestIdentity is IIdentity {
    mapping(uint256 => address) private _owners;
    mapping(uint256 => uint64) private _epochs;
    mapping(uint256 => address) public operator;

    error NoAgent(uint256 agentId);

    function set(uint256 agentId, address owner) public virtual {
        _owners[agentId] = owner;
        _epochs[agentId]++;
    }

    function setEpoch(uint256 agentId, uint64 epoch) external {
        _epochs[agentId] = epoch;
    }

    function setOperator(uint256 agentId, address account) external {
        operator[agentId] = account;
    }

    function ownerOf(uint256 agentId) public view returns (address owner) {
        owner = _owners[agentId];
        if (owner == address(0)) revert NoAgent(agentId);
    }

    function isAuthorized(uint256 agentId, address account) external view returns (bool) {
        return account == ownerOf(agentId) || account == operator[agentId];
    }

    function getAgentWallet(uint256) external pure returns (address) {
        return address(0);
    }

    function agentEpoch(uint256 agentId) external view returns (uint64) {
        return _epochs[agentId];
    }
}

/// The same, and it tells an observer when an agent moves.
contract TellingIdentity is TestIdentity, ITrustSource {
    IAgentObserver public observer;

    function setObserver(IAgentObserver observer_) external {
        observer = observer_;
    }

    function isObserver(address account) external view returns (bool) {
        return account == address(observer);
    }

    function set(uint256 agentId, address owner) public override {
        super.set(agentId, owner);
        if (address(observer) != address(0)) observer.agentMoved(agentId, this.agentEpoch(agentId));
    }
}

/// Believes whoever signed the claims with one key.
contract TestVerifier is IQuoteVerifier {
    address private immutable _signer;

    error NotGenuine();

    constructor(address signer) {
        _signer = signer;
    }

    function verifyQuote(QuoteClaims calldata claims, bytes calldata proof) external view {
        if (ECDSA.recoverCalldata(keccak256(abi.encode(claims)), proof) != _signer) revert NotGenuine();
    }
}

/// One request and its answer.
contract TestValidation is IValidation {
    struct Status {
        address validator;
        uint256 agentId;
        uint8 response;
        bytes32 responseHash;
        string tag;
        uint256 lastUpdate;
    }

    mapping(bytes32 => Status) private _status;

    function request(bytes32 requestHash, address validator, uint256 agentId) external {
        _status[requestHash].validator = validator;
        _status[requestHash].agentId = agentId;
    }

    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata,
        bytes32 responseHash,
        string calldata tag
    ) external {
        Status storage status = _status[requestHash];
        require(msg.sender == status.validator, "validator");
        (status.response, status.responseHash, status.tag) = (response, responseHash, tag);
        status.lastUpdate = block.timestamp;
    }

    function getValidationStatus(bytes32 requestHash)
        external
        view
        returns (address, uint256, uint8, bytes32, string memory, uint256)
    {
        Status storage s = _status[requestHash];
        return (s.validator, s.agentId, s.response, s.responseHash, s.tag, s.lastUpdate);
    }
}

/// A contract that owns an agent and accepts what its owner's key signed (ERC-1271).
contract TestWallet {
    address private immutable _signer;

    constructor(address signer) {
        _signer = signer;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recoverCalldata(digest, signature) == _signer ? this.isValidSignature.selector : bytes4(0);
    }
}

/// All registries on one public chain, one active measurement, one agent on one allowed machine.
abstract contract TrustFixture is Test {
    uint64 constant START = 1_800_000_000;
    uint64 constant DELAY = 48 hours;
    address constant OWNER = address(0xA0);
    address constant REVOKER = address(0xB0);
    address constant STRANGER = address(0xC0);
    uint256 constant COMMITTEE = 0xC0117EE;
    uint256 constant ENCLAVE = 0xE1C1A7E;
    uint256 constant AGENT_OWNER = 0xA6E17;
    uint256 constant REBUILDER = 0x5EB011D;
    uint256 constant AGENT = 7;
    uint8 constant TDX = 1;
    bytes32 constant MEASUREMENT = keccak256("measurement");
    bytes32 constant RELEASE = keccak256("release");
    bytes32 constant HARDWARE = keccak256("hardware");
    bytes32 constant LAUNCH = keccak256("launch");

    MeasurementRegistry measurements;
    HardwareRegistry hardware;
    TellingIdentity identity;
    TestValidation validation;
    TestVerifier verifier;
    Keys keys;

    function deploy() internal {
        vm.warp(START);
        vm.chainId(8453);
        identity = new TellingIdentity();
        validation = new TestValidation();
        measurements = new MeasurementRegistry(OWNER, REVOKER, DELAY);
        hardware = new HardwareRegistry(OWNER, REVOKER, DELAY, identity);
        keys = new Keys(OWNER, REVOKER, DELAY, measurements, hardware, validation);
        verifier = new TestVerifier(vm.addr(COMMITTEE));
        identity.set(AGENT, vm.addr(AGENT_OWNER));

        _announce(measurements, abi.encodeCall(measurements.setRebuilder, (vm.addr(REBUILDER))));
        _announce(keys, abi.encodeCall(keys.setVerifier, (TDX, verifier)));
        vm.startPrank(OWNER);
        measurements.propose(MEASUREMENT, RELEASE, 5, TDX, 3, 0);
        hardware.propose(AGENT, HARDWARE, 2);
        vm.stopPrank();
        vm.warp(START + DELAY);
        vm.startPrank(OWNER);
        measurements.setRebuilder(vm.addr(REBUILDER));
        keys.setVerifier(TDX, verifier);
        hardware.allow(AGENT, HARDWARE);
        vm.stopPrank();
        stateRebuild(REBUILDER, MEASUREMENT, RELEASE);
        vm.prank(OWNER);
        measurements.activate(MEASUREMENT);
    }

    /// All registries tell the keys what they take away.
    function connect() internal {
        _announce(measurements, abi.encodeCall(measurements.addObserver, (address(keys))));
        _announce(hardware, abi.encodeCall(hardware.addObserver, (address(keys))));
        vm.warp(block.timestamp + DELAY);
        vm.startPrank(OWNER);
        measurements.addObserver(address(keys));
        hardware.addObserver(address(keys));
        vm.stopPrank();
        identity.setObserver(keys);
        keys.connect();
    }

    function _announce(Governed target, bytes memory call) internal {
        vm.prank(OWNER);
        target.announce(call);
    }

    /// Announces a call, waits, and makes it.
    function change(Governed target, bytes memory call) internal {
        _announce(target, call);
        vm.warp(block.timestamp + DELAY);
        make(target, call);
    }

    function make(Governed target, bytes memory call) internal {
        vm.prank(OWNER);
        (bool success, bytes memory answer) = address(target).call(call);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    function stateRebuild(uint256 rebuilder, bytes32 id, bytes32 release) internal {
        Rebuilders.RebuildStatement memory statement = statementOf(rebuilder, id, release);
        bytes memory signature = sign(rebuilder, measurements.rebuildDigest(statement));
        measurements.stateRebuild(statement, signature);
    }

    function statementOf(uint256 rebuilder, bytes32 id, bytes32 release)
        internal
        pure
        returns (Rebuilders.RebuildStatement memory)
    {
        return Rebuilders.RebuildStatement({
            measurement: id,
            releaseDigest: release,
            sourceCommit: bytes32("commit"),
            lockDigest: bytes32("lock"),
            builtAt: START,
            rebuilder: vm.addr(rebuilder)
        });
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    // ------------------------------------------------------------------ registrations

    struct Registration {
        QuoteClaims claims;
        bytes buffer;
        bytes proof;
        Keys.AgentConsent consent;
    }

    function bufferClaims(uint256 enclave) internal returns (ClaimsBuffer.Claims memory claims) {
        claims.evmX = bytes32(vm.createWallet(enclave).publicKeyX);
        claims.evmParity = uint8(2 + vm.createWallet(enclave).publicKeyY % 2);
        claims.boot = bytes16("boot");
        claims.keys = keccak256("keys");
        claims.resp = keccak256("resp");
        claims.agent = bytes32(AGENT);
        claims.chainId = uint64(block.chainid);
        claims.registry = address(measurements);
        claims.epoch = 300;
        claims.anchorNumber = 21_000_000;
        claims.anchorHash = keccak256("anchor");
        claims.launch = LAUNCH;
        claims.receiptsEpoch = 299;
        claims.receiptsCount = 70_000;
        claims.receiptsRoot = keccak256("root");
        claims.pubkeyHash = keccak256("tls");
    }

    function prepare(uint256 enclave) internal returns (Registration memory r) {
        r.buffer = ClaimsEncoder.encode(bufferClaims(enclave));
        r.claims = QuoteClaims({
            platform: TDX,
            measurement: MEASUREMENT,
            hardware: HARDWARE,
            agentId: AGENT,
            claimsDigest: sha256(r.buffer),
            launchDigest: LAUNCH,
            key: vm.addr(enclave),
            tcbStatus: 0,
            expiry: uint64(block.timestamp) + 3 days
        });
        r.consent.expiry = uint64(block.timestamp) + 4 days;
        complete(r);
    }

    function prepareFor(uint256 enclave, uint256 agentId) internal returns (Registration memory r) {
        r = prepare(enclave);
        ClaimsBuffer.Claims memory c = bufferClaims(enclave);
        c.agent = bytes32(agentId);
        r.buffer = ClaimsEncoder.encode(c);
        (r.claims.agentId, r.claims.claimsDigest) = (agentId, sha256(r.buffer));
    }

    /// Signs everything anew, after a test changed something.
    function complete(Registration memory r) internal view {
        r.proof = sign(COMMITTEE, keccak256(abi.encode(r.claims)));
        r.consent.signature = sign(
            AGENT_OWNER, keys.consentDigest(r.claims.agentId, r.claims.key, r.claims.claimsDigest, r.consent.expiry)
        );
    }

    function submit(Registration memory r) internal {
        keys.register(r.claims, r.buffer, r.proof, r.consent);
    }

    function registerKey(uint256 enclave) internal returns (address) {
        submit(prepare(enclave));
        return vm.addr(enclave);
    }
}
// forge-lint: disable-end(block-timestamp, unsafe-typecast)
