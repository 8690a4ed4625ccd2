// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// The clock is the tests' own, ids are short literals, and casts cut what was bounded before.
// forge-lint: disable-start(block-timestamp, unsafe-typecast)

import {ClaimsBuffer} from "../src/trust/ClaimsBuffer.sol";
import {ClaimsEncoder} from "./TrustFixture.sol";
import {Test} from "./Vm.sol";

contract ClaimsBufferTest is Test {
    /// `attestation/tests/vectors/claims-epoch.hex`, and its SHA-256 as in `claims-epoch.report-data.hex`.
    bytes constant GOLDEN =
        hex"b26365766d582102070707070707070707070707070707070707070707070707070707070707070763677075825820000000000000000000000000000000000000000000000000000000000000000000636c6f675820000000000000000000000000000000000000000000000000000000000000000064626f6f745004040404040404040404040404040404646b65797358200303030303030303030303030303030303030303030303030303030303030303646d6f64650064726573705820020202020202020202020202020202020202020202020202020202020202020264726f6c6500656167656e745820080808080808080808080808080808080808080808080808080808080808080865636861696e82197a695409090909090909090909090909090909090909096565706f636805656e6f6e63655820000000000000000000000000000000000000000000000000000000000000000066616e63686f72820a58200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b666c61756e636858200606060606060606060606060606060606060606060606060606060606060606676368616e6e656c582000000000000000000000000000000000000000000000000000000000000000006770726f66696c65781d7461673a6a656a752c323032363a6e6f64652d65766964656e63652f31687265636569707473830000582000000000000000000000000000000000000000000000000000000000000000006b7075626b65792d686173685824820158200101010101010101010101010101010101010101010101010101010101010101";
    bytes32 constant GOLDEN_DIGEST = 0x42ce2fddd71edfa105a5523656aa6c1091e47c4fe201a10096e150fd744036c8;

    function parse(bytes calldata buffer) external pure returns (ClaimsBuffer.Claims memory) {
        return ClaimsBuffer.parse(buffer);
    }

    function test_golden() public view {
        require(sha256(GOLDEN) == GOLDEN_DIGEST);
        ClaimsBuffer.Claims memory c = this.parse(GOLDEN);
        require(keccak256(abi.encode(c)) == keccak256(abi.encode(_golden())));
        require(keccak256(ClaimsEncoder.encode(c)) == keccak256(GOLDEN), "the encoder of the tests agrees");
    }

    function testFuzz_roundTrip(ClaimsBuffer.Claims memory c) public view {
        _makeConsistent(c);
        require(keccak256(abi.encode(this.parse(ClaimsEncoder.encode(c)))) == keccak256(abi.encode(c)));
    }

    /// Whatever is read has one encoding: the bytes that were read.
    function testFuzz_changedByteIsRefusedOrMeansSomethingElse(
        ClaimsBuffer.Claims memory c,
        uint256 where,
        uint8 change
    ) public view {
        _makeConsistent(c);
        bytes memory buffer = ClaimsEncoder.encode(c);
        buffer[where % buffer.length] ^= bytes1(change);
        _parsesToItself(buffer);
    }

    function testFuzz_insertedOrRemovedByteIsRefused(ClaimsBuffer.Claims memory c, uint256 where, uint8 value)
        public
        view
    {
        _makeConsistent(c);
        bytes memory buffer = ClaimsEncoder.encode(c);
        where %= buffer.length;
        bytes memory head = _slice(buffer, 0, where);
        _parsesToItself(abi.encodePacked(head, value, _slice(buffer, where, buffer.length)));
        _parsesToItself(abi.encodePacked(head, _slice(buffer, where + 1, buffer.length)));
    }

    /// The five integers in every longer form, each placed where the format has it.
    function testFuzz_longFormsAreRefused(uint64 value, uint8 width) public view {
        bytes memory shortest = ClaimsEncoder.uint_(value);
        width = width % 4;
        // forge-lint: disable-next-line(incorrect-shift)
        if (width < 3 && value >> (8 << width) != 0) return;
        bytes memory form;
        if (width == 0) form = abi.encodePacked(uint8(24), uint8(value));
        else if (width == 1) form = abi.encodePacked(uint8(25), uint16(value));
        else if (width == 2) form = abi.encodePacked(uint8(26), uint32(value));
        else form = abi.encodePacked(uint8(27), value);
        ClaimsBuffer.Claims memory c = _golden();
        c.anchorNumber = value;
        bytes memory buffer = ClaimsEncoder.encode(c);
        uint256 place = _find(buffer, "anchor") + 7;
        bytes memory other =
            abi.encodePacked(_slice(buffer, 0, place), form, _slice(buffer, place + shortest.length, buffer.length));
        if (keccak256(form) == keccak256(shortest)) {
            require(this.parse(other).anchorNumber == value);
        } else {
            require(!_parses(other), "long form");
        }
    }

    function test_reservedHeadsAreRefused() public {
        ClaimsBuffer.Claims memory c = _golden();
        bytes memory buffer = ClaimsEncoder.encode(c);
        uint256 place = _find(buffer, "epoch") + 5;
        for (uint256 head = 28; head < 256; head++) {
            buffer[place] = bytes1(uint8(head));
            vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsMalformed.selector, place));
            this.parse(buffer);
        }
    }

    function test_everyCutIsRefused() public view {
        for (uint256 length = 0; length < GOLDEN.length; length++) {
            require(!_parses(_slice(GOLDEN, 0, length)));
        }
    }

    function test_refusesTrailingBytes() public {
        vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsLength.selector, GOLDEN.length + 1));
        this.parse(abi.encodePacked(GOLDEN, uint8(0)));
    }

    function test_refusesTooLong() public {
        vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsLength.selector, 641));
        this.parse(new bytes(641));
    }

    function test_largestFits() public view {
        ClaimsBuffer.Claims memory c = _golden();
        (c.mode, c.nonce, c.channel) = (3, keccak256("n"), keccak256("c"));
        (c.gpuCount, c.gpuDigest) = (255, keccak256("g"));
        (c.chainId, c.anchorNumber) = (type(uint64).max, type(uint64).max);
        (c.epoch, c.receiptsEpoch, c.receiptsCount) = (type(uint32).max, type(uint32).max, type(uint32).max);
        c.receiptsRoot = keccak256("r");
        bytes memory buffer = ClaimsEncoder.encode(c);
        require(buffer.length <= ClaimsBuffer.MAX_LENGTH);
        this.parse(buffer);
    }

    function test_refusesOtherProfile() public {
        bytes memory buffer = GOLDEN;
        uint256 place = _find(buffer, "evidence/1");
        buffer[place + 9] = "2";
        vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsMalformed.selector, _find(buffer, "tag:jeju")));
        this.parse(buffer);
    }

    function test_refusesIntegersOutOfRange() public {
        ClaimsBuffer.Claims memory c = _golden();
        bytes memory buffer = ClaimsEncoder.encode(c);
        uint256 place = _find(buffer, "mode") + 4;
        buffer[place] = 0x05;
        vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsMalformed.selector, place));
        this.parse(buffer);
        buffer[place] = 0x00;
        place = _find(buffer, "role") + 4;
        buffer[place] = 0x02;
        vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsMalformed.selector, place));
        this.parse(buffer);
        buffer[place] = 0x00;
        place = _find(buffer, "epoch") + 5;
        buffer = abi.encodePacked(
            _slice(buffer, 0, place), hex"1b0000000100000000", _slice(buffer, place + 1, buffer.length)
        );
        vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsMalformed.selector, place));
        this.parse(buffer);
    }

    function test_refusesInconsistentClaims() public {
        ClaimsBuffer.Claims memory c = _golden();
        c.nonce = keccak256("n");
        _expectInconsistent(c, "nonce");
        c.nonce = 0;
        c.channel = keccak256("c");
        _expectInconsistent(c, "channel");
        c.channel = 0;
        for (uint8 mode = 1; mode <= 4; mode++) {
            c.mode = mode;
            _expectInconsistent(c, "nonce");
            c.nonce = keccak256("n");
            bool channel = mode == 2 || mode == 3;
            c.channel = channel ? bytes32(0) : keccak256("c");
            _expectInconsistent(c, "channel");
            c.channel = channel ? keccak256("c") : bytes32(0);
            this.parse(ClaimsEncoder.encode(c));
            (c.nonce, c.channel) = (bytes32(0), bytes32(0));
        }
        c = _golden();
        c.evmParity = 4;
        _expectInconsistent(c, "evm");
        c = _golden();
        c.pubkeyHash = 0;
        _expectInconsistent(c, "pubkey-hash");
        c = _golden();
        c.resp = 0;
        _expectInconsistent(c, "resp");
        c = _golden();
        c.keys = 0;
        _expectInconsistent(c, "keys");
        c = _golden();
        c.boot = 0;
        _expectInconsistent(c, "boot");
        c = _golden();
        c.launch = 0;
        _expectInconsistent(c, "launch");
        c = _golden();
        c.gpuCount = 1;
        _expectInconsistent(c, "gpu");
        c = _golden();
        c.gpuDigest = keccak256("g");
        _expectInconsistent(c, "gpu");
        c = _golden();
        c.receiptsCount = 1;
        _expectInconsistent(c, "receipts");
        c = _golden();
        c.anchorHash = 0;
        _expectInconsistent(c, "anchor");
    }

    // ------------------------------------------------------------------ steps

    function _golden() private pure returns (ClaimsBuffer.Claims memory c) {
        c.evmParity = 2;
        c.evmX = _repeat(7);
        c.boot = bytes16(_repeat(4));
        c.keys = _repeat(3);
        c.resp = _repeat(2);
        c.agent = _repeat(8);
        c.chainId = 31337;
        c.registry = address(bytes20(_repeat(9)));
        c.epoch = 5;
        c.anchorNumber = 10;
        c.anchorHash = _repeat(11);
        c.launch = _repeat(6);
        c.pubkeyHash = _repeat(1);
    }

    function _repeat(uint8 value) private pure returns (bytes32) {
        return bytes32(type(uint256).max / 255 * value);
    }

    function _makeConsistent(ClaimsBuffer.Claims memory c) private pure {
        c.evmParity = 2 + c.evmParity % 2;
        c.mode %= 5;
        c.role %= 2;
        if (c.mode == 0) c.nonce = 0;
        else if (c.nonce == 0) c.nonce = keccak256("n");
        if (c.mode != 2 && c.mode != 3) c.channel = 0;
        else if (c.channel == 0) c.channel = keccak256("c");
        if (c.pubkeyHash == 0) c.pubkeyHash = keccak256("p");
        if (c.resp == 0) c.resp = keccak256("r");
        if (c.keys == 0) c.keys = keccak256("k");
        if (c.boot == 0) c.boot = bytes16("boot");
        if (c.launch == 0) c.launch = keccak256("l");
        if (c.gpuDigest == 0) c.gpuCount = 0;
        if (c.gpuCount == 0) c.gpuDigest = 0;
        if (c.receiptsRoot == 0) c.receiptsCount = 0;
        if (c.receiptsCount == 0) c.receiptsRoot = 0;
        if (c.anchorHash == 0) c.anchorNumber = 0;
    }

    function _expectInconsistent(ClaimsBuffer.Claims memory c, bytes32 claim) private {
        bytes memory buffer = ClaimsEncoder.encode(c);
        vm.expectRevert(abi.encodeWithSelector(ClaimsBuffer.ClaimsInconsistent.selector, claim));
        this.parse(buffer);
    }

    function _parses(bytes memory buffer) private view returns (bool) {
        try this.parse(buffer) {
            return true;
        } catch {
            return false;
        }
    }

    function _parsesToItself(bytes memory buffer) private view {
        try this.parse(buffer) returns (ClaimsBuffer.Claims memory read) {
            require(keccak256(ClaimsEncoder.encode(read)) == keccak256(buffer), "two encodings");
        } catch {}
    }

    function _slice(bytes memory buffer, uint256 from, uint256 to) private pure returns (bytes memory part) {
        part = new bytes(to - from);
        for (uint256 i = 0; i < part.length; i++) {
            part[i] = buffer[from + i];
        }
    }

    function _find(bytes memory buffer, bytes memory text) private pure returns (uint256) {
        for (uint256 i = 0; i + text.length <= buffer.length; i++) {
            if (keccak256(_slice(buffer, i, i + text.length)) == keccak256(text)) return i;
        }
        revert("not there");
    }
}
// forge-lint: disable-end(block-timestamp, unsafe-typecast)
