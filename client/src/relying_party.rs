//! The relying party (RFC 9334): a policy, and the chain from which reference values and block times come.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use jeju_attestation::appraisal::{Anchor, Challenge, Inputs, MeasurementStatus, Reference, appraise};
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::Claims;
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::evidence::{Genuine, NodeEvidence, Verifier};
use jeju_attestation::policy::{Kind, Policy};
use jeju_attestation::verdict::{ReferenceMode, Verdict};
use jeju_attested_tls::{AttestedVerifier, client_config};
use jeju_chain::{ChainReader, Finality, GuardLimits, Head, HeadGuard, ReaderConfig, TcpDial};
use jeju_session::{anchor, measurement_status};
use rustls::ClientConfig;

use crate::error::Error;
use crate::policy::{Memory, SignedSnapshot, SnapshotError};
use crate::session::{SessionError, unix_now};
use crate::via::{Gateway, Via};

/// What a user trusts, ready to appraise evidence.
pub struct RelyingParty {
    policy: Policy,
    chain: Option<Chain>,
    evidence: Arc<Verifier>,
    certificates: Arc<AttestedVerifier>,
    tls: Arc<ClientConfig>,
    via: Via,
    snapshot: Option<SignedSnapshot>,
    memory: Option<Memory>,
}

/// The endpoints, and what they showed before.
struct Chain {
    reader: ChainReader,
    guard: HeadGuard,
}

/// What a quote is appraised with beside the policy: the bundle with what its claims name, and a challenge.
pub(crate) struct Documents<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) challenge: Challenge,
}

impl RelyingParty {
    /// For a policy. Where it names RPC endpoints, they are asked for block times, and for reference values unless the
    /// policy pins some.
    pub fn new(policy: Policy) -> Result<Self, Error> {
        Self::with_endorsements(policy, Endorsements::default())
    }

    /// The same with what vendors say about their hardware: collateral, revocation lists, manifests.
    pub fn with_endorsements(policy: Policy, endorsements: Endorsements) -> Result<Self, Error> {
        let registry = policy.node_registry()?;
        let chain = match registry.rpc.as_slice() {
            [] => None,
            endpoints => {
                let localnet = policy.kind == Kind::Development;
                let config = ReaderConfig {
                    localnet,
                    // Nobody but this machine carries the bytes to a node of one's own.
                    plaintext: endpoints.iter().all(|url| is_tls(url) || is_loopback(url)),
                    ..ReaderConfig::new(endpoints.to_vec(), registry.quorum)
                };
                let reader = ChainReader::new(config, Arc::new(TcpDial))?;
                let guard = HeadGuard::new(registry.chain_id, limits(&policy), None);
                Some(Chain { reader, guard })
            }
        };
        let evidence = Arc::new(Verifier::of_policy(&policy, endorsements)?);
        let certificates = Arc::new(AttestedVerifier::new(evidence.clone()));
        let tls = client_config(certificates.clone())
            .map_err(|_| SessionError::Crypto("TLS 1.3 is not available"))?;
        Ok(Self {
            policy,
            chain,
            evidence,
            certificates,
            tls: Arc::new(tls),
            via: Via::default(),
            snapshot: None,
            memory: None,
        })
    }

    /// The same that takes reference values from a snapshot. Endpoints that the policy names can only take away from it.
    pub fn with_snapshot(self, snapshot: SignedSnapshot) -> Self {
        Self {
            snapshot: Some(snapshot),
            ..self
        }
    }

    /// The same that goes on where this machine was before: endpoints can't show it an older state of the registry.
    ///
    /// # Errors
    /// Where what was seen before can't be read.
    pub fn remembering(mut self, memory: Memory) -> Result<Self, Error> {
        let head = memory.seen()?.head;
        if let (Some(chain), Some(block)) = (&mut self.chain, &head) {
            let known = Head {
                block: block.into(),
                finality: Finality::Finalized,
            };
            let registry = self.policy.node_registry()?;
            chain.guard = HeadGuard::new(registry.chain_id, limits(&self.policy), Some(known));
        }
        self.memory = Some(memory);
        Ok(self)
    }

    /// The same that reaches nodes through these gateways, which it doesn't trust; directly, if there are none.
    pub fn through(self, gateways: Vec<Gateway>) -> Self {
        Self {
            via: Via::new(gateways),
            ..self
        }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn evidence_verifier(&self) -> &Verifier {
        &self.evidence
    }

    pub(crate) fn certificate_verifier(&self) -> &Arc<AttestedVerifier> {
        &self.certificates
    }

    pub(crate) fn via(&self) -> &Via {
        &self.via
    }

    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }

    /// Looks up what the chain says of genuine evidence, and appraises it.
    pub(crate) async fn appraise(
        &self,
        genuine: &Genuine,
        documents: &Documents<'_>,
    ) -> Result<Verdict, Error> {
        // A chain that goes back or stands still could show what is revoked as active.
        let head = match &self.chain {
            Some(chain) => Some(chain.guard.check(&chain.reader, Some(unix_now())).await?),
            None => None,
        };
        let inputs = Inputs {
            policy: &self.policy,
            reference: self.reference(genuine, head).await?,
            anchor: self.anchor(genuine.claims.claims()).await?,
            challenge: Some(documents.challenge),
            bundle: documents.bundle,
            verifier: self.evidence.hardware(),
            now: unix_now(),
        };
        Ok(appraise(genuine, &inputs)?)
    }

