// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What other contracts read of `IdentityRegistry` (ERC-8004, with an epoch for each agent).
interface IIdentity {
    /// @notice Owner of the agent's NFT. Reverts for an agent that doesn't exist.
    function ownerOf(uint256 agentId) external view returns (address);

    /// @notice Whether `account` may act for the agent: its owner, or approved by it (ERC-721).
    function isAuthorized(uint256 agentId, address account) external view returns (bool);

    /// @notice Account that receives what the agent earns; zero if none is set.
    function getAgentWallet(uint256 agentId) external view returns (address);

    /// @notice Counts the owners of the agent, from 1. What was agreed with the last owner ends when it grows: attested
    /// keys, prices and stake are bound to an epoch.
    function agentEpoch(uint256 agentId) external view returns (uint64);
}
