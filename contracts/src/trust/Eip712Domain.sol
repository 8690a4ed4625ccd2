// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ShortString, ShortStrings} from "@openzeppelin/contracts/utils/ShortStrings.sol";

/// @title Eip712Domain
/// @notice EIP-712 domain of this contract, version 1, without storage: the registry's slots are a public interface.
abstract contract Eip712Domain is IERC5267 {
    using ShortStrings for *;

    ShortString private immutable NAME;
    bytes32 private immutable NAME_HASH;

    constructor(string memory name) {
        NAME = name.toShortString();
        NAME_HASH = keccak256(bytes(name));
    }

    /// @inheritdoc IERC5267
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        )
    {
        return (hex"0f", NAME.toString(), "1", block.chainid, address(this), bytes32(0), new uint256[](0));
    }

    /// @dev What is signed for a struct. The chain id is read each time: a fork has another one.
    function _typedDigest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                NAME_HASH,
                keccak256("1"),
                block.chainid,
                address(this)
            )
        );
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }
}
