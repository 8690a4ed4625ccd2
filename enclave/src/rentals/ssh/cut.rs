//! Ends a connection from outside of it.

use tokio::sync::watch;

/// A switch that is thrown once. Clones are the same switch.
#[derive(Debug, Clone)]
pub(super) struct Cut(watch::Sender<bool>);

impl Cut {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Throws it.
    pub(super) fn cut(&self) {
        self.0.send_replace(true);
    }

    #[cfg(test)]
    pub(super) fn is_cut(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves once it is thrown.
    pub(super) async fn done(self) {
        let mut switch = self.0.subscribe();
        // The sender is `self`, so it isn't gone.
        let _ = switch.wait_for(|cut| *cut).await;
    }
}

/// Throws it when dropped.
pub(super) struct CutOnDrop(pub(super) Cut);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}
