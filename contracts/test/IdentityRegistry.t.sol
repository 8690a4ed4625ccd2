// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {IAgentObserver} from "../src/interfaces/IObservers.sol";
import {IdentityRegistry as Registry} from "../src/identity/IdentityRegistry.sol";
import {Observed} from "../src/trust/Observed.sol";
import {Test} from "./Vm.sol";

/// A smart account that consents to everything, or to nothing.
contract Wallet {
    bool public consents;

    constructor(bool consents_) {
        consents = consents_;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return consents ? bytes4(0x1626ba7e) : bytes4(0);
    }
}

/// Registers an agent and, as its receiver, looks at what is written by then.
contract Receiver {
    Registry public immutable registry;
    bytes4 public immutable answer;
    address public walletSeen;
    uint64 public epochSeen;

    constructor(Registry registry_, bytes4 answer_) {
        registry = registry_;
        answer = answer_;
    }

    function register() external returns (uint256) {
        return registry.register("uri");
    }

    function onERC721Received(address, address, uint256 agentId, bytes calldata) external returns (bytes4) {
        walletSeen = registry.getAgentWallet(agentId);
        epochSeen = registry.agentEpoch(agentId);
        return answer;
    }
}

/// Hears of agents that move, as it was told to.
contract AgentListener is IAgentObserver {
    enum Manner {
        Listens,
        Reverts,
        BurnsGas,
        AnswersAtLength
    }

    Manner public manner;
    uint256 public agentId;
    uint64 public epoch;
    uint256 public told;

    error NotListening();

    function turn(Manner manner_) external {
        manner = manner_;
    }

    function agentMoved(uint256 agentId_, uint64 epoch_) external {
        if (manner == Manner.Reverts) revert NotListening();
        if (manner == Manner.BurnsGas) {
            for (uint256 i = 1; i > 0; i++) {}
        }
        if (manner == Manner.AnswersAtLength) {
            assembly ("memory-safe") {
                return(0, 10000)
            }
        }
        (agentId, epoch) = (agentId_, epoch_);
        told++;
    }
}

