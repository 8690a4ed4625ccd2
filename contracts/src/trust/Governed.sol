// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Governed
/// @notice Two roles and a timelock. The owner is governance: what it adds waits, in the open. The revoker only takes
/// away, and at once: what is in force, and what still waits. Neither can do the other's part, and they can't be one
/// account. No key that a node holds has a role.
/// @dev Replacing the revoker waits as long as any other change, so whoever steals the owner's key can't first remove the
/// veto and then add something.
abstract contract Governed is Ownable2Step {
    /// @notice Shortest timelock on any chain but a local one, in seconds.
    uint64 public constant MIN_PUBLIC_DELAY = 48 hours;
    /// @notice Seconds for which an announced change can be made once its timelock has run out. What was announced and
    /// forgotten years ago must not be at the hand of whoever steals the owner's key.
    uint64 public constant GRACE = 30 days;
    /// @notice Chain id of local development chains.
    uint256 public constant LOCAL_CHAIN_ID = 31337;

    /// @notice Seconds between announcement and change, and between nomination and acceptance of a revoker.
    uint64 public immutable minDelay;

    /// @notice The account that may become revoker, or zero.
    address public nominatedRevoker;
    /// @notice Unix seconds from which the nominated revoker may accept.
    uint64 public revokerReadyAt;

    /// @notice Unix seconds from which an announced change can be made; zero if there is no such announcement.
    mapping(bytes32 change => uint64 readyAt) public announcedFor;

    /// @notice A change waits for its timelock.
    /// @param change Keccak-256 of `call`.
    /// @param call The call to this contract that will make it.
    /// @param readyAt Unix seconds from which it can be made.
    event ChangeAnnounced(bytes32 indexed change, bytes call, uint64 readyAt);
    /// @notice An announced change won't be made.
    event ChangeVetoed(bytes32 indexed change, address indexed by);
    /// @notice `nominee` may become revoker from `readyAt` on; zero address: the nomination was withdrawn.
    event RevokerNominated(address indexed nominee, uint64 readyAt);
    /// @notice The revoker changed.
    event RevokerChanged(address indexed previous, address indexed current);

    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice The timelock runs until `readyAt`.
    error TooEarly(uint64 readyAt);
    /// @notice The announcement ended at `endedAt`.
    error TooLate(uint64 endedAt);
    /// @notice Nobody announced this very call, or it was made or vetoed.
    error NotAnnounced(bytes32 change);
    /// @notice The timelock is too short for this chain.
    error DelayTooShort(uint64 delay, uint64 minimum);
    /// @notice The caller isn't the revoker.
    error NotRevoker(address caller);
    /// @notice The caller isn't the nominated revoker.
    error NotNominated(address caller);
    /// @notice Owner, revoker and rebuilders must be different accounts.
    error RolesMustDiffer(address account);
    /// @notice A registry without an owner could only decay.
    error RenounceRefused();

    /// @dev The call that is being made was announced, byte for byte, and its timelock has run out.
    modifier announced() {
        _takeAnnouncement();
        _;
    }

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

    // ------------------------------------------------------------------ changes that wait

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

    // ------------------------------------------------------------------ roles

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
