//! Requests for the Docker port, archives, frames, and answers of an engine. The first byte chooses.
#![no_main]

use jeju_shim_protocol::docker::answer::{
    self, Container, Created, Exec, Failure, Image, Info, ListedContainer, ListedNetwork, PullProgress, Stats,
};
use jeju_shim_protocol::docker::{ContainerName, ExecId, ImageReference, Request, archive, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 6 {
        0 => request(bytes),
        1 => {
            if let Ok(entries) = archive::parse(bytes) {
                assert_eq!(archive::encode(&entries).as_deref(), Ok(bytes));
            }
        }
        2 => {
            let Ok(text) = core::str::from_utf8(bytes) else {
                return;
            };
            if let Ok(image) = text.parse::<ImageReference>() {
                assert!(!text.starts_with('-') && text.is_ascii());
                assert_eq!(image.to_string().parse(), Ok(image));
            }
            if let Ok(name) = text.parse::<ContainerName>() {
                assert_eq!(name.to_string(), text);
            }
            if let Ok(id) = text.parse::<ExecId>() {
                assert_eq!(id.to_string(), text);
            }
        }
        3 => {
            if let Some(head) = bytes.first_chunk() {
                let _ = frame::parse_head(*head);
            }
        }
        4 => {
            // A body for a container, without its first line to find.
            let name = ContainerName::from_id([7; 32]);
            let target = format!("/v1.41/containers/create?name={name}");
            once("POST", &target, Some("application/json"), bytes);
        }
        _ => answers(bytes),
    }
});

/// `METHOD TARGET [CONTENT-TYPE]`, a newline, and a body.
fn request(bytes: &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (line, body) = bytes.split_at(end);
    let Ok(line) = core::str::from_utf8(line) else {
        return;
    };
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    once(method, target, words.next(), body.get(1..).unwrap_or_default());
}

/// What parses is its own emission, and within the limit that was named before its body was read.
fn once(method: &str, target: &str, content_type: Option<&str>, body: &[u8]) {
    let Ok(request) = Request::parse(method, target, content_type, body) else {
        return;
    };
    assert!(body.len() <= Request::body_limit(method, target).expect("a call that is offered"));
    request.check().expect("checked when it was parsed");
    let emitted = request.emit();
    assert_eq!(
        (emitted.method, &emitted.target[..], emitted.content_type),
        (method, target, content_type)
    );
    if let Some(emitted) = emitted.body {
        assert_eq!(emitted, body);
    }
}

fn answers(bytes: &[u8]) {
    let failure = Failure::of_engine(bytes);
    assert!(failure.message.len() <= 512 && !failure.message.chars().any(char::is_control));
    let _ = answer::read::<Info>(bytes);
    let _ = answer::read::<Created>(bytes);
    let _ = answer::read::<Exec>(bytes);
    let _ = answer::read::<Stats>(bytes);
    if let Ok(found) = answer::read::<Container>(bytes) {
        let _ = answer::write(&found.only());
    }
    if let Ok(listed) = answer::read::<Vec<ListedContainer>>(bytes) {
        for one in listed.into_iter().filter_map(|one| one.only([7; 32])) {
            assert!(one.name().is_some());
        }
    }
    if let Ok(listed) = answer::read::<Vec<ListedNetwork>>(bytes) {
        for one in listed.into_iter().filter_map(|one| one.only([7; 32])) {
            assert!(one.of([7; 32]).is_some());
        }
    }
    if let (Ok(image), Ok(reference)) = (answer::read::<Image>(bytes), "busybox".parse()) {
        let _ = answer::write(&image.only(&reference));
    }
    if let Ok(line) = answer::read::<PullProgress>(bytes) {
        let again = answer::write(&line.only());
        assert!(!again.contains(&b'\n') && answer::read::<PullProgress>(&again).is_ok());
    }
}
