//! Why evidence or a response was refused.

use thiserror::Error;

use crate::bundle::BundleError;
use crate::certificate::CertificateError;
use crate::claims::ClaimsError;
use crate::endorsements::EndorsementError;
use crate::event_log::LogError;
use crate::hex_bytes::HexBytes;
use crate::input::InputError;
use crate::intel::DcapError;
use crate::keys::KeyListError;
use crate::launch::LaunchError;
use crate::measurement::MeasurementId;
use crate::nitro::NitroError;
use crate::nvidia::GpuError;
use crate::policy::PolicyError;
use crate::sev_snp::SnpError;
use crate::sgx::SgxError;
use crate::simulated::ReportError;
use crate::stripped::StripError;
use crate::tdx::TdxError;
use crate::tee::Tee;

/// What a rejection says about the other side; the client's exit codes follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Genuine, but not what the policy allows: exit code 2.
    Policy,
    /// Not genuine, not bound, or malformed: exit code 3.
    Evidence,
    /// Genuine once, but too old: exit code 4.
    Stale,
}

impl Class {
    /// Name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Policy => "policy",
            Class::Evidence => "evidence",
            Class::Stale => "stale",
        }
    }
}

/// One failed check. Each variant is one reason and has one code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant is its description")]
pub enum Rejection {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    #[error(transparent)]
    KeyList(#[from] KeyListError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    SimulatedReport(#[from] ReportError),

    #[error(transparent)]
    Tdx(Box<TdxError>),
    #[error(transparent)]
    Sgx(Box<SgxError>),
    #[error(transparent)]
    Snp(Box<SnpError>),
    #[error(transparent)]
    Nitro(Box<NitroError>),
    #[error(transparent)]
    Gpu(Box<GpuError>),
    #[error(transparent)]
    EventLog(Box<LogError>),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Endorsement(#[from] EndorsementError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("policy has no rules for {0} evidence")]
    RulesMissing(&'static str),
    #[error("file holds {found} evidence, {named} was named")]
    EvidenceKind {
        found: &'static str,
        named: &'static str,
    },
    #[error("{0} evidence carries no nonce of the verifier's")]
    NonceNotCarried(&'static str),
    #[error("{0} evidence carries no REPORT_DATA of this length")]
    ReportDataNotCarried(&'static str),
    #[error("quote doesn't fit the bundle's: {0}")]
    QuoteMaterial(StripError),
    #[error("chain of trust ends in a test root")]
    TestRoots,
    #[error("GPU evidence is not what the claims name")]
    GpuEvidence,
    #[error("GPU evidence is not the JSON of at most {max} bytes that a bundle has", max = crate::input::MAX_JSON_LEN)]
    GpuForm,
    #[error("bundle has evidence of {found} GPUs, the claims name {claimed}")]
    GpuCount { found: usize, claimed: u8 },
    #[error("event log is not the one that the claims name")]
    LogDigest,
    #[error("policy requires the log of a measured boot, and the claims name none")]
    LogMissing,
    #[error("{0} evidence has no registers that a boot log could be replayed to")]
    LogRegisters(&'static str),
    #[error("simulated evidence is not signed by a development root of the policy")]
    SimulatedRoot,
    #[error("REPORT_DATA is not the SHA-256 of the claims-buffer and 32 zero bytes")]
    ReportData,
    #[error("the certificate's key is not the one that the claims name")]
    CertificateKey,
    #[error("certificate is not valid at {now} (valid from {not_before} to {not_after}, seconds since 1970)")]
    CertificateDates {
        now: i64,
        not_before: i64,
        not_after: i64,
    },
    #[error("certificate is not for {0:?}")]
    CertificateName(String),
    #[error("the bundle's claims are not the certificate's node: {0} differs")]
    OtherNode(&'static str),
    #[error("claims speak for the client end of a connection")]
    ClientRole,
    #[error("claims speak for the server end of a connection")]
    ServerRole,
    #[error("evidence bundle is not the one that the response names")]
    BundleDigest,
    #[error("key list is not the one that the claims name")]
    KeyListDigest,
    #[error("launch document is not the one that the claims name")]
    LaunchDigest,
    #[error("silicon binds launch document {found}, the claims name {claimed}")]
    HostData {
        found: HexBytes<32>,
        claimed: HexBytes<32>,
    },
    #[error("the claims' {0} is not the launch document's")]
    LaunchClaim(&'static str),

    #[error("policy does not accept {0} evidence")]
    TeeNotAccepted(Tee),
    #[error("policy does not accept agent {0}")]
    AgentNotAccepted(HexBytes<32>),
    #[error("policy does not accept the simulated chip or platform {0}")]
    PlatformNotAccepted(HexBytes<32>),
    #[error(
        "node reads chain {found_chain} and registry {found_registry}, policy wants {chain} and {registry}"
    )]
    OtherRegistry {
        found_chain: u64,
        found_registry: HexBytes<20>,
        chain: u64,
        registry: HexBytes<20>,
    },
    #[error("policy names no registry, so it is not for nodes")]
    RegistryMissing,
    #[error(
        "the reference value is what {agree} of {of} endpoints say, which is no proof: policy must allow that \
         (registry.allow_rpc), or name governance whose signed snapshot is verified"
    )]
    ReferenceNotProved { agree: usize, of: usize },
    #[error("measurement {0} has no reference value")]
    MeasurementUnknown(MeasurementId),
    #[error("measurement {id} is not active before {active_from} (seconds since 1970)")]
    MeasurementPending { id: MeasurementId, active_from: u64 },
    #[error("measurement {id} was revoked at {at} (seconds since 1970)")]
    MeasurementRevoked { id: MeasurementId, at: u64 },
    #[error("measurement {id} has version {version}, below the floor {floor}")]
    MeasurementBelowFloor {
        id: MeasurementId,
        version: u32,
        floor: u32,
    },
    #[error("launch document is not bound by this platform's silicon, and policy does not allow that")]
    LaunchNotBound,
    #[error("launch document names chain profile {0:?}, for which policy has no rule")]
    ChainProfileNotAccepted(String),
    #[error("launch document switches on {0:?}, for which policy has no rule")]
    ServiceNotAccepted(String),
    #[error("launch document allows egress to {0:?}, for which policy has no rule")]
    EgressNotAccepted(String),
    #[error("launch document serves model {0:?}, for which policy has no rule")]
    ModelNotAccepted(String),
    #[error("launch document joins the network of signers {0}, for which policy has no rule")]
    MpcNetworkNotAccepted(HexBytes<32>),
    #[error("launch document runs rentals with isolation {0:?}, for which policy has no rule")]
    RentalIsolationNotAccepted(&'static str),
    #[error("launch document lets workers connect to {0:?}, for which policy has no rule")]
    WorkerReachNotAccepted(&'static str),
    #[error("launch document passes prompts to an upstream that is {0}, for which policy has no rule")]
    UpstreamNotAccepted(&'static str),
    #[error("launch document sends logs to the host, for which policy has no rule")]
    LogSinkNotAccepted,
    #[error("node claims {0} GPUs, for which policy has no rule")]
    GpusNotAccepted(u8),

    #[error("policy requires a quote that is bound to this connection")]
    ChannelRequired,
    #[error("quote was not made for this nonce")]
    Nonce,
    #[error("quote was not made for this connection")]
    Channel,
    #[error("the claims name no block, and no fresh quote was asked for")]
    NoAnchor,
    #[error("the claims' block is not on the chain")]
    AnchorUnknown,
    #[error("the claims' block could not be looked up, and no fresh quote was asked for")]
    AnchorUnchecked,
    #[error("evidence is {age} s old, policy allows {max} s")]
    Stale { age: u64, max: u64 },

    #[error("response carries no attestation header {0}")]
    HeaderMissing(&'static str),
    #[error("response header {0} is malformed")]
    HeaderMalformed(&'static str),
    #[error("response was made for another request: {0} differs")]
    OtherRequest(&'static str),
    #[error("response was signed on another connection")]
    OtherChannel,
    #[error("response is signed by a key that is not the attested one")]
    OtherKey,
    #[error("response was made by worker {0:?}, not by the node itself")]
    WorkerAnswer(String),
    #[error("response signature does not verify")]
    Signature,
    #[error("body is not the one that was signed")]
    BodyDigest,
    #[error("stream ended without its final signature")]
    StreamUnsigned,
    #[error("stream's final signature is malformed")]
    StreamEndMalformed,
    #[error("stream's final signature does not verify")]
    StreamSignature,
    #[error("bytes of the stream are not the ones that were signed")]
    StreamDigest,
    #[error("stream goes on after its final signature")]
    StreamTrailing,
    #[error("an event of the stream is longer than {0} bytes")]
    StreamEventTooLong(usize),
}

/// What vendors' evidence is refused for takes more room than all else, and is rare.
macro_rules! boxed {
    ($($variant:ident: $reason:ident),+) => {
        $(impl From<$reason> for Rejection {
            fn from(reason: $reason) -> Self {
                Rejection::$variant(Box::new(reason))
            }
        })+
    };
}

boxed!(Tdx: TdxError, Sgx: SgxError, Snp: SnpError, Nitro: NitroError, Gpu: GpuError, EventLog: LogError);

impl Rejection {
    /// A reason that TDX and SGX share.
    pub(crate) fn dcap(reason: DcapError) -> Self {
        TdxError::Dcap(reason).into()
    }

    /// Stable code, as JSON and error bodies show it.
    pub fn code(&self) -> &'static str {
        use Rejection::*;
        match self {
            Bundle(_) => "bundle_invalid",
            Certificate(CertificateError::NoEvidence) => "certificate_without_evidence",
            Certificate(_) => "certificate_invalid",
            Claims(_) => "claims_invalid",
            KeyList(_) => "key_list_invalid",
            Launch(_) => "launch_document_invalid",
            SimulatedReport(_) => "quote_invalid",
            Tdx(reason) => reason.code(),
            Sgx(reason) => reason.code(),
            Snp(reason) => reason.code(),
            Nitro(reason) => reason.code(),
            Gpu(reason) => reason.code(),
            EventLog(reason) => reason.code(),
            Input(reason) => reason.code(),
            Endorsement(_) => "endorsement_invalid",
            Policy(_) => "policy_invalid",
            RulesMissing(_) => "rules_missing",
            EvidenceKind { .. } => "evidence_kind_mismatch",
            NonceNotCarried(_) => "nonce_not_carried",
            ReportDataNotCarried(_) => "report_data_not_carried",
            QuoteMaterial(_) => "quote_material_mismatch",
            TestRoots => "test_roots",
            GpuEvidence => "gpu_evidence_mismatch",
            GpuForm => "gpu_evidence_malformed",
            GpuCount { .. } => "gpu_count_mismatch",
            LogDigest => "event_log_mismatch",
            LogMissing => "event_log_missing",
            LogRegisters(_) => "event_log_without_registers",
            RegistryMissing => "registry_missing",
            ChainProfileNotAccepted(_) => "chain_profile_not_accepted",
            SimulatedRoot => "root_not_trusted",
            ReportData => "report_data_mismatch",
            CertificateKey => "certificate_key_not_in_claims",
            CertificateDates { .. } => "certificate_expired",
            CertificateName(_) => "certificate_name_mismatch",
            OtherNode(_) => "claims_of_another_node",
            ClientRole | ServerRole => "role_mismatch",
            BundleDigest => "bundle_digest_mismatch",
            KeyListDigest => "key_list_mismatch",
            LaunchDigest => "launch_digest_mismatch",
            HostData { .. } => "launch_binding_mismatch",
            LaunchClaim(_) => "launch_claim_mismatch",
            TeeNotAccepted(_) => "tee_not_accepted",
            AgentNotAccepted(_) => "agent_not_accepted",
            PlatformNotAccepted(_) => "platform_not_accepted",
            OtherRegistry { .. } => "registry_mismatch",
            ReferenceNotProved { .. } => "reference_not_proved",
            MeasurementUnknown(_) => "measurement_unknown",
            MeasurementPending { .. } => "measurement_pending",
            MeasurementRevoked { .. } => "measurement_revoked",
            MeasurementBelowFloor { .. } => "measurement_below_floor",
            LaunchNotBound => "launch_not_bound",
            ServiceNotAccepted(_) => "service_not_accepted",
            EgressNotAccepted(_) => "egress_not_accepted",
            ModelNotAccepted(_) => "model_not_accepted",
            MpcNetworkNotAccepted(_) => "mpc_network_not_accepted",
            RentalIsolationNotAccepted(_) => "rental_isolation_not_accepted",
            WorkerReachNotAccepted(_) => "worker_reach_not_accepted",
            UpstreamNotAccepted(_) => "upstream_not_accepted",
            LogSinkNotAccepted => "log_sink_not_accepted",
            GpusNotAccepted(_) => "gpus_not_accepted",
            ChannelRequired => "channel_binding_required",
            Nonce => "nonce_mismatch",
            Channel => "channel_mismatch",
            NoAnchor => "no_anchor",
            AnchorUnknown => "anchor_unknown",
            AnchorUnchecked => "anchor_unchecked",
            Stale { .. } => "evidence_stale",
            HeaderMissing(_) => "response_unsigned",
            HeaderMalformed(_) => "response_header_malformed",
            OtherRequest(_) => "response_for_another_request",
            OtherChannel => "response_of_another_connection",
            OtherKey => "response_key_not_attested",
            WorkerAnswer(_) => "response_of_a_worker",
            Signature => "response_signature_invalid",
            BodyDigest => "response_body_changed",
            StreamUnsigned => "stream_unsigned",
            StreamEndMalformed => "stream_end_malformed",
            StreamSignature => "stream_signature_invalid",
            StreamDigest => "stream_changed",
            StreamTrailing => "stream_trailing_bytes",
            StreamEventTooLong(_) => "stream_event_too_long",
        }
    }

    /// Class, from which the client's exit code follows.
    pub fn class(&self) -> Class {
        use Rejection::*;
        match self {
            TeeNotAccepted(_)
            | AgentNotAccepted(_)
            | PlatformNotAccepted(_)
            | OtherRegistry { .. }
            | ReferenceNotProved { .. }
            | MeasurementUnknown(_)
            | MeasurementPending { .. }
            | MeasurementRevoked { .. }
            | MeasurementBelowFloor { .. }
            | LaunchNotBound
            | ServiceNotAccepted(_)
            | EgressNotAccepted(_)
            | ModelNotAccepted(_)
            | MpcNetworkNotAccepted(_)
            | RentalIsolationNotAccepted(_)
            | WorkerReachNotAccepted(_)
            | UpstreamNotAccepted(_)
            | LogSinkNotAccepted
            | GpusNotAccepted(_)
            | ChannelRequired
            | TestRoots
            | LogMissing
            | RulesMissing(_)
            | Policy(_)
            | RegistryMissing
            | ChainProfileNotAccepted(_) => Class::Policy,
            Tdx(reason) => reason.class(),
            Sgx(reason) => reason.class(),
            Snp(reason) => reason.class(),
            Nitro(reason) => reason.class(),
            Gpu(reason) => reason.class(),
            EventLog(reason) => reason.class(),
            Input(reason) => reason.class(),
            NoAnchor | AnchorUnknown | AnchorUnchecked | Stale { .. } | CertificateDates { .. } => {
                Class::Stale
            }
            _ => Class::Evidence,
        }
    }
}
