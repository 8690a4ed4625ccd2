//! Requests that no owner made, through an honest and through a hostile coordinator.

use jeju_mpc::authority::request::Form;
use jeju_mpc::identity::IdentityKey;
use jeju_mpc::member::Response;
use jeju_mpc::message::{Commitments, Message};
use jeju_mpc::network::{KeyPath, MemberIndex, Network, Scheme};
use jeju_mpc::refusal::Refusal;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::byzantine::Lies;
use crate::client::{Clients, Patience};
use crate::requests::{Ask, Asked, Wallet};
use crate::trace::Trace;
use crate::watch::Violation;
use crate::world::{News, World};

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Its signature is somebody else's.
    Unauthenticated,
    /// What it asks for was altered after it was signed.
    Altered,
    /// It is past its end.
    Expired,
    /// It was answered before.
    Replayed,
    /// The key's policy doesn't allow it.
    OffPolicy,
    /// It is for another network.
    OtherNetwork,
    /// It was signed before the members started.
    Old,
    /// It was good when signers committed to it, but the coordinator holds the package back until it has expired.
    HeldBack,
}

impl Wrong {
    /// All of them.
    pub const ALL: [Wrong; 8] = [
        Wrong::Unauthenticated,
        Wrong::Altered,
        Wrong::Expired,
        Wrong::Replayed,
        Wrong::OffPolicy,
        Wrong::OtherNetwork,
        Wrong::Old,
        Wrong::HeldBack,
    ];

    /// Code by which honest members refuse it.
    pub fn code(self) -> &'static str {
        match self {
            Wrong::Unauthenticated | Wrong::Altered => "mpc_signature_invalid",
            Wrong::Expired | Wrong::HeldBack => "mpc_request_expired",
            Wrong::Replayed => "mpc_request_replayed",
            Wrong::OffPolicy => "mpc_policy_refuses",
            Wrong::OtherNetwork => "mpc_other_network",
            Wrong::Old => "mpc_request_time",
        }
    }
}

/// Sends such a request to a coordinator that follows the protocol or doesn't.
///
/// # Errors
/// When an honest member gives a share for it, or doesn't refuse it by its code.
pub fn refused(wrong: Wrong, hostile: bool, scheme: Scheme, trace: Trace) -> Result<(), Violation> {
    Case::new(hostile, scheme, trace).run(wrong)
}

const HOSTILE: u16 = 1;
const HONEST: u16 = 2;
const OTHER: u16 = 3;
const TICKET: u64 = 1 << 41;

struct Case {
    world: World,
    clients: Clients,
    path: KeyPath,
    hostile: bool,
    rng: ChaCha20Rng,
}

