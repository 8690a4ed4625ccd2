// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {IProviders} from "../interfaces/ILedger.sol";

/// @title RentalOffers
/// @notice What providers rent out, and at which price.
/// @dev An offer holds for new rentals only: a rental keeps the price that it was made at. An offer ends when the agent
/// that the provider linked moves to another owner, until the provider makes it anew.
abstract contract RentalOffers {
    using SafeCast for uint256;

    /// @notice Kinds of GPU.
    enum GPUType {
        NONE,
        NVIDIA_RTX_4090,
        NVIDIA_A100_40GB,
        NVIDIA_A100_80GB,
        NVIDIA_H100,
        NVIDIA_H200,
        AMD_MI300X,
        APPLE_M1_MAX,
        APPLE_M2_ULTRA,
        APPLE_M3_MAX
    }

    /// @notice A machine, as Jeju clients decode it. Sizes are in GB, bandwidth in Mbps. What a provider says of itself.
    struct ComputeResources {
        GPUType gpuType;
        uint8 gpuCount;
        uint16 gpuVram;
        uint16 cpuCores;
        uint32 memoryGb;
        uint32 storageGb;
        uint32 bandwidthMbps;
        bool teeCapable;
    }

    /// @notice A price, as Jeju clients decode it.
    /// @param pricePerHour In wei.
    /// @param pricePerGpuHour In wei, for each GPU on top.
    /// @param minimumRentalHours Shortest rental.
    /// @param maximumRentalHours Longest rental, extensions included.
    struct ResourcePricing {
        uint256 pricePerHour;
        uint256 pricePerGpuHour;
        uint256 minimumRentalHours;
        uint256 maximumRentalHours;
    }

    struct Offer {
        ComputeResources resources;
        // Counts the offers, from 1: each has its own images.
        uint64 version;
        uint64 agentEpoch;
        uint32 maxConcurrent;
        uint32 active;
        bool sshEnabled;
        bool dockerEnabled;
        bool anyImage;
        uint96 pricePerHour;
        uint96 pricePerGpuHour;
        uint16 minimumHours;
        uint16 maximumHours;
        uint256 agentId;
    }

    /// @notice Shortest rental that can be offered.
    uint256 public constant MIN_RENTAL_HOURS = 1;
    /// @notice Longest rental that can be offered.
    uint256 public constant MAX_RENTAL_HOURS = 720;
    /// @notice Most images that an offer may name.
    uint256 public constant MAX_IMAGES = 64;

    /// @notice Registry of providers.
    IProviders public immutable computeRegistry;
    /// @notice Registry of agents.
    IIdentity public immutable identityRegistry;

    mapping(address provider => Offer) internal _offers;
    mapping(address provider => mapping(uint64 version => mapping(bytes32 image => bool))) private _images;
    mapping(uint256 agentId => address) private _agentProvider;

    /// @notice A provider made an offer.
    event ProviderResourcesUpdated(address indexed provider, ComputeResources resources, ResourcePricing pricing);
    /// @notice A provider linked its agent.
    event ProviderAgentLinked(address indexed provider, uint256 indexed agentId);

    /// @notice The hours are out of the offer's bounds, or the offer's are out of all bounds.
    error InvalidDuration();
    /// @notice The account isn't an active provider of the registry.
    error ProviderNotInRegistry();
    /// @notice The provider has no offer, or it ended with its agent's owner.
    error ProviderNotRegistered();
    /// @notice Zero is no agent.
    error InvalidAgentId();
    /// @notice The caller doesn't own the agent.
    error NotAgentOwner();
    /// @notice The agent is linked.
    error AgentAlreadyLinked();
    /// @notice The offer names too many images.
    error TooManyImages(uint256 count, uint256 maximum);

    constructor(IProviders registry_, IIdentity identity_) {
        computeRegistry = registry_;
        identityRegistry = identity_;
    }

    /// @notice Makes the caller's offer, in place of any other.
    /// @param resources The machine.
    /// @param pricing The price.
    /// @param maxConcurrent Most rentals that run at a time.
    /// @param supportedImages Images that may be run; none: any.
    /// @param sshEnabled Whether tenants log in, which takes a key.
    /// @param dockerEnabled Whether tenants choose an image.
    function setProviderResources(
        ComputeResources calldata resources,
        ResourcePricing calldata pricing,
        uint256 maxConcurrent,
        string[] calldata supportedImages,
        bool sshEnabled,
        bool dockerEnabled
    ) external {
        uint256 least = pricing.minimumRentalHours;
        uint256 most = pricing.maximumRentalHours;
        if (least < MIN_RENTAL_HOURS || most > MAX_RENTAL_HOURS || least > most) revert InvalidDuration();
        if (supportedImages.length > MAX_IMAGES) revert TooManyImages(supportedImages.length, MAX_IMAGES);

        Offer storage offer = _offers[msg.sender];
        offer.resources = resources;
        offer.pricePerHour = pricing.pricePerHour.toUint96();
        offer.pricePerGpuHour = pricing.pricePerGpuHour.toUint96();
        offer.minimumHours = least.toUint16();
        offer.maximumHours = most.toUint16();
        offer.maxConcurrent = maxConcurrent.toUint32();
        offer.sshEnabled = sshEnabled;
        offer.dockerEnabled = dockerEnabled;
        offer.anyImage = supportedImages.length == 0;
        uint64 version = ++offer.version;
        for (uint256 i = 0; i < supportedImages.length; i++) {
            _images[msg.sender][version][keccak256(bytes(supportedImages[i]))] = true;
        }
        if (!_isLinked(offer)) (offer.agentId, offer.agentEpoch) = (0, 0);
        emit ProviderResourcesUpdated(msg.sender, resources, pricing);
    }

    /// @notice Links the caller's offer to an agent that it owns. The offer ends when the agent moves.
    /// @param agentId The agent.
    function linkProviderAgent(uint256 agentId) external {
        if (agentId == 0) revert InvalidAgentId();
        if (identityRegistry.ownerOf(agentId) != msg.sender) revert NotAgentOwner();
        Offer storage offer = _offers[msg.sender];
        if (offer.agentId == agentId && _isLinked(offer)) revert AgentAlreadyLinked();
        offer.agentId = agentId;
        offer.agentEpoch = identityRegistry.agentEpoch(agentId);
        _agentProvider[agentId] = msg.sender;
        emit ProviderAgentLinked(msg.sender, agentId);
    }

    /// @notice A provider's offer.
    /// @param provider Any account.
    function getProviderResources(address provider)
        external
        view
        returns (
            ComputeResources memory resources,
            ResourcePricing memory pricing,
            uint256 maxConcurrent,
            uint256 active,
            bool sshEnabled,
            bool dockerEnabled
        )
    {
        Offer storage offer = _offers[provider];
        pricing = ResourcePricing(offer.pricePerHour, offer.pricePerGpuHour, offer.minimumHours, offer.maximumHours);
        return (offer.resources, pricing, offer.maxConcurrent, offer.active, offer.sshEnabled, offer.dockerEnabled);
    }

    /// @notice Whether a new rental may run the image.
    /// @param provider Any account.
    /// @param image Image reference.
    function isImageSupported(address provider, string calldata image) public view returns (bool) {
        Offer storage offer = _offers[provider];
        return offer.anyImage || _images[provider][offer.version][keccak256(bytes(image))];
    }

    /// @notice Price of a rental, in wei.
    /// @param provider Any account.
    /// @param durationHours Its length.
    function calculateRentalCost(address provider, uint256 durationHours) public view returns (uint256) {
        return durationHours * _hourlyRate(_offers[provider]);
    }

    /// @notice Price of a rental, for x402.
    /// @param provider Any account.
    /// @param durationHours Its length.
    function getPaymentRequirement(address provider, uint256 durationHours)
        external
        view
        returns (uint256 cost, address asset, address payTo, string memory network, string memory description)
    {
        cost = calculateRentalCost(provider, durationHours);
        description = string.concat(
            "Compute rental: ",
            Strings.toString(durationHours),
            " hours, ",
            Strings.toString(_offers[provider].resources.gpuCount),
            " GPUs"
        );
        return (cost, address(0), address(this), "jeju", description);
    }

    /// @notice Provider that linked an agent; zero if there is none or the link ended.
    /// @param agentId Any id.
    function getProviderByAgent(uint256 agentId) external view returns (address) {
        address provider = _agentProvider[agentId];
        Offer storage offer = _offers[provider];
        return agentId != 0 && offer.agentId == agentId && _isLinked(offer) ? provider : address(0);
    }

    // ------------------------------------------------------------------ inside

    /// @dev The offer, if new work may be done under it.
    function _liveOffer(address provider) internal view returns (Offer storage offer) {
        offer = _offers[provider];
        if (offer.version == 0 || !_isLinked(offer)) revert ProviderNotRegistered();
        if (!computeRegistry.isActive(provider)) revert ProviderNotInRegistry();
    }

    function _hourlyRate(Offer storage offer) internal view returns (uint256) {
        return uint256(offer.pricePerHour) + uint256(offer.pricePerGpuHour) * offer.resources.gpuCount;
    }

    function _isLinked(Offer storage offer) private view returns (bool) {
        return offer.agentId == 0 || identityRegistry.agentEpoch(offer.agentId) == offer.agentEpoch;
    }
}
