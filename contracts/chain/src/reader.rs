//! k-of-n reading: the same concrete block from every endpoint, and k answers that are equal.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dial::Dial;
use crate::endpoint::{Endpoint, EndpointError};
use crate::guard::{GuardError, GuardLimits, HeadGuard};
use crate::hexadecimal::{parse_data, parse_quantity, parse_word};
use crate::measurement::{LOOKUP_SELECTOR, MeasurementReading, MeasurementRecord, Policy};
use crate::proof::measurement_slots;
use crate::rpc::{DEFAULT_TIMEOUT, RpcClient, RpcError, public_web_tls};

/// Most endpoints that a reader takes.
pub const MAX_ENDPOINTS: usize = 16;

/// What slow endpoints get once a quorum has answered.
const STRAGGLER_WAIT: Duration = Duration::from_secs(1);

/// What a reader is made of.
#[derive(Clone)]
pub struct ReaderConfig {
    /// URLs of the endpoints, 1 to [`MAX_ENDPOINTS`], of different authorities.
    pub endpoints: Vec<String>,
    /// Equal answers needed; more than half of the endpoints, so that two answers can't both win.
    pub quorum: usize,
    /// Whether this is a local development chain: `latest` may stand in for `finalized` where the node doesn't know that.
    pub localnet: bool,
    /// Whether endpoints may be plain `http`, where whoever carries the bytes decides what they say.
    pub plaintext: bool,
    /// Time for each call.
    pub timeout: Duration,
    /// TLS settings for `https` endpoints; the public web's roots unless set.
    pub tls: Option<Arc<ClientConfig>>,
}

impl ReaderConfig {
    /// `quorum` of these `https` endpoints of a public chain.
    pub fn new(endpoints: Vec<String>, quorum: usize) -> Self {
        Self {
            endpoints,
            quorum,
            localnet: false,
            plaintext: false,
            timeout: DEFAULT_TIMEOUT,
            tls: None,
        }
    }

    /// One node of a local development chain.
    pub fn localnet(endpoint: impl Into<String>) -> Self {
        Self {
            localnet: true,
            plaintext: true,
            ..Self::new(vec![endpoint.into()], 1)
        }
    }
}

/// Why a reader can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No endpoint, or too many.
    #[error("{0} endpoints, where 1 to {MAX_ENDPOINTS} are allowed")]
    Endpoints(usize),
    /// The quorum is no majority of the endpoints.
    #[error("quorum {quorum} of {endpoints} endpoints is not a majority")]
    Quorum {
        /// Equal answers asked for.
        quorum: usize,
        /// Endpoints given.
        endpoints: usize,
    },
    /// A URL is wrong.
    #[error("endpoint {index}: {reason}")]
    Endpoint {
        /// Position in the list, from zero. The URL itself may hold a key.
        index: usize,
        /// What is wrong.
        reason: EndpointError,
    },
    /// Plain `http` where the profile doesn't allow it.
    #[error("endpoint {0} is not https")]
    Plaintext(usize),
    /// Two endpoints share an authority, and would count twice.
    #[error("endpoint {0} repeats the authority of an earlier one")]
    Duplicate(usize),
}

/// Reads a chain through k-of-n JSON-RPC endpoints.
pub struct ChainReader {
    nodes: Vec<RpcClient>,
    quorum: usize,
    localnet: bool,
    guard: Option<HeadGuard>,
}

/// What identifies a block, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// Height.
    pub number: u64,
    /// Block hash.
    pub hash: [u8; 32],
    /// Unix seconds.
    pub timestamp: u64,
}

/// How settled a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finality {
    /// The endpoints call it finalised.
    Finalized,
    /// Only the newest block of a local development chain.
    LocalLatest,
}

impl Finality {
    /// A stable name for output.
    pub const fn name(self) -> &'static str {
        match self {
            Finality::Finalized => "finalized",
            Finality::LocalLatest => "local-latest",
        }
    }
}

/// A block to read at, with its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The block.
    pub block: Block,
    /// How settled it is.
    pub finality: Finality,
}

