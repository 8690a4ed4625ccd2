// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {Frost} from "../trust/Frost.sol";
import {FrostWallet} from "./FrostWallet.sol";

/// @title FrostWalletFactory
/// @notice Makes the wallet of a group key, at an address that follows from the key and this contract's address alone, so that
/// it can be told, and paid to, before the wallet is there.
/// @dev Off chain, with ‖ for concatenation and all integers in hexadecimal:
///
///     implementation = last 20 bytes of keccak256(d694 ‖ factory ‖ 01)
///     initCode       = 60338060095f395ff3 ‖ 36600557005b365f5f375f5f365f73 ‖ implementation
///                      ‖ 5af43d5f5f3e602f573d5ffd5b3d5ff3
///     salt           = keccak256(key), the key being the 33 bytes of SEC1's compressed form, as the signers return it
///     wallet         = last 20 bytes of keccak256(ff ‖ factory ‖ salt ‖ keccak256(initCode))
///
/// For the factory 0x1111111111111111111111111111111111111111 the init code's hash is
/// 0x91a10a5af4bac55cbc77480bacea564fa086fa8570e6c51a0cdcb23ea2e75afe
/// and the wallet of the key of RFC 9591, appendix E.5,
/// (02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f) is 0x7cd21c31c98F5FE95Ce130e8EfC3aABCc0748768.
///
/// The code behind `initCode` is a proxy that passes every call on to the implementation, but for one without calldata: that
/// ends at once, with the ether. The usual proxy (ERC-1167) can't take ether that comes with 2,300 gas, as from
/// `transfer`, since looking up the implementation costs more.
contract FrostWalletFactory {
    /// @notice The code of all wallets of this factory.
    FrostWallet public immutable implementation;
    /// @notice keccak256 of the wallets' init code.
    bytes32 public immutable initCodeHash;

    /// @notice The wallet of this key was made.
    event WalletDeployed(address indexed wallet, uint256 indexed px, uint8 parity);

    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice Not the x and parity of a key that `Frost` can check: its wallet would never open again.
    error InvalidPublicKey(uint256 px, uint8 parity);

    /// @param entryPoint The ERC-4337 entry point of this factory's wallets, for good.
    constructor(address entryPoint) {
        if (entryPoint == address(0)) revert ZeroAccount();
        // The first contract that this one makes: its address is part of the formula above.
        implementation = new FrostWallet(entryPoint);
        initCodeHash = keccak256(_initCode());
    }

    /// @notice Makes the wallet of a key, or finds it made. Anyone may call; the outcome is the same.
    /// @param px x of the group key.
    /// @param parity 0 if its y is even, 1 if odd.
    /// @return wallet The wallet, at `addressOf(px, parity)`.
    function deploy(uint256 px, uint8 parity) external returns (FrostWallet wallet) {
        wallet = FrostWallet(addressOf(px, parity));
        if (address(wallet).code.length != 0) return wallet;
        Create2.deploy(0, saltOf(px, parity), _initCode());
        wallet.initialize(px, parity);
        emit WalletDeployed(address(wallet), px, parity);
    }

    /// @notice Address of the wallet of a key, made or not.
    /// @param px x of the group key.
    /// @param parity 0 if its y is even, 1 if odd.
    function addressOf(uint256 px, uint8 parity) public view returns (address) {
        if (!Frost.isValidPublicKey(px, parity)) revert InvalidPublicKey(px, parity);
        return Create2.computeAddress(saltOf(px, parity), initCodeHash);
    }

    /// @notice The salt of a key: keccak256 of its compressed form.
    /// @param px x of the group key.
    /// @param parity 0 if its y is even, 1 if odd.
    function saltOf(uint256 px, uint8 parity) public pure returns (bytes32) {
        return keccak256(Frost.encodePublicKey(px, parity));
    }

    function _initCode() private view returns (bytes memory) {
        return abi.encodePacked(
            hex"60338060095f395ff336600557005b365f5f375f5f365f73", implementation, hex"5af43d5f5f3e602f573d5ffd5b3d5ff3"
        );
    }
}
