//! Claims and rules → component of a verdict, or the reason why not.

use core::fmt;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::NitroError;
use super::claims::{Claims, LAUNCH_PCR, optional};
use super::parse::PCR_LEN;
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::verdict::{Check, Component, Revocation};

/// What a policy accepts of a Nitro enclave. Debug mode has no rule: it is always refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Accepted measurement ids, over PCR0 to PCR2. Where none is listed, `pcrs` must have all three.
    pub measurements: Vec<HexBytes<32>>,
    /// Accepted values of each register, by name (`PCR8`). A register that is listed must be in the document and have one
    /// of its values; a register without any accepted value is refused.
    pub pcrs: BTreeMap<PcrIndex, Vec<HexBytes<PCR_LEN>>>,
    /// Accepted EC2 instances (`i-…`). Empty: the instance is shown and not judged, as it says nothing about the code.
    pub instances: Vec<String>,
    /// Greatest age of the document, in seconds. 0 refuses all but those of this second.
    pub max_age_seconds: u64,
    /// How far the document may be dated in the future, in seconds, for clocks that differ.
    pub max_future_seconds: u64,
    /// Whether certificates of whose revocation nothing is known pass. AWS's lists must be handed over otherwise.
    pub revocation_unknown: bool,
    /// The nonce that was sent to the enclave. `None`: whatever the document has is shown.
    #[serde(with = "hex_option")]
    pub nonce: Option<Vec<u8>>,
    /// The `user_data` that the enclave must have set. `None`: whatever the document has is shown.
    #[serde(with = "hex_option")]
    pub user_data: Option<Vec<u8>>,
    /// The `public_key` that the enclave must have set. `None`: whatever the document has is shown.
    #[serde(with = "hex_option")]
    pub public_key: Option<Vec<u8>>,
    /// Whether there is no policy, so that reference values can't be asked for; no document can set it.
    #[serde(skip)]
    pub no_policy: bool,
}

impl Rules {
    /// What holds where no policy is given: no debug mode, and a document as young as its certificate lets it be (three
    /// hours). Reference values aren't asked for, and unknown revocation is shown.
    pub fn strict() -> Self {
        Self {
            max_age_seconds: 3 * 3600,
            max_future_seconds: 300,
            revocation_unknown: true,
            no_policy: true,
            ..Self::default()
        }
    }
}

/// Index of a register, 0 to 31; written `PCR0` to `PCR31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// `None` over 31.
    pub fn new(index: u8) -> Option<Self> {
        (usize::from(index) < PCR_NAMES.len()).then_some(Self(index))
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(pcr_name(self.0))
    }
}

impl Serialize for PcrIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(pcr_name(self.0))
    }
}

impl<'de> Deserialize<'de> for PcrIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        (0..32)
            .find(|index| pcr_name(*index) == text)
            .map(Self)
            .ok_or_else(|| de::Error::custom(format_args!("{text:?} is not PCR0 to PCR31")))
    }
}

/// Appraises claims at `now` (seconds since 1970).
pub fn appraise(claims: &Claims, rules: &Rules, now: i64) -> Result<Component, NitroError> {
    if let Some(index) = claims.debug() {
        return Err(NitroError::Debug(index));
    }
    check_age(claims.timestamp, rules, now)?;
    check_references(claims, rules)?;
    if !rules.instances.is_empty()
        && !rules
            .instances
            .iter()
            .any(|known| known == claims.module_id.instance())
    {
        return Err(NitroError::Instance(claims.module_id.instance().to_owned()));
    }
    check_chosen(claims, rules)?;
    if claims.revocation == Revocation::Unknown && !rules.revocation_unknown {
        return Err(NitroError::RevocationUnknown);
    }
    Ok(Component {
        kind: "nitro",
        tcb: None,
        revocation: claims.revocation,
        checks: checks(claims, rules, now),
    })
}

