// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";
import {ERC721Utils} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Utils.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IIdentity} from "../interfaces/IIdentity.sol";
import {IAgentObserver} from "../interfaces/IObservers.sol";
import {Observed} from "../trust/Observed.sol";
import {Revocable} from "../trust/Revocable.sol";

/// @title IdentityRegistry
/// @notice Agents as NFTs: the identity registry of ERC-8004, with an epoch for each agent.
/// @dev Nobody has a role over agents: nothing can be paused or banned, and there is no burning, so an agent's id names it
/// for good. Ids start at 1: zero means "no agent" everywhere. Governance may do one thing, after its timelock: name a few
/// contracts that are told when an agent moves (`Observed`), none of which can stop it. The revoker may veto that.
///
/// Of the seed's registry, what clients read and write cheaply is kept (`setAgentUri`, `agentExists`, `totalAgents`).
/// Stake tiers are not: stake lies in `ComputeStaking` and `ComputeRegistry`, bound to an account, and can't be sold
/// together with an NFT. Tags, endpoints and categories are metadata entries or part of the registration file.
contract IdentityRegistry is ERC721URIStorage, EIP712, IIdentity, Observed {
    /// @notice One entry of an agent's on-chain metadata.
    /// @param metadataKey At most `MAX_KEY` bytes, not `agentWallet`.
    /// @param metadataValue At most `MAX_VALUE` bytes.
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    struct Agent {
        address wallet;
        uint64 epoch;
    }

    /// @notice Longest metadata key, in bytes.
    uint256 public constant MAX_KEY = 256;
    /// @notice Longest metadata value, in bytes.
    uint256 public constant MAX_VALUE = 8192;
    /// @notice A wallet's consent is good for at most this many seconds, so that a forgotten one can't be used later.
    uint256 public constant MAX_CONSENT = 5 minutes;
    /// @notice EIP-712 type of a wallet's consent to receive what an agent earns.
    bytes32 public constant AGENT_WALLET_SET_TYPEHASH =
        keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)");

    string private constant WALLET_KEY = "agentWallet";

    uint256 private _lastId;
    mapping(uint256 agentId => Agent) private _agents;
    mapping(uint256 agentId => mapping(string key => bytes)) private _metadata;
    address private _revoker;

    /// @notice A new agent exists.
    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
    /// @notice A metadata entry changed. The reserved key `agentWallet` carries 20 bytes, or none once cleared.
    event MetadataSet(
        uint256 indexed agentId, string indexed indexedMetadataKey, string metadataKey, bytes metadataValue
    );
    /// @notice The agent's registration file moved.
    event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);
    /// @notice The agent changed hands: what was agreed with its last owner has ended.
    event EpochStarted(uint256 indexed agentId, uint64 epoch, address indexed owner);

    /// @notice The caller is neither the agent's owner nor approved by it.
    error NotAuthorized(uint256 agentId, address caller);
    /// @notice `agentWallet` is set by `setAgentWallet` only.
    error ReservedKey();
    /// @notice The metadata key is too long.
    error KeyTooLong(uint256 length, uint256 maximum);
    /// @notice The metadata value is too long.
    error ValueTooLong(uint256 length, uint256 maximum);
    /// @notice The wallet is zero.
    error ZeroWallet();
    /// @notice The consent has run out.
    error ConsentExpired(uint256 deadline);
    /// @notice The consent would be good for too long.
    error ConsentTooLong(uint256 deadline, uint256 latest);
    /// @notice The wallet didn't sign.
    error InvalidConsent(address wallet);

    /// @param owner_ Governance, which names observers.
    /// @param revoker_ The account that may veto that; not the owner.
    /// @param minDelay_ Timelock in seconds, at least `MIN_PUBLIC_DELAY` unless the chain is a local one.
    constructor(address owner_, address revoker_, uint64 minDelay_)
        ERC721("AgentIdentity", "AGENT")
        EIP712("ERC8004IdentityRegistry", "1")
        Revocable(owner_, revoker_, minDelay_)
    {}

    // ------------------------------------------------------------------ registration

    /// @notice Registers an agent of the caller, without a registration file; `setAgentURI` names one.
    /// @return agentId Id of the new agent.
    function register() external returns (uint256 agentId) {
        agentId = _create("");
        _checkReceiver(agentId);
    }

    /// @notice Registers an agent of the caller.
    /// @param agentURI Where the registration file lies.
    /// @return agentId Id of the new agent.
    function register(string calldata agentURI) external returns (uint256 agentId) {
        agentId = _create(agentURI);
        _checkReceiver(agentId);
    }

    /// @notice Registers an agent of the caller with metadata.
    /// @param agentURI Where the registration file lies.
    /// @param metadata First entries; the reserved key is refused.
    /// @return agentId Id of the new agent.
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId) {
        agentId = _create(agentURI);
        for (uint256 i = 0; i < metadata.length; i++) {
            _setMetadata(agentId, metadata[i].metadataKey, metadata[i].metadataValue);
        }
        _checkReceiver(agentId);
    }

    // ------------------------------------------------------------------ what owner and operators change

    /// @notice Moves the agent's registration file.
    /// @param agentId Agent of the caller.
    /// @param newURI Where the file lies now.
    function setAgentURI(uint256 agentId, string calldata newURI) external {
        _setAgentURI(agentId, newURI);
    }

    /// @notice The same as `setAgentURI`, under the name that older clients call.
    /// @param agentId Agent of the caller.
    /// @param newURI Where the file lies now.
    function setAgentUri(uint256 agentId, string calldata newURI) external {
        _setAgentURI(agentId, newURI);
    }

    /// @notice Sets a metadata entry.
    /// @param agentId Agent of the caller.
    /// @param metadataKey At most `MAX_KEY` bytes, not `agentWallet`.
    /// @param metadataValue At most `MAX_VALUE` bytes.
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external {
        _requireAuthorized(agentId);
        _setMetadata(agentId, metadataKey, metadataValue);
    }

    /// @notice Names the account that receives what the agent earns. The account itself must consent, else an owner could
    /// claim a stranger's good name.
    /// @param agentId Agent of the caller.
    /// @param newWallet The account; ERC-1271 accepted.
    /// @param deadline Unix seconds until which the consent is good, at most `MAX_CONSENT` ahead.
    /// @param signature The account's EIP-712 signature over `AgentWalletSet`.
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external {
        _requireAuthorized(agentId);
        if (newWallet == address(0)) revert ZeroWallet();
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp > deadline) revert ConsentExpired(deadline);
        uint256 latest = block.timestamp + MAX_CONSENT;
        if (deadline > latest) revert ConsentTooLong(deadline, latest);

        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(AGENT_WALLET_SET_TYPEHASH, agentId, newWallet, ownerOf(agentId), deadline))
        );
        // ECDSA first: an account with EIP-7702 code still signs with its key.
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        bool consents = failure == ECDSA.RecoverError.NoError && signer == newWallet;
        if (!consents && !SignatureChecker.isValidERC1271SignatureNowCalldata(newWallet, digest, signature)) {
            revert InvalidConsent(newWallet);
        }
        _setWallet(agentId, newWallet);
    }

    /// @notice Clears the account that receives what the agent earns.
    /// @param agentId Agent of the caller.
    function unsetAgentWallet(uint256 agentId) external {
        _requireAuthorized(agentId);
        _setWallet(agentId, address(0));
    }

    // ------------------------------------------------------------------ reading

    /// @notice A metadata entry; empty if there is none.
    /// @param agentId Any id.
    /// @param metadataKey Its key.
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory) {
        if (_isWalletKey(metadataKey)) return _walletBytes(_agents[agentId].wallet);
        return _metadata[agentId][metadataKey];
    }

    /// @inheritdoc IIdentity
    function getAgentWallet(uint256 agentId) external view returns (address) {
        return _agents[agentId].wallet;
    }

    /// @inheritdoc IIdentity
    /// @dev One cold slot, because every check of a receipt reads it. Zero for an agent that doesn't exist.
    function agentEpoch(uint256 agentId) external view returns (uint64) {
        return _agents[agentId].epoch;
    }

    /// @inheritdoc IIdentity
    function isAuthorized(uint256 agentId, address account) external view returns (bool) {
        return _isAuthorized(ownerOf(agentId), account, agentId);
    }

    /// @notice `isAuthorized` with the name and order that other ERC-8004 registries call.
    /// @param spender Account in question.
    /// @param agentId Agent. Reverts if it doesn't exist.
    function isAuthorizedOrOwner(address spender, uint256 agentId) external view returns (bool) {
        return _isAuthorized(ownerOf(agentId), spender, agentId);
    }

    /// @inheritdoc IIdentity
    function ownerOf(uint256 agentId) public view override(ERC721, IERC721, IIdentity) returns (address) {
        return super.ownerOf(agentId);
    }

    /// @notice Whether the agent exists.
    /// @param agentId Any id.
    function agentExists(uint256 agentId) external view returns (bool) {
        return _ownerOf(agentId) != address(0);
    }

    /// @notice How many agents there are: their ids are 1 to this number.
    function totalAgents() external view returns (uint256) {
        return _lastId;
    }

    /// @notice Version of the ERC-8004 interface.
    function getVersion() external pure returns (string memory) {
        return "2.0.0";
    }

    // ------------------------------------------------------------------ inside

    function _create(string memory agentURI) private returns (uint256 agentId) {
        agentId = ++_lastId;
        _mint(msg.sender, agentId);
        _agents[agentId] = Agent({wallet: msg.sender, epoch: 1});
        if (bytes(agentURI).length != 0) _setTokenURI(agentId, agentURI);
        emit Registered(agentId, agentURI, msg.sender);
        emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, _walletBytes(msg.sender));
    }

    /// Last, when all is written: the receiver is a stranger's code.
    function _checkReceiver(uint256 agentId) private {
        ERC721Utils.checkOnERC721Received(msg.sender, address(0), msg.sender, agentId, "");
    }

    function _setAgentURI(uint256 agentId, string calldata newURI) private {
        _requireAuthorized(agentId);
        _setTokenURI(agentId, newURI);
        emit URIUpdated(agentId, newURI, msg.sender);
    }

    function _setMetadata(uint256 agentId, string calldata key, bytes calldata value) private {
        if (_isWalletKey(key)) revert ReservedKey();
        if (bytes(key).length > MAX_KEY) revert KeyTooLong(bytes(key).length, MAX_KEY);
        if (value.length > MAX_VALUE) revert ValueTooLong(value.length, MAX_VALUE);
        _metadata[agentId][key] = value;
        emit MetadataSet(agentId, key, key, value);
    }

    function _setWallet(uint256 agentId, address wallet) private {
        _agents[agentId].wallet = wallet;
        emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, _walletBytes(wallet));
    }

    /// @inheritdoc ERC721
    /// @dev A buyer inherits neither the seller's wallet nor anything else that hangs on the epoch.
    function _update(address to, uint256 agentId, address auth) internal override returns (address from) {
        from = super._update(to, agentId, auth);
        if (from != address(0)) {
            uint64 epoch = ++_agents[agentId].epoch;
            _setWallet(agentId, address(0));
            emit EpochStarted(agentId, epoch, to);
            _notify(abi.encodeCall(IAgentObserver.agentMoved, (agentId, epoch)));
        }
    }

    /// @inheritdoc Observed
    /// @dev About no agent: id 0 is none.
    function _greeting() internal pure override returns (bytes memory) {
        return abi.encodeCall(IAgentObserver.agentMoved, (0, 0));
    }

    /// @inheritdoc Revocable
    function revoker() public view override returns (address) {
        return _revoker;
    }

    /// @inheritdoc Revocable
    function _setRevoker(address account) internal override {
        _revoker = account;
    }

    function _requireAuthorized(uint256 agentId) private view {
        if (!_isAuthorized(ownerOf(agentId), msg.sender, agentId)) revert NotAuthorized(agentId, msg.sender);
    }

    function _isWalletKey(string calldata key) private pure returns (bool) {
        return keccak256(bytes(key)) == keccak256(bytes(WALLET_KEY));
    }

    function _walletBytes(address wallet) private pure returns (bytes memory) {
        return wallet == address(0) ? bytes("") : abi.encodePacked(wallet);
    }
}
