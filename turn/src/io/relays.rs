//! The sockets of relayed addresses, and the list of those that are readable.
//!
//! No socket has a task of its own: when one becomes readable, its waker puts its address on the list.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::Notify;
use tracing::debug;

use super::sockets::{BatchSocket, Received};

/// All sockets of relayed addresses, one per address; the number of allocations limits them.
pub(super) struct Relays {
    sockets: HashMap<SocketAddr, Relay>,
    ready: Arc<Ready>,
}

struct Relay {
    socket: BatchSocket,
    bell: Waker,
}

/// The list of readable sockets. A socket is on it at most once, because its waker is armed again only after it was
/// read.
#[derive(Default)]
struct Ready {
    list: Mutex<VecDeque<SocketAddr>>,
    notify: Notify,
}

struct Bell {
    relayed: SocketAddr,
    ready: Arc<Ready>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ready.add(self.relayed);
    }
}

impl Ready {
    fn add(&self, relayed: SocketAddr) {
        self.list().push_back(relayed);
        self.notify.notify_one();
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<SocketAddr>> {
        // Nothing can panic while the lock is held, so poisoning is harmless.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relays {
    pub(super) fn new() -> Relays {
        Relays { sockets: HashMap::new(), ready: Arc::default() }
    }

    /// Binds a socket to a relayed address; `false` on failure.
    pub(super) fn open(&mut self, relayed: SocketAddr) -> bool {
        let socket = match BatchSocket::of_relayed(relayed) {
            Ok(socket) => socket,
            Err(error) => {
                debug!(%relayed, %error, "could not bind a relayed address");
                return false;
            }
        };
        let bell = Waker::from(Arc::new(Bell { relayed, ready: self.ready.clone() }));
        let relay = Relay { socket, bell };
        relay.listen(&self.ready, relayed);
        self.sockets.insert(relayed, relay);
        true
    }

    pub(super) fn close(&mut self, relayed: SocketAddr) {
        self.sockets.remove(&relayed);
    }

    pub(super) fn get(&self, relayed: SocketAddr) -> Option<&BatchSocket> {
        self.sockets.get(&relayed).map(|relay| &relay.socket)
    }

    /// Waits until a socket is readable. Cancel safe.
    pub(super) async fn ready(&self) {
        self.ready.notify.notified().await;
    }

    /// The number of readable sockets.
    pub(super) fn ready_count(&self) -> usize {
        self.ready.list().len()
    }

    /// Receives from the socket that has waited longest and returns its address. The socket goes to the end of the
    /// list, or its waker is armed again when nothing is left to read.
    pub(super) fn receive(&self, received: &mut Received) -> Option<SocketAddr> {
        let relayed = self.ready.list().pop_front()?;
        // It may have been closed meanwhile.
        let relay = self.sockets.get(&relayed)?;
        match relay.socket.receive(received) {
            true => self.ready.add(relayed),
            false => relay.listen(&self.ready, relayed),
        }
        Some(relayed)
    }
}

impl Relay {
    fn listen(&self, ready: &Ready, relayed: SocketAddr) {
        let mut context = Context::from_waker(&self.bell);
        match self.socket.poll_readable(&mut context) {
            Poll::Ready(Ok(())) => ready.add(relayed),
            // An error means that the runtime is shutting down.
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }
}
