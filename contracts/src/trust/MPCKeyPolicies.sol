// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../interfaces/IStaking.sol";

/// @title MPCKeyPolicies
/// @notice Who may use a key of `MPCKeyRegistry`: the policies' half of that contract.
abstract contract MPCKeyPolicies {
    /// @notice Who may use a key. The numbers are those that clients of the network know.
    /// @dev The key's owner may always, unless a time lock runs. `TIME_LOCKED`: nobody before `unlockTime`, the owner
    /// included, who can't change the policy before then either; from then on the allow-list.
    enum AccessType {
        OPEN,
        OWNER_ONLY,
        ALLOWLIST,
        STAKE_GATED,
        ROLE_BASED,
        TIME_LOCKED
    }

    /// @notice Policy of a key's use.
    /// @param accessType Which of the rules holds.
    /// @param providerStake For `STAKE_GATED`: whether a provider's stake is asked for; else a user's is enough.
    /// @param requiredRole For `ROLE_BASED`: the role, of this key's own set.
    /// @param unlockTime For `TIME_LOCKED`: unix seconds.
    /// @param allowlist For `ALLOWLIST` and `TIME_LOCKED`: the first accounts on the list; at most `MAX_LIST`.
    struct AccessPolicy {
        AccessType accessType;
        bool providerStake;
        bytes32 requiredRole;
        uint64 unlockTime;
        address[] allowlist;
    }

    /// @notice Policy of a key as it is kept.
    /// @param policyVersion Counts the policies of the key.
    struct Policy {
        AccessType accessType;
        bool providerStake;
        uint32 policyVersion;
        uint64 unlockTime;
        bytes32 requiredRole;
    }

    /// @notice Most accounts in one policy's list; more come with `addToAllowlist`.
    uint256 public constant MAX_LIST = 64;
    /// @notice Longest time lock, in seconds.
    uint64 public constant MAX_LOCK = 3650 days;

    /// @notice Where stake is asked for.
    IStaking public immutable staking;

    mapping(bytes32 keyId => Policy) private _policies;
    // Under the number of the policy, so that a list ends with its policy.
    mapping(bytes32 keyId => mapping(uint32 policyVersion => mapping(address account => bool))) private _allowed;
    mapping(bytes32 keyId => mapping(bytes32 role => mapping(address account => bool))) private _roles;

    /// @notice Another policy holds, with an empty list but for the `AllowlistChanged` events that follow.
    event PolicyUpdated(
        bytes32 indexed keyId,
        AccessType newAccessType,
        uint32 policyVersion,
        bool providerStake,
        bytes32 requiredRole,
        uint64 unlockTime
    );
    /// @notice An account came onto or off the list of the key's current policy.
    event AllowlistChanged(bytes32 indexed keyId, address indexed account, bool allowed);
    /// @notice An account got or lost a role of the key.
    event RoleChanged(bytes32 indexed keyId, bytes32 indexed role, address indexed account, bool granted);

    /// @notice The caller doesn't own the key.
    error NotKeyOwner(bytes32 keyId, address caller);
    /// @notice The list is too long for one call.
    error ListTooLong(uint256 length, uint256 maximum);
    /// @notice The policy has no list, or was given one that it doesn't use.
    error NoAllowlist(AccessType accessType);
    /// @notice The time isn't in the future, or too far in it.
    error UnlockTimeOutOfBounds(uint64 unlockTime);
    /// @notice The key's time lock runs.
    error Locked(uint64 unlockTime);

    /// @param staking_ Where `STAKE_GATED` asks.
    constructor(IStaking staking_) {
        staking = staking_;
    }

    // ------------------------------------------------------------------ the owner of a key

    /// @notice Sets another policy for a key. The list of the policy before ends with it; roles stay.
    /// @param keyId The key.
    /// @param newPolicy The policy.
    function updatePolicy(bytes32 keyId, AccessPolicy calldata newPolicy) external {
        _requireOwned(keyId);
        Policy storage policy = _policies[keyId];
        if (_locked(policy)) revert Locked(policy.unlockTime);
        _setPolicy(keyId, newPolicy);
    }

    /// @notice Puts an account on the list of the key's policy.
    /// @param keyId The key.
    /// @param account The account.
    function addToAllowlist(bytes32 keyId, address account) external {
        _requireOwned(keyId);
        _list(keyId, _policies[keyId], account, true);
    }

    /// @notice Takes an account off the list of the key's policy.
    /// @param keyId The key.
    /// @param account The account.
    function removeFromAllowlist(bytes32 keyId, address account) external {
        _requireOwned(keyId);
        _list(keyId, _policies[keyId], account, false);
    }

    /// @notice Gives an account a role of this key. Roles of one key mean nothing for another.
    /// @param keyId The key.
    /// @param role Any 32 bytes, by convention keccak256 of a name.
    /// @param account The account.
    function grantRole(bytes32 keyId, bytes32 role, address account) external {
        _setRole(keyId, role, account, true);
    }

    /// @notice Takes a role of this key from an account.
    /// @param keyId The key.
    /// @param role Any 32 bytes, by convention keccak256 of a name.
    /// @param account The account.
    function revokeRole(bytes32 keyId, bytes32 role, address account) external {
        _setRole(keyId, role, account, false);
    }

    // ------------------------------------------------------------------ reading

    /// @notice Account that a key id belongs to: its first 20 bytes.
    /// @param keyId The key.
    function ownerOf(bytes32 keyId) public pure returns (address) {
        // The truncation is the rule.
        // forge-lint: disable-next-line(unsafe-typecast)
        return address(bytes20(keyId));
    }

    /// @notice The key's policy without its list and roles; all zero if the key is unknown.
    /// @param keyId The key.
    function policyOf(bytes32 keyId) external view returns (Policy memory) {
        return _policies[keyId];
    }

    /// @notice Whether an account is on the list of the key's current policy.
    /// @param keyId The key.
    /// @param account The account.
    function isAllowed(bytes32 keyId, address account) external view returns (bool) {
        return _allowed[keyId][_policies[keyId].policyVersion][account];
    }

    /// @notice Whether an account has a role of the key.
    /// @param keyId The key.
    /// @param role Any 32 bytes, by convention keccak256 of a name.
    /// @param account The account.
    function hasRole(bytes32 keyId, bytes32 role, address account) external view returns (bool) {
        return _roles[keyId][role][account];
    }

    // ------------------------------------------------------------------ steps

    /// @dev Reverts unless the key is active and the caller owns it.
    function _requireOwned(bytes32 keyId) internal view virtual;

    function _mayUse(bytes32 keyId, address account) internal view returns (bool) {
        Policy storage policy = _policies[keyId];
        AccessType rule = policy.accessType;
        if (account == address(0) || _locked(policy)) return false;
        if (account == ownerOf(keyId) || rule == AccessType.OPEN) return true;
        if (rule == AccessType.STAKE_GATED) {
            return policy.providerStake ? staking.isProvider(account) : staking.isStaked(account);
        }
        if (rule == AccessType.ROLE_BASED) return _roles[keyId][policy.requiredRole][account];
        return _hasList(rule) && _allowed[keyId][policy.policyVersion][account];
    }

    function _locked(Policy storage policy) private view returns (bool) {
        // forge-lint: disable-next-line(block-timestamp)
        return policy.accessType == AccessType.TIME_LOCKED && block.timestamp < policy.unlockTime;
    }

    function _hasList(AccessType rule) private pure returns (bool) {
        return rule == AccessType.ALLOWLIST || rule == AccessType.TIME_LOCKED;
    }

    function _setPolicy(bytes32 keyId, AccessPolicy calldata policy) internal {
        Policy storage kept = _policies[keyId];
        AccessType rule = policy.accessType;
        uint256 now_ = block.timestamp;
        if (rule == AccessType.TIME_LOCKED && (policy.unlockTime <= now_ || policy.unlockTime > now_ + MAX_LOCK)) {
            revert UnlockTimeOutOfBounds(policy.unlockTime);
        }
        if (policy.allowlist.length > MAX_LIST) revert ListTooLong(policy.allowlist.length, MAX_LIST);
        kept.accessType = rule;
        kept.providerStake = policy.providerStake;
        kept.requiredRole = policy.requiredRole;
        kept.unlockTime = policy.unlockTime;
        kept.policyVersion++;
        emit PolicyUpdated(
            keyId, rule, kept.policyVersion, policy.providerStake, policy.requiredRole, policy.unlockTime
        );
        for (uint256 i = 0; i < policy.allowlist.length; i++) {
            _list(keyId, kept, policy.allowlist[i], true);
        }
    }

    function _list(bytes32 keyId, Policy storage policy, address account, bool allowed) private {
        if (!_hasList(policy.accessType)) revert NoAllowlist(policy.accessType);
        _allowed[keyId][policy.policyVersion][account] = allowed;
        emit AllowlistChanged(keyId, account, allowed);
    }

    function _setRole(bytes32 keyId, bytes32 role, address account, bool granted) private {
        _requireOwned(keyId);
        _roles[keyId][role][account] = granted;
        emit RoleChanged(keyId, role, account, granted);
    }
}
