//! Answers on an accepted connection: the signature of each is checked, to its end.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};

use super::super::super::connect::Check;
use super::*;

/// An accepted connection with a node.
pub(super) struct Open {
    pub(super) node: Node,
    pub(super) connection: Connection,
}

impl Open {
    async fn new() -> Open {
        let node = Node::start(Trick::Honest).await;
        let connection = Wanted::of(&node).connect(Chain::default()).await.unwrap();
        Open { node, connection }
    }

    /// What of the answer passed, and how the check ended.
    pub(super) async fn ask(&mut self, body: &'static str) -> (Vec<u8>, Result<(), ConnectError>) {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/chat/completions")
            .header("host", "localhost")
            .body(())
            .unwrap();
        let (mut head, ()) = request.into_parts();
        let session = self.connection.session.as_ref().unwrap();
        let mut check = session.begin(&mut head, body.as_bytes()).unwrap();
        let request = Request::from_parts(head, Full::new(Bytes::from_static(body.as_bytes())));
        let answer = self.connection.sender.send_request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let mut passed = Vec::new();
        let outcome = Self::take(&mut *check, &head, body, &mut passed).await;
        if outcome.is_err() {
            assert!(check.data(b"more").is_err(), "refused, and goes on");
            assert!(check.end().is_err(), "refused, and ends well");
        }
        (passed, outcome)
    }

    async fn take(
        check: &mut dyn Check,
        head: &http::response::Parts,
        mut body: hyper::body::Incoming,
        passed: &mut Vec<u8>,
    ) -> Result<(), ConnectError> {
        check.head(head)?;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.into_data().unwrap();
            check.data(&bytes)?;
            passed.extend_from_slice(&bytes);
        }
        check.end()
    }
}

#[tokio::test]
async fn signed_answers_pass() {
    let mut open = Open::new().await;
    let (body, outcome) = open.ask("{}").await;
    assert_eq!((outcome, body.as_slice()), (Ok(()), node::ANSWER.as_bytes()));
    let (events, outcome) = open.ask(r#"{"stream":true}"#).await;
    assert_eq!(outcome, Ok(()));
    assert!(events.ends_with(b"data: [DONE]\n\n"));
    assert_eq!((open.node.challenges(), open.node.requests().len()), (1, 2));
    // Another nonce each time.
    let nonces = open.node.heads();
    let nonce = |head: &String| head.split("jeju-nonce: ").nth(1).unwrap()[..46].to_owned();
    assert_ne!(nonce(&nonces[0]), nonce(&nonces[1]));
}

#[tokio::test]
async fn each_changed_answer_has_its_code() {
    for (trick, body, expected) in [
        (Trick::Unsigned, "{}", "response_unsigned"),
        (Trick::OtherKey, "{}", "response_signature_invalid"),
        (Trick::ChangedBody, "{}", "response_body_changed"),
        (Trick::OtherRequest, "{}", "response_for_another_request"),
        (Trick::OtherChannel, "{}", "response_of_another_connection"),
        (Trick::ForeignEpoch, "{}", "claims_of_another_node"),
        (Trick::StreamCut, r#"{"stream":true}"#, "stream_unsigned"),
        (Trick::StreamBroken, r#"{"stream":true}"#, "stream_unsigned"),
        (Trick::StreamUnsigned, r#"{"stream":true}"#, "stream_unsigned"),
        (Trick::StreamChanged, r#"{"stream":true}"#, "stream_changed"),
        (
            Trick::StreamForged,
            r#"{"stream":true}"#,
            "stream_signature_invalid",
        ),
        (
            Trick::StreamTrailing,
            r#"{"stream":true}"#,
            "stream_trailing_bytes",
        ),
    ] {
        let mut open = Open::new().await;
        open.node.trick(trick);
        let (passed, outcome) = open.ask(body).await;
        let expected = ConnectError::NotVerified(expected.to_owned());
        assert_eq!(outcome, Err(expected), "{trick:?}");
        let text = String::from_utf8(passed).unwrap();
        assert!(!text.contains("[DONE]"), "{trick:?}");
    }
}

#[tokio::test]
async fn a_later_epoch_of_the_same_boot_is_verified_on_the_way() {
    let mut open = Open::new().await;
    open.node.rotate();
    assert_eq!(open.ask("{}").await.1, Ok(()));
    assert_eq!(open.ask("{}").await.1, Ok(()));
}
