mod hardware;
mod node;

pub(crate) use node::{CHANNEL, IMAGE, Node, TIME, document, public_document, silicon};

use node::public_text;

use super::*;

const CONNECTION: u32 = 7;

fn admission() -> Admission {
    Admission::new(document(1)).unwrap()
}

/// The verdict of member 1 on evidence that is made for its nonce.
fn judge(
    admission: &mut Admission,
    evidence: impl FnOnce([u8; 32]) -> PeerEvidence,
) -> Result<Admitted, AdmissionError> {
    let now = Instant::now();
    let nonce = admission.challenge(CONNECTION, now).unwrap();
    admission.admit(CONNECTION, &evidence(nonce), TIME, now)
}

fn refused(evidence: impl FnOnce([u8; 32]) -> PeerEvidence) -> &'static str {
    judge(&mut admission(), evidence).unwrap_err().code()
}

fn refused_node(change: impl FnOnce(&mut Node)) -> &'static str {
    let node = Node::new(2).with(change);
    refused(|nonce| node.evidence(nonce))
}

#[test]
fn members_are_admitted() {
    let mut admission = admission();
    let now = Instant::now();
    for member in [2, 3] {
        let node = Node::new(member);
        let admitted = judge(&mut admission, |nonce| node.evidence(nonce)).unwrap();
        assert_eq!(admitted.member, MemberIndex(u16::from(member)));
        assert_eq!(Some(admitted.keys), node.keys.mpc);
        assert_eq!(admitted.boot, [member; 16]);
        let life = admitted.until - now;
        assert!(
            life >= Duration::from_secs(720) && life < Duration::from_secs(730),
            "{life:?}"
        );
    }
    // As the end that dialled.
    let client = Node::new(2).with(|node| node.role = Role::Client);
    let dialled = |nonce| PeerEvidence {
        role: PeerRole::Client,
        ..client.evidence(nonce)
    };
    assert!(judge(&mut admission, dialled).is_ok());
}

#[test]
fn the_quote_must_answer_this_connection() {
    let node = Node::new(2);
    assert_eq!(refused(|_| node.evidence([5; 32])), "nonce_mismatch");
    let elsewhere = |nonce| PeerEvidence {
        bundle: node.bundle(nonce, [0x0D; 32]),
        ..node.evidence(nonce)
    };
    assert_eq!(refused(elsewhere), "channel_mismatch");
    // The end of the connection that this member is itself: evidence that is sent back.
    assert_eq!(refused_node(|node| node.role = Role::Client), "role_mismatch");
    let client = |nonce| PeerEvidence {
        role: PeerRole::Client,
        ..node.evidence(nonce)
    };
    assert_eq!(refused(client), "role_mismatch");
}

#[test]
fn quotes_of_another_kind_are_refused() {
    for mode in [Mode::Epoch, Mode::FreshChannel] {
        assert_eq!(refused_node(|node| node.mode = mode), "peer_mode", "{mode:?}");
    }
}

#[test]
fn a_nonce_is_answered_once_and_in_time() {
    let (mut admission, node, now) = (admission(), Node::new(2), Instant::now());
    let nonce = admission.challenge(CONNECTION, now).unwrap();
    let evidence = node.evidence(nonce);
    let mut admit = |connection, at| {
        admission
            .admit(connection, &evidence, TIME, at)
            .map(|_| ())
            .map_err(|error| error.code())
    };
    assert_eq!(admit(8, now), Err("peer_no_nonce"), "another connection's");
    assert_eq!(admit(CONNECTION, now), Ok(()));
    assert_eq!(admit(CONNECTION, now), Err("peer_no_nonce"), "replayed bundle");

    // A refused answer spends the nonce as well.
    let nonce = admission.challenge(CONNECTION, now).unwrap();
    let wrong = node.evidence([5; 32]);
    assert!(admission.admit(CONNECTION, &wrong, TIME, now).is_err());
    let late = admission.admit(CONNECTION, &node.evidence(nonce), TIME, now);
    assert_eq!(late.unwrap_err(), AdmissionError::NoNonce);

    // A new nonce voids the one before.
    let old = admission.challenge(CONNECTION, now).unwrap();
    admission.challenge(CONNECTION, now).unwrap();
    let replayed = admission.admit(CONNECTION, &node.evidence(old), TIME, now);
    assert_eq!(replayed.unwrap_err().code(), "nonce_mismatch");

    let nonce = admission.challenge(CONNECTION, now).unwrap();
    let later = now + NONCE_LIFE + Duration::from_secs(1);
    let late = admission.admit(CONNECTION, &node.evidence(nonce), TIME, later);
    assert_eq!(late.unwrap_err(), AdmissionError::NonceExpired);
}

#[test]
fn nonces_are_bounded_and_never_alike() {
    let (mut admission, now) = (admission(), Instant::now());
    let mut drawn = std::collections::HashSet::new();
    for connection in 0..MAX_NONCES as u32 {
        assert!(drawn.insert(admission.challenge(connection, now).unwrap()));
    }
    assert_eq!(admission.challenge(9999, now), Err(AdmissionError::Busy));
    assert!(admission.challenge(0, now).is_ok(), "its own place is free");
    admission.forget(1);
    assert!(admission.challenge(9999, now).is_ok());
    let later = now + NONCE_LIFE + Duration::from_secs(1);
    assert!(admission.challenge(10_000, later).is_ok());
}

