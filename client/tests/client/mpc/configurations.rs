//! What the client makes of configurations that members show.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::mpc::Mpc;
use jeju_client::error::Class;
use jeju_client::mpc::{Configurations, MpcError, RootKey};
use jeju_mpc::authority::payload::HexData;
use jeju_mpc::configuration::{Approved, Chain, Configuration, Founding, Place, Proposal};
use jeju_mpc::network;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};

use super::{Does, Network, code, jeju_as};

/// Configurations that a member shows at once.
const PAGE: usize = 2;

pub(super) fn governance() -> AccountKey {
    AccountKey::from_bytes(&[4; 32]).unwrap()
}

/// What a member says of configurations, true or not.
pub(super) struct Succession {
    genesis: [u8; 32],
    later: Vec<Approved>,
    number: Option<u32>,
    digest: Option<[u8; 32]>,
    root_key: Option<[u8; 33]>,
}

/// What makes of it something else.
type Lie = Box<dyn FnOnce(&mut Succession)>;

impl Succession {
    pub(super) fn new(mpc: &Mpc, root: &frost_secp256k1::SigningKey) -> Self {
        Self {
            genesis: mpc.genesis(),
            later: Vec::new(),
            number: None,
            digest: None,
            root_key: Some(public(root)),
        }
    }

    pub(super) fn page(&self, query: &str) -> Value {
        let from: usize = query.strip_prefix("from=").unwrap().parse().unwrap();
        let shown = self.later.iter().skip(from - 1).take(PAGE);
        let shown =
            shown.map(|later| json!({ "proposal": later.proposal, "approval": HexBytes(later.approval) }));
        let newest = self.later.last();
        let digest = newest.map_or(self.genesis, |newest| newest.proposal.configuration.digest());
        json!({
            "number": self.number.unwrap_or(self.later.len() as u32),
            "digest": HexBytes(self.digest.unwrap_or(digest)),
            "rootKey": self.root_key.map(HexBytes),
            "approves": null,
            "configurations": shown.collect::<Vec<_>>(),
        })
    }

    pub(super) fn proposed(&mut self, body: &[u8], root: &frost_secp256k1::SigningKey) -> Value {
        let proposal = Proposal::parse(body).unwrap();
        let (number, digest) = (proposal.configuration.number, proposal.configuration.digest());
        self.later.push(approved(proposal, root));
        json!({ "success": true, "number": number, "digest": HexBytes(digest) })
    }
}

fn public(key: &frost_secp256k1::SigningKey) -> [u8; 33] {
    let key = frost_secp256k1::VerifyingKey::from(key).serialize().unwrap();
    key.try_into().unwrap()
}

fn approved(proposal: Proposal, root: &frost_secp256k1::SigningKey) -> Approved {
    let message = proposal.configuration.approved_message();
    let approval = root.sign(rand_core::OsRng, &message).serialize().unwrap();
    Approved {
        proposal,
        approval: approval.try_into().unwrap(),
    }
}

fn signed(configuration: Configuration, by: &AccountKey) -> Proposal {
    let signature = by.sign(&configuration.digest());
    Proposal {
        configuration,
        signature: HexData(signature.0.to_vec()),
    }
}

fn place(agent: u8) -> Place {
    Place {
        agent: HexBytes([agent; 32]),
        platform: HexBytes([0; 32]),
    }
}

impl Network {
    fn chain(&self) -> Chain {
        let network = network::Network {
            genesis: self.launch.genesis(),
            chain_id: 31337,
            threshold: 2,
            members: self.launch.members.len() as u16,
        };
        Chain::new(network, Founding::of(&self.launch))
    }

    /// Configurations that give the second place to these agents, one after the other.
    fn later(&self, agents: &[u8]) -> Vec<Approved> {
        let mut chain = self.chain();
        for agent in agents {
            let mut places = chain.places().to_vec();
            places[1] = place(*agent);
            let next = signed(chain.draft(public(&self.root), places), &governance());
            chain.adopt(approved(next, &self.root), None).unwrap();
        }
        chain.all_later().to_vec()
    }

