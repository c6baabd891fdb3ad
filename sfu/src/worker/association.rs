//! The DTLS association of a connection, and the one that replaces it.
//!
//! An offer with a known certificate and another ufrag is an ICE restart, and the association goes on (RFC 8842 §4). But
//! a page that stores its certificate may have made another `RTCPeerConnection`, as after a reload, and nothing in the
//! offer tells the two apart. What follows does: another connection begins with a ClientHello. As RFC 6347 §4.2.8
//! requires, the association in use stays until the handshake beside it is complete, so that a forged ClientHello ends
//! nothing:
//!
//! ```text
//!   offer with another ufrag ─▶ ICE restart ─┬─ nothing more: the association goes on
//!                                            └─ another ClientHello ─▶ handshake beside it ─▶ it takes over
//! ```
//!
//! Everything that belongs to the keys starts anew then: streams, their rollover counters, and those of the slots.

use std::time::{Duration, Instant};

use super::Worker;
use crate::bandwidth::budget::Budget;
use crate::bandwidth::layer_choice::LayerChooser;
use crate::bandwidth::send_history::SendHistory;
use crate::incoming::lip_sync::SenderClock;
use crate::rtcp::twcc::Arrivals;
use crate::transport::dtls::{DtlsEvent, Keys, Transport};
use crate::transport::path::Path;
use crate::transport::srtp::RtpStreams;

/// How long after an ICE restart the end of the association leaves the connection to another one of the client, which
/// closes its old `RTCPeerConnection` while the new one connects.
const SUCCESSION: Duration = Duration::from_secs(10);

/// The random value of a ClientHello. It is the same in retransmissions, and differs between handshakes.
type Random = [u8; 32];

/// A DTLS association.
pub(super) struct Association {
    transport: Transport,
    /// From the ClientHello that began it; `None` before that has arrived.
    random: Option<Random>,
    /// Where the last datagram came from.
    path: Path,
    /// When ICE was last restarted since it began.
    restarted_at: Option<Instant>,
    /// The handshake that may replace it.
    next: Option<Box<Association>>,
}

/// The outcome of handling a datagram or a timeout.
pub(super) enum Outcome {
    /// SRTP can flow with these keys, which replace the keys so far.
    Keys(Box<Keys>),
    /// The association has ended, but another one may follow: [`Association::successor`].
    Ended,
    /// The connection has ended, for this reason (text for a log).
    Closed(&'static str),
}

impl Association {
    /// Waits for a ClientHello, whose first datagram comes on this path.
    pub(super) fn new(transport: Transport, path: Path) -> Association {
        Association { transport, random: None, path, restarted_at: None, next: None }
    }

    /// The client may begin another association from now on.
    pub(super) fn restarted(&mut self, now: Instant) {
        self.restarted_at = Some(now);
        if let Some(next) = &mut self.next {
            next.restarted(now);
        }
    }

    /// Handles one datagram, and passes datagrams in response to `send`. `begin` makes the transport of another
    /// association.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        begin: impl FnOnce() -> Transport,
        mut send: impl FnMut(Path, &[u8]),
    ) -> Option<Outcome> {
        if let Some(random) = random_of(datagram) {
            let begun = *self.random.get_or_insert(random);
            if begun != random && self.restarted_at.is_some() {
                self.begin_next(random, path, begin);
            }
        }
        if let Some(next) = &mut self.next
            && next.path == path
        {
            let event = next.transport.handle_datagram(now, datagram, |record| send(path, record));
            return self.handle_next(event, send);
        }
        self.path = path;
        let event = self.transport.handle_datagram(now, datagram, |record| send(path, record));
        self.handle_event(now, event)
    }

