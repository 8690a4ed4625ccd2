// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {ILedger, IProviders} from "../src/interfaces/ILedger.sol";
import {IAttestedKeys} from "../src/interfaces/ITrust.sol";
import {InferenceServing as Serving, Voucher} from "../src/market/InferenceServing.sol";
import {PlatformFee} from "../src/market/PlatformFee.sol";
import {Receipt} from "../src/market/Receipts.sol";
import {ServiceList} from "../src/market/ServiceList.sol";
import {Account1271, MarketFixture, SigningKeys} from "./MarketFixture.sol";

contract InferenceServingTest is MarketFixture {
    bytes32 constant HASH = keccak256("request");

    function setUp() public {
        _deploy();
        _open();
        vm.startPrank(PROVIDER);
        serving.registerService("model", "https://p", 1 gwei, 2 gwei);
        ledger.acknowledgeUser(USER);
        vm.stopPrank();
    }

    function _settlement(uint256 service, uint256 nonce) private view returns (bytes memory) {
        return _sign(PROVIDER_KEY, serving.settlementDigest(USER, PROVIDER, service, HASH, 10, 20, nonce));
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public {
        require(address(serving.ledger()) == address(ledger) && address(serving.attestedKeys()) == address(keys));
        require(address(serving.registry()) == address(registry));
        require(address(serving.identityRegistry()) == address(identity));
        require(serving.treasury() == TREASURY && serving.getPlatformFeeRate() == FEE);
        require(keccak256(bytes(serving.version())) == keccak256("2.0.0"));
        (, string memory name, string memory version, uint256 chainId, address self,,) = serving.eip712Domain();
        require(
            keccak256(bytes(name)) == keccak256("Jeju InferenceServing") && keccak256(bytes(version)) == keccak256("1")
        );
        require(chainId == block.chainid && self == address(serving));

        IProviders providers = IProviders(address(registry));
        vm.expectRevert(ServiceList.ZeroAccount.selector);
        new Serving(OWNER, TREASURY, FEE, ILedger(address(0)), providers, identity, keys);
        vm.expectRevert(ServiceList.ZeroAccount.selector);
        new Serving(OWNER, TREASURY, FEE, ledger, IProviders(address(0)), identity, keys);
        vm.expectRevert(ServiceList.ZeroAccount.selector);
        new Serving(OWNER, TREASURY, FEE, ledger, providers, IIdentity(address(0)), keys);
        vm.expectRevert(ServiceList.ZeroAccount.selector);
        new Serving(OWNER, TREASURY, FEE, ledger, providers, identity, IAttestedKeys(address(0)));
        vm.expectRevert(abi.encodeWithSelector(PlatformFee.FeeTooHigh.selector, 1_001, 1_000));
        new Serving(OWNER, TREASURY, 1_001, ledger, providers, identity, keys);
    }

    // ------------------------------------------------------------------ services

    function test_registerService() public {
        vm.expectEmit(true, true, true, true, address(serving));
        emit ServiceList.ServiceRegistered(PROVIDER, 1, "other", "https://q", 3, 4);
        vm.prank(PROVIDER);
        serving.registerService("other", "https://q", 3, 4);
        ServiceList.Service[] memory services = serving.getServices(PROVIDER);
        require(services.length == 2 && services[1].provider == PROVIDER && services[1].active);
        require(services[1].pricePerInputToken == 3 && services[1].pricePerOutputToken == 4);
        require(
            serving.getServicesPage(PROVIDER, 1, 5).length == 1 && serving.getServicesPage(PROVIDER, 9, 5).length == 0
        );
        require(serving.getServicesPage(PROVIDER, 0, 1).length == 1);
        require(serving.calculateFee(PROVIDER, 10, 20) == 50 gwei);
    }

    function test_registerService_refusals() public {
        vm.prank(STRANGER);
        vm.expectRevert(ServiceList.ProviderNotActive.selector);
        serving.registerService("m", "e", 1, 1);
        vm.startPrank(PROVIDER);
        vm.expectRevert(abi.encodeWithSelector(ServiceList.InvalidText.selector, 0, 256));
        serving.registerService("", "e", 1, 1);
        vm.expectRevert(abi.encodeWithSelector(ServiceList.InvalidText.selector, 257, 256));
        serving.registerService("m", string(new bytes(257)), 1, 1);
        for (uint256 i = 1; i < 32; i++) {
            serving.registerService("m", "e", 1, 1);
        }
        vm.expectRevert(abi.encodeWithSelector(ServiceList.TooManyServices.selector, 32));
        serving.registerService("m", "e", 1, 1);
        serving.deactivateService(0);
        serving.registerService("m", "e", 1, 1);
        vm.expectRevert(abi.encodeWithSelector(ServiceList.TooManyServices.selector, 32));
        serving.reactivateService(0);
        vm.stopPrank();
    }

    function test_deactivateAndReactivate() public {
        vm.startPrank(PROVIDER);
        serving.registerService("b", "e", 3, 4);
        vm.expectRevert(ServiceList.ServiceNotFound.selector);
        serving.deactivateService(2);
        vm.expectRevert(ServiceList.ServiceNotFound.selector);
        serving.reactivateService(2);
        vm.expectRevert(ServiceList.ServiceStillActive.selector);
        serving.reactivateService(0);
        vm.expectEmit(true, true, true, true, address(serving));
        emit ServiceList.ServiceDeactivated(PROVIDER, 0);
        serving.deactivateService(0);
        vm.expectRevert(ServiceList.ServiceNotActive.selector);
        serving.deactivateService(0);
        require(serving.calculateFee(PROVIDER, 1, 0) == 3 && serving.getActiveServices(PROVIDER).length == 1);
        serving.deactivateService(1);
        vm.expectRevert(ServiceList.ServiceNotFound.selector);
        serving.calculateFee(PROVIDER, 1, 0);
        serving.reactivateService(1);
        vm.expectEmit(true, true, true, true, address(serving));
        emit ServiceList.ServiceReactivated(PROVIDER, 0);
        serving.reactivateService(0);
        require(serving.calculateFee(PROVIDER, 1, 0) == 1 gwei && serving.getActiveServices(PROVIDER).length == 2);
        vm.stopPrank();
    }

    function test_providerWithoutAgent() public {
        vm.deal(STRANGER, 1 ether);
        vm.startPrank(STRANGER);
        registry.register{value: 0.1 ether}("s", "e", 0);
        serving.registerService("m", "e", 1, 1);
        vm.stopPrank();
        require(serving.getActiveServices(STRANGER).length == 1);
    }

    // ------------------------------------------------------------------ vouchers

    function test_settleVoucher() public {
        Voucher memory voucher = _voucher(0.4 ether, 1);
        bytes memory signature = _signed(voucher);
        vm.expectEmit(true, true, true, true, address(serving));
        emit Serving.VoucherSettled(USER, PROVIDER, "request", "response", 0.4 ether, 0.4 ether, 0.4 ether, 1);
        vm.expectEmit(true, true, true, true, address(serving));
        emit Serving.PlatformFeeCollected(PROVIDER, 0.01 ether, FEE);
        require(serving.settleVoucher(voucher, signature) == 0.4 ether);
        require(ledger.owed(PROVIDER) == 0.39 ether && ledger.owed(TREASURY) == 0.01 ether);
        (uint256 paid, uint64 sequence) = serving.sessionOf(USER, PROVIDER);
        require(paid == 0.4 ether && sequence == 1);

        voucher = _voucher(0.5 ether, 7);
        require(serving.settleVoucher(voucher, _signed(voucher)) == 0.1 ether);
        (uint256 platformFees, uint256 total, uint16 rate) = serving.getPlatformFeeStats();
        require(platformFees == 0.0125 ether && total == 0.5 ether && rate == FEE && serving.totalSettlements() == 2);
    }

    function test_settleVoucher_refusals() public {
        Voucher memory voucher = _voucher(0.4 ether, 5);
        bytes memory signature = _signed(voucher);
        voucher.cumulative = 0.5 ether;
        vm.expectRevert(abi.encodeWithSelector(Serving.InvalidVoucher.selector, USER));
        serving.settleVoucher(voucher, signature);
        voucher.cumulative = 0.4 ether;
        serving.settleVoucher(voucher, signature);
        vm.expectRevert(abi.encodeWithSelector(Serving.NothingDue.selector, 0.4 ether, 0.4 ether, 0.6 ether));
        serving.settleVoucher(voucher, signature);
        voucher = _voucher(0.6 ether, 4);
        signature = _signed(voucher);
        vm.expectRevert(abi.encodeWithSelector(Serving.VoucherSuperseded.selector, 4, 5));
        serving.settleVoucher(voucher, signature);
        voucher = _voucher(0.3 ether, 6);
        signature = _signed(voucher);
        vm.expectRevert(abi.encodeWithSelector(Serving.NothingDue.selector, 0.3 ether, 0.4 ether, 0.6 ether));
        serving.settleVoucher(voucher, signature);
        voucher = _voucher(0.5 ether, 6);
        signature = _signed(voucher);
        vm.warp(voucher.expiry + 1);
        vm.expectRevert(abi.encodeWithSelector(Serving.VoucherExpired.selector, voucher.expiry));
        serving.settleVoucher(voucher, signature);
        vm.warp(voucher.expiry);
        serving.settleVoucher(voucher, signature);
    }

    /// What isn't covered is paid later, by the same voucher.
    function test_settleVoucher_partly() public {
        Voucher memory voucher = _voucher(3 ether, 1);
        bytes memory signature = _signed(voucher);
        require(serving.settleVoucher(voucher, signature) == 1 ether);
        vm.expectRevert(abi.encodeWithSelector(Serving.NothingDue.selector, 3 ether, 1 ether, 0));
        serving.settleVoucher(voucher, signature);
        vm.prank(USER);
        ledger.transferToProvider(PROVIDER, 5 ether);
        require(serving.settleVoucher(voucher, signature) == 2 ether && ledger.settleable(USER, PROVIDER) == 3 ether);
    }

    function test_settleVoucher_erc1271() public {
        Account1271 account = new Account1271(USER);
        vm.deal(address(account), 1 ether);
        vm.startPrank(address(account));
        ledger.createLedger{value: 1 ether}();
        ledger.transferToProvider(PROVIDER, 1 ether);
        vm.stopPrank();
        Voucher memory voucher = _voucher(0.4 ether, 1);
        voucher.user = address(account);
        bytes memory stranger = _sign(OTHER_KEY, serving.voucherDigest(voucher));
        vm.expectRevert(abi.encodeWithSelector(Serving.InvalidVoucher.selector, address(account)));
        serving.settleVoucher(voucher, stranger);
        require(serving.settleVoucher(voucher, _signed(voucher)) == 0.4 ether);
    }

    /// However vouchers are submitted, no more is paid than was set aside or promised.
    function testFuzz_vouchers(uint96[8] calldata cumulative, uint8[8] calldata order) public {
        uint256 most;
        for (uint256 i = 0; i < 8; i++) {
            uint256 amount = cumulative[i] % 2 ether;
            Voucher memory voucher = _voucher(amount, order[i]);
            bytes memory signature = _signed(voucher);
            (uint256 before, uint64 sequence) = serving.sessionOf(USER, PROVIDER);
            if (order[i] >= sequence && amount > before && before < 1 ether) {
                if (amount > most) most = amount;
                serving.settleVoucher(voucher, signature);
            } else {
                vm.expectRevert();
                serving.settleVoucher(voucher, signature);
            }
        }
        (uint256 paid,) = serving.sessionOf(USER, PROVIDER);
        require(paid == (most < 1 ether ? most : 1 ether));
        require(ledger.owed(PROVIDER) + ledger.owed(TREASURY) == paid);
    }

    // ------------------------------------------------------------------ receipts

    function test_settleVoucherWithReceipt() public {
        Voucher memory voucher = _voucher(0.4 ether, 1);
        bytes memory signature = _signed(voucher);
        Receipt memory receipt = _receipt("id");
        bytes memory attested = _attest(receipt);
        vm.expectEmit(true, true, true, true, address(serving));
        emit Serving.ReceiptCounted(agent, ENCLAVE, "id");
        vm.expectEmit(true, true, true, true, address(serving));
        emit Serving.AgentSettled(agent, USER, 10, 20, 0.4 ether);
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        (uint256 tokens, uint256 revenue, uint256 count) = serving.getAgentStats(agent);
        require(tokens == 30 && revenue == 0.4 ether && count == 1);

        voucher = _voucher(0.5 ether, 2);
        signature = _signed(voucher);
        vm.expectRevert(abi.encodeWithSelector(Serving.ReceiptAlreadyCounted.selector, ENCLAVE, ID));
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
    }

    function test_settleVoucherWithReceipt_refusals() public {
        Voucher memory voucher = _voucher(0.4 ether, 1);
        bytes memory signature = _signed(voucher);
        Receipt memory receipt = _receipt("id");
        receipt.requestDigest = OTHER;
        bytes memory attested = _attest(receipt);
        vm.expectRevert(abi.encodeWithSelector(Serving.ReceiptMismatch.selector, OTHER, RESPONSE));
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        receipt = _receipt("id");
        receipt.responseDigest = OTHER;
        vm.expectRevert(abi.encodeWithSelector(Serving.ReceiptMismatch.selector, REQUEST, OTHER));
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        // Signed by no attested key.
        receipt = _receipt("id");
        attested = _sign(OTHER_KEY, this.receiptDigest(receipt));
        vm.expectRevert(abi.encodeWithSelector(SigningKeys.NotLive.selector, vm.addr(OTHER_KEY)));
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        // Another agent's key.
        keys.set(ENCLAVE, agent + 1);
        attested = _attest(receipt);
        vm.expectRevert(abi.encodeWithSelector(Serving.ReceiptOfOtherAgent.selector, agent + 1, agent));
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        receipt.agentId = agent + 1;
        attested = _attest(receipt);
        vm.expectRevert(abi.encodeWithSelector(Serving.ReceiptOfOtherAgent.selector, agent + 1, agent));
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        (uint256 paid,) = serving.sessionOf(USER, PROVIDER);
        require(paid == 0);
    }

    // ------------------------------------------------------------------ the seed's settlement

    function test_settle() public {
        bytes memory signature = _settlement(0, 0);
        vm.expectEmit(true, true, true, true, address(serving));
        emit Serving.Settled(USER, PROVIDER, HASH, 10, 20, 50 gwei, 0);
        vm.expectEmit(true, true, true, true, address(serving));
        emit Serving.AgentSettled(agent, USER, 10, 20, 50 gwei);
        vm.prank(USER);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        require(serving.getNonce(USER, PROVIDER) == 1);
        require(ledger.owed(PROVIDER) == 48.75 gwei && ledger.owed(TREASURY) == 1.25 gwei);
    }

    function test_settle_refusals() public {
        bytes memory signature = _settlement(0, 0);
        vm.startPrank(STRANGER);
        vm.expectRevert(Serving.UserNotAcknowledged.selector);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        vm.stopPrank();
        vm.startPrank(USER);
        vm.expectRevert(Serving.InvalidSignature.selector);
        serving.settle(PROVIDER, HASH, 10, 21, 0, signature);
        vm.expectRevert(abi.encodeWithSelector(Serving.InvalidNonce.selector, 0, 1));
        serving.settle(PROVIDER, HASH, 10, 20, 1, signature);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        vm.expectRevert(abi.encodeWithSelector(Serving.InvalidNonce.selector, 1, 0));
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        vm.expectRevert(ServiceList.ServiceNotFound.selector);
        serving.settle(STRANGER, HASH, 10, 20, 0, signature);
        vm.stopPrank();
        vm.startPrank(USER);
        signature = _sign(PROVIDER_KEY, serving.settlementDigest(USER, PROVIDER, 0, HASH, 1 gwei, 20, 1));
        vm.expectRevert(
            abi.encodeWithSelector(Serving.InsufficientBalance.selector, 1 ether - 50 gwei, 1 ether + 40 gwei)
        );
        serving.settle(PROVIDER, HASH, 1 gwei, 20, 1, signature);
        vm.stopPrank();
    }

    function test_settleService_refusals() public {
        bytes memory signature = _settlement(0, 0);
        vm.prank(STRANGER);
        vm.expectRevert(Serving.UserNotAcknowledged.selector);
        serving.settleService(PROVIDER, 0, HASH, 10, 20, 0, signature);
        vm.startPrank(USER);
        vm.expectRevert(abi.encodeWithSelector(Serving.InvalidNonce.selector, 0, 1));
        serving.settleService(PROVIDER, 0, HASH, 10, 20, 1, signature);
        signature = _sign(PROVIDER_KEY, serving.settlementDigest(USER, PROVIDER, 0, HASH, 1 gwei, 20, 0));
        vm.expectRevert(abi.encodeWithSelector(Serving.InsufficientBalance.selector, 1 ether, 1 ether + 40 gwei));
        serving.settleService(PROVIDER, 0, HASH, 1 gwei, 20, 0, signature);
        vm.stopPrank();
    }

    function test_setSigner() public {
        vm.expectEmit(true, true, true, true, address(serving));
        emit Serving.SignerSet(PROVIDER, vm.addr(OTHER_KEY));
        vm.prank(PROVIDER);
        serving.setSigner(vm.addr(OTHER_KEY));
        require(serving.getSigner(PROVIDER) == vm.addr(OTHER_KEY));
        bytes32 digest = serving.settlementDigest(USER, PROVIDER, 0, HASH, 10, 20, 0);
        bytes memory signature = _sign(PROVIDER_KEY, digest);
        vm.startPrank(USER);
        vm.expectRevert(Serving.InvalidSignature.selector);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        serving.settle(PROVIDER, HASH, 10, 20, 0, _sign(OTHER_KEY, digest));
        vm.stopPrank();
        vm.prank(PROVIDER);
        serving.setSigner(address(0));
        require(serving.getSigner(PROVIDER) == PROVIDER);
    }

    function test_settleService_ofAnEndedService() public {
        bytes memory signature = _settlement(0, 0);
        vm.prank(PROVIDER);
        serving.deactivateService(0);
        vm.startPrank(USER);
        vm.expectRevert(ServiceList.ServiceNotFound.selector);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        serving.settleService(PROVIDER, 0, HASH, 10, 20, 0, signature);
        vm.expectRevert(Serving.InvalidSignature.selector);
        serving.settleService(PROVIDER, 9, HASH, 10, 20, 1, signature);
        vm.stopPrank();
        bytes memory other = _settlement(9, 1);
        vm.prank(USER);
        vm.expectRevert(ServiceList.ServiceNotFound.selector);
        serving.settleService(PROVIDER, 9, HASH, 10, 20, 1, other);
    }

    /// Counts that are full stop nothing.
    function test_settle_countsSaturate() public {
        vm.startPrank(PROVIDER);
        serving.registerService("free", "e", 0, 0);
        vm.stopPrank();
        uint256 max = type(uint256).max;
        for (uint256 i = 0; i < 2; i++) {
            bytes memory signature = _sign(PROVIDER_KEY, serving.settlementDigest(USER, PROVIDER, 1, HASH, max, max, i));
            vm.prank(USER);
            serving.settleService(PROVIDER, 1, HASH, max, max, i, signature);
        }
        (uint256 tokens,, uint256 count) = serving.getAgentStats(agent);
        require(tokens == type(uint64).max && count == 2);
    }

    // ------------------------------------------------------------------ an agent is sold

    function test_soldAgent_endsPricesButNotWhatWasSigned() public {
        bytes memory settlement = _settlement(0, 0);
        Voucher memory voucher = _voucher(0.4 ether, 1);
        bytes memory signature = _signed(voucher);
        Receipt memory receipt = _receipt("id");
        bytes memory attested = _attest(receipt);
        vm.startPrank(PROVIDER);
        serving.registerService("b", "e", 1, 1);
        serving.deactivateService(1);
        identity.transferFrom(PROVIDER, BUYER, agent);
        vm.expectRevert(abi.encodeWithSelector(ServiceList.ServiceEnded.selector, agent));
        serving.reactivateService(1);
        vm.stopPrank();
        require(serving.getActiveServices(PROVIDER).length == 0 && !serving.getServices(PROVIDER)[0].active);
        vm.expectRevert(ServiceList.ServiceNotFound.selector);
        serving.calculateFee(PROVIDER, 1, 1);

        // The seller is paid for its work; the buyer's agent gets neither the money nor the record.
        vm.expectRevert(abi.encodeWithSelector(Serving.ReceiptOfOtherAgent.selector, agent, 0));
        serving.settleVoucherWithReceipt(voucher, signature, receipt, attested);
        serving.settleVoucher(voucher, signature);
        vm.prank(USER);
        serving.settleService(PROVIDER, 0, HASH, 10, 20, 0, settlement);
        require(ledger.owed(PROVIDER) == (0.4 ether + 50 gwei) * 9_750 / 10_000 && ledger.owed(BUYER) == 0);
        (uint256 tokens, uint256 revenue,) = serving.getAgentStats(agent);
        require(tokens == 0 && revenue == 0);
    }

    // ------------------------------------------------------------------ platform's part

    function test_setPlatformFee() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        serving.setPlatformFee(1);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(PlatformFee.FeeTooHigh.selector, 1_001, 1_000));
        serving.setPlatformFee(1_001);
        vm.expectEmit(true, true, true, true, address(serving));
        emit PlatformFee.PlatformFeeAnnounced(FEE, 1_000, START + 8 days);
        serving.setPlatformFee(1_000);
        vm.warp(START + 8 days - 1);
        require(serving.getPlatformFeeRate() == FEE);
        vm.warp(START + 8 days);
        require(serving.getPlatformFeeRate() == 1_000);
        serving.setPlatformFee(0);
        require(serving.getPlatformFeeRate() == 1_000);
        vm.stopPrank();
    }

    function test_setTreasury() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        serving.setTreasury(OWNER);
        vm.startPrank(OWNER);
        vm.expectEmit(true, true, true, true, address(serving));
        emit PlatformFee.TreasuryUpdated(TREASURY, OWNER);
        serving.setTreasury(OWNER);
        require(serving.getPlatformFeeRate() == FEE);
        serving.setTreasury(address(0));
        require(serving.getPlatformFeeRate() == 0);
        // Bringing the fee back is a rise.
        serving.setTreasury(TREASURY);
        require(serving.getPlatformFeeRate() == 0);
        vm.warp(START + 8 days);
        require(serving.getPlatformFeeRate() == FEE);
        vm.stopPrank();
    }

    function test_pause() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        serving.pause();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        serving.unpause();
        vm.prank(OWNER);
        serving.pause();
        vm.prank(PROVIDER);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        serving.registerService("m", "e", 1, 1);
        Voucher memory voucher = _voucher(0.4 ether, 1);
        serving.settleVoucher(voucher, _signed(voucher));
        bytes memory signature = _settlement(0, 0);
        vm.prank(USER);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        vm.prank(OWNER);
        serving.unpause();
        vm.prank(PROVIDER);
        serving.registerService("m", "e", 1, 1);
    }

    // ------------------------------------------------------------------ the seed's bugs

    /// One provider's signature settled in every deployment on every chain.
    function test_seedBug_settlementReplaysAcrossDeployments() public {
        bytes memory signature = _settlement(0, 0);
        Serving other = new Serving(OWNER, TREASURY, FEE, ledger, IProviders(address(registry)), identity, keys);
        vm.prank(PROVIDER);
        other.registerService("model", "https://p", 1 gwei, 2 gwei);
        vm.startPrank(USER);
        vm.expectRevert(Serving.InvalidSignature.selector);
        other.settle(PROVIDER, HASH, 10, 20, 0, signature);
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        vm.expectRevert(Serving.InvalidSignature.selector);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        vm.chainId(chain);
        // The seed's own digest isn't accepted.
        bytes32 inner = keccak256(abi.encodePacked(USER, PROVIDER, HASH, uint256(10), uint256(20), uint256(0)));
        bytes memory old = _sign(PROVIDER_KEY, keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", inner)));
        vm.expectRevert(Serving.InvalidSignature.selector);
        serving.settle(PROVIDER, HASH, 10, 20, 0, old);
        vm.stopPrank();
    }

    /// Vouchers too are for one contract on one chain.
    function test_voucherReplaysNowhere() public {
        Voucher memory voucher = _voucher(0.4 ether, 1);
        bytes memory signature = _signed(voucher);
        Serving other = new Serving(OWNER, TREASURY, FEE, ledger, IProviders(address(registry)), identity, keys);
        vm.expectRevert(abi.encodeWithSelector(Serving.InvalidVoucher.selector, USER));
        other.settleVoucher(voucher, signature);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(abi.encodeWithSelector(Serving.InvalidVoucher.selector, USER));
        serving.settleVoucher(voucher, signature);
    }

    /// Only the user could submit: a user that didn't worked for free. Now the provider does.
    function test_seedBug_onlyTheUserSettles() public {
        Voucher memory voucher = _voucher(0.4 ether, 1);
        bytes memory signature = _signed(voucher);
        vm.prank(PROVIDER);
        serving.settleVoucher(voucher, signature);
        require(ledger.owed(PROVIDER) == 0.39 ether);
    }

    /// Without a treasury the fee stayed in the sub-account, but was counted.
    function test_seedBug_feeLockedWithoutTreasury() public {
        vm.prank(OWNER);
        serving.setTreasury(address(0));
        Voucher memory voucher = _voucher(1 ether, 1);
        serving.settleVoucher(voucher, _signed(voucher));
        require(ledger.owed(PROVIDER) == 1 ether && ledger.settleable(USER, PROVIDER) == 0);
        require(serving.totalPlatformFeesCollected() == 0);
    }

    /// The provider raised its price between the answer and the settlement.
    function test_seedBug_priceRaisedBeforeSettlement() public {
        bytes memory signature = _settlement(0, 0);
        vm.startPrank(PROVIDER);
        serving.registerService("model", "https://p", 1 ether, 1 ether);
        serving.deactivateService(0);
        vm.stopPrank();
        vm.startPrank(USER);
        vm.expectRevert(Serving.InvalidSignature.selector);
        serving.settle(PROVIDER, HASH, 10, 20, 0, signature);
        serving.settleService(PROVIDER, 0, HASH, 10, 20, 0, signature);
        vm.stopPrank();
        require(ledger.owed(PROVIDER) + ledger.owed(TREASURY) == 50 gwei);
    }

    /// Responses to parallel requests shared one nonce, and only one of them settled. One voucher pays for both.
    function test_seedBug_parallelRequestsShareANonce() public {
        Voucher memory first = _voucher(0.1 ether, 1);
        Voucher memory second = _voucher(0.3 ether, 2);
        require(serving.settleVoucher(second, _signed(second)) == 0.3 ether);
        bytes memory signature = _signed(first);
        vm.expectRevert(abi.encodeWithSelector(Serving.VoucherSuperseded.selector, 1, 2));
        serving.settleVoucher(first, signature);
    }
}
