// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IIdentity} from "../interfaces/IIdentity.sol";

/// @title ReputationRegistry
/// @notice What clients say of agents: the reputation registry of ERC-8004.
/// @dev Nobody has a role here; feedback can be revoked by its giver alone. An agent's owner and operators can't rate it,
/// but nothing stops them from rating it through another account: read summaries of clients that you chose yourself.
///
/// Reads that the draft leaves unbounded are kept as they are, since they cost a caller nothing off chain; next to each
/// stands one by pages, because strangers can make the unbounded ones too long for any node.
contract ReputationRegistry {
    struct Feedback {
        int128 value;
        uint8 valueDecimals;
        bool isRevoked;
        string tag1;
        string tag2;
    }

    /// What one rating says, in memory: its event has more fields than the stack has room for.
    struct Given {
        uint256 agentId;
        uint64 index;
        int128 value;
        uint8 valueDecimals;
        string tag1;
        string tag2;
        string endpoint;
        string feedbackURI;
        bytes32 feedbackHash;
    }

    /// The parallel arrays of `readAllFeedback`.
    struct Listing {
        address[] clients;
        uint64[] indexes;
        int128[] values;
        uint8[] decimals;
        string[] tag1s;
        string[] tag2s;
        bool[] revoked;
    }

    struct Responses {
        uint64 total;
        address[] responders;
        mapping(address responder => uint64) count;
    }

    /// Decimals of a summary while it is being added up.
    uint256 private constant WAD_DECIMALS = 18;

    /// @notice Most decimals of a value.
    uint8 public constant MAX_DECIMALS = 18;

    IIdentity private immutable IDENTITY;

    mapping(uint256 agentId => mapping(address client => Feedback[])) private _feedback;
    mapping(uint256 agentId => address[]) private _clients;
    mapping(uint256 agentId => mapping(address client => mapping(uint64 index => Responses))) private _responses;

    /// @notice A client rated an agent. `feedbackIndex` counts that client's ratings of the agent, from 1.
    event NewFeedback(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        int128 value,
        uint8 valueDecimals,
        string indexed indexedTag1,
        string tag1,
        string tag2,
        string endpoint,
        string feedbackURI,
        bytes32 feedbackHash
    );
    /// @notice A client took a rating back.
    event FeedbackRevoked(uint256 indexed agentId, address indexed clientAddress, uint64 indexed feedbackIndex);
    /// @notice Somebody answered a rating.
    event ResponseAppended(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        address indexed responder,
        string responseURI,
        bytes32 responseHash
    );

    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice The value has too many decimals.
    error TooManyDecimals(uint8 decimals, uint8 maximum);
    /// @notice Owner and operators can't rate their own agent.
    error SelfFeedback(uint256 agentId, address caller);
    /// @notice The client gave no such feedback.
    error UnknownFeedback(uint256 agentId, address client, uint64 feedbackIndex);
    /// @notice The feedback was revoked before.
    error AlreadyRevoked(uint256 agentId, uint64 feedbackIndex);
    /// @notice A response needs a URI.
    error EmptyResponse();
    /// @notice A summary over everybody would be one over sock puppets.
    error ClientsRequired();

    /// @param identity `IdentityRegistry`.
    constructor(IIdentity identity) {
        if (address(identity) == address(0)) revert ZeroAccount();
        IDENTITY = identity;
    }

    // ------------------------------------------------------------------ writing

    /// @notice Rates an agent.
    /// @param agentId An agent whose owner or operator the caller isn't.
    /// @param value Fixed-point number.
    /// @param valueDecimals Its decimals, at most 18.
    /// @param tag1 What it measures; may be empty.
    /// @param tag2 Second tag; may be empty.
    /// @param endpoint What was used; may be empty.
    /// @param feedbackURI Where more is said; may be empty.
    /// @param feedbackHash Keccak-256 of what lies there; may be zero.
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string memory tag1,
        string memory tag2,
        string memory endpoint,
        string memory feedbackURI,
        bytes32 feedbackHash
    ) external {
        _give(Given(agentId, 0, value, valueDecimals, tag1, tag2, endpoint, feedbackURI, feedbackHash));
    }

    /// @notice Takes a rating back. It stays readable, marked as revoked, and counts in no summary.
    /// @param agentId The agent.
    /// @param feedbackIndex Index of the caller's rating, from 1.
    function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external {
        Feedback storage feedback = _at(agentId, msg.sender, feedbackIndex);
        if (feedback.isRevoked) revert AlreadyRevoked(agentId, feedbackIndex);
        feedback.isRevoked = true;
        emit FeedbackRevoked(agentId, msg.sender, feedbackIndex);
    }

    /// @notice Answers a rating: the agent that shows a refund, or anyone who calls it spam.
    /// @param agentId The agent.
    /// @param clientAddress Who gave the rating.
    /// @param feedbackIndex Its index, from 1.
    /// @param responseURI Where the answer lies.
    /// @param responseHash Keccak-256 of what lies there; may be zero.
    function appendResponse(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        string calldata responseURI,
        bytes32 responseHash
    ) external {
        _at(agentId, clientAddress, feedbackIndex);
        if (bytes(responseURI).length == 0) revert EmptyResponse();
        Responses storage responses = _responses[agentId][clientAddress][feedbackIndex];
        if (responses.count[msg.sender]++ == 0) responses.responders.push(msg.sender);
        responses.total++;
        emit ResponseAppended(agentId, clientAddress, feedbackIndex, msg.sender, responseURI, responseHash);
    }

    // ------------------------------------------------------------------ reading

    /// @notice Registry of the agents that are rated here.
    function getIdentityRegistry() external view returns (address) {
        return address(IDENTITY);
    }

    /// @notice Mean of what chosen clients said, without what they revoked.
    /// @param agentId The agent.
    /// @param clientAddresses Clients whose word counts; at least one.
    /// @param tag1 Counts only feedback with this first tag; empty: any.
    /// @param tag2 Counts only feedback with this second tag; empty: any.
    /// @return count How many ratings.
    /// @return summaryValue Their mean.
    /// @return summaryValueDecimals Its decimals: the ones that most ratings have, or fewer where the mean wouldn't fit.
    function getSummary(uint256 agentId, address[] memory clientAddresses, string memory tag1, string memory tag2)
        external
        view
        returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals)
    {
        if (clientAddresses.length == 0) revert ClientsRequired();
        uint64[19] memory uses;
        int256 sum;
        for (uint256 i = 0; i < clientAddresses.length; i++) {
            Feedback[] storage given = _feedback[agentId][clientAddresses[i]];
            for (uint256 j = 0; j < given.length; j++) {
                Feedback storage feedback = given[j];
                if (feedback.isRevoked || !_matches(feedback, tag1, tag2)) continue;
                sum += feedback.value * int256(10 ** (WAD_DECIMALS - feedback.valueDecimals));
                uses[feedback.valueDecimals]++;
                count++;
            }
        }
        if (count == 0) return (0, 0, 0);
        (summaryValue, summaryValueDecimals) = _mean(sum, count, uses);
    }

    /// @notice One rating.
    /// @param agentId The agent.
    /// @param clientAddress Who gave it.
    /// @param feedbackIndex Its index, from 1.
    function readFeedback(uint256 agentId, address clientAddress, uint64 feedbackIndex)
        external
        view
        returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked)
    {
        Feedback storage feedback = _at(agentId, clientAddress, feedbackIndex);
        return (feedback.value, feedback.valueDecimals, feedback.tag1, feedback.tag2, feedback.isRevoked);
    }

    /// @notice All ratings of an agent that pass the filters, in parallel arrays. Off chain only: unbounded. With an empty
    /// list of clients, strangers decide how long it gets; `getClientsPage` and then chosen clients is the way around.
    /// @param agentId The agent.
    /// @param clientAddresses Whose ratings; empty: everybody's.
    /// @param tag1 First tag; empty: any.
    /// @param tag2 Second tag; empty: any.
    /// @param includeRevoked Whether revoked ratings are listed too.
    function readAllFeedback(
        uint256 agentId,
        address[] memory clientAddresses,
        string memory tag1,
        string memory tag2,
        bool includeRevoked
    )
        external
        view
        returns (
            address[] memory clients,
            uint64[] memory feedbackIndexes,
            int128[] memory values,
            uint8[] memory valueDecimals,
            string[] memory tag1s,
            string[] memory tag2s,
            bool[] memory revokedStatuses
        )
    {
        if (clientAddresses.length == 0) clientAddresses = _clients[agentId];
        Listing memory all = _list(agentId, clientAddresses, tag1, tag2, includeRevoked);
        return (all.clients, all.indexes, all.values, all.decimals, all.tag1s, all.tag2s, all.revoked);
    }

    /// @notice How often ratings were answered.
    /// @param agentId The agent.
    /// @param clientAddress Who gave the rating; zero: all clients (unbounded, off chain only).
    /// @param feedbackIndex Its index, from 1; zero: all of that client's.
    /// @param responders Whose answers count; empty: everybody's.
    function getResponseCount(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        address[] calldata responders
    ) external view returns (uint64 count) {
        if (clientAddress != address(0)) {
            return _countOf(agentId, clientAddress, feedbackIndex, responders);
        }
        address[] storage clients = _clients[agentId];
        for (uint256 i = 0; i < clients.length; i++) {
            count += _countOf(agentId, clients[i], 0, responders);
        }
    }

    /// @notice All clients that ever rated the agent. Unbounded: see `getClientsPage`.
    /// @param agentId The agent.
    function getClients(uint256 agentId) external view returns (address[] memory) {
        return _clients[agentId];
    }

    /// @notice Clients that rated the agent, by pages, in the order of their first rating.
    /// @param agentId The agent.
    /// @param offset First client of the page.
    /// @param limit Most clients of the page.
    /// @return page The clients.
    /// @return total How many there are.
    function getClientsPage(uint256 agentId, uint256 offset, uint256 limit)
        external
        view
        returns (address[] memory page, uint256 total)
    {
        address[] storage clients = _clients[agentId];
        total = clients.length;
        page = new address[](_pageLength(total, offset, limit));
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = clients[offset + i];
        }
    }

    /// @notice Accounts that answered a rating, by pages.
    /// @param agentId The agent.
    /// @param clientAddress Who gave the rating.
    /// @param feedbackIndex Its index, from 1.
    /// @param offset First account of the page.
    /// @param limit Most accounts of the page.
    /// @return page The accounts.
    /// @return total How many there are.
    function getRespondersPage(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        uint256 offset,
        uint256 limit
    ) external view returns (address[] memory page, uint256 total) {
        address[] storage responders = _responses[agentId][clientAddress][feedbackIndex].responders;
        total = responders.length;
        page = new address[](_pageLength(total, offset, limit));
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = responders[offset + i];
        }
    }

    /// @notice How many ratings the client gave the agent: the index of the last one.
    /// @param agentId The agent.
    /// @param clientAddress The client.
    function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(_feedback[agentId][clientAddress].length);
    }

    /// @notice Version of the ERC-8004 interface.
    function getVersion() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _give(Given memory given) private {
        if (given.valueDecimals > MAX_DECIMALS) revert TooManyDecimals(given.valueDecimals, MAX_DECIMALS);
        if (IDENTITY.isAuthorized(given.agentId, msg.sender)) revert SelfFeedback(given.agentId, msg.sender);

        Feedback[] storage all = _feedback[given.agentId][msg.sender];
        if (all.length == 0) _clients[given.agentId].push(msg.sender);
        all.push(Feedback(given.value, given.valueDecimals, false, given.tag1, given.tag2));
        // forge-lint: disable-next-line(unsafe-typecast)
        given.index = uint64(all.length);
        emit NewFeedback(
            given.agentId,
            msg.sender,
            given.index,
            given.value,
            given.valueDecimals,
            given.tag1,
            given.tag1,
            given.tag2,
            given.endpoint,
            given.feedbackURI,
            given.feedbackHash
        );
    }

    function _list(uint256 agentId, address[] memory from, string memory tag1, string memory tag2, bool includeRevoked)
        private
        view
        returns (Listing memory all)
    {
        uint256 total;
        for (uint256 i = 0; i < from.length; i++) {
            Feedback[] storage given = _feedback[agentId][from[i]];
            for (uint256 j = 0; j < given.length; j++) {
                if (_listed(given[j], tag1, tag2, includeRevoked)) total++;
            }
        }
        all = Listing(
            new address[](total),
            new uint64[](total),
            new int128[](total),
            new uint8[](total),
            new string[](total),
            new string[](total),
            new bool[](total)
        );
        total = 0;
        for (uint256 i = 0; i < from.length; i++) {
            Feedback[] storage given = _feedback[agentId][from[i]];
            for (uint256 j = 0; j < given.length; j++) {
                if (!_listed(given[j], tag1, tag2, includeRevoked)) continue;
                _put(all, total++, from[i], j + 1, given[j]);
            }
        }
    }

    function _put(Listing memory all, uint256 place, address client, uint256 index, Feedback storage feedback)
        private
        view
    {
        all.clients[place] = client;
        // forge-lint: disable-next-line(unsafe-typecast)
        all.indexes[place] = uint64(index);
        all.values[place] = feedback.value;
        all.decimals[place] = feedback.valueDecimals;
        all.tag1s[place] = feedback.tag1;
        all.tag2s[place] = feedback.tag2;
        all.revoked[place] = feedback.isRevoked;
    }

    function _at(uint256 agentId, address client, uint64 index) private view returns (Feedback storage) {
        Feedback[] storage given = _feedback[agentId][client];
        if (index == 0 || index > given.length) revert UnknownFeedback(agentId, client, index);
        return given[index - 1];
    }

    function _countOf(uint256 agentId, address client, uint64 index, address[] calldata responders)
        private
        view
        returns (uint64 count)
    {
        uint256 last = index == 0 ? _feedback[agentId][client].length : index;
        for (uint256 j = index == 0 ? 1 : index; j <= last; j++) {
            // forge-lint: disable-next-line(unsafe-typecast)
            Responses storage responses = _responses[agentId][client][uint64(j)];
            if (responders.length == 0) count += responses.total;
            for (uint256 k = 0; k < responders.length; k++) {
                count += responses.count[responders[k]];
            }
        }
    }

    function _listed(Feedback storage feedback, string memory tag1, string memory tag2, bool includeRevoked)
        private
        view
        returns (bool)
    {
        return (includeRevoked || !feedback.isRevoked) && _matches(feedback, tag1, tag2);
    }

    function _matches(Feedback storage feedback, string memory tag1, string memory tag2) private view returns (bool) {
        return _tagMatches(feedback.tag1, tag1) && _tagMatches(feedback.tag2, tag2);
    }

    /// Lengths first: they alone tell most tags apart, without reading a stranger's long one.
    function _tagMatches(string storage tag, string memory wanted) private view returns (bool) {
        uint256 length = bytes(wanted).length;
        if (length == 0) return true;
        return bytes(tag).length == length && keccak256(bytes(tag)) == keccak256(bytes(wanted));
    }

    /// The mean in the decimals that most ratings use. One rating of the largest value with no decimals among many with 18
    /// has a mean that doesn't fit 128 bits there: it is given with fewer, not cut off.
    function _mean(int256 sum, uint64 count, uint64[19] memory uses)
        private
        pure
        returns (int128 value, uint8 decimals)
    {
        for (uint8 d = 1; d <= MAX_DECIMALS; d++) {
            if (uses[d] > uses[decimals]) decimals = d;
        }
        int256 mean = sum / int256(uint256(count)) / int256(10 ** (WAD_DECIMALS - decimals));
        while (mean > type(int128).max || mean < type(int128).min) {
            mean /= 10;
            decimals--;
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        value = int128(mean);
    }

    function _pageLength(uint256 total, uint256 offset, uint256 limit) private pure returns (uint256) {
        if (offset >= total) return 0;
        return limit < total - offset ? limit : total - offset;
    }
}
