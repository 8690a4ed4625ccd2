// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IdentityRegistry} from "../src/identity/IdentityRegistry.sol";
import {IAttestedKeys} from "../src/interfaces/ITrust.sol";
import {ComputeRegistry} from "../src/market/ComputeRegistry.sol";
import {ComputeStaking} from "../src/market/ComputeStaking.sol";
import {PrepaidBalance, Voucher} from "../src/market/PrepaidBalance.sol";
import {Receipt, Receipts} from "../src/market/Receipts.sol";
import {Test} from "./Vm.sol";

/// Stands in for `AttestedKeyRegistry`: keys live and die as a test says, and their signatures are checked.
contract SigningKeys is IAttestedKeys {
    struct Key {
        uint256 agentId;
        uint64 deadSince;
    }

    error NotLive(address key);

    mapping(address key => Key) public agentOf;

    function add(address key, uint256 agentId) external {
        agentOf[key] = Key(agentId, 0);
    }

    function setDead(address key, uint64 since) external {
        agentOf[key].deadSince = since;
    }

    function isLive(address key) public view returns (bool) {
        return agentOf[key].agentId != 0 && agentOf[key].deadSince == 0;
    }

    function checkSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (address key, uint256 agentId)
    {
        key = ECDSA.recover(digest, signature);
        if (!isLive(key)) revert NotLive(key);
        agentId = agentOf[key].agentId;
    }
}

/// A contract that owns money here: signs what it is told to (ERC-1271), and can refuse money or call back.
contract SmartAccount {
    bytes32 public approved;
    bool public refuses;
    address public target;
    bytes public call;
    bytes public failure;

    function approve(bytes32 digest) external {
        approved = digest;
    }

    function setRefuses(bool on) external {
        refuses = on;
    }

    function setCallback(address target_, bytes calldata call_) external {
        target = target_;
        call = call_;
    }

    function run(address to, uint256 value, bytes calldata data) external returns (bytes memory result) {
        bool done;
        (done, result) = to.call{value: value}(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(result, 32), mload(result))
            }
        }
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == approved ? bytes4(0x1626ba7e) : bytes4(0);
    }

    receive() external payable {
        require(!refuses, "refused");
        if (target != address(0)) {
            (bool done, bytes memory data) = target.call(call);
            require(!done);
            failure = data;
        }
    }
}

/// A chain with two providers and their attested keys, and an owner that signs vouchers.
abstract contract WorkFixture is Test {
    uint64 constant START = 1_800_000_000;
    uint256 constant OWNER_KEY = 0xC0FFEE;
    uint256 constant USER_KEY = 0xC0FFEF;
    uint256 constant ENCLAVE_KEY = 0xE0E0;
    uint256 constant OTHER_ENCLAVE_KEY = 0xE1E1;
    address constant GOVERNANCE = address(0xA0);
    address constant SINK = address(0xA1);
    address constant PROVIDER = address(0xB0);
    address constant OTHER = address(0xB1);
    address constant STAKER = address(0xB2);
    address constant STRANGER = address(0xB3);

    IdentityRegistry identity;
    SigningKeys keys;
    ComputeRegistry computeRegistry;
    ComputeStaking staking;
    address owner;
    address user;
    address enclave;
    address otherEnclave;
    uint256 agent;
    uint256 otherAgent;

    function _deployMarket() internal {
        vm.warp(START);
        vm.chainId(31337);
        identity = new IdentityRegistry(address(0xA0), address(0xB0), 48 hours);
        keys = new SigningKeys();
        computeRegistry = new ComputeRegistry(GOVERNANCE, SINK, 30 days, address(0), identity, keys);
        staking = new ComputeStaking(GOVERNANCE, SINK, 30 days, address(0));
        owner = vm.addr(OWNER_KEY);
        user = vm.addr(USER_KEY);
        enclave = vm.addr(ENCLAVE_KEY);
        otherEnclave = vm.addr(OTHER_ENCLAVE_KEY);
        address[7] memory rich = [owner, user, PROVIDER, OTHER, STAKER, STRANGER, enclave];
        for (uint256 i = 0; i < rich.length; i++) {
            vm.deal(rich[i], 1000 ether);
        }
        agent = _provider(PROVIDER, enclave);
        otherAgent = _provider(OTHER, otherEnclave);
        vm.prank(STAKER);
        staking.stakeAsProvider{value: 0.1 ether}();
    }

    function _provider(address provider, address key) private returns (uint256 agentId) {
        vm.startPrank(provider);
        agentId = identity.register();
        keys.add(key, agentId);
        computeRegistry.registerWithAgent{value: 1 ether}("name", "https://e", 0, agentId);
        computeRegistry.setAttestedKey(key);
        vm.stopPrank();
    }

    function _receipt(uint256 number, bytes32 request, bytes32 response) internal view returns (Receipt memory) {
        return Receipt(agent, "boot", bytes32(number), request, response, 1, 1, 0, 1);
    }

    function _signReceipt(uint256 key, Receipt memory receipt) internal view returns (bytes memory) {
        bytes32 hash = keccak256(abi.encode(Receipts.TYPEHASH, receipt));
        return _sign(key, Receipts.digest(hash, address(keys)));
    }

    function _signVoucher(PrepaidBalance target, uint256 key, Voucher memory voucher)
        internal
        view
        returns (bytes memory)
    {
        return _sign(key, target.voucherDigest(voucher));
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _word(bytes32 value) internal pure returns (bytes32) {
        return value;
    }

    function _expect(bytes4 selector) internal {
        vm.expectRevert(selector);
    }

    function _expect(bytes memory data) internal {
        vm.expectRevert(data);
    }
}
