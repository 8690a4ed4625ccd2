// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../src/interfaces/IStaking.sol";
import {QuoteClaims} from "../src/interfaces/ITrust.sol";
import {Frost} from "../src/trust/Frost.sol";
import {FrostVerifier} from "../src/trust/FrostVerifier.sol";
import {MPCKeyPolicies} from "../src/trust/MPCKeyPolicies.sol";
import {MPCKeyRegistry} from "../src/trust/MPCKeyRegistry.sol";
import {FrostWallet} from "../src/wallet/FrostWallet.sol";
import {FrostWalletFactory} from "../src/wallet/FrostWalletFactory.sol";
import {FrostSigner} from "./FrostSigner.sol";

/// Measures the library from inside a contract that has its code, as every user has.
contract FrostMeter {
    function words(bytes32 message, uint256 px, uint256 parity, uint256 rx, uint256 ry, uint256 z)
        external
        view
        returns (uint256 used, bool ok)
    {
        used = gasleft();
        ok = Frost.verify(message, px, parity, rx, ry, z);
        used -= gasleft();
    }

    function signature(bytes32 message, uint256 px, uint256 parity, bytes calldata proof)
        external
        view
        returns (uint256 used, bool ok)
    {
        used = gasleft();
        ok = Frost.verify(message, px, parity, proof);
        used -= gasleft();
    }
}

/// @notice Gas of what is called often. Library: the difference of `gasleft()` around the internal call, precompiles included.
/// Contracts: around the external call, with their storage cold (they were made in `setUp`) and without a transaction's 21,000
/// and calldata.
contract FrostGasTest is FrostSigner {
    uint256 constant SECRET = 0xc0ffee;
    bytes32 constant MESSAGE = keccak256("message");
    address constant ENTRY_POINT = 0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108;

    event log_named_uint(string key, uint256 value);

    FrostMeter meter;
    FrostVerifier verifier;
    FrostWalletFactory factory;
    FrostWallet wallet;
    MPCKeyRegistry registry;
    uint256 px;
    uint8 parity;

    function setUp() public {
        vm.warp(1_800_000_000);
        (px, parity) = groupKey(SECRET);
        meter = new FrostMeter();
        verifier = new FrostVerifier(address(0xA0), address(0xB0), 48 hours, px, parity);
        factory = new FrostWalletFactory(ENTRY_POINT);
        wallet = factory.deploy(px, parity);
        registry = new MPCKeyRegistry(address(0xA0), address(0xB0), 48 hours, IStaking(address(1)));
    }

    function test_verify_words() public {
        (uint256 rx, uint256 ry, uint256 z) = signParts(SECRET, MESSAGE);
        (uint256 used, bool ok) = meter.words(MESSAGE, px, parity, rx, ry, z);
        require(ok);
        _bound("verify, words", used, 5_000);
    }

    function test_verify_96() public {
        (uint256 used, bool ok) = meter.signature(MESSAGE, px, parity, frostLong(SECRET, MESSAGE));
        require(ok);
        _bound("verify, 96 bytes", used, 5_000);
    }

    /// The 65-byte form pays for a square root: MODEXP, 4,048 gas since EIP-7883.
    function test_verify_65() public {
        (uint256 used, bool ok) = meter.signature(MESSAGE, px, parity, frost(SECRET, MESSAGE));
        require(ok);
        _bound("verify, 65 bytes", used, 9_500);
    }

    function test_verifyQuote() public {
        QuoteClaims memory claims;
        claims.expiry = 2_000_000_000;
        bytes memory proof = frostLong(SECRET, _digest(claims));
        uint256 used = gasleft();
        verifier.verifyQuote(claims, proof);
        used -= gasleft();
        _bound("verifyQuote, 96 bytes", used, 16_000);
    }

    function test_isValidSignature() public {
        bytes32 digest = typed(
            "Jeju Frost Wallet",
            address(wallet),
            keccak256(abi.encode(keccak256("WalletMessage(bytes32 hash)"), MESSAGE))
        );
        bytes memory proof = frostLong(SECRET, digest);
        uint256 used = gasleft();
        bytes4 answer = wallet.isValidSignature(MESSAGE, proof);
        used -= gasleft();
        require(answer == 0x1626ba7e);
        _bound("isValidSignature, 96 bytes", used, 18_000);
    }

    function test_execute() public {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Execute(address to,uint256 value,bytes data,uint256 nonce,uint64 deadline)"),
                address(this),
                uint256(0),
                keccak256(""),
                uint256(0),
                uint64(2_000_000_000)
            )
        );
        bytes memory proof = frostLong(SECRET, typed("Jeju Frost Wallet", address(wallet), structHash));
        uint256 used = gasleft();
        wallet.execute(address(this), 0, "", 0, 2_000_000_000, proof);
        used -= gasleft();
        _bound("execute of nothing", used, 30_000);
    }

    fallback() external {}

    function test_deploy() public {
        (uint256 x, uint8 yParity) = groupKey(SECRET + 1);
        uint256 used = gasleft();
        factory.deploy(x, yParity);
        used -= gasleft();
        _bound("deploy a wallet", used, 150_000);
    }

    function test_registerKey() public {
        bytes32 keyId = bytes32(bytes20(address(this)));
        MPCKeyRegistry.Configuration memory c = MPCKeyRegistry.Configuration(compressed(SECRET), MESSAGE, 2, 3);
        MPCKeyPolicies.AccessPolicy memory policy;
        bytes memory proof = frostLong(SECRET, registry.configurationDigest(keyId, 1, 1, 0, c));
        uint256 used = gasleft();
        registry.registerKey(keyId, 1, 0, c, policy, proof);
        used -= gasleft();
        _bound("registerKey", used, 200_000);
    }

    function _bound(string memory name, uint256 used, uint256 bound) private {
        emit log_named_uint(name, used);
        vm.snapshotValue("frost", name, used);
        require(used <= bound, name);
    }

    function _digest(QuoteClaims memory claims) private view returns (bytes32) {
        bytes32 typehash = keccak256(
            "QuoteClaims(uint8 platform,bytes32 measurement,bytes32 hardware,uint256 agentId,bytes32 claimsDigest,bytes32 launchDigest,address key,uint8 tcbStatus,uint64 expiry)"
        );
        return typed("Jeju Quote Verifier", address(verifier), keccak256(abi.encode(typehash, claims)));
    }
}
