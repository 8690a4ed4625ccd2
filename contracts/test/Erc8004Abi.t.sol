// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {IdentityRegistry} from "../src/identity/IdentityRegistry.sol";
import {ReputationRegistry} from "../src/identity/ReputationRegistry.sol";
import {ValidationRegistry} from "../src/identity/ValidationRegistry.sol";
import {Test} from "./Vm.sol";

/// The functions and events of the draft's published ABIs (erc-8004/erc-8004-contracts, abis/, commit b9e466c), without
/// what belongs to its upgradeable proxies: initialize, owner, transferOwnership, renounceOwnership, proxiableUUID,
/// upgradeToAndCall, UPGRADE_INTERFACE_VERSION.
contract Erc8004AbiTest is Test {
    IdentityRegistry identity = new IdentityRegistry(address(0xA0), address(0xB0), 48 hours);
    ReputationRegistry reputation = new ReputationRegistry(IIdentity(address(identity)));
    ValidationRegistry validation = new ValidationRegistry(IIdentity(address(identity)));

    function test_identityFunctions() public view {
        string[24] memory functions = [
            "approve(address,uint256)",
            "balanceOf(address)",
            "eip712Domain()",
            "getAgentWallet(uint256)",
            "getApproved(uint256)",
            "getMetadata(uint256,string)",
            "getVersion()",
            "isApprovedForAll(address,address)",
            "name()",
            "ownerOf(uint256)",
            "register()",
            "register(string,(string,bytes)[])",
            "register(string)",
            "safeTransferFrom(address,address,uint256)",
            "safeTransferFrom(address,address,uint256,bytes)",
            "setAgentURI(uint256,string)",
            "setAgentWallet(uint256,address,uint256,bytes)",
            "setApprovalForAll(address,bool)",
            "setMetadata(uint256,string,bytes)",
            "supportsInterface(bytes4)",
            "symbol()",
            "tokenURI(uint256)",
            "transferFrom(address,address,uint256)",
            "unsetAgentWallet(uint256)"
        ];
        for (uint256 i = 0; i < functions.length; i++) {
            _requireFunction(address(identity), functions[i]);
        }
    }

    /// What clients of the older registry call.
    function test_identityFunctionsOfOlderClients() public view {
        _requireFunction(address(identity), "setAgentUri(uint256,string)");
        _requireFunction(address(identity), "agentExists(uint256)");
        _requireFunction(address(identity), "totalAgents()");
        _requireFunction(address(identity), "isAuthorizedOrOwner(address,uint256)");
    }

    function test_reputationFunctions() public view {
        string[11] memory functions = [
            "appendResponse(uint256,address,uint64,string,bytes32)",
            "getClients(uint256)",
            "getIdentityRegistry()",
            "getLastIndex(uint256,address)",
            "getResponseCount(uint256,address,uint64,address[])",
            "getSummary(uint256,address[],string,string)",
            "getVersion()",
            "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)",
            "readAllFeedback(uint256,address[],string,string,bool)",
            "readFeedback(uint256,address,uint64)",
            "revokeFeedback(uint256,uint64)"
        ];
        for (uint256 i = 0; i < functions.length; i++) {
            _requireFunction(address(reputation), functions[i]);
        }
    }

    function test_validationFunctions() public view {
        string[8] memory functions = [
            "getAgentValidations(uint256)",
            "getIdentityRegistry()",
            "getSummary(uint256,address[],string)",
            "getValidationStatus(bytes32)",
            "getValidatorRequests(address)",
            "getVersion()",
            "validationRequest(address,uint256,string,bytes32)",
            "validationResponse(bytes32,uint8,string,bytes32,string)"
        ];
        for (uint256 i = 0; i < functions.length; i++) {
            _requireFunction(address(validation), functions[i]);
        }
    }

    function test_events() public pure {
        require(IdentityRegistry.Registered.selector == keccak256("Registered(uint256,string,address)"));
        require(IdentityRegistry.MetadataSet.selector == keccak256("MetadataSet(uint256,string,string,bytes)"));
        require(IdentityRegistry.URIUpdated.selector == keccak256("URIUpdated(uint256,string,address)"));
        require(
            ReputationRegistry.NewFeedback.selector
                == keccak256(
                    "NewFeedback(uint256,address,uint64,int128,uint8,string,string,string,string,string,bytes32)"
                )
        );
        require(ReputationRegistry.FeedbackRevoked.selector == keccak256("FeedbackRevoked(uint256,address,uint64)"));
        require(
            ReputationRegistry.ResponseAppended.selector
                == keccak256("ResponseAppended(uint256,address,uint64,address,string,bytes32)")
        );
        require(
            ValidationRegistry.ValidationRequest.selector
                == keccak256("ValidationRequest(address,uint256,string,bytes32)")
        );
        require(
            ValidationRegistry.ValidationResponse.selector
                == keccak256("ValidationResponse(address,uint256,bytes32,uint8,string,bytes32,string)")
        );
    }

    /// Nobody has a role over agents and what is said of them: nothing to pause, nobody to ban. Who owns the identity registry
    /// may name observers there, and nothing else.
    function test_noRoles() public view {
        require(!_hasFunction(address(reputation), "owner()") && !_hasFunction(address(validation), "owner()"));
        address[3] memory registries = [address(identity), address(reputation), address(validation)];
        string[5] memory roles = [
            "pause()",
            "banAgent(uint256)",
            "banAgent(uint256,string)",
            "burn(uint256)",
            "slashAgent(uint256,uint256,string)"
        ];
        for (uint256 i = 0; i < registries.length; i++) {
            for (uint256 j = 0; j < roles.length; j++) {
                require(!_hasFunction(registries[i], roles[j]), roles[j]);
            }
        }
    }

    function _requireFunction(address target, string memory signature) private view {
        require(_hasFunction(target, signature), signature);
    }

    /// The dispatcher compares with the selector, pushed as four bytes, or three where the first is zero.
    function _hasFunction(address target, string memory signature) private view returns (bool) {
        bytes memory code = target.code;
        uint32 selector = uint32(bytes4(keccak256(bytes(signature))));
        for (uint256 i = 0; i + 5 <= code.length; i++) {
            if (code[i] != 0x62 && code[i] != 0x63) continue;
            uint256 pushed;
            assembly ("memory-safe") {
                pushed := shr(224, mload(add(add(code, 33), i)))
            }
            if (code[i] == 0x62) pushed >>= 8;
            if (pushed == selector) return true;
        }
        return false;
    }
}
