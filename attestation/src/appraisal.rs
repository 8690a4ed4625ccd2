//! Genuine evidence → verdict: policy, reference values, launch document and freshness.

use crate::evidence::{Genuine, LaunchBinding, short};
use crate::hash::sha256;
use crate::hex_bytes::HexBytes;
use crate::keys::KeyList;
use crate::launch::LaunchDocument;
use crate::measurement::MeasurementId;
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::verdict::{Check, ReferenceMode, Verdict};

/// What a reference value source says of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasurementStatus {
    /// Listed and in force.
    Active,
    /// Not listed.
    Unknown,
    /// Listed, not yet in force.
    Pending {
        /// Seconds since 1970.
        active_from: u64,
    },
    /// No longer in force.
    Revoked {
        /// Seconds since 1970.
        at: u64,
    },
    /// Older than the source still accepts.
    BelowFloor {
        /// The measurement's version.
        version: u32,
        /// The lowest accepted one.
        floor: u32,
    },
}

/// A measurement's status and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Source.
    pub mode: ReferenceMode,
    /// What the source says.
    pub status: MeasurementStatus,
}

impl Reference {
    /// The policy's own list.
    pub fn pinned(policy: &Policy, id: &MeasurementId) -> Self {
        let status = if policy.pins(id) {
            MeasurementStatus::Active
        } else {
            MeasurementStatus::Unknown
        };
        Self {
            mode: ReferenceMode::Pinned,
            status,
        }
    }
}

/// What the verifier could learn of the anchor block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// On the chain, with this timestamp (seconds since 1970).
    Known(u64),
    /// Not on the chain.
    Unknown,
    /// Not looked up: no source at hand.
    Unchecked,
}

/// A challenge of this verifier that the quote must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// The nonce that was sent.
    pub nonce: [u8; 32],
    /// The binding value of this verifier's own end of the TLS connection (see [`crate::response::channel`]).
    pub channel: [u8; 32],
}

/// Everything beside the evidence that a verdict depends on.
pub struct Inputs<'a> {
    /// Appraisal policy.
    pub policy: &'a Policy,
    /// Reference value of the evidence's measurement.
    pub reference: Reference,
    /// Anchor block.
    pub anchor: Anchor,
    /// Challenge, if one was sent.
    pub challenge: Option<Challenge>,
    /// Exact bytes of the key list.
    pub keys: &'a [u8],
    /// Exact bytes of the launch document.
    pub launch: &'a [u8],
    /// Seconds since 1970.
    pub now: u64,
}

/// Appraises genuine evidence.
pub fn appraise(genuine: &Genuine, inputs: &Inputs<'_>) -> Result<Verdict, Rejection> {
    let policy = inputs.policy;
    let claims = genuine.claims.claims();
    let mut checks = genuine.checks.clone();

    if !policy.tees.contains(&genuine.tee) {
        return Err(Rejection::TeeNotAccepted(genuine.tee));
    }
    check_platform(policy, genuine)?;
    checks.push(check_measurement(genuine.measurement, inputs)?);
    let launch = check_launch(genuine, inputs, &mut checks)?;
    if sha256(inputs.keys) != claims.keys {
        return Err(Rejection::KeyListDigest);
    }
    KeyList::parse(inputs.keys)?;
    check_agent(policy, claims.agent)?;
    checks.push(Check::new("agent", short(&claims.agent), "policy", "listed"));
    check_registry(policy, claims.chain)?;
    if claims.gpu.1 != 0 {
        return Err(Rejection::GpusNotAccepted(claims.gpu.1));
    }
    let age_seconds = check_freshness(genuine, inputs, &mut checks)?;

    Ok(Verdict {
        status: "affirming",
        kind: policy.kind,
        tee: genuine.tee,
        measurement: HexBytes(genuine.measurement.0),
        reference: inputs.reference.mode,
        agent: HexBytes(claims.agent),
        platform: genuine.platform.map(HexBytes),
        boot: HexBytes(claims.boot),
        epoch: claims.epoch,
        launch: HexBytes(claims.launch),
        services: launch.services.enabled().into_iter().map(str::to_owned).collect(),
        models: launch.models.iter().map(|model| model.id.clone()).collect(),
        channel_bound: inputs.challenge.is_some(),
        age_seconds,
        checks,
    })
}

fn check_platform(policy: &Policy, genuine: &Genuine) -> Result<(), Rejection> {
    if policy.platforms.is_empty() {
        return Ok(());
    }
    // A policy that pins hardware refuses evidence that names none.
    let found = HexBytes(genuine.platform.unwrap_or_default());
    if policy.platforms.contains(&found) {
        Ok(())
    } else {
        Err(Rejection::PlatformNotAccepted(found))
    }
}

fn check_measurement(id: MeasurementId, inputs: &Inputs<'_>) -> Result<Check, Rejection> {
    match inputs.reference.status {
        MeasurementStatus::Active => {}
        MeasurementStatus::Unknown => return Err(Rejection::MeasurementUnknown(id)),
        MeasurementStatus::Pending { active_from } => {
            return Err(Rejection::MeasurementPending { id, active_from });
        }
        MeasurementStatus::Revoked { at } => return Err(Rejection::MeasurementRevoked { id, at }),
        MeasurementStatus::BelowFloor { version, floor } => {
            return Err(Rejection::MeasurementBelowFloor { id, version, floor });
        }
    }
    let anchor = match inputs.reference.mode {
        ReferenceMode::Pinned => "policy file (pinned)".to_owned(),
        ReferenceMode::Rpc { agree, of } => {
            let registry = &inputs.policy.registry;
            format!(
                "registry {} on chain {}, {agree} of {of} RPC (not proved)",
                short(&registry.address.0),
                registry.chain_id
            )
        }
    };
    Ok(Check::new("measurement", id, anchor, "reference value"))
}