/// Why the endpoints together gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Too few endpoints answered at all.
    #[error("{answers} of {endpoints} endpoints answered, {needed} are needed; first failure: {first}")]
    Unavailable {
        /// Equal answers needed.
        needed: usize,
        /// Endpoints that answered.
        answers: usize,
        /// Endpoints asked.
        endpoints: usize,
        /// Why the first of the others didn't.
        first: RpcError,
    },
    /// Enough endpoints answered, but not alike.
    #[error("endpoints disagree: {agreeing} of {answers} answers are equal, {needed} are needed")]
    Disagreement {
        /// Equal answers needed.
        needed: usize,
        /// Size of the largest group of equal answers.
        agreeing: usize,
        /// Endpoints that answered.
        answers: usize,
    },
    /// The endpoints agree that the block doesn't exist.
    #[error("block not found")]
    BlockNotFound,
    /// The reader's guard refuses the chain that the endpoints show.
    #[error("{reason}")]
    Guarded {
        /// The guard's code.
        code: &'static str,
        /// The guard's words.
        reason: String,
    },
}

impl From<GuardError> for ReadError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Read(error) => error,
            error => Self::Guarded {
                code: error.code(),
                reason: error.to_string(),
            },
        }
    }
}

impl ReadError {
    /// A stable code for output and metrics. With a single endpoint it is that endpoint's own reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable {
                endpoints: 1, first, ..
            } => first.code(),
            Self::Unavailable { .. } => "chain-unavailable",
            Self::Disagreement { .. } => "chain-disagreement",
            Self::BlockNotFound => "chain-block-not-found",
            Self::Guarded { code, .. } => code,
        }
    }
}

impl ChainReader {
    /// A reader that reaches its endpoints through `dial`. Connects to nothing yet.
    pub fn new(config: ReaderConfig, dial: Arc<dyn Dial>) -> Result<Self, ConfigError> {
        let count = config.endpoints.len();
        if count == 0 || count > MAX_ENDPOINTS {
            return Err(ConfigError::Endpoints(count));
        }
        if config.quorum > count || config.quorum * 2 <= count {
            return Err(ConfigError::Quorum {
                quorum: config.quorum,
                endpoints: count,
            });
        }
        let tls = config.tls.unwrap_or_else(public_web_tls);
        let mut authorities = HashSet::new();
        let mut nodes = Vec::with_capacity(count);
        for (index, url) in config.endpoints.iter().enumerate() {
            let endpoint = Endpoint::parse(url).map_err(|reason| ConfigError::Endpoint { index, reason })?;
            if !endpoint.is_tls() && !config.plaintext {
                return Err(ConfigError::Plaintext(index));
            }
            if !authorities.insert(endpoint.authority().to_ascii_lowercase()) {
                return Err(ConfigError::Duplicate(index));
            }
            nodes.push(RpcClient::new(
                endpoint,
                Arc::clone(&dial),
                Arc::clone(&tls),
                config.timeout,
            ));
        }
        Ok(Self {
            nodes,
            quorum: config.quorum,
            localnet: config.localnet,
            guard: None,
        })
    }

    /// The same, whose every block stands on those that it saw before: [`finalized_block`](Self::finalized_block),
    /// [`newest_block`](Self::newest_block), and all that reads at one of them, refuse another chain, an old head, one that
    /// stands still or went back, and go on refusing until the endpoints show the old chain continued.
    pub fn guarded(self, chain_id: u64, limits: GuardLimits) -> Self {
        Self {
            guard: Some(HeadGuard::new(chain_id, limits, None)),
            ..self
        }
    }

    /// The guard, where there is one.
    pub(crate) fn guard(&self) -> Option<&HeadGuard> {
        self.guard.as_ref()
    }

    /// How many answers must be equal.
    pub(crate) fn quorum(&self) -> usize {
        self.quorum
    }

    /// The chain id. The caller compares it with the one of its profile before it believes anything else.
    pub async fn chain_id(&self) -> Result<u64, ReadError> {
        self.agree(|node| {
            Box::pin(async move {
                let id: String = node.call("eth_chainId", json!([])).await?;
                parse_quantity(&id).map_err(|_| RpcError::Malformed("chain id"))
            })
        })
        .await
    }

