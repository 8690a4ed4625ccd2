//! A rental on chain for people and for programs.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{Block, ChainText, RentalRecord, RentalStatus};
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use super::amount::Amount;

/// A rental as `--json` prints it. Times are milliseconds since 1970, as in the API of nodes; amounts wei in decimal digits.
pub(super) fn json(rental: &RentalRecord, block: &Block) -> Value {
    json!({
        "rentalId": HexBytes(rental.id),
        "user": Account(rental.user).to_string(),
        "provider": Account(rental.provider).to_string(),
        "status": rental.status.number(),
        "statusName": rental.status.name(),
        "startTime": rental.start_time * 1000,
        "endTime": rental.end_time * 1000,
        "endedAt": rental.ended_at * 1000,
        "startDeadline": rental.start_deadline * 1000,
        "remainingSeconds": remaining(rental, block.timestamp),
        "paidHours": rental.paid_hours(),
        "ratePerHourWei": rental.rate.to_string(),
        "paidWei": rental.paid.to_string(),
        "refundedWei": rental.refunded.to_string(),
        "feeBps": rental.fee_bps,
        "sshPublicKey": text(&rental.ssh_public_key),
        "containerImage": text(&rental.container_image),
        "startupScript": text(&rental.startup_script),
        "sshHost": text(&rental.ssh_host),
        "sshPort": rental.ssh_port,
        "block": block.number,
    })
}

/// The same for people.
pub(super) fn lines(rental: &RentalRecord, block: &Block) -> Vec<String> {
    let mut lines = vec![
        format!("rental      {}", HexBytes(rental.id)),
        format!("status      {}", status(rental, block.timestamp)),
        format!("user        {}", Account(rental.user)),
        format!("provider    {}", Account(rental.provider)),
        format!(
            "paid        {} for {} h at {} an hour",
            Amount(rental.paid),
            rental.paid_hours(),
            Amount(rental.rate)
        ),
    ];
    if rental.status.is_over() {
        lines.push(format!("refunded    {}", Amount(rental.refunded)));
    }
    for (name, value) in [
        ("image", &rental.container_image),
        ("script", &rental.startup_script),
        ("key", &rental.ssh_public_key),
    ] {
        if !value.is_empty() {
            // A script may have many lines.
            let shown: String = value.to_string().chars().take(160).collect();
            lines.push(format!("{name:<12}{shown}"));
        }
    }
    if !rental.ssh_host.is_empty() {
        lines.push(format!("ssh         {}:{}", rental.ssh_host, rental.ssh_port));
    }
    lines
}

/// One line of a list.
pub(super) fn line(rental: &RentalRecord, block: &Block) -> String {
    format!(
        "{}  {}  {}",
        HexBytes(rental.id),
        Account(rental.provider),
        status(rental, block.timestamp)
    )
}

fn status(rental: &RentalRecord, now: u64) -> String {
    match rental.status {
        RentalStatus::Pending if now > rental.start_deadline => {
            "pending, not started in time: cancel it, or let it expire".to_owned()
        }
        RentalStatus::Pending => format!("pending, to be started within {} s", rental.start_deadline - now),
        RentalStatus::Active => match remaining(rental, now) {
            0 => "active, its time is over".to_owned(),
            seconds => format!("active, {seconds} s left"),
        },
        status => status.name().to_owned(),
    }
}

fn remaining(rental: &RentalRecord, now: u64) -> u64 {
    match rental.status {
        RentalStatus::Active => rental.end_time.saturating_sub(now),
        _ => 0,
    }
}

fn text(text: &ChainText) -> String {
    text.to_string()
}
