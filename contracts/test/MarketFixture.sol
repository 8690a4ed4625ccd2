// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IdentityRegistry} from "../src/identity/IdentityRegistry.sol";
import {IAttestedKeys} from "../src/interfaces/ITrust.sol";
import {IProviders} from "../src/interfaces/ILedger.sol";
import {ComputeRegistry} from "../src/market/ComputeRegistry.sol";
import {InferenceServing as Serving, Voucher} from "../src/market/InferenceServing.sol";
import {LedgerManager as Ledger} from "../src/market/LedgerManager.sol";
import {Receipt, Receipts} from "../src/market/Receipts.sol";
import {Test} from "./Vm.sol";

/// Stands in for `AttestedKeyRegistry`: a key lives as long as a test says, and signatures are recovered.
contract SigningKeys is IAttestedKeys {
    error NotLive(address key);

    mapping(address key => uint256) private _agents;

    function set(address key, uint256 agentId) external {
        _agents[key] = agentId;
    }

    function isLive(address key) external view returns (bool) {
        return _agents[key] != 0;
    }

    function agentOf(address key) external view returns (uint256, uint64) {
        return (_agents[key], 0);
    }

    function checkSignature(bytes32 digest, bytes calldata signature) external view returns (address key, uint256) {
        key = ECDSA.recoverCalldata(digest, signature);
        if (_agents[key] == 0) revert NotLive(key);
        return (key, _agents[key]);
    }
}

/// An ERC-1271 account that accepts what its owner signed, and refuses money if told so.
contract Account1271 {
    address public immutable owner;
    bool public deaf;

    constructor(address owner_) {
        owner = owner_;
    }

    function setDeaf(bool deaf_) external {
        deaf = deaf_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recoverCalldata(digest, signature) == owner ? this.isValidSignature.selector : bytes4(0);
    }

    receive() external payable {
        require(!deaf);
    }
}

/// Calls its target again while it is paid.
contract Reentrant {
    address public target;
    bytes public data;
    bytes public failure;

    function aim(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
    }

    function act(address to, uint256 value, bytes calldata call) external payable returns (bytes memory) {
        (bool done, bytes memory answer) = to.call{value: value}(call);
        require(done);
        return answer;
    }

    receive() external payable {
        if (target == address(0)) return;
        (bool done, bytes memory answer) = target.call(data);
        require(!done);
        failure = answer;
    }
}

abstract contract MarketFixture is Test {
    uint64 constant START = 1_800_000_000;
    uint256 constant USER_KEY = 0x1001;
    uint256 constant PROVIDER_KEY = 0x1002;
    uint256 constant ENCLAVE_KEY = 0x1003;
    uint256 constant OTHER_KEY = 0x1004;
    address constant OWNER = address(0xA0);
    address constant TREASURY = address(0xA1);
    address constant SINK = address(0xA2);
    address constant BUYER = address(0xB0);
    address constant STRANGER = address(0xB1);
    uint16 constant FEE = 250;
    bytes16 constant BOOT = "boot";
    bytes32 constant REQUEST = "request";
    bytes32 constant RESPONSE = "response";
    bytes32 constant OTHER = "other";
    bytes32 constant ID = "id";

    address USER;
    address PROVIDER;
    address ENCLAVE;
    IdentityRegistry identity;
    SigningKeys keys;
    ComputeRegistry registry;
    Ledger ledger;
    Serving serving;
    uint256 agent;

    function _deploy() internal {
        vm.warp(START);
        (USER, PROVIDER, ENCLAVE) = (vm.addr(USER_KEY), vm.addr(PROVIDER_KEY), vm.addr(ENCLAVE_KEY));
        identity = new IdentityRegistry(address(0xA0), address(0xB0), 48 hours);
        keys = new SigningKeys();
        registry = new ComputeRegistry(OWNER, SINK, 30 days, address(0), identity, keys);
        ledger = new Ledger(OWNER);
        serving = new Serving(OWNER, TREASURY, FEE, ledger, IProviders(address(registry)), identity, keys);
        vm.deal(USER, 1_000 ether);
        vm.deal(PROVIDER, 10 ether);
        vm.deal(STRANGER, 1_000 ether);
        vm.startPrank(PROVIDER);
        agent = identity.register();
        registry.registerWithAgent{value: 0.1 ether}("p", "https://p", 0, agent);
        vm.stopPrank();
        keys.set(ENCLAVE, agent);
    }

    /// Names the serving contract, deposits 10 ether and sets 1 ether aside for the provider.
    function _open() internal {
        vm.prank(OWNER);
        ledger.setInferenceContract(address(serving));
        vm.startPrank(USER);
        ledger.createLedger{value: 10 ether}();
        ledger.transferToProvider(PROVIDER, 1 ether);
        vm.stopPrank();
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _voucher(uint256 cumulative, uint64 sequence) internal view returns (Voucher memory) {
        return Voucher(USER, PROVIDER, cumulative, sequence, "request", "response", START + 30 days);
    }

    function _signed(Voucher memory voucher) internal view returns (bytes memory) {
        return _sign(USER_KEY, serving.voucherDigest(voucher));
    }

    function _receipt(bytes32 requestId) internal view returns (Receipt memory) {
        return Receipt(agent, BOOT, requestId, "request", "response", 10, 20, 0, 1);
    }

    function _attest(Receipt memory receipt) internal view returns (bytes memory) {
        return _sign(ENCLAVE_KEY, this.receiptDigest(receipt));
    }

    function receiptDigest(Receipt calldata receipt) external view returns (bytes32) {
        return Receipts.digest(Receipts.hash(receipt), address(keys));
    }
}
