// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IIdentity} from "../interfaces/IIdentity.sol";

/// @title ValidationRegistry
/// @notice Independent checks of agents' work: the validation registry of ERC-8004.
/// @dev Nobody has a role here. A response is worth what its validator is worth: an agent may name a validator of its own.
/// `AttestedKeyRegistry` is the validator of attested keys: 100 while a key lives, 0 once it is dead.
///
/// A request is known by its hash alone, first come first served, as the draft wants it. Whoever sees a hash before it is
/// requested can take it; requesters put a random salt under it and ask again.
contract ValidationRegistry {
    struct Validation {
        address validator;
        uint8 response;
        bool answered;
        uint64 lastUpdate;
        uint256 agentId;
        bytes32 responseHash;
        string tag;
    }

    /// @notice The best response.
    uint8 public constant MAX_RESPONSE = 100;

    IIdentity private immutable IDENTITY;

    mapping(bytes32 requestHash => Validation) private _validations;
    mapping(uint256 agentId => bytes32[]) private _ofAgent;
    mapping(address validator => bytes32[]) private _ofValidator;

    /// @notice An agent asks a validator for a check.
    event ValidationRequest(
        address indexed validatorAddress, uint256 indexed agentId, string requestURI, bytes32 indexed requestHash
    );
    /// @notice The validator answered, perhaps not for the last time.
    event ValidationResponse(
        address indexed validatorAddress,
        uint256 indexed agentId,
        bytes32 indexed requestHash,
        uint8 response,
        string responseURI,
        bytes32 responseHash,
        string tag
    );

    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice The caller is neither the agent's owner nor approved by it.
    error NotAuthorized(uint256 agentId, address caller);
    /// @notice The request's hash is taken.
    error AlreadyRequested(bytes32 requestHash);
    /// @notice There is no such request.
    error UnknownRequest(bytes32 requestHash);
    /// @notice Another validator was asked.
    error NotValidator(bytes32 requestHash, address caller);
    /// @notice A response lies between 0 and 100.
    error ResponseTooLarge(uint8 response, uint8 maximum);

    /// @param identity `IdentityRegistry`.
    constructor(IIdentity identity) {
        if (address(identity) == address(0)) revert ZeroAccount();
        IDENTITY = identity;
    }

    // ------------------------------------------------------------------ writing

    /// @notice Asks a validator for a check of an agent's work.
    /// @param validatorAddress Who is asked.
    /// @param agentId Agent that the caller owns or operates.
    /// @param requestURI Where the validator finds what it needs.
    /// @param requestHash Keccak-256 of what lies there; names the request.
    function validationRequest(
        address validatorAddress,
        uint256 agentId,
        string calldata requestURI,
        bytes32 requestHash
    ) external {
        if (validatorAddress == address(0)) revert ZeroAccount();
        if (!IDENTITY.isAuthorized(agentId, msg.sender)) revert NotAuthorized(agentId, msg.sender);
        Validation storage validation = _validations[requestHash];
        if (validation.validator != address(0)) revert AlreadyRequested(requestHash);

        validation.validator = validatorAddress;
        validation.lastUpdate = _now();
        validation.agentId = agentId;
        _ofAgent[agentId].push(requestHash);
        _ofValidator[validatorAddress].push(requestHash);
        emit ValidationRequest(validatorAddress, agentId, requestURI, requestHash);
    }

    /// @notice Answers a request; may be called again as the validator learns more.
    /// @param requestHash The request.
    /// @param response 0 (failed) to 100 (passed).
    /// @param responseURI Where the evidence lies; may be empty.
    /// @param responseHash Keccak-256 of what lies there; may be zero.
    /// @param tag Category of the response; may be empty.
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external {
        Validation storage validation = _known(requestHash);
        if (msg.sender != validation.validator) revert NotValidator(requestHash, msg.sender);
        if (response > MAX_RESPONSE) revert ResponseTooLarge(response, MAX_RESPONSE);

        validation.response = response;
        validation.answered = true;
        validation.lastUpdate = _now();
        validation.responseHash = responseHash;
        validation.tag = tag;
        emit ValidationResponse(msg.sender, validation.agentId, requestHash, response, responseURI, responseHash, tag);
    }

    // ------------------------------------------------------------------ reading

    /// @notice Registry of the agents that are validated here.
    function getIdentityRegistry() external view returns (address) {
        return address(IDENTITY);
    }

    /// @notice A request and the last answer to it; before the first answer the response reads as zero.
    /// @param requestHash The request.
    function getValidationStatus(bytes32 requestHash)
        external
        view
        returns (
            address validatorAddress,
            uint256 agentId,
            uint8 response,
            bytes32 responseHash,
            string memory tag,
            uint256 lastUpdate
        )
    {
        Validation storage validation = _known(requestHash);
        return (
            validation.validator,
            validation.agentId,
            validation.response,
            validation.responseHash,
            validation.tag,
            validation.lastUpdate
        );
    }

    /// @notice Whether the request was answered, which `getValidationStatus` can't tell from a zero.
    /// @param requestHash The request.
    function isAnswered(bytes32 requestHash) external view returns (bool) {
        return _known(requestHash).answered;
    }

    /// @notice Mean of the answered validations of an agent. Only the agent's own requests make it longer.
    /// @param agentId The agent.
    /// @param validatorAddresses Validators whose word counts; empty: everybody's, the agent's friends included.
    /// @param tag Counts only responses with this tag; empty: any.
    /// @return count How many validations.
    /// @return averageResponse Their mean, rounded down.
    function getSummary(uint256 agentId, address[] calldata validatorAddresses, string calldata tag)
        external
        view
        returns (uint64 count, uint8 averageResponse)
    {
        bytes32[] storage requests = _ofAgent[agentId];
        uint256 sum;
        for (uint256 i = 0; i < requests.length; i++) {
            Validation storage validation = _validations[requests[i]];
            if (!validation.answered || !_among(validation.validator, validatorAddresses)) continue;
            if (!_tagMatches(validation.tag, tag)) continue;
            sum += validation.response;
            count++;
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        if (count != 0) averageResponse = uint8(sum / count);
    }

    /// @notice All requests of an agent. Unbounded: see `getAgentValidationsPage`.
    /// @param agentId The agent.
    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory) {
        return _ofAgent[agentId];
    }

    /// @notice All requests to a validator. Strangers can make it too long to read: see `getValidatorRequestsPage`.
    /// @param validatorAddress The validator.
    function getValidatorRequests(address validatorAddress) external view returns (bytes32[] memory) {
        return _ofValidator[validatorAddress];
    }

    /// @notice Requests of an agent, by pages, oldest first.
    /// @param agentId The agent.
    /// @param offset First request of the page.
    /// @param limit Most requests of the page.
    /// @return page The requests' hashes.
    /// @return total How many there are.
    function getAgentValidationsPage(uint256 agentId, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory page, uint256 total)
    {
        return _page(_ofAgent[agentId], offset, limit);
    }

    /// @notice Requests to a validator, by pages, oldest first.
    /// @param validatorAddress The validator.
    /// @param offset First request of the page.
    /// @param limit Most requests of the page.
    /// @return page The requests' hashes.
    /// @return total How many there are.
    function getValidatorRequestsPage(address validatorAddress, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory page, uint256 total)
    {
        return _page(_ofValidator[validatorAddress], offset, limit);
    }

    /// @notice Version of the ERC-8004 interface.
    function getVersion() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _known(bytes32 requestHash) private view returns (Validation storage validation) {
        validation = _validations[requestHash];
        if (validation.validator == address(0)) revert UnknownRequest(requestHash);
    }

    function _among(address validator, address[] calldata chosen) private pure returns (bool) {
        if (chosen.length == 0) return true;
        for (uint256 i = 0; i < chosen.length; i++) {
            if (chosen[i] == validator) return true;
        }
        return false;
    }

    function _tagMatches(string storage tag, string calldata wanted) private view returns (bool) {
        uint256 length = bytes(wanted).length;
        if (length == 0) return true;
        return bytes(tag).length == length && keccak256(bytes(tag)) == keccak256(bytes(wanted));
    }

    function _page(bytes32[] storage all, uint256 offset, uint256 limit)
        private
        view
        returns (bytes32[] memory page, uint256 total)
    {
        total = all.length;
        uint256 left = offset < total ? total - offset : 0;
        page = new bytes32[](limit < left ? limit : left);
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = all[offset + i];
        }
    }

    function _now() private view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }
}
