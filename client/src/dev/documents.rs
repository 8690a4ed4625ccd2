//! The launch document that the node is started with, and the policy that accepts it and nothing else.

use std::net::SocketAddr;

use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;

/// What both documents speak of.
pub(super) struct NodeDocuments {
    pub(super) registry: HexBytes<20>,
    pub(super) rpc: String,
    pub(super) chain_authority: String,
    pub(super) model_id: String,
    pub(super) model: HexBytes<32>,
    pub(super) rentals: Option<Rentals>,
    pub(super) workers: bool,
}

/// What is rented out.
pub(super) struct Rentals {
    pub(super) contract: HexBytes<20>,
    pub(super) provider: HexBytes<20>,
    /// Where tenants log in.
    pub(super) address: SocketAddr,
}

/// What workers may do: connect to every public address.
const WORKERS: &str = "\n[workers]\nreach = \"public\"\n";

impl Rentals {
    fn table(&self) -> String {
        format!(
            "\n[rentals]\ncontract = \"{}\"\nprovider = \"{}\"\nhost = \"{}\"\nport = {}\nnetwork = \"open\"\n\
             isolation = \"host\"\n",
            self.contract,
            self.provider,
            self.address.ip(),
            self.address.port()
        )
    }
}

impl NodeDocuments {
    /// `launch.toml`.
    pub(super) fn launch(&self) -> String {
        let Self {
            registry,
            rpc,
            chain_authority,
            model_id,
            model,
            rentals,
            workers,
        } = self;
        let rentals_on = if rentals.is_some() { "rentals = true\n" } else { "" };
        let workers_on = if *workers { "workers = true\n" } else { "" };
        let rentals = rentals.as_ref().map(Rentals::table).unwrap_or_default();
        let workers = if *workers { WORKERS } else { "" };
        format!(
            r#"# Written by `jeju dev`. The node measures these exact bytes.
version = 1

[node]
agent = "{agent}"
names = ["localhost", "127.0.0.1"]

[chain]
profile = "localnet"
id = 31337
registry = "{registry}"
rpc = ["{rpc}"]

[services]
inference = true
{rentals_on}{workers_on}
[[models]]
id = "{model_id}"
sha256 = "{model}"

[egress]
allow = ["{chain_authority}"]
{rentals}{workers}"#,
            agent = agent(),
        )
    }

    /// `policy.toml`, for simulated silicon with this root.
    pub(super) fn policy(&self, root: &HexBytes<65>) -> String {
        let Self {
            registry,
            rpc,
            chain_authority,
            model,
            rentals,
            workers,
            ..
        } = self;
        let (also_rentals, rentals) = match rentals {
            None => ("", ""),
            Some(_) => (", \"rentals\"", "rentals = [\"host\"]\n"),
        };
        let (also_workers, workers) = match workers {
            false => ("", ""),
            true => (", \"workers\"", "workers = [\"public\"]\n"),
        };
        format!(
            r#"# Written by `jeju dev`: trusts the simulated silicon of this machine, which proves nothing about it.
version = 1
kind = "development"
tees = ["simulated"]
agents = ["{agent}"]

[registry]
chain_id = 31337
address = "{registry}"
rpc = ["{rpc}"]

[simulated]
roots = ["{root}"]

[launch]
chain_profiles = ["localnet"]
services = ["inference"{also_rentals}{also_workers}]
egress = ["{chain_authority}"]
models = ["{model}"]
{rentals}{workers}"#,
            agent = agent(),
        )
    }
}

/// The node's agent id.
pub(super) fn agent() -> HexBytes<32> {
    HexBytes(sha256(b"jeju-development-agent"))
}

#[cfg(test)]
mod tests {
    use jeju_attestation::launch::LaunchDocument;
    use jeju_attestation::policy::Policy;

    use super::*;

    #[test]
    fn both_parse_and_fit() {
        let mut node = NodeDocuments {
            registry: HexBytes([1; 20]),
            rpc: "http://127.0.0.1:8545".into(),
            chain_authority: "127.0.0.1:8545".into(),
            model_id: "tiny".into(),
            model: HexBytes([2; 32]),
            rentals: None,
            workers: false,
        };
        let launch = LaunchDocument::parse(node.launch().as_bytes()).unwrap();
        let policy = Policy::parse(&node.policy(&HexBytes([4; 65])), true).unwrap();
        assert_eq!(policy.agents, [launch.node.agent]);
        assert_eq!(policy.registry.unwrap().address, launch.chain.registry);
        assert_eq!(policy.launch.egress, launch.egress.allow);
        assert_eq!(policy.launch.models, [launch.models[0].sha256]);
        assert!(policy.measurements.is_empty(), "the registry decides");
        assert!(launch.rentals.is_none() && policy.launch.rentals.is_empty());

        node.rentals = Some(Rentals {
            contract: HexBytes([5; 20]),
            provider: HexBytes([6; 20]),
            address: "[::1]:2222".parse().unwrap(),
        });
        let launch = LaunchDocument::parse(node.launch().as_bytes()).unwrap();
        let policy = Policy::parse(&node.policy(&HexBytes([4; 65])), true).unwrap();
        assert_eq!(policy.launch.services, launch.services.enabled());
        let rentals = launch.rentals.unwrap();
        assert_eq!((rentals.host.as_str(), rentals.port), ("::1", 2222));
        assert_eq!(policy.launch.rentals, [rentals.isolation]);
        assert!(launch.workers.is_none() && policy.launch.workers.is_empty());

        node.workers = true;
        let launch = LaunchDocument::parse(node.launch().as_bytes()).unwrap();
        let policy = Policy::parse(&node.policy(&HexBytes([4; 65])), true).unwrap();
        assert_eq!(policy.launch.services, launch.services.enabled());
        assert_eq!(policy.launch.workers, [launch.workers.unwrap().reach]);
    }
}
