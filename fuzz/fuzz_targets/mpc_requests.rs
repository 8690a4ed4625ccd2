//! What clients of a signer may send: genuine requests, changed. Only an owner's own words lead to anything.
#![no_main]

#[path = "support/mpc.rs"]
mod support;

use jeju_mpc::authority::Authority;
use jeju_mpc::authority::Decision;
use jeju_mpc::authority::request::Signed;
use jeju_mpc::authority::wallet::WalletAuthority;
use jeju_mpc::member::{Input, Output};
use jeju_mpc::time::Interval;
use libfuzzer_sys::fuzz_target;
use support::{NOW, STORY, changed, network, numbers_of, restarted};

fuzz_target!(|input: &[u8]| {
    let mut input = input.iter().copied();
    let which = usize::from(input.next().unwrap_or(0)) % STORY.requests.len();
    let genuine = &STORY.requests[which];
    let bytes = changed(genuine, &mut input);
    let now = Interval::exact(NOW);
    let authority = WalletAuthority::new(network());
    for contract in [None, Some(true), Some(false)] {
        if let Decision::Allowed(grant) = authority.decide(&bytes, now, contract) {
            // Another spelling, at most, of what the owner signed.
            let Decision::Allowed(owners) = authority.decide(genuine, now, None) else {
                panic!("the owner may");
            };
            assert_eq!(grant, owners);
        }
        let _ = authority.shown(&bytes, contract);
    }
    if let Ok(signed) = Signed::parse(&bytes) {
        let _ = signed.request.read();
    }
    let mut numbers = numbers_of(8);
    let mut member = restarted(&mut numbers);
    let ticket = 7;
    let outputs = member.handle(
        Input::Request {
            ticket,
            bytes: &bytes,
        },
        now,
        &mut numbers,
    );
    let answers = outputs
        .iter()
        .filter(|output| matches!(output, Output::Answer { ticket: 7, .. }))
        .count();
    assert!(answers <= 1);
});
