//! What peers of a signer may send: genuine messages of a key generation, a signature and a refresh, changed and in any order,
//! to a member with a key. It never fails, sends nothing that others can't read, and signs no message that nobody asked for.
#![no_main]

#[path = "support/mpc.rs"]
mod support;

use jeju_mpc::member::{Event, Input, Output};
use jeju_mpc::message::Message;
use jeju_mpc::network::MemberIndex;
use jeju_mpc::time::Interval;
use libfuzzer_sys::fuzz_target;
use support::{NOW, STORY, changed, numbers_of, restarted};

fuzz_target!(|input: &[u8]| {
    let mut input = input.iter().copied();
    let mut numbers = numbers_of(9);
    let mut member = restarted(&mut numbers);
    let mut timers = Vec::new();
    while let Some(which) = input.next() {
        let which = usize::from(which) << 8 | usize::from(input.next().unwrap_or(0));
        let (from, genuine) = &STORY.messages[which % STORY.messages.len()];
        let bytes = changed(genuine, &mut input);
        let read = Message::decode(&bytes);
        if let Ok(message) = &read {
            let again = message.encode();
            assert_eq!(Message::decode(&again).as_ref(), Ok(message));
        }
        let from = if which & 0x4000 == 0 {
            *from
        } else {
            MemberIndex(2)
        };
        let outputs = match (which & 0x8000 != 0).then(|| timers.pop()).flatten() {
            Some(id) => member.handle(Input::Timer(id), Interval::exact(NOW), &mut numbers),
            None => member.handle(
                Input::Message { from, bytes: &bytes },
                Interval::exact(NOW),
                &mut numbers,
            ),
        };
        for output in outputs {
            match output {
                Output::Send { to, bytes } => {
                    assert_ne!(to, MemberIndex(1));
                    Message::decode(&bytes).expect("members send what they can read");
                }
                Output::Timer { id, .. } => timers.push(id),
                // The one request to sign that an owner made may be brought again: it is new to a member that restarted.
                Output::Audit(Event::ShareGiven { message, .. }) => {
                    assert_eq!(message, support_message());
                }
                _ => {}
            }
        }
        assert!(member.keys().len() <= 256);
    }
});

/// EIP-191 of what the owner wants signed.
fn support_message() -> [u8; 32] {
    use jeju_mpc::authority::request::Signed;
    let signed = Signed::parse(&STORY.requests[1]).expect("a request");
    let message = signed
        .request
        .read()
        .expect("it reads")
        .payload
        .expect("it signs")
        .message;
    message
}
