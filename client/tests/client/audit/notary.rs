//! A node's key, which signs whatever it is given: what a node that lies can do, and who has only the file can't.

use aws_lc_rs::signature::Ed25519KeyPair;
use jeju_attestation::bundle::Bundle;
use jeju_attestation::claims::ClaimsBuffer;
use jeju_attestation::hash::sha256;
use jeju_attestation::response::{EndReason, EvidenceReference, RequestFields, ResponseFields, StreamEnd};
use jeju_simulated::Silicon;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::computed::Computed;
use super::{MODEL_ID, MODEL_SHA256};
use crate::node::{AGENT, MODEL, Node, now};

/// A node that answers by computing, and its key.
pub struct Notary {
    pub node: Node,
    key: Ed25519KeyPair,
    bundle: Vec<u8>,
}

impl Notary {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(folder.path()).unwrap();
        let launch = format!(
            "version = 1\n[node]\nagent = \"0x{}\"\nnames = [\"127.0.0.1\"]\n[chain]\nprofile = \"localnet\"\n\
             id = 31337\nregistry = \"0x{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\ninference = true\n\
             [[models]]\nid = \"{MODEL_ID}\"\nsha256 = \"0x{MODEL_SHA256}\"\n[egress]\nallow = [\"127.0.0.1:8545\"]\n",
            hex::encode(AGENT),
            "09".repeat(20),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = |path: &str, body: &[u8]| {
            let computed = Computed::of(path, body);
            match body.windows(13).any(|bytes| bytes == br#""stream":true"#) {
                true => (200, computed.events()),
                false => (200, computed.whole()),
            }
        };
        let node = Node::start_signer(listener, AGENT, launch.into_bytes(), &silicon, Box::new(answers));
        Self {
            bundle: node.bundle([0x77; 32]),
            node,
            // The first epoch's.
            key: Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap(),
        }
    }

    /// A policy that accepts the node.
    pub fn policy(&self) -> String {
        self.node.policy().replace(&hex::encode(MODEL), MODEL_SHA256)
    }

    /// A saved exchange whose answer is whole.
    pub fn whole(&self, path: &str, request: &Value, answer: &str) -> Value {
        let (headers, _) = self.head(
            path,
            request,
            200,
            "application/json",
            Some(sha256(answer.as_bytes())),
        );
        self.exchange(path, request, headers, answer)
    }

    /// A saved exchange whose answer was streamed.
    pub fn stream(&self, path: &str, request: &Value, events: &str, reason: EndReason) -> Value {
        let (headers, signature) = self.head(path, request, 200, "text/event-stream; charset=utf-8", None);
        let end = StreamEnd {
            body_sha256: sha256(events.as_bytes()),
            len: events.len() as u64,
            start: sha256(&signature),
            reason,
        };
        let end = end.render(&self.sign(&end.signature_base()));
        self.exchange(path, request, headers, &format!("{events}{end}data: [DONE]\n\n"))
    }

    /// Another node's evidence.
    pub fn other_bundle(&self) -> String {
        String::from_utf8(self.node.bundle([0x78; 32])).unwrap()
    }

    pub fn head(
        &self,
        path: &str,
        request: &Value,
        status: u16,
        content_type: &str,
        body_sha256: Option<[u8; 32]>,
    ) -> (Map<String, Value>, [u8; 64]) {
        let bundle = Bundle::parse(&self.bundle).unwrap();
        let claims = ClaimsBuffer::parse(&bundle.claims).unwrap();
        let request = RequestFields {
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: "?".to_owned(),
            body_sha256: sha256(request.to_string().as_bytes()),
            nonce: None,
        };
        let fields = ResponseFields {
            status,
            content_type: content_type.to_owned(),
            body_sha256,
            request_sha256: request.body_sha256,
            nonce: [5; 32],
            channel: [6; 32],
            evidence: EvidenceReference {
                digest: sha256(&self.bundle),
                epoch: claims.claims().epoch,
                tee: bundle.tee,
            },
            worker: None,
            created: now(),
            key: claims.claims().resp,
        };
        let signature = self.sign(&fields.signature_base(&request));
        let signed = fields.headers(&signature);
        let mut headers: Map<_, _> = signed
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        headers.insert("content-type".to_owned(), content_type.into());
        (headers, signature)
    }

    pub fn exchange(&self, path: &str, request: &Value, headers: Map<String, Value>, body: &str) -> Value {
        json!({
            "format": "tag:jeju,2026:exchange/1",
            "node": "https://127.0.0.1:4007",
            "saved": now(),
            "request": {"method": "POST", "path": path, "query": "?", "body": request.to_string()},
            "response": {"status": 200, "headers": headers, "body": body},
            "evidence": std::str::from_utf8(&self.bundle).unwrap(),
        })
    }

    fn sign(&self, base: &[u8]) -> [u8; 64] {
        self.key.sign(base).as_ref().try_into().unwrap()
    }
}
