// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What `InferenceServing` uses of `LedgerManager`.
interface ILedger {
    /// @notice Credits a provider out of what a user set aside for it. Serving contract only.
    function settle(address user, address provider, uint256 amount, bytes32 requestHash) external;

    /// @notice Credits the treasury out of what a user set aside for a provider. Serving contract only.
    function settlePlatformFee(address user, address provider, address treasury, uint256 amount) external;

    /// @notice Whether the provider acknowledged the user.
    function isAcknowledged(address user, address provider) external view returns (bool);

    /// @notice What settlements can still reach: what is set aside, and what waits for a refund.
    function settleable(address user, address provider) external view returns (uint256);
}

/// @notice What `LedgerManager` asks of a serving contract before it binds itself to it.
interface IServing {
    /// @notice The ledger that it settles in.
    function ledger() external view returns (ILedger);
}

/// @notice What the market's contracts ask of `ComputeRegistry`.
interface IProviders {
    /// @notice Whether the account counts as a provider now.
    function isActive(address provider) external view returns (bool);

    /// @notice Agent of a provider; zero if there is none or the link ended.
    function getProviderAgentId(address provider) external view returns (uint256);
}