fn check_age(timestamp: u64, rules: &Rules, now: i64) -> Result<(), NitroError> {
    let made = i128::from(timestamp / 1000);
    let now = i128::from(now);
    let age = u64::try_from(now - made);
    let ahead = u64::try_from(made - now);
    match (age, ahead) {
        (Ok(age), _) if age > rules.max_age_seconds => Err(NitroError::DocumentAge {
            age,
            max: rules.max_age_seconds,
        }),
        (_, Ok(ahead)) if ahead > rules.max_future_seconds => Err(NitroError::DocumentFuture {
            ahead,
            max: rules.max_future_seconds,
        }),
        _ => Ok(()),
    }
}

fn check_references(claims: &Claims, rules: &Rules) -> Result<(), NitroError> {
    if rules.measurements.is_empty() && !rules.no_policy {
        for index in 0..3 {
            if !rules.pcrs.contains_key(&PcrIndex(index)) {
                return Err(NitroError::NoReference(pcr_name(index)));
            }
        }
    }
    let measurement = HexBytes(claims.measurement().0);
    if !rules.measurements.is_empty() && !rules.measurements.contains(&measurement) {
        return Err(NitroError::Measurement { found: measurement });
    }
    for (PcrIndex(index), accepted) in &rules.pcrs {
        let found = claims.pcrs.get(index).ok_or(NitroError::PcrMissing(*index))?;
        if accepted.is_empty() {
            return Err(NitroError::NoReference(pcr_name(*index)));
        }
        if !accepted.iter().any(|value| value.0 == *found) {
            let accepted: Vec<String> = accepted.iter().map(|value| hex::encode(value.0)).collect();
            return Err(NitroError::Pcr {
                index: *index,
                found: hex::encode(found),
                expected: accepted.join(" or "),
            });
        }
    }
    Ok(())
}

/// What the enclave chose itself must be what was expected of it.
fn check_chosen(claims: &Claims, rules: &Rules) -> Result<(), NitroError> {
    let differs = |found: &Option<Vec<u8>>, expected: &Option<Vec<u8>>| {
        (expected.is_some() && found != expected)
            .then(|| (optional(found.as_deref()), optional(expected.as_deref())))
    };
    if let Some((found, expected)) = differs(&claims.nonce, &rules.nonce) {
        return Err(NitroError::Nonce { found, expected });
    }
    if let Some((found, expected)) = differs(&claims.user_data, &rules.user_data) {
        return Err(NitroError::UserData { found, expected });
    }
    if let Some((found, expected)) = differs(&claims.public_key, &rules.public_key) {
        return Err(NitroError::PublicKey { found, expected });
    }
    Ok(())
}

fn checks(claims: &Claims, rules: &Rules, now: i64) -> Vec<Check> {
    let anchor = format!("{} ({})", claims.root, hex::encode(&claims.root_fingerprint[..8]));
    let said = |claim, value: String, check| Check::new(claim, value, &anchor, check);
    let made = i64::try_from(claims.timestamp / 1000).unwrap_or(i64::MAX);
    let mut checks = vec![
        said(
            "module_id",
            claims.module_id.to_string(),
            "document's and certificates' names agree",
        ),
        said(
            "instance",
            claims.module_id.instance().to_owned(),
            match rules.instances.is_empty() {
                true => "shown, not judged",
                false => "listed",
            },
        ),
        said(
            "timestamp",
            format!("{} s ago", now.saturating_sub(made)),
            "age within the rule",
        ),
        said("digest", "SHA384".to_owned(), "the one digest that is accepted"),
        said("debug", "off".to_owned(), "PCR0, PCR1 and PCR2 are not zero"),
        said(
            "measurement",
            claims.measurement().to_string(),
            match rules.measurements.is_empty() {
                true => "PCR0 to PCR2",
                false => "reference value",
            },
        ),
    ];
    for (index, pcr) in &claims.pcrs {
        let value = match is_zero(pcr) {
            true => "0".to_owned(),
            false => hex::encode(pcr),
        };
        let check = match rules.pcrs.contains_key(&PcrIndex(*index)) {
            true => "reference value",
            false if *index == LAUNCH_PCR => "shown; binds the launch document",
            false => "shown, not judged",
        };
        checks.push(said(pcr_name(*index), value, check));
    }
    for (claim, found, expected) in [
        ("user_data", &claims.user_data, &rules.user_data),
        ("nonce", &claims.nonce, &rules.nonce),
        ("public_key", &claims.public_key, &rules.public_key),
    ] {
        let check = match expected.is_some() {
            true => "equal to the expected one",
            false => "shown, not judged",
        };
        checks.push(said(claim, optional(found.as_deref()), check));
    }
    checks.push(said(
        "certificate",
        format!(
            "chain valid from {} to {}",
            claims.validity.not_before, claims.validity.not_after
        ),
        "path to the pinned root, at the verdict's time",
    ));
    checks.push(said(
        "revocation",
        match claims.revocation {
            Revocation::Good => "not revoked".to_owned(),
            Revocation::Unknown => "unknown".to_owned(),
        },
        match claims.revocation {
            Revocation::Good => "AWS's revocation lists of region and zone",
            Revocation::Unknown => "no list was handed over; allowed by the rule",
        },
    ));
    checks
}

