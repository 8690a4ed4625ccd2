// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ClaimsBuffer
/// @notice Reads a claims-buffer (`docs/wire-formats.md` §1): deterministic CBOR whose keys, order and lengths are fixed.
/// @dev There is one encoding of each set of claims, and nothing else is read: two parties must never disagree about what
/// was signed. Everything but the integers is compared with, or cut from, a fixed place behind the last integer.
/// Offsets grow by what is read and a buffer is short, so their sums aren't checked for overflow.
library ClaimsBuffer {
    /// @notice What a quote vouches for. Field by field as in the table of the format.
    struct Claims {
        uint8 evmParity;
        bytes32 evmX;
        bytes32 gpuDigest;
        uint8 gpuCount;
        bytes32 log;
        bytes16 boot;
        bytes32 keys;
        uint8 mode;
        bytes32 resp;
        uint8 role;
        bytes32 agent;
        uint64 chainId;
        address registry;
        uint32 epoch;
        bytes32 nonce;
        uint64 anchorNumber;
        bytes32 anchorHash;
        bytes32 launch;
        bytes32 channel;
        uint32 receiptsEpoch;
        uint32 receiptsCount;
        bytes32 receiptsRoot;
        bytes32 pubkeyHash;
    }

    /// @notice Longest claims-buffer, in bytes.
    uint256 internal constant MAX_LENGTH = 640;

    /// @notice The bytes at `offset` aren't what the format has there.
    error ClaimsMalformed(uint256 offset);
    /// @notice Another length than the claims need, or longer than the format allows.
    error ClaimsLength(uint256 length);
    /// @notice A claim holds a value without meaning, or one that contradicts another claim.
    error ClaimsInconsistent(bytes32 claim);

    /// @notice The claims, if the bytes are their one encoding.
    /// @param buffer A claims-buffer as received.
    function parse(bytes calldata buffer) internal pure returns (Claims memory claims) {
        if (buffer.length > MAX_LENGTH) revert ClaimsLength(buffer.length);
        // Words behind the end of the buffer may be read on the way; the offset at which reading ends tells.
        uint256 offset = _readKeys(buffer, claims);
        offset = _readChain(buffer, offset, claims);
        offset = _readReceipts(buffer, offset, claims);
        if (offset != buffer.length) revert ClaimsLength(buffer.length);
        _check(claims);
    }

    function _readKeys(bytes calldata buffer, Claims memory claims) private pure returns (uint256 offset) {
        unchecked {
            offset = _expect(buffer, 0, hex"b26365766d5821", 7); // map of 18, "evm", 33 bytes
            claims.evmParity = uint8(uint256(_word(buffer, offset)) >> 248);
            claims.evmX = _word(buffer, offset + 1);
            offset = _expect(buffer, offset + 33, hex"63677075825820", 7); // "gpu", array of 2, 32 bytes
            claims.gpuDigest = _word(buffer, offset);
            uint256 value;
            (value, offset) = _uint(buffer, offset + 32, type(uint8).max);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.gpuCount = uint8(value);
            offset = _expect(buffer, offset, hex"636c6f675820", 6); // "log"
            claims.log = _word(buffer, offset);
            offset = _expect(buffer, offset + 32, hex"64626f6f7450", 6); // "boot", 16 bytes
            claims.boot = bytes16(_word(buffer, offset));
            offset = _expect(buffer, offset + 16, hex"646b6579735820", 7); // "keys"
            claims.keys = _word(buffer, offset);
            offset = _expect(buffer, offset + 32, hex"646d6f6465", 5); // "mode"
            (value, offset) = _uint(buffer, offset, 4);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.mode = uint8(value);
            offset = _expect(buffer, offset, hex"64726573705820", 7); // "resp"
            claims.resp = _word(buffer, offset);
            offset = _expect(buffer, offset + 32, hex"64726f6c65", 5); // "role"
            (value, offset) = _uint(buffer, offset, 1);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.role = uint8(value);
        }
    }

    function _readChain(bytes calldata buffer, uint256 start, Claims memory claims)
        private
        pure
        returns (uint256 offset)
    {
        unchecked {
            offset = _expect(buffer, start, hex"656167656e745820", 8); // "agent"
            claims.agent = _word(buffer, offset);
            offset = _expect(buffer, offset + 32, hex"65636861696e82", 7); // "chain", array of 2
            uint256 value;
            (value, offset) = _uint(buffer, offset, type(uint64).max);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.chainId = uint64(value);
            offset = _expect(buffer, offset, hex"54", 1); // 20 bytes
            claims.registry = address(bytes20(_word(buffer, offset)));
            offset = _expect(buffer, offset + 20, hex"6565706f6368", 6); // "epoch"
            (value, offset) = _uint(buffer, offset, type(uint32).max);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.epoch = uint32(value);
            offset = _expect(buffer, offset, hex"656e6f6e63655820", 8); // "nonce"
            claims.nonce = _word(buffer, offset);
            offset = _expect(buffer, offset + 32, hex"66616e63686f7282", 8); // "anchor", array of 2
            (value, offset) = _uint(buffer, offset, type(uint64).max);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.anchorNumber = uint64(value);
            offset = _expect(buffer, offset, hex"5820", 2);
            claims.anchorHash = _word(buffer, offset);
            offset = _expect(buffer, offset + 32, hex"666c61756e63685820", 9); // "launch"
            claims.launch = _word(buffer, offset);
            offset = _expect(buffer, offset + 32, hex"676368616e6e656c5820", 10); // "channel"
            claims.channel = _word(buffer, offset);
            offset += 32;
        }
    }

    function _readReceipts(bytes calldata buffer, uint256 start, Claims memory claims)
        private
        pure
        returns (uint256 offset)
    {
        unchecked {
            // "profile", text of 29 bytes; the key and the text are longer than a word together.
            offset = _expect(buffer, start, hex"6770726f66696c65781d", 10);
            offset = _expect(buffer, offset, "tag:jeju,2026:node-evidence/1", 29);
            offset = _expect(buffer, offset, hex"68726563656970747383", 10); // "receipts", array of 3
            uint256 value;
            (value, offset) = _uint(buffer, offset, type(uint32).max);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.receiptsEpoch = uint32(value);
            (value, offset) = _uint(buffer, offset, type(uint32).max);
            // forge-lint: disable-next-line(unsafe-typecast)
            claims.receiptsCount = uint32(value);
            offset = _expect(buffer, offset, hex"5820", 2);
            claims.receiptsRoot = _word(buffer, offset);
            // "pubkey-hash", 36 bytes that hold: array of 2, algorithm 1 (SHA-256), 32 bytes
            offset = _expect(buffer, offset + 32, hex"6b7075626b65792d68617368582482015820", 18);
            claims.pubkeyHash = _word(buffer, offset);
            offset += 32;
        }
    }

    /// @dev The same rules as the Rust reader has: fields that the mode wants empty are, and the reverse.
    function _check(Claims memory claims) private pure {
        bool wantsNonce = claims.mode != 0;
        bool wantsChannel = claims.mode == 2 || claims.mode == 3;
        if ((claims.nonce != 0) != wantsNonce) revert ClaimsInconsistent("nonce");
        if ((claims.channel != 0) != wantsChannel) revert ClaimsInconsistent("channel");
        if (claims.evmParity != 2 && claims.evmParity != 3) revert ClaimsInconsistent("evm");
        if (claims.pubkeyHash == 0) revert ClaimsInconsistent("pubkey-hash");
        if (claims.resp == 0) revert ClaimsInconsistent("resp");
        if (claims.keys == 0) revert ClaimsInconsistent("keys");
        if (claims.boot == 0) revert ClaimsInconsistent("boot");
        if (claims.launch == 0) revert ClaimsInconsistent("launch");
        if ((claims.gpuDigest == 0) != (claims.gpuCount == 0)) revert ClaimsInconsistent("gpu");
        if ((claims.receiptsRoot == 0) != (claims.receiptsCount == 0)) revert ClaimsInconsistent("receipts");
        if (claims.anchorHash == 0 && claims.anchorNumber != 0) revert ClaimsInconsistent("anchor");
    }

    /// @dev The first `length` bytes of `expected` must be next. Returns the offset behind them.
    function _expect(bytes calldata buffer, uint256 offset, bytes32 expected, uint256 length)
        private
        pure
        returns (uint256)
    {
        unchecked {
            if (uint256(_word(buffer, offset) ^ expected) >> (256 - 8 * length) != 0) {
                revert ClaimsMalformed(offset);
            }
            return offset + length;
        }
    }

    /// @dev An unsigned integer in its shortest form. Returns it and the offset behind it.
    function _uint(bytes calldata buffer, uint256 offset, uint256 most)
        private
        pure
        returns (uint256 value, uint256 next)
    {
        unchecked {
            uint256 word = uint256(_word(buffer, offset));
            uint256 first = word >> 248;
            if (first < 24) {
                value = first;
                next = offset + 1;
            } else {
                if (first > 27) revert ClaimsMalformed(offset);
                uint256 width = 2 ** (first - 24);
                value = (word << 8) >> (256 - 8 * width);
                next = offset + 1 + width;
                // What fits into half the width, or into the head itself, has a shorter form.
                if (value < 24 || (width > 1 && value >> (4 * width) == 0)) revert ClaimsMalformed(offset);
            }
            if (value > most) revert ClaimsMalformed(offset);
        }
    }

    function _word(bytes calldata buffer, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(buffer.offset, offset))
        }
    }
}
