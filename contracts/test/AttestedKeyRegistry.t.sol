// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// The clock is the tests' own, ids are short literals, and casts cut what was bounded before.
// forge-lint: disable-start(block-timestamp, unsafe-typecast)

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {AttestedKeyRegistry as Keys} from "../src/trust/AttestedKeyRegistry.sol";
import {AttestedKeys as Records} from "../src/trust/AttestedKeys.sol";
import {ClaimsBuffer} from "../src/trust/ClaimsBuffer.sol";
import {Governed} from "../src/trust/Governed.sol";
import {HardwareRegistry} from "../src/trust/HardwareRegistry.sol";
import {MeasurementRegistry} from "../src/trust/MeasurementRegistry.sol";
import {IQuoteVerifier} from "../src/interfaces/ITrust.sol";
import {IValidation} from "../src/interfaces/IValidation.sol";
import {ClaimsEncoder, TestIdentity, TestVerifier, TestWallet, TrustFixture} from "./TrustFixture.sol";
import {Revocable} from "../src/trust/Revocable.sol";

/// Every test runs with registries that tell, and with registries that have to be asked.
abstract contract AttestedKeyRegistryTest is TrustFixture {
    uint256 constant OTHER_ENCLAVE = 0x2E1C1A7E;
    bytes32 constant DIGEST = keccak256("response");
    bytes32 constant REQUEST = keccak256("request");

    address key;

    function setUp() public virtual {
        deploy();
        key = vm.addr(ENCLAVE);
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public {
        require(address(keys.identity()) == address(identity) && keys.maxLifetime() == 7 days);
        require(address(keys.measurements()) == address(measurements));
        require(address(keys.hardware()) == address(hardware) && address(keys.validation()) == address(validation));
        vm.expectRevert(Revocable.ZeroAccount.selector);
        new Keys(OWNER, REVOKER, DELAY, MeasurementRegistry(address(0)), hardware, validation);
        vm.expectRevert(Revocable.ZeroAccount.selector);
        new Keys(OWNER, REVOKER, DELAY, measurements, HardwareRegistry(address(0)), validation);
    }

    // ------------------------------------------------------------------ registration

    function test_register() public {
        Registration memory r = prepare(ENCLAVE);
        vm.expectEmit(true, true, true, true, address(keys));
        emit Records.KeyRegistered(key, AGENT, MEASUREMENT, HARDWARE, r.claims.claimsDigest, r.claims.expiry);
        vm.prank(STRANGER);
        submit(r);
        require(keys.isLive(key));
        (uint256 agent, uint64 deadSince) = keys.agentOf(key);
        require(agent == AGENT && deadSince == 0);
        Records.Key memory record = keys.recordOf(key);
        require(record.agentId == AGENT && record.expiry == r.claims.expiry && record.agentEpoch == 1);
        require(record.stage == Records.Stage.Registered && record.measurement == 1 && record.hardware == 1);
        require(record.platform == TDX && record.tcbStatus == 0 && record.generation == 0 && record.nonce == 1);
        require(record.registeredAt == block.timestamp && record.deadSince == 0);
        require(record.seenEpoch == keys.trustEpoch());
        require(keys.custodyOf(key) == 2, "what both may hold");
    }

    /// Each field of a record comes back as it was: the registry packs them itself.
    function testFuzz_recordLayout(uint96 agentId, uint8 tcb, uint32 life) public {
        vm.assume(agentId != AGENT);
        life = 1 + life % 6 days;
        change(keys, abi.encodeCall(keys.setWorstTcb, (TDX, 255)));
        identity.set(agentId, vm.addr(AGENT_OWNER));
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.agent = bytes32(uint256(agentId));
        Registration memory r = prepare(ENCLAVE);
        r.buffer = ClaimsEncoder.encode(c);
        (r.claims.agentId, r.claims.claimsDigest, r.claims.hardware) = (agentId, sha256(r.buffer), 0);
        (r.claims.tcbStatus, r.claims.expiry) = (tcb, uint64(block.timestamp) + life);
        r.consent.expiry = r.claims.expiry;
        complete(r);
        submit(r);
        Records.Key memory k = keys.recordOf(key);
        require(k.agentId == agentId && k.expiry == block.timestamp + life && k.seenEpoch == keys.trustEpoch());
        require(k.agentEpoch == 1 && k.stage == Records.Stage.Registered && k.measurement == 1 && k.hardware == 0);
        require(k.platform == TDX && k.tcbStatus == tcb && k.generation == 0 && k.deadSince == 0 && k.nonce == 1);
        require(k.registeredAt == block.timestamp);
        (address signer, uint256 agent) = _check(ENCLAVE);
        require(signer == key && agent == agentId);
        require(keys.custodyOf(key) == 0, "no machine, no key material");
    }

    function test_register_renews() public {
        registerKey(ENCLAVE);
        vm.warp(block.timestamp + 2 days);
        Registration memory r = prepare(ENCLAVE);
        submit(r);
        require(keys.recordOf(key).expiry == r.claims.expiry && keys.recordOf(key).nonce == 2);
        vm.warp(r.claims.expiry - 1);
        require(keys.isLive(key));
    }

    /// An owner's word counts once: else an old registration could be brought back.
    function test_register_refusesReplay() public {
        Registration memory r = prepare(ENCLAVE);
        submit(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.ConsentRefused.selector, vm.addr(AGENT_OWNER)));
    }

    function test_register_shortestTimeCounts() public {
        Registration memory r = prepare(ENCLAVE);
        r.consent.expiry = uint64(block.timestamp) + 1 hours;
        complete(r);
        submit(r);
        require(keys.recordOf(key).expiry == block.timestamp + 1 hours);
        uint64 end = uint64(block.timestamp) + 30 minutes;
        vm.prank(OWNER);
        measurements.limitValidity(MEASUREMENT, end);
        registerKey(OTHER_ENCLAVE);
        require(keys.recordOf(vm.addr(OTHER_ENCLAVE)).expiry == end);
    }

    function test_register_refusesOtherBuffer() public {
        Registration memory r = prepare(ENCLAVE);
        bytes32 right = r.claims.claimsDigest;
        r.claims.claimsDigest = bytes32("x");
        _expectRefused(r, abi.encodeWithSelector(Keys.DigestMismatch.selector, bytes32("x"), right));
    }

    function test_register_refusesMalformedBuffer() public {
        Registration memory r = prepare(ENCLAVE);
        r.buffer[1] = 0x64;
        r.claims.claimsDigest = sha256(r.buffer);
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(ClaimsBuffer.ClaimsMalformed.selector, 0));
        r = prepare(ENCLAVE);
        r.buffer = abi.encodePacked(r.buffer, hex"00");
        r.claims.claimsDigest = sha256(r.buffer);
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(ClaimsBuffer.ClaimsLength.selector, r.buffer.length));
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.keys = 0;
        _expectRefused(_with(c), abi.encodeWithSelector(ClaimsBuffer.ClaimsInconsistent.selector, bytes32("keys")));
    }

    function test_register_refusesOtherClaims() public {
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.agent = bytes32(uint256(8));
        _expectMismatch(c, "agent", bytes32(AGENT), c.agent);
        c = bufferClaims(ENCLAVE);
        c.launch = "other";
        _expectMismatch(c, "launch", LAUNCH, "other");
        c = bufferClaims(ENCLAVE);
        c.chainId = 1;
        _expectMismatch(c, "chain", bytes32(uint256(8453)), bytes32(uint256(1)));
        c = bufferClaims(ENCLAVE);
        c.registry = STRANGER;
        _expectMismatch(c, "registry", _word(address(measurements)), _word(STRANGER));
        c = bufferClaims(OTHER_ENCLAVE);
        _expectMismatch(c, "evm", _word(key), _word(vm.addr(OTHER_ENCLAVE)));
        c = bufferClaims(ENCLAVE);
        c.evmParity = 5 - c.evmParity;
        Registration memory r = _with(c);
        vm.expectRevert();
        this.submitOutside(r);
    }

    /// x = 5 is on no point of the curve; its account must not be taken for the zero account.
    function test_register_refusesKeyOffTheCurve() public {
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.evmX = bytes32(uint256(5));
        Registration memory r = _with(c);
        _expectRefused(r, abi.encodeWithSelector(Keys.ClaimMismatch.selector, bytes32("evm"), _word(key), bytes32(0)));
        r.claims.key = address(0);
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Revocable.ZeroAccount.selector));
    }

    function testFuzz_accountOfCompressedKey(uint256 enclave) public {
        enclave = 1 + enclave % (2 ** 255);
        registerKey(enclave);
        require(keys.isLive(vm.addr(enclave)));
    }

    function test_register_refusesOtherKindsOfQuote() public {
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.role = 1;
        _expectRefused(_with(c), abi.encodeWithSelector(Keys.QuoteKindRefused.selector, 0, 1));
        (c.role, c.mode, c.nonce) = (0, 1, "nonce");
        _expectRefused(_with(c), abi.encodeWithSelector(Keys.QuoteKindRefused.selector, 1, 0));
    }

    function test_register_refusesWithoutVerifier() public {
        Registration memory r = prepare(ENCLAVE);
        vm.prank(REVOKER);
        keys.removeVerifier(TDX);
        _expectRefused(r, abi.encodeWithSelector(Keys.NoVerifier.selector, TDX));
    }

    function test_register_refusesWhatTheVerifierRefuses() public {
        Registration memory r = prepare(ENCLAVE);
        r.proof = sign(AGENT_OWNER, keccak256(abi.encode(r.claims)));
        _expectRefused(r, abi.encodeWithSelector(TestVerifier.NotGenuine.selector));
        complete(r);
        r.claims.expiry++;
        _expectRefused(r, abi.encodeWithSelector(TestVerifier.NotGenuine.selector));
    }

    function test_register_refusesMeasurement() public {
        Registration memory r = prepare(ENCLAVE);
        r.claims.measurement = "unknown";
        _expectRefused(r, abi.encodeWithSelector(Keys.MeasurementRefused.selector, bytes32("unknown")));
        r.claims.measurement = MEASUREMENT;
        vm.prank(REVOKER);
        measurements.revoke(MEASUREMENT);
        _expectRefused(r, abi.encodeWithSelector(Keys.MeasurementRefused.selector, MEASUREMENT));
    }

    /// One platform's verifier must not vouch for another platform's image.
    function test_register_refusesOtherPlatform() public {
        change(keys, abi.encodeCall(keys.setVerifier, (2, verifier)));
        Registration memory r = prepare(ENCLAVE);
        r.claims.platform = 2;
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.PlatformMismatch.selector, 2, TDX));
    }

    function test_register_refusesHardware() public {
        Registration memory r = prepare(ENCLAVE);
        r.claims.hardware = "other";
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.HardwareRefused.selector, AGENT, bytes32("other")));
        vm.prank(REVOKER);
        hardware.revoke(AGENT, HARDWARE);
        r = prepare(OTHER_ENCLAVE);
        _expectRefused(r, abi.encodeWithSelector(Keys.HardwareRefused.selector, AGENT, HARDWARE));
    }

    function test_register_withoutHardware() public {
        Registration memory r = prepare(ENCLAVE);
        r.claims.hardware = 0;
        complete(r);
        submit(r);
        require(keys.isLive(key) && keys.custodyOf(key) == 0);
        change(keys, abi.encodeCall(keys.setHardwareRequired, (TDX, true)));
        require(!keys.isLive(key), "the rule holds for keys that are there");
        r = prepare(OTHER_ENCLAVE);
        r.claims.hardware = 0;
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.HardwareRefused.selector, AGENT, bytes32(0)));
    }

    function test_register_refusesTcb() public {
        Registration memory r = prepare(ENCLAVE);
        r.claims.tcbStatus = 1;
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.TcbRefused.selector, 1, 0));
    }

    function test_register_refusesExpiry() public {
        Registration memory r = prepare(ENCLAVE);
        uint64 now_ = uint64(block.timestamp);
        r.claims.expiry = now_;
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.Expired.selector, now_));
        (r.claims.expiry, r.consent.expiry) = (now_ + 8 days, now_ + 7 days + 1);
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.ExpiryTooFar.selector, now_ + 7 days + 1, now_ + 7 days));
        r.consent.expiry = now_ + 7 days;
        complete(r);
        submit(r);
    }

    function test_register_refusesAgentOutOfRange() public {
        uint256 large = uint256(type(uint96).max) + 1;
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.agent = bytes32(large);
        Registration memory r = _with(c);
        (r.claims.agentId, r.claims.hardware) = (large, 0);
        identity.set(large, vm.addr(AGENT_OWNER));
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.AgentOutOfRange.selector, large, 1));
        r = prepare(ENCLAVE);
        r.claims.hardware = 0;
        identity.setEpoch(AGENT, 1 << 48);
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.AgentOutOfRange.selector, AGENT, 1 << 48));
    }

    function test_register_refusesConsent() public {
        Registration memory r = prepare(ENCLAVE);
        bytes memory refused = abi.encodeWithSelector(Keys.ConsentRefused.selector, vm.addr(AGENT_OWNER));
        bytes32 digest = keys.consentDigest(AGENT, key, r.claims.claimsDigest, r.consent.expiry);
        r.consent.signature = sign(COMMITTEE, digest);
        _expectRefused(r, refused);
        r.consent.signature = sign(AGENT_OWNER, keys.consentDigest(AGENT, key, "other", r.consent.expiry));
        _expectRefused(r, refused);
        r.consent.signature = sign(AGENT_OWNER, digest);
        r.consent.expiry--;
        _expectRefused(r, refused);
    }

    /// The former owner agreed; the agent has moved on, and even when it comes back his word stays in the past.
    function test_register_refusesConsentOfAnEarlierEpoch() public {
        Registration memory r = prepare(ENCLAVE);
        r.claims.hardware = 0;
        complete(r);
        identity.set(AGENT, STRANGER);
        _expectRefused(r, abi.encodeWithSelector(Keys.ConsentRefused.selector, STRANGER));
        identity.set(AGENT, vm.addr(AGENT_OWNER));
        _expectRefused(r, abi.encodeWithSelector(Keys.ConsentRefused.selector, vm.addr(AGENT_OWNER)));
        complete(r);
        submit(r);
        require(keys.isLive(key));
    }

    function test_register_acceptsContractOwner() public {
        identity.set(AGENT, address(new TestWallet(vm.addr(AGENT_OWNER))));
        Registration memory r = prepare(ENCLAVE);
        r.claims.hardware = 0;
        complete(r);
        submit(r);
        require(keys.isLive(key));
        r = prepare(OTHER_ENCLAVE);
        r.claims.hardware = 0;
        complete(r);
        r.consent.signature[0] ^= 0x01;
        vm.expectRevert();
        this.submitOutside(r);
    }

    function test_register_refusesUnknownAgent() public {
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.agent = bytes32(uint256(99));
        Registration memory r = _with(c);
        (r.claims.agentId, r.claims.hardware) = (99, 0);
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(TestIdentity.NoAgent.selector, 99));
    }

    function test_register_refusesKeyOfOtherAgent() public {
        registerKey(ENCLAVE);
        identity.set(8, vm.addr(AGENT_OWNER));
        ClaimsBuffer.Claims memory c = bufferClaims(ENCLAVE);
        c.agent = bytes32(uint256(8));
        Registration memory r = _with(c);
        (r.claims.agentId, r.claims.hardware) = (8, 0);
        complete(r);
        _expectRefused(r, abi.encodeWithSelector(Keys.KeyOfOtherAgent.selector, key, AGENT));
    }

    function test_consentDigest_golden() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Jeju AttestedKeyRegistry"),
                keccak256("1"),
                8453,
                address(keys)
            )
        );
        bytes32 message = keccak256(abi.encode(keys.CONSENT_TYPE(), AGENT, 1, key, bytes32("claims"), 77, 0));
        bytes32 expected = keccak256(abi.encodePacked(hex"1901", domain, message));
        require(keys.consentDigest(AGENT, key, "claims", 77) == expected);
    }

    // ------------------------------------------------------------------ response check

    function test_checkSignature() public {
        registerKey(ENCLAVE);
        (address signer, uint256 agent) = _check(ENCLAVE);
        require(signer == key && agent == AGENT);
    }

    function test_checkSignature_refusesUnknownSigner() public {
        registerKey(ENCLAVE);
        bytes memory signature = sign(OTHER_ENCLAVE, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(Records.NotLive.selector, vm.addr(OTHER_ENCLAVE)));
        keys.checkSignature(DIGEST, signature);
    }

    /// Two signatures for one response would be two receipts.
    function test_checkSignature_refusesOtherForms() public {
        registerKey(ENCLAVE);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ENCLAVE, DIGEST);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes memory malformed = abi.encodeWithSelector(Keys.SignatureMalformed.selector);
        vm.expectRevert(malformed);
        keys.checkSignature(DIGEST, abi.encodePacked(r, bytes32(order - uint256(s)), 55 - v));
        vm.expectRevert(malformed);
        keys.checkSignature(DIGEST, abi.encodePacked(r, s));
        vm.expectRevert(malformed);
        keys.checkSignature(DIGEST, abi.encodePacked(r, s, v, uint8(0)));
        bytes memory nobody = abi.encodeWithSelector(Records.NotLive.selector, address(0));
        vm.expectRevert(nobody);
        keys.checkSignature(DIGEST, abi.encodePacked(r, s, v - 27));
        vm.expectRevert(nobody);
        keys.checkSignature(DIGEST, abi.encodePacked(r, bytes32(0), v));
        vm.expectRevert(nobody);
        keys.checkSignature(DIGEST, abi.encodePacked(bytes32(0), s, v));
        vm.expectRevert(nobody);
        keys.checkSignature(DIGEST, abi.encodePacked(bytes32(order), s, v));
    }

    function testFuzz_checkSignature_agreesWithTheSigner(uint256 enclave, bytes32 digest) public {
        enclave = 1 + enclave % (2 ** 255);
        registerKey(enclave);
        (address signer,) = keys.checkSignature(digest, sign(enclave, digest));
        require(signer == vm.addr(enclave));
    }

    // ------------------------------------------------------------------ death

    function test_unknownKey() public {
        require(!keys.isLive(key));
        vm.expectRevert(abi.encodeWithSelector(Records.UnknownKey.selector, key));
        keys.agentOf(key);
        (Records.Cause cause, uint64 since) = keys.causeOfDeath(key);
        require(cause == Records.Cause.Unknown && since == 0 && keys.custodyOf(key) == 0);
        vm.expectRevert(abi.encodeWithSelector(Records.NothingToRecord.selector, key));
        keys.recordDeath(key);
        vm.expectRevert(abi.encodeWithSelector(Records.NotLive.selector, key));
        keys.refresh(key);
    }

    function test_dies_byTime() public {
        registerKey(ENCLAVE);
        uint64 expiry = keys.recordOf(key).expiry;
        vm.warp(expiry - 1);
        require(keys.isLive(key));
        vm.warp(expiry + 50);
        _expectDead(Records.Cause.Expiry, expiry);
    }

    function test_dies_withMeasurement() public {
        registerKey(ENCLAVE);
        uint64 then = uint64(block.timestamp);
        vm.prank(REVOKER);
        measurements.revoke(MEASUREMENT);
        vm.warp(then + 50);
        _expectDead(Records.Cause.Measurement, then);
    }

    function test_dies_belowVersionFloor() public {
        registerKey(ENCLAVE);
        vm.prank(OWNER);
        measurements.raiseVersionFloor(6);
        vm.warp(block.timestamp + 50);
        _expectDead(Records.Cause.Measurement, uint64(block.timestamp));
    }

    function test_dies_withValidity() public {
        registerKey(ENCLAVE);
        uint64 end = uint64(block.timestamp) + 1 hours;
        vm.prank(OWNER);
        measurements.limitValidity(MEASUREMENT, end);
        require(keys.isLive(key));
        keys.refresh(key);
        require(keys.recordOf(key).expiry == end);
        registerKey(OTHER_ENCLAVE);
        vm.warp(end);
        require(!keys.isLive(vm.addr(OTHER_ENCLAVE)));
        _expectDead(Records.Cause.Measurement, end);
    }

    function test_dies_withValidityThatNobodyRefreshed() public {
        registerKey(ENCLAVE);
        uint64 end = uint64(block.timestamp) + 1 hours;
        vm.prank(OWNER);
        measurements.limitValidity(MEASUREMENT, end);
        vm.warp(end);
        _expectDead(Records.Cause.Measurement, end);
    }

    function test_dies_withHardware() public {
        registerKey(ENCLAVE);
        uint64 then = uint64(block.timestamp);
        vm.prank(REVOKER);
        hardware.revoke(AGENT, HARDWARE);
        vm.warp(then + 50);
        _expectDead(Records.Cause.Hardware, then);
    }

    function test_dies_withHardwareOfAll() public {
        registerKey(ENCLAVE);
        uint64 then = uint64(block.timestamp);
        vm.prank(REVOKER);
        hardware.revokeForAll(HARDWARE);
        vm.warp(then + 50);
        _expectDead(Records.Cause.Hardware, then);
    }

    function test_dies_withAgentsOwner() public {
        registerKey(ENCLAVE);
        identity.set(AGENT, STRANGER);
        vm.warp(block.timestamp + 50);
        _expectDead(Records.Cause.Agent, uint64(block.timestamp));
        identity.set(AGENT, vm.addr(AGENT_OWNER));
        require(!keys.isLive(key), "coming back doesn't revive it");
    }

    function test_dies_withTcb() public {
        change(keys, abi.encodeCall(keys.setWorstTcb, (TDX, 3)));
        Registration memory r = prepare(ENCLAVE);
        r.claims.tcbStatus = 2;
        complete(r);
        submit(r);
        vm.expectEmit(true, true, true, true, address(keys));
        emit Records.WorstTcbChanged(TDX, 2);
        vm.prank(OWNER);
        keys.raiseTcbFloor(TDX, 2);
        require(keys.isLive(key));
        vm.prank(REVOKER);
        keys.raiseTcbFloor(TDX, 1);
        _expectDead(Records.Cause.Tcb, uint64(block.timestamp));
    }

    function test_dies_withVerifier() public {
        registerKey(ENCLAVE);
        vm.expectEmit(true, true, true, true, address(keys));
        emit Records.VerifierChanged(TDX, IQuoteVerifier(address(0)), 1);
        vm.prank(REVOKER);
        keys.removeVerifier(TDX);
        _expectDead(Records.Cause.Verifier, uint64(block.timestamp));
        change(keys, abi.encodeCall(keys.setVerifier, (TDX, verifier)));
        require(!keys.isLive(key), "another verifier doesn't revive it");
        registerKey(ENCLAVE);
        require(keys.isLive(key));
    }

    function test_survivesAnotherVerifier() public {
        registerKey(ENCLAVE);
        change(keys, abi.encodeCall(keys.setVerifier, (TDX, new TestVerifier(STRANGER))));
        require(keys.isLive(key));
    }

    function test_revoke_byOwnerOperatorAndRevoker() public {
        address operator = address(0x0B);
        identity.setOperator(AGENT, operator);
        address[3] memory callers = [vm.addr(AGENT_OWNER), operator, REVOKER];
        for (uint256 i = 0; i < 3; i++) {
            address one = registerKey(ENCLAVE + i);
            uint64 then = uint64(block.timestamp);
            vm.expectEmit(true, true, true, true, address(keys));
            emit Records.KeyRevoked(one, AGENT, callers[i]);
            vm.prank(callers[i]);
            keys.revoke(one);
            vm.warp(then + 50);
            (Records.Cause cause, uint64 since) = keys.causeOfDeath(one);
            require(cause == Records.Cause.Revoked && since == then && !keys.isLive(one));
            vm.expectRevert(abi.encodeWithSelector(Records.KeyRevokedForGood.selector, one));
            vm.prank(callers[i]);
            keys.revoke(one);
            _expectRefused(prepare(ENCLAVE + i), abi.encodeWithSelector(Records.KeyRevokedForGood.selector, one));
        }
    }

    function test_revoke_refuses() public {
        vm.expectRevert(abi.encodeWithSelector(Records.UnknownKey.selector, key));
        vm.prank(REVOKER);
        keys.revoke(key);
        registerKey(ENCLAVE);
        vm.expectRevert(abi.encodeWithSelector(Records.NotAuthorized.selector, OWNER, AGENT));
        vm.prank(OWNER);
        keys.revoke(key);
    }

    /// Revoking a key late doesn't make receipts valid that it signed after it was dead.
    function test_revoke_keepsTimeOfDeath() public {
        registerKey(ENCLAVE);
        uint64 expiry = keys.recordOf(key).expiry;
        vm.warp(expiry + 1 days);
        vm.prank(REVOKER);
        keys.revoke(key);
        (, uint64 since) = keys.agentOf(key);
        require(since == expiry);
    }

    function test_recordDeath() public {
        registerKey(ENCLAVE);
        vm.expectRevert(abi.encodeWithSelector(Records.NothingToRecord.selector, key));
        keys.recordDeath(key);
        identity.set(AGENT, STRANGER);
        uint64 then = uint64(block.timestamp);
        vm.expectEmit(true, true, true, true, address(keys));
        emit Records.KeyDied(key, AGENT, Records.Cause.Agent, then);
        vm.prank(STRANGER);
        keys.recordDeath(key);
        vm.warp(then + 50);
        _expectDead(Records.Cause.Recorded, then);
        vm.expectRevert(abi.encodeWithSelector(Records.NothingToRecord.selector, key));
        keys.recordDeath(key);
        vm.expectRevert(abi.encodeWithSelector(Records.NotLive.selector, key));
        keys.refresh(key);
    }

    /// Nobody can keep a node from renewing by writing down that its key had expired.
    function test_recordDeath_leavesRenewal() public {
        registerKey(ENCLAVE);
        vm.warp(keys.recordOf(key).expiry);
        keys.recordDeath(key);
        registerKey(ENCLAVE);
        require(keys.isLive(key) && keys.recordOf(key).deadSince == 0);
    }

    /// Firmware that was refused and is accepted again: a recorded death stays one until the key is registered anew.
    function test_recordDeath_outlivesItsCause() public {
        change(keys, abi.encodeCall(keys.setWorstTcb, (TDX, 1)));
        Registration memory r = prepare(ENCLAVE);
        r.claims.tcbStatus = 1;
        complete(r);
        submit(r);
        vm.prank(REVOKER);
        keys.raiseTcbFloor(TDX, 0);
        keys.recordDeath(key);
        change(keys, abi.encodeCall(keys.setWorstTcb, (TDX, 1)));
        require(!keys.isLive(key));
    }

    // ------------------------------------------------------------------ rules

    function test_setVerifier_refuses() public {
        _onlyOwner(abi.encodeCall(keys.setVerifier, (TDX, verifier)));
        IQuoteVerifier none = IQuoteVerifier(STRANGER);
        _announce(keys, abi.encodeCall(keys.setVerifier, (TDX, none)));
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Records.NotAContract.selector, STRANGER));
        vm.prank(OWNER);
        keys.setVerifier(TDX, none);
    }

    function test_removeVerifier_refuses() public {
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, OWNER));
        vm.prank(OWNER);
        keys.removeVerifier(TDX);
        vm.expectRevert(abi.encodeWithSelector(Records.NoVerifierSet.selector, 2));
        vm.prank(REVOKER);
        keys.removeVerifier(2);
    }

    function test_raiseTcbFloor_refuses() public {
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, STRANGER));
        vm.prank(STRANGER);
        keys.raiseTcbFloor(TDX, 0);
        vm.expectRevert(abi.encodeWithSelector(Records.TcbNotRaised.selector, 0, 0));
        vm.prank(REVOKER);
        keys.raiseTcbFloor(TDX, 0);
    }

    function test_rules_waitAndAreTheOwners() public {
        _onlyOwner(abi.encodeCall(keys.setWorstTcb, (TDX, 1)));
        _onlyOwner(abi.encodeCall(keys.setHardwareRequired, (TDX, true)));
        _onlyOwner(abi.encodeCall(keys.setMaxLifetime, (1 hours)));
    }

    function test_setMaxLifetime_bounds() public {
        uint32[2] memory wrong = [uint32(1 hours) - 1, uint32(7 days) + 1];
        for (uint256 i = 0; i < 2; i++) {
            _announce(keys, abi.encodeCall(keys.setMaxLifetime, (wrong[i])));
            vm.warp(block.timestamp + DELAY);
            vm.expectRevert(
                abi.encodeWithSelector(Records.LifetimeOutOfRange.selector, wrong[i], uint32(1 hours), uint32(7 days))
            );
            vm.prank(OWNER);
            keys.setMaxLifetime(wrong[i]);
        }
        change(keys, abi.encodeCall(keys.setMaxLifetime, (1 hours)));
        Registration memory r = prepare(ENCLAVE);
        uint64 latest = uint64(block.timestamp) + 1 hours;
        _expectRefused(r, abi.encodeWithSelector(Keys.ExpiryTooFar.selector, r.claims.expiry, latest));
    }

    function test_sourcesOnly() public {
        vm.expectRevert(abi.encodeWithSelector(Records.NotASource.selector, STRANGER));
        vm.prank(STRANGER);
        keys.trustChanged();
        vm.expectRevert(abi.encodeWithSelector(Records.NotASource.selector, address(measurements)));
        vm.prank(address(measurements));
        keys.agentMoved(AGENT, 9);
    }

    // ------------------------------------------------------------------ ERC-8004

    function test_validate() public {
        registerKey(ENCLAVE);
        validation.request(REQUEST, address(keys), AGENT);
        vm.expectEmit(true, true, true, true, address(keys));
        emit Keys.ValidationReported(REQUEST, key, 100);
        vm.prank(STRANGER);
        keys.validate(REQUEST, key);
        _expectStatus(100);
        vm.expectRevert(abi.encodeWithSelector(Keys.NothingToReport.selector, REQUEST));
        keys.reportValidation(REQUEST);
        vm.expectRevert(abi.encodeWithSelector(Keys.AlreadyAnswered.selector, REQUEST, key));
        keys.validate(REQUEST, key);

        vm.prank(REVOKER);
        keys.revoke(key);
        vm.expectEmit(true, true, true, true, address(keys));
        emit Keys.ValidationReported(REQUEST, key, 0);
        vm.prank(STRANGER);
        keys.reportValidation(REQUEST);
        _expectStatus(0);

        registerKey(OTHER_ENCLAVE);
        keys.validate(REQUEST, vm.addr(OTHER_ENCLAVE));
        _expectStatus(100);
    }

    function test_validate_refuses() public {
        validation.request(REQUEST, address(keys), AGENT);
        vm.expectRevert(abi.encodeWithSelector(Records.NotLive.selector, key));
        keys.validate(REQUEST, key);
        vm.expectRevert(abi.encodeWithSelector(Keys.NothingToReport.selector, REQUEST));
        keys.reportValidation(REQUEST);
        registerKey(ENCLAVE);
        validation.request("other agent", address(keys), 8);
        vm.expectRevert(abi.encodeWithSelector(Keys.OtherRequest.selector, bytes32("other agent"), address(keys), 8));
        keys.validate("other agent", key);
        validation.request("other validator", STRANGER, AGENT);
        vm.expectRevert(abi.encodeWithSelector(Keys.OtherRequest.selector, bytes32("other validator"), STRANGER, AGENT));
        keys.validate("other validator", key);
    }

    function test_validate_refusesWithoutRegistry() public {
        Keys alone = new Keys(OWNER, REVOKER, DELAY, measurements, hardware, IValidation(address(0)));
        vm.expectRevert(Keys.NoValidation.selector);
        alone.validate(REQUEST, key);
    }

    function test_validate_tags() public {
        vm.chainId(31337);
        string[3] memory tags = ["sev-snp", "nitro", "simulated"];
        uint8[3] memory platforms = [2, 3, 255];
        for (uint256 i = 0; i < 3; i++) {
            bytes32 id = bytes32(uint256(platforms[i]));
            vm.prank(OWNER);
            measurements.propose(id, RELEASE, 5, platforms[i], 0, 0);
            change(keys, abi.encodeCall(keys.setVerifier, (platforms[i], verifier)));
            stateRebuild(REBUILDER, id, RELEASE);
            vm.prank(OWNER);
            measurements.activate(id);
            Registration memory r = prepare(ENCLAVE + i);
            (r.claims.platform, r.claims.measurement, r.claims.hardware) = (platforms[i], id, 0);
            complete(r);
            submit(r);
            validation.request(id, address(keys), AGENT);
            keys.validate(id, vm.addr(ENCLAVE + i));
            (,,,, string memory tag,) = validation.getValidationStatus(id);
            require(keccak256(bytes(tag)) == keccak256(bytes(tags[i])));
        }
    }

    // ------------------------------------------------------------------ steps

    function submitOutside(Registration calldata r) external {
        keys.register(r.claims, r.buffer, r.proof, r.consent);
    }

    function _with(ClaimsBuffer.Claims memory c) private returns (Registration memory r) {
        r = prepare(ENCLAVE);
        r.buffer = ClaimsEncoder.encode(c);
        r.claims.claimsDigest = sha256(r.buffer);
        complete(r);
    }

    function _check(uint256 enclave) private view returns (address, uint256) {
        return keys.checkSignature(DIGEST, sign(enclave, DIGEST));
    }

    function _expectRefused(Registration memory r, bytes memory reason) private {
        vm.expectRevert(reason);
        submit(r);
    }

    function _expectMismatch(ClaimsBuffer.Claims memory c, bytes32 claim, bytes32 claimed, bytes32 found) private {
        _expectRefused(_with(c), abi.encodeWithSelector(Keys.ClaimMismatch.selector, claim, claimed, found));
    }

    function _expectDead(Records.Cause expected, uint64 expectedSince) private {
        (Records.Cause cause, uint64 since) = keys.causeOfDeath(key);
        require(cause == expected, "cause");
        require(since == expectedSince, "since");
        require(!keys.isLive(key) && keys.custodyOf(key) == 0, "live");
        (uint256 agent, uint64 deadSince) = keys.agentOf(key);
        require(agent == AGENT && deadSince == expectedSince);
        bytes memory signature = sign(ENCLAVE, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(Records.NotLive.selector, key));
        keys.checkSignature(DIGEST, signature);
    }

    function _onlyOwner(bytes memory call) private {
        vm.prank(STRANGER);
        (bool success, bytes memory reason) = address(keys).call(call);
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER);
        require(!success && keccak256(reason) == keccak256(refused));
        vm.prank(OWNER);
        (success, reason) = address(keys).call(call);
        refused = abi.encodeWithSelector(Governed.NotAnnounced.selector, keccak256(call));
        require(!success && keccak256(reason) == keccak256(refused));
    }

    function _expectStatus(uint8 expected) private view {
        (,, uint8 response, bytes32 hash, string memory tag,) = validation.getValidationStatus(REQUEST);
        require(response == expected && hash == MEASUREMENT && keccak256(bytes(tag)) == keccak256("tdx"));
    }

    function _word(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}

