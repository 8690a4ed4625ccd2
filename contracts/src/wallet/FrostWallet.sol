// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IAccount, PackedUserOperation} from "@openzeppelin/contracts/interfaces/IERC4337.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {ERC1155Holder} from "@openzeppelin/contracts/token/ERC1155/utils/ERC1155Holder.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Frost} from "../trust/Frost.sol";

/// @title FrostWallet
/// @notice Account of a FROST group key: what t of n signers agree to, it does. Nobody else has a say in it but the recovery
/// account that the group itself may name, and that one only after a wait in which the group can say no.
/// @dev One implementation, and small proxies with the storage (`FrostWalletFactory`), which can't be upgraded. Signatures
/// are RFC 9591's, 65 or 96 bytes (see `Frost`), over EIP-712 digests with the domain {"Jeju Frost Wallet", "1", chain id,
/// this wallet}: one made for another wallet of the same key, or for another chain, isn't valid here.
///
/// ERC-1271: the group signs `WalletMessage(bytes32 hash)`, not the hash itself. Without the nesting of ERC-7739, which
/// lets a person read what is signed; the signers of a group show nothing and check the hash by their policy.
///
/// ERC-4337: the group signs `userOpHash` as it is, since it binds wallet, entry point and chain itself; the entry point
/// counts those operations' nonces, this contract those of `execute` with a signature.
contract FrostWallet is IAccount, IERC1271, EIP712, ERC721Holder, ERC1155Holder {
    /// @notice One call that the wallet makes.
    /// @param to Account that is called.
    /// @param value Wei that go with it.
    /// @param data Calldata.
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    /// @notice EIP-712 type of an ERC-1271 message.
    bytes32 public constant MESSAGE_TYPEHASH = keccak256("WalletMessage(bytes32 hash)");
    /// @notice EIP-712 type of one call.
    bytes32 public constant EXECUTE_TYPEHASH =
        keccak256("Execute(address to,uint256 value,bytes data,uint256 nonce,uint64 deadline)");
    /// @notice EIP-712 type of several calls.
    bytes32 public constant BATCH_TYPEHASH =
        keccak256("ExecuteBatch(Call[] calls,uint256 nonce,uint64 deadline)Call(address to,uint256 value,bytes data)");
    /// @notice EIP-712 type of a call in a batch.
    bytes32 public constant CALL_TYPEHASH = keccak256("Call(address to,uint256 value,bytes data)");

    /// @notice Shortest wait of a recovery, in seconds.
    uint64 public constant MIN_RECOVERY_DELAY = 2 days;
    /// @notice Longest wait of a recovery, in seconds.
    uint64 public constant MAX_RECOVERY_DELAY = 365 days;

    /// @dev What ERC-4337 calls SIG_VALIDATION_SUCCESS and SIG_VALIDATION_FAILED.
    uint256 private constant VALID = 0;
    uint256 private constant NOT_VALID = 1;

    /// @notice The contract that made the wallet.
    address public immutable factory;
    /// @notice The ERC-4337 entry point (v0.7 and v0.8 call alike) that may ask for operations.
    address public immutable entryPoint;

    uint256 private _keyX;
    uint8 private _keyParity;
    /// @notice The nonce that the next `execute` or `executeBatch` with a signature must have.
    uint64 public nonce;
    /// @notice Account that may recover the wallet; zero if none.
    address public recoverer;

    /// @notice x of the key that a recovery announced; zero if none is open.
    uint256 public recoveryX;
    /// @notice Parity of that key's y.
    uint8 public recoveryParity;
    /// @notice Seconds between a recovery's proposal and its completion.
    uint64 public recoveryDelay;
    /// @notice Unix seconds from which the open recovery may be completed.
    uint64 public recoveryReadyAt;

    /// @notice The wallet belongs to this key from now on.
    event KeyChanged(uint256 indexed px, uint8 parity);
    /// @notice The calls that the group signed under this nonce were made.
    event Executed(uint256 indexed nonce, bytes32 digest);
    /// @notice The group named who may recover the wallet; zero: nobody.
    event RecoverySet(address indexed recoverer, uint64 delay);
    /// @notice Unless the group cancels, the wallet can go to this key from `readyAt` on.
    event RecoveryProposed(uint256 indexed px, uint8 parity, uint64 readyAt);
    /// @notice The open recovery ended without effect.
    event RecoveryCancelled(uint256 indexed px);

    /// @notice The caller isn't the factory.
    error NotFactory(address caller);
    /// @notice The wallet has its key already.
    error AlreadyInitialized();
    /// @notice The caller isn't the entry point.
    error NotEntryPoint(address caller);
    /// @notice Only the wallet itself calls this, by an operation that the group signed.
    error NotSelf(address caller);
    /// @notice The caller may not recover the wallet.
    error NotRecoverer(address caller);
    /// @notice Not the x and parity of a key that `Frost` can check.
    error InvalidPublicKey(uint256 px, uint8 parity);
    /// @notice Not the group's signature of this operation.
    error InvalidSignature();
    /// @notice The operation has another nonce than the next one.
    error WrongNonce(uint256 given, uint256 expected);
    /// @notice The operation's deadline has passed.
    error Expired(uint64 deadline);
    /// @notice The delay lies outside of its bounds.
    error DelayOutOfBounds(uint64 delay, uint64 minimum, uint64 maximum);
    /// @notice No recovery is open.
    error NoRecovery();
    /// @notice The recovery waits until `readyAt`.
    error TooEarly(uint64 readyAt);

    modifier onlySelf() {
        if (msg.sender != address(this)) revert NotSelf(msg.sender);
        _;
    }

    modifier onlyEntryPoint() {
        if (msg.sender != entryPoint) revert NotEntryPoint(msg.sender);
        _;
    }

    modifier onlyRecoverer() {
        if (msg.sender != recoverer) revert NotRecoverer(msg.sender);
        _;
    }

    /// @param entryPoint_ The ERC-4337 entry point.
    constructor(address entryPoint_) EIP712("Jeju Frost Wallet", "1") {
        factory = msg.sender;
        entryPoint = entryPoint_;
    }

    /// @notice Gives a new wallet its key. The factory does so in the transaction that makes the wallet.
    /// @param px x of the group key, which the factory has checked.
    /// @param parity Parity of its y.
    function initialize(uint256 px, uint8 parity) external {
        if (msg.sender != factory) revert NotFactory(msg.sender);
        if (_keyX != 0) revert AlreadyInitialized();
        _setKey(px, parity);
    }

    // ------------------------------------------------------------------ reading

    /// @notice The group key: x and the parity of y.
    function key() external view returns (uint256 px, uint8 parity) {
        return (_keyX, _keyParity);
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        return _signed(messageDigest(hash), signature) ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    /// @notice What the group signs so that `isValidSignature` accepts `hash` at this wallet.
    /// @param hash What a contract or a service asks the wallet to sign.
    function messageDigest(bytes32 hash) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(MESSAGE_TYPEHASH, hash)));
    }

    /// @notice What the group signs for `execute`, whose parameters these are.
    function executeDigest(address to, uint256 value, bytes calldata data, uint256 nonce_, uint64 deadline)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(EXECUTE_TYPEHASH, to, value, keccak256(data), nonce_, deadline)));
    }

    /// @notice What the group signs for `executeBatch`, whose parameters these are.
    function batchDigest(Call[] calldata calls, uint256 nonce_, uint64 deadline) public view returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            hashes[i] = keccak256(abi.encode(CALL_TYPEHASH, calls[i].to, calls[i].value, keccak256(calls[i].data)));
        }
        return
            _hashTypedDataV4(
                keccak256(abi.encode(BATCH_TYPEHASH, keccak256(abi.encodePacked(hashes)), nonce_, deadline))
            );
    }

    /// @inheritdoc ERC1155Holder
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(IERC1271).interfaceId || interfaceId == type(IAccount).interfaceId
            || interfaceId == type(IERC721Receiver).interfaceId || super.supportsInterface(interfaceId);
    }

    // ------------------------------------------------------------------ acting

    /// @notice Makes a call that the group signed. Anyone may bring it; a call that fails undoes all, the nonce included,
    /// so it can be brought again until its deadline or until the nonce is used otherwise.
    /// @param to Account that is called.
    /// @param value Wei that go with it.
    /// @param data Calldata.
    /// @param nonce_ `nonce()` at that time.
    /// @param deadline Unix seconds after which the operation is void.
    /// @param signature The group's, of `executeDigest`.
    /// @return What the call returned.
    function execute(
        address to,
        uint256 value,
        bytes calldata data,
        uint256 nonce_,
        uint64 deadline,
        bytes calldata signature
    ) external returns (bytes memory) {
        _consume(executeDigest(to, value, data, nonce_, deadline), nonce_, deadline, signature);
        return _call(to, value, data);
    }

    /// @notice Makes several calls that the group signed, all or none.
    /// @param calls The calls, in order.
    /// @param nonce_ `nonce()` at that time.
    /// @param deadline Unix seconds after which the operation is void.
    /// @param signature The group's, of `batchDigest`.
    function executeBatch(Call[] calldata calls, uint256 nonce_, uint64 deadline, bytes calldata signature) external {
        _consume(batchDigest(calls, nonce_, deadline), nonce_, deadline, signature);
        _callAll(calls);
    }

    /// @notice Makes a call of an operation that the entry point had validated.
    /// @param to Account that is called.
    /// @param value Wei that go with it.
    /// @param data Calldata.
    /// @return What the call returned.
    function execute(address to, uint256 value, bytes calldata data) external onlyEntryPoint returns (bytes memory) {
        return _call(to, value, data);
    }

    /// @notice Makes several calls of an operation that the entry point had validated, all or none.
    /// @param calls The calls, in order.
    function executeBatch(Call[] calldata calls) external onlyEntryPoint {
        _callAll(calls);
    }

    /// @inheritdoc IAccount
    function validateUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        onlyEntryPoint
        returns (uint256)
    {
        bool signed = _signed(userOpHash, userOp.signature);
        if (missingAccountFunds != 0) {
            // Whether it was enough is the entry point's to judge.
            (bool paid,) = msg.sender.call{value: missingAccountFunds}("");
            paid;
        }
        return signed ? VALID : NOT_VALID;
    }

    // ------------------------------------------------------------------ recovery

    /// @notice Names who may recover the wallet, and ends a recovery that is open. The wallet itself may be named: that is how
    /// a group moves to another key, with the wait.
    /// @param recoverer_ Any account; zero for nobody.
    /// @param delay Seconds that a recovery waits, from `MIN_RECOVERY_DELAY` to `MAX_RECOVERY_DELAY`.
    function setRecovery(address recoverer_, uint64 delay) external onlySelf {
        if (delay < MIN_RECOVERY_DELAY || delay > MAX_RECOVERY_DELAY) {
            revert DelayOutOfBounds(delay, MIN_RECOVERY_DELAY, MAX_RECOVERY_DELAY);
        }
        if (recoveryX != 0) _endRecovery();
        recoverer = recoverer_;
        recoveryDelay = delay;
        emit RecoverySet(recoverer_, delay);
    }

    /// @notice Announces the key that shall own the wallet. Replaces a recovery that is open, and waits anew.
    /// @param px x of the key.
    /// @param parity 0 if its y is even, 1 if odd.
    function proposeRecovery(uint256 px, uint8 parity) external onlyRecoverer {
        if (!Frost.isValidPublicKey(px, parity)) revert InvalidPublicKey(px, parity);
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        uint64 readyAt = uint64(block.timestamp) + recoveryDelay;
        recoveryX = px;
        recoveryParity = parity;
        recoveryReadyAt = readyAt;
        emit RecoveryProposed(px, parity, readyAt);
    }

    /// @notice Hands the wallet to the announced key, once the wait is over and the group hasn't cancelled.
    function completeRecovery() external onlyRecoverer {
        uint256 px = recoveryX;
        if (px == 0) revert NoRecovery();
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < recoveryReadyAt) revert TooEarly(recoveryReadyAt);
        uint8 parity = recoveryParity;
        recoveryX = 0;
        recoveryParity = 0;
        recoveryReadyAt = 0;
        _setKey(px, parity);
    }

    /// @notice Ends the open recovery. A group that no longer trusts the recoverer calls `setRecovery`, which does so too.
    function cancelRecovery() external onlySelf {
        if (recoveryX == 0) revert NoRecovery();
        _endRecovery();
    }

    // ------------------------------------------------------------------ steps

    function _signed(bytes32 digest, bytes calldata signature) private view returns (bool) {
        return Frost.verify(digest, _keyX, _keyParity, signature);
    }

    function _consume(bytes32 digest, uint256 nonce_, uint64 deadline, bytes calldata signature) private {
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp > deadline) revert Expired(deadline);
        if (nonce_ != nonce) revert WrongNonce(nonce_, nonce);
        if (!_signed(digest, signature)) revert InvalidSignature();
        // Before the calls: one that comes back here finds the nonce used.
        nonce++;
        emit Executed(nonce_, digest);
    }

    function _callAll(Call[] calldata calls) private {
        for (uint256 i = 0; i < calls.length; i++) {
            _call(calls[i].to, calls[i].value, calls[i].data);
        }
    }

    function _call(address to, uint256 value, bytes calldata data) private returns (bytes memory result) {
        bool ok;
        (ok, result) = to.call{value: value}(data);
        if (!ok) LowLevelCall.bubbleRevert(result);
    }

    function _setKey(uint256 px, uint8 parity) private {
        _keyX = px;
        _keyParity = parity;
        emit KeyChanged(px, parity);
    }

    function _endRecovery() private {
        emit RecoveryCancelled(recoveryX);
        recoveryX = 0;
        recoveryParity = 0;
        recoveryReadyAt = 0;
    }
}
