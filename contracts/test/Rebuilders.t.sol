// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// The clock is the tests' own, ids are short literals, and casts cut what was bounded before.
// forge-lint: disable-start(block-timestamp, unsafe-typecast)

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Governed} from "../src/trust/Governed.sol";
import {MeasurementRecords as Records} from "../src/trust/MeasurementRecords.sol";
import {MeasurementRegistry as Registry} from "../src/trust/MeasurementRegistry.sol";
import {Rebuilders} from "../src/trust/Rebuilders.sol";
import {TrustFixture} from "./TrustFixture.sol";
import {Revocable} from "../src/trust/Revocable.sol";

/// Rebuild statements and the end of a validity, on a public chain.
contract RebuildersTest is TrustFixture {
    uint256 constant SECOND = 0x5EC04D;
    bytes32 constant NEXT = keccak256("next");

    function setUp() public {
        deploy();
        _propose(NEXT);
    }

    // ------------------------------------------------------------------ statements

    /// `docs/wire-formats.md` §12: the same values in Rust and in wallets.
    function test_goldenStatement() public {
        vm.chainId(31337);
        Registry registry = Registry(_repeated20(0x55));
        bytes memory init = abi.encodePacked(type(Registry).creationCode, abi.encode(OWNER, REVOKER, uint64(0)));
        vm.etch(address(registry), init);
        (bool success, bytes memory runtime) = address(registry).call("");
        require(success);
        vm.etch(address(registry), runtime);

        Rebuilders.RebuildStatement memory s = Rebuilders.RebuildStatement({
            measurement: _repeated(0x11),
            releaseDigest: _repeated(0x22),
            sourceCommit: bytes32(bytes20(_repeated(0x33))),
            lockDigest: _repeated(0x44),
            builtAt: 1767225600,
            rebuilder: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
        });
        require(registry.REBUILD_STATEMENT_TYPE() == 0x10ae01e1005c7cdaa1744195f96d66a43de0f967d0609cb1b9388b50424a6f52);
        require(registry.rebuildDigest(s) == 0xc21d96c972e4c1874ed48c7ec090610cfaaaddd362fd9d478d0469dcfbe7ee30);

        bytes memory call = abi.encodeCall(registry.setRebuilder, (s.rebuilder));
        _announce(registry, call);
        make(registry, call);
        vm.prank(OWNER);
        registry.propose(s.measurement, s.releaseDigest, 1, 255, 0, 0);
        registry.stateRebuild(
            s,
            hex"6ceb94b3ef885718bd22f26ff441a1bca472a3968647caf7ecd786d4b18fcc932cbb67565270d6826dc72fead9f084bd3a8f228a8f8ea1aa4087efd176dd39381c"
        );
        require(registry.recordOf(s.measurement).rebuildCount == 1);
    }

    function test_eip712Domain() public view {
        (bytes1 fields, string memory name, string memory version, uint256 chainId, address contract_,,) =
            measurements.eip712Domain();
        require(fields == hex"0f" && chainId == 8453 && contract_ == address(measurements));
        require(keccak256(bytes(name)) == keccak256("Jeju MeasurementRegistry"));
        require(keccak256(bytes(version)) == keccak256("1"));
    }

    function test_stateRebuild() public {
        vm.expectEmit(true, true, true, true, address(measurements));
        emit Registry.RebuildStated(NEXT, vm.addr(REBUILDER), "commit", "lock", START, 1);
        vm.prank(STRANGER);
        _state(REBUILDER);
        require(measurements.recordOf(NEXT).rebuildCount == 1);
        require(measurements.hasStated(NEXT, vm.addr(REBUILDER)) && !measurements.hasStated(NEXT, STRANGER));
        // The count lies in the record's first word, the seat in the third.
        require(uint16(measurements.query(NEXT) >> 160) == 1);
        bytes32 slot = bytes32(uint256(keccak256(abi.encode(NEXT, measurements.RECORDS_SLOT()))) + 2);
        require(vm.load(address(measurements), slot) == bytes32(uint256(2) << 64 | uint256(1) << 96), "third word");
        require(measurements.idOf(1) == MEASUREMENT && measurements.idOf(2) == NEXT);
        require(measurements.measurementCount() == 2 && measurements.idOf(3) == 0);
    }

    function test_stateRebuild_countsOnlyOnce() public {
        _state(REBUILDER);
        vm.expectRevert(abi.encodeWithSelector(Registry.AlreadyStated.selector, NEXT, vm.addr(REBUILDER)));
        this.state(REBUILDER, NEXT, RELEASE);
    }

    function test_stateRebuild_afterActivation() public {
        _addRebuilder(SECOND);
        uint64 epoch = measurements.policyEpoch();
        this.state(SECOND, MEASUREMENT, RELEASE);
        require(measurements.recordOf(MEASUREMENT).rebuildCount == 2 && measurements.policyEpoch() == epoch);
    }

    function test_stateRebuild_refuses() public {
        vm.expectRevert(abi.encodeWithSelector(Rebuilders.NotRebuilder.selector, vm.addr(SECOND)));
        this.state(SECOND, NEXT, RELEASE);
        vm.expectRevert(abi.encodeWithSelector(Registry.OtherRelease.selector, bytes32("r"), RELEASE));
        this.state(REBUILDER, NEXT, "r");
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, bytes32("x"), Records.Stage.None));
        this.state(REBUILDER, "x", RELEASE);
        vm.prank(REVOKER);
        measurements.revoke(NEXT);
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, NEXT, Records.Stage.Revoked));
        this.state(REBUILDER, NEXT, RELEASE);
    }

    function test_stateRebuild_refusesOtherSignatures() public {
        Rebuilders.RebuildStatement memory s = statementOf(REBUILDER, NEXT, RELEASE);
        bytes32 digest = measurements.rebuildDigest(s);
        bytes memory signature = sign(SECOND, digest);
        vm.expectRevert(abi.encodeWithSelector(Rebuilders.WrongSigner.selector, vm.addr(SECOND), vm.addr(REBUILDER)));
        measurements.stateRebuild(s, signature);

        (uint8 v, bytes32 r, bytes32 low) = vm.sign(REBUILDER, digest);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes32 high = bytes32(order - uint256(low));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
        measurements.stateRebuild(s, abi.encodePacked(r, high, 55 - v));
        vm.expectRevert(ECDSA.ECDSAInvalidSignature.selector);
        measurements.stateRebuild(s, abi.encodePacked(r, low, v - 27));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        measurements.stateRebuild(s, abi.encodePacked(r, low));

        signature = abi.encodePacked(r, low, v);
        s.builtAt++;
        try measurements.stateRebuild(s, signature) {
            revert("another statement");
        } catch (bytes memory reason) {
            require(bytes4(reason) == Rebuilders.WrongSigner.selector);
        }
    }

    /// A statement for another chain or another registry says nothing here.
    function test_stateRebuild_isBoundToChainAndRegistry() public {
        Rebuilders.RebuildStatement memory s = statementOf(REBUILDER, NEXT, RELEASE);
        bytes32 digest = measurements.rebuildDigest(s);
        vm.chainId(1);
        require(measurements.rebuildDigest(s) != digest);
        vm.chainId(8453);
        require(new Registry(OWNER, REVOKER, DELAY).rebuildDigest(s) != digest);
    }

    // ------------------------------------------------------------------ activation

    function test_activate_needsRebuilds() public {
        vm.warp(block.timestamp + DELAY);
        _expectTooFew(0, 1);
        _state(REBUILDER);
        _activate();
        require(measurements.isActive(NEXT));
    }

    function test_activate_needsAsManyAsRequired() public {
        _addRebuilder(SECOND);
        change(measurements, abi.encodeCall(measurements.setRequiredRebuilds, (2)));
        _state(REBUILDER);
        _expectTooFew(1, 2);
        _state(SECOND);
        _activate();
        require(measurements.recordOf(NEXT).rebuildCount == 2);
    }

    /// A rebuilder whose key was stolen is removed; nothing that the thief stated counts any more.
    function test_removedRebuilderNoLongerCounts() public {
        _addRebuilder(SECOND);
        _state(SECOND);
        vm.prank(REVOKER);
        measurements.removeRebuilder(vm.addr(SECOND));
        require(measurements.recordOf(NEXT).rebuildCount == 1 && !measurements.hasStated(NEXT, vm.addr(SECOND)));
        _expectTooFew(0, 1);
        vm.expectEmit(true, true, true, true, address(measurements));
        emit Registry.RebuildsRecounted(NEXT, 0);
        measurements.recount(NEXT);
        require(measurements.recordOf(NEXT).rebuildCount == 0);

        // Come back, it has a new seat: once more, not twice.
        _addRebuilder(SECOND);
        _expectTooFew(0, 1);
        _state(SECOND);
        require(measurements.recordOf(NEXT).rebuildCount == 1);
        _activate();
    }

    // ------------------------------------------------------------------ rebuilders

    function test_setRebuilder_waits() public {
        address account = vm.addr(SECOND);
        bytes memory call = abi.encodeCall(measurements.setRebuilder, (account));
        vm.expectRevert(abi.encodeWithSelector(Governed.NotAnnounced.selector, keccak256(call)));
        vm.prank(OWNER);
        measurements.setRebuilder(account);
        _announce(measurements, call);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, uint64(block.timestamp) + DELAY));
        vm.prank(OWNER);
        measurements.setRebuilder(account);
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit(true, true, true, true, address(measurements));
        emit Rebuilders.RebuilderAdded(account);
        make(measurements, call);
        require(measurements.isRebuilder(account));
    }

    function test_setRebuilder_refuses() public {
        _expectRefused(address(0), abi.encodeWithSelector(Revocable.ZeroAccount.selector));
        _expectRefused(OWNER, abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, OWNER));
        _expectRefused(REVOKER, abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, REVOKER));
        address one = vm.addr(REBUILDER);
        _expectRefused(one, abi.encodeWithSelector(Rebuilders.AlreadyRebuilder.selector, one));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        measurements.setRebuilder(STRANGER);
    }

    function test_setRebuilder_endsWithTheSeats() public {
        vm.chainId(31337);
        Registry registry = new Registry(OWNER, REVOKER, 0);
        for (uint160 i = 0x1000; i < 0x1000 + registry.MAX_REBUILDERS(); i++) {
            bytes memory call = abi.encodeCall(registry.setRebuilder, (address(i)));
            _announce(registry, call);
            make(registry, call);
            if (i % 2 == 0) continue;
            vm.prank(REVOKER);
            registry.removeRebuilder(address(i));
        }
        _announce(registry, abi.encodeCall(registry.setRebuilder, (STRANGER)));
        vm.expectRevert(Rebuilders.NoSeatLeft.selector);
        vm.prank(OWNER);
        registry.setRebuilder(STRANGER);
    }

    function test_removeRebuilder() public {
        address one = vm.addr(REBUILDER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, OWNER));
        vm.prank(OWNER);
        measurements.removeRebuilder(one);
        vm.expectEmit(true, true, true, true, address(measurements));
        emit Rebuilders.RebuilderRemoved(one);
        vm.prank(REVOKER);
        measurements.removeRebuilder(one);
        vm.expectRevert(abi.encodeWithSelector(Rebuilders.NotRebuilder.selector, one));
        vm.prank(REVOKER);
        measurements.removeRebuilder(one);
    }

    function test_requiredRebuilds() public {
        require(measurements.requiredRebuilds() == 1);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        measurements.setRequiredRebuilds(2);
        _expectOutOfRange(0);
        _expectOutOfRange(17);
        bytes memory call = abi.encodeCall(measurements.setRequiredRebuilds, (16));
        _announce(measurements, call);
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit(true, true, true, true, address(measurements));
        emit Rebuilders.RequiredRebuildsChanged(16);
        make(measurements, call);
        require(measurements.requiredRebuilds() == 16);
        vm.chainId(31337);
        require(new Registry(OWNER, REVOKER, DELAY).requiredRebuilds() == 0);
    }

    // ------------------------------------------------------------------ validity

    function test_limitValidity_ends() public {
        uint64 end = uint64(block.timestamp) + 10 days;
        uint64 epoch = measurements.policyEpoch();
        vm.expectEmit(true, true, true, true, address(measurements));
        emit Registry.ValidityLimited(MEASUREMENT, end, epoch + 1);
        _limit(MEASUREMENT, end);
        vm.warp(end - 1);
        require(measurements.isActive(MEASUREMENT));
        vm.expectRevert(abi.encodeWithSelector(Registry.ValidityRuns.selector, end));
        measurements.expire(MEASUREMENT);
        vm.warp(end + 7);
        Records.Standing memory standing = measurements.standing(MEASUREMENT);
        require(!standing.active && standing.endedAt == end && standing.validUntil == end);
        require(!measurements.isActive(MEASUREMENT));

        // For readers of the record alone.
        vm.expectEmit(true, true, true, true, address(measurements));
        emit Registry.MeasurementRevoked(MEASUREMENT, STRANGER, end, epoch + 2);
        vm.prank(STRANGER);
        measurements.expire(MEASUREMENT);
        Records.Record memory record = measurements.recordOf(MEASUREMENT);
        require(record.stage == Records.Stage.Revoked && record.revokedAt == end);
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, MEASUREMENT, Records.Stage.Revoked));
        measurements.expire(MEASUREMENT);
    }

    function test_limitValidity_onlyBroughtForward() public {
        uint64 end = uint64(block.timestamp) + 10 days;
        _limit(MEASUREMENT, end);
        _limit(MEASUREMENT, end - 1);
        uint64 now_ = uint64(block.timestamp);
        _expectValidity(MEASUREMENT, end - 1, now_, end - 1);
        _expectValidity(MEASUREMENT, end, now_, end - 1);
        _expectValidity(MEASUREMENT, now_, now_, end - 1);
        _expectValidity(MEASUREMENT, 0, now_, end - 1);
    }

    function test_limitValidity_whileProposed() public {
        uint64 readyAt = uint64(block.timestamp) + DELAY;
        _expectValidity(NEXT, readyAt, readyAt, 0);
        _limit(NEXT, readyAt + 1);
        _state(REBUILDER);
        vm.warp(readyAt + 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.ValidityOver.selector, readyAt + 1));
        vm.prank(OWNER);
        measurements.activate(NEXT);
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, NEXT, Records.Stage.Proposed));
        measurements.expire(NEXT);
    }

    function test_limitValidity_refuses() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        measurements.limitValidity(NEXT, 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, bytes32("x"), Records.Stage.None));
        vm.prank(OWNER);
        measurements.limitValidity("x", 1);
        vm.expectRevert(abi.encodeWithSelector(Registry.ValidityRuns.selector, 0));
        measurements.expire(MEASUREMENT);
    }

    /// Revoking late must not lengthen a validity that was over.
    function test_revoke_afterTheEnd() public {
        uint64 end = uint64(block.timestamp) + 10 days;
        _limit(MEASUREMENT, end);
        vm.warp(end + 100);
        vm.prank(REVOKER);
        measurements.revoke(MEASUREMENT);
        require(measurements.recordOf(MEASUREMENT).revokedAt == end);
    }

    function test_standing() public {
        Records.Standing memory s = measurements.standing(MEASUREMENT);
        require(s.active && s.platform == TDX && s.custody == 3 && s.serial == 1 && s.endedAt == 0);
        s = measurements.standing(NEXT);
        require(!s.active && s.serial == 2 && s.endedAt == 0);
        vm.prank(OWNER);
        measurements.raiseVersionFloor(6);
        s = measurements.standing(MEASUREMENT);
        require(!s.active && s.endedAt == 0);
        vm.prank(REVOKER);
        measurements.revoke(MEASUREMENT);
        require(measurements.standing(MEASUREMENT).endedAt == block.timestamp);
    }

    // ------------------------------------------------------------------ steps

    /// From outside, so that a test can expect the revert of this call alone.
    function state(uint256 rebuilder, bytes32 id, bytes32 release) external {
        stateRebuild(rebuilder, id, release);
    }

    function _state(uint256 rebuilder) private {
        stateRebuild(rebuilder, NEXT, RELEASE);
    }

    function _propose(bytes32 id) private {
        vm.prank(OWNER);
        measurements.propose(id, RELEASE, 5, TDX, 0, 0);
    }

    function _activate() private {
        vm.prank(OWNER);
        measurements.activate(NEXT);
    }

    function _limit(bytes32 id, uint64 validUntil) private {
        vm.prank(OWNER);
        measurements.limitValidity(id, validUntil);
    }

    function _addRebuilder(uint256 key) private {
        change(measurements, abi.encodeCall(measurements.setRebuilder, (vm.addr(key))));
    }

    function _expectTooFew(uint16 count, uint16 required) private {
        vm.expectRevert(abi.encodeWithSelector(Registry.TooFewRebuilds.selector, count, required));
        _activate();
    }

    function _expectValidity(bytes32 id, uint64 wanted, uint64 from, uint64 current) private {
        vm.expectRevert(abi.encodeWithSelector(Registry.ValidityRefused.selector, wanted, from, current));
        _limit(id, wanted);
    }

    function _expectRefused(address account, bytes memory reason) private {
        _announce(measurements, abi.encodeCall(measurements.setRebuilder, (account)));
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(reason);
        vm.prank(OWNER);
        measurements.setRebuilder(account);
    }

    function _expectOutOfRange(uint16 required) private {
        _announce(measurements, abi.encodeCall(measurements.setRequiredRebuilds, (required)));
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(Rebuilders.RequiredRebuildsOutOfRange.selector, required, uint16(1), uint16(16))
        );
        vm.prank(OWNER);
        measurements.setRequiredRebuilds(required);
    }

    function _repeated(uint8 value) private pure returns (bytes32) {
        return bytes32(type(uint256).max / 255 * value);
    }

    function _repeated20(uint8 value) private pure returns (address) {
        return address(bytes20(_repeated(value)));
    }
}
// forge-lint: disable-end(block-timestamp, unsafe-typecast)
