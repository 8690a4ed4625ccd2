// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {QuoteClaims} from "../src/interfaces/ITrust.sol";
import {FrostVerifier} from "../src/trust/FrostVerifier.sol";
import {FrostSigner} from "./FrostSigner.sol";

/// Calls the verifier as owner, revoker or anyone, at any time, with keys of a dozen secrets.
contract VerifierActor is FrostSigner {
    FrostVerifier public immutable verifier;
    uint256 public constant SECRETS = 12;
    address[3] public accounts = [address(0xA0), address(0xB0), address(0xC0)];

    mapping(uint256 px => uint256) public proposedAt;
    mapping(uint256 px => uint256) public acceptedAt;
    mapping(uint256 px => bool) public revoked;
    uint64 public changes;

    constructor() {
        (uint256 px, uint8 parity) = groupKey(1);
        verifier = new FrostVerifier(accounts[0], accounts[1], 48 hours, px, parity);
    }

    /// To about the end of a proposal's timelock, if one runs.
    function wait(uint32 delay) external {
        uint256 readyAt = verifier.proposedReadyAt();
        // forge-lint: disable-next-line(block-timestamp)
        if (delay % 2 == 0 && readyAt > block.timestamp + 1 hours) vm.warp(readyAt - 1 + delay % 3);
        else vm.warp(block.timestamp + delay % 1 days);
    }

    function propose(uint8 who, uint8 which, bool negated) external {
        // Seldom while one waits, else none would come to its end.
        if (verifier.proposedX() != 0 && which < 200) return;
        (uint256 px, uint8 parity) = groupKey(1 + which % SECRETS);
        vm.prank(_caller(who));
        verifier.proposeKey(px, negated ? 1 - parity : parity);
        proposedAt[px] = block.timestamp;
    }

    function withdraw(uint8 who) external {
        if (who % 4 != 0) return;
        vm.prank(_caller(who));
        verifier.withdrawProposal();
    }

    function accept(uint8 who) external {
        vm.prank(_caller(who));
        verifier.acceptKey();
        acceptedAt[verifier.keyX()] = block.timestamp;
        changes++;
    }

    function revoke(uint8 who, uint8 which) external {
        if (who % 8 != 0) return;
        (uint256 px,) = groupKey(1 + which % SECRETS);
        vm.prank(_caller(who));
        verifier.revokeKey(px);
        revoked[px] = true;
        changes++;
    }

    function _caller(uint8 who) private view returns (address) {
        if (who < 100) return verifier.owner();
        if (who < 200) return verifier.revoker();
        return accounts[who % 3];
    }
}

contract FrostVerifierInvariant is FrostSigner {
    VerifierActor actor;
    FrostVerifier verifier;
    QuoteClaims claims;
    uint256[] keys;
    uint8[] parities;
    bytes[] proofs;

    function setUp() public {
        vm.warp(1_800_000_000);
        actor = new VerifierActor();
        verifier = actor.verifier();
        claims.expiry = type(uint64).max;
        for (uint256 secret = 1; secret <= actor.SECRETS(); secret++) {
            (uint256 px, uint8 parity) = groupKey(secret);
            keys.push(px);
            parities.push(parity);
            proofs.push(frost(secret, verifier.digestOf(claims)));
        }
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function invariant_revokedKeyIsNeitherInUseNorProposed() public view {
        for (uint256 i = 0; i < keys.length; i++) {
            if (!actor.revoked(keys[i])) continue;
            require(verifier.keyX() != keys[i] && verifier.proposedX() != keys[i] && verifier.isRevoked(keys[i]));
        }
    }

    function invariant_timelockIsNeverSkipped() public view {
        uint256 px = verifier.keyX();
        if (px == 0 || (px == keys[0] && actor.acceptedAt(px) == 0)) return;
        require(actor.proposedAt(px) != 0);
        // A key that is in use may be proposed anew: then it was accepted before.
        require(
            actor.acceptedAt(px) >= actor.proposedAt(px) + verifier.minDelay()
                || (actor.acceptedAt(px) != 0 && actor.proposedAt(px) >= actor.acceptedAt(px))
        );
    }

    function invariant_onlyTheKeyInUseVerifies() public view {
        for (uint256 i = 0; i < keys.length; i++) {
            bool verifies;
            try verifier.verifyQuote(claims, proofs[i]) {
                verifies = true;
            } catch {}
            require(verifies == (keys[i] == verifier.keyX() && parities[i] == verifier.keyParity()));
        }
    }

    function invariant_everyChangeMovesTheEpoch() public view {
        require(verifier.keyEpoch() == 1 + actor.changes());
    }
}
