//! The audit log: what this member did and refused, as a chain of hashes.
//!
//! Each entry names the digest of the one before it, so that whoever remembers the head can tell whether an entry was
//! changed, taken out or put in between. The newest entries are kept in segments of a fixed number, which is how they are
//! stored; older ones are only in the head.

use std::collections::VecDeque;

use jeju_attestation::cbor::{CborError, Decoder, Encoder};
use jeju_attestation::hash::tagged_sha256;
use jeju_mpc::member::Event;
use jeju_mpc::time::Interval;

/// Entries of a segment.
pub const SEGMENT: u64 = 128;
/// Segments that are kept, the one that is being filled included.
pub const SEGMENTS: usize = 16;
/// Longest code or fault in an entry; longer ones are cut.
const MAX_WORD: usize = 64;

/// The log of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLog {
    head: [u8; 32],
    count: u64,
    segments: VecDeque<Segment>,
}

/// Up to [`SEGMENT`] entries in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of its first entry divided by [`SEGMENT`].
    pub number: u64,
    /// Head before its first entry.
    previous: [u8; 32],
    /// Exact bytes of its entries.
    entries: Vec<Vec<u8>>,
}

/// Why a segment can't be taken up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Not the encoding of a segment.
    #[error("audit segment: {0}")]
    Cbor(#[from] CborError),
    /// Its entries aren't where and as many as they must be, or don't follow the segment before.
    #[error("audit segment {0} does not continue the log")]
    Order(u64),
}

impl AuditLog {
    /// An empty log of member `me` of the network with this genesis.
    pub fn new(genesis: &[u8; 32], me: u16) -> AuditLog {
        AuditLog {
            head: tagged_sha256("jeju-mpc-audit-start-v1", &[genesis, &me.to_be_bytes()]),
            count: 0,
            segments: VecDeque::new(),
        }
    }

    /// Takes up a stored log: its segments in ascending order, without a gap. An empty list is an empty log.
    ///
    /// # Errors
    /// See [`AuditError`].
    pub fn resume(genesis: &[u8; 32], me: u16, segments: &[Vec<u8>]) -> Result<AuditLog, AuditError> {
        let mut log = AuditLog::new(genesis, me);
        for (at, bytes) in segments.iter().enumerate() {
            let segment = Segment::decode(bytes)?;
            let order = AuditError::Order(segment.number);
            match at {
                // What came before it is known by its head alone.
                0 if segment.number > 0 => {
                    log.head = segment.previous;
                    log.count = segment.number.checked_mul(SEGMENT).ok_or(order.clone())?;
                }
                _ => {}
            }
            let starts = segment.number.checked_mul(SEGMENT) == Some(log.count);
            if !starts || segment.previous != log.head {
                return Err(order);
            }
            for entry in &segment.entries {
                log.head = chain(&log.head, entry);
                log.count += 1;
            }
            log.segments.push_back(segment);
        }
        Ok(log)
    }

    /// Digest over all entries.
    pub fn head(&self) -> [u8; 32] {
        self.head
    }

    /// How many entries there ever were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends an entry. Returns the number of the segment that was dropped to make room, if one was.
    pub fn append(&mut self, now: Interval, event: &Event) -> Option<u64> {
        let entry = encode_entry(self.count, &self.head, now, event);
        let number = self.count / SEGMENT;
        if self.segments.back().is_none_or(|last| last.number != number) {
            self.segments.push_back(Segment {
                number,
                previous: self.head,
                entries: Vec::new(),
            });
        }
        self.head = chain(&self.head, &entry);
        self.count += 1;
        if let Some(last) = self.segments.back_mut() {
            last.entries.push(entry);
        }
        match self.segments.len() > SEGMENTS {
            true => self.segments.pop_front().map(|dropped| dropped.number),
            false => None,
        }
    }

    /// Segments that entries from `count` on lie in, oldest first.
    pub fn segments_since(&self, count: u64) -> impl Iterator<Item = &Segment> {
        let first = count / SEGMENT;
        let changed = self.count > count;
        self.segments
            .iter()
            .filter(move |segment| changed && segment.number >= first)
    }
}

impl Segment {
    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut cbor = Encoder::new();
        let count = self.entries.len() as u64;
        cbor.array(4).uint(self.number).bytes(&self.previous).uint(count);
        cbor.array(count);
        for entry in &self.entries {
            cbor.bytes(entry);
        }
        cbor.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Segment, AuditError> {
        let mut cbor = Decoder::new(bytes);
        cbor.array(4)?;
        let (number, previous, count) = (cbor.uint()?, cbor.fixed()?, cbor.uint()?);
        if !(1..=SEGMENT).contains(&count) {
            return Err(AuditError::Order(number));
        }
        cbor.array(count)?;
        let entries = (0..count).map(|_| Ok(cbor.bytes()?.to_vec()));
        let entries = entries.collect::<Result<Vec<_>, CborError>>()?;
        cbor.end()?;
        Ok(Segment {
            number,
            previous,
            entries,
        })
    }
}

fn chain(head: &[u8; 32], entry: &[u8]) -> [u8; 32] {
    tagged_sha256("jeju-mpc-audit-v1", &[head, entry])
}

