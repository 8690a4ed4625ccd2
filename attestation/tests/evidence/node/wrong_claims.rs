//! Right components that aren't bound together, a launch document that isn't this node's, or claims that are too old.

use jeju_attestation::appraisal::{Anchor, Challenge};
use jeju_attestation::claims::{Mode, Role};
use jeju_attestation::hash::sha256;
use jeju_attestation::launch::upstreams::Confidentiality;
use jeju_attestation::tee::Tee;
use jeju_synthetic::NOW;

use super::negatives::Cases;
use super::synthetic::{CHALLENGE, LAUNCH};

pub fn bindings(cases: &mut Cases<'_>) {
    for (tee, name) in [
        (Tee::Tdx, "quote for other claims, on TDX"),
        (Tee::SevSnp, "report for other claims, on SNP"),
        (Tee::Nitro, "document for other claims, on Nitro"),
        (Tee::Simulated, "report for other claims, simulated"),
    ] {
        cases.on(tee, name, "report_data_mismatch", |node| {
            node.signed = |data| data[0] ^= 1
        });
    }
    cases.tdx(
        "REPORT_DATA with more behind the digest",
        "report_data_mismatch",
        |node| {
            node.signed = |data| data[63] = 1;
        },
    );
    cases.on(
        Tee::Nitro,
        "document without user_data",
        "report_data_mismatch",
        |node| {
            node.document = |document| *document.field("user_data") = ciborium::Value::Null;
        },
    );
    cases.on(
        Tee::Nitro,
        "user_data that is the digest alone",
        "report_data_mismatch",
        |node| {
            node.document = |document| {
                let digest = document.field("user_data").as_bytes().unwrap()[..32].to_vec();
                *document.field("user_data") = digest.into();
            };
        },
    );
    cases.tdx("claims changed after the quote", "claims_invalid", |node| {
        node.handed = |bundle| *bundle.claims.first_mut().unwrap() ^= 1;
    });
    cases.tdx("claims with a byte behind them", "claims_invalid", |node| {
        node.handed = |bundle| bundle.claims.push(0);
    });
    cases.tdx("bundle without a quote's claims", "claims_invalid", |node| {
        node.handed = |bundle| bundle.claims.clear();
    });
    cases.tdx("bundle longer than any", "bundle_invalid", |node| {
        node.handed = |bundle| bundle.log = vec![0; 1 << 20];
    });
    cases.tdx("claims of a connection's other end", "role_mismatch", |node| {
        node.claims.role = Role::Client
    });
    cases.tdx("key list that wasn't claimed", "key_list_mismatch", |node| {
        node.handed = |bundle| *bundle.keys.last_mut().unwrap() ^= 1;
    });
    cases.tdx("claimed key list that is none", "key_list_invalid", |node| {
        node.keys = vec![0xA0]
    });
}

