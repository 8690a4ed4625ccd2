//! Other messages in the place of true ones.

use jeju_mpc::identity::IdentityKey;
use jeju_mpc::message::{Commitments, Level, Message, Secret, Statement};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use zeroize::Zeroizing;

use crate::weather::{between, chance, pick};

/// Whether a message of this kind goes to several members.
pub(super) fn is_broadcast(bytes: &[u8]) -> bool {
    match Message::decode(bytes) {
        Ok(Message::Signed(signed)) => !matches!(signed.statement, Statement::Round2 { .. }),
        Ok(message) => matches!(
            message,
            Message::Start(_)
                | Message::Status { .. }
                | Message::Evidence(_)
                | Message::TestShare { .. }
                | Message::SignInit { .. }
                | Message::SignPackage { .. }
                | Message::SignDone { .. }
                | Message::RepairQuery { .. }
                | Message::RepairBegin { .. }
                | Message::PolicySet { .. }
        ),
        Err(_) => false,
    }
}

/// The same kind of message with another content that looks right.
pub(super) fn other_content(message: Message, rng: &mut ChaCha20Rng) -> Message {
    match message {
        Message::Start(mut start) => {
            match chance(rng, 500) {
                true => start.generation += 1,
                false => flip(&mut start.request, rng),
            }
            Message::Start(start)
        }
        Message::Signed(mut signed) => {
            match &mut signed.statement {
                Statement::Round1 { package, .. } => flip_tail(package),
                Statement::Echo { digest, .. } => digest[0] ^= 1,
                Statement::Round2 { share, .. } => *share = other_secret(share),
                Statement::Commit {
                    digest, commitments, ..
                } => match chance(rng, 500) {
                    true => digest[0] ^= 1,
                    false => commitments.hiding = point(rng),
                },
            }
            Message::Signed(signed)
        }
        Message::TestShare {
            session,
            mut commits,
            mut share,
        } => {
            match chance(rng, 700) {
                true => share[31] ^= 1,
                false => commits[0] ^= 1,
            }
            Message::TestShare {
                session,
                commits,
                share,
            }
        }
        Message::Status {
            nonce,
            all,
            mut roots,
        } => {
            for mark in roots.iter_mut().flat_map(|root| root.marks.iter_mut()) {
                match chance(rng, 700) {
                    true => mark.level = pick(rng, &[Level::Active, Level::Confirmed, Level::Complete]),
                    false => mark.generation += 1,
                }
            }
            Message::Status { nonce, all, roots }
        }
        Message::Evidence(mut evidence) => {
            flip(&mut evidence.signature, rng);
            Message::Evidence(evidence)
        }
        Message::SignInit {
            exchange,
            root,
            sharing,
            mut request,
        } => {
            flip(&mut request, rng);
            Message::SignInit {
                exchange,
                root,
                sharing,
                request,
            }
        }
        Message::SignCommit { exchange, .. } => {
            let commitments = Commitments {
                hiding: point(rng),
                binding: point(rng),
            };
            Message::SignCommit {
                exchange,
                commitments,
            }
        }
        Message::SignPackage {
            exchange,
            mut message,
            mut commitments,
        } => {
            match chance(rng, 500) {
                true => message[0] ^= 1,
                false => {
                    if let Some((_, last)) = commitments.last_mut() {
                        last.binding = point(rng);
                    }
                }
            }
            Message::SignPackage {
                exchange,
                message,
                commitments,
            }
        }
        Message::SignShare { exchange, mut share } => {
            share[31] ^= 1;
            Message::SignShare { exchange, share }
        }
        Message::SignDone {
            exchange,
            mut signature,
        } => {
            flip(&mut signature, rng);
            Message::SignDone { exchange, signature }
        }
        Message::RepairQuery {
            exchange,
            root,
            mut sharing,
        } => {
            sharing[0] ^= 1;
            Message::RepairQuery {
                exchange,
                root,
                sharing,
            }
        }
        Message::RepairOffer {
            exchange,
            evidence,
            level,
            mut package,
        } => {
            flip(&mut package, rng);
            Message::RepairOffer {
                exchange,
                evidence,
                level,
                package,
            }
        }
        Message::RepairBegin {
            exchange,
            root,
            sharing,
            mut helpers,
        } => {
            helpers.pop();
            Message::RepairBegin {
                exchange,
                root,
                sharing,
                helpers,
            }
        }
        Message::RepairDelta {
            exchange,
            lost,
            delta,
        } => {
            let delta = other_secret(&delta);
            Message::RepairDelta {
                exchange,
                lost,
                delta,
            }
        }
        Message::RepairSigma { exchange, sigma } => Message::RepairSigma {
            exchange,
            sigma: other_secret(&sigma),
        },
        Message::PolicySet {
            exchange,
            mut request,
        } => {
            flip(&mut request, rng);
            Message::PolicySet { exchange, request }
        }
        other => other,
    }
}

