//! Somebody who speaks the protocol by hand, with a certificate and evidence of whatever node.

use std::sync::Arc;

use jeju_attestation::claims::Role;
use jeju_attested_tls::{NodeKey, RotatingCertificate, peer_client_config, peer_name, peer_server_config};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::super::frame::PeerFrame;
use super::super::tls::Tls;
use super::network::{PATIENCE, Wires, certificate};
use crate::ipc::frame as ipc_frame;
use crate::signer::admission::tests::{Node, document};

/// Who it is, or says that it is.
pub struct Mallory {
    pub node: Node,
    pub certificate: Arc<RotatingCertificate>,
}

/// Its end of a connection.
pub struct Hand<'a> {
    of: &'a Mallory,
    pub tls: Tls,
}

impl Mallory {
    pub fn new(node: Node) -> Self {
        let key = NodeKey::generate().unwrap();
        let node = node.with(|node| node.pubkey_hash = key.spki_sha256());
        let certificate = certificate(&key, &node);
        Self { node, certificate }
    }

    pub async fn accept(&self, stream: DuplexStream) -> Hand<'_> {
        let config = peer_server_config(self.certificate.clone()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tls = Tls::new(TlsStream::Server(acceptor.accept(stream).await.unwrap()));
        Hand { of: self, tls }
    }

    pub async fn dial(&self, wires: &Wires, address: &str) -> Hand<'_> {
        let connector = TlsConnector::from(Arc::new(peer_client_config(self.certificate.clone()).unwrap()));
        let stream = wires.connect(address).unwrap();
        let stream = connector.connect(peer_name(), stream).await.unwrap();
        let tls = Tls::new(TlsStream::Client(stream));
        Hand { of: self, tls }
    }
}

impl Hand<'_> {
    pub async fn read(&mut self) -> Option<PeerFrame> {
        let read = timeout(PATIENCE, ipc_frame::read_within(&mut self.tls, 1 << 21));
        PeerFrame::parse(read.await.unwrap().ok()?)
    }

    pub async fn send(&mut self, frame: PeerFrame) {
        let (kind, body) = frame.encode();
        ipc_frame::write_within(&mut self.tls, kind, &body, 1 << 21)
            .await
            .unwrap();
        self.tls.flush().await.unwrap();
    }

    /// Says hello as a member; the other end's nonce.
    pub async fn hello(&mut self, member: u16) -> [u8; 32] {
        let genesis = document(1).mpc.unwrap().genesis();
        let nonce = [0x77; 32];
        self.send(PeerFrame::Hello {
            genesis,
            member,
            nonce,
        })
        .await;
        match self.read().await {
            Some(PeerFrame::Hello { nonce, .. }) => nonce,
            other => panic!("{other:?}"),
        }
    }

    /// Shows evidence that is right in all but who it is of.
    pub async fn prove(&mut self, end: Role, nonce: [u8; 32]) {
        let node = self.of.node.clone().with(|node| node.role = end);
        let bundle = node.bundle(nonce, self.tls.challenge(&nonce).unwrap());
        self.send(PeerFrame::Evidence { bundle }).await;
    }

    /// The code with which the other end goes.
    pub async fn refusal(&mut self) -> String {
        loop {
            match self.read().await {
                Some(PeerFrame::Refused { code }) => return code,
                Some(_) => {}
                None => return String::new(),
            }
        }
    }
}
