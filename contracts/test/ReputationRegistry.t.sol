// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {IdentityRegistry} from "../src/identity/IdentityRegistry.sol";
import {ReputationRegistry as Registry} from "../src/identity/ReputationRegistry.sol";
import {Test} from "./Vm.sol";

contract ReputationRegistryTest is Test {
    bytes32 constant WORD_H = "h";
    address constant OWNER = address(0xA0);
    address constant ONE = address(0xB1);
    address constant TWO = address(0xB2);

    IdentityRegistry identity;
    Registry registry;
    uint256 id;

    function setUp() public {
        identity = new IdentityRegistry(address(0xA0), address(0xB0), 48 hours);
        registry = new Registry(IIdentity(address(identity)));
        vm.prank(OWNER);
        id = identity.register();
    }

    function test_constructor() public {
        require(registry.getIdentityRegistry() == address(identity));
        require(keccak256(bytes(registry.getVersion())) == keccak256("2.0.0"));
        vm.expectRevert(Registry.ZeroAccount.selector);
        new Registry(IIdentity(address(0)));
    }

    // ------------------------------------------------------------------ giving

    function test_giveFeedback() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.NewFeedback(id, ONE, 1, -32, 1, "yield", "yield", "day", "https://e", "ipfs://f", WORD_H);
        vm.prank(ONE);
        registry.giveFeedback(id, -32, 1, "yield", "day", "https://e", "ipfs://f", WORD_H);
        (int128 value, uint8 decimals, string memory tag1, string memory tag2, bool revoked) =
            registry.readFeedback(id, ONE, 1);
        require(value == -32 && decimals == 1 && !revoked);
        require(keccak256(bytes(tag1)) == keccak256("yield") && keccak256(bytes(tag2)) == keccak256("day"));
        require(registry.getLastIndex(id, ONE) == 1 && registry.getClients(id).length == 1);
    }

    function test_giveFeedback_clientIsListedOnce() public {
        _give(ONE, 1, 0, "", "");
        _give(TWO, 1, 0, "", "");
        _give(ONE, 2, 0, "", "");
        address[] memory clients = registry.getClients(id);
        require(clients.length == 2 && clients[0] == ONE && clients[1] == TWO);
        require(registry.getLastIndex(id, ONE) == 2);
    }

    function test_giveFeedback_refusesOwnerAndOperators() public {
        vm.prank(OWNER);
        identity.approve(ONE, id);
        vm.prank(OWNER);
        identity.setApprovalForAll(TWO, true);
        address[3] memory own = [OWNER, ONE, TWO];
        for (uint256 i = 0; i < own.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(Registry.SelfFeedback.selector, id, own[i]));
            vm.prank(own[i]);
            registry.giveFeedback(id, 100, 0, "", "", "", "", 0);
        }
    }

    function test_giveFeedback_refusesUnknownAgent() public {
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 9));
        vm.prank(ONE);
        registry.giveFeedback(9, 1, 0, "", "", "", "", 0);
    }

    function testFuzz_giveFeedback_refusesManyDecimals(uint8 decimals) public {
        vm.assume(decimals > 18);
        vm.expectRevert(abi.encodeWithSelector(Registry.TooManyDecimals.selector, decimals, 18));
        vm.prank(ONE);
        registry.giveFeedback(id, 1, decimals, "", "", "", "", 0);
    }

    // ------------------------------------------------------------------ revoking and answering

    function test_revokeFeedback() public {
        _give(ONE, 5, 0, "", "");
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.FeedbackRevoked(id, ONE, 1);
        vm.prank(ONE);
        registry.revokeFeedback(id, 1);
        (,,,, bool revoked) = registry.readFeedback(id, ONE, 1);
        require(revoked);
        (uint64 count,,) = registry.getSummary(id, _list(ONE), "", "");
        require(count == 0);
        vm.expectRevert(abi.encodeWithSelector(Registry.AlreadyRevoked.selector, id, 1));
        vm.prank(ONE);
        registry.revokeFeedback(id, 1);
    }

    function test_revokeFeedback_ofOthersIsUnknown() public {
        _give(ONE, 5, 0, "", "");
        vm.expectRevert(abi.encodeWithSelector(Registry.UnknownFeedback.selector, id, TWO, 1));
        vm.prank(TWO);
        registry.revokeFeedback(id, 1);
        for (uint64 i = 0; i <= 2; i += 2) {
            vm.expectRevert(abi.encodeWithSelector(Registry.UnknownFeedback.selector, id, ONE, i));
            vm.prank(ONE);
            registry.revokeFeedback(id, i);
        }
    }

    function test_readFeedback_refusesUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(Registry.UnknownFeedback.selector, id, ONE, 1));
        registry.readFeedback(id, ONE, 1);
    }

    function test_appendResponse() public {
        _give(ONE, 5, 0, "", "");
        _give(ONE, 6, 0, "", "");
        _give(TWO, 7, 0, "", "");
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.ResponseAppended(id, ONE, 1, OWNER, "ipfs://r", WORD_H);
        vm.prank(OWNER);
        registry.appendResponse(id, ONE, 1, "ipfs://r", WORD_H);
        vm.prank(OWNER);
        registry.appendResponse(id, ONE, 1, "ipfs://r2", 0);
        vm.prank(TWO);
        registry.appendResponse(id, ONE, 2, "ipfs://r3", 0);
        vm.prank(OWNER);
        registry.appendResponse(id, TWO, 1, "ipfs://r4", 0);

        address[] memory nobody = new address[](0);
        require(registry.getResponseCount(id, ONE, 1, nobody) == 2);
        require(registry.getResponseCount(id, ONE, 0, nobody) == 3);
        require(registry.getResponseCount(id, address(0), 0, nobody) == 4);
        require(registry.getResponseCount(id, address(0), 0, _list(OWNER)) == 3);
        require(registry.getResponseCount(id, ONE, 0, _list(TWO)) == 1);
        (address[] memory page, uint256 total) = registry.getRespondersPage(id, ONE, 1, 0, 10);
        require(total == 1 && page.length == 1 && page[0] == OWNER);
        (page, total) = registry.getRespondersPage(id, ONE, 1, 1, 10);
        require(total == 1 && page.length == 0);
    }

    function test_appendResponse_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(Registry.UnknownFeedback.selector, id, ONE, 1));
        registry.appendResponse(id, ONE, 1, "r", 0);
        _give(ONE, 5, 0, "", "");
        vm.expectRevert(Registry.EmptyResponse.selector);
        registry.appendResponse(id, ONE, 1, "", 0);
    }

    // ------------------------------------------------------------------ reading

    function test_getSummary_meanInTheCommonDecimals() public {
        _give(ONE, 80, 0, "quality", "a");
        _give(ONE, 90, 0, "quality", "b");
        _give(TWO, 855, 1, "quality", "a");
        _give(TWO, 9977, 2, "uptime", "");
        (uint64 count, int128 value, uint8 decimals) = registry.getSummary(id, _list(ONE, TWO), "quality", "");
        require(count == 3 && value == 85 && decimals == 0);
        (count, value, decimals) = registry.getSummary(id, _list(ONE, TWO), "quality", "a");
        require(count == 2 && value == 82 && decimals == 0);
        (count, value, decimals) = registry.getSummary(id, _list(TWO), "uptime", "");
        require(count == 1 && value == 9977 && decimals == 2);
        (count, value, decimals) = registry.getSummary(id, _list(TWO), "nothing", "");
        require(count == 0 && value == 0 && decimals == 0);
    }

    function test_getSummary_refusesNobody() public {
        vm.expectRevert(Registry.ClientsRequired.selector);
        registry.getSummary(id, new address[](0), "", "");
    }

    /// A mean that doesn't fit the common decimals is given with fewer, never cut off.
    function test_getSummary_doesNotWrap() public {
        _give(ONE, type(int128).max, 0, "", "");
        _give(ONE, 1, 18, "", "");
        _give(ONE, 1, 18, "", "");
        (uint64 count, int128 value, uint8 decimals) = registry.getSummary(id, _list(ONE), "", "");
        require(count == 3 && decimals == 0 && value == type(int128).max / 3);
        _give(TWO, type(int128).min, 0, "", "");
        _give(TWO, -1, 18, "", "");
        _give(TWO, -1, 18, "", "");
        (, value,) = registry.getSummary(id, _list(TWO), "", "");
        require(value < 0 && value >= type(int128).min / 3);
    }

    function testFuzz_getSummary_ofOneIsItself(int128 value, uint8 decimals) public {
        decimals = decimals % 19;
        _give(ONE, value, decimals, "", "");
        (uint64 count, int128 mean, uint8 meanDecimals) = registry.getSummary(id, _list(ONE), "", "");
        require(count == 1 && mean == value && meanDecimals == decimals);
    }

    function test_readAllFeedback() public {
        _give(ONE, 1, 0, "a", "x");
        _give(TWO, 2, 1, "b", "y");
        _give(ONE, 3, 2, "a", "y");
        vm.prank(ONE);
        registry.revokeFeedback(id, 1);

        (address[] memory clients, uint64[] memory indexes, int128[] memory values,,,, bool[] memory revoked) =
            registry.readAllFeedback(id, new address[](0), "", "", true);
        require(clients.length == 3 && clients[0] == ONE && indexes[1] == 2 && values[2] == 2 && revoked[0]);
        (clients, indexes, values,,,,) = registry.readAllFeedback(id, new address[](0), "", "", false);
        require(clients.length == 2 && indexes[0] == 2 && values[0] == 3);
        uint8[] memory decimals;
        string[] memory tag1s;
        string[] memory tag2s;
        (clients,,, decimals, tag1s, tag2s,) = registry.readAllFeedback(id, _list(TWO), "b", "y", false);
        require(clients.length == 1 && decimals[0] == 1);
        require(keccak256(bytes(tag1s[0])) == keccak256("b") && keccak256(bytes(tag2s[0])) == keccak256("y"));
        (clients,,,,,,) = registry.readAllFeedback(id, _list(TWO), "b", "x", false);
        require(clients.length == 0);
    }

    function testFuzz_getClientsPage(uint8 offset, uint8 limit) public {
        for (uint160 i = 0; i < 5; i++) {
            _give(address(0x100 + i), 1, 0, "", "");
        }
        (address[] memory page, uint256 total) = registry.getClientsPage(id, offset, limit);
        uint256 left = offset < 5 ? 5 - uint256(offset) : 0;
        require(total == 5 && page.length == (limit < left ? limit : left));
        for (uint256 i = 0; i < page.length; i++) {
            // forge-lint: disable-next-line(unsafe-typecast)
            require(page[i] == address(uint160(0x100 + offset + i)));
        }
    }

    function _give(address client, int128 value, uint8 decimals, string memory tag1, string memory tag2) private {
        vm.prank(client);
        registry.giveFeedback(id, value, decimals, tag1, tag2, "", "", 0);
    }

    function _list(address a) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = a;
    }

    function _list(address a, address b) private pure returns (address[] memory list) {
        list = new address[](2);
        list[0] = a;
        list[1] = b;
    }
}
