//! Genuine evidence → verdict: policy, reference values, launch document and freshness.

use crate::bundle::Bundle;
use crate::claims::Claims;
use crate::evidence::{Genuine, LaunchBinding, short};
use crate::hardware::{Expected, HardwareVerifier};
use crate::hash::{is_zero, sha256, tagged_sha256};
use crate::hex_bytes::HexBytes;
use crate::keys::KeyList;
use crate::launch::LaunchDocument;
use crate::launch::upstreams::{Confidentiality, Upstream};
use crate::measurement::MeasurementId;
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::verdict::{Check, Component, ReferenceMode, Revocation, Verdict};

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
    /// The binding value of this verifier's own end of the TLS connection (see [`crate::response::channel`]); `None`
    /// for who has the evidence in a file and no connection.
    pub channel: Option<[u8; 32]>,
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
    /// The bundle with the documents and the further evidence that the claims name.
    pub bundle: &'a Bundle,
    /// The verifier that found the evidence genuine, for the further evidence.
    pub verifier: &'a HardwareVerifier,
    /// Seconds since 1970.
    pub now: u64,
}

/// Appraises genuine evidence.
pub fn appraise(genuine: &Genuine, inputs: &Inputs<'_>) -> Result<Verdict, Rejection> {
    let policy = inputs.policy;
    let claims = genuine.claims.claims();

    policy.check_reference(inputs.reference.mode)?;
    policy.check_roots(inputs.verifier.anchors())?;
    if !policy.tees.contains(&genuine.tee) {
        return Err(Rejection::TeeNotAccepted(genuine.tee));
    }
    policy.check_simulated(&genuine.hardware)?;
    check_platform(policy, genuine.platform)?;
    let cpu = genuine
        .hardware
        .appraise(Some(policy), &Expected::default(), inputs.now)?;
    let mut checks = summary(genuine, &cpu);
    // What runs there comes before what it says: only then is its further evidence worth the reading, and a log is
    // replayed to registers that are known to bind the launch document.
    checks.push(check_measurement(genuine.measurement, inputs)?);
    let launch = check_launch(genuine, inputs, &mut checks)?;
    let gpus = check_gpus(genuine, inputs)?;
    checks.extend(gpu_lines(&gpus));
    let log = check_log(genuine, inputs)?;
    checks.extend(log.as_ref().map(|_| {
        Check::new(
            "boot log",
            "replays to the quoted registers",
            genuine.hardware.anchor(),
            "replay",
        )
    }));
    if sha256(&inputs.bundle.keys) != claims.keys {
        return Err(Rejection::KeyListDigest);
    }
    KeyList::parse(&inputs.bundle.keys)?;
    check_agent(policy, claims.agent)?;
    let named = match policy.agents.contains(&HexBytes(claims.agent)) {
        true => "listed",
        false => "any agent is accepted",
    };
    checks.push(Check::new("agent", short(&claims.agent), "policy", named));
    check_registry(policy, claims.chain)?;
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
        models: launch.model_ids().map(str::to_owned).collect(),
        external_models: launch.external_model_ids().map(str::to_owned).collect(),
        channel_bound: inputs
            .challenge
            .is_some_and(|challenge| challenge.channel.is_some()),
        age_seconds,
        checks,
        cpu,
        gpus,
        log,
    })
}

/// A policy that pins hardware refuses evidence that names none.
pub(crate) fn check_platform(policy: &Policy, platform: Option<[u8; 32]>) -> Result<(), Rejection> {
    if policy.platforms.is_empty() {
        return Ok(());
    }
    let found = HexBytes(platform.unwrap_or_default());
    if platform.is_some() && policy.platforms.contains(&found) {
        Ok(())
    } else {
        Err(Rejection::PlatformNotAccepted(found))
    }
}

