// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {AttestedKeys} from "./AttestedKeys.sol";
import {ClaimsBuffer} from "./ClaimsBuffer.sol";
import {Eip712Domain} from "./Eip712Domain.sol";
import {HardwareRegistry} from "./HardwareRegistry.sol";
import {MeasurementRecords} from "./MeasurementRecords.sol";
import {MeasurementRegistry} from "./MeasurementRegistry.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {IQuoteVerifier, Platform, QuoteClaims} from "../interfaces/ITrust.sol";
import {IValidation} from "../interfaces/IValidation.sol";

/// @title AttestedKeyRegistry
/// @notice Enclaves' secp256k1 keys. A quote is verified once and its key registered for some days; from then on a
/// contract checks an enclave's response by one signature. Also a validator in the sense of ERC-8004.
/// @dev A registration takes four independent words: a verifier's, that a genuine quote carries this claims-buffer;
/// the measurement registry's, that the image may be trusted; the hardware registry's, that the agent may run on the
/// machine; and the agent owner's, who pays for what the key signs. None of them can stand in for another.
///
/// `AttestedKeys` keeps the keys and knows when they are dead.
contract AttestedKeyRegistry is AttestedKeys, Eip712Domain {
    /// @notice An agent owner's word for a key.
    /// @param expiry Unix seconds after which the key is dead; the word ends then too.
    /// @param signature By the agent's owner over `consentDigest`, ERC-1271 included.
    struct AgentConsent {
        uint64 expiry;
        bytes signature;
    }

    struct Answer {
        address key;
        uint8 response;
    }

    /// @notice EIP-712 type hash of a consent.
    bytes32 public constant CONSENT_TYPE = keccak256(
        "KeyConsent(uint256 agentId,uint64 agentEpoch,address key,bytes32 claimsDigest,uint64 expiry,uint32 nonce)"
    );

    /// @dev Half the order of secp256k1.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @notice ERC-8004 validation registry, or zero where there is none.
    IValidation public immutable validation;

    mapping(bytes32 requestHash => Answer) private _answers;

    /// @notice A validation request was answered: 100 for a live key, 0 for a dead one.
    event ValidationReported(bytes32 indexed requestHash, address indexed key, uint8 response);

    /// @notice The claims-buffer isn't what the quote was made for.
    error DigestMismatch(bytes32 claimed, bytes32 computed);
    /// @notice The claims-buffer doesn't say what was claimed in its name.
    error ClaimMismatch(bytes32 claim, bytes32 claimed, bytes32 found);
    /// @notice Only epoch quotes of servers are registered.
    error QuoteKindRefused(uint8 mode, uint8 role);
    /// @notice The platform has no verifier.
    error NoVerifier(uint8 platform);
    /// @notice The measurement isn't active.
    error MeasurementRefused(bytes32 measurement);
    /// @notice The measurement belongs to another platform.
    error PlatformMismatch(uint8 claimed, uint8 recorded);
    /// @notice The agent may not run on the machine; zero: the quote names no machine, and the platform's must.
    error HardwareRefused(uint256 agentId, bytes32 hardware);
    /// @notice The firmware's level is worse than the platform's floor.
    error TcbRefused(uint8 tcbStatus, uint8 worst);
    /// @notice The key would be dead at once.
    error Expired(uint64 expiry);
    /// @notice The key would live longer than allowed.
    error ExpiryTooFar(uint64 expiry, uint64 latest);
    /// @notice The consent isn't the agent owner's, or it is for something else.
    error ConsentRefused(address owner);
    /// @notice The agent's id or epoch is larger than any that this registry can keep.
    error AgentOutOfRange(uint256 agentId, uint64 agentEpoch);
    /// @notice The key was registered for another agent.
    error KeyOfOtherAgent(address key, uint256 agentId);
    /// @notice The signature hasn't the one form that counts.
    error SignatureMalformed();
    /// @notice There is no validation registry.
    error NoValidation();
    /// @notice The request asks another validator, or is about another agent than the key's.
    error OtherRequest(bytes32 requestHash, address validator, uint256 agentId);
    /// @notice The request was answered with a key that still lives.
    error AlreadyAnswered(bytes32 requestHash, address key);
    /// @notice The request has no answer yet, or the last one still holds.
    error NothingToReport(bytes32 requestHash);

    /// @param owner_ Governance.
    /// @param revoker_ The account that may revoke; not the owner.
    /// @param minDelay_ Timelock in seconds, at least `MIN_PUBLIC_DELAY` unless the chain is a local one.
    /// @param measurements_ Measurements.
    /// @param hardware_ Machines.
    /// @param validation_ ERC-8004 validation registry, or zero.
    constructor(
        address owner_,
        address revoker_,
        uint64 minDelay_,
        MeasurementRegistry measurements_,
        HardwareRegistry hardware_,
        IValidation validation_
    ) AttestedKeys(owner_, revoker_, minDelay_, measurements_, hardware_) Eip712Domain("Jeju AttestedKeyRegistry") {
        validation = validation_;
    }

    // ------------------------------------------------------------------ registration

    /// @notice Registers an enclave's key, or renews it with a later quote. Anyone may submit it.
    /// @param claims What the quote was found to say.
    /// @param buffer The claims-buffer, whose SHA-256 the quote carries.
    /// @param proof What the platform's verifier wants.
    /// @param consent The agent owner's word.
    function register(
        QuoteClaims calldata claims,
        bytes calldata buffer,
        bytes calldata proof,
        AgentConsent calldata consent
    ) external {
        _checkBuffer(claims, buffer);
        Key memory key = _checkTrust(claims, consent.expiry);
        _checkConsent(claims, consent, key);
        IQuoteVerifier verifier = platforms[claims.platform].verifier;
        if (address(verifier) == address(0)) revert NoVerifier(claims.platform);
        verifier.verifyQuote(claims, proof);
        _store(claims.key, key);
        emit KeyRegistered(
            claims.key, claims.agentId, claims.measurement, claims.hardware, claims.claimsDigest, key.expiry
        );
    }

    /// @notice What an agent's owner signs to let a key speak for the agent, as things stand now.
    /// @param agentId Agent.
    /// @param key Account of the enclave's key.
    /// @param claimsDigest SHA-256 of the claims-buffer.
    /// @param expiry Unix seconds after which the key is dead.
    function consentDigest(uint256 agentId, address key, bytes32 claimsDigest, uint64 expiry)
        external
        view
        returns (bytes32)
    {
        return _consentDigest(agentId, identity.agentEpoch(agentId), key, claimsDigest, expiry, _keys[key].nonce);
    }

    /// @dev The buffer is the one that was quoted, says what was claimed, and is meant for this chain and registry: a
    /// node of another network must not be taken for one of this.
    function _checkBuffer(QuoteClaims calldata claims, bytes calldata buffer) private view {
        bytes32 digest = sha256(buffer);
        if (digest != claims.claimsDigest) revert DigestMismatch(claims.claimsDigest, digest);
        ClaimsBuffer.Claims memory found = ClaimsBuffer.parse(buffer);
        if (found.mode != 0 || found.role != 0) revert QuoteKindRefused(found.mode, found.role);
        _match("agent", bytes32(claims.agentId), found.agent);
        _match("launch", claims.launchDigest, found.launch);
        _match("chain", bytes32(block.chainid), bytes32(uint256(found.chainId)));
        _match("registry", _toWord(address(measurements)), _toWord(found.registry));
        _match("evm", _toWord(claims.key), _toWord(_accountOf(found.evmParity, found.evmX)));
        // A point that isn't on the curve has no account, and no claim can name it.
        if (claims.key == address(0)) revert ZeroAccount();
    }

    /// @dev What the registries say now, as a record.
    function _checkTrust(QuoteClaims calldata claims, uint64 consentExpiry) private view returns (Key memory key) {
        MeasurementRecords.Standing memory standing = measurements.standing(claims.measurement);
        if (!standing.active) revert MeasurementRefused(claims.measurement);
        if (standing.platform != claims.platform) revert PlatformMismatch(claims.platform, standing.platform);

        PlatformRules storage rules = platforms[claims.platform];
        if (claims.tcbStatus > rules.worstTcb) revert TcbRefused(claims.tcbStatus, rules.worstTcb);
        key.hardware = _checkHardware(claims, rules.hardwareRequired);

        uint64 agentEpoch = identity.agentEpoch(claims.agentId);
        if (claims.agentId > type(uint96).max || agentEpoch > type(uint48).max) {
            revert AgentOutOfRange(claims.agentId, agentEpoch);
        }
        uint64 expiry = claims.expiry < consentExpiry ? claims.expiry : consentExpiry;
        if (standing.validUntil != 0 && standing.validUntil < expiry) expiry = standing.validUntil;
        if (expiry <= _now()) revert Expired(expiry);
        if (expiry > _now() + maxLifetime) revert ExpiryTooFar(expiry, _now() + maxLifetime);

        // Both fit: an agent's id and epoch were compared above, and `expiry` is at most a week away.
        // forge-lint: disable-start(unsafe-typecast)
        key.agentId = uint96(claims.agentId);
        key.agentEpoch = uint48(agentEpoch);
        key.expiry = uint40(expiry);
        // forge-lint: disable-end(unsafe-typecast)
        key.seenEpoch = trustEpoch;
        key.stage = Stage.Registered;
        key.measurement = standing.serial;
        key.platform = claims.platform;
        key.tcbStatus = claims.tcbStatus;
        key.generation = rules.generation;
        // forge-lint: disable-next-line(unsafe-typecast)
        key.registeredAt = uint40(_now());
    }

    function _checkHardware(QuoteClaims calldata claims, bool required) private view returns (uint48 number) {
        if (claims.hardware == bytes32(0)) {
            if (required) revert HardwareRefused(claims.agentId, claims.hardware);
            return 0;
        }
        bool allowed;
        (number, allowed) = hardware.find(claims.agentId, claims.hardware);
        if (!allowed) revert HardwareRefused(claims.agentId, claims.hardware);
    }

    /// @dev The owner agrees to this key under these claims, once, and a former owner's word is worth nothing.
    function _checkConsent(QuoteClaims calldata claims, AgentConsent calldata consent, Key memory key) private view {
        Key storage before = _keys[claims.key];
        if (before.stage == Stage.Revoked) revert KeyRevokedForGood(claims.key);
        if (before.stage != Stage.None && before.agentId != key.agentId) {
            revert KeyOfOtherAgent(claims.key, before.agentId);
        }
        uint32 nonce = before.nonce;
        bytes32 digest =
            _consentDigest(claims.agentId, key.agentEpoch, claims.key, claims.claimsDigest, consent.expiry, nonce);
        address agentOwner = identity.ownerOf(claims.agentId);
        if (!SignatureChecker.isValidSignatureNowCalldata(agentOwner, digest, consent.signature)) {
            revert ConsentRefused(agentOwner);
        }
        key.nonce = nonce + 1;
    }

    function _consentDigest(
        uint256 agentId,
        uint64 agentEpoch,
        address key,
        bytes32 claimsDigest,
        uint64 expiry,
        uint32 nonce
    ) private view returns (bytes32) {
        return _typedDigest(keccak256(abi.encode(CONSENT_TYPE, agentId, agentEpoch, key, claimsDigest, expiry, nonce)));
    }

    /// @dev Account of a compressed point. Public-key recovery of the signature (r = x, s = x) of the message 0 gives
    /// x⁻¹·(x·R − 0·G) = R, the point whose x and parity these are; that spares the square root.
    function _accountOf(uint8 parity, bytes32 x) private pure returns (address) {
        return ecrecover(bytes32(0), parity + 25, x, x);
    }

    function _match(bytes32 claim, bytes32 claimed, bytes32 found) private pure {
        if (claimed != found) revert ClaimMismatch(claim, claimed, found);
    }

    function _toWord(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    // ------------------------------------------------------------------ response check

    /// @inheritdoc AttestedKeys
    function checkSignature(bytes32 digest, bytes calldata signature)
        external
        view
        override
        returns (address key, uint256 agentId)
    {
        key = _recover(digest, signature);
        bool live;
        (live, agentId) = _look(key);
        if (!live) revert NotLive(key);
    }

    /// @dev The library's recovery with less around it. One form of a signature alone counts (65 bytes, lower half of the
    /// order, v 27 or 28), or one response would have two receipts. What has no signer recovers to account 0, which is no
    /// key: registration refuses it.
    function _recover(bytes32 digest, bytes calldata signature) private view returns (address key) {
        if (signature.length != 65) revert SignatureMalformed();
        bytes32 s;
        assembly ("memory-safe") {
            let free := mload(0x40)
            s := calldataload(add(signature.offset, 32))
            mstore(free, digest)
            mstore(add(free, 32), byte(0, calldataload(add(signature.offset, 64))))
            calldatacopy(add(free, 64), signature.offset, 64)
            mstore(0, 0)
            pop(staticcall(gas(), 1, free, 128, 0, 32))
            key := mload(0)
        }
        if (uint256(s) > HALF_ORDER) revert SignatureMalformed();
    }

    // ------------------------------------------------------------------ ERC-8004 validator

    /// @notice Answers a validation request for the agent of a live key with 100. Anyone may ask for it.
    /// @param requestHash Request that names this contract as validator.
    /// @param key Live key of the agent that the request is about.
    function validate(bytes32 requestHash, address key) external {
        if (address(validation) == address(0)) revert NoValidation();
        (bool live, uint256 agentId) = _look(key);
        if (!live) revert NotLive(key);
        (address validator, uint256 about,,,,) = validation.getValidationStatus(requestHash);
        if (validator != address(this) || about != agentId) revert OtherRequest(requestHash, validator, about);
        Answer storage answer = _answers[requestHash];
        if (answer.key != address(0) && isLive(answer.key)) revert AlreadyAnswered(requestHash, answer.key);
        answer.key = key;
        _report(requestHash, answer, 100);
    }

    /// @notice Brings the answer to a validation request up to date: 0 once the key that stood for it is dead.
    /// @param requestHash Request that was answered by `validate`.
    function reportValidation(bytes32 requestHash) external {
        Answer storage answer = _answers[requestHash];
        if (answer.key == address(0)) revert NothingToReport(requestHash);
        uint8 response = isLive(answer.key) ? 100 : 0;
        if (response == answer.response) revert NothingToReport(requestHash);
        _report(requestHash, answer, response);
    }

    function _report(bytes32 requestHash, Answer storage answer, uint8 response) private {
        answer.response = response;
        Key storage key = _keys[answer.key];
        emit ValidationReported(requestHash, answer.key, response);
        validation.validationResponse(requestHash, response, "", measurements.idOf(key.measurement), _tag(key.platform));
    }

    /// @dev The platform's name, as in evidence and policies.
    function _tag(uint8 platform) private pure returns (string memory) {
        if (platform == Platform.TDX) return "tdx";
        if (platform == Platform.SEV_SNP) return "sev-snp";
        if (platform == Platform.NITRO) return "nitro";
        return "simulated";
    }
}
