//! The API on a real chain. Requests are curl's; signatures and transactions are made by anvil's own wallet, which has the
//! keys of its accounts: it signs what a user's wallet would, and sends what the gateway hands out as it is.

mod inside;
mod market;
mod refusals;
mod rental;
