// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BondedStake} from "./BondedStake.sol";

/// @title Disputes
/// @notice Offences that no contract can prove: accused with a bond, answered with a bond, decided by an arbiter in public.
/// @dev Anyone may accuse, a guardian no differently from anyone.
///
///     Open --answer--> Answered --appeal--> Appealed --rule--> Ruled --close--> Closed
///       \-- no answer: appeal, without another bond --^
///
/// Whoever doesn't take the next step in time loses; an arbiter that doesn't rule in time leaves both as they were. Stake
/// is slashed after a ruling only, `RULING_DELAY` later, and not if governance replaced the arbiter meanwhile: no single
/// key, and no silence of the accused, costs stake.
///
/// Bonds are conserved. The loser's go to the winner, the slashed stake to the sink of the stake contract, so accusing
/// oneself can't pay. From opening to closing a dispute takes at most `LONGEST`, less than a hold lives, and each of its
/// windows is shorter than the unbonding.
abstract contract Disputes is Ownable2Step, ReentrancyGuardTransient {
    using SafeCast for uint256;

    /// @notice How far a dispute has come.
    enum Stage {
        None,
        Open,
        Answered,
        Appealed,
        Ruled,
        Closed
    }

    /// @notice How a dispute ended.
    enum Outcome {
        Upheld,
        Rejected,
        Lapsed
    }

    /// @notice One dispute.
    /// @param accuser Who opened it.
    /// @param deadline Unix seconds: end of the current window; once ruled, from when the ruling can be carried out.
    /// @param stage See `Stage`.
    /// @param upheld The ruling.
    /// @param answered Whether the accused put up a bond.
    /// @param appealed Whether the accuser put up a second bond.
    /// @param accused Whose stake is at issue.
    /// @param bond Each bond, in wei.
    /// @param arbiter Who may rule: the arbiter of the time of opening.
    /// @param amount Stake that the accuser wants slashed, in wei.
    struct Dispute {
        address accuser;
        uint64 deadline;
        Stage stage;
        bool upheld;
        bool answered;
        bool appealed;
        address accused;
        uint96 bond;
        address arbiter;
        uint96 amount;
    }

    /// @notice Seconds to answer.
    uint64 public constant ANSWER_WINDOW = 3 days;
    /// @notice Seconds to appeal, after the answer or after the time for one.
    uint64 public constant APPEAL_WINDOW = 3 days;
    /// @notice Seconds to rule.
    uint64 public constant RULING_WINDOW = 3 days;
    /// @notice Seconds between a ruling and its effect.
    uint64 public constant RULING_DELAY = 3 days;
    /// @notice Longest time from opening until a ruling can be carried out.
    uint64 public constant LONGEST = ANSWER_WINDOW + APPEAL_WINDOW + RULING_WINDOW + RULING_DELAY;
    /// @notice Least bond.
    uint256 public constant MIN_BOND = 0.05 ether;
    /// @notice A bond is at least this part of the stake at issue, in ten-thousandths.
    uint256 public constant BOND_BPS = 1_000;

    /// @notice `ComputeStaking`.
    BondedStake public immutable staking;
    /// @notice `ComputeRegistry`.
    BondedStake public immutable registryStake;

    /// @notice Who rules on disputes that are opened now.
    address public arbiter;
    /// @notice How many disputes there were; ids count from 1.
    uint256 public disputeCount;
    /// @notice Bonds of open disputes.
    uint256 public totalBonds;
    /// @notice Sum of `owed`.
    uint256 public totalOwed;
    /// @notice What an account may withdraw.
    mapping(address account => uint256) public owed;

    mapping(uint256 id => Dispute) private _disputes;

    /// @notice Somebody is accused; the answer is due at `deadline`.
    event DisputeOpened(
        uint256 indexed id,
        address indexed accuser,
        address indexed accused,
        uint256 amount,
        uint256 bond,
        address arbiter,
        bytes32 evidence,
        string evidenceURI,
        uint64 deadline
    );
    /// @notice The accused answered; an appeal is due at `deadline`.
    event DisputeAnswered(uint256 indexed id, bytes32 evidence, string evidenceURI, uint64 deadline);
    /// @notice The arbiter is to rule until `deadline`.
    event DisputeAppealed(uint256 indexed id, uint64 deadline);
    /// @notice The arbiter ruled; the ruling can be carried out from `effectiveAt` on.
    event DisputeRuled(uint256 indexed id, bool upheld, uint64 effectiveAt);
    /// @notice The dispute is over: what each side was credited, and the stake that was slashed.
    event DisputeClosed(uint256 indexed id, Outcome outcome, uint256 toAccuser, uint256 toAccused, uint256 slashed);
    /// @notice Disputes that are opened now are ruled on by another arbiter; no ruling of the last one takes effect.
    event ArbiterChanged(address indexed previous, address indexed current);
    /// @notice Money left the contract.
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice The account is zero.
    error ZeroAccount();
    /// @notice The amount is zero.
    error InvalidAmount();
    /// @notice Nobody accuses itself.
    error SelfDispute();
    /// @notice The bond must be exact.
    error WrongBond(uint256 given, uint256 wanted);
    /// @notice The account has no stake that this contract could hold.
    error NothingAtRisk(address account);
    /// @notice The caller has no part in this step.
    error NotParty(uint256 id, address caller);
    /// @notice The dispute isn't in a stage in which the call makes sense.
    error WrongStage(uint256 id, Stage stage);
    /// @notice The window closed at `deadline`.
    error TooLate(uint64 deadline);
    /// @notice The window is open until `deadline`.
    error TooEarly(uint64 deadline);
    /// @notice The account is owed nothing.
    error NothingOwed(address account);
    /// @notice The transfer failed.
    error TransferFailed();

    /// @param owner_ Governance: a timelock.
    /// @param arbiter_ Who rules.
    /// @param staking_ `ComputeStaking`.
    /// @param registry_ `ComputeRegistry`.
    constructor(address owner_, address arbiter_, BondedStake staking_, BondedStake registry_) Ownable(owner_) {
        if (arbiter_ == address(0) || address(staking_) == address(0) || address(registry_) == address(0)) {
            revert ZeroAccount();
        }
        staking = staking_;
        registryStake = registry_;
        arbiter = arbiter_;
        emit ArbiterChanged(address(0), arbiter_);
    }

    // ------------------------------------------------------------------ the two sides

    /// @notice Accuses an account, whose stake then stays where it is.
    /// @param accused Whose stake.
    /// @param amount Stake to be slashed, in wei; the stake contracts cut it to their largest part.
    /// @param evidence Digest of the evidence.
    /// @param evidenceURI Where it lies.
    /// @return id Id of the dispute.
    function openDispute(address accused, uint256 amount, bytes32 evidence, string calldata evidenceURI)
        external
        payable
        returns (uint256 id)
    {
        if (accused == msg.sender) revert SelfDispute();
        if (amount == 0) revert InvalidAmount();
        uint256 bond = bondFor(amount);
        if (msg.value != bond) revert WrongBond(msg.value, bond);

        id = ++disputeCount;
        Dispute storage dispute = _disputes[id];
        dispute.accuser = msg.sender;
        dispute.deadline = _now() + ANSWER_WINDOW;
        dispute.stage = Stage.Open;
        dispute.accused = accused;
        dispute.bond = bond.toUint96();
        dispute.arbiter = arbiter;
        dispute.amount = amount.toUint96();
        totalBonds += bond;
        emit DisputeOpened(id, msg.sender, accused, amount, bond, arbiter, evidence, evidenceURI, dispute.deadline);
        bool heldInStaking = _tryHold(staking, accused, id);
        bool heldInRegistry = _tryHold(registryStake, accused, id);
        if (!heldInStaking && !heldInRegistry) revert NothingAtRisk(accused);
    }

    /// @notice Denies the accusation, with a bond as high as the accuser's.
    /// @param id The dispute.
    /// @param evidence Digest of the evidence.
    /// @param evidenceURI Where it lies.
    function answer(uint256 id, bytes32 evidence, string calldata evidenceURI) external payable {
        Dispute storage dispute = _at(id, Stage.Open);
        if (msg.sender != dispute.accused) revert NotParty(id, msg.sender);
        if (_now() > dispute.deadline) revert TooLate(dispute.deadline);
        _takeBond(dispute);
        dispute.stage = Stage.Answered;
        dispute.answered = true;
        dispute.deadline = _now() + APPEAL_WINDOW;
        emit DisputeAnswered(id, evidence, evidenceURI, dispute.deadline);
    }

    /// @notice Calls the arbiter: against an answer with a second bond, or without one when no answer came.
    /// @param id The dispute.
    function appeal(uint256 id) external payable {
        Dispute storage dispute = _disputes[id];
        Stage stage = dispute.stage;
        if (stage != Stage.Open && stage != Stage.Answered) revert WrongStage(id, stage);
        if (msg.sender != dispute.accuser) revert NotParty(id, msg.sender);
        if (stage == Stage.Open) {
            if (_now() <= dispute.deadline) revert TooEarly(dispute.deadline);
            if (msg.value != 0) revert WrongBond(msg.value, 0);
        }
        uint64 last = _lastAppeal(dispute);
        if (_now() > last) revert TooLate(last);
        if (stage == Stage.Answered) {
            _takeBond(dispute);
            dispute.appealed = true;
        }
        dispute.stage = Stage.Appealed;
        dispute.deadline = _now() + RULING_WINDOW;
        emit DisputeAppealed(id, dispute.deadline);
    }

    /// @notice Ends a dispute whose time is over, in favour of whoever did its part. Anyone may call.
    /// @param id The dispute.
    function close(uint256 id) external nonReentrant {
        Dispute storage dispute = _disputes[id];
        Stage stage = dispute.stage;
        Outcome outcome = Outcome.Rejected;
        if (stage == Stage.Open || stage == Stage.Answered) {
            uint64 last = _lastAppeal(dispute);
            if (_now() <= last) revert TooEarly(last);
        } else if (stage == Stage.Appealed) {
            if (_now() <= dispute.deadline) revert TooEarly(dispute.deadline);
            outcome = Outcome.Lapsed;
        } else if (stage == Stage.Ruled) {
            if (_now() < dispute.deadline) revert TooEarly(dispute.deadline);
            if (dispute.arbiter != arbiter) outcome = Outcome.Lapsed;
            else if (dispute.upheld) outcome = Outcome.Upheld;
        } else {
            revert WrongStage(id, stage);
        }
        dispute.stage = Stage.Closed;
        _settle(id, dispute, outcome);
    }

    /// @notice Pays out what the caller is owed.
    /// @param to Who receives.
    /// @return amount What was paid.
    function withdrawTo(address to) external returns (uint256 amount) {
        if (to == address(0)) revert ZeroAccount();
        return _withdraw(to);
    }

    /// @notice Pays out what the caller is owed.
    /// @return amount What was paid.
    function withdraw() external returns (uint256 amount) {
        return _withdraw(msg.sender);
    }

    // ------------------------------------------------------------------ arbiter and governance

    /// @notice Rules on an appealed dispute. Takes effect `RULING_DELAY` later.
    /// @param id The dispute.
    /// @param upheld Whether the accusation is right.
    function rule(uint256 id, bool upheld) external {
        Dispute storage dispute = _at(id, Stage.Appealed);
        if (msg.sender != dispute.arbiter || msg.sender != arbiter) revert NotParty(id, msg.sender);
        if (_now() > dispute.deadline) revert TooLate(dispute.deadline);
        dispute.stage = Stage.Ruled;
        dispute.upheld = upheld;
        dispute.deadline = _now() + RULING_DELAY;
        emit DisputeRuled(id, upheld, dispute.deadline);
    }

    /// @notice Replaces the arbiter. Open disputes can't be ruled on by the new one, whom nobody chose for them: they lapse,
    /// rulings that are not yet carried out included.
    /// @param next The next arbiter.
    function setArbiter(address next) external onlyOwner {
        if (next == address(0)) revert ZeroAccount();
        emit ArbiterChanged(arbiter, next);
        arbiter = next;
    }

    // ------------------------------------------------------------------ reading

    /// @notice Bond of a dispute over an amount of stake.
    /// @param amount In wei.
    function bondFor(uint256 amount) public pure returns (uint256) {
        uint256 part = amount / (10_000 / BOND_BPS);
        return part < MIN_BOND ? MIN_BOND : part;
    }

    /// @notice A dispute; all zero if there is none.
    /// @param id Its id.
    function disputeOf(uint256 id) external view returns (Dispute memory) {
        return _disputes[id];
    }

    // ------------------------------------------------------------------ inside

    function _settle(uint256 id, Dispute storage dispute, Outcome outcome) private {
        address accused = dispute.accused;
        uint256 slashed;
        if (outcome == Outcome.Upheld) {
            slashed = _trySlash(staking, accused, dispute.amount, bytes32(id), address(0));
            if (slashed < dispute.amount) {
                slashed += _trySlash(registryStake, accused, dispute.amount - slashed, bytes32(id), address(0));
            }
        }
        // Not before: without the hold, stake whose unbonding is over would be out of reach at once.
        _tryRelease(staking, accused, id);
        _tryRelease(registryStake, accused, id);

        uint256 ofAccuser = uint256(dispute.bond) * (dispute.appealed ? 2 : 1);
        uint256 ofAccused = dispute.answered ? dispute.bond : 0;
        totalBonds -= ofAccuser + ofAccused;
        if (outcome == Outcome.Upheld) {
            (ofAccuser, ofAccused) = (ofAccuser + ofAccused, 0);
        } else if (outcome == Outcome.Rejected) {
            (ofAccuser, ofAccused) = (0, ofAccuser + ofAccused);
        }
        _credit(dispute.accuser, ofAccuser);
        _credit(accused, ofAccused);
        emit DisputeClosed(id, outcome, ofAccuser, ofAccused, slashed);
    }

    function _takeBond(Dispute storage dispute) private {
        uint256 bond = dispute.bond;
        if (msg.value != bond) revert WrongBond(msg.value, bond);
        totalBonds += bond;
    }

    function _credit(address account, uint256 amount) private {
        owed[account] += amount;
        totalOwed += amount;
    }

    function _withdraw(address to) private nonReentrant returns (uint256 amount) {
        amount = owed[msg.sender];
        if (amount == 0) revert NothingOwed(msg.sender);
        owed[msg.sender] = 0;
        totalOwed -= amount;
        emit Withdrawn(msg.sender, to, amount);
        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert TransferFailed();
    }

    function _tryHold(BondedStake stake, address account, uint256 id) private returns (bool) {
        if (!_canAct(stake, account)) return false;
        stake.hold(account, bytes32(id));
        return true;
    }

    /// Anyone may have cleared a hold that outlived itself; bonds must not hang on it.
    function _tryRelease(BondedStake stake, address account, uint256 id) private {
        if (stake.heldUntil(account, address(this), bytes32(id)) != 0) stake.release(account, bytes32(id));
    }

    /// Zero if there is nothing to take, or if this contract is no longer a challenger there.
    function _trySlash(BondedStake stake, address account, uint256 amount, bytes32 offence, address reporter)
        internal
        returns (uint256)
    {
        if (!_canAct(stake, account)) return 0;
        return stake.slashFor(account, amount, offence, reporter);
    }

    function _canAct(BondedStake stake, address account) private view returns (bool) {
        return stake.isChallenger(address(this)) && stake.atRisk(account) > 1;
    }

    function _lastAppeal(Dispute storage dispute) private view returns (uint64) {
        return dispute.stage == Stage.Open ? dispute.deadline + APPEAL_WINDOW : dispute.deadline;
    }

    function _at(uint256 id, Stage stage) private view returns (Dispute storage dispute) {
        dispute = _disputes[id];
        if (dispute.stage != stage) revert WrongStage(id, dispute.stage);
    }

    function _now() internal view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp, unsafe-typecast)
        return uint64(block.timestamp);
    }
}