fn check_launch(
    genuine: &Genuine,
    inputs: &Inputs<'_>,
    checks: &mut Vec<Check>,
) -> Result<LaunchDocument, Rejection> {
    let claims = genuine.claims.claims();
    let rules = &inputs.policy.launch;
    if sha256(inputs.launch) != claims.launch {
        return Err(Rejection::LaunchDigest);
    }
    let anchor = match genuine.launch_binding {
        LaunchBinding::Bound(found) if found == claims.launch => "bound by silicon",
        LaunchBinding::Bound(found) => {
            return Err(Rejection::HostData {
                found: HexBytes(found),
                claimed: HexBytes(claims.launch),
            });
        }
        LaunchBinding::NotSettable if rules.not_settable => "not bound by silicon (allowed by policy)",
        LaunchBinding::NotSettable => return Err(Rejection::LaunchNotBound),
    };
    let document = LaunchDocument::parse(inputs.launch)?;
    if document.node.agent.0 != claims.agent {
        return Err(Rejection::LaunchClaim("agent"));
    }
    if (document.chain.id, document.chain.registry.0) != claims.chain {
        return Err(Rejection::LaunchClaim("chain"));
    }
    let services = document.services.enabled();
    if let Some(service) = services
        .iter()
        .find(|service| !rules.services.iter().any(|rule| rule == *service))
    {
        return Err(Rejection::ServiceNotAccepted((*service).to_owned()));
    }
    if let Some(entry) = document
        .egress
        .allow
        .iter()
        .find(|entry| !rules.egress.contains(entry))
    {
        return Err(Rejection::EgressNotAccepted(entry.clone()));
    }
    if let Some(model) = document
        .models
        .iter()
        .find(|model| !rules.models.contains(&model.sha256))
    {
        return Err(Rejection::ModelNotAccepted(model.id.clone()));
    }
    if document.log.sink && !rules.log_sink {
        return Err(Rejection::LogSinkNotAccepted);
    }
    let listed = if services.is_empty() {
        "no services".to_owned()
    } else {
        services.join(", ")
    };
    checks.push(Check::new(
        "launch",
        format!("{}, services: {listed}", short(&claims.launch)),
        anchor,
        "digest and rules",
    ));
    Ok(document)
}

fn check_agent(policy: &Policy, agent: [u8; 32]) -> Result<(), Rejection> {
    let agent = HexBytes(agent);
    if policy.any_agent || policy.agents.contains(&agent) {
        Ok(())
    } else {
        Err(Rejection::AgentNotAccepted(agent))
    }
}

fn check_registry(policy: &Policy, (found_chain, found_registry): (u64, [u8; 20])) -> Result<(), Rejection> {
    let (chain, registry) = (policy.registry.chain_id, policy.registry.address);
    if (found_chain, found_registry) == (chain, registry.0) {
        return Ok(());
    }
    Err(Rejection::OtherRegistry {
        found_chain,
        found_registry: HexBytes(found_registry),
        chain,
        registry,
    })
}

/// Fresh either by a challenge that this quote answers, or by the age of a block that it names. The enclave's own
/// clock is never asked: the host sets it.
fn check_freshness(
    genuine: &Genuine,
    inputs: &Inputs<'_>,
    checks: &mut Vec<Check>,
) -> Result<Option<u64>, Rejection> {
    let claims = genuine.claims.claims();
    let answered = match inputs.challenge {
        Some(challenge) if claims.nonce != challenge.nonce => return Err(Rejection::Nonce),
        Some(challenge) if claims.channel != challenge.channel => return Err(Rejection::Channel),
        Some(_) => true,
        None if inputs.policy.require_channel => return Err(Rejection::ChannelRequired),
        None => false,
    };
    if answered {
        checks.push(Check::new(
            "channel",
            "quote made for this nonce on this connection",
            "TLS exporter",
            "nonce and exporter",
        ));
    }
    let max = inputs.policy.max_age_seconds;
    let age = match inputs.anchor {
        Anchor::Known(timestamp) => inputs.now.saturating_sub(timestamp),
        Anchor::Unknown if claims.has_anchor() => return Err(Rejection::AnchorUnknown),
        // A fresh quote needs no block to be known as fresh; without either there is nothing to judge by.
        Anchor::Unknown | Anchor::Unchecked if answered => return Ok(None),
        Anchor::Unknown => return Err(Rejection::NoAnchor),
        Anchor::Unchecked => return Err(Rejection::AnchorUnchecked),
    };
    if age > max {
        return Err(Rejection::Stale { age, max });
    }
    checks.push(Check::new(
        "age",
        format!("{age} s (block {})", claims.anchor.0),
        "anchor block on chain",
        "block time",
    ));
    Ok(Some(age))
}
