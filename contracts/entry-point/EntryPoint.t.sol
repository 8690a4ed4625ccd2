// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PackedUserOperation} from "@openzeppelin/contracts/interfaces/IERC4337.sol";
import {FrostWallet} from "../src/wallet/FrostWallet.sol";
import {FrostWalletFactory} from "../src/wallet/FrostWalletFactory.sol";
import {FrostSigner} from "../test/FrostSigner.sol";

/// What is called of the entry point of ERC-4337, version 0.8.
interface IEntryPoint {
    function depositTo(address account) external payable;
    function balanceOf(address account) external view returns (uint256);
    function getNonce(address sender, uint192 key) external view returns (uint256);
    function getUserOpHash(PackedUserOperation calldata op) external view returns (bytes32);
    function handleOps(PackedUserOperation[] calldata ops, address payable beneficiary) external;
}

interface Files {
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function prank(address sender, address origin) external;
}

/// A wallet of a FROST group behind the entry point that the authors of ERC-4337 have deployed: `entry-point.sh` fetches it.
contract EntryPointTest is FrostSigner {
    uint256 constant SECRET = 0xc0ffee;
    address constant BUNDLER = address(0xB0);
    address payable constant BENEFICIARY = payable(address(0xBE));

    IEntryPoint entryPoint;
    FrostWalletFactory factory;
    uint256 px;
    uint8 parity;
    uint256 public told;

    error FailedOp(uint256 opIndex, string reason);

    function setUp() public {
        Files files = Files(address(vm));
        bytes memory code = files.parseJsonBytes(files.readFile("cache/entry-point/EntryPoint.json"), ".bytecode");
        address made;
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made.code.length > 0, "entry point");
        entryPoint = IEntryPoint(made);
        factory = new FrostWalletFactory(made);
        (px, parity) = groupKey(SECRET);
        vm.deal(address(this), 100 ether);
        vm.deal(BUNDLER, 1 ether);
    }

    function tell(uint256 what) external payable {
        told += what;
    }

    function _operation(address wallet, bytes memory initCode) private view returns (PackedUserOperation memory op) {
        op.sender = wallet;
        op.nonce = entryPoint.getNonce(wallet, 0);
        op.initCode = initCode;
        op.callData =
            abi.encodeWithSignature("execute(address,uint256,bytes)", this, 1 ether, abi.encodeCall(this.tell, (7)));
        op.accountGasLimits = bytes32(uint256(500_000) << 128 | 200_000);
        op.preVerificationGas = 50_000;
        op.gasFees = bytes32(uint256(1 gwei) << 128 | 1 gwei);
    }

    function _signed(PackedUserOperation memory op) private returns (PackedUserOperation[] memory ops) {
        op.signature = frost(SECRET, entryPoint.getUserOpHash(op));
        ops = new PackedUserOperation[](1);
        ops[0] = op;
    }

    /// Bundlers are accounts without code.
    function _handle(PackedUserOperation[] memory ops) private {
        Files(address(vm)).prank(BUNDLER, BUNDLER);
        entryPoint.handleOps(ops, BENEFICIARY);
    }

    function _initCode() private view returns (bytes memory) {
        return abi.encodePacked(factory, abi.encodeCall(factory.deploy, (px, parity)));
    }

    /// The wallet isn't there yet, holds money at the address that its key gives, and pays for its own first operation.
    function test_theFirstOperationMakesTheWallet() public {
        address wallet = factory.addressOf(px, parity);
        vm.deal(wallet, 3 ether);
        require(wallet.code.length == 0, "not there");
        _handle(_signed(_operation(wallet, _initCode())));
        require(wallet.code.length > 0 && told == 7, "made and called");
        require(wallet.balance < 2 ether && BENEFICIARY.balance > 0, "it paid");
        // Another one, from what was deposited for it.
        entryPoint.depositTo{value: 1 ether}(wallet);
        uint256 before = wallet.balance;
        _handle(_signed(_operation(wallet, "")));
        require(told == 14 && wallet.balance == before - 1 ether && entryPoint.balanceOf(wallet) < 2 ether, "deposit");
    }

    function test_whatTheGroupDidNotSignIsRefused() public {
        address wallet = address(factory.deploy(px, parity));
        vm.deal(wallet, 3 ether);
        PackedUserOperation[] memory ops = _signed(_operation(wallet, ""));
        // Another call, another price, another group.
        bytes memory callData = ops[0].callData;
        ops[0].callData =
            abi.encodeWithSignature("execute(address,uint256,bytes)", this, 2 ether, abi.encodeCall(this.tell, (7)));
        _refused(ops, "AA24 signature error");
        ops[0].callData = callData;
        ops[0].gasFees = bytes32(uint256(2 gwei) << 128 | 2 gwei);
        _refused(ops, "AA24 signature error");
        ops = _signed(_operation(wallet, ""));
        ops[0].signature = frost(SECRET + 1, entryPoint.getUserOpHash(ops[0]));
        _refused(ops, "AA24 signature error");
        ops[0].signature = "";
        _refused(ops, "AA24 signature error");
        // One operation counts once, and on this chain.
        ops = _signed(_operation(wallet, ""));
        vm.chainId(5);
        _refused(ops, "AA24 signature error");
        vm.chainId(31337);
        _handle(ops);
        _refused(ops, "AA25 invalid account nonce");
        require(told == 7, "once");
    }

    function test_whoCanNotPayIsRefused() public {
        address wallet = address(factory.deploy(px, parity));
        _refused(_signed(_operation(wallet, "")), "AA21 didn't pay prefund");
    }

    function _refused(PackedUserOperation[] memory ops, string memory reason) private {
        vm.expectRevert(abi.encodeWithSelector(FailedOp.selector, 0, reason));
        _handle(ops);
    }

    receive() external payable {}
}
