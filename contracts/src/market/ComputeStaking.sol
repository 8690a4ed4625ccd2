// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {BondedStake} from "./BondedStake.sol";

/// @title ComputeStaking
/// @notice Stake of users, providers and guardians.
/// @dev How stake leaves, is held and is lost: `BondedStake`. Names, tuples and events are those that Jeju clients know;
/// what changed is what they mean where they lost money:
///  - `unstake` starts the unbonding, `withdraw` pays after it. `Unstaked` is emitted when the money is the account's.
///  - Nobody slashes at will. A guardian's stake gives it no power here: it opens bonded disputes in `SlashingCourt` like
///    anyone. There is no owner's slash, no ban manager, and the lock period is a constant.
///  - Rank follows the stake that is bonded: what was slashed away or leaves doesn't count, what remains does and can leave.
contract ComputeStaking is BondedStake, IStaking {
    /// @notice What an account staked as.
    enum StakeType {
        NONE,
        USER,
        PROVIDER,
        GUARDIAN
    }

    /// @notice An account's stake, as Jeju clients decode it.
    /// @param amount Bonded stake in wei.
    /// @param stakeType What it was staked as.
    /// @param stakedAt Unix seconds.
    /// @param lockedUntil Unix seconds at which stake can be out at the earliest: what leaves, or else what would start now.
    /// @param slashed Whether the account ever lost stake. The rest is its own.
    struct Stake {
        uint256 amount;
        StakeType stakeType;
        uint256 stakedAt;
        uint256 lockedUntil;
        bool slashed;
    }

    /// @notice Least stake of a user.
    uint256 public constant MIN_USER_STAKE = 0.01 ether;
    /// @notice Least stake of a provider.
    uint256 public constant MIN_PROVIDER_STAKE = 0.1 ether;
    /// @notice Least stake of a guardian.
    uint256 public constant MIN_GUARDIAN_STAKE = 1 ether;

    address[] private _guardians;
    // Place in `_guardians`, from 1.
    mapping(address account => uint256) private _guardianPlace;
    mapping(StakeType => uint256) private _totals;

    /// @notice An account staked as user.
    event StakedAsUser(address indexed account, uint256 amount);
    /// @notice An account staked as provider.
    event StakedAsProvider(address indexed account, uint256 amount);
    /// @notice An account staked as guardian.
    event StakedAsGuardian(address indexed account, uint256 amount);
    /// @notice Stake was added.
    event StakeAdded(address indexed account, uint256 amount, uint256 newTotal);
    /// @notice Unbonding is over: the money is the account's.
    event Unstaked(address indexed account, uint256 amount);
    /// @notice Stake was lost. The reason is the offence's name; `OffenceSlashed` says more.
    event Slashed(address indexed account, uint256 amount, string reason);

    /// @notice The account has stake already.
    error AlreadyStaked();
    /// @notice The account has no stake.
    error NotStaked();

    /// @param owner_ Governance: a timelock.
    /// @param sink_ Where slashed stake goes; not the owner.
    /// @param challengerDelay_ At least `MIN_CHALLENGER_DELAY` unless the chain is a local one.
    /// @param firstChallenger A challenger from the start; zero for none.
    constructor(address owner_, address sink_, uint64 challengerDelay_, address firstChallenger)
        BondedStake(owner_, sink_, challengerDelay_, firstChallenger)
    {}

    // ------------------------------------------------------------------ staking

    /// @notice Stakes as user, 0.01 ETH at least.
    function stakeAsUser() external payable {
        _stakeAs(StakeType.USER);
        emit StakedAsUser(msg.sender, msg.value);
    }

    /// @notice Stakes as provider, 0.1 ETH at least.
    function stakeAsProvider() external payable {
        _stakeAs(StakeType.PROVIDER);
        emit StakedAsProvider(msg.sender, msg.value);
    }

    /// @notice Stakes as guardian, 1 ETH at least.
    function stakeAsGuardian() external payable {
        _stakeAs(StakeType.GUARDIAN);
        emit StakedAsGuardian(msg.sender, msg.value);
    }

    /// @notice Adds to the stake, also after a slash. Doesn't lock what is there any longer.
    function addStake() external payable whenNotPaused {
        if (_accounts[msg.sender].bonded == 0) revert NotStaked();
        _bond(msg.sender, msg.value);
        emit StakeAdded(msg.sender, msg.value, _accounts[msg.sender].bonded);
    }

    /// @notice Starts the unbonding of stake; `withdraw` pays once it is over. All of it, or down to the rank's minimum.
    /// @param amount In wei.
    function unstake(uint256 amount) external {
        uint256 bonded = _accounts[msg.sender].bonded;
        if (bonded == 0) revert NotStaked();
        uint256 least = _minimum(StakeType(_accounts[msg.sender].kind));
        if (amount < bonded && bonded - amount < least) revert InsufficientStake(bonded - amount, least);
        _unbond(msg.sender, amount);
    }

    // ------------------------------------------------------------------ challengers

    /// @inheritdoc IStaking
    function hold(address account, bytes32 challenge) external override(BondedStake, IStaking) {
        _hold(account, challenge);
    }

    /// @inheritdoc IStaking
    function release(address account, bytes32 challenge) external override(BondedStake, IStaking) {
        _release(account, msg.sender, challenge);
    }

    /// @inheritdoc IStaking
    function slash(address account, uint256 amount, bytes32 offence) external override(BondedStake, IStaking) {
        _slash(account, amount, offence, address(0));
    }

    // ------------------------------------------------------------------ reading

    /// @notice An account's stake; all zero if it has none.
    /// @param account Any account.
    function getStake(address account) external view returns (Stake memory) {
        Account storage stake = _accounts[account];
        if (stake.bonded == 0 && stake.leaving == 0) return Stake(0, StakeType.NONE, 0, 0, stake.slashed);
        uint256 lockedUntil = stake.leaving == 0 ? _now() + UNBONDING : _freeAt(stake);
        return Stake(stake.bonded, StakeType(stake.kind), stake.since, lockedUntil, stake.slashed);
    }

    /// @notice Bonded stake in wei.
    /// @param account Any account.
    function getStakeAmount(address account) external view returns (uint256) {
        return _accounts[account].bonded;
    }

    /// @inheritdoc IStaking
    function isStaked(address account) external view returns (bool) {
        return _accounts[account].bonded >= MIN_USER_STAKE;
    }

    /// @inheritdoc IStaking
    function isProvider(address account) external view returns (bool) {
        Account storage stake = _accounts[account];
        return stake.kind >= uint8(StakeType.PROVIDER) && stake.bonded >= MIN_PROVIDER_STAKE;
    }

    /// @notice Whether the account has at least a guardian's stake that is neither leaving nor slashed.
    /// @param account Any account.
    function isGuardian(address account) external view returns (bool) {
        return _guardianPlace[account] != 0;
    }

    /// @notice All guardians. Unbounded: see `getGuardiansPage`.
    function getGuardians() external view returns (address[] memory) {
        return _guardians;
    }

    /// @notice Guardians by pages. Order changes when one leaves.
    /// @param offset First guardian of the page.
    /// @param limit Most guardians of the page.
    function getGuardiansPage(uint256 offset, uint256 limit) external view returns (address[] memory page) {
        uint256 left = offset < _guardians.length ? _guardians.length - offset : 0;
        page = new address[](limit < left ? limit : left);
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = _guardians[offset + i];
        }
    }

    /// @notice How many guardians there are.
    function getGuardianCount() external view returns (uint256) {
        return _guardians.length;
    }

    /// @notice Bonded stake by rank, in wei.
    function getTotalStaked() external view returns (uint256 user, uint256 provider, uint256 guardian, uint256 total) {
        user = _totals[StakeType.USER];
        provider = _totals[StakeType.PROVIDER];
        guardian = _totals[StakeType.GUARDIAN];
        total = totalBonded;
    }

    /// @notice Seconds between asking for stake and getting it.
    function lockPeriod() external pure returns (uint256) {
        return UNBONDING;
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _stakeAs(StakeType kind) private whenNotPaused {
        Account storage stake = _accounts[msg.sender];
        if (stake.bonded != 0) revert AlreadyStaked();
        if (msg.value < _minimum(kind)) revert InsufficientStake(msg.value, _minimum(kind));
        stake.kind = uint8(kind);
        _bond(msg.sender, msg.value);
    }

    function _bondedChanged(address account, uint256 before) internal override {
        Account storage stake = _accounts[account];
        StakeType kind = StakeType(stake.kind);
        _totals[kind] = _totals[kind] + stake.bonded - before;
        if (kind == StakeType.GUARDIAN) _setGuardian(account, stake.bonded >= MIN_GUARDIAN_STAKE);
        if (stake.bonded == 0) stake.kind = uint8(StakeType.NONE);
    }

    /// Each guardian is listed once, however often it comes and goes.
    function _setGuardian(address account, bool listed) private {
        uint256 place = _guardianPlace[account];
        if (listed == (place != 0)) return;
        if (listed) {
            _guardians.push(account);
            _guardianPlace[account] = _guardians.length;
        } else {
            address last = _guardians[_guardians.length - 1];
            _guardians[place - 1] = last;
            _guardianPlace[last] = place;
            _guardianPlace[account] = 0;
            _guardians.pop();
        }
    }

    function _slashed(address account, uint256 taken, bytes32 offence) internal override {
        emit Slashed(account, taken, Strings.toHexString(uint256(offence), 32));
    }

    function _unbonded(address account, uint256 amount) internal override {
        emit Unstaked(account, amount);
    }

    function _minimum(StakeType kind) private pure returns (uint256) {
        if (kind == StakeType.USER) return MIN_USER_STAKE;
        return kind == StakeType.PROVIDER ? MIN_PROVIDER_STAKE : MIN_GUARDIAN_STAKE;
    }
}
