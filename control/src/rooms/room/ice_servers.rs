//! The ICE servers that clients get, with TURN credentials that end.
//!
//! A session may ask for them before it joins, so that its first offer already has relayed candidates. Those credentials
//! are short-lived. A participant gets others with `joined`, and the room renews them before they end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use madang_wire::{IceServer, Signal};

/// How long the credentials of a session that has not joined are valid: enough for the checks of the first offer. An
/// allocation in use outlives them.
const BEFORE_JOINING: Duration = Duration::from_secs(10 * 60);

/// Returns the ICE servers for a user, with credentials that are valid for a time.
type Make = dyn Fn(&str, Duration) -> Vec<IceServer> + Send + Sync;

/// Makes ICE servers. Clones share the same maker.
#[derive(Clone)]
pub struct IceServers {
    make: Arc<Make>,
    lifetime: Duration,
}

impl IceServers {
    /// ICE servers as `make` returns them for a user, with credentials that are valid for a time; for participants they
    /// are valid for `lifetime`. `make` keeps no state: credentials that nobody uses cost nothing.
    pub fn new(
        lifetime: Duration,
        make: impl Fn(&str, Duration) -> Vec<IceServer> + Send + Sync + 'static,
    ) -> IceServers {
        IceServers { make: Arc::new(make), lifetime }
    }

    /// No ICE servers: there is no TURN.
    pub fn none() -> IceServers {
        IceServers::new(Duration::MAX, |_, _| Vec::new())
    }

    /// Returns the ICE servers of a participant.
    pub(crate) fn of_participant(&self, id: &str) -> Vec<IceServer> {
        (self.make)(id, self.lifetime)
    }

    /// Returns the signal with new ICE servers for a participant.
    pub(super) fn renewed(&self, id: &str) -> Signal {
        signal(self.of_participant(id), self.lifetime)
    }

    /// Returns the signal with ICE servers for a session that has not joined a room.
    pub(crate) fn of_session(&self, id: &str) -> Signal {
        let lifetime = self.lifetime.min(BEFORE_JOINING);
        signal((self.make)(id, lifetime), lifetime)
    }

    /// How long after `joined` a participant needs new ones.
    pub(super) fn renewal(&self) -> Duration {
        self.lifetime / 4 * 3
    }
}

impl fmt::Debug for IceServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServers").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

fn signal(ice_servers: Vec<IceServer>, lifetime: Duration) -> Signal {
    Signal::IceServers { ice_servers, ttl: u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX) }
}
