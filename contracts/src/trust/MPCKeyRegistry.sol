// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Frost} from "./Frost.sol";
import {MPCKeyPolicies} from "./MPCKeyPolicies.sol";
import {Revocable} from "./Revocable.sol";

/// @title MPCKeyRegistry
/// @notice Keys that the MPC network holds in shares: who owns each, which members hold it, who may use it. Members look here
/// before they sign; no ether and no stake lies here (stake: `ComputeStaking`).
/// @dev A key id starts with the account that may register it, so nobody takes an id away by being first. The group proves
/// that it holds the key by signing the first configuration.
///
/// Configurations of a key are a hash chain: each is an EIP-712 digest, {"Jeju MPC Keys", "1", chain id, this contract}, over
/// its fields and the digest before it. The next one takes effect with the signature of the current group, so of t of its
/// members, and with governance's, so neither moves shares alone. Governance is this contract's owner: it approves a digest
/// by a call, as a timelock must, or signs it. The same members and the digest are all that an enclave needs to check the
/// chain from the first link on without believing the chain's state.
///
/// The owner of a key sets the policy of its use and may revoke it, as may the revoker; that is final.
contract MPCKeyRegistry is EIP712, Revocable, MPCKeyPolicies {
    address private _revoker;

    /// @notice How a key stands. `REVOKED` is final.
    enum KeyStatus {
        NONE,
        ACTIVE,
        REVOKED
    }

    /// @notice What changes from one configuration of a key to the next.
    /// @param publicKey Group key, 33 bytes.
    /// @param membersDigest Digest of the members and their public shares, as the MPC network computes it.
    /// @param threshold Members that it takes to sign, at least 2.
    /// @param totalParties Members that hold a share.
    struct Configuration {
        bytes publicKey;
        bytes32 membersDigest;
        uint32 threshold;
        uint32 totalParties;
    }

    /// @notice One configuration as the registry keeps it.
    struct KeyVersion {
        bytes32 configurationHash;
        uint256 px;
        bytes32 membersDigest;
        uint8 parity;
        uint32 threshold;
        uint32 totalParties;
        uint64 createdAt;
    }

    /// @notice A key with its current configuration. Its policy: `policyOf`.
    struct KeyMetadata {
        bytes32 keyId;
        address owner;
        bytes publicKey;
        uint8 keyType;
        uint8 curve;
        uint32 threshold;
        uint32 totalParties;
        uint32 version;
        uint64 createdAt;
        uint64 rotatedAt;
        KeyStatus status;
        bytes32 membersDigest;
        bytes32 configurationHash;
    }

    struct Key {
        KeyStatus status;
        uint8 keyType;
        uint32 version;
        uint64 createdAt;
        uint64 rotatedAt;
    }

    /// @notice EIP-712 type of a configuration.
    bytes32 public constant CONFIGURATION_TYPEHASH = keccak256(
        "KeyConfiguration(bytes32 keyId,uint8 keyType,uint32 version,bytes32 previous,bytes publicKey,bytes32 membersDigest,uint32 threshold,uint32 totalParties)"
    );

    /// @notice Highest key type: 0 encryption, 1 signing, 2 session.
    uint8 public constant MAX_KEY_TYPE = 2;
    /// @notice The one curve whose proofs this contract checks.
    uint8 public constant SECP256K1 = 0;
    /// @notice Whether governance approved the configuration with this digest.
    mapping(bytes32 configurationHash => bool) public isApproved;

    mapping(bytes32 keyId => Key) private _keys;
    mapping(bytes32 keyId => mapping(uint32 version => KeyVersion)) private _versions;
    /// @notice A key was registered.
    event KeyRegistered(bytes32 indexed keyId, address indexed owner, uint32 threshold, uint32 totalParties);
    /// @notice A configuration took effect.
    event ConfigurationChanged(
        bytes32 indexed keyId,
        uint32 indexed version,
        bytes32 configurationHash,
        bytes publicKey,
        bytes32 membersDigest,
        uint32 threshold,
        uint32 totalParties
    );
    /// @notice The new version has another public key.
    event KeyRotated(bytes32 indexed keyId, uint32 oldVersion, uint32 newVersion);
    /// @notice The key is not to be used any more.
    event KeyRevoked(bytes32 indexed keyId, address indexed revoker);
    /// @notice Governance approved a configuration, or an approval was taken back.
    event ApprovalChanged(bytes32 indexed configurationHash, bool approved);

    /// @notice The id starts with another account than the caller.
    error NotKeyIdOwner(bytes32 keyId, address caller);
    /// @notice The id is in use, or was.
    error KeyAlreadyExists(bytes32 keyId);
    /// @notice The key isn't active.
    error KeyNotActive(bytes32 keyId, KeyStatus status);
    /// @notice No key type of this number.
    error UnknownKeyType(uint8 keyType);
    /// @notice Proofs of this curve can't be checked.
    error UnsupportedCurve(uint8 curve);
    /// @notice One member could sign alone, or more would have to than there are.
    error ThresholdOutOfBounds(uint32 threshold, uint32 totalParties);
    /// @notice There are no members.
    error ZeroMembers();
    /// @notice Not 33 bytes of a key that `Frost` can check.
    error InvalidPublicKey(bytes publicKey);
    /// @notice The configuration must keep the public key, or, in a rotation, must not.
    error WrongPublicKey(bytes publicKey);
    /// @notice The key of the configuration didn't sign it.
    error InvalidProofOfPossession(bytes32 configurationHash);
    /// @notice The current group didn't sign the configuration.
    error InvalidGroupSignature(bytes32 configurationHash);
    /// @notice Governance neither approved nor signed the configuration.
    error NotApproved(bytes32 configurationHash);

    /// @param owner_ Governance.
    /// @param revoker_ The account that may revoke keys and approvals; not the owner.
    /// @param minDelay_ Wait of a new revoker, in seconds, at least `MIN_PUBLIC_DELAY` unless the chain is a local one.
    /// @param staking_ Where `STAKE_GATED` asks.
    constructor(address owner_, address revoker_, uint64 minDelay_, IStaking staking_)
        EIP712("Jeju MPC Keys", "1")
        Revocable(owner_, revoker_, minDelay_)
        MPCKeyPolicies(staking_)
    {
        if (address(staking_) == address(0)) revert ZeroAccount();
    }

    // ------------------------------------------------------------------ keys

    /// @notice Registers a key that the network made for the caller.
    /// @param keyId The caller's 20 bytes, then 12 of its choice; never used before.
    /// @param keyType 0 encryption, 1 signing, 2 session.
    /// @param curve 0, secp256k1.
    /// @param configuration The first configuration.
    /// @param policy Who may use the key.
    /// @param proof FROST signature by the new key of the configuration's digest.
    function registerKey(
        bytes32 keyId,
        uint8 keyType,
        uint8 curve,
        Configuration calldata configuration,
        AccessPolicy calldata policy,
        bytes calldata proof
    ) external {
        if (ownerOf(keyId) != msg.sender) revert NotKeyIdOwner(keyId, msg.sender);
        Key storage k = _keys[keyId];
        if (k.status != KeyStatus.NONE) revert KeyAlreadyExists(keyId);
        if (keyType > MAX_KEY_TYPE) revert UnknownKeyType(keyType);
        if (curve != SECP256K1) revert UnsupportedCurve(curve);

        k.status = KeyStatus.ACTIVE;
        k.keyType = keyType;
        k.createdAt = _now();
        emit KeyRegistered(keyId, msg.sender, configuration.threshold, configuration.totalParties);
        bytes32 digest = _advance(keyId, k, configuration);
        _provePossession(keyId, k.version, digest, proof);
        _setPolicy(keyId, policy);
    }

    /// @notice Moves a key to other members or another threshold; the public key stays. Anyone may bring the signatures.
    /// @param keyId The key.
    /// @param configuration The next configuration.
    /// @param groupSignature FROST signature by the group of the configuration's digest.
    /// @param governanceSignature The owner's signature of the digest; empty if it approved the digest by a call.
    function updateConfiguration(
        bytes32 keyId,
        Configuration calldata configuration,
        bytes calldata groupSignature,
        bytes calldata governanceSignature
    ) external {
        Key storage k = _active(keyId);
        uint32 old = k.version;
        bytes32 digest = _advance(keyId, k, configuration);
        if (!_sameKey(keyId, old)) revert WrongPublicKey(configuration.publicKey);
        _authorize(keyId, old, digest, groupSignature, governanceSignature);
    }

    /// @notice Gives a key id another public key, for its owner only: old and new group and governance must agree.
    /// @param keyId The key.
    /// @param configuration The next configuration, with the new public key.
    /// @param proof FROST signature by the new key of the configuration's digest.
    /// @param groupSignature FROST signature by the present key of the same.
    /// @param governanceSignature The owner's signature of the digest; empty if it approved the digest by a call.
    function rotateKey(
        bytes32 keyId,
        Configuration calldata configuration,
        bytes calldata proof,
        bytes calldata groupSignature,
        bytes calldata governanceSignature
    ) external {
        _requireOwned(keyId);
        Key storage k = _keys[keyId];
        uint32 old = k.version;
        bytes32 digest = _advance(keyId, k, configuration);
        if (_sameKey(keyId, old)) revert WrongPublicKey(configuration.publicKey);
        _provePossession(keyId, old + 1, digest, proof);
        _authorize(keyId, old, digest, groupSignature, governanceSignature);
        k.rotatedAt = _now();
        emit KeyRotated(keyId, old, old + 1);
    }

    /// @notice Ends the use of a key at once and for good. Its owner and the revoker may, also while a time lock runs.
    /// @param keyId The key.
    function revokeKey(bytes32 keyId) external {
        Key storage k = _active(keyId);
        if (msg.sender != ownerOf(keyId) && msg.sender != revoker()) revert NotKeyOwner(keyId, msg.sender);
        k.status = KeyStatus.REVOKED;
        emit KeyRevoked(keyId, msg.sender);
    }

    // ------------------------------------------------------------------ governance

    /// @notice Approves a configuration by its digest, for a governance that can't sign.
    /// @param configurationHash `configurationDigest` of the next configuration of a key.
    function approveConfiguration(bytes32 configurationHash) external onlyOwner {
        isApproved[configurationHash] = true;
        emit ApprovalChanged(configurationHash, true);
    }

    /// @notice Takes an approval back, before it was used.
    /// @param configurationHash Digest that was approved.
    function withdrawApproval(bytes32 configurationHash) external {
        if (msg.sender != revoker() && msg.sender != owner()) revert NotRevoker(msg.sender);
        if (!isApproved[configurationHash]) revert NotApproved(configurationHash);
        isApproved[configurationHash] = false;
        emit ApprovalChanged(configurationHash, false);
    }

    // ------------------------------------------------------------------ use

    /// @notice Whether an account may use a key now, and the version to use. Members ask this before they sign.
    /// @param keyId The key.
    /// @param account Who wants to use it.
    /// @return allowed Whether it may.
    /// @return version Current version; zero if the key is unknown or revoked.
    function checkAccess(bytes32 keyId, address account) external view returns (bool allowed, uint32 version) {
        Key storage k = _keys[keyId];
        if (k.status != KeyStatus.ACTIVE) return (false, 0);
        return (_mayUse(keyId, account), k.version);
    }

    // ------------------------------------------------------------------ reading

    /// @notice A key with its current configuration; all zero but for id and owner if unknown.
    /// @param keyId The key.
    function getKey(bytes32 keyId) external view returns (KeyMetadata memory data) {
        Key storage k = _keys[keyId];
        data.keyId = keyId;
        data.owner = ownerOf(keyId);
        if (k.status == KeyStatus.NONE) return data;
        KeyVersion storage v = _versions[keyId][k.version];
        data.publicKey = Frost.encodePublicKey(v.px, v.parity);
        data.keyType = k.keyType;
        data.curve = SECP256K1;
        data.threshold = v.threshold;
        data.totalParties = v.totalParties;
        data.version = k.version;
        data.createdAt = k.createdAt;
        data.rotatedAt = k.rotatedAt;
        data.status = k.status;
        data.membersDigest = v.membersDigest;
        data.configurationHash = v.configurationHash;
    }

    /// @notice One configuration of a key, all zero if there is none.
    /// @param keyId The key.
    /// @param version Its number, from 1.
    function getKeyVersion(bytes32 keyId, uint32 version) external view returns (KeyVersion memory) {
        return _versions[keyId][version];
    }

    /// @notice Digest of a configuration: what groups and governance sign, and the link of the chain.
    /// @param keyId The key, which the digest binds to its owner, too.
    /// @param keyType Its type.
    /// @param version Number of the configuration, from 1.
    /// @param previous Digest of the configuration before; zero for the first.
    /// @param configuration Its content.
    function configurationDigest(
        bytes32 keyId,
        uint8 keyType,
        uint32 version,
        bytes32 previous,
        Configuration calldata configuration
    ) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    CONFIGURATION_TYPEHASH,
                    keyId,
                    keyType,
                    version,
                    previous,
                    keccak256(configuration.publicKey),
                    configuration.membersDigest,
                    configuration.threshold,
                    configuration.totalParties
                )
            )
        );
    }

    // ------------------------------------------------------------------ steps

    function _active(bytes32 keyId) private view returns (Key storage k) {
        k = _keys[keyId];
        if (k.status != KeyStatus.ACTIVE) revert KeyNotActive(keyId, k.status);
    }

    /// @inheritdoc MPCKeyPolicies
    function _requireOwned(bytes32 keyId) internal view override {
        _active(keyId);
        if (ownerOf(keyId) != msg.sender) revert NotKeyOwner(keyId, msg.sender);
    }

    /// @dev Writes the next configuration; whether it is allowed is checked by the caller, afterwards.
    function _advance(bytes32 keyId, Key storage k, Configuration calldata configuration)
        private
        returns (bytes32 digest)
    {
        (uint256 px, uint8 parity) = Frost.decodePublicKey(configuration.publicKey);
        if (px == 0) revert InvalidPublicKey(configuration.publicKey);
        if (configuration.threshold < 2 || configuration.threshold > configuration.totalParties) {
            revert ThresholdOutOfBounds(configuration.threshold, configuration.totalParties);
        }
        if (configuration.membersDigest == 0) revert ZeroMembers();

        uint32 version = k.version + 1;
        bytes32 previous = _versions[keyId][k.version].configurationHash;
        digest = configurationDigest(keyId, k.keyType, version, previous, configuration);
        k.version = version;
        _versions[keyId][version] = KeyVersion({
            configurationHash: digest,
            px: px,
            membersDigest: configuration.membersDigest,
            parity: parity,
            threshold: configuration.threshold,
            totalParties: configuration.totalParties,
            createdAt: _now()
        });
        emit ConfigurationChanged(
            keyId,
            version,
            digest,
            configuration.publicKey,
            configuration.membersDigest,
            configuration.threshold,
            configuration.totalParties
        );
    }

    function _sameKey(bytes32 keyId, uint32 old) private view returns (bool) {
        KeyVersion storage a = _versions[keyId][old];
        KeyVersion storage b = _versions[keyId][old + 1];
        return a.px == b.px && a.parity == b.parity;
    }

    function _provePossession(bytes32 keyId, uint32 version, bytes32 digest, bytes calldata proof) private view {
        if (!_signedBy(keyId, version, digest, proof)) revert InvalidProofOfPossession(digest);
    }

    function _authorize(
        bytes32 keyId,
        uint32 old,
        bytes32 digest,
        bytes calldata groupSignature,
        bytes calldata governanceSignature
    ) private view {
        if (!_signedBy(keyId, old, digest, groupSignature)) {
            revert InvalidGroupSignature(digest);
        }
        bool approved = governanceSignature.length == 0
            ? isApproved[digest]
            : SignatureChecker.isValidSignatureNowCalldata(owner(), digest, governanceSignature);
        if (!approved) revert NotApproved(digest);
    }

    function _signedBy(bytes32 keyId, uint32 version, bytes32 digest, bytes calldata signature)
        private
        view
        returns (bool)
    {
        KeyVersion storage v = _versions[keyId][version];
        return Frost.verify(digest, v.px, v.parity, signature);
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
