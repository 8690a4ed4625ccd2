// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IQuoteVerifier, Platform, QuoteClaims} from "../src/interfaces/ITrust.sol";
import {FrostVerifier} from "../src/trust/FrostVerifier.sol";
import {Frost} from "../src/trust/Frost.sol";
import {Revocable} from "../src/trust/Revocable.sol";
import {RevocableTests} from "./RevocableTests.sol";

contract FrostVerifierTest is RevocableTests {
    uint256 constant SECRET = 0xc0ffee;
    uint256 constant NEXT = 0xdecaf;

    FrostVerifier verifier;
    uint256 px;
    uint8 parity;
    uint256 nextX;
    uint8 nextParity;

    function setUp() public {
        vm.warp(START);
        (px, parity) = groupKey(SECRET);
        (nextX, nextParity) = groupKey(NEXT);
        verifier = new FrostVerifier(OWNER, REVOKER, DELAY, px, parity);
    }

    function make(address owner, address revoker, uint64 delay) internal override returns (Revocable) {
        return new FrostVerifier(owner, revoker, delay, px, parity);
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public view {
        require(verifier.keyX() == px && verifier.keyParity() == parity && verifier.keyEpoch() == 1);
        require(verifier.proposedX() == 0 && verifier.proposedReadyAt() == 0);
    }

    function test_constructor_refusesInvalidKey() public {
        vm.expectRevert(abi.encodeWithSelector(FrostVerifier.InvalidPublicKey.selector, 5, 0));
        new FrostVerifier(OWNER, REVOKER, DELAY, 5, 0);
        vm.expectRevert(abi.encodeWithSelector(FrostVerifier.InvalidPublicKey.selector, px, 2));
        new FrostVerifier(OWNER, REVOKER, DELAY, px, 2);
        vm.expectRevert(abi.encodeWithSelector(FrostVerifier.InvalidPublicKey.selector, Frost.N + 1, 0));
        new FrostVerifier(OWNER, REVOKER, DELAY, Frost.N + 1, 0);
    }

    // ------------------------------------------------------------------ verifyQuote

    function test_verifyQuote() public {
        QuoteClaims memory claims = _claims();
        verifier.verifyQuote(claims, frost(SECRET, _digest(claims)));
        verifier.verifyQuote(claims, frostLong(SECRET, _digest(claims)));
    }

    function test_digestOf_isEip712() public view {
        QuoteClaims memory claims = _claims();
        require(verifier.digestOf(claims) == _digest(claims));
        require(
            verifier.QUOTE_CLAIMS_TYPEHASH()
                == keccak256(
                    "QuoteClaims(uint8 platform,bytes32 measurement,bytes32 hardware,uint256 agentId,bytes32 claimsDigest,bytes32 launchDigest,address key,uint8 tcbStatus,uint64 expiry)"
                )
        );
    }

    /// A signature says what was signed and nothing else: each field changed alone is refused.
    function testFuzz_verifyQuote_bindsEveryField(uint8 field, uint256 by) public {
        QuoteClaims memory claims = _claims();
        bytes memory proof = frost(SECRET, _digest(claims));
        field %= 9;
        bytes32 change = bytes32(by | 1);
        // Truncation is wanted: any other value does.
        // forge-lint: disable-start(unsafe-typecast)
        if (field == 0) claims.platform ^= uint8(by) | 1;
        if (field == 1) claims.measurement ^= change;
        if (field == 2) claims.hardware ^= change;
        if (field == 3) claims.agentId ^= by | 1;
        if (field == 4) claims.claimsDigest ^= change;
        if (field == 5) claims.launchDigest ^= change;
        if (field == 6) claims.key = address(uint160(claims.key) ^ uint160(by | 1));
        if (field == 7) claims.tcbStatus ^= uint8(by) | 1;
        if (field == 8) claims.expiry += 1 + uint64(by % 365 days);
        // forge-lint: disable-end(unsafe-typecast)
        vm.expectRevert(FrostVerifier.InvalidSignature.selector);
        verifier.verifyQuote(claims, proof);
    }

    /// Bits above a field belong to no claim that anybody signed.
    function test_verifyQuote_refusesWordsTooLargeForTheirFields() public {
        QuoteClaims memory claims = _claims();
        bytes memory call = abi.encodeCall(verifier.verifyQuote, (claims, frost(SECRET, _digest(claims))));
        (bool success,) = address(verifier).staticcall(call);
        require(success);
        // Platform, key, TCB status and expiry; the byte above each.
        uint256[4] memory dirty = [uint256(30), 6 * 32 + 11, 7 * 32 + 30, 8 * 32 + 23];
        for (uint256 i = 0; i < dirty.length; i++) {
            call[4 + dirty[i]] ^= 0x01;
            (success,) = address(verifier).staticcall(call);
            require(!success, "taken");
            call[4 + dirty[i]] ^= 0x01;
        }
    }

    function test_verifyQuote_refusesOtherChain() public {
        QuoteClaims memory claims = _claims();
        bytes memory proof = frost(SECRET, _digest(claims));
        vm.chainId(1);
        vm.expectRevert(FrostVerifier.InvalidSignature.selector);
        verifier.verifyQuote(claims, proof);
    }

    function test_verifyQuote_refusesOtherVerifier() public {
        QuoteClaims memory claims = _claims();
        FrostVerifier other = new FrostVerifier(OWNER, REVOKER, DELAY, px, parity);
        bytes memory proof = frost(SECRET, _digest(claims));
        vm.expectRevert(FrostVerifier.InvalidSignature.selector);
        other.verifyQuote(claims, proof);
    }

    function test_verifyQuote_refusesOtherKeyAndNoProof() public {
        QuoteClaims memory claims = _claims();
        bytes memory proof = frost(NEXT, _digest(claims));
        vm.expectRevert(FrostVerifier.InvalidSignature.selector);
        verifier.verifyQuote(claims, proof);
        vm.expectRevert(FrostVerifier.InvalidSignature.selector);
        verifier.verifyQuote(claims, "");
    }

    function test_verifyQuote_refusesExpired() public {
        QuoteClaims memory claims = _claims();
        bytes memory proof = frost(SECRET, _digest(claims));
        vm.warp(claims.expiry);
        verifier.verifyQuote(claims, proof);
        vm.warp(claims.expiry + 1);
        vm.expectRevert(abi.encodeWithSelector(FrostVerifier.QuoteExpired.selector, claims.expiry));
        verifier.verifyQuote(claims, proof);
    }

    // ------------------------------------------------------------------ rotation

    function test_key_isReplacedAfterTheDelay() public {
        vm.expectEmit(true, true, true, true, address(verifier));
        emit FrostVerifier.KeyProposed(nextX, nextParity, START + DELAY);
        _propose();
        require(verifier.proposedX() == nextX && verifier.proposedParity() == nextParity);

        QuoteClaims memory claims = _claims();
        bytes memory old = frost(SECRET, _digest(claims));
        bytes memory new_ = frost(NEXT, _digest(claims));
        verifier.verifyQuote(claims, old);
        vm.expectRevert(FrostVerifier.InvalidSignature.selector);
        verifier.verifyQuote(claims, new_);

        vm.warp(START + DELAY);
        vm.expectEmit(true, true, true, true, address(verifier));
        emit FrostVerifier.KeyAccepted(nextX, nextParity, 2);
        vm.prank(OWNER);
        verifier.acceptKey();
        verifier.verifyQuote(claims, new_);
        vm.expectRevert(FrostVerifier.InvalidSignature.selector);
        verifier.verifyQuote(claims, old);
        require(verifier.proposedX() == 0 && verifier.proposedReadyAt() == 0);
    }

    function testFuzz_acceptKey_neverBeforeTheDelay(uint64 waited) public {
        _propose();
        vm.warp(START + waited % DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, START + DELAY));
        vm.prank(OWNER);
        verifier.acceptKey();
    }

    function test_proposeKey_startsTheDelayAgain() public {
        _propose();
        vm.warp(START + DELAY);
        _propose();
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, START + 2 * DELAY));
        vm.prank(OWNER);
        verifier.acceptKey();
    }

    function test_proposeKey_refusesInvalidKey() public {
        vm.expectRevert(abi.encodeWithSelector(FrostVerifier.InvalidPublicKey.selector, 5, 1));
        vm.prank(OWNER);
        verifier.proposeKey(5, 1);
    }

    /// Of both parities: the negated key has the negated secret.
    function test_proposeKey_refusesRevokedKey() public {
        vm.prank(REVOKER);
        verifier.revokeKey(px);
        for (uint8 bit = 0; bit < 2; bit++) {
            vm.expectRevert(abi.encodeWithSelector(FrostVerifier.RevokedKey.selector, px));
            vm.prank(OWNER);
            verifier.proposeKey(px, bit);
        }
    }

    function test_withdrawProposal() public {
        _propose();
        vm.expectEmit(true, true, true, true, address(verifier));
        emit FrostVerifier.ProposalWithdrawn(nextX);
        vm.prank(OWNER);
        verifier.withdrawProposal();
        vm.warp(START + DELAY);
        vm.expectRevert(FrostVerifier.NothingProposed.selector);
        vm.prank(OWNER);
        verifier.acceptKey();
        vm.expectRevert(FrostVerifier.NothingProposed.selector);
        vm.prank(OWNER);
        verifier.withdrawProposal();
    }

    function testFuzz_rotation_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        bytes memory refusal = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        vm.expectRevert(refusal);
        vm.prank(caller);
        verifier.proposeKey(nextX, nextParity);
        _propose();
        vm.warp(START + DELAY);
        vm.expectRevert(refusal);
        vm.prank(caller);
        verifier.acceptKey();
        vm.expectRevert(refusal);
        vm.prank(caller);
        verifier.withdrawProposal();
    }

    // ------------------------------------------------------------------ revocation

    function test_revokeKey_endsAtOnce() public {
        QuoteClaims memory claims = _claims();
        bytes memory proof = frost(SECRET, _digest(claims));
        vm.expectEmit(true, true, true, true, address(verifier));
        emit FrostVerifier.KeyRevoked(px, REVOKER, 2);
        vm.prank(REVOKER);
        verifier.revokeKey(px);
        vm.expectRevert(FrostVerifier.NoKey.selector);
        verifier.verifyQuote(claims, proof);

        // Until another key came through the timelock.
        _propose();
        vm.warp(START + DELAY);
        vm.prank(OWNER);
        verifier.acceptKey();
        verifier.verifyQuote(claims, frost(NEXT, _digest(claims)));
    }

    function test_revokeKey_vetoesAProposal() public {
        _propose();
        vm.prank(REVOKER);
        verifier.revokeKey(nextX);
        require(verifier.keyX() == px && verifier.isRevoked(nextX) && !verifier.isRevoked(px));
        vm.warp(START + DELAY);
        vm.expectRevert(FrostVerifier.NothingProposed.selector);
        vm.prank(OWNER);
        verifier.acceptKey();
    }

    function test_revokeKey_endsKeyAndProposalOfOneSecret() public {
        vm.prank(OWNER);
        verifier.proposeKey(px, 1 - parity);
        vm.prank(REVOKER);
        verifier.revokeKey(px);
        require(verifier.keyX() == 0 && verifier.proposedX() == 0);
    }

    function test_revokeKey_refusesUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(FrostVerifier.UnknownKey.selector, nextX));
        vm.prank(REVOKER);
        verifier.revokeKey(nextX);
        vm.expectRevert(abi.encodeWithSelector(FrostVerifier.UnknownKey.selector, 0));
        vm.prank(REVOKER);
        verifier.revokeKey(0);
    }

    function testFuzz_revokeKey_onlyRevoker(address caller) public {
        vm.assume(caller != REVOKER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, caller));
        vm.prank(caller);
        verifier.revokeKey(px);
    }

    // ------------------------------------------------------------------ steps

    function _propose() private {
        vm.prank(OWNER);
        verifier.proposeKey(nextX, nextParity);
    }

    function _claims() private pure returns (QuoteClaims memory) {
        return QuoteClaims({
            platform: Platform.SEV_SNP,
            measurement: keccak256("measurement"),
            hardware: keccak256("hardware"),
            agentId: 7,
            claimsDigest: sha256("claims"),
            launchDigest: sha256("launch"),
            key: address(0xE0),
            tcbStatus: 1,
            expiry: START + 5 days
        });
    }

    function _digest(QuoteClaims memory c) private view returns (bytes32) {
        bytes memory head =
            abi.encode(verifier.QUOTE_CLAIMS_TYPEHASH(), c.platform, c.measurement, c.hardware, c.agentId);
        bytes memory tail = abi.encode(c.claimsDigest, c.launchDigest, c.key, c.tcbStatus, c.expiry);
        return typed("Jeju Quote Verifier", address(verifier), keccak256(bytes.concat(head, tail)));
    }
}
