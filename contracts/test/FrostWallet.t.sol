// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IAccount, PackedUserOperation} from "@openzeppelin/contracts/interfaces/IERC4337.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {IERC1155Receiver} from "@openzeppelin/contracts/token/ERC1155/IERC1155Receiver.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {FrostWallet} from "../src/wallet/FrostWallet.sol";
import {FrostWalletFactory} from "../src/wallet/FrostWalletFactory.sol";
import {FrostSigner} from "./FrostSigner.sol";
import {FrostVectors} from "./vectors/FrostVectors.sol";

contract Nft is ERC721("n", "n") {
    function give(address to) external {
        _safeMint(to, 1);
    }
}

contract Items is ERC1155("i") {
    function give(address to) external {
        _mint(to, 1, 5, "");
        uint256[] memory ids = new uint256[](2);
        uint256[] memory amounts = new uint256[](2);
        (ids[0], ids[1], amounts[0], amounts[1]) = (2, 3, 1, 1);
        _mintBatch(to, ids, amounts, "");
    }
}

/// Counts calls, refuses on demand, and can call back.
contract Target {
    error No(uint256 why);

    uint256 public calls;
    address public last;
    bytes public callback;

    function poke(uint256 x) external payable returns (uint256) {
        calls++;
        last = msg.sender;
        return x + 1;
    }

    function refuse(uint256 why) external pure {
        revert No(why);
    }

    function setCallback(bytes calldata data) external {
        callback = data;
    }

    function callBack() external {
        (bool ok, bytes memory answer) = msg.sender.call(callback);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(answer, 0x20), mload(answer))
        }
    }

    /// Sends with 2,300 gas, as old contracts do.
    function payOut(address payable to) external {
        to.transfer(1 ether);
    }
}

