//! Admission: the limits on the number of connections.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use madang_turn::client_network;

use crate::counters::{down, up};
use crate::hub::Shared;
use crate::limits::is_reached;
use crate::stomp::SessionError;
use crate::tally::Tally;

/// The open connections; bounded by `Limits::connections`.
#[derive(Default)]
pub(super) struct Admitted {
    count: usize,
    /// By IPv4 address or IPv6 /64 network.
    by_address: Tally<IpAddr>,
}

/// The place that a connection takes under the limits; dropping it frees the place.
pub(crate) struct Admission {
    hub: Arc<Shared>,
    from: IpAddr,
}

impl Admission {
    /// Takes a place.
    ///
    /// # Errors
    /// The reason, when a limit is reached or the server is shutting down.
    pub(super) fn to(hub: &Arc<Shared>, from: IpAddr) -> Result<Admission, &'static str> {
        if hub.drain.is_cancelled() {
            return Err(SessionError::Draining.text());
        }
        let mut admitted = hub.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let from = client_network(from);
        if is_reached(hub.limits.connections, admitted.count)
            || is_reached(hub.limits.connections_per_address, admitted.by_address.of(&from))
        {
            up(&hub.counters.connections_refused);
            return Err("too many connections");
        }
        admitted.count += 1;
        admitted.by_address.add(from);
        up(&hub.counters.sessions);
        drop(admitted);
        Ok(Admission { hub: Arc::clone(hub), from })
    }

    /// The client's IPv4 address, or its IPv6 /64 network.
    pub(super) fn from(&self) -> IpAddr {
        self.from
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut admitted = self.hub.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        admitted.count -= 1;
        admitted.by_address.remove(&self.from);
        down(&self.hub.counters.sessions);
    }
}
