//! Requests that an Ethereum account vouches for: what a wallet signs, and how a node checks it without a chain.
//!
//! | form | bound to | for |
//! |---|---|---|
//! | [`v1`] | account, nonce, time, provider | clients of the first Jeju Compute |
//! | [`v2`] | account, method, path, body, node, nonce, expiry; EIP-712 | everyone else |
//!
//! Both are refused a second time ([`replay`]). A wallet may delegate to a key of a session ([`v2::Delegation`]). Accounts
//! that are contracts (ERC-1271) can't be recovered from a signature: [`v2::Signer::Contract`] says what to ask the chain.
//!
//! What users, providers and enclaves sign of payments, for the contracts of the market, is in [`market`].

pub mod account;
pub mod eip712;
pub mod market;
pub mod replay;
pub mod signature;
pub mod v1;
pub mod v2;
