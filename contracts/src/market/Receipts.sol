// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What an enclave says of one paid response, signed by its `evm` key.
/// @param agentId Agent that answered.
/// @param boot Random bytes of the enclave's boot.
/// @param requestId Made by the enclave, used for one response only.
/// @param requestDigest Digest of the request as the enclave read it.
/// @param responseDigest Digest of the response as the enclave wrote it.
/// @param inputUnits Units of the request, in the service's own measure.
/// @param outputUnits Units of the response.
/// @param epoch Epoch of the boot, from 0.
/// @param anchorBlock Number of the newest block that the enclave had seen when the epoch began.
struct Receipt {
    uint256 agentId;
    bytes16 boot;
    bytes32 requestId;
    bytes32 requestDigest;
    bytes32 responseDigest;
    uint64 inputUnits;
    uint64 outputUnits;
    uint64 epoch;
    uint64 anchorBlock;
}

/// @title Receipts
/// @notice EIP-712 digests of receipts.
library Receipts {
    /// @notice EIP-712 type of a receipt.
    bytes32 internal constant TYPEHASH = keccak256(
        "Receipt(uint256 agentId,bytes16 boot,bytes32 requestId,bytes32 requestDigest,bytes32 responseDigest,uint64 inputUnits,uint64 outputUnits,uint64 epoch,uint64 anchorBlock)"
    );

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    /// @notice EIP-712 struct hash of a receipt.
    function hash(Receipt calldata receipt) internal pure returns (bytes32) {
        return keccak256(abi.encode(TYPEHASH, receipt));
    }

    /// @notice Domain of receipts on this chain.
    /// @param attestedKeys `AttestedKeyRegistry`, where the signing key is registered.
    function domainSeparator(address attestedKeys) internal view returns (bytes32) {
        return
            keccak256(
                abi.encode(DOMAIN_TYPEHASH, keccak256("Jeju Receipt"), keccak256("1"), block.chainid, attestedKeys)
            );
    }

    /// @notice What the enclave signs.
    /// @param structHash `hash` of the receipt.
    /// @param attestedKeys `AttestedKeyRegistry`.
    function digest(bytes32 structHash, address attestedKeys) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(attestedKeys), structHash));
    }
}
