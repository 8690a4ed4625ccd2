// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {ILedger, IProviders, IServing} from "../interfaces/ILedger.sol";
import {IAttestedKeys} from "../interfaces/ITrust.sol";
import {Eip712Domain} from "../trust/Eip712Domain.sol";
import {PlatformFee} from "./PlatformFee.sol";
import {Receipt, Receipts} from "./Receipts.sol";
import {ServiceList} from "./ServiceList.sol";

/// @notice A user's promise to a provider, of which the newest replaces all before.
/// @param user Who pays.
/// @param provider Who earns.
/// @param cumulative All that the user ever promised the provider by vouchers, in wei.
/// @param sequence Grows with each voucher.
/// @param requestDigest Digest of the last request paid for.
/// @param responseDigest Digest of its response.
/// @param expiry Unix seconds after which the voucher is worth nothing.
struct Voucher {
    address user;
    address provider;
    uint256 cumulative;
    uint64 sequence;
    bytes32 requestDigest;
    bytes32 responseDigest;
    uint64 expiry;
}

/// @title InferenceServing
/// @notice Pays for inference out of what users set aside in `LedgerManager`: by a user's vouchers, which anyone may submit,
/// or by a provider's settlement, which the user submits.
/// @dev No money moves without the user's word: a voucher of it, or its own call. No one else's word, the owner's included,
/// can move any. Money goes to the provider's account that the user named, whatever became of its agent since: a buyer of
/// the agent earns nothing of the seller's work, and the seller nothing of the buyer's.
///
/// Vouchers. `cumulative` only counts upwards, so a voucher pays once however often it is submitted, and one transaction
/// settles a thousand requests. What isn't covered is paid when the user sets more aside. Amounts are in wei: no change of
/// a price or a service touches a voucher. A provider checks before it works that `cumulative` grew by the price, that it
/// is covered by `getProviderBalance`, and that the expiry is far; after a request of a refund it has the refund's lock to
/// submit.
///
/// Settlements (the seed's `settle`). The provider signs EIP-712 `Settlement` over this chain, this contract, and the
/// service, whose price is fixed for good: a new price is a new service. So what was signed costs what it cost when it was
/// signed. The seed's own digest, which is good for any chain and contract, isn't accepted.
///
/// Receipts. Whoever submits a voucher may add the enclave's receipt for the same request and response. It moves no money:
/// it puts the response's attested usage on the agent's record, once.
contract InferenceServing is IServing, PlatformFee, ServiceList, Eip712Domain {
    using Math for uint256;
    using SafeCast for uint256;

    struct Session {
        uint128 paid;
        uint64 sequence;
    }

    struct AgentStats {
        uint128 revenue;
        uint64 tokens;
        uint64 settlements;
    }

    /// @notice EIP-712 type of a voucher.
    bytes32 public constant VOUCHER_TYPEHASH = keccak256(
        "Voucher(address user,address provider,uint256 cumulative,uint64 sequence,bytes32 requestDigest,bytes32 responseDigest,uint64 expiry)"
    );
    /// @notice EIP-712 type of a settlement.
    bytes32 public constant SETTLEMENT_TYPEHASH = keccak256(
        "Settlement(address user,address provider,uint256 service,bytes32 requestHash,uint256 inputTokens,uint256 outputTokens,uint256 nonce)"
    );

    /// @inheritdoc IServing
    ILedger public immutable ledger;
    /// @notice Registry of attested keys.
    IAttestedKeys public immutable attestedKeys;

    /// @notice How many payments there were.
    uint256 public totalSettlements;
    /// @notice Sum of all payments, fees included, in wei.
    uint256 public totalFeesCollected;

    mapping(address provider => address) private _signers;
    mapping(address user => mapping(address provider => uint256)) private _nonces;
    mapping(address user => mapping(address provider => Session)) private _sessions;
    mapping(uint256 agentId => AgentStats) private _agentStats;
    mapping(address key => mapping(bytes32 requestId => bool)) private _counted;

    /// @notice A provider's settlements are signed by `signer` from now on; zero: by the provider.
    event SignerSet(address indexed provider, address indexed signer);
    /// @notice A user settled.
    event Settled(
        address indexed user,
        address indexed provider,
        bytes32 requestHash,
        uint256 inputTokens,
        uint256 outputTokens,
        uint256 fee,
        uint256 nonce
    );
    /// @notice A voucher paid `amount`; `paid` altogether of `cumulative`.
    event VoucherSettled(
        address indexed user,
        address indexed provider,
        bytes32 requestDigest,
        bytes32 responseDigest,
        uint256 amount,
        uint256 paid,
        uint256 cumulative,
        uint64 sequence
    );
    /// @notice An agent's response was paid for. With vouchers, its enclave attests to the usage.
    event AgentSettled(
        uint256 indexed agentId, address indexed user, uint256 inputTokens, uint256 outputTokens, uint256 fee
    );
    /// @notice The receipt of a paid response was counted.
    event ReceiptCounted(uint256 indexed agentId, address indexed key, bytes32 indexed requestId);
    /// @notice The platform's part of a payment.
    event PlatformFeeCollected(address indexed provider, uint256 amount, uint256 feeBps);

    /// @notice The signature isn't the provider's, or it is for something else.
    error InvalidSignature();
    /// @notice The signature isn't the user's, or it is for something else.
    error InvalidVoucher(address user);
    /// @notice The nonce isn't the next one.
    error InvalidNonce(uint256 expected, uint256 provided);
    /// @notice The provider didn't acknowledge the user.
    error UserNotAcknowledged();
    /// @notice What the user set aside is less than needed.
    error InsufficientBalance(uint256 available, uint256 required);
    /// @notice The voucher's time is over.
    error VoucherExpired(uint64 expiry);
    /// @notice A later voucher was submitted.
    error VoucherSuperseded(uint64 sequence, uint64 latest);
    /// @notice The voucher pays nothing: it was paid, or nothing is set aside.
    error NothingDue(uint256 cumulative, uint256 paid, uint256 available);
    /// @notice The receipt is for another request or response.
    error ReceiptMismatch(bytes32 requestDigest, bytes32 responseDigest);
    /// @notice The receipt is another agent's than the provider's.
    error ReceiptOfOtherAgent(uint256 agentId, uint256 providersAgent);
    /// @notice The receipt was counted.
    error ReceiptAlreadyCounted(address key, bytes32 requestId);

    /// @param owner_ Governance: a timelock.
    /// @param treasury_ Who is credited fees, or zero.
    /// @param feeBps The first fee, in ten-thousandths.
    /// @param ledger_ `LedgerManager`.
    /// @param registry_ `ComputeRegistry`.
    /// @param identity_ `IdentityRegistry`.
    /// @param keys_ `AttestedKeyRegistry`.
    constructor(
        address owner_,
        address treasury_,
        uint16 feeBps,
        ILedger ledger_,
        IProviders registry_,
        IIdentity identity_,
        IAttestedKeys keys_
    ) PlatformFee(owner_, treasury_, feeBps) ServiceList(registry_, identity_) Eip712Domain("Jeju InferenceServing") {
        if (address(ledger_) == address(0) || address(keys_) == address(0)) revert ZeroAccount();
        ledger = ledger_;
        attestedKeys = keys_;
    }

    // ------------------------------------------------------------------ services

    /// @notice Offers a model at a price, for as long as the provider's agent, if it has one, isn't sold.
    /// @param model The model.
    /// @param endpoint Base URL of its API.
    /// @param pricePerInputToken In wei.
    /// @param pricePerOutputToken In wei.
    function registerService(
        string calldata model,
        string calldata endpoint,
        uint256 pricePerInputToken,
        uint256 pricePerOutputToken
    ) external whenNotPaused {
        _addService(model, endpoint, pricePerInputToken, pricePerOutputToken);
    }

    /// @notice Names the account that signs the caller's settlements. What the last one signed is no longer accepted.
    /// @param signer The account, ERC-1271 accepted; zero: the caller itself.
    function setSigner(address signer) external {
        _signers[msg.sender] = signer;
        emit SignerSet(msg.sender, signer);
    }

    // ------------------------------------------------------------------ payments

    /// @notice Pays a provider by a voucher, as far as what the user set aside goes. Anyone may submit it.
    /// @param voucher The voucher.
    /// @param signature The user's; ERC-1271 accepted.
    /// @return amount What was paid, in wei.
    function settleVoucher(Voucher calldata voucher, bytes calldata signature) external returns (uint256 amount) {
        return _settleVoucher(voucher, signature);
    }

    /// @notice `settleVoucher`, with the enclave's receipt of the last response.
    /// @param voucher The voucher.
    /// @param signature The user's; ERC-1271 accepted.
    /// @param receipt Receipt for the same request and response.
    /// @param receiptSignature By a live attested key of the provider's agent.
    /// @return amount What was paid, in wei.
    function settleVoucherWithReceipt(
        Voucher calldata voucher,
        bytes calldata signature,
        Receipt calldata receipt,
        bytes calldata receiptSignature
    ) external returns (uint256 amount) {
        amount = _settleVoucher(voucher, signature);
        if (receipt.requestDigest != voucher.requestDigest || receipt.responseDigest != voucher.responseDigest) {
            revert ReceiptMismatch(receipt.requestDigest, receipt.responseDigest);
        }
        (address key, uint256 agentId) = attestedKeys.checkSignature(
            Receipts.digest(Receipts.hash(receipt), address(attestedKeys)), receiptSignature
        );
        uint256 providersAgent = registry.getProviderAgentId(voucher.provider);
        if (agentId != receipt.agentId || agentId != providersAgent) {
            revert ReceiptOfOtherAgent(agentId, providersAgent);
        }
        if (_counted[key][receipt.requestId]) revert ReceiptAlreadyCounted(key, receipt.requestId);
        _counted[key][receipt.requestId] = true;
        emit ReceiptCounted(agentId, key, receipt.requestId);
        _record(agentId, voucher.user, receipt.inputUnits, receipt.outputUnits, amount);
    }

    /// @notice Pays for one response at the price of the provider's first active service. The caller is the user.
    /// @param provider Who earns.
    /// @param requestHash What is paid for.
    /// @param inputTokens Tokens of the request.
    /// @param outputTokens Tokens of the response.
    /// @param nonce `getNonce`.
    /// @param signature The provider's, over `settlementDigest`.
    function settle(
        address provider,
        bytes32 requestHash,
        uint256 inputTokens,
        uint256 outputTokens,
        uint256 nonce,
        bytes calldata signature
    ) external {
        _settle(provider, _defaultService(provider), requestHash, inputTokens, outputTokens, nonce, signature);
    }

    /// @notice `settle` at the price of a given service, which may have ended since the provider signed.
    /// @param provider Who earns.
    /// @param service Index of the service.
    /// @param requestHash What is paid for.
    /// @param inputTokens Tokens of the request.
    /// @param outputTokens Tokens of the response.
    /// @param nonce `getNonce`.
    /// @param signature The provider's, over `settlementDigest`.
    function settleService(
        address provider,
        uint256 service,
        bytes32 requestHash,
        uint256 inputTokens,
        uint256 outputTokens,
        uint256 nonce,
        bytes calldata signature
    ) external {
        _settle(provider, service, requestHash, inputTokens, outputTokens, nonce, signature);
    }

    // ------------------------------------------------------------------ reading

    /// @notice Nonce of the next settlement.
    /// @param user Any account.
    /// @param provider Any account.
    function getNonce(address user, address provider) external view returns (uint256) {
        return _nonces[user][provider];
    }

    /// @notice Who signs a provider's settlements.
    /// @param provider Any account.
    function getSigner(address provider) public view returns (address) {
        address signer = _signers[provider];
        return signer == address(0) ? provider : signer;
    }

    /// @notice What vouchers paid so far.
    /// @param user Any account.
    /// @param provider Any account.
    /// @return paid In wei.
    /// @return sequence Of the newest voucher that was submitted.
    function sessionOf(address user, address provider) external view returns (uint256 paid, uint64 sequence) {
        Session storage session = _sessions[user][provider];
        return (session.paid, session.sequence);
    }

    /// @notice What a user signs for a voucher.
    /// @param voucher The voucher.
    function voucherDigest(Voucher calldata voucher) public view returns (bytes32) {
        return _typedDigest(keccak256(abi.encode(VOUCHER_TYPEHASH, voucher)));
    }

    /// @notice What a provider signs for a settlement.
    /// @param user Who pays.
    /// @param provider Who earns.
    /// @param service Index of the service.
    /// @param requestHash What is paid for.
    /// @param inputTokens Tokens of the request.
    /// @param outputTokens Tokens of the response.
    /// @param nonce `getNonce`.
    function settlementDigest(
        address user,
        address provider,
        uint256 service,
        bytes32 requestHash,
        uint256 inputTokens,
        uint256 outputTokens,
        uint256 nonce
    ) public view returns (bytes32) {
        return _typedDigest(
            keccak256(
                abi.encode(SETTLEMENT_TYPEHASH, user, provider, service, requestHash, inputTokens, outputTokens, nonce)
            )
        );
    }

    /// @notice What an agent was paid for. Providers can pay themselves: only `ReceiptCounted` is attested.
    /// @param agentId Any id.
    function getAgentStats(uint256 agentId)
        external
        view
        returns (uint256 totalTokens, uint256 totalRevenue, uint256 settlementCount)
    {
        AgentStats storage stats = _agentStats[agentId];
        return (stats.tokens, stats.revenue, stats.settlements);
    }

    /// @notice The platform's part now, in ten-thousandths.
    function getPlatformFeeRate() external view returns (uint16) {
        return _currentFeeBps();
    }

    /// @notice Sums of fees and payments, and the platform's part now.
    function getPlatformFeeStats()
        external
        view
        returns (uint256 platformFees, uint256 totalFees, uint16 currentFeeRateBps)
    {
        return (totalPlatformFeesCollected, totalFeesCollected, _currentFeeBps());
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _settleVoucher(Voucher calldata voucher, bytes calldata signature) private returns (uint256 amount) {
        if (_now() > voucher.expiry) revert VoucherExpired(voucher.expiry);
        Session storage session = _sessions[voucher.user][voucher.provider];
        if (voucher.sequence < session.sequence) revert VoucherSuperseded(voucher.sequence, session.sequence);
        if (!SignatureChecker.isValidSignatureNowCalldata(voucher.user, voucherDigest(voucher), signature)) {
            revert InvalidVoucher(voucher.user);
        }
        uint256 paid = session.paid;
        uint256 available = ledger.settleable(voucher.user, voucher.provider);
        amount = voucher.cumulative > paid ? voucher.cumulative - paid : 0;
        if (amount > available) amount = available;
        if (amount == 0) revert NothingDue(voucher.cumulative, paid, available);

        paid += amount;
        session.paid = paid.toUint128();
        session.sequence = voucher.sequence;
        emit VoucherSettled(
            voucher.user,
            voucher.provider,
            voucher.requestDigest,
            voucher.responseDigest,
            amount,
            paid,
            voucher.cumulative,
            voucher.sequence
        );
        _pay(voucher.user, voucher.provider, amount, voucher.responseDigest);
    }

    function _settle(
        address provider,
        uint256 service,
        bytes32 requestHash,
        uint256 inputTokens,
        uint256 outputTokens,
        uint256 nonce,
        bytes calldata signature
    ) private {
        if (!ledger.isAcknowledged(msg.sender, provider)) revert UserNotAcknowledged();
        uint256 expected = _nonces[msg.sender][provider];
        if (nonce != expected) revert InvalidNonce(expected, nonce);
        bytes32 digest = settlementDigest(msg.sender, provider, service, requestHash, inputTokens, outputTokens, nonce);
        if (!SignatureChecker.isValidSignatureNowCalldata(getSigner(provider), digest, signature)) {
            revert InvalidSignature();
        }
        uint256 fee = _feeOf(provider, service, inputTokens, outputTokens);
        uint256 available = ledger.settleable(msg.sender, provider);
        if (fee > available) revert InsufficientBalance(available, fee);

        _nonces[msg.sender][provider] = nonce + 1;
        emit Settled(msg.sender, provider, requestHash, inputTokens, outputTokens, fee, nonce);
        uint256 agentId = _agentOfService(provider, service);
        if (agentId != 0) _record(agentId, msg.sender, inputTokens, outputTokens, fee);
        _pay(msg.sender, provider, fee, requestHash);
    }

    function _pay(address user, address provider, uint256 amount, bytes32 requestHash) private {
        uint256 feeBps = _currentFeeBps();
        uint256 fee = amount * feeBps / 10_000;
        totalSettlements++;
        totalFeesCollected += amount;
        totalPlatformFeesCollected += fee;
        ledger.settle(user, provider, amount - fee, requestHash);
        if (fee != 0) {
            emit PlatformFeeCollected(provider, fee, feeBps);
            ledger.settlePlatformFee(user, provider, treasury, fee);
        }
    }

    /// @dev Counts stop at their largest value: a seller must not be able to fill them up, so that nothing more of the
    /// agent's buyer could be settled.
    function _record(uint256 agentId, address user, uint256 inputTokens, uint256 outputTokens, uint256 amount) private {
        AgentStats storage stats = _agentStats[agentId];
        uint256 tokens = uint256(stats.tokens).saturatingAdd(inputTokens).saturatingAdd(outputTokens);
        // forge-lint: disable-next-line(unsafe-typecast)
        stats.tokens = uint64(Math.min(tokens, type(uint64).max));
        stats.revenue += amount.toUint128();
        stats.settlements++;
        emit AgentSettled(agentId, user, inputTokens, outputTokens, amount);
    }
}
