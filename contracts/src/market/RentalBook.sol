// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title RentalBook
/// @notice Rentals, disputes, ratings and records of both sides, as Jeju clients read them.
/// @dev Nothing here moves money. All texts are public for good: see `ComputeRental`.
abstract contract RentalBook {
    /// @notice How far a rental has come. `PAUSED` is never used.
    enum RentalStatus {
        PENDING,
        ACTIVE,
        PAUSED,
        COMPLETED,
        CANCELLED,
        EXPIRED,
        DISPUTED
    }

    /// @notice What a dispute or a report is about.
    enum DisputeReason {
        NONE,
        PROVIDER_OFFLINE,
        WRONG_HARDWARE,
        POOR_PERFORMANCE,
        SECURITY_ISSUE,
        USER_ABUSE,
        USER_HACK_ATTEMPT,
        USER_TERMS_VIOLATION,
        PAYMENT_DISPUTE
    }

    /// @notice A rental, as Jeju clients decode it.
    struct Rental {
        bytes32 rentalId;
        address user;
        address provider;
        RentalStatus status;
        uint256 startTime;
        uint256 endTime;
        uint256 totalCost;
        uint256 paidAmount;
        uint256 refundedAmount;
        string sshPublicKey;
        string containerImage;
        string startupScript;
        string sshHost;
        uint16 sshPort;
    }

    /// @notice A dispute, as Jeju clients decode it.
    struct Dispute {
        bytes32 disputeId;
        bytes32 rentalId;
        address initiator;
        address defendant;
        DisputeReason reason;
        string evidenceUri;
        uint256 createdAt;
        uint256 resolvedAt;
        bool resolved;
        bool inFavorOfInitiator;
        uint256 slashAmount;
    }

    /// @notice A rating, as Jeju clients decode it.
    struct RentalRating {
        uint8 score;
        string comment;
        uint256 ratedAt;
    }

    /// @notice A user's record, as Jeju clients decode it. Nobody is banned here.
    struct UserRecord {
        uint256 totalRentals;
        uint256 completedRentals;
        uint256 cancelledRentals;
        uint256 disputedRentals;
        uint256 abuseReports;
        bool banned;
        uint256 bannedAt;
        string banReason;
    }

    /// @notice A provider's record, as Jeju clients decode it. `avgRating` is in hundredths. Nobody is banned here.
    struct ProviderRecord {
        uint256 totalRentals;
        uint256 completedRentals;
        uint256 failedRentals;
        uint256 totalEarnings;
        uint256 avgRating;
        uint256 ratingCount;
        bool banned;
    }

    struct Entry {
        address user;
        uint40 startTime;
        uint40 endTime;
        RentalStatus status;
        bool rated;
        address provider;
        // Wei per hour, for the whole life of the rental.
        uint96 rate;
        uint96 paid;
        uint96 refunded;
        uint40 startDeadline;
        uint16 paidHours;
        bool reported;
        // When use ended; zero: it hasn't.
        uint40 endedAt;
        uint16 maximumHours;
        uint16 feeBps;
        uint16 sshPort;
        uint64 agentEpoch;
        uint256 agentId;
        string sshPublicKey;
        string containerImage;
        string startupScript;
        string sshHost;
    }

    struct Case {
        address initiator;
        uint40 createdAt;
        uint40 resolvedAt;
        bool ruled;
        bool inFavor;
        address arbiter;
        // Until when the arbiter may rule; once it did, from when the ruling holds.
        uint40 deadline;
        DisputeReason reason;
        uint96 amount;
        bytes32 rentalId;
        string evidenceUri;
    }

    struct UserCounts {
        uint64 total;
        uint64 completed;
        uint64 cancelled;
        uint64 disputed;
        uint64 reports;
    }

    struct ProviderCounts {
        uint64 total;
        uint64 completed;
        uint64 failed;
        uint64 ratings;
        uint128 earnings;
        uint128 scores;
    }

    /// @notice Longest comment or evidence link, in bytes.
    uint256 public constant MAX_NOTE = 512;

    mapping(bytes32 rentalId => Entry) internal _rentals;
    mapping(bytes32 disputeId => Case) internal _cases;
    mapping(address user => UserCounts) internal _users;
    mapping(address provider => ProviderCounts) internal _providers;
    mapping(bytes32 rentalId => RentalRating) private _ratings;
    mapping(address user => bytes32[]) private _userRentals;
    mapping(address provider => bytes32[]) private _providerRentals;

    /// @notice A user rated a rental.
    event RentalRated(bytes32 indexed rentalId, address indexed user, address indexed provider, uint8 score);
    /// @notice A provider says that its tenant misbehaved. It has no effect here.
    event AbuseReported(
        address indexed reporter,
        address indexed reported,
        bytes32 indexed rentalId,
        DisputeReason reason,
        string evidenceUri
    );

    /// @notice There is no such rental.
    error RentalNotFound();
    /// @notice The rental isn't in a state for this.
    error RentalNotActive();
    /// @notice The caller isn't the rental's user.
    error NotRentalOwner();
    /// @notice The caller isn't the rental's provider.
    error NotRentalProvider();
    /// @notice The rental isn't completed.
    error RentalNotCompleted();
    /// @notice The rental is rated.
    error AlreadyRated();
    /// @notice The tenant of this rental was reported.
    error AlreadyReported();
    /// @notice Scores go from 0 to 100.
    error InvalidScore(uint8 score);
    /// @notice A reason is needed.
    error InvalidReason();
    /// @notice The text is empty or too long.
    error InvalidText(uint256 length, uint256 maximum);
    /// @notice There is no such dispute.
    error DisputeNotFound();

    // ------------------------------------------------------------------ what each side says of the other

    /// @notice Rates a completed rental, once. The user only.
    /// @param rentalId The rental.
    /// @param score 0 to 100.
    /// @param comment Public.
    function rateRental(bytes32 rentalId, uint8 score, string calldata comment) external {
        Entry storage rental = _ofUser(rentalId);
        if (rental.status != RentalStatus.COMPLETED) revert RentalNotCompleted();
        if (rental.rated) revert AlreadyRated();
        if (score > 100) revert InvalidScore(score);
        _requireText(comment, 0, MAX_NOTE);
        rental.rated = true;
        // forge-lint: disable-next-line(block-timestamp)
        _ratings[rentalId] = RentalRating(score, comment, block.timestamp);
        ProviderCounts storage counts = _providers[rental.provider];
        counts.ratings++;
        counts.scores += score;
        emit RentalRated(rentalId, msg.sender, rental.provider, score);
    }

    /// @notice Reports a tenant, once for each rental. The provider only. An event, and a count that bans nobody.
    /// @param rentalId The rental, started.
    /// @param reason Why.
    /// @param evidenceUri Public.
    function reportAbuse(bytes32 rentalId, DisputeReason reason, string calldata evidenceUri) external {
        Entry storage rental = _ofProvider(rentalId);
        if (rental.startTime == 0) revert RentalNotActive();
        if (rental.reported) revert AlreadyReported();
        if (reason == DisputeReason.NONE) revert InvalidReason();
        _requireText(evidenceUri, 0, MAX_NOTE);
        rental.reported = true;
        _users[rental.user].reports++;
        emit AbuseReported(msg.sender, rental.user, rentalId, reason, evidenceUri);
    }

    // ------------------------------------------------------------------ reading

    /// @notice A rental; all zero if there is none.
    /// @param rentalId Any id.
    function getRental(bytes32 rentalId) external view returns (Rental memory rental) {
        Entry storage entry = _rentals[rentalId];
        if (entry.user == address(0)) return rental;
        rental.rentalId = rentalId;
        rental.user = entry.user;
        rental.provider = entry.provider;
        rental.status = entry.status;
        rental.startTime = entry.startTime;
        rental.endTime = entry.endTime;
        rental.totalCost = entry.paid;
        rental.paidAmount = entry.paid;
        rental.refundedAmount = entry.refunded;
        rental.sshPublicKey = entry.sshPublicKey;
        rental.containerImage = entry.containerImage;
        rental.startupScript = entry.startupScript;
        rental.sshHost = entry.sshHost;
        rental.sshPort = entry.sshPort;
    }

    /// @notice Terms of a rental that `getRental` doesn't show.
    /// @param rentalId Any id.
    /// @return rate Wei per hour.
    /// @return startDeadline Unix seconds until which the provider may start it.
    /// @return endedAt Unix seconds at which use ended; zero: it hasn't.
    /// @return feeBps The platform's part, in ten-thousandths.
    function termsOf(bytes32 rentalId)
        external
        view
        returns (uint256 rate, uint256 startDeadline, uint256 endedAt, uint16 feeBps)
    {
        Entry storage entry = _rentals[rentalId];
        return (entry.rate, entry.startDeadline, entry.endedAt, entry.feeBps);
    }

    /// @notice Ids of a user's rentals. Unbounded, off chain only: see `getUserRentalsPage`.
    /// @param user Any account.
    function getUserRentals(address user) external view returns (bytes32[] memory) {
        return _userRentals[user];
    }

    /// @notice Ids of a provider's rentals. Unbounded, off chain only: see `getProviderRentalsPage`.
    /// @param provider Any account.
    function getProviderRentals(address provider) external view returns (bytes32[] memory) {
        return _providerRentals[provider];
    }

    /// @notice Ids of a user's rentals from place `cursor` on, `limit` at most; the list only grows.
    /// @param user Any account.
    /// @param cursor Where to start.
    /// @param limit How many.
    function getUserRentalsPage(address user, uint256 cursor, uint256 limit) external view returns (bytes32[] memory) {
        return _page(_userRentals[user], cursor, limit);
    }

    /// @notice Ids of a provider's rentals from place `cursor` on, `limit` at most; the list only grows.
    /// @param provider Any account.
    /// @param cursor Where to start.
    /// @param limit How many.
    function getProviderRentalsPage(address provider, uint256 cursor, uint256 limit)
        external
        view
        returns (bytes32[] memory)
    {
        return _page(_providerRentals[provider], cursor, limit);
    }

    /// @notice Whether the tenant may use the machine now.
    /// @param rentalId Any id.
    function isRentalActive(bytes32 rentalId) public view returns (bool) {
        Entry storage rental = _rentals[rentalId];
        // forge-lint: disable-next-line(block-timestamp)
        return rental.status == RentalStatus.ACTIVE && block.timestamp < rental.endTime;
    }

    /// @notice Seconds for which the tenant may use the machine.
    /// @param rentalId Any id.
    function getRemainingTime(bytes32 rentalId) external view returns (uint256) {
        return isRentalActive(rentalId) ? _rentals[rentalId].endTime - block.timestamp : 0;
    }

    /// @notice A dispute; all zero if there is none.
    /// @param disputeId Any id.
    function getDispute(bytes32 disputeId) external view returns (Dispute memory dispute) {
        Case storage entry = _cases[disputeId];
        if (entry.initiator == address(0)) return dispute;
        Entry storage rental = _rentals[entry.rentalId];
        dispute.disputeId = disputeId;
        dispute.rentalId = entry.rentalId;
        dispute.initiator = entry.initiator;
        dispute.defendant = entry.initiator == rental.user ? rental.provider : rental.user;
        dispute.reason = entry.reason;
        dispute.evidenceUri = entry.evidenceUri;
        dispute.createdAt = entry.createdAt;
        dispute.resolvedAt = entry.resolvedAt;
        dispute.resolved = entry.resolvedAt != 0;
        dispute.inFavorOfInitiator = entry.inFavor;
        dispute.slashAmount = entry.amount;
    }

    /// @notice Who rules on a dispute, and when.
    /// @param disputeId Any id.
    /// @return arbiter The arbiter of the time of opening.
    /// @return ruled Whether it ruled.
    /// @return deadline Unix seconds until which it may rule; once it did, from which the ruling holds.
    function rulingOf(bytes32 disputeId) external view returns (address arbiter, bool ruled, uint256 deadline) {
        Case storage entry = _cases[disputeId];
        return (entry.arbiter, entry.ruled, entry.deadline);
    }

    /// @notice A rating; all zero if there is none.
    /// @param rentalId Any id.
    function getRentalRating(bytes32 rentalId) external view returns (RentalRating memory) {
        return _ratings[rentalId];
    }

    /// @notice A user's record.
    /// @param user Any account.
    function getUserRecord(address user) external view returns (UserRecord memory) {
        UserCounts storage counts = _users[user];
        return
            UserRecord(counts.total, counts.completed, counts.cancelled, counts.disputed, counts.reports, false, 0, "");
    }

    /// @notice A provider's record.
    /// @param provider Any account.
    function getProviderRecord(address provider) external view returns (ProviderRecord memory) {
        ProviderCounts storage counts = _providers[provider];
        uint256 average = counts.ratings == 0 ? 0 : uint256(counts.scores) * 100 / counts.ratings;
        return
            ProviderRecord(
                counts.total, counts.completed, counts.failed, counts.earnings, average, counts.ratings, false
            );
    }

    /// @notice Always false: a provider that doesn't want a tenant doesn't start its rental.
    function isUserBanned(address) external pure returns (bool) {
        return false;
    }

    /// @notice Always false: a provider stops counting when `ComputeRegistry` says so.
    function isProviderBanned(address) external pure returns (bool) {
        return false;
    }

    // ------------------------------------------------------------------ inside

    function _enlist(bytes32 rentalId, address user, address provider) internal {
        _userRentals[user].push(rentalId);
        _providerRentals[provider].push(rentalId);
        _users[user].total++;
        _providers[provider].total++;
    }

    function _existing(bytes32 rentalId) internal view returns (Entry storage rental) {
        rental = _rentals[rentalId];
        if (rental.user == address(0)) revert RentalNotFound();
    }

    function _ofUser(bytes32 rentalId) internal view returns (Entry storage rental) {
        rental = _existing(rentalId);
        if (msg.sender != rental.user) revert NotRentalOwner();
    }

    function _ofProvider(bytes32 rentalId) internal view returns (Entry storage rental) {
        rental = _existing(rentalId);
        if (msg.sender != rental.provider) revert NotRentalProvider();
    }

    function _requireText(string calldata text, uint256 least, uint256 most) internal pure {
        uint256 length = bytes(text).length;
        if (length < least || length > most) revert InvalidText(length, most);
    }

    function _page(bytes32[] storage list, uint256 cursor, uint256 limit) private view returns (bytes32[] memory page) {
        uint256 left = cursor < list.length ? list.length - cursor : 0;
        page = new bytes32[](limit < left ? limit : left);
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = list[cursor + i];
        }
    }
}
