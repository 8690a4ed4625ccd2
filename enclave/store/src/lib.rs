//! The sealed store: named records that survive a restart, kept by a host that isn't trusted.
//!
//! The host keeps blobs under names ([`BlobOp`], port 5001). A record is one blob, sealed with AES-256-GCM under a key
//! of its own; a manifest, sealed too, names the exact bytes of every record. A commit writes changed records under new
//! names, then the manifest over the old one, then deletes what no manifest names any more: whenever it is cut off, the
//! old state or the new one is there, never a mix.
//!
//! What the host can still do is bring back an older state as a whole, or none. Nothing that it keeps can tell; peers
//! can. Each commit gives a [`Mark`] for them to remember, and [`Store::judge`] compares. It also sees how many records
//! there are, how long each is and when they change, and it may keep what was erased: erasing a record takes it out of
//! the store, not out of a host's copy, which stays sealed.
//!
//! No socket and no clock: [`Opening`] and [`Commit`] say what to ask of the host, and the caller asks.
//!
//! | module | what it does |
//! |---|---|
//! | `key` | from a secret of the platform to the keys of one store |
//! | `seal` | one sealed blob |
//! | `manifest` | which records there are, and the bytes of each |
//! | `opening` | from blobs to a store, or why not |
//! | `store` | an open store, and its commits |
//! | `mark` | what peers remember, and what that says of a state |
//!
//! Formats: `docs/wire-formats.md` §4.

mod blob;
mod key;
mod manifest;
mod mark;
mod opening;
mod seal;
mod store;

pub use blob::{BlobOp, BlobReply, MAX_BLOB, MemoryBlobs, NameError, RecordName};
pub use key::{PlatformSecret, SealingKey, SealingRoot, Unsealable};
pub use mark::{Freshness, MARK_LEN, Mark, State, judge};
pub use opening::{OpenError, Opening, Record};
pub use seal::MAX_VALUE;
pub use store::{Change, Commit, Persistence, Store, StoreError};
