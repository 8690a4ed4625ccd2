//! Rules, and the verdict on one device.

use serde::{Deserialize, Serialize};

use super::chain::Architecture;
use super::claims::{Claims, Mode};
use super::manifest::{Golden, Identity, Kind};
use super::measurements::{Comparison, compare};
use super::{GpuError, inspect};
use crate::hex_bytes::HexBytes;
use crate::verdict::{Check, Component, Revocation, TcbState};

/// How many GPUs a node must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// What a node's devices must be. What isn't listed isn't accepted: the default accepts nothing.
///
/// The manifests of driver and VBIOS are always asked for, and every active measurement in them must be as NVIDIA
/// published it. That is also what says that no debugging is on: with devtools the driver's measurements differ, and
/// no field of a report tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// How many GPUs there must be.
    pub gpus: Count,
    /// How many switches there must be.
    pub switches: u32,
    /// Whether the links between GPUs and switches must be appraised, which this version refuses.
    pub topology: bool,
    /// Devices, by the identity of their chip (PDI, 8 bytes). Empty: the identity is shown and not judged, as it says
    /// nothing about what runs there.
    pub devices: Vec<HexBytes<8>>,
    /// Chips.
    pub architectures: Vec<Architecture>,
    /// How a GPU may be shared. In protected PCIe the links between GPUs are in the clear: whoever lists it relies on the
    /// switches and on what is wired to them, which this version doesn't appraise.
    pub modes: Vec<Mode>,
    /// Versions of the driver, such as `580.95.05`.
    pub driver_versions: Vec<String>,
    /// Versions of the VBIOS of GPUs and switches, such as `96.00.5E.00.01`.
    pub vbios_versions: Vec<String>,
    /// Whether a manifest is accepted whose signer's certificate has ended. NVIDIA's signers live for two years, the
    /// drivers longer; a manifest doesn't say when it was signed.
    pub expired_manifest_signers: bool,
    /// Whether a device is accepted although nothing at hand tells whether it was revoked. Without this none is:
    /// NVIDIA answers by OCSP only, which needs a connection.
    pub revocation_unknown: bool,
    /// Whether the lists above are not asked for.
    #[serde(skip)]
    unpinned: bool,
}

impl Rules {
    /// What holds when no policy is given: manifests and measurements must match, signers' certificates must be valid,
    /// confidential computing must be on; versions, modes and counts are not compared with anything, and that
    /// revocation is unknown is shown.
    pub fn strict() -> Self {
        Self {
            unpinned: true,
            revocation_unknown: true,
            ..Self::default()
        }
    }

    /// What a policy says of the devices' number.
    pub fn check_counts(&self, devices: &[Claims]) -> Result<(), GpuError> {
        if self.topology {
            return Err(GpuError::Topology);
        }
        if self.unpinned {
            return Ok(());
        }
        let is_switch = |claims: &&Claims| claims.architecture().is_switch();
        let switches = devices.iter().filter(is_switch).count();
        let found = devices.len() - switches;
        let Count { min, max } = self.gpus;
        if !(min as usize..=max as usize).contains(&found) {
            return Err(GpuError::Count { found, min, max });
        }
        let wanted = self.switches;
        match switches == wanted as usize {
            true => Ok(()),
            false => Err(GpuError::SwitchCount {
                found: switches,
                wanted,
            }),
        }
    }

