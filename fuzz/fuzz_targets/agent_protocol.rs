//! What an SSH server's end takes from a container, and a container's from an SSH server. The first byte chooses.
#![no_main]

use std::cell::RefCell;

use bytes::BytesMut;
use jeju_agent_protocol::frame::take;
use jeju_agent_protocol::{Agent, Control, Open, Served, Size, serve};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime"));
}

const HELLO: &[u8] = b"\0\0\0\0\0\0\0\x0ajejuagnt\0\x01";

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    RUNTIME.with_borrow(|runtime| match choice % 3 {
        0 => frames(bytes),
        1 => runtime.block_on(to_server(bytes)),
        _ => runtime.block_on(to_opener(bytes)),
    });
});

/// Each frame has one encoding.
fn frames(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let mut written = Vec::new();
    while let Ok(Some(frame)) = take(&mut buffer) {
        frame
            .encode(&mut written)
            .expect("a frame that was read can be written");
    }
    assert!(bytes.starts_with(&written), "one encoding per value");
}

/// A container's end, which answers each channel, reads what comes and says a little.
async fn to_server(bytes: &[u8]) {
    let (mut peer, stream) = duplex(1 << 20);
    let (mut requests, driver) = serve(stream);
    let said = async {
        let _ = peer.write_all(HELLO).await;
        let _ = peer.write_all(bytes).await;
        drop(peer);
    };
    let serving = async {
        while let Some(request) = requests.next().await {
            let Served {
                mut stdin,
                mut controls,
                reply,
            } = request.accept();
            tokio::spawn(async move { while stdin.next().await.is_some() {} });
            tokio::spawn(async move {
                while let Some(Control::Resize(_) | Control::Signal(_)) = controls.next().await {}
                let _ = reply.stdout("x".into()).await;
            });
        }
    };
    let (_, (), ()) = tokio::join!(driver, said, serving);
}

/// An SSH server's end, whose first channels get whatever the container says.
async fn to_opener(bytes: &[u8]) {
    let (mut peer, stream) = duplex(1 << 20);
    let (agent, driver) = Agent::connect(stream);
    let mut openings = Vec::new();
    for _ in 0..3 {
        let agent = agent.clone();
        openings.push(tokio::spawn(async move {
            let Ok(channel) = agent.open(Open::Sftp).await else {
                return;
            };
            let (mut input, mut output) = channel.split();
            let _ = input
                .resize(Size {
                    columns: 1,
                    rows: 1,
                    width_px: 0,
                    height_px: 0,
                })
                .await;
            while output.next().await.is_some() {}
        }));
    }
    let said = async {
        // The requests are there before their answers.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let _ = peer.write_all(HELLO).await;
        let _ = peer.write_all(bytes).await;
        drop(peer);
    };
    let (_, ()) = tokio::join!(driver, said);
    for opening in openings {
        let _ = opening.await;
    }
}