pub fn launch(cases: &mut Cases<'_>) {
    cases.tdx(
        "launch document that wasn't claimed",
        "launch_digest_mismatch",
        |node| {
            node.handed = |bundle| bundle.launch.push(b'\n');
        },
    );
    for (tee, name) in [
        (Tee::Tdx, "another launch document in MRCONFIGID and RTMR3"),
        (Tee::SevSnp, "another launch document in HOST_DATA"),
        (Tee::Nitro, "another launch document in PCR16"),
        (Tee::Simulated, "another launch document in simulated silicon"),
    ] {
        cases.on(tee, name, "launch_binding_mismatch", |node| {
            node.bound = Some([0xB0; 32])
        });
    }
    cases.tdx(
        "another launch document in MRCONFIGID alone",
        "launch_binding_mismatch",
        |node| {
            node.domain = |td| td.mr_config_id[0] ^= 1;
        },
    );
    cases.tdx(
        "more behind the digest in MRCONFIGID",
        "launch_binding_mismatch",
        |node| {
            node.domain = |td| td.mr_config_id[47] = 1;
        },
    );
    cases.tdx("nothing in RTMR3", "launch_binding_mismatch", |node| {
        node.domain = |td| td.rtmr[3] = [0; 48];
    });
    cases.tdx(
        "RTMR3 that starts with the digest",
        "launch_binding_mismatch",
        |node| {
            node.domain = |td| td.rtmr[3][..32].copy_from_slice(&sha256(LAUNCH.as_bytes()));
        },
    );
    cases.tdx("RTMR3 extended once more", "launch_binding_mismatch", |node| {
        node.domain = |td| td.rtmr[3] = [0x33; 48];
    });
    cases.on(
        Tee::Nitro,
        "PCR16 that starts with the digest",
        "launch_binding_mismatch",
        |node| {
            node.document = |document| {
                document.set_pcr(16, &[&sha256(LAUNCH.as_bytes())[..], &[0; 16]].concat());
            };
        },
    );
    cases.tdx(
        "MRCONFIGID not settable, not allowed",
        "launch_not_bound",
        |node| {
            node.domain = |td| td.mr_config_id = [0; 48];
        },
    );
    cases.tdx(
        "neither MRCONFIGID nor RTMR3, though not settable is allowed",
        "launch_binding_mismatch",
        |node| {
            node.policy.launch.not_settable = true;
            node.domain = |td| (td.mr_config_id, td.rtmr[3]) = ([0; 48], [0; 48]);
        },
    );
    for (tee, name) in [
        (Tee::SevSnp, "HOST_DATA not settable, not allowed"),
        (
            Tee::Simulated,
            "simulated silicon's field not settable, not allowed",
        ),
    ] {
        cases.on(tee, name, "launch_not_bound", |node| node.bound = Some([0; 32]));
    }
    cases.on(
        Tee::Nitro,
        "PCR16 never extended, not allowed",
        "launch_not_bound",
        |node| {
            node.document = |document| document.set_pcr(16, &[0; 48]);
        },
    );
    cases.on(
        Tee::Nitro,
        "PCR16 not locked, not allowed",
        "launch_not_bound",
        |node| {
            node.document = |document| document.pcrs().retain(|(index, _)| *index != 16.into());
        },
    );
    cases.tdx(
        "launch document that is none",
        "launch_document_invalid",
        |node| {
            node.rewrite("version = 1", "version = 2");
        },
    );
    cases.tdx(
        "launch document with an unknown key",
        "launch_document_invalid",
        |node| {
            node.rewrite("[services]", "[services]\nshell = true");
        },
    );
    cases.tdx(
        "launch document of another agent",
        "launch_claim_mismatch",
        |node| {
            node.rewrite("0x08", "0x18");
        },
    );
    cases.tdx(
        "launch document of another chain",
        "launch_claim_mismatch",
        |node| {
            node.rewrite("31337", "1337");
        },
    );
    cases.tdx(
        "launch document of another registry",
        "launch_claim_mismatch",
        |node| {
            node.rewrite("0x09", "0x19");
        },
    );
    cases.tdx("service without a rule", "service_not_accepted", |node| {
        node.policy.launch.services.clear()
    });
    cases.tdx("egress without a rule", "egress_not_accepted", |node| {
        node.rewrite("allow = [", "allow = [\"collector.example:443\", ");
    });
    cases.tdx("model without a rule", "model_not_accepted", |node| {
        node.rewrite("0x07", "0x17")
    });
    cases.tdx(
        "network of signers without a rule",
        "mpc_network_not_accepted",
        |node| {
            node.rewrite("inference = true", "inference = true\nmpc = true");
            node.policy.launch.services.push("mpc".to_owned());
            node.launch.push_str(&format!(
                "[mpc]\nnetwork = \"n\"\nthreshold = 1\ngovernance = \"0x{}\"\nmeasurements = [\"0x{}\"]\n\
                 [[mpc.members]]\nnode = \"a\"\nagent = \"0x{}\"\naddress = \"127.0.0.1:4010\"\n",
                "01".repeat(20),
                "02".repeat(32),
                "08".repeat(32),
            ));
        },
    );
    cases.tdx(
        "rentals on the host without a rule",
        "rental_isolation_not_accepted",
        |node| {
            node.rewrite("inference = true", "inference = true\nrentals = true");
            node.policy.launch.services.push("rentals".to_owned());
            node.launch.push_str(&format!(
                "[rentals]\ncontract = \"0x{0}\"\nprovider = \"0x{0}\"\nhost = \"ssh.example\"\nisolation = \"host\"\n",
                "01".repeat(20),
            ));
        },
    );
    cases.tdx(
        "workers that reach anything without a rule",
        "worker_reach_not_accepted",
        |node| {
            node.rewrite("inference = true", "inference = true\nworkers = true");
            node.policy.launch.services.push("workers".to_owned());
            node.launch.push_str("[workers]\nreach = \"public\"\n");
        },
    );
    cases.tdx(
        "an upstream outside a TEE without a rule",
        "upstream_not_accepted",
        |node| {
            node.policy.launch.upstreams.push(Confidentiality::Loopback);
            node.policy.launch.egress.push("api.example:443".to_owned());
            node.rewrite("allow = [", "allow = [\"api.example:443\", ");
            node.launch.push_str(
                "[[upstreams]]\nname = \"a\"\nkind = \"openai\"\nurl = \"https://api.example\"\n\
                 [[upstreams.models]]\nid = \"m\"\n",
            );
        },
    );
    cases.tdx(
        "logs to the host without a rule",
        "log_sink_not_accepted",
        |node| {
            node.launch.push_str("[log]\nsink = true\n");
        },
    );
    cases.tdx(
        "chain profile without a rule",
        "chain_profile_not_accepted",
        |node| {
            node.rewrite("localnet", "mainnet");
        },
    );
}

