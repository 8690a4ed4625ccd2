// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobRecords} from "../src/market/JobRecords.sol";
import {JobRegistry as Jobs} from "../src/market/JobRegistry.sol";
import {PrepaidBalance, Voucher} from "../src/market/PrepaidBalance.sol";
import {Receipt} from "../src/market/Receipts.sol";
import {TriggerRegistry as Triggers} from "../src/market/TriggerRegistry.sol";
import {WorkerCode} from "../src/market/WorkerCode.sol";
import {WorkerRegistry as Workers} from "../src/market/WorkerRegistry.sol";
import {WorkFixture} from "./WorkFixture.sol";

/// Submitters, workers, owners, executors and strangers at any time; keeps its own account of what must hold.
contract WorkActor is WorkFixture {
    Jobs public jobs;
    Triggers public triggers;
    Workers public workers;
    bytes32 public trigger;
    bytes32 public worker;
    uint256[2] public ownerKeys = [OWNER_KEY, USER_KEY];

    bytes32[] public ids;
    mapping(bytes32 => uint256) public rewardsPaid;
    mapping(bytes32 => uint256) public refunds;
    mapping(bytes32 => bool) public final_;
    bool public finalChanged;
    bool public blocked;

    uint256 public jobsIn;
    uint256 public jobsOut;
    mapping(address till => mapping(address owner => uint256)) public deposited;
    mapping(address till => mapping(address owner => uint256)) public returned;
    mapping(address till => mapping(address owner => uint256)) public spent;
    mapping(address till => mapping(address owner => uint256)) public signed;
    mapping(address till => uint256) public paid;
    uint256 private _number;

    constructor() {
        _deployMarket();
        jobs = new Jobs(computeRegistry, staking, SINK);
        triggers = new Triggers(identity);
        workers = new Workers(computeRegistry, staking);
        vm.startPrank(owner);
        trigger = triggers.registerTrigger(
            "t",
            "",
            Triggers.TriggerType.CRON,
            "",
            "",
            new string[](0),
            "e",
            "",
            60,
            Triggers.PaymentMode.PREPAID,
            1 ether
        );
        worker = workers.deployWorker("w", "c", new string[](0), "", WorkerCode.PaymentMode.PREPAID, 1 ether);
        workers.setProviderAccepted(worker, PROVIDER, true);
        vm.stopPrank();
        vm.prank(PROVIDER);
        workers.addEndpoint(worker, "e", 0, 1);
        address[3] memory claimers = [PROVIDER, enclave, STAKER];
        for (uint256 i = 0; i < 3; i++) {
            vm.prank(claimers[i]);
            jobs.registerWorker("w");
        }
        for (uint256 i = 0; i < 6; i++) {
            vm.deal(account(i), 1_000_000 ether);
        }
    }

    function account(uint256 i) public view returns (address) {
        address[6] memory all = [owner, user, PROVIDER, enclave, STAKER, STRANGER];
        return all[i % 6];
    }

    function idCount() external view returns (uint256) {
        return ids.length;
    }

    function wait(uint32 delay) external {
        vm.warp(block.timestamp + delay % 6 hours);
    }

    // ------------------------------------------------------------------ jobs

    function submit(uint8 who, uint96 amount, bool open) external {
        uint256 value = 0.01 ether + uint256(amount) % 5 ether;
        vm.prank(account(who));
        bytes32 id = open
            ? jobs.submitOpenJob{value: value}("a", "data", 1 hours)
            : jobs.submitJob{value: value}("a", "data", 1 hours);
        ids.push(id);
        jobsIn += value;
    }

    /// Any step with any job by anyone; half of the time by whom it may work.
    function step(uint8 action, uint256 which, uint8 who, bool fair) external {
        if (ids.length == 0) return;
        bytes32 id = ids[which % ids.length];
        JobRecords.Job memory job = jobs.getJob(id);
        address caller = account(who);
        if (fair && action % 6 == 0) caller = job.submitter;
        if (fair && action % 6 > 1 && job.worker != address(0)) caller = job.worker;
        _act(action % 6, id, caller);
    }

    /// Several steps as they should be, so that jobs get to their ends.
    function advance(uint256 which, uint8 who, uint8 ending) external {
        if (ids.length == 0) return;
        bytes32 id = ids[which % ids.length];
        if (jobs.getJob(id).status == JobRecords.JobStatus.PENDING) _act(1, id, account(2 + who % 3));
        address worker_ = jobs.getJob(id).worker;
        _act(2, id, worker_);
        if (ending % 3 != 0) _act(3 + ending % 3, id, worker_);
    }

    function _act(uint8 action, bytes32 id, address caller) private {
        JobRecords.Job memory job = jobs.getJob(id);
        (uint256 bond,,) = jobs.claimOf(id);
        Receipt memory receipt = _receipt(_number++, "data", "result");
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        uint256 owedBefore = jobs.owed(caller);
        uint256 refundBefore = jobs.owed(job.submitter);
        vm.prank(caller);
        if (action == 0) {
            try jobs.cancelJob(id) {} catch {}
        } else if (action == 1) {
            try jobs.claimJob{value: bond}(id, 0) {
                jobsIn += bond;
            } catch {}
        } else if (action == 2) {
            try jobs.startJob(id) {} catch {}
        } else if (action == 3) {
            try jobs.completeJob(id, "result") {} catch {}
        } else if (action == 4) {
            try jobs.completeJobWithReceipt(id, receipt, signature) {} catch {}
        } else {
            try jobs.failJob(id, "no") {} catch {}
        }
        _look(id, job, caller, owedBefore, refundBefore, bond);
    }

    function timeout(uint256 which) external {
        if (ids.length == 0) return;
        bytes32 id = ids[which % ids.length];
        JobRecords.Job memory job = jobs.getJob(id);
        uint256 before = jobs.owed(job.submitter);
        try jobs.timeoutJob(id) {} catch {}
        _look(id, job, address(0), 0, before, 0);
    }

    function _look(
        bytes32 id,
        JobRecords.Job memory job,
        address caller,
        uint256 owedBefore,
        uint256 refundBefore,
        uint256 bond
    ) private {
        JobRecords.JobStatus now_ = jobs.getJob(id).status;
        if (final_[id] && now_ != job.status) finalChanged = true;
        if (now_ == job.status) return;
        if (now_ == JobRecords.JobStatus.COMPLETED) rewardsPaid[id] += jobs.owed(caller) - owedBefore - bond;
        if (now_ > JobRecords.JobStatus.COMPLETED) refunds[id] += jobs.owed(job.submitter) - refundBefore;
        if (now_ >= JobRecords.JobStatus.COMPLETED) final_[id] = true;
    }

    function withdrawFromJobs(uint8 who) external {
        address payable to = payable(account(who));
        uint256 due = jobs.owed(to);
        vm.prank(to);
        try jobs.withdraw() returns (uint256 amount) {
            jobsOut += amount;
            if (amount != due) blocked = true;
        } catch {
            if (due != 0) blocked = true;
        }
    }

    function flush() external {
        try jobs.flushSink() returns (uint256 amount) {
            jobsOut += amount;
        } catch {}
    }

    // ------------------------------------------------------------------ prepaid

    function till(uint8 which) public view returns (PrepaidBalance) {
        return which % 2 == 0 ? PrepaidBalance(triggers) : PrepaidBalance(workers);
    }

    function deposit(uint8 which, uint8 who, uint96 amount) external {
        address from = vm.addr(ownerKeys[who % 2]);
        uint256 value = 1 + uint256(amount) % 10 ether;
        vm.prank(from);
        till(which).depositPrepaid{value: value}();
        deposited[address(till(which))][from] += value;
    }

    function toggle(uint8 which, uint8 who, bool open) external {
        vm.prank(vm.addr(ownerKeys[who % 2]));
        if (which % 2 == 0) {
            try triggers.setExecutorAuthorized(PROVIDER, open) {} catch {}
        } else if (open) {
            try workers.openCharges(PROVIDER) {} catch {}
        } else {
            try workers.closeCharges(PROVIDER) {} catch {}
        }
    }

    function announce(uint8 which, uint8 who, uint96 amount) external {
        vm.prank(vm.addr(ownerKeys[who % 2]));
        till(which).announceWithdrawal(amount);
    }

    function takeBack(uint8 which, uint8 who, uint256 amount) external {
        PrepaidBalance target = till(which);
        address from = vm.addr(ownerKeys[who % 2]);
        uint256 balance = target.prepaidBalances(from);
        if (balance == 0) return;
        amount = 1 + amount % balance;
        (uint256 announced, uint64 readyAt) = target.announcedWithdrawal(from);
        // forge-lint: disable-next-line(block-timestamp)
        bool due = !target.chargesOpen(from) || (amount <= announced && block.timestamp >= readyAt);
        vm.prank(from);
        try target.withdrawPrepaid(amount) {
            returned[address(target)][from] += amount;
            if (!due) blocked = true;
        } catch {
            if (due) blocked = true;
        }
    }

    /// By the payee or by anyone, with a good voucher.
    function charge(uint8 which, uint8 who, uint96 more, uint8 by) external {
        PrepaidBalance target = till(which);
        uint256 key = ownerKeys[who % 2];
        address from = vm.addr(key);
        (uint256 charged, uint64 sequence) = target.tabOf(from, PROVIDER);
        uint256 cumulative = charged + uint256(more) % 8 ether;
        bytes32 request = which % 2 == 0 ? trigger : _word("q");
        Voucher memory voucher = Voucher(from, PROVIDER, cumulative, sequence + 1, request, 0, type(uint64).max);
        if (cumulative > signed[address(target)][from]) signed[address(target)][from] = cumulative;
        uint256 before = target.prepaidBalances(from);
        _record(which, by < 64 ? account(by) : PROVIDER, voucher, _signVoucher(target, key, voucher));
        spent[address(target)][from] += before - target.prepaidBalances(from);
    }

    function _record(uint8 which, address by, Voucher memory voucher, bytes memory signature) private {
        Receipt memory receipt = _receipt(_number++, "q", "a");
        bytes memory receiptSignature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(by);
        if (which % 2 == 0) {
            try triggers.recordPrepaidExecution(trigger, true, "out", voucher, signature) {} catch {}
        } else {
            try workers.recordPrepaidInvocation(worker, true, 1, receipt, receiptSignature, voucher, signature) {}
                catch {}
        }
    }

    function withdrawFromTill(uint8 which, uint8 who) external {
        PrepaidBalance target = till(which);
        address to = account(who);
        uint256 due = target.owed(to);
        vm.prank(to);
        try target.withdraw() returns (uint256 amount) {
            paid[address(target)] += amount;
        } catch {
            if (due != 0) blocked = true;
        }
    }
}

