//! The launch documents of a network's nodes, and the policy that accepts those and nothing else.

use jeju_attestation::hash::tagged_sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::mpc::{Member, Mpc};

/// A network and its chain.
pub(super) struct NetworkDocuments {
    pub(super) mpc: Mpc,
    pub(super) registry: HexBytes<20>,
    pub(super) rpc: String,
    pub(super) chain_authority: String,
}

impl NetworkDocuments {
    /// Everywhere that a node connects to: the chain and the other nodes.
    pub(super) fn egress_of(&self, node: usize) -> Vec<String> {
        let others = self.mpc.members.iter().enumerate().filter(|(at, _)| *at != node);
        let others = others.map(|(_, member)| member.address.clone());
        [self.chain_authority.clone()].into_iter().chain(others).collect()
    }

    /// `launch.toml` of the node at this place, from 0.
    pub(super) fn launch(&self, node: usize) -> Result<String, toml::ser::Error> {
        let (me, registry, rpc) = (self.mpc.members[node].agent, self.registry, &self.rpc);
        let egress = list(&self.egress_of(node));
        let mpc = toml::to_string(&Section { mpc: &self.mpc })?;
        Ok(format!(
            r#"# Written by `jeju mpc local`. The node measures these exact bytes.
version = 1

[node]
agent = "{me}"
names = ["localhost", "127.0.0.1"]

[chain]
profile = "localnet"
id = 31337
registry = "{registry}"
rpc = ["{rpc}"]

[services]
mpc = true

[egress]
allow = [{egress}]

{mpc}"#
        ))
    }

    /// `policy.toml` of clients.
    pub(super) fn policy(&self) -> String {
        let (registry, rpc) = (self.registry, &self.rpc);
        let agents: Vec<String> = self
            .mpc
            .members
            .iter()
            .map(|member| member.agent.to_string())
            .collect();
        let roots: Vec<String> = self.mpc.simulated_roots.iter().map(HexBytes::to_string).collect();
        let addresses = self.mpc.members.iter().map(|member| member.address.clone());
        let egress: Vec<String> = [self.chain_authority.clone()]
            .into_iter()
            .chain(addresses)
            .collect();
        format!(
            r#"# Written by `jeju mpc local`: trusts the simulated silicon of this machine, which proves nothing about it.
version = 1
kind = "development"
tees = ["simulated"]
agents = [{agents}]

[registry]
chain_id = 31337
address = "{registry}"
rpc = ["{rpc}"]

[simulated]
roots = [{roots}]

[launch]
chain_profiles = ["localnet"]
services = ["mpc"]
mpc_networks = ["{genesis}"]
egress = [{egress}]
"#,
            agents = list(&agents),
            roots = list(&roots),
            egress = list(&egress),
            genesis = HexBytes(self.mpc.genesis()),
        )
    }
}

/// A node as a member.
pub(super) fn member(name: &str, port: u16, platform: [u8; 32]) -> Member {
    Member {
        node: name.to_owned(),
        agent: HexBytes(tagged_sha256("jeju-development-signer-v1", &[name.as_bytes()])),
        platform: Some(HexBytes(platform)),
        address: format!("127.0.0.1:{port}"),
    }
}

#[derive(serde::Serialize)]
struct Section<'a> {
    mpc: &'a Mpc,
}

fn list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use jeju_attestation::launch::LaunchDocument;
    use jeju_attestation::policy::Policy;

    use super::*;

    #[test]
    fn all_parse_and_fit() {
        let documents = NetworkDocuments {
            mpc: Mpc {
                network: "jeju-localnet".into(),
                threshold: 2,
                governance: HexBytes([1; 20]),
                measurements: vec![HexBytes([2; 32])],
                simulated_roots: vec![HexBytes([4; 65]), HexBytes([5; 65]), HexBytes([6; 65])],
                wallet_factory: Some(HexBytes([3; 20])),
                place: None,
                members: vec![
                    member("a", 4010, [1; 32]),
                    member("b", 4011, [2; 32]),
                    member("c", 4012, [3; 32]),
                ],
            },
            registry: HexBytes([1; 20]),
            rpc: "http://127.0.0.1:8545".into(),
            chain_authority: "127.0.0.1:8545".into(),
        };
        let policy = Policy::parse(&documents.policy(), true).unwrap();
        for node in 0..3 {
            let launch = LaunchDocument::parse(documents.launch(node).unwrap().as_bytes()).unwrap();
            assert_eq!(launch.mpc.as_ref(), Some(&documents.mpc));
            assert_eq!(launch.egress.allow.len(), 3);
            assert_eq!(
                policy.launch.mpc_networks,
                [HexBytes(launch.mpc.unwrap().genesis())]
            );
            assert_eq!(policy.agents[node], launch.node.agent);
            assert!(
                launch
                    .egress
                    .allow
                    .iter()
                    .all(|entry| policy.launch.egress.contains(entry))
            );
        }
        assert!(policy.measurements.is_empty(), "the registry decides");
    }
}
