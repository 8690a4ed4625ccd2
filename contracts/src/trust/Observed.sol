// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Governed} from "./Governed.sol";
import {ITrustObserver, ITrustSource} from "../interfaces/IObservers.sol";

/// @title Observed
/// @notice Tells other contracts of what was taken away, in the same transaction. Taking away must always work, so an
/// observer's failure changes nothing; and observers must be able to rely on it, so they get the gas that they need or the
/// transaction fails, and none is ever removed.
abstract contract Observed is Governed, ITrustSource {
    /// @notice Most observers: taking away must stay cheap.
    uint256 public constant MAX_OBSERVERS = 4;
    /// @notice Gas that each observer can count on.
    uint256 public constant OBSERVER_GAS = 50_000;

    address[] private _observers;

    /// @notice `observer` is told of everything that is taken away from now on.
    event ObserverAdded(address indexed observer);
    /// @notice `observer` failed when it was told.
    event ObserverFailed(address indexed observer);

    /// @notice The account is an observer.
    error AlreadyObserver(address observer);
    /// @notice There are `MAX_OBSERVERS`.
    error TooManyObservers();
    /// @notice The account fails when it is told, or has no code.
    error ObserverUnfit(address observer);
    /// @notice Observers couldn't be given their gas.
    error TooLittleGas(uint256 left, uint256 needed);

    /// @inheritdoc ITrustSource
    function isObserver(address account) public view returns (bool) {
        for (uint256 i = 0; i < _observers.length; i++) {
            if (_observers[i] == account) return true;
        }
        return false;
    }

    /// @notice Adds an observer, for ever. Owner, after `announce`.
    /// @param observer An `ITrustObserver`, or an `IAgentObserver` where agents are told of; it is told once now.
    function addObserver(address observer) external onlyOwner announced {
        if (isObserver(observer)) revert AlreadyObserver(observer);
        if (_observers.length == MAX_OBSERVERS) revert TooManyObservers();
        _observers.push(observer);
        emit ObserverAdded(observer);
        if (observer.code.length == 0 || !_tell(observer, _greeting())) revert ObserverUnfit(observer);
    }

    /// @dev What a new observer is told, so that one that can't be told is found at once.
    function _greeting() internal pure virtual returns (bytes memory) {
        return abi.encodeCall(ITrustObserver.trustChanged, ());
    }

    /// @dev Tells that something was taken away.
    function _notify() internal {
        _notify(abi.encodeCall(ITrustObserver.trustChanged, ()));
    }

    /// @dev Last in a function: what is taken away is taken away before anybody is called.
    function _notify(bytes memory news) internal {
        uint256 count = _observers.length;
        if (count == 0) return;
        // Of what is left, 63/64 can be passed on. Without this check a caller, or a wallet that looks for the least gas
        // with which the transaction succeeds, would leave observers without gas and so without the news.
        uint256 needed = count * (OBSERVER_GAS + 5_000) * 64 / 63;
        if (gasleft() < needed) revert TooLittleGas(gasleft(), needed);
        for (uint256 i = 0; i < count; i++) {
            if (!_tell(_observers[i], news)) emit ObserverFailed(_observers[i]);
        }
    }

    function _tell(address observer, bytes memory news) private returns (bool success) {
        // No answer is read: one of any length would be paid for by the caller.
        assembly ("memory-safe") {
            success := call(OBSERVER_GAS, observer, 0, add(news, 32), mload(news), 0, 0)
        }
    }
}
