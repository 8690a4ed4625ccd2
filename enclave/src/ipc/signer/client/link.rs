//! A connection with a peer, as the front has it.

use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Link, SignerClient, SignerFailure, WAIT};
use crate::ipc::signer::MAX_PEER_BYTES;
use crate::ipc::signer::message::{PeerEvidence, ToSigner};

/// One connection with a peer, as the signer knows it. Dropped, it is gone for the signer too.
#[derive(Debug)]
pub struct PeerLink {
    pub(super) connection: u32,
    pub(super) client: SignerClient,
}

/// What the signer sends to the peer of one [`PeerLink`].
#[derive(Debug)]
pub struct PeerInbox {
    pub(super) messages: mpsc::Receiver<Vec<u8>>,
}

impl PeerLink {
    /// Has the signer draw a nonce, which the peer's evidence must carry. May be called again, to have an admitted peer
    /// attest again.
    ///
    /// # Errors
    /// See [`SignerFailure`].
    pub async fn nonce(&self) -> Result<[u8; 32], SignerFailure> {
        let (sender, nonce) = oneshot::channel();
        self.with(|link| link.nonce = Some(sender))?;
        let connection = self.connection;
        self.answered(ToSigner::PeerOpened { connection }, nonce).await
    }

    /// Shows the peer's evidence to the signer: the index of the member that the peer is, or a stable code.
    ///
    /// # Errors
    /// See [`SignerFailure`].
    pub async fn evidence(&self, evidence: PeerEvidence) -> Result<Result<u16, String>, SignerFailure> {
        if evidence.bundle.len() > jeju_attestation::bundle::MAX_LEN {
            return Err(SignerFailure::TooLong);
        }
        let (sender, verdict) = oneshot::channel();
        self.with(|link| link.verdict = Some(sender))?;
        let connection = self.connection;
        self.answered(ToSigner::PeerEvidence { connection, evidence }, verdict)
            .await
    }

    /// Hands on a sealed message that came from the peer.
    ///
    /// # Errors
    /// [`SignerFailure::TooLong`], [`SignerFailure::Closed`].
    pub async fn received(&self, bytes: Vec<u8>) -> Result<(), SignerFailure> {
        if bytes.len() > MAX_PEER_BYTES {
            return Err(SignerFailure::TooLong);
        }
        let connection = self.connection;
        self.client.send(ToSigner::PeerBytes { connection, bytes }).await
    }

    fn with(&self, change: impl FnOnce(&mut Link)) -> Result<(), SignerFailure> {
        let mut state = self.client.shared.state();
        let link = state.links.get_mut(&self.connection);
        link.map(change).ok_or(SignerFailure::Closed)
    }

    async fn answered<T>(&self, message: ToSigner, answer: oneshot::Receiver<T>) -> Result<T, SignerFailure> {
        let answered = timeout(WAIT, async {
            self.client.send(message).await?;
            answer.await.map_err(|_| SignerFailure::Closed)
        });
        answered.await.unwrap_or(Err(SignerFailure::TimedOut))
    }
}

impl Drop for PeerLink {
    fn drop(&mut self) {
        let connection = self.connection;
        if self.client.shared.state().links.remove(&connection).is_none() {
            return;
        }
        if let Err(TrySendError::Full(message)) =
            self.client.queue.try_send(ToSigner::PeerClosed { connection })
            && let Ok(runtime) = Handle::try_current()
        {
            let queue = self.client.queue.clone();
            runtime.spawn(async move {
                let _ = queue.send(message).await;
            });
        }
    }
}

impl PeerInbox {
    /// The next sealed message for the peer; `None` when the signer wants no more of it, or it was too slow.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.messages.recv().await
    }
}