pub(super) fn pcr_name(index: u8) -> &'static str {
    PCR_NAMES.get(usize::from(index)).copied().unwrap_or("PCR")
}

const PCR_NAMES: [&str; 32] = [
    "PCR0", "PCR1", "PCR2", "PCR3", "PCR4", "PCR5", "PCR6", "PCR7", "PCR8", "PCR9", "PCR10", "PCR11",
    "PCR12", "PCR13", "PCR14", "PCR15", "PCR16", "PCR17", "PCR18", "PCR19", "PCR20", "PCR21", "PCR22",
    "PCR23", "PCR24", "PCR25", "PCR26", "PCR27", "PCR28", "PCR29", "PCR30", "PCR31",
];

/// Bytes of any length as `0x…`, or nothing.
mod hex_option {
    use super::*;

    pub fn serialize<S: Serializer>(value: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .map(|bytes| format!("0x{}", hex::encode(bytes)))
            .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        text.strip_prefix("0x")
            .filter(|digits| !digits.bytes().any(|digit| digit.is_ascii_uppercase()))
            .and_then(|digits| hex::decode(digits).ok())
            .map(Some)
            .ok_or_else(|| de::Error::custom("expected 0x and lower-case hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_documents() {
        let rules: Rules = serde_json::from_str(r#"{"pcrs": {"PCR8": []}, "nonce": "0x01ff"}"#).unwrap();
        assert_eq!(rules.nonce.as_deref(), Some(&[1, 255][..]));
        assert_eq!(rules.pcrs.keys().copied().collect::<Vec<_>>(), [PcrIndex(8)]);
        assert_eq!(rules.max_age_seconds, 0);
        let text = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Rules>(&text).unwrap(), rules);
        for wrong in [
            r#"{"no_policy": true}"#,
            r#"{"pcrs": {"PCR32": []}}"#,
            r#"{"pcrs": {"8": []}}"#,
            r#"{"nonce": "0xFF"}"#,
            r#"{"nonce": "ff"}"#,
        ] {
            assert!(serde_json::from_str::<Rules>(wrong).is_err(), "{wrong}");
        }
        // TOML, in which policies are written, knows only strings as keys and has no null.
        let toml = toml::to_string(&rules).unwrap();
        assert_eq!(toml::from_str::<Rules>(&toml).unwrap(), rules);
    }

    #[test]
    fn strict_rules_can_not_be_written_as_a_policy() {
        let text = serde_json::to_string(&Rules::strict()).unwrap();
        let read: Rules = serde_json::from_str(&text).unwrap();
        assert!(Rules::strict().no_policy && !read.no_policy);
    }
}
