//! Requests that no owner made get a stable code and no share, also when the coordinator is hostile.

use jeju_mpc::network::Scheme;
use jeju_mpc_sim::hostile::{Wrong, refused};
use jeju_mpc_sim::trace::Trace;

fn all(hostile: bool) {
    // Only a hostile coordinator holds anything back.
    let all = Wrong::ALL
        .into_iter()
        .filter(|wrong| hostile || *wrong != Wrong::HeldBack);
    for wrong in all {
        for scheme in Scheme::ALL {
            if let Err(violation) = refused(wrong, hostile, scheme, Trace::Off) {
                panic!("{wrong:?} {scheme:?}: {violation}");
            }
        }
    }
}

#[test]
fn by_an_honest_coordinator() {
    all(false);
}

#[test]
fn by_a_hostile_coordinator() {
    all(true);
}
