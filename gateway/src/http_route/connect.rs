//! A connection with a rental's SSH server, by CONNECT.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::passthrough::{Counters, Said, carry};
use crate::routes::Session;
use crate::ssh::{Target, within};

/// A rental's SSH server, which a client was answered with 200 for.
pub(super) struct Connected {
    pub(super) target: Target,
    pub(super) session: Session,
}

impl Connected {
    /// Carries bytes until either end has enough or the route ends.
    pub(super) async fn carry(self, client: Upgraded, counters: &Counters, idle: Duration) {
        let Ok(parts) = client.downcast::<TokioIo<TcpStream>>() else {
            counters.broken.fetch_add(1, Relaxed);
            return;
        };
        let said = Said {
            client: parts.read_buf.to_vec(),
            target: self.target.version,
        };
        let (mut client, mut target) = (parts.io.into_inner(), self.target.stream);
        let carried = carry(&mut client, &mut target, said, counters, idle);
        within(&self.session, carried).await;
    }
}
