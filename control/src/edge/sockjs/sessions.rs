//! The table of SockJS sessions over HTTP requests.
#![expect(clippy::disallowed_methods, reason = "the sessions' clock is read here")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::pipe::{Live, Pipe};
use super::receiver::Receiver;
use super::session::Session;
use crate::hub::Hub;

/// How long a draining server keeps the sessions that it ended, so that clients can still fetch the close frame.
const FAREWELL: Duration = Duration::from_millis(500);

/// The table of sessions. Clones share it.
///
/// Each session counts as a connection at the hub until it is removed, so the hub's limits bound the table.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

struct Shared {
    hub: Hub,
    draining: CancellationToken,
    by_id: Mutex<HashMap<String, Arc<Live>>>,
}

impl Sessions {
    /// Makes an empty table. `draining` is cancelled when the server stops accepting work.
    pub fn new(hub: Hub, draining: CancellationToken) -> Sessions {
        Sessions(Arc::new(Shared { hub, draining, by_id: Mutex::default() }))
    }

    /// Returns the session with this id.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Live>> {
        self.by_id().get(id).cloned()
    }

    /// Attaches a receiving connection to the session with this id, and creates the session if there is none. Returns
    /// `None` if the session has a receiving connection already. The error says why no session can be created.
    pub(super) fn receive(
        &self,
        id: String,
        from: IpAddr,
    ) -> Result<Option<Receiver>, &'static str> {
        let mut sessions = self.by_id();
        let live = match sessions.get(&id) {
            Some(live) => Arc::clone(live),
            None => {
                let admission = self.0.hub.admit(from)?;
                let live = Arc::new(Live::new(Session::new(Instant::now())));
                sessions.insert(id.clone(), Arc::clone(&live));
                let (shared, session) = (Arc::clone(&self.0), Arc::clone(&live));
                self.0.hub.spawn(async move {
                    let pipe = Pipe::new(Arc::clone(&session));
                    let stomp = shared.hub.serve_admitted(pipe, &admission);
                    tokio::join!(stomp, shared.keep(&session));
                    shared.by_id().remove(&id);
                });
                live
            }
        };
        drop(sessions);
        Ok(Receiver::attach(live))
    }

    fn by_id(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.0.by_id()
    }
}

impl Shared {
    /// Runs the timers of a session until the session can be removed.
    async fn keep(&self, live: &Live) {
        let mut changes = live.changes();
        let mut farewell = std::pin::pin!(self.farewell(live));
        loop {
            let deadline = changes.borrow_and_update().poll_timeout();
            if live.look(Session::is_gone) {
                return;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(deadline.into()) => {
                    live.change(|session| session.handle_timeout(Instant::now()));
                }
                () = &mut farewell => return live.change(Session::forget),
            }
        }
    }

    /// Completes [`FAREWELL`] after the session has ended on a draining server.
    async fn farewell(&self, live: &Live) {
        self.draining.cancelled().await;
        let mut changes = live.changes();
        // This can't fail: `live` owns the sender.
        let _ = changes.wait_for(Session::is_over).await;
        tokio::time::sleep(FAREWELL).await;
    }

    fn by_id(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