    /// Verifies and appraises the evidence of a saved response at `at` (seconds since 1970): by all of the policy but for
    /// freshness, since a file has no connection and an old answer is no worse for its age. A registry is asked for
    /// what holds now.
    pub(crate) async fn appraise_saved(&self, bundle: &Bundle, at: u64) -> Result<Verdict, Error> {
        let genuine = self.evidence.verify(&NodeEvidence::of(bundle), at)?;
        let policy = Policy {
            require_channel: false,
            ..self.policy.clone()
        };
        let head = match &self.chain {
            Some(chain) => Some(chain.guard.check(&chain.reader, Some(unix_now())).await?),
            None => None,
        };
        let inputs = Inputs {
            policy: &policy,
            reference: self.reference(&genuine, head).await?,
            anchor: Anchor::Unchecked,
            // Its own nonce: nothing was asked of the node for this verdict.
            challenge: Some(Challenge {
                nonce: genuine.claims.claims().nonce,
                channel: None,
            }),
            bundle,
            verifier: self.evidence.hardware(),
            now: at,
        };
        let mut verdict = appraise(&genuine, &inputs)?;
        verdict.checks.retain(|check| check.claim != "nonce");
        Ok(verdict)
    }

    /// The time by the chain's newest block, which is what nodes judge signatures by; this machine's clock where the policy
    /// names no endpoint, or none answers.
    pub(crate) async fn chain_time(&self) -> u64 {
        match &self.chain {
            Some(chain) => chain.reader.newest_timestamp().await.ok(),
            None => None,
        }
        .unwrap_or_else(unix_now)
    }

    async fn reference(&self, genuine: &Genuine, head: Option<Head>) -> Result<Reference, Error> {
        if !self.policy.measurements.is_empty() {
            return Ok(Reference::pinned(&self.policy, &genuine.measurement));
        }
        let listed = match &self.snapshot {
            Some(snapshot) => Some(snapshot.reference(&genuine.measurement, genuine.tee, unix_now())?),
            None => None,
        };
        match (listed, self.by_endpoints(genuine, head).await?) {
            // What the chain no longer accepts is over, however new the snapshot is.
            (Some(listed), Some(now)) if is_over(&now.status) => Ok(Reference {
                status: now.status,
                ..listed
            }),
            (Some(listed), _) => Ok(listed),
            (None, Some(now)) => Ok(now),
            (None, None) if self.policy.node_registry()?.governance.is_some() => {
                Err(SnapshotError::Missing.into())
            }
            (None, None) => Ok(Reference::pinned(&self.policy, &genuine.measurement)),
        }
    }

    /// What k of n endpoints say; `None` where the policy names none.
    async fn by_endpoints(&self, genuine: &Genuine, head: Option<Head>) -> Result<Option<Reference>, Error> {
        let (Some(chain), Some(head)) = (&self.chain, head) else {
            return Ok(None);
        };
        let registry = self.policy.node_registry()?;
        let reading = chain
            .reader
            .measurement_at(head, &registry.address.0, &genuine.measurement.0)
            .await?;
        if let Some(memory) = &self.memory {
            memory.head(&head.block, reading.policy.epoch)?;
        }
        let mode = ReferenceMode::Rpc {
            agree: registry.quorum,
            of: registry.rpc.len(),
        };
        Ok(Some(Reference {
            mode,
            status: measurement_status(&reading, genuine.tee, unix_now()),
        }))
    }

    async fn anchor(&self, claims: &Claims) -> Result<Anchor, Error> {
        let Some(chain) = &self.chain else {
            return Ok(Anchor::Unchecked);
        };
        Ok(anchor(&chain.reader, claims).await?)
    }
}

/// Whether a measurement was accepted once and is no longer.
fn is_over(status: &MeasurementStatus) -> bool {
    matches!(
        status,
        MeasurementStatus::Revoked { .. } | MeasurementStatus::BelowFloor { .. }
    )
}

fn limits(policy: &Policy) -> GuardLimits {
    match policy.kind {
        Kind::Development => GuardLimits::LOCAL,
        Kind::Production => GuardLimits::default(),
    }
}

fn is_tls(url: &str) -> bool {
    url.starts_with("https://")
}

pub(crate) fn is_loopback(url: &str) -> bool {
    let host = url
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned));
    host.is_some_and(|host| host_is_loopback(&host))
}

/// Whether a host name or address, IPv6 in brackets, can only mean this machine.
pub(crate) fn host_is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rpc: &str) -> Policy {
        let text = format!(
            "version = 1\nkind = \"production\"\ntees = [\"tdx\"]\nany_agent = true\n[registry]\nchain_id = 1\n\
             address = \"0x{}\"\nrpc = [{rpc}]",
            "09".repeat(20)
        );
        Policy::parse(&text, false).unwrap()
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        assert!(RelyingParty::new(policy("\"https://rpc.example\"")).is_ok());
        assert!(RelyingParty::new(policy("\"http://127.0.0.1:8545\"")).is_ok());
        assert!(RelyingParty::new(policy("\"http://localhost:8545\"")).is_ok());
        for remote in ["\"http://rpc.example\"", "\"http://127.0.0.1.rpc.example\""] {
            let refused = RelyingParty::new(policy(remote)).err().unwrap();
            assert_eq!(refused.code(), "policy_invalid");
        }
    }

    #[test]
    fn loopback_names() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.8.8.8", "[::1]", "::1"] {
            assert!(host_is_loopback(host), "{host}");
        }
        for host in [
            "",
            "localhost.evil.example",
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
            "127.1",
        ] {
            assert!(!host_is_loopback(host), "{host}");
        }
    }
}