contract IdentityRegistryTest is Test {
    uint256 constant START = 1_800_000_000;
    uint256 constant WALLET_SECRET = 0xA11CE;
    address constant GOVERNANCE = address(0x60);
    address constant REVOKER = address(0x61);
    address constant ALICE = address(0xA0);
    address constant BOB = address(0xB0);
    address constant STRANGER = address(0xC0);

    Registry registry;
    address wallet;
    uint256 id;

    function setUp() public {
        vm.warp(START);
        registry = new Registry(GOVERNANCE, REVOKER, 48 hours);
        wallet = vm.addr(WALLET_SECRET);
        vm.prank(ALICE);
        id = registry.register("ipfs://file");
    }

    // ------------------------------------------------------------------ registration

    function test_register_idsFromOne() public {
        require(id == 1 && registry.totalAgents() == 1);
        require(!registry.agentExists(0) && registry.agentExists(1) && !registry.agentExists(2));
        vm.prank(BOB);
        require(registry.register() == 2 && registry.totalAgents() == 2);
        require(bytes(registry.tokenURI(2)).length == 0);
    }

    function test_register_state() public view {
        require(registry.ownerOf(id) == ALICE && registry.balanceOf(ALICE) == 1);
        require(keccak256(bytes(registry.tokenURI(id))) == keccak256("ipfs://file"));
        require(registry.agentEpoch(id) == 1 && registry.getAgentWallet(id) == ALICE);
        require(keccak256(registry.getMetadata(id, "agentWallet")) == keccak256(abi.encodePacked(ALICE)));
    }

    function test_register_events() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.Registered(2, "u", BOB);
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.MetadataSet(2, "agentWallet", "agentWallet", abi.encodePacked(BOB));
        vm.prank(BOB);
        registry.register("u");
    }

    function test_register_withMetadata() public {
        Registry.MetadataEntry[] memory entries = new Registry.MetadataEntry[](2);
        entries[0] = Registry.MetadataEntry("measurement", hex"01");
        entries[1] = Registry.MetadataEntry("endpoint", "https://n.example");
        vm.prank(BOB);
        uint256 second = registry.register("u", entries);
        require(keccak256(registry.getMetadata(second, "measurement")) == keccak256(hex"01"));
        require(keccak256(registry.getMetadata(second, "endpoint")) == keccak256("https://n.example"));
    }

    function test_register_refusesReservedKey() public {
        Registry.MetadataEntry[] memory entries = new Registry.MetadataEntry[](1);
        entries[0] = Registry.MetadataEntry("agentWallet", abi.encodePacked(BOB));
        vm.expectRevert(Registry.ReservedKey.selector);
        registry.register("u", entries);
    }

    function test_register_refusesLongKeyAndValue() public {
        Registry.MetadataEntry[] memory entries = new Registry.MetadataEntry[](1);
        entries[0] = Registry.MetadataEntry(string(new bytes(257)), "");
        vm.expectRevert(abi.encodeWithSelector(Registry.KeyTooLong.selector, 257, 256));
        registry.register("u", entries);
        entries[0] = Registry.MetadataEntry("k", new bytes(8193));
        vm.expectRevert(abi.encodeWithSelector(Registry.ValueTooLong.selector, 8193, 8192));
        registry.register("u", entries);
    }

    function test_register_receiverSeesAFinishedAgent() public {
        Receiver receiver = new Receiver(registry, 0x150b7a02);
        uint256 agent = receiver.register();
        require(registry.ownerOf(agent) == address(receiver));
        require(receiver.walletSeen() == address(receiver) && receiver.epochSeen() == 1);
    }

    function test_register_refusedByReceiver() public {
        Receiver receiver = new Receiver(registry, 0);
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(receiver)));
        receiver.register();
    }

    function test_register_withMetadata_refusedByReceiver() public {
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(this)));
        registry.register("u", new Registry.MetadataEntry[](0));
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(this)));
        registry.register();
    }

    // ------------------------------------------------------------------ epochs

    function test_transfer_startsAnEpochAndClearsTheWallet() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.MetadataSet(id, "agentWallet", "agentWallet", "");
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.EpochStarted(id, 2, BOB);
        vm.prank(ALICE);
        registry.transferFrom(ALICE, BOB, id);
        require(registry.agentEpoch(id) == 2 && registry.getAgentWallet(id) == address(0));
        require(registry.getMetadata(id, "agentWallet").length == 0);
    }

    function test_transfer_backIsAnotherEpoch() public {
        vm.prank(ALICE);
        registry.transferFrom(ALICE, BOB, id);
        vm.prank(BOB);
        registry.transferFrom(BOB, ALICE, id);
        require(registry.agentEpoch(id) == 3);
    }

    function test_transfer_byAnyWayStartsAnEpoch() public {
        vm.prank(ALICE);
        registry.approve(STRANGER, id);
        vm.prank(STRANGER);
        registry.safeTransferFrom(ALICE, BOB, id);
        vm.prank(BOB);
        registry.safeTransferFrom(BOB, ALICE, id, "data");
        require(registry.agentEpoch(id) == 3);
        require(!registry.isAuthorized(id, STRANGER));
    }

    function test_agentEpoch_zeroForNoAgent() public view {
        require(registry.agentEpoch(0) == 0 && registry.agentEpoch(2) == 0);
    }

    function testFuzz_epochCountsTransfers(uint8 transfers) public {
        address owner = ALICE;
        for (uint256 i = 0; i < transfers % 16; i++) {
            // forge-lint: disable-next-line(unsafe-typecast)
            address next = address(uint160(0x1000 + i));
            vm.prank(owner);
            registry.transferFrom(owner, next, id);
            owner = next;
        }
        require(registry.agentEpoch(id) == uint64(transfers % 16) + 1);
    }

    // ------------------------------------------------------------------ URI and metadata

    function test_setAgentURI_andItsAlias() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.URIUpdated(id, "a", ALICE);
        vm.prank(ALICE);
        registry.setAgentURI(id, "a");
        vm.prank(ALICE);
        registry.setAgentUri(id, "b");
        require(keccak256(bytes(registry.tokenURI(id))) == keccak256("b"));
    }

    function test_setters_allowOperators() public {
        vm.prank(ALICE);
        registry.approve(BOB, id);
        vm.prank(BOB);
        registry.setAgentURI(id, "a");
        vm.prank(ALICE);
        registry.setApprovalForAll(STRANGER, true);
        vm.prank(STRANGER);
        registry.setMetadata(id, "k", "v");
        vm.prank(STRANGER);
        registry.unsetAgentWallet(id);
        require(registry.isAuthorized(id, ALICE) && registry.isAuthorized(id, BOB));
        require(registry.isAuthorized(id, STRANGER) && registry.isAuthorizedOrOwner(STRANGER, id));
        require(!registry.isAuthorized(id, address(0xD0)) && !registry.isAuthorizedOrOwner(address(0xD0), id));
    }

    function testFuzz_setters_refuseOthers(address caller) public {
        vm.assume(caller != ALICE);
        vm.startPrank(caller);
        bytes memory refusal = abi.encodeWithSelector(Registry.NotAuthorized.selector, id, caller);
        vm.expectRevert(refusal);
        registry.setAgentURI(id, "x");
        vm.expectRevert(refusal);
        registry.setAgentUri(id, "x");
        vm.expectRevert(refusal);
        registry.setMetadata(id, "k", "v");
        vm.expectRevert(refusal);
        registry.setAgentWallet(id, caller, START, "");
        vm.expectRevert(refusal);
        registry.unsetAgentWallet(id);
        vm.stopPrank();
    }

    function test_setters_refuseAgentsThatDoNotExist() public {
        bytes memory refusal = abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 7);
        vm.expectRevert(refusal);
        registry.setAgentURI(7, "x");
        vm.expectRevert(refusal);
        registry.setAgentUri(7, "x");
        vm.expectRevert(refusal);
        registry.setMetadata(7, "k", "v");
        vm.expectRevert(refusal);
        registry.setAgentWallet(7, ALICE, START, "");
        vm.expectRevert(refusal);
        registry.unsetAgentWallet(7);
        vm.expectRevert(refusal);
        registry.ownerOf(7);
        vm.expectRevert(refusal);
        registry.isAuthorized(7, ALICE);
        vm.expectRevert(refusal);
        registry.isAuthorizedOrOwner(ALICE, 7);
    }

    function test_setMetadata_limits() public {
        vm.startPrank(ALICE);
        registry.setMetadata(id, string(new bytes(256)), new bytes(8192));
        require(registry.getMetadata(id, string(new bytes(256))).length == 8192);
        vm.expectRevert(abi.encodeWithSelector(Registry.KeyTooLong.selector, 257, 256));
        registry.setMetadata(id, string(new bytes(257)), "");
        vm.expectRevert(abi.encodeWithSelector(Registry.ValueTooLong.selector, 8193, 8192));
        registry.setMetadata(id, "k", new bytes(8193));
        vm.expectRevert(Registry.ReservedKey.selector);
        registry.setMetadata(id, "agentWallet", abi.encodePacked(BOB));
        vm.stopPrank();
    }

    function testFuzz_setMetadata(bytes32 key, bytes calldata value) public {
        vm.assume(value.length <= 8192);
        string memory name = string(abi.encodePacked(key));
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.MetadataSet(id, name, name, value);
        vm.prank(ALICE);
        registry.setMetadata(id, name, value);
        require(keccak256(registry.getMetadata(id, name)) == keccak256(value));
    }

    // ------------------------------------------------------------------ wallet

    function test_setAgentWallet() public {
        bytes memory signature = _consent(id, wallet, ALICE, START + 300);
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.MetadataSet(id, "agentWallet", "agentWallet", abi.encodePacked(wallet));
        vm.prank(ALICE);
        registry.setAgentWallet(id, wallet, START + 300, signature);
        require(registry.getAgentWallet(id) == wallet);
    }

    function test_setAgentWallet_smartAccount() public {
        address smart = address(new Wallet(true));
        vm.prank(ALICE);
        registry.setAgentWallet(id, smart, START + 300, "whatever");
        require(registry.getAgentWallet(id) == smart);
    }

    function test_setAgentWallet_refusesSmartAccountThatRefuses() public {
        address smart = address(new Wallet(false));
        vm.expectRevert(abi.encodeWithSelector(Registry.InvalidConsent.selector, smart));
        vm.prank(ALICE);
        registry.setAgentWallet(id, smart, START + 300, "whatever");
    }

    function test_setAgentWallet_refusesZero() public {
        vm.expectRevert(Registry.ZeroWallet.selector);
        vm.prank(ALICE);
        registry.setAgentWallet(id, address(0), START + 300, "");
    }

    function test_setAgentWallet_refusesExpiredAndTooLong() public {
        bytes memory signature = _consent(id, wallet, ALICE, START - 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.ConsentExpired.selector, START - 1));
        vm.prank(ALICE);
        registry.setAgentWallet(id, wallet, START - 1, signature);
        signature = _consent(id, wallet, ALICE, START + 301);
        vm.expectRevert(abi.encodeWithSelector(Registry.ConsentTooLong.selector, START + 301, START + 300));
        vm.prank(ALICE);
        registry.setAgentWallet(id, wallet, START + 301, signature);
    }

    function test_setAgentWallet_refusesConsentToSomethingElse() public {
        vm.prank(ALICE);
        uint256 second = registry.register();
        bytes[4] memory signatures = [
            _consent(second, wallet, ALICE, START + 300),
            _consent(id, BOB, ALICE, START + 300),
            _consent(id, wallet, BOB, START + 300),
            _consent(id, wallet, ALICE, START + 299)
        ];
        for (uint256 i = 0; i < signatures.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(Registry.InvalidConsent.selector, wallet));
            vm.prank(ALICE);
            registry.setAgentWallet(id, wallet, START + 300, signatures[i]);
        }
    }

    function test_setAgentWallet_consentDoesNotOutliveTheOwner() public {
        bytes memory signature = _consent(id, wallet, ALICE, START + 300);
        vm.prank(ALICE);
        registry.transferFrom(ALICE, BOB, id);
        vm.expectRevert(abi.encodeWithSelector(Registry.InvalidConsent.selector, wallet));
        vm.prank(BOB);
        registry.setAgentWallet(id, wallet, START + 300, signature);
    }

    function test_unsetAgentWallet() public {
        vm.prank(ALICE);
        registry.unsetAgentWallet(id);
        require(registry.getAgentWallet(id) == address(0) && registry.agentEpoch(id) == 1);
    }

    // ------------------------------------------------------------------ the rest

    function test_names() public view {
        require(keccak256(bytes(registry.name())) == keccak256("AgentIdentity"));
        require(keccak256(bytes(registry.symbol())) == keccak256("AGENT"));
        require(keccak256(bytes(registry.getVersion())) == keccak256("2.0.0"));
        require(registry.supportsInterface(0x80ac58cd) && registry.supportsInterface(0x5b5e139f));
        require(registry.supportsInterface(0x49064906) && registry.supportsInterface(0x01ffc9a7));
    }

    function _consent(uint256 agentId, address newWallet, address owner, uint256 deadline)
        private
        view
        returns (bytes memory)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ERC8004IdentityRegistry"),
                keccak256("1"),
                block.chainid,
                address(registry)
            )
        );
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)"),
                agentId,
                newWallet,
                owner,
                deadline
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(WALLET_SECRET, keccak256(abi.encodePacked(hex"1901", domain, hash)));
        return abi.encodePacked(r, s, v);
    }

    // ------------------------------------------------------------------ observers

    function _observe() private returns (AgentListener listener) {
        listener = new AgentListener();
        bytes memory call = abi.encodeCall(registry.addObserver, (address(listener)));
        vm.startPrank(GOVERNANCE);
        registry.announce(call);
        vm.warp(block.timestamp + 48 hours);
        registry.addObserver(address(listener));
        vm.stopPrank();
    }

    function test_observer_hearsOfMoves() public {
        AgentListener listener = _observe();
        require(registry.isObserver(address(listener)) && !registry.isObserver(STRANGER));
        // Told once about no agent, when it was added; a new agent is no move.
        require(listener.told() == 1 && listener.agentId() == 0 && listener.epoch() == 0);
        vm.prank(ALICE);
        registry.register();
        require(listener.told() == 1);
        vm.prank(ALICE);
        registry.transferFrom(ALICE, BOB, id);
        require(listener.told() == 2 && listener.agentId() == id && listener.epoch() == 2);
        vm.prank(BOB);
        registry.safeTransferFrom(BOB, ALICE, id);
        require(listener.told() == 3 && listener.epoch() == 3 && registry.agentEpoch(id) == 3);
    }

    /// One that reverts, burns all its gas, or answers at length: the agent moves, at a bounded cost.
    function test_observer_blocksNothing() public {
        AgentListener listener = _observe();
        for (uint256 i = 1; i <= 3; i++) {
            listener.turn(AgentListener.Manner(i));
            (address from, address to) = i % 2 == 1 ? (ALICE, BOB) : (BOB, ALICE);
            if (i < 3) {
                vm.expectEmit(true, true, true, true, address(registry));
                emit Observed.ObserverFailed(address(listener));
            }
            uint256 before = gasleft();
            vm.prank(from);
            registry.transferFrom(from, to, id);
            require(before - gasleft() < 130_000, "cost");
            require(registry.ownerOf(id) == to && registry.agentEpoch(id) == i + 1);
        }
        require(listener.told() == 1);
    }

    function test_observer_isBounded() public {
        AgentListener[5] memory listeners;
        vm.startPrank(GOVERNANCE);
        for (uint256 i = 0; i < 5; i++) {
            listeners[i] = new AgentListener();
            registry.announce(abi.encodeCall(registry.addObserver, (address(listeners[i]))));
        }
        vm.warp(block.timestamp + 48 hours);
        for (uint256 i = 0; i < 4; i++) {
            registry.addObserver(address(listeners[i]));
        }
        vm.expectRevert(Observed.TooManyObservers.selector);
        registry.addObserver(address(listeners[4]));
        vm.stopPrank();
        for (uint256 i = 0; i < 4; i++) {
            listeners[i].turn(AgentListener.Manner.BurnsGas);
        }
        vm.prank(ALICE);
        uint256 before = gasleft();
        registry.transferFrom(ALICE, BOB, id);
        require(before - gasleft() < 300_000, "cost");
    }

    /// The caller can't keep the news from observers by giving little gas.
    function test_observer_isGivenItsGas() public {
        AgentListener listener = _observe();
        uint256 refused;
        for (uint256 gas_ = 30_000; gas_ <= 200_000; gas_ += 5_000) {
            uint256 told = listener.told();
            (address from, address to) = registry.ownerOf(id) == ALICE ? (ALICE, BOB) : (BOB, ALICE);
            bytes memory call = abi.encodeCall(registry.transferFrom, (from, to, id));
            vm.prank(from);
            (bool moved, bytes memory reason) = address(registry).call{gas: gas_}(call);
            require(moved == (listener.told() == told + 1), "moved without news");
            // An error's first bytes are its selector.
            // forge-lint: disable-next-line(unsafe-typecast)
            if (!moved && bytes4(reason) == Observed.TooLittleGas.selector) refused++;
        }
        require(listener.told() > 1 && refused > 0);
    }

    function test_observer_isForGovernanceAlone() public {
        AgentListener listener = new AgentListener();
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", ALICE));
        registry.addObserver(address(listener));
        bytes memory call = abi.encodeCall(registry.addObserver, (address(listener)));
        vm.prank(GOVERNANCE);
        vm.expectRevert(abi.encodeWithSignature("NotAnnounced(bytes32)", keccak256(call)));
        registry.addObserver(address(listener));
        // And the revoker may refuse it.
        vm.prank(GOVERNANCE);
        registry.announce(call);
        vm.prank(REVOKER);
        registry.veto(keccak256(call));
        vm.warp(block.timestamp + 48 hours);
        vm.prank(GOVERNANCE);
        vm.expectRevert(abi.encodeWithSignature("NotAnnounced(bytes32)", keccak256(call)));
        registry.addObserver(address(listener));
        // Something that doesn't listen is found at once.
        call = abi.encodeCall(registry.addObserver, (ALICE));
        vm.startPrank(GOVERNANCE);
        registry.announce(call);
        vm.warp(block.timestamp + 48 hours);
        vm.expectRevert(abi.encodeWithSelector(Observed.ObserverUnfit.selector, ALICE));
        registry.addObserver(ALICE);
        vm.stopPrank();
    }
}
