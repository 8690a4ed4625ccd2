// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A contract that can take trust away, and tells its observers in the same transaction. That spares them from
/// asking each time whether anything changed.
interface ITrustSource {
    /// @notice Whether `account` is told of everything that is taken away, from now on and for ever: an observer is never
    /// removed, because it would go on trusting what it is no longer told about.
    function isObserver(address account) external view returns (bool);
}

/// @notice What a `MeasurementRegistry` and a `HardwareRegistry` tell.
interface ITrustObserver {
    /// @notice Something was taken away: a measurement, a version, a machine.
    function trustChanged() external;
}

/// @notice What an identity registry that is an `ITrustSource` tells.
interface IAgentObserver {
    /// @notice The agent has another owner.
    /// @param agentId Agent.
    /// @param epoch The agent's new epoch.
    function agentMoved(uint256 agentId, uint64 epoch) external;
}
