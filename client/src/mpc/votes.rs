//! A new public key counts once as many members named it as must sign: fewer could have made it up.

use super::answer::hex;
use super::error::MpcError;
use super::members::Answer;
use super::signature::GroupKey;
use crate::node_url::NodeUrl;

/// Which members named which public key.
pub(super) struct Votes {
    needed: usize,
    /// A key, an address of a member that named it, and the agents of all that did.
    keys: Vec<(GroupKey, NodeUrl, Vec<[u8; 32]>)>,
    /// Why the last of the others named none.
    pub(super) failed: Option<MpcError>,
}

impl Votes {
    pub(super) fn new(threshold: u16) -> Self {
        Self {
            needed: threshold.into(),
            keys: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn add(&mut self, answer: &Answer, key: Result<GroupKey, MpcError>) {
        let key = match key {
            Ok(key) => key,
            Err(error) => {
                self.failed = Some(error);
                return;
            }
        };
        match self.keys.iter_mut().find(|(known, ..)| *known == key) {
            Some((.., agents)) if agents.contains(&answer.agent) => {}
            Some((.., agents)) => agents.push(answer.agent),
            None => self.keys.push((key, answer.node.clone(), vec![answer.agent])),
        }
    }

    pub(super) fn winner(&self) -> Option<GroupKey> {
        let enough = self.keys.iter().find(|(.., agents)| agents.len() >= self.needed);
        enough.map(|(key, ..)| *key)
    }

    /// The key that enough members named.
    pub(super) fn count(self) -> Result<GroupKey, MpcError> {
        if let Some(key) = self.winner() {
            return Ok(key);
        }
        match (self.keys.as_slice(), self.failed) {
            ([(expected, ..), (found, node, _), ..], _) => Err(MpcError::Disagree {
                node: node.to_string(),
                found: hex(found.bytes()),
                expected: hex(expected.bytes()),
            }),
            // Nobody named any: what the answer that came lacks says most.
            ([], Some(error)) => Err(error),
            (keys, last) => Err(MpcError::NotConfirmed {
                confirmed: keys.first().map_or(0, |(.., agents)| agents.len()),
                needed: self.needed,
                last: last.map(Box::new),
            }),
        }
    }
}
