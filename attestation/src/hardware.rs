//! Evidence of hardware, whatever vendor's: one verifier over all platforms, and what they say in one type.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256, Sha384};

use crate::endorsements::Endorsements;
use crate::event_log::{self, EventLog};
use crate::evidence::{LaunchBinding, binding_of, short};
use crate::hash::{is_zero, sha256, tagged_sha256};
use crate::hex_bytes::HexBytes;
use crate::input;
use crate::intel::IntelTee;
use crate::intel::collateral::VerifiedCollateral;
use crate::intel::pck::VerifiedPck;
use crate::measurement::MeasurementId;
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::roots::TrustAnchors;
use crate::simulated::{self, Report};
use crate::tee::Tee;
use crate::verdict::{Check, Component, Revocation};
use crate::{nitro, nvidia, sev_snp, sgx, tdx};

/// Chips, collateral and enclaves that are remembered, of each kind.
const REMEMBERED: usize = 16;

/// What genuine evidence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hardware {
    /// Intel TDX.
    Tdx(Box<tdx::Claims>),
    /// Intel SGX.
    Sgx(Box<sgx::Claims>),
    /// AMD SEV-SNP.
    SevSnp(Box<sev_snp::Claims>),
    /// AWS Nitro.
    Nitro(Box<nitro::Claims>),
    /// Simulated silicon.
    Simulated {
        /// The report.
        report: Box<Report>,
        /// The development root that signed it.
        root: Box<HexBytes<{ simulated::ROOT_LEN }>>,
    },
}

impl Hardware {
    /// What the guest had signed: 64 bytes, on Nitro `user_data` of whatever length, if there is any.
    pub fn report_data(&self) -> Option<&[u8]> {
        match self {
            Hardware::Tdx(claims) => Some(&claims.report.report_data),
            Hardware::Sgx(claims) => Some(&claims.report.report_data),
            Hardware::SevSnp(claims) => Some(&claims.report_data),
            Hardware::Nitro(claims) => claims.user_data.as_deref(),
            Hardware::Simulated { report, .. } => Some(&report.report_data),
        }
    }

    /// What was measured at launch. `None` for SGX, whose enclaves are no nodes.
    pub fn measurement(&self) -> Option<MeasurementId> {
        match self {
            Hardware::Tdx(claims) => Some(claims.measurement()),
            Hardware::Sgx(_) => None,
            Hardware::SevSnp(claims) => Some(claims.measurement_id()),
            Hardware::Nitro(claims) => Some(claims.measurement()),
            Hardware::Simulated { report, .. } => Some(MeasurementId::simulated(&report.image_digest)),
        }
    }

    /// Platform id (`docs/wire-formats.md` §7): which machine it is. `None` where the evidence doesn't say.
    pub fn platform(&self) -> Option<[u8; 32]> {
        let id =
            |name: &str, identity: &[u8]| tagged_sha256("jeju-platform-v1", &[name.as_bytes(), identity]);
        // A PPID of zeros would be every such platform's.
        let named = |ppid: &[u8; 16]| !is_zero(ppid);
        match self {
            Hardware::Tdx(claims) => named(claims.ppid()).then(|| id("tdx", claims.ppid())),
            Hardware::Sgx(claims) => {
                let ppid = &claims.platform.ppid;
                named(ppid).then(|| id("sgx", ppid))
            }
            Hardware::SevSnp(claims) => claims.platform().map(|chip| id("sev-snp", &chip)),
            Hardware::Nitro(claims) => Some(id("nitro", claims.platform())),
            Hardware::Simulated { report, .. } => Some(report.platform_id),
        }
    }

    /// What the silicon says of the launch document with this digest.
    pub fn launch_binding(&self, digest: &[u8; 32]) -> LaunchBinding {
        match self {
            Hardware::Tdx(claims) => tdx_binding(claims, digest),
            Hardware::Sgx(_) => LaunchBinding::NotSettable,
            Hardware::SevSnp(claims) => claims.launch_binding(),
            Hardware::Nitro(claims) => match claims.launch(digest) {
                nitro::Launch::Bound => LaunchBinding::Bound(*digest),
                nitro::Launch::NotSettable => LaunchBinding::NotSettable,
                nitro::Launch::Other(register) => LaunchBinding::Other(first_half(&register)),
            },
            Hardware::Simulated { report, .. } => binding_of(&report.host_data),
        }
    }

