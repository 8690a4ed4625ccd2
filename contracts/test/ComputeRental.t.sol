// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IIdentity} from "../src/interfaces/IIdentity.sol";
import {IProviders} from "../src/interfaces/ILedger.sol";
import {ComputeRental as Rental} from "../src/market/ComputeRental.sol";
import {PlatformFee} from "../src/market/PlatformFee.sol";
import {PullPayments} from "../src/market/PullPayments.sol";
import {RentalBook} from "../src/market/RentalBook.sol";
import {RentalOffers} from "../src/market/RentalOffers.sol";
import {Account1271, MarketFixture, Reentrant} from "./MarketFixture.sol";

contract ComputeRentalTest is MarketFixture {
    address constant ARBITER = address(0xA5);
    uint256 constant RATE = 0.1 ether;
    uint256 constant BOND = 0.01 ether;

    Rental rental;

    function setUp() public {
        _deploy();
        rental = new Rental(OWNER, TREASURY, FEE, ARBITER, IProviders(address(registry)), identity);
        _offer(PROVIDER, RATE, 1, 720);
    }

    function _offer(address provider, uint256 rate, uint256 least, uint256 most) private {
        vm.prank(provider);
        rental.setProviderResources(_resources(0), _pricing(rate, 0, least, most), 2, new string[](0), true, true);
    }

    function _resources(uint8 gpus) private pure returns (RentalOffers.ComputeResources memory) {
        return RentalOffers.ComputeResources(RentalOffers.GPUType.NVIDIA_H100, gpus, 80, 16, 128, 100, 1000, true);
    }

    function _pricing(uint256 rate, uint256 gpuRate, uint256 least, uint256 most)
        private
        pure
        returns (RentalOffers.ResourcePricing memory)
    {
        return RentalOffers.ResourcePricing(rate, gpuRate, least, most);
    }

    function _create(uint256 time) private returns (bytes32) {
        vm.prank(USER);
        return rental.createRental{value: time * RATE}(PROVIDER, time, "key", "image", "script");
    }

    function _start(bytes32 id) private {
        vm.prank(PROVIDER);
        rental.startRental(id, "host", 22, "container");
    }

    function _active(uint256 time) private returns (bytes32 id) {
        id = _create(time);
        _start(id);
    }

    function _dispute(address who, bytes32 id) private returns (bytes32) {
        vm.prank(who);
        return rental.createDispute{value: BOND}(id, RentalBook.DisputeReason.WRONG_HARDWARE, "ipfs://e");
    }

    function _status(bytes32 id) private view returns (RentalBook.RentalStatus) {
        return rental.getRental(id).status;
    }

    function _requireBalanced() private view {
        require(address(rental).balance == rental.totalEscrow() + rental.totalBonds() + rental.totalOwed());
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public {
        require(rental.arbiter() == ARBITER && rental.getEffectivePlatformFee() == FEE);
        require(address(rental.computeRegistry()) == address(registry));
        require(address(rental.identityRegistry()) == address(identity));
        require(keccak256(bytes(rental.version())) == keccak256("2.0.0"));
        IProviders providers = IProviders(address(registry));
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        new Rental(OWNER, TREASURY, FEE, address(0), providers, identity);
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        new Rental(OWNER, TREASURY, FEE, ARBITER, IProviders(address(0)), identity);
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        new Rental(OWNER, TREASURY, FEE, ARBITER, providers, IIdentity(address(0)));
    }

    // ------------------------------------------------------------------ offers

    function test_setProviderResources() public {
        string[] memory images = new string[](1);
        images[0] = "good";
        vm.expectEmit(true, true, true, true, address(rental));
        emit RentalOffers.ProviderResourcesUpdated(PROVIDER, _resources(8), _pricing(1, 2, 3, 4));
        vm.prank(PROVIDER);
        rental.setProviderResources(_resources(8), _pricing(1, 2, 3, 4), 5, images, false, true);
        (
            RentalOffers.ComputeResources memory resources,
            RentalOffers.ResourcePricing memory pricing,
            uint256 max,
            uint256 active,
            bool ssh,
            bool docker
        ) = rental.getProviderResources(PROVIDER);
        require(resources.gpuCount == 8 && resources.gpuType == RentalOffers.GPUType.NVIDIA_H100);
        require(pricing.pricePerHour == 1 && pricing.pricePerGpuHour == 2);
        require(pricing.minimumRentalHours == 3 && pricing.maximumRentalHours == 4);
        require(max == 5 && active == 0 && !ssh && docker);
        require(rental.calculateRentalCost(PROVIDER, 3) == 51);
        require(rental.isImageSupported(PROVIDER, "good") && !rental.isImageSupported(PROVIDER, "bad"));
        (uint256 cost, address asset, address payTo, string memory network, string memory description) =
            rental.getPaymentRequirement(PROVIDER, 3);
        require(cost == 51 && asset == address(0) && payTo == address(rental));
        require(keccak256(bytes(network)) == keccak256("jeju"));
        require(keccak256(bytes(description)) == keccak256("Compute rental: 3 hours, 8 GPUs"));
    }

    function test_setProviderResources_refusals() public {
        vm.startPrank(PROVIDER);
        string[] memory images = new string[](0);
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.setProviderResources(_resources(0), _pricing(1, 1, 0, 4), 1, images, true, true);
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.setProviderResources(_resources(0), _pricing(1, 1, 1, 721), 1, images, true, true);
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.setProviderResources(_resources(0), _pricing(1, 1, 5, 4), 1, images, true, true);
        vm.expectRevert(abi.encodeWithSelector(RentalOffers.TooManyImages.selector, 65, 64));
        rental.setProviderResources(_resources(0), _pricing(1, 1, 1, 4), 1, new string[](65), true, true);
        vm.stopPrank();
    }

    function test_linkProviderAgent() public {
        vm.prank(STRANGER);
        vm.expectRevert(RentalOffers.NotAgentOwner.selector);
        rental.linkProviderAgent(agent);
        vm.startPrank(PROVIDER);
        vm.expectRevert(RentalOffers.InvalidAgentId.selector);
        rental.linkProviderAgent(0);
        vm.expectEmit(true, true, true, true, address(rental));
        emit RentalOffers.ProviderAgentLinked(PROVIDER, agent);
        rental.linkProviderAgent(agent);
        vm.expectRevert(RentalOffers.AgentAlreadyLinked.selector);
        rental.linkProviderAgent(agent);
        vm.stopPrank();
        require(rental.getProviderByAgent(agent) == PROVIDER && rental.getProviderByAgent(0) == address(0));
    }

    /// A sold agent ends the offer and what wasn't started; the seller may make a new offer without it.
    function test_soldAgent() public {
        vm.prank(PROVIDER);
        rental.linkProviderAgent(agent);
        bytes32 pending = _create(1);
        bytes32 active = _active(2);
        vm.prank(PROVIDER);
        identity.transferFrom(PROVIDER, BUYER, agent);
        require(rental.getProviderByAgent(agent) == address(0));
        vm.prank(PROVIDER);
        vm.expectRevert(abi.encodeWithSelector(Rental.AgentMoved.selector, agent));
        rental.startRental(pending, "host", 22, "");
        vm.startPrank(USER);
        vm.expectRevert(RentalOffers.ProviderNotRegistered.selector);
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "", "");
        vm.expectRevert(RentalOffers.ProviderNotRegistered.selector);
        rental.extendRental{value: RATE}(active, 1);
        rental.completeRental(active);
        rental.cancelRental(pending);
        vm.stopPrank();
        vm.startPrank(PROVIDER);
        registry.unlinkAgent();
        registry.deactivate();
        registry.reactivate();
        vm.stopPrank();
        _offer(PROVIDER, RATE, 1, 720);
        _create(1);
        _requireBalanced();
    }

    // ------------------------------------------------------------------ creation

    function test_createRental() public {
        vm.prank(USER);
        bytes32 id = rental.createRental{value: 1 ether}(PROVIDER, 3, "key", "image", "sha256:00");
        RentalBook.Rental memory r = rental.getRental(id);
        require(r.rentalId == id && r.user == USER && r.provider == PROVIDER);
        require(r.status == RentalBook.RentalStatus.PENDING && r.startTime == 0 && r.endTime == 0);
        require(r.totalCost == 0.3 ether && r.paidAmount == 0.3 ether && r.refundedAmount == 0);
        require(keccak256(bytes(r.sshPublicKey)) == keccak256("key"));
        require(keccak256(bytes(r.containerImage)) == keccak256("image"));
        require(keccak256(bytes(r.startupScript)) == keccak256("sha256:00"));
        (uint256 rate, uint256 startDeadline, uint256 endedAt, uint16 feeBps) = rental.termsOf(id);
        require(rate == RATE && startDeadline == START + 2 hours && endedAt == 0 && feeBps == FEE);
        // What is too much stays the payer's.
        require(rental.owed(USER) == 0.7 ether && rental.totalEscrow() == 0.3 ether);
        require(rental.getUserRentals(USER)[0] == id && rental.getProviderRentals(PROVIDER)[0] == id);
        require(rental.getUserRentalsPage(USER, 0, 5)[0] == id && rental.getUserRentalsPage(USER, 1, 5).length == 0);
        require(rental.getProviderRentalsPage(PROVIDER, 0, 1)[0] == id);
        require(rental.getUserRecord(USER).totalRentals == 1 && rental.getProviderRecord(PROVIDER).totalRentals == 1);
        require(rental.getRental(0).user == address(0) && !rental.isRentalActive(id));
        _requireBalanced();
    }

    function test_createRental_refusals() public {
        vm.startPrank(USER);
        vm.expectRevert(RentalOffers.ProviderNotRegistered.selector);
        rental.createRental{value: 1 ether}(STRANGER, 1, "key", "image", "");
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.createRental{value: 1 ether}(PROVIDER, 0, "key", "image", "");
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.createRental{value: 100 ether}(PROVIDER, 721, "key", "image", "");
        vm.expectRevert(abi.encodeWithSelector(Rental.InsufficientPayment.selector, RATE - 1, RATE));
        rental.createRental{value: RATE - 1}(PROVIDER, 1, "key", "image", "");
        vm.expectRevert(Rental.InvalidSSHKey.selector);
        rental.createRental{value: RATE}(PROVIDER, 1, "", "image", "");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 1025, 1024));
        rental.createRental{value: RATE}(PROVIDER, 1, string(new bytes(1025)), "image", "");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 257, 256));
        rental.createRental{value: RATE}(PROVIDER, 1, "key", string(new bytes(257)), "");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 4097, 4096));
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "image", string(new bytes(4097)));
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        rental.createRentalFor{value: RATE}(address(0), PROVIDER, 1, "key", "image", "");
        vm.stopPrank();
        vm.prank(PROVIDER);
        registry.deactivate();
        vm.prank(USER);
        vm.expectRevert(RentalOffers.ProviderNotInRegistry.selector);
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "image", "");
    }

    /// Whoever pays, the rental itself is checked alike.
    function test_createRentalFor_refusals() public {
        vm.startPrank(STRANGER);
        vm.expectRevert(RentalOffers.ProviderNotRegistered.selector);
        rental.createRentalFor{value: RATE}(USER, STRANGER, 1, "key", "image", "");
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.createRentalFor{value: RATE}(USER, PROVIDER, 0, "key", "image", "");
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.createRentalFor{value: 100 ether}(USER, PROVIDER, 721, "key", "image", "");
        vm.expectRevert(Rental.InvalidSSHKey.selector);
        rental.createRentalFor{value: RATE}(USER, PROVIDER, 1, "", "image", "");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 1025, 1024));
        rental.createRentalFor{value: RATE}(USER, PROVIDER, 1, string(new bytes(1025)), "image", "");
        vm.expectRevert(Rental.ImageNotSupported.selector);
        rental.createRentalFor{value: RATE}(USER, PROVIDER, 1, "key", "--privileged", "");
        vm.stopPrank();
        _active(1);
        bytes32 id = _active(1);
        vm.prank(STRANGER);
        vm.expectRevert(Rental.ProviderAtCapacity.selector);
        rental.createRentalFor{value: RATE}(USER, PROVIDER, 1, "key", "image", "");
        vm.prank(PROVIDER);
        registry.deactivate();
        vm.prank(STRANGER);
        vm.expectRevert(RentalOffers.ProviderNotInRegistry.selector);
        rental.createRentalFor{value: RATE}(USER, PROVIDER, 1, "key", "image", "");
        vm.prank(USER);
        vm.expectRevert(RentalOffers.ProviderNotInRegistry.selector);
        rental.extendRental{value: RATE}(id, 1);
    }

    function test_rentalThatIsNotThere() public {
        vm.startPrank(USER);
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.extendRental{value: RATE}(0, 1);
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.cancelRental(0);
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.rateRental(0, 90, "good");
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.reportAbuse(0, RentalBook.DisputeReason.USER_ABUSE, "e");
        vm.stopPrank();
    }

    function test_createRentalFor() public {
        vm.prank(STRANGER);
        bytes32 id = rental.createRentalFor{value: 1 ether}(USER, PROVIDER, 1, "key", "image", "");
        require(rental.getRental(id).user == USER && rental.owed(STRANGER) == 0.9 ether);
        vm.prank(USER);
        rental.cancelRental(id);
        require(rental.owed(USER) == RATE);
    }

    function test_capacity() public {
        bytes32 third = _create(1);
        _active(1);
        _active(1);
        vm.prank(USER);
        vm.expectRevert(Rental.ProviderAtCapacity.selector);
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "image", "");
        vm.prank(PROVIDER);
        vm.expectRevert(Rental.ProviderAtCapacity.selector);
        rental.startRental(third, "host", 22, "");
    }

    // ------------------------------------------------------------------ start and end

    function test_startRental() public {
        bytes32 id = _create(2);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.RentalStarted(id, "host", 22, "container");
        _start(id);
        RentalBook.Rental memory r = rental.getRental(id);
        require(r.startTime == START && r.endTime == START + 2 hours && r.sshPort == 22);
        require(keccak256(bytes(r.sshHost)) == keccak256("host"));
        require(rental.isRentalActive(id) && rental.getRemainingTime(id) == 2 hours);
        vm.warp(START + 2 hours);
        require(!rental.isRentalActive(id) && rental.getRemainingTime(id) == 0);
    }

    function test_startRental_refusals() public {
        vm.prank(PROVIDER);
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.startRental(0, "host", 22, "");
        bytes32 id = _create(2);
        vm.prank(USER);
        vm.expectRevert(RentalBook.NotRentalProvider.selector);
        rental.startRental(id, "host", 22, "");
        vm.startPrank(PROVIDER);
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 0, 256));
        rental.startRental(id, "", 22, "");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 257, 256));
        rental.startRental(id, "host", 22, string(new bytes(257)));
        vm.warp(START + 2 hours + 1);
        vm.expectRevert(abi.encodeWithSelector(Rental.RentalExpiredAt.selector, START + 2 hours));
        rental.startRental(id, "host", 22, "");
        vm.warp(START + 2 hours);
        rental.startRental(id, "host", 22, "");
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.startRental(id, "host", 22, "");
        vm.stopPrank();
    }

    function test_completeRental_afterItsTime_byAnyone() public {
        bytes32 id = _active(2);
        vm.warp(START + 2 hours - 1);
        vm.prank(STRANGER);
        vm.expectRevert(RentalBook.NotRentalProvider.selector);
        rental.completeRental(id);
        vm.warp(START + 5 hours);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.PlatformFeeCollected(id, 0.005 ether, FEE);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.RentalCompleted(id, 2 hours, 0);
        vm.prank(STRANGER);
        rental.completeRental(id);
        require(rental.owed(PROVIDER) == 0.195 ether && rental.owed(TREASURY) == 0.005 ether);
        require(_status(id) == RentalBook.RentalStatus.COMPLETED);
        require(rental.getProviderRecord(PROVIDER).totalEarnings == 0.195 ether);
        (uint256 fees, uint256 bps, address recipient) = rental.getPlatformFeeStats();
        require(fees == 0.005 ether && bps == FEE && recipient == TREASURY);
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.completeRental(id);
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.completeRental(0);
        uint256 before = PROVIDER.balance;
        vm.prank(PROVIDER);
        rental.withdraw();
        require(PROVIDER.balance == before + 0.195 ether);
        _requireBalanced();
    }

    function test_completeRental_early_byEitherSide() public {
        bytes32 first = _active(2);
        bytes32 second = _active(2);
        vm.warp(START + 30 minutes);
        vm.prank(USER);
        rental.completeRental(first);
        vm.prank(PROVIDER);
        rental.completeRental(second);
        require(rental.owed(USER) == 0.3 ether && rental.owed(PROVIDER) == 0.0975 ether);
        require(rental.getRental(first).refundedAmount == 0.15 ether);
        (,, uint256 endedAt,) = rental.termsOf(first);
        require(endedAt == START + 30 minutes);
        (,,, uint256 active,,) = rental.getProviderResources(PROVIDER);
        require(active == 0);
        _requireBalanced();
    }

    function test_cancelRental() public {
        bytes32 id = _create(2);
        vm.prank(STRANGER);
        vm.expectRevert(RentalBook.NotRentalOwner.selector);
        rental.cancelRental(id);
        vm.startPrank(USER);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.RentalCancelled(id, 0.2 ether);
        rental.cancelRental(id);
        vm.expectRevert(Rental.CannotCancelActiveRental.selector);
        rental.cancelRental(id);
        vm.stopPrank();
        require(rental.owed(USER) == 0.2 ether && rental.getUserRecord(USER).cancelledRentals == 1);
        id = _active(1);
        vm.prank(USER);
        vm.expectRevert(Rental.CannotCancelActiveRental.selector);
        rental.cancelRental(id);
    }

    function test_expireRental() public {
        bytes32 id = _create(2);
        vm.warp(START + 2 hours);
        vm.expectRevert(abi.encodeWithSelector(Rental.StillStartable.selector, START + 2 hours));
        rental.expireRental(id);
        vm.warp(START + 2 hours + 1);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.RentalExpired(id, 0.2 ether);
        rental.expireRental(id);
        require(rental.owed(USER) == 0.2 ether && _status(id) == RentalBook.RentalStatus.EXPIRED);
        require(rental.getProviderRecord(PROVIDER).failedRentals == 1);
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.expireRental(id);
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.expireRental(0);
    }

    function test_extendRental() public {
        bytes32 id = _active(1);
        // Whatever the price is now, a rental keeps its own.
        _offer(PROVIDER, 100 ether, 1, 720);
        vm.startPrank(USER);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.RentalExtended(id, 2, 0.2 ether);
        rental.extendRental{value: 0.25 ether}(id, 2);
        RentalBook.Rental memory r = rental.getRental(id);
        require(r.endTime == START + 3 hours && r.paidAmount == 0.3 ether && rental.owed(USER) == 0.05 ether);
        vm.expectRevert(abi.encodeWithSelector(Rental.InsufficientPayment.selector, 0, RATE));
        rental.extendRental(id, 1);
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.extendRental(id, 0);
        vm.expectRevert(RentalOffers.InvalidDuration.selector);
        rental.extendRental{value: 100 ether}(id, 718);
        vm.warp(START + 3 hours);
        vm.expectRevert(abi.encodeWithSelector(Rental.RentalExpiredAt.selector, START + 3 hours));
        rental.extendRental{value: RATE}(id, 1);
        rental.completeRental(id);
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.extendRental{value: RATE}(id, 1);
        vm.stopPrank();
        vm.prank(STRANGER);
        vm.expectRevert(RentalBook.NotRentalOwner.selector);
        rental.extendRental{value: RATE}(id, 1);
        require(rental.owed(PROVIDER) + rental.owed(TREASURY) == 0.3 ether);
        _requireBalanced();
    }

    /// min(used, paid), whenever it ends.
    function testFuzz_payout(uint16 time, uint32 duration, uint64 rate) public {
        time = time % 720 + 1;
        _offer(PROVIDER, rate, 1, 720);
        vm.deal(USER, uint256(rate) * time);
        vm.prank(USER);
        bytes32 id = rental.createRental{value: uint256(rate) * time}(PROVIDER, time, "key", "", "");
        _start(id);
        vm.warp(START + uint256(duration));
        vm.prank(PROVIDER);
        rental.completeRental(id);
        uint256 paid = uint256(rate) * time;
        uint256 used = uint256(rate) * duration / 1 hours;
        uint256 payout = rental.owed(PROVIDER) + rental.owed(TREASURY);
        require(payout == (used < paid ? used : paid) && payout + rental.owed(USER) == paid);
        require(rental.totalEscrow() == 0);
        _requireBalanced();
    }

    // ------------------------------------------------------------------ disputes

    function test_createDispute() public {
        bytes32 id = _active(2);
        vm.warp(START + 1 hours);
        bytes32 disputeId = _dispute(USER, id);
        RentalBook.Dispute memory d = rental.getDispute(disputeId);
        require(d.disputeId == disputeId && d.rentalId == id && d.initiator == USER && d.defendant == PROVIDER);
        require(d.reason == RentalBook.DisputeReason.WRONG_HARDWARE && d.createdAt == START + 1 hours);
        require(!d.resolved && d.resolvedAt == 0 && keccak256(bytes(d.evidenceUri)) == keccak256("ipfs://e"));
        (address by, bool ruled, uint256 deadline) = rental.rulingOf(disputeId);
        require(by == ARBITER && !ruled && deadline == START + 1 hours + 7 days);
        require(_status(id) == RentalBook.RentalStatus.DISPUTED && rental.totalBonds() == BOND);
        require(rental.getUserRecord(USER).disputedRentals == 1 && rental.getDispute(0).initiator == address(0));
        (,,, uint256 active,,) = rental.getProviderResources(PROVIDER);
        require(active == 0);
        _requireBalanced();
    }

    function test_createDispute_refusals() public {
        RentalBook.DisputeReason reason = RentalBook.DisputeReason.POOR_PERFORMANCE;
        bytes32 id = _create(2);
        vm.startPrank(USER);
        vm.expectRevert(RentalBook.RentalNotFound.selector);
        rental.createDispute{value: BOND}(0, reason, "");
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.createDispute{value: BOND}(id, reason, "");
        vm.stopPrank();
        _start(id);
        vm.startPrank(USER);
        vm.expectRevert(RentalBook.InvalidReason.selector);
        rental.createDispute{value: BOND}(id, RentalBook.DisputeReason.NONE, "");
        vm.expectRevert(abi.encodeWithSelector(Rental.WrongBond.selector, BOND + 1, BOND));
        rental.createDispute{value: BOND + 1}(id, reason, "");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 513, 512));
        rental.createDispute{value: BOND}(id, reason, string(new bytes(513)));
        vm.stopPrank();
        vm.prank(STRANGER);
        vm.expectRevert(Rental.NotDisputeParty.selector);
        rental.createDispute{value: BOND}(id, reason, "");
        _dispute(PROVIDER, id);
        vm.prank(USER);
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.createDispute{value: BOND}(id, reason, "");
        vm.prank(USER);
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.completeRental(id);
    }

    function _ruled(address by, bool inFavor, uint256 amount) private returns (bytes32 disputeId) {
        bytes32 id = _active(2);
        vm.warp(START + 1 hours);
        disputeId = _dispute(by, id);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.DisputeRuled(disputeId, inFavor, amount, START + 1 hours + 3 days);
        vm.prank(ARBITER);
        rental.resolveDispute(disputeId, inFavor, amount);
        vm.warp(START + 1 hours + 3 days);
    }

    function test_dispute_userWins() public {
        bytes32 disputeId = _ruled(USER, true, 0.08 ether);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.DisputeResolved(disputeId, true, 0.08 ether);
        rental.closeDispute(disputeId);
        require(rental.owed(USER) == 0.18 ether + BOND && rental.owed(PROVIDER) == 0.0195 ether);
        RentalBook.Dispute memory d = rental.getDispute(disputeId);
        require(d.resolved && d.inFavorOfInitiator && d.slashAmount == 0.08 ether);
        require(_status(d.rentalId) == RentalBook.RentalStatus.COMPLETED && rental.totalBonds() == 0);
        _requireBalanced();
    }

    function test_dispute_userLoses() public {
        rental.closeDispute(_ruled(USER, false, 0));
        require(rental.owed(USER) == 0.1 ether && rental.owed(PROVIDER) == 0.0975 ether + BOND);
        _requireBalanced();
    }

    function test_dispute_providerWins() public {
        rental.closeDispute(_ruled(PROVIDER, true, 0.1 ether));
        require(rental.owed(USER) == 0 && rental.owed(PROVIDER) == 0.195 ether + BOND);
        _requireBalanced();
    }

    function test_dispute_providerLoses() public {
        rental.closeDispute(_ruled(PROVIDER, false, 0));
        require(rental.owed(USER) == 0.1 ether + BOND && rental.owed(PROVIDER) == 0.0975 ether);
        _requireBalanced();
    }

    function test_dispute_lapses() public {
        bytes32 id = _active(2);
        vm.warp(START + 1 hours);
        bytes32 disputeId = _dispute(USER, id);
        vm.warp(START + 1 hours + 7 days - 1);
        vm.expectRevert(abi.encodeWithSelector(Rental.TooEarly.selector, START + 1 hours + 7 days));
        rental.closeDispute(disputeId);
        vm.warp(START + 1 hours + 7 days);
        vm.prank(ARBITER);
        vm.expectRevert(abi.encodeWithSelector(Rental.RulingTooLate.selector, START + 1 hours + 7 days));
        rental.resolveDispute(disputeId, true, 1);
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.DisputeLapsed(disputeId);
        rental.closeDispute(disputeId);
        require(rental.owed(USER) == 0.1 ether + BOND && rental.owed(PROVIDER) == 0.0975 ether);
        _requireBalanced();
    }

    function test_dispute_rulingOfAReplacedArbiterLapses() public {
        bytes32 disputeId = _ruled(USER, true, 0.1 ether);
        vm.prank(OWNER);
        rental.setArbiter(STRANGER);
        rental.closeDispute(disputeId);
        require(rental.owed(USER) == 0.1 ether + BOND && rental.owed(PROVIDER) == 0.0975 ether);
        require(!rental.getDispute(disputeId).inFavorOfInitiator && rental.getDispute(disputeId).slashAmount == 0);
        _requireBalanced();
    }

    function test_resolveDispute_refusals() public {
        bytes32 id = _active(2);
        vm.warp(START + 30 minutes);
        bytes32 disputeId = _dispute(USER, id);
        vm.prank(STRANGER);
        vm.expectRevert(Rental.NotArbitrator.selector);
        rental.resolveDispute(disputeId, true, 0);
        vm.prank(OWNER);
        rental.setArbiter(STRANGER);
        vm.prank(STRANGER);
        vm.expectRevert(Rental.NotArbitrator.selector);
        rental.resolveDispute(disputeId, true, 0);
        vm.prank(ARBITER);
        vm.expectRevert(Rental.NotArbitrator.selector);
        rental.resolveDispute(disputeId, true, 0);
        vm.prank(OWNER);
        rental.setArbiter(ARBITER);
        vm.startPrank(ARBITER);
        vm.expectRevert(RentalBook.DisputeNotFound.selector);
        rental.resolveDispute(0, true, 0);
        vm.expectRevert(abi.encodeWithSelector(Rental.AmountTooHigh.selector, 0.05 ether + 1, 0.05 ether));
        rental.resolveDispute(disputeId, true, 0.05 ether + 1);
        vm.expectRevert(abi.encodeWithSelector(Rental.AmountTooHigh.selector, 1, 0));
        rental.resolveDispute(disputeId, false, 1);
        rental.resolveDispute(disputeId, true, 0.05 ether);
        vm.expectRevert(Rental.AlreadyResolved.selector);
        rental.resolveDispute(disputeId, false, 0);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(Rental.TooEarly.selector, START + 30 minutes + 3 days));
        rental.closeDispute(disputeId);
        vm.warp(START + 30 minutes + 3 days);
        rental.closeDispute(disputeId);
        vm.expectRevert(Rental.AlreadyResolved.selector);
        rental.closeDispute(disputeId);
        vm.expectRevert(RentalBook.DisputeNotFound.selector);
        rental.closeDispute(0);
    }

    // ------------------------------------------------------------------ ratings and reports

    function test_rateRental() public {
        bytes32 id = _active(1);
        vm.startPrank(USER);
        vm.expectRevert(RentalBook.RentalNotCompleted.selector);
        rental.rateRental(id, 90, "good");
        rental.completeRental(id);
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidScore.selector, 101));
        rental.rateRental(id, 101, "good");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 513, 512));
        rental.rateRental(id, 90, string(new bytes(513)));
        vm.expectEmit(true, true, true, true, address(rental));
        emit RentalBook.RentalRated(id, USER, PROVIDER, 90);
        rental.rateRental(id, 90, "good");
        vm.expectRevert(RentalBook.AlreadyRated.selector);
        rental.rateRental(id, 0, "bad");
        vm.stopPrank();
        vm.prank(PROVIDER);
        vm.expectRevert(RentalBook.NotRentalOwner.selector);
        rental.rateRental(id, 100, "good");
        require(rental.getRentalRating(id).score == 90 && rental.getRentalRating(id).ratedAt == START);
        RentalBook.ProviderRecord memory record = rental.getProviderRecord(PROVIDER);
        require(record.avgRating == 9_000 && record.ratingCount == 1 && record.completedRentals == 1);
    }

    function test_reportAbuse() public {
        RentalBook.DisputeReason reason = RentalBook.DisputeReason.USER_ABUSE;
        bytes32 id = _create(1);
        vm.startPrank(PROVIDER);
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.reportAbuse(id, reason, "e");
        rental.startRental(id, "host", 22, "");
        vm.expectRevert(RentalBook.InvalidReason.selector);
        rental.reportAbuse(id, RentalBook.DisputeReason.NONE, "e");
        vm.expectRevert(abi.encodeWithSelector(RentalBook.InvalidText.selector, 513, 512));
        rental.reportAbuse(id, reason, string(new bytes(513)));
        vm.expectEmit(true, true, true, true, address(rental));
        emit RentalBook.AbuseReported(PROVIDER, USER, id, reason, "e");
        rental.reportAbuse(id, reason, "e");
        vm.stopPrank();
        vm.prank(USER);
        vm.expectRevert(RentalBook.NotRentalProvider.selector);
        rental.reportAbuse(id, reason, "e");
        require(rental.getUserRecord(USER).abuseReports == 1);
    }

    // ------------------------------------------------------------------ governance

    function test_governance() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        rental.setArbiter(STRANGER);
        vm.startPrank(OWNER);
        vm.expectRevert(PullPayments.ZeroAccount.selector);
        rental.setArbiter(address(0));
        vm.expectEmit(true, true, true, true, address(rental));
        emit Rental.ArbiterUpdated(ARBITER, STRANGER);
        rental.setArbiter(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(PlatformFee.FeeTooHigh.selector, 1_001, 1_000));
        rental.setPlatformFee(1_001);
        vm.stopPrank();
    }

    /// A rental keeps the platform's part of the time when it was made.
    function test_feeIsFixedAtCreation() public {
        bytes32 id = _active(720);
        vm.prank(OWNER);
        rental.setPlatformFee(1_000);
        vm.warp(START + 720 hours);
        rental.completeRental(id);
        require(rental.getEffectivePlatformFee() == 1_000 && rental.owed(TREASURY) == 1.8 ether);
    }

    function test_pause() public {
        bytes32 pending = _create(1);
        bytes32 active = _active(1);
        vm.startPrank(OWNER);
        vm.expectRevert(Pausable.ExpectedPause.selector);
        rental.unpause();
        rental.pause();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        rental.pause();
        vm.stopPrank();
        vm.startPrank(USER);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "image", "");
        vm.expectRevert(Pausable.EnforcedPause.selector);
        rental.createRentalFor{value: RATE}(USER, PROVIDER, 1, "key", "image", "");
        vm.expectRevert(Pausable.EnforcedPause.selector);
        rental.extendRental{value: RATE}(active, 1);
        rental.completeRental(active);
        rental.cancelRental(pending);
        rental.withdraw();
        vm.stopPrank();
        require(address(rental).balance == 0);
    }

    // ------------------------------------------------------------------ the seed's bugs

    /// One hour was paid, the provider waited for fifty, and took 4.87 ETH of another user's escrow.
    function test_seedBug_overrunPaysOutMoreThanPaid() public {
        vm.prank(STRANGER);
        rental.createRental{value: 10 ether}(PROVIDER, 100, "key", "image", "");
        bytes32 id = _active(1);
        vm.warp(START + 50 hours);
        vm.startPrank(PROVIDER);
        rental.completeRental(id);
        require(rental.withdraw() == 0.0975 ether);
        vm.stopPrank();
        require(rental.totalEscrow() == 10 ether);
        _requireBalanced();
    }

    /// A price that was raised during the rental was charged for all of it.
    function test_seedBug_priceRaisedDuringRental() public {
        bytes32 id = _active(2);
        _offer(PROVIDER, 50 ether, 1, 720);
        vm.warp(START + 1 hours);
        vm.prank(USER);
        rental.completeRental(id);
        require(rental.owed(USER) == 0.1 ether);
    }

    /// A dispute over a rental that had been fully settled paid 0.11 ETH again.
    function test_seedBug_disputeAfterCompletionPaysAgain() public {
        bytes32 id = _active(1);
        vm.warp(START + 1 hours);
        vm.startPrank(USER);
        rental.completeRental(id);
        vm.expectRevert(RentalBook.RentalNotActive.selector);
        rental.createDispute{value: BOND}(id, RentalBook.DisputeReason.PAYMENT_DISPUTE, "");
        vm.stopPrank();
    }

    /// A refused dispute left the escrow stuck, and the provider's place taken.
    function test_seedBug_refusedDisputeLocksEscrow() public {
        rental.closeDispute(_ruled(USER, false, 0));
        (,,, uint256 active,,) = rental.getProviderResources(PROVIDER);
        require(rental.totalEscrow() == 0 && rental.totalBonds() == 0 && active == 0);
    }

    /// Credit was counted as ETH that never came, so refunds were other users' money.
    function test_seedBug_creditCountedAsEth() public {
        vm.prank(USER);
        (bool done,) = address(rental)
            .call(
                abi.encodeWithSignature(
                    "createRentalWithCredit(address,uint256,string,string,string,address)",
                    PROVIDER,
                    1,
                    "key",
                    "image",
                    "",
                    address(1)
                )
            );
        require(!done);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Rental.InsufficientPayment.selector, 0, RATE));
        rental.createRentalFor(USER, PROVIDER, 1, "key", "image", "");
    }

    /// Less than an hour paid the provider nothing.
    function test_seedBug_firstHourIsFree() public {
        bytes32 id = _active(1);
        vm.warp(START + 59 minutes);
        vm.prank(USER);
        rental.completeRental(id);
        require(rental.owed(PROVIDER) + rental.owed(TREASURY) == RATE * 59 / 60);
    }

    /// Only the provider could end a rental: an absent one locked the escrow.
    function test_seedBug_absentProviderLocksEscrow() public {
        bytes32 active = _active(10);
        bytes32 pending = _create(10);
        vm.warp(START + 2 hours + 1);
        vm.prank(USER);
        rental.completeRental(active);
        rental.expireRental(pending);
        vm.prank(USER);
        require(rental.withdraw() == 2 ether - RATE * 7_201 / 3_600);
    }

    /// Three reports on one rental banned its user.
    function test_seedBug_providerBansAUser() public {
        bytes32 id = _active(1);
        vm.startPrank(PROVIDER);
        rental.reportAbuse(id, RentalBook.DisputeReason.USER_ABUSE, "");
        vm.expectRevert(RentalBook.AlreadyReported.selector);
        rental.reportAbuse(id, RentalBook.DisputeReason.USER_ABUSE, "");
        vm.stopPrank();
        require(!rental.isUserBanned(USER) && !rental.isProviderBanned(PROVIDER));
        _create(1);
    }

    /// Supported images were never checked, and an image that starts with a dash became an option of docker.
    function test_seedBug_imagesAreNotChecked() public {
        string[] memory images = new string[](1);
        images[0] = "good";
        vm.prank(PROVIDER);
        rental.setProviderResources(_resources(0), _pricing(RATE, 0, 1, 720), 2, images, true, true);
        vm.startPrank(USER);
        vm.expectRevert(Rental.ImageNotSupported.selector);
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "bad", "");
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "good", "");
        vm.stopPrank();
        _offer(PROVIDER, RATE, 1, 720);
        vm.prank(USER);
        vm.expectRevert(Rental.ImageNotSupported.selector);
        rental.createRental{value: RATE}(PROVIDER, 1, "key", "--privileged", "");
    }

    /// What was paid too much became more hours than were asked for.
    function test_seedBug_surplusBecomesHours() public {
        vm.prank(USER);
        bytes32 id = rental.createRental{value: 5 ether}(PROVIDER, 1, "key", "image", "");
        _start(id);
        require(rental.getRental(id).endTime == START + 1 hours && rental.owed(USER) == 5 ether - RATE);
    }

    /// Without a treasury the platform's part went nowhere.
    function test_seedBug_feeLockedWithoutTreasury() public {
        bytes32 id = _active(1);
        vm.prank(OWNER);
        rental.setTreasury(address(0));
        vm.warp(START + 1 hours);
        rental.completeRental(id);
        require(rental.owed(PROVIDER) == RATE && rental.totalPlatformFeesCollected() == 0);
        _requireBalanced();
    }

    /// A user that refuses money stopped the provider's.
    function test_seedBug_pushPaymentFails() public {
        Account1271 deaf = new Account1271(USER);
        deaf.setDeaf(true);
        vm.deal(address(deaf), 1 ether);
        vm.prank(address(deaf));
        bytes32 id = rental.createRental{value: 1 ether}(PROVIDER, 10, "key", "image", "");
        _start(id);
        vm.warp(START + 5 hours);
        vm.startPrank(PROVIDER);
        rental.completeRental(id);
        require(rental.withdraw() == 0.4875 ether);
        vm.stopPrank();
        vm.startPrank(address(deaf));
        vm.expectRevert(PullPayments.TransferFailed.selector);
        rental.withdraw();
        require(rental.withdrawTo(BUYER) == 0.5 ether);
        vm.stopPrank();
    }

    function test_withdraw_cantBeReentered() public {
        Reentrant thief = new Reentrant();
        bytes memory answer = thief.act{value: 1 ether}(
            address(rental), 1 ether, abi.encodeCall(rental.createRental, (PROVIDER, 1, "key", "", ""))
        );
        require(answer.length == 32);
        thief.aim(address(rental), abi.encodeCall(rental.withdraw, ()));
        thief.act(address(rental), 0, abi.encodeCall(rental.withdraw, ()));
        require(bytes4(thief.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        require(address(thief).balance == 0.9 ether);
    }
}
