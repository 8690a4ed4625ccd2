// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PrepaidBalance} from "./PrepaidBalance.sol";

/// @title WorkerCode
/// @notice Which code a worker runs, under which routes, and whether it runs: the part of `WorkerRegistry` that its owner
/// writes.
/// @dev A version's number is its place in the list of versions, so it never names other code, whatever is rolled back. A
/// terminated worker stays terminated, and its routes are free. Routes belong to the owner's own namespace: nobody can
/// squat another's.
abstract contract WorkerCode is PrepaidBalance {
    /// @notice Whether a worker runs, as Jeju clients decode it.
    enum WorkerStatus {
        ACTIVE,
        PAUSED,
        TERMINATED
    }

    /// @notice How callers pay, as Jeju clients decode it.
    enum PaymentMode {
        FREE,
        X402,
        PREPAID
    }

    /// @notice Code of a worker, as Jeju clients decode it.
    /// @param version From 1, each number once.
    /// @param codeHash Digest of the code.
    /// @param deployedAt Unix seconds.
    /// @param deployedBy The worker's owner.
    /// @param active Whether it is the one that runs.
    struct WorkerVersion {
        uint32 version;
        bytes32 codeHash;
        uint256 deployedAt;
        address deployedBy;
        bool active;
    }

    struct Worker {
        address owner;
        WorkerStatus status;
        PaymentMode paymentMode;
        uint64 createdAt;
        // When the status changed last.
        uint64 statusSince;
        uint32 currentVersion;
        uint64 totalInvocations;
        uint64 totalErrors;
        uint256 pricePerInvocation;
        string name;
        string cronSchedule;
        string[] routes;
    }

    struct Code {
        bytes32 codeHash;
        uint64 deployedAt;
        string uri;
    }

    /// @notice Longest name, route, endpoint, schedule or URI, in bytes.
    uint256 public constant MAX_TEXT = 256;
    /// @notice Most routes of a worker, so that terminating it always fits a transaction.
    uint256 public constant MAX_ROUTES = 32;

    mapping(bytes32 workerId => Worker) internal _workers;
    mapping(bytes32 workerId => Code[]) private _code;
    mapping(address owner => bytes32[]) private _ownerWorkers;
    mapping(address owner => mapping(string route => bytes32)) private _routes;
    bytes32[] private _all;

    /// @notice A worker is there.
    event WorkerDeployed(bytes32 indexed workerId, address indexed owner, string name, bytes32 codeHash);
    /// @notice A worker runs another version: a new one, or an old one after a rollback.
    event WorkerUpdated(bytes32 indexed workerId, uint32 version, bytes32 codeHash);
    /// @notice A worker starts, stops, or ended.
    event WorkerStatusChanged(bytes32 indexed workerId, WorkerStatus status);
    /// @notice A route of the worker's owner leads to the worker.
    event RouteRegistered(bytes32 indexed workerId, string route);
    /// @notice A route leads to the worker no longer.
    event RouteFreed(bytes32 indexed workerId, string route);
    /// @notice Where the code of a version lies. Whoever fetches it compares the digest.
    event CodeURISet(bytes32 indexed workerId, uint32 version, string uri);
    /// @notice The worker's schedule; empty for none.
    event CronScheduleSet(bytes32 indexed workerId, string cronSchedule);
    /// @notice What an invocation costs from now on. Vouchers that are signed already stay as they were signed.
    event PricingSet(bytes32 indexed workerId, PaymentMode paymentMode, uint256 pricePerInvocation);

    /// @notice There is no such worker.
    error WorkerNotFound();
    /// @notice The worker is paused or terminated.
    error WorkerNotActive();
    /// @notice Only a paused worker is resumed.
    error WorkerNotPaused();
    /// @notice Terminated is final.
    error WorkerIsTerminated();
    /// @notice The caller doesn't own the worker.
    error NotWorkerOwner();
    /// @notice The digest is zero.
    error InvalidCodeHash();
    /// @notice The name is empty or too long.
    error InvalidName();
    /// @notice The route is empty or too long.
    error InvalidRoute();
    /// @notice The text is too long.
    error TextTooLong(uint256 length, uint256 maximum);
    /// @notice Another worker of the owner has the route.
    error RouteAlreadyRegistered();
    /// @notice There are too many routes.
    error TooManyRoutes(uint256 maximum);
    /// @notice There is no such version, or it runs already.
    error InvalidVersion();
    /// @notice Prepaid invocations cost something, free ones nothing.
    error InvalidPrice();

    // ------------------------------------------------------------------ what owners call

    /// @notice Publishes a worker of the caller.
    /// @param name Display name.
    /// @param codeHash Digest of the code.
    /// @param routes Patterns under the owner's namespace that lead to the worker.
    /// @param cronSchedule Five cron fields; empty for none.
    /// @param paymentMode How callers pay.
    /// @param pricePerInvocation In wei: what a provider asks for an invocation.
    /// @return workerId Its id, never given twice.
    function deployWorker(
        string calldata name,
        bytes32 codeHash,
        string[] calldata routes,
        string calldata cronSchedule,
        PaymentMode paymentMode,
        uint256 pricePerInvocation
    ) external returns (bytes32 workerId) {
        if (bytes(name).length == 0 || bytes(name).length > MAX_TEXT) revert InvalidName();
        // The count makes the id unique, also for the same name and code twice in one block.
        workerId = keccak256(abi.encode(block.chainid, address(this), msg.sender, name, codeHash, _all.length));
        Worker storage worker = _workers[workerId];
        worker.owner = msg.sender;
        worker.name = name;
        worker.createdAt = _now();
        worker.statusSince = _now();
        _all.push(workerId);
        _ownerWorkers[msg.sender].push(workerId);
        emit WorkerDeployed(workerId, msg.sender, name, codeHash);
        _addVersion(workerId, codeHash);
        _setPricing(workerId, paymentMode, pricePerInvocation);
        _setCron(workerId, cronSchedule);
        _addRoutes(workerId, routes);
    }

    /// @notice Runs new code. Its version is one that was never used.
    /// @param workerId Worker of the caller.
    /// @param newCodeHash Digest of the code.
    function updateWorker(bytes32 workerId, bytes32 newCodeHash) external {
        _living(workerId);
        _addVersion(workerId, newCodeHash);
    }

    /// @notice Runs an earlier version, or a later one again, under its own number.
    /// @param workerId Worker of the caller.
    /// @param targetVersion Its number.
    function rollbackWorker(bytes32 workerId, uint32 targetVersion) external {
        Worker storage worker = _living(workerId);
        if (targetVersion == 0 || targetVersion > _code[workerId].length || targetVersion == worker.currentVersion) {
            revert InvalidVersion();
        }
        worker.currentVersion = targetVersion;
        emit WorkerUpdated(workerId, targetVersion, _code[workerId][targetVersion - 1].codeHash);
    }

    /// @notice Stops a worker for a time.
    /// @param workerId Worker of the caller.
    function pauseWorker(bytes32 workerId) external {
        Worker storage worker = _living(workerId);
        if (worker.status != WorkerStatus.ACTIVE) revert WorkerNotActive();
        _setStatus(workerId, WorkerStatus.PAUSED);
    }

    /// @notice Starts a paused worker.
    /// @param workerId Worker of the caller.
    function resumeWorker(bytes32 workerId) external {
        Worker storage worker = _living(workerId);
        if (worker.status != WorkerStatus.PAUSED) revert WorkerNotPaused();
        _setStatus(workerId, WorkerStatus.ACTIVE);
    }

    /// @notice Ends a worker for good and frees its routes.
    /// @param workerId Worker of the caller.
    function terminateWorker(bytes32 workerId) external {
        _living(workerId);
        _freeRoutes(workerId);
        _setStatus(workerId, WorkerStatus.TERMINATED);
    }

    /// @notice Replaces the worker's routes.
    /// @param workerId Worker of the caller.
    /// @param routes The new ones.
    function setWorkerRoutes(bytes32 workerId, string[] calldata routes) external {
        _living(workerId);
        _freeRoutes(workerId);
        _addRoutes(workerId, routes);
    }

    /// @notice Replaces the worker's schedule.
    /// @param workerId Worker of the caller.
    /// @param cronSchedule Five cron fields; empty for none.
    function setWorkerCron(bytes32 workerId, string calldata cronSchedule) external {
        _living(workerId);
        _setCron(workerId, cronSchedule);
    }

    /// @notice Changes what an invocation costs.
    /// @param workerId Worker of the caller.
    /// @param paymentMode How callers pay.
    /// @param pricePerInvocation In wei.
    function setWorkerPricing(bytes32 workerId, PaymentMode paymentMode, uint256 pricePerInvocation) external {
        _living(workerId);
        _setPricing(workerId, paymentMode, pricePerInvocation);
    }

    /// @notice Says where the code of a version lies. It can move, the digest can't change.
    /// @param workerId Worker of the caller.
    /// @param codeVersion Its number.
    /// @param uri Where; empty if nowhere.
    function setCodeURI(bytes32 workerId, uint32 codeVersion, string calldata uri) external {
        _living(workerId);
        if (codeVersion == 0 || codeVersion > _code[workerId].length) revert InvalidVersion();
        _requireShort(uri);
        _code[workerId][codeVersion - 1].uri = uri;
        emit CodeURISet(workerId, codeVersion, uri);
    }

    // ------------------------------------------------------------------ reading

    /// @notice A worker; all zero if there is none.
    /// @param workerId Any id.
    function getWorker(bytes32 workerId)
        external
        view
        returns (
            address owner,
            string memory name,
            bytes32 codeHash,
            WorkerStatus status,
            uint32 currentVersion,
            uint64 totalInvocations,
            uint256 pricePerInvocation
        )
    {
        Worker storage worker = _workers[workerId];
        currentVersion = worker.currentVersion;
        if (currentVersion != 0) codeHash = _code[workerId][currentVersion - 1].codeHash;
        return (
            worker.owner,
            worker.name,
            codeHash,
            worker.status,
            currentVersion,
            worker.totalInvocations,
            worker.pricePerInvocation
        );
    }

    /// @notice Everything about a worker but its code; all zero if there is none.
    /// @param workerId Any id.
    function workerRecord(bytes32 workerId) external view returns (Worker memory) {
        return _workers[workerId];
    }

    /// @notice Where the code of a version lies; empty if nobody said.
    /// @param workerId A worker.
    /// @param codeVersion Its number.
    function codeURI(bytes32 workerId, uint32 codeVersion) external view returns (string memory) {
        if (codeVersion == 0 || codeVersion > _code[workerId].length) revert InvalidVersion();
        return _code[workerId][codeVersion - 1].uri;
    }

    /// @notice Routes that lead to a worker.
    /// @param workerId Any id.
    function getWorkerRoutes(bytes32 workerId) external view returns (string[] memory) {
        return _workers[workerId].routes;
    }

    /// @notice All versions of a worker. Unbounded, off chain only.
    /// @param workerId Any id.
    function getWorkerVersions(bytes32 workerId) external view returns (WorkerVersion[] memory versions) {
        Worker storage worker = _workers[workerId];
        Code[] storage code = _code[workerId];
        versions = new WorkerVersion[](code.length);
        for (uint256 i = 0; i < versions.length; i++) {
            // forge-lint: disable-next-line(unsafe-typecast)
            uint32 number = uint32(i + 1);
            versions[i] = WorkerVersion(
                number, code[i].codeHash, code[i].deployedAt, worker.owner, number == worker.currentVersion
            );
        }
    }

    /// @notice Worker behind a route of the caller; zero if there is none. See `getOwnerWorkerByRoute` for others' routes.
    /// @param route The pattern.
    function getWorkerByRoute(string calldata route) external view returns (bytes32) {
        return _routes[msg.sender][route];
    }

    /// @notice Worker behind a route of an owner; zero if there is none.
    /// @param owner The owner, whose namespace it is.
    /// @param route The pattern.
    function getOwnerWorkerByRoute(address owner, string calldata route) external view returns (bytes32) {
        return _routes[owner][route];
    }

    /// @notice Workers that an account deployed. Unbounded, off chain only.
    /// @param owner Any account.
    function getOwnerWorkers(address owner) external view returns (bytes32[] memory) {
        return _ownerWorkers[owner];
    }

    /// @notice All active workers. Unbounded, off chain only: see `getActiveWorkersPage`.
    function getActiveWorkers() external view returns (bytes32[] memory active) {
        (active,) = getActiveWorkersPage(0, type(uint256).max);
    }

    /// @notice Active workers among those at `cursor` to `cursor + limit` of all, a list that only grows.
    /// @param cursor Where to start.
    /// @param limit How many workers to look at, active or not.
    /// @return active The active ones.
    /// @return next Cursor of the next page; the list's length once it is through.
    function getActiveWorkersPage(uint256 cursor, uint256 limit)
        public
        view
        returns (bytes32[] memory active, uint256 next)
    {
        uint256 left = cursor < _all.length ? _all.length - cursor : 0;
        if (limit > left) limit = left;
        active = new bytes32[](limit);
        uint256 found;
        for (uint256 i = 0; i < limit; i++) {
            bytes32 workerId = _all[cursor + i];
            if (_workers[workerId].status == WorkerStatus.ACTIVE) active[found++] = workerId;
        }
        next = limit == left ? _all.length : cursor + limit;
        assembly ("memory-safe") {
            mstore(active, found)
        }
    }

    /// @notice How many workers were ever deployed.
    function getWorkerCount() external view returns (uint256) {
        return _all.length;
    }

    // ------------------------------------------------------------------ inside

    function _owned(bytes32 workerId) internal view returns (Worker storage worker) {
        worker = _workers[workerId];
        if (worker.owner == address(0)) revert WorkerNotFound();
        if (worker.owner != msg.sender) revert NotWorkerOwner();
    }

    function _living(bytes32 workerId) internal view returns (Worker storage worker) {
        worker = _owned(workerId);
        if (worker.status == WorkerStatus.TERMINATED) revert WorkerIsTerminated();
    }

    function _requireShort(string calldata text) internal pure {
        if (bytes(text).length > MAX_TEXT) revert TextTooLong(bytes(text).length, MAX_TEXT);
    }

    function _addVersion(bytes32 workerId, bytes32 codeHash) private {
        if (codeHash == bytes32(0)) revert InvalidCodeHash();
        _code[workerId].push(Code(codeHash, _now(), ""));
        // forge-lint: disable-next-line(unsafe-typecast)
        uint32 number = uint32(_code[workerId].length);
        _workers[workerId].currentVersion = number;
        emit WorkerUpdated(workerId, number, codeHash);
    }

    function _setStatus(bytes32 workerId, WorkerStatus status) private {
        _workers[workerId].status = status;
        _workers[workerId].statusSince = _now();
        emit WorkerStatusChanged(workerId, status);
    }

    function _setPricing(bytes32 workerId, PaymentMode paymentMode, uint256 price) private {
        if ((paymentMode == PaymentMode.FREE) != (price == 0)) revert InvalidPrice();
        _workers[workerId].paymentMode = paymentMode;
        _workers[workerId].pricePerInvocation = price;
        emit PricingSet(workerId, paymentMode, price);
    }

    function _setCron(bytes32 workerId, string calldata cronSchedule) private {
        _requireShort(cronSchedule);
        _workers[workerId].cronSchedule = cronSchedule;
        emit CronScheduleSet(workerId, cronSchedule);
    }

    function _addRoutes(bytes32 workerId, string[] calldata routes) private {
        if (routes.length > MAX_ROUTES) revert TooManyRoutes(MAX_ROUTES);
        mapping(string => bytes32) storage own = _routes[msg.sender];
        for (uint256 i = 0; i < routes.length; i++) {
            string calldata route = routes[i];
            if (bytes(route).length == 0 || bytes(route).length > MAX_TEXT) revert InvalidRoute();
            if (own[route] != bytes32(0)) revert RouteAlreadyRegistered();
            own[route] = workerId;
            _workers[workerId].routes.push(route);
            emit RouteRegistered(workerId, route);
        }
    }

    function _freeRoutes(bytes32 workerId) private {
        string[] storage routes = _workers[workerId].routes;
        for (uint256 i = 0; i < routes.length; i++) {
            delete _routes[msg.sender][routes[i]];
            emit RouteFreed(workerId, routes[i]);
        }
        delete _workers[workerId].routes;
    }
}
