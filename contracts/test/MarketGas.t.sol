// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProviders} from "../src/interfaces/ILedger.sol";
import {ComputeRental} from "../src/market/ComputeRental.sol";
import {Voucher} from "../src/market/InferenceServing.sol";
import {Receipt} from "../src/market/Receipts.sol";
import {RentalOffers} from "../src/market/RentalOffers.sol";
import {MarketFixture} from "./MarketFixture.sol";

/// What users and providers pay for, in gas of the whole call as its caller pays it, every slot cold.
contract MarketGasTest is MarketFixture {
    event log_named_uint(string name, uint256 value);

    ComputeRental rental;
    uint256 private _before;

    function setUp() public {
        _deploy();
        _open();
        rental = new ComputeRental(OWNER, TREASURY, FEE, address(0xA5), IProviders(address(registry)), identity);
        RentalOffers.ComputeResources memory machine =
            RentalOffers.ComputeResources(RentalOffers.GPUType.NVIDIA_H100, 0, 80, 16, 128, 100, 1000, true);
        vm.startPrank(PROVIDER);
        rental.setProviderResources(
            machine, RentalOffers.ResourcePricing(0.1 ether, 0, 1, 720), 2, new string[](0), true, true
        );
        serving.registerService("model", "https://p", 1, 2);
        vm.stopPrank();
    }

    function _begin() private {
        vm.cool(address(ledger));
        vm.cool(address(serving));
        vm.cool(address(rental));
        vm.cool(address(registry));
        vm.cool(address(identity));
        vm.cool(address(keys));
        _before = 1;
        _before = gasleft();
    }

    function _end(string memory name, uint256 most) private {
        uint256 used = _before - gasleft();
        emit log_named_uint(name, used);
        vm.snapshotValue("market", name, used);
        require(used <= most, name);
    }

    function test_vouchers() public {
        Voucher memory voucher = _voucher(0.1 ether, 1);
        bytes memory signature = _signed(voucher);
        _begin();
        serving.settleVoucher(voucher, signature);
        _end("first voucher", 260_000);
        voucher = _voucher(0.2 ether, 2);
        signature = _signed(voucher);
        _begin();
        serving.settleVoucher(voucher, signature);
        _end("next voucher", 120_000);
        voucher = _voucher(0.3 ether, 3);
        signature = _signed(voucher);
        Receipt memory receipt = _receipt("id");
        bytes memory attested = _attest(receipt);
        _begin();
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        _end("first voucher with a receipt", 280_000);
        voucher = _voucher(0.4 ether, 4);
        signature = _signed(voucher);
        receipt = _receipt("other");
        attested = _attest(receipt);
        _begin();
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        _end("next voucher with a receipt", 200_000);
    }

    function test_money() public {
        vm.startPrank(USER);
        _begin();
        ledger.deposit{value: 1 ether}();
        _end("deposit", 60_000);
        _begin();
        ledger.transferToProvider(PROVIDER, 1 ether);
        _end("set aside more", 80_000);
        _begin();
        ledger.withdraw(1 ether);
        _end("withdraw a deposit", 80_000);
        vm.stopPrank();
    }

    function test_rental() public {
        vm.prank(USER);
        _begin();
        bytes32 id = rental.createRental{value: 0.2 ether}(PROVIDER, 2, "key", "image", "script");
        _end("create a rental", 600_000);
        vm.prank(PROVIDER);
        _begin();
        rental.startRental(id, "host", 22, "container");
        _end("start a rental", 200_000);
        vm.warp(block.timestamp + 1 hours);
        vm.prank(PROVIDER);
        _begin();
        rental.completeRental(id);
        _end("complete a rental", 250_000);
    }
}
