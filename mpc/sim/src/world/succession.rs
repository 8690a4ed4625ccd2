//! How places pass to other agents: governance proposes, members approve, and an operator starts the new node.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::authority::payload::HexData;
use jeju_mpc::configuration::{Founding, Place, Proposal};
use jeju_mpc::member::Membership;
use jeju_mpc::network::Network;
use jeju_wallet_auth::signature::AccountKey;

use super::{Happening, World};
use crate::disk::Disk;
use crate::process::{Boot, Process};
use crate::weather::between;

/// A place's next agent, proposed until it is in force.
#[derive(Debug)]
pub struct Succession {
    place: u16,
    agent: [u8; 32],
    proposal: Proposal,
}

/// The first configuration of a network.
pub(super) fn founding(network: &Network) -> Founding {
    let place = |place: u16| Place {
        agent: HexBytes([place as u8; 32]),
        platform: HexBytes([0; 32]),
    };
    Founding {
        governance: Some(governance().account()),
        places: (1..=network.members).map(place).collect(),
    }
}

fn governance() -> AccountKey {
    AccountKey::from_bytes(&[4; 32]).expect("a key")
}

impl Succession {
    /// The body to send.
    pub fn bytes(&self) -> Vec<u8> {
        self.proposal.to_bytes()
    }

    /// What the root key signs.
    pub fn message(&self) -> [u8; 32] {
        self.proposal.configuration.approved_message()
    }
}

impl World {
    pub(super) fn agent(&self, place: u16) -> [u8; 32] {
        let founded = self.founding.places[usize::from(place) - 1].agent.0;
        self.agents.get(&place).copied().unwrap_or(founded)
    }

    pub(super) fn membership(&self, place: u16) -> Membership {
        Membership {
            agent: self.agent(place),
            founding: self.founding.clone(),
        }
    }

    /// What governance signs so that a place passes to another agent; `None` while nobody shows the root key.
    pub fn propose(&self, place: u16, agent: [u8; 32]) -> Option<Succession> {
        let honest = |process: &&Process| self.watch.is_honest(process.place);
        let newest = self
            .processes
            .values()
            .filter(honest)
            .filter(|process| process.engine.root_key().is_some())
            .max_by_key(|process| process.engine.configurations().number())?;
        let chain = newest.engine.configurations();
        let mut places = chain.places().to_vec();
        places[usize::from(place) - 1].agent = HexBytes(agent);
        let configuration = chain.draft(newest.engine.root_key()?, places);
        let signature = governance().sign(&configuration.digest());
        Some(Succession {
            place,
            agent,
            proposal: Proposal {
                configuration,
                signature: HexData(signature.0.to_vec()),
            },
        })
    }

    /// Starts the new node, if the configuration is in force: on the old one's disk, or on an empty one.
    pub fn succeed(&mut self, succession: &Succession, empty: bool) -> bool {
        let configuration = &succession.proposal.configuration;
        let place = succession.place;
        if self.watch.configurations.get(&configuration.number) != Some(&configuration.digest()) {
            return false;
        }
        for boot in self.running(place) {
            self.kill(boot);
        }
        self.agents.insert(place, succession.agent);
        if empty {
            self.disks.push(Disk::default());
            self.disk_of.insert(place, self.disks.len() - 1);
        }
        if !self.is_up(place) {
            let delay = between(&mut self.rng, 10, 20_000);
            self.start_after(place, delay);
        }
        true
    }

    /// A process has another configuration: who lost its place is gone, and who was refused before may try again.
    pub(super) fn configured(&mut self, boot: Boot, places: &[Place]) {
        let Some(process) = self.processes.get(&boot) else {
            return;
        };
        let me = process.place;
        let others: Vec<(Boot, bool)> = self
            .processes
            .iter()
            .filter(|(_, other)| other.place != me)
            .map(|(boot, other)| {
                (
                    *boot,
                    places[usize::from(other.place.0) - 1].agent.0 == other.agent,
                )
            })
            .collect();
        for (other, has_place) in others {
            if has_place {
                let delay = between(&mut self.rng, 5, 300);
                self.queue.after(delay, Happening::Connect { one: boot, other });
            } else if let Some(process) = self.processes.get_mut(&boot) {
                process.peers.retain(|_, (peer, _)| *peer != other);
            }
        }
    }
}
