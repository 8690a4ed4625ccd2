//! Encodings of the parts of messages.

use jeju_shim_protocol::blob::{BlobName, MAX_PAGE, MAX_PART};
use jeju_store::{BlobOp, BlobReply, MAX_BLOB};

use super::{MeasurementStatus, PeerRole};
use crate::ipc::frame::{Fields, put_bytes};
use crate::ipc::signer::MAX_CODE;

impl PeerRole {
    pub(super) fn code(self) -> u8 {
        match self {
            PeerRole::Server => 0,
            PeerRole::Client => 1,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        [PeerRole::Server, PeerRole::Client]
            .into_iter()
            .find(|role| role.code() == code)
    }
}

impl MeasurementStatus {
    const ALL: [Self; 4] = [Self::Active, Self::Unknown, Self::Revoked, Self::Unreadable];

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Unknown => 1,
            Self::Revoked => 2,
            Self::Unreadable => 3,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

pub(super) fn put_op(body: &mut Vec<u8>, op: &BlobOp) {
    match op {
        BlobOp::Get { name } => {
            body.push(0);
            put_bytes(body, name.as_bytes());
        }
        BlobOp::Put { name, blob } => {
            body.push(1);
            put_bytes(body, name.as_bytes());
            put_bytes(body, blob);
        }
        BlobOp::Delete { name } => {
            body.push(2);
            put_bytes(body, name.as_bytes());
        }
        BlobOp::List { space, after } => {
            body.push(3);
            put_bytes(body, space.as_bytes());
            // No leaf is empty.
            put_bytes(body, after.as_deref().unwrap_or_default().as_bytes());
        }
    }
}

pub(super) fn take_op(fields: &mut Fields) -> Option<BlobOp> {
    Some(match fields.byte()? {
        0 => BlobOp::Get {
            name: take_name(fields)?,
        },
        1 => BlobOp::Put {
            name: take_name(fields)?,
            blob: fields.bytes(MAX_BLOB)?.to_vec(),
        },
        2 => BlobOp::Delete {
            name: take_name(fields)?,
        },
        3 => BlobOp::List {
            space: take_part(fields)?,
            after: match fields.bytes(MAX_PART)? {
                [] => None,
                leaf => Some(part(leaf)?),
            },
        },
        _ => return None,
    })
}

pub(super) fn put_reply(body: &mut Vec<u8>, reply: Option<&BlobReply>) {
    match reply {
        None => body.push(0),
        Some(BlobReply::Blob(blob)) => {
            body.push(1);
            put_bytes(body, blob);
        }
        Some(BlobReply::Missing) => body.push(2),
        Some(BlobReply::Done) => body.push(3),
        Some(BlobReply::Names { leaves, more }) => {
            body.push(4);
            body.push(u8::from(*more));
            body.extend_from_slice(&(leaves.len() as u32).to_be_bytes());
            leaves.iter().for_each(|leaf| put_bytes(body, leaf.as_bytes()));
        }
    }
}

pub(super) fn take_reply(fields: &mut Fields) -> Option<Option<BlobReply>> {
    Some(match fields.byte()? {
        0 => None,
        1 => Some(BlobReply::Blob(fields.bytes(MAX_BLOB)?.to_vec())),
        2 => Some(BlobReply::Missing),
        3 => Some(BlobReply::Done),
        4 => {
            let more = take_flag(fields)?;
            let count = fields.u32()? as usize;
            if count > MAX_PAGE {
                return None;
            }
            let leaves = (0..count).map(|_| take_part(fields)).collect::<Option<_>>()?;
            Some(BlobReply::Names { leaves, more })
        }
        _ => return None,
    })
}

pub(super) fn rest(fields: &mut Fields, limit: usize) -> Option<Vec<u8>> {
    let bytes = fields.take_rest();
    (bytes.len() <= limit).then(|| bytes.to_vec())
}

/// `SPACE/LEAF`.
pub(super) fn take_name(fields: &mut Fields) -> Option<String> {
    let name = std::str::from_utf8(fields.bytes(2 * MAX_PART + 1)?).ok()?;
    BlobName::parse(name).ok().map(|_| name.to_owned())
}

/// A space or a leaf.
pub(super) fn take_part(fields: &mut Fields) -> Option<String> {
    part(fields.bytes(MAX_PART)?)
}

pub(super) fn part(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    BlobName::new(text, text).ok().map(|_| text.to_owned())
}

pub(super) fn take_flag(fields: &mut Fields) -> Option<bool> {
    match fields.byte()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

pub(super) fn take_code(fields: &mut Fields) -> Option<String> {
    let code = std::str::from_utf8(fields.take_rest()).ok()?;
    let fits = (1..=MAX_CODE).contains(&code.len())
        && code
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
    fits.then(|| code.to_owned())
}