#[test]
fn only_the_configured_members_on_their_machines_pass() {
    // Genuine, and another agent: neither in its claims alone nor in its document.
    assert_eq!(refused_node(|node| node.agent = [4; 32]), "launch_claim_mismatch");
    let stranger = |node: &mut Node| {
        node.agent = [4; 32];
        node.rewrite(
            &format!("[node]\nagent = \"{}\"", HexBytes([2; 32])),
            &format!("[node]\nagent = \"{}\"", HexBytes([4; 32])),
        );
    };
    // Such a document isn't one: its own agent must be among its members.
    assert_eq!(refused_node(stranger), "launch_document_invalid");
    // A member's agent on another member's machine, and on a machine of nobody.
    assert_eq!(refused_node(|node| node.silicon = silicon(3)), "peer_platform");
    assert_eq!(refused_node(|node| node.silicon = silicon(0)), "root_not_trusted");
    // This member's own evidence.
    let own = Node::new(1);
    assert_eq!(refused(|nonce| own.evidence(nonce)), "peer_own_evidence");
    assert_eq!(refused_node(|node| node.keys.mpc = None), "peer_no_keys");
}

/// The lying chain endpoint: what the chain says can only take away.
#[test]
fn the_chain_adds_no_member() {
    let changed = |node: &mut Node| node.image = [0x12; 32];
    for measurement in [
        MeasurementStatus::Active,
        MeasurementStatus::Unknown,
        MeasurementStatus::Unreadable,
    ] {
        let says = |node: &Node, nonce| PeerEvidence {
            measurement,
            ..node.evidence(nonce)
        };
        let unlisted = Node::new(2).with(changed);
        assert_eq!(
            refused(|nonce| says(&unlisted, nonce)),
            "measurement_unknown",
            "{measurement:?}"
        );
        let listed = judge(&mut admission(), |nonce| says(&Node::new(2), nonce));
        assert!(listed.is_ok(), "{measurement:?}");
    }
    let revoked = |nonce| PeerEvidence {
        measurement: MeasurementStatus::Revoked,
        ..Node::new(2).evidence(nonce)
    };
    assert_eq!(refused(revoked), "measurement_revoked");
}

#[test]
fn members_of_other_networks_are_refused() {
    assert_eq!(
        refused_node(|node| node.rewrite("network = \"test\"", "network = \"other\"")),
        "mpc_network_not_accepted"
    );
    assert_eq!(
        refused_node(|node| node.rewrite("threshold = 2", "threshold = 3")),
        "mpc_network_not_accepted"
    );
    // A node without a network, of the right agent on the right machine.
    let none = |node: &mut Node| {
        let at = node.launch.find("[services]").unwrap();
        node.launch.truncate(at);
        node.launch.push_str("[egress]\nallow = [\"127.0.0.1:8545\"]\n");
    };
    assert_eq!(refused_node(none), "peer_no_signer");
    let registry = format!("{}", HexBytes([9; 20]));
    assert_eq!(
        refused_node(|node| node.rewrite(&registry, &registry.replace("09", "08"))),
        "launch_claim_mismatch"
    );
    assert_eq!(
        refused_node(|node| node.rewrite("localnet", "mainnet")),
        "launch_document_invalid",
        "which simulated roots make of it"
    );
}

#[test]
fn other_services_are_for_development_alone() {
    let inference = |text: &str| {
        text.replacen(
            "mpc = true\n",
            "mpc = true\ninference = true\n[[models]]\nid = \"small\"\nsha256 = \"0x0707070707070707070707070707070707070707070707070707070707070707\"\n",
            1,
        )
    };
    let node = Node::new(2).with(|node| node.launch = inference(&node.launch));
    assert!(judge(&mut admission(), |nonce| node.evidence(nonce)).is_ok());

    // The same silicon under the rules of a public chain: only their kind is bent, so that it is looked at at all.
    let mut public = Admission::new(public_document(1)).unwrap();
    let development = admission().policy;
    public.verifier = Verifier::of_policy(&development, Endorsements::default()).unwrap();
    public.policy.kind = development.kind;
    public.policy.tees = development.tees;
    public.policy.simulated = development.simulated;
    let alone = Node::new(2).with(|node| node.launch = public_text(2));
    assert!(judge(&mut public, |nonce| alone.evidence(nonce)).is_ok());
    let mut code = |change: &dyn Fn(&str) -> String| {
        let node = alone.clone().with(|node| node.launch = change(&node.launch));
        judge(&mut public, |nonce| node.evidence(nonce))
            .unwrap_err()
            .code()
    };
    assert_eq!(code(&inference), "service_not_accepted");
    let elsewhere = |text: &str| text.replacen("allow = [", "allow = [\"elsewhere.example:443\", ", 1);
    assert_eq!(code(&elsewhere), "egress_not_accepted");
    assert_eq!(
        code(&|text| text.to_owned() + "[log]\nsink = true\n"),
        "log_sink_not_accepted"
    );
    assert_eq!(
        code(&|text| text.replace("mainnet", "testnet")),
        "chain_profile_not_accepted"
    );
}

