// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../src/interfaces/IStaking.sol";
import {ComputeRegistry} from "../src/market/ComputeRegistry.sol";
import {PrepaidBalance, Voucher} from "../src/market/PrepaidBalance.sol";
import {PullPayments} from "../src/market/PullPayments.sol";
import {Receipt} from "../src/market/Receipts.sol";
import {WorkerCode as Code} from "../src/market/WorkerCode.sol";
import {WorkerRegistry as Workers} from "../src/market/WorkerRegistry.sol";
import {SigningKeys, WorkFixture} from "./WorkFixture.sol";

contract WorkerRegistryTest is WorkFixture {
    bytes32 constant CODE = "code";
    uint256 constant PRICE = 0.1 ether;

    Workers workers;
    bytes32 id;

    function setUp() public {
        _deployMarket();
        workers = new Workers(computeRegistry, staking);
        id = _deploy("one", "/one");
    }

    // ------------------------------------------------------------------ construction

    function test_constructor() public {
        require(address(workers.computeRegistry()) == address(computeRegistry));
        require(address(workers.attestedKeys()) == address(keys) && address(workers.staking()) == address(staking));
        require(keccak256(bytes(workers.version())) == keccak256("2.0.0"));
        (, string memory name, string memory version,, address target,,) = workers.eip712Domain();
        require(keccak256(bytes(name)) == keccak256("Jeju WorkerRegistry") && target == address(workers));
        require(keccak256(bytes(version)) == keccak256("1"));
        _expect(PullPayments.ZeroAccount.selector);
        new Workers(ComputeRegistry(address(0)), staking);
        _expect(PullPayments.ZeroAccount.selector);
        new Workers(computeRegistry, IStaking(address(0)));
    }

    // ------------------------------------------------------------------ deploying

    /// The tuple that Jeju's clients decode.
    function test_getWorker_tuple() public view {
        (
            address workerOwner,
            string memory name,
            bytes32 codeHash,
            Code.WorkerStatus status,
            uint32 current,
            uint64 total,
            uint256 price
        ) = workers.getWorker(id);
        require(workerOwner == owner && keccak256(bytes(name)) == keccak256("one") && codeHash == CODE);
        require(status == Code.WorkerStatus.ACTIVE && current == 1 && total == 0 && price == PRICE);
        (workerOwner,, codeHash,, current,,) = workers.getWorker("none");
        require(workerOwner == address(0) && codeHash == 0 && current == 0);
    }

    function test_deploy() public view {
        Code.Worker memory worker = workers.workerRecord(id);
        require(worker.owner == owner && worker.createdAt == START && worker.routes.length == 1);
        require(worker.paymentMode == Code.PaymentMode.PREPAID);
        require(keccak256(bytes(worker.cronSchedule)) == keccak256("* * * * *"));
        require(workers.getOwnerWorkers(owner)[0] == id && workers.getActiveWorkers()[0] == id);
        require(workers.getWorkerCount() == 1 && workers.getOwnerWorkerByRoute(owner, "/one") == id);
        require(keccak256(bytes(workers.getWorkerRoutes(id)[0])) == keccak256("/one"));
    }

    function test_deploy_refusals() public {
        string[] memory none = new string[](0);
        vm.startPrank(owner);
        _expect(Code.InvalidName.selector);
        workers.deployWorker("", CODE, none, "", Code.PaymentMode.FREE, 0);
        _expect(Code.InvalidName.selector);
        workers.deployWorker(string(new bytes(257)), CODE, none, "", Code.PaymentMode.FREE, 0);
        _expect(Code.InvalidCodeHash.selector);
        workers.deployWorker("n", 0, none, "", Code.PaymentMode.FREE, 0);
        _expect(Code.InvalidPrice.selector);
        workers.deployWorker("n", CODE, none, "", Code.PaymentMode.FREE, 1);
        _expect(Code.InvalidPrice.selector);
        workers.deployWorker("n", CODE, none, "", Code.PaymentMode.PREPAID, 0);
        _expect(abi.encodeWithSelector(Code.TextTooLong.selector, 257, 256));
        workers.deployWorker("n", CODE, none, string(new bytes(257)), Code.PaymentMode.FREE, 0);
        string[] memory many = new string[](33);
        _expect(abi.encodeWithSelector(Code.TooManyRoutes.selector, 32));
        workers.deployWorker("n", CODE, many, "", Code.PaymentMode.FREE, 0);
        string[] memory two = new string[](2);
        _expect(Code.InvalidRoute.selector);
        workers.deployWorker("n", CODE, two, "", Code.PaymentMode.FREE, 0);
        two[0] = string(new bytes(257));
        _expect(Code.InvalidRoute.selector);
        workers.deployWorker("n", CODE, two, "", Code.PaymentMode.FREE, 0);
        two[0] = "/two";
        two[1] = "/two";
        _expect(Code.RouteAlreadyRegistered.selector);
        workers.deployWorker("n", CODE, two, "", Code.PaymentMode.FREE, 0);
        vm.stopPrank();
    }

    function test_idsNeverCollide() public {
        string[] memory none = new string[](0);
        vm.startPrank(owner);
        bytes32 first = workers.deployWorker("same", CODE, none, "", Code.PaymentMode.FREE, 0);
        require(first != workers.deployWorker("same", CODE, none, "", Code.PaymentMode.FREE, 0));
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ code

    function test_update() public {
        vm.expectEmit(true, true, true, true, address(workers));
        emit Code.WorkerUpdated(id, 2, "code 2");
        vm.startPrank(owner);
        workers.updateWorker(id, "code 2");
        _expect(Code.InvalidCodeHash.selector);
        workers.updateWorker(id, 0);
        vm.stopPrank();
        Code.WorkerVersion[] memory versions = workers.getWorkerVersions(id);
        require(versions.length == 2 && !versions[0].active && versions[1].active && versions[1].version == 2);
        require(versions[0].codeHash == CODE && versions[1].codeHash == "code 2");
        require(versions[1].deployedAt == START && versions[1].deployedBy == owner);
    }

    function test_rollback_refusals() public {
        vm.startPrank(owner);
        _expect(Code.InvalidVersion.selector);
        workers.rollbackWorker(id, 0);
        _expect(Code.InvalidVersion.selector);
        workers.rollbackWorker(id, 1);
        _expect(Code.InvalidVersion.selector);
        workers.rollbackWorker(id, 2);
        vm.stopPrank();
    }

    function test_codeURI() public {
        vm.startPrank(owner);
        workers.setCodeURI(id, 1, "ipfs://x");
        require(keccak256(bytes(workers.codeURI(id, 1))) == keccak256("ipfs://x"));
        _expect(Code.InvalidVersion.selector);
        workers.setCodeURI(id, 0, "x");
        _expect(Code.InvalidVersion.selector);
        workers.setCodeURI(id, 2, "x");
        _expect(abi.encodeWithSelector(Code.TextTooLong.selector, 257, 256));
        workers.setCodeURI(id, 1, string(new bytes(257)));
        vm.stopPrank();
        _expect(Code.InvalidVersion.selector);
        workers.codeURI(id, 0);
        _expect(Code.InvalidVersion.selector);
        workers.codeURI(id, 2);
    }

    function test_setters() public {
        string[] memory routes = new string[](2);
        routes[0] = "/one";
        routes[1] = "/uno";
        vm.startPrank(owner);
        workers.setWorkerRoutes(id, routes);
        workers.setWorkerCron(id, "0 * * * *");
        workers.setWorkerPricing(id, Code.PaymentMode.FREE, 0);
        require(workers.getWorkerByRoute("/uno") == id && workers.getWorkerByRoute("/one") == id);
        workers.setWorkerRoutes(id, new string[](0));
        require(workers.getWorkerByRoute("/uno") == 0);
        _expect(Code.InvalidPrice.selector);
        workers.setWorkerPricing(id, Code.PaymentMode.X402, 0);
        vm.stopPrank();
        Code.Worker memory worker = workers.workerRecord(id);
        require(keccak256(bytes(worker.cronSchedule)) == keccak256("0 * * * *"));
        require(worker.paymentMode == Code.PaymentMode.FREE && worker.pricePerInvocation == 0);
    }

    /// What a worker can't be deployed with, it can't be given later.
    function test_setters_refusals() public {
        _deploy("two", "/two");
        vm.startPrank(owner);
        _expect(abi.encodeWithSelector(Code.TextTooLong.selector, 257, 256));
        workers.setWorkerCron(id, string(new bytes(257)));
        _expect(abi.encodeWithSelector(Code.TooManyRoutes.selector, 32));
        workers.setWorkerRoutes(id, new string[](33));
        string[] memory routes = new string[](1);
        _expect(Code.InvalidRoute.selector);
        workers.setWorkerRoutes(id, routes);
        routes[0] = "/two";
        _expect(Code.RouteAlreadyRegistered.selector);
        workers.setWorkerRoutes(id, routes);
        vm.stopPrank();
        require(workers.getOwnerWorkerByRoute(owner, "/one") == id);
    }

    /// Everything that an owner calls, by a stranger, for no worker, and for a terminated one.
    function test_owner_refusals() public {
        bytes[] memory calls = _ownerCalls(id);
        vm.prank(owner);
        workers.setProviderAccepted(id, PROVIDER, true);
        for (uint256 i = 0; i < calls.length; i++) {
            _refused(STRANGER, calls[i], Code.NotWorkerOwner.selector);
        }
        vm.prank(owner);
        workers.terminateWorker(id);
        for (uint256 i = 0; i < calls.length; i++) {
            _refused(owner, calls[i], Code.WorkerIsTerminated.selector);
        }
        _refused(
            owner, abi.encodeCall(workers.setProviderAccepted, (id, OTHER, true)), Code.WorkerIsTerminated.selector
        );
        // Taking away is always possible.
        vm.prank(owner);
        workers.setProviderAccepted(id, PROVIDER, false);
        _refused(
            STRANGER, abi.encodeCall(workers.setProviderAccepted, (id, OTHER, false)), Code.NotWorkerOwner.selector
        );
        calls = _ownerCalls("none");
        for (uint256 i = 0; i < calls.length; i++) {
            _refused(owner, calls[i], Code.WorkerNotFound.selector);
        }
        _refused(
            owner, abi.encodeCall(workers.setProviderAccepted, ("none", OTHER, true)), Code.WorkerNotFound.selector
        );
        _refused(
            owner, abi.encodeCall(workers.setProviderAccepted, ("none", OTHER, false)), Code.WorkerNotFound.selector
        );
    }

    function test_pauseAndResume() public {
        vm.startPrank(owner);
        _expect(Code.WorkerNotPaused.selector);
        workers.resumeWorker(id);
        workers.pauseWorker(id);
        require(workers.getActiveWorkers().length == 0);
        _expect(Code.WorkerNotActive.selector);
        workers.pauseWorker(id);
        workers.resumeWorker(id);
        require(workers.getActiveWorkers().length == 1);
        workers.pauseWorker(id);
        workers.terminateWorker(id);
        vm.stopPrank();
    }

    function test_routesAreTheOwnersOwn() public {
        vm.prank(STRANGER);
        string[] memory routes = new string[](1);
        routes[0] = "/one";
        bytes32 other = workers.deployWorker("squat", CODE, routes, "", Code.PaymentMode.FREE, 0);
        require(workers.getOwnerWorkerByRoute(owner, "/one") == id);
        require(workers.getOwnerWorkerByRoute(STRANGER, "/one") == other);
    }

    function test_pages() public {
        bytes32 two = _deploy("two", "/two");
        bytes32 three = _deploy("three", "/three");
        vm.prank(owner);
        workers.pauseWorker(two);
        (bytes32[] memory page, uint256 next) = workers.getActiveWorkersPage(0, 2);
        require(page.length == 1 && page[0] == id && next == 2);
        (page, next) = workers.getActiveWorkersPage(next, 2);
        require(page.length == 1 && page[0] == three && next == 3);
        (page, next) = workers.getActiveWorkersPage(7, 2);
        require(page.length == 0 && next == 3);
    }

    // ------------------------------------------------------------------ endpoints

    function test_endpoint() public {
        _endpoint(PROVIDER);
        Workers.WorkerEndpoint[] memory active = workers.getActiveEndpoints(id);
        require(active.length == 1 && active[0].providerAddress == PROVIDER && active[0].workerId == id);
        require(active[0].teeType == 1 && active[0].attestationHash == "att" && workers.isAccepted(id, PROVIDER));
        // Again is in its place.
        vm.prank(PROVIDER);
        workers.addEndpoint(id, "https://new", "att", 255);
        require(workers.getWorkerEndpoints(id).length == 1);
        require(keccak256(bytes(workers.getWorkerEndpoints(id)[0].endpoint)) == keccak256("https://new"));
        vm.startPrank(PROVIDER);
        workers.removeEndpoint(id);
        _expect(Workers.EndpointNotFound.selector);
        workers.removeEndpoint(id);
        vm.stopPrank();
        require(workers.getActiveEndpoints(id).length == 0);
        vm.prank(STRANGER);
        _expect(Workers.EndpointNotFound.selector);
        workers.removeEndpoint(id);
    }

    function test_endpoint_refusals() public {
        vm.startPrank(PROVIDER);
        _expect(Code.WorkerNotFound.selector);
        workers.addEndpoint("none", "e", 0, 0);
        _expect(abi.encodeWithSelector(Workers.NotAccepted.selector, id, PROVIDER));
        workers.addEndpoint(id, "e", 0, 0);
        vm.stopPrank();
        vm.prank(owner);
        workers.setProviderAccepted(id, PROVIDER, true);
        vm.startPrank(PROVIDER);
        _expect(Workers.InvalidEndpoint.selector);
        workers.addEndpoint(id, "", 0, 0);
        _expect(abi.encodeWithSelector(Code.TextTooLong.selector, 257, 256));
        workers.addEndpoint(id, string(new bytes(257)), 0, 0);
        _expect(abi.encodeWithSelector(Workers.InvalidTeeType.selector, 4));
        workers.addEndpoint(id, "e", 0, 4);
        vm.stopPrank();
        vm.prank(owner);
        workers.pauseWorker(id);
        vm.prank(PROVIDER);
        _expect(Code.WorkerNotActive.selector);
        workers.addEndpoint(id, "e", 0, 0);
    }

    function test_endpoint_endsWithAcceptanceStakeAndWorker() public {
        _endpoint(PROVIDER);
        _endpoint(STAKER);
        require(workers.getActiveEndpoints(id).length == 2);
        vm.prank(PROVIDER);
        computeRegistry.deactivate();
        require(workers.getActiveEndpoints(id).length == 1 && !workers.isProvider(PROVIDER));
        vm.prank(owner);
        workers.setProviderAccepted(id, STAKER, false);
        require(workers.getActiveEndpoints(id).length == 0);
        vm.prank(PROVIDER);
        computeRegistry.reactivate();
        require(workers.getActiveEndpoints(id).length == 1);
        vm.prank(owner);
        workers.pauseWorker(id);
        require(workers.getActiveEndpoints(id).length == 0);
    }

    // ------------------------------------------------------------------ invocations

    function test_recordInvocation_isFreeAndUncounted() public {
        _endpoint(PROVIDER);
        vm.startPrank(PROVIDER);
        _expect(Workers.ReceiptRequired.selector);
        workers.recordInvocation(id, true, 10);
        vm.stopPrank();
        vm.prank(owner);
        workers.setWorkerPricing(id, Code.PaymentMode.FREE, 0);
        vm.expectEmit(true, true, true, true, address(workers));
        emit Workers.WorkerInvoked(id, PROVIDER, PROVIDER, true);
        vm.startPrank(PROVIDER);
        workers.recordInvocation(id, true, 10);
        _expect(abi.encodeWithSelector(Workers.InvalidLatency.selector, 86_400_001, 86_400_000));
        workers.recordInvocation(id, true, 86_400_001);
        vm.stopPrank();
        require(workers.workerRecord(id).totalInvocations == 0);
    }

    function test_recordAttestedInvocation() public {
        _endpoint(PROVIDER);
        _recordAttested(1, true, 10);
        _recordAttested(2, false, 20);
        Workers.WorkerEndpoint memory entry = workers.getWorkerEndpoints(id)[0];
        require(entry.invocations == 2 && entry.errors == 1 && entry.avgLatencyMs == 15);
        Code.Worker memory worker = workers.workerRecord(id);
        require(worker.totalInvocations == 2 && worker.totalErrors == 1);
        Receipt memory receipt = _receipt(3, "q", "a");
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(Workers.InvalidLatency.selector, 86_400_001, 86_400_000));
        workers.recordAttestedInvocation(id, true, 86_400_001, receipt, signature);
    }

    function test_recordAttestedInvocation_refusals() public {
        _endpoint(PROVIDER);
        _endpoint(OTHER);
        Receipt memory receipt = _receipt(1, "q", "a");
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(OTHER);
        _expect(abi.encodeWithSelector(Workers.KeyOfOtherProvider.selector, enclave, PROVIDER));
        workers.recordAttestedInvocation(id, true, 1, receipt, signature);
        vm.startPrank(PROVIDER);
        bytes memory bad = _signReceipt(0xDEAD, receipt);
        _expect(abi.encodeWithSelector(SigningKeys.NotLive.selector, vm.addr(0xDEAD)));
        workers.recordAttestedInvocation(id, true, 1, receipt, bad);
        Receipt memory wrong = _receipt(1, "q", "a");
        wrong.agentId = otherAgent;
        bad = _signReceipt(ENCLAVE_KEY, wrong);
        _expect(abi.encodeWithSelector(Workers.ReceiptOfOtherAgent.selector, otherAgent, agent));
        workers.recordAttestedInvocation(id, true, 1, wrong, bad);
        workers.recordAttestedInvocation(id, true, 1, receipt, signature);
        _expect(abi.encodeWithSelector(Workers.ReceiptRecorded.selector, workers.receiptId(receipt)));
        workers.recordAttestedInvocation(id, true, 1, receipt, signature);
        vm.stopPrank();
        keys.setDead(enclave, START);
        receipt = _receipt(2, "q", "a");
        signature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(SigningKeys.NotLive.selector, enclave));
        workers.recordAttestedInvocation(id, true, 1, receipt, signature);
    }

    function test_recordPrepaidInvocation() public {
        _endpoint(PROVIDER);
        _fund(user, 1 ether);
        require(_recordPaid(1, PRICE) == PRICE && _recordPaid(2, 2 * PRICE) == PRICE);
        require(workers.owed(PROVIDER) == 2 * PRICE && workers.prepaidBalances(user) == 1 ether - 2 * PRICE);
        require(workers.workerRecord(id).totalInvocations == 2);
        vm.prank(user);
        workers.closeCharges(PROVIDER);
        vm.warp(START + 1 hours);
        (Receipt memory receipt, Voucher memory voucher) = _paid(3, 3 * PRICE);
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        bytes memory voucherSignature = _signVoucher(workers, USER_KEY, voucher);
        vm.prank(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesNotOpen.selector, user, PROVIDER));
        workers.recordPrepaidInvocation(id, true, 1, receipt, signature, voucher, voucherSignature);
    }

    /// What the receipt or the voucher alone is refused for, both together are refused for.
    function test_recordPrepaidInvocation_refusals() public {
        _endpoint(PROVIDER);
        _endpoint(OTHER);
        _fund(user, 1 ether);
        (Receipt memory receipt, Voucher memory voucher) = _paid(1, PRICE);
        _refused(
            OTHER,
            _paidCall(1, receipt, voucher),
            abi.encodeWithSelector(Workers.KeyOfOtherProvider.selector, enclave, PROVIDER)
        );
        _refusedPaid(
            86_400_001,
            receipt,
            voucher,
            abi.encodeWithSelector(Workers.InvalidLatency.selector, 86_400_001, 86_400_000)
        );
        receipt.agentId = otherAgent;
        _refusedPaid(
            1, receipt, voucher, abi.encodeWithSelector(Workers.ReceiptOfOtherAgent.selector, otherAgent, agent)
        );
        receipt.agentId = agent;
        voucher.provider = OTHER;
        _refusedPaid(
            1, receipt, voucher, abi.encodeWithSelector(PrepaidBalance.NotVoucherProvider.selector, PROVIDER, OTHER)
        );
        voucher.provider = PROVIDER;
        voucher.expiry = START - 1;
        _refusedPaid(1, receipt, voucher, abi.encodeWithSelector(PrepaidBalance.VoucherExpired.selector, START - 1));
        voucher.expiry = START;
        // Another account's money, by this one's signature.
        _fund(owner, 1 ether);
        voucher.user = owner;
        _refusedPaid(1, receipt, voucher, abi.encodeWithSelector(PrepaidBalance.VoucherNotSigned.selector, owner));

        _recordPaid(5, PRICE);
        (receipt, voucher) = _paid(5, 2 * PRICE);
        _refusedPaid(
            1, receipt, voucher, abi.encodeWithSelector(Workers.ReceiptRecorded.selector, workers.receiptId(receipt))
        );
        (receipt, voucher) = _paid(4, 2 * PRICE);
        _refusedPaid(1, receipt, voucher, abi.encodeWithSelector(PrepaidBalance.VoucherOutdated.selector, 4, 5));
        (receipt, voucher) = _paid(6, PRICE);
        _refusedPaid(1, receipt, voucher, abi.encodeWithSelector(PrepaidBalance.NothingToCharge.selector, PRICE, PRICE));
        _recordPaid(6, 5 ether);
        (receipt, voucher) = _paid(7, 6 ether);
        _refusedPaid(1, receipt, voucher, abi.encodeWithSelector(PrepaidBalance.InsufficientPrepaid.selector));
    }

    /// A voucher pays for the request, and the response if it names one, that it was signed for.
    function test_recordPrepaidInvocation_isBoundToTheRequest() public {
        _endpoint(PROVIDER);
        _fund(user, 1 ether);
        (Receipt memory receipt, Voucher memory voucher) = _paid(1, PRICE);
        voucher.requestDigest = "other";
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        bytes memory voucherSignature = _signVoucher(workers, USER_KEY, voucher);
        vm.startPrank(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherForOther.selector, _word("other"), bytes32(0)));
        workers.recordPrepaidInvocation(id, true, 1, receipt, signature, voucher, voucherSignature);
        voucher.requestDigest = "q";
        voucher.responseDigest = "other";
        voucherSignature = _signVoucher(workers, USER_KEY, voucher);
        _expect(abi.encodeWithSelector(PrepaidBalance.VoucherForOther.selector, _word("q"), _word("other")));
        workers.recordPrepaidInvocation(id, true, 1, receipt, signature, voucher, voucherSignature);
        voucher.responseDigest = "a";
        voucherSignature = _signVoucher(workers, USER_KEY, voucher);
        workers.recordPrepaidInvocation(id, true, 1, receipt, signature, voucher, voucherSignature);
        vm.stopPrank();
    }

    /// An owner can't be served and then end the worker in front of the charge; an hour later all is over.
    function test_providersSettleForAnHour() public {
        _endpoint(PROVIDER);
        _fund(user, 1 ether);
        vm.prank(owner);
        workers.setProviderAccepted(id, PROVIDER, false);
        vm.prank(owner);
        workers.terminateWorker(id);
        _recordPaid(1, PRICE);
        (Receipt memory receipt, Voucher memory voucher) = _paid(2, 2 * PRICE);
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        bytes memory voucherSignature = _signVoucher(workers, USER_KEY, voucher);
        vm.warp(START + 1 hours);
        vm.prank(PROVIDER);
        _expect(Workers.EndpointNotFound.selector);
        workers.recordPrepaidInvocation(id, true, 1, receipt, signature, voucher, voucherSignature);
    }

    function test_stoppedWorkerTakesNoRecords() public {
        _endpoint(PROVIDER);
        vm.prank(owner);
        workers.terminateWorker(id);
        vm.warp(START + 1 hours);
        (Receipt memory receipt, Voucher memory voucher) = _paid(1, PRICE);
        _refused(PROVIDER, abi.encodeCall(workers.recordInvocation, (id, true, 1)), Code.WorkerNotActive.selector);
        _refused(
            PROVIDER,
            abi.encodeCall(
                workers.recordAttestedInvocation, (id, true, 1, receipt, _signReceipt(ENCLAVE_KEY, receipt))
            ),
            Code.WorkerNotActive.selector
        );
        _refused(PROVIDER, _paidCall(1, receipt, voucher), Code.WorkerNotActive.selector);
    }

    function test_charges_openAndCloseOnce() public {
        vm.startPrank(user);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesNotOpen.selector, user, PROVIDER));
        workers.closeCharges(PROVIDER);
        _expect(PullPayments.ZeroAccount.selector);
        workers.openCharges(address(0));
        workers.openCharges(PROVIDER);
        _expect(abi.encodeWithSelector(PrepaidBalance.ChargesAlreadyOpen.selector, user, PROVIDER));
        workers.openCharges(PROVIDER);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ the seed's bugs

    /// There anyone could add an endpoint, and clients would be sent to it.
    function test_seedBug_anyoneAddsAFakeEndpoint() public {
        vm.prank(STRANGER);
        _expect(abi.encodeWithSelector(Workers.NotProvider.selector, STRANGER));
        workers.addEndpoint(id, "https://evil", 0, 1);
        vm.prank(OTHER);
        _expect(abi.encodeWithSelector(Workers.NotAccepted.selector, id, OTHER));
        workers.addEndpoint(id, "https://evil", 0, 1);
    }

    /// There anyone could record invocations.
    function test_seedBug_anyoneRecordsInvocations() public {
        _endpoint(PROVIDER);
        vm.prank(STRANGER);
        _expect(Workers.EndpointNotFound.selector);
        workers.recordInvocation(id, false, 1);
        Receipt memory receipt = _receipt(1, "q", "a");
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(STRANGER);
        _expect(Workers.EndpointNotFound.selector);
        workers.recordAttestedInvocation(id, true, 1, receipt, signature);
    }

    /// There charging was an empty block, and later charged the caller.
    function test_seedBug_prepaidInvocationsChargeNobodyOrTheCaller() public {
        _endpoint(PROVIDER);
        _fund(user, 1 ether);
        vm.prank(PROVIDER);
        workers.depositPrepaid{value: 1 ether}();
        _recordPaid(1, PRICE);
        require(workers.prepaidBalances(user) == 1 ether - PRICE && workers.prepaidBalances(PROVIDER) == 1 ether);
        require(workers.owed(PROVIDER) == PRICE);
    }

    /// There a terminated worker could be resumed, without its routes.
    function test_seedBug_terminatedWorkerResumed() public {
        vm.startPrank(owner);
        workers.terminateWorker(id);
        _expect(Code.WorkerIsTerminated.selector);
        workers.resumeWorker(id);
        vm.stopPrank();
        require(workers.getOwnerWorkerByRoute(owner, "/one") == 0 && workers.getWorkerRoutes(id).length == 0);
        bytes32 next = _deploy("next", "/one");
        require(workers.getOwnerWorkerByRoute(owner, "/one") == next);
    }

    /// There an update after a rollback gave a number a second time.
    function test_seedBug_rollbackRepeatsAVersion() public {
        vm.startPrank(owner);
        workers.updateWorker(id, "code 2");
        workers.rollbackWorker(id, 1);
        (,, bytes32 codeHash,, uint32 current,,) = workers.getWorker(id);
        require(current == 1 && codeHash == CODE);
        workers.updateWorker(id, "code 3");
        (,, codeHash,, current,,) = workers.getWorker(id);
        require(current == 3 && codeHash == "code 3");
        workers.rollbackWorker(id, 2);
        (,, codeHash,, current,,) = workers.getWorker(id);
        require(current == 2 && codeHash == "code 2");
        vm.stopPrank();
        Code.WorkerVersion[] memory versions = workers.getWorkerVersions(id);
        for (uint256 i = 0; i < versions.length; i++) {
            require(versions[i].version == i + 1 && versions[i].active == (i == 1));
        }
    }

    // ------------------------------------------------------------------ inside

    function _deploy(string memory name, string memory route) private returns (bytes32) {
        string[] memory routes = new string[](1);
        routes[0] = route;
        vm.prank(owner);
        return workers.deployWorker(name, CODE, routes, "* * * * *", Code.PaymentMode.PREPAID, PRICE);
    }

    function _endpoint(address provider) private {
        vm.prank(owner);
        workers.setProviderAccepted(id, provider, true);
        vm.prank(provider);
        workers.addEndpoint(id, "https://e", "att", 1);
    }

    function _fund(address account, uint256 amount) private {
        vm.startPrank(account);
        workers.depositPrepaid{value: amount}();
        workers.openCharges(PROVIDER);
        vm.stopPrank();
    }

    function _recordAttested(uint256 number, bool success, uint256 latency) private {
        Receipt memory receipt = _receipt(number, "q", "a");
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        vm.prank(PROVIDER);
        workers.recordAttestedInvocation(id, success, latency, receipt, signature);
    }

    function _paid(uint64 number, uint256 cumulative) private view returns (Receipt memory, Voucher memory) {
        return (_receipt(number, "q", "a"), Voucher(user, PROVIDER, cumulative, number, "q", 0, START + 1 days));
    }

    function _recordPaid(uint64 number, uint256 cumulative) private returns (uint256) {
        (Receipt memory receipt, Voucher memory voucher) = _paid(number, cumulative);
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        bytes memory voucherSignature = _signVoucher(workers, USER_KEY, voucher);
        vm.prank(PROVIDER);
        return workers.recordPrepaidInvocation(id, true, 1, receipt, signature, voucher, voucherSignature);
    }

    /// Everything that only the worker's owner may call.
    function _ownerCalls(bytes32 worker) private view returns (bytes[] memory calls) {
        calls = new bytes[](9);
        calls[0] = abi.encodeCall(workers.updateWorker, (worker, CODE));
        calls[1] = abi.encodeCall(workers.rollbackWorker, (worker, 1));
        calls[2] = abi.encodeCall(workers.pauseWorker, (worker));
        calls[3] = abi.encodeCall(workers.resumeWorker, (worker));
        calls[4] = abi.encodeCall(workers.terminateWorker, (worker));
        calls[5] = abi.encodeCall(workers.setWorkerRoutes, (worker, new string[](0)));
        calls[6] = abi.encodeCall(workers.setWorkerCron, (worker, ""));
        calls[7] = abi.encodeCall(workers.setWorkerPricing, (worker, Code.PaymentMode.FREE, 0));
        calls[8] = abi.encodeCall(workers.setCodeURI, (worker, 1, ""));
    }

    /// The call with both, as the enclave and the user sign them.
    function _paidCall(uint256 latency, Receipt memory receipt, Voucher memory voucher)
        private
        view
        returns (bytes memory)
    {
        bytes memory signature = _signReceipt(ENCLAVE_KEY, receipt);
        bytes memory voucherSignature = _signVoucher(workers, USER_KEY, voucher);
        return abi.encodeCall(
            workers.recordPrepaidInvocation, (id, true, latency, receipt, signature, voucher, voucherSignature)
        );
    }

    function _refusedPaid(uint256 latency, Receipt memory receipt, Voucher memory voucher, bytes memory reason)
        private
    {
        _refused(PROVIDER, _paidCall(latency, receipt, voucher), reason);
    }

    function _refused(address caller, bytes memory call, bytes4 selector) private {
        _refused(caller, call, abi.encodeWithSelector(selector));
    }

    function _refused(address caller, bytes memory call, bytes memory reason) private {
        vm.prank(caller);
        (bool done, bytes memory data) = address(workers).call(call);
        require(!done && keccak256(data) == keccak256(reason));
    }
}
