// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PrepaidBalance, Voucher} from "../src/market/PrepaidBalance.sol";
import {PullPayments} from "../src/market/PullPayments.sol";
import {Eip712Domain} from "../src/trust/Eip712Domain.sol";
import {SmartAccount, WorkFixture} from "./WorkFixture.sol";

/// Nothing but the balance.
contract Till is PrepaidBalance {
    constructor() Eip712Domain("Till") {}

    function open(address payee) external {
        _openCharges(payee);
    }

    function close(address payee) external {
        _closeCharges(payee);
    }

    function charge(Voucher calldata voucher, bytes calldata signature) external returns (uint256) {
        return _charge(voucher, signature);
    }
}

contract PrepaidBalanceTest is WorkFixture {
    Till till;

    function setUp() public {
        _deployMarket();
        till = new Till();
        vm.prank(owner);
        till.depositPrepaid{value: 3 ether}();
    }

    function test_deposit() public {
        require(till.prepaidBalances(owner) == 3 ether && till.totalPrepaid() == 3 ether);
        vm.expectEmit(true, true, true, true, address(till));
        emit PrepaidBalance.PrepaidDeposit(owner, 1 ether);
        vm.prank(owner);
        till.depositPrepaid{value: 1 ether}();
        _expect(PrepaidBalance.InvalidAmount.selector);
        till.depositPrepaid();
    }

    // ------------------------------------------------------------------ withdrawing

    function test_withdraw_atOnceWhileNobodyMayCharge() public {
        uint256 before = owner.balance;
        vm.startPrank(owner);
        till.withdrawPrepaid(1 ether);
        till.withdrawPrepaidTo(1 ether, STRANGER);
        vm.stopPrank();
        require(owner.balance == before + 1 ether && till.prepaidBalances(owner) == 1 ether);
    }

    function test_withdraw_refusals() public {
        vm.startPrank(owner);
        _expect(PrepaidBalance.InvalidAmount.selector);
        till.withdrawPrepaid(0);
        _expect(PrepaidBalance.InsufficientPrepaid.selector);
        till.withdrawPrepaid(3 ether + 1);
        _expect(PullPayments.ZeroAccount.selector);
        till.withdrawPrepaidTo(1, address(0));
        _expect(PrepaidBalance.InvalidAmount.selector);
        till.withdrawPrepaidTo(0, STRANGER);
        _expect(PrepaidBalance.InsufficientPrepaid.selector);
        till.withdrawPrepaidTo(3 ether + 1, STRANGER);
        _expect(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 96, 1 << 96));
        till.announceWithdrawal(1 << 96);
        vm.stopPrank();
        vm.prank(STRANGER);
        _expect(PrepaidBalance.InsufficientPrepaid.selector);
        till.withdrawPrepaid(1);
    }

    function test_withdraw_withNoticeWhileChargesAreOpen() public {
        vm.startPrank(owner);
        till.open(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.NoticeRequired.selector, 0, 0));
        till.withdrawPrepaid(1 ether);
        _expect(abi.encodeWithSelector(PrepaidBalance.NoticeRequired.selector, 0, 0));
        till.withdrawPrepaidTo(1 ether, STRANGER);
        till.announceWithdrawal(2 ether);
        require(till.chargeableBalance(owner) == 1 ether && till.chargesOpen(owner));
        (uint256 announced, uint64 readyAt) = till.announcedWithdrawal(owner);
        require(announced == 2 ether && readyAt == START + 1 hours);
        vm.warp(START + 1 hours - 1);
        _expect(abi.encodeWithSelector(PrepaidBalance.NoticeRequired.selector, 2 ether, readyAt));
        till.withdrawPrepaid(2 ether);
        vm.warp(START + 1 hours);
        till.withdrawPrepaid(1.5 ether);
        _expect(abi.encodeWithSelector(PrepaidBalance.NoticeRequired.selector, 0.5 ether, readyAt));
        till.withdrawPrepaid(1 ether);
        till.withdrawPrepaid(0.5 ether);
        vm.stopPrank();
        require(till.prepaidBalances(owner) == 1 ether && till.chargeableBalance(owner) == 1 ether);
    }

    /// Announcing before charges are open gains nothing: payees don't count what is announced.
    function test_earlyAnnouncementIsVisible() public {
        vm.startPrank(owner);
        till.announceWithdrawal(50 ether);
        vm.warp(START + 1 days);
        till.open(PROVIDER);
        require(till.chargeableBalance(owner) == 0);
        till.withdrawPrepaid(3 ether);
        vm.stopPrank();
    }

    function test_closingTakesNotice() public {
        vm.startPrank(owner);
        till.open(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesAlreadyOpen.selector, owner, PROVIDER));
        till.open(PROVIDER);
        _expect(PullPayments.ZeroAccount.selector);
        till.open(address(0));
        till.close(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesNotOpen.selector, owner, PROVIDER));
        till.close(PROVIDER);
        require(till.mayCharge(owner, PROVIDER) && till.chargesOpen(owner));
        vm.stopPrank();
        _charge(_voucher(1 ether, 1));
        vm.warp(START + 1 hours);
        require(!till.mayCharge(owner, PROVIDER) && !till.chargesOpen(owner));
        vm.startPrank(owner);
        till.withdrawPrepaid(2 ether);
        till.open(PROVIDER);
        till.open(OTHER);
        till.close(PROVIDER);
        vm.warp(START + 3 hours);
        require(till.chargesOpen(owner) && !till.mayCharge(owner, PROVIDER) && till.mayCharge(owner, OTHER));
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ charging

    function test_charge_isCumulative() public {
        _open();
        require(_charge(_voucher(1 ether, 1)) == 1 ether);
        require(_charge(_voucher(1.5 ether, 2)) == 0.5 ether);
        require(till.owed(PROVIDER) == 1.5 ether && till.prepaidBalances(owner) == 1.5 ether);
        (uint256 charged, uint64 sequence) = till.tabOf(owner, PROVIDER);
        require(charged == 1.5 ether && sequence == 2);
        uint256 before = PROVIDER.balance;
        vm.prank(PROVIDER);
        till.withdraw();
        require(PROVIDER.balance == before + 1.5 ether && till.totalOwed() == 0);
    }

    function test_charge_refusals() public {
        Voucher memory voucher = _voucher(1 ether, 1);
        bytes memory signature = _signVoucher(till, OWNER_KEY, voucher);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesNotOpen.selector, owner, PROVIDER));
        till.charge(voucher, signature);
        _open();
        vm.prank(STRANGER);
        _expect(abi.encodeWithSelector(PrepaidBalance.NotVoucherProvider.selector, STRANGER, PROVIDER));
        till.charge(voucher, signature);

        vm.startPrank(PROVIDER);
        bytes memory foreign = _signVoucher(till, USER_KEY, voucher);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherNotSigned.selector, owner));
        till.charge(voucher, foreign);
        Voucher memory more = _voucher(2 ether, 1);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherNotSigned.selector, owner));
        till.charge(more, signature);
        till.charge(voucher, signature);
        _expect(abi.encodeWithSelector(PrepaidBalance.NothingToCharge.selector, 1 ether, 1 ether));
        till.charge(voucher, signature);
        Voucher memory old = _voucher(2 ether, 0);
        bytes memory oldSignature = _signVoucher(till, OWNER_KEY, old);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherOutdated.selector, 0, 1));
        till.charge(old, oldSignature);
        vm.warp(START + 1 days + 1);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherExpired.selector, START + 1 days));
        till.charge(voucher, signature);
        vm.stopPrank();
    }

    function test_charge_takesWhatThereIs() public {
        _open();
        require(_charge(_voucher(5 ether, 1)) == 3 ether);
        vm.startPrank(PROVIDER);
        Voucher memory voucher = _voucher(5 ether, 1);
        bytes memory signature = _signVoucher(till, OWNER_KEY, voucher);
        _expect(PrepaidBalance.InsufficientPrepaid.selector);
        till.charge(voucher, signature);
        vm.stopPrank();
        vm.prank(owner);
        till.depositPrepaid{value: 10 ether}();
        require(_charge(voucher) == 2 ether && till.prepaidBalances(owner) == 8 ether);
    }

    function test_charge_ofAContractOwner() public {
        SmartAccount account = new SmartAccount();
        vm.deal(address(account), 2 ether);
        account.run(address(till), 2 ether, abi.encodeCall(till.depositPrepaid, ()));
        account.run(address(till), 0, abi.encodeCall(till.open, (PROVIDER)));
        Voucher memory voucher = _voucher(1 ether, 1);
        voucher.user = address(account);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherNotSigned.selector, address(account)));
        till.charge(voucher, "");
        account.approve(till.voucherDigest(voucher));
        vm.prank(PROVIDER);
        require(till.charge(voucher, "") == 1 ether);
    }

    /// A voucher of another chain or contract is signed for another domain.
    function test_charge_domain() public {
        Till other = new Till();
        Voucher memory voucher = _voucher(1 ether, 1);
        bytes32 here = till.voucherDigest(voucher);
        require(other.voucherDigest(voucher) != here);
        vm.chainId(1);
        require(till.voucherDigest(voucher) != here);
    }

    function test_withdraw_once() public {
        SmartAccount account = new SmartAccount();
        vm.deal(address(account), 2 ether);
        account.run(address(till), 2 ether, abi.encodeCall(till.depositPrepaid, ()));
        bytes[2] memory calls = [
            abi.encodeCall(till.withdrawPrepaid, (0.5 ether)),
            abi.encodeCall(till.withdrawPrepaidTo, (0.5 ether, address(account)))
        ];
        for (uint256 i = 0; i < 2; i++) {
            account.setCallback(address(till), calls[i]);
            account.run(address(till), 0, calls[i]);
            require(bytes4(account.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        }
        require(till.prepaidBalances(address(account)) == 1 ether && address(till).balance == 4 ether);
        account.setRefuses(true);
        for (uint256 i = 0; i < 2; i++) {
            _expect(PullPayments.TransferFailed.selector);
            account.run(address(till), 0, calls[i]);
        }
    }

    /// What a payee earned, by either function.
    function test_withdrawOwed_once() public {
        SmartAccount account = new SmartAccount();
        vm.prank(owner);
        till.open(address(account));
        bytes[2] memory calls = [abi.encodeCall(till.withdraw, ()), abi.encodeCall(till.withdrawTo, (address(account)))];
        for (uint256 i = 0; i < 2; i++) {
            _earn(account, (i + 1) * 1 ether);
            account.setCallback(address(till), calls[i]);
            account.run(address(till), 0, calls[i]);
            require(bytes4(account.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
            require(address(account).balance == (i + 1) * 1 ether);
        }
        _earn(account, 3 ether);
        account.setRefuses(true);
        for (uint256 i = 0; i < 2; i++) {
            _expect(PullPayments.TransferFailed.selector);
            account.run(address(till), 0, calls[i]);
        }
        require(till.owed(address(account)) == 1 ether);
    }

    function _earn(SmartAccount payee, uint256 cumulative) private {
        Voucher memory voucher = _voucher(cumulative, 1);
        voucher.provider = address(payee);
        payee.run(address(till), 0, abi.encodeCall(till.charge, (voucher, _signVoucher(till, OWNER_KEY, voucher))));
    }

    function testFuzz_chargedIsNeverMoreThanSignedOrDeposited(uint96 deposit, uint96[4] memory signed) public {
        vm.deal(owner, type(uint128).max);
        _open();
        vm.prank(owner);
        till.depositPrepaid{value: uint256(deposit) + 1}();
        uint256 most;
        for (uint64 i = 0; i < 4; i++) {
            Voucher memory voucher = _voucher(signed[i], i);
            bytes memory signature = _signVoucher(till, OWNER_KEY, voucher);
            if (signed[i] > most) most = signed[i];
            vm.prank(PROVIDER);
            try till.charge(voucher, signature) {} catch {}
        }
        uint256 all = uint256(deposit) + 1 + 3 ether;
        require(till.owed(PROVIDER) <= most && till.owed(PROVIDER) <= all);
        require(till.owed(PROVIDER) == (most < all ? most : all));
        require(till.owed(PROVIDER) + till.prepaidBalances(owner) == all && address(till).balance == all);
    }

    // ------------------------------------------------------------------ inside

    function _open() private {
        vm.prank(owner);
        till.open(PROVIDER);
    }

    function _voucher(uint256 cumulative, uint64 sequence) private view returns (Voucher memory) {
        return Voucher(owner, PROVIDER, cumulative, sequence, "request", 0, START + 1 days);
    }

    function _charge(Voucher memory voucher) private returns (uint256) {
        bytes memory signature = _signVoucher(till, OWNER_KEY, voucher);
        vm.prank(PROVIDER);
        return till.charge(voucher, signature);
    }
}
