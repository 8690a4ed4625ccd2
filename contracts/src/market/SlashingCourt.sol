// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IAttestedKeys} from "../interfaces/ITrust.sol";
import {BondedStake} from "./BondedStake.sol";
import {ComputeRegistry} from "./ComputeRegistry.sol";
import {Disputes} from "./Disputes.sol";
import {Receipt, Receipts} from "./Receipts.sol";

/// @title SlashingCourt
/// @notice The challenger of `ComputeStaking` and `ComputeRegistry`: offences that receipts prove, and disputes (`Disputes`)
/// about all others.
/// @dev Two offences are proven by receipts alone, and cost the provider that answers for the key the largest part of its
/// stake that one offence can, in both stake contracts:
///
///  1. Two different receipts for one request id, signed by one attested key. Enclaves make request ids, use each once, and
///     store the receipt for retries: only a key outside an honest enclave signs two.
///  2. A receipt whose anchor block comes later than the key's death plus `GRACE`. The chain has no time for a past block's
///     number, so `noteDeath` writes down the number of a block that is certainly later than death plus grace: its own.
///     Timestamps grow with numbers, so whatever is anchored above it is late. A note that comes late is lenient, never
///     unjust; a key that came to life again since the note isn't late.
///
/// Each offence counts once for each key, however many receipts prove it: a key that leaks when an image turns out to have
/// a hole costs a bounded part of the stake, not all of it bit by bit. The provider is stopped and its keys of that time
/// can't be shown again (`ComputeRegistry`).
///
/// A reporter commits to its proof a block before it shows it, else whoever copies it from the mempool would earn the
/// reward. The reward is a bounded part of what was slashed: who reports itself loses nine tenths at least.
contract SlashingCourt is Disputes {
    /// @notice Which offence a proof shows.
    enum Offence {
        TwoReceipts,
        LateReceipt
    }

    struct Death {
        uint64 deadSince;
        uint64 notedBlock;
    }

    /// @notice Seconds after a key's death in which a receipt is no offence: longer than the longest epoch, which is a day,
    /// since an enclave learns of the death when the next epoch begins.
    uint64 public constant GRACE = 26 hours;

    /// @notice Registry of attested keys.
    IAttestedKeys public immutable attestedKeys;
    /// @notice Registry of who answers for which key.
    ComputeRegistry public immutable registry;

    /// @notice Block in which a commitment was made; zero: never.
    mapping(bytes32 commitment => uint256 blockNumber) public committedAt;
    /// @notice Whether an offence of a key was punished.
    mapping(address key => mapping(Offence => bool)) public punished;

    mapping(address key => Death) private _deaths;

    /// @notice Somebody commits to a proof.
    event ReportCommitted(bytes32 indexed commitment);
    /// @notice Receipts of the key that are anchored above `notedBlock` are late.
    event DeathNoted(address indexed key, uint64 deadSince, uint64 notedBlock);
    /// @notice An offence was proven: what the provider lost, and to whose report.
    event OffenceProven(
        address indexed provider, address indexed key, Offence indexed offence, uint256 slashed, address reporter
    );

    /// @notice The two receipts are for different requests.
    error RequestIdsDiffer(bytes32 a, bytes32 b);
    /// @notice It is one receipt.
    error SameReceipt(bytes32 structHash);
    /// @notice The receipts are signed by two keys.
    error SignersDiffer(address a, address b);
    /// @notice No provider answers for the key.
    error NoProvider(address key);
    /// @notice The offence was punished before.
    error AlreadyPunished(address key, Offence offence);
    /// @notice The key is alive.
    error KeyAlive(address key);
    /// @notice The grace runs until `until`.
    error InGrace(uint64 until);
    /// @notice This death is noted.
    error AlreadyNoted(address key, uint64 notedBlock);
    /// @notice Nobody noted this death.
    error DeathNotNoted(address key);
    /// @notice The receipt isn't anchored above the noted block.
    error NotLate(uint64 anchorBlock, uint64 notedBlock);
    /// @notice The anchor block doesn't exist yet, so the receipt says nothing of time.
    error AnchorInFuture(uint64 anchorBlock);

    /// @param owner_ Governance: a timelock.
    /// @param arbiter_ Who rules on disputes.
    /// @param staking_ `ComputeStaking`.
    /// @param registry_ `ComputeRegistry`.
    constructor(address owner_, address arbiter_, BondedStake staking_, ComputeRegistry registry_)
        Disputes(owner_, arbiter_, staking_, registry_)
    {
        registry = registry_;
        attestedKeys = registry_.attestedKeys();
    }

    // ------------------------------------------------------------------ reports

    /// @notice Commits to a proof that will be shown in a later block.
    /// @param commitment `commitmentOf` the reporter, the proof and a salt.
    function commitReport(bytes32 commitment) external {
        if (committedAt[commitment] == 0) committedAt[commitment] = block.number;
        emit ReportCommitted(commitment);
    }

    /// @notice Proves that a key signed two different receipts for one request id.
    /// @param a One receipt.
    /// @param signatureA Its signature.
    /// @param b The other.
    /// @param signatureB Its signature.
    /// @param salt Salt of the commitment; without one there is no reward.
    function proveTwoReceipts(
        Receipt calldata a,
        bytes calldata signatureA,
        Receipt calldata b,
        bytes calldata signatureB,
        bytes32 salt
    ) external {
        if (a.requestId != b.requestId) revert RequestIdsDiffer(a.requestId, b.requestId);
        bytes32 hashA = Receipts.hash(a);
        bytes32 hashB = Receipts.hash(b);
        if (hashA == hashB) revert SameReceipt(hashA);
        address key = _signer(hashA, signatureA);
        address other = _signer(hashB, signatureB);
        if (key != other) revert SignersDiffer(key, other);
        _punish(key, Offence.TwoReceipts, keccak256(abi.encode(hashA, hashB)), salt);
    }

    /// @notice Writes down that a key has been dead for longer than `GRACE`: receipts anchored above this block are late.
    /// Where the registry of keys doesn't know since when, it must be told of the death first (`recordDeath`).
    /// @param key The key.
    function noteDeath(address key) external {
        (, uint64 deadSince) = attestedKeys.agentOf(key);
        if (deadSince == 0) revert KeyAlive(key);
        if (_now() < deadSince + GRACE) revert InGrace(deadSince + GRACE);
        Death storage death = _deaths[key];
        // Noted, and not alive since: the earlier block stands.
        if (deadSince <= death.deadSince) revert AlreadyNoted(key, death.notedBlock);
        // forge-lint: disable-next-line(unsafe-typecast)
        _deaths[key] = Death(deadSince, uint64(block.number));
        // forge-lint: disable-next-line(unsafe-typecast)
        emit DeathNoted(key, deadSince, uint64(block.number));
    }

    /// @notice Proves that a key signed a receipt after its death was noted.
    /// @param receipt The receipt.
    /// @param signature Its signature.
    /// @param salt Salt of the commitment; without one there is no reward.
    function proveLateReceipt(Receipt calldata receipt, bytes calldata signature, bytes32 salt) external {
        bytes32 structHash = Receipts.hash(receipt);
        address key = _signer(structHash, signature);
        Death memory death = _deaths[key];
        if (death.notedBlock == 0) revert DeathNotNoted(key);
        (, uint64 deadSince) = attestedKeys.agentOf(key);
        if (deadSince == 0) revert KeyAlive(key);
        // It lived again and died again: that death is another one.
        if (deadSince > death.deadSince) revert DeathNotNoted(key);
        if (receipt.anchorBlock <= death.notedBlock) revert NotLate(receipt.anchorBlock, death.notedBlock);
        if (receipt.anchorBlock > block.number) revert AnchorInFuture(receipt.anchorBlock);
        _punish(key, Offence.LateReceipt, structHash, salt);
    }

    // ------------------------------------------------------------------ reading

    /// @notice What a reporter commits to.
    /// @param reporter Who will show the proof.
    /// @param proof Struct hash of the late receipt, or Keccak-256 of the struct hashes of both, in the order in which
    /// they will be shown.
    /// @param salt Random.
    function commitmentOf(address reporter, bytes32 proof, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(reporter, proof, salt));
    }

    /// @notice A key's noted death.
    /// @param key The key.
    /// @return deadSince Unix seconds from which it was dead; zero if none is noted.
    /// @return notedBlock Receipts anchored above this block are late.
    function deathOf(address key) external view returns (uint64 deadSince, uint64 notedBlock) {
        return (_deaths[key].deadSince, _deaths[key].notedBlock);
    }

    /// @notice What an enclave signs for a receipt, on this chain.
    /// @param receipt The receipt.
    function receiptDigest(Receipt calldata receipt) external view returns (bytes32) {
        return Receipts.digest(Receipts.hash(receipt), address(attestedKeys));
    }

    // ------------------------------------------------------------------ inside

    function _punish(address key, Offence offence, bytes32 proof, bytes32 salt) private {
        if (punished[key][offence]) revert AlreadyPunished(key, offence);
        address provider = registry.providerOfKey(key);
        if (provider == address(0)) revert NoProvider(key);
        punished[key][offence] = true;

        uint256 committed = committedAt[commitmentOf(msg.sender, proof, salt)];
        address reporter = committed != 0 && committed < block.number ? msg.sender : address(0);
        bytes32 name = keccak256(abi.encode(key, offence));
        uint256 slashed = _trySlash(staking, provider, type(uint256).max, name, reporter);
        slashed += _trySlash(registryStake, provider, type(uint256).max, name, reporter);
        if (slashed == 0) revert NothingAtRisk(provider);
        emit OffenceProven(provider, key, offence, slashed, reporter);
    }

    function _signer(bytes32 structHash, bytes calldata signature) private view returns (address) {
        return ECDSA.recoverCalldata(Receipts.digest(structHash, address(attestedKeys)), signature);
    }
}
