//! Whose paths are whose, and when they end: consent (RFC 7675), and connections that close.

use std::time::Instant;

use super::Worker;
use crate::transport::path::Path;

impl Worker {
    /// Whether an ICE check validated the path, and consent to use it is fresh.
    pub(crate) fn is_validated(&self, path: Path) -> bool {
        self.by_path.contains_key(&path)
    }

    /// A path is no more, because its connection has ended. Its peer may come back on another one.
    pub(crate) fn forget_path(&mut self, path: Path) {
        if let Some(peer) = self.by_path.remove(&path)
            && let Some(connection) = self.peers[peer].link.connection_mut()
        {
            connection.ice.forget(path);
        }
    }

    /// Neither takes nor sends anything any more where consent has run out.
    pub(super) fn expire_paths(&mut self, now: Instant, key: usize) {
        let connection = self.peers.get_mut(key).and_then(|peer| peer.link.connection_mut());
        let Some(connection) = connection else {
            return;
        };
        while let Some(path) = connection.ice.expire_path(now) {
            self.by_path.remove(&path);
        }
    }
}
