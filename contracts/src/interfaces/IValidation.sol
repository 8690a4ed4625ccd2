// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a validator uses of ERC-8004's validation registry.
interface IValidation {
    /// @notice Answers a request that names the caller as validator. May be answered again.
    /// @param requestHash The request.
    /// @param response 0 to 100.
    /// @param responseURI Evidence off chain, or empty.
    /// @param responseHash Digest of the evidence, or zero.
    /// @param tag Kind of answer.
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external;

    /// @notice A request and its last answer.
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
        );
}