    /// The highest block that at least k endpoints call finalised.
    ///
    /// Endpoints finalise at slightly different times, so their tags name different blocks. The k-th highest of the
    /// numbers is one that k endpoints have passed; that block is then asked for by number, and k must agree on its hash.
    ///
    /// # Errors
    /// Where the endpoints give no such answer; [`ReadError::Guarded`] where the reader's guard refuses it.
    pub async fn finalized_block(&self) -> Result<Head, ReadError> {
        match &self.guard {
            Some(guard) => Ok(guard.check(self, None).await?),
            None => self.shown_finalized().await,
        }
    }

    /// What the endpoints show as finalised, whatever they showed before.
    pub(crate) async fn shown_finalized(&self) -> Result<Head, ReadError> {
        let mut heads = self
            .collect(|node| Box::pin(tagged_block(node, self.localnet)))
            .await?;
        heads.sort_by_key(|head| std::cmp::Reverse(head.block.number));
        heads.truncate(self.quorum);
        let weakest = heads.iter().any(|head| head.finality == Finality::LocalLatest);
        let finality = if weakest {
            Finality::LocalLatest
        } else {
            Finality::Finalized
        };
        let lowest = heads[heads.len() - 1].block;
        if heads.iter().all(|head| head.block == lowest) {
            return Ok(Head {
                block: lowest,
                finality,
            });
        }
        Ok(Head {
            block: self.block_by_number(lowest.number).await?,
            finality,
        })
    }

    /// The block of that number on the chain that the endpoints agree on.
    pub async fn block_by_number(&self, number: u64) -> Result<Block, ReadError> {
        let block = self
            .agree(|node| {
                Box::pin(async move {
                    let params = json!([format!("{number:#x}"), false]);
                    match block(node, "eth_getBlockByNumber", params).await? {
                        Some(block) if block.number != number => Err(RpcError::Malformed("another block")),
                        other => Ok(other),
                    }
                })
            })
            .await?;
        block.ok_or(ReadError::BlockNotFound)
    }

    /// The block of that hash. Nodes also keep blocks that left the chain; compare with
    /// [`block_by_number`](Self::block_by_number) where that matters.
    pub async fn block_by_hash(&self, hash: &[u8; 32]) -> Result<Block, ReadError> {
        let hash = *hash;
        let block = self
            .agree(|node| {
                Box::pin(async move {
                    match block(node, "eth_getBlockByHash", json!([word(&hash), false])).await? {
                        Some(block) if block.hash != hash => Err(RpcError::Malformed("another block")),
                        other => Ok(other),
                    }
                })
            })
            .await?;
        block.ok_or(ReadError::BlockNotFound)
    }

    /// What the registry says about a measurement id at the finalised block.
    pub async fn measurement(
        &self,
        registry: &[u8; 20],
        id: &[u8; 32],
    ) -> Result<MeasurementReading, ReadError> {
        let head = self.finalized_block().await?;
        self.measurement_at(head, registry, id).await
    }

    /// The same at a head that was read before, so that several answers hold for one block.
    pub async fn measurement_at(
        &self,
        head: Head,
        registry: &[u8; 20],
        id: &[u8; 32],
    ) -> Result<MeasurementReading, ReadError> {
        let (block, registry, id) = (head.block.hash, *registry, *id);
        let (record, policy) = self
            .agree(|node| Box::pin(lookup(node, block, registry, id)))
            .await?;
        Ok(MeasurementReading { head, record, policy })
    }

    /// The counter of changes to what verifiers may accept, at the finalised block.
    pub async fn policy_epoch(&self, registry: &[u8; 20]) -> Result<u64, ReadError> {
        // The zero id is never known; its lookup returns the policy word all the same.
        Ok(self.measurement(registry, &[0; 32]).await?.policy.epoch)
    }

