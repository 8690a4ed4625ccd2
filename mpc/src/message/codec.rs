//! The encoding of messages.

use zeroize::Zeroizing;

use super::{
    CeremonyKind, Commitments, Decline, Evidence, Level, MAX_INDEX, MAX_PACKAGE, MAX_REQUEST, MAX_ROOTS,
    Message, Proof, Secret, Signed, Standing, Start, refusal,
};
use crate::configuration::document::MAX_PROPOSAL;
use crate::network::{KeyId, MAX_MEMBERS, MemberIndex, RootId, Scheme};
use crate::wire::{Reader, WireError, Writer};

impl Message {
    /// The encoding. Wiped when dropped.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut to = Writer::with_capacity(512);
        self.write(&mut to);
        to.finish()
    }

    /// Reads an encoding; takes no other bytes than [`Message::encode`] gives.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > crate::member::MAX_MESSAGE {
            return Err(WireError::TooLong("message"));
        }
        let mut from = Reader::new(bytes);
        let message = Self::read(&mut from)?;
        from.end()?;
        Ok(message)
    }

    fn write(&self, to: &mut Writer) {
        match self {
            Message::StatusQuery { nonce } => to.u8(0).fixed(nonce),
            Message::Status { nonce, all, roots } => {
                to.u8(1).fixed(nonce).u8(u8::from(*all)).count(roots.len());
                for root in roots {
                    root.write(to);
                }
                to
            }
            Message::Evidence(evidence) => evidence.write(to.u8(2)),
            Message::Start(start) => to
                .u8(3)
                .u8(match start.kind {
                    CeremonyKind::KeyGeneration => 0,
                    CeremonyKind::Refresh => 1,
                })
                .u8(scheme_number(start.scheme))
                .fixed(&start.root.0)
                .u32(start.generation)
                .u64(start.attempt)
                .fixed(&start.seed)
                .fixed(&start.session)
                .bytes(&start.request),
            Message::Decline { session, reason } => {
                to.u8(4).fixed(session);
                match reason {
                    Decline::Busy => to.u8(0),
                    Decline::Exists => to.u8(1),
                    Decline::View => to.u8(2),
                    Decline::Refused(refusal) => refusal::write(refusal, to.u8(3)),
                }
            }
            Message::Signed(signed) => signed.write(to.u8(5)),
            Message::Round1Set { session, set } => {
                to.u8(6).fixed(session).count(set.len());
                for signed in set {
                    signed.write(to);
                }
                to
            }
            Message::TestShare {
                session,
                commits,
                share,
            } => to.u8(7).fixed(session).fixed(commits).fixed(share),
            Message::Abort { session, proof } => {
                to.u8(8).fixed(session).u8(u8::from(proof.is_some()));
                match proof {
                    Some(proof) => proof.write(to),
                    None => to,
                }
            }
            Message::SignInit {
                exchange,
                root,
                sharing,
                request,
            } => to
                .u8(9)
                .fixed(exchange)
                .fixed(&root.0)
                .fixed(sharing)
                .bytes(request),
            Message::SignCommit {
                exchange,
                commitments,
            } => commitments.write(to.u8(10).fixed(exchange)),
            Message::SignPackage {
                exchange,
                message,
                commitments,
            } => {
                to.u8(11).fixed(exchange).fixed(message).count(commitments.len());
                for (member, commitments) in commitments {
                    commitments.write(to.member(*member));
                }
                to
            }
            Message::SignShare { exchange, share } => to.u8(12).fixed(exchange).fixed(share),
            Message::SignNo { exchange, refusal } => refusal::write(refusal, to.u8(13).fixed(exchange)),
            Message::SignDone { exchange, signature } => to.u8(14).fixed(exchange).bytes(signature),
            Message::RepairQuery {
                exchange,
                root,
                sharing,
            } => to.u8(15).fixed(exchange).fixed(&root.0).fixed(sharing),
            Message::RepairOffer {
                exchange,
                evidence,
                level,
                package,
            } => evidence
                .write(to.u8(16).fixed(exchange))
                .u8(level.number())
                .bytes(package),
            Message::RepairBegin {
                exchange,
                root,
                sharing,
                helpers,
            } => {
                to.u8(17)
                    .fixed(exchange)
                    .fixed(&root.0)
                    .fixed(sharing)
                    .count(helpers.len());
                for helper in helpers {
                    to.member(*helper);
                }
                to
            }
            Message::RepairDelta {
                exchange,
                lost,
                delta,
            } => to.u8(18).fixed(exchange).member(*lost).fixed(delta.expose()),
            Message::RepairSigma { exchange, sigma } => to.u8(19).fixed(exchange).fixed(sigma.expose()),
            Message::PolicySet { exchange, request } => to.u8(20).fixed(exchange).bytes(request),
            Message::PolicyKept { exchange } => to.u8(21).fixed(exchange),
            Message::PolicyNo { exchange, refusal } => refusal::write(refusal, to.u8(22).fixed(exchange)),
            Message::PolicyIndexQuery { after } => to.u8(23).fixed(&after.0),
            Message::PolicyIndex { after, entries, more } => {
                to.u8(24).fixed(&after.0).u8(u8::from(*more)).count(entries.len());
                for (key, version) in entries {
                    to.fixed(&key.0).u32(*version);
                }
                to
            }
            Message::PolicyFetch { key } => to.u8(25).fixed(&key.0),
            Message::PolicyShown { document } => to.u8(26).bytes(document),
            Message::MarkQuery => to.u8(27),
            Message::MarkShown { mark } => {
                to.u8(28).u8(u8::from(mark.is_some()));
                match mark {
                    Some(mark) => to.fixed(mark),
                    None => to,
                }
            }
            Message::MarkTell { mark } => to.u8(29).fixed(mark),
            Message::ConfigurationQuery { number } => to.u8(30).u32(*number),
            Message::ConfigurationAt { number } => to.u8(31).u32(*number),
            Message::ConfigurationShown { proposal, approval } => to.u8(32).bytes(proposal).fixed(approval),
        };
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match from.u8()? {
            0 => Message::StatusQuery { nonce: from.fixed()? },
            1 => Message::Status {
                nonce: from.fixed()?,
                all: from.flag("all")?,
                roots: list(from, "roots", MAX_ROOTS, Standing::read)?,
            },
            2 => Message::Evidence(Evidence::read(from)?),
            3 => Message::Start(Start {
                kind: match from.u8()? {
                    0 => CeremonyKind::KeyGeneration,
                    1 => CeremonyKind::Refresh,
                    _ => return Err(WireError::Value("kind")),
                },
                scheme: read_scheme(from)?,
                root: RootId(from.fixed()?),
                generation: from.u32()?,
                attempt: from.u64()?,
                seed: from.fixed()?,
                session: from.fixed()?,
                request: from.bytes("request", MAX_REQUEST)?.to_vec(),
            }),
            4 => Message::Decline {
                session: from.fixed()?,
                reason: match from.u8()? {
                    0 => Decline::Busy,
                    1 => Decline::Exists,
                    2 => Decline::View,
                    3 => Decline::Refused(refusal::read(from)?),
                    _ => return Err(WireError::Value("reason")),
                },
            },
            5 => Message::Signed(Signed::read(from)?),
            6 => Message::Round1Set {
                session: from.fixed()?,
                set: list(from, "set", usize::from(MAX_MEMBERS), Signed::read)?,
            },
            7 => Message::TestShare {
                session: from.fixed()?,
                commits: from.fixed()?,
                share: from.fixed()?,
            },
            8 => Message::Abort {
                session: from.fixed()?,
                proof: match from.flag("proof")? {
                    true => Some(Proof::read(from)?),
                    false => None,
                },
            },
            9 => Message::SignInit {
                exchange: from.fixed()?,
                root: RootId(from.fixed()?),
                sharing: from.fixed()?,
                request: from.bytes("request", MAX_REQUEST)?.to_vec(),
            },
            10 => Message::SignCommit {
                exchange: from.fixed()?,
                commitments: Commitments::read(from)?,
            },
            11 => Message::SignPackage {
                exchange: from.fixed()?,
                message: from.fixed()?,
                commitments: sorted(
                    list(from, "commitments", usize::from(MAX_MEMBERS), |from| {
                        Ok((from.member()?, Commitments::read(from)?))
                    })?,
                    |(member, _)| *member,
                )?,
            },
            12 => Message::SignShare {
                exchange: from.fixed()?,
                share: from.fixed()?,
            },
            13 => Message::SignNo {
                exchange: from.fixed()?,
                refusal: refusal::read(from)?,
            },
            14 => Message::SignDone {
                exchange: from.fixed()?,
                signature: from.bytes("signature", 65)?.to_vec(),
            },
            15 => Message::RepairQuery {
                exchange: from.fixed()?,
                root: RootId(from.fixed()?),
                sharing: from.fixed()?,
            },
            16 => Message::RepairOffer {
                exchange: from.fixed()?,
                evidence: Evidence::read(from)?,
                level: Level::read(from)?,
                package: from.bytes("package", MAX_PACKAGE)?.to_vec(),
            },
            17 => Message::RepairBegin {
                exchange: from.fixed()?,
                root: RootId(from.fixed()?),
                sharing: from.fixed()?,
                helpers: sorted(
                    list(from, "helpers", usize::from(MAX_MEMBERS), Reader::member)?,
                    |member| *member,
                )?,
            },
            18 => Message::RepairDelta {
                exchange: from.fixed()?,
                lost: from.member()?,
                delta: Secret::new(from.fixed()?),
            },
            19 => Message::RepairSigma {
                exchange: from.fixed()?,
                sigma: Secret::new(from.fixed()?),
            },
            20 => Message::PolicySet {
                exchange: from.fixed()?,
                request: from.bytes("request", MAX_REQUEST)?.to_vec(),
            },
            21 => Message::PolicyKept {
                exchange: from.fixed()?,
            },
            22 => Message::PolicyNo {
                exchange: from.fixed()?,
                refusal: refusal::read(from)?,
            },
            23 => Message::PolicyIndexQuery {
                after: KeyId(from.fixed()?),
            },
            24 => {
                let after = KeyId(from.fixed()?);
                let more = from.flag("more")?;
                let entries = list(from, "policies", MAX_INDEX, |from| {
                    Ok((KeyId(from.fixed()?), from.u32()?))
                })?;
                if !entries.is_sorted_by(|a, b| a.0 < b.0)
                    || entries.first().is_some_and(|entry| entry.0 <= after)
                {
                    return Err(WireError::Value("order of policies"));
                }
                Message::PolicyIndex { after, entries, more }
            }
            25 => Message::PolicyFetch {
                key: KeyId(from.fixed()?),
            },
            26 => Message::PolicyShown {
                document: from.bytes("policy", MAX_REQUEST)?.to_vec(),
            },
            27 => Message::MarkQuery,
            28 => Message::MarkShown {
                mark: match from.flag("mark")? {
                    true => Some(from.fixed()?),
                    false => None,
                },
            },
            29 => Message::MarkTell { mark: from.fixed()? },
            30 => Message::ConfigurationQuery { number: from.u32()? },
            31 => Message::ConfigurationAt { number: from.u32()? },
            32 => Message::ConfigurationShown {
                proposal: from.bytes("configuration", MAX_PROPOSAL)?.to_vec(),
                approval: from.fixed()?,
            },
            _ => return Err(WireError::Value("message")),
        })
    }
}

impl Commitments {
    pub(super) fn write<'a>(&self, to: &'a mut Writer) -> &'a mut Writer {
        to.fixed(&self.hiding).fixed(&self.binding)
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            hiding: from.fixed()?,
            binding: from.fixed()?,
        })
    }
}

pub(crate) fn scheme_number(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Secp256k1 => 0,
        Scheme::Taproot => 1,
    }
}

pub(crate) fn read_scheme(from: &mut Reader<'_>) -> Result<Scheme, WireError> {
    match from.u8()? {
        0 => Ok(Scheme::Secp256k1),
        1 => Ok(Scheme::Taproot),
        _ => Err(WireError::Value("scheme")),
    }
}

/// A list's items are read one by one, so that a count alone allocates nothing.
pub(super) fn list<'a, T>(
    from: &mut Reader<'a>,
    field: &'static str,
    limit: usize,
    item: impl Fn(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = from.count(field, limit)?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(from)?);
    }
    Ok(items)
}

fn sorted<T>(items: Vec<T>, key: impl Fn(&T) -> MemberIndex) -> Result<Vec<T>, WireError> {
    match items.is_sorted_by(|a, b| key(a) < key(b)) {
        true => Ok(items),
        false => Err(WireError::Value("order of members")),
    }
}
