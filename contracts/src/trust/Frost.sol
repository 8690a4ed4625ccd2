// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Frost
/// @notice Checks signatures of FROST(secp256k1, SHA-256), RFC 9591 §6.5, over 32-byte messages. What a group of signers
/// makes is an ordinary Schnorr signature: z·G = R + e·P.
/// @dev The one precompile for points is ecrecover(h, v, r, s) = address(r⁻¹·(s·Q − h·G)), Q being the point with x = r
/// and the parity of v. With r = P.x, s = e·P.x and h = z·P.x that is address(e·P − z·G), which must be address(−R). r is
/// read modulo n and refused from n on, so a group key must have P.x < n: `isValidPublicKey`. Two different points with
/// one address, or an R that fits a chosen z, take about 2^160 tries: e depends on R, so each try is one pair.
///
/// A signature is R compressed (33 bytes) and z (32 bytes), as RFC 9591 and the signers write it, or, so that R need not
/// be decompressed here, R.x, R.y and z (96 bytes). Both say the same; each has one encoding only, and nobody but the
/// group can turn a signature into another one of the same message. Even so, nothing should be counted by signatures.
///
/// A failing precompile (too little gas) makes every function answer as for a bad signature or key.
library Frost {
    /// @notice The field's prime.
    uint256 internal constant P = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
    /// @notice Order of the group.
    uint256 internal constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    /// @dev What follows the message in the first hash of expand_message_xmd: length 48 in two bytes, a zero byte, and
    /// "FROST-secp256k1-SHA256-v1chal", whose length 29 follows in a byte of its own.
    uint256 private constant TAIL_0 = 0x00300046524f53542d736563703235366b312d5348413235362d76316368616c;
    /// @dev What follows b0 in the second hash: block number 1, the same tag and its length; a byte of the word is free.
    uint256 private constant TAIL_1 = 0x0146524f53542d736563703235366b312d5348413235362d76316368616c1d00;

    /// @notice Whether a group key may be registered: on the curve, not from n on.
    /// @param px x coordinate.
    /// @param parity 0 for an even y, 1 for an odd one.
    function isValidPublicKey(uint256 px, uint256 parity) internal view returns (bool) {
        return parity < 2 && px != 0 && px < N && liftX(px, parity) != 0;
    }

    /// @notice Reads a key of 33 bytes; (0, 0) unless it is one that may be registered.
    /// @param key SEC1 compressed point.
    function decodePublicKey(bytes calldata key) internal view returns (uint256 px, uint8 parity) {
        if (key.length != 33) return (0, 0);
        uint8 prefix = uint8(key[0]);
        px = uint256(bytes32(key[1:]));
        if (prefix & 0xfe != 2 || !isValidPublicKey(px, prefix & 1)) return (0, 0);
        parity = prefix & 1;
    }

    /// @notice Writes a key as 33 bytes.
    function encodePublicKey(uint256 px, uint8 parity) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(2 + parity), px);
    }

    /// @notice Checks a signature of 65 or 96 bytes.
    /// @param message The message that was signed, as a rule a digest.
    /// @param px x coordinate of the group key.
    /// @param parity Parity of its y.
    /// @param signature R compressed ‖ z, or R.x ‖ R.y ‖ z.
    function verify(bytes32 message, uint256 px, uint256 parity, bytes calldata signature)
        internal
        view
        returns (bool)
    {
        uint256 rx;
        uint256 ry;
        uint256 z;
        // Lengths are checked first; slices would check them again, for a tenth of the whole cost.
        if (signature.length == 96) {
            assembly ("memory-safe") {
                rx := calldataload(signature.offset)
                ry := calldataload(add(signature.offset, 0x20))
                z := calldataload(add(signature.offset, 0x40))
            }
        } else {
            if (signature.length != 65) return false;
            uint256 prefix = uint8(signature[0]);
            if (prefix & 0xfe != 2) return false;
            assembly ("memory-safe") {
                rx := calldataload(add(signature.offset, 1))
                z := calldataload(add(signature.offset, 0x21))
            }
            ry = liftX(rx, prefix & 1);
        }
        return verify(message, px, parity, rx, ry, z);
    }

    /// @notice Checks a signature whose R is given as a point.
    /// @param message The message that was signed.
    /// @param px x coordinate of the group key.
    /// @param parity Parity of its y.
    /// @param rx x coordinate of R.
    /// @param ry y coordinate of R.
    /// @param z The scalar.
    function verify(bytes32 message, uint256 px, uint256 parity, uint256 rx, uint256 ry, uint256 z)
        internal
        view
        returns (bool ok)
    {
        assembly ("memory-safe") {
            // Ranges keep a signature's encoding unique. R on the curve also keeps out infinity, which is no point here.
            ok := and(and(lt(parity, 2), lt(px, N)), and(lt(z, N), and(lt(rx, P), lt(ry, P))))
            ok := and(ok, iszero(or(iszero(px), iszero(z))))
            ok := and(ok, eq(mulmod(ry, ry, P), addmod(mulmod(rx, mulmod(rx, rx, P), P), 7, P)))

            // Beyond the free pointer, which is not moved: nothing here outlives the block.
            let m := mload(0x40)
            if ok {
                // b0 = SHA-256(64 zero bytes ‖ R ‖ P ‖ message ‖ tail): 195 bytes.
                mstore(m, 0)
                mstore(add(m, 0x20), 0)
                mstore8(add(m, 0x40), add(2, and(ry, 1)))
                mstore(add(m, 0x41), rx)
                mstore8(add(m, 0x61), add(2, parity))
                mstore(add(m, 0x62), px)
                mstore(add(m, 0x82), message)
                mstore(add(m, 0xa2), TAIL_0)
                mstore8(add(m, 0xc2), 29)
                ok := staticcall(gas(), 2, m, 0xc3, m, 0x20)

                // b1 = SHA-256(b0 ‖ 1 ‖ tag), b2 = SHA-256(b0 ⊕ b1 ‖ 2 ‖ tag); e = 48 bytes of b1 ‖ b2, modulo n.
                mstore(add(m, 0x20), TAIL_1)
                ok := and(ok, staticcall(gas(), 2, m, 0x3f, add(m, 0x40), 0x20))
                let b1 := mload(add(m, 0x40))
                mstore(m, xor(mload(m), b1))
                mstore8(add(m, 0x20), 2)
                ok := and(ok, staticcall(gas(), 2, m, 0x3f, m, 0x20))
                let e := addmod(mulmod(b1, shl(128, 1), N), shr(128, mload(m)), N)

                mstore(m, mulmod(z, px, N))
                mstore(add(m, 0x20), add(27, parity))
                mstore(add(m, 0x40), px)
                mstore(add(m, 0x60), mulmod(e, px, N))
                ok := and(ok, staticcall(gas(), 1, m, 0x80, m, 0x20))
                // ecrecover answers with nothing if there is no such point; what lies at m is then still z·P.x.
                ok := and(ok, eq(returndatasize(), 0x20))

                mstore(add(m, 0x20), rx)
                mstore(add(m, 0x40), sub(P, ry))
                ok := and(ok, eq(mload(m), shr(96, shl(96, keccak256(add(m, 0x20), 0x40)))))
            }
        }
    }

    /// @notice The y of the curve's point with this x and parity; zero if there is none (no point has y = 0).
    /// @param x x coordinate.
    /// @param parity 0 for an even y, 1 for an odd one.
    function liftX(uint256 x, uint256 parity) internal view returns (uint256 y) {
        assembly ("memory-safe") {
            if lt(x, P) {
                let square := addmod(mulmod(x, mulmod(x, x, P), P), 7, P)
                // p ≡ 3 (mod 4): the root is square^((p+1)/4), if there is one.
                let m := mload(0x40)
                mstore(m, 0x20)
                mstore(add(m, 0x20), 0x20)
                mstore(add(m, 0x40), 0x20)
                mstore(add(m, 0x60), square)
                mstore(add(m, 0x80), shr(2, add(P, 1)))
                mstore(add(m, 0xa0), P)
                if staticcall(gas(), 5, m, 0xc0, m, 0x20) {
                    let root := mload(m)
                    if eq(mulmod(root, root, P), square) {
                        y := root
                        if iszero(eq(and(root, 1), parity)) { y := sub(P, root) }
                    }
                }
            }
        }
    }
}
