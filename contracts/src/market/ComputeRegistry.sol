// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IIdentity} from "../interfaces/IIdentity.sol";
import {IAttestedKeys} from "../interfaces/ITrust.sol";
import {BondedStake} from "./BondedStake.sol";
import {Capabilities} from "./Capabilities.sol";

/// @title ComputeRegistry
/// @notice Who offers compute, where, at what price, with which stake and which attested key.
/// @dev How stake leaves, is held and is lost: `BondedStake`. Functions, events and tuples are those that Jeju clients
/// know. What is new: `withdrawStake` starts an unbonding that `withdraw` ends; a registration with an agent ends when the
/// agent's NFT moves; a raised minimum makes providers inactive without anybody's call; lists come by pages; a provider
/// says which attested keys it answers for.
///
/// Whether a provider is active is never stored alone: the stored flag is what the provider wants, `isActive` is what holds
/// now. `attestationHash` is what a provider says of itself and proves nothing: clients look at the attested key.
///
/// Liability. An attested key's receipts can be held against the provider that named the key here, while it lived, for
/// the agent that the key is registered for. That stays so when the agent is sold or the key dies: a seller can't slash the
/// buyer with old keys, and a key that nobody named has no stake behind it. Who hands over a machine stops its enclave
/// first, since its keys stay the seller's risk.
contract ComputeRegistry is BondedStake, Capabilities {
    /// @notice A provider, as Jeju clients decode it.
    /// @param owner The provider's account; zero if it isn't registered.
    /// @param name Display name.
    /// @param endpoint Base URL of its API.
    /// @param attestationHash What the provider says of itself.
    /// @param stake Bonded stake in wei.
    /// @param registeredAt Unix seconds.
    /// @param agentId Linked agent; zero if there is none or the link ended.
    /// @param active Whether it counts as a provider now.
    struct Provider {
        address owner;
        string name;
        string endpoint;
        bytes32 attestationHash;
        uint256 stake;
        uint256 registeredAt;
        uint256 agentId;
        bool active;
    }

    struct Record {
        uint64 registeredAt;
        uint64 agentEpoch;
        // Times that it was slashed: keys named before the last one can't be named again.
        uint32 slashes;
        bool active;
        uint256 agentId;
        address key;
        bytes32 attestationHash;
        string name;
        string endpoint;
    }

    struct KeyLink {
        address provider;
        uint32 slashes;
    }

    /// @notice Governance can't set a lower minimum of stake.
    uint256 public constant LEAST_MIN_STAKE = 0.001 ether;
    /// @notice Governance can't set a higher minimum of stake.
    uint256 public constant MOST_MIN_STAKE = 10 ether;

    /// @notice Registry of agents.
    IIdentity public immutable identityRegistry;
    /// @notice Registry of attested keys.
    IAttestedKeys public immutable attestedKeys;

    /// @notice Stake below which no provider is active.
    uint256 public minProviderStake = 0.01 ether;
    /// @notice Whether a provider needs an agent to be active.
    bool public requireAgentRegistration;
    /// @notice All providers ever registered, in that order; the list only grows.
    address[] public providerList;

    mapping(address provider => Record) private _records;
    mapping(uint256 agentId => address) private _agentProvider;
    mapping(address key => KeyLink) private _keys;

    /// @notice A provider registered.
    event ProviderRegistered(
        address indexed provider, string name, string endpoint, bytes32 attestationHash, uint256 stake, uint256 agentId
    );
    /// @notice A provider moved.
    event ProviderUpdated(address indexed provider, string endpoint, bytes32 attestationHash);
    /// @notice A provider stopped, or was stopped by a slash.
    event ProviderDeactivated(address indexed provider);
    /// @notice A provider starts again.
    event ProviderReactivated(address indexed provider);
    /// @notice Stake was added.
    event StakeAdded(address indexed provider, uint256 amount, uint256 newTotal);
    /// @notice Unbonding is over: the money is the provider's.
    event StakeWithdrawn(address indexed provider, uint256 amount);
    /// @notice The minimum changed; who has less is inactive from now on.
    event MinStakeUpdated(uint256 oldStake, uint256 newStake);
    /// @notice The registry of agents, once, at deployment.
    event IdentityRegistryUpdated(address indexed oldRegistry, address indexed newRegistry);
    /// @notice Whether providers need an agent changed.
    event AgentRegistrationRequirementUpdated(bool required);
    /// @notice A provider's agent; zero: none. The link ends when `epoch` does.
    event AgentLinked(address indexed provider, uint256 indexed agentId, uint64 epoch);
    /// @notice A provider answers for an attested key and shows it to clients; zero: it shows none.
    event AttestedKeySet(address indexed provider, address indexed key);

    /// @notice The account is registered.
    error ProviderAlreadyRegistered();
    /// @notice The account isn't registered.
    error ProviderNotRegistered();
    /// @notice The provider has stopped already.
    error ProviderNotActive();
    /// @notice The provider hasn't stopped.
    error ProviderStillActive();
    /// @notice The endpoint is empty or too long.
    error InvalidEndpoint();
    /// @notice The name is empty or too long.
    error InvalidName();
    /// @notice An active provider keeps the minimum.
    error WithdrawalWouldBreachMinimum();
    /// @notice Providers need an agent.
    error AgentRequired();
    /// @notice Zero is no agent.
    error InvalidAgentId();
    /// @notice The caller doesn't own the agent.
    error NotAgentOwner();
    /// @notice The agent is linked.
    error AgentAlreadyLinked();
    /// @notice The provider has no agent, or its NFT moved.
    error AgentLinkEnded(uint256 agentId);
    /// @notice The key isn't live.
    error KeyNotLive(address key);
    /// @notice The key is another agent's.
    error KeyOfOtherAgent(address key, uint256 agentId);
    /// @notice Another provider answers for the key, or it was named before a slash.
    error KeyTaken(address key, address provider);
    /// @notice The minimum is out of bounds.
    error MinStakeOutOfBounds(uint256 wanted, uint256 least, uint256 most);

    /// @param owner_ Governance: a timelock.
    /// @param sink_ Where slashed stake goes; not the owner.
    /// @param challengerDelay_ At least `MIN_CHALLENGER_DELAY` unless the chain is a local one.
    /// @param firstChallenger A challenger from the start; zero for none.
    /// @param identity `IdentityRegistry`.
    /// @param keys `AttestedKeyRegistry`.
    constructor(
        address owner_,
        address sink_,
        uint64 challengerDelay_,
        address firstChallenger,
        IIdentity identity,
        IAttestedKeys keys
    ) BondedStake(owner_, sink_, challengerDelay_, firstChallenger) {
        if (address(identity) == address(0) || address(keys) == address(0)) revert ZeroAccount();
        identityRegistry = identity;
        attestedKeys = keys;
        emit IdentityRegistryUpdated(address(0), address(identity));
    }

    // ------------------------------------------------------------------ registration

    /// @notice Registers the caller as provider, with the value as stake.
    /// @param name Display name.
    /// @param endpoint Base URL of its API.
    /// @param attestationHash Free for the provider's use.
    function register(string calldata name, string calldata endpoint, bytes32 attestationHash) external payable {
        if (requireAgentRegistration) revert AgentRequired();
        _register(name, endpoint, attestationHash, 0);
    }

    /// @notice Registers the caller as provider with its agent.
    /// @param name Display name.
    /// @param endpoint Base URL of its API.
    /// @param attestationHash Free for the provider's use.
    /// @param agentId Agent that the caller owns.
    function registerWithAgent(string calldata name, string calldata endpoint, bytes32 attestationHash, uint256 agentId)
        external
        payable
    {
        if (agentId == 0) revert InvalidAgentId();
        _register(name, endpoint, attestationHash, agentId);
        _link(agentId);
    }

    /// @notice Links the provider to an agent that it owns, in place of any other.
    /// @param agentId The agent.
    function linkAgent(uint256 agentId) external {
        _registered(msg.sender);
        if (agentId == 0) revert InvalidAgentId();
        _link(agentId);
    }

    /// @notice Ends the provider's link to its agent, as after a sale.
    function unlinkAgent() external {
        Record storage record = _registered(msg.sender);
        if (record.agentId == 0) revert InvalidAgentId();
        record.agentId = 0;
        record.agentEpoch = 0;
        emit AgentLinked(msg.sender, 0, 0);
        _showKey(record, address(0));
    }

    /// @notice Moves the provider.
    /// @param endpoint New base URL.
    /// @param attestationHash Free for the provider's use; zero keeps the present one.
    function updateEndpoint(string calldata endpoint, bytes32 attestationHash) external {
        Record storage record = _registered(msg.sender);
        if (!_isText(endpoint)) revert InvalidEndpoint();
        record.endpoint = endpoint;
        if (attestationHash != bytes32(0)) record.attestationHash = attestationHash;
        emit ProviderUpdated(msg.sender, endpoint, attestationHash);
    }

    /// @notice Stops the provider. Its stake stays.
    function deactivate() external {
        Record storage record = _registered(msg.sender);
        if (!record.active) revert ProviderNotActive();
        record.active = false;
        emit ProviderDeactivated(msg.sender);
    }

    /// @notice Starts a stopped provider again.
    function reactivate() external whenNotPaused {
        Record storage record = _registered(msg.sender);
        if (record.active) revert ProviderStillActive();
        uint256 bonded = _accounts[msg.sender].bonded;
        if (bonded < minProviderStake) revert InsufficientStake(bonded, minProviderStake);
        if (record.agentId == 0 && requireAgentRegistration) revert AgentRequired();
        if (record.agentId != 0 && !_isLinked(record)) revert AgentLinkEnded(record.agentId);
        record.active = true;
        emit ProviderReactivated(msg.sender);
    }

    // ------------------------------------------------------------------ stake

    /// @notice Adds to the stake.
    function addStake() external payable whenNotPaused {
        _registered(msg.sender);
        _bond(msg.sender, msg.value);
        emit StakeAdded(msg.sender, msg.value, _accounts[msg.sender].bonded);
    }

    /// @notice Starts the unbonding of stake; `withdraw` pays once it is over. An active provider keeps the minimum.
    /// @param amount In wei.
    function withdrawStake(uint256 amount) external {
        _registered(msg.sender);
        uint256 bonded = _accounts[msg.sender].bonded;
        if (amount <= bonded && bonded - amount < minProviderStake && isActive(msg.sender)) {
            revert WithdrawalWouldBreachMinimum();
        }
        _unbond(msg.sender, amount);
    }

    // ------------------------------------------------------------------ attested keys

    /// @notice Answers for an attested key of the linked agent and shows it to clients. For good: receipts of the key can
    /// be held against this provider from now on, also when it shows another.
    /// @param key Live key of `AttestedKeyRegistry`; zero to show none.
    function setAttestedKey(address key) external {
        Record storage record = _registered(msg.sender);
        if (key != address(0)) {
            if (!_isLinked(record)) revert AgentLinkEnded(record.agentId);
            if (!attestedKeys.isLive(key)) revert KeyNotLive(key);
            (uint256 agentId,) = attestedKeys.agentOf(key);
            if (agentId != record.agentId) revert KeyOfOtherAgent(key, agentId);
            KeyLink storage link = _keys[key];
            if (link.provider == address(0)) {
                _keys[key] = KeyLink(msg.sender, record.slashes);
            } else if (link.provider != msg.sender || link.slashes != record.slashes) {
                // A key that was punished once isn't punished again, so nobody may rely on it again.
                revert KeyTaken(key, link.provider);
            }
        }
        _showKey(record, key);
    }

    // ------------------------------------------------------------------ reading

    /// @notice A provider; all zero if it isn't registered.
    /// @param addr Its account.
    function getProvider(address addr) external view returns (Provider memory) {
        Record storage record = _records[addr];
        return Provider({
            owner: record.registeredAt == 0 ? address(0) : addr,
            name: record.name,
            endpoint: record.endpoint,
            attestationHash: record.attestationHash,
            stake: _accounts[addr].bonded,
            registeredAt: record.registeredAt,
            agentId: getProviderAgentId(addr),
            active: isActive(addr)
        });
    }

    /// @notice Whether the account is a provider that wants work, has the minimum of stake now, and whose agent, if it
    /// registered one, is still its own.
    /// @param addr Any account.
    function isActive(address addr) public view returns (bool) {
        Record storage record = _records[addr];
        if (!record.active || _accounts[addr].bonded < minProviderStake) return false;
        return record.agentId == 0 ? !requireAgentRegistration : _isLinked(record);
    }

    /// @notice All active providers. Unbounded, off chain only: see `getActiveProvidersPage`.
    function getActiveProviders() external view returns (address[] memory active) {
        (active,) = getActiveProvidersPage(0, type(uint256).max);
    }

    /// @notice Active providers among those at `cursor` to `cursor + limit` of `providerList`, which only grows: paging
    /// through it misses nobody.
    /// @param cursor Where to start.
    /// @param limit How many providers to look at, active or not.
    /// @return active The active ones.
    /// @return next Cursor of the next page; the list's length once it is through.
    function getActiveProvidersPage(uint256 cursor, uint256 limit)
        public
        view
        returns (address[] memory active, uint256 next)
    {
        uint256 left = cursor < providerList.length ? providerList.length - cursor : 0;
        if (limit > left) limit = left;
        active = new address[](limit);
        uint256 found;
        for (uint256 i = 0; i < limit; i++) {
            address provider = providerList[cursor + i];
            if (isActive(provider)) active[found++] = provider;
        }
        next = limit == left ? providerList.length : cursor + limit;
        assembly ("memory-safe") {
            mstore(active, found)
        }
    }

    /// @notice Bonded stake in wei.
    /// @param addr Any account.
    function getProviderStake(address addr) external view returns (uint256) {
        return _accounts[addr].bonded;
    }

    /// @notice How many providers were ever registered.
    function getProviderCount() external view returns (uint256) {
        return providerList.length;
    }

    /// @notice Whether the provider is linked to an agent that it owns.
    /// @param addr Any account.
    function isVerifiedAgent(address addr) external view returns (bool) {
        return _isLinked(_records[addr]);
    }

    /// @notice Provider that is linked to an agent; zero if there is none or the link ended.
    /// @param agentId Any id.
    function getProviderByAgent(uint256 agentId) external view returns (address) {
        address provider = _agentProvider[agentId];
        Record storage record = _records[provider];
        return record.agentId == agentId && _isLinked(record) ? provider : address(0);
    }

    /// @notice Agent of a provider; zero if there is none or the link ended.
    /// @param provider Any account.
    function getProviderAgentId(address provider) public view returns (uint256) {
        Record storage record = _records[provider];
        return _isLinked(record) ? record.agentId : 0;
    }

    /// @notice Attested key that a provider shows.
    /// @param provider Any account.
    /// @return key The key; zero if it shows none.
    /// @return live Whether the key lives and the provider's link to its agent does.
    function attestedKeyOf(address provider) external view returns (address key, bool live) {
        Record storage record = _records[provider];
        key = record.key;
        live = key != address(0) && _isLinked(record) && attestedKeys.isLive(key);
    }

    /// @notice Provider that answers for a key, dead or alive; zero if none does.
    /// @param key Any account.
    function providerOfKey(address key) external view returns (address) {
        return _keys[key].provider;
    }

    /// @notice Version of the interface.
    function version() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ governance

    /// @notice Sets the least stake of an active provider, within bounds.
    /// @param newMinStake In wei.
    function setMinProviderStake(uint256 newMinStake) external onlyOwner {
        if (newMinStake < LEAST_MIN_STAKE || newMinStake > MOST_MIN_STAKE) {
            revert MinStakeOutOfBounds(newMinStake, LEAST_MIN_STAKE, MOST_MIN_STAKE);
        }
        emit MinStakeUpdated(minProviderStake, newMinStake);
        minProviderStake = newMinStake;
    }

    /// @notice Sets whether providers need an agent to be active.
    /// @param required Whether they do.
    function setRequireAgentRegistration(bool required) external onlyOwner {
        requireAgentRegistration = required;
        emit AgentRegistrationRequirementUpdated(required);
    }

    // ------------------------------------------------------------------ inside

    function _register(string calldata name, string calldata endpoint, bytes32 attestationHash, uint256 agentId)
        private
        whenNotPaused
    {
        Record storage record = _records[msg.sender];
        if (record.registeredAt != 0) revert ProviderAlreadyRegistered();
        if (!_isText(name)) revert InvalidName();
        if (!_isText(endpoint)) revert InvalidEndpoint();
        if (msg.value < minProviderStake) revert InsufficientStake(msg.value, minProviderStake);

        record.registeredAt = _now();
        record.active = true;
        record.attestationHash = attestationHash;
        record.name = name;
        record.endpoint = endpoint;
        providerList.push(msg.sender);
        _bond(msg.sender, msg.value);
        emit ProviderRegistered(msg.sender, name, endpoint, attestationHash, msg.value, agentId);
    }

    /// A link that lives belongs to the agent's owner, so no other provider can lose its agent here.
    function _link(uint256 agentId) private {
        if (identityRegistry.ownerOf(agentId) != msg.sender) revert NotAgentOwner();
        Record storage record = _records[msg.sender];
        if (record.agentId == agentId && _isLinked(record)) revert AgentAlreadyLinked();
        uint64 epoch = identityRegistry.agentEpoch(agentId);
        record.agentId = agentId;
        record.agentEpoch = epoch;
        _agentProvider[agentId] = msg.sender;
        emit AgentLinked(msg.sender, agentId, epoch);
        _showKey(record, address(0));
    }

    function _showKey(Record storage record, address key) private {
        if (record.key == key) return;
        record.key = key;
        emit AttestedKeySet(msg.sender, key);
    }

    function _registered(address provider) private view returns (Record storage record) {
        record = _records[provider];
        if (record.registeredAt == 0) revert ProviderNotRegistered();
    }

    function _isLinked(Record storage record) private view returns (bool) {
        return record.agentId != 0 && identityRegistry.agentEpoch(record.agentId) == record.agentEpoch;
    }

    /// @inheritdoc Capabilities
    function _requireProvider() internal view override {
        _registered(msg.sender);
    }

    function _bondedChanged(address, uint256) internal override {}

    /// A slashed provider stops until it comes back by itself, and its old keys don't come back.
    function _slashed(address account, uint256, bytes32) internal override {
        Record storage record = _records[account];
        record.slashes++;
        record.key = address(0);
        emit AttestedKeySet(account, address(0));
        if (record.active) {
            record.active = false;
            emit ProviderDeactivated(account);
        }
    }

    function _unbonded(address account, uint256 amount) internal override {
        emit StakeWithdrawn(account, amount);
    }
}