contract FrostWalletTest is FrostSigner {
    uint64 constant START = 1_800_000_000;
    uint64 constant LATER = START + 1 hours;
    uint256 constant SECRET = 0xc0ffee;
    uint256 constant NEXT = 0xdecaf;
    address constant ENTRY_POINT = 0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108;
    address constant RECOVERER = address(0xB0);
    address constant STRANGER = address(0xC0);

    FrostWalletFactory factory;
    FrostWallet wallet;
    Target target;
    uint256 px;
    uint8 parity;
    uint256 nextX;
    uint8 nextParity;

    function setUp() public {
        vm.warp(START);
        factory = new FrostWalletFactory(ENTRY_POINT);
        (px, parity) = groupKey(SECRET);
        (nextX, nextParity) = groupKey(NEXT);
        wallet = factory.deploy(px, parity);
        target = new Target();
        vm.deal(address(wallet), 10 ether);
    }

    // ------------------------------------------------------------------ factory and address

    function test_factory_constructor_refusesZeroEntryPoint() public {
        vm.expectRevert(FrostWalletFactory.ZeroAccount.selector);
        new FrostWalletFactory(address(0));
    }

    function test_deploy() public {
        address expected = factory.addressOf(nextX, nextParity);
        require(expected.code.length == 0);
        vm.expectEmit(true, true, true, true, expected);
        emit FrostWallet.KeyChanged(nextX, nextParity);
        vm.expectEmit(true, true, true, true, address(factory));
        emit FrostWalletFactory.WalletDeployed(expected, nextX, nextParity);
        vm.prank(STRANGER);
        FrostWallet made = factory.deploy(nextX, nextParity);
        require(address(made) == expected && made.entryPoint() == ENTRY_POINT && made.factory() == address(factory));
        (uint256 x, uint8 yParity) = made.key();
        require(x == nextX && yParity == nextParity && made.nonce() == 0 && made.recoverer() == address(0));
    }

    function test_deploy_isIdempotent() public {
        bytes32 digest = wallet.executeDigest(address(target), 0, abi.encodeCall(Target.poke, (1)), 0, LATER);
        wallet.execute(address(target), 0, abi.encodeCall(Target.poke, (1)), 0, LATER, frost(SECRET, digest));
        require(address(factory.deploy(px, parity)) == address(wallet) && wallet.nonce() == 1, "state kept");
    }

    /// With too little gas for the proxy nothing is made, and the caller is told.
    function test_deploy_withTooLittleGas() public {
        bytes memory call = abi.encodeCall(factory.deploy, (nextX, nextParity));
        bytes4 refusal = Errors.FailedDeployment.selector;
        bool told;
        for (uint256 gas_ = 20_000; !told; gas_ += 1_000) {
            (bool done, bytes memory reason) = address(factory).call{gas: gas_}(call);
            require(!done);
            told = keccak256(reason) == keccak256(abi.encodePacked(refusal));
        }
        require(factory.addressOf(nextX, nextParity).code.length == 0);
    }

    function test_deploy_andAddressOf_refuseInvalidKeys() public {
        bytes memory refusal = abi.encodeWithSelector(FrostWalletFactory.InvalidPublicKey.selector, 5, 0);
        vm.expectRevert(refusal);
        factory.deploy(5, 0);
        vm.expectRevert(refusal);
        factory.addressOf(5, 0);
        vm.expectRevert(abi.encodeWithSelector(FrostWalletFactory.InvalidPublicKey.selector, px, 2));
        factory.addressOf(px, 2);
    }

    /// What the seed returned from keygen was an address that nobody could ever use; here the address is computed from the
    /// key, by the formula in the factory's comment, and the wallet that comes there opens to the key.
    function testFuzz_seedBug_walletAddressWithoutKey(uint256 secret) public {
        secret = secret % (ORDER - 1) + 1;
        (uint256 x, uint8 yParity) = groupKey(secret);
        address predicted = _predict(address(factory), compressed(secret));
        require(factory.addressOf(x, yParity) == predicted);
        FrostWallet made = factory.deploy(x, yParity);
        require(address(made) == predicted);
        bytes32 hash = keccak256("hello");
        require(made.isValidSignature(hash, frost(secret, made.messageDigest(hash))) == 0x1626ba7e);
    }

    /// The golden values that stand in the factory's comment, which clients in other languages test against.
    function test_addressFormula_golden() public view {
        address place = 0x1111111111111111111111111111111111111111;
        require(
            keccak256(_initCode(place)) == 0x91a10a5af4bac55cbc77480bacea564fa086fa8570e6c51a0cdcb23ea2e75afe, "hash"
        );
        (bytes memory key,,) = FrostVectors.rfc();
        require(_predict(place, key) == 0x7cd21c31c98F5FE95Ce130e8EfC3aABCc0748768, "address");
        require(factory.initCodeHash() == keccak256(_initCode(address(factory))));
        require(factory.saltOf(px, parity) == keccak256(abi.encodePacked(uint8(2 + parity), px)));
    }

    function test_addressDependsOnParityAndFactory() public {
        require(factory.addressOf(px, 0) != factory.addressOf(px, 1));
        require(new FrostWalletFactory(ENTRY_POINT).addressOf(px, parity) != address(wallet));
    }

    function test_initialize_onlyFactoryAndOnce() public {
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotFactory.selector, STRANGER));
        vm.prank(STRANGER);
        wallet.initialize(nextX, nextParity);
        vm.expectRevert(FrostWallet.AlreadyInitialized.selector);
        vm.prank(address(factory));
        wallet.initialize(nextX, nextParity);
    }

    /// The implementation has no key, so nobody can act as it.
    function test_implementationIsInert() public {
        FrostWallet implementation = factory.implementation();
        bytes32 hash = keccak256("x");
        bytes memory signature = frost(SECRET, implementation.messageDigest(hash));
        require(implementation.isValidSignature(hash, signature) == 0xffffffff);
        signature = frost(SECRET, implementation.executeDigest(address(target), 0, "", 0, LATER));
        vm.expectRevert(FrostWallet.InvalidSignature.selector);
        implementation.execute(address(target), 0, "", 0, LATER, signature);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotFactory.selector, address(this)));
        implementation.initialize(px, parity);
    }

    // ------------------------------------------------------------------ receiving

    function test_receivesEtherAlsoWithLittleGas() public {
        vm.deal(address(target), 2 ether);
        target.payOut(payable(address(wallet)));
        (bool ok,) = address(wallet).call{value: 1 ether}("");
        require(ok && address(wallet).balance == 12 ether);
        (ok,) = address(wallet).call{value: 1 ether}(hex"12345678");
        require(!ok, "unknown function");
    }

    function test_receivesBeforeItIsDeployed() public {
        address payable place = payable(factory.addressOf(nextX, nextParity));
        vm.deal(place, 3 ether);
        FrostWallet made = factory.deploy(nextX, nextParity);
        bytes memory signature = frost(NEXT, made.executeDigest(STRANGER, 3 ether, "", 0, LATER));
        made.execute(STRANGER, 3 ether, "", 0, LATER, signature);
        require(STRANGER.balance == 3 ether);
    }

    function test_receivesTokens() public {
        new Nft().give(address(wallet));
        new Items().give(address(wallet));
        require(wallet.supportsInterface(type(IERC165).interfaceId));
        require(wallet.supportsInterface(type(IERC1271).interfaceId));
        require(wallet.supportsInterface(type(IAccount).interfaceId));
        require(wallet.supportsInterface(type(IERC721Receiver).interfaceId));
        require(wallet.supportsInterface(type(IERC1155Receiver).interfaceId));
        require(!wallet.supportsInterface(0xffffffff));
    }

    // ------------------------------------------------------------------ ERC-1271

    function testFuzz_isValidSignature(bytes32 hash) public {
        bytes32 digest = typed(
            "Jeju Frost Wallet", address(wallet), keccak256(abi.encode(keccak256("WalletMessage(bytes32 hash)"), hash))
        );
        require(wallet.messageDigest(hash) == digest);
        require(wallet.isValidSignature(hash, frost(SECRET, digest)) == 0x1626ba7e);
        require(wallet.isValidSignature(hash, frostLong(SECRET, digest)) == 0x1626ba7e);
        require(SignatureChecker.isValidSignatureNow(address(wallet), hash, frost(SECRET, digest)));
        require(wallet.isValidSignature(hash, frost(NEXT, digest)) == 0xffffffff);
        require(wallet.isValidSignature(hash, frost(SECRET, hash)) == 0xffffffff, "hash signed as it is");
        require(wallet.isValidSignature(keccak256(abi.encode(hash)), frost(SECRET, digest)) == 0xffffffff);
        require(wallet.isValidSignature(hash, "") == 0xffffffff);
    }

    function test_isValidSignature_notAtAnotherWalletOfTheKeyOrChain() public {
        bytes32 hash = keccak256("order");
        bytes memory signature = frost(SECRET, wallet.messageDigest(hash));
        FrostWallet other = new FrostWalletFactory(ENTRY_POINT).deploy(px, parity);
        require(other.isValidSignature(hash, signature) == 0xffffffff);
        vm.chainId(1);
        require(wallet.isValidSignature(hash, signature) == 0xffffffff);
        require(wallet.isValidSignature(hash, frost(SECRET, wallet.messageDigest(hash))) == 0x1626ba7e);
    }

    // ------------------------------------------------------------------ execute

    function test_execute() public {
        bytes memory data = abi.encodeCall(Target.poke, (41));
        bytes32 digest = wallet.executeDigest(address(target), 1 ether, data, 0, LATER);
        bytes memory signature = frost(SECRET, digest);
        vm.expectEmit(true, true, true, true, address(wallet));
        emit FrostWallet.Executed(0, digest);
        vm.prank(STRANGER);
        bytes memory result = wallet.execute(address(target), 1 ether, data, 0, LATER, signature);
        require(abi.decode(result, (uint256)) == 42 && target.last() == address(wallet));
        require(address(target).balance == 1 ether && wallet.nonce() == 1);
    }

    function test_executeDigest_isEip712() public view {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Execute(address to,uint256 value,bytes data,uint256 nonce,uint64 deadline)"),
                STRANGER,
                uint256(3),
                keccak256(hex"1234"),
                uint256(9),
                LATER
            )
        );
        require(
            wallet.executeDigest(STRANGER, 3, hex"1234", 9, LATER)
                == typed("Jeju Frost Wallet", address(wallet), structHash)
        );
    }

    function test_execute_refusesReplay() public {
        bytes memory data = abi.encodeCall(Target.poke, (1));
        bytes memory signature = frost(SECRET, wallet.executeDigest(address(target), 0, data, 0, LATER));
        wallet.execute(address(target), 0, data, 0, LATER, signature);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.WrongNonce.selector, 0, 1));
        wallet.execute(address(target), 0, data, 0, LATER, signature);
        vm.expectRevert(FrostWallet.InvalidSignature.selector);
        wallet.execute(address(target), 0, data, 1, LATER, signature);
    }

    function test_execute_refusesFutureNonce() public {
        bytes memory signature = frost(SECRET, wallet.executeDigest(address(target), 0, "", 1, LATER));
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.WrongNonce.selector, 1, 0));
        wallet.execute(address(target), 0, "", 1, LATER, signature);
    }

    function test_execute_refusesAfterTheDeadline() public {
        bytes memory signature = frost(SECRET, wallet.executeDigest(STRANGER, 0, "", 0, LATER));
        vm.warp(LATER + 1);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.Expired.selector, LATER));
        wallet.execute(STRANGER, 0, "", 0, LATER, signature);
        vm.warp(LATER);
        wallet.execute(STRANGER, 0, "", 0, LATER, signature);
    }

    function testFuzz_execute_bindsEveryField(uint8 field, address to, uint256 value, bytes calldata data) public {
        bytes memory signature = frost(SECRET, wallet.executeDigest(address(target), 1, hex"1234", 0, LATER));
        vm.assume(to != address(target) && value != 1 && keccak256(data) != keccak256(hex"1234"));
        vm.expectRevert(FrostWallet.InvalidSignature.selector);
        if (field % 4 == 0) wallet.execute(to, 1, hex"1234", 0, LATER, signature);
        else if (field % 4 == 1) wallet.execute(address(target), value, hex"1234", 0, LATER, signature);
        else if (field % 4 == 2) wallet.execute(address(target), 1, data, 0, LATER, signature);
        else wallet.execute(address(target), 1, hex"1234", 0, LATER + 1, signature);
    }

    function test_execute_refusesOtherWalletOfTheKey() public {
        FrostWallet other = new FrostWalletFactory(ENTRY_POINT).deploy(px, parity);
        bytes memory signature = frost(SECRET, wallet.executeDigest(STRANGER, 0, "", 0, LATER));
        vm.expectRevert(FrostWallet.InvalidSignature.selector);
        other.execute(STRANGER, 0, "", 0, LATER, signature);
    }

    function test_execute_refusesErc1271Signature() public {
        bytes32 digest = wallet.executeDigest(STRANGER, 1, "", 0, LATER);
        bytes memory signature = frost(SECRET, wallet.messageDigest(digest));
        vm.expectRevert(FrostWallet.InvalidSignature.selector);
        wallet.execute(STRANGER, 1, "", 0, LATER, signature);
    }

    function test_execute_passesOnTheTargetsRefusal() public {
        bytes memory data = abi.encodeCall(Target.refuse, (9));
        bytes memory signature = frost(SECRET, wallet.executeDigest(address(target), 0, data, 0, LATER));
        vm.expectRevert(abi.encodeWithSelector(Target.No.selector, 9));
        wallet.execute(address(target), 0, data, 0, LATER, signature);
        require(wallet.nonce() == 0);
    }

    function test_execute_cantBeEnteredAgainWithTheSameSignature() public {
        bytes memory data = abi.encodeCall(Target.callBack, ());
        bytes memory signature = frost(SECRET, wallet.executeDigest(address(target), 0, data, 0, LATER));
        target.setCallback(
            abi.encodeWithSignature(
                "execute(address,uint256,bytes,uint256,uint64,bytes)", address(target), 0, data, 0, LATER, signature
            )
        );
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.WrongNonce.selector, 0, 1));
        wallet.execute(address(target), 0, data, 0, LATER, signature);
    }

    // ------------------------------------------------------------------ executeBatch

    function test_executeBatch() public {
        FrostWallet.Call[] memory calls = _calls();
        bytes32 digest = wallet.batchDigest(calls, 0, LATER);
        bytes memory signature = frost(SECRET, digest);
        vm.expectEmit(true, true, true, true, address(wallet));
        emit FrostWallet.Executed(0, digest);
        wallet.executeBatch(calls, 0, LATER, signature);
        require(target.calls() == 1 && STRANGER.balance == 2 ether && wallet.nonce() == 1);
    }

    function test_batchDigest_isEip712() public view {
        FrostWallet.Call[] memory calls = _calls();
        bytes32 callType = keccak256("Call(address to,uint256 value,bytes data)");
        bytes32 batchType = keccak256(
            "ExecuteBatch(Call[] calls,uint256 nonce,uint64 deadline)Call(address to,uint256 value,bytes data)"
        );
        bytes memory hashes = abi.encodePacked(
            keccak256(abi.encode(callType, calls[0].to, calls[0].value, keccak256(calls[0].data))),
            keccak256(abi.encode(callType, calls[1].to, calls[1].value, keccak256(calls[1].data)))
        );
        bytes32 structHash = keccak256(abi.encode(batchType, keccak256(hashes), uint256(0), LATER));
        require(wallet.batchDigest(calls, 0, LATER) == typed("Jeju Frost Wallet", address(wallet), structHash));
    }

    function test_executeBatch_isAllOrNothing() public {
        FrostWallet.Call[] memory calls = _calls();
        calls[1] = FrostWallet.Call(address(target), 0, abi.encodeCall(Target.refuse, (3)));
        bytes memory signature = frost(SECRET, wallet.batchDigest(calls, 0, LATER));
        vm.expectRevert(abi.encodeWithSelector(Target.No.selector, 3));
        wallet.executeBatch(calls, 0, LATER, signature);
        require(target.calls() == 0 && wallet.nonce() == 0);
    }

    function test_executeBatch_refuses() public {
        FrostWallet.Call[] memory calls = _calls();
        bytes memory signature = frost(SECRET, wallet.batchDigest(calls, 0, LATER));
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.WrongNonce.selector, 1, 0));
        wallet.executeBatch(calls, 1, LATER, signature);
        (calls[0], calls[1]) = (calls[1], calls[0]);
        vm.expectRevert(FrostWallet.InvalidSignature.selector);
        wallet.executeBatch(calls, 0, LATER, signature);
        vm.warp(LATER + 1);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.Expired.selector, LATER));
        wallet.executeBatch(calls, 0, LATER, signature);
    }

    // ------------------------------------------------------------------ ERC-4337

    function test_validateUserOp() public {
        bytes32 hash = keccak256("op");
        PackedUserOperation memory op;
        op.sender = address(wallet);
        op.signature = frost(SECRET, hash);
        vm.prank(ENTRY_POINT);
        require(wallet.validateUserOp(op, hash, 1 ether) == 0);
        require(ENTRY_POINT.balance == 1 ether && wallet.nonce() == 0);

        // A wrong signature is answered, not reverted, so that bundlers can estimate; the entry point refuses then.
        vm.prank(ENTRY_POINT);
        require(wallet.validateUserOp(op, keccak256("other"), 0) == 1);
        op.signature = "";
        vm.prank(ENTRY_POINT);
        require(wallet.validateUserOp(op, hash, 0) == 1);
    }

    function test_validateUserOp_leavesMissingFundsToTheEntryPoint() public {
        bytes32 hash = keccak256("op");
        PackedUserOperation memory op;
        op.signature = frost(SECRET, hash);
        vm.prank(ENTRY_POINT);
        require(wallet.validateUserOp(op, hash, 11 ether) == 0);
        require(ENTRY_POINT.balance == 0);
    }

    function testFuzz_entryPointOnly(address caller) public {
        vm.assume(caller != ENTRY_POINT);
        bytes memory refusal = abi.encodeWithSelector(FrostWallet.NotEntryPoint.selector, caller);
        PackedUserOperation memory op;
        vm.expectRevert(refusal);
        vm.prank(caller);
        wallet.validateUserOp(op, 0, 0);
        vm.expectRevert(refusal);
        vm.prank(caller);
        wallet.execute(STRANGER, 1, "");
        FrostWallet.Call[] memory calls = _calls();
        vm.expectRevert(refusal);
        vm.prank(caller);
        wallet.executeBatch(calls);
    }

    function test_entryPointExecutes() public {
        vm.prank(ENTRY_POINT);
        bytes memory result = wallet.execute(address(target), 0, abi.encodeCall(Target.poke, (1)));
        require(abi.decode(result, (uint256)) == 2);
        FrostWallet.Call[] memory calls = _calls();
        vm.prank(ENTRY_POINT);
        wallet.executeBatch(calls);
        require(target.calls() == 2 && STRANGER.balance == 2 ether);
    }

    // ------------------------------------------------------------------ recovery

    function test_recovery() public {
        _setRecovery(RECOVERER, 2 days);
        require(wallet.recoverer() == RECOVERER && wallet.recoveryDelay() == 2 days);
        vm.expectEmit(true, true, true, true, address(wallet));
        emit FrostWallet.RecoveryProposed(nextX, nextParity, START + 2 days);
        _proposeRecovery();
        require(wallet.recoveryX() == nextX && wallet.recoveryParity() == nextParity);
        require(wallet.recoveryReadyAt() == START + 2 days);

        vm.warp(START + 2 days - 1);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.TooEarly.selector, START + 2 days));
        vm.prank(RECOVERER);
        wallet.completeRecovery();

        vm.warp(START + 2 days);
        vm.expectEmit(true, true, true, true, address(wallet));
        emit FrostWallet.KeyChanged(nextX, nextParity);
        vm.prank(RECOVERER);
        wallet.completeRecovery();
        bytes32 digest = wallet.messageDigest(0);
        require(wallet.isValidSignature(0, frost(NEXT, digest)) == 0x1626ba7e);
        require(wallet.isValidSignature(0, frost(SECRET, digest)) == 0xffffffff);
        require(wallet.recoveryX() == 0 && wallet.recoveryReadyAt() == 0 && wallet.recoverer() == RECOVERER);

        vm.expectRevert(FrostWallet.NoRecovery.selector);
        vm.prank(RECOVERER);
        wallet.completeRecovery();
    }

    function test_recovery_isCancelledByTheGroup() public {
        _setRecovery(RECOVERER, 2 days);
        _proposeRecovery();
        vm.warp(START + 2 days);
        bytes memory data = abi.encodeCall(FrostWallet.cancelRecovery, ());
        bytes memory signature = frost(SECRET, wallet.executeDigest(address(wallet), 0, data, 1, START + 3 days));
        vm.expectEmit(true, true, true, true, address(wallet));
        emit FrostWallet.RecoveryCancelled(nextX);
        wallet.execute(address(wallet), 0, data, 1, START + 3 days, signature);
        vm.expectRevert(FrostWallet.NoRecovery.selector);
        vm.prank(RECOVERER);
        wallet.completeRecovery();

        vm.expectRevert(FrostWallet.NoRecovery.selector);
        vm.prank(address(wallet));
        wallet.cancelRecovery();
    }

    function test_recovery_endsWithItsRecoverer() public {
        _setRecovery(RECOVERER, 2 days);
        _proposeRecovery();
        vm.expectEmit(true, true, true, true, address(wallet));
        emit FrostWallet.RecoveryCancelled(nextX);
        _setRecovery(address(0), 2 days);
        vm.warp(START + 2 days);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotRecoverer.selector, RECOVERER));
        vm.prank(RECOVERER);
        wallet.completeRecovery();
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotRecoverer.selector, RECOVERER));
        vm.prank(RECOVERER);
        wallet.proposeRecovery(nextX, nextParity);
    }

    function test_recovery_proposalsWaitAnew() public {
        _setRecovery(RECOVERER, 2 days);
        _proposeRecovery();
        vm.warp(START + 2 days);
        _proposeRecovery();
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.TooEarly.selector, START + 4 days));
        vm.prank(RECOVERER);
        wallet.completeRecovery();
    }

    function test_proposeRecovery_refusesInvalidKey() public {
        _setRecovery(RECOVERER, 2 days);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.InvalidPublicKey.selector, 5, 0));
        vm.prank(RECOVERER);
        wallet.proposeRecovery(5, 0);
    }

    /// The group moves to another key by itself, with the wait.
    function test_recovery_byTheGroupItself() public {
        _setRecovery(address(wallet), 2 days);
        vm.prank(ENTRY_POINT);
        wallet.execute(address(wallet), 0, abi.encodeCall(FrostWallet.proposeRecovery, (nextX, nextParity)));
        vm.warp(START + 2 days);
        vm.prank(ENTRY_POINT);
        wallet.execute(address(wallet), 0, abi.encodeCall(FrostWallet.completeRecovery, ()));
        (uint256 x,) = wallet.key();
        require(x == nextX);
    }

    function testFuzz_recovery_roles(address caller) public {
        vm.assume(caller != RECOVERER && caller != address(wallet));
        _setRecovery(RECOVERER, 2 days);
        _proposeRecovery();
        vm.warp(START + 2 days);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotRecoverer.selector, caller));
        vm.prank(caller);
        wallet.proposeRecovery(px, parity);
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotRecoverer.selector, caller));
        vm.prank(caller);
        wallet.completeRecovery();
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotSelf.selector, caller));
        vm.prank(caller);
        wallet.cancelRecovery();
        vm.expectRevert(abi.encodeWithSelector(FrostWallet.NotSelf.selector, caller));
        vm.prank(caller);
        wallet.setRecovery(caller, 2 days);
    }

    function testFuzz_setRecovery_boundsTheDelay(uint64 delay) public {
        vm.assume(delay < 2 days || delay > 365 days);
        vm.expectRevert(
            abi.encodeWithSelector(FrostWallet.DelayOutOfBounds.selector, delay, uint64(2 days), uint64(365 days))
        );
        vm.prank(address(wallet));
        wallet.setRecovery(RECOVERER, delay);
    }

    // ------------------------------------------------------------------ steps

    /// By an operation that the group signed.
    function _setRecovery(address recoverer, uint64 delay) private {
        bytes memory data = abi.encodeCall(FrostWallet.setRecovery, (recoverer, delay));
        uint64 nonce = wallet.nonce();
        bytes memory signature = frost(SECRET, wallet.executeDigest(address(wallet), 0, data, nonce, LATER));
        wallet.execute(address(wallet), 0, data, nonce, LATER, signature);
    }

    function _proposeRecovery() private {
        vm.prank(RECOVERER);
        wallet.proposeRecovery(nextX, nextParity);
    }

    function _calls() private view returns (FrostWallet.Call[] memory calls) {
        calls = new FrostWallet.Call[](2);
        calls[0] = FrostWallet.Call(address(target), 1, abi.encodeCall(Target.poke, (1)));
        calls[1] = FrostWallet.Call(STRANGER, 2 ether, "");
    }

    function _initCode(address place) private pure returns (bytes memory) {
        address implementation = address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", place, hex"01")))));
        return abi.encodePacked(
            hex"60338060095f395ff336600557005b365f5f375f5f365f73", implementation, hex"5af43d5f5f3e602f573d5ffd5b3d5ff3"
        );
    }

    function _predict(address place, bytes memory key) private pure returns (address) {
        return Create2.computeAddress(keccak256(key), keccak256(_initCode(place)), place);
    }
}
