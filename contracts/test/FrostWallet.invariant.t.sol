// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FrostWallet} from "../src/wallet/FrostWallet.sol";
import {FrostWalletFactory} from "../src/wallet/FrostWalletFactory.sol";
import {FrostSigner} from "./FrostSigner.sol";

/// Acts as the group, as recoverer or as a stranger with other keys, at any time.
contract WalletActor is FrostSigner {
    FrostWallet public immutable wallet;
    address[3] public accounts = [address(0xA0), address(0xB0), address(0xC0)];
    address public constant SINK = address(0x51);

    uint256 public holder = 1;
    uint256 public sent;
    uint256 public accepted;
    uint256 public proposedSecret;
    uint256 public proposedAt;
    uint64 public delayThen;
    bool public tooEarly;
    bool public byStranger;

    constructor() {
        FrostWalletFactory factory = new FrostWalletFactory(address(0xE0));
        (uint256 px, uint8 parity) = groupKey(1);
        wallet = factory.deploy(px, parity);
        vm.deal(address(wallet), 100 ether);
    }

    /// To about the end of a recovery's wait, if one runs.
    function wait(uint32 delay) external {
        uint256 readyAt = wallet.recoveryReadyAt();
        // forge-lint: disable-next-line(block-timestamp)
        if (delay % 2 == 0 && readyAt > block.timestamp + 1 hours) vm.warp(readyAt - 1 + delay % 3);
        else vm.warp(block.timestamp + delay % 1 days);
    }

    function pay(uint8 secret, uint64 value, int8 nonceOff) external {
        _execute(_secret(secret), SINK, value % 1 ether, "", nonceOff);
        sent += value % 1 ether;
    }

    function setRecovery(uint8 secret, uint8 who, uint32 delay) external {
        // Seldom while one is open, else none would come to its end.
        if (proposedSecret != 0 && who < 200) return;
        bytes memory data = abi.encodeCall(FrostWallet.setRecovery, (accounts[who % 3], 2 days + delay % 2 days));
        _execute(_secret(secret), address(wallet), 0, data, 0);
        proposedSecret = 0;
    }

    function cancel(uint8 secret) external {
        if (secret > 50) return;
        _execute(_secret(secret), address(wallet), 0, abi.encodeCall(FrostWallet.cancelRecovery, ()), 0);
        proposedSecret = 0;
    }

    function propose(uint8 who, uint8 secret) external {
        if (proposedSecret != 0 && secret < 200) return;
        uint256 next = 1 + secret % 4;
        (uint256 px, uint8 parity) = groupKey(next);
        address caller = _caller(who);
        vm.prank(caller);
        wallet.proposeRecovery(px, parity);
        if (caller != wallet.recoverer()) byStranger = true;
        (proposedSecret, proposedAt, delayThen) = (next, block.timestamp, wallet.recoveryDelay());
    }

    function complete(uint8 who) external {
        vm.prank(_caller(who));
        wallet.completeRecovery();
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < proposedAt + delayThen || delayThen < 2 days) tooEarly = true;
        holder = proposedSecret;
        proposedSecret = 0;
    }

    function _execute(uint256 secret, address to, uint256 value, bytes memory data, int8 nonceOff) private {
        uint256 nonce = wallet.nonce();
        if (nonceOff > 100) nonce += 1;
        uint64 deadline = type(uint64).max;
        bytes memory signature = frost(secret, wallet.executeDigest(to, value, data, nonce, deadline));
        wallet.execute(to, value, data, nonce, deadline, signature);
        accepted++;
        if (secret != holder || nonceOff > 100) byStranger = true;
    }

    /// Two thirds of the calls come from the holder of the key.
    function _secret(uint8 which) private view returns (uint256) {
        return which < 170 ? holder : 1 + which % 4;
    }

    function _caller(uint8 who) private view returns (address) {
        address recoverer = wallet.recoverer();
        return who < 170 && recoverer != address(0) ? recoverer : accounts[who % 3];
    }
}

contract FrostWalletInvariant is FrostSigner {
    WalletActor actor;
    FrostWallet wallet;
    uint256[5] keys;

    function setUp() public {
        vm.warp(1_800_000_000);
        actor = new WalletActor();
        wallet = actor.wallet();
        for (uint256 secret = 1; secret < 5; secret++) {
            (keys[secret],) = groupKey(secret);
        }
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    /// One that is none of the accounts whose balances are compared: forge may give a sender money.
    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xF0F0);
    }

    function invariant_onlyTheGroupSpends() public view {
        require(!actor.byStranger());
        require(address(wallet).balance + actor.sent() == 100 ether && actor.SINK().balance == actor.sent());
    }

    function invariant_nonceCountsOperations() public view {
        require(wallet.nonce() == actor.accepted());
    }

    function invariant_recoveryNeverSkipsTheWait() public view {
        require(!actor.tooEarly());
        (uint256 px,) = wallet.key();
        require(px == keys[actor.holder()]);
    }

    function invariant_openRecoveryIsTheLastProposed() public view {
        if (actor.proposedSecret() == 0) {
            require(wallet.recoveryX() == 0);
        } else {
            require(wallet.recoveryX() == keys[actor.proposedSecret()]);
            require(wallet.recoveryReadyAt() == actor.proposedAt() + actor.delayThen());
        }
    }
}