    fn know(&self, member: usize, change: impl FnOnce(&mut Succession)) {
        change(&mut self.successions[member].lock().unwrap());
    }
}

/// What is wrong with each member's answer.
fn codes(known: &Configurations) -> Vec<&str> {
    let said = known.nodes.iter().map(|(_, said)| said.as_ref());
    said.map(|said| said.err().map_or("ok", MpcError::code)).collect()
}

#[tokio::test]
async fn a_place_passes_by_what_governance_signs() {
    let network = Network::start(&[Does::Right; 3]).await;
    let mut client = network.client(&[1]);
    let known = client.configurations().await.unwrap();
    assert_eq!((known.chain.number(), codes(&known)), (0, vec!["ok"; 3]));
    let root_key = public(&network.root);
    assert_eq!(known.root_key(), Some(RootKey::Members(root_key, 3)));

    let next = known.draft(&[(2, place(9))]).unwrap();
    let proposal = signed(next, &governance());
    let known = client.configure(&proposal).await.unwrap();
    assert_eq!((known.chain.number(), known.chain.places()[1]), (1, place(9)));
    assert_eq!(known.root_key(), Some(RootKey::Governance(root_key)));
    // What is in force isn't asked for.
    let asked = network.asked();
    assert!(client.configure(&proposal).await.is_ok());
    assert_eq!(network.asked(), asked);

    // One that knows more, in pages, and one that knows less.
    let later = network.later(&[9, 8, 7, 6, 5]);
    network.know(0, |says| says.later = later.clone());
    network.know(1, |says| says.later = later[..3].to_vec());
    network.know(2, |says| says.later.clear());
    for first in 0..3 {
        let known = network.client(&[first]).configurations().await.unwrap();
        assert_eq!(known.chain.all_later(), later);
        let mut numbers: Vec<_> = known
            .nodes
            .iter()
            .map(|(_, said)| said.as_ref().unwrap().number)
            .collect();
        numbers.sort();
        assert_eq!(numbers, [0, 3, 5]);
    }
    assert_eq!(
        code(client.configure(&proposal).await),
        ("mpc_configuration_number".to_owned(), Class::Policy),
        "it was in force once"
    );
}

