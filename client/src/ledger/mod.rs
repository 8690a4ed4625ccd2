//! Users' money in `LedgerManager`: what is deposited, what is set aside for a provider, and the way back of both.
//!
//! ```text
//! deposit ──▶ available ── set aside ──▶ a provider's part ── vouchers, settlements ──▶ provider
//!                ▲  │                        │
//!     refund ────┘  └──▶ withdraw            └── refund asked ── lock ──▶ available
//! ```

pub(crate) mod actor;
pub mod command;
mod deposit;
mod refund;
mod show;
mod withdraw;
