//! Validated paths and their end: consent expires (RFC 7675), or a connection closes.

use std::time::Instant;

use super::Worker;
use crate::transport::path::Path;

impl Worker {
    /// Whether an ICE check has validated the path, and consent has not expired.
    pub(crate) fn is_validated(&self, path: Path) -> bool {
        self.by_path.contains_key(&path)
    }

    /// Forgets a path whose connection has ended. The peer may come back on another path.
    pub(crate) fn forget_path(&mut self, path: Path) {
        if let Some(peer) = self.by_path.remove(&path)
            && let Some(connection) = self.peers[peer].link.connection_mut()
        {
            connection.ice.forget(path);
        }
    }

    /// Notes that an authentic packet arrived on a path of a peer.
    pub(super) fn note_sign_of_life(&mut self, now: Instant, key: usize, path: Path) {
        let peer = self.peers.get_mut(key);
        if let Some(connection) = peer.and_then(|peer| peer.link.connection_mut()) {
            connection.last_packet = Some((path, now));
        }
    }

    /// Follows a peer to the path that it uses, and forgets its paths whose consent has expired: nothing more is received
    /// from or sent to them.
    pub(super) fn expire_paths(&mut self, now: Instant, key: usize) {
        let connection = self.peers.get_mut(key).and_then(|peer| peer.link.connection_mut());
        let Some(connection) = connection else {
            return;
        };
        if let Some((path, at)) = connection.last_packet.take() {
            connection.ice.used(at, path);
        }
        while let Some(path) = connection.ice.expire_path(now) {
            self.by_path.remove(&path);
        }
    }
}