/// Each GPU of the node, whose evidence the claims name by digest and count.
fn check_gpus(genuine: &Genuine, inputs: &Inputs<'_>) -> Result<Vec<Component>, Rejection> {
    let claims = genuine.claims.claims();
    let (digest, count) = claims.gpu;
    let evidence = &inputs.bundle.gpu;
    let rules = inputs.policy.gpu.as_ref();
    if count == 0 {
        if !evidence.is_empty() {
            return Err(Rejection::GpuEvidence);
        }
        // Whoever asks for GPUs isn't served by a node that says that it has none.
        if let Some(rules) = rules {
            rules.check_counts(&[])?;
        }
        return Ok(Vec::new());
    }
    let rules = rules.ok_or(Rejection::GpusNotAccepted(count))?;
    if sha256(evidence) != digest {
        return Err(Rejection::GpuEvidence);
    }
    let components = inputs
        .verifier
        .appraise_gpus(evidence, &gpu_nonce(claims), rules, inputs.now)?;
    if components.len() != usize::from(count) {
        return Err(Rejection::GpuCount {
            found: components.len(),
            claimed: count,
        });
    }
    Ok(components)
}

/// What a node's GPUs are asked to sign: a nonce that nobody else's boot has. It binds their evidence to this boot and
/// its TLS key. It doesn't show that the GPU is in the same machine.
pub fn gpu_nonce(claims: &Claims) -> [u8; 32] {
    tagged_sha256("jeju-gpu-nonce-v1", &[&claims.boot, &claims.pubkey_hash])
}

/// The log of the measured boot, whose digest the claims name.
fn check_log(genuine: &Genuine, inputs: &Inputs<'_>) -> Result<Option<Component>, Rejection> {
    let digest = genuine.claims.claims().log;
    let log = &inputs.bundle.log;
    match (is_zero(&digest), log.is_empty()) {
        (true, true) if inputs.policy.require_event_log => Err(Rejection::LogMissing),
        (true, true) => Ok(None),
        (false, false) if sha256(log) == digest => {
            let launch = &genuine.claims.claims().launch;
            genuine.hardware.replay_node(log, launch).map(Some)
        }
        _ => Err(Rejection::LogDigest),
    }
}

/// TCB, advisories and revocation in one line.
fn state(component: &Component) -> String {
    let tcb = component.tcb.as_ref().map_or("", |tcb| tcb.status.as_str());
    let advisories = component.tcb.iter().flat_map(|tcb| &tcb.advisories);
    let mut words: Vec<&str> = Some(tcb).into_iter().filter(|tcb| !tcb.is_empty()).collect();
    words.extend(advisories.map(String::as_str));
    words.push(match component.revocation {
        Revocation::Good => "not revoked",
        Revocation::Unknown => "revocation unknown",
    });
    words.join(", ")
}

/// The lines on the CPU that a person reads first; everything else is in the component.
fn summary(genuine: &Genuine, cpu: &Component) -> Vec<Check> {
    let anchor = genuine.hardware.anchor();
    vec![
        Check::new(
            "quote",
            format!("{}: {}", cpu.kind, state(cpu)),
            &anchor,
            "chain and signature",
        ),
        Check::new(
            "platform",
            genuine
                .platform
                .map_or_else(|| "unknown".to_owned(), |id| short(&id)),
            &anchor,
            "chain and signature",
        ),
    ]
}

/// A line for devices that are alike, so that none hides behind the first.
fn gpu_lines(gpus: &[Component]) -> Vec<Check> {
    let mut alike: Vec<(&Component, String, usize)> = Vec::new();
    for gpu in gpus {
        let state = state(gpu);
        match alike
            .iter_mut()
            .find(|(first, of, _)| (first.kind, of) == (gpu.kind, &state))
        {
            Some((_, _, count)) => *count += 1,
            None => alike.push((gpu, state, 1)),
        }
    }
    let line = |(first, state, count): (&Component, String, usize)| {
        let root = first.checks.first().map_or("", |check| check.anchor.as_str());
        let value = format!("{count} × {}: {state}", first.kind);
        Check::new("gpu", value, root, "reports and manifests")
    };
    alike.into_iter().map(line).collect()
}

