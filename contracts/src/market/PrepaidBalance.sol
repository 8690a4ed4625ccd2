// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Eip712Domain} from "../trust/Eip712Domain.sol";
import {PullPayments} from "./PullPayments.sol";

/// @notice What a user owes a provider in this contract, signed by the user (EIP-712, or ERC-1271 for contracts).
/// @param user Who pays.
/// @param provider Who is paid; nobody else can submit it.
/// @param cumulative All that the user has owed this provider since the beginning, in wei: each voucher contains all
/// earlier ones.
/// @param sequence Grows with each voucher.
/// @param requestDigest What was asked for.
/// @param responseDigest What was answered; zero if the user signed before it had the answer.
/// @param expiry Last unix second at which it can be charged.
struct Voucher {
    address user;
    address provider;
    uint256 cumulative;
    uint64 sequence;
    bytes32 requestDigest;
    bytes32 responseDigest;
    uint64 expiry;
}

/// @title PrepaidBalance
/// @notice Money that an owner keeps here for payees that it chose. A payee gets what the owner signed, never more.
/// @dev Balance of the contract = totalPrepaid + totalOwed.
///
///     owner --depositPrepaid--> prepaid --voucher of the owner--> owed[payee] --withdraw--> payee
///                                  \--withdrawPrepaid--> owner
///
/// A payee charges by a cumulative voucher, and only while the owner lets it. While any payee may charge, a withdrawal is
/// announced `NOTICE` before: else an owner could sign, be served, and take the money away in front of the charge. Payees
/// count on `chargeableBalance` only. The owner alone announces and nobody can prolong it, so a withdrawal is never more
/// than `NOTICE` away. All of a charge goes to the payee.
abstract contract PrepaidBalance is PullPayments, Eip712Domain {
    using SafeCast for uint256;

    struct Prepaid {
        // What the owner said that it will withdraw, from `readyAt` on.
        uint96 announced;
        uint64 readyAt;
        // Until when payees that were closed may still charge.
        uint64 closingUntil;
        uint32 openPayees;
    }

    struct Tab {
        uint256 charged;
        uint64 sequence;
        // First second at which the payee can't charge: `OPEN` while it may, zero if it never could.
        uint64 until;
    }

    /// @notice Seconds for which a payee may still charge once it knows that the owner leaves.
    uint64 public constant NOTICE = 1 hours;
    /// @notice EIP-712 type of a voucher.
    bytes32 public constant VOUCHER_TYPEHASH = keccak256(
        "Voucher(address user,address provider,uint256 cumulative,uint64 sequence,bytes32 requestDigest,bytes32 responseDigest,uint64 expiry)"
    );
    uint64 private constant OPEN = type(uint64).max;

    /// @notice What an owner has here, in wei.
    mapping(address owner => uint256) public prepaidBalances;
    /// @notice Sum of `prepaidBalances`.
    uint256 public totalPrepaid;

    mapping(address owner => Prepaid) private _prepaid;
    mapping(address owner => mapping(address payee => Tab)) private _tabs;

    /// @notice An owner paid in.
    event PrepaidDeposit(address indexed account, uint256 amount);
    /// @notice An owner took its own money back.
    event PrepaidWithdraw(address indexed account, uint256 amount);
    /// @notice An owner will take `amount` back, from `readyAt` on. Replaces what it announced before.
    event WithdrawalAnnounced(address indexed account, uint256 amount, uint64 readyAt);
    /// @notice The payee may charge what the owner signs.
    event ChargesOpened(address indexed owner, address indexed payee);
    /// @notice The payee may charge until `until`.
    event ChargesClosed(address indexed owner, address indexed payee, uint64 until);
    /// @notice A payee was paid `amount`, and `charged` altogether by this owner.
    event PrepaidCharged(
        address indexed owner, address indexed payee, uint256 amount, uint256 charged, bytes32 requestDigest
    );

    /// @notice The amount is zero.
    error InvalidAmount();
    /// @notice The owner has too little here.
    error InsufficientPrepaid();
    /// @notice Payees may charge, so a withdrawal is announced first: `announced` was, and is ready at `readyAt`.
    error NoticeRequired(uint256 announced, uint64 readyAt);
    /// @notice The payee may charge already.
    error ChargesAlreadyOpen(address owner, address payee);
    /// @notice The payee may not charge, or not for much longer.
    error ChargesNotOpen(address owner, address payee);
    /// @notice The voucher is another payee's.
    error NotVoucherProvider(address caller, address provider);
    /// @notice The voucher ended at `expiry`.
    error VoucherExpired(uint64 expiry);
    /// @notice A later voucher was charged.
    error VoucherOutdated(uint64 sequence, uint64 newest);
    /// @notice The user didn't sign the voucher.
    error VoucherNotSigned(address user);
    /// @notice All that the voucher promises was charged.
    error NothingToCharge(uint256 cumulative, uint256 charged);
    /// @notice The voucher is for another request or response.
    error VoucherForOther(bytes32 requestDigest, bytes32 responseDigest);

    // ------------------------------------------------------------------ the owner's money

    /// @notice Adds the value to the caller's balance.
    function depositPrepaid() external payable {
        if (msg.value == 0) revert InvalidAmount();
        prepaidBalances[msg.sender] += msg.value;
        totalPrepaid += msg.value;
        emit PrepaidDeposit(msg.sender, msg.value);
    }

    /// @notice Says that the caller will withdraw, in place of what it said before. Needed only while payees may charge.
    /// @param amount In wei; zero takes the announcement back.
    function announceWithdrawal(uint256 amount) external {
        Prepaid storage account = _prepaid[msg.sender];
        account.announced = amount.toUint96();
        account.readyAt = _now() + NOTICE;
        emit WithdrawalAnnounced(msg.sender, amount, account.readyAt);
    }

    /// @notice Pays the caller's own money back: at once if no payee may charge, else what was announced.
    /// @param amount In wei.
    function withdrawPrepaid(uint256 amount) external {
        _withdrawPrepaid(amount, msg.sender);
    }

    /// @notice `withdrawPrepaid` to another account, for those that can't receive.
    /// @param amount In wei.
    /// @param to Who receives.
    function withdrawPrepaidTo(uint256 amount, address to) external {
        if (to == address(0)) revert ZeroAccount();
        _withdrawPrepaid(amount, to);
    }

    // ------------------------------------------------------------------ reading

    /// @notice What payees can count on: announced withdrawals are not part of it.
    /// @param owner Any account.
    function chargeableBalance(address owner) external view returns (uint256) {
        uint256 balance = prepaidBalances[owner];
        uint256 announced = _prepaid[owner].announced;
        return balance > announced ? balance - announced : 0;
    }

    /// @notice Whether any payee may charge the owner, so that withdrawals need notice.
    /// @param owner Any account.
    function chargesOpen(address owner) public view returns (bool) {
        Prepaid storage account = _prepaid[owner];
        return account.openPayees != 0 || _now() < account.closingUntil;
    }

    /// @notice What the owner announced.
    /// @param owner Any account.
    /// @return amount In wei.
    /// @return readyAt Unix seconds from which it can be withdrawn.
    function announcedWithdrawal(address owner) external view returns (uint256 amount, uint64 readyAt) {
        return (_prepaid[owner].announced, _prepaid[owner].readyAt);
    }

    /// @notice Whether the payee may charge what the owner signs.
    /// @param owner Any account.
    /// @param payee Any account.
    function mayCharge(address owner, address payee) public view returns (bool) {
        return _now() < _tabs[owner][payee].until;
    }

    /// @notice What an owner paid to a payee.
    /// @param owner Any account.
    /// @param payee Any account.
    /// @return charged Altogether, in wei: the next voucher's `cumulative` goes on from here.
    /// @return sequence Of the newest voucher that was charged.
    function tabOf(address owner, address payee) external view returns (uint256 charged, uint64 sequence) {
        Tab storage tab = _tabs[owner][payee];
        return (tab.charged, tab.sequence);
    }

    /// @notice What the user signs.
    /// @param voucher The voucher.
    function voucherDigest(Voucher calldata voucher) public view returns (bytes32) {
        return _typedDigest(keccak256(abi.encode(VOUCHER_TYPEHASH, voucher)));
    }

    // ------------------------------------------------------------------ inside

    function _openCharges(address payee) internal {
        if (payee == address(0)) revert ZeroAccount();
        Tab storage tab = _tabs[msg.sender][payee];
        if (tab.until == OPEN) revert ChargesAlreadyOpen(msg.sender, payee);
        tab.until = OPEN;
        _prepaid[msg.sender].openPayees++;
        emit ChargesOpened(msg.sender, payee);
    }

    function _closeCharges(address payee) internal {
        Tab storage tab = _tabs[msg.sender][payee];
        if (tab.until != OPEN) revert ChargesNotOpen(msg.sender, payee);
        Prepaid storage account = _prepaid[msg.sender];
        uint64 until = _now() + NOTICE;
        tab.until = until;
        account.openPayees--;
        account.closingUntil = until;
        emit ChargesClosed(msg.sender, payee, until);
    }

    /// The caller is paid what the voucher promises and wasn't charged yet. If the owner has less, the caller gets that: a
    /// balance that is one wei short must not make the whole promise worthless.
    function _charge(Voucher calldata voucher, bytes calldata signature) internal returns (uint256 amount) {
        address owner = voucher.user;
        if (voucher.provider != msg.sender) revert NotVoucherProvider(msg.sender, voucher.provider);
        if (_now() > voucher.expiry) revert VoucherExpired(voucher.expiry);
        if (!mayCharge(owner, msg.sender)) revert ChargesNotOpen(owner, msg.sender);
        Tab storage tab = _tabs[owner][msg.sender];
        uint256 charged = tab.charged;
        if (voucher.sequence < tab.sequence) revert VoucherOutdated(voucher.sequence, tab.sequence);
        if (voucher.cumulative <= charged) revert NothingToCharge(voucher.cumulative, charged);
        if (!SignatureChecker.isValidSignatureNowCalldata(owner, voucherDigest(voucher), signature)) {
            revert VoucherNotSigned(owner);
        }
        uint256 balance = prepaidBalances[owner];
        if (balance == 0) revert InsufficientPrepaid();

        amount = voucher.cumulative - charged;
        if (amount > balance) amount = balance;
        tab.charged = charged + amount;
        tab.sequence = voucher.sequence;
        prepaidBalances[owner] = balance - amount;
        totalPrepaid -= amount;
        _credit(msg.sender, amount);
        emit PrepaidCharged(owner, msg.sender, amount, charged + amount, voucher.requestDigest);
    }

    /// A voucher pays for what it was signed for.
    function _requireDigests(Voucher calldata voucher, bytes32 requestDigest, bytes32 responseDigest) internal pure {
        bool isResponse = voucher.responseDigest == bytes32(0) || voucher.responseDigest == responseDigest;
        if (voucher.requestDigest != requestDigest || !isResponse) {
            revert VoucherForOther(voucher.requestDigest, voucher.responseDigest);
        }
    }

    function _withdrawPrepaid(uint256 amount, address to) private nonReentrant {
        if (amount == 0) revert InvalidAmount();
        uint256 balance = prepaidBalances[msg.sender];
        if (amount > balance) revert InsufficientPrepaid();
        Prepaid storage account = _prepaid[msg.sender];
        uint256 announced = account.announced;
        if (chargesOpen(msg.sender) && (amount > announced || _now() < account.readyAt)) {
            revert NoticeRequired(announced, account.readyAt);
        }
        account.announced = announced > amount ? (announced - amount).toUint96() : 0;
        prepaidBalances[msg.sender] = balance - amount;
        totalPrepaid -= amount;
        emit PrepaidWithdraw(msg.sender, amount);
        _pay(to, amount);
    }

    function _now() internal view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }
}