impl Case {
    fn new(hostile: bool, scheme: Scheme, trace: Trace) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let network = Network {
            genesis: [6; 32],
            chain_id: 31337,
            threshold: 2,
            members: 3,
        };
        let wallets = vec![
            Wallet::new(&network, Form::Eip712, &mut rng),
            Wallet::new(&network, Form::Eip712, &mut rng),
        ];
        let path = wallets[0].path(scheme, false);
        let clients = Clients::new(
            wallets,
            Patience {
                answer: 20_000,
                wish: 60_000,
            },
        );
        let mut world = World::new(network, rng.next_u64(), trace);
        if hostile {
            world.corrupt(HOSTILE, Lies::Sometimes(0));
        }
        Self {
            world,
            clients,
            path,
            hostile,
            rng,
        }
    }

    fn run(mut self, wrong: Wrong) -> Result<(), Violation> {
        for place in 1..=self.world.network.members {
            self.world.start_after(place, u64::from(place));
        }
        // Members take no request from before their start: there must be room for one that expired since.
        self.let_pass(400_000)?;
        self.grant(Ask::Keygen(self.path))?;
        self.let_pass(5_000)?;
        let request = self.request(wrong)?;
        let shares = self.world.watch.shares_given;
        let refusals = self.world.watch.refusals.len();
        match self.hostile {
            true if wrong == Wrong::HeldBack => self.hold_back(&request)?,
            true => {
                self.inject(&request)?;
            }
            false => {
                self.world
                    .request(HONEST, TICKET, &request.bytes, request.message)?;
            }
        }
        let answer = self.let_pass(90_000)?;
        if self.world.watch.shares_given != shares {
            return Err(Violation::TooLate(format!(
                "a share was given for a request that is {wrong:?}"
            )));
        }
        if wrong == Wrong::Replayed && !self.hostile {
            // Whoever asks the same coordinator again gets the same answer, from its memory.
            return match answer {
                Some(Ok(Response::Signature { .. })) => Ok(()),
                other => Err(Violation::TooLate(format!("the same answer, there is {other:?}"))),
            };
        }
        let refused: Vec<_> = self.world.watch.refusals[refusals..].to_vec();
        let by = |place| {
            refused
                .iter()
                .any(|(by, code)| by.0 == place && *code == wrong.code())
        };
        match by(HONEST) && (by(OTHER) || !self.hostile) {
            true => Ok(()),
            false => Err(Violation::TooLate(format!(
                "{} for {wrong:?}, there is {refused:?}",
                wrong.code()
            ))),
        }
    }

    /// What a hostile coordinator sends to the others.
    fn inject(&mut self, request: &Asked) -> Result<[u8; 16], Violation> {
        let root = self.path.root(&self.world.network);
        let sharing = self
            .world
            .watch
            .sharing(root)
            .ok_or(Violation::TooLate("a sharing".into()))?;
        let mut exchange = [0; 16];
        self.rng.fill_bytes(&mut exchange);
        let init = Message::SignInit {
            exchange,
            root,
            sharing,
            request: request.bytes.clone(),
        };
        for place in [HONEST, OTHER] {
            self.world.inject(HOSTILE, MemberIndex(place), init.encode());
        }
        Ok(exchange)
    }

    /// Collects commitments in time, and asks for shares when it is too late.
    fn hold_back(&mut self, request: &Asked) -> Result<(), Violation> {
        let message = request.message.unwrap_or_default();
        self.world.watch.want(message, request.expires);
        let exchange = self.inject(request)?;
        self.let_pass(1000)?;
        let mut held = Vec::new();
        for place in [HONEST, OTHER] {
            let theirs = self.world.commitments(place, &exchange);
            let theirs = theirs.ok_or(Violation::TooLate("commitments".into()))?;
            let mut point = || IdentityKey::generate(&mut self.rng).public().to_bytes();
            let mine = Commitments {
                hiding: point(),
                binding: point(),
            };
            let commitments = vec![(MemberIndex(HOSTILE), mine), (MemberIndex(place), theirs)];
            let package = Message::SignPackage {
                exchange,
                message,
                commitments,
            };
            held.push((place, package));
        }
        self.let_pass(400_000)?;
        for (place, package) in held {
            self.world.inject(HOSTILE, MemberIndex(place), package.encode());
        }
        Ok(())
    }

    fn request(&mut self, wrong: Wrong) -> Result<Asked, Violation> {
        let now = self.world.seconds();
        let mut message = [0; 32];
        self.rng.fill_bytes(&mut message);
        let sign = Ask::Sign(self.path, message);
        let (owner, stranger) = (self.clients.wallet(0), self.clients.wallet(1));
        let mut request =
            |wallet: &Wallet, ask, issued, expires| wallet.request(ask, issued, expires, &mut self.rng);
        let good = request(owner, sign, now, now + 300);
        Ok(match wrong {
            Wrong::Unauthenticated => {
                let other = request(
                    stranger,
                    Ask::Sign(stranger.path(self.path.scheme, false), message),
                    now,
                    now + 300,
                );
                let bytes = with_authorization_of(&good.bytes, &other.bytes);
                Asked { bytes, ..good }
            }
            Wrong::Altered => {
                let mut altered = message;
                altered[0] ^= 1;
                let bytes = replaced(&good.bytes, &hex::encode(message), &hex::encode(altered));
                Asked {
                    bytes,
                    message: Some(altered),
                    ..good
                }
            }
            Wrong::HeldBack => good,
            Wrong::Expired => request(owner, sign, now - 200, now - 5),
            Wrong::OffPolicy => request(
                owner,
                Ask::Sign(owner.closed(self.path.scheme), message),
                now,
                now + 300,
            ),
            Wrong::OtherNetwork => {
                let genesis = self.world.network.genesis;
                let mut other = genesis;
                other[0] ^= 1;
                Asked {
                    bytes: replaced(&good.bytes, &hex::encode(genesis), &hex::encode(other)),
                    ..good
                }
            }
            Wrong::Old => {
                for place in [HONEST, OTHER] {
                    for boot in self.world.running(place) {
                        self.world.kill(boot);
                    }
                    self.world.start_after(place, 10_000);
                }
                self.let_pass(30_000)?;
                good
            }
            Wrong::Replayed => {
                self.world.cut(&[HOSTILE], &[HONEST, OTHER], false);
                self.let_pass(10_000)?;
                self.world.watch.want(message, good.expires);
                self.world
                    .request(HONEST, TICKET - 1, &good.bytes, good.message)?;
                self.let_pass(30_000)?;
                self.world.heal();
                self.let_pass(10_000)?;
                good
            }
        })
    }

    fn grant(&mut self, ask: Ask) -> Result<(), Violation> {
        self.clients.wish_from(0, ask, vec![HONEST]);
        let end = self.world.now() + 200_000;
        loop {
            self.clients.begin(&mut self.world)?;
            let Some(news) = self.world.step(end)? else { break };
            if let Some(outcome) = self.clients.hear(news, &mut self.world)?
                && outcome.result.is_ok()
            {
                return Ok(());
            }
        }
        Err(Violation::TooLate(format!("{ask:?}")))
    }

    /// The answer to the last request, if it comes.
    fn let_pass(&mut self, time: u64) -> Result<Option<Result<Response, Refusal>>, Violation> {
        let end = self.world.now() + time;
        let mut answer = None;
        while let Some(news) = self.world.step(end)? {
            if let News::Answer {
                ticket: TICKET,
                outcome,
            } = news
            {
                answer = Some(outcome);
            }
        }
        Ok(answer)
    }
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace(from, to).into_bytes()
}

/// A request with the signature of another one, said to be the owner's.
fn with_authorization_of(request: &[u8], other: &[u8]) -> Vec<u8> {
    let signature = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let from = text
            .rfind("\"signature\":\"")
            .map(|at| at + 13)
            .unwrap_or_default();
        text[from..].split('"').next().unwrap_or_default().to_owned()
    };
    replaced(request, &signature(request), &signature(other))
}
