//! `jeju rental dispute`: opens a dispute over an active rental, or closes one.

use clap::{Args, ValueEnum};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::rental;
use serde_json::json;

use super::super::RentalError;
use super::super::amount::Amount;
use super::super::market::sending_key;
use super::change::with_transaction;
use super::{ActorArguments, Printed, rental_id, transaction};

/// Options of `jeju rental dispute`.
#[derive(Debug, Clone, Args)]
pub struct DisputeArguments {
    /// The rental
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    /// What it is about
    #[arg(long, value_name = "REASON", required_unless_present = "close")]
    reason: Option<Reason>,
    /// Where the evidence is, as a URI of at most 512 bytes; public for good
    #[arg(long, value_name = "URI", default_value = "")]
    evidence: String,
    /// Highest bond that is paid
    #[arg(long, value_name = "AMOUNT", default_value = "0.01eth")]
    max_bond: Amount,
    /// Close the rental's dispute: carry out its ruling, or end it if there was none in time
    #[arg(long, conflicts_with_all = ["reason", "evidence", "max_bond"])]
    close: bool,
    #[command(flatten)]
    pub(super) actor: ActorArguments,
}

/// What a dispute is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reason {
    ProviderOffline,
    WrongHardware,
    PoorPerformance,
    SecurityIssue,
    UserAbuse,
    UserHackAttempt,
    UserTermsViolation,
    PaymentDispute,
}

impl From<Reason> for rental::DisputeReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::ProviderOffline => Self::ProviderOffline,
            Reason::WrongHardware => Self::WrongHardware,
            Reason::PoorPerformance => Self::PoorPerformance,
            Reason::SecurityIssue => Self::SecurityIssue,
            Reason::UserAbuse => Self::UserAbuse,
            Reason::UserHackAttempt => Self::UserHackAttempt,
            Reason::UserTermsViolation => Self::UserTermsViolation,
            Reason::PaymentDispute => Self::PaymentDispute,
        }
    }
}

pub(super) async fn run(arguments: &DisputeArguments) -> Result<Printed, RentalError> {
    let key = sending_key(&arguments.actor.account.read()?)?;
    let market = arguments.actor.market.market().await?;
    let block = market.block().await?;
    // An id that was mistyped has a clearer name here than in the contract.
    market.rental(&block, arguments.rental).await?;
    let (sender, contract) = (market.sender(&key), market.contract.into());
    let id = arguments.rental.0.into();
    let Some(reason) = arguments.reason else {
        let receipt = rental::close_dispute(&sender, contract, id).await?;
        let lines = vec![
            format!("closed      the dispute over {}", arguments.rental),
            format!("transaction {}", transaction(&receipt)),
        ];
        let json = json!({ "rentalId": arguments.rental, "done": "closed" });
        return Ok(Printed::report(lines, with_transaction(json, &receipt)));
    };
    let bond = rental::dispute_bond(&market.reader, &block, contract).await?;
    let bond = Amount(bond.ok_or(RentalError::NotAMarket(HexBytes(market.contract)))?);
    if bond > arguments.max_bond {
        return Err(RentalError::Cost {
            cost: bond,
            most: arguments.max_bond,
        });
    }
    let (dispute, receipt) =
        rental::dispute(&sender, contract, id, reason.into(), &arguments.evidence, bond.0).await?;
    let dispute = HexBytes(dispute.0);
    let lines = vec![
        format!("disputed    {}, whose use has ended", arguments.rental),
        format!("dispute     {dispute}"),
        format!("bond        {bond}"),
        format!("transaction {}", transaction(&receipt)),
        "close it    in 7 days, or 3 days after its ruling, with --close".to_owned(),
    ];
    let json = json!({
        "rentalId": arguments.rental,
        "done": "disputed",
        "disputeId": dispute,
        "bondWei": bond.0.to_string(),
    });
    Ok(Printed::report(lines, with_transaction(json, &receipt)))
}
