// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PullPayments} from "./PullPayments.sol";

/// @title JobRecords
/// @notice Jobs, their escrow and their lists: the part of `JobRegistry` that submitters write and everybody reads.
abstract contract JobRecords is PullPayments {
    using SafeCast for uint256;

    /// @notice State of a job, as Jeju clients decode it.
    enum JobStatus {
        PENDING,
        CLAIMED,
        RUNNING,
        COMPLETED,
        FAILED,
        TIMEOUT,
        CANCELLED
    }

    /// @notice A job, as Jeju clients decode it.
    /// @param jobId Its id.
    /// @param submitter Who pays.
    /// @param archetype Kind of job.
    /// @param dataHash Digest of the request.
    /// @param submittedAt Unix seconds.
    /// @param claimedAt Unix seconds of the last claim.
    /// @param completedAt Unix seconds; zero if it isn't completed.
    /// @param worker Who claimed it last; zero while it is pending.
    /// @param workerAttestation What that worker said of itself.
    /// @param status Its state.
    /// @param reward In wei.
    /// @param timeout Seconds from claim to result.
    /// @param resultModelId Digest of the result.
    /// @param failureReason What the last worker that failed said.
    /// @param retryCount How often it was tried again.
    struct Job {
        bytes32 jobId;
        address submitter;
        string archetype;
        bytes32 dataHash;
        uint256 submittedAt;
        uint256 claimedAt;
        uint256 completedAt;
        address worker;
        bytes32 workerAttestation;
        JobStatus status;
        uint256 reward;
        uint256 timeout;
        bytes32 resultModelId;
        string failureReason;
        uint256 retryCount;
    }

    /// @notice A worker, as Jeju clients decode it.
    /// @param workerAddress Its account.
    /// @param attestationHash What it says of itself; proves nothing.
    /// @param registeredAt Unix seconds.
    /// @param completedJobs Jobs that it completed.
    /// @param failedJobs Jobs that it failed or let run out.
    /// @param active Whether it claims jobs.
    struct WorkerInfo {
        address workerAddress;
        bytes32 attestationHash;
        uint256 registeredAt;
        uint256 completedJobs;
        uint256 failedJobs;
        bool active;
    }

    struct Record {
        address submitter;
        JobStatus status;
        uint8 retries;
        // Whether a worker's word is enough.
        bool open;
        uint32 timeout;
        address worker;
        uint64 claimedAt;
        uint128 reward;
        uint128 bond;
        uint64 submittedAt;
        uint64 completedAt;
        // Place in `_pending` plus one.
        uint64 place;
        bytes32 dataHash;
        bytes32 attestation;
        bytes32 result;
        string archetype;
        string failureReason;
    }

    /// @notice Smallest reward.
    uint256 public constant MIN_JOB_REWARD = 0.01 ether;
    /// @notice Seconds from claim to result where the submitter doesn't say.
    uint256 public constant DEFAULT_TIMEOUT = 4 hours;
    /// @notice Shortest timeout, in seconds.
    uint256 public constant MIN_TIMEOUT = 1 minutes;
    /// @notice Longest timeout, in seconds.
    uint256 public constant MAX_TIMEOUT = 30 days;
    /// @notice Seconds within which a claimed job is started.
    uint64 public constant START_WINDOW = 15 minutes;
    /// @notice How often a job is tried again.
    uint8 public constant MAX_RETRIES = 3;
    /// @notice Bond of a claim, in ten-thousandths of the reward.
    uint256 public constant BOND_BPS = 1_000;
    /// @notice Longest archetype or reason, in bytes.
    uint256 public constant MAX_TEXT = 256;

    /// @notice Rewards of jobs that aren't final.
    uint256 public totalEscrow;
    /// @notice Bonds of claims that are open.
    uint256 public totalBonds;
    /// @notice How many workers claim jobs.
    uint256 public getActiveWorkerCount;

    mapping(bytes32 jobId => Record) internal _jobs;
    mapping(address worker => WorkerInfo) internal _workers;
    mapping(address submitter => bytes32[]) private _submitterJobs;
    mapping(address worker => bytes32[]) internal _workerJobs;
    bytes32[] private _pending;
    uint256 private _count;

    /// @notice A job is there, with its reward.
    event JobSubmitted(
        bytes32 indexed jobId, address indexed submitter, string archetype, bytes32 dataHash, uint256 reward
    );
    /// @notice The job's terms: seconds from claim to result, and whether a worker's word is enough.
    event JobTerms(bytes32 indexed jobId, uint256 timeout, bool open);
    /// @notice The submitter took the job back.
    event JobCancelled(bytes32 indexed jobId);
    /// @notice The submitter got the reward back.
    event JobRefunded(bytes32 indexed jobId, address indexed submitter, uint256 amount);

    /// @notice There is no such job.
    error JobNotFound();
    /// @notice The job isn't pending.
    error JobNotPending();
    /// @notice The caller didn't submit the job.
    error NotJobSubmitter();
    /// @notice The reward is too small.
    error InsufficientReward();
    /// @notice The digest is zero.
    error InvalidDataHash();
    /// @notice The text is empty or too long.
    error InvalidArchetype();
    /// @notice The timeout is out of bounds.
    error TimeoutOutOfBounds(uint256 timeout, uint256 least, uint256 most);

    // ------------------------------------------------------------------ what submitters call

    /// @notice Submits a job, with the value as reward. Its result is proven by an attested key.
    /// @param archetype Kind of job.
    /// @param dataHash Digest of the request, as the enclave's receipt will name it.
    /// @param timeout Seconds from claim to result; zero for `DEFAULT_TIMEOUT`.
    /// @return jobId Its id, never given twice.
    function submitJob(string calldata archetype, bytes32 dataHash, uint256 timeout)
        external
        payable
        returns (bytes32 jobId)
    {
        return _submit(archetype, dataHash, timeout, false);
    }

    /// @notice Submits a job for which the word of a worker with a stake is enough.
    /// @param archetype Kind of job.
    /// @param dataHash Digest of the request.
    /// @param timeout Seconds from claim to result; zero for `DEFAULT_TIMEOUT`.
    /// @return jobId Its id, never given twice.
    function submitOpenJob(string calldata archetype, bytes32 dataHash, uint256 timeout)
        external
        payable
        returns (bytes32 jobId)
    {
        return _submit(archetype, dataHash, timeout, true);
    }

    /// @notice Takes a pending job back; `withdraw` pays its reward.
    /// @param jobId Job of the caller.
    function cancelJob(bytes32 jobId) external {
        Record storage job = _existing(jobId);
        if (job.submitter != msg.sender) revert NotJobSubmitter();
        if (job.status != JobStatus.PENDING) revert JobNotPending();
        _removePending(job);
        job.status = JobStatus.CANCELLED;
        emit JobCancelled(jobId);
        _refund(jobId, job);
    }

    // ------------------------------------------------------------------ reading

    /// @notice A job; all zero if there is none.
    /// @param jobId Any id.
    function getJob(bytes32 jobId) external view returns (Job memory view_) {
        Record storage job = _jobs[jobId];
        if (job.submitter == address(0)) return view_;
        view_.jobId = jobId;
        view_.submitter = job.submitter;
        view_.archetype = job.archetype;
        view_.dataHash = job.dataHash;
        view_.submittedAt = job.submittedAt;
        view_.claimedAt = job.claimedAt;
        view_.completedAt = job.completedAt;
        view_.worker = job.worker;
        view_.workerAttestation = job.attestation;
        view_.status = job.status;
        view_.reward = job.reward;
        view_.timeout = job.timeout;
        view_.resultModelId = job.result;
        view_.failureReason = job.failureReason;
        view_.retryCount = job.retries;
    }

    /// @notice What a claim of the job costs and until when its next step is due.
    /// @param jobId Any id.
    /// @return bond In wei, of the open claim or of the next one.
    /// @return deadline Last unix second of the next step; zero if nobody claims the job.
    /// @return open Whether a worker's word is enough.
    function claimOf(bytes32 jobId) external view returns (uint256 bond, uint256 deadline, bool open) {
        Record storage job = _jobs[jobId];
        bool claimed = job.status == JobStatus.CLAIMED || job.status == JobStatus.RUNNING;
        return (job.reward * BOND_BPS / 10_000, claimed ? _deadline(job) : 0, job.open);
    }

    /// @notice How many jobs wait for a worker.
    function getPendingJobCount() external view returns (uint256) {
        return _pending.length;
    }

    /// @notice A job that waits for a worker; zero if none does.
    function getNextPendingJob() external view returns (bytes32) {
        return _pending.length == 0 ? bytes32(0) : _pending[0];
    }

    /// @notice Jobs that wait, at `cursor` to `cursor + limit` of their list. Their order isn't that of submission.
    /// @param cursor Where to start.
    /// @param limit How many at most.
    function getPendingJobs(uint256 cursor, uint256 limit) public view returns (bytes32[] memory page) {
        uint256 left = cursor < _pending.length ? _pending.length - cursor : 0;
        if (limit > left) limit = left;
        page = new bytes32[](limit);
        for (uint256 i = 0; i < limit; i++) {
            page[i] = _pending[cursor + i];
        }
    }

    /// @notice All jobs of a kind that wait. Unbounded, off chain only: see `getPendingJobsByArchetypePage`.
    /// @param archetype The kind.
    function getPendingJobsByArchetype(string calldata archetype) external view returns (bytes32[] memory) {
        return getPendingJobsByArchetypePage(archetype, 0, type(uint256).max);
    }

    /// @notice Jobs of a kind among those of `getPendingJobs`.
    /// @param archetype The kind.
    /// @param cursor Where to start.
    /// @param limit How many jobs to look at.
    function getPendingJobsByArchetypePage(string calldata archetype, uint256 cursor, uint256 limit)
        public
        view
        returns (bytes32[] memory page)
    {
        page = getPendingJobs(cursor, limit);
        bytes32 wanted = keccak256(bytes(archetype));
        uint256 found;
        for (uint256 i = 0; i < page.length; i++) {
            if (keccak256(bytes(_jobs[page[i]].archetype)) == wanted) page[found++] = page[i];
        }
        assembly ("memory-safe") {
            mstore(page, found)
        }
    }

    /// @notice A worker; all zero if it never registered.
    /// @param workerAddr Any account.
    function getWorker(address workerAddr) external view returns (WorkerInfo memory) {
        return _workers[workerAddr];
    }

    /// @notice Jobs that an account submitted. Unbounded, off chain only.
    /// @param submitter Any account.
    function getSubmitterJobs(address submitter) external view returns (bytes32[] memory) {
        return _submitterJobs[submitter];
    }

    /// @notice Jobs that an account claimed, each as often as it did. Unbounded, off chain only.
    /// @param worker Any account.
    function getWorkerJobs(address worker) external view returns (bytes32[] memory) {
        return _workerJobs[worker];
    }

    /// @notice How many jobs were ever submitted.
    function getJobCount() external view returns (uint256) {
        return _count;
    }

    // ------------------------------------------------------------------ inside

    function _submit(string calldata archetype, bytes32 dataHash, uint256 timeout, bool open)
        private
        returns (bytes32 jobId)
    {
        if (bytes(archetype).length == 0 || bytes(archetype).length > MAX_TEXT) revert InvalidArchetype();
        if (dataHash == bytes32(0)) revert InvalidDataHash();
        if (msg.value < MIN_JOB_REWARD) revert InsufficientReward();
        if (timeout == 0) timeout = DEFAULT_TIMEOUT;
        if (timeout < MIN_TIMEOUT || timeout > MAX_TIMEOUT) {
            revert TimeoutOutOfBounds(timeout, MIN_TIMEOUT, MAX_TIMEOUT);
        }

        jobId = keccak256(abi.encode(block.chainid, address(this), msg.sender, _count++));
        Record storage job = _jobs[jobId];
        job.submitter = msg.sender;
        job.open = open;
        job.timeout = timeout.toUint32();
        job.reward = msg.value.toUint128();
        job.submittedAt = _now();
        job.dataHash = dataHash;
        job.archetype = archetype;
        totalEscrow += msg.value;
        _submitterJobs[msg.sender].push(jobId);
        _addPending(jobId, job);
        emit JobSubmitted(jobId, msg.sender, archetype, dataHash, msg.value);
        emit JobTerms(jobId, timeout, open);
    }

    function _refund(bytes32 jobId, Record storage job) internal {
        uint256 reward = job.reward;
        totalEscrow -= reward;
        emit JobRefunded(jobId, job.submitter, reward);
        _credit(job.submitter, reward);
    }

    function _addPending(bytes32 jobId, Record storage job) internal {
        _pending.push(jobId);
        // forge-lint: disable-next-line(unsafe-typecast)
        job.place = uint64(_pending.length);
    }

    function _removePending(Record storage job) internal {
        uint256 place = job.place - 1;
        bytes32 last = _pending[_pending.length - 1];
        _pending[place] = last;
        _jobs[last].place = job.place;
        job.place = 0;
        _pending.pop();
    }

    function _existing(bytes32 jobId) internal view returns (Record storage job) {
        job = _jobs[jobId];
        if (job.submitter == address(0)) revert JobNotFound();
    }

    /// Last second of the claim's next step.
    function _deadline(Record storage job) internal view returns (uint256) {
        uint256 window = job.timeout;
        if (job.status == JobStatus.CLAIMED && window > START_WINDOW) window = START_WINDOW;
        return uint256(job.claimedAt) + window;
    }

    function _now() internal view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }
}
