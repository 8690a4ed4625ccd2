//! What a gateway keeps over a restart, each in one file: what it knows of the chain, so that it answers at once and reads on
//! from the block at which it stopped, and its routes.
//!
//! Files are replaced as a whole. One that is damaged, or of another chain, is as good as none.
//!
//! | module | what it does |
//! |---|---|
//! | `document` | the stored form of the index |
//! | `routes` | the stored form of routes |
//! | `whole` | files that are there whole or not at all |

mod document;
mod routes;
mod whole;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jeju_chain::{Block, Cursor};
use thiserror::Error;

use crate::index::Provider;
use crate::routes::KeptRoute;
use whole::Whole;

/// 100,000 providers with a dozen models each.
const INDEX: Whole = Whole {
    name: "index",
    magic: "jeju-gateway-index/1",
    max_len: 512 << 20,
};
/// 10,000 routes, with certificates of 4 KiB.
const ROUTES: Whole = Whole {
    name: "routes",
    magic: "jeju-gateway-routes/1",
    max_len: 64 << 20,
};

/// Why there is no store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder can't be used.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// Another gateway has it.
    #[error("{0} is another gateway's")]
    InUse(PathBuf),
}

/// A folder with one state of the index.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Held for its lock.
    _lock: File,
}

/// Where rentals are, which routes lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Chain id.
    pub id: u64,
    /// `ComputeRental`.
    pub rentals: [u8; 20],
}

/// What is kept of the index: providers, and where to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Chain id.
    pub chain_id: u64,
    /// `ComputeRegistry`.
    pub registry: [u8; 20],
    /// The block as of which the providers are these.
    pub block: Block,
    /// Where to read on.
    pub cursor: Cursor,
    /// All providers, active or not.
    pub providers: Vec<Arc<Provider>>,
}

impl Store {
    /// In `folder`, which is made where it isn't there, and is this process's until the store is dropped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Io(folder.to_owned(), error);
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The index as it was kept last; `None` where it wasn't, where it is damaged, or where it is of another chain or
    /// registry.
    pub fn load(&self, chain_id: u64, registry: &[u8; 20]) -> Option<Kept> {
        let kept = document::parse(&INDEX.read(&self.folder)?)?;
        (kept.chain_id == chain_id && kept.registry == *registry).then_some(kept)
    }

