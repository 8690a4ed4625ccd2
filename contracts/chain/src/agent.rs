//! What the ERC-8004 registries say about agents, at one concrete block.

use std::sync::Arc;

use crate::abi::{AbiError, Words, one};
use crate::call::{answer, call_params};
use crate::call_data::CallData;
use crate::reader::{Block, ChainReader, ReadError};
use crate::rpc::RpcError;
use crate::text::ChainText;

/// Longest registration URI that is read, in bytes: the contract bounds none, and `data:` URIs hold the whole file.
pub const MAX_AGENT_URI: usize = 16 << 10;
/// Longest metadata value that is read, in bytes: `MAX_VALUE` of the contract.
pub const MAX_AGENT_METADATA: usize = 8192;
/// Most clients of one page.
pub const MAX_CLIENT_PAGE: usize = 256;

/// An agent as it stands at one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its id.
    pub id: [u8; 32],
    /// Who owns it.
    pub owner: [u8; 20],
    /// Who receives what it earns; `None` since it changed hands, or if the owner cleared it.
    pub wallet: Option<[u8; 20]>,
    /// Counts its owners, from 1.
    pub epoch: u64,
}

/// What chosen clients said of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReputationSummary {
    /// How many ratings.
    pub count: u64,
    /// Their mean, to be divided by ten to the power of `decimals`.
    pub value: i128,
    /// Its decimals, at most 18.
    pub decimals: u8,
}

/// How an agent's work was validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ValidationSummary {
    /// How many answered validations.
    pub count: u64,
    /// Their mean, 0 to 100.
    pub average: u8,
}

/// Clients that rated an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientPage {
    /// Their accounts, in the order of their first ratings.
    pub clients: Vec<[u8; 20]>,
    /// How many there are altogether.
    pub total: u64,
}

impl ChainReader {
    /// An agent as of `block`; `None` if there is none of this id.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `IdentityRegistry` could have given, or where it isn't at `identity`.
    pub async fn agent_at(
        &self,
        block: &Block,
        identity: &[u8; 20],
        agent: &[u8; 32],
    ) -> Result<Option<AgentRecord>, ReadError> {
        let call = |name| call_params(block, identity, &CallData::new(name).word(*agent).encode());
        let exists = call("agentExists(uint256)");
        let fields = [
            "ownerOf(uint256)",
            "getAgentWallet(uint256)",
            "agentEpoch(uint256)",
        ]
        .map(call);
        let (id, calls) = (*agent, Arc::new((exists, fields)));
        self.agree(|node| {
            let calls = Arc::clone(&calls);
            Box::pin(async move {
                let (exists, fields) = &*calls;
                let malformed = |_: AbiError| RpcError::Malformed("agent");
                let found = answer(node, exists.clone(), 32).await?;
                if !one(&found, Words::bool).map_err(malformed)? {
                    return Ok(None);
                }
                let [owner, wallet, epoch] = fields;
                let (owner, wallet, epoch) = tokio::try_join!(
                    answer(node, owner.clone(), 32),
                    answer(node, wallet.clone(), 32),
                    answer(node, epoch.clone(), 32),
                )?;
                AgentRecord::from_answers(&id, &owner, &wallet, &epoch)
                    .map(Some)
                    .map_err(malformed)
            })
        })
        .await
    }

    /// Where the registration file of an agent lies, as of `block`: its owner's text, empty if it named none.
    ///
    /// # Errors
    /// As [`ChainReader::agent_at`]; also where there is no such agent, or the text is longer than [`MAX_AGENT_URI`].
    pub async fn agent_uri_at(
        &self,
        block: &Block,
        identity: &[u8; 20],
        agent: &[u8; 32],
    ) -> Result<ChainText, ReadError> {
        let call = CallData::new("tokenURI(uint256)").word(*agent);
        let most = 2 * 32 + MAX_AGENT_URI;
        self.read(block, identity, &call, most, "agent URI", |answer| {
            text(answer, MAX_AGENT_URI)
        })
        .await
    }

    /// A metadata entry of an agent, as of `block`: its owner's bytes, empty if there is none.
    ///
    /// # Errors
    /// As [`ChainReader::agent_at`].
    pub async fn agent_metadata_at(
        &self,
        block: &Block,
        identity: &[u8; 20],
        agent: &[u8; 32],
        key: &str,
    ) -> Result<ChainText, ReadError> {
        let call = CallData::new("getMetadata(uint256,string)")
            .word(*agent)
            .text(key);
        let most = 2 * 32 + MAX_AGENT_METADATA;
        self.read(block, identity, &call, most, "agent metadata", |answer| {
            text(answer, MAX_AGENT_METADATA)
        })
        .await
    }