pub fn freshness(cases: &mut Cases<'_>) {
    cases.tdx("quote for another nonce", "nonce_mismatch", |node| {
        node.claims.nonce = [1; 32]
    });
    cases.tdx("quote for another connection", "channel_mismatch", |node| {
        node.claims.channel = [1; 32]
    });
    cases.tdx(
        "quote of the epoch, where a challenge was sent",
        "nonce_mismatch",
        |node| {
            node.claims.mode = Mode::Epoch;
            (node.claims.nonce, node.claims.channel) = ([0; 32], [0; 32]);
        },
    );
    cases.tdx(
        "quote for the nonce without the connection",
        "channel_mismatch",
        |node| {
            node.claims.mode = Mode::Fresh;
            node.claims.channel = [0; 32];
        },
    );
    cases.tdx(
        "no connection where the policy asks for one",
        "channel_binding_required",
        |node| {
            node.challenge = Some(Challenge {
                channel: None,
                ..CHALLENGE
            });
        },
    );
    cases.tdx(
        "no challenge where the policy asks for a connection",
        "channel_binding_required",
        |node| {
            node.challenge = None;
        },
    );
    cases.tdx("another nonce, from a file", "nonce_mismatch", |node| {
        node.policy.require_channel = false;
        node.challenge = Some(Challenge {
            nonce: [1; 32],
            channel: None,
        });
    });
    cases.tdx("block that is too old", "evidence_stale", |node| {
        node.anchor = Anchor::Known(NOW - 1801)
    });
    cases.tdx("block that is not on the chain", "anchor_unknown", |node| {
        node.anchor = Anchor::Unknown
    });
    cases.tdx(
        "no challenge, and a block that is not on the chain",
        "anchor_unknown",
        |node| {
            node.policy.require_channel = false;
            (node.challenge, node.anchor) = (None, Anchor::Unknown);
        },
    );
    cases.tdx(
        "no challenge, and a block that wasn't looked up",
        "anchor_unchecked",
        |node| {
            node.policy.require_channel = false;
            (node.challenge, node.anchor) = (None, Anchor::Unchecked);
        },
    );
    cases.tdx("no challenge, and no block", "no_anchor", |node| {
        node.policy.require_channel = false;
        node.claims.anchor = (0, [0; 32]);
        (node.challenge, node.anchor) = (None, Anchor::Unknown);
    });
    cases.tdx(
        "no challenge, and the age of a block that isn't claimed",
        "no_anchor",
        |node| {
            node.policy.require_channel = false;
            node.claims.anchor = (0, [0; 32]);
            node.challenge = None;
        },
    );
    cases.tdx(
        "no challenge, and a block that is too old",
        "evidence_stale",
        |node| {
            node.policy.require_channel = false;
            node.policy.max_age_seconds = 59;
            node.challenge = None;
        },
    );
}
