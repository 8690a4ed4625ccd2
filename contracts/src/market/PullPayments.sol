// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title PullPayments
/// @notice Money that is somebody's is credited, and whoever it belongs to fetches it. A receiver that refuses money, or
/// runs out of gas on purpose, stops nobody but itself. Nothing pauses it.
abstract contract PullPayments is ReentrancyGuardTransient {
    /// @notice What an account may withdraw, in wei.
    mapping(address account => uint256) public owed;
    /// @notice Sum of `owed`.
    uint256 public totalOwed;

    /// @notice An account can withdraw `amount` more.
    event Credited(address indexed account, uint256 amount);
    /// @notice An account withdrew what it was owed.
    event OwedWithdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice The account is owed nothing.
    error NothingOwed(address account);
    /// @notice The receiver refused the money.
    error TransferFailed();
    /// @notice The account is zero.
    error ZeroAccount();

    /// @notice Pays out what the caller is owed.
    /// @return amount What was paid, in wei.
    function withdraw() external returns (uint256 amount) {
        return _withdraw(msg.sender, msg.sender);
    }

    /// @notice Pays out what the caller is owed to another account, for those that can't receive.
    /// @param to Who receives.
    /// @return amount What was paid, in wei.
    function withdrawTo(address to) external returns (uint256 amount) {
        if (to == address(0)) revert ZeroAccount();
        return _withdraw(msg.sender, to);
    }

    function _credit(address account, uint256 amount) internal {
        if (amount == 0) return;
        owed[account] += amount;
        totalOwed += amount;
        emit Credited(account, amount);
    }

    function _pay(address to, uint256 amount) internal {
        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert TransferFailed();
    }

    function _withdraw(address account, address to) internal virtual nonReentrant returns (uint256 amount) {
        amount = owed[account];
        if (amount == 0) revert NothingOwed(account);
        owed[account] = 0;
        totalOwed -= amount;
        emit OwedWithdrawn(account, to, amount);
        _pay(to, amount);
    }
}
