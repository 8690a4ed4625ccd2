//! What a process that runs an owner's workers sends. The first byte chooses: bytes for the reader, for the process's own
//! reader, or for a front that has a request under way, which must end whatever comes.
#![no_main]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use jeju_worker_broker::{Body, BoxFuture, CallContext, CallEvent, Outbound, Process};
use jeju_worker_protocol::{
    Bundle, Event, Failure, FetchEvent, FetchRequest, FetchResponse, Form, Frames, Language, Limits, Load,
    MAX_FRAME, ToBroker, ToProcess, code, frame,
};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 3 {
        0 => read::<ToBroker>(bytes, usize::from(choice / 3)),
        1 => read::<ToProcess>(bytes, usize::from(choice / 3)),
        _ => front(bytes),
    }
});

/// However bytes are cut, the messages are the same, and what was read is what they would be written as.
fn read<M: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8], piece: usize) {
    let (whole, cut) = (
        messages::<M>(bytes, bytes.len().max(1)),
        messages::<M>(bytes, piece.max(1)),
    );
    assert!(whole == cut);
    for message in whole {
        let again = messages::<M>(&frame(&message).expect("what was read can be written"), MAX_FRAME);
        assert!(again == [message]);
    }
}

fn messages<M: DeserializeOwned>(bytes: &[u8], piece: usize) -> Vec<M> {
    let mut frames = Frames::new(MAX_FRAME);
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        frames.buffer().extend_from_slice(piece);
        loop {
            match frames.take() {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

struct Nowhere;

impl Outbound for Nowhere {
    fn fetch(
        &self,
        _: Arc<CallContext>,
        _: FetchRequest,
        _: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        Box::pin(async { Err(Failure::new(code::FETCH_REFUSED, "there is no network")) })
    }
}

fn front(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (ours, mut process) = UnixStream::pair().expect("a channel");
        ours.set_nonblocking(true).expect("a channel");
        let ours = tokio::net::UnixStream::from_std(ours).expect("a channel");
        let (front, work) = Process::start(ours, Arc::new(Nowhere));
        let work = tokio::spawn(work);
        let load = Load {
            worker: 0,
            bundle: Bundle::single(Language::JavaScript, "").expect("a bundle"),
            env: Vec::new(),
            limits: Limits::default(),
            form: Form::Modules,
            max_concurrent: 1,
        };
        let context = CallContext {
            owner: [0; 20],
            worker: "w".to_owned(),
            version: 1,
        };
        let event = Event::Fetch(FetchEvent {
            method: "GET".to_owned(),
            url: "http://w/".to_owned(),
            headers: Vec::new(),
            body: Some(Vec::new()),
        });
        let loading = tokio::spawn({
            let front = front.clone();
            async move { front.load(load).await.is_ok() }
        });
        let mut call = front.call(Arc::new(context), 1, event, None, &Limits::default());
        // More than the channel holds isn't taken: the fuzzer's inputs are shorter.
        process.set_nonblocking(true).expect("a channel");
        let _ = process.write_all(bytes);
        process.shutdown(std::net::Shutdown::Write).expect("a channel");
        let ends = async {
            let mut done = false;
            while let Some(event) = call.next().await {
                assert!(!done);
                done = matches!(event, CallEvent::Done { .. });
            }
            assert!(done);
            loading.await.expect("a load that ends");
            work.await.expect("work that ends")
        };
        tokio::time::timeout(Duration::from_secs(10), ends)
            .await
            .expect("all ends with the process");
    });
}
