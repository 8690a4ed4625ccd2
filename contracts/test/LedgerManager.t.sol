// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IProviders} from "../src/interfaces/ILedger.sol";
import {InferenceServing as Serving} from "../src/market/InferenceServing.sol";
import {LedgerManager as Ledger} from "../src/market/LedgerManager.sol";
import {PullPayments} from "../src/market/PullPayments.sol";
import {Account1271, MarketFixture, Reentrant} from "./MarketFixture.sol";

contract LedgerManagerTest is MarketFixture {
    function setUp() public {
        _deploy();
    }

    // ------------------------------------------------------------------ deposits

    function test_createLedger() public {
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.LedgerCreated(USER, 1 ether);
        vm.prank(USER);
        ledger.createLedger{value: 1 ether}();
        Ledger.Ledger memory l = ledger.getLedger(USER);
        require(l.totalBalance == 1 ether && l.availableBalance == 1 ether && l.lockedBalance == 0);
        require(l.createdAt == START && ledger.ledgerExists(USER) && !ledger.ledgerExists(STRANGER));
        require(ledger.totalDeposits() == 1 ether && ledger.getAvailableBalance(USER) == 1 ether);
        require(keccak256(bytes(ledger.version())) == keccak256("2.0.0"));
    }

    function test_createLedger_refusals() public {
        vm.startPrank(USER);
        vm.expectRevert(abi.encodeWithSelector(Ledger.InsufficientDeposit.selector, 0.001 ether - 1, 0.001 ether));
        ledger.createLedger{value: 0.001 ether - 1}();
        ledger.createLedger{value: 0.001 ether}();
        vm.expectRevert(Ledger.LedgerAlreadyExists.selector);
        ledger.createLedger{value: 0.001 ether}();
        vm.stopPrank();
    }

    function test_deposit() public {
        vm.startPrank(USER);
        vm.expectRevert(Ledger.LedgerNotFound.selector);
        ledger.deposit{value: 1}();
        ledger.createLedger{value: 1 ether}();
        vm.expectRevert(Ledger.InvalidAmount.selector);
        ledger.deposit();
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.Deposited(USER, 2 ether, 3 ether);
        ledger.deposit{value: 2 ether}();
        vm.stopPrank();
        require(address(ledger).balance == 3 ether);
    }

    function test_depositFromCreditManager() public {
        vm.startPrank(STRANGER);
        vm.expectRevert(Ledger.InvalidAmount.selector);
        ledger.depositFromCreditManager(USER);
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        ledger.depositFromCreditManager{value: 1}(address(0));
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.DepositedFromCredit(USER, STRANGER, 1, 1);
        ledger.depositFromCreditManager{value: 1}(USER);
        vm.stopPrank();
        require(ledger.ledgerExists(USER));
    }

    function test_withdraw() public {
        _open();
        vm.startPrank(USER);
        vm.expectRevert(abi.encodeWithSelector(Ledger.InsufficientBalance.selector, 9 ether, 9 ether + 1));
        ledger.withdraw(9 ether + 1);
        vm.expectRevert(Ledger.InvalidAmount.selector);
        ledger.withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(Ledger.InsufficientBalance.selector, 9 ether, 9 ether + 1));
        ledger.withdrawTo(BUYER, 9 ether + 1);
        vm.expectRevert(Ledger.InvalidAmount.selector);
        ledger.withdrawTo(BUYER, 0);
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        ledger.withdrawTo(address(0), 1);
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.Withdrawn(USER, 4 ether);
        ledger.withdraw(4 ether);
        ledger.withdrawTo(BUYER, 5 ether);
        vm.stopPrank();
        require(USER.balance == 994 ether && BUYER.balance == 5 ether && address(ledger).balance == 1 ether);
        vm.startPrank(STRANGER);
        vm.expectRevert(Ledger.LedgerNotFound.selector);
        ledger.withdraw(1);
        vm.expectRevert(Ledger.LedgerNotFound.selector);
        ledger.withdrawTo(BUYER, 1);
        vm.stopPrank();
    }

    /// A receiver that refuses money can send it elsewhere.
    function test_withdraw_toADeafAccount() public {
        Account1271 deaf = new Account1271(USER);
        deaf.setDeaf(true);
        vm.deal(address(deaf), 1 ether);
        vm.startPrank(address(deaf));
        ledger.createLedger{value: 1 ether}();
        vm.expectRevert(PullPayments.TransferFailed.selector);
        ledger.withdraw(1 ether);
        vm.expectRevert(PullPayments.TransferFailed.selector);
        ledger.withdrawTo(address(deaf), 1 ether);
        ledger.withdrawTo(BUYER, 1 ether);
        vm.stopPrank();
        require(BUYER.balance == 1 ether);
    }

    function test_withdraw_cantBeReentered() public {
        Reentrant thief = new Reentrant();
        thief.act{value: 3 ether}(address(ledger), 3 ether, abi.encodeCall(ledger.createLedger, ()));
        bytes[2] memory calls = [
            abi.encodeWithSignature("withdraw(uint256)", 1 ether),
            abi.encodeWithSignature("withdrawTo(address,uint256)", address(thief), 1 ether)
        ];
        for (uint256 i = 0; i < 2; i++) {
            thief.aim(address(ledger), calls[i]);
            thief.act(address(ledger), 0, calls[i]);
            require(bytes4(thief.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        }
        require(ledger.getAvailableBalance(address(thief)) == 1 ether && address(thief).balance == 2 ether);
    }

    // ------------------------------------------------------------------ sub-accounts

    function test_transferToProvider() public {
        _open();
        Ledger.ProviderSubAccount memory sub = ledger.getSubAccount(USER, PROVIDER);
        require(sub.balance == 1 ether && sub.pendingRefund == 0 && sub.refundUnlockTime == 0 && !sub.acknowledged);
        Ledger.Ledger memory l = ledger.getLedger(USER);
        require(l.totalBalance == 10 ether && l.availableBalance == 9 ether && l.lockedBalance == 1 ether);
        vm.startPrank(USER);
        vm.expectRevert(Ledger.InvalidAmount.selector);
        ledger.transferToProvider(PROVIDER, 0);
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        ledger.transferToProvider(address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(Ledger.InsufficientBalance.selector, 9 ether, 10 ether));
        ledger.transferToProvider(PROVIDER, 10 ether);
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.TransferredToProvider(USER, PROVIDER, 1);
        ledger.transferToProvider(PROVIDER, 1);
        vm.stopPrank();
        require(ledger.getProviderBalance(USER, PROVIDER) == 1 ether + 1);
        vm.expectRevert(Ledger.LedgerNotFound.selector);
        vm.prank(STRANGER);
        ledger.transferToProvider(PROVIDER, 1);
    }

    function test_transferToProvider_waitsForTheServingContract() public {
        vm.startPrank(USER);
        ledger.createLedger{value: 1 ether}();
        vm.expectRevert(Ledger.NotOpen.selector);
        ledger.transferToProvider(PROVIDER, 1);
        vm.stopPrank();
    }

    function test_acknowledgeUser() public {
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.ProviderAcknowledged(USER, PROVIDER);
        vm.startPrank(PROVIDER);
        ledger.acknowledgeUser(USER);
        require(ledger.isAcknowledged(USER, PROVIDER) && !ledger.isAcknowledged(PROVIDER, USER));
        vm.expectRevert(Ledger.AlreadyAcknowledged.selector);
        ledger.acknowledgeUser(USER);
        vm.stopPrank();
    }

    function test_refund() public {
        _open();
        vm.startPrank(USER);
        vm.expectRevert(Ledger.InvalidAmount.selector);
        ledger.requestRefund(PROVIDER, 0);
        vm.expectRevert(abi.encodeWithSelector(Ledger.InsufficientBalance.selector, 1 ether, 2 ether));
        ledger.requestRefund(PROVIDER, 2 ether);
        vm.expectRevert(Ledger.NoRefundPending.selector);
        ledger.completeRefund(PROVIDER);
        vm.expectRevert(Ledger.NoRefundPending.selector);
        ledger.cancelRefund(PROVIDER);

        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.RefundRequested(USER, PROVIDER, 0.6 ether, START + 24 hours);
        ledger.requestRefund(PROVIDER, 0.6 ether);
        vm.expectRevert(Ledger.RefundAlreadyPending.selector);
        ledger.requestRefund(PROVIDER, 0.1 ether);
        vm.warp(START + 24 hours - 1);
        vm.expectRevert(Ledger.RefundNotUnlocked.selector);
        ledger.completeRefund(PROVIDER);
        vm.warp(START + 24 hours);
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.RefundCompleted(USER, PROVIDER, 0.6 ether);
        ledger.completeRefund(PROVIDER);
        require(ledger.getAvailableBalance(USER) == 9.6 ether && ledger.settleable(USER, PROVIDER) == 0.4 ether);

        ledger.requestRefund(PROVIDER, 0.4 ether);
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.RefundCancelled(USER, PROVIDER);
        ledger.cancelRefund(PROVIDER);
        require(ledger.getProviderBalance(USER, PROVIDER) == 0.4 ether);
        vm.stopPrank();
    }

    /// A longer lock holds for later requests only.
    function test_refund_keepsItsLock() public {
        _open();
        vm.prank(USER);
        ledger.requestRefund(PROVIDER, 1 ether);
        vm.prank(OWNER);
        ledger.setRefundTimelockPeriod(7 days);
        vm.warp(START + 24 hours);
        vm.prank(USER);
        ledger.completeRefund(PROVIDER);
        require(ledger.getAvailableBalance(USER) == 10 ether);
    }

    // ------------------------------------------------------------------ settlement

    function test_settle() public {
        _open();
        vm.prank(USER);
        ledger.requestRefund(PROVIDER, 0.7 ether);
        vm.startPrank(address(serving));
        vm.expectRevert(abi.encodeWithSelector(Ledger.InsufficientBalance.selector, 1 ether, 1 ether + 1));
        ledger.settle(USER, PROVIDER, 1 ether + 1, "r");
        vm.expectRevert(abi.encodeWithSelector(Ledger.InsufficientBalance.selector, 1 ether, 1 ether + 1));
        ledger.settlePlatformFee(USER, PROVIDER, TREASURY, 1 ether + 1);
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.Settled(USER, PROVIDER, 0.4 ether, "r");
        ledger.settle(USER, PROVIDER, 0.4 ether, "r");
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        ledger.settlePlatformFee(USER, PROVIDER, address(0), 1);
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.PlatformFeeSettled(USER, PROVIDER, TREASURY, 0.1 ether);
        ledger.settlePlatformFee(USER, PROVIDER, TREASURY, 0.1 ether);
        vm.stopPrank();
        Ledger.ProviderSubAccount memory sub = ledger.getSubAccount(USER, PROVIDER);
        require(sub.balance == 0 && sub.pendingRefund == 0.5 ether);
        require(ledger.owed(PROVIDER) == 0.4 ether && ledger.owed(TREASURY) == 0.1 ether);
        require(ledger.totalDeposits() == 9.5 ether && ledger.totalOwed() == 0.5 ether);
    }

    function test_settle_callers() public {
        _open();
        vm.startPrank(OWNER);
        vm.expectRevert(Ledger.UnauthorizedCaller.selector);
        ledger.settle(USER, PROVIDER, 1, "r");
        vm.expectRevert(Ledger.UnauthorizedCaller.selector);
        ledger.settlePlatformFee(USER, PROVIDER, OWNER, 1);
        vm.stopPrank();
    }

    function test_withdrawOwed() public {
        _open();
        vm.prank(address(serving));
        ledger.settle(USER, PROVIDER, 1 ether, "r");
        vm.startPrank(PROVIDER);
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        ledger.withdrawTo(address(0));
        uint256 before = PROVIDER.balance;
        vm.expectEmit(true, true, true, true, address(ledger));
        emit PullPayments.OwedWithdrawn(PROVIDER, PROVIDER, 1 ether);
        require(ledger.withdraw() == 1 ether && PROVIDER.balance == before + 1 ether);
        vm.expectRevert(abi.encodeWithSelector(PullPayments.NothingOwed.selector, PROVIDER));
        ledger.withdrawTo(BUYER);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ governance

    function test_setInferenceContract() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        ledger.setInferenceContract(address(serving));
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ledger.NotServing.selector, STRANGER));
        ledger.setInferenceContract(STRANGER);
        Serving other =
            new Serving(OWNER, TREASURY, FEE, new Ledger(OWNER), IProviders(address(registry)), identity, keys);
        vm.expectRevert(abi.encodeWithSelector(Ledger.NotServing.selector, address(other)));
        ledger.setInferenceContract(address(other));
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.InferenceContractUpdated(address(0), address(serving));
        ledger.setInferenceContract(address(serving));
        vm.stopPrank();
    }

    function test_setRefundTimelockPeriod() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        ledger.setRefundTimelockPeriod(2 days);
        vm.startPrank(OWNER);
        vm.expectEmit(true, true, true, true, address(ledger));
        emit Ledger.RefundTimelockUpdated(24 hours, 2 days);
        ledger.setRefundTimelockPeriod(2 days);
        vm.stopPrank();
        require(ledger.refundTimelockPeriod() == 2 days);
    }

    function test_pause() public {
        _open();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        ledger.pause();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        ledger.unpause();
        vm.startPrank(OWNER);
        vm.expectRevert(Pausable.ExpectedPause.selector);
        ledger.unpause();
        ledger.pause();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        ledger.pause();
        vm.stopPrank();
        vm.startPrank(USER);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        ledger.deposit{value: 1}();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        ledger.createLedger{value: 1 ether}();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        ledger.depositFromCreditManager{value: 1}(USER);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        ledger.transferToProvider(PROVIDER, 1);
        // Nothing that pays stops.
        ledger.withdraw(9 ether);
        ledger.requestRefund(PROVIDER, 0.5 ether);
        vm.stopPrank();
        vm.prank(address(serving));
        ledger.settle(USER, PROVIDER, 0.5 ether, "r");
        vm.prank(PROVIDER);
        ledger.withdraw();
        vm.warp(START + 1 days);
        vm.startPrank(USER);
        ledger.completeRefund(PROVIDER);
        ledger.withdraw(0.5 ether);
        vm.stopPrank();
        require(address(ledger).balance == 0);
        vm.prank(OWNER);
        ledger.unpause();
        vm.prank(USER);
        ledger.deposit{value: 1}();
    }

    // ------------------------------------------------------------------ the seed's bugs

    /// The seed's user pulled its money 24 hours later, whatever was owed to the provider.
    function test_seedBug_refundUnderUnsettledWork() public {
        _open();
        bytes memory signature = _signed(_voucher(0.8 ether, 1));
        vm.prank(USER);
        ledger.requestRefund(PROVIDER, 1 ether);
        vm.warp(START + 24 hours - 1);
        vm.prank(PROVIDER);
        require(serving.settleVoucher(_voucher(0.8 ether, 1), signature) == 0.8 ether);
        vm.warp(START + 24 hours);
        vm.prank(USER);
        ledger.completeRefund(PROVIDER);
        require(ledger.owed(PROVIDER) + ledger.owed(TREASURY) == 0.8 ether);
        require(ledger.getAvailableBalance(USER) == 9.2 ether);
    }

    /// The seed's owner pointed the ledger at a contract of its own and drained all sub-accounts.
    function test_seedBug_ownerRepointsTheServingContract() public {
        _open();
        Serving other = new Serving(OWNER, OWNER, FEE, ledger, IProviders(address(registry)), identity, keys);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ledger.AlreadyOpen.selector, address(serving)));
        ledger.setInferenceContract(address(other));
        vm.stopPrank();
    }

    function test_seedBug_unboundedRefundLock() public {
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ledger.TimelockOutOfBounds.selector, 24 hours - 1, 24 hours, 7 days));
        ledger.setRefundTimelockPeriod(24 hours - 1);
        vm.expectRevert(abi.encodeWithSelector(Ledger.TimelockOutOfBounds.selector, 7 days + 1, 24 hours, 7 days));
        ledger.setRefundTimelockPeriod(7 days + 1);
        vm.stopPrank();
    }

    /// The seed pushed the provider's part: a provider that refuses money made every settlement fail.
    function test_seedBug_pushPaymentFails() public {
        _open();
        Account1271 deaf = new Account1271(PROVIDER);
        deaf.setDeaf(true);
        vm.prank(USER);
        ledger.transferToProvider(address(deaf), 1 ether);
        vm.prank(address(serving));
        ledger.settle(USER, address(deaf), 1 ether, "r");
        require(ledger.owed(address(deaf)) == 1 ether);
        vm.prank(address(deaf));
        ledger.withdrawTo(BUYER);
        require(BUYER.balance == 1 ether);
    }
}