contract WorkInvariant is WorkFixture {
    WorkActor actor;

    function setUp() public {
        actor = new WorkActor();
    }

    /// One that is none of the accounts whose balances are compared: forge may give a sender money.
    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xF0F0);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actor);
    }

    function invariant_jobsBalanceIsEscrowBondsAndOwed() public view {
        Jobs jobs = actor.jobs();
        require(address(jobs).balance == jobs.totalEscrow() + jobs.totalBonds() + jobs.totalOwed());
        require(address(jobs).balance == actor.jobsIn() - actor.jobsOut());
        uint256 owed = jobs.owed(SINK);
        for (uint256 i = 0; i < 6; i++) {
            owed += jobs.owed(actor.account(i));
        }
        require(owed == jobs.totalOwed());
    }

    /// The reward of a job goes to its worker or back to its submitter, once, when the job ends, and no job ends twice.
    function invariant_aJobPaysItsRewardOnce() public view {
        require(!actor.finalChanged());
        Jobs jobs = actor.jobs();
        uint256 escrow;
        uint256 pending;
        for (uint256 i = 0; i < actor.idCount(); i++) {
            bytes32 id = actor.ids(i);
            JobRecords.Job memory job = jobs.getJob(id);
            bool ended = job.status >= JobRecords.JobStatus.COMPLETED;
            require(actor.rewardsPaid(id) + actor.refunds(id) == (ended ? job.reward : 0));
            require(actor.rewardsPaid(id) == 0 || job.status == JobRecords.JobStatus.COMPLETED);
            require(job.retryCount <= 3);
            if (!ended) escrow += job.reward;
            if (job.status == JobRecords.JobStatus.PENDING) pending++;
        }
        require(escrow == jobs.totalEscrow() && pending == jobs.getPendingJobCount());
    }

    function invariant_pendingListIsThePendingJobs() public view {
        Jobs jobs = actor.jobs();
        bytes32[] memory list = jobs.getPendingJobs(0, type(uint256).max);
        for (uint256 i = 0; i < list.length; i++) {
            require(jobs.getJob(list[i]).status == JobRecords.JobStatus.PENDING);
            for (uint256 j = 0; j < i; j++) {
                require(list[i] != list[j]);
            }
        }
    }

    function invariant_prepaidBalanceIsPrepaidAndOwed() public view {
        for (uint8 which = 0; which < 2; which++) {
            PrepaidBalance till = actor.till(which);
            require(address(till).balance == till.totalPrepaid() + till.totalOwed());
            uint256 prepaid;
            uint256 spent;
            for (uint256 i = 0; i < 2; i++) {
                address from = actor.account(i);
                prepaid += till.prepaidBalances(from);
                spent += actor.spent(address(till), from);
            }
            require(prepaid == till.totalPrepaid());
            // All of each charge is the payee's.
            require(till.owed(PROVIDER) + actor.paid(address(till)) == spent && till.owed(PROVIDER) == till.totalOwed());
        }
    }

    /// An owner loses no more than it deposited and no more than it signed.
    function invariant_chargedIsDepositedAndSigned() public view {
        for (uint8 which = 0; which < 2; which++) {
            PrepaidBalance till = actor.till(which);
            for (uint256 i = 0; i < 2; i++) {
                address from = actor.account(i);
                uint256 spent = actor.spent(address(till), from);
                uint256 returned = actor.returned(address(till), from);
                require(spent + returned + till.prepaidBalances(from) == actor.deposited(address(till), from));
                require(spent <= actor.signed(address(till), from));
                (uint256 charged,) = till.tabOf(from, PROVIDER);
                require(charged == spent);
            }
        }
    }

    function invariant_nobodysWithdrawalIsBlocked() public view {
        require(!actor.blocked());
    }
}
