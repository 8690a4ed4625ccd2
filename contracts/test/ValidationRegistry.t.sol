// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {IdentityRegistry} from "../src/identity/IdentityRegistry.sol";
import {ValidationRegistry as Registry} from "../src/identity/ValidationRegistry.sol";
import {Test} from "./Vm.sol";

contract ValidationRegistryTest is Test {
    uint256 constant START = 1_800_000_000;
    bytes32 constant WORD_H = "h";
    address constant OWNER = address(0xA0);
    address constant ONE = address(0xB1);
    address constant TWO = address(0xB2);
    bytes32 constant HASH = keccak256("request");

    IdentityRegistry identity;
    Registry registry;
    uint256 id;

    function setUp() public {
        vm.warp(START);
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

    function test_validationRequest() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.ValidationRequest(ONE, id, "ipfs://r", HASH);
        _request(ONE, HASH);
        (address validator, uint256 agentId, uint8 response, bytes32 hash, string memory tag, uint256 at_) =
            registry.getValidationStatus(HASH);
        require(validator == ONE && agentId == id && response == 0 && hash == 0 && bytes(tag).length == 0);
        require(at_ == START && !registry.isAnswered(HASH));
        require(registry.getAgentValidations(id)[0] == HASH && registry.getValidatorRequests(ONE)[0] == HASH);
    }

    function test_validationRequest_byOperator() public {
        vm.prank(OWNER);
        identity.setApprovalForAll(TWO, true);
        vm.prank(TWO);
        registry.validationRequest(ONE, id, "", HASH);
    }

    function testFuzz_validationRequest_refusesOthers(address caller) public {
        vm.assume(caller != OWNER);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotAuthorized.selector, id, caller));
        vm.prank(caller);
        registry.validationRequest(ONE, id, "", HASH);
    }

    function test_validationRequest_refusals() public {
        vm.expectRevert(Registry.ZeroAccount.selector);
        vm.prank(OWNER);
        registry.validationRequest(address(0), id, "", HASH);
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 9));
        vm.prank(OWNER);
        registry.validationRequest(ONE, 9, "", HASH);
        _request(ONE, HASH);
        vm.expectRevert(abi.encodeWithSelector(Registry.AlreadyRequested.selector, HASH));
        vm.prank(OWNER);
        registry.validationRequest(TWO, id, "", HASH);
    }

    function test_validationResponse_again() public {
        _request(ONE, HASH);
        vm.warp(START + 5);
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.ValidationResponse(ONE, id, HASH, 100, "u", WORD_H, "tdx");
        vm.prank(ONE);
        registry.validationResponse(HASH, 100, "u", WORD_H, "tdx");
        require(registry.isAnswered(HASH));
        vm.warp(START + 9);
        vm.prank(ONE);
        registry.validationResponse(HASH, 0, "", 0, "revoked");
        (,, uint8 response,, string memory tag, uint256 lastUpdate) = registry.getValidationStatus(HASH);
        require(response == 0 && lastUpdate == START + 9 && keccak256(bytes(tag)) == keccak256("revoked"));
    }

    function testFuzz_validationResponse_refusesOthers(address caller) public {
        vm.assume(caller != ONE);
        _request(ONE, HASH);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotValidator.selector, HASH, caller));
        vm.prank(caller);
        registry.validationResponse(HASH, 1, "", 0, "");
    }

    function testFuzz_validationResponse_refusesMoreThanHundred(uint8 response) public {
        vm.assume(response > 100);
        _request(ONE, HASH);
        vm.expectRevert(abi.encodeWithSelector(Registry.ResponseTooLarge.selector, response, 100));
        vm.prank(ONE);
        registry.validationResponse(HASH, response, "", 0, "");
    }

    function test_unknownRequest() public {
        bytes memory refusal = abi.encodeWithSelector(Registry.UnknownRequest.selector, HASH);
        vm.expectRevert(refusal);
        registry.validationResponse(HASH, 1, "", 0, "");
        vm.expectRevert(refusal);
        registry.getValidationStatus(HASH);
        vm.expectRevert(refusal);
        registry.isAnswered(HASH);
    }

    function test_getSummary() public {
        _request(ONE, "1");
        _request(ONE, "2");
        _request(TWO, "3");
        _request(TWO, "4");
        _respond(ONE, "1", 100, "tdx");
        _respond(ONE, "2", 50, "snp");
        _respond(TWO, "3", 1, "tdx");
        (uint64 count, uint8 mean) = registry.getSummary(id, new address[](0), "");
        require(count == 3 && mean == 50);
        (count, mean) = registry.getSummary(id, new address[](0), "tdx");
        require(count == 2 && mean == 50);
        address[] memory chosen = new address[](1);
        chosen[0] = ONE;
        (count, mean) = registry.getSummary(id, chosen, "");
        require(count == 2 && mean == 75);
        chosen[0] = OWNER;
        (count, mean) = registry.getSummary(id, chosen, "");
        require(count == 0 && mean == 0);
    }

    function testFuzz_pages(uint8 offset, uint8 limit) public {
        for (uint256 i = 0; i < 5; i++) {
            _request(ONE, bytes32(i));
        }
        (bytes32[] memory page, uint256 total) = registry.getAgentValidationsPage(id, offset, limit);
        (bytes32[] memory same, uint256 sameTotal) = registry.getValidatorRequestsPage(ONE, offset, limit);
        uint256 left = offset < 5 ? 5 - uint256(offset) : 0;
        require(total == 5 && sameTotal == 5 && page.length == (limit < left ? limit : left));
        require(same.length == page.length);
        for (uint256 i = 0; i < page.length; i++) {
            require(page[i] == bytes32(offset + i) && same[i] == page[i]);
        }
    }

    function _request(address validator, bytes32 hash) private {
        vm.prank(OWNER);
        registry.validationRequest(validator, id, "ipfs://r", hash);
    }

    function _respond(address validator, bytes32 hash, uint8 response, string memory tag) private {
        vm.prank(validator);
        registry.validationResponse(hash, response, "", 0, tag);
    }
}
