//! Every message that crosses between enclave and host. The first byte chooses the protocol.
#![no_main]

use jeju_shim_protocol::document::{self, DocumentReply, DocumentRequest};
use jeju_shim_protocol::egress::{EgressReply, EgressRequest};
use jeju_shim_protocol::fatal::parse_serial_line;
use jeju_shim_protocol::line::{MAX_LINE, read_line};
use jeju_shim_protocol::log::{self, LogFrame};
use jeju_shim_protocol::silicon::{self, SiliconAnswer, SiliconRequest};
use libfuzzer_sys::fuzz_target;
use tokio::io::join;
use tokio::runtime::Builder;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 10 {
        0 => one_encoding(EgressRequest::parse(bytes), bytes, |found| found.encode()),
        1 => one_encoding(EgressReply::parse(bytes), bytes, |found| found.encode()),
        2 => one_encoding(DocumentRequest::parse(bytes), bytes, |found| found.encode()),
        3 => one_encoding(DocumentReply::parse(bytes), bytes, |found| found.encode()),
        4 => one_encoding(LogFrame::parse(bytes), bytes, |found| {
            found.encode().expect("a frame that was read can be written")
        }),
        5 => one_encoding(SiliconRequest::parse(bytes), bytes, |found| found.encode()),
        6 => one_encoding(SiliconAnswer::parse(bytes), bytes, |found| found.encode()),
        7 => {
            if let Ok(text) = core::str::from_utf8(bytes) {
                let _ = parse_serial_line(text);
            }
        }
        _ => streams(bytes),
    }
});

fn one_encoding<T, E>(parsed: Result<T, E>, bytes: &[u8], encode: impl Fn(T) -> Vec<u8>) {
    if let Ok(found) = parsed {
        assert_eq!(encode(found), bytes, "one encoding per value");
    }
}

/// The same bytes as a stream, to every reader.
fn streams(bytes: &[u8]) {
    let runtime = Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers");
    runtime.block_on(async {
        let mut input = bytes;
        while let Ok(line) = read_line(&mut input).await {
            assert!(line.len() <= MAX_LINE && line.ends_with(b"\n"));
        }
        let mut input = bytes;
        while let Ok(Some(frame)) = log::read_frame(&mut input).await {
            assert!(frame.encode().is_some());
        }
        let mut input = bytes;
        while let Ok(Some(frame)) = silicon::read_frame(&mut input).await {
            let mut again = frame.as_slice();
            assert_eq!(
                silicon::read_frame_blocking(&mut again).ok().flatten().as_ref(),
                Some(&frame)
            );
        }
        let mut host = join(bytes, tokio::io::sink());
        if let Ok(found) = document::fetch(&mut host, &DocumentRequest::Launch, 4096).await {
            assert!(found.len() <= 4096);
        }
        let mut input = bytes;
        let _ = document::read_request(&mut input).await;
    });
}
