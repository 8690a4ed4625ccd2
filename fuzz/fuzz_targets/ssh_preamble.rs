//! The first line of a client of the gateway's SSH proxy. The first byte says in how long pieces the rest comes.
#![no_main]

use std::cell::RefCell;

use jeju_gateway::ssh::{Asked, MAX_LINE, read_preamble};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Builder::new_current_thread().build().expect("a runtime"));
}

fuzz_target!(|input: &[u8]| {
    let Some((length, bytes)) = input.split_first() else {
        return;
    };
    RUNTIME.with_borrow(|runtime| runtime.block_on(read(usize::from(*length).max(1), bytes)));
});

async fn read(length: usize, bytes: &[u8]) {
    // As long as a piece: what a reader leaves in it, comes with the next.
    let (mut near, mut far) = duplex(length);
    let saying = async move {
        for piece in bytes.chunks(length) {
            let _ = near.write_all(piece).await;
        }
    };
    let reading = async move {
        let asked = read_preamble(&mut far).await.expect("memory doesn't break");
        let mut rest = Vec::new();
        let _ = far.read_to_end(&mut rest).await;
        (asked, rest)
    };
    let ((), (asked, rest)) = tokio::join!(saying, reading);
    match asked {
        // Nothing that came behind the line is lost.
        Asked::Route(_, mut first) => {
            first.extend(rest);
            let line = bytes.len() - first.len();
            assert!(bytes.ends_with(&first) && line <= MAX_LINE && bytes[line - 1] == b'\n');
        }
        Asked::Ssh(mut first) => {
            first.extend(rest);
            assert_eq!(first, bytes);
        }
        Asked::Nothing => {}
    }
}
