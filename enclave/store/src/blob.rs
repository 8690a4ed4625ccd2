//! What is asked of the host, and what it is called there.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// Longest blob in bytes.
pub const MAX_BLOB: usize = 1024 * 1024;
/// Longest name in bytes, of a space and of a record.
const MAX_NAME: usize = 96;

/// Something to ask of the host's blob store. Doing it twice is the same as doing it once.
#[derive(Clone, PartialEq, Eq)]
pub enum BlobOp {
    /// Answered by [`BlobReply::Blob`] or [`BlobReply::Missing`].
    Get {
        /// `SPACE/LEAF`.
        name: String,
    },
    /// Answered by [`BlobReply::Done`] once it is durable.
    Put {
        /// `SPACE/LEAF`.
        name: String,
        /// Sealed, at most [`MAX_BLOB`] bytes.
        blob: Vec<u8>,
    },
    /// Answered by [`BlobReply::Done`], whether there was one or not.
    Delete {
        /// `SPACE/LEAF`.
        name: String,
    },
    /// Answered by [`BlobReply::Names`].
    List {
        /// Which space.
        space: String,
        /// The leaf behind which to go on.
        after: Option<String>,
    },
}

impl fmt::Debug for BlobOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get { name } => write!(f, "Get {name}"),
            Self::Put { name, blob } => write!(f, "Put {name} ({} bytes)", blob.len()),
            Self::Delete { name } => write!(f, "Delete {name}"),
            Self::List { space, after } => {
                write!(f, "List {space}/ after {}", after.as_deref().unwrap_or("-"))
            }
        }
    }
}

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobReply {
    /// The bytes.
    Blob(Vec<u8>),
    /// There is no blob of that name.
    Missing,
    /// It is done, and durable.
    Done,
    /// Leaves of the space in ascending order.
    Names {
        /// The next of them.
        leaves: Vec<String>,
        /// Whether there may be more behind them.
        more: bool,
    },
}

/// A host in memory: for state that needn't last, and for tests that copy, cut off and restore it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryBlobs(
    /// By `SPACE/LEAF`.
    pub BTreeMap<String, Vec<u8>>,
);

impl MemoryBlobs {
    const PAGE: usize = 256;

    /// Does what is asked.
    pub fn perform(&mut self, op: &BlobOp) -> BlobReply {
        match op {
            BlobOp::Get { name } => match self.0.get(name) {
                Some(blob) => BlobReply::Blob(blob.clone()),
                None => BlobReply::Missing,
            },
            BlobOp::Put { name, blob } => {
                self.0.insert(name.clone(), blob.clone());
                BlobReply::Done
            }
            BlobOp::Delete { name } => {
                self.0.remove(name);
                BlobReply::Done
            }
            BlobOp::List { space, after } => {
                let start = format!("{space}/{}", after.as_deref().unwrap_or(""));
                let leaves: Vec<String> = self
                    .0
                    .range::<String, _>((Bound::Excluded(&start), Bound::Unbounded))
                    .map_while(|(name, _)| name.strip_prefix(space.as_str())?.strip_prefix('/'))
                    .take(Self::PAGE)
                    .map(str::to_owned)
                    .collect();
                let more = leaves.len() == Self::PAGE;
                BlobReply::Names { leaves, more }
            }
        }
    }
}

/// Name of a record: 1 to 96 characters of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName(String);

impl RecordName {
    /// # Errors
    /// [`NameError`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        check_name(name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name of a space or a record that isn't 1 to 96 characters of `[a-z0-9-]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("name is not 1 to 96 characters of [a-z0-9-]")]
pub struct NameError;

pub(crate) fn check_name(name: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    match (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(NameError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_lists_one_space_in_pages() {
        let mut blobs = MemoryBlobs::default();
        for name in ["a/z", "b-/x", "b0/x", "c/x"] {
            blobs.0.insert(name.to_owned(), vec![]);
        }
        for leaf in 0..300 {
            blobs.0.insert(format!("b/{leaf:03}"), vec![]);
        }
        let mut list = |after: Option<&str>| {
            blobs.perform(&BlobOp::List {
                space: "b".to_owned(),
                after: after.map(str::to_owned),
            })
        };
        let BlobReply::Names { leaves, more: true } = list(None) else {
            panic!("300 names are more than a page");
        };
        assert_eq!((leaves.len(), &leaves[0][..]), (256, "000"));
        let BlobReply::Names { leaves, more: false } = list(Some("255")) else {
            panic!("44 names are less than a page");
        };
        assert_eq!((leaves.len(), &leaves[0][..]), (44, "256"));
    }

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(MAX_NAME);
        assert!(RecordName::new("root-0").is_ok() && RecordName::new(&long).is_ok());
        for bad in ["", "A", "a/b", "a.b", "a_b", "é", &format!("{long}x")] {
            assert_eq!(RecordName::new(bad), Err(NameError), "{bad:?}");
        }
    }
}