    /// How many agents there are, as of `block`: their ids are 1 to this number.
    ///
    /// # Errors
    /// As [`ChainReader::agent_at`].
    pub async fn total_agents_at(&self, block: &Block, identity: &[u8; 20]) -> Result<u64, ReadError> {
        let call = CallData::new("totalAgents()");
        self.read(block, identity, &call, 32, "number of agents", |answer| {
            one(answer, Words::u64)
        })
        .await
    }

    /// Clients that rated an agent, from place `cursor` on, `limit` at most, as of `block`. Anyone can be one of them.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `ReputationRegistry` could have given, or where it isn't at
    /// `reputation`. A limit above [`MAX_CLIENT_PAGE`] counts as that.
    pub async fn reputation_clients_at(
        &self,
        block: &Block,
        reputation: &[u8; 20],
        agent: &[u8; 32],
        cursor: u64,
        limit: usize,
    ) -> Result<ClientPage, ReadError> {
        let limit = limit.min(MAX_CLIENT_PAGE);
        let call = CallData::new("getClientsPage(uint256,uint256,uint256)")
            .word(*agent)
            .number(cursor)
            .number(limit as u64);
        let most = (3 + limit) * 32;
        self.read(block, reputation, &call, most, "page of clients", move |answer| {
            ClientPage::from_answer(answer, limit)
        })
        .await
    }

    /// Mean of what these clients said of an agent under these tags (empty: any), without what they revoked, as of
    /// `block`. Without clients there is nothing to ask: a mean over everybody is one over sock puppets.
    ///
    /// # Errors
    /// As [`ChainReader::reputation_clients_at`]. More than [`MAX_CLIENT_PAGE`] clients are cut off.
    pub async fn reputation_summary_at(
        &self,
        block: &Block,
        reputation: &[u8; 20],
        agent: &[u8; 32],
        clients: &[[u8; 20]],
        tags: [&str; 2],
    ) -> Result<ReputationSummary, ReadError> {
        if clients.is_empty() {
            return Ok(ReputationSummary::default());
        }
        let call = CallData::new("getSummary(uint256,address[],string,string)")
            .word(*agent)
            .addresses(&clients[..clients.len().min(MAX_CLIENT_PAGE)])
            .text(tags[0])
            .text(tags[1]);
        let read = ReputationSummary::from_answer;
        self.read(block, reputation, &call, 96, "reputation", read).await
    }

    /// Mean of the answered validations of an agent by these validators (none: anybody, its friends included) under a tag
    /// (empty: any), as of `block`.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `ValidationRegistry` could have given, or where it isn't at
    /// `validation`. More than [`MAX_CLIENT_PAGE`] validators are cut off.
    pub async fn validation_summary_at(
        &self,
        block: &Block,
        validation: &[u8; 20],
        agent: &[u8; 32],
        validators: &[[u8; 20]],
        tag: &str,
    ) -> Result<ValidationSummary, ReadError> {
        let call = CallData::new("getSummary(uint256,address[],string)")
            .word(*agent)
            .addresses(&validators[..validators.len().min(MAX_CLIENT_PAGE)])
            .text(tag);
        let read = ValidationSummary::from_answer;
        self.read(block, validation, &call, 64, "validations", read).await
    }
}

impl AgentRecord {
    fn from_answers(id: &[u8; 32], owner: &[u8], wallet: &[u8], epoch: &[u8]) -> Result<Self, AbiError> {
        let (owner, wallet) = (one(owner, Words::address)?, one(wallet, Words::address)?);
        let epoch = one(epoch, Words::u64)?;
        if owner == [0; 20] || epoch == 0 {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self {
            id: *id,
            owner,
            wallet: (wallet != [0; 20]).then_some(wallet),
            epoch,
        })
    }
}

impl ClientPage {
    fn from_answer(answer: &[u8], limit: usize) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        words.offset(2 * 32)?;
        let total = words.u64()?;
        let count = words.length(limit)?;
        let clients = (0..count).map(|_| words.address()).collect::<Result<_, _>>()?;
        words.end()?;
        if (count as u64) > total {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self { clients, total })
    }
}

