// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Capabilities
/// @notice Which models a provider serves and what they cost: the part of `ComputeRegistry` that moves no money.
abstract contract Capabilities {
    /// @notice A model that a provider serves, as Jeju clients decode it. Prices in wei.
    struct Capability {
        string model;
        uint256 pricePerInputToken;
        uint256 pricePerOutputToken;
        uint256 maxContextLength;
        bool active;
    }

    /// @notice Longest name, endpoint or model name, in bytes.
    uint256 public constant MAX_TEXT = 256;
    /// @notice Most capabilities of a provider, active or not, so that all can be read at once.
    uint256 public constant MAX_CAPABILITIES = 64;
    mapping(address provider => Capability[]) private _capabilities;

    /// @notice A provider offers another model.
    event CapabilityAdded(
        address indexed provider,
        string model,
        uint256 pricePerInputToken,
        uint256 pricePerOutputToken,
        uint256 maxContextLength
    );
    /// @notice A provider starts or stops offering a model.
    event CapabilityUpdated(address indexed provider, uint256 index, bool active);

    /// @notice The model's name is empty or too long.
    error InvalidModel();
    /// @notice There is no such capability.
    error InvalidCapabilityIndex();
    /// @notice The provider has too many capabilities.
    error TooManyCapabilities(uint256 maximum);

    // ------------------------------------------------------------------ what providers call

    /// @notice Offers another model.
    /// @param model Its name.
    /// @param pricePerInputToken In wei.
    /// @param pricePerOutputToken In wei.
    /// @param maxContextLength In tokens.
    function addCapability(
        string calldata model,
        uint256 pricePerInputToken,
        uint256 pricePerOutputToken,
        uint256 maxContextLength
    ) external {
        _requireProvider();
        if (!_isText(model)) revert InvalidModel();
        Capability[] storage capabilities = _capabilities[msg.sender];
        if (capabilities.length == MAX_CAPABILITIES) revert TooManyCapabilities(MAX_CAPABILITIES);
        capabilities.push(Capability(model, pricePerInputToken, pricePerOutputToken, maxContextLength, true));
        emit CapabilityAdded(msg.sender, model, pricePerInputToken, pricePerOutputToken, maxContextLength);
    }

    /// @notice Starts or stops offering a model.
    /// @param index Place in `getCapabilities`.
    /// @param active Whether it is offered.
    function setCapabilityActive(uint256 index, bool active) external {
        Capability[] storage capabilities = _capabilities[msg.sender];
        if (index >= capabilities.length) revert InvalidCapabilityIndex();
        capabilities[index].active = active;
        emit CapabilityUpdated(msg.sender, index, active);
    }

    // ------------------------------------------------------------------ reading

    /// @notice What a provider offers or offered.
    /// @param addr Its account.
    function getCapabilities(address addr) external view returns (Capability[] memory) {
        return _capabilities[addr];
    }

    // ------------------------------------------------------------------ inside

    /// Reverts unless the caller is a registered provider.
    function _requireProvider() internal view virtual;

    function _isText(string calldata text) internal pure returns (bool) {
        return bytes(text).length != 0 && bytes(text).length <= MAX_TEXT;
    }
}