    /// What the trust in it rests on.
    pub fn anchor(&self) -> String {
        match self {
            Hardware::Tdx(claims) => claims.root.to_owned(),
            Hardware::Sgx(claims) => claims.root.to_owned(),
            Hardware::SevSnp(claims) => claims.root.to_owned(),
            Hardware::Nitro(claims) => claims.root.to_owned(),
            Hardware::Simulated { root, .. } => format!("development root {}", short(&sha256(&root.0))),
        }
    }

    /// Appraises it under a policy, or, without one, under what must hold always. A policy's list of measurements, or its
    /// registry, is looked at by the caller; the platform's own lists are looked at here where they have entries.
    pub fn appraise(
        &self,
        policy: Option<&Policy>,
        expected: &Expected,
        now: u64,
    ) -> Result<Component, Rejection> {
        let now = seconds(now);
        let report_data = expected.report_data.as_deref();
        if expected.nonce.is_some() && !matches!(self, Hardware::Nitro(_)) {
            return Err(Rejection::NonceNotCarried(self.name()));
        }
        let padded = report_data.map(padded).transpose();
        let padded = padded.map_err(|()| Rejection::ReportDataNotCarried(self.name()));
        let missing = || Rejection::RulesMissing(self.name());
        match self {
            Hardware::Tdx(claims) => {
                let mut rules = match policy {
                    Some(policy) => policy.tdx.clone().ok_or_else(missing)?,
                    None => tdx::Rules::strict(),
                };
                if rules.measurements.as_ref().is_some_and(Vec::is_empty) {
                    rules.measurements = None;
                }
                rules.report_data = padded?;
                Ok(tdx::appraise(claims, &rules)?)
            }
            Hardware::Sgx(claims) => {
                let mut rules = match policy {
                    Some(policy) => policy.sgx.clone().ok_or_else(missing)?,
                    None => sgx::Rules::strict(),
                };
                rules.report_data = padded?;
                Ok(sgx::appraise(claims, &rules)?)
            }
            Hardware::SevSnp(claims) => {
                let mut rules = match policy {
                    Some(policy) => policy.sev_snp.clone().ok_or_else(missing)?,
                    None => sev_snp::Rules::strict(),
                };
                if policy.is_some() && rules.measurements.is_empty() && rules.measurement_ids.is_empty() {
                    rules.measurement_ids.push(HexBytes(claims.measurement_id().0));
                }
                if let Some(expected) = padded? {
                    claims.check_report_data(&expected)?;
                }
                Ok(sev_snp::appraise(claims, &rules)?)
            }
            Hardware::Nitro(claims) => {
                let mut rules = match policy {
                    Some(policy) => policy.nitro.clone().ok_or_else(missing)?,
                    None => nitro::Rules::strict(),
                };
                // Registers that are listed are compared all the same.
                if policy.is_some() && rules.measurements.is_empty() {
                    rules.measurements.push(HexBytes(claims.measurement().0));
                }
                if expected.nonce.is_some() {
                    rules.nonce.clone_from(&expected.nonce);
                }
                if expected.report_data.is_some() {
                    rules.user_data.clone_from(&expected.report_data);
                }
                Ok(nitro::appraise(claims, &rules, now)?)
            }
            Hardware::Simulated { report, .. } => Ok(self.simulated(report)),
        }
    }

    /// Replays the log of a measured boot to the registers that the quote names.
    pub fn replay(&self, log: &EventLog) -> Result<Component, Rejection> {
        match self {
            Hardware::Tdx(claims) => Ok(event_log::check_rtmrs(log, &claims.report.rtmr)?),
            _ => Err(Rejection::LogRegisters(self.name())),
        }
    }

    /// The same for a node. Its log is the firmware's, so that the one event with which our boot binds the launch
    /// document with this digest isn't in it.
    pub(crate) fn replay_node(&self, log: &[u8], launch: &[u8; 32]) -> Result<Component, Rejection> {
        let Hardware::Tdx(claims) = self else {
            return Err(Rejection::LogRegisters(self.name()));
        };
        let mut registers = claims.report.rtmr;
        let bound = registers[3] == launch_rtmr(launch);
        if bound {
            registers[3] = [0; 48];
        }
        let log = EventLog::parse(event_log::Kind::Ccel, log)?;
        let mut component = event_log::check_rtmrs(&log, &registers)?;
        // What the quote has there, and not what was compared in its place.
        if bound
            && let Some(check) = component
                .checks
                .iter_mut()
                .find(|check| check.value.starts_with("RTMR3 = "))
        {
            check.value = format!("RTMR3 = {} (1 event)", hex::encode(claims.report.rtmr[3]));
            check.check = "replay of the launch document's digest, without events of the log";
        }
        Ok(component)
    }

