//! TCB info: Intel's signed list of a platform family's TCB levels (PCS API v4, `GET /sgx|tdx/certification/v4/tcb`).

use serde::Deserialize;
use time::{Date, Month};

use super::tcb::{Standing, SvnLevel, TcbLevel, TcbStatus};
use super::{DcapError, IntelTee};
use crate::reasons::shown;

/// Longest document that is read, in bytes; genuine ones have up to 8000.
pub const MAX_LEN: usize = 128 * 1024;
const VERSION: u32 = 3;
/// Most advisories of one level; genuine levels have up to 40.
const MAX_ADVISORIES: usize = 256;

/// A TCB info of version 3, read but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcbInfo {
    /// `SGX` or `TDX`.
    pub id: String,
    /// `issueDate`, in seconds since 1970.
    pub issue_date: i64,
    /// `nextUpdate`, in seconds since 1970.
    pub next_update: i64,
    /// The platforms that it is for.
    pub fmspc: [u8; 6],
    /// The provisioning certification enclave that it is for.
    pub pce_id: [u8; 2],
    /// `tcbType`; 0 is the only one defined.
    pub tcb_type: u32,
    /// Rises with each TCB recovery event.
    pub evaluation_data_number: u32,
    /// Identity of TDX modules of version 0; TDX only.
    pub tdx_module: Option<TdxModule>,
    /// Identities of TDX modules of versions above 0.
    pub tdx_module_identities: Vec<TdxModuleIdentity>,
    /// Levels, highest first.
    pub levels: Vec<TcbLevel>,
}

/// Who signs TDX modules, and their attributes (`tdxModule`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdxModule {
    /// MRSIGNERSEAM; zero for Intel's.
    pub mr_signer: [u8; 48],
    /// SEAMATTRIBUTES.
    pub attributes: [u8; 8],
    /// The bits of SEAMATTRIBUTES that are compared.
    pub attributes_mask: [u8; 8],
}

/// A version of the TDX module (`tdxModuleIdentities`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdxModuleIdentity {
    /// `TDX_` and two hexadecimal digits of the version.
    pub id: String,
    /// Signer and attributes.
    pub module: TdxModule,
    /// Levels, highest first.
    pub levels: Vec<SvnLevel>,
}

impl TcbInfo {
    /// Reads the signed bytes of a TCB info.
    pub fn parse(body: &[u8]) -> Result<Self, DcapError> {
        let format = |problem: &str| DcapError::TcbInfoFormat(problem.to_owned());
        if body.len() > MAX_LEN {
            return Err(format("longer than any"));
        }
        let document: Document<'_> = match serde_json::from_slice(body) {
            Ok(document) => document,
            // A document of another version has other fields: then it's the version that is the reason.
            Err(error) => match serde_json::from_slice(body) {
                Ok(AnyVersion { version }) if version != VERSION => {
                    return Err(DcapError::TcbInfoVersion(version));
                }
                _ => return Err(DcapError::TcbInfoFormat(shown(error))),
            },
        };
        if document.version != VERSION {
            return Err(DcapError::TcbInfoVersion(document.version));
        }
        document.read().map_err(format)
    }

    /// Whether the document is for this kind of evidence.
    pub(crate) fn check_kind(&self, tee: IntelTee) -> Result<(), DcapError> {
        let expected = tee.tcb_info_id();
        if self.id != expected {
            return Err(DcapError::TcbInfoId {
                found: self.id.chars().take(16).collect(),
                expected,
            });
        }
        if self.tcb_type != 0 {
            return Err(DcapError::TcbType(self.tcb_type));
        }
        Ok(())
    }

    /// Whether the document is in force at `now`.
    pub(crate) fn check_current(&self, now: i64) -> Result<(), DcapError> {
        let (issue_date, next_update) = (self.issue_date, self.next_update);
        if now < issue_date {
            return Err(DcapError::TcbInfoNotYetValid { issue_date, now });
        }
        if now > next_update {
            return Err(DcapError::TcbInfoExpired { next_update, now });
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// Fields that others may be added to; those here are all that is judged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    id: &'a str,
    version: u32,
    issue_date: &'a str,
    next_update: &'a str,
    fmspc: &'a str,
    pce_id: &'a str,
    tcb_type: u32,
    tcb_evaluation_data_number: u32,
    tdx_module: Option<ModuleJson<'a>>,
    #[serde(borrow, default)]
    tdx_module_identities: Vec<IdentityJson<'a>>,
    #[serde(borrow)]
    tcb_levels: Vec<LevelJson<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModuleJson<'a> {
    mrsigner: &'a str,
    attributes: &'a str,
    attributes_mask: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityJson<'a> {
    id: &'a str,
    mrsigner: &'a str,
    attributes: &'a str,
    attributes_mask: &'a str,
    #[serde(borrow)]
    tcb_levels: Vec<SvnLevelJson<'a>>,
}

/// A level by ISVSVN, as QE identities have it too.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SvnLevelJson<'a> {
    tcb: SvnJson,
    tcb_date: &'a str,
    tcb_status: &'a str,
    #[serde(borrow, default, rename = "advisoryIDs")]
    advisory_ids: Vec<&'a str>,
}