    /// Asks all endpoints at once until k answers are equal.
    pub(crate) async fn agree<'a, T: PartialEq>(
        &'a self,
        ask: impl Fn(&'a RpcClient) -> Answer<'a, T>,
    ) -> Result<T, ReadError> {
        let mut groups: Vec<(T, usize)> = Vec::new();
        let mut first = None;
        let mut pending: FuturesUnordered<_> = self.nodes.iter().map(ask).collect();
        while let Some(answer) = pending.next().await {
            match answer {
                Err(error) => first = first.or(Some(error)),
                Ok(answer) => {
                    let at = match groups.iter().position(|(known, _)| *known == answer) {
                        Some(at) => at,
                        None => {
                            groups.push((answer, 0));
                            groups.len() - 1
                        }
                    };
                    groups[at].1 += 1;
                    if groups[at].1 == self.quorum {
                        return Ok(groups.swap_remove(at).0);
                    }
                }
            }
        }
        let answers = groups.iter().map(|(_, count)| count).sum();
        match first {
            Some(first) if answers < self.quorum => Err(self.unavailable(answers, first)),
            _ => {
                let agreeing = groups.iter().map(|(_, count)| *count).max().unwrap_or(0);
                Err(ReadError::Disagreement {
                    needed: self.quorum,
                    agreeing,
                    answers,
                })
            }
        }
    }

    /// Asks all endpoints at once and returns the answers, at least k. Once there are k, the others have [`STRAGGLER_WAIT`]
    /// left, so that one dead endpoint doesn't make every read last its whole time limit. Waiting longer would be no
    /// safer: whoever can delay an endpoint's answer can as well cut its connection.
    pub(crate) async fn collect<'a, T>(
        &'a self,
        ask: impl Fn(&'a RpcClient) -> Answer<'a, T>,
    ) -> Result<Vec<T>, ReadError> {
        let mut answers = Vec::with_capacity(self.nodes.len());
        let mut first = None;
        let mut pending: FuturesUnordered<_> = self.nodes.iter().map(ask).collect();
        let mut deadline = None;
        loop {
            let next = match deadline {
                None => pending.next().await,
                Some(deadline) => tokio::time::timeout_at(deadline, pending.next())
                    .await
                    .unwrap_or(None),
            };
            match next {
                None => break,
                Some(Ok(answer)) => answers.push(answer),
                Some(Err(error)) => first = first.or(Some(error)),
            }
            if deadline.is_none() && answers.len() >= self.quorum {
                deadline = Some(tokio::time::Instant::now() + STRAGGLER_WAIT);
            }
        }
        match first {
            Some(first) if answers.len() < self.quorum => Err(self.unavailable(answers.len(), first)),
            _ => Ok(answers),
        }
    }

    /// The endpoints' clients.
    pub(crate) fn nodes(&self) -> &[RpcClient] {
        &self.nodes
    }

    fn unavailable(&self, answers: usize, first: RpcError) -> ReadError {
        ReadError::Unavailable {
            needed: self.quorum,
            answers,
            endpoints: self.nodes.len(),
            first,
        }
    }
}

/// One endpoint's answer. Boxed, so that the futures of the public methods can be sent between threads.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, RpcError>>;

impl fmt::Debug for ChainReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainReader")
            .field("nodes", &self.nodes)
            .field("quorum", &self.quorum)
            .field("localnet", &self.localnet)
            .finish()
    }
}

/// The members of a block that are read; nodes send many more.
#[derive(Deserialize)]
struct BlockJson {
    number: Option<String>,
    hash: Option<String>,
    timestamp: String,
}

pub(crate) async fn block(node: &RpcClient, method: &str, params: Value) -> Result<Option<Block>, RpcError> {
    let Some(json) = node.call::<Option<BlockJson>>(method, params).await? else {
        return Ok(None);
    };
    // Pending blocks have neither number nor hash, and nothing may rest on them.
    let number = json.number.ok_or(RpcError::Malformed("block without a number"))?;
    let hash = json.hash.ok_or(RpcError::Malformed("block without a hash"))?;
    Ok(Some(Block {
        number: parse_quantity(&number).map_err(|_| RpcError::Malformed("block number"))?,
        hash: parse_word(&hash).map_err(|_| RpcError::Malformed("block hash"))?,
        timestamp: parse_quantity(&json.timestamp).map_err(|_| RpcError::Malformed("block timestamp"))?,
    }))
}

