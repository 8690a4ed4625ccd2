// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Revocable} from "../src/trust/Revocable.sol";
import {FrostSigner} from "./FrostSigner.sol";

/// @notice The tests of the two roles, for every contract that has them.
abstract contract RevocableTests is FrostSigner {
    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant DELAY = 48 hours;
    address internal constant OWNER = address(0xA0);
    address internal constant REVOKER = address(0xB0);
    address internal constant STRANGER = address(0xC0);

    function make(address owner, address revoker, uint64 delay) internal virtual returns (Revocable);

    function test_roles_constructor() public {
        Revocable subject = make(OWNER, REVOKER, DELAY);
        require(subject.owner() == OWNER && subject.revoker() == REVOKER && subject.minDelay() == DELAY);
    }

    function test_roles_constructor_refusesZeroRevoker() public {
        _prepare();
        vm.expectRevert(Revocable.ZeroAccount.selector);
        make(OWNER, address(0), DELAY);
    }

    function test_roles_constructor_refusesZeroOwner() public {
        _prepare();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableInvalidOwner.selector, address(0)));
        make(address(0), REVOKER, DELAY);
    }

    function test_roles_constructor_refusesOneAccountForBoth() public {
        _prepare();
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, OWNER));
        make(OWNER, OWNER, DELAY);
    }

    function test_roles_constructor_refusesShortDelayOnPublicChains() public {
        _prepare();
        require(make(OWNER, REVOKER, 0).minDelay() == 0, "local chain");
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.DelayTooShort.selector, DELAY - 1, DELAY));
        make(OWNER, REVOKER, DELAY - 1);
        require(make(OWNER, REVOKER, DELAY).minDelay() == DELAY);
    }

    function test_roles_revokerIsReplacedAfterTheDelay() public {
        Revocable subject = _make();
        vm.expectEmit(true, true, true, true, address(subject));
        emit Revocable.RevokerNominated(STRANGER, START + DELAY);
        vm.prank(OWNER);
        subject.nominateRevoker(STRANGER);

        vm.warp(START + DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(Revocable.TooEarly.selector, START + DELAY));
        vm.prank(STRANGER);
        subject.acceptRevoker();

        vm.warp(START + DELAY);
        vm.expectEmit(true, true, true, true, address(subject));
        emit Revocable.RevokerChanged(REVOKER, STRANGER);
        vm.prank(STRANGER);
        subject.acceptRevoker();
        require(subject.revoker() == STRANGER && subject.nominatedRevoker() == address(0));
        require(subject.revokerReadyAt() == 0);
    }

    function testFuzz_roles_acceptRevoker_refusesOthers(address caller) public {
        vm.assume(caller != STRANGER);
        Revocable subject = _make();
        vm.prank(OWNER);
        subject.nominateRevoker(STRANGER);
        vm.warp(START + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotNominated.selector, caller));
        vm.prank(caller);
        subject.acceptRevoker();
    }

    function test_roles_nominationIsWithdrawn() public {
        Revocable subject = _make();
        vm.prank(OWNER);
        subject.nominateRevoker(STRANGER);
        vm.prank(OWNER);
        subject.nominateRevoker(address(0));
        require(subject.revokerReadyAt() == 0);
        vm.warp(START + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.NotNominated.selector, STRANGER));
        vm.prank(STRANGER);
        subject.acceptRevoker();
    }

    function testFuzz_roles_nominateRevoker_onlyOwner(address caller) public {
        vm.assume(caller != OWNER);
        Revocable subject = _make();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller));
        vm.prank(caller);
        subject.nominateRevoker(caller);
    }

    function test_roles_acceptRevoker_refusesOwner() public {
        Revocable subject = _make();
        vm.prank(OWNER);
        subject.nominateRevoker(OWNER);
        vm.warp(START + DELAY);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, OWNER));
        vm.prank(OWNER);
        subject.acceptRevoker();
    }

    function test_roles_acceptOwnership_refusesRevoker() public {
        Revocable subject = _make();
        vm.prank(OWNER);
        subject.transferOwnership(REVOKER);
        vm.expectRevert(abi.encodeWithSelector(Revocable.RolesMustDiffer.selector, REVOKER));
        vm.prank(REVOKER);
        subject.acceptOwnership();
    }

    function test_roles_renounceOwnership_isRefused() public {
        Revocable subject = _make();
        vm.expectRevert(Revocable.RenounceRefused.selector);
        vm.prank(OWNER);
        subject.renounceOwnership();
    }

    function _make() private returns (Revocable) {
        vm.warp(START);
        return make(OWNER, REVOKER, DELAY);
    }

    /// What `make` needs besides is made once here, so that the next call is the constructor.
    function _prepare() private {
        make(OWNER, REVOKER, DELAY);
    }
}
