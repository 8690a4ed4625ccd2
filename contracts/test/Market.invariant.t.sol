// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProviders} from "../src/interfaces/ILedger.sol";
import {ComputeRental as Rental} from "../src/market/ComputeRental.sol";
import {InferenceServing as Serving, Voucher} from "../src/market/InferenceServing.sol";
import {LedgerManager as Ledger} from "../src/market/LedgerManager.sol";
import {RentalBook} from "../src/market/RentalBook.sol";
import {RentalOffers} from "../src/market/RentalOffers.sol";
import {MarketFixture} from "./MarketFixture.sol";
import {Test} from "./Vm.sol";

/// Two users, two providers, the owner and strangers, at any time; keeps its own account of the ledger's money.
contract LedgerActor is MarketFixture {
    uint256[2] private _userKeys = [uint256(0x2001), 0x2002];
    uint256[2] private _providerKeys = [uint256(0x2003), 0x2004];
    address[2] public users;
    address[2] public providers;

    uint256 public deposited;
    uint256 public paidOut;
    bool public blocked;
    mapping(address user => mapping(address provider => uint256)) public setAside;
    mapping(address user => mapping(address provider => uint256)) public refunded;
    mapping(address user => mapping(address provider => uint256)) public settled;
    mapping(address user => mapping(address provider => uint256)) public promised;
    /// Part of `settled` that came by `settle`, not by vouchers.
    mapping(address user => mapping(address provider => uint256)) public seedPaid;

    constructor() {
        _deploy();
        vm.prank(OWNER);
        ledger.setInferenceContract(address(serving));
        for (uint256 i = 0; i < 2; i++) {
            users[i] = vm.addr(_userKeys[i]);
            providers[i] = vm.addr(_providerKeys[i]);
            vm.deal(users[i], 1_000_000 ether);
            vm.deal(providers[i], 1 ether);
            vm.startPrank(providers[i]);
            registry.register{value: 0.1 ether}("p", "e", 0);
            serving.registerService("m", "e", 1 gwei, 2 gwei);
            ledger.acknowledgeUser(users[0]);
            ledger.acknowledgeUser(users[1]);
            vm.stopPrank();
            vm.prank(users[i]);
            ledger.createLedger{value: 1 ether}();
            deposited += 1 ether;
        }
    }

    function theLedger() external view returns (Ledger) {
        return ledger;
    }

    function theServing() external view returns (Serving) {
        return serving;
    }

    function treasury() external pure returns (address) {
        return TREASURY;
    }

    function wait(uint32 delay) external {
        vm.warp(block.timestamp + delay % 2 days);
    }

    function deposit(uint8 who, uint96 amount) external {
        uint256 value = 1 + uint256(amount) % 5 ether;
        vm.prank(users[who % 2]);
        ledger.deposit{value: value}();
        deposited += value;
    }

    function setAsideFor(uint8 who, uint8 whom, uint256 amount) external {
        address user = users[who % 2];
        amount = amount % (ledger.getAvailableBalance(user) + 1);
        vm.prank(user);
        ledger.transferToProvider(providers[whom % 2], amount);
        setAside[user][providers[whom % 2]] += amount;
    }

    function requestRefund(uint8 who, uint8 whom, uint256 amount) external {
        address user = users[who % 2];
        amount = amount % (ledger.getProviderBalance(user, providers[whom % 2]) + 1);
        vm.prank(user);
        ledger.requestRefund(providers[whom % 2], amount);
    }

    /// What waited long enough comes back, whatever anybody did.
    function completeRefund(uint8 who, uint8 whom) external {
        address user = users[who % 2];
        address provider = providers[whom % 2];
        Ledger.ProviderSubAccount memory sub = ledger.getSubAccount(user, provider);
        vm.prank(user);
        try ledger.completeRefund(provider) {
            refunded[user][provider] += sub.pendingRefund;
        } catch {
            // forge-lint: disable-next-line(block-timestamp)
            if (sub.pendingRefund != 0 && block.timestamp >= sub.refundUnlockTime) blocked = true;
        }
    }

    function cancelRefund(uint8 who, uint8 whom) external {
        vm.prank(users[who % 2]);
        ledger.cancelRefund(providers[whom % 2]);
    }

    function voucher(uint8 who, uint8 whom, uint96 cumulative, uint8 sequence) external {
        address user = users[who % 2];
        address provider = providers[whom % 2];
        uint256 amount = uint256(cumulative) % 10 ether;
        Voucher memory v = Voucher(user, provider, amount, sequence % 8, "q", "a", type(uint64).max);
        bytes memory signature = _sign(_userKeys[who % 2], serving.voucherDigest(v));
        if (amount > promised[user][provider]) promised[user][provider] = amount;
        vm.prank(STRANGER);
        settled[user][provider] += serving.settleVoucher(v, signature);
    }

    function settle(uint8 who, uint8 whom, uint24 tokens) external {
        address user = users[who % 2];
        address provider = providers[whom % 2];
        uint256 nonce = serving.getNonce(user, provider);
        bytes memory signature =
            _sign(_providerKeys[whom % 2], serving.settlementDigest(user, provider, 0, "h", tokens, tokens, nonce));
        vm.prank(user);
        serving.settle(provider, "h", tokens, tokens, nonce, signature);
        settled[user][provider] += uint256(tokens) * 3 gwei;
        seedPaid[user][provider] += uint256(tokens) * 3 gwei;
    }

    function withdrawAvailable(uint8 who, uint256 amount) external {
        address user = users[who % 2];
        uint256 available = ledger.getAvailableBalance(user);
        if (available == 0) return;
        amount = 1 + amount % available;
        vm.prank(user);
        try ledger.withdraw(amount) {
            paidOut += amount;
        } catch {
            blocked = true;
        }
    }

    function withdrawOwed(uint8 who) external {
        address account = who % 3 == 2 ? TREASURY : providers[who % 3];
        if (ledger.owed(account) == 0) return;
        vm.prank(account);
        try ledger.withdraw() returns (uint256 amount) {
            paidOut += amount;
        } catch {
            blocked = true;
        }
    }

    /// Whatever the owner does.
    function govern(uint8 what, uint16 value) external {
        vm.startPrank(OWNER);
        if (what < 8) ledger.pause();
        else if (what % 6 < 2) ledger.unpause();
        else if (what % 6 == 2) ledger.setRefundTimelockPeriod(1 days + value);
        else if (what % 6 == 3) serving.setPlatformFee(value % 1_001);
        else if (what % 6 == 4) serving.setTreasury(value % 2 == 0 ? TREASURY : address(0));
        else serving.pause();
        vm.stopPrank();
    }
}

