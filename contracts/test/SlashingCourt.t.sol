// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IdentityRegistry} from "../src/identity/IdentityRegistry.sol";
import {BondedStake} from "../src/market/BondedStake.sol";
import {ComputeRegistry} from "../src/market/ComputeRegistry.sol";
import {ComputeStaking} from "../src/market/ComputeStaking.sol";
import {Disputes} from "../src/market/Disputes.sol";
import {Receipt} from "../src/market/Receipts.sol";
import {SlashingCourt as Court} from "../src/market/SlashingCourt.sol";
import {MockKeys} from "./MockKeys.sol";
import {Test} from "./Vm.sol";

/// Everything around the court, with one provider that has 2 ETH in each stake contract and answers for one key.
abstract contract CourtSetUp is Test {
    uint64 constant START = 1_800_000_000;
    uint64 constant BLOCK = 1_000_000;
    uint256 constant SECRET = 0x5EC;
    bytes32 constant WORD_DI = "di";
    bytes32 constant WORD_ID = "id";
    bytes32 constant WORD_REQUEST = "request";
    bytes32 constant WORD_RESPONSE = "response";
    address constant OWNER = address(0xA0);
    address constant SINK = address(0xA1);
    address constant ARBITER = address(0xA2);
    address constant PROVIDER = address(0xB0);
    address constant REPORTER = address(0xB1);
    address constant STRANGER = address(0xB2);

    IdentityRegistry identity;
    MockKeys keys;
    ComputeStaking staking;
    ComputeRegistry registry;
    Court court;
    address key;

    function _deploy() internal {
        vm.warp(START);
        vm.roll(BLOCK);
        identity = new IdentityRegistry(address(0xA0), address(0xB0), 48 hours);
        keys = new MockKeys();
        // Staking and court need each other's address; the court comes two contracts later.
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 2);
        staking = new ComputeStaking(OWNER, SINK, 30 days, next);
        registry = new ComputeRegistry(OWNER, SINK, 30 days, next, identity, keys);
        court = new Court(OWNER, ARBITER, staking, registry);
        require(address(court) == next);

        key = vm.addr(SECRET);
        vm.deal(PROVIDER, 100 ether);
        vm.deal(REPORTER, 100 ether);
        vm.deal(STRANGER, 100 ether);
        vm.startPrank(PROVIDER);
        uint256 agent = identity.register();
        registry.registerWithAgent{value: 2 ether}("n", "e", 0, agent);
        staking.stakeAsProvider{value: 2 ether}();
        keys.add(key, agent);
        registry.setAttestedKey(key);
        vm.stopPrank();
    }

    function _receipt(bytes32 requestId, bytes32 responseDigest, uint64 anchorBlock)
        internal
        pure
        returns (Receipt memory)
    {
        return Receipt({
            agentId: 1,
            boot: bytes16(uint128(0xB007)),
            requestId: requestId,
            requestDigest: "request",
            responseDigest: responseDigest,
            inputUnits: 10,
            outputUnits: 20,
            epoch: 3,
            anchorBlock: anchorBlock
        });
    }

    function _sign(Receipt memory receipt, uint256 secret) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, court.receiptDigest(receipt));
        return abi.encodePacked(r, s, v);
    }
}