    /// Sends due retransmissions; those of an association that is not being replaced go to the selected path.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        selected: Path,
        mut send: impl FnMut(Path, &[u8]),
    ) -> Option<Outcome> {
        let path = if self.next.is_some() { self.path } else { selected };
        let event = self.transport.handle_timeout(now, |record| send(path, record));
        let outcome = self.handle_event(now, event);
        if outcome.is_some() {
            return outcome;
        }
        let next = self.next.as_mut()?;
        let path = next.path;
        let event = next.transport.handle_timeout(now, |record| send(path, record));
        self.handle_next(event, send)
    }

    /// Sends a close_notify alert.
    pub(super) fn close(&mut self, send: impl FnMut(&[u8])) {
        self.transport.close(send);
    }

    /// The association whose handshake has begun before this one ended, if any.
    pub(super) fn successor(self) -> Option<Association> {
        self.next.map(|next| *next)
    }

    /// Begins another handshake unless this is a retransmission. There is one at a time: a later one replaces it, so
    /// that a forged ClientHello does not keep the client out.
    fn begin_next(&mut self, random: Random, path: Path, begin: impl FnOnce() -> Transport) {
        match &mut self.next {
            Some(next) if next.random == Some(random) => next.path = path,
            _ => {
                let next = Association { random: Some(random), ..Association::new(begin(), path) };
                self.next = Some(Box::new(next));
            }
        }
    }

    fn handle_event(&mut self, now: Instant, event: Option<DtlsEvent>) -> Option<Outcome> {
        match event? {
            DtlsEvent::Keys(keys) => Some(Outcome::Keys(keys)),
            DtlsEvent::Closed(reason) => {
                let is_recent = |at: Instant| now.saturating_duration_since(at) < SUCCESSION;
                let is_followed = self.next.is_some() || self.restarted_at.is_some_and(is_recent);
                Some(if is_followed { Outcome::Ended } else { Outcome::Closed(reason) })
            }
        }
    }

    /// Handles an event of the handshake beside the association. When it is complete, it takes over, and the client's
    /// other end is told that its association is over.
    fn handle_next(
        &mut self,
        event: Option<DtlsEvent>,
        mut send: impl FnMut(Path, &[u8]),
    ) -> Option<Outcome> {
        let next = self.next.take()?;
        match event {
            None => {
                self.next = Some(next);
                None
            }
            Some(DtlsEvent::Closed(_)) => None,
            Some(DtlsEvent::Keys(keys)) => {
                let mut before = std::mem::replace(self, *next);
                if before.path != self.path {
                    before.transport.close(|record| send(before.path, record));
                }
                Some(Outcome::Keys(keys))
            }
        }
    }
}

impl Worker {
    /// Ends everything that belongs to the keys of a connection. Its m-lines stay: what the next association of the
    /// client sends is the media of the same tracks, and the slots carry the same sources.
    pub(super) fn end_keys(&mut self, now: Instant, key: usize) {
        let ssrcs: Vec<u32> = self.peers[key].streams.iter().map(|stream| stream.ssrc).collect();
        for ssrc in ssrcs {
            self.stream_ended(key, ssrc);
        }
        self.burst.forget_peer(key);
        let Worker { peers, rng, .. } = self;
        let peer = &mut peers[key];
        peer.streams.clear();
        peer.clock = SenderClock::default();
        for slot in &mut peer.slots {
            slot.restart(rng);
        }
        let Some(connection) = peer.link.connection_mut() else {
            return;
        };
        connection.keys = None;
        connection.put_aside = RtpStreams::default();
        connection.round_trip = None;
        connection.budget = Budget::new(now);
        connection.arrivals = Arrivals::default();
        connection.send_history = SendHistory::default();
        connection.estimator = None;
        connection.chooser = LayerChooser::default();
    }
}

/// The random value of a ClientHello in a datagram (RFC 6347 §4.2.2, RFC 5246 §7.4.1.2). If the message is fragmented,
/// it is in the first fragment.
fn random_of(datagram: &[u8]) -> Option<Random> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    // Record: type, version, epoch, sequence number, length. Message: type, length, sequence number, offset and length
    // of the fragment, then the client's version.
    let (record, rest) = datagram.split_first_chunk::<13>()?;
    let (message, rest) = rest.split_first_chunk::<12>()?;
    let (_version, rest) = rest.split_first_chunk::<2>()?;
    let is_hello = record[0] == HANDSHAKE
        && record[3..5] == [0, 0]
        && message[0] == CLIENT_HELLO
        && message[6..9] == [0, 0, 0];
    rest.first_chunk().copied().filter(|_| is_hello)
}
