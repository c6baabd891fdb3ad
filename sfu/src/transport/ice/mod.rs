//! The server's side of ICE: a lite agent (RFC 8445 §2.5), which answers connectivity checks and never sends any.
//!
//! # Signs of life
//!
//! A path lives as long as valid checks or authentic SRTP and SRTCP packets arrive on it, and 30 seconds longer. RFC 7675
//! knows only checks, but some clients send none while media flows. A packet proves no less than a check does: it is
//! authenticated with keys that only the peer has, on a path that a check has validated.
//!
//! The peer is sent to on the path that it nominated last. If nothing arrives there any more while authentic packets
//! arrive on another of its paths, the other one is used: a client may nominate a path that turns out dead, and go back
//! to an earlier one without another nomination.
//!
//! # Restarts
//!
//! An ICE restart (RFC 8445 §9) brings new credentials on both sides. Those before stay valid until a check has used the
//! new ones, because the answer that carries them may be late or lost.

mod credentials;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_types::attribute::{AttributeType, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageIntegrityCredentials, MessageWrite,
    MessageWriteExt, MessageWriteVec, ShortTermCredentials,
};

pub(crate) use self::credentials::Credentials;
use crate::keys::WorkerNumber;
use crate::transport::path::Path;

/// Consent expires after this long without a sign of life (RFC 7675 §5.1).
pub(crate) const CONSENT_EXPIRY: Duration = Duration::from_secs(30);

/// Paths kept per peer. A browser with several networks and TURN servers checks about ten. Beyond, the path that was
/// checked the longest time ago is dropped.
const MAX_PATHS: usize = 16;

const USE_CANDIDATE: AttributeType = AttributeType::new(0x0025);

/// A host candidate of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Candidate {
    Udp(SocketAddr),
    /// A passive candidate, which waits for connections (RFC 6544 §4.1).
    Tcp(SocketAddr),
}

impl Candidate {
    /// RFC 8445 §5.1.2.1; `at` is the candidate's index among those of its transport. TCP has a lower type preference,
    /// so that only clients without UDP use it. The direction preference of a passive host candidate is 4 (RFC 6544
    /// §4.2).
    pub(crate) fn priority(self, at: u8) -> u32 {
        let (type_preference, local_preference) = match self {
            Candidate::Udp(_) => (126, 65_535 - u32::from(at)),
            Candidate::Tcp(_) => (90, (4 << 13) + 8191 - u32::from(at)),
        };
        (type_preference << 24) + (local_preference << 8) + 255
    }
}

/// A nominated path on which nothing has arrived for this long gives way to one on which media arrives. Browsers send
/// RTCP once a second or more often, on the path that they use.
const SILENCE: Duration = Duration::from_secs(3);

/// The lite agent of one peer.
pub(crate) struct Agent {
    current: Generation,
    /// The credentials before an ICE restart, until a check has used the current ones.
    previous: Option<Generation>,
    paths: Vec<CheckedPath>,
    /// A copy of the path in use, so that sending needs no search.
    selected: Option<Path>,
    /// When the last check or authentic packet arrived.
    alive_at: Instant,
}

/// The credentials of both sides.
struct Generation {
    local: Credentials,
    remote_ufrag: String,
    integrity: MessageIntegrityCredentials,
}

impl Generation {
    fn new(local: Credentials, remote_ufrag: String) -> Generation {
        let integrity = ShortTermCredentials::new(local.password.clone()).into();
        Generation { local, remote_ufrag, integrity }
    }

    /// Whether a request was made with these credentials.
    fn made(&self, request: &Message<'_>) -> bool {
        let Ok(username) = request.attribute::<Username>() else {
            return false;
        };
        let expected = username.username().split_once(':');
        expected == Some((self.local.ufrag.as_str(), self.remote_ufrag.as_str()))
            && request.validate_integrity(&self.integrity).is_ok()
    }

    fn response(&self, path: Path, request: &Message<'_>) -> Option<Vec<u8>> {
        let mut response = Message::builder_success(request, MessageWriteVec::new());
        let mapped = XorMappedAddress::new(path.addr(), request.transaction_id());
        response.add_attribute(&mapped).ok()?;
        response.add_message_integrity(&self.integrity, IntegrityAlgorithm::Sha1).ok()?;
        response.add_fingerprint().ok()?;
        Some(response.finish())
    }
}