contract SlashingCourtTest is CourtSetUp {
    bytes32 constant HIGH_S = bytes32(type(uint256).max);

    function setUp() public {
        _deploy();
    }

    // ------------------------------------------------------------------ construction and digest

    function test_constructor() public {
        require(address(court.attestedKeys()) == address(keys) && court.arbiter() == ARBITER);
        require(address(court.staking()) == address(staking) && address(court.registry()) == address(registry));
        vm.expectRevert(Disputes.ZeroAccount.selector);
        new Court(OWNER, address(0), staking, registry);
        vm.expectRevert(Disputes.ZeroAccount.selector);
        new Court(OWNER, ARBITER, ComputeStaking(address(0)), registry);
    }

    /// Longer than an epoch can be, shorter than stake needs to leave; and disputes end before holds do.
    function test_times() public view {
        require(court.GRACE() > 1 days && court.GRACE() < staking.UNBONDING());
        require(court.LONGEST() < staking.MAX_HOLD());
        require(court.ANSWER_WINDOW() < staking.UNBONDING() && court.APPEAL_WINDOW() < staking.UNBONDING());
        require(court.RULING_WINDOW() < staking.UNBONDING() && court.RULING_DELAY() < staking.UNBONDING());
    }

    /// EIP-712 by hand, with the type as the wire format fixes it.
    function test_receiptDigest() public view {
        Receipt memory receipt = _receipt("id", "response", 7);
        bytes32 hash = keccak256(
            abi.encodePacked(
                keccak256(
                    "Receipt(uint256 agentId,bytes16 boot,bytes32 requestId,bytes32 requestDigest,bytes32 responseDigest,uint64 inputUnits,uint64 outputUnits,uint64 epoch,uint64 anchorBlock)"
                ),
                uint256(1),
                bytes16(uint128(0xB007)),
                bytes16(0),
                WORD_ID,
                WORD_REQUEST,
                WORD_RESPONSE,
                abi.encodePacked(uint256(10), uint256(20), uint256(3), uint256(7))
            )
        );
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Jeju Receipt"),
                keccak256("1"),
                block.chainid,
                address(keys)
            )
        );
        require(court.receiptDigest(receipt) == keccak256(abi.encodePacked(hex"1901", domain, hash)));
    }

    // ------------------------------------------------------------------ two receipts

    function test_proveTwoReceipts() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        _commit(a, b, "salt");
        vm.expectEmit(true, true, true, true, address(court));
        emit Court.OffenceProven(PROVIDER, key, Court.Offence.TwoReceipts, 2 ether, REPORTER);
        vm.prank(REPORTER);
        court.proveTwoReceipts(a, signatureA, b, signatureB, "salt");

        require(staking.getStakeAmount(PROVIDER) == 1 ether && registry.getProviderStake(PROVIDER) == 1 ether);
        require(staking.owed(REPORTER) == 0.05 ether && registry.owed(REPORTER) == 0.05 ether);
        require(staking.owed(SINK) == 0.95 ether && registry.owed(SINK) == 0.95 ether);
        require(!registry.isActive(PROVIDER) && court.punished(key, Court.Offence.TwoReceipts));
    }

    /// However many receipts a leaked key signs, the offence counts once.
    function test_proveTwoReceipts_oncePerKey() public {
        _prove("a", "b");
        Receipt memory a = _receipt("other", "c", 5);
        Receipt memory b = _receipt("other", "d", 5);
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        vm.expectRevert(abi.encodeWithSelector(Court.AlreadyPunished.selector, key, Court.Offence.TwoReceipts));
        court.proveTwoReceipts(a, signatureA, b, signatureB, 0);
    }

    function testFuzz_proveTwoReceipts_anyDifferenceCounts(uint8 field) public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "one", 5);
        uint256 which = field % 8;
        if (which == 0) b.agentId = 2;
        else if (which == 1) b.boot = 0;
        else if (which == 2) b.requestDigest = 0;
        else if (which == 3) b.responseDigest = 0;
        else if (which == 4) b.inputUnits = 11;
        else if (which == 5) b.outputUnits = 21;
        else if (which == 6) b.epoch = 4;
        else b.anchorBlock = 6;
        court.proveTwoReceipts(a, _sign(a, SECRET), b, _sign(b, SECRET), 0);
        require(court.punished(key, Court.Offence.TwoReceipts));
    }

    /// A stored receipt that is sent again is one receipt.
    function test_proveTwoReceipts_refusesTheSame() public {
        Receipt memory a = _receipt("id", "one", 5);
        bytes memory signature = _sign(a, SECRET);
        vm.expectRevert(
            abi.encodeWithSelector(
                Court.SameReceipt.selector,
                keccak256(
                    abi.encode(
                        keccak256(
                            "Receipt(uint256 agentId,bytes16 boot,bytes32 requestId,bytes32 requestDigest,bytes32 responseDigest,uint64 inputUnits,uint64 outputUnits,uint64 epoch,uint64 anchorBlock)"
                        ),
                        a
                    )
                )
            )
        );
        court.proveTwoReceipts(a, signature, a, signature, 0);
    }

    function test_proveTwoReceipts_refusesDifferentRequests() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("di", "one", 5);
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        vm.expectRevert(abi.encodeWithSelector(Court.RequestIdsDiffer.selector, WORD_ID, WORD_DI));
        court.proveTwoReceipts(a, signatureA, b, signatureB, 0);
    }

    function test_proveTwoReceipts_refusesTwoSigners() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, 0xBAD);
        vm.expectRevert(abi.encodeWithSelector(Court.SignersDiffer.selector, key, vm.addr(0xBAD)));
        court.proveTwoReceipts(a, signatureA, b, signatureB, 0);
    }

    function test_proveTwoReceipts_refusesKeysThatNobodyAnswersFor() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        bytes memory signatureA = _sign(a, 0xBAD);
        bytes memory signatureB = _sign(b, 0xBAD);
        vm.expectRevert(abi.encodeWithSelector(Court.NoProvider.selector, vm.addr(0xBAD)));
        court.proveTwoReceipts(a, signatureA, b, signatureB, 0);
    }

    function test_proveTwoReceipts_refusesBadSignatures() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 3));
        court.proveTwoReceipts(a, "bad", b, "bad", 0);
        (bytes memory none, bytes memory high) = _badSignatures(a);
        vm.expectRevert(ECDSA.ECDSAInvalidSignature.selector);
        court.proveTwoReceipts(a, none, b, none, 0);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, HIGH_S));
        court.proveTwoReceipts(a, high, b, high, 0);
    }

    /// The same key elsewhere, on another chain or under another registry, signs other digests.
    function test_proveTwoReceipts_refusesOtherChains() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        vm.chainId(5);
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        vm.chainId(31337);
        (bool done,) =
            address(court).call(abi.encodeCall(court.proveTwoReceipts, (a, signatureA, b, signatureB, bytes32(0))));
        require(!done);
    }

    /// A seller's old keys never touch the buyer's stake, and still touch the seller's.
    function test_proveTwoReceipts_afterTheAgentWasSold() public {
        vm.prank(PROVIDER);
        identity.transferFrom(PROVIDER, STRANGER, 1);
        vm.prank(STRANGER);
        registry.registerWithAgent{value: 2 ether}("n", "e", 0, 1);
        keys.setDead(key, START);
        _prove("a", "b");
        require(registry.getProviderStake(STRANGER) == 2 ether && registry.isActive(STRANGER));
        require(registry.getProviderStake(PROVIDER) == 1 ether);
    }

    /// Stake that is leaving answers until it is out; nothing is left to punish then.
    function test_proveTwoReceipts_whileAndAfterLeaving() public {
        vm.startPrank(PROVIDER);
        staking.unstake(2 ether);
        registry.deactivate();
        registry.withdrawStake(2 ether);
        vm.stopPrank();
        vm.warp(START + 7 days);
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        vm.expectRevert(abi.encodeWithSelector(Disputes.NothingAtRisk.selector, PROVIDER));
        court.proveTwoReceipts(a, signatureA, b, signatureB, 0);
        vm.warp(START + 7 days - 1);
        court.proveTwoReceipts(a, signatureA, b, signatureB, 0);
        require(staking.owed(SINK) == 1 ether && registry.owed(SINK) == 1 ether);
    }

    function test_proveTwoReceipts_whereTheCourtIsNoChallenger() public {
        vm.prank(OWNER);
        staking.removeChallenger(address(court));
        _prove("a", "b");
        require(staking.getStakeAmount(PROVIDER) == 2 ether && registry.getProviderStake(PROVIDER) == 1 ether);
    }

    // ------------------------------------------------------------------ commitments and rewards

    function test_reward_needsAnEarlierCommitment() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        bytes32 proof = _proof(a, b);
        bytes32 commitment = court.commitmentOf(REPORTER, proof, "salt");
        vm.expectEmit(true, true, true, true, address(court));
        emit Court.ReportCommitted(commitment);
        vm.prank(REPORTER);
        court.commitReport(commitment);
        // In the same block: whoever copies the report from the mempool can do that too.
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        vm.prank(REPORTER);
        court.proveTwoReceipts(a, signatureA, b, signatureB, "salt");
        require(staking.owed(REPORTER) == 0 && staking.owed(SINK) == 1 ether);
    }

    function test_reward_isNotTheCopiers() public {
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        _commit(a, b, "salt");
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        vm.prank(STRANGER);
        court.proveTwoReceipts(a, signatureA, b, signatureB, "salt");
        require(staking.owed(STRANGER) == 0 && staking.owed(REPORTER) == 0);
    }

    function test_commitReport_againKeepsTheFirstBlock() public {
        court.commitReport("c");
        vm.roll(BLOCK + 9);
        court.commitReport("c");
        require(court.committedAt("c") == BLOCK);
    }

    /// All that a provider gets back by reporting itself is less than what it loses.
    function testFuzz_reportingOneselfDoesNotPay(uint96 more) public {
        uint256 added = uint256(more) % 50 ether + 1;
        vm.startPrank(PROVIDER);
        staking.addStake{value: added}();
        vm.stopPrank();
        Receipt memory a = _receipt("id", "one", 5);
        Receipt memory b = _receipt("id", "two", 5);
        bytes memory signatureA = _sign(a, SECRET);
        bytes memory signatureB = _sign(b, SECRET);
        bytes32 commitment = court.commitmentOf(PROVIDER, _proof(a, b), "salt");
        vm.startPrank(PROVIDER);
        court.commitReport(commitment);
        vm.roll(BLOCK + 1);
        court.proveTwoReceipts(a, signatureA, b, signatureB, "salt");
        vm.stopPrank();
        uint256 lost = staking.owed(SINK) + registry.owed(SINK);
        uint256 back = staking.owed(PROVIDER) + registry.owed(PROVIDER);
        require(back <= (lost + back) / 10 && back <= 0.1 ether && back != 0);
    }

    // ------------------------------------------------------------------ late receipts

    function test_proveLateReceipt() public {
        _die();
        Receipt memory late = _receipt("id", "one", BLOCK + 101);
        bytes memory signature = _sign(late, SECRET);
        vm.roll(BLOCK + 200);
        vm.expectEmit(true, true, true, true, address(court));
        emit Court.OffenceProven(PROVIDER, key, Court.Offence.LateReceipt, 2 ether, address(0));
        court.proveLateReceipt(late, signature, 0);
        vm.expectRevert(abi.encodeWithSelector(Court.AlreadyPunished.selector, key, Court.Offence.LateReceipt));
        court.proveLateReceipt(late, signature, 0);
    }

    function test_proveLateReceipt_refusesWhatIsNotLate() public {
        _die();
        Receipt memory fine = _receipt("id", "one", BLOCK + 100);
        bytes memory signature = _sign(fine, SECRET);
        vm.roll(BLOCK + 200);
        vm.expectRevert(abi.encodeWithSelector(Court.NotLate.selector, BLOCK + 100, BLOCK + 100));
        court.proveLateReceipt(fine, signature, 0);
    }

    function test_proveLateReceipt_refusesBlocksThatDoNotExist() public {
        _die();
        Receipt memory late = _receipt("id", "one", BLOCK + 101);
        bytes memory signature = _sign(late, SECRET);
        vm.expectRevert(abi.encodeWithSelector(Court.AnchorInFuture.selector, BLOCK + 101));
        court.proveLateReceipt(late, signature, 0);
    }

    function test_proveLateReceipt_refusesWithoutNote() public {
        Receipt memory late = _receipt("id", "one", 5);
        bytes memory signature = _sign(late, SECRET);
        vm.expectRevert(abi.encodeWithSelector(Court.DeathNotNoted.selector, key));
        court.proveLateReceipt(late, signature, 0);
    }

    function test_proveLateReceipt_refusesBadSignatures() public {
        _die();
        Receipt memory late = _receipt("id", "one", BLOCK + 101);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 3));
        court.proveLateReceipt(late, "bad", 0);
        (bytes memory none, bytes memory high) = _badSignatures(late);
        vm.expectRevert(ECDSA.ECDSAInvalidSignature.selector);
        court.proveLateReceipt(late, none, 0);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, HIGH_S));
        court.proveLateReceipt(late, high, 0);
    }

    /// Anyone may note a death; a key that no provider named punishes nobody.
    function test_proveLateReceipt_refusesKeysThatNobodyAnswersFor() public {
        keys.add(vm.addr(0xBAD), 1);
        keys.setDead(vm.addr(0xBAD), START);
        vm.warp(START + 26 hours);
        court.noteDeath(vm.addr(0xBAD));
        Receipt memory late = _receipt("id", "one", BLOCK + 1);
        bytes memory signature = _sign(late, 0xBAD);
        vm.roll(BLOCK + 2);
        vm.expectRevert(abi.encodeWithSelector(Court.NoProvider.selector, vm.addr(0xBAD)));
        court.proveLateReceipt(late, signature, 0);
    }

    function test_proveLateReceipt_afterLeaving() public {
        vm.startPrank(PROVIDER);
        staking.unstake(2 ether);
        registry.deactivate();
        registry.withdrawStake(2 ether);
        vm.stopPrank();
        _die();
        Receipt memory late = _receipt("id", "one", BLOCK + 101);
        bytes memory signature = _sign(late, SECRET);
        vm.roll(BLOCK + 200);
        vm.warp(START + 7 days);
        vm.expectRevert(abi.encodeWithSelector(Disputes.NothingAtRisk.selector, PROVIDER));
        court.proveLateReceipt(late, signature, 0);
    }

    /// A key that lives again isn't late, and its next death needs its own note.
    function test_proveLateReceipt_revivedKey() public {
        _die();
        vm.roll(BLOCK + 200);
        Receipt memory late = _receipt("id", "one", BLOCK + 150);
        bytes memory signature = _sign(late, SECRET);
        keys.setDead(key, 0);
        vm.expectRevert(abi.encodeWithSelector(Court.KeyAlive.selector, key));
        court.proveLateReceipt(late, signature, 0);
        uint64 again = START + 5 days;
        keys.setDead(key, again);
        vm.expectRevert(abi.encodeWithSelector(Court.DeathNotNoted.selector, key));
        court.proveLateReceipt(late, signature, 0);
        vm.warp(again + 26 hours);
        court.noteDeath(key);
        vm.expectRevert(abi.encodeWithSelector(Court.NotLate.selector, BLOCK + 150, BLOCK + 200));
        court.proveLateReceipt(late, signature, 0);
    }

    /// That the death turns out to be earlier changes nothing.
    function test_proveLateReceipt_earlierDeath() public {
        _die();
        keys.setDead(key, START - 5);
        vm.roll(BLOCK + 200);
        vm.expectRevert(abi.encodeWithSelector(Court.AlreadyNoted.selector, key, BLOCK + 100));
        court.noteDeath(key);
        Receipt memory late = _receipt("id", "one", BLOCK + 150);
        court.proveLateReceipt(late, _sign(late, SECRET), 0);
    }

    function test_noteDeath_refusals() public {
        vm.expectRevert(abi.encodeWithSelector(MockKeys.UnknownKey.selector, STRANGER));
        court.noteDeath(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Court.KeyAlive.selector, key));
        court.noteDeath(key);
        keys.setDead(key, START);
        vm.warp(START + 26 hours - 1);
        vm.expectRevert(abi.encodeWithSelector(Court.InGrace.selector, START + 26 hours));
        court.noteDeath(key);
        vm.warp(START + 26 hours);
        vm.expectEmit(true, true, true, true, address(court));
        emit Court.DeathNoted(key, START, BLOCK);
        court.noteDeath(key);
        (uint64 since, uint64 noted) = court.deathOf(key);
        require(since == START && noted == BLOCK);
        vm.expectRevert(abi.encodeWithSelector(Court.AlreadyNoted.selector, key, BLOCK));
        court.noteDeath(key);
    }

    /// One that recovers to nobody, and one whose s lies in the upper half of the order.
    function _badSignatures(Receipt memory receipt) private view returns (bytes memory none, bytes memory high) {
        bytes memory signature = _sign(receipt, SECRET);
        (none, high) = (abi.encodePacked(signature), abi.encodePacked(signature));
        none[64] = 0;
        bytes32 s = HIGH_S;
        assembly ("memory-safe") {
            mstore(add(high, 64), s)
        }
    }

    function _die() private {
        keys.setDead(key, START);
        vm.warp(START + 26 hours);
        vm.roll(BLOCK + 100);
        court.noteDeath(key);
    }

    function _proof(Receipt memory a, Receipt memory b) private pure returns (bytes32) {
        bytes32 typeHash = keccak256(
            "Receipt(uint256 agentId,bytes16 boot,bytes32 requestId,bytes32 requestDigest,bytes32 responseDigest,uint64 inputUnits,uint64 outputUnits,uint64 epoch,uint64 anchorBlock)"
        );
        return keccak256(abi.encode(keccak256(abi.encode(typeHash, a)), keccak256(abi.encode(typeHash, b))));
    }

    function _commit(Receipt memory a, Receipt memory b, bytes32 salt) private {
        bytes32 commitment = court.commitmentOf(REPORTER, _proof(a, b), salt);
        vm.prank(REPORTER);
        court.commitReport(commitment);
        vm.roll(BLOCK + 1);
    }

    function _prove(bytes32 one, bytes32 two) private {
        Receipt memory a = _receipt("id", one, 5);
        Receipt memory b = _receipt("id", two, 5);
        court.proveTwoReceipts(a, _sign(a, SECRET), b, _sign(b, SECRET), 0);
    }
}