/// The registries have to be asked each time.
contract AttestedKeysAskTest is AttestedKeyRegistryTest {
    function test_connect_refusesWithoutPromise() public {
        vm.expectRevert(Records.NothingToConnect.selector);
        keys.connect();
        require(keys.connected() == 0);
    }

    /// What was taken away before a registry promised to tell was told to nobody.
    function test_connect_looksAtEveryKeyAgain() public {
        registerKey(ENCLAVE);
        vm.prank(REVOKER);
        measurements.revoke(MEASUREMENT);
        connect();
        require(!keys.isLive(key) && keys.connected() == 7);
    }

    function test_connect_looksAtMovedAgentsAgain() public {
        registerKey(ENCLAVE);
        identity.set(AGENT, STRANGER);
        connect();
        require(!keys.isLive(key));
    }

    function test_connect_oneByOne() public {
        identity.setObserver(keys);
        vm.expectEmit(true, true, true, true, address(keys));
        emit Records.SourcesConnected(4);
        keys.connect();
        registerKey(ENCLAVE);
        require(keys.isLive(key));
        vm.prank(REVOKER);
        hardware.revoke(AGENT, HARDWARE);
        require(!keys.isLive(key));
    }
}

/// The registries tell.
contract AttestedKeysToldTest is AttestedKeyRegistryTest {
    function setUp() public override {
        super.setUp();
        connect();
    }

    function test_connect_onlyOnce() public {
        vm.expectRevert(Records.NothingToConnect.selector);
        keys.connect();
    }

    function test_epochCountsWhatIsTakenAway() public {
        registerKey(ENCLAVE);
        uint48 epoch = keys.trustEpoch();
        vm.expectEmit(true, true, true, true, address(keys));
        emit Records.TrustChanged(epoch + 1, address(hardware));
        vm.prank(REVOKER);
        hardware.revokeForAll("other");
        require(keys.recordOf(key).seenEpoch == epoch && keys.isLive(key));
        vm.expectEmit(true, true, true, true, address(keys));
        emit Records.KeyRefreshed(key, epoch + 1, keys.recordOf(key).expiry);
        keys.refresh(key);
        require(keys.recordOf(key).seenEpoch == epoch + 1 && keys.isLive(key));
    }

    /// Anybody can move his own agents as often as he likes; others' keys must not become dear to check.
    function test_movingAgentsTouchesNoOtherKey() public {
        registerKey(ENCLAVE);
        uint48 epoch = keys.trustEpoch();
        for (uint256 i = 0; i < 5; i++) {
            identity.set(1000, STRANGER);
        }
        require(keys.trustEpoch() == epoch && keys.isLive(key));
    }
}

/// Measurements and machines tell, agents don't: their registry has no word for it.
contract AttestedKeysAgentsAskTest is AttestedKeyRegistryTest {
    function setUp() public override {
        super.setUp();
        change(measurements, abi.encodeCall(measurements.addObserver, (address(keys))));
        change(hardware, abi.encodeCall(hardware.addObserver, (address(keys))));
        keys.connect();
        require(keys.connected() == 3);
    }
}
// forge-lint: disable-end(block-timestamp, unsafe-typecast)
