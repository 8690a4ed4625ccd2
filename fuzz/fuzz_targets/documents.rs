//! Text that people and hosts write: the launch document and the appraisal policy. The first byte chooses.
#![no_main]

use jeju_attestation::launch::{LaunchDocument, split_authority, url_authority};
use jeju_attestation::policy::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 2 {
        0 => {
            let Ok(document) = LaunchDocument::parse(bytes) else {
                return;
            };
            // The rule that keeps the node's chain reads inside its own egress list.
            for url in &document.chain.rpc {
                let authority = url_authority(url).expect("an accepted endpoint has an authority");
                assert!(split_authority(&authority).is_some());
                assert!(document.egress.allow.contains(&authority));
            }
        }
        _ => {
            let Ok(text) = core::str::from_utf8(bytes) else {
                return;
            };
            // A production policy never trusts simulated silicon, however it is written.
            if let Ok(policy) = Policy::parse(text, false) {
                assert!(policy.simulated_roots().is_empty());
                assert!(policy.tees.iter().all(|tee| tee.name() != "simulated"));
            }
            let _ = Policy::parse(text, true);
        }
    }
});