#[tokio::test]
async fn what_a_member_shows_of_configurations_is_verified() {
    let network = Network::start(&[Does::Right; 3]).await;
    let later = network.later(&[9]);
    let original = later[0].clone();
    let with = |change: &dyn Fn(&mut Approved)| {
        let mut changed = original.clone();
        change(&mut changed);
        move |says: &mut Succession| says.later = vec![changed]
    };
    let resigned = |change: &dyn Fn(&mut Configuration)| {
        let mut next = original.proposal.configuration.clone();
        change(&mut next);
        let next = approved(signed(next, &governance()), &network.root);
        move |says: &mut Succession| says.later = vec![next]
    };
    let made_up = frost_secp256k1::SigningKey::new(&mut rand_core::OsRng);
    let lies: Vec<Lie> = vec![
        Box::new(with(&|shown| shown.approval[40] ^= 1)),
        Box::new(with(&|shown| shown.approval = [0; 65])),
        Box::new(with(&|shown| shown.proposal.signature.0[3] ^= 1)),
        Box::new(with(&|shown| {
            let next = shown.proposal.configuration.clone();
            *shown = approved(signed(next, &super::account()), &network.root);
        })),
        Box::new(with(&|shown| shown.proposal.configuration.places[1] = place(7))),
        Box::new(with(&|shown| *shown = approved(shown.proposal.clone(), &made_up))),
        Box::new(resigned(&|next| next.previous.0[0] ^= 1)),
        Box::new(resigned(&|next| next.number = 2)),
        Box::new(resigned(&|next| next.threshold = 1)),
        Box::new(resigned(&|next| next.places[0] = place(7))),
        Box::new(resigned(&|next| next.root_key.0 = public(&made_up))),
        Box::new(|says| says.number = Some(1)),
        Box::new(|says| says.digest = Some([1; 32])),
    ];
    for (at, lie) in lies.into_iter().enumerate() {
        network.know(0, |says| {
            *says = Succession::new(&network.launch, &network.root);
            lie(says);
        });
        let known = network.client(&[0]).configurations().await.unwrap();
        let failed = known.nodes.iter().filter(|(_, said)| said.is_err()).count();
        assert_eq!((known.chain.number(), failed), (0, 1), "lie {at}");
        assert!(codes(&known).contains(&"mpc_answer_invalid"), "lie {at}");
    }
    // Another root key than governance's; and one that fewer name than must sign.
    network.know(0, |says| {
        *says = Succession::new(&network.launch, &network.root);
        says.later = later.clone();
        says.root_key = Some(public(&made_up));
    });
    let known = network.client(&[0]).configurations().await.unwrap();
    assert!(codes(&known).contains(&"mpc_answer_invalid"));
    for member in 0..3 {
        network.know(member, |says| {
            *says = Succession::new(&network.launch, &made_up);
            says.root_key = says.root_key.filter(|_| member == 0);
        });
    }
    let known = network.client(&[0]).configurations().await.unwrap();
    assert_eq!(
        code(known.draft(&[(2, place(9))])),
        ("mpc_not_confirmed".to_owned(), Class::Network)
    );
    // Of nobody there is nothing.
    let network = Network::start(&[Does::Babbles(200, "[]"); 2]).await;
    assert_eq!(
        code(network.client(&[0]).configurations().await),
        ("mpc_answer_invalid".to_owned(), Class::Evidence)
    );
}

#[tokio::test]
async fn two_configurations_of_one_number_are_no_network() {
    let network = Network::start(&[Does::Right; 3]).await;
    for (one, other) in [(&[9][..], &[8][..]), (&[9, 7, 5, 4][..], &[9, 7, 5, 6][..])] {
        network.know(0, |says| says.later = network.later(one));
        network.know(2, |says| says.later = network.later(other));
        let mut client = network.client(&[0]);
        let expected = ("mpc_configuration_conflict".to_owned(), Class::Evidence);
        assert_eq!(code(client.configurations().await), expected);
        let next = signed(
            network.later(&[9])[0].proposal.configuration.clone(),
            &governance(),
        );
        assert_eq!(code(client.configure(&next).await), expected);
    }
    assert_eq!(network.asked(), 0);
}

#[tokio::test]
async fn what_no_member_would_take_is_not_sent() {
    let network = Network::start(&[Does::Right; 3]).await;
    let mut client = network.client(&[0]);
    let known = client.configurations().await.unwrap();
    for (changes, expected) in [
        (vec![(0, place(9))], "payload_invalid"),
        (vec![(4, place(9))], "payload_invalid"),
        (vec![(2, place(9)), (2, place(8))], "payload_invalid"),
        (vec![(2, place(2))], "mpc_configuration_changes"),
        (vec![(2, place(9)), (3, place(8))], "mpc_configuration_changes"),
        (vec![(2, place(1))], "mpc_configuration_place"),
        (
            vec![(
                2,
                Place {
                    platform: HexBytes([1; 32]),
                    ..place(9)
                },
            )],
            "mpc_configuration_place",
        ),
    ] {
        assert_eq!(code(known.draft(&changes)).0, expected, "{changes:?}");
    }
    let good = known.draft(&[(2, place(9))]).unwrap();
    for (proposal, expected) in [
        (
            signed(good.clone(), &super::account()),
            "mpc_configuration_governance",
        ),
        (
            signed(
                Configuration {
                    number: 2,
                    ..good.clone()
                },
                &governance(),
            ),
            "mpc_configuration_number",
        ),
        (
            signed(
                Configuration {
                    root_key: HexBytes([2; 33]),
                    ..good
                },
                &governance(),
            ),
            "mpc_configuration_root_key",
        ),
    ] {
        assert_eq!(
            code(client.configure(&proposal).await),
            (expected.to_owned(), Class::Policy)
        );
    }
    assert_eq!(network.asked(), 0);
}

