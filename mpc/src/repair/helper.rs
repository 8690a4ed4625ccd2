//! The helper's part.

use std::collections::{BTreeMap, BTreeSet};

use frost_core::keys::repairable::{Delta, repair_share_part1, repair_share_part2};
use zeroize::Zeroizing;

use super::PATIENCE;
use crate::member::{Member, TimerFor, Turn};
use crate::message::{ExchangeId, Level, Message, Secret, SessionId};
use crate::network::{MemberIndex, RootId, Scheme};
use crate::suite::{for_scheme, identifier, member_of};

/// Most repairs that one peer may have this member help in at once.
const MAX_HELPING: usize = 8;
/// Another member's share, which this member helps to bring back.
pub(super) struct Helping {
    /// Who is helped, and the peer by which this entry came to be.
    pub(super) made_by: MemberIndex,
    helpers: BTreeSet<MemberIndex>,
    deltas: BTreeMap<MemberIndex, Secret>,
    scheme: Option<Scheme>,
}

impl Member {
    pub(crate) fn repair_asked(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        root: RootId,
        sharing: SessionId,
        turn: &mut Turn<'_>,
    ) {
        let offer = self.roots.get(&root).and_then(|state| {
            let sharing = state.named(&sharing)?;
            if sharing.level == Level::Pending {
                return None;
            }
            Some(Message::RepairOffer {
                exchange,
                evidence: sharing.evidence(state.scheme, root)?,
                level: sharing.level,
                package: sharing.public().to_vec(),
            })
        });
        if let Some(offer) = offer {
            self.send(from, offer, turn);
        }
    }

    /// A peer lost its share, and this member is one of its helpers.
    pub(crate) fn repair_begun(
        &mut self,
        lost: MemberIndex,
        exchange: ExchangeId,
        root: RootId,
        sharing: SessionId,
        helpers: Vec<MemberIndex>,
        turn: &mut Turn<'_>,
    ) {
        let fits = helpers.len() == usize::from(self.network.threshold)
            && helpers.contains(&self.me)
            && !helpers.contains(&lost)
            && helpers.iter().all(|helper| self.network.has(*helper));
        if !fits {
            return;
        }
        let Some(state) = self.roots.get(&root) else {
            return;
        };
        let scheme = state.scheme;
        let Some(sharing) = state
            .named(&sharing)
            .filter(|sharing| sharing.level >= Level::Active)
        else {
            return;
        };
        let deltas = for_scheme!(scheme, C => {
            let names: Vec<_> = helpers.iter().map(|helper| identifier::<C>(*helper)).collect();
            sharing.packages::<C>().and_then(|(key, _)| {
                let deltas = repair_share_part1(&names, &key, &mut turn.rng(), identifier(lost)).ok()?;
                deltas
                    .into_iter()
                    .map(|(to, delta)| {
                        let delta = Zeroizing::new(delta.serialize());
                        Some((member_of(to)?, Secret::new(delta.as_slice().try_into().ok()?)))
                    })
                    .collect::<Option<Vec<_>>>()
            })
        });
        let Some(deltas) = deltas else { return };
        let Some(helping) = self.helping(lost, lost, exchange, turn) else {
            return;
        };
        if helping.scheme.is_some() {
            // Begun before: a second split of the same share would tell no more, but there is no reason for one.
            return;
        }
        helping.scheme = Some(scheme);
        helping.helpers = helpers.into_iter().collect();
        for (to, delta) in deltas {
            match to == self.me {
                true => self.take_delta(self.me, lost, exchange, delta, turn),
                false => self.send(
                    to,
                    Message::RepairDelta {
                        exchange,
                        lost,
                        delta,
                    },
                    turn,
                ),
            }
        }
    }

    /// The entry for a repair, made if there is room for what this peer makes.
    fn helping(
        &mut self,
        made_by: MemberIndex,
        lost: MemberIndex,
        exchange: ExchangeId,
        turn: &mut Turn<'_>,
    ) -> Option<&mut Helping> {
        let name = (lost, exchange);
        if !self.repairs.helping.contains_key(&name) {
            let made = self
                .repairs
                .helping
                .values()
                .filter(|other| other.made_by == made_by);
            if made.count() >= MAX_HELPING {
                return None;
            }
            self.repairs.helping.insert(
                name,
                Helping {
                    made_by,
                    helpers: BTreeSet::new(),
                    deltas: BTreeMap::new(),
                    scheme: None,
                },
            );
            self.after(PATIENCE, TimerFor::Repair(exchange), turn);
        }
        self.repairs.helping.get_mut(&name)
    }

    pub(crate) fn delta_given(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        lost: MemberIndex,
        delta: Secret,
        turn: &mut Turn<'_>,
    ) {
        if !self.network.has(lost) || lost == self.me || lost == from {
            return;
        }
        if self.helping(from, lost, exchange, turn).is_some() {
            self.take_delta(from, lost, exchange, delta, turn);
        }
    }

    fn take_delta(
        &mut self,
        from: MemberIndex,
        lost: MemberIndex,
        exchange: ExchangeId,
        delta: Secret,
        turn: &mut Turn<'_>,
    ) {
        let name = (lost, exchange);
        let Some(helping) = self.repairs.helping.get_mut(&name) else {
            return;
        };
        helping.deltas.entry(from).or_insert(delta);
        let Some(scheme) = helping.scheme else { return };
        if !helping
            .helpers
            .iter()
            .all(|helper| helping.deltas.contains_key(helper))
        {
            return;
        }
        let sigma = for_scheme!(scheme, C => {
            let deltas: Option<Vec<Delta<C>>> = helping
                .helpers
                .iter()
                .map(|helper| Delta::deserialize(helping.deltas[helper].expose()).ok())
                .collect();
            deltas.and_then(|deltas| {
                let sigma = Zeroizing::new(repair_share_part2(&deltas).serialize());
                Some(Secret::new(sigma.as_slice().try_into().ok()?))
            })
        });
        self.repairs.helping.remove(&name);
        if let Some(sigma) = sigma {
            self.send(lost, Message::RepairSigma { exchange, sigma }, turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use frost_secp256k1::Secp256K1Sha256;

    use super::*;

    fn part<const N: usize>(vectors: &serde_json::Value, names: [&str; N]) -> [Secret; N] {
        names.map(|name| {
            let bytes = hex::decode(vectors[name].as_str().unwrap()).unwrap();
            Secret::new(bytes.try_into().unwrap())
        })
    }

    #[test]
    fn published_sums() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!(
            "../../tests/vectors/frost-secp256k1/repair-share.json"
        ))
        .unwrap();
        let [one, two, three, sum] = part(
            &vectors["scalar_generation"],
            [
                "random_scalar_1",
                "random_scalar_2",
                "random_scalar_3",
                "random_scalar_sum",
            ],
        );
        let deltas: Vec<_> = [one, two, three]
            .into_iter()
            .map(|delta| {
                let message = Message::RepairDelta {
                    exchange: [1; 16],
                    lost: MemberIndex(2),
                    delta,
                };
                match Message::decode(&message.encode()) {
                    Ok(Message::RepairDelta { delta, .. }) => {
                        Delta::<Secp256K1Sha256>::deserialize(delta.expose()).unwrap()
                    }
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        assert_eq!(repair_share_part2(&deltas).serialize(), sum.expose());
    }
}