impl ReputationSummary {
    fn from_answer(answer: &[u8]) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        let (count, value, decimals) = (words.u64()?, words.i128()?, words.u8()?);
        words.end()?;
        if decimals > 18 {
            return Err(AbiError::Range);
        }
        if count == 0 && (value != 0 || decimals != 0) {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self {
            count,
            value,
            decimals,
        })
    }
}

impl ValidationSummary {
    fn from_answer(answer: &[u8]) -> Result<Self, AbiError> {
        let mut words = Words::new(answer);
        let (count, average) = (words.u64()?, words.u8()?);
        words.end()?;
        if average > 100 {
            return Err(AbiError::Range);
        }
        if count == 0 && average != 0 {
            return Err(AbiError::Inconsistent);
        }
        Ok(Self { count, average })
    }
}

/// An answer of one text.
fn text(answer: &[u8], most: usize) -> Result<ChainText, AbiError> {
    let mut words = Words::new(answer);
    words.offset(32)?;
    let text = ChainText::from(words.bytes(most)?);
    words.end()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{address_argument, number_argument as word};

    #[test]
    fn agents_have_an_owner() {
        let (owner, none) = (address_argument(&[1; 20]), word(0));
        let read = |owner: [u8; 32], wallet: [u8; 32], epoch: u64| {
            AgentRecord::from_answers(&word(7), &owner, &wallet, &word(epoch))
        };
        let agent = read(owner, address_argument(&[2; 20]), 1).unwrap();
        assert_eq!((agent.owner, agent.wallet), ([1; 20], Some([2; 20])));
        assert_eq!(read(owner, none, 2).unwrap().wallet, None);
        assert_eq!(read(none, none, 1), Err(AbiError::Inconsistent));
        assert_eq!(read(owner, none, 0), Err(AbiError::Inconsistent));
        assert_eq!(read([0xff; 32], none, 1), Err(AbiError::Range));
    }

    #[test]
    fn summaries_stay_in_their_ranges() {
        let negative = [[0xff; 32].as_slice()].concat();
        let read = |count: u64, value: &[u8], decimals: u64| {
            ReputationSummary::from_answer(&[&word(count)[..], value, &word(decimals)].concat())
        };
        let summary = read(2, &negative, 18).unwrap();
        assert_eq!((summary.count, summary.value, summary.decimals), (2, -1, 18));
        assert_eq!(read(0, &word(0), 0), Ok(ReputationSummary::default()));
        assert_eq!(read(2, &word(1), 19), Err(AbiError::Range));
        assert_eq!(read(0, &word(1), 0), Err(AbiError::Inconsistent));
        // The sign is the same in all bits above 127.
        let mut mixed = [0xff; 32];
        mixed[0] = 0x7f;
        assert_eq!(read(2, &mixed, 0), Err(AbiError::Range));
        let mut large = [0; 32];
        large[16] = 0x80;
        assert_eq!(read(2, &large, 0), Err(AbiError::Range));

        let read =
            |count: u64, average: u64| ValidationSummary::from_answer(&[word(count), word(average)].concat());
        assert_eq!(read(1, 100).unwrap().average, 100);
        assert_eq!(read(1, 101), Err(AbiError::Range));
        assert_eq!(read(0, 1), Err(AbiError::Inconsistent));
    }

    #[test]
    fn pages_of_clients_and_texts_are_bounded() {
        let page = [word(64), word(9), word(1), address_argument(&[1; 20])].concat();
        let read = ClientPage::from_answer(&page, 1).unwrap();
        assert_eq!((read.clients, read.total), (vec![[1; 20]], 9));
        assert_eq!(ClientPage::from_answer(&page, 0), Err(AbiError::TooLong));
        let many = [word(64), word(0), word(1), address_argument(&[1; 20])].concat();
        assert_eq!(ClientPage::from_answer(&many, 1), Err(AbiError::Inconsistent));
        for len in 0..page.len() {
            assert_eq!(
                ClientPage::from_answer(&page[..len], 1),
                Err(AbiError::Length),
                "{len}"
            );
        }
        let long = [&word(32)[..], &word(33), &[b'a'; 64]].concat();
        assert_eq!(text(&long, 32), Err(AbiError::TooLong));
        assert_eq!(text(&long, 64), Err(AbiError::Padding));
    }
}
