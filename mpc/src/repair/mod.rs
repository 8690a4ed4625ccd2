//! A lost share comes back: as many members as must sign each split what their share contributes, so that none of them
//! learns anything, and the one who lost its share adds it up and checks it against the public key package.
//!
//! A member starts this by itself when so many peers say that they have a sharing that one of them must be honest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use frost_core::keys::repairable::{Sigma, repair_share_part3};
use jeju_attestation::hash::sha256;
use zeroize::Zeroizing;

use crate::member::{Event, Member, Output, TimerFor, Turn};
use crate::message::{Evidence, ExchangeId, Level, Message, Secret, SessionId};
use crate::network::{MemberIndex, Network, RootId};
use crate::record::{Sharing, evidence_holds, public_package};
use crate::suite::{for_scheme, identifier};

mod helper;

use helper::Helping;

const PATIENCE: Duration = Duration::from_secs(3);
/// So often a repair is tried until the peers' standing changes again.
const MAX_TRIES: u32 = 20;

/// Repairs under way.
#[derive(Default)]
pub(crate) struct Repairs {
    own: BTreeMap<RootId, Own>,
    helping: HashMap<(MemberIndex, ExchangeId), Helping>,
}

/// A share that this member lost.
struct Own {
    sharing: SessionId,
    exchange: ExchangeId,
    offers: BTreeMap<MemberIndex, Offer>,
    helpers: BTreeSet<MemberIndex>,
    sigmas: BTreeMap<MemberIndex, Secret>,
    tries: u32,
    /// Who helped in tries that came to nothing.
    failed: BTreeMap<MemberIndex, u32>,
}

struct Offer {
    evidence: Evidence,
    level: Level,
    package: Vec<u8>,
}

impl Repairs {
    /// Whether this member waits for a share of its own.
    pub(crate) fn is_repairing(&self) -> bool {
        !self.own.is_empty()
    }

    /// A peer left: what it asked for is over.
    pub(crate) fn without(&mut self, member: MemberIndex) {
        self.helping
            .retain(|(lost, _), helping| *lost != member && helping.made_by != member);
    }
}

impl Member {
    /// Brings the share of a sharing back.
    pub(crate) fn start_repair(&mut self, root: RootId, sharing: SessionId, turn: &mut Turn<'_>) {
        match self.repairs.own.get(&root) {
            Some(own) if own.sharing == sharing => return,
            _ => {}
        }
        self.repairs.own.insert(
            root,
            Own {
                sharing,
                exchange: [0; 16],
                offers: BTreeMap::new(),
                helpers: BTreeSet::new(),
                sigmas: BTreeMap::new(),
                tries: 0,
                failed: BTreeMap::new(),
            },
        );
        self.try_repair(root, turn);
    }

    fn try_repair(&mut self, root: RootId, turn: &mut Turn<'_>) {
        let exchange = Self::exchange_id(turn);
        let Some(own) = self.repairs.own.get_mut(&root) else {
            return;
        };
        own.tries += 1;
        if own.tries > MAX_TRIES {
            self.repairs.own.remove(&root);
            return;
        }
        for helper in std::mem::take(&mut own.helpers) {
            *own.failed.entry(helper).or_default() += 1;
        }
        own.exchange = exchange;
        own.offers.clear();
        own.sigmas.clear();
        let sharing = own.sharing;
        self.broadcast(
            &Message::RepairQuery {
                exchange,
                root,
                sharing,
            },
            turn,
        );
        self.after(PATIENCE, TimerFor::Repair(exchange), turn);
    }

    pub(crate) fn repair_late(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        self.repairs.helping.retain(|(_, other), _| *other != exchange);
        let root = self
            .repairs
            .own
            .iter()
            .find(|(_, own)| own.exchange == exchange)
            .map(|(root, _)| *root);
        if let Some(root) = root {
            self.try_repair(root, turn);
        }
    }

