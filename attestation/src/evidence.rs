//! Evidence → genuine or not: parse, chain of trust, and binding to the claims. Nothing here asks for policy but the
//! roots of simulated silicon, which are no vendor's.

use crate::claims::{ClaimsBuffer, Role};
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::measurement::MeasurementId;
use crate::rejection::Rejection;
use crate::simulated::Report;
use crate::tee::Tee;
use crate::verdict::Check;

/// Whether silicon binds the launch document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchBinding {
    /// To this digest.
    Bound([u8; 32]),
    /// The platform's field is all zeros: not settable here.
    NotSettable,
}

/// Evidence that was made by the silicon it names, for exactly these claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genuine {
    /// Platform.
    pub tee: Tee,
    /// The claims.
    pub claims: ClaimsBuffer,
    /// What was measured at launch.
    pub measurement: MeasurementId,
    /// Identity of the platform; `None` where the evidence has none.
    pub platform: Option<[u8; 32]>,
    /// What the silicon says of the launch document.
    pub launch_binding: LaunchBinding,
    /// What was checked.
    pub checks: Vec<Check>,
}

/// Verifies a quote and its binding to `claims`. `simulated_roots` are the development roots of the policy.
pub fn verify(
    tee: Tee,
    quote: &[u8],
    claims: &[u8],
    simulated_roots: &[HexBytes<65>],
) -> Result<Genuine, Rejection> {
    let claims = ClaimsBuffer::parse(claims)?;
    let genuine = match tee {
        Tee::Simulated => verify_simulated(quote, claims, simulated_roots)?,
        Tee::Tdx | Tee::SevSnp | Tee::Nitro => return Err(Rejection::TeeNotSupported(tee)),
    };
    if genuine.claims.claims().role != Role::Server {
        return Err(Rejection::ClientRole);
    }
    Ok(genuine)
}

fn verify_simulated(
    quote: &[u8],
    claims: ClaimsBuffer,
    roots: &[HexBytes<65>],
) -> Result<Genuine, Rejection> {
    if roots.is_empty() {
        return Err(Rejection::TeeNotAccepted(Tee::Simulated));
    }
    let report = Report::parse(quote)?;
    let root = roots
        .iter()
        .find(|root| report.is_signed_by(&root.0))
        .ok_or(Rejection::SimulatedRoot)?;
    if report.report_data != claims.report_data() {
        return Err(Rejection::ReportData);
    }
    let measurement = MeasurementId::simulated(&report.image_digest);
    let root_id = format!("development root {}", short(&crate::hash::sha256(&root.0)));
    let checks = vec![
        Check::new(
            "quote",
            format!("{} bytes, signature and REPORT_DATA verified", quote.len()),
            &root_id,
            "signature",
        ),
        Check::new("platform", short(&report.platform_id), &root_id, "signature"),
    ];
    let launch_binding = match is_zero(&report.host_data) {
        true => LaunchBinding::NotSettable,
        false => LaunchBinding::Bound(report.host_data),
    };
    Ok(Genuine {
        tee: Tee::Simulated,
        claims,
        measurement,
        platform: Some(report.platform_id),
        launch_binding,
        checks,
    })
}

/// The first eight bytes in hex, for lines that people read.
pub(crate) fn short(bytes: &[u8]) -> String {
    format!("0x{}…", hex::encode(&bytes[..bytes.len().min(8)]))
}
