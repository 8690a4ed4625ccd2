// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Observed} from "./Observed.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {Revocable} from "./Revocable.sol";

/// @title HardwareRegistry
/// @notice Which machines an agent may run on, and with what class of key material each may be entrusted. A measurement
/// says what runs; only the machine's identity says who could open its case.
/// @dev A machine is named by its platform id (`docs/wire-formats.md` §7). The owner proposes a machine for an agent and
/// allows it after the timelock; the revoker ends that, or the machine for all agents, at once and for good. A permission
/// belongs to the agent's epoch: whoever buys an agent has shown nobody his machines.
contract HardwareRegistry is Observed {
    /// @notice How far a machine has come for an agent. `Revoked` is final.
    enum Stage {
        None,
        Proposed,
        Allowed,
        Revoked
    }

    /// @notice One machine of one agent.
    /// @param since Unix seconds. While proposed: the earliest time of permission; then: the time of permission.
    /// @param revokedAt Unix seconds, zero while not revoked.
    /// @param agentEpoch Epoch of the agent that it is for.
    /// @param custody Class of key material that may be held there; zero for none.
    /// @param stage See `Stage`.
    /// @param agentId Agent.
    /// @param hardware Platform id.
    struct Machine {
        uint64 since;
        uint64 revokedAt;
        uint64 agentEpoch;
        uint8 custody;
        Stage stage;
        uint256 agentId;
        bytes32 hardware;
    }

    /// @notice Agents.
    IIdentity public immutable identity;

    /// @notice How many pairs of agent and machine were ever proposed: their numbers go from 1 to this.
    uint48 public machineCount;
    address private _revoker;
    mapping(uint48 number => Machine) private _machines;
    /// @notice Number of a machine of an agent; zero if it was never proposed.
    mapping(uint256 agentId => mapping(bytes32 hardware => uint48 number)) public numberOf;
    /// @notice Unix seconds from which a machine is refused for all agents; zero if it isn't.
    mapping(bytes32 hardware => uint64 since) public hardwareRevokedAt;

    /// @notice A machine waits for its timelock.
    event HardwareProposed(
        uint256 indexed agentId,
        bytes32 indexed hardware,
        uint48 indexed number,
        uint64 agentEpoch,
        uint8 custody,
        uint64 readyAt
    );
    /// @notice The agent may run on the machine.
    event HardwareAllowed(uint256 indexed agentId, bytes32 indexed hardware, uint64 since);
    /// @notice The agent may not run on the machine any more, for good.
    event HardwareRevoked(uint256 indexed agentId, bytes32 indexed hardware, uint64 revokedAt);
    /// @notice No agent may run on the machine any more, for good.
    event HardwareRevokedForAll(bytes32 indexed hardware, uint64 revokedAt);

    /// @notice The platform id is zero.
    error ZeroHardware();
    /// @notice The machine isn't in a stage in which the call makes sense.
    error WrongStage(uint256 agentId, bytes32 hardware, Stage stage);
    /// @notice The machine was revoked for all agents.
    error RevokedForAll(bytes32 hardware, uint64 since);
    /// @notice The agent has another owner than when the machine was proposed.
    error AgentMoved(uint256 agentId, uint64 proposedFor, uint64 current);

    /// @param owner_ Governance.
    /// @param revoker_ The account that may revoke; not the owner.
    /// @param minDelay_ Timelock in seconds, at least `MIN_PUBLIC_DELAY` unless the chain is a local one.
    /// @param identity_ Agents.
    constructor(address owner_, address revoker_, uint64 minDelay_, IIdentity identity_)
        Revocable(owner_, revoker_, minDelay_)
    {
        if (address(identity_) == address(0)) revert ZeroAccount();
        identity = identity_;
    }

    // ------------------------------------------------------------------ reading

    /// @notice The machine with that number; all zero if there is none.
    /// @param number From `numberOf`.
    function machineAt(uint48 number) external view returns (Machine memory) {
        return _machines[number];
    }

    /// @notice Whether the agent may run on the machine now.
    /// @param agentId Agent.
    /// @param hardware Platform id.
    function isAllowed(uint256 agentId, bytes32 hardware) external view returns (bool allowed) {
        (, allowed) = find(agentId, hardware);
    }

    /// @notice Number of a machine of an agent, and whether the agent may run on it now.
    /// @param agentId Agent.
    /// @param hardware Platform id.
    function find(uint256 agentId, bytes32 hardware) public view returns (uint48 number, bool allowed) {
        number = numberOf[agentId][hardware];
        Machine storage machine = _machines[number];
        allowed = machine.stage == Stage.Allowed && machine.agentEpoch == identity.agentEpoch(agentId)
            && hardwareRevokedAt[hardware] == 0;
    }

    /// @notice How the machine with that number stands now.
    /// @param number From `numberOf`; there is no machine 0.
    /// @return allowed Whether its agent may run on it.
    /// @return custody Class of key material that may be held there.
    /// @return endedAt Unix seconds from which it was revoked; zero if it wasn't.
    function standing(uint48 number) public view returns (bool allowed, uint8 custody, uint64 endedAt) {
        Machine storage machine = _machines[number];
        Stage stage = machine.stage;
        if (stage == Stage.None) return (false, 0, 0);
        custody = machine.custody;
        endedAt = machine.revokedAt;
        uint64 forAll = hardwareRevokedAt[machine.hardware];
        if (forAll != 0 && (endedAt == 0 || forAll < endedAt)) endedAt = forAll;
        allowed = stage == Stage.Allowed && endedAt == 0 && machine.agentEpoch == identity.agentEpoch(machine.agentId);
    }

    // ------------------------------------------------------------------ governance

    /// @notice Announces that an agent is to run on a machine. It can be allowed once `minDelay` has passed. May be
    /// repeated after the agent moved.
    /// @param agentId Existing agent.
    /// @param hardware Platform id.
    /// @param custody Class of key material that may be held there.
    function propose(uint256 agentId, bytes32 hardware, uint8 custody) external onlyOwner {
        if (hardware == bytes32(0)) revert ZeroHardware();
        if (hardwareRevokedAt[hardware] != 0) revert RevokedForAll(hardware, hardwareRevokedAt[hardware]);
        identity.ownerOf(agentId);
        uint64 epoch = identity.agentEpoch(agentId);
        uint48 number = numberOf[agentId][hardware];
        Stage stage = _machines[number].stage;
        bool again = stage != Stage.None && stage != Stage.Revoked && _machines[number].agentEpoch != epoch;
        if (stage != Stage.None && !again) revert WrongStage(agentId, hardware, stage);

        if (number == 0) {
            number = ++machineCount;
            numberOf[agentId][hardware] = number;
        }
        uint64 readyAt = _now() + minDelay;
        _machines[number] = Machine({
            since: readyAt,
            revokedAt: 0,
            agentEpoch: epoch,
            custody: custody,
            stage: Stage.Proposed,
            agentId: agentId,
            hardware: hardware
        });
        emit HardwareProposed(agentId, hardware, number, epoch, custody, readyAt);
    }

    /// @notice Lets an agent run on a proposed machine whose timelock has run out.
    /// @param agentId Agent, of the same owner as when it was proposed.
    /// @param hardware Platform id.
    function allow(uint256 agentId, bytes32 hardware) external onlyOwner {
        Machine storage machine = _machines[numberOf[agentId][hardware]];
        if (machine.stage != Stage.Proposed) revert WrongStage(agentId, hardware, machine.stage);
        if (_now() < machine.since) revert TooEarly(machine.since);
        if (hardwareRevokedAt[hardware] != 0) revert RevokedForAll(hardware, hardwareRevokedAt[hardware]);
        uint64 epoch = identity.agentEpoch(agentId);
        if (epoch != machine.agentEpoch) revert AgentMoved(agentId, machine.agentEpoch, epoch);

        machine.since = _now();
        machine.stage = Stage.Allowed;
        emit HardwareAllowed(agentId, hardware, _now());
    }

    // ------------------------------------------------------------------ revoker

    /// @notice Ends an agent's permission at once and for good, whether it is in force or still waiting.
    /// @param agentId Agent.
    /// @param hardware Platform id.
    function revoke(uint256 agentId, bytes32 hardware) external onlyRevoker {
        Machine storage machine = _machines[numberOf[agentId][hardware]];
        Stage stage = machine.stage;
        if (stage != Stage.Proposed && stage != Stage.Allowed) revert WrongStage(agentId, hardware, stage);
        if (stage == Stage.Proposed) machine.since = _now();
        machine.revokedAt = _now();
        machine.stage = Stage.Revoked;
        emit HardwareRevoked(agentId, hardware, _now());
        _notify();
    }

    /// @notice Ends a machine for all agents at once and for good, also before anybody proposes it: its keys leaked, or
    /// somebody opened it.
    /// @param hardware Platform id.
    function revokeForAll(bytes32 hardware) external onlyRevoker {
        if (hardware == bytes32(0)) revert ZeroHardware();
        if (hardwareRevokedAt[hardware] != 0) revert RevokedForAll(hardware, hardwareRevokedAt[hardware]);
        hardwareRevokedAt[hardware] = _now();
        emit HardwareRevokedForAll(hardware, _now());
        _notify();
    }

    /// @inheritdoc Revocable
    function revoker() public view override returns (address) {
        return _revoker;
    }

    /// @inheritdoc Revocable
    function _setRevoker(address account) internal override {
        _revoker = account;
    }
}
