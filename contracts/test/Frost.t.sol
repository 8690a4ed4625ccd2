// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Frost} from "../src/trust/Frost.sol";
import {FrostReference} from "./FrostReference.sol";
import {FrostSigner} from "./FrostSigner.sol";
import {FrostVectors} from "./vectors/FrostVectors.sol";

/// The library's functions as calls.
contract FrostCaller {
    function verify(bytes32 message, uint256 px, uint256 parity, bytes calldata signature) public view returns (bool) {
        return Frost.verify(message, px, parity, signature);
    }

    function verifyParts(bytes32 message, uint256 px, uint256 parity, uint256 rx, uint256 ry, uint256 z)
        public
        view
        returns (bool)
    {
        return Frost.verify(message, px, parity, rx, ry, z);
    }

    function gasOfParts(bytes32 message, uint256 px, uint256 parity, uint256 rx, uint256 ry, uint256 z)
        external
        view
        returns (uint256 used, bool ok)
    {
        used = gasleft();
        ok = Frost.verify(message, px, parity, rx, ry, z);
        used -= gasleft();
    }

    function gasOf(bytes32 message, uint256 px, uint256 parity, bytes calldata signature)
        external
        view
        returns (uint256 used, bool ok)
    {
        used = gasleft();
        ok = Frost.verify(message, px, parity, signature);
        used -= gasleft();
    }

    function decode(bytes calldata key) external view returns (uint256, uint8) {
        return Frost.decodePublicKey(key);
    }
}