fn encode_entry(sequence: u64, previous: &[u8; 32], now: Interval, event: &Event) -> Vec<u8> {
    let mut cbor = Encoder::new();
    cbor.array(5)
        .uint(sequence)
        .bytes(previous)
        .uint(now.lower)
        .uint(now.upper);
    match event {
        Event::KeyActive {
            root,
            public_key,
            generation,
        } => {
            cbor.array(4).text("key-active");
            cbor.bytes(&root.0).bytes(public_key).uint((*generation).into());
        }
        Event::ShareGiven {
            key,
            request,
            message,
            coordinator,
        } => {
            cbor.array(5).text("share-given");
            cbor.bytes(&key.0).bytes(request).bytes(message);
            cbor.uint(coordinator.0.into());
        }
        Event::Refused { request, code, from } => {
            cbor.array(4).text("refused");
            cbor.bytes(request).text(word(code));
            // Members count from 1; 0 is a client.
            cbor.uint(from.map_or(0, |member| member.0).into());
        }
        Event::Blamed { member, fault } => {
            cbor.array(3).text("blamed");
            cbor.uint(member.0.into()).text(word(fault));
        }
        Event::Repaired { root } => {
            cbor.array(2).text("repaired").bytes(&root.0);
        }
        Event::Configured { number, digest } => {
            cbor.array(3).text("configured");
            cbor.uint((*number).into()).bytes(digest);
        }
        Event::RolledBack { noticed_by } => {
            cbor.array(2).text("rolled-back").uint(noticed_by.0.into());
        }
    }
    cbor.finish()
}

fn word(text: &'static str) -> &'static str {
    text.get(..MAX_WORD).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use jeju_mpc::network::{KeyId, MemberIndex, RootId};

    use super::*;

    const GENESIS: [u8; 32] = [7; 32];

    fn events() -> [Event; 5] {
        [
            Event::KeyActive {
                root: RootId([1; 32]),
                public_key: [2; 33],
                generation: 0,
            },
            Event::ShareGiven {
                key: KeyId([1; 32]),
                request: [2; 32],
                message: [3; 32],
                coordinator: MemberIndex(2),
            },
            Event::Refused {
                request: [4; 32],
                code: "mpc_signature_invalid",
                from: None,
            },
            Event::Blamed {
                member: MemberIndex(3),
                fault: "bad share",
            },
            Event::Repaired {
                root: RootId([1; 32]),
            },
        ]
    }

    fn filled(count: u64) -> (AuditLog, Vec<u64>) {
        let mut log = AuditLog::new(&GENESIS, 1);
        let mut dropped = Vec::new();
        for at in 0..count {
            let event = &events()[at as usize % 5];
            dropped.extend(log.append(Interval::exact(1000 + at), event));
        }
        (log, dropped)
    }

    fn stored(log: &AuditLog) -> Vec<Vec<u8>> {
        log.segments_since(0).map(Segment::encode).collect()
    }

    #[test]
    fn the_head_depends_on_every_entry_and_its_place() {
        let head = |order: &[usize]| {
            let mut log = AuditLog::new(&GENESIS, 1);
            for at in order {
                log.append(Interval::exact(1), &events()[*at]);
            }
            log.head()
        };
        let heads = [
            head(&[]),
            head(&[0]),
            head(&[0, 1, 2, 3, 4]),
            head(&[1, 0, 2, 3, 4]),
            head(&[0, 1, 2, 3]),
        ];
        for (at, one) in heads.iter().enumerate() {
            assert!(!heads[at + 1..].contains(one));
        }
        assert_ne!(
            AuditLog::new(&GENESIS, 1).head(),
            AuditLog::new(&GENESIS, 2).head(),
            "each member has its own"
        );
    }

    #[test]
    fn a_stored_log_goes_on_where_it_ended() {
        for count in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT] {
            let (log, _) = filled(count);
            let resumed = AuditLog::resume(&GENESIS, 1, &stored(&log)).unwrap();
            assert_eq!(resumed, log, "{count}");
        }
    }

    #[test]
    fn old_segments_are_dropped_and_stay_in_the_head() {
        let kept = SEGMENT * SEGMENTS as u64;
        let (log, dropped) = filled(kept + SEGMENT + 1);
        assert_eq!(dropped, [0, 1]);
        assert_eq!(log.count(), kept + SEGMENT + 1);
        let resumed = AuditLog::resume(&GENESIS, 1, &stored(&log)).unwrap();
        assert_eq!((resumed.head(), resumed.count()), (log.head(), log.count()));
        assert!(stored(&log).iter().all(|segment| segment.len() < 64 * 1024));
    }

    #[test]
    fn only_changed_segments_are_stored_again() {
        let (log, _) = filled(2 * SEGMENT + 5);
        let since = |count| log.segments_since(count).map(|s| s.number).collect::<Vec<_>>();
        assert_eq!(since(0), [0, 1, 2]);
        assert_eq!(since(SEGMENT), [1, 2]);
        assert_eq!(since(2 * SEGMENT + 4), [2]);
        assert_eq!(since(2 * SEGMENT + 5), [0; 0]);
    }

    #[test]
    fn a_log_that_was_changed_is_refused() {
        let (log, _) = filled(2 * SEGMENT + 5);
        let stored = stored(&log);
        let resume = |segments: &[Vec<u8>]| AuditLog::resume(&GENESIS, 1, segments);
        let swapped = [stored[1].clone(), stored[0].clone()];
        assert!(resume(&swapped).is_err());
        let gap = [stored[0].clone(), stored[2].clone()];
        assert!(resume(&gap).is_err());
        let mut changed = stored.clone();
        let middle = changed[0].len() / 2;
        changed[0][middle] ^= 1;
        assert!(resume(&changed).is_err());
        assert!(resume(&[vec![]]).is_err());
        let other = AuditLog::resume(&GENESIS, 2, &stored);
        assert_eq!(other, Err(AuditError::Order(0)));
    }
}
