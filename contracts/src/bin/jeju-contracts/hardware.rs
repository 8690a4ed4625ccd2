//! `jeju-contracts hardware`.

use alloy::primitives::{Address, B256};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jeju_contracts::hardware::{self, Machine};
use serde_json::{Value, json};

use crate::session::{Chain, Role, Session, checked, sent};

#[derive(Args)]
pub struct At {
    #[command(flatten)]
    chain: Chain,
    /// Address of the hardware registry.
    #[arg(long)]
    registry: Address,
    /// Platform id of the machine, 32 bytes in hex: a committee's statement names it, and evidence does.
    #[arg(long)]
    hardware: B256,
}

#[derive(Args)]
pub struct OfAgent {
    #[command(flatten)]
    at: At,
    /// Agent id, 32 bytes in hex.
    #[arg(long)]
    agent: B256,
}

impl OfAgent {
    fn machine(&self) -> Machine {
        Machine {
            agent: self.agent,
            hardware: self.at.hardware,
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Announce that an agent is to run on a machine; the timelock starts. Key: JEJU_DEPLOYER_KEY.
    Propose {
        #[command(flatten)]
        of: OfAgent,
        /// Class of key material that may be held there.
        #[arg(long, default_value_t = 0)]
        custody: u8,
    },
    /// Let the agent run on it once the timelock has run out. Key: JEJU_DEPLOYER_KEY.
    Allow {
        #[command(flatten)]
        of: OfAgent,
    },
    /// End the agent's permission at once and for good. Key: JEJU_REVOKER_KEY.
    Revoke {
        #[command(flatten)]
        of: OfAgent,
    },
    /// End a machine for all agents at once and for good. Key: JEJU_REVOKER_KEY.
    RevokeForAll {
        #[command(flatten)]
        at: At,
    },
    /// Show what the registry says at the newest block.
    Query {
        #[command(flatten)]
        of: OfAgent,
    },
}

pub async fn run(command: Command) -> Result<Value> {
    match command {
        Command::Propose { of, custody } => {
            let session = Session::open(&of.at.chain, Role::Owner).await?;
            Ok(sent(
                hardware::propose(&session.sender(), of.at.registry, of.machine(), custody).await?,
            ))
        }
        Command::Allow { of } => {
            let session = Session::open(&of.at.chain, Role::Owner).await?;
            Ok(sent(
                hardware::allow(&session.sender(), of.at.registry, of.machine()).await?,
            ))
        }
        Command::Revoke { of } => {
            let session = Session::open(&of.at.chain, Role::Revoker).await?;
            Ok(sent(
                hardware::revoke(&session.sender(), of.at.registry, of.machine()).await?,
            ))
        }
        Command::RevokeForAll { at } => {
            let session = Session::open(&at.chain, Role::Revoker).await?;
            Ok(sent(
                hardware::revoke_for_all(&session.sender(), at.registry, at.hardware).await?,
            ))
        }
        Command::Query { of } => query(of).await,
    }
}

async fn query(of: OfAgent) -> Result<Value> {
    let (rpc, _) = checked(&of.at.chain).await?;
    let standing = hardware::standing(&rpc, of.at.registry, of.machine())
        .await
        .context("--registry")?;
    let Some(standing) = standing else {
        bail!("nobody proposed this machine for the agent")
    };
    Ok(json!({
        "agent": of.agent,
        "hardware": of.at.hardware,
        "number": standing.number,
        "stage": standing.stage,
        "allowed": standing.allowed,
        "custody": standing.custody,
        "since": standing.since,
        "endedAt": standing.ended_at,
    }))
}