async fn tagged_block(node: &RpcClient, localnet: bool) -> Result<Head, RpcError> {
    let unknown = match block(node, "eth_getBlockByNumber", json!(["finalized", false])).await {
        Ok(Some(block)) => {
            return Ok(Head {
                block,
                finality: Finality::Finalized,
            });
        }
        Ok(None) => RpcError::Malformed("no finalised block"),
        // The node answered, but not to this tag.
        Err(error @ RpcError::Node { .. }) => error,
        Err(error) => return Err(error),
    };
    if !localnet {
        return Err(unknown);
    }
    match block(node, "eth_getBlockByNumber", json!(["latest", false])).await? {
        Some(block) => Ok(Head {
            block,
            finality: Finality::LocalLatest,
        }),
        None => Err(RpcError::Malformed("no latest block")),
    }
}

async fn lookup(
    node: &RpcClient,
    block: [u8; 32],
    registry: [u8; 20],
    id: [u8; 32],
) -> Result<(Option<MeasurementRecord>, Policy), RpcError> {
    let call = json!({
        "to": format!("0x{}", hex::encode(registry)),
        "data": format!("0x{}{}", hex::encode(LOOKUP_SELECTOR), hex::encode(id)),
    });
    // By hash and canonical (EIP-1898), so that a reorganisation between two calls can't mix two states.
    let params = json!([call, { "blockHash": word(&block), "requireCanonical": true }]);
    let data: String = node.call("eth_call", params).await?;
    let data = parse_data(&data).map_err(|_| RpcError::Malformed("call result"))?;
    if data.is_empty() {
        return Err(RpcError::NoContract);
    }
    let words: [[u8; 32]; 3] = match data.as_chunks::<32>() {
        (&[packed, release, policy], []) => [packed, release, policy],
        _ => return Err(RpcError::Malformed("lookup is not three words")),
    };
    // The end of validity isn't part of what `lookup` returns.
    let term = if words[0] == [0; 32] {
        [0; 32]
    } else {
        let [_, _, slot, _] = measurement_slots(&id);
        let params = json!([format!("0x{}", hex::encode(registry)), word(&slot), { "blockHash": word(&block), "requireCanonical": true }]);
        let term: String = node.call("eth_getStorageAt", params).await?;
        parse_word(&term).map_err(|_| RpcError::Malformed("storage word"))?
    };
    let record = MeasurementRecord::from_words(&words[0], &words[1], &term)
        .map_err(|_| RpcError::Malformed("measurement record"))?;
    Ok((record, Policy::from_word(&words[2])))
}

fn word(bytes: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::TcpDial;

    fn refused(endpoints: &[&str], quorum: usize) -> ConfigError {
        let endpoints = endpoints.iter().map(|url| url.to_string()).collect();
        ChainReader::new(ReaderConfig::new(endpoints, quorum), Arc::new(TcpDial)).unwrap_err()
    }

    #[test]
    fn refuses_configurations_that_prove_nothing() {
        assert_eq!(refused(&[], 0), ConfigError::Endpoints(0));
        assert_eq!(refused(&["https://a"; 17], 9), ConfigError::Endpoints(17));
        let two = ["https://a", "https://b"];
        for quorum in [0, 1, 3] {
            assert_eq!(
                refused(&two, quorum),
                ConfigError::Quorum { quorum, endpoints: 2 }
            );
        }
        assert_eq!(
            refused(&["https://a", "https://A:443/key"], 2),
            ConfigError::Duplicate(1)
        );
        assert_eq!(refused(&["https://a", "http://b"], 2), ConfigError::Plaintext(1));
        let reason = EndpointError::Scheme;
        assert_eq!(
            refused(&["ws://a"], 1),
            ConfigError::Endpoint { index: 0, reason }
        );
    }

    /// The enclave runs reads in spawned tasks.
    #[test]
    fn reads_are_send() {
        fn is_send<T: Send>(_: T) {}
        let reader =
            ChainReader::new(ReaderConfig::localnet("http://127.0.0.1:1"), Arc::new(TcpDial)).unwrap();
        is_send(reader.measurement(&[0; 20], &[0; 32]));
        is_send(reader.chain_id());
    }
}
