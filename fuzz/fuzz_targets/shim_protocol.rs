//! Every message that crosses between enclave and host. The first byte chooses the protocol.
#![no_main]

use jeju_shim_protocol::blob::{self, BlobReply, BlobRequest, ListRequest, MAX_PAGE, Page};
use jeju_shim_protocol::document::{self, DocumentReply, DocumentRequest};
use jeju_shim_protocol::egress::{EgressLine, EgressReply};
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
    match choice % 13 {
        0 => one_encoding(EgressLine::parse(bytes), bytes, |found| found.encode()),
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
        10 => one_encoding(BlobRequest::parse(bytes), bytes, |found| found.encode()),
        11 => one_encoding(BlobReply::parse(bytes), bytes, |found| found.encode()),
        12 => {
            let request = list_request();
            one_encoding(Page::parse(bytes, &request), bytes, |found| found.encode());
            if let Ok(page) = Page::parse(bytes, &request) {
                let names = page.clone().into_names();
                assert!(names.len() <= MAX_PAGE);
                assert_eq!(Page::select(&request, names.iter().map(String::as_str)), page);
            }
        }
        _ => streams(bytes),
    }
});

fn list_request() -> ListRequest {
    ListRequest::new("signer", "r-", Some("r-0")).expect("a valid request")
}

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
        let name = blob::BlobName::new("signer", "manifest").expect("a valid name");
        let mut host = join(bytes, tokio::io::sink());
        while let Ok(found) = blob::get(&mut host, &name).await {
            assert!(found.is_none_or(|blob| blob.len() <= blob::MAX_BLOB));
        }
        let mut host = join(bytes, tokio::io::sink());
        while blob::put(&mut host, &name, b"sealed").await.is_ok() {}
        let mut host = join(bytes, tokio::io::sink());
        while let Ok(page) = blob::list(&mut host, &list_request()).await {
            assert!(page.into_names().len() <= MAX_PAGE);
        }
        let mut input = bytes;
        while let Ok(request) = blob::read_request(&mut input).await {
            if let BlobRequest::Put(_, len) = request
                && blob::read_body(&mut input, len).await.is_err()
            {
                break;
            }
        }
    });
}
