// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What other contracts ask of `ComputeStaking`.
interface IStaking {
    /// @notice Whether the account has at least a provider's stake that is neither leaving nor slashed.
    function isProvider(address account) external view returns (bool);

    /// @notice Whether the account has at least a user's stake.
    function isStaked(address account) external view returns (bool);

    /// @notice Keeps an account's stake from leaving while a challenge is open. Challengers only.
    function hold(address account, bytes32 challenge) external;

    /// @notice Ends a hold. Whoever placed it only.
    function release(address account, bytes32 challenge) external;

    /// @notice Takes stake for a proven offence, at most once for each, into the sink. Challengers only.
    function slash(address account, uint256 amount, bytes32 offence) external;
}
