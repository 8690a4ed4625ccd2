// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FrostReference} from "./FrostReference.sol";
import {Test, Vm} from "./Vm.sol";

/// @notice Makes signatures as a FROST group does, out of the whole secret: to a verifier they are the same.
abstract contract FrostSigner is Test {
    uint256 internal constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    /// Group key of a secret in [1, n).
    function groupKey(uint256 secret) internal returns (uint256 px, uint8 parity) {
        Vm.Wallet memory wallet = vm.createWallet(secret);
        return (wallet.publicKeyX, uint8(wallet.publicKeyY & 1));
    }

    function compressed(uint256 secret) internal returns (bytes memory) {
        (uint256 px, uint8 parity) = groupKey(secret);
        return abi.encodePacked(uint8(2 + parity), px);
    }

    /// R and z, with a nonce of secret and message.
    function signParts(uint256 secret, bytes32 message) internal returns (uint256 rx, uint256 ry, uint256 z) {
        uint256 nonce = uint256(keccak256(abi.encode(secret, message))) % (ORDER - 1) + 1;
        Vm.Wallet memory r = vm.createWallet(nonce);
        bytes memory input = abi.encodePacked(uint8(2 + (r.publicKeyY & 1)), r.publicKeyX, compressed(secret), message);
        z = addmod(nonce, mulmod(FrostReference.challenge(input), secret, ORDER), ORDER);
        return (r.publicKeyX, r.publicKeyY, z);
    }

    /// 65 bytes, as the signers write it.
    function frost(uint256 secret, bytes32 message) internal returns (bytes memory) {
        (uint256 rx, uint256 ry, uint256 z) = signParts(secret, message);
        return abi.encodePacked(uint8(2 + (ry & 1)), rx, z);
    }

    /// 96 bytes, R not compressed.
    function frostLong(uint256 secret, bytes32 message) internal returns (bytes memory) {
        (uint256 rx, uint256 ry, uint256 z) = signParts(secret, message);
        return abi.encodePacked(rx, ry, z);
    }

    /// EIP-712 digest.
    function typed(string memory name, address verifyingContract, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifyingContract
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}