#[tokio::test]
async fn commands_show_draft_and_propose() {
    let network = Network::start(&[Does::Right; 3]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let policy = file("policy.toml");
    std::fs::write(&policy, toml::to_string(&network.policy).unwrap()).unwrap();
    let url = network.nodes[0].as_ref().unwrap().url();
    let at = ["--node", &url, "--policy", &policy, "--development"];
    let run = async |key: u8, more: &[&str]| jeju_as(key, &[&["configure"], more, &at].concat()).await;
    const GOVERNANCE: u8 = 4;

    let (exit, shown) = run(7, &["show"]).await;
    assert_eq!((exit, &shown["number"]), (Some(0), &json!(0)), "{shown}");
    assert_eq!(
        shown["verified"],
        json!({ "governance": 0, "approvals": 0, "rootKey": 3 })
    );
    let heir = format!("2={}", HexBytes([9; 32]));
    let (exit, drafted) = run(7, &["draft", "--place", &heir]).await;
    assert_eq!((exit, &drafted["number"]), (Some(0), &json!(1)), "{drafted}");

    // Signed elsewhere.
    let typed = file("typed.json");
    std::fs::write(&typed, drafted["typedData"].to_string()).unwrap();
    let configuration: Configuration = serde_json::from_value(drafted["configuration"].clone()).unwrap();
    let by = |key: &AccountKey| format!("0x{}", hex::encode(key.sign(&configuration.digest()).0));
    let (exit, refused) = run(
        7,
        &["propose", "--from", &typed, "--signature", &by(&super::account())],
    )
    .await;
    let expected = json!("mpc_configuration_governance");
    assert_eq!((exit, &refused["code"]), (Some(2), &expected), "{refused}");
    let signature = by(&governance());
    let (exit, done) = run(7, &["propose", "--from", &typed, "--signature", &signature]).await;
    assert_eq!((exit, &done["number"]), (Some(0), &json!(1)), "{done}");
    assert_eq!(done["places"][1]["agent"], json!(HexBytes([9; 32])));
    assert_eq!(
        done["verified"],
        json!({ "governance": 1, "approvals": 1, "rootKey": "governance" })
    );

    // Signed here.
    let next = format!("3={}", HexBytes([8; 32]));
    let (exit, refused) = run(7, &["propose", "--place", &next]).await;
    assert_eq!((exit, &refused["code"]), (Some(2), &expected), "{refused}");
    let (exit, done) = run(GOVERNANCE, &["propose", "--place", &next]).await;
    assert_eq!((exit, &done["number"]), (Some(0), &json!(2)), "{done}");
    assert_eq!(done["proposed"]["digest"], done["digest"]);

    // One that was signed once is past.
    let (exit, refused) = run(7, &["propose", "--from", &typed, "--signature", &signature]).await;
    let past = json!("mpc_configuration_number");
    assert_eq!((exit, &refused["code"]), (Some(2), &past), "{refused}");
    std::fs::write(&typed, drafted.to_string()).unwrap();
    let (exit, refused) = run(GOVERNANCE, &["propose", "--from", &typed]).await;
    assert_eq!(
        (exit, &refused["code"]),
        (Some(1), &json!("payload_invalid")),
        "{refused}"
    );
    for usage in [
        &["propose"][..],
        &["propose", "--place", &next, "--from", &typed],
        &["propose", "--place", &next, "--signature", &signature],
        &["draft"],
        &["draft", "--place", "2=0x00"],
    ] {
        assert_eq!(run(GOVERNANCE, usage).await.0, Some(1), "{usage:?}");
    }
}
