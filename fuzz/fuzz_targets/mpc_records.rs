//! What a signer finds in its store: genuine records, changed, missing or under other names. It starts from what is its own,
//! or says which record isn't.
#![no_main]

#[path = "support/mpc.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use support::{STORY, changed, numbers_of, start};

fuzz_target!(|input: &[u8]| {
    let mut input = input.iter().copied();
    let names: Vec<&String> = STORY.records.keys().collect();
    let mut records = Vec::new();
    for _ in 0..1 + input.next().unwrap_or(0) % 3 {
        let name = names[usize::from(input.next().unwrap_or(0)) % names.len()];
        let record = changed(&STORY.records[name], &mut input);
        let name = match input.next().unwrap_or(0) % 4 {
            0 => name.clone(),
            1 => "marks".to_owned(),
            2 => format!("root-{}", "00".repeat(32)),
            _ => format!("policy-{}", "00".repeat(32)),
        };
        records.push((name, record));
    }
    let mut numbers = numbers_of(7);
    if let Some(member) = start(1, records, &mut numbers) {
        for key in member.keys() {
            assert_eq!(key.public_key.len(), 33);
        }
    }
});