struct CheckedPath {
    path: Path,
    /// When the last valid check or authentic packet of media arrived on it.
    alive_at: Instant,
}

/// The outcome of a valid check.
pub(crate) struct Checked {
    /// The response to send back on the same path.
    pub(crate) response: Vec<u8>,
    /// The path that was dropped to make room, if any.
    pub(crate) forgotten: Option<Path>,
    /// The server's ufrag before an ICE restart, which is void from now on.
    pub(crate) void_ufrag: Option<String>,
}

impl Agent {
    /// Creates an agent that waits for the first check.
    pub(crate) fn new(now: Instant, local: Credentials, remote_ufrag: String) -> Agent {
        Agent {
            current: Generation::new(local, remote_ufrag),
            previous: None,
            paths: Vec::new(),
            selected: None,
            alive_at: now,
        }
    }

    /// Answers a Binding request that was addressed to one of this agent's ufrags. `None` means that the message must be
    /// dropped.
    pub(crate) fn handle_check(
        &mut self,
        now: Instant,
        path: Path,
        request: &Message<'_>,
    ) -> Option<Checked> {
        let is_current = self.current.made(request);
        let generation = match &self.previous {
            _ if is_current => &self.current,
            Some(previous) if previous.made(request) => previous,
            _ => return None,
        };
        let response = generation.response(path, request)?;
        let void = if is_current { self.previous.take() } else { None };
        self.alive_at = now;
        let forgotten = self.remember(now, path);
        if self.selected.is_none() || request.raw_attribute(USE_CANDIDATE).is_some() {
            self.selected = Some(path);
        }
        let void_ufrag = void.map(|generation| generation.local.ufrag);
        Some(Checked { response, forgotten, void_ufrag })
    }

    /// Takes new credentials for an ICE restart (RFC 8445 §9). Media continues on the existing paths until a check with
    /// the new credentials nominates another one. Returns the server's ufrag of a restart that was never used.
    pub(crate) fn restart(
        &mut self,
        now: Instant,
        local: Credentials,
        remote_ufrag: String,
    ) -> Option<String> {
        let before = std::mem::replace(&mut self.current, Generation::new(local, remote_ufrag));
        self.alive_at = now;
        if self.previous.is_some() {
            return Some(before.local.ufrag);
        }
        self.previous = Some(before);
        None
    }

    /// Notes that an authentic packet of media arrived on a path.
    pub(crate) fn used(&mut self, at: Instant, path: Path) {
        self.alive_at = self.alive_at.max(at);
        let Some(used) = self.paths.iter().position(|known| known.path == path) else {
            return;
        };
        let known = &mut self.paths[used].alive_at;
        *known = at.max(*known);
        let selected = self.paths.iter().find(|known| Some(known.path) == self.selected);
        let is_silent =
            |known: &CheckedPath| at.saturating_duration_since(known.alive_at) >= SILENCE;
        if selected.is_none_or(is_silent) {
            self.selected = Some(path);
        }
    }

    /// Drops a path that belongs to another peer from now on, or has ended.
    pub(crate) fn forget(&mut self, path: Path) {
        self.paths.retain(|known| known.path != path);
        self.leave_forgotten();
    }

    /// Drops a path whose consent has expired (RFC 7675 §5.1), and returns it. The caller repeats this until there is
    /// none.
    pub(crate) fn expire_path(&mut self, now: Instant) -> Option<Path> {
        let is_over =
            |known: &CheckedPath| now.saturating_duration_since(known.alive_at) >= CONSENT_EXPIRY;
        let expired = self.paths.iter().position(is_over)?;
        let expired = self.paths.swap_remove(expired).path;
        self.leave_forgotten();
        Some(expired)
    }

    /// If the selected path was dropped, selects the one that was alive last: the peer may still be reachable there.
    fn leave_forgotten(&mut self) {
        if self.selected.is_some_and(|path| !self.paths.iter().any(|known| known.path == path)) {
            let latest = self.paths.iter().max_by_key(|known| known.alive_at);
            self.selected = latest.map(|known| known.path);
        }
    }

