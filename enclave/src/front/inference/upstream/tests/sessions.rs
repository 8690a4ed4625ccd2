//! Connections whose other end signs: nothing of an answer passes that its check didn't see, and none is complete that its
//! check didn't end.

use std::sync::Mutex;

use super::super::connect::{Check, ConnectError, Session};
use super::fake::{answer, script, token};
use super::*;

/// Where a check says no.
#[derive(Clone, Copy, PartialEq, Eq)]
enum No {
    Begin,
    Head,
    /// At the second piece of the body.
    Data,
    End,
    Never,
}

struct Signed(No, Arc<Mutex<Vec<u8>>>);

struct Checking {
    no: No,
    pieces: usize,
    seen: Arc<Mutex<Vec<u8>>>,
}

fn no() -> ConnectError {
    ConnectError::NotVerified("signature_invalid".to_owned())
}

impl Session for Signed {
    fn is_usable(&self) -> bool {
        true
    }

    fn begin(&self, head: &mut http::request::Parts, body: &[u8]) -> Result<Box<dyn Check>, ConnectError> {
        assert_eq!(head.headers["content-length"], body.len().to_string());
        assert_eq!(head.uri.path(), "/v1/chat/completions");
        head.headers.insert("jeju-nonce", HeaderValue::from_static(":n:"));
        match self.0 {
            No::Begin => Err(no()),
            at => Ok(Box::new(Checking {
                no: at,
                pieces: 0,
                seen: self.1.clone(),
            })),
        }
    }
}

impl Check for Checking {
    fn head(&mut self, head: &http::response::Parts) -> Result<(), ConnectError> {
        assert_eq!(head.status, 200);
        match self.no {
            No::Head => Err(no()),
            _ => Ok(()),
        }
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), ConnectError> {
        self.pieces += 1;
        self.seen.lock().unwrap().extend_from_slice(bytes);
        match (self.no, self.pieces) {
            (No::Data, 2) => Err(no()),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), ConnectError> {
        match self.no {
            No::End => Err(no()),
            _ => Ok(()),
        }
    }
}

fn signed(at: No, script: Script) -> (Arc<Upstream>, Arc<Mutex<Vec<u8>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut fake = Fake::new(script);
    let kept = seen.clone();
    fake.session = Some(Arc::new(move || Box::new(Signed(at, kept.clone()))));
    let route = Route {
        connect: Box::new(fake),
        pool: Arc::new(Pool::new(Duration::from_secs(20))),
        authority: HeaderValue::from_static("node.example:4007"),
        patience: Duration::from_secs(5),
    };
    let upstream = Upstream::with(&named(Kind::Openai, "{}"), Confidentiality::Attested, route).unwrap();
    upstream.models[0].health.set(None);
    (Arc::new(upstream), seen)
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_checked_to_its_end_before_it_passes() {
    for at in [No::Never, No::Begin, No::Head, No::Data, No::End] {
        let (upstream, seen) = signed(
            at,
            script(|_, mut wire| async move {
                while let Some((head, _)) = wire.request().await {
                    assert!(head.contains("\r\njeju-nonce: :n:\r\n"), "{head}");
                    assert!(head.contains("\r\nauthorization: Bearer "), "{head}");
                    let body = answer().to_string();
                    let (first, second) = body.split_at(50);
                    wire.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").await;
                    wire.piece(first).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    wire.piece(second).await;
                    wire.send("0\r\n\r\n").await;
                }
            }),
        );
        if at == No::Never {
            whole(&upstream).await.unwrap();
            assert_eq!(*seen.lock().unwrap(), answer().to_string().as_bytes());
        } else {
            assert_eq!(refusal(&upstream, false).await, (502, "upstream_not_verified"));
            // It isn't asked again before it has proved who it is.
            assert!(upstream.models[0].health.reason().is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_complete_only_when_its_check_says_so() {
    for at in [No::Never, No::Data, No::End] {
        let (upstream, seen) = signed(
            at,
            script(|_, mut wire| async move {
                wire.request().await;
                wire.events().await;
                wire.event(&token("a")).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                wire.event(&token("b")).await;
                wire.piece(": jeju-sig x\n").await;
                wire.done().await;
            }),
        );
        let streamed = streamed(&upstream).await.unwrap();
        let (events, end) = match at {
            No::Never => (3, Some(EndReason::Stop)),
            No::Data => (1, None),
            _ => (3, None),
        };
        assert_eq!((streamed.events.len(), streamed.end), (events, end));
        if at == No::Never {
            assert!(seen.lock().unwrap().ends_with(b"data: [DONE]\n\n"));
        } else {
            assert!(upstream.models[0].health.reason().is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_held_open_after_its_end_is_not_complete() {
    let (upstream, _) = signed(
        No::Never,
        script(|_, mut wire| async move {
            wire.request().await;
            wire.events().await;
            wire.event(&fake::last("stop")).await;
            wire.piece("data: [DONE]\n\n").await;
            wire.closed().await;
        }),
    );
    let streamed = streamed(&upstream).await.unwrap();
    assert_eq!((streamed.events.len(), streamed.end), (1, None));
}
