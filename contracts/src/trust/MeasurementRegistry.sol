// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Governed} from "./Governed.sol";
import {MeasurementRecords} from "./MeasurementRecords.sol";
import {Observed} from "./Observed.sol";
import {Rebuilders} from "./Rebuilders.sol";
import {Revocable} from "./Revocable.sol";

/// @title MeasurementRegistry
/// @notice Reference values: which launch measurements of the appliance verifiers may accept.
/// @dev A measurement id is SHA-256 over a tag and length-prefixed launch registers, computed off chain; one id per
/// machine shape, several ids share a release digest.
///
/// The owner proposes, waits, and activates what enough independent rebuilders confirmed; it raises the version floor.
/// The revoker ends a measurement at once, also while it waits, so a proposal can be vetoed for as long as the timelock
/// runs. See `Governed` for the roles, `MeasurementRecords` for the storage, `Rebuilders` for the confirmations.
contract MeasurementRegistry is Ownable2Step, MeasurementRecords, Rebuilders, Observed {
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
    /// @notice Verifiers must refuse the measurement from `validUntil` on.
    event ValidityLimited(bytes32 indexed id, uint64 validUntil, uint64 policyEpoch);
    /// @notice A rebuilder confirmed the measurement.
    event RebuildStated(
        bytes32 indexed id,
        address indexed rebuilder,
        bytes32 sourceCommit,
        bytes32 lockDigest,
        uint64 builtAt,
        uint16 rebuildCount
    );
    /// @notice Confirmations were counted again, without those of removed rebuilders.
    event RebuildsRecounted(bytes32 indexed id, uint16 rebuildCount);

    /// @notice The id or the release digest is zero.
    error ZeroDigest();
    /// @notice The platform is unknown, or simulated on a chain that isn't local.
    error PlatformRefused(uint8 platform);
    /// @notice The id was proposed before; whatever became of it, it can't be proposed again.
    error AlreadyKnown(bytes32 id, Stage stage);
    /// @notice The id isn't in a stage in which the call makes sense.
    error WrongStage(bytes32 id, Stage stage);
    /// @notice The version lies below the floor.
    error BelowFloor(uint32 version, uint32 versionFloor);
    /// @notice The floor only rises.
    error FloorNotRaised(uint32 current, uint32 wanted);
    /// @notice Validity must end after `from`, and no later than before.
    error ValidityRefused(uint64 wanted, uint64 from, uint64 current);
    /// @notice The validity is over since `validUntil`.
    error ValidityOver(uint64 validUntil);
    /// @notice The validity isn't over.
    error ValidityRuns(uint64 validUntil);
    /// @notice Fewer independent rebuilders than required confirmed the measurement.
    error TooFewRebuilds(uint16 count, uint16 required);
    /// @notice The statement is about another release than the record.
    error OtherRelease(bytes32 stated, bytes32 recorded);
    /// @notice The rebuilder confirmed the measurement before.
    error AlreadyStated(bytes32 id, address rebuilder);

    /// @param owner_ Governance.
    /// @param revoker_ The account that may revoke; not the owner.
    /// @param minDelay_ Timelock in seconds, at least `MIN_PUBLIC_DELAY` unless the chain is a local one.
    constructor(address owner_, address revoker_, uint64 minDelay_) Revocable(owner_, revoker_, minDelay_) {}

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
        Entry storage entry = _entries[id];
        if (entry.record.stage != Stage.None) revert AlreadyKnown(id, entry.record.stage);

        uint64 readyAt = _now() + minDelay;
        entry.record = Record({
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
        uint32 serial = ++measurementCount;
        entry.serial = serial;
        idOf[serial] = id;
        emit MeasurementProposed(id, releaseDigest, platform, version, custody, flags, readyAt);
    }

    /// @notice Lets verifiers accept a proposed measurement whose timelock has run out and that enough of the present
    /// rebuilders confirmed.
    /// @param id Measurement id.
    function activate(bytes32 id) external onlyOwner {
        Entry storage entry = _entries[id];
        Record storage record = entry.record;
        if (record.stage != Stage.Proposed) revert WrongStage(id, record.stage);
        if (_now() < record.validFrom) revert TooEarly(record.validFrom);
        if (record.version < versionFloor) revert BelowFloor(record.version, versionFloor);
        uint64 validUntil = entry.validUntil;
        if (validUntil != 0 && _now() >= validUntil) revert ValidityOver(validUntil);
        uint16 count = _countActive(entry.confirmedBy);
        if (count < requiredRebuilds) revert TooFewRebuilds(count, requiredRebuilds);

        record.rebuildCount = count;
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
        _notify();
    }

    /// @notice Says when a measurement ends by itself: a planned end, known to all beforehand. It can only be brought
    /// forward later.
    /// @param id Measurement id, proposed or active.
    /// @param validUntil Unix seconds, in the future and, while it waits, after its earliest activation.
    function limitValidity(bytes32 id, uint64 validUntil) external onlyOwner {
        Entry storage entry = _entries[id];
        Stage stage = entry.record.stage;
        if (stage != Stage.Proposed && stage != Stage.Active) revert WrongStage(id, stage);
        uint64 current = entry.validUntil;
        uint64 from = stage == Stage.Proposed ? entry.record.validFrom : _now();
        if (validUntil <= from || (current != 0 && validUntil >= current)) {
            revert ValidityRefused(validUntil, from, current);
        }
        entry.validUntil = validUntil;
        emit ValidityLimited(id, validUntil, ++policyEpoch);
        _notify();
    }

    // ------------------------------------------------------------------ anyone

    /// @notice Counts a rebuilder's signed statement for a measurement that waits or is active.
    /// @param statement The statement.
    /// @param signature 65 bytes, by the rebuilder's key.
    function stateRebuild(RebuildStatement calldata statement, bytes calldata signature) external {
        bytes32 id = statement.measurement;
        Entry storage entry = _entries[id];
        Record storage record = entry.record;
        if (record.stage != Stage.Proposed && record.stage != Stage.Active) revert WrongStage(id, record.stage);
        if (statement.releaseDigest != record.releaseDigest) {
            revert OtherRelease(statement.releaseDigest, record.releaseDigest);
        }
        uint160 seat = _verify(statement, signature);
        uint160 confirmedBy = entry.confirmedBy;
        if (confirmedBy & seat != 0) revert AlreadyStated(id, statement.rebuilder);

        entry.confirmedBy = confirmedBy | seat;
        uint16 count = _countActive(confirmedBy | seat);
        record.rebuildCount = count;
        emit RebuildStated(
            id, statement.rebuilder, statement.sourceCommit, statement.lockDigest, statement.builtAt, count
        );
    }

    /// @notice Brings `rebuildCount` up to date after a rebuilder was removed. Activation does so itself.
    /// @param id Measurement id.
    function recount(bytes32 id) external {
        Entry storage entry = _entries[id];
        uint16 count = _countActive(entry.confirmedBy);
        entry.record.rebuildCount = count;
        emit RebuildsRecounted(id, count);
    }

    /// @notice Whether a present rebuilder confirmed the measurement.
    /// @param id Measurement id.
    /// @param rebuilder Account.
    function hasStated(bytes32 id, address rebuilder) external view returns (bool) {
        return _entries[id].confirmedBy & _seatBit(rebuilder) != 0;
    }

    /// @notice Writes down that an active measurement's validity is over, for readers who see nothing but its record.
    /// @param id Measurement id.
    function expire(bytes32 id) external {
        Entry storage entry = _entries[id];
        Record storage record = entry.record;
        if (record.stage != Stage.Active) revert WrongStage(id, record.stage);
        uint64 validUntil = entry.validUntil;
        if (validUntil == 0 || _now() < validUntil) revert ValidityRuns(validUntil);

        record.revokedAt = validUntil;
        record.stage = Stage.Revoked;
        emit MeasurementRevoked(id, msg.sender, validUntil, ++policyEpoch);
        _notify();
    }

    // ------------------------------------------------------------------ revoker

    /// @notice Ends a measurement at once and for good, whether it is active or still waiting.
    /// @param id Measurement id.
    function revoke(bytes32 id) external onlyRevoker {
        Entry storage entry = _entries[id];
        Record storage record = entry.record;
        Stage stage = record.stage;
        if (stage != Stage.Proposed && stage != Stage.Active) revert WrongStage(id, stage);

        // A vetoed proposal was valid at no time; its earliest activation must not read as a start of validity.
        if (stage == Stage.Proposed) record.validFrom = _now();
        // Nor may a late revocation lengthen a validity that was over.
        uint64 validUntil = entry.validUntil;
        bool over = stage == Stage.Active && validUntil != 0 && validUntil < _now();
        uint64 revokedAt = over ? validUntil : _now();
        record.revokedAt = revokedAt;
        record.stage = Stage.Revoked;
        emit MeasurementRevoked(id, msg.sender, revokedAt, ++policyEpoch);
        _notify();
    }

    /// @inheritdoc Revocable
    function revoker() public view override returns (address) {
        return _revoker;
    }

    /// @inheritdoc Revocable
    function _setRevoker(address account) internal override {
        _revoker = account;
    }

    // ------------------------------------------------------------------ order of bases

    // `Ownable2Step` and `MeasurementRecords` stand before `Governed` for the sake of the storage slots, so the compiler
    // wants to be told that the later ones' functions hold.

    /// @inheritdoc Revocable
    function renounceOwnership() public pure override(Ownable, Revocable) {
        Revocable.renounceOwnership();
    }

    /// @inheritdoc Revocable
    function _transferOwnership(address newOwner) internal override(Ownable2Step, Revocable) {
        Revocable._transferOwnership(newOwner);
    }

    /// @inheritdoc Rebuilders
    function _isApart(address account) internal view override(Revocable, Rebuilders) returns (bool) {
        return Rebuilders._isApart(account);
    }
}
