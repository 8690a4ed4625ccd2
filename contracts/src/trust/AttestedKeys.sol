// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Governed} from "./Governed.sol";
import {HardwareRegistry} from "./HardwareRegistry.sol";
import {MeasurementRecords} from "./MeasurementRecords.sol";
import {MeasurementRegistry} from "./MeasurementRegistry.sol";
import {IAgentObserver, ITrustObserver, ITrustSource} from "../interfaces/IObservers.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {IAttestedKeys, IQuoteVerifier} from "../interfaces/ITrust.sol";
import {Revocable} from "./Revocable.sol";

/// @title AttestedKeys
/// @notice The keys of `AttestedKeyRegistry`, the rules that they live by, and when they are dead: with their measurement,
/// their machine, their agent's owner, a worse firmware than allowed, their verifier, by time, or revoked.
/// @dev Asking every registry for each response would cost some 25,000 gas. Instead `trustEpoch` counts whatever took
/// trust away anywhere, and a key remembers the count at which it was last found alive: while that stands, nothing that it
/// rests on changed. The registries tell in the same transaction (`ITrustSource`); one that has not promised to is asked
/// each time, so a wrong deployment costs gas, never safety. Expiry is part of the key's own word. Agents change hands at
/// anybody's will, so that must not touch the common count: it is kept for each agent.
abstract contract AttestedKeys is Governed, IAttestedKeys, ITrustObserver, IAgentObserver {
    /// @notice How far a key has come. `Dead` was seen dead and may be registered anew; `Revoked` is final.
    enum Stage {
        None,
        Registered,
        Dead,
        Revoked
    }

    /// @notice Why a key is dead. Where several reasons hold, the first of these.
    enum Cause {
        None,
        Unknown,
        Revoked,
        Recorded,
        Agent,
        Measurement,
        Hardware,
        Verifier,
        Tcb,
        Expiry
    }

    /// @dev First word: all that a response check needs. Second word: what it rests on.
    struct Key {
        uint96 agentId;
        uint40 expiry;
        uint48 seenEpoch;
        uint48 agentEpoch;
        Stage stage;
        uint32 measurement;
        uint48 hardware;
        uint8 platform;
        uint8 tcbStatus;
        uint32 generation;
        uint40 registeredAt;
        uint40 deadSince;
        uint32 nonce;
    }

    /// @notice What holds for a platform.
    /// @param verifier Verifies its quotes; zero: none are accepted.
    /// @param generation Counts the verifiers that were removed. Keys of an earlier one are dead: a verifier is removed
    /// when it vouched, or might have, for what it should not.
    /// @param worstTcb Worst level of firmware that is accepted; 0: up to date only.
    /// @param hardwareRequired Whether a quote without a machine's identity is refused.
    struct PlatformRules {
        IQuoteVerifier verifier;
        uint32 generation;
        uint8 worstTcb;
        bool hardwareRequired;
    }

    /// @notice Longest life of a key that governance may set, in seconds.
    uint32 public constant MAX_LIFETIME = 7 days;
    /// @notice Shortest one.
    uint32 public constant MIN_LIFETIME = 1 hours;

    uint8 private constant MEASUREMENTS = 1;
    uint8 private constant HARDWARE = 2;
    uint8 private constant IDENTITY = 4;

    /// @notice Measurements.
    MeasurementRegistry public immutable measurements;
    /// @notice Machines.
    HardwareRegistry public immutable hardware;
    /// @notice Agents.
    IIdentity public immutable identity;

    /// @notice Counts whatever took trust away, in any of the registries or here.
    uint48 public trustEpoch;
    /// @notice Registries that promised to tell, as bits: 1 measurements, 2 machines, 4 agents.
    uint8 public connected;
    /// @notice Longest life of a key, in seconds.
    uint32 public maxLifetime;
    address private _revoker;

    mapping(address key => Key) internal _keys;
    /// @dev The epoch that an agent moved to, as the identity registry told; zero if it told nothing.
    mapping(uint256 agentId => uint64 epoch) private _movedTo;
    /// @notice What holds for each platform.
    mapping(uint8 platform => PlatformRules) public platforms;

    /// @notice The key is live until `expiry`, unless what it rests on ends before.
    event KeyRegistered(
        address indexed key,
        uint256 indexed agentId,
        bytes32 indexed measurement,
        bytes32 hardware,
        bytes32 claimsDigest,
        uint64 expiry
    );
    /// @notice The key was found alive after something changed.
    event KeyRefreshed(address indexed key, uint64 trustEpoch, uint64 expiry);
    /// @notice The key was found dead.
    event KeyDied(address indexed key, uint256 indexed agentId, Cause cause, uint64 deadSince);
    /// @notice The key was revoked, for good.
    event KeyRevoked(address indexed key, uint256 indexed agentId, address indexed by);
    /// @notice Trust was taken away: keys last seen alive before this epoch are looked at again.
    event TrustChanged(uint64 trustEpoch, address indexed source);
    /// @notice These registries promised to tell.
    event SourcesConnected(uint8 connected);
    /// @notice Quotes of the platform are verified by `verifier` from now on; zero: not at all.
    event VerifierChanged(uint8 indexed platform, IQuoteVerifier verifier, uint32 generation);
    /// @notice Another level of firmware is the worst that is accepted.
    event WorstTcbChanged(uint8 indexed platform, uint8 worstTcb);
    /// @notice Whether quotes of the platform must name a machine.
    event HardwareRequirementChanged(uint8 indexed platform, bool required);
    /// @notice Keys may be registered for this long.
    event MaxLifetimeChanged(uint32 maxLifetime);

    /// @notice The key isn't live.
    error NotLive(address key);
    /// @notice The key was never registered.
    error UnknownKey(address key);
    /// @notice The key was revoked, for good.
    error KeyRevokedForGood(address key);
    /// @notice The key is live, or was recorded as dead.
    error NothingToRecord(address key);
    /// @notice The caller may not speak for the agent, and isn't the revoker.
    error NotAuthorized(address caller, uint256 agentId);
    /// @notice The caller isn't the registry that may say so.
    error NotASource(address caller);
    /// @notice No registry has newly promised to tell.
    error NothingToConnect();
    /// @notice The platform has no verifier that could be removed.
    error NoVerifierSet(uint8 platform);
    /// @notice The account has no code.
    error NotAContract(address account);
    /// @notice The floor can only be raised here: `current` isn't worse than `wanted`.
    error TcbNotRaised(uint8 current, uint8 wanted);
    /// @notice The lifetime lies outside its bounds.
    error LifetimeOutOfRange(uint32 wanted, uint32 least, uint32 most);

    constructor(
        address owner_,
        address revoker_,
        uint64 minDelay_,
        MeasurementRegistry measurements_,
        HardwareRegistry hardware_
    ) Revocable(owner_, revoker_, minDelay_) {
        if (address(measurements_) == address(0) || address(hardware_) == address(0)) revert ZeroAccount();
        measurements = measurements_;
        hardware = hardware_;
        // The one that machines are allowed for: two registries of agents would mean two owners of one id.
        identity = hardware_.identity();
        maxLifetime = MAX_LIFETIME;
        emit MaxLifetimeChanged(MAX_LIFETIME);
    }

    // ------------------------------------------------------------------ reading

    /// @inheritdoc IAttestedKeys
    function isLive(address key) public view returns (bool live) {
        (live,) = _look(key);
    }

    /// @inheritdoc IAttestedKeys
    function agentOf(address key) external view returns (uint256 agentId, uint64 deadSince) {
        Key storage record = _keys[key];
        if (record.stage == Stage.None) revert UnknownKey(key);
        (, deadSince) = _examine(record);
        return (record.agentId, deadSince);
    }

    /// @inheritdoc IAttestedKeys
    function checkSignature(bytes32 digest, bytes calldata signature)
        external
        view
        virtual
        returns (address key, uint256 agentId);

    /// @notice Everything about a key; all zero if it was never registered.
    /// @param key Account of the key.
    function recordOf(address key) external view returns (Key memory) {
        return _keys[key];
    }

    /// @notice Why a key is dead, and since when.
    /// @param key Account of the key.
    /// @return cause `None` while it is live.
    /// @return deadSince Unix seconds; zero while it is live. Never before it died: where nobody wrote down when something
    /// changed, it is the present until `recordDeath` is called.
    function causeOfDeath(address key) external view returns (Cause cause, uint64 deadSince) {
        return _examine(_keys[key]);
    }

    /// @notice Class of key material that may be entrusted to the enclave behind a key: what both its image and its machine
    /// may hold. Zero for a dead key, or where either may hold none.
    /// @param key Account of the key.
    function custodyOf(address key) external view returns (uint8) {
        Key storage record = _keys[key];
        if (!isLive(key) || record.hardware == 0) return 0;
        uint8 image = measurements.standing(measurements.idOf(record.measurement)).custody;
        (, uint8 machine,) = hardware.standing(record.hardware);
        return image < machine ? image : machine;
    }

    /// @dev Whether the key is live, and its agent: two cold slots, three with agents that tell, where nothing changed.
    function _look(address key) internal view returns (bool live, uint256 agentId) {
        Key storage record = _keys[key];
        // The compiler would read each slot anew for each field.
        uint256 word;
        uint256 policy;
        assembly ("memory-safe") {
            word := sload(record.slot)
            policy := shr(mul(8, trustEpoch.offset), sload(trustEpoch.slot))
        }
        // Each cast cuts one field out of its word.
        // forge-lint: disable-start(block-timestamp, unsafe-typecast)
        agentId = uint96(word);
        if (uint8(word >> 232) != uint8(Stage.Registered) || block.timestamp >= uint40(word >> 96)) {
            return (false, agentId);
        }
        uint256 tells = uint8(policy >> 48);
        if (uint48(word >> 136) != uint48(policy) || tells & (MEASUREMENTS | HARDWARE) != MEASUREMENTS | HARDWARE) {
            (Cause cause,) = _examine(record);
            return (cause == Cause.None, agentId);
        }
        uint256 agentEpoch = uint48(word >> 184);
        if (tells & IDENTITY != 0) return (_movedTo[agentId] <= agentEpoch, agentId);
        return (identity.agentEpoch(agentId) == agentEpoch, agentId);
        // forge-lint: disable-end(block-timestamp, unsafe-typecast)
    }

    /// @dev Asks everybody. The earliest time that is known is when it died; the cause is the first in the order of `Cause`.
    function _examine(Key storage record) internal view returns (Cause cause, uint64 since) {
        Stage stage = record.stage;
        if (stage == Stage.None) return (Cause.Unknown, 0);
        if (stage == Stage.Revoked) return (Cause.Revoked, record.deadSince);
        if (stage == Stage.Dead) return (Cause.Recorded, record.deadSince);

        since = type(uint64).max;
        PlatformRules storage rules = platforms[record.platform];
        if (_now() >= record.expiry) (cause, since) = (Cause.Expiry, record.expiry);
        if (record.tcbStatus > rules.worstTcb) (cause, since) = (Cause.Tcb, _earlier(since, _now()));
        if (record.generation != rules.generation) (cause, since) = (Cause.Verifier, _earlier(since, _now()));
        (bool allowed, uint64 endedAt) = _machineStands(record, rules.hardwareRequired);
        if (!allowed) (cause, since) = (Cause.Hardware, _earlier(since, endedAt == 0 ? _now() : endedAt));
        MeasurementRecords.Standing memory standing = measurements.standing(measurements.idOf(record.measurement));
        if (!standing.active) {
            (cause, since) = (Cause.Measurement, _earlier(since, standing.endedAt == 0 ? _now() : standing.endedAt));
        }
        if (identity.agentEpoch(record.agentId) != record.agentEpoch) {
            (cause, since) = (Cause.Agent, _earlier(since, _now()));
        }
        if (cause == Cause.None) since = 0;
    }

    function _machineStands(Key storage record, bool required) private view returns (bool allowed, uint64 endedAt) {
        uint48 number = record.hardware;
        if (number == 0) return (!required, 0);
        (allowed,, endedAt) = hardware.standing(number);
    }

    function _earlier(uint64 one, uint64 other) private pure returns (uint64) {
        return one < other ? one : other;
    }

    // ------------------------------------------------------------------ life of a key

    /// @dev Writes a checked registration. It is the last step: what a verifier or an owner's contract did meanwhile was
    /// done in static calls.
    function _store(address key, Key memory record) internal {
        // As the compiler lays `Key` out; it would write each slot anew for each field.
        uint256 check = uint256(record.agentId) | uint256(record.expiry) << 96 | uint256(record.seenEpoch) << 136
            | uint256(record.agentEpoch) << 184 | uint256(record.stage) << 232;
        uint256 basis = uint256(record.measurement) | uint256(record.hardware) << 32 | uint256(record.platform) << 80
            | uint256(record.tcbStatus) << 88 | uint256(record.generation) << 96 | uint256(record.registeredAt) << 128
            | uint256(record.deadSince) << 168 | uint256(record.nonce) << 208;
        Key storage slots = _keys[key];
        assembly ("memory-safe") {
            sstore(slots.slot, check)
            sstore(add(slots.slot, 1), basis)
        }
    }

    /// @notice Looks at a key again after something changed, so that checks of its responses are cheap again. Anyone.
    /// @param key Live key.
    function refresh(address key) external {
        Key storage record = _keys[key];
        (Cause cause,) = _examine(record);
        if (cause != Cause.None) revert NotLive(key);
        // A validity that was limited since ends the key too; without this, only a changed epoch would show it.
        uint64 validUntil = measurements.standing(measurements.idOf(record.measurement)).validUntil;
        // forge-lint: disable-next-line(unsafe-typecast)
        if (validUntil != 0 && validUntil < record.expiry) record.expiry = uint40(validUntil);
        record.seenEpoch = trustEpoch;
        emit KeyRefreshed(key, trustEpoch, record.expiry);
    }

    /// @notice Writes down that a key is dead, and since when as far as anybody knows. Anyone. It can be registered anew
    /// if what it rests on comes back.
    /// @param key Registered key.
    function recordDeath(address key) external {
        Key storage record = _keys[key];
        (Cause cause, uint64 since) = _examine(record);
        if (record.stage != Stage.Registered || cause == Cause.None) revert NothingToRecord(key);
        record.stage = Stage.Dead;
        // forge-lint: disable-next-line(unsafe-typecast)
        record.deadSince = uint40(since);
        emit KeyDied(key, record.agentId, cause, since);
    }

    /// @notice Ends a key at once and for good.
    /// @param key Registered key of an agent that the caller may act for; the revoker may end any.
    function revoke(address key) external {
        Key storage record = _keys[key];
        Stage stage = record.stage;
        if (stage == Stage.None) revert UnknownKey(key);
        if (stage == Stage.Revoked) revert KeyRevokedForGood(key);
        uint256 agentId = record.agentId;
        if (msg.sender != _revoker && !identity.isAuthorized(agentId, msg.sender)) {
            revert NotAuthorized(msg.sender, agentId);
        }
        // A key that died before keeps the time of its death: revoking it late must not lengthen its life.
        (, uint64 since) = _examine(record);
        record.stage = Stage.Revoked;
        // forge-lint: disable-next-line(unsafe-typecast)
        record.deadSince = uint40(since == 0 ? _now() : since);
        emit KeyRevoked(key, agentId, msg.sender);
    }

    // ------------------------------------------------------------------ what registries tell

    /// @notice Takes note of the registries that promised to tell. Anyone. Until then they are asked each time.
    function connect() external {
        uint8 now_ = connected;
        if (_promises(address(measurements))) now_ |= MEASUREMENTS;
        if (_promises(address(hardware))) now_ |= HARDWARE;
        if (_promises(address(identity))) now_ |= IDENTITY;
        if (now_ == connected) revert NothingToConnect();
        connected = now_;
        emit SourcesConnected(now_);
        // What happened before the promise was told to nobody: every key is looked at once more.
        _advance();
    }

    /// @inheritdoc ITrustObserver
    function trustChanged() external {
        if (msg.sender != address(measurements) && msg.sender != address(hardware)) revert NotASource(msg.sender);
        _advance();
    }

    /// @inheritdoc IAgentObserver
    function agentMoved(uint256 agentId, uint64 epoch) external {
        if (msg.sender != address(identity)) revert NotASource(msg.sender);
        _movedTo[agentId] = epoch;
    }

    function _promises(address source) private view returns (bool) {
        // An identity registry that doesn't know the question has promised nothing.
        (bool success, bytes memory answer) =
            source.staticcall(abi.encodeCall(ITrustSource.isObserver, (address(this))));
        return success && answer.length == 32 && abi.decode(answer, (uint256)) == 1;
    }

    function _advance() private {
        emit TrustChanged(++trustEpoch, msg.sender);
    }

    // ------------------------------------------------------------------ rules

    /// @notice Names the verifier of a platform's quotes. Keys that an earlier one vouched for stay. Owner, after
    /// `announce`.
    /// @param platform Platform constant.
    /// @param verifier Contract.
    function setVerifier(uint8 platform, IQuoteVerifier verifier) external onlyOwner announced {
        if (address(verifier).code.length == 0) revert NotAContract(address(verifier));
        PlatformRules storage rules = platforms[platform];
        rules.verifier = verifier;
        emit VerifierChanged(platform, verifier, rules.generation);
    }

    /// @notice Removes a platform's verifier at once; all keys that it or an earlier one vouched for are dead.
    /// @param platform Platform constant.
    function removeVerifier(uint8 platform) external onlyRevoker {
        PlatformRules storage rules = platforms[platform];
        if (address(rules.verifier) == address(0)) revert NoVerifierSet(platform);
        rules.verifier = IQuoteVerifier(address(0));
        rules.generation++;
        emit VerifierChanged(platform, IQuoteVerifier(address(0)), rules.generation);
        _advance();
    }

    /// @notice Accepts a worse, or a better, level of firmware as the worst. Owner, after `announce`.
    /// @param platform Platform constant.
    /// @param worstTcb Level as in `QuoteClaims`.
    function setWorstTcb(uint8 platform, uint8 worstTcb) external onlyOwner announced {
        platforms[platform].worstTcb = worstTcb;
        emit WorstTcbChanged(platform, worstTcb);
        _advance();
    }

    /// @notice Stops accepting levels of firmware at once, when a fault of the vendor's becomes known.
    /// @param platform Platform constant.
    /// @param worstTcb Level better than the present worst.
    function raiseTcbFloor(uint8 platform, uint8 worstTcb) external {
        if (msg.sender != owner() && msg.sender != _revoker) revert NotRevoker(msg.sender);
        PlatformRules storage rules = platforms[platform];
        if (worstTcb >= rules.worstTcb) revert TcbNotRaised(rules.worstTcb, worstTcb);
        rules.worstTcb = worstTcb;
        emit WorstTcbChanged(platform, worstTcb);
        _advance();
    }

    /// @notice Says whether a platform's quotes must name a machine. Owner, after `announce`.
    /// @param platform Platform constant.
    /// @param required Whether they must.
    function setHardwareRequired(uint8 platform, bool required) external onlyOwner announced {
        platforms[platform].hardwareRequired = required;
        emit HardwareRequirementChanged(platform, required);
        _advance();
    }

    /// @notice Says how long keys may be registered for. Owner, after `announce`.
    /// @param lifetime Seconds.
    function setMaxLifetime(uint32 lifetime) external onlyOwner announced {
        if (lifetime < MIN_LIFETIME || lifetime > MAX_LIFETIME) {
            revert LifetimeOutOfRange(lifetime, MIN_LIFETIME, MAX_LIFETIME);
        }
        maxLifetime = lifetime;
        emit MaxLifetimeChanged(lifetime);
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
