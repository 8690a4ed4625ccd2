// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice FROST(secp256k1, SHA-256) signatures by the letter of RFC 9591, slowly: point arithmetic instead of ecrecover,
/// no assembly, no precompile but SHA-256. The differential tests compare `Frost` with it.
library FrostReference {
    uint256 private constant P = 2 ** 256 - 2 ** 32 - 977;
    uint256 private constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 private constant GX = 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798;
    uint256 private constant GY = 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8;

    /// Jacobian coordinates; z = 0 is infinity.
    struct Point {
        uint256 x;
        uint256 y;
        uint256 z;
    }

    /// RFC 9591 §3.4: prime-order verification, z·G = R + e·P, and additionally z ≠ 0 and px < n, as `Frost` has it.
    function verify(bytes memory message, bytes memory key, bytes memory signature) internal pure returns (bool) {
        (bool keyIs, Point memory p) = decompress(slice(key, 0, 33));
        (bool rIs, Point memory r) = decompress(slice(signature, 0, 33));
        if (!keyIs || !rIs || key.length != 33 || signature.length != 65 || p.x >= N) return false;
        uint256 z = uint256(bytes32(slice(signature, 33, 32)));
        if (z == 0 || z >= N) return false;
        uint256 e = challenge(abi.encodePacked(slice(signature, 0, 33), key, message));
        return equal(multiply(Point(GX, GY, 1), z), add(r, multiply(p, e)));
    }

    /// H2 of §6.5: hash_to_field with expand_message_xmd (RFC 9380 §5.2, §5.3.1), L = 48, one element.
    function challenge(bytes memory input) internal pure returns (uint256) {
        bytes memory uniform = expand(input, "FROST-secp256k1-SHA256-v1chal", 48);
        uint256 e;
        for (uint256 i = 0; i < 48; i++) {
            e = addmod(mulmod(e, 256, N), uint8(uniform[i]), N);
        }
        return e;
    }

    function expand(bytes memory message, bytes memory tag, uint16 length) internal pure returns (bytes memory out) {
        bytes memory tagPrime = abi.encodePacked(tag, uint8(tag.length));
        bytes32 b0 = sha256(abi.encodePacked(new bytes(64), message, length, uint8(0), tagPrime));
        bytes32 block_ = sha256(abi.encodePacked(b0, uint8(1), tagPrime));
        out = abi.encodePacked(block_);
        for (uint8 i = 2; out.length < length; i++) {
            block_ = sha256(abi.encodePacked(b0 ^ block_, i, tagPrime));
            out = abi.encodePacked(out, block_);
        }
    }

    function decompress(bytes memory encoded) internal pure returns (bool, Point memory p) {
        if (encoded.length != 33 || (encoded[0] != 0x02 && encoded[0] != 0x03)) return (false, p);
        p.x = uint256(bytes32(slice(encoded, 1, 32)));
        if (p.x >= P) return (false, p);
        uint256 square = addmod(mulmod(mulmod(p.x, p.x, P), p.x, P), 7, P);
        p.y = power(square, (P + 1) / 4);
        if (mulmod(p.y, p.y, P) != square) return (false, p);
        if (p.y % 2 != uint8(encoded[0]) % 2) p.y = P - p.y;
        p.z = 1;
        return (true, p);
    }

    function multiply(Point memory p, uint256 scalar) internal pure returns (Point memory sum) {
        sum = Point(1, 1, 0);
        for (uint256 bit = 256; bit > 0; bit--) {
            sum = double(sum);
            if ((scalar >> (bit - 1)) & 1 == 1) sum = add(sum, p);
        }
    }

    /// Textbook addition in Jacobian coordinates, all cases.
    function add(Point memory a, Point memory b) internal pure returns (Point memory c) {
        if (a.z == 0) return b;
        if (b.z == 0) return a;
        (uint256 u1, uint256 s1) = scaled(a, b.z);
        (uint256 u2, uint256 s2) = scaled(b, a.z);
        if (u1 == u2) return s1 == s2 ? double(a) : Point(1, 1, 0);
        uint256 h = addmod(u2, P - u1, P);
        uint256 t = addmod(s2, P - s1, P);
        uint256 v = mulmod(u1, mulmod(h, h, P), P);
        uint256 h3 = mulmod(mulmod(h, h, P), h, P);
        c.x = addmod(mulmod(t, t, P), P - addmod(h3, addmod(v, v, P), P), P);
        c.y = addmod(mulmod(t, addmod(v, P - c.x, P), P), P - mulmod(s1, h3, P), P);
        c.z = mulmod(h, mulmod(a.z, b.z, P), P);
    }

    /// The point's x and y as they stand over the denominators of both points.
    function scaled(Point memory a, uint256 z) internal pure returns (uint256, uint256) {
        uint256 z2 = mulmod(z, z, P);
        return (mulmod(a.x, z2, P), mulmod(a.y, mulmod(z2, z, P), P));
    }

    function double(Point memory a) internal pure returns (Point memory c) {
        if (a.z == 0) return a;
        uint256 y2 = mulmod(a.y, a.y, P);
        uint256 s = mulmod(4, mulmod(a.x, y2, P), P);
        uint256 t = mulmod(3, mulmod(a.x, a.x, P), P);
        c.x = addmod(mulmod(t, t, P), P - addmod(s, s, P), P);
        c.y = addmod(mulmod(t, addmod(s, P - c.x, P), P), P - mulmod(8, mulmod(y2, y2, P), P), P);
        c.z = mulmod(2, mulmod(a.y, a.z, P), P);
    }

    function equal(Point memory a, Point memory b) internal pure returns (bool) {
        if (a.z == 0 || b.z == 0) return a.z == b.z;
        (uint256 ax, uint256 ay) = scaled(a, b.z);
        (uint256 bx, uint256 by) = scaled(b, a.z);
        return ax == bx && ay == by;
    }

    function affine(Point memory a) internal pure returns (uint256 x, uint256 y) {
        uint256 inverse = power(a.z, P - 2);
        uint256 inverse2 = mulmod(inverse, inverse, P);
        return (mulmod(a.x, inverse2, P), mulmod(a.y, mulmod(inverse2, inverse, P), P));
    }

    function power(uint256 base, uint256 exponent) internal pure returns (uint256 result) {
        result = 1;
        for (; exponent > 0; exponent /= 2) {
            if (exponent % 2 == 1) result = mulmod(result, base, P);
            base = mulmod(base, base, P);
        }
    }

    function slice(bytes memory data, uint256 from, uint256 length) internal pure returns (bytes memory part) {
        if (data.length < from + length) return part;
        part = new bytes(length);
        for (uint256 i = 0; i < length; i++) {
            part[i] = data[from + i];
        }
    }
}
