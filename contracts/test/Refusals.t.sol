// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {InferenceServing as Serving, Voucher} from "../src/market/InferenceServing.sol";
import {Receipt} from "../src/market/Receipts.sol";
import {MarketFixture} from "./MarketFixture.sol";

/// What a voucher is refused for, it is refused for with a receipt too.
contract VoucherWithReceiptRefusals is MarketFixture {
    function setUp() public {
        _deploy();
        _open();
    }

    function _refused(Voucher memory voucher, bytes memory signature, bytes memory reason) private {
        Receipt memory receipt = _receipt("id");
        bytes memory attested = _attest(receipt);
        vm.expectRevert(reason);
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
    }

    function test_settleVoucherWithReceipt_refusesWhatTheVoucherIs() public {
        Voucher memory voucher = _voucher(0.4 ether, 2);
        _refused(
            voucher,
            _sign(OTHER_KEY, serving.voucherDigest(voucher)),
            abi.encodeWithSelector(Serving.InvalidVoucher.selector, USER)
        );
        serving.settleVoucher(voucher, _signed(voucher));
        _refused(
            voucher,
            _signed(voucher),
            abi.encodeWithSelector(Serving.NothingDue.selector, 0.4 ether, 0.4 ether, 0.6 ether)
        );
        voucher = _voucher(0.5 ether, 1);
        _refused(voucher, _signed(voucher), abi.encodeWithSelector(Serving.VoucherSuperseded.selector, 1, 2));
        voucher = _voucher(0.5 ether, 3);
        vm.warp(START + 30 days + 1);
        _refused(voucher, _signed(voucher), abi.encodeWithSelector(Serving.VoucherExpired.selector, START + 30 days));
    }
}