/// The same content for a session that isn't this one.
pub(super) fn other_session(message: Message, rng: &mut ChaCha20Rng) -> Message {
    let mut session = [0; 32];
    rng.fill_bytes(&mut session);
    let mut exchange = [0; 16];
    rng.fill_bytes(&mut exchange);
    match message {
        Message::Start(mut start) => {
            start.session = session;
            Message::Start(start)
        }
        Message::Signed(mut signed) => {
            match &mut signed.statement {
                Statement::Round1 { session: old, .. }
                | Statement::Echo { session: old, .. }
                | Statement::Round2 { session: old, .. }
                | Statement::Commit { session: old, .. } => *old = session,
            }
            Message::Signed(signed)
        }
        Message::TestShare { commits, share, .. } => Message::TestShare {
            session,
            commits,
            share,
        },
        Message::Status { all, mut roots, .. } => {
            roots
                .iter_mut()
                .flat_map(|root| root.marks.iter_mut())
                .for_each(|mark| mark.session = session);
            Message::Status {
                nonce: exchange,
                all,
                roots,
            }
        }
        Message::Evidence(mut evidence) => {
            evidence.session = session;
            Message::Evidence(evidence)
        }
        Message::SignInit {
            exchange,
            root,
            request,
            ..
        } => Message::SignInit {
            exchange,
            root,
            sharing: session,
            request,
        },
        Message::SignCommit { commitments, .. } => Message::SignCommit {
            exchange,
            commitments,
        },
        Message::SignPackage {
            message, commitments, ..
        } => Message::SignPackage {
            exchange,
            message,
            commitments,
        },
        Message::SignShare { share, .. } => Message::SignShare { exchange, share },
        Message::SignNo { refusal, .. } => Message::SignNo { exchange, refusal },
        Message::SignDone { signature, .. } => Message::SignDone { exchange, signature },
        Message::RepairQuery { exchange, root, .. } => Message::RepairQuery {
            exchange,
            root,
            sharing: session,
        },
        Message::RepairOffer {
            evidence,
            level,
            package,
            ..
        } => Message::RepairOffer {
            exchange,
            evidence,
            level,
            package,
        },
        Message::RepairBegin {
            root,
            sharing,
            helpers,
            ..
        } => Message::RepairBegin {
            exchange,
            root,
            sharing,
            helpers,
        },
        Message::RepairDelta { lost, delta, .. } => Message::RepairDelta {
            exchange,
            lost,
            delta,
        },
        Message::RepairSigma { sigma, .. } => Message::RepairSigma { exchange, sigma },
        other => other,
    }
}

/// Noise, or a message that ends too early, or one with a flipped bit.
pub(super) fn garbage(bytes: &[u8], rng: &mut ChaCha20Rng) -> Zeroizing<Vec<u8>> {
    let mut out = bytes.to_vec();
    match between(rng, 0, 2) {
        0 => {
            out = vec![0; between(rng, 0, 200) as usize];
            rng.fill_bytes(&mut out);
        }
        1 => out.truncate(between(rng, 0, bytes.len() as u64) as usize),
        _ => flip(&mut out, rng),
    }
    Zeroizing::new(out)
}

fn flip(bytes: &mut [u8], rng: &mut ChaCha20Rng) {
    if !bytes.is_empty() {
        let at = between(rng, 0, bytes.len() as u64 - 1) as usize;
        bytes[at] ^= 1 << between(rng, 0, 7);
    }
}

/// The proof of knowledge ends the package.
fn flip_tail(bytes: &mut [u8]) {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
}

fn other_secret(secret: &Secret) -> Secret {
    let mut bytes = *secret.expose();
    bytes[31] ^= 1;
    Secret::new(bytes)
}

/// A point of the curve.
fn point(rng: &mut ChaCha20Rng) -> [u8; 33] {
    IdentityKey::generate(rng).public().to_bytes()
}