    /// Name of the platform.
    pub const fn name(&self) -> &'static str {
        match self {
            Hardware::Tdx(_) => "tdx",
            Hardware::Sgx(_) => "sgx",
            Hardware::SevSnp(_) => "sev-snp",
            Hardware::Nitro(_) => "nitro",
            Hardware::Simulated { .. } => "simulated",
        }
    }

    fn simulated(&self, report: &Report) -> Component {
        let anchor = self.anchor();
        let fields: [(&'static str, &[u8]); 4] = [
            ("image digest", &report.image_digest),
            ("HOST_DATA", &report.host_data),
            ("REPORT_DATA", &report.report_data),
            ("platform id", &report.platform_id),
        ];
        Component {
            kind: "simulated",
            tcb: None,
            revocation: Revocation::Unknown,
            checks: fields
                .into_iter()
                .map(|(claim, value)| {
                    Check::new(claim, format!("0x{}", hex::encode(value)), &anchor, "signature")
                })
                .collect(),
        }
    }
}

/// What whoever asked for the evidence chose, where that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Nonce. Only Nitro documents have a field for one.
    pub nonce: Option<Vec<u8>>,
    /// REPORT_DATA, at most 64 bytes, zeros follow; on Nitro exactly `user_data`.
    pub report_data: Option<Vec<u8>>,
}

fn padded(report_data: &[u8]) -> Result<[u8; 64], ()> {
    let mut padded = [0; 64];
    padded
        .get_mut(..report_data.len())
        .ok_or(())?
        .copy_from_slice(report_data);
    Ok(padded)
}

/// MRCONFIGID holds the digest, and RTMR3 the one event that our boot extends it with.
fn tdx_binding(claims: &tdx::Claims, digest: &[u8; 32]) -> LaunchBinding {
    let report = &claims.report;
    if report.rtmr[3] != launch_rtmr(digest) {
        return LaunchBinding::Other(first_half(&report.rtmr[3]));
    }
    match claims.launch_digest() {
        Some(found) => LaunchBinding::Bound(found),
        None if is_zero(&report.mr_config_id) => LaunchBinding::NotSettable,
        None => LaunchBinding::Other(first_half(&report.mr_config_id)),
    }
}

/// RTMR3 after its one extension with a launch digest.
pub fn launch_rtmr(digest: &[u8; 32]) -> [u8; 48] {
    let event = Sha384::new()
        .chain_update(b"jeju-launch-v1\0")
        .chain_update(digest)
        .finalize();
    Sha384::new()
        .chain_update([0; 48])
        .chain_update(event)
        .finalize()
        .into()
}

/// Enough of a register that holds no digest to show that it isn't the expected one.
fn first_half(register: &[u8; 48]) -> [u8; 32] {
    let mut half = [0; 32];
    half.copy_from_slice(&register[..32]);
    half
}

/// Verifies evidence of hardware against roots of trust, and remembers what outlives one quote.
#[derive(Debug)]
pub struct HardwareVerifier {
    anchors: Cow<'static, TrustAnchors>,
    endorsements: Endorsements,
    pcks: Recent<VerifiedPck>,
    tdx_collateral: Recent<VerifiedCollateral>,
    sgx_collateral: Recent<VerifiedCollateral>,
    veks: Recent<sev_snp::VerifiedVek>,
    enclaves: Recent<nitro::VerifiedLeaf>,
}

impl HardwareVerifier {
    /// `endorsements` is what the relying party has itself; evidence may bring its own beside it.
    pub fn new(anchors: Cow<'static, TrustAnchors>, endorsements: Endorsements) -> Self {
        Self {
            anchors,
            endorsements,
            pcks: Recent::default(),
            tdx_collateral: Recent::default(),
            sgx_collateral: Recent::default(),
            veks: Recent::default(),
            enclaves: Recent::default(),
        }
    }

