//! Recent finalised blocks: the only time that a verifier believes.
//!
//! What is read here was carried by the host. A host that lies about blocks makes this node look stale or unknown to
//! verifiers, who look the block up themselves; it gains nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jeju_attestation::launch::LaunchDocument;
use jeju_chain::{Block, ChainReader, ConfigError, GuardLimits, ReaderConfig};
use jeju_shim_protocol::transport::GuestTransport;

use crate::egress::Egress;

const READ_TIMEOUT: Duration = Duration::from_secs(8);
/// The chain profile of development images, whose one endpoint is plain HTTP on the host.
const LOCALNET: &str = "localnet";

/// A reader of the launch document's chain, through egress. Everything that is read by it stands on what it saw before, so
/// a host that shows an old state, another chain, or the same block for ever gets nothing new admitted: no rental, no
/// payment, no wallet, no measurement. It can still show an old head from the start; verifiers see that by the block that
/// the evidence names.
pub(crate) fn chain_reader(
    launch: &LaunchDocument,
    transport: GuestTransport,
) -> Result<Arc<ChainReader>, ConfigError> {
    let localnet = cfg!(feature = "sim") && launch.chain.profile == LOCALNET;
    let config = ReaderConfig {
        localnet,
        plaintext: localnet,
        timeout: READ_TIMEOUT,
        ..ReaderConfig::new(launch.chain.rpc.clone(), usize::from(launch.chain.quorum))
    };
    let egress = Egress::new(transport, launch.egress.allow.clone());
    let limits = match localnet {
        true => GuardLimits::LOCAL,
        false => GuardLimits::default(),
    };
    let reader = ChainReader::new(config, Arc::new(egress))?;
    Ok(Arc::new(reader.guarded(launch.chain.id, limits)))
}

/// Reads finalised blocks.
pub(crate) struct AnchorReader(Arc<ChainReader>);

impl AnchorReader {
    pub(crate) fn new(chain: Arc<ChainReader>) -> Self {
        Self(chain)
    }

    /// The newest finalised block, or none if the endpoints can't be reached or disagree.
    pub(crate) async fn read(&self) -> Option<Anchor> {
        let head = self.0.finalized_block().await.ok()?;
        Some(Anchor {
            block: head.block,
            read_at: Instant::now(),
        })
    }
}

/// A block and when it was read.
#[derive(Clone, Copy)]
pub(crate) struct Anchor {
    pub(crate) block: Block,
    read_at: Instant,
}

impl Anchor {
    /// Lower end of the interval in which the present lies, in seconds since 1970: the block's timestamp and the time
    /// that this machine counted since. The wall clock is the host's and is never read.
    pub(crate) fn now(&self) -> u64 {
        self.block
            .timestamp
            .saturating_add(self.read_at.elapsed().as_secs())
    }

    /// The newer of two: a host that serves an old block can't turn the clock back.
    pub(crate) fn newer(self, other: Anchor) -> Anchor {
        if other.block.number >= self.block.number {
            other
        } else {
            self
        }
    }
}
