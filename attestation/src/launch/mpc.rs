//! The signer's part of the launch document: the first configuration of its network, the same for every member.

use serde::{Deserialize, Serialize};

use super::{LaunchError, split_authority};
use crate::cbor::Encoder;
use crate::hash::{sha256, tagged_sha256};
use crate::hex_bytes::HexBytes;

/// Most members of a network.
pub const MAX_MEMBERS: usize = 32;
/// Most measurements that a configuration lists.
pub const MAX_MEASUREMENTS: usize = 64;

/// A network of signers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mpc {
    /// Name of the network, for people.
    pub network: String,
    /// How many members must sign.
    pub threshold: u16,
    /// Account that signs later configurations, together with the members; zeros where there are to be none.
    pub governance: HexBytes<20>,
    /// Measurements that members may have. The chain can only take from them, never add.
    pub measurements: Vec<HexBytes<32>>,
    /// Roots of simulated silicon, as uncompressed P-256 points; on development chains only.
    #[serde(default)]
    pub simulated_roots: Vec<HexBytes<65>>,
    /// The contract that makes wallets, from which a key's wallet address follows.
    #[serde(default)]
    pub wallet_factory: Option<HexBytes<20>>,
    /// Members, in the order of their indices, which count from 1.
    pub members: Vec<Member>,
    /// Place of this node, where a later configuration gives it one: its agent isn't among the members then. Other members
    /// take no node's word for its place, so it isn't part of the genesis digest.
    #[serde(default)]
    pub place: Option<u16>,
}

/// A member of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Name of the node, for people.
    pub node: String,
    /// Agent id on chain.
    pub agent: HexBytes<32>,
    /// The one machine that may be this member, as its evidence names it. Only a development chain may do without.
    #[serde(default)]
    pub platform: Option<HexBytes<32>>,
    /// Where it can be reached, as `host:port`. An address is no identity, so it isn't part of the genesis digest.
    pub address: String,
}

impl Mpc {
    /// The network's name for ever: SHA-256 over all that the members must agree on. Addresses aren't in it.
    pub fn genesis(&self) -> [u8; 32] {
        let mut cbor = Encoder::new();
        cbor.array(7)
            .text(&self.network)
            .uint(u64::from(self.threshold))
            .bytes(&self.governance.0);
        cbor.array(self.measurements.len() as u64);
        for measurement in &self.measurements {
            cbor.bytes(&measurement.0);
        }
        cbor.array(self.simulated_roots.len() as u64);
        for root in &self.simulated_roots {
            cbor.bytes(&root.0);
        }
        cbor.bytes(self.wallet_factory.as_ref().map_or(&[], |factory| &factory.0[..]));
        cbor.array(self.members.len() as u64);
        for member in &self.members {
            cbor.array(3)
                .text(&member.node)
                .bytes(&member.agent.0)
                .bytes(member.platform.as_ref().map_or(&[], |platform| &platform.0[..]));
        }
        tagged_sha256("jeju-mpc-genesis-v1", &[&sha256(&cbor.finish())])
    }

    /// The place of an agent, from 1.
    pub fn index_of(&self, agent: &[u8; 32]) -> Option<u16> {
        let at = self.members.iter().position(|member| member.agent.0 == *agent)?;
        u16::try_from(at + 1).ok()
    }

    /// The place of the node that has this document: its agent's, or the one that a later configuration gives it.
    pub fn place_of(&self, agent: &[u8; 32]) -> Option<u16> {
        self.index_of(agent).or(self.place)
    }

