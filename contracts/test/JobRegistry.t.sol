// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IStaking} from "../src/interfaces/IStaking.sol";
import {ComputeRegistry} from "../src/market/ComputeRegistry.sol";
import {JobRecords} from "../src/market/JobRecords.sol";
import {JobRegistry as Jobs} from "../src/market/JobRegistry.sol";
import {PullPayments} from "../src/market/PullPayments.sol";
import {Receipt} from "../src/market/Receipts.sol";
import {SmartAccount, SigningKeys, WorkFixture} from "./WorkFixture.sol";

contract JobRegistryTest is WorkFixture {
    bytes32 constant DATA = "data";
    bytes32 constant RESULT = "result";

    Jobs jobs;

    function setUp() public {
        _deployMarket();
        jobs = new Jobs(computeRegistry, staking, SINK);
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public {
        require(address(jobs.computeRegistry()) == address(computeRegistry) && jobs.sink() == SINK);
        require(address(jobs.attestedKeys()) == address(keys) && address(jobs.staking()) == address(staking));
        require(keccak256(bytes(jobs.version())) == keccak256("2.0.0"));
        _expect(PullPayments.ZeroAccount.selector);
        new Jobs(ComputeRegistry(address(0)), staking, SINK);
        _expect(PullPayments.ZeroAccount.selector);
        new Jobs(computeRegistry, IStaking(address(0)), SINK);
        _expect(PullPayments.ZeroAccount.selector);
        new Jobs(computeRegistry, staking, address(0));
    }

    // ------------------------------------------------------------------ submitting

    function test_submit() public {
        bytes32 id = _submit(1 ether);
        JobRecords.Job memory job = jobs.getJob(id);
        require(job.jobId == id && job.submitter == user && job.dataHash == DATA && job.reward == 1 ether);
        require(job.status == JobRecords.JobStatus.PENDING && job.timeout == 4 hours && job.submittedAt == START);
        require(jobs.totalEscrow() == 1 ether && jobs.getJobCount() == 1 && jobs.getPendingJobCount() == 1);
        require(jobs.getNextPendingJob() == id && jobs.getSubmitterJobs(user)[0] == id);
        require(jobs.getPendingJobsByArchetype("a")[0] == id && jobs.getPendingJobsByArchetype("b").length == 0);
        (uint256 bond, uint256 deadline, bool open) = jobs.claimOf(id);
        require(bond == 0.1 ether && deadline == 0 && !open);
        require(jobs.getJob("none").submitter == address(0));
    }

    function test_submit_refusals() public {
        vm.startPrank(user);
        _expect(JobRecords.InvalidArchetype.selector);
        jobs.submitJob{value: 1 ether}("", DATA, 0);
        _expect(JobRecords.InvalidArchetype.selector);
        jobs.submitJob{value: 1 ether}(string(new bytes(257)), DATA, 0);
        _expect(JobRecords.InvalidDataHash.selector);
        jobs.submitJob{value: 1 ether}("a", 0, 0);
        _expect(JobRecords.InsufficientReward.selector);
        jobs.submitJob{value: 0.01 ether - 1}("a", DATA, 0);
        _expect(JobRecords.InvalidArchetype.selector);
        jobs.submitOpenJob{value: 1 ether}("", DATA, 0);
        _expect(JobRecords.InvalidDataHash.selector);
        jobs.submitOpenJob{value: 1 ether}("a", 0, 0);
        _expect(JobRecords.InsufficientReward.selector);
        jobs.submitOpenJob{value: 0.01 ether - 1}("a", DATA, 0);
        _expect(abi.encodeWithSelector(JobRecords.TimeoutOutOfBounds.selector, 59, 60, 30 days));
        jobs.submitJob{value: 1 ether}("a", DATA, 59);
        _expect(abi.encodeWithSelector(JobRecords.TimeoutOutOfBounds.selector, 30 days + 1, 60, 30 days));
        jobs.submitOpenJob{value: 1 ether}("a", DATA, 30 days + 1);
        vm.stopPrank();
    }

    function test_idsNeverCollide() public {
        require(_submit(1 ether) != _submit(1 ether));
    }

    function test_cancel() public {
        bytes32 first = _submit(1 ether);
        bytes32 second = _submit(2 ether);
        vm.prank(user);
        jobs.cancelJob(first);
        require(jobs.owed(user) == 1 ether && jobs.totalEscrow() == 2 ether);
        require(jobs.getNextPendingJob() == second && jobs.getJob(first).status == JobRecords.JobStatus.CANCELLED);
        uint256 before = user.balance;
        vm.prank(user);
        require(jobs.withdraw() == 1 ether);
        require(user.balance == before + 1 ether && address(jobs).balance == 2 ether);
    }

    function test_whatIsNotThere() public {
        Receipt memory receipt = _receipt(1, DATA, RESULT);
        _expect(JobRecords.JobNotFound.selector);
        jobs.startJob("none");
        _expect(JobRecords.JobNotFound.selector);
        jobs.completeJob("none", RESULT);
        _expect(JobRecords.JobNotFound.selector);
        jobs.completeJobWithReceipt("none", receipt, "");
        _expect(JobRecords.JobNotFound.selector);
        jobs.failJob("none", "no");
        _expect(abi.encodeWithSelector(PullPayments.NothingOwed.selector, SINK));
        jobs.flushSink();
    }

    /// Only whoever runs a job completes it, and before its deadline.
    function test_completeJob_refusals() public {
        bytes32 id = _running(1 ether);
        vm.prank(STRANGER);
        _expect(Jobs.NotJobWorker.selector);
        jobs.completeJob(id, RESULT);
        bytes32 claimed = _submit(1 ether);
        Receipt memory receipt = _receipt(1, DATA, RESULT);
        vm.startPrank(PROVIDER);
        jobs.claimJob{value: 0.1 ether}(claimed, "att");
        _expect(Jobs.JobNotRunning.selector);
        jobs.completeJobWithReceipt(claimed, receipt, "");
        vm.stopPrank();
        vm.warp(START + 4 hours + 1);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(Jobs.DeadlinePassed.selector, START + 4 hours));
        jobs.completeJob(id, RESULT);
    }

    function test_cancel_refusals() public {
        bytes32 id = _claimed(1 ether);
        _expect(JobRecords.JobNotFound.selector);
        jobs.cancelJob("none");
        vm.prank(STRANGER);
        _expect(JobRecords.NotJobSubmitter.selector);
        jobs.cancelJob(id);
        vm.prank(user);
        _expect(JobRecords.JobNotPending.selector);
        jobs.cancelJob(id);
    }

    // ------------------------------------------------------------------ workers

    function test_registerWorker() public {
        vm.prank(STRANGER);
        _expect(abi.encodeWithSelector(Jobs.NotEligible.selector, STRANGER));
        jobs.registerWorker("self-declared");
        _register(PROVIDER);
        require(jobs.getWorker(PROVIDER).active && jobs.getActiveWorkerCount() == 1);
        vm.startPrank(PROVIDER);
        _expect(Jobs.WorkerAlreadyActive.selector);
        jobs.registerWorker("w");
        jobs.deactivateWorker();
        require(!jobs.getWorker(PROVIDER).active && jobs.getActiveWorkerCount() == 0);
        _expect(Jobs.WorkerNotActive.selector);
        jobs.deactivateWorker();
        jobs.registerWorker("w");
        vm.stopPrank();
        _register(STAKER);
        _register(enclave);
        require(jobs.getActiveWorkerCount() == 3);
        vm.prank(STRANGER);
        _expect(Jobs.WorkerNotRegistered.selector);
        jobs.deactivateWorker();
    }

    function test_claim() public {
        bytes32 id = _claimed(1 ether);
        JobRecords.Job memory job = jobs.getJob(id);
        require(job.worker == PROVIDER && job.status == JobRecords.JobStatus.CLAIMED && job.workerAttestation == "att");
        require(jobs.totalBonds() == 0.1 ether && jobs.getPendingJobCount() == 0);
        require(jobs.getWorkerJobs(PROVIDER)[0] == id && jobs.getNextPendingJob() == 0);
        (, uint256 deadline,) = jobs.claimOf(id);
        require(deadline == START + 15 minutes);
    }

    function test_claim_refusals() public {
        bytes32 id = _submit(1 ether);
        vm.prank(PROVIDER);
        _expect(Jobs.WorkerNotRegistered.selector);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        _register(PROVIDER);
        _register(STAKER);
        vm.startPrank(PROVIDER);
        jobs.deactivateWorker();
        _expect(Jobs.WorkerNotActive.selector);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        jobs.registerWorker("w");
        _expect(JobRecords.JobNotFound.selector);
        jobs.claimJob{value: 0.1 ether}("none", 0);
        _expect(abi.encodeWithSelector(Jobs.WrongBond.selector, 0, 0.1 ether));
        jobs.claimJob(id, 0);
        _expect(abi.encodeWithSelector(Jobs.WrongBond.selector, 0.2 ether, 0.1 ether));
        jobs.claimJob{value: 0.2 ether}(id, 0);
        vm.stopPrank();
        vm.prank(STAKER);
        _expect(abi.encodeWithSelector(Jobs.AttestedKeyRequired.selector, STAKER));
        jobs.claimJob{value: 0.1 ether}(id, 0);
        vm.prank(PROVIDER);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        vm.prank(PROVIDER);
        _expect(JobRecords.JobNotPending.selector);
        jobs.claimJob{value: 0.1 ether}(id, 0);
    }

    function test_claim_needsWhatRegistrationNeeded() public {
        bytes32 id = _submit(1 ether);
        _register(enclave);
        keys.setDead(enclave, START);
        vm.prank(enclave);
        _expect(abi.encodeWithSelector(Jobs.NotEligible.selector, enclave));
        jobs.claimJob{value: 0.1 ether}(id, 0);
    }

    function test_start() public {
        bytes32 id = _claimed(1 ether);
        vm.prank(OTHER);
        _expect(Jobs.NotJobWorker.selector);
        jobs.startJob(id);
        vm.warp(START + 15 minutes + 1);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(Jobs.DeadlinePassed.selector, START + 15 minutes));
        jobs.startJob(id);
        vm.warp(START + 15 minutes);
        vm.startPrank(PROVIDER);
        jobs.startJob(id);
        _expect(Jobs.JobNotClaimed.selector);
        jobs.startJob(id);
        vm.stopPrank();
        (, uint256 deadline,) = jobs.claimOf(id);
        require(deadline == START + 4 hours && jobs.getJob(id).status == JobRecords.JobStatus.RUNNING);
    }

    // ------------------------------------------------------------------ completing

    function test_completeWithReceipt() public {
        bytes32 id = _running(1 ether);
        _complete(id, 1);
        JobRecords.Job memory job = jobs.getJob(id);
        require(job.status == JobRecords.JobStatus.COMPLETED && job.resultModelId == RESULT && job.completedAt == START);
        require(jobs.owed(PROVIDER) == 1.1 ether && jobs.totalEscrow() == 0 && jobs.totalBonds() == 0);
        require(jobs.getWorker(PROVIDER).completedJobs == 1);
        uint256 before = STRANGER.balance;
        vm.prank(PROVIDER);
        jobs.withdrawTo(STRANGER);
        require(STRANGER.balance == before + 1.1 ether && address(jobs).balance == 0);
    }

    function test_completeWithReceipt_refusals() public {
        bytes32 id = _running(1 ether);
        Receipt memory receipt = _receipt(1, DATA, RESULT);
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(STRANGER);
        _expect(Jobs.NotJobWorker.selector);
        jobs.completeJobWithReceipt(id, receipt, signature);

        vm.startPrank(PROVIDER);
        Receipt memory bad = _receipt(1, "other", RESULT);
        bytes memory badSignature = _signReceipt(ENCLAVE_KEY, bad);
        _expect(abi.encodeWithSelector(Jobs.ReceiptForOther.selector, _word("other"), RESULT));
        jobs.completeJobWithReceipt(id, bad, badSignature);
        bad = _receipt(1, DATA, RESULT);
        bad.agentId = otherAgent;
        badSignature = _signReceipt(ENCLAVE_KEY, bad);
        _expect(abi.encodeWithSelector(Jobs.ReceiptOfOtherAgent.selector, otherAgent, agent));
        jobs.completeJobWithReceipt(id, bad, badSignature);
        badSignature = _signReceipt(OTHER_ENCLAVE_KEY, bad);
        _expect(abi.encodeWithSelector(Jobs.KeyOfOtherWorker.selector, otherEnclave));
        jobs.completeJobWithReceipt(id, bad, badSignature);
        bad = _receipt(1, DATA, 0);
        badSignature = _signReceipt(ENCLAVE_KEY, bad);
        _expect(Jobs.InvalidResult.selector);
        jobs.completeJobWithReceipt(id, bad, badSignature);
        badSignature = _signReceipt(0xDEAD, receipt);
        _expect(abi.encodeWithSelector(SigningKeys.NotLive.selector, vm.addr(0xDEAD)));
        jobs.completeJobWithReceipt(id, receipt, badSignature);
        vm.warp(START + 4 hours + 1);
        _expect(abi.encodeWithSelector(Jobs.DeadlinePassed.selector, START + 4 hours));
        jobs.completeJobWithReceipt(id, receipt, signature);
        vm.stopPrank();
    }

    function test_oneReceiptCompletesOneJob() public {
        bytes32 first = _running(1 ether);
        _complete(first, 1);
        bytes32 second = _submit(1 ether);
        vm.startPrank(PROVIDER);
        jobs.claimJob{value: 0.1 ether}(second, 0);
        jobs.startJob(second);
        Receipt memory receipt = _receipt(1, DATA, "another result");
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        bytes32 used = keccak256(abi.encode(receipt.agentId, receipt.boot, receipt.requestId));
        _expect(abi.encodeWithSelector(Jobs.ReceiptUsed.selector, used));
        jobs.completeJobWithReceipt(second, receipt, signature);
        vm.stopPrank();
    }

    function test_completeByTheKeyItself() public {
        _register(enclave);
        bytes32 id = _submit(1 ether);
        vm.startPrank(enclave);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        _expect(Jobs.JobNotRunning.selector);
        jobs.completeJob(id, RESULT);
        jobs.startJob(id);
        _expect(Jobs.InvalidResult.selector);
        jobs.completeJob(id, 0);
        jobs.completeJob(id, RESULT);
        vm.stopPrank();
        require(jobs.owed(enclave) == 1.1 ether);
    }

    function test_completeOpenJobByStake() public {
        _register(STAKER);
        vm.prank(user);
        bytes32 id = jobs.submitOpenJob{value: 1 ether}("a", DATA, 1 hours);
        vm.startPrank(STAKER);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        jobs.startJob(id);
        jobs.completeJob(id, RESULT);
        vm.stopPrank();
        require(jobs.owed(STAKER) == 1.1 ether);
    }

    // ------------------------------------------------------------------ failing

    function test_fail_costsTheBondAndRetries() public {
        bytes32 id = _running(1 ether);
        vm.prank(STRANGER);
        _expect(Jobs.NotJobWorker.selector);
        jobs.failJob(id, "x");
        vm.startPrank(PROVIDER);
        _expect(abi.encodeWithSelector(Jobs.ReasonTooLong.selector, 257, 256));
        jobs.failJob(id, string(new bytes(257)));
        jobs.failJob(id, "out of memory");
        vm.stopPrank();
        JobRecords.Job memory job = jobs.getJob(id);
        require(job.status == JobRecords.JobStatus.PENDING && job.worker == address(0) && job.retryCount == 1);
        require(keccak256(bytes(job.failureReason)) == keccak256("out of memory"));
        require(jobs.owed(SINK) == 0.1 ether && jobs.totalBonds() == 0 && jobs.totalEscrow() == 1 ether);
        require(jobs.getWorker(PROVIDER).failedJobs == 1);
        require(jobs.flushSink() == 0.1 ether && SINK.balance == 0.1 ether);
    }

    function test_retriesAreBounded_thenTheSubmitterIsRefunded() public {
        bytes32 id = _submit(1 ether);
        _register(PROVIDER);
        for (uint256 i = 0; i < 4; i++) {
            vm.startPrank(PROVIDER);
            jobs.claimJob{value: 0.1 ether}(id, 0);
            jobs.failJob(id, "no");
            vm.stopPrank();
        }
        require(jobs.getJob(id).status == JobRecords.JobStatus.FAILED && jobs.getPendingJobCount() == 0);
        require(jobs.owed(user) == 1 ether && jobs.owed(SINK) == 0.4 ether && jobs.totalEscrow() == 0);
        vm.startPrank(PROVIDER);
        _expect(JobRecords.JobNotPending.selector);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        _expect(Jobs.JobNotRunning.selector);
        jobs.failJob(id, "no");
        vm.stopPrank();
    }

    function test_timeout_byAnyone() public {
        bytes32 id = _running(1 ether);
        vm.warp(START + 4 hours);
        _expect(Jobs.JobNotTimedOut.selector);
        jobs.timeoutJob(id);
        vm.warp(START + 4 hours + 1);
        vm.prank(STRANGER);
        jobs.timeoutJob(id);
        require(jobs.getJob(id).status == JobRecords.JobStatus.PENDING && jobs.owed(SINK) == 0.1 ether);
        _expect(Jobs.JobNotRunning.selector);
        jobs.timeoutJob(id);
        for (uint256 i = 0; i < 3; i++) {
            vm.prank(PROVIDER);
            jobs.claimJob{value: 0.1 ether}(id, 0);
            vm.warp(block.timestamp + 15 minutes + 1);
            jobs.timeoutJob(id);
        }
        require(jobs.getJob(id).status == JobRecords.JobStatus.TIMEOUT && jobs.owed(user) == 1 ether);
        _expect(JobRecords.JobNotFound.selector);
        jobs.timeoutJob("none");
    }

    /// A short job's start is due no later than its end.
    function test_startWindowOfShortJobs() public {
        _register(PROVIDER);
        vm.prank(user);
        bytes32 id = jobs.submitJob{value: 1 ether}("a", DATA, 60);
        vm.prank(PROVIDER);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        (, uint256 deadline,) = jobs.claimOf(id);
        require(deadline == START + 60);
    }

    // ------------------------------------------------------------------ the seed's bugs

    /// Measured there: complete, fail, retry, claim, complete paid a reward of 1 ETH four times.
    function test_seedBug_jobRewardPaidFourTimes() public {
        bytes32 other = _submit(10 ether);
        bytes32 id = _running(1 ether);
        _complete(id, 1);
        vm.startPrank(PROVIDER);
        _expect(Jobs.JobNotRunning.selector);
        jobs.failJob(id, "again");
        _expect(Jobs.JobNotRunning.selector);
        jobs.completeJob(id, RESULT);
        _expect(Jobs.JobNotClaimed.selector);
        jobs.startJob(id);
        _expect(JobRecords.JobNotPending.selector);
        jobs.claimJob{value: 0.1 ether}(id, 0);
        vm.stopPrank();
        vm.warp(START + 1 days);
        _expect(Jobs.JobNotRunning.selector);
        jobs.timeoutJob(id);
        vm.prank(user);
        _expect(JobRecords.JobNotPending.selector);
        jobs.cancelJob(id);
        require(jobs.owed(PROVIDER) == 1.1 ether && jobs.totalOwed() == 1.1 ether);
        require(jobs.totalEscrow() == 10 ether && jobs.getJob(other).status == JobRecords.JobStatus.PENDING);
    }

    /// There any 32 bytes made a "TEE worker".
    function test_seedBug_selfDeclaredHashIsNoAttestation() public {
        vm.prank(STRANGER);
        _expect(abi.encodeWithSelector(Jobs.NotEligible.selector, STRANGER));
        jobs.registerWorker(keccak256("I am a TEE"));
        bytes32 id = _running(1 ether);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(Jobs.AttestedKeyRequired.selector, PROVIDER));
        jobs.completeJob(id, RESULT);
    }

    /// There a claim cost nothing and a job that failed for good kept its reward.
    function test_seedBug_claimSquattingIsFreeAndFailureKeepsTheReward() public {
        bytes32 id = _claimed(1 ether);
        vm.warp(START + 15 minutes + 1);
        jobs.timeoutJob(id);
        require(jobs.owed(SINK) == 0.1 ether);
        vm.prank(user);
        jobs.cancelJob(id);
        require(jobs.owed(user) == 1 ether);
    }

    // ------------------------------------------------------------------ withdrawals

    function test_withdraw_refusals() public {
        vm.prank(STRANGER);
        _expect(abi.encodeWithSelector(PullPayments.NothingOwed.selector, STRANGER));
        jobs.withdraw();
        vm.prank(STRANGER);
        _expect(PullPayments.ZeroAccount.selector);
        jobs.withdrawTo(address(0));
    }

    function test_withdraw_whoRefusesMoneyHarmsItselfOnly() public {
        SmartAccount account = new SmartAccount();
        vm.deal(address(account), 10 ether);
        account.run(address(jobs), 1 ether, abi.encodeCall(jobs.submitJob, ("a", DATA, 0)));
        bytes32 id = jobs.getNextPendingJob();
        account.setRefuses(true);
        account.run(address(jobs), 0, abi.encodeCall(jobs.cancelJob, (id)));
        _expect(PullPayments.TransferFailed.selector);
        account.run(address(jobs), 0, abi.encodeCall(jobs.withdraw, ()));
        account.run(address(jobs), 0, abi.encodeCall(jobs.withdrawTo, (STRANGER)));
        require(address(jobs).balance == 0);
    }

    function test_withdraw_once() public {
        SmartAccount account = new SmartAccount();
        vm.deal(address(account), 10 ether);
        account.run(address(jobs), 1 ether, abi.encodeCall(jobs.submitJob, ("a", DATA, 0)));
        _submit(5 ether);
        account.run(address(jobs), 0, abi.encodeCall(jobs.cancelJob, (jobs.getSubmitterJobs(address(account))[0])));
        account.setCallback(address(jobs), abi.encodeCall(jobs.withdraw, ()));
        account.run(address(jobs), 0, abi.encodeCall(jobs.withdraw, ()));
        require(bytes4(account.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        require(address(jobs).balance == 5 ether);
    }

    function test_flushSink_onceAndNotToASinkThatRefuses() public {
        SmartAccount sink = new SmartAccount();
        jobs = new Jobs(computeRegistry, staking, address(sink));
        sink.setCallback(address(jobs), abi.encodeCall(jobs.flushSink, ()));
        bytes32 id = _claimed(1 ether);
        vm.prank(PROVIDER);
        jobs.failJob(id, "no");
        require(jobs.flushSink() == 0.1 ether && address(sink).balance == 0.1 ether);
        require(bytes4(sink.failure()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        sink.setRefuses(true);
        vm.startPrank(PROVIDER);
        jobs.claimJob{value: 0.1 ether}(id, "att");
        jobs.failJob(id, "no");
        vm.stopPrank();
        _expect(PullPayments.TransferFailed.selector);
        jobs.flushSink();
        require(jobs.owed(address(sink)) == 0.1 ether);
    }

    // ------------------------------------------------------------------ pages

    function test_pages() public {
        bytes32[] memory ids = new bytes32[](5);
        vm.startPrank(user);
        for (uint256 i = 0; i < 5; i++) {
            ids[i] = jobs.submitJob{value: 1 ether}(i % 2 == 0 ? "even" : "odd", DATA, 0);
        }
        vm.stopPrank();
        require(jobs.getPendingJobs(0, 2).length == 2 && jobs.getPendingJobs(4, 9).length == 1);
        require(jobs.getPendingJobs(9, 9).length == 0 && jobs.getPendingJobs(1, 1)[0] == ids[1]);
        require(jobs.getPendingJobsByArchetype("even").length == 3);
        require(jobs.getPendingJobsByArchetypePage("odd", 0, 2).length == 1);
        vm.startPrank(user);
        jobs.cancelJob(ids[0]);
        jobs.cancelJob(ids[4]);
        jobs.cancelJob(ids[2]);
        vm.stopPrank();
        require(jobs.getPendingJobCount() == 2 && jobs.getPendingJobsByArchetype("odd").length == 2);
    }

    // ------------------------------------------------------------------ inside

    function _submit(uint256 reward) private returns (bytes32) {
        vm.prank(user);
        return jobs.submitJob{value: reward}("a", DATA, 0);
    }

    function _register(address worker) private {
        vm.prank(worker);
        jobs.registerWorker("w");
    }

    function _claimed(uint256 reward) private returns (bytes32 id) {
        id = _submit(reward);
        _register(PROVIDER);
        vm.prank(PROVIDER);
        jobs.claimJob{value: reward / 10}(id, "att");
    }

    function _running(uint256 reward) private returns (bytes32 id) {
        id = _claimed(reward);
        vm.prank(PROVIDER);
        jobs.startJob(id);
    }

    function _complete(bytes32 id, uint256 number) private {
        Receipt memory receipt = _receipt(number, DATA, RESULT);
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(PROVIDER);
        jobs.completeJobWithReceipt(id, receipt, signature);
    }
}