contract LedgerInvariant is Test {
    LedgerActor actor;
    Ledger ledger;

    function setUp() public {
        actor = new LedgerActor();
        ledger = actor.theLedger();
    }

    /// One that is none of the accounts whose balances are compared: forge may give a sender money.
    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xF0F0);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function invariant_balanceIsDepositsAndOwed() public view {
        require(address(ledger).balance == ledger.totalDeposits() + ledger.totalOwed());
        require(address(ledger).balance == actor.deposited() - actor.paidOut());
    }

    function invariant_totalsAreSums() public view {
        uint256 deposits;
        uint256 owed = ledger.owed(actor.treasury());
        for (uint256 i = 0; i < 2; i++) {
            address user = actor.users(i);
            Ledger.Ledger memory l = ledger.getLedger(user);
            require(l.totalBalance == l.availableBalance + l.lockedBalance);
            require(
                l.lockedBalance
                    == ledger.settleable(user, actor.providers(0)) + ledger.settleable(user, actor.providers(1))
            );
            deposits += l.totalBalance;
            owed += ledger.owed(actor.providers(i));
        }
        require(ledger.totalDeposits() == deposits && ledger.totalOwed() == owed);
    }

    function invariant_paidIsAtMostDepositedPerSession() public view {
        for (uint256 i = 0; i < 4; i++) {
            address user = actor.users(i / 2);
            address provider = actor.providers(i % 2);
            uint256 settled = actor.settled(user, provider);
            require(
                settled + actor.refunded(user, provider) + ledger.settleable(user, provider)
                    == actor.setAside(user, provider)
            );
            (uint256 paid,) = actor.theServing().sessionOf(user, provider);
            require(paid == settled - actor.seedPaid(user, provider) && paid <= actor.promised(user, provider));
        }
    }

    function invariant_nobodyIsBlocked() public view {
        require(!actor.blocked());
    }
}

