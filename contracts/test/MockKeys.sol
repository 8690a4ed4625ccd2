// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAttestedKeys} from "../src/interfaces/ITrust.sol";

/// Stands in for `AttestedKeyRegistry`: keys live and die as a test says.
contract MockKeys is IAttestedKeys {
    struct Key {
        uint256 agentId;
        uint64 deadSince;
        bool known;
    }

    error UnknownKey(address key);

    mapping(address key => Key) private _keys;

    function add(address key, uint256 agentId) external {
        _keys[key] = Key(agentId, 0, true);
    }

    function setDead(address key, uint64 since) external {
        _keys[key].deadSince = since;
    }

    function isLive(address key) external view returns (bool) {
        return _keys[key].known && _keys[key].deadSince == 0;
    }

    function agentOf(address key) external view returns (uint256 agentId, uint64 deadSince) {
        if (!_keys[key].known) revert UnknownKey(key);
        return (_keys[key].agentId, _keys[key].deadSince);
    }

    function checkSignature(bytes32, bytes calldata) external pure returns (address, uint256) {
        revert("not used here");
    }
}
