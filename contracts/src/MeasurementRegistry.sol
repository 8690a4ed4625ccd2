// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title MeasurementRegistry
/// @notice Reference values: which launch measurements of the appliance verifiers may accept.
/// @dev A measurement id is SHA-256 over a tag and length-prefixed launch registers, computed off chain; one id per
/// machine shape, several ids share a release digest.
///
/// Roles. The owner is governance: it proposes, waits, activates, raises the version floor and nominates a revoker. The
/// revoker only takes away: it revokes at once, also what is still waiting, so a proposal can be vetoed for as long as the
/// timelock runs. Neither can do the other's part, and they can't be one account. No key that a node holds has a role.
/// Replacing the revoker waits as long as a measurement does, so whoever steals the owner's key can't first remove the
/// veto and then activate.
///
/// Storage is a public interface, read through `eth_getProof`:
///  - `RECORDS_SLOT` is the mapping; the packed record of `id` lies at `keccak256(id . RECORDS_SLOT)`, its release digest
///    in the slot after that. From the lowest bit: validFrom (64), revokedAt (64), version (32), rebuildCount (16),
///    platform (8), custody (8), flags (16), stage (8).
///  - `POLICY_SLOT` holds, from the lowest bit: policyEpoch (64), versionFloor (32), revoker (160).
contract MeasurementRegistry is Ownable2Step {
    /// @notice How far a measurement has come. `Revoked` is final.
    enum Stage {
        None,
        Proposed,
        Active,
        Revoked
    }

    /// @notice What the registry knows about one measurement.
    /// @param validFrom Unix seconds. While proposed: the earliest time of activation; then: the time of activation.
    /// @param revokedAt Unix seconds, zero while not revoked. `[validFrom, revokedAt)` is the time of validity, and is
    /// empty for what was revoked before it became active.
    /// @param version Release number that the version floor is compared with.
    /// @param rebuildCount Independent rebuilds that confirmed the measurement. No function counts them in this version
    /// of the contract: zero.
    /// @param platform `TDX`, `SEV_SNP`, `NITRO`, `SIMULATED`.
    /// @param custody Class of key material that the network may entrust to the image; zero for none.
    /// @param flags Properties of the image that policies may ask for.
    /// @param stage See `Stage`.
    /// @param releaseDigest SHA-256 of the release manifest that this measurement belongs to.
    struct Record {
        uint64 validFrom;
        uint64 revokedAt;
        uint32 version;
        uint16 rebuildCount;
        uint8 platform;
        uint8 custody;
        uint16 flags;
        Stage stage;
        bytes32 releaseDigest;
    }

    /// @notice Intel TDX.
    uint8 public constant TDX = 1;
    /// @notice AMD SEV-SNP.
    uint8 public constant SEV_SNP = 2;
    /// @notice AWS Nitro Enclaves.
    uint8 public constant NITRO = 3;
    /// @notice Simulated silicon, which proves nothing: refused on every chain but a local one.
    uint8 public constant SIMULATED = 255;

    /// @notice Storage slot of the records' mapping.
    uint256 public constant RECORDS_SLOT = 2;
    /// @notice Storage slot of policy epoch, version floor and revoker.
    uint256 public constant POLICY_SLOT = 3;

    /// @notice Shortest timelock on any chain but a local one, in seconds.
    uint64 public constant MIN_PUBLIC_DELAY = 48 hours;
    /// @notice Chain id of local development chains.
    uint256 public constant LOCAL_CHAIN_ID = 31337;

    /// @notice Seconds between proposal and activation, and between nomination and acceptance of a revoker.
    uint64 public immutable minDelay;

    mapping(bytes32 id => Record) private _records;

    /// @notice Counts the changes to what verifiers may accept, so that a cached answer can be told from a current one.
    uint64 public policyEpoch;
    /// @notice Measurements of a lower version are not active, whatever their stage.
    uint32 public versionFloor;
    /// @notice The account that may revoke.
    address public revoker;

    /// @notice The account that may become revoker, or zero.
    address public nominatedRevoker;
    /// @notice Unix seconds from which the nominated revoker may accept.
    uint64 public revokerReadyAt;

    /// @notice A measurement waits for its timelock.
    event MeasurementProposed(
        bytes32 indexed id,
        bytes32 indexed releaseDigest,
        uint8 indexed platform,
        uint32 version,
        uint8 custody,
        uint16 flags,
        uint64 readyAt
    );
    /// @notice Verifiers may accept the measurement from `validFrom` on.
    event MeasurementActivated(bytes32 indexed id, uint64 validFrom, uint64 policyEpoch);
    /// @notice Verifiers must refuse the measurement from `revokedAt` on, for good.
    event MeasurementRevoked(bytes32 indexed id, address indexed by, uint64 revokedAt, uint64 policyEpoch);
    /// @notice Verifiers must refuse measurements below `versionFloor`.
    event VersionFloorRaised(uint32 versionFloor, uint64 policyEpoch);
    /// @notice `nominee` may become revoker from `readyAt` on; zero address: the nomination was withdrawn.
    event RevokerNominated(address indexed nominee, uint64 readyAt);
    /// @notice The revoker changed.
    event RevokerChanged(address indexed previous, address indexed current);

    /// @notice The id or the release digest is zero.
    error ZeroDigest();
    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice The platform is unknown, or simulated on a chain that isn't local.
    error PlatformRefused(uint8 platform);
    /// @notice The id was proposed before; whatever became of it, it can't be proposed again.
    error AlreadyKnown(bytes32 id, Stage stage);
    /// @notice The id isn't in a stage in which the call makes sense.
    error WrongStage(bytes32 id, Stage stage);
    /// @notice The timelock runs until `readyAt`.
    error TooEarly(uint64 readyAt);
    /// @notice The version lies below the floor.
    error BelowFloor(uint32 version, uint32 versionFloor);
    /// @notice The floor only rises.
    error FloorNotRaised(uint32 current, uint32 wanted);
    /// @notice The timelock is too short for this chain.
    error DelayTooShort(uint64 delay, uint64 minimum);
    /// @notice The caller isn't the revoker.
    error NotRevoker(address caller);
    /// @notice The caller isn't the nominated revoker.
    error NotNominated(address caller);
    /// @notice Owner and revoker must be two accounts.
    error RolesMustDiffer(address account);
    /// @notice A registry without an owner could only decay.
    error RenounceRefused();

    /// @param owner_ Governance.
    /// @param revoker_ The account that may revoke; not the owner.
    /// @param minDelay_ Timelock in seconds, at least `MIN_PUBLIC_DELAY` unless the chain is a local one.
    constructor(address owner_, address revoker_, uint64 minDelay_) Ownable(owner_) {
        if (revoker_ == address(0)) revert ZeroAccount();
        if (revoker_ == owner_) revert RolesMustDiffer(owner_);
        if (minDelay_ < MIN_PUBLIC_DELAY && block.chainid != LOCAL_CHAIN_ID) {
            revert DelayTooShort(minDelay_, MIN_PUBLIC_DELAY);
        }
        minDelay = minDelay_;
        revoker = revoker_;
        emit RevokerChanged(address(0), revoker_);
    }

    // ------------------------------------------------------------------ reading

    /// @notice The packed record of `id` as it lies in storage, zero if unknown. One cold slot.
    /// @param id Measurement id.
    /// @return packed Layout as in the contract's comment.
    function query(bytes32 id) external view returns (uint256 packed) {
        Record storage record = _records[id];
        assembly ("memory-safe") {
            packed := sload(record.slot)
        }
    }

    /// @notice All that a verifier needs to judge `id`, in one call: the three storage words themselves.
    /// @param id Measurement id.
    /// @return packed The record's first slot.
    /// @return releaseDigest The record's second slot.
    /// @return policy The slot `POLICY_SLOT`.
    function lookup(bytes32 id) external view returns (uint256 packed, bytes32 releaseDigest, uint256 policy) {
        Record storage record = _records[id];
        assembly ("memory-safe") {
            packed := sload(record.slot)
            releaseDigest := sload(add(record.slot, 1))
            policy := sload(POLICY_SLOT)
        }
    }

    /// @notice The record of `id`, decoded; all zero if unknown.
    /// @param id Measurement id.
    function recordOf(bytes32 id) external view returns (Record memory) {
        return _records[id];
    }

    /// @notice Whether verifiers may accept `id` now: activated, not revoked, not below the version floor.
    /// @param id Measurement id.
    function isActive(bytes32 id) external view returns (bool) {
        Record storage record = _records[id];
        return record.stage == Stage.Active && record.version >= versionFloor;
    }

    // ------------------------------------------------------------------ governance

    /// @notice Announces a measurement. It can be activated once `minDelay` has passed; until then auditors may object
    /// and the revoker may end it.
    /// @param id Measurement id, never proposed before.
    /// @param releaseDigest SHA-256 of the release manifest.
    /// @param version Release number, not below the floor.
    /// @param platform One of the platform constants.
    /// @param custody Class of key material that the image may be entrusted with.
    /// @param flags Properties of the image.
    function propose(bytes32 id, bytes32 releaseDigest, uint32 version, uint8 platform, uint8 custody, uint16 flags)
        external
        onlyOwner
    {
        if (id == bytes32(0) || releaseDigest == bytes32(0)) revert ZeroDigest();
        bool known = platform == TDX || platform == SEV_SNP || platform == NITRO
            || (platform == SIMULATED && block.chainid == LOCAL_CHAIN_ID);
        if (!known) revert PlatformRefused(platform);
        if (version < versionFloor) revert BelowFloor(version, versionFloor);
        Record storage record = _records[id];
        if (record.stage != Stage.None) revert AlreadyKnown(id, record.stage);

        uint64 readyAt = _now() + minDelay;
        _records[id] = Record({
            validFrom: readyAt,
            revokedAt: 0,
            version: version,
            rebuildCount: 0,
            platform: platform,
            custody: custody,
            flags: flags,
            stage: Stage.Proposed,
            releaseDigest: releaseDigest
        });
        emit MeasurementProposed(id, releaseDigest, platform, version, custody, flags, readyAt);
    }

    /// @notice Lets verifiers accept a proposed measurement whose timelock has run out.
    /// @param id Measurement id.
    function activate(bytes32 id) external onlyOwner {
        Record storage record = _records[id];
        if (record.stage != Stage.Proposed) revert WrongStage(id, record.stage);
        if (_now() < record.validFrom) revert TooEarly(record.validFrom);
        if (record.version < versionFloor) revert BelowFloor(record.version, versionFloor);

        record.validFrom = _now();
        record.stage = Stage.Active;
        emit MeasurementActivated(id, _now(), ++policyEpoch);
    }

    /// @notice Ends the downgrade to releases with known faults: measurements below `floor` stop being active at once.
    /// @param floor New floor, above the current one.
    function raiseVersionFloor(uint32 floor) external onlyOwner {
        if (floor <= versionFloor) revert FloorNotRaised(versionFloor, floor);
        versionFloor = floor;
        emit VersionFloorRaised(floor, ++policyEpoch);
    }

    /// @notice Names the next revoker, who may accept once `minDelay` has passed; the present one stays until then.
    /// @param nominee The next revoker, or zero to withdraw a nomination.
    function nominateRevoker(address nominee) external onlyOwner {
        uint64 readyAt = nominee == address(0) ? 0 : _now() + minDelay;
        nominatedRevoker = nominee;
        revokerReadyAt = readyAt;
        emit RevokerNominated(nominee, readyAt);
    }

    // ------------------------------------------------------------------ revoker

    /// @notice Ends a measurement at once and for good, whether it is active or still waiting.
    /// @param id Measurement id.
    function revoke(bytes32 id) external {
        if (msg.sender != revoker) revert NotRevoker(msg.sender);
        Record storage record = _records[id];
        Stage stage = record.stage;
        if (stage != Stage.Proposed && stage != Stage.Active) revert WrongStage(id, stage);

        // A vetoed proposal was valid at no time; its earliest activation must not read as a start of validity.
        if (stage == Stage.Proposed) record.validFrom = _now();
        record.revokedAt = _now();
        record.stage = Stage.Revoked;
        emit MeasurementRevoked(id, msg.sender, _now(), ++policyEpoch);
    }

    /// @notice Takes over as revoker after the nomination's timelock.
    function acceptRevoker() external {
        if (msg.sender != nominatedRevoker) revert NotNominated(msg.sender);
        if (_now() < revokerReadyAt) revert TooEarly(revokerReadyAt);
        if (msg.sender == owner()) revert RolesMustDiffer(msg.sender);

        emit RevokerChanged(revoker, msg.sender);
        revoker = msg.sender;
        nominatedRevoker = address(0);
        revokerReadyAt = 0;
    }

    // ------------------------------------------------------------------ ownership

    /// @notice Always refused: the registry needs an owner.
    function renounceOwnership() public pure override {
        revert RenounceRefused();
    }

    /// @inheritdoc Ownable2Step
    function _transferOwnership(address newOwner) internal override {
        if (newOwner == revoker) revert RolesMustDiffer(newOwner);
        super._transferOwnership(newOwner);
    }

    function _now() private view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }
}