    /// The roots.
    pub fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    /// Verifies a node's quote at `now` (seconds since 1970). `endorsements` came with it: on SEV-SNP the certificate
    /// table, elsewhere any file that [`Endorsements::add`] takes, such as a set of Intel's collateral; or nothing.
    pub fn verify_tee(
        &self,
        tee: Tee,
        quote: &[u8],
        endorsements: &[u8],
        now: u64,
    ) -> Result<Hardware, Rejection> {
        match tee {
            Tee::Tdx => self.tdx_with(quote, endorsements, now),
            Tee::SevSnp if endorsements.is_empty() => self.sev_snp(quote, Endorsements::default(), now),
            Tee::SevSnp => self.sev_snp(quote, sev_snp::certificate_table::read(endorsements)?, now),
            Tee::Nitro => self.nitro_with(quote, endorsements, now),
            // Its roots aren't hardware's, so it never comes here.
            Tee::Simulated => Err(Rejection::TeeNotAccepted(Tee::Simulated)),
        }
    }

    /// Verifies a TDX quote.
    pub fn tdx(&self, quote: &[u8], now: u64) -> Result<Hardware, Rejection> {
        self.tdx_with(quote, &[], now)
    }

    fn tdx_with(&self, quote: &[u8], brought: &[u8], now: u64) -> Result<Hardware, Rejection> {
        let now = seconds(now);
        let quote = tdx::Quote::parse(quote)?;
        let (pck, collateral) = self.intel(quote.pck_chain(), IntelTee::Tdx, brought, now)?;
        let genuine = tdx::verify_cached(&quote, &pck, &collateral, now)?;
        Ok(Hardware::Tdx(Box::new(tdx::Claims::of(genuine))))
    }

    /// Verifies an SGX quote.
    pub fn sgx(&self, quote: &[u8], now: u64) -> Result<Hardware, Rejection> {
        let now = seconds(now);
        let quote = sgx::Quote::parse(quote)?;
        let (pck, collateral) = self.intel(quote.pck_chain(), IntelTee::Sgx, &[], now)?;
        let genuine = sgx::verify_cached(&quote, &pck, &collateral, now)?;
        Ok(Hardware::Sgx(Box::new(sgx::Claims::of(genuine))))
    }

    /// Verifies an SNP report; `brought` came with it.
    pub fn sev_snp(&self, report: &[u8], brought: Endorsements, now: u64) -> Result<Hardware, Rejection> {
        let now = seconds(now);
        let report = sev_snp::Report::parse(report)?;
        let mut identity = Sha256::new();
        for list in [&brought.certificates, &brought.revocation_lists] {
            identity.update([list.len() as u8]);
            for der in list {
                identity.update(sha256(der));
            }
        }
        let key = identity
            .chain_update(report.chip_id())
            .chain_update(report.reported_tcb())
            .finalize()
            .into();
        // Masked chips of one TCB version look the same here, so that a remembered key may be another chip's: what it
        // doesn't endorse is verified from scratch, and refused for its own reason.
        if let Some(claims) = self.veks.get(&key).and_then(|vek| vek.endorse(&report, now).ok()) {
            return Ok(Hardware::SevSnp(Box::new(claims)));
        }
        let endorsements = self.endorsements.with(brought)?;
        let vek = sev_snp::verify_vek(&report, &endorsements, &self.anchors, now)?;
        let claims = self.veks.put(key, Arc::new(vek)).endorse(&report, now)?;
        Ok(Hardware::SevSnp(Box::new(claims)))
    }

    /// Verifies a Nitro document.
    pub fn nitro(&self, document: &[u8], now: u64) -> Result<Hardware, Rejection> {
        self.nitro_with(document, &[], now)
    }

    fn nitro_with(&self, document: &[u8], brought: &[u8], now: u64) -> Result<Hardware, Rejection> {
        let now = seconds(now);
        let signed = nitro::parse(document)?;
        let document = signed.document();
        let chain = [document.certificate.as_slice(), &document.cabundle.concat()].concat();
        let key = remembered_as(&chain, brought);
        let known = self.enclaves.get(&key);
        let verified = match known.as_ref().map(|leaf| leaf.verify_document(&signed, now)) {
            Some(Ok(verified)) => verified,
            _ => {
                let endorsements = self.endorsements_with(brought)?;
                let leaf = nitro::VerifiedLeaf::verify(document, &endorsements, &self.anchors, now)?;
                self.enclaves
                    .put(key, Arc::new(leaf))
                    .verify_document(&signed, now)?
            }
        };
        Ok(Hardware::Nitro(Box::new(nitro::Claims::of(&verified)?)))
    }

