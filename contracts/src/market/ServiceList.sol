// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {IProviders} from "../interfaces/ILedger.sol";

/// @title ServiceList
/// @notice What providers offer, at which price. The price of a service never changes: a new price is a new service.
/// @dev A service ends when its provider ends it, or when the agent that the provider was linked to moves to another owner.
abstract contract ServiceList {
    using SafeCast for uint256;

    /// @notice A service, as Jeju clients decode it.
    /// @param provider Whose it is.
    /// @param model The model.
    /// @param endpoint Base URL of its API.
    /// @param pricePerInputToken In wei.
    /// @param pricePerOutputToken In wei.
    /// @param active Whether it is on offer now.
    struct Service {
        address provider;
        string model;
        string endpoint;
        uint256 pricePerInputToken;
        uint256 pricePerOutputToken;
        bool active;
    }

    struct Offer {
        uint128 pricePerInputToken;
        uint128 pricePerOutputToken;
        uint256 agentId;
        uint64 agentEpoch;
        bool active;
        string model;
        string endpoint;
    }

    /// @notice Most services that a provider may have on offer at a time.
    uint256 public constant MAX_ACTIVE_SERVICES = 32;
    /// @notice Longest model name or endpoint, in bytes.
    uint256 public constant MAX_TEXT = 256;

    /// @notice Registry of providers.
    IProviders public immutable registry;
    /// @notice Registry of agents.
    IIdentity public immutable identityRegistry;

    mapping(address provider => Offer[]) private _offers;
    // Indices of services that the provider wants on offer, in no order.
    mapping(address provider => uint256[]) private _wanted;

    /// @notice A provider offers a model.
    event ServiceRegistered(
        address indexed provider,
        uint256 serviceIndex,
        string model,
        string endpoint,
        uint256 pricePerInputToken,
        uint256 pricePerOutputToken
    );
    /// @notice A service ended.
    event ServiceDeactivated(address indexed provider, uint256 serviceIndex);
    /// @notice A service is on offer again.
    event ServiceReactivated(address indexed provider, uint256 serviceIndex);

    /// @notice The caller isn't an active provider of the registry.
    error ProviderNotActive();
    /// @notice The provider has no such service, or none on offer.
    error ServiceNotFound();
    /// @notice The service has ended already.
    error ServiceNotActive();
    /// @notice The service is on offer.
    error ServiceStillActive();
    /// @notice The service ended with its agent's owner.
    error ServiceEnded(uint256 agentId);
    /// @notice The provider has too many services on offer.
    error TooManyServices(uint256 maximum);
    /// @notice The text is empty or too long.
    error InvalidText(uint256 length, uint256 maximum);
    /// @notice The account is zero.
    error ZeroAccount();

    constructor(IProviders registry_, IIdentity identity_) {
        if (address(registry_) == address(0) || address(identity_) == address(0)) revert ZeroAccount();
        registry = registry_;
        identityRegistry = identity_;
    }

    /// @notice Ends a service of the caller. What was signed at its price stays so.
    /// @param serviceIndex Its index.
    function deactivateService(uint256 serviceIndex) external {
        Offer storage offer = _offer(msg.sender, serviceIndex);
        if (!offer.active) revert ServiceNotActive();
        offer.active = false;
        uint256[] storage wanted = _wanted[msg.sender];
        // At most `MAX_ACTIVE_SERVICES`.
        uint256 place;
        while (wanted[place] != serviceIndex) place++;
        wanted[place] = wanted[wanted.length - 1];
        wanted.pop();
        emit ServiceDeactivated(msg.sender, serviceIndex);
    }

    /// @notice Puts a service of the caller on offer again.
    /// @param serviceIndex Its index.
    function reactivateService(uint256 serviceIndex) external {
        Offer storage offer = _offer(msg.sender, serviceIndex);
        if (offer.active) revert ServiceStillActive();
        if (!_isLive(offer)) revert ServiceEnded(offer.agentId);
        _want(serviceIndex);
        offer.active = true;
        emit ServiceReactivated(msg.sender, serviceIndex);
    }

    /// @notice All services of a provider. Unbounded, off chain only: see `getServicesPage`.
    /// @param provider Any account.
    function getServices(address provider) external view returns (Service[] memory) {
        return getServicesPage(provider, 0, type(uint256).max);
    }

    /// @notice Services of a provider from index `cursor` on, `limit` at most; the list only grows.
    /// @param provider Any account.
    /// @param cursor Where to start.
    /// @param limit How many.
    function getServicesPage(address provider, uint256 cursor, uint256 limit)
        public
        view
        returns (Service[] memory services)
    {
        uint256 count = _offers[provider].length;
        uint256 left = cursor < count ? count - cursor : 0;
        services = new Service[](limit < left ? limit : left);
        for (uint256 i = 0; i < services.length; i++) {
            services[i] = _service(provider, cursor + i);
        }
    }

    /// @notice Services of a provider that are on offer now, in no order.
    /// @param provider Any account.
    function getActiveServices(address provider) external view returns (Service[] memory services) {
        uint256[] storage wanted = _wanted[provider];
        services = new Service[](wanted.length);
        uint256 found;
        for (uint256 i = 0; i < wanted.length; i++) {
            Service memory service = _service(provider, wanted[i]);
            if (service.active) services[found++] = service;
        }
        assembly ("memory-safe") {
            mstore(services, found)
        }
    }

    /// @notice Price of a response at the provider's first active service.
    /// @param provider Any account.
    /// @param inputTokens Tokens of the request.
    /// @param outputTokens Tokens of the response.
    function calculateFee(address provider, uint256 inputTokens, uint256 outputTokens) external view returns (uint256) {
        return _feeOf(provider, _defaultService(provider), inputTokens, outputTokens);
    }

    // ------------------------------------------------------------------ inside

    function _addService(
        string calldata model,
        string calldata endpoint,
        uint256 pricePerInputToken,
        uint256 pricePerOutputToken
    ) internal {
        if (!registry.isActive(msg.sender)) revert ProviderNotActive();
        _requireText(model);
        _requireText(endpoint);
        uint256 index = _offers[msg.sender].length;
        _want(index);
        Offer storage offer = _offers[msg.sender].push();
        offer.pricePerInputToken = pricePerInputToken.toUint128();
        offer.pricePerOutputToken = pricePerOutputToken.toUint128();
        offer.active = true;
        offer.model = model;
        offer.endpoint = endpoint;
        uint256 agentId = registry.getProviderAgentId(msg.sender);
        if (agentId != 0) {
            offer.agentId = agentId;
            offer.agentEpoch = identityRegistry.agentEpoch(agentId);
        }
        emit ServiceRegistered(msg.sender, index, model, endpoint, pricePerInputToken, pricePerOutputToken);
    }

    /// @dev The lowest index that is on offer, as ever.
    function _defaultService(address provider) internal view returns (uint256 index) {
        uint256[] storage wanted = _wanted[provider];
        index = type(uint256).max;
        for (uint256 i = 0; i < wanted.length; i++) {
            if (wanted[i] < index && _isLive(_offers[provider][wanted[i]])) index = wanted[i];
        }
        if (index == type(uint256).max) revert ServiceNotFound();
    }

    function _feeOf(address provider, uint256 index, uint256 inputTokens, uint256 outputTokens)
        internal
        view
        returns (uint256)
    {
        Offer storage offer = _offer(provider, index);
        return inputTokens * offer.pricePerInputToken + outputTokens * offer.pricePerOutputToken;
    }

    function _agentOfService(address provider, uint256 index) internal view returns (uint256) {
        Offer storage offer = _offer(provider, index);
        return _isLive(offer) ? offer.agentId : 0;
    }

    function _want(uint256 index) private {
        uint256[] storage wanted = _wanted[msg.sender];
        if (wanted.length >= MAX_ACTIVE_SERVICES) revert TooManyServices(MAX_ACTIVE_SERVICES);
        wanted.push(index);
    }

    function _offer(address provider, uint256 index) private view returns (Offer storage) {
        if (index >= _offers[provider].length) revert ServiceNotFound();
        return _offers[provider][index];
    }

    function _service(address provider, uint256 index) private view returns (Service memory) {
        Offer storage offer = _offers[provider][index];
        return Service(
            provider,
            offer.model,
            offer.endpoint,
            offer.pricePerInputToken,
            offer.pricePerOutputToken,
            offer.active && _isLive(offer)
        );
    }

    function _isLive(Offer storage offer) private view returns (bool) {
        return offer.agentId == 0 || identityRegistry.agentEpoch(offer.agentId) == offer.agentEpoch;
    }

    function _requireText(string calldata text) private pure {
        uint256 length = bytes(text).length;
        if (length == 0 || length > MAX_TEXT) revert InvalidText(length, MAX_TEXT);
    }
}
