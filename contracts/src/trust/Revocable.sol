// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Revocable
/// @notice Two roles that can't be one account: an owner, whose additions wait, and a revoker, who only takes away, at once.
/// No key that a node holds has a role.
/// @dev Replacing the revoker waits as long as any addition does, so whoever steals the owner's key can't first remove the
/// veto and then add. Where the revoker is stored is up to the contract, whose slots may be a public interface.
abstract contract Revocable is Ownable2Step {
    /// @notice Shortest timelock on any chain but a local one, in seconds.
    uint64 public constant MIN_PUBLIC_DELAY = 48 hours;
    /// @notice Chain id of local development chains.
    uint256 public constant LOCAL_CHAIN_ID = 31337;

    /// @notice Seconds that an addition, and a change of revoker, waits.
    uint64 public immutable minDelay;

    /// @notice The account that may become revoker, or zero.
    address public nominatedRevoker;
    /// @notice Unix seconds from which the nominated revoker may accept.
    uint64 public revokerReadyAt;

    /// @notice `nominee` may become revoker from `readyAt` on; zero address: the nomination was withdrawn.
    event RevokerNominated(address indexed nominee, uint64 readyAt);
    /// @notice The revoker changed.
    event RevokerChanged(address indexed previous, address indexed current);

    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice The timelock runs until `readyAt`.
    error TooEarly(uint64 readyAt);
    /// @notice The timelock is too short for this chain.
    error DelayTooShort(uint64 delay, uint64 minimum);
    /// @notice The caller isn't the revoker.
    error NotRevoker(address caller);
    /// @notice The caller isn't the nominated revoker.
    error NotNominated(address caller);
    /// @notice Owner, revoker and whoever else has a part must be different accounts.
    error RolesMustDiffer(address account);
    /// @notice Without an owner the contract could only decay.
    error RenounceRefused();

    modifier onlyRevoker() {
        if (msg.sender != revoker()) revert NotRevoker(msg.sender);
        _;
    }

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
        _setRevoker(revoker_);
        emit RevokerChanged(address(0), revoker_);
    }

    /// @notice The account that may revoke.
    function revoker() public view virtual returns (address);

    /// @notice Names the next revoker, who may accept once `minDelay` has passed; the present one stays until then.
    /// @param nominee The next revoker, or zero to withdraw a nomination.
    function nominateRevoker(address nominee) external onlyOwner {
        uint64 readyAt = nominee == address(0) ? 0 : _now() + minDelay;
        nominatedRevoker = nominee;
        revokerReadyAt = readyAt;
        emit RevokerNominated(nominee, readyAt);
    }

    /// @notice Takes over as revoker after the nomination's timelock.
    function acceptRevoker() external {
        if (msg.sender != nominatedRevoker) revert NotNominated(msg.sender);
        if (_now() < revokerReadyAt) revert TooEarly(revokerReadyAt);
        if (msg.sender == owner() || _isApart(msg.sender)) revert RolesMustDiffer(msg.sender);

        emit RevokerChanged(revoker(), msg.sender);
        _setRevoker(msg.sender);
        nominatedRevoker = address(0);
        revokerReadyAt = 0;
    }

    /// @notice Always refused: there must be an owner.
    function renounceOwnership() public pure virtual override {
        revert RenounceRefused();
    }

    /// @inheritdoc Ownable2Step
    function _transferOwnership(address newOwner) internal virtual override {
        if (newOwner == revoker() || _isApart(newOwner)) revert RolesMustDiffer(newOwner);
        super._transferOwnership(newOwner);
    }

    function _setRevoker(address account) internal virtual;

    /// @dev Whether the account has a part that neither owner nor revoker may have.
    function _isApart(address) internal view virtual returns (bool) {
        return false;
    }

    function _now() internal view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }
}