    /// Verifies and appraises the evidence of all GPUs of a node, in the JSON form of a bundle.
    pub fn appraise_gpus(
        &self,
        evidence: &[u8],
        nonce: &[u8; 32],
        rules: &nvidia::Rules,
        now: u64,
    ) -> Result<Vec<Component>, Rejection> {
        let json = input::json(evidence).map_err(|_| Rejection::GpuForm)?;
        let form = nvidia::form::read(&json).ok_or(Rejection::GpuForm)?;
        self.gpus(&form.devices, form.endorsements, nonce, rules, now)
    }

    /// Verifies and appraises devices that answered one nonce.
    pub fn gpus(
        &self,
        devices: &[nvidia::Evidence],
        brought: Endorsements,
        nonce: &[u8; 32],
        rules: &nvidia::Rules,
        now: u64,
    ) -> Result<Vec<Component>, Rejection> {
        let endorsements = self.endorsements.with(brought)?;
        let (lists, now) = (&endorsements.revocation_lists, seconds(now));
        let gpus = nvidia::verify_all(devices, nonce, lists, &self.anchors, now)?;
        Ok(gpus.appraise(&endorsements.manifests, lists, &self.anchors, rules, now)?)
    }

    /// The PCK of a platform, and collateral for it; where what is remembered is no longer in force, the bag may hold
    /// what is.
    fn intel(
        &self,
        chain: &[u8],
        tee: IntelTee,
        brought: &[u8],
        now: i64,
    ) -> Result<(Arc<VerifiedPck>, Arc<VerifiedCollateral>), Rejection> {
        let key = remembered_as(chain, brought);
        let pck = match self.pcks.get(&key) {
            Some(pck) => pck,
            None => {
                let pck = VerifiedPck::verify(chain, &self.anchors, now).map_err(Rejection::dcap)?;
                self.pcks.put(key, Arc::new(pck))
            }
        };
        let known = match tee {
            IntelTee::Tdx => &self.tdx_collateral,
            IntelTee::Sgx => &self.sgx_collateral,
        };
        let collateral = match known.get(&key) {
            Some(collateral) if collateral.validity().contains(now) => collateral,
            _ => {
                let endorsements = self.endorsements_with(brought)?;
                let collateral = VerifiedCollateral::verify(&endorsements, &pck, tee, &self.anchors, now)
                    .map_err(Rejection::dcap)?;
                known.put(key, Arc::new(collateral))
            }
        };
        Ok((pck, collateral))
    }

    /// The relying party's endorsements with those of a file that evidence brought. They vouch for themselves: what the
    /// host chose is as good as its signature and its dates, and the relying party's own count beside it.
    fn endorsements_with(&self, brought: &[u8]) -> Result<Cow<'_, Endorsements>, Rejection> {
        let mut bag = Endorsements::default();
        if !brought.is_empty() {
            bag.add(brought)?;
        }
        Ok(self.endorsements.with(bag)?)
    }
}

/// What a chain is remembered by: it, and what was brought beside it.
fn remembered_as(chain: &[u8], brought: &[u8]) -> [u8; 32] {
    match brought {
        [] => sha256(chain),
        _ => sha256(&[sha256(chain), sha256(brought)].concat()),
    }
}

/// What was verified last, newest last, by SHA-256 of all that it was verified from beside the verifier's own roots and
/// endorsements.
#[derive(Debug)]
struct Recent<T>(Mutex<VecDeque<([u8; 32], Arc<T>)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }
}

impl<T> Recent<T> {
    fn get(&self, key: &[u8; 32]) -> Option<Arc<T>> {
        let known = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known
            .iter()
            .find(|(of, _)| of == key)
            .map(|(_, value)| value.clone())
    }

    fn put(&self, key: [u8; 32], value: Arc<T>) -> Arc<T> {
        let mut known = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.retain(|(of, _)| *of != key);
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((key, value.clone()));
        value
    }
}

pub(crate) fn seconds(now: u64) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX)
}