#[derive(Deserialize)]
struct SvnJson {
    isvsvn: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LevelJson<'a> {
    tcb: TcbJson,
    tcb_date: &'a str,
    tcb_status: &'a str,
    #[serde(borrow, default, rename = "advisoryIDs")]
    advisory_ids: Vec<&'a str>,
}

#[derive(Deserialize)]
struct TcbJson {
    sgxtcbcomponents: [ComponentJson; 16],
    pcesvn: u16,
    tdxtcbcomponents: Option<[ComponentJson; 16]>,
}

#[derive(Deserialize)]
struct ComponentJson {
    svn: u8,
}

impl Document<'_> {
    fn read(self) -> Result<TcbInfo, &'static str> {
        let tdx = self.id == IntelTee::Tdx.tcb_info_id();
        let levels = self.tcb_levels.into_iter().map(|level| {
            let tdx_components = level
                .tcb
                .tdxtcbcomponents
                .map(|of| of.map(|component| component.svn));
            if tdx && tdx_components.is_none() {
                return Err("a level has no tdxtcbcomponents");
            }
            Ok(TcbLevel {
                sgx_components: level.tcb.sgxtcbcomponents.map(|component| component.svn),
                pce_svn: level.tcb.pcesvn,
                tdx_components,
                standing: standing(level.tcb_status, level.tcb_date, &level.advisory_ids)?,
            })
        });
        let levels: Vec<_> = levels.collect::<Result<_, _>>()?;
        if levels.is_empty() {
            return Err("there is no level");
        }
        let identities = self.tdx_module_identities.into_iter().map(|identity| {
            Ok::<_, &'static str>(TdxModuleIdentity {
                id: identity.id.to_owned(),
                module: module(identity.mrsigner, identity.attributes, identity.attributes_mask)?,
                levels: svn_levels(identity.tcb_levels)?,
            })
        });
        Ok(TcbInfo {
            id: self.id.to_owned(),
            issue_date: timestamp(self.issue_date).ok_or("issueDate")?,
            next_update: timestamp(self.next_update).ok_or("nextUpdate")?,
            fmspc: bytes(self.fmspc).ok_or("fmspc")?,
            pce_id: bytes(self.pce_id).ok_or("pceId")?,
            tcb_type: self.tcb_type,
            evaluation_data_number: self.tcb_evaluation_data_number,
            tdx_module: match (tdx, self.tdx_module) {
                (true, None) => return Err("tdxModule is missing"),
                (_, found) => found
                    .map(|json| module(json.mrsigner, json.attributes, json.attributes_mask))
                    .transpose()?,
            },
            tdx_module_identities: identities.collect::<Result<_, _>>()?,
            levels,
        })
    }
}

fn module(mr_signer: &str, attributes: &str, attributes_mask: &str) -> Result<TdxModule, &'static str> {
    Ok(TdxModule {
        mr_signer: bytes(mr_signer).ok_or("mrsigner")?,
        attributes: bytes(attributes).ok_or("attributes")?,
        attributes_mask: bytes(attributes_mask).ok_or("attributesMask")?,
    })
}

fn standing(status: &str, date: &str, advisories: &[&str]) -> Result<Standing, &'static str> {
    if advisories.len() > MAX_ADVISORIES {
        return Err("too many advisoryIDs");
    }
    Ok(Standing {
        status: TcbStatus::of_level(status).ok_or("tcbStatus")?,
        tcb_date: timestamp(date).ok_or("tcbDate")?,
        advisories: advisories.iter().map(|id| (*id).to_owned()).collect(),
    })
}

pub(super) fn svn_levels(levels: Vec<SvnLevelJson<'_>>) -> Result<Vec<SvnLevel>, &'static str> {
    levels
        .into_iter()
        .map(|level| {
            Ok(SvnLevel {
                isv_svn: level.tcb.isvsvn,
                standing: standing(level.tcb_status, level.tcb_date, &level.advisory_ids)?,
            })
        })
        .collect()
}

/// Hexadecimal digits of exactly `N` bytes, of either case.
pub(super) fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// `2026-01-01T00:00:00Z` → seconds since 1970.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let text: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let shape = text
        .iter()
        .zip(b"0000-00-00T00:00:00Z")
        .all(|(found, expected)| match expected {
            b'0' => found.is_ascii_digit(),
            _ => found == expected,
        });
    if !shape {
        return None;
    }
    let number = |range: core::ops::Range<usize>| {
        text[range]
            .iter()
            .fold(0u16, |number, digit| number * 10 + u16::from(digit - b'0'))
    };
    let small = |at| number(at..at + 2) as u8;
    let date = Date::from_calendar_date(number(0..4).into(), Month::try_from(small(5)).ok()?, small(8));
    let moment = date.ok()?.with_hms(small(11), small(14), small(17)).ok()?;
    Some(moment.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_one_form() {
        assert_eq!(timestamp("2025-06-19T10:16:03Z"), Some(1_750_328_163));
        for wrong in [
            "2025-06-19T10:16:03z",
            "2025-06-19 10:16:03Z",
            "2025-13-19T10:16:03Z",
            "2025-02-29T10:16:03Z",
            "2025-06-19T24:16:03Z",
            "2025-06-19T10:16:03.0Z",
            "2025-06-19T10:16:03+00:00",
            "+025-06-19T10:16:03Z",
            "",
        ] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }
}
