// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

/// @title PlatformFee
/// @notice The platform's part of what providers earn: a tenth at most, and never raised without notice.
/// @dev The notice is longer than a user's refund lock, so a provider can cash in at the old fee all that it earned under
/// it. Without a treasury there is no fee, since nobody could fetch it. `pause` stops new work only.
abstract contract PlatformFee is Ownable2Step, Pausable {
    /// @notice Largest fee, in ten-thousandths.
    uint16 public constant MAX_FEE_BPS = 1_000;
    /// @notice Seconds between a change of the fee and its effect.
    uint64 public constant FEE_NOTICE = 8 days;

    /// @notice Who is credited fees; zero: there are none.
    address public treasury;
    /// @notice Unix seconds from which `nextFeeBps` holds.
    uint64 public feeChangesAt;
    uint16 private _feeBps;
    /// @notice The fee from `feeChangesAt` on, in ten-thousandths.
    uint16 public nextFeeBps;

    /// @notice Sum of all fees credited, in wei.
    uint256 public totalPlatformFeesCollected;

    /// @notice The fee will change.
    event PlatformFeeAnnounced(uint256 oldFeeBps, uint256 newFeeBps, uint64 changesAt);
    /// @notice Fees are credited to another account from now on.
    event TreasuryUpdated(address indexed oldTreasury, address indexed newTreasury);

    /// @notice The fee is larger than allowed.
    error FeeTooHigh(uint256 feeBps, uint256 maximum);

    /// @param owner_ Governance: a timelock.
    /// @param treasury_ Who is credited fees, or zero.
    /// @param feeBps The first fee.
    constructor(address owner_, address treasury_, uint16 feeBps) Ownable(owner_) {
        if (feeBps > MAX_FEE_BPS) revert FeeTooHigh(feeBps, MAX_FEE_BPS);
        treasury = treasury_;
        (_feeBps, nextFeeBps) = (feeBps, feeBps);
        emit TreasuryUpdated(address(0), treasury_);
        emit PlatformFeeAnnounced(0, feeBps, 0);
    }

    /// @notice Changes the fee, `FEE_NOTICE` from now.
    /// @param newFeeBps In ten-thousandths, at most `MAX_FEE_BPS`.
    function setPlatformFee(uint256 newFeeBps) external onlyOwner {
        if (newFeeBps > MAX_FEE_BPS) revert FeeTooHigh(newFeeBps, MAX_FEE_BPS);
        uint16 present = _presentFeeBps();
        uint64 changesAt = _now() + FEE_NOTICE;
        // Compared above.
        // forge-lint: disable-next-line(unsafe-typecast)
        (_feeBps, nextFeeBps, feeChangesAt) = (present, uint16(newFeeBps), changesAt);
        emit PlatformFeeAnnounced(present, newFeeBps, changesAt);
    }

    /// @notice Names who is credited fees from now on. What was credited before stays where it is. The first treasury
    /// after none brings the fee back, so that waits as any other rise.
    /// @param newTreasury The account; zero ends fees at once.
    function setTreasury(address newTreasury) external onlyOwner {
        emit TreasuryUpdated(treasury, newTreasury);
        if (treasury == address(0)) {
            (_feeBps, feeChangesAt) = (0, _now() + FEE_NOTICE);
            emit PlatformFeeAnnounced(0, nextFeeBps, feeChangesAt);
        }
        treasury = newTreasury;
    }

    /// @notice Stops new work. Settlements, refunds and withdrawals go on.
    function pause() external onlyOwner {
        _pause();
    }

    /// @notice Takes new work again.
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @dev The fee that holds now, in ten-thousandths.
    function _currentFeeBps() internal view returns (uint16) {
        return treasury == address(0) ? 0 : _presentFeeBps();
    }

    function _presentFeeBps() private view returns (uint16) {
        return _now() < feeChangesAt ? _feeBps : nextFeeBps;
    }

    function _now() internal view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }
}