/// Users, providers, arbiter and owner, at any time; keeps its own account of each rental.
contract RentalActor is MarketFixture {
    address public constant ARBITER = address(0xA5);
    Rental public rental;
    address[2] public users = [address(0xC0), address(0xC1)];
    address[2] public providers = [address(0xD0), address(0xD1)];

    bytes32[] public ids;
    bytes32[] public disputes;
    uint256 public deposited;
    uint256 public paidOut;
    bool public blocked;
    mapping(bytes32 id => uint256) public paidFor;
    mapping(bytes32 id => uint256) public paidOf;

    constructor() {
        _deploy();
        rental = new Rental(OWNER, TREASURY, FEE, ARBITER, IProviders(address(registry)), identity);
        for (uint256 i = 0; i < 2; i++) {
            vm.deal(users[i], 1_000_000 ether);
            vm.deal(providers[i], 1_000 ether);
            vm.prank(providers[i]);
            registry.register{value: 0.1 ether}("p", "e", 0);
        }
        offer(0, 1 ether);
        offer(1, 1 ether);
    }

    function count() external view returns (uint256) {
        return ids.length;
    }

    function treasury() external pure returns (address) {
        return TREASURY;
    }

    function wait(uint32 delay) external {
        vm.warp(block.timestamp + delay % 2 hours);
    }

    function waitLong() external {
        vm.warp(block.timestamp + 3 days);
    }

    function offer(uint8 who, uint64 price) public {
        RentalOffers.ComputeResources memory resources =
            RentalOffers.ComputeResources(RentalOffers.GPUType.NONE, 2, 0, 1, 1, 1, 1, false);
        vm.prank(providers[who % 2]);
        rental.setProviderResources(
            resources, RentalOffers.ResourcePricing(price, price / 3, 1, 48), 3, new string[](0), true, true
        );
    }

    function create(uint8 who, uint8 whom, uint8 time, uint8 extra) external {
        address provider = providers[whom % 2];
        time = time % 24 + 1;
        uint256 cost = rental.calculateRentalCost(provider, time);
        vm.prank(users[who % 2]);
        bytes32 id = rental.createRental{value: cost + extra}(provider, time, "k", "i", "");
        ids.push(id);
        paidFor[id] = cost;
        deposited += cost + extra;
        // Mostly started at once, else few would run.
        if (extra % 4 == 0) return;
        vm.prank(provider);
        try rental.startRental(id, "h", 22, "") {} catch {}
    }

    function start(uint256 which) external {
        bytes32 id = _pick(which);
        vm.prank(rental.getRental(id).provider);
        rental.startRental(id, "h", 22, "");
    }

    function extend(uint256 which, uint8 time) external {
        bytes32 id = _pick(which);
        (uint256 rate,,,) = rental.termsOf(id);
        time = time % 8 + 1;
        vm.prank(rental.getRental(id).user);
        rental.extendRental{value: rate * time}(id, time);
        paidFor[id] += rate * time;
        deposited += rate * time;
    }

    function cancel(uint256 which) external {
        bytes32 id = _pick(which);
        RentalBook.Rental memory r = rental.getRental(id);
        uint256 before = rental.totalOwed();
        vm.prank(r.user);
        try rental.cancelRental(id) {
            paidOf[id] += rental.totalOwed() - before;
        } catch {
            if (r.status == RentalBook.RentalStatus.PENDING) blocked = true;
        }
    }

    function expire(uint256 which) external {
        bytes32 id = _pick(which);
        uint256 before = rental.totalOwed();
        rental.expireRental(id);
        paidOf[id] += rental.totalOwed() - before;
    }

    function complete(uint256 which, uint8 by) external {
        bytes32 id = _pick(which);
        RentalBook.Rental memory r = rental.getRental(id);
        uint256 before = rental.totalOwed();
        vm.prank(by % 3 == 0 ? r.user : by % 3 == 1 ? r.provider : STRANGER);
        try rental.completeRental(id) {
            paidOf[id] += rental.totalOwed() - before;
        } catch {
            if (r.status == RentalBook.RentalStatus.ACTIVE && by % 3 != 2) blocked = true;
        }
    }

    function dispute(uint256 which, bool byUser) external {
        bytes32 id = _pick(which);
        RentalBook.Rental memory r = rental.getRental(id);
        vm.prank(byUser ? r.user : r.provider);
        disputes.push(rental.createDispute{value: 0.01 ether}(id, RentalBook.DisputeReason.PAYMENT_DISPUTE, ""));
        deposited += 0.01 ether;
    }

    function rule(uint256 which, bool inFavor, uint256 amount) external {
        if (disputes.length == 0) return;
        bytes32 disputeId = disputes[which % disputes.length];
        uint256 paid = rental.getRental(rental.getDispute(disputeId).rentalId).paidAmount;
        vm.prank(ARBITER);
        rental.resolveDispute(disputeId, inFavor, inFavor ? amount % (paid / 2 + 1) : 0);
    }

    function close(uint256 which) external {
        if (disputes.length == 0) return;
        bytes32 disputeId = disputes[which % disputes.length];
        RentalBook.Dispute memory d = rental.getDispute(disputeId);
        uint256 before = rental.totalOwed();
        try rental.closeDispute(disputeId) {
            paidOf[d.rentalId] += rental.totalOwed() - before - 0.01 ether;
        } catch {
            // forge-lint: disable-next-line(block-timestamp)
            if (!d.resolved && block.timestamp >= d.createdAt + 10 days) blocked = true;
        }
    }

    function withdraw(uint8 who) external {
        address account = who % 5 == 4 ? TREASURY : who % 5 < 2 ? users[who % 5] : providers[who % 5 - 2];
        if (rental.owed(account) == 0) return;
        vm.prank(account);
        try rental.withdraw() returns (uint256 amount) {
            paidOut += amount;
        } catch {
            blocked = true;
        }
    }

    function govern(uint8 what, uint16 value) external {
        vm.startPrank(OWNER);
        if (what < 8) rental.pause();
        else if (what % 8 < 4) rental.unpause();
        else if (what % 8 == 4) rental.setPlatformFee(value % 1_001);
        else if (what % 8 == 5) rental.setTreasury(value % 2 == 0 ? TREASURY : address(0));
        else rental.setArbiter(value % 4 == 0 ? STRANGER : ARBITER);
        vm.stopPrank();
    }

    function _pick(uint256 which) private view returns (bytes32) {
        return ids[which % ids.length];
    }
}

