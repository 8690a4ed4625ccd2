// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {MeasurementRecords as Records} from "../src/trust/MeasurementRecords.sol";
import {MeasurementRegistry as Registry} from "../src/trust/MeasurementRegistry.sol";
import {Test} from "./Vm.sol";
import {Revocable} from "../src/trust/Revocable.sol";

contract MeasurementRegistryTest is Test {
    uint64 constant START = 1_800_000_000;
    uint64 constant DELAY = 48 hours;
    address constant OWNER = address(0xA0);
    address constant REVOKER = address(0xB0);
    address constant STRANGER = address(0xC0);
    bytes32 constant ID = keccak256("id");
    bytes32 constant RELEASE = keccak256("release");

    Registry registry;

    function setUp() public {
        vm.warp(START);
        registry = new Registry(OWNER, REVOKER, DELAY);
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public view {
        require(registry.owner() == OWNER && registry.revoker() == REVOKER && registry.minDelay() == DELAY);
        require(registry.policyEpoch() == 0 && registry.versionFloor() == 0);
    }

    function test_constructor_emitsRevoker() public {
        address next = address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), hex"02")))));
        vm.expectEmit(true, true, true, true, next);
        emit Revocable.RevokerChanged(address(0), REVOKER);
        require(address(new Registry(OWNER, REVOKER, DELAY)) == next);
    }

    function test_constructor_refusesZeroRevoker() public {
        vm.expectRevert(Revocable.ZeroAccount.selector);
        new Registry(OWNER, address(0), DELAY);
    }

    function test_constructor_refusesZeroOwner() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableInvalidOwner.selector, address(0)));
        new Registry(address(0), REVOKER, DELAY);
    }

    function test_constructor_refusesOneAccountForBothRoles() public {
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, OWNER));
        new Registry(OWNER, OWNER, DELAY);
    }

    function test_constructor_refusesShortDelayOnPublicChains() public {
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.DelayTooShort.selector, DELAY - 1, DELAY));
        new Registry(OWNER, REVOKER, DELAY - 1);
        new Registry(OWNER, REVOKER, DELAY);
    }

    function test_constructor_allowsNoDelayOnLocalChain() public {
        Registry local = new Registry(OWNER, REVOKER, 0);
        vm.prank(OWNER);
        local.propose(ID, RELEASE, 1, 255, 0, 0);
        vm.prank(OWNER);
        local.activate(ID);
        require(local.isActive(ID));
    }

    // ------------------------------------------------------------------ id and layout

    /// The same value is asserted in Rust; here the hash comes from the SHA-256 precompile.
    function test_measurementId_goldenVector() public pure {
        bytes32 image = bytes32(0x1111111111111111111111111111111111111111111111111111111111111111);
        bytes memory preimage =
            abi.encodePacked("jeju-measurement-v1", uint8(0), uint16(9), "simulated", uint16(32), image);
        require(sha256(preimage) == 0x7ba882dd87bc0a341262704cb99856a51e3d553d79eb310e7f0d87094735147e);
    }

    function test_storageLayout() public {
        uint8 platform = registry.SEV_SNP();
        _raiseFloor(3);
        vm.prank(OWNER);
        registry.propose(ID, RELEASE, 0x01020304, platform, 0x22, 0x3344);

        bytes32 slot = keccak256(abi.encode(ID, registry.RECORDS_SLOT()));
        uint256 packed = uint256(vm.load(address(registry), slot));
        uint256 expected = uint256(START + DELAY) | (uint256(0x01020304) << 128) | (uint256(2) << 176)
            | (uint256(0x22) << 184) | (uint256(0x3344) << 192) | (uint256(1) << 208);
        require(packed == expected, "packed");
        require(vm.load(address(registry), bytes32(uint256(slot) + 1)) == RELEASE, "release");

        uint256 policy = uint256(vm.load(address(registry), bytes32(registry.POLICY_SLOT())));
        require(policy == (1 | (uint256(3) << 64) | (uint256(uint160(REVOKER)) << 96)), "policy");

        require(registry.query(ID) == packed);
        (uint256 a, bytes32 b, uint256 c) = registry.lookup(ID);
        require(a == packed && b == RELEASE && c == policy);

        vm.warp(START + DELAY);
        vm.prank(REVOKER);
        registry.revoke(ID);
        packed = uint256(vm.load(address(registry), slot));
        uint256 now_ = START + DELAY;
        expected = expected & ~(type(uint256).max << 208 | type(uint128).max);
        require(packed == (expected | now_ | now_ << 64 | uint256(3) << 208), "revoked");
    }

    function test_unknownIdReadsAsZero() public view {
        (uint256 packed, bytes32 release,) = registry.lookup(ID);
        require(packed == 0 && release == 0 && registry.query(ID) == 0 && !registry.isActive(ID));
        require(registry.recordOf(ID).stage == Records.Stage.None);
    }

    // ------------------------------------------------------------------ propose

    function test_propose() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.MeasurementProposed(ID, RELEASE, 1, 7, 2, 5, START + DELAY);
        vm.prank(OWNER);
        registry.propose(ID, RELEASE, 7, 1, 2, 5);

        Records.Record memory record = registry.recordOf(ID);
        require(record.validFrom == START + DELAY && record.revokedAt == 0 && record.version == 7);
        require(record.rebuildCount == 0 && record.platform == 1 && record.custody == 2 && record.flags == 5);
        require(record.stage == Records.Stage.Proposed && record.releaseDigest == RELEASE);
        require(!registry.isActive(ID) && registry.policyEpoch() == 0);
    }

    function testFuzz_propose_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        vm.prank(caller);
        registry.propose(ID, RELEASE, 1, 1, 0, 0);
    }

    function test_propose_refusesZeroId() public {
        vm.expectRevert(Registry.ZeroDigest.selector);
        vm.prank(OWNER);
        registry.propose(0, RELEASE, 1, 1, 0, 0);
    }

    function test_propose_refusesZeroRelease() public {
        vm.expectRevert(Registry.ZeroDigest.selector);
        vm.prank(OWNER);
        registry.propose(ID, 0, 1, 1, 0, 0);
    }

    function testFuzz_propose_refusesUnknownPlatform(uint8 platform) public {
        vm.assume(platform == 0 || platform > 3);
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(Registry.PlatformRefused.selector, platform));
        vm.prank(OWNER);
        registry.propose(ID, RELEASE, 1, platform, 0, 0);
    }

    function test_propose_simulatedOnLocalChainOnly() public {
        vm.prank(OWNER);
        registry.propose(ID, RELEASE, 1, 255, 0, 0);

        vm.chainId(11155111);
        vm.expectRevert(abi.encodeWithSelector(Registry.PlatformRefused.selector, 255));
        vm.prank(OWNER);
        registry.propose(keccak256("other"), RELEASE, 1, 255, 0, 0);
    }

    function test_propose_refusesSecondTimeInEveryStage() public {
        _propose(ID, 1);
        _expectKnown(Records.Stage.Proposed);
        _activate(ID);
        _expectKnown(Records.Stage.Active);
        _revoke(ID);
        _expectKnown(Records.Stage.Revoked);
    }

    function test_propose_refusesBelowFloor() public {
        _raiseFloor(5);
        vm.expectRevert(abi.encodeWithSelector(Registry.BelowFloor.selector, 4, 5));
        vm.prank(OWNER);
        registry.propose(ID, RELEASE, 4, 1, 0, 0);
    }

    // ------------------------------------------------------------------ activate

    function test_activate() public {
        _propose(ID, 1);
        vm.warp(START + DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, START + DELAY));
        vm.prank(OWNER);
        registry.activate(ID);
        vm.warp(START + DELAY + 10);
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.MeasurementActivated(ID, START + DELAY + 10, 1);
        vm.prank(OWNER);
        registry.activate(ID);
        require(registry.isActive(ID) && registry.recordOf(ID).validFrom == START + DELAY + 10);
    }

    function testFuzz_activate_neverBeforeTheDelay(uint64 delay, uint64 waited) public {
        delay %= 365 days;
        Registry other = new Registry(OWNER, REVOKER, delay);
        vm.prank(OWNER);
        other.propose(ID, RELEASE, 1, 1, 0, 0);
        waited = delay == 0 ? waited % 30 days : waited % (2 * delay);
        vm.warp(START + waited);
        if (waited < delay) vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, START + delay));
        vm.prank(OWNER);
        other.activate(ID);
        require(other.isActive(ID) == (waited >= delay));
    }

    function testFuzz_activate_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        _propose(ID, 1);
        vm.warp(START + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        vm.prank(caller);
        registry.activate(ID);
    }

    function test_activate_refusesUnknownActiveAndRevoked() public {
        _expectWrongStage(Records.Stage.None);
        _propose(ID, 1);
        _activate(ID);
        _expectWrongStage(Records.Stage.Active);
        _revoke(ID);
        _expectWrongStage(Records.Stage.Revoked);
    }

    function test_activate_refusesBelowFloor() public {
        _propose(ID, 4);
        _raiseFloor(5);
        vm.warp(START + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Registry.BelowFloor.selector, 4, 5));
        vm.prank(OWNER);
        registry.activate(ID);
    }

    // ------------------------------------------------------------------ revoke

    function test_revoke_active() public {
        _propose(ID, 1);
        _activate(ID);
        vm.warp(START + DELAY + 100);
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.MeasurementRevoked(ID, REVOKER, START + DELAY + 100, 2);
        vm.prank(REVOKER);
        registry.revoke(ID);
        Records.Record memory record = registry.recordOf(ID);
        require(!registry.isActive(ID) && record.stage == Records.Stage.Revoked);
        require(record.validFrom == START + DELAY && record.revokedAt == START + DELAY + 100);
    }

    function test_revoke_vetoesAProposal() public {
        _propose(ID, 1);
        vm.warp(START + 60);
        _revoke(ID);
        Records.Record memory record = registry.recordOf(ID);
        require(record.validFrom == START + 60 && record.revokedAt == START + 60, "valid at no time");
        vm.warp(START + DELAY);
        _expectWrongStage(Records.Stage.Revoked);
    }

    function testFuzz_revoke_onlyRevoker(address caller) public {
        vm.assume(caller != REVOKER);
        _propose(ID, 1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, caller));
        vm.prank(caller);
        registry.revoke(ID);
    }

    function test_revoke_refusesOwner() public {
        _propose(ID, 1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, OWNER));
        vm.prank(OWNER);
        registry.revoke(ID);
    }

    function test_revoke_refusesUnknownAndRevoked() public {
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, ID, Records.Stage.None));
        vm.prank(REVOKER);
        registry.revoke(ID);
        _propose(ID, 1);
        _revoke(ID);
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, ID, Records.Stage.Revoked));
        vm.prank(REVOKER);
        registry.revoke(ID);
    }

    // ------------------------------------------------------------------ version floor

    function test_raiseVersionFloor_endsOlderReleases() public {
        _propose(ID, 4);
        _activate(ID);
        vm.expectEmit(true, true, true, true, address(registry));
        emit Registry.VersionFloorRaised(5, 2);
        vm.prank(OWNER);
        registry.raiseVersionFloor(5);
        require(!registry.isActive(ID) && registry.policyEpoch() == 2);
    }

    function testFuzz_raiseVersionFloor_onlyRises(uint32 first, uint32 second) public {
        vm.assume(first > 0 && second <= first);
        _raiseFloor(first);
        vm.expectRevert(abi.encodeWithSelector(Registry.FloorNotRaised.selector, first, second));
        vm.prank(OWNER);
        registry.raiseVersionFloor(second);
    }

    function testFuzz_raiseVersionFloor_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        vm.prank(caller);
        registry.raiseVersionFloor(1);
    }

    // ------------------------------------------------------------------ roles

    function test_revoker_isReplacedAfterTheDelay() public {
        vm.expectEmit(true, true, true, true, address(registry));
        emit Revocable.RevokerNominated(STRANGER, START + DELAY);
        vm.prank(OWNER);
        registry.nominateRevoker(STRANGER);

        vm.warp(START + DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, START + DELAY));
        vm.prank(STRANGER);
        registry.acceptRevoker();
        require(registry.revoker() == REVOKER);

        vm.warp(START + DELAY);
        vm.expectEmit(true, true, true, true, address(registry));
        emit Revocable.RevokerChanged(REVOKER, STRANGER);
        vm.prank(STRANGER);
        registry.acceptRevoker();
        require(registry.revoker() == STRANGER && registry.nominatedRevoker() == address(0));
        require(registry.revokerReadyAt() == 0);

        _propose(ID, 1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotRevoker.selector, REVOKER));
        vm.prank(REVOKER);
        registry.revoke(ID);
    }

    function test_nominateRevoker_isWithdrawn() public {
        vm.prank(OWNER);
        registry.nominateRevoker(STRANGER);
        vm.prank(OWNER);
        registry.nominateRevoker(address(0));
        vm.warp(START + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotNominated.selector, STRANGER));
        vm.prank(STRANGER);
        registry.acceptRevoker();
    }

    function test_nominateRevoker_startsTheDelayAgain() public {
        vm.prank(OWNER);
        registry.nominateRevoker(STRANGER);
        vm.warp(START + DELAY);
        vm.prank(OWNER);
        registry.nominateRevoker(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, START + 2 * DELAY));
        vm.prank(STRANGER);
        registry.acceptRevoker();
    }

    function testFuzz_nominateRevoker_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        vm.prank(caller);
        registry.nominateRevoker(caller);
    }

    function test_acceptRevoker_refusesOwner() public {
        vm.prank(OWNER);
        registry.nominateRevoker(OWNER);
        vm.warp(START + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, OWNER));
        vm.prank(OWNER);
        registry.acceptRevoker();
    }

    function test_acceptOwnership_refusesRevoker() public {
        vm.prank(OWNER);
        registry.transferOwnership(REVOKER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, REVOKER));
        vm.prank(REVOKER);
        registry.acceptOwnership();
        require(registry.owner() == OWNER);
    }

    function test_transferOwnership_takesTwoSteps() public {
        vm.prank(OWNER);
        registry.transferOwnership(STRANGER);
        require(registry.owner() == OWNER);
        vm.prank(STRANGER);
        registry.acceptOwnership();
        require(registry.owner() == STRANGER);
    }

    function test_renounceOwnership_isRefused() public {
        vm.expectRevert(Revocable.RenounceRefused.selector);
        vm.prank(OWNER);
        registry.renounceOwnership();
    }

    // ------------------------------------------------------------------ steps

    function _propose(bytes32 id, uint32 version) private {
        vm.prank(OWNER);
        registry.propose(id, RELEASE, version, 1, 0, 0);
    }

    function _activate(bytes32 id) private {
        vm.warp(START + DELAY);
        vm.prank(OWNER);
        registry.activate(id);
    }

    function _revoke(bytes32 id) private {
        vm.prank(REVOKER);
        registry.revoke(id);
    }

    function _raiseFloor(uint32 floor) private {
        vm.prank(OWNER);
        registry.raiseVersionFloor(floor);
    }

    function _expectKnown(Records.Stage stage) private {
        vm.expectRevert(abi.encodeWithSelector(Registry.AlreadyKnown.selector, ID, stage));
        vm.prank(OWNER);
        registry.propose(ID, RELEASE, 1, 1, 0, 0);
    }

    function _expectWrongStage(Records.Stage stage) private {
        vm.expectRevert(abi.encodeWithSelector(Registry.WrongStage.selector, ID, stage));
        vm.prank(OWNER);
        registry.activate(ID);
    }
}
