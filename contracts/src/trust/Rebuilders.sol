// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Eip712Domain} from "./Eip712Domain.sol";
import {Governed} from "./Governed.sol";
import {Revocable} from "./Revocable.sol";

/// @title Rebuilders
/// @notice Accounts of people who rebuild images from source, independently of governance and of each other, and what they
/// state (`docs/wire-formats.md` §12).
/// @dev Each rebuilder has a seat, a bit in a mask. A measurement keeps the mask of the seats that confirmed it, so a
/// removed rebuilder's statements stop counting everywhere at once. Seats are not used twice.
abstract contract Rebuilders is Governed, Eip712Domain {
    /// @notice Somebody built an image again from its source and got the same bytes.
    /// @param measurement Measurement id of the rebuilt image.
    /// @param releaseDigest SHA-256 of the rebuilt release manifest.
    /// @param sourceCommit Git commit that was built.
    /// @param lockDigest Digest of the lock files.
    /// @param builtAt When, in unix seconds, by the rebuilder's clock.
    /// @param rebuilder Account that states it and whose key signs.
    struct RebuildStatement {
        bytes32 measurement;
        bytes32 releaseDigest;
        bytes32 sourceCommit;
        bytes32 lockDigest;
        uint64 builtAt;
        address rebuilder;
    }

    /// @notice EIP-712 type hash of `RebuildStatement`.
    bytes32 public constant REBUILD_STATEMENT_TYPE = keccak256(
        "RebuildStatement(bytes32 measurement,bytes32 releaseDigest,bytes32 sourceCommit,bytes32 lockDigest,uint64 builtAt,address rebuilder)"
    );
    /// @notice How many accounts can ever become rebuilders.
    uint8 public constant MAX_REBUILDERS = 160;
    /// @notice Most confirmations that governance may ask for.
    uint16 public constant MAX_REQUIRED_REBUILDS = 16;

    uint160 private _activeSeats;
    uint8 private _seatCount;
    /// @notice Confirmations by distinct rebuilders that a measurement needs to be activated.
    uint16 public requiredRebuilds;
    mapping(address rebuilder => uint8 seat) private _seats;

    /// @notice The account's statements count from now on.
    event RebuilderAdded(address indexed rebuilder);
    /// @notice No statement of the account counts any more.
    event RebuilderRemoved(address indexed rebuilder);
    /// @notice Activation needs this many confirmations from now on.
    event RequiredRebuildsChanged(uint16 required);

    /// @notice The account is a rebuilder.
    error AlreadyRebuilder(address account);
    /// @notice The account isn't a rebuilder.
    error NotRebuilder(address account);
    /// @notice All seats were used.
    error NoSeatLeft();
    /// @notice The count lies outside what the chain allows.
    error RequiredRebuildsOutOfRange(uint16 required, uint16 least, uint16 most);
    /// @notice The signature is not the rebuilder's.
    error WrongSigner(address recovered, address rebuilder);

    /// @dev A public chain must have somebody else's word for what is activated, from the first measurement on.
    constructor() Eip712Domain("Jeju MeasurementRegistry") {
        requiredRebuilds = _leastRequired();
        emit RequiredRebuildsChanged(requiredRebuilds);
    }

    /// @notice Lets an account's statements count. Owner, after `announce`.
    /// @param account Rebuilder, with no other role here.
    function setRebuilder(address account) external onlyOwner announced {
        if (account == address(0)) revert ZeroAccount();
        if (account == owner() || account == revoker()) revert RolesMustDiffer(account);
        if (isRebuilder(account)) revert AlreadyRebuilder(account);
        uint8 seat = _seatCount;
        if (seat == MAX_REBUILDERS) revert NoSeatLeft();
        _seatCount = seat + 1;
        _seats[account] = seat + 1;
        _activeSeats |= _bit(seat + 1);
        emit RebuilderAdded(account);
    }

    /// @notice Ends an account's part, and the weight of all that it stated, at once.
    /// @param account Rebuilder.
    function removeRebuilder(address account) external onlyRevoker {
        uint8 seat = _seats[account];
        if (seat == 0) revert NotRebuilder(account);
        delete _seats[account];
        _activeSeats &= ~_bit(seat);
        emit RebuilderRemoved(account);
    }

    /// @notice Changes how many confirmations activation needs. Owner, after `announce`.
    /// @param required At least one, but on a local chain.
    function setRequiredRebuilds(uint16 required) external onlyOwner announced {
        uint16 least = _leastRequired();
        if (required < least || required > MAX_REQUIRED_REBUILDS) {
            revert RequiredRebuildsOutOfRange(required, least, MAX_REQUIRED_REBUILDS);
        }
        requiredRebuilds = required;
        emit RequiredRebuildsChanged(required);
    }

    /// @notice Whether the account's statements count.
    /// @param account Rebuilder.
    function isRebuilder(address account) public view returns (bool) {
        return _seats[account] != 0;
    }

    /// @notice What a rebuilder signs.
    /// @param statement The statement.
    function rebuildDigest(RebuildStatement calldata statement) public view returns (bytes32) {
        // A static struct is encoded as its fields, each of which is one word: 224 bytes with the type hash.
        return _typedDigest(keccak256(abi.encode(REBUILD_STATEMENT_TYPE, statement)));
    }

    /// @dev Seat of the rebuilder who signed, as a bit. Signatures have one form alone: 65 bytes, lower half, v 27 or 28.
    function _verify(RebuildStatement calldata statement, bytes calldata signature) internal view returns (uint160) {
        uint8 seat = _seats[statement.rebuilder];
        if (seat == 0) revert NotRebuilder(statement.rebuilder);
        address signer = ECDSA.recoverCalldata(rebuildDigest(statement), signature);
        if (signer != statement.rebuilder) revert WrongSigner(signer, statement.rebuilder);
        return _bit(seat);
    }

    /// @dev How many of the seats belong to present rebuilders.
    function _countActive(uint160 seats) internal view returns (uint16 count) {
        for (seats &= _activeSeats; seats != 0; seats &= seats - 1) {
            count++;
        }
    }

    function _seatBit(address account) internal view returns (uint160) {
        uint8 seat = _seats[account];
        return seat == 0 ? 0 : _bit(seat);
    }

    /// @inheritdoc Revocable
    function _isApart(address account) internal view virtual override returns (bool) {
        return isRebuilder(account);
    }

    function _leastRequired() private view returns (uint16) {
        return block.chainid == LOCAL_CHAIN_ID ? 0 : 1;
    }

    function _bit(uint8 seat) private pure returns (uint160) {
        return uint160(1) << (seat - 1);
    }
}
