//! What the engine costs on top of the library: CPU of all members for one signature, through messages as bytes and with
//! every check but the authority's, against the library's own calls, alternately in one run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use frost_secp256k1 as frost;
use jeju_mpc::member::{Input, Output, Response};
use jeju_mpc::network::MemberIndex;

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Kind, Net, Request};

const SIGNATURES: usize = 300;

fn main() {
    println!("network    engine us    library us    ratio    library with messages us    ratio");
    for (threshold, members) in [(2, 3), (3, 5), (7, 10)] {
        let mut engine = Engine::new(threshold, members);
        let library = Library::new(threshold, members);
        let (mut ours, mut raw, mut raw_sent) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..SIGNATURES {
            ours.push(engine.sign(number as u64));
            raw.push(library.sign(false));
            raw_sent.push(library.sign(true));
        }
        let [ours, raw, raw_sent] = [ours, raw, raw_sent].map(undisturbed);
        println!(
            "{threshold}-of-{members:<6} {ours:>9.0} {raw:>13.0} {:>8.2} {raw_sent:>27.0} {:>8.2}",
            ours / raw,
            ours / raw_sent
        );
    }
}

/// The fastest tenth: on a shared machine the others are times of the neighbours too.
fn undisturbed(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 10].as_secs_f64() * 1e6
}

struct Engine {
    net: Net,
}

impl Engine {
    fn new(threshold: u16, members: u16) -> Self {
        let mut net = Net::new(threshold, members, 1);
        assert!(net.ask(1, 0, &Request::new(Kind::Keygen, 0)).is_ok());
        net.run(Duration::from_secs(30));
        Self { net }
    }

    /// Only what the members do is counted.
    fn sign(&mut self, number: u64) -> Duration {
        let mut request = Request::new(Kind::Sign, 0);
        request.nonce[..8].copy_from_slice(&(number + 1).to_be_bytes());
        request.message[..8].copy_from_slice(&number.to_be_bytes());
        let bytes = request.bytes();
        let now = jeju_mpc::time::Interval::exact(support::START + 60);
        let mut todo = vec![(MemberIndex(1), None, bytes)];
        let mut spent = Duration::ZERO;
        let mut signed = false;
        while let Some((to, from, bytes)) = todo.pop() {
            let Some(member) = self.net.members.get_mut(&to) else {
                continue;
            };
            let input = match from {
                None => Input::Request {
                    ticket: number,
                    bytes: &bytes,
                },
                Some(from) => Input::Message { from, bytes: &bytes },
            };
            let start = Instant::now();
            let outputs = member.handle(input, now, &mut self.net.rng);
            spent += start.elapsed();
            for output in outputs {
                match output {
                    Output::Send { to: next, bytes } => todo.push((next, Some(to), bytes.to_vec())),
                    Output::Answer { outcome, .. } => {
                        signed = matches!(outcome, Ok(Response::Signature { .. }));
                    }
                    _ => {}
                }
            }
        }
        assert!(signed);
        spent
    }
}

struct Library {
    keys: Vec<frost::keys::KeyPackage>,
    public: frost::keys::PublicKeyPackage,
}

impl Library {
    fn new(threshold: u16, members: u16) -> Self {
        let (shares, public) = frost::keys::generate_with_dealer(
            members,
            threshold,
            frost::keys::IdentifierList::Default,
            rand_core::OsRng,
        )
        .unwrap();
        let keys = shares
            .into_values()
            .take(usize::from(threshold))
            .map(|share| share.try_into().unwrap())
            .collect();
        Self { keys, public }
    }

    /// `sent`: with the library's own encoding of all that goes over the network.
    fn sign(&self, sent: bool) -> Duration {
        let mut rng = rand_core::OsRng;
        let message = [7; 32];
        let start = Instant::now();
        let mut nonces = BTreeMap::new();
        let mut commitments = BTreeMap::new();
        for key in &self.keys {
            let (nonce, commitment) = frost::round1::commit(key.signing_share(), &mut rng);
            let commitment = match sent {
                true => {
                    frost::round1::SigningCommitments::deserialize(&commitment.serialize().unwrap()).unwrap()
                }
                false => commitment,
            };
            nonces.insert(*key.identifier(), nonce);
            commitments.insert(*key.identifier(), commitment);
        }
        let package = frost::SigningPackage::new(commitments, &message);
        let encoded = sent.then(|| package.serialize().unwrap());
        let mut shares = BTreeMap::new();
        for key in &self.keys {
            let nonce = nonces.remove(key.identifier()).unwrap();
            let share = match &encoded {
                Some(encoded) => {
                    let package = frost::SigningPackage::deserialize(encoded).unwrap();
                    let share = frost::round2::sign(&package, &nonce, key).unwrap();
                    frost::round2::SignatureShare::deserialize(&share.serialize()).unwrap()
                }
                None => frost::round2::sign(&package, &nonce, key).unwrap(),
            };
            shares.insert(*key.identifier(), share);
        }
        frost::aggregate(&package, &shares, &self.public).unwrap();
        start.elapsed()
    }
}
