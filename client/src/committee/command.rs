//! `jeju committee`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{CallData, platform};
use jeju_wallet_auth::account::Account;
use serde_json::json;

use super::exchange::Exchange;
use super::keygen::{ABOUT, keygen};
use super::signing::sign;
use super::{Committee, CommitteeError, KeyRequest, Proof, Share, Statement};
use crate::chain::Chain;
use crate::deployment::{Contract, OnChainArguments};
use crate::rental::command::Printed;
use crate::trust::address;
use crate::wallet::AccountArguments;

/// Verify quotes for contracts, as a member of the committee.
#[derive(Debug, Clone, Subcommand)]
pub enum CommitteeCommand {
    /// Make the committee's key with all other members, and keep a share of it
    Keygen(Box<KeygenArguments>),
    /// Verify the evidence of a request, and sign what it says with other members
    Sign(Box<SignArguments>),
}

/// The member, and how it reaches the others.
#[derive(Debug, Clone, Args)]
struct MemberArguments {
    /// Folder that the members share, empty at first; one for each ceremony
    #[arg(long, value_name = "DIR")]
    exchange: PathBuf,
    /// Seconds to wait for the others in each step
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
    /// The member's account.
    #[command(flatten)]
    account: AccountArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `jeju committee keygen`.
#[derive(Debug, Clone, Args)]
pub struct KeygenArguments {
    /// Account of a member; all of them, in an order on which they agree
    #[arg(long = "member", value_name = "ADDRESS", required = true, value_parser = address)]
    members: Vec<HexBytes<20>>,
    /// How many sign
    #[arg(long, value_name = "N", default_value_t = 2)]
    threshold: u16,
    /// File to write: the member's share, encrypted with its account's key
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    member: MemberArguments,
}

/// Options of `jeju committee sign`.
#[derive(Debug, Clone, Args)]
pub struct SignArguments {
    /// What a provider asks for, as `jeju provider key request` writes it
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The member's share
    #[arg(long, value_name = "FILE")]
    share: PathBuf,
    /// Number of a member that signs, this one too; as many as the threshold says, or more
    #[arg(long = "with", value_name = "N", required = true)]
    signers: Vec<u16>,
    /// File to write: the committee's signature, for `jeju provider key register`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    member: MemberArguments,
    #[command(flatten)]
    on_chain: OnChainArguments,
}

impl CommitteeCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            CommitteeCommand::Keygen(arguments) => arguments.member.json,
            CommitteeCommand::Sign(arguments) => arguments.member.json,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`CommitteeError`].
    pub async fn run(&self) -> Result<Printed, CommitteeError> {
        match self {
            CommitteeCommand::Keygen(arguments) => arguments.run().await,
            CommitteeCommand::Sign(arguments) => arguments.run().await,
        }
    }
}

impl KeygenArguments {
    async fn run(&self) -> Result<Printed, CommitteeError> {
        let committee = Committee {
            threshold: self.threshold,
            members: self.members.clone(),
        };
        committee.check()?;
        if self.out.exists() {
            return Err(CommitteeError::Exists(self.out.clone()));
        }
        let key = self.member.account.read()?;
        let exchange = Exchange {
            committee: &committee,
            about: ABOUT,
            folder: &self.member.exchange,
            key: &key,
            member: committee.number(key.account())?,
            wait: Duration::from_secs(self.member.wait),
        };
        let share = keygen(&exchange).await?;
        share.write(&self.out, &key)?;
        let public = HexBytes(share.group_key()?).to_string();
        let lines = vec![
            format!("committee   {public}"),
            format!(
                "member      {} of {}, {} sign",
                share.member,
                committee.members.len(),
                committee.threshold
            ),
            format!("share       {}", self.out.display()),
        ];
        let json = json!({ "key": public, "member": share.member, "members": committee.members.len(), "threshold": committee.threshold });
        Ok(Printed::report(lines, json))
    }
}

impl SignArguments {
    async fn run(&self) -> Result<Printed, CommitteeError> {
        let key = self.member.account.read()?;
        let share = Share::read(&self.share, &key)?;
        let signers = self.signers(&share)?;
        let request = KeyRequest::read(&self.request)?;
        let keys = self.on_chain.contract(Contract::AttestedKeyRegistry)?;
        let party = self.on_chain.trust.relying_party()?;
        let chain = self.on_chain.chain().await?;
        let statement = Statement::of(&request, &party, chain.chain_id).await?;
        let verifier = verifier(&chain, &keys, statement.platform, &share).await?;
        let digest = statement.digest(chain.chain_id, verifier);
        let exchange = Exchange {
            committee: &share.committee,
            about: digest,
            folder: &self.member.exchange,
            key: &key,
            member: share.member,
            wait: Duration::from_secs(self.member.wait),
        };
        let signature = sign(&exchange, &share, &digest, &signers).await?;
        let proof = Proof { statement, signature };
        proof.write(&self.out)?;
        let statement = &proof.statement;
        let lines = vec![
            format!("key         {}", statement.key),
            format!("agent       {}", statement.agent_id),
            format!("measurement {}", statement.measurement),
            format!("launch      {}", statement.launch_digest),
            format!("signed      by members {signers:?}, until {}", statement.expiry),
        ];
        Ok(Printed::report(
            lines,
            json!({ "statement": statement, "signers": signers }),
        ))
    }

    /// In order, each once.
    fn signers(&self, share: &Share) -> Result<Vec<u16>, CommitteeError> {
        let mut signers = self.signers.clone();
        signers.sort_unstable();
        signers.dedup();
        if signers.len() < usize::from(share.committee.threshold) {
            return Err(CommitteeError::Members("fewer members than the threshold"));
        }
        if !signers.contains(&share.member) {
            return Err(CommitteeError::Members("this member is not among those who sign"));
        }
        match signers
            .iter()
            .all(|signer| share.committee.account(*signer).is_some())
        {
            true => Ok(signers),
            false => Err(CommitteeError::Members("no member has such a number")),
        }
    }
}

/// The verifier of the platform, whose key must be this committee's.
async fn verifier(chain: &Chain, keys: &[u8; 20], of: u8, share: &Share) -> Result<Account, CommitteeError> {
    let name = platform::name(of).unwrap_or("an unknown platform");
    let block = chain.reader.newest_block().await?;
    let ask = async |contract: &[u8; 20], call: CallData| -> Result<[u8; 32], CommitteeError> {
        let answer = chain
            .reader
            .call_at(&block, contract, &call.encode(), 128)
            .await?;
        let word = answer.and_then(|answer| answer.first_chunk::<32>().copied());
        Ok(word.unwrap_or_default())
    };
    let rules = ask(keys, CallData::new("platforms(uint8)").number(of.into())).await?;
    let mut verifier = [0; 20];
    verifier.copy_from_slice(&rules[12..]);
    if verifier == [0; 20] {
        return Err(CommitteeError::NoVerifier(name));
    }
    let x = ask(&verifier, CallData::new("keyX()")).await?;
    let parity = ask(&verifier, CallData::new("keyParity()")).await?;
    let group = share.group_key()?;
    if group[1..] != x || group[0] & 1 != parity[31] {
        return Err(CommitteeError::OtherKey(name));
    }
    Ok(Account(verifier))
}