    /// What a policy says of one device, its manifests aside.
    pub fn check_device(&self, claims: &Claims) -> Result<(), GpuError> {
        if claims.gpu().is_some_and(|gpu| gpu.cpr_info == 0) {
            return Err(GpuError::NotConfidential);
        }
        if !self.revocation_unknown {
            return Err(GpuError::RevocationUnknown);
        }
        if self.unpinned {
            return Ok(());
        }
        let device = HexBytes(claims.identity());
        if !self.devices.is_empty() && !self.devices.contains(&device) {
            return Err(GpuError::DeviceNotAccepted(device));
        }
        let architecture = claims.architecture();
        if !self.architectures.contains(&architecture) {
            return Err(GpuError::ArchitectureNotAccepted(architecture.chip()));
        }
        if let Some(gpu) = claims.gpu() {
            if !self.modes.contains(&gpu.mode) {
                return Err(GpuError::ModeNotAccepted(gpu.mode.name()));
            }
            if !self.driver_versions.contains(&gpu.driver_version) {
                return Err(GpuError::DriverNotAccepted(gpu.driver_version.clone()));
            }
        }
        match self.vbios_versions.contains(&claims.vbios_version) {
            true => Ok(()),
            false => Err(GpuError::VbiosNotAccepted(claims.vbios_version.clone())),
        }
    }
}

/// Appraises one verified device by the rules and by verified manifests, among which must be those that it names. `now`
/// in seconds since 1970. How many devices there must be is [`Rules::check_counts`]'s.
pub fn appraise(
    claims: &Claims,
    manifests: &[Golden],
    rules: &Rules,
    now: i64,
) -> Result<Component, GpuError> {
    claims.device.check_current(now)?;
    rules.check_device(claims)?;
    let named = kinds(claims)
        .iter()
        .map(|kind| pick(claims, manifests, Golden::identity, *kind))
        .collect::<Result<Vec<_>, _>>()?;
    for golden in &named {
        golden.check_current(now, rules.expired_manifest_signers)?;
    }
    let comparison = compare(claims, &named)?;
    // Without a policy that lists it, what the GPU's data passes through is unknown.
    if claims.gpu().is_some_and(|gpu| gpu.mode == Mode::Ppcie) && !rules.modes.contains(&Mode::Ppcie) {
        return Err(GpuError::Topology);
    }
    let is_switch = claims.architecture().is_switch();
    let driver = claims.gpu().map(|gpu| format!("driver {}, ", gpu.driver_version));
    Ok(Component {
        kind: if is_switch { "nvidia-switch" } else { "nvidia-gpu" },
        tcb: Some(TcbState {
            status: format!("{}VBIOS {}", driver.unwrap_or_default(), claims.vbios_version),
            advisories: Vec::new(),
        }),
        // Lists say nothing of the device itself.
        revocation: Revocation::Unknown,
        checks: checks(claims, &named, &comparison, now),
    })
}

/// The manifests that a device needs.
pub(super) const fn kinds(claims: &Claims) -> &'static [Kind] {
    match claims.kind {
        super::claims::KindClaims::Gpu(_) => &[Kind::Driver, Kind::Vbios],
        super::claims::KindClaims::Switch(_) => &[Kind::Vbios],
    }
}

/// The manifest that a device names, among those at hand.
pub(super) fn pick<'a, T>(
    claims: &Claims,
    manifests: &'a [T],
    identity: fn(&T) -> &Identity,
    kind: Kind,
) -> Result<&'a T, GpuError> {
    let (id, version) = match (kind, claims.gpu()) {
        (Kind::Driver, Some(gpu)) => (claims.driver_manifest_id(), &gpu.driver_version),
        _ => (None, &claims.vbios_version),
    };
    let id = id.unwrap_or_else(|| claims.vbios_manifest_id());
    let of_kind = || {
        manifests
            .iter()
            .filter(|manifest| identity(manifest).is_for(claims.architecture(), kind))
    };
    let mut fitting = of_kind().filter(|manifest| identity(manifest).version.eq_ignore_ascii_case(version));
    let Some(first) = fitting.next() else {
        return Err(match of_kind().next() {
            None => GpuError::ManifestMissing(id),
            Some(other) => GpuError::ManifestVersion {
                wanted: id,
                found: identity(other).version.clone(),
            },
        });
    };
    match fitting.all(|other| identity(other).digest == identity(first).digest) {
        true => Ok(first),
        false => Err(GpuError::ManifestAmbiguous(id)),
    }
}