    /// Keeps this in the place of what was kept before. After a crash either is there, whole.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn save(&self, kept: &Kept) -> Result<(), StoreError> {
        self.write(&INDEX, &document::text(kept))
    }

    /// Routes as they were kept last; none where they weren't, where the file is damaged, or where it is of another chain or
    /// contract.
    pub fn load_routes(&self, chain: &Chain) -> Vec<KeptRoute> {
        let kept = || routes::parse(&ROUTES.read(&self.folder)?, chain);
        kept().unwrap_or_default()
    }

    /// Keeps these routes in the place of those that were kept before. After a crash either are there, whole. Ids of routes
    /// are all that it takes to use them: nobody but the gateway's user can read the file.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn save_routes(&self, chain: &Chain, routes: &[KeptRoute]) -> Result<(), StoreError> {
        self.write(&ROUTES, &routes::text(chain, routes))
    }

    fn write(&self, file: &Whole, body: &[u8]) -> Result<(), StoreError> {
        let failed = |error| StoreError::Io(self.folder.clone(), error);
        file.write(&self.folder, body).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use jeju_chain::{Capability, ProviderRecord};

    use super::*;
    use crate::inside::Grant;
    use crate::routes::{NewRoute, RouteId, RouteKind};

    const REGISTRY: [u8; 20] = [9; 20];

    fn kept(count: u8) -> Kept {
        let provider = |number: u8| {
            let record = ProviderRecord {
                account: [number; 20],
                name: (&b"\xff\x00name"[..]).into(),
                endpoint: (&b"https://p.example"[..]).into(),
                attestation_hash: [3; 32],
                stake: u128::MAX,
                registered_at: u64::MAX,
                agent: [4; 32],
                active: number.is_multiple_of(2),
            };
            let capability = Capability {
                model: (&b"a/b \xff"[..]).into(),
                price_per_input_token: 0,
                price_per_output_token: u128::MAX,
                max_context: 1,
                active: true,
            };
            Arc::new(Provider::new(record, vec![capability; usize::from(number % 3)]))
        };
        let filter = format!(
            "{{\"version\":1,\"chainId\":31337,\"filter\":\"0x{0}\",\"number\":7,\"hash\":\"0x{0}\"}}",
            "01".repeat(32)
        );
        Kept {
            chain_id: 31_337,
            registry: REGISTRY,
            block: Block {
                number: 7,
                hash: [1; 32],
                timestamp: 8,
            },
            cursor: Cursor::from_json(&filter).unwrap(),
            providers: (1..=count).map(provider).collect(),
        }
    }

    #[test]
    fn what_was_kept_comes_back_and_the_newest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("made")).unwrap();
        assert_eq!(store.load(31_337, &REGISTRY), None);
        store.save(&kept(200)).unwrap();
        store.save(&kept(5)).unwrap();
        assert_eq!(store.load(31_337, &REGISTRY), Some(kept(5)));
        assert_eq!(store.load(1, &REGISTRY), None, "another chain");
        assert_eq!(store.load(31_337, &[8; 20]), None, "another registry");
    }

    #[test]
    fn what_is_damaged_is_as_good_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save(&kept(2)).unwrap();
        let path = folder.path().join(INDEX.name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let of_later = [b"jeju-gateway-index/2", &whole[INDEX.magic.len()..]].concat();
        let nonsense = b"{\"chainId\":31337}";
        let nonsense = [INDEX.header(nonsense).as_bytes(), b"\n", nonsense].concat();
        for damaged in [
            &whole[..whole.len() / 2],
            &flipped,
            &of_later,
            &nonsense,
            b"",
            b"\n",
            &[0xff; 100],
        ] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(store.load(31_337, &REGISTRY), None, "{} bytes", damaged.len());
        }
        // What a crash left half-written isn't looked at.
        fs::write(&path, &whole).unwrap();
        fs::write(folder.path().join("index.next"), "half").unwrap();
        assert_eq!(store.load(31_337, &REGISTRY), Some(kept(2)));
    }

    #[test]
    fn routes_are_kept_for_their_chain_and_for_nobody_else_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let chain = Chain {
            id: 1,
            rentals: [5; 20],
        };
        assert_eq!(store.load_routes(&chain), []);
        let route = |kind, port| KeptRoute {
            id: RouteId::random().unwrap(),
            port,
            created_at: 1,
            asked: NewRoute {
                kind,
                owner: [1; 20],
                rental: [2; 32],
                target_host: "\u{0}\"node".to_owned(),
                target_port: 22,
                expires_at: u64::MAX,
                inside: None,
            },
        };
        let routes = [route(RouteKind::Tcp, Some(30_000)), route(RouteKind::Http, None)];
        // What a crash left, for others to read.
        fs::write(folder.path().join("routes.next"), "half").unwrap();
        store.save_routes(&chain, &routes).unwrap();
        assert_eq!(store.load_routes(&chain), routes);
        let file = fs::metadata(folder.path().join(ROUTES.name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        for other in [
            Chain { id: 2, ..chain },
            Chain {
                rentals: [6; 20],
                ..chain
            },
        ] {
            assert_eq!(store.load_routes(&other), []);
        }
        fs::write(folder.path().join(ROUTES.name), "{}").unwrap();
        assert_eq!(store.load_routes(&chain), []);
    }

    #[test]
    fn ways_into_containers_are_kept_and_files_of_before_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let chain = Chain {
            id: 1,
            rentals: [5; 20],
        };
        // By ssh-keygen, for a key, a host key and a rental of 0xab…; it has run out long ago.
        let (certificate, host_key) = (
            include_str!("store/example-cert.pub"),
            include_str!("store/example-host.pub"),
        );
        let grant = Arc::new(Grant::parse(8080, certificate, host_key).unwrap());
        let route = |inside| KeptRoute {
            id: RouteId::random().unwrap(),
            port: None,
            created_at: 1,
            asked: NewRoute {
                kind: RouteKind::Http,
                owner: [1; 20],
                rental: [0xab; 32],
                target_host: "node.example".to_owned(),
                target_port: 22,
                expires_at: u64::MAX,
                inside,
            },
        };
        let routes = [route(Some(grant)), route(None)];
        store.save_routes(&chain, &routes).unwrap();
        assert_eq!(store.load_routes(&chain), routes);
        // As a gateway wrote it that knew no ways into containers.
        let before = format!(
            "{{\"chainId\":1,\"rentals\":\"{}\",\"routes\":[{{\"id\":\"{}\",\"kind\":\"http\",\"owner\":\"{}\",\
             \"rental\":\"{}\",\"host\":\"node.example\",\"port\":22,\"ownPort\":null,\"createdAt\":1,\
             \"expiresAt\":{}}}]}}",
            "05".repeat(20),
            routes[1].id,
            "01".repeat(20),
            "ab".repeat(32),
            u64::MAX
        );
        let whole = [
            ROUTES.header(before.as_bytes()).as_bytes(),
            b"\n",
            before.as_bytes(),
        ]
        .concat();
        fs::write(folder.path().join(ROUTES.name), whole).unwrap();
        assert_eq!(store.load_routes(&chain), routes[1..]);
    }

    #[test]
    fn a_folder_is_of_one_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path()).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(StoreError::InUse(_))));
        drop(first);
        Store::open(folder.path()).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Store::open(&file), Err(StoreError::Io(..))));
    }
}