fn check_measurement(id: MeasurementId, inputs: &Inputs<'_>) -> Result<Check, Rejection> {
    // Whoever looked the list up, what the verdict calls pinned must be pinned.
    if inputs.reference.mode == ReferenceMode::Pinned && !inputs.policy.pins(&id) {
        return Err(Rejection::MeasurementUnknown(id));
    }
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
        ReferenceMode::Snapshot {
            block, policy_epoch, ..
        } => {
            let governance = inputs.policy.registry.as_ref().and_then(|of| of.governance);
            let governance = governance.ok_or(Rejection::RegistryMissing)?;
            let signer = short(&governance.0);
            format!("registry at block {block}, epoch {policy_epoch}, signed by {signer} (pinned)")
        }
        ReferenceMode::Rpc { agree, of } => {
            let registry = inputs
                .policy
                .registry
                .as_ref()
                .ok_or(Rejection::RegistryMissing)?;
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
    if sha256(&inputs.bundle.launch) != claims.launch {
        return Err(Rejection::LaunchDigest);
    }
    let anchor = match genuine.launch_binding {
        LaunchBinding::Bound(found) if found == claims.launch => "bound by silicon",
        LaunchBinding::Bound(found) | LaunchBinding::Other(found) => {
            return Err(Rejection::HostData {
                found: HexBytes(found),
                claimed: HexBytes(claims.launch),
            });
        }
        LaunchBinding::NotSettable if rules.not_settable => "not bound by silicon (allowed by policy)",
        LaunchBinding::NotSettable => return Err(Rejection::LaunchNotBound),
    };
    let document = LaunchDocument::parse(&inputs.bundle.launch)?;
    if document.node.agent.0 != claims.agent {
        return Err(Rejection::LaunchClaim("agent"));
    }
    if (document.chain.id, document.chain.registry.0) != claims.chain {
        return Err(Rejection::LaunchClaim("chain"));
    }
    let profile = &document.chain.profile;
    if !rules.chain_profiles.contains(profile) {
        return Err(Rejection::ChainProfileNotAccepted(profile.clone()));
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
    if let Some(genesis) = document.mpc.as_ref().map(|mpc| HexBytes(mpc.genesis()))
        && !rules.mpc_networks.contains(&genesis)
    {
        return Err(Rejection::MpcNetworkNotAccepted(genesis));
    }
    if let Some(isolation) = document.rentals.as_ref().map(|rentals| rentals.isolation)
        && !rules.rentals.contains(&isolation)
    {
        return Err(Rejection::RentalIsolationNotAccepted(isolation.name()));
    }
    if let Some(reach) = document.workers.as_ref().map(|workers| workers.reach)
        && !rules.workers.contains(&reach)
    {
        return Err(Rejection::WorkerReachNotAccepted(reach.name()));
    }
    let readers = document.upstreams.iter().map(Upstream::confidentiality);
    if let Some(reader) = readers
        .into_iter()
        .find(|reader| !rules.upstreams.contains(reader))
    {
        return Err(Rejection::UpstreamNotAccepted(reader.name()));
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
    for upstream in &document.upstreams {
        let reader = match upstream.confidentiality() {
            Confidentiality::Loopback => "in this machine's TEE",
            Confidentiality::Attested => "another node, whose evidence this node checks",
            Confidentiality::External => "NOT CONFIDENTIAL: outside any TEE",
        };
        let value = format!("{} ({reader})", upstream.name);
        checks.push(Check::new(
            "upstream",
            value,
            "launch document",
            "rule on who can read prompts",
        ));
    }
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
    let wanted = policy.registry.as_ref().ok_or(Rejection::RegistryMissing)?;
    let (chain, registry) = (wanted.chain_id, wanted.address);
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
        Some(Challenge {
            channel: Some(channel),
            ..
        }) if claims.channel != channel => return Err(Rejection::Channel),
        Some(Challenge { channel: Some(_), .. }) => true,
        _ if inputs.policy.require_channel => return Err(Rejection::ChannelRequired),
        Some(Challenge { channel: None, .. }) => true,
        None => false,
    };
    match inputs.challenge {
        Some(Challenge { channel: Some(_), .. }) => checks.push(Check::new(
            "channel",
            "quote made for this nonce on this connection",
            "TLS exporter",
            "nonce and exporter",
        )),
        Some(Challenge { channel: None, .. }) => checks.push(Check::new(
            "nonce",
            "quote made for this nonce",
            genuine.hardware.anchor(),
            "nonce in the claims",
        )),
        None => {}
    }
    let max = inputs.policy.max_age_seconds;
    let age = match inputs.anchor {
        Anchor::Known(timestamp) if claims.has_anchor() => inputs.now.saturating_sub(timestamp),
        Anchor::Unknown if claims.has_anchor() => return Err(Rejection::AnchorUnknown),
        // A fresh quote needs no block to be known as fresh; without either there is nothing to judge by.
        _ if answered => return Ok(None),
        Anchor::Known(_) | Anchor::Unknown => return Err(Rejection::NoAnchor),
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