#[test]
fn simulated_silicon_is_no_member_of_a_public_chain() {
    let mut public = Admission::new(public_document(1)).unwrap();
    let node = Node::new(2).with(|node| node.launch = public_text(2));
    let refused = judge(&mut public, |nonce| node.evidence(nonce));
    assert_eq!(refused.unwrap_err().code(), "tee_not_accepted");
}

#[test]
fn an_old_boot_never_comes_back() {
    let mut admission = admission();
    let boot = |byte: u8| {
        Node::new(2).with(|node| {
            node.boot = [byte; 16];
            node.keys.mpc.as_mut().unwrap().channel = [byte; 32];
        })
    };
    let mut judge = |node: &Node| {
        judge(&mut admission, |nonce| node.evidence(nonce))
            .map(|admitted| admitted.boot[0])
            .map_err(|error| error.code())
    };
    assert_eq!(judge(&boot(20)), Ok(20));
    assert_eq!(judge(&boot(20)), Ok(20), "attests again");
    assert_eq!(judge(&boot(21)), Ok(21));
    assert_eq!(judge(&boot(20)), Err("peer_old_boot"));
    assert_eq!(judge(&boot(22)), Ok(22));
    for byte in [20, 21] {
        assert_eq!(judge(&boot(byte)), Err("peer_old_boot"));
        // Its channel key under another boot, and the other way round.
        let key = boot(23).with(|node| node.keys = boot(byte).keys);
        assert_eq!(judge(&key), Err("peer_old_boot"));
    }
    let key = boot(22).with(|node| node.keys = boot(24).keys);
    assert_eq!(judge(&key), Err("peer_old_boot"));
    // Another member's boots are its own matter.
    assert_eq!(judge(&Node::new(3)), Ok(3));
}

#[test]
fn boots_are_bounded() {
    let mut boots = Boots::default();
    let id = |count: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(count as u64 + 1).to_be_bytes());
        id
    };
    let boot = |count| id(count)[..16].try_into().unwrap();
    for count in 0..=MAX_BOOTS {
        assert_eq!(boots.enter(boot(count), id(count)), Ok(()));
    }
    let further = MAX_BOOTS + 1;
    assert_eq!(
        boots.enter(boot(further), id(further)),
        Err(AdmissionError::TooManyBoots)
    );
    assert_eq!(boots.enter(boot(MAX_BOOTS), id(MAX_BOOTS)), Ok(()));
    assert_eq!(boots.enter(boot(0), id(0)), Err(AdmissionError::OldBoot));
}

#[test]
fn changed_evidence_is_refused() {
    let node = Node::new(2);
    let changed = |change: fn(&mut Bundle)| {
        refused(|nonce| {
            let mut bundle = Bundle::parse(&node.bundle(nonce, CHANNEL)).unwrap();
            change(&mut bundle);
            PeerEvidence {
                bundle: bundle.encode(),
                ..node.evidence(nonce)
            }
        })
    };
    assert_eq!(changed(|bundle| bundle.claims[100] ^= 1), "report_data_mismatch");
    assert_eq!(changed(|bundle| bundle.cpu[100] ^= 1), "root_not_trusted");
    assert_eq!(changed(|bundle| bundle.keys[10] ^= 1), "key_list_mismatch");
    assert_eq!(
        changed(|bundle| bundle.launch.push(b'\n')),
        "launch_digest_mismatch"
    );
    assert_eq!(changed(|bundle| bundle.gpu.push(1)), "gpu_evidence_mismatch");
    let garbage = |bundle: Vec<u8>| {
        refused(|nonce| PeerEvidence {
            bundle,
            ..node.evidence(nonce)
        })
    };
    assert_eq!(garbage(Vec::new()), "bundle_invalid");
    assert_eq!(garbage(vec![b'['; 600_000]), "bundle_invalid");
}

#[test]
fn each_code_is_stable_and_its_own() {
    let own = [
        AdmissionError::Random,
        AdmissionError::Busy,
        AdmissionError::NoNonce,
        AdmissionError::NonceExpired,
        AdmissionError::Mode,
        AdmissionError::Own,
        AdmissionError::Platform,
        AdmissionError::NoSigner,
        AdmissionError::NoKeys,
        AdmissionError::OldBoot,
        AdmissionError::TooManyBoots,
        AdmissionError::OtherMember,
        AdmissionError::Channel(super::super::channel::ChannelError::PeerKey),
        AdmissionError::Expired,
        AdmissionError::Replaced,
    ];
    let codes: std::collections::HashSet<_> = own.iter().map(AdmissionError::code).collect();
    assert_eq!(codes.len(), own.len());
    assert!(
        codes
            .iter()
            .all(|code| code.starts_with("peer_") && code.len() <= 64)
    );
}