    fn remember(&mut self, now: Instant, path: Path) -> Option<Path> {
        if let Some(known) = self.paths.iter_mut().find(|known| known.path == path) {
            known.alive_at = now;
            return None;
        }
        let mut forgotten = None;
        if self.paths.len() == MAX_PATHS {
            let selected = self.selected;
            let oldest = (0..self.paths.len())
                .filter(|&at| Some(self.paths[at].path) != selected)
                .min_by_key(|&at| self.paths[at].alive_at)?;
            forgotten = Some(self.paths.swap_remove(oldest).path);
        }
        self.paths.push(CheckedPath { path, alive_at: now });
        forgotten
    }

    /// The server's credentials.
    pub(crate) fn local(&self) -> &Credentials {
        &self.current.local
    }

    /// The browser's user name fragment.
    pub(crate) fn remote_ufrag(&self) -> &str {
        &self.current.remote_ufrag
    }

    /// The server's ufrags that checks may be addressed to.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        let generations = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
        generations.map(|generation| generation.local.ufrag.as_str())
    }

    /// The path to send on: the one nominated last, unless it is dead, or before any nomination the first one checked.
    pub(crate) fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// The paths that valid checks arrived on.
    pub(crate) fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter().map(|checked| checked.path)
    }

    /// Whether there was no sign of life for [`CONSENT_EXPIRY`].
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.alive_at) >= CONSENT_EXPIRY
    }
}

/// The server's ufrag in a Binding request, which identifies the peer. `None` for any other message.
pub(crate) fn addressee(message: &Message<'_>) -> Option<String> {
    if message.class() != MessageClass::Request || message.method() != BINDING {
        return None;
    }
    let username = message.attribute::<Username>().ok()?;
    username.username().split_once(':').map(|(local, _)| local.to_owned())
}

/// The worker that a Binding request is addressed to. Only that worker can tell whether the request is valid.
pub(crate) fn worker_addressed(datagram: &[u8]) -> Option<WorkerNumber> {
    let message = Message::from_bytes(datagram).ok()?;
    credentials::worker_of(&addressee(&message)?)
}

#[cfg(test)]
mod tests {
    use stun_types::attribute::RawAttribute;

    use super::*;
    use crate::test_now;

    fn path(port: u16) -> Path {
        Path::Udp(([192, 0, 2, 1], port).into(), None)
    }

    fn agent(now: Instant) -> Agent {
        let local = Credentials { ufrag: "server".into(), password: "p".repeat(24) };
        Agent::new(now, local, "client".into())
    }

    fn check(username: &str, password: &str, nominate: bool) -> Vec<u8> {
        let flag: &[(u16, &[u8])] = &[(USE_CANDIDATE.value(), &[])];
        check_with(username, password, if nominate { flag } else { &[] }, true)
    }

    fn check_with(
        username: &str,
        password: &str,
        attributes: &[(u16, &[u8])],
        has_fingerprint: bool,
    ) -> Vec<u8> {
        let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
        request.add_attribute(&Username::new(username).unwrap()).unwrap();
        for (kind, value) in attributes {
            request.add_attribute(&RawAttribute::new((*kind).into(), value)).unwrap();
        }
        let credentials = ShortTermCredentials::new(password.into()).into();
        request.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        if has_fingerprint {
            request.add_fingerprint().unwrap();
        }
        request.finish()
    }

    #[test]
    fn a_valid_check_is_answered_with_the_mapped_address() {
        let now = test_now();
        let mut agent = agent(now);
        let request = check("server:client", &"p".repeat(24), false);
        let request = Message::from_bytes(&request).unwrap();

        let checked = agent.handle_check(now, path(9), &request).unwrap();

        let response = Message::from_bytes(&checked.response).unwrap();
        assert!(response.has_class(MessageClass::Success));
        let mapped = response.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(mapped.addr(response.transaction_id()), path(9).addr());
        assert_eq!(agent.selected(), Some(path(9)));
    }

