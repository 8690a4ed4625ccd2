// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IQuoteVerifier, QuoteClaims} from "../interfaces/ITrust.sol";
import {Frost} from "./Frost.sol";
import {Revocable} from "./Revocable.sol";

/// @title FrostVerifier
/// @notice Verifies quotes of any platform by a committee: its members verify the quote off chain, each for itself, and
/// t of n of them sign what it says with their FROST key, which comes of a key generation of its own and signs nothing else.
/// @dev The signature is over EIP-712 `QuoteClaims` with the domain {"Jeju Quote Verifier", "1", chain id, this contract}, so
/// one made for another chain or another verifier says nothing here. It vouches for the quote alone: whether the measurement
/// is acceptable, the hardware allowed and the agent willing is for `AttestedKeyRegistry` and its registries to say.
///
/// The owner proposes the committee's next key, waits and accepts it; the revoker ends a key at once, and then nothing
/// verifies until another key has come through the timelock. What an accepted key signed stops verifying with the next.
contract FrostVerifier is IQuoteVerifier, EIP712, Revocable {
    address private _revoker;

    /// @notice EIP-712 type of what the committee signs.
    bytes32 public constant QUOTE_CLAIMS_TYPEHASH = keccak256(
        "QuoteClaims(uint8 platform,bytes32 measurement,bytes32 hardware,uint256 agentId,bytes32 claimsDigest,bytes32 launchDigest,address key,uint8 tcbStatus,uint64 expiry)"
    );

    /// @notice x of the committee's key; zero if there is none.
    uint256 public keyX;
    /// @notice Parity of its y.
    uint8 public keyParity;
    /// @notice Counts the keys that were accepted or revoked.
    uint64 public keyEpoch;

    /// @notice Parity of the proposed key's y.
    uint8 public proposedParity;
    /// @notice Unix seconds from which the proposed key may be accepted.
    uint64 public proposedReadyAt;
    /// @notice x of the proposed key; zero if there is none.
    uint256 public proposedX;

    /// @notice Whether keys with this x were revoked. Of both parities: who knows the secret of one knows the other's.
    mapping(uint256 px => bool) public isRevoked;

    /// @notice A key waits for its timelock.
    event KeyProposed(uint256 indexed px, uint8 parity, uint64 readyAt);
    /// @notice The owner took a proposal back.
    event ProposalWithdrawn(uint256 indexed px);
    /// @notice Only signatures of this key verify from now on.
    event KeyAccepted(uint256 indexed px, uint8 parity, uint64 keyEpoch);
    /// @notice The key is refused for good.
    event KeyRevoked(uint256 indexed px, address indexed by, uint64 keyEpoch);

    /// @notice Not the x and parity of a key that `Frost` can check.
    error InvalidPublicKey(uint256 px, uint8 parity);
    /// @notice The key was revoked.
    error RevokedKey(uint256 px);
    /// @notice The key is neither the committee's nor proposed.
    error UnknownKey(uint256 px);
    /// @notice No key is proposed.
    error NothingProposed();
    /// @notice The committee's key was revoked and none has followed.
    error NoKey();
    /// @notice The quote expired.
    error QuoteExpired(uint64 expiry);
    /// @notice Not the committee's signature of these claims.
    error InvalidSignature();

    /// @param owner_ Governance.
    /// @param revoker_ The account that may revoke; not the owner.
    /// @param minDelay_ Timelock in seconds, at least `MIN_PUBLIC_DELAY` unless the chain is a local one.
    /// @param px x of the committee's key.
    /// @param parity 0 if its y is even, 1 if odd.
    constructor(address owner_, address revoker_, uint64 minDelay_, uint256 px, uint8 parity)
        EIP712("Jeju Quote Verifier", "1")
        Revocable(owner_, revoker_, minDelay_)
    {
        if (!Frost.isValidPublicKey(px, parity)) revert InvalidPublicKey(px, parity);
        keyX = px;
        keyParity = parity;
        keyEpoch = 1;
        emit KeyAccepted(px, parity, 1);
    }

    // ------------------------------------------------------------------ verifying

    /// @inheritdoc IQuoteVerifier
    /// @dev `proof` is the committee's signature, 65 or 96 bytes (see `Frost`).
    function verifyQuote(QuoteClaims calldata claims, bytes calldata proof) external view {
        uint256 px = keyX;
        if (px == 0) revert NoKey();
        if (_now() > claims.expiry) revert QuoteExpired(claims.expiry);
        if (!Frost.verify(digestOf(claims), px, keyParity, proof)) revert InvalidSignature();
    }

    /// @notice What the committee signs: the EIP-712 digest of the claims.
    /// @param claims What the quote says.
    /// @dev As `keccak256(abi.encode(QUOTE_CLAIMS_TYPEHASH, claims))`, whose nine words lie in the call as they are hashed. A word
    /// that is too large for its field, which `abi.encode` refuses, has a digest that nobody signed.
    function digestOf(QuoteClaims calldata claims) public view returns (bytes32) {
        bytes32 typeHash = QUOTE_CLAIMS_TYPEHASH;
        bytes32 hash;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 0x20), claims, 0x120)
            hash := keccak256(free, 0x140)
        }
        return _hashTypedDataV4(hash);
    }

    // ------------------------------------------------------------------ the committee's key

    /// @notice Announces the committee's next key, in the place of any that was proposed before.
    /// @param px x of the key.
    /// @param parity 0 if its y is even, 1 if odd.
    function proposeKey(uint256 px, uint8 parity) external onlyOwner {
        if (!Frost.isValidPublicKey(px, parity)) revert InvalidPublicKey(px, parity);
        if (isRevoked[px]) revert RevokedKey(px);
        proposedX = px;
        proposedParity = parity;
        proposedReadyAt = _now() + minDelay;
        emit KeyProposed(px, parity, proposedReadyAt);
    }

    /// @notice Takes the proposed key back.
    function withdrawProposal() external onlyOwner {
        if (proposedX == 0) revert NothingProposed();
        emit ProposalWithdrawn(proposedX);
        _clearProposal();
    }

    /// @notice Makes the proposed key the committee's, once its timelock has run out.
    function acceptKey() external onlyOwner {
        if (proposedX == 0) revert NothingProposed();
        if (_now() < proposedReadyAt) revert TooEarly(proposedReadyAt);
        keyX = proposedX;
        keyParity = proposedParity;
        emit KeyAccepted(keyX, keyParity, ++keyEpoch);
        _clearProposal();
    }

    /// @notice Ends a key at once and for good: the committee's, after which nothing verifies, or the proposed one.
    /// @param px x of the key.
    function revokeKey(uint256 px) external onlyRevoker {
        bool current = px == keyX;
        bool proposed = px == proposedX;
        if (px == 0 || (!current && !proposed)) revert UnknownKey(px);
        isRevoked[px] = true;
        if (current) keyX = 0;
        if (proposed) _clearProposal();
        emit KeyRevoked(px, msg.sender, ++keyEpoch);
    }

    function _clearProposal() private {
        proposedX = 0;
        proposedParity = 0;
        proposedReadyAt = 0;
    }

    /// @inheritdoc Revocable
    function revoker() public view override returns (address) {
        return _revoker;
    }

    /// @inheritdoc Revocable
    function _setRevoker(address account) internal override {
        _revoker = account;
    }
}
