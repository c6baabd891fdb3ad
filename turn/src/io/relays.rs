//! The sockets of relayed addresses, and which of them can be read.
//!
//! There is no task for each: a socket that becomes readable rings a bell, which writes its address on one list.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::Notify;
use tracing::debug;

use super::sockets::{BatchSocket, Received};

/// All sockets of relayed addresses: one for each, so that allocations bound them.
pub(super) struct Relays {
    sockets: HashMap<SocketAddr, Relay>,
    ready: Arc<Ready>,
}

struct Relay {
    socket: BatchSocket,
    bell: Waker,
}

/// The list of what can be read. A socket is on it once at most, as it rings again only after it was listened to.
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
        // Nothing can panic while it is held.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relays {
    pub(super) fn new() -> Relays {
        Relays { sockets: HashMap::new(), ready: Arc::default() }
    }

    /// Binds a relayed address; `false` when that can't be done.
    pub(super) fn open(&mut self, relayed: SocketAddr) -> bool {
        let socket = match BatchSocket::of_relayed(relayed) {
            Ok(socket) => socket,
            Err(error) => {
                debug!(%relayed, %error, "a relayed address could not be bound");
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

    /// Waits until a socket can be read. Nothing is lost when the waiting is given up.
    pub(super) async fn ready(&self) {
        self.ready.notify.notified().await;
    }

    /// How many sockets can be read at the moment.
    pub(super) fn ready_count(&self) -> usize {
        self.ready.list().len()
    }

    /// Receives from the socket that has waited longest; tells which one. It goes to the end of the list, or listens again
    /// when there is nothing left to read.
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
            // The runtime is shutting down.
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }
}