    /// RFC 8489 §14: attributes of the upper half that are unknown are skipped.
    #[test]
    fn checks_as_other_agents_write_them_are_answered() {
        type Attributes = &'static [(u16, &'static [u8])];
        let cases: [(&str, Attributes); 4] = [
            ("libwebrtc's own attributes", &[(0xc057, &[0, 1, 0, 50]), (0x24, &[0, 0, 0, 1])]),
            ("unknown attributes", &[(0xc070, b"12345"), (0x8022, b"agent 1.0")]),
            ("the other agent controls", &[(0x802a, &[7; 8])]),
            ("neither priority nor role", &[]),
        ];
        for (what, attributes) in cases {
            for has_fingerprint in [true, false] {
                let now = test_now();
                let mut agent = agent(now);
                let password = "p".repeat(24);
                let request = check_with("server:client", &password, attributes, has_fingerprint);
                let request = Message::from_bytes(&request).unwrap();
                let checked = agent.handle_check(now, path(9), &request);
                let checked = checked.unwrap_or_else(|| panic!("{what}: not answered"));
                let response = Message::from_bytes(&checked.response).unwrap();
                assert!(response.has_class(MessageClass::Success), "{what}");
            }
        }
    }

    #[test]
    fn a_check_with_a_wrong_password_or_user_leaves_no_state() {
        let now = test_now();
        let mut agent = agent(now);
        for request in
            [check("server:client", "wrong", true), check("server:stranger", &"p".repeat(24), true)]
        {
            let request = Message::from_bytes(&request).unwrap();
            assert!(agent.handle_check(now, path(9), &request).is_none());
        }
        assert_eq!(agent.paths().count(), 0);
        assert!(agent.selected().is_none());
    }

    #[test]
    fn nomination_moves_the_selected_path() {
        let now = test_now();
        let mut agent = agent(now);
        for (port, nominate) in [(1, false), (2, false), (3, true)] {
            let request = check("server:client", &"p".repeat(24), nominate);
            agent.handle_check(now, path(port), &Message::from_bytes(&request).unwrap());
        }
        assert_eq!(agent.selected(), Some(path(3)));
    }

    #[test]
    fn paths_are_bounded_and_the_selected_one_stays() {
        let now = test_now();
        let mut agent = agent(now);
        let mut forgotten = 0;
        for port in 1..100 {
            let request = check("server:client", &"p".repeat(24), port == 1);
            let request = Message::from_bytes(&request).unwrap();
            let at = now + Duration::from_millis(u64::from(port));
            forgotten += usize::from(
                agent.handle_check(at, path(port), &request).unwrap().forgotten.is_some(),
            );
        }
        assert_eq!(agent.paths().count(), MAX_PATHS);
        assert_eq!(forgotten, 99 - MAX_PATHS);
        assert_eq!(agent.selected(), Some(path(1)));
    }

    #[test]
    fn each_path_needs_checks_of_its_own() {
        let now = test_now();
        let mut agent = agent(now);
        let checked = |agent: &mut Agent, seconds: u64, port: u16, nominate: bool| {
            let request = check("server:client", &"p".repeat(24), nominate);
            let request = Message::from_bytes(&request).unwrap();
            agent.handle_check(now + Duration::from_secs(seconds), path(port), &request);
        };
        checked(&mut agent, 0, 1, true);
        checked(&mut agent, 10, 2, false);
        checked(&mut agent, 20, 3, false);

        assert_eq!(agent.expire_path(now + Duration::from_secs(29)), None);
        assert_eq!(agent.expire_path(now + Duration::from_secs(30)), Some(path(1)));
        assert_eq!(agent.selected(), Some(path(3)), "the one checked last");
        assert_eq!(agent.expire_path(now + Duration::from_secs(30)), None);
        assert_eq!(agent.expire_path(now + Duration::from_secs(40)), Some(path(2)));
        assert_eq!(agent.expire_path(now + Duration::from_secs(50)), Some(path(3)));
        assert_eq!(agent.selected(), None);
    }

    #[test]
    fn udp_is_preferred_to_tcp_and_earlier_addresses_to_later_ones() {
        let address = path(1).addr();
        let priorities = [
            Candidate::Udp(address).priority(0),
            Candidate::Udp(address).priority(1),
            Candidate::Tcp(address).priority(0),
            Candidate::Tcp(address).priority(1),
        ];
        assert_eq!(priorities[0], 2_130_706_431);
        assert!(priorities.is_sorted_by(|a, b| a > b), "{priorities:?}");
    }

    #[test]
    fn consent_runs_out_without_checks() {
        let now = test_now();
        let agent = agent(now);
        assert!(!agent.is_expired(now + CONSENT_EXPIRY - Duration::from_millis(1)));
        assert!(agent.is_expired(now + CONSENT_EXPIRY));
    }
}