contract FrostTest is FrostSigner {
    uint256 constant P = Frost.P;
    uint256 constant N = Frost.N;
    bytes32 constant MESSAGE = keccak256("message");
    uint256 constant SECRET = 0x1234567890abcdef;

    FrostCaller caller;
    uint256 px;
    uint8 parity;
    uint256 rx;
    uint256 ry;
    uint256 z;

    function setUp() public {
        caller = new FrostCaller();
        (px, parity) = groupKey(SECRET);
        (rx, ry, z) = signParts(SECRET, MESSAGE);
    }

    // ------------------------------------------------------------------ vectors

    function test_rfc9591_appendixE5() public pure {
        (bytes memory key, bytes memory message, bytes memory signature) = FrostVectors.rfc();
        require(FrostReference.verify(message, key, signature));
        message[0] ^= 0x01;
        require(!FrostReference.verify(message, key, signature));
    }

    function test_vectorsOfTheRustCrate() public view {
        uint256 odd;
        for (uint256 i = 0; i < FrostVectors.COUNT; i++) {
            FrostVectors.Vector memory v = FrostVectors.vector(i);
            (uint256 x, uint8 yParity) = caller.decode(v.key);
            require(x != 0 && caller.verify(v.message, x, yParity, v.signature), "vector");
            require(FrostReference.verify(abi.encodePacked(v.message), v.key, v.signature), "reference");
            odd += yParity;

            // Any other message, key, parity, R or z: refused.
            FrostVectors.Vector memory other = FrostVectors.vector((i + 1) % FrostVectors.COUNT);
            (uint256 otherX, uint8 otherParity) = caller.decode(other.key);
            require(!caller.verify(other.message, x, yParity, v.signature), "message");
            require(!caller.verify(v.message, otherX, otherParity, v.signature), "key");
            require(!caller.verify(v.message, x, 1 - yParity, v.signature), "parity");
            require(!caller.verify(v.message, x, yParity, other.signature), "signature");
            v.signature[0] ^= 0x01;
            require(!caller.verify(v.message, x, yParity, v.signature), "R's parity");
        }
        require(odd == 12);
    }

    function test_allPartsOfASignatureAreBound() public view {
        bytes memory signature = FrostVectors.vector(0).signature;
        (uint256 x, uint8 yParity) = caller.decode(FrostVectors.vector(0).key);
        for (uint256 bit = 0; bit < 65 * 8; bit++) {
            signature[bit / 8] ^= bytes1(uint8(2 ** (bit % 8)));
            require(!caller.verify(FrostVectors.vector(0).message, x, yParity, signature));
            signature[bit / 8] ^= bytes1(uint8(2 ** (bit % 8)));
        }
        require(caller.verify(FrostVectors.vector(0).message, x, yParity, signature));
    }

    // ------------------------------------------------------------------ against the reference

    /// Valid signatures, then with one part of them changed: both must say the same.
    function testFuzz_differential(uint256 secret, bytes32 message, uint8 change, uint256 by) public {
        secret = secret % (N - 1) + 1;
        bytes memory key = compressed(secret);
        bytes memory signature = frost(secret, message);
        bool valid = change % 8 == 0;
        // forge-lint: disable-next-line(unsafe-typecast)
        bytes1 flip = bytes1(uint8(by >> 8) | 1);
        if (change % 8 == 1) message = bytes32(uint256(message) ^ (by | 1));
        if (change % 8 == 2) signature[0] ^= 0x01;
        if (change % 8 == 3) signature[1 + by % 32] ^= flip;
        if (change % 8 == 4) signature[33 + by % 32] ^= flip;
        if (change % 8 == 5) key = compressed(by % (N - 1) + 1);
        if (change % 8 == 6) key[0] ^= 0x01;
        if (change % 8 == 7) signature = abi.encodePacked(compressed(by % (N - 1) + 1), by);
        bool expected = FrostReference.verify(abi.encodePacked(message), key, signature);
        if (change % 8 != 5) require(expected == valid, "reference");
        (uint256 x, uint8 yParity) = caller.decode(key);
        require(caller.verify(message, x, yParity, signature) == expected, "short");

        (bool point, FrostReference.Point memory r) = FrostReference.decompress(FrostReference.slice(signature, 0, 33));
        if (!point) return;
        uint256 scalar = uint256(bytes32(FrostReference.slice(signature, 33, 32)));
        require(caller.verify(message, x, yParity, abi.encodePacked(r.x, r.y, scalar)) == expected, "long");
        require(caller.verifyParts(message, x, yParity, r.x, r.y, scalar) == expected, "parts");
    }

    function testFuzz_arbitraryInputIsRefused(bytes32 message, bytes calldata signature) public view {
        require(!caller.verify(message, px, parity, signature));
    }

    function testFuzz_liftX(uint256 x, bool odd) public view {
        uint8 bit = odd ? 1 : 0;
        (bool point, FrostReference.Point memory p) = FrostReference.decompress(abi.encodePacked(2 + bit, x));
        require(Frost.liftX(x, bit) == (point ? p.y : 0));
        require(Frost.isValidPublicKey(x, bit) == (point && x < N));
    }

    function test_referenceKnowsTheGroup() public pure {
        FrostReference.Point memory g;
        (, g) = FrostReference.decompress(hex"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        require(FrostReference.multiply(g, N).z == 0, "order");
        (uint256 x, uint256 y) = FrostReference.affine(FrostReference.multiply(g, N - 1));
        require(x == g.x && y == P - g.y, "negation");
    }

    // ------------------------------------------------------------------ keys

    function test_isValidPublicKey() public view {
        require(Frost.isValidPublicKey(px, 0) && Frost.isValidPublicKey(px, 1));
        require(!Frost.isValidPublicKey(px, 2) && !Frost.isValidPublicKey(px, type(uint256).max));
        require(!Frost.isValidPublicKey(0, 0) && !Frost.isValidPublicKey(P, 0) && !Frost.isValidPublicKey(N, 0));
        // 5^3 + 7 is no square.
        require(!Frost.isValidPublicKey(5, 0) && Frost.liftX(5, 0) == 0);
    }

    function test_isValidPublicKey_refusesPointsThatEcrecoverCannotName() public view {
        uint256 found;
        for (uint256 x = N; x < N + 20; x++) {
            if (Frost.liftX(x, 0) == 0) continue;
            found++;
            require(!Frost.isValidPublicKey(x, 0) && !Frost.isValidPublicKey(x, 1));
            require(!caller.verifyParts(MESSAGE, x, 0, rx, ry, z));
        }
        require(found > 3);
    }

    function test_decodePublicKey() public {
        (uint256 x, uint8 yParity) = caller.decode(compressed(SECRET));
        require(x == px && yParity == parity);
        require(keccak256(Frost.encodePublicKey(x, yParity)) == keccak256(compressed(SECRET)));

        _refusesKey("");
        _refusesKey(abi.encodePacked(uint8(2), bytes31(bytes32(px))));
        _refusesKey(abi.encodePacked(compressed(SECRET), uint8(0)));
        _refusesKey(abi.encodePacked(uint8(0), px));
        _refusesKey(abi.encodePacked(uint8(4), px));
        _refusesKey(abi.encodePacked(uint8(0x82), px));
        _refusesKey(abi.encodePacked(uint8(2), uint256(5)));
        _refusesKey(abi.encodePacked(uint8(2), uint256(0)));
        _refusesKey(abi.encodePacked(uint8(2), P + 1));
    }

    function _refusesKey(bytes memory key) private view {
        (uint256 x, uint8 yParity) = caller.decode(key);
        require(x == 0 && yParity == 0);
    }

    // ------------------------------------------------------------------ what must be refused

    function test_accepts() public view {
        require(caller.verifyParts(MESSAGE, px, parity, rx, ry, z));
    }

    function test_refusesWrongMessage() public view {
        require(!caller.verifyParts(bytes32(uint256(MESSAGE) + 1), px, parity, rx, ry, z));
    }

    function test_refusesWrongKey() public {
        (uint256 x, uint8 yParity) = groupKey(SECRET + 1);
        require(!caller.verifyParts(MESSAGE, x, yParity, rx, ry, z));
        require(!caller.verifyParts(MESSAGE, px, 1 - parity, rx, ry, z), "negated key");
        require(!caller.verifyParts(MESSAGE, px, parity + 2, rx, ry, z), "parity out of range");
        require(!caller.verifyParts(MESSAGE, px, type(uint256).max, rx, ry, z));
        require(!caller.verifyParts(MESSAGE, 0, parity, rx, ry, z), "no key");
        require(!caller.verifyParts(MESSAGE, 5, parity, rx, ry, z), "key not on the curve");
    }

    /// The same scalar modulo n in other words: a second encoding of a signature would be malleability.
    function test_refusesZFromTheOrderOn() public view {
        require(!caller.verifyParts(MESSAGE, px, parity, rx, ry, N));
        require(!caller.verifyParts(MESSAGE, px, parity, rx, ry, type(uint256).max));
        unchecked {
            require(!caller.verifyParts(MESSAGE, px, parity, rx, ry, z + N));
        }
    }

    function test_refusesNegatedZAndNegatedR() public view {
        require(!caller.verifyParts(MESSAGE, px, parity, rx, ry, N - z), "-z");
        require(!caller.verifyParts(MESSAGE, px, parity, rx, P - ry, z), "-R");
        require(!caller.verifyParts(MESSAGE, px, parity, rx, P - ry, N - z), "-R and -z");
        require(!caller.verifyParts(MESSAGE, px, 1 - parity, rx, P - ry, N - z), "all negated");
    }

    function test_refusesZeroZ() public view {
        require(!caller.verifyParts(MESSAGE, px, parity, rx, ry, 0));
    }

    function test_refusesROffTheCurve() public view {
        require(!caller.verifyParts(MESSAGE, px, parity, rx, addmod(ry, 2, P), z), "same parity, other y");
        require(!caller.verifyParts(MESSAGE, px, parity, addmod(rx, 1, P), ry, z));
        require(!caller.verify(MESSAGE, px, parity, abi.encodePacked(uint8(2), uint256(5), z)));
    }

    function test_refusesRAtInfinity() public view {
        require(!caller.verifyParts(MESSAGE, px, parity, 0, 0, z));
        require(!caller.verifyParts(MESSAGE, px, parity, 0, 1, z));
        require(!caller.verifyParts(MESSAGE, px, parity, P, P, z));
        require(!caller.verify(MESSAGE, px, parity, abi.encodePacked(uint8(0), uint256(0), z)));
        require(!caller.verify(MESSAGE, px, parity, abi.encodePacked(uint8(2), uint256(0), z)));
    }

    function test_refusesCoordinatesFromThePrimeOn() public view {
        // x = 1 has a point and x + p fits a word: the one kind of second encoding that there could be.
        uint256 y = Frost.liftX(1, 0);
        require(y != 0 && Frost.liftX(P + 1, 0) == 0);
        require(!caller.verifyParts(MESSAGE, px, parity, P + 1, y, z));
        require(!caller.verifyParts(MESSAGE, px, parity, rx, P, z));
    }

    function test_refusesOtherLengthsAndPrefixes() public {
        bytes memory short = frost(SECRET, MESSAGE);
        bytes memory long = frostLong(SECRET, MESSAGE);
        require(caller.verify(MESSAGE, px, parity, short) && caller.verify(MESSAGE, px, parity, long));
        require(!caller.verify(MESSAGE, px, parity, ""));
        require(!caller.verify(MESSAGE, px, parity, abi.encodePacked(short, uint8(0))));
        require(!caller.verify(MESSAGE, px, parity, abi.encodePacked(long, uint8(0))));
        require(!caller.verify(MESSAGE, px, parity, abi.encodePacked(rx, z)));
        for (uint256 prefix = 0; prefix < 256; prefix++) {
            if (prefix == 2 + (ry & 1)) continue;
            // forge-lint: disable-next-line(unsafe-typecast)
            short[0] = bytes1(uint8(prefix));
            require(!caller.verify(MESSAGE, px, parity, short));
        }
    }

    /// Whoever calls with too little gas for a precompile gets no yes.
    function testFuzz_littleGasIsNeverAYes(uint16 gas_) public view {
        (bool called, bytes memory answer) = address(caller).staticcall{gas: gas_}(
            abi.encodeCall(FrostCaller.verifyParts, (bytes32(uint256(MESSAGE) + 1), px, parity, rx, ry, z))
        );
        require(!called || !abi.decode(answer, (bool)));
    }
}
