// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title BondedStake
/// @notice Stake that leaves slowly, can be held while a challenge is open, and is lost only for a proven offence.
/// @dev What `ComputeStaking` and `ComputeRegistry` share. Stake of an account is in one of three places:
///
///     bonded --unbond--> leaving --(UNBONDING, holds)--> owed --withdraw--> account
///        \__________________/
///                 | slash
///                 v
///            owed[sink], and a bounded part to the reporter
///
/// Balance of the contract = totalBonded + totalLeaving + totalOwed.
///
/// Challengers are contracts that governance registers. A new one can act only after `challengerDelay`, which is longer
/// than any stake can take to leave: whoever distrusts it is out before. A challenger can't take more than `MAX_SLASH_BPS`
/// of what is at risk for one offence, can't punish one offence twice, and can't choose where the stake goes. Governance
/// itself can neither slash nor withdraw; the sink is fixed and isn't the owner.
///
/// Holds. One that is placed before leaving stake is ready keeps it there for as long as the hold lives (`MAX_HOLD` at
/// most). One that is placed later keeps what is still bonded, and can't delay what was ready: however many challenges are
/// opened one after another, stake is out `UNBONDING + MAX_HOLD` after its owner asked for it. Nothing pauses withdrawals.
abstract contract BondedStake is Ownable2Step, Pausable, ReentrancyGuardTransient {
    using SafeCast for uint256;

    struct Account {
        uint96 bonded;
        uint96 leaving;
        // When `leaving` is ready, holds apart.
        uint64 readyAt;
        // When the newest hold ends; earlier if all are released.
        uint64 heldUntil;
        uint32 holds;
        uint64 since;
        // The inheriting contract's own.
        uint8 kind;
        bool slashed;
    }

    /// @notice Seconds between asking for stake and getting it. Longer than any window of a challenge.
    uint64 public constant UNBONDING = 7 days;
    /// @notice Longest life of a hold, in seconds; longer than the longest challenge from opening to verdict.
    uint64 public constant MAX_HOLD = 14 days;
    /// @notice Largest part of an account's stake at risk that one offence costs, in ten-thousandths.
    uint256 public constant MAX_SLASH_BPS = 5_000;
    /// @notice A reporter's part of slashed stake, in ten-thousandths. Far below the whole: slashing oneself doesn't pay.
    uint256 public constant REWARD_BPS = 1_000;
    /// @notice Largest reward for one offence, so that a leaked key is worth little to whoever finds it.
    uint256 public constant MAX_REWARD = 0.05 ether;
    /// @notice Shortest `challengerDelay` on any chain but a local one.
    uint64 public constant MIN_CHALLENGER_DELAY = 30 days;
    /// @notice Chain id of local development chains.
    uint256 public constant LOCAL_CHAIN_ID = 31337;

    /// @notice Where slashed stake goes, for good.
    address public immutable sink;
    /// @notice Seconds between a challenger's registration and its first possible act.
    uint64 public immutable challengerDelay;

    mapping(address account => Account) internal _accounts;
    mapping(bytes32 hold => uint64 until) private _holds;
    mapping(bytes32 offence => bool) private _punished;
    /// @notice From when an account may act as challenger, in Unix seconds; zero: never.
    mapping(address challenger => uint64) public challengerFrom;
    /// @notice What an account may withdraw at once.
    mapping(address account => uint256) public owed;

    /// @notice Sum of bonded stake.
    uint128 public totalBonded;
    /// @notice Sum of stake that leaves.
    uint128 public totalLeaving;
    /// @notice Sum of `owed`.
    uint256 public totalOwed;

    /// @notice Stake is on its way out; `leaving` of it altogether, ready at `readyAt`.
    event UnbondingStarted(address indexed account, uint256 amount, uint256 leaving, uint64 readyAt);
    /// @notice Money left the contract.
    event Withdrawn(address indexed account, address indexed to, uint256 amount);
    /// @notice A challenge keeps the account's stake here.
    event Held(address indexed account, address indexed challenger, bytes32 indexed challenge, uint64 until);
    /// @notice A challenge no longer keeps the account's stake.
    event Released(address indexed account, address indexed challenger, bytes32 indexed challenge);
    /// @notice Stake was lost for a proven offence: `amount` altogether, `reward` of it to the reporter.
    event OffenceSlashed(
        address indexed account,
        address indexed challenger,
        bytes32 indexed offence,
        uint256 amount,
        address reporter,
        uint256 reward
    );
    /// @notice A challenger can act from `from` on.
    event ChallengerProposed(address indexed challenger, uint64 from);
    /// @notice A challenger can no longer act.
    event ChallengerRemoved(address indexed challenger);

    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice The amount is zero.
    error InvalidAmount();
    /// @notice There is less stake than needed.
    error InsufficientStake(uint256 provided, uint256 required);
    /// @notice The transfer failed.
    error TransferFailed();
    /// @notice Nothing is free; what leaves is free at `freeAt`, zero if nothing leaves.
    error NothingToWithdraw(address account, uint64 freeAt);
    /// @notice The caller isn't a challenger, or not yet.
    error NotChallenger(address caller);
    /// @notice The account is a challenger already.
    error AlreadyChallenger(address challenger);
    /// @notice A challenger is a contract.
    error NotContract(address account);
    /// @notice The delay is too short for this chain.
    error DelayTooShort(uint64 delay, uint64 minimum);
    /// @notice The sink can't be the owner.
    error SinkIsOwner(address account);
    /// @notice The account has no stake that could be held or slashed.
    error NothingAtRisk(address account);
    /// @notice The challenge holds the account already.
    error AlreadyHeld(address account, bytes32 challenge);
    /// @notice There is no such hold of this challenger.
    error UnknownHold(address account, address challenger, bytes32 challenge);
    /// @notice The hold lives until `until`.
    error HoldAlive(uint64 until);
    /// @notice The offence was punished before.
    error AlreadyPunished(address account, bytes32 offence);

    /// @param owner_ Governance: a timelock.
    /// @param sink_ Where slashed stake goes; not the owner.
    /// @param challengerDelay_ At least `MIN_CHALLENGER_DELAY` unless the chain is a local one.
    /// @param firstChallenger A challenger from the start, before any stake lies here; zero for none.
    constructor(address owner_, address sink_, uint64 challengerDelay_, address firstChallenger) Ownable(owner_) {
        if (sink_ == address(0)) revert ZeroAccount();
        if (sink_ == owner_) revert SinkIsOwner(owner_);
        if (challengerDelay_ < MIN_CHALLENGER_DELAY && block.chainid != LOCAL_CHAIN_ID) {
            revert DelayTooShort(challengerDelay_, MIN_CHALLENGER_DELAY);
        }
        sink = sink_;
        challengerDelay = challengerDelay_;
        if (firstChallenger != address(0)) {
            challengerFrom[firstChallenger] = _now();
            emit ChallengerProposed(firstChallenger, _now());
        }
    }

    // ------------------------------------------------------------------ leaving

    /// @notice Pays out what is free: stake whose unbonding is over, rewards.
    /// @return amount What was paid.
    function withdraw() external returns (uint256 amount) {
        return _withdraw(msg.sender, msg.sender);
    }

    /// @notice Pays out what is free to another account, for those that can't receive.
    /// @param to Who receives.
    /// @return amount What was paid.
    function withdrawTo(address to) external returns (uint256 amount) {
        if (to == address(0)) revert ZeroAccount();
        return _withdraw(msg.sender, to);
    }

    /// @notice Pays slashed stake out to the sink. Anyone may call.
    /// @return amount What was paid.
    function flushSink() external returns (uint256 amount) {
        return _withdraw(sink, sink);
    }

    // ------------------------------------------------------------------ challengers

    /// @notice Keeps an account's stake from leaving while a challenge is open, for `MAX_HOLD` at most. Challengers only.
    /// @param account Whose stake.
    /// @param challenge Names the hold; the challenger's own.
    function hold(address account, bytes32 challenge) external virtual {
        _hold(account, challenge);
    }

    /// @notice Ends a hold. Whoever placed it only, also after it stopped being a challenger.
    /// @param account Whose stake.
    /// @param challenge The hold's name.
    function release(address account, bytes32 challenge) external virtual {
        _release(account, msg.sender, challenge);
    }

    /// @notice Clears a hold that outlived `MAX_HOLD`. Anyone may call; a challenger that forgets holds nobody longer.
    /// @param account Whose stake.
    /// @param challenger Who placed the hold.
    /// @param challenge The hold's name.
    function releaseExpired(address account, address challenger, bytes32 challenge) external {
        uint64 until = _holds[_holdId(account, challenger, challenge)];
        if (_now() < until) revert HoldAlive(until);
        _release(account, challenger, challenge);
    }

    /// @notice Takes stake for a proven offence, at most once for each, into the sink. Challengers only.
    /// @param account Whose stake.
    /// @param amount How much; more than the largest part is cut to it.
    /// @param offence Names the offence; the challenger's own.
    function slash(address account, uint256 amount, bytes32 offence) external virtual {
        _slash(account, amount, offence, address(0));
    }

    /// @notice `slash` with a reward for whoever brought the proof.
    /// @param account Whose stake.
    /// @param amount How much; more than the largest part is cut to it.
    /// @param offence Names the offence; the challenger's own.
    /// @param reporter Who is credited the reward; zero for nobody.
    /// @return taken What the account lost.
    function slashFor(address account, uint256 amount, bytes32 offence, address reporter)
        external
        returns (uint256 taken)
    {
        return _slash(account, amount, offence, reporter);
    }

    // ------------------------------------------------------------------ governance

    /// @notice Registers a challenger, which can act after `challengerDelay`.
    /// @param challenger A contract.
    function proposeChallenger(address challenger) external onlyOwner {
        if (challenger.code.length == 0) revert NotContract(challenger);
        if (challengerFrom[challenger] != 0) revert AlreadyChallenger(challenger);
        uint64 from = _now() + challengerDelay;
        challengerFrom[challenger] = from;
        emit ChallengerProposed(challenger, from);
    }

    /// @notice Ends a challenger's part at once. Its holds run out; it may still release them.
    /// @param challenger The challenger.
    function removeChallenger(address challenger) external onlyOwner {
        if (challengerFrom[challenger] == 0) revert NotChallenger(challenger);
        delete challengerFrom[challenger];
        emit ChallengerRemoved(challenger);
    }

    /// @notice Stops new stake. What is here leaves as always.
    function pause() external onlyOwner {
        _pause();
    }

    /// @notice Takes new stake again.
    function unpause() external onlyOwner {
        _unpause();
    }

    // ------------------------------------------------------------------ reading

    /// @notice Whether the account may hold and slash now.
    /// @param account Any account.
    function isChallenger(address account) public view returns (bool) {
        uint64 from = challengerFrom[account];
        return from != 0 && _now() >= from;
    }

    /// @notice Stake that an offence could cost part of: bonded, or leaving and not yet free.
    /// @param account Any account.
    function atRisk(address account) public view returns (uint256) {
        Account storage stake = _accounts[account];
        return uint256(stake.bonded) + (_isFree(stake) ? 0 : stake.leaving);
    }

    /// @notice What `withdraw` would pay.
    /// @param account Any account.
    function withdrawable(address account) external view returns (uint256) {
        Account storage stake = _accounts[account];
        return owed[account] + (_isFree(stake) ? stake.leaving : 0);
    }

    /// @notice Stake on its way out.
    /// @param account Any account.
    /// @return leaving How much, free or not.
    /// @return readyAt When its unbonding ends, in Unix seconds.
    /// @return freeAt When it is free if no hold is placed or released until then; never later than
    /// `readyAt + MAX_HOLD`.
    function leavingOf(address account) external view returns (uint256 leaving, uint64 readyAt, uint64 freeAt) {
        Account storage stake = _accounts[account];
        return (stake.leaving, stake.readyAt, _freeAt(stake));
    }

    /// @notice When a hold ends at the latest, in Unix seconds; zero if there is none.
    /// @param account Whose stake.
    /// @param challenger Who placed it.
    /// @param challenge Its name.
    function heldUntil(address account, address challenger, bytes32 challenge) external view returns (uint64) {
        return _holds[_holdId(account, challenger, challenge)];
    }

    /// @notice Whether a challenger punished an offence here.
    /// @param account Whose stake.
    /// @param challenger Who punished.
    /// @param offence The offence's name.
    function isPunished(address account, address challenger, bytes32 offence) external view returns (bool) {
        return _punished[_holdId(account, challenger, offence)];
    }

    // ------------------------------------------------------------------ inside

    /// Called when bonded stake changed, with what it was before.
    function _bondedChanged(address account, uint256 before) internal virtual;

    /// Called after a slash.
    function _slashed(address account, uint256 taken, bytes32 offence) internal virtual;

    /// Called when unbonding is over and the money is the account's.
    function _unbonded(address account, uint256 amount) internal virtual;

    function _bond(address account, uint256 amount) internal {
        if (amount == 0) revert InvalidAmount();
        Account storage stake = _accounts[account];
        uint256 before = stake.bonded;
        stake.bonded = (before + amount).toUint96();
        totalBonded += amount.toUint128();
        if (before == 0) stake.since = _now();
        _bondedChanged(account, before);
    }

    /// What is leaving already starts anew, unless it is free.
    function _unbond(address account, uint256 amount) internal {
        if (amount == 0) revert InvalidAmount();
        _mature(account);
        Account storage stake = _accounts[account];
        uint256 before = stake.bonded;
        if (amount > before) revert InsufficientStake(before, amount);

        stake.bonded = (before - amount).toUint96();
        stake.leaving += amount.toUint96();
        stake.readyAt = _now() + UNBONDING;
        totalBonded -= amount.toUint128();
        totalLeaving += amount.toUint128();
        emit UnbondingStarted(account, amount, stake.leaving, stake.readyAt);
        _bondedChanged(account, before);
    }

    function _mature(address account) private {
        Account storage stake = _accounts[account];
        if (stake.leaving == 0 || !_isFree(stake)) return;
        uint256 amount = stake.leaving;
        stake.leaving = 0;
        stake.readyAt = 0;
        totalLeaving -= amount.toUint128();
        _credit(account, amount);
        _unbonded(account, amount);
    }

    function _credit(address account, uint256 amount) private {
        owed[account] += amount;
        totalOwed += amount;
    }

    function _withdraw(address account, address to) private nonReentrant returns (uint256 amount) {
        _mature(account);
        amount = owed[account];
        if (amount == 0) revert NothingToWithdraw(account, _freeAt(_accounts[account]));
        owed[account] = 0;
        totalOwed -= amount;
        emit Withdrawn(account, to, amount);
        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert TransferFailed();
    }

    function _hold(address account, bytes32 challenge) internal {
        _requireChallenger();
        _mature(account);
        Account storage stake = _accounts[account];
        if (stake.bonded == 0 && stake.leaving == 0) revert NothingAtRisk(account);
        bytes32 id = _holdId(account, msg.sender, challenge);
        if (_holds[id] != 0) revert AlreadyHeld(account, challenge);

        uint64 until = _now() + MAX_HOLD;
        _holds[id] = until;
        stake.holds++;
        stake.heldUntil = until;
        emit Held(account, msg.sender, challenge, until);
    }

    function _release(address account, address challenger, bytes32 challenge) internal {
        bytes32 id = _holdId(account, challenger, challenge);
        if (_holds[id] == 0) revert UnknownHold(account, challenger, challenge);
        delete _holds[id];
        _accounts[account].holds--;
        emit Released(account, challenger, challenge);
    }

    /// Bonded stake goes first, so that a slashed account loses its rank even if it was leaving.
    function _slash(address account, uint256 amount, bytes32 offence, address reporter)
        internal
        returns (uint256 taken)
    {
        _requireChallenger();
        if (amount == 0) revert InvalidAmount();
        _mature(account);
        Account storage stake = _accounts[account];
        uint256 most = (uint256(stake.bonded) + stake.leaving) * MAX_SLASH_BPS / 10_000;
        if (most == 0) revert NothingAtRisk(account);
        bytes32 id = _holdId(account, msg.sender, offence);
        if (_punished[id]) revert AlreadyPunished(account, offence);
        _punished[id] = true;

        taken = amount < most ? amount : most;
        uint256 before = stake.bonded;
        uint256 fromBonded = taken < before ? taken : before;
        stake.bonded = (before - fromBonded).toUint96();
        stake.leaving -= (taken - fromBonded).toUint96();
        stake.slashed = true;
        totalBonded -= fromBonded.toUint128();
        totalLeaving -= (taken - fromBonded).toUint128();

        uint256 reward = reporter == address(0) ? 0 : taken * REWARD_BPS / 10_000;
        if (reward > MAX_REWARD) reward = MAX_REWARD;
        if (reward != 0) _credit(reporter, reward);
        _credit(sink, taken - reward);
        emit OffenceSlashed(account, msg.sender, offence, taken, reporter, reward);
        _bondedChanged(account, before);
        _slashed(account, taken, offence);
    }

    function _requireChallenger() private view {
        if (!isChallenger(msg.sender)) revert NotChallenger(msg.sender);
    }

    function _isFree(Account storage stake) private view returns (bool) {
        return _now() >= _freeAt(stake);
    }

    function _freeAt(Account storage stake) internal view returns (uint64) {
        uint64 readyAt = stake.readyAt;
        if (stake.holds == 0 || stake.heldUntil <= readyAt) return readyAt;
        uint64 latest = readyAt + MAX_HOLD;
        return stake.heldUntil < latest ? stake.heldUntil : latest;
    }

    function _holdId(address account, address challenger, bytes32 name) private pure returns (bytes32) {
        return keccak256(abi.encode(account, challenger, name));
    }

    function _now() internal view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }

    /// @inheritdoc Ownable2Step
    function _transferOwnership(address newOwner) internal override {
        if (newOwner == sink && newOwner != address(0)) revert SinkIsOwner(newOwner);
        super._transferOwnership(newOwner);
    }
}