    /// Whether the parts agree. `development` is whether the chain is a development one.
    pub(super) fn check(
        &self,
        egress: &[String],
        me: &[u8; 32],
        development: bool,
    ) -> Result<(), LaunchError> {
        let invalid = |field, value: String| Err(LaunchError::Value { field, value });
        if !is_name(&self.network) {
            return invalid("mpc.network", self.network.clone());
        }
        if self.members.is_empty() || self.members.len() > MAX_MEMBERS {
            return invalid("mpc.members", self.members.len().to_string());
        }
        match (self.index_of(me), self.place) {
            (Some(_), None) => {}
            (None, Some(place)) if (1..=self.members.len()).contains(&usize::from(place)) => {}
            (_, Some(place)) => return invalid("mpc.place", place.to_string()),
            (None, None) => return invalid("mpc.members", "without this node's agent".to_owned()),
        }
        let own = self.place_of(me).map_or(0, usize::from);
        let members = self.members.len() as u16;
        // One signer alone is for development: it is one machine that holds the key.
        let lowest = if development && members == 1 { 1 } else { 2 };
        if !(lowest..=members).contains(&self.threshold) {
            return invalid("mpc.threshold", self.threshold.to_string());
        }
        if self.measurements.is_empty() || self.measurements.len() > MAX_MEASUREMENTS {
            return invalid("mpc.measurements", self.measurements.len().to_string());
        }
        if self.simulated_roots.len() > MAX_MEMBERS || (!development && !self.simulated_roots.is_empty()) {
            return invalid("mpc.simulated_roots", self.simulated_roots.len().to_string());
        }
        for (at, member) in self.members.iter().enumerate() {
            let others = &self.members[..at];
            if !is_name(&member.node) || others.iter().any(|other| other.node == member.node) {
                return invalid("mpc.members.node", member.node.clone());
            }
            if others.iter().any(|other| other.agent == member.agent) {
                return invalid("mpc.members.agent", member.agent.to_string());
            }
            let doubled = |other: &Member| other.platform.is_some() && other.platform == member.platform;
            if (member.platform.is_none() && !development) || others.iter().any(doubled) {
                let platform = member
                    .platform
                    .map_or_else(String::new, |platform| platform.to_string());
                return invalid("mpc.members.platform", platform);
            }
            if split_authority(&member.address).is_none()
                || (at + 1 != own && !egress.contains(&member.address))
            {
                return invalid("mpc.members.address", member.address.clone());
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::super::{LaunchDocument, SAMPLE};
    use super::*;

    const MPC: &str = r#"
[mpc]
network = "jeju-localnet"
threshold = 2
governance = "0x0101010101010101010101010101010101010101"
measurements = ["0x0202020202020202020202020202020202020202020202020202020202020202"]
[[mpc.members]]
node = "mpc-node-1"
agent = "0x0808080808080808080808080808080808080808080808080808080808080808"
address = "127.0.0.1:4010"
[[mpc.members]]
node = "mpc-node-2"
agent = "0x0303030303030303030303030303030303030303030303030303030303030303"
address = "127.0.0.1:8545"
"#;

    fn parse(mpc: &str) -> Result<LaunchDocument, LaunchError> {
        let on = SAMPLE.replacen("inference = true", "inference = true\nmpc = true", 1);
        LaunchDocument::parse((on + mpc).as_bytes())
    }

    #[test]
    fn reads_a_network() {
        let mpc = parse(MPC).unwrap().mpc.unwrap();
        assert_eq!(mpc.index_of(&[3; 32]), Some(2));
        assert_eq!(mpc.index_of(&[4; 32]), None);
        let moved = parse(&MPC.replace("127.0.0.1:4010", "node-1.example:4010")).unwrap();
        assert_eq!(
            moved.mpc.unwrap().genesis(),
            mpc.genesis(),
            "addresses are no identity"
        );
        for (from, to) in [
            ("jeju-localnet", "other"),
            ("0x01010101", "0x01010102"),
            ("0x02020202", "0x02020203"),
            ("mpc-node-2", "mpc-node-3"),
            ("0x03030303", "0x03030304"),
        ] {
            let other = parse(&MPC.replacen(from, to, 1)).unwrap().mpc.unwrap();
            assert_ne!(other.genesis(), mpc.genesis(), "{from}");
        }
    }

    #[test]
    fn a_node_may_have_a_place_that_a_later_configuration_gives_it() {
        let other = MPC.replacen(&"08".repeat(32), &"09".repeat(32), 1);
        let placed = |place: u16| {
            parse(&other.replacen("threshold = 2", &format!("threshold = 2\nplace = {place}"), 1))
        };
        let mpc = placed(1).unwrap().mpc.unwrap();
        assert_eq!(mpc.place_of(&[8; 32]), Some(1));
        assert_eq!(
            mpc.place_of(&[3; 32]),
            Some(2),
            "a member of the first configuration"
        );
        assert_eq!(
            mpc.genesis(),
            Mpc {
                place: None,
                ..mpc.clone()
            }
            .genesis()
        );
        for (text, place) in [(&other[..], 0), (&other[..], 3), (MPC, 1)] {
            let text = text.replacen("threshold = 2", &format!("threshold = 2\nplace = {place}"), 1);
            match parse(&text) {
                Err(LaunchError::Value { field, .. }) => assert_eq!(field, "mpc.place"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = |from: &str, to: &str| {
            assert!(MPC.contains(from), "{from}");
            match parse(&MPC.replacen(from, to, 1)) {
                Err(LaunchError::Value { field, .. }) => field,
                other => panic!("{from} -> {to}: {other:?}"),
            }
        };
        assert_eq!(refused("threshold = 2", "threshold = 1"), "mpc.threshold");
        assert_eq!(refused("threshold = 2", "threshold = 3"), "mpc.threshold");
        assert_eq!(refused("jeju-localnet", "jeju localnet"), "mpc.network");
        assert_eq!(refused("mpc-node-2", "mpc-node-1"), "mpc.members.node");
        assert_eq!(refused(&"03".repeat(32), &"08".repeat(32)), "mpc.members.agent");
        assert_eq!(refused(&"08".repeat(32), &"09".repeat(32)), "mpc.members");
        assert_eq!(refused("127.0.0.1:8545", "127.0.0.1:9"), "mpc.members.address");
        assert_eq!(
            refused(&format!("[\"0x{}\"]", "02".repeat(32)), "[]"),
            "mpc.measurements"
        );
        let bare = SAMPLE.replacen("inference = true", "mpc = true", 1);
        assert!(matches!(
            LaunchDocument::parse(bare.as_bytes()),
            Err(LaunchError::Value { field: "mpc", .. })
        ));
        assert!(matches!(
            LaunchDocument::parse((SAMPLE.to_owned() + MPC).as_bytes()),
            Err(LaunchError::Value { field: "mpc", .. })
        ));
    }

    #[test]
    fn other_chains_ask_for_machines() {
        let public = |mpc: &str| {
            let on = SAMPLE.replacen("inference = true", "mpc = true", 1);
            LaunchDocument::parse(
                (on.replace("localnet", "mainnet") + &mpc.replace("localnet", "main")).as_bytes(),
            )
        };
        assert!(matches!(
            public(MPC),
            Err(LaunchError::Value {
                field: "mpc.members.platform",
                ..
            })
        ));
        let pinned = MPC
            .replacen(
                "node = \"mpc-node-1\"",
                &format!("platform = \"0x{}\"\nnode = \"mpc-node-1\"", "0a".repeat(32)),
                1,
            )
            .replacen(
                "node = \"mpc-node-2\"",
                &format!("platform = \"0x{}\"\nnode = \"mpc-node-2\"", "0b".repeat(32)),
                1,
            );
        assert!(public(&pinned).is_ok());
        assert!(matches!(
            public(&pinned.replace("0b0b", "0a0a")),
            Err(LaunchError::Value {
                field: "mpc.members.platform",
                ..
            })
        ));
    }
}
