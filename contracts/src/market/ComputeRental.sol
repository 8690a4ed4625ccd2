// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {IProviders} from "../interfaces/ILedger.sol";
import {PlatformFee} from "./PlatformFee.sol";
import {PullPayments} from "./PullPayments.sol";
import {RentalBook} from "./RentalBook.sol";
import {RentalOffers} from "./RentalOffers.sol";

/// @title ComputeRental
/// @notice Rents machines by the hour, paid in advance and charged by the second.
/// @dev
///
///     PENDING --startRental--> ACTIVE --completeRental--> COMPLETED
///        |  \                    \--createDispute--> DISPUTED --closeDispute--> COMPLETED
///        |   \--expireRental, START_WINDOW over--> EXPIRED
///        \--cancelRental--> CANCELLED
///
/// Money. A rental has its own escrow: what was paid for it. When it ends, the provider is credited rate × seconds used, at
/// most what was paid, less the platform's part; the user is credited the rest. No rental can pay out more than it took
/// in, or twice. Rate and platform's part are fixed when it is made. Balance of the contract = totalEscrow + totalBonds +
/// totalOwed.
///
/// Ending. Either side ends an active rental at any time, anyone once its time is over; the user alone ends one that
/// wasn't started. So the user's escrow is never locked, and an absent provider earns nothing by being absent: whoever
/// can't use the machine ends the rental.
///
/// Disputes. Before completion only, with a bond. A dispute ends the use. Its arbiter may move money of this rental from
/// the defendant's share to the initiator, and the loser's bond to the winner. A ruling holds after `RULING_DELAY`, and
/// not if governance replaced the arbiter meanwhile. Without one in time everybody gets what the use says, and the bond
/// back. Whatever happens, `closeDispute` works `RULING_WINDOW + RULING_DELAY` after the opening.
///
/// Texts. SSH key, image, start-up script, host and port are public on chain for good; the functions that Jeju clients call
/// take them as texts. So the script should be `sha256:` and the digest of the script, and the image a reference with its
/// digest: the script itself goes to the enclave over the attested channel, which compares.
///
/// Not kept of the seed: `createRentalWithCredit`, which counted a credit in some token as ETH that never came here, so
/// that refunds and earnings were other users' money (whoever holds credit pays with `createRentalFor`); bans, by
/// providers or the owner; settlers with rights of their own, since anyone may pay for a user.
contract ComputeRental is PlatformFee, PullPayments, RentalOffers, RentalBook {
    using SafeCast for uint256;

    /// @notice Seconds in which a provider must start a rental.
    uint64 public constant START_WINDOW = 2 hours;
    /// @notice Bond of a dispute.
    uint256 public constant DISPUTE_BOND = 0.01 ether;
    /// @notice Seconds in which the arbiter must rule.
    uint64 public constant RULING_WINDOW = 7 days;
    /// @notice Seconds between a ruling and its effect: governance can replace the arbiter in them.
    uint64 public constant RULING_DELAY = 3 days;
    /// @notice Longest SSH key, in bytes.
    uint256 public constant MAX_KEY = 1024;
    /// @notice Longest image reference, host name or container id, in bytes.
    uint256 public constant MAX_NAME = 256;
    /// @notice Longest start-up script, in bytes.
    uint256 public constant MAX_SCRIPT = 4096;

    /// @notice Who rules on disputes that are opened now.
    address public arbiter;
    /// @notice Money of rentals that aren't over.
    uint256 public totalEscrow;
    /// @notice Bonds of open disputes.
    uint256 public totalBonds;

    uint256 private _counter;

    /// @notice A rental was made and paid.
    event RentalCreated(
        bytes32 indexed rentalId,
        address indexed user,
        address indexed provider,
        uint256 durationHours,
        uint256 totalCost
    );
    /// @notice The tenant can log in.
    event RentalStarted(bytes32 indexed rentalId, string sshHost, uint16 sshPort, string containerId);
    /// @notice A rental is over and its money credited.
    event RentalCompleted(bytes32 indexed rentalId, uint256 actualDuration, uint256 refundAmount);
    /// @notice A rental won't be started; the user is credited what it paid.
    event RentalCancelled(bytes32 indexed rentalId, uint256 refundAmount);
    /// @notice The provider didn't start a rental in time; the user is credited what it paid.
    event RentalExpired(bytes32 indexed rentalId, uint256 refundAmount);
    /// @notice A rental goes on for longer.
    event RentalExtended(bytes32 indexed rentalId, uint256 additionalHours, uint256 additionalCost);
    /// @notice A dispute was opened.
    event DisputeCreated(
        bytes32 indexed disputeId, bytes32 indexed rentalId, address indexed initiator, DisputeReason reason
    );
    /// @notice The arbiter ruled; the ruling holds from `effectiveAt` on.
    event DisputeRuled(bytes32 indexed disputeId, bool inFavorOfInitiator, uint256 slashAmount, uint64 effectiveAt);
    /// @notice A dispute is over: what moved from the defendant's share to the initiator.
    event DisputeResolved(bytes32 indexed disputeId, bool inFavorOfInitiator, uint256 slashAmount);
    /// @notice No ruling holds: the money went as the use says, the bond back.
    event DisputeLapsed(bytes32 indexed disputeId);
    /// @notice The platform's part of a rental.
    event PlatformFeeCollected(bytes32 indexed rentalId, uint256 amount, uint256 feeBps);
    /// @notice Who rules on disputes from now on.
    event ArbiterUpdated(address indexed oldArbiter, address indexed newArbiter);

    /// @notice The value is too small.
    error InsufficientPayment(uint256 provided, uint256 required);
    /// @notice The provider runs as many rentals as it can.
    error ProviderAtCapacity();
    /// @notice The provider's machines need a key to log in.
    error InvalidSSHKey();
    /// @notice The offer doesn't allow the image, or it would be read as an option.
    error ImageNotSupported();
    /// @notice Only a rental that wasn't started can be cancelled.
    error CannotCancelActiveRental();
    /// @notice The rental's time is over, or the time to start it.
    error RentalExpiredAt(uint256 time);
    /// @notice The provider may still start the rental.
    error StillStartable(uint256 startDeadline);
    /// @notice The provider's agent isn't what it was when the rental was made.
    error AgentMoved(uint256 agentId);
    /// @notice The caller is neither side of the rental.
    error NotDisputeParty();
    /// @notice The dispute was ruled on, or is over.
    error AlreadyResolved();
    /// @notice The caller isn't the dispute's arbiter.
    error NotArbitrator();
    /// @notice The bond isn't exactly what it must be.
    error WrongBond(uint256 provided, uint256 required);
    /// @notice More than the defendant's share can't be moved.
    error AmountTooHigh(uint256 amount, uint256 maximum);
    /// @notice The arbiter's time is over.
    error RulingTooLate(uint256 deadline);
    /// @notice The dispute can be closed from `time` on.
    error TooEarly(uint256 time);

    /// @param owner_ Governance: a timelock.
    /// @param treasury_ Who is credited fees, or zero.
    /// @param feeBps The first fee, in ten-thousandths.
    /// @param arbiter_ Who rules on disputes.
    /// @param registry_ `ComputeRegistry`.
    /// @param identity_ `IdentityRegistry`.
    constructor(
        address owner_,
        address treasury_,
        uint16 feeBps,
        address arbiter_,
        IProviders registry_,
        IIdentity identity_
    ) PlatformFee(owner_, treasury_, feeBps) RentalOffers(registry_, identity_) {
        if (address(registry_) == address(0) || address(identity_) == address(0)) {
            revert ZeroAccount();
        }
        _setArbiter(arbiter_);
    }

    // ------------------------------------------------------------------ a rental's life

    /// @notice Rents a provider's machine and pays for all hours. What is more than the price is credited to the caller.
    /// @param provider The provider.
    /// @param durationHours Within the offer's bounds.
    /// @param sshPublicKey The only key that logs in. Public.
    /// @param containerImage The image, best with its digest. Public.
    /// @param startupScript Best `sha256:` and the script's digest. Public.
    /// @return rentalId The rental's id.
    function createRental(
        address provider,
        uint256 durationHours,
        string calldata sshPublicKey,
        string calldata containerImage,
        string calldata startupScript
    ) external payable returns (bytes32 rentalId) {
        return _create(msg.sender, provider, durationHours, sshPublicKey, containerImage, startupScript);
    }

    /// @notice `createRental` for another user, who is credited refunds. Anyone may.
    /// @param user The user.
    /// @param provider The provider.
    /// @param durationHours Within the offer's bounds.
    /// @param sshPublicKey The only key that logs in. Public.
    /// @param containerImage The image, best with its digest. Public.
    /// @param startupScript Best `sha256:` and the script's digest. Public.
    /// @return rentalId The rental's id.
    function createRentalFor(
        address user,
        address provider,
        uint256 durationHours,
        string calldata sshPublicKey,
        string calldata containerImage,
        string calldata startupScript
    ) external payable returns (bytes32 rentalId) {
        if (user == address(0)) revert ZeroAccount();
        return _create(user, provider, durationHours, sshPublicKey, containerImage, startupScript);
    }

    /// @notice Starts a rental: its time runs from now on. The provider only.
    /// @param rentalId The rental.
    /// @param sshHost Where the tenant logs in. Public.
    /// @param sshPort The port.
    /// @param containerId For the provider's use.
    function startRental(bytes32 rentalId, string calldata sshHost, uint16 sshPort, string calldata containerId)
        external
    {
        Entry storage rental = _ofProvider(rentalId);
        if (rental.status != RentalStatus.PENDING) revert RentalNotActive();
        if (_now() > rental.startDeadline) revert RentalExpiredAt(rental.startDeadline);
        if (rental.agentId != 0 && identityRegistry.agentEpoch(rental.agentId) != rental.agentEpoch) {
            revert AgentMoved(rental.agentId);
        }
        _requireText(sshHost, 1, MAX_NAME);
        _requireText(containerId, 0, MAX_NAME);
        Offer storage offer = _offers[msg.sender];
        if (offer.active >= offer.maxConcurrent) revert ProviderAtCapacity();
        offer.active++;
        rental.status = RentalStatus.ACTIVE;
        rental.startTime = _soon(0);
        rental.endTime = _soon(uint256(rental.paidHours) * 1 hours);
        rental.sshHost = sshHost;
        rental.sshPort = sshPort;
        emit RentalStarted(rentalId, sshHost, sshPort, containerId);
    }

    /// @notice Adds hours to an active rental at its own rate, up to the longest rental of its offer. The user only.
    /// @param rentalId The rental.
    /// @param additionalHours How many.
    function extendRental(bytes32 rentalId, uint256 additionalHours) external payable whenNotPaused {
        Entry storage rental = _ofUser(rentalId);
        if (rental.status != RentalStatus.ACTIVE) revert RentalNotActive();
        if (_now() >= rental.endTime) revert RentalExpiredAt(rental.endTime);
        _liveOffer(rental.provider);
        if (additionalHours == 0 || additionalHours > rental.maximumHours - rental.paidHours) revert InvalidDuration();
        uint256 cost = _takePayment(rental.rate, additionalHours);
        // At most `MAX_RENTAL_HOURS`.
        // forge-lint: disable-next-line(unsafe-typecast)
        rental.paidHours += uint16(additionalHours);
        rental.paid = (rental.paid + cost).toUint96();
        // forge-lint: disable-next-line(unsafe-typecast)
        rental.endTime += uint40(additionalHours * 1 hours);
        emit RentalExtended(rentalId, additionalHours, cost);
    }

    /// @notice Ends an active rental: either side at any time, anyone once its time is over.
    /// @param rentalId The rental.
    function completeRental(bytes32 rentalId) external {
        Entry storage rental = _existing(rentalId);
        if (rental.status != RentalStatus.ACTIVE) revert RentalNotActive();
        if (msg.sender != rental.user && msg.sender != rental.provider && _now() < rental.endTime) {
            revert NotRentalProvider();
        }
        _endUse(rental);
        _settle(rentalId, rental, _used(rental));
    }

    /// @notice Gives up a rental that wasn't started. The user only; it is credited all that it paid.
    /// @param rentalId The rental.
    function cancelRental(bytes32 rentalId) external {
        Entry storage rental = _ofUser(rentalId);
        if (rental.status != RentalStatus.PENDING) revert CannotCancelActiveRental();
        rental.status = RentalStatus.CANCELLED;
        _users[rental.user].cancelled++;
        emit RentalCancelled(rentalId, _refundAll(rental));
    }

    /// @notice Ends a rental that the provider didn't start in time. Anyone may; the user is credited all that it paid.
    /// @param rentalId The rental.
    function expireRental(bytes32 rentalId) external {
        Entry storage rental = _existing(rentalId);
        if (rental.status != RentalStatus.PENDING) revert RentalNotActive();
        if (_now() <= rental.startDeadline) revert StillStartable(rental.startDeadline);
        rental.status = RentalStatus.EXPIRED;
        _providers[rental.provider].failed++;
        emit RentalExpired(rentalId, _refundAll(rental));
    }

    // ------------------------------------------------------------------ disputes

    /// @notice Opens a dispute over an active rental, which ends its use. Either side may, with `DISPUTE_BOND`.
    /// @param rentalId The rental.
    /// @param reason Why.
    /// @param evidenceUri Public.
    /// @return disputeId The dispute's id.
    function createDispute(bytes32 rentalId, DisputeReason reason, string calldata evidenceUri)
        external
        payable
        returns (bytes32 disputeId)
    {
        Entry storage rental = _existing(rentalId);
        if (msg.sender != rental.user && msg.sender != rental.provider) revert NotDisputeParty();
        if (rental.status != RentalStatus.ACTIVE) revert RentalNotActive();
        if (reason == DisputeReason.NONE) revert InvalidReason();
        if (msg.value != DISPUTE_BOND) revert WrongBond(msg.value, DISPUTE_BOND);
        _requireText(evidenceUri, 0, MAX_NOTE);

        _endUse(rental);
        rental.status = RentalStatus.DISPUTED;
        _users[rental.user].disputed++;
        totalBonds += msg.value;
        // A rental has one dispute at most.
        disputeId = keccak256(abi.encode("dispute", rentalId));
        Case storage dispute = _cases[disputeId];
        dispute.initiator = msg.sender;
        dispute.createdAt = _soon(0);
        dispute.deadline = _soon(RULING_WINDOW);
        dispute.arbiter = arbiter;
        dispute.reason = reason;
        dispute.rentalId = rentalId;
        dispute.evidenceUri = evidenceUri;
        emit DisputeCreated(disputeId, rentalId, msg.sender, reason);
    }

    /// @notice Rules on a dispute, once; the ruling holds after `RULING_DELAY`. The dispute's arbiter only.
    /// @param disputeId The dispute.
    /// @param inFavorOfInitiator The ruling.
    /// @param slashAmount Wei of this rental to move from the defendant's share to the initiator; zero if it lost.
    function resolveDispute(bytes32 disputeId, bool inFavorOfInitiator, uint256 slashAmount) external {
        Case storage dispute = _openCase(disputeId);
        if (msg.sender != dispute.arbiter || msg.sender != arbiter) revert NotArbitrator();
        if (dispute.ruled) revert AlreadyResolved();
        if (_now() >= dispute.deadline) revert RulingTooLate(dispute.deadline);
        Entry storage rental = _rentals[dispute.rentalId];
        uint256 used = _used(rental);
        uint256 share = dispute.initiator == rental.user ? used : rental.paid - used;
        uint256 most = inFavorOfInitiator ? share : 0;
        if (slashAmount > most) revert AmountTooHigh(slashAmount, most);
        uint40 effectiveAt = _soon(RULING_DELAY);
        dispute.ruled = true;
        dispute.inFavor = inFavorOfInitiator;
        // At most what was paid.
        // forge-lint: disable-next-line(unsafe-typecast)
        dispute.amount = uint96(slashAmount);
        dispute.deadline = effectiveAt;
        emit DisputeRuled(disputeId, inFavorOfInitiator, slashAmount, effectiveAt);
    }

    /// @notice Carries out a ruling, or ends a dispute without one. Anyone may, when it is time.
    /// @param disputeId The dispute.
    function closeDispute(bytes32 disputeId) external {
        Case storage dispute = _openCase(disputeId);
        if (_now() < dispute.deadline) revert TooEarly(dispute.deadline);
        Entry storage rental = _rentals[dispute.rentalId];
        dispute.resolvedAt = _soon(0);
        bool byUser = dispute.initiator == rental.user;
        address winner = dispute.initiator;
        uint256 share = _used(rental);
        if (!dispute.ruled || dispute.arbiter != arbiter) {
            dispute.inFavor = false;
            dispute.amount = 0;
            emit DisputeLapsed(disputeId);
        } else {
            share = byUser ? share - dispute.amount : share + dispute.amount;
            if (!dispute.inFavor) winner = byUser ? rental.provider : rental.user;
            emit DisputeResolved(disputeId, dispute.inFavor, dispute.amount);
        }
        totalBonds -= DISPUTE_BOND;
        _credit(winner, DISPUTE_BOND);
        _settle(dispute.rentalId, rental, share);
    }

    // ------------------------------------------------------------------ governance and reading

    /// @notice Names who rules on disputes that are opened from now on. Rulings of the last one that don't hold yet lapse.
    /// @param newArbiter The account.
    function setArbiter(address newArbiter) external onlyOwner {
        _setArbiter(newArbiter);
    }

    /// @notice The platform's part of rentals that are made now, in ten-thousandths.
    function getEffectivePlatformFee() external view returns (uint256) {
        return _currentFeeBps();
    }

    /// @notice Sum of fees, the platform's part now, and who is credited it.
    function getPlatformFeeStats() external view returns (uint256 totalCollected, uint256 feeBps, address recipient) {
        return (totalPlatformFeesCollected, _currentFeeBps(), treasury);
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _create(
        address user,
        address provider,
        uint256 durationHours,
        string calldata sshPublicKey,
        string calldata containerImage,
        string calldata startupScript
    ) private whenNotPaused returns (bytes32 rentalId) {
        Offer storage offer = _liveOffer(provider);
        if (durationHours < offer.minimumHours || durationHours > offer.maximumHours) revert InvalidDuration();
        if (offer.active >= offer.maxConcurrent) revert ProviderAtCapacity();
        if (offer.sshEnabled && bytes(sshPublicKey).length == 0) revert InvalidSSHKey();
        _requireText(sshPublicKey, 0, MAX_KEY);
        _requireText(containerImage, 0, MAX_NAME);
        _requireText(startupScript, 0, MAX_SCRIPT);
        // A node may hand the image to a command line.
        if (bytes(containerImage).length != 0 && bytes(containerImage)[0] == "-") revert ImageNotSupported();
        if (!isImageSupported(provider, containerImage)) revert ImageNotSupported();

        rentalId = keccak256(abi.encode(block.chainid, address(this), user, provider, ++_counter));
        Entry storage rental = _rentals[rentalId];
        rental.rate = _hourlyRate(offer).toUint96();
        uint256 cost = _takePayment(rental.rate, durationHours);
        rental.user = user;
        rental.provider = provider;
        rental.paid = cost.toUint96();
        // Not more than the offer's maximum.
        // forge-lint: disable-next-line(unsafe-typecast)
        rental.paidHours = uint16(durationHours);
        rental.maximumHours = offer.maximumHours;
        rental.startDeadline = _soon(START_WINDOW);
        rental.feeBps = _currentFeeBps();
        rental.agentId = offer.agentId;
        rental.agentEpoch = offer.agentEpoch;
        rental.sshPublicKey = sshPublicKey;
        rental.containerImage = containerImage;
        rental.startupScript = startupScript;
        _enlist(rentalId, user, provider);
        emit RentalCreated(rentalId, user, provider, durationHours, cost);
    }

    function _takePayment(uint256 rate, uint256 durationHours) private returns (uint256 cost) {
        cost = rate * durationHours;
        if (msg.value < cost) revert InsufficientPayment(msg.value, cost);
        totalEscrow += cost;
        _credit(msg.sender, msg.value - cost);
    }

    function _endUse(Entry storage rental) private {
        uint40 end = rental.endTime;
        rental.endedAt = _now() < end ? _soon(0) : end;
        _offers[rental.provider].active--;
    }

    /// @dev min(used, paid): `endedAt` is at most `endTime`, and the hours until then are those that were paid.
    function _used(Entry storage rental) private view returns (uint256 used) {
        used = uint256(rental.rate) * (rental.endedAt - rental.startTime) / 1 hours;
        if (used > rental.paid) used = rental.paid;
    }

    function _settle(bytes32 rentalId, Entry storage rental, uint256 share) private {
        uint256 refund = rental.paid - share;
        rental.status = RentalStatus.COMPLETED;
        // At most what was paid.
        // forge-lint: disable-next-line(unsafe-typecast)
        rental.refunded = uint96(refund);
        totalEscrow -= rental.paid;
        // Without a treasury the provider gets all.
        uint256 fee = treasury == address(0) ? 0 : share * rental.feeBps / 10_000;
        totalPlatformFeesCollected += fee;
        _users[rental.user].completed++;
        _providers[rental.provider].completed++;
        // forge-lint: disable-next-line(unsafe-typecast)
        _providers[rental.provider].earnings += uint128(share - fee);
        if (fee != 0) emit PlatformFeeCollected(rentalId, fee, rental.feeBps);
        emit RentalCompleted(rentalId, rental.endedAt - rental.startTime, refund);
        _credit(treasury, fee);
        _credit(rental.provider, share - fee);
        _credit(rental.user, refund);
    }

    function _refundAll(Entry storage rental) private returns (uint256 refund) {
        refund = rental.paid;
        rental.refunded = rental.paid;
        totalEscrow -= refund;
        _credit(rental.user, refund);
    }

    function _openCase(bytes32 disputeId) private view returns (Case storage dispute) {
        dispute = _cases[disputeId];
        if (dispute.initiator == address(0)) revert DisputeNotFound();
        if (dispute.resolvedAt != 0) revert AlreadyResolved();
    }

    function _soon(uint256 delay) private view returns (uint40) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint40(block.timestamp + delay);
    }

    function _setArbiter(address newArbiter) private {
        if (newArbiter == address(0)) revert ZeroAccount();
        emit ArbiterUpdated(arbiter, newArbiter);
        arbiter = newArbiter;
    }
}
