//! A verdict for people and for programs.

use jeju_attestation::policy::Kind;
use jeju_attestation::verdict::{ReferenceMode, Verdict};
use serde_json::{Value, json};

use crate::node_url::NodeUrl;

/// Lines of a verdict, at most twelve: a summary, then each claim with what the trust in it rests on. Development
/// verdicts say so in every line, because a line is what people copy.
pub fn lines(url: &NodeUrl, verdict: &Verdict) -> Vec<String> {
    let mark = match verdict.kind {
        Kind::Production => "",
        Kind::Development => "[development] ",
    };
    let mode = if verdict.channel_bound { "channel" } else { "epoch" };
    let reference = match verdict.reference {
        ReferenceMode::Pinned => "pinned".to_owned(),
        ReferenceMode::Snapshot { block, .. } => format!("pinned at block {block}"),
        ReferenceMode::Rpc { .. } => "rpc, not proved".to_owned(),
    };
    let mut lines = vec![format!(
        "{mark}verified {url}: {}, epoch {}, mode {mode}, reference values {reference}",
        verdict.tee, verdict.epoch
    )];
    lines.extend(
        verdict
            .checks
            .iter()
            .map(|check| format!("{mark}{:<12}{}  <- {}", check.claim, check.value, check.anchor)),
    );
    if verdict.age_seconds.is_none() {
        lines.push(format!(
            "{mark}{:<12}unknown  <- no block could be looked up",
            "age"
        ));
    }
    if !verdict.models.is_empty() {
        lines.push(format!(
            "{mark}{:<12}{}  <- launch document",
            "models",
            verdict.models.join(", ")
        ));
    }
    lines
}

/// A verdict as `--json` prints it.
pub fn json(url: &NodeUrl, verdict: &Verdict) -> Value {
    let mut value = json!(verdict);
    value["node"] = json!(url.to_string());
    value
}

#[cfg(test)]
mod tests {
    use jeju_attestation::hex_bytes::HexBytes;
    use jeju_attestation::tee::Tee;
    use jeju_attestation::verdict::{Check, Component, Revocation};

    use super::*;

    fn verdict(kind: Kind) -> Verdict {
        let check = |claim| Check::new(claim, "value", "anchor", "check");
        Verdict {
            status: "affirming",
            kind,
            tee: Tee::Simulated,
            measurement: HexBytes([1; 32]),
            reference: ReferenceMode::Rpc { agree: 1, of: 1 },
            agent: HexBytes([2; 32]),
            platform: None,
            boot: HexBytes([3; 16]),
            epoch: 4,
            launch: HexBytes([5; 32]),
            services: vec!["inference".into()],
            models: vec!["model".into()],
            external_models: Vec::new(),
            channel_bound: true,
            age_seconds: Some(6),
            checks: [
                "quote",
                "platform",
                "measurement",
                "launch",
                "agent",
                "channel",
                "age",
            ]
            .map(check)
            .into(),
            cpu: Component {
                kind: "simulated",
                tcb: None,
                revocation: Revocation::Unknown,
                checks: vec![check("REPORT_DATA")],
            },
            gpus: Vec::new(),
            log: None,
        }
    }

    #[test]
    fn ten_lines_each_with_its_anchor() {
        let url: NodeUrl = "https://localhost:4007".parse().unwrap();
        let lines = lines(&url, &verdict(Kind::Production));
        assert!(lines.len() <= 10, "{lines:#?}");
        assert!(lines[1..].iter().all(|line| line.contains("  <- ")));
        assert!(!lines.concat().contains("development"));
        for line in super::lines(&url, &verdict(Kind::Development)) {
            assert!(line.starts_with("[development] "), "{line}");
        }
    }

    #[test]
    fn json_is_the_verdict() {
        let url: NodeUrl = "https://localhost:4007".parse().unwrap();
        let value = json(&url, &verdict(Kind::Development));
        assert_eq!(value["status"], "affirming");
        assert_eq!(value["kind"], "development");
        assert_eq!(value["reference"]["mode"], "rpc");
        assert_eq!(value["node"], "https://localhost:4007");
    }
}