contract RentalInvariant is Test {
    RentalActor actor;
    Rental rental;

    function setUp() public {
        actor = new RentalActor();
        rental = actor.rental();
    }

    /// One that is none of the accounts whose balances are compared: forge may give a sender money.
    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xF0F0);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function invariant_balanceIsEscrowBondsAndOwed() public view {
        require(address(rental).balance == rental.totalEscrow() + rental.totalBonds() + rental.totalOwed());
        require(address(rental).balance == actor.deposited() - actor.paidOut());
    }

    /// A rental that is over paid out exactly what it took in, one that isn't nothing.
    function invariant_paidOutIsPaidInPerRental() public view {
        uint256 escrow;
        for (uint256 i = 0; i < actor.count(); i++) {
            bytes32 id = actor.ids(i);
            RentalBook.Rental memory r = rental.getRental(id);
            require(r.paidAmount == actor.paidFor(id) && r.refundedAmount <= r.paidAmount);
            bool open = r.status == RentalBook.RentalStatus.PENDING || r.status == RentalBook.RentalStatus.ACTIVE
                || r.status == RentalBook.RentalStatus.DISPUTED;
            if (open) escrow += r.paidAmount;
            require(actor.paidOf(id) == (open ? 0 : r.paidAmount));
        }
        require(rental.totalEscrow() == escrow);
    }

    function invariant_owedIsTheSum() public view {
        uint256 owed = rental.owed(actor.treasury());
        uint256 active;
        for (uint256 i = 0; i < 2; i++) {
            owed += rental.owed(actor.users(i)) + rental.owed(actor.providers(i));
            (,,, uint256 running,,) = rental.getProviderResources(actor.providers(i));
            active += running;
        }
        require(rental.totalOwed() == owed);
        for (uint256 i = 0; i < actor.count(); i++) {
            if (rental.getRental(actor.ids(i)).status == RentalBook.RentalStatus.ACTIVE) active--;
        }
        require(active == 0);
    }

    function invariant_nobodyIsBlocked() public view {
        require(!actor.blocked());
    }
}
