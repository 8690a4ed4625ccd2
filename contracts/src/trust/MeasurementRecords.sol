// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IMeasurements, Platform} from "../interfaces/ITrust.sol";

/// @title MeasurementRecords
/// @notice What `MeasurementRegistry` keeps of each measurement, where it lies, and how it is read.
/// @dev Storage is a public interface, read through `eth_getProof` (`docs/wire-formats.md` §10), so this contract comes
/// first in the registry's order of bases:
///  - `RECORDS_SLOT` is the mapping; the packed record of `id` lies at `keccak256(id . RECORDS_SLOT)`, its release digest
///    in the slot after that. From the lowest bit: validFrom (64), revokedAt (64), version (32), rebuildCount (16),
///    platform (8), custody (8), flags (16), stage (8).
///  - The third slot, from the lowest bit: validUntil (64), serial (32), seats of the rebuilders who confirmed it (160).
///  - `POLICY_SLOT` holds, from the lowest bit: policyEpoch (64), versionFloor (32), revoker (160).
abstract contract MeasurementRecords is Ownable2Step, IMeasurements {
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
    /// @param rebuildCount Independent rebuilders who confirmed the measurement, as of the last statement, activation or
    /// `recount`.
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

    struct Entry {
        Record record;
        uint64 validUntil;
        uint32 serial;
        uint160 confirmedBy;
    }

    /// @notice How a measurement stands now.
    /// @param active Whether verifiers may accept it.
    /// @param platform Platform constant.
    /// @param custody Class of key material.
    /// @param serial Its number, from 1.
    /// @param validUntil Unix seconds at which it ends by itself; zero for never.
    /// @param endedAt Unix seconds from which it has ended; zero if it hasn't, or if nobody knows since when: the version
    /// floor has no history.
    struct Standing {
        bool active;
        uint8 platform;
        uint8 custody;
        uint32 serial;
        uint64 validUntil;
        uint64 endedAt;
    }

    /// @notice Intel TDX.
    uint8 public constant TDX = Platform.TDX;
    /// @notice AMD SEV-SNP.
    uint8 public constant SEV_SNP = Platform.SEV_SNP;
    /// @notice AWS Nitro Enclaves.
    uint8 public constant NITRO = Platform.NITRO;
    /// @notice Simulated silicon, which proves nothing: refused on every chain but a local one.
    uint8 public constant SIMULATED = Platform.SIMULATED;

    /// @notice Storage slot of the records' mapping.
    uint256 public constant RECORDS_SLOT = 2;
    /// @notice Storage slot of policy epoch, version floor and revoker.
    uint256 public constant POLICY_SLOT = 3;

    mapping(bytes32 id => Entry) internal _entries;

    /// @notice Counts the changes to what verifiers may accept, so that a cached answer can be told from a current one.
    /// The end of a validity isn't a change: it was known before.
    uint64 public policyEpoch;
    /// @notice Measurements of a lower version are not active, whatever their stage.
    uint32 public versionFloor;
    address internal _revoker;

    /// @notice The id with that serial number; from 1, without gaps. Zero beyond the last.
    mapping(uint32 serial => bytes32 id) public idOf;
    /// @notice How many measurements were ever proposed.
    uint32 public measurementCount;

    /// @notice The packed record of `id` as it lies in storage, zero if unknown. One cold slot.
    /// @param id Measurement id.
    /// @return packed Layout as in the contract's comment.
    function query(bytes32 id) external view returns (uint256 packed) {
        Record storage record = _entries[id].record;
        assembly ("memory-safe") {
            packed := sload(record.slot)
        }
    }

    /// @notice All that a verifier needs to judge `id`, in one call: the three storage words themselves. A measurement
    /// that has reached the end of its validity reads as active here until somebody calls `expire`.
    /// @param id Measurement id.
    /// @return packed The record's first slot.
    /// @return releaseDigest The record's second slot.
    /// @return policy The slot `POLICY_SLOT`.
    function lookup(bytes32 id) external view returns (uint256 packed, bytes32 releaseDigest, uint256 policy) {
        Record storage record = _entries[id].record;
        assembly ("memory-safe") {
            packed := sload(record.slot)
            releaseDigest := sload(add(record.slot, 1))
            policy := sload(POLICY_SLOT)
        }
    }

    /// @notice The record of `id`, decoded; all zero if unknown.
    /// @param id Measurement id.
    function recordOf(bytes32 id) external view returns (Record memory) {
        return _entries[id].record;
    }

    /// @notice Whether verifiers may accept `id` now: activated, not revoked, not below the version floor, not over.
    /// @param id Measurement id.
    function isActive(bytes32 id) external view returns (bool) {
        return standing(id).active;
    }

    /// @notice How `id` stands now; all zero if unknown.
    /// @param id Measurement id.
    function standing(bytes32 id) public view returns (Standing memory result) {
        Entry storage entry = _entries[id];
        Record storage record = entry.record;
        result.platform = record.platform;
        result.custody = record.custody;
        result.serial = entry.serial;
        result.validUntil = entry.validUntil;
        Stage stage = record.stage;
        if (stage == Stage.Revoked) {
            result.endedAt = record.revokedAt;
        } else if (stage == Stage.Active) {
            // forge-lint: disable-next-line(block-timestamp)
            if (result.validUntil != 0 && block.timestamp >= result.validUntil) result.endedAt = result.validUntil;
            else result.active = record.version >= versionFloor;
        }
    }
}
