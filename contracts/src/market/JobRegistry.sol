// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../interfaces/IStaking.sol";
import {IAttestedKeys} from "../interfaces/ITrust.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ComputeRegistry} from "./ComputeRegistry.sol";
import {JobRecords} from "./JobRecords.sol";
import {Receipt, Receipts} from "./Receipts.sol";

/// @title JobRegistry
/// @notice Jobs with their reward in escrow, and the workers that do them.
/// @dev
///     PENDING --claim--> CLAIMED --start--> RUNNING --complete--> COMPLETED
///        |  ^               |                  |
///     cancel \__retry_______|__fail, timeout___|----> FAILED, TIMEOUT after `MAX_RETRIES`
///        v
///     CANCELLED
///
/// The four on the right and below are final, and exactly one of two things happens to the reward when a job gets there:
/// the worker earns it (COMPLETED), or the submitter gets it back (the others). Balance of the contract = totalEscrow +
/// totalBonds + totalOwed.
///
/// A claim costs a bond, which is back only by completing: claims that squat a job cost something each time. Lost bonds go
/// to the sink, so that nobody earns by a job that fails: neither a submitter by jobs that can't be done nor a rival.
///
/// A result is proven by an attested key: by a receipt for the job's data, or by the key completing the job itself. Only
/// where the submitter said so (`submitOpenJob`) is the word of a worker with a stake enough.
contract JobRegistry is JobRecords {
    using Receipts for Receipt;
    using SafeCast for uint256;

    /// @notice Where providers are registered.
    ComputeRegistry public immutable computeRegistry;
    /// @notice Where providers may have stake instead.
    IStaking public immutable staking;
    /// @notice Where attested keys are registered.
    IAttestedKeys public immutable attestedKeys;
    /// @notice Where lost bonds go, for good.
    address public immutable sink;

    mapping(bytes32 receipt => bool) private _used;

    /// @notice A worker will do the job.
    event JobClaimed(bytes32 indexed jobId, address indexed worker, bytes32 attestation);
    /// @notice A worker does the job.
    event JobStarted(bytes32 indexed jobId, address indexed worker);
    /// @notice The job is done and the worker earned the reward.
    event JobCompleted(bytes32 indexed jobId, address indexed worker, bytes32 resultModelId);
    /// @notice The worker gave up.
    event JobFailed(bytes32 indexed jobId, address indexed worker, string reason);
    /// @notice The worker let the job run out.
    event JobTimeout(bytes32 indexed jobId);
    /// @notice The job is pending again.
    event JobRetried(bytes32 indexed jobId, uint256 retryCount);
    /// @notice A claim's bond went to the sink.
    event BondForfeited(bytes32 indexed jobId, address indexed worker, uint256 amount);
    /// @notice A worker registered, or comes back.
    event WorkerRegistered(address indexed worker, bytes32 attestation);
    /// @notice A worker claims no more jobs.
    event WorkerDeactivated(address indexed worker);
    /// @notice A worker or submitter took what it was owed.
    event RewardWithdrawn(address indexed worker, uint256 amount);

    /// @notice The job isn't claimed, or started already.
    error JobNotClaimed();
    /// @notice The job isn't running.
    error JobNotRunning();
    /// @notice The caller didn't claim the job.
    error NotJobWorker();
    /// @notice The caller isn't registered.
    error WorkerNotRegistered();
    /// @notice The caller claims no jobs.
    error WorkerNotActive();
    /// @notice The caller is registered and active.
    error WorkerAlreadyActive();
    /// @notice The caller has neither a live attested key nor a provider's stake.
    error NotEligible(address account);
    /// @notice The job's result needs an attested key, and the caller answers for none that lives.
    error AttestedKeyRequired(address account);
    /// @notice The value isn't the bond.
    error WrongBond(uint256 value, uint256 bond);
    /// @notice The digest is zero.
    error InvalidResult();
    /// @notice The reason is too long.
    error ReasonTooLong(uint256 length, uint256 maximum);
    /// @notice The job's deadline is yet to come.
    error JobNotTimedOut();
    /// @notice The job's deadline has passed.
    error DeadlinePassed(uint256 deadline);
    /// @notice The receipt is for other data or another result.
    error ReceiptForOther(bytes32 requestDigest, bytes32 responseDigest);
    /// @notice The receipt names another agent than its key is registered for.
    error ReceiptOfOtherAgent(uint256 named, uint256 registered);
    /// @notice The worker doesn't answer for the key that signed the receipt.
    error KeyOfOtherWorker(address key);
    /// @notice The receipt completed another job.
    error ReceiptUsed(bytes32 receipt);

    /// @param registry `ComputeRegistry`.
    /// @param staking_ `ComputeStaking`.
    /// @param sink_ Where lost bonds go.
    constructor(ComputeRegistry registry, IStaking staking_, address sink_) {
        if (address(registry) == address(0) || address(staking_) == address(0) || sink_ == address(0)) {
            revert ZeroAccount();
        }
        computeRegistry = registry;
        staking = staking_;
        attestedKeys = registry.attestedKeys();
        sink = sink_;
    }

    // ------------------------------------------------------------------ what workers call

    /// @notice Registers the caller, which has a live attested key or a provider's stake.
    /// @param attestationHash Free for the worker's use.
    function registerWorker(bytes32 attestationHash) external {
        WorkerInfo storage worker = _workers[msg.sender];
        if (worker.active) revert WorkerAlreadyActive();
        if (!isEligible(msg.sender)) revert NotEligible(msg.sender);
        worker.workerAddress = msg.sender;
        worker.attestationHash = attestationHash;
        if (worker.registeredAt == 0) worker.registeredAt = _now();
        worker.active = true;
        getActiveWorkerCount++;
        emit WorkerRegistered(msg.sender, attestationHash);
    }

    /// @notice Ends the caller's claiming. What it claimed stays its own to do.
    function deactivateWorker() external {
        _requireActiveWorker();
        _workers[msg.sender].active = false;
        getActiveWorkerCount--;
        emit WorkerDeactivated(msg.sender);
    }

    /// @notice Claims a job, with the bond as value. It is to be started within `START_WINDOW`.
    /// @param jobId A pending job.
    /// @param attestation Free for the worker's use.
    function claimJob(bytes32 jobId, bytes32 attestation) external payable {
        _requireActiveWorker();
        if (!isEligible(msg.sender)) revert NotEligible(msg.sender);
        Record storage job = _existing(jobId);
        if (job.status != JobStatus.PENDING) revert JobNotPending();
        if (!job.open && !hasAttestedKey(msg.sender)) revert AttestedKeyRequired(msg.sender);
        uint256 bond = job.reward * BOND_BPS / 10_000;
        if (msg.value != bond) revert WrongBond(msg.value, bond);

        _removePending(job);
        job.status = JobStatus.CLAIMED;
        job.worker = msg.sender;
        job.attestation = attestation;
        job.claimedAt = _now();
        job.bond = bond.toUint128();
        totalBonds += bond;
        _workerJobs[msg.sender].push(jobId);
        emit JobClaimed(jobId, msg.sender, attestation);
    }

    /// @notice Starts a claimed job, before its deadline.
    /// @param jobId Job that the caller claimed.
    function startJob(bytes32 jobId) external {
        Record storage job = _ofCaller(jobId);
        if (job.status != JobStatus.CLAIMED) revert JobNotClaimed();
        _requireInTime(job);
        job.status = JobStatus.RUNNING;
        emit JobStarted(jobId, msg.sender);
    }

    /// @notice Completes a running job, before its deadline. The caller is a live attested key, or the job is an open one.
    /// @param jobId Job that the caller runs.
    /// @param resultModelId Digest of the result.
    function completeJob(bytes32 jobId, bytes32 resultModelId) external {
        Record storage job = _running(jobId);
        if (!job.open && !attestedKeys.isLive(msg.sender)) revert AttestedKeyRequired(msg.sender);
        _complete(jobId, job, resultModelId);
    }

    /// @notice Completes a running job, before its deadline, by the receipt of an enclave.
    /// @param jobId Job that the caller runs.
    /// @param receipt Its request digest is the job's data, its response digest the result.
    /// @param signature By a live key that is the caller or that the caller answers for.
    function completeJobWithReceipt(bytes32 jobId, Receipt calldata receipt, bytes calldata signature) external {
        Record storage job = _running(jobId);
        if (receipt.requestDigest != job.dataHash) {
            revert ReceiptForOther(receipt.requestDigest, receipt.responseDigest);
        }
        bytes32 digest = Receipts.digest(receipt.hash(), address(attestedKeys));
        (address key, uint256 agentId) = attestedKeys.checkSignature(digest, signature);
        if (agentId != receipt.agentId) revert ReceiptOfOtherAgent(receipt.agentId, agentId);
        if (key != msg.sender && computeRegistry.providerOfKey(key) != msg.sender) revert KeyOfOtherWorker(key);
        // An enclave uses a request id once: two receipts for one are one response.
        bytes32 id = keccak256(abi.encode(receipt.agentId, receipt.boot, receipt.requestId));
        if (_used[id]) revert ReceiptUsed(id);
        _used[id] = true;
        _complete(jobId, job, receipt.responseDigest);
    }

    /// @notice Gives a claimed or running job up. It costs the bond.
    /// @param jobId Job of the caller.
    /// @param reason What went wrong.
    function failJob(bytes32 jobId, string calldata reason) external {
        Record storage job = _ofCaller(jobId);
        if (job.status != JobStatus.CLAIMED && job.status != JobStatus.RUNNING) revert JobNotRunning();
        if (bytes(reason).length > MAX_TEXT) revert ReasonTooLong(bytes(reason).length, MAX_TEXT);
        job.failureReason = reason;
        emit JobFailed(jobId, msg.sender, reason);
        _endClaim(jobId, job, JobStatus.FAILED);
    }

    /// @notice Ends a claim whose deadline has passed. Anyone may call.
    /// @param jobId A claimed or running job.
    function timeoutJob(bytes32 jobId) external {
        Record storage job = _existing(jobId);
        if (job.status != JobStatus.CLAIMED && job.status != JobStatus.RUNNING) revert JobNotRunning();
        if (_now() <= _deadline(job)) revert JobNotTimedOut();
        emit JobTimeout(jobId);
        _endClaim(jobId, job, JobStatus.TIMEOUT);
    }

    /// @notice Pays lost bonds out to the sink. Anyone may call.
    /// @return amount What was paid.
    function flushSink() external returns (uint256 amount) {
        return _withdraw(sink, sink);
    }

    // ------------------------------------------------------------------ reading

    /// @notice Whether the account may register and claim: it is or shows a live attested key, or has a provider's stake.
    /// @param account Any account.
    function isEligible(address account) public view returns (bool) {
        return hasAttestedKey(account) || computeRegistry.isActive(account) || staking.isProvider(account);
    }

    /// @notice Whether the account is a live attested key, or a provider that shows one.
    /// @param account Any account.
    function hasAttestedKey(address account) public view returns (bool) {
        if (attestedKeys.isLive(account)) return true;
        (, bool live) = computeRegistry.attestedKeyOf(account);
        return live;
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _complete(bytes32 jobId, Record storage job, bytes32 result) private {
        if (result == bytes32(0)) revert InvalidResult();
        job.status = JobStatus.COMPLETED;
        job.completedAt = _now();
        job.result = result;
        _workers[msg.sender].completedJobs++;
        uint256 bond = job.bond;
        uint256 reward = job.reward;
        job.bond = 0;
        totalBonds -= bond;
        totalEscrow -= reward;
        emit JobCompleted(jobId, msg.sender, result);
        _credit(msg.sender, reward + bond);
    }

    /// The claim's bond is lost, and the job is tried again or ends.
    function _endClaim(bytes32 jobId, Record storage job, JobStatus ending) private {
        address worker = job.worker;
        uint256 bond = job.bond;
        job.bond = 0;
        totalBonds -= bond;
        _workers[worker].failedJobs++;
        emit BondForfeited(jobId, worker, bond);
        _credit(sink, bond);
        if (job.retries < MAX_RETRIES) {
            job.status = JobStatus.PENDING;
            job.worker = address(0);
            job.attestation = bytes32(0);
            job.retries++;
            _addPending(jobId, job);
            emit JobRetried(jobId, job.retries);
        } else {
            job.status = ending;
            _refund(jobId, job);
        }
    }

    function _withdraw(address account, address to) internal override returns (uint256) {
        emit RewardWithdrawn(account, owed[account]);
        return super._withdraw(account, to);
    }

    function _ofCaller(bytes32 jobId) private view returns (Record storage job) {
        job = _existing(jobId);
        if (job.worker != msg.sender) revert NotJobWorker();
    }

    function _running(bytes32 jobId) private view returns (Record storage job) {
        job = _ofCaller(jobId);
        if (job.status != JobStatus.RUNNING) revert JobNotRunning();
        _requireInTime(job);
    }

    function _requireInTime(Record storage job) private view {
        uint256 deadline = _deadline(job);
        if (_now() > deadline) revert DeadlinePassed(deadline);
    }

    function _requireActiveWorker() private view {
        WorkerInfo storage worker = _workers[msg.sender];
        if (worker.registeredAt == 0) revert WorkerNotRegistered();
        if (!worker.active) revert WorkerNotActive();
    }
}