    pub(crate) fn repair_offered(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        evidence: Evidence,
        level: Level,
        package: Vec<u8>,
        turn: &mut Turn<'_>,
    ) {
        let threshold = usize::from(self.network.threshold);
        let root = evidence.root;
        let Some(own) = self.repairs.own.get_mut(&root) else {
            return;
        };
        // With the shares of a member that lost them its policies are gone too: those of its helpers come first.
        let fits = self.peers.get(&from).is_some_and(|peer| peer.sync.is_done())
            && own.exchange == exchange
            && own.helpers.is_empty()
            && evidence.session == own.sharing
            && level >= Level::Active
            && self
                .roots
                .get(&root)
                .is_some_and(|state| state.scheme == evidence.scheme)
            && evidence_holds(&self.network, &evidence, &package);
        if !fits {
            return;
        }
        own.offers.insert(
            from,
            Offer {
                evidence,
                level,
                package,
            },
        );
        // Only a package that as many members show as must sign: one of them is honest.
        let digest = own.offers[&from].evidence.digest;
        let mut agreeing: Vec<(u32, MemberIndex)> = own
            .offers
            .iter()
            .filter(|(_, offer)| offer.evidence.digest == digest)
            .map(|(member, _)| (own.failed.get(member).copied().unwrap_or(0), *member))
            .collect();
        if agreeing.len() < threshold {
            return;
        }
        agreeing.sort();
        own.helpers = agreeing
            .into_iter()
            .take(threshold)
            .map(|(_, member)| member)
            .collect();
        let (helpers, sharing) = (own.helpers.iter().copied().collect::<Vec<_>>(), own.sharing);
        for helper in &helpers {
            let begin = Message::RepairBegin {
                exchange,
                root,
                sharing,
                helpers: helpers.clone(),
            };
            self.send(*helper, begin, turn);
        }
    }

    pub(crate) fn sigma_given(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        sigma: Secret,
        turn: &mut Turn<'_>,
    ) {
        let Some((root, own)) = self
            .repairs
            .own
            .iter_mut()
            .find(|(_, own)| own.exchange == exchange)
        else {
            return;
        };
        if !own.helpers.contains(&from) {
            return;
        }
        own.sigmas.entry(from).or_insert(sigma);
        if own.sigmas.len() < own.helpers.len() {
            return;
        }
        let root = *root;
        match restored(&self.network, self.me, own) {
            Some(sharing) => {
                self.repairs.own.remove(&root);
                turn.push(Output::Audit(Event::Repaired { root }));
                self.adopt_sharing(root, sharing, turn);
                self.start_tending(turn);
                self.drive_jobs(turn);
            }
            // Somebody gave a wrong number, and nobody can tell who: other helpers, where there are any.
            None => self.try_repair(root, turn),
        }
    }
}

/// The sharing, if what the helpers gave is this member's share of it.
fn restored(network: &Network, me: MemberIndex, own: &Own) -> Option<Sharing> {
    let helper = own.helpers.first()?;
    let offer = own.offers.get(helper)?;
    debug_assert_eq!(sha256(&offer.package), offer.evidence.digest);
    // As many as must sign say how far it has come; the least of it is what an honest one says at most.
    let level = own
        .helpers
        .iter()
        .filter_map(|helper| own.offers.get(helper))
        .map(|offer| offer.level)
        .min()?;
    let name = (level, offer.evidence.generation, offer.evidence.session);
    for_scheme!(offer.evidence.scheme, C => {
        let public = public_package::<C>(network, &offer.package)?;
        let sigmas = own
            .sigmas
            .values()
            .map(|sigma| Sigma::<C>::deserialize(sigma.expose()).ok())
            .collect::<Option<Vec<_>>>()?;
        let key = repair_share_part3(&sigmas, identifier(me), &public).ok()?;
        let key = Zeroizing::new(key.serialize().ok()?);
        Sharing::new::<C>(network, me, name, key, offer.package.clone(), offer.evidence.signature.clone())
    })
}
