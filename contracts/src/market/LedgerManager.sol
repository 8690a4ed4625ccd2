// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ILedger, IServing} from "../interfaces/ILedger.sol";
import {PullPayments} from "./PullPayments.sol";

/// @title LedgerManager
/// @notice Prepaid balances of users, with a sub-account for each provider.
/// @dev A user's money is in one of three places, a provider's and the treasury's in the fourth:
///
///     available --transferToProvider--> balance --requestRefund--> pendingRefund --(lock)--> available
///         |                                |______________________________|
///      withdraw                                     | settle
///                                                   v
///                                       owed[provider], owed[treasury]
///
/// Balance of the contract = totalDeposits + totalOwed.
///
/// Only the serving contract settles, and it is named once, for good. Nothing can be set aside for a provider before: a
/// user sees whose rules reach its money, and no owner can put others in their place. What isn't set aside is out of
/// reach of any settlement.
///
/// A refund waits `refundTimelockPeriod`, and settlements reach it until it is completed: a provider that has seen the
/// request has that long to submit what was signed to it. So a provider works against `balance`, never against
/// `pendingRefund`, and a user gets back whatever nobody claims, without anybody's consent.
///
/// What changed: there is no credit manager with rights of its own, whoever brings money may deposit for a user.
contract LedgerManager is ILedger, Ownable2Step, Pausable, PullPayments {
    using SafeCast for uint256;

    /// @notice A user's balances, as Jeju clients decode them.
    /// @param totalBalance Both below, in wei.
    /// @param availableBalance Free to withdraw.
    /// @param lockedBalance In sub-accounts, with what waits for a refund.
    /// @param createdAt Unix seconds; zero: there is no ledger.
    struct Ledger {
        uint256 totalBalance;
        uint256 availableBalance;
        uint256 lockedBalance;
        uint256 createdAt;
    }

    /// @notice What a user set aside for a provider, as Jeju clients decode it.
    /// @param balance Set aside, in wei.
    /// @param pendingRefund Waits for its refund.
    /// @param refundUnlockTime Unix seconds from which the refund can be completed.
    /// @param acknowledged Whether the provider acknowledged the user.
    struct ProviderSubAccount {
        uint256 balance;
        uint256 pendingRefund;
        uint256 refundUnlockTime;
        bool acknowledged;
    }

    struct Balances {
        uint96 available;
        uint96 locked;
        uint64 createdAt;
    }

    struct SubAccount {
        uint96 balance;
        uint96 pendingRefund;
        uint40 refundUnlockTime;
        bool acknowledged;
    }

    /// @notice Least deposit that opens a ledger.
    uint256 public constant MIN_DEPOSIT = 0.001 ether;
    /// @notice Governance can't set a shorter lock: a provider must have time to submit.
    uint256 public constant MIN_REFUND_TIMELOCK = 24 hours;
    /// @notice Governance can't set a longer lock: it would keep users' money.
    uint256 public constant MAX_REFUND_TIMELOCK = 7 days;

    /// @notice The contract that settles; zero until it is named.
    address public inferenceContract;
    /// @notice Seconds between asking for a refund and getting it. Requests that wait keep theirs.
    uint256 public refundTimelockPeriod = MIN_REFUND_TIMELOCK;
    /// @notice Sum of all users' balances.
    uint256 public totalDeposits;

    mapping(address user => Balances) private _ledgers;
    mapping(address user => mapping(address provider => SubAccount)) private _subAccounts;

    /// @notice A user opened a ledger.
    event LedgerCreated(address indexed user, uint256 initialDeposit);
    /// @notice A user deposited.
    event Deposited(address indexed user, uint256 amount, uint256 newBalance);
    /// @notice Somebody deposited for a user.
    event DepositedFromCredit(address indexed user, address indexed creditManager, uint256 amount, uint256 newBalance);
    /// @notice A user withdrew of its available balance.
    event Withdrawn(address indexed user, uint256 amount);
    /// @notice A user set money aside for a provider.
    event TransferredToProvider(address indexed user, address indexed provider, uint256 amount);
    /// @notice A provider acknowledged a user.
    event ProviderAcknowledged(address indexed user, address indexed provider);
    /// @notice A user wants money back that it set aside.
    event RefundRequested(address indexed user, address indexed provider, uint256 amount, uint256 unlockTime);
    /// @notice The refund is available to the user.
    event RefundCompleted(address indexed user, address indexed provider, uint256 amount);
    /// @notice What waited for its refund is set aside again.
    event RefundCancelled(address indexed user, address indexed provider);
    /// @notice A provider was credited.
    event Settled(address indexed user, address indexed provider, uint256 amount, bytes32 requestHash);
    /// @notice The treasury was credited.
    event PlatformFeeSettled(address indexed user, address indexed provider, address indexed treasury, uint256 amount);
    /// @notice The contract that settles was named, for good.
    event InferenceContractUpdated(address indexed oldContract, address indexed newContract);
    /// @notice The lock of refunds changed.
    event RefundTimelockUpdated(uint256 oldPeriod, uint256 newPeriod);

    /// @notice The user has a ledger.
    error LedgerAlreadyExists();
    /// @notice The user has no ledger.
    error LedgerNotFound();
    /// @notice The first deposit is too small.
    error InsufficientDeposit(uint256 provided, uint256 required);
    /// @notice There is less money than needed.
    error InsufficientBalance(uint256 available, uint256 required);
    /// @notice The provider acknowledged the user before.
    error AlreadyAcknowledged();
    /// @notice No refund waits.
    error NoRefundPending();
    /// @notice The refund's lock hasn't run out.
    error RefundNotUnlocked();
    /// @notice A refund waits already.
    error RefundAlreadyPending();
    /// @notice The caller isn't the contract that settles.
    error UnauthorizedCaller();
    /// @notice The amount is zero.
    error InvalidAmount();
    /// @notice The contract that settles isn't named yet.
    error NotOpen();
    /// @notice The contract that settles is named for good.
    error AlreadyOpen(address inferenceContract);
    /// @notice It isn't a serving contract of this ledger.
    error NotServing(address account);
    /// @notice The lock is out of bounds.
    error TimelockOutOfBounds(uint256 wanted, uint256 least, uint256 most);

    /// @param owner_ Governance: a timelock.
    constructor(address owner_) Ownable(owner_) {}

    // ------------------------------------------------------------------ deposits

    /// @notice Opens the caller's ledger with a deposit of `MIN_DEPOSIT` at least.
    function createLedger() external payable whenNotPaused {
        if (_ledgers[msg.sender].createdAt != 0) revert LedgerAlreadyExists();
        if (msg.value < MIN_DEPOSIT) revert InsufficientDeposit(msg.value, MIN_DEPOSIT);
        _deposit(msg.sender);
        emit LedgerCreated(msg.sender, msg.value);
    }

    /// @notice Deposits.
    function deposit() external payable whenNotPaused {
        _existing(msg.sender);
        uint256 balance = _deposit(msg.sender);
        emit Deposited(msg.sender, msg.value, balance);
    }

    /// @notice Deposits for a user, whose ledger is opened if there is none. Anyone may; what counts is the value that
    /// comes along.
    /// @param user Whose balance grows.
    function depositFromCreditManager(address user) external payable whenNotPaused {
        if (user == address(0)) revert ZeroAccount();
        uint256 balance = _deposit(user);
        emit DepositedFromCredit(user, msg.sender, msg.value, balance);
    }

    /// @notice Pays out of the caller's available balance.
    /// @param amount In wei.
    function withdraw(uint256 amount) external {
        _withdrawAvailable(msg.sender, amount);
    }

    /// @notice Pays out of the caller's available balance to another account, for those that can't receive.
    /// @param to Who receives.
    /// @param amount In wei.
    function withdrawTo(address to, uint256 amount) external {
        if (to == address(0)) revert ZeroAccount();
        _withdrawAvailable(to, amount);
    }

    // ------------------------------------------------------------------ sub-accounts

    /// @notice Sets money aside for a provider.
    /// @param provider The provider.
    /// @param amount In wei.
    function transferToProvider(address provider, uint256 amount) external whenNotPaused {
        if (inferenceContract == address(0)) revert NotOpen();
        if (provider == address(0)) revert ZeroAccount();
        if (amount == 0) revert InvalidAmount();
        Balances storage ledger = _existing(msg.sender);
        if (amount > ledger.available) revert InsufficientBalance(ledger.available, amount);
        uint96 moved = amount.toUint96();
        ledger.available -= moved;
        ledger.locked += moved;
        _subAccounts[msg.sender][provider].balance += moved;
        emit TransferredToProvider(msg.sender, provider, amount);
    }

    /// @notice Tells a user that the calling provider serves it.
    /// @param user The user.
    function acknowledgeUser(address user) external {
        SubAccount storage sub = _subAccounts[user][msg.sender];
        if (sub.acknowledged) revert AlreadyAcknowledged();
        sub.acknowledged = true;
        emit ProviderAcknowledged(user, msg.sender);
    }

    /// @notice Starts the way back of money that the caller set aside.
    /// @param provider The provider.
    /// @param amount In wei.
    function requestRefund(address provider, uint256 amount) external {
        if (amount == 0) revert InvalidAmount();
        SubAccount storage sub = _subAccounts[msg.sender][provider];
        if (sub.pendingRefund != 0) revert RefundAlreadyPending();
        if (amount > sub.balance) revert InsufficientBalance(sub.balance, amount);
        uint256 unlockTime = block.timestamp + refundTimelockPeriod;
        sub.balance -= amount.toUint96();
        sub.pendingRefund = amount.toUint96();
        sub.refundUnlockTime = unlockTime.toUint40();
        emit RefundRequested(msg.sender, provider, amount, unlockTime);
    }

    /// @notice Makes what is left of a refund available, once its lock has run out.
    /// @param provider The provider.
    function completeRefund(address provider) external {
        uint96 amount = _takePending(provider, true);
        Balances storage ledger = _ledgers[msg.sender];
        ledger.locked -= amount;
        ledger.available += amount;
        emit RefundCompleted(msg.sender, provider, amount);
    }

    /// @notice Sets aside again what waits for its refund.
    /// @param provider The provider.
    function cancelRefund(address provider) external {
        _subAccounts[msg.sender][provider].balance += _takePending(provider, false);
        emit RefundCancelled(msg.sender, provider);
    }

    // ------------------------------------------------------------------ settlement

    /// @inheritdoc ILedger
    /// @param user Who pays.
    /// @param provider Who earns.
    /// @param amount In wei.
    /// @param requestHash What is paid for.
    function settle(address user, address provider, uint256 amount, bytes32 requestHash) external {
        _draw(user, provider, amount);
        _credit(provider, amount);
        emit Settled(user, provider, amount, requestHash);
    }

    /// @inheritdoc ILedger
    /// @param user Who pays.
    /// @param provider Who earned.
    /// @param treasury Who is credited.
    /// @param amount In wei.
    function settlePlatformFee(address user, address provider, address treasury, uint256 amount) external {
        if (treasury == address(0)) revert ZeroAccount();
        _draw(user, provider, amount);
        _credit(treasury, amount);
        emit PlatformFeeSettled(user, provider, treasury, amount);
    }

    // ------------------------------------------------------------------ reading

    /// @notice A user's balances.
    /// @param user Any account.
    function getLedger(address user) external view returns (Ledger memory) {
        Balances storage ledger = _ledgers[user];
        return Ledger(uint256(ledger.available) + ledger.locked, ledger.available, ledger.locked, ledger.createdAt);
    }

    /// @notice What a user set aside for a provider.
    /// @param user Any account.
    /// @param provider Any account.
    function getSubAccount(address user, address provider) external view returns (ProviderSubAccount memory) {
        SubAccount storage sub = _subAccounts[user][provider];
        return ProviderSubAccount(sub.balance, sub.pendingRefund, sub.refundUnlockTime, sub.acknowledged);
    }

    /// @notice What a user may withdraw, in wei.
    /// @param user Any account.
    function getAvailableBalance(address user) external view returns (uint256) {
        return _ledgers[user].available;
    }

    /// @notice What a provider may work against, in wei.
    /// @param user Any account.
    /// @param provider Any account.
    function getProviderBalance(address user, address provider) external view returns (uint256) {
        return _subAccounts[user][provider].balance;
    }

    /// @inheritdoc ILedger
    function settleable(address user, address provider) external view returns (uint256) {
        SubAccount storage sub = _subAccounts[user][provider];
        return uint256(sub.balance) + sub.pendingRefund;
    }

    /// @inheritdoc ILedger
    function isAcknowledged(address user, address provider) external view returns (bool) {
        return _subAccounts[user][provider].acknowledged;
    }

    /// @notice Whether the user has a ledger.
    /// @param user Any account.
    function ledgerExists(address user) external view returns (bool) {
        return _ledgers[user].createdAt != 0;
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ governance

    /// @notice Names the contract that settles, once and for good.
    /// @param serving A serving contract that settles in this ledger.
    function setInferenceContract(address serving) external onlyOwner {
        if (inferenceContract != address(0)) revert AlreadyOpen(inferenceContract);
        if (serving.code.length == 0 || address(IServing(serving).ledger()) != address(this)) {
            revert NotServing(serving);
        }
        inferenceContract = serving;
        emit InferenceContractUpdated(address(0), serving);
    }

    /// @notice Sets the lock of refunds that are requested from now on, within bounds.
    /// @param period In seconds.
    function setRefundTimelockPeriod(uint256 period) external onlyOwner {
        if (period < MIN_REFUND_TIMELOCK || period > MAX_REFUND_TIMELOCK) {
            revert TimelockOutOfBounds(period, MIN_REFUND_TIMELOCK, MAX_REFUND_TIMELOCK);
        }
        emit RefundTimelockUpdated(refundTimelockPeriod, period);
        refundTimelockPeriod = period;
    }

    /// @notice Stops deposits and setting money aside. Settlements, refunds and withdrawals go on.
    function pause() external onlyOwner {
        _pause();
    }

    /// @notice Takes deposits again.
    function unpause() external onlyOwner {
        _unpause();
    }

    // ------------------------------------------------------------------ inside

    function _deposit(address user) private returns (uint256 available) {
        if (msg.value == 0) revert InvalidAmount();
        Balances storage ledger = _ledgers[user];
        // forge-lint: disable-next-line(unsafe-typecast)
        if (ledger.createdAt == 0) ledger.createdAt = uint64(block.timestamp);
        available = uint256(ledger.available) + msg.value;
        ledger.available = available.toUint96();
        totalDeposits += msg.value;
    }

    function _withdrawAvailable(address to, uint256 amount) private nonReentrant {
        if (amount == 0) revert InvalidAmount();
        Balances storage ledger = _existing(msg.sender);
        if (amount > ledger.available) revert InsufficientBalance(ledger.available, amount);
        ledger.available -= amount.toUint96();
        totalDeposits -= amount;
        emit Withdrawn(msg.sender, amount);
        _pay(to, amount);
    }

    function _existing(address user) private view returns (Balances storage ledger) {
        ledger = _ledgers[user];
        if (ledger.createdAt == 0) revert LedgerNotFound();
    }

    function _takePending(address provider, bool locked) private returns (uint96 amount) {
        SubAccount storage sub = _subAccounts[msg.sender][provider];
        amount = sub.pendingRefund;
        if (amount == 0) revert NoRefundPending();
        // forge-lint: disable-next-line(block-timestamp)
        if (locked && block.timestamp < sub.refundUnlockTime) revert RefundNotUnlocked();
        sub.pendingRefund = 0;
        sub.refundUnlockTime = 0;
    }

    /// @dev What waits for its refund goes last.
    function _draw(address user, address provider, uint256 amount) private {
        if (msg.sender != inferenceContract) revert UnauthorizedCaller();
        SubAccount storage sub = _subAccounts[user][provider];
        uint256 reach = uint256(sub.balance) + sub.pendingRefund;
        if (amount > reach) revert InsufficientBalance(reach, amount);
        uint96 drawn = amount.toUint96();
        uint96 fromBalance = drawn < sub.balance ? drawn : sub.balance;
        sub.balance -= fromBalance;
        sub.pendingRefund -= drawn - fromBalance;
        _ledgers[user].locked -= drawn;
        totalDeposits -= amount;
    }
}
