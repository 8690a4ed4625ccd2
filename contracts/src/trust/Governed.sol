// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Revocable} from "./Revocable.sol";

/// @title Governed
/// @notice The roles of `Revocable` and a timelock: what the owner changes is announced, waits in the open, and may be vetoed.
abstract contract Governed is Revocable {
    /// @notice Seconds for which an announced change can be made once its timelock has run out. What was announced and
    /// forgotten years ago must not be at the hand of whoever steals the owner's key.
    uint64 public constant GRACE = 30 days;

    /// @notice Unix seconds from which an announced change can be made; zero if there is no such announcement.
    mapping(bytes32 change => uint64 readyAt) public announcedFor;

    /// @notice A change waits for its timelock.
    /// @param change Keccak-256 of `call`.
    /// @param call The call to this contract that will make it.
    /// @param readyAt Unix seconds from which it can be made.
    event ChangeAnnounced(bytes32 indexed change, bytes call, uint64 readyAt);
    /// @notice An announced change won't be made.
    event ChangeVetoed(bytes32 indexed change, address indexed by);

    /// @notice The announcement ended at `endedAt`.
    error TooLate(uint64 endedAt);
    /// @notice Nobody announced this very call, or it was made or vetoed.
    error NotAnnounced(bytes32 change);

    /// @dev The call that is being made was announced, byte for byte, and its timelock has run out.
    modifier announced() {
        _takeAnnouncement();
        _;
    }

    /// @notice Announces a call of the owner to this contract. It can be made once, from `minDelay` seconds on. Announcing
    /// it again starts the wait again.
    /// @param call The whole call, selector and arguments.
    function announce(bytes calldata call) external onlyOwner {
        bytes32 change = keccak256(call);
        uint64 readyAt = _now() + minDelay;
        announcedFor[change] = readyAt;
        emit ChangeAnnounced(change, call, readyAt);
    }

    /// @notice Ends an announcement. The owner may take back its own, the revoker any.
    /// @param change Keccak-256 of the announced call.
    function veto(bytes32 change) external {
        if (msg.sender != revoker() && msg.sender != owner()) revert NotRevoker(msg.sender);
        if (announcedFor[change] == 0) revert NotAnnounced(change);
        delete announcedFor[change];
        emit ChangeVetoed(change, msg.sender);
    }

    function _takeAnnouncement() private {
        bytes32 change = keccak256(msg.data);
        uint64 readyAt = announcedFor[change];
        if (readyAt == 0) revert NotAnnounced(change);
        if (_now() < readyAt) revert TooEarly(readyAt);
        if (_now() >= readyAt + GRACE) revert TooLate(readyAt + GRACE);
        delete announcedFor[change];
    }
}