fn checks(claims: &Claims, manifests: &[&Golden], comparison: &Comparison, now: i64) -> Vec<Check> {
    let device = &claims.device;
    let anchor = format!("{}, device {}", device.root, hex::encode(device.pdi));
    let mut checks: Vec<Check> = inspect::certified(claims)
        .into_iter()
        .map(|(claim, value)| Check::new(claim, value, device.root, "device certificate chain"))
        .collect();
    let signed = inspect::claimed(claims);
    checks.extend(
        signed
            .into_iter()
            .map(|(claim, value)| Check::new(claim, value, &anchor, "signature on the report")),
    );
    let nonce = hex::encode(claims.nonce);
    checks.push(Check::new(
        "eat_nonce",
        nonce,
        &anchor,
        "equal to the nonce that was asked with",
    ));
    if let Some(fwid) = claims.fwid {
        let check = "equal to the firmware of the certificate";
        checks.push(Check::new("FWID", hex::encode(fwid), &anchor, check));
    }
    for golden in manifests {
        let anchor = format!("{}, {}", golden.root(), golden.signer());
        let (claim, id) = match golden.identity().kind {
            Kind::Driver => ("driver manifest", claims.driver_manifest_id().unwrap_or_default()),
            Kind::Vbios => ("VBIOS manifest", claims.vbios_manifest_id()),
        };
        let ended = match golden.validity().contains(now) {
            true => "",
            false => ", whose signer's certificate has ended (accepted by the rules)",
        };
        let value = format!(
            "{id}: {}{ended}",
            listed(
                comparison
                    .matched
                    .iter()
                    .filter_map(|(index, kind)| { (*kind == golden.identity().kind).then_some(*index) })
            )
        );
        checks.push(Check::new(
            claim,
            value,
            &anchor,
            "signature, and each measurement equal",
        ));
        let digest = format!("SHA-256 {}", hex::encode(golden.identity().digest));
        checks.push(Check::new(claim, digest, anchor, "signature"));
    }
    checks.push(Check::new(
        "measres",
        "success",
        &anchor,
        "each active measurement of the manifests compared",
    ));
    checks.push(Check::new(
        "dbgstat",
        "disabled",
        &anchor,
        "follows from the measurements",
    ));
    for (claim, indices, check) in [
        ("measurements not made", &comparison.skipped, "NVDEC0 is off"),
        (
            "measurements without a reference value",
            &comparison.uncovered,
            "not compared with anything",
        ),
    ] {
        if !indices.is_empty() {
            checks.push(Check::new(claim, listed(indices.iter().copied()), &anchor, check));
        }
    }
    let lists = device.looked_up.iter().cloned();
    let lists: Vec<String> = lists
        .chain(manifests.iter().flat_map(|golden| golden.looked_up().to_vec()))
        .collect();
    let lists = match lists.is_empty() {
        true => "unknown: NVIDIA answers by OCSP only".to_owned(),
        false => format!(
            "unknown for the device; not on the lists at hand: {}",
            lists.join(", ")
        ),
    };
    checks.push(Check::new("revocation", lists, device.root, "lists at hand"));
    checks
}

/// Indices, ranges drawn together.
fn listed(indices: impl Iterator<Item = u8>) -> String {
    let mut indices: Vec<u8> = indices.collect();
    indices.sort_unstable();
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let text: Vec<String> = ranges
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}–{last}"),
        })
        .collect();
    format!("measurements {}", text.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_drawn_together() {
        assert_eq!(listed([8, 0, 1, 2, 255].into_iter()), "measurements 0–2, 8, 255");
    }

    #[test]
    fn what_a_policy_does_not_list_it_does_not_accept() {
        let rules: Rules = serde_json::from_str("{}").unwrap();
        assert_eq!(rules, Rules::default());
        assert!(!rules.unpinned && !rules.revocation_unknown && !rules.expired_manifest_signers);
        assert!(serde_json::from_str::<Rules>("{\"unpinned\": true}").is_err());
        let written = serde_json::to_string(&Rules::strict()).unwrap();
        assert!(!serde_json::from_str::<Rules>(&written).unwrap().unpinned);
    }
}
