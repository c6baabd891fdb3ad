//! DTLS 1.2 (RFC 6347) between UDP and the server, for clients that use `turns:` over UDP (RFC 8656 §3.1).
//!
//! ```text
//!   datagram ─▶ ClientHello without a valid cookie ─▶ HelloVerifyRequest; no state is kept
//!           └─▶ ClientHello with a valid cookie ─▶ handshake ─▶ session ─▶ messages
//! ```
//!
//! A handshake from an address with an established session leaves that session alone until the handshake is complete
//! (RFC 6347 §4.2.8). So a restarted client can connect again, and a sender that can't receive at the address can't end
//! its session.

mod cookie;
mod hello;
mod identity;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::ClientAddr;
use crate::quota::connections::{ConnectionQuota, IdleSince};
use cookie::Cookies;
use hello::{Alert, ClientHello, Cookie, is_of_handshake};
pub use identity::{DtlsIdentity, UnfitKey};
use session::{Fate, Session};

/// The maximum number of handshakes. When full, the oldest makes room if it has had [`HANDSHAKE_WORTH`]; otherwise the
/// new client gets no answer and retransmits.
const MOST_HANDSHAKES: usize = 256;
/// The maximum number of handshakes of one IPv4 address or one IPv6 /64 network. When reached, a new client gets no
/// answer.
const MOST_HANDSHAKES_OF_NETWORK: usize = 16;
/// How long a handshake may take, with retransmissions.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a handshake is protected from being replaced by a newer one.
const HANDSHAKE_WORTH: Duration = Duration::from_secs(2);
/// The maximum length of a record's content (RFC 5246 §6.2.1).
const MAX_MESSAGE: usize = 1 << 14;
/// The maximum length of a record with its overhead, which the library may return at once.
const MAX_RECORD: usize = MAX_MESSAGE + 2048;
/// The longest handshake datagram. It fits every path without IP fragmentation.
const MTU: usize = 1200;

/// The DTLS sessions of all clients, without sockets and clocks.
///
/// The loop around it:
///
/// ```text
/// loop {
///     wait for a datagram from a client, one for a client, or poll_timeout()
///     from a client:     handle_datagram(…, &mut out)
///     for a client:      send(…, &mut out)
///     at the timeout:    handle_timeout(now, &mut out)
///     take what is in `out`: send datagrams, handle messages, end what has ended
/// }
/// ```
pub struct DtlsSessions {
    config: Arc<dimpl::Config>,
    identity: DtlsIdentity,
    cookies: Cookies,
    handshakes: HashMap<ClientAddr, Handshake>,
    sessions: HashMap<ClientAddr, Established>,
    /// Counts handshakes and sessions.
    quota: ConnectionQuota,
    /// Handshakes refused because of a limit.
    refused: u64,
    /// Handshakes that timed out or failed.
    failed: u64,
    /// The library's output buffer.
    buffer: Box<[u8]>,
}

struct Handshake {
    session: Session,
    began: Instant,
}

struct Established {
    session: Session,
    idle: IdleSince,
}

/// The results of a call. The caller clears it and passes it in again, so that no memory is allocated per packet.
#[derive(Debug, Default)]
pub struct DtlsOutput {
    /// The bytes to which the ranges of the events refer.
    pub bytes: Vec<u8>,
    /// The events, in the order in which they happened.
    pub events: Vec<DtlsEvent>,
}

/// A result that the caller must act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtlsEvent {
    /// Send a datagram.
    Transmit(ClientAddr, Range<usize>),
    /// Handle a client's decrypted message.
    Message(ClientAddr, Range<usize>),
    /// A client's session has ended, and with it everything that the client had allocated.
    Ended(ClientAddr),
}

impl DtlsOutput {
    /// Removes all events and bytes.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
    }

    fn transmit(&mut self, to: ClientAddr, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.events.push(DtlsEvent::Transmit(to, start..self.bytes.len()));
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

impl DtlsSessions {
    /// Creates an empty set of sessions. `secret` signs the cookies and must be unknown to others.
    ///
    /// # Errors
    /// When the cryptographic library rejects the configuration; the text is the library's.
    pub fn new(
        now: Instant,
        secret: &[u8; 32],
        identity: DtlsIdentity,
    ) -> Result<DtlsSessions, String> {
        let config = dimpl::Config::builder()
            .with_crypto_provider(cookie::cryptography())
            .mtu(MTU)
            .require_client_certificate(false)
            .use_server_cookie(true)
            .handshake_timeout(HANDSHAKE_TIME)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(DtlsSessions {
            config: Arc::new(config),
            identity,
            cookies: Cookies::new(now, secret),
            handshakes: HashMap::new(),
            sessions: HashMap::new(),
            quota: ConnectionQuota::new(),
            refused: 0,
            failed: 0,
            buffer: vec![0; MAX_RECORD].into(),
        })
    }

    /// Sets the identity for handshakes that start from now on.
    pub fn set_identity(&mut self, identity: DtlsIdentity) {
        self.identity = identity;
    }

    /// Handles a datagram from a client. `is_allowed` is called before the server answers an unauthenticated client.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        client: ClientAddr,
        datagram: &[u8],
        is_allowed: impl FnOnce() -> bool,
        out: &mut DtlsOutput,
    ) {
        if let Some(hello) = ClientHello::parse(datagram) {
            return self.handle_hello(now, client, &hello, is_allowed, out);
        }
        let Some(established) = self.sessions.get_mut(&client) else {
            return self.proceed(now, client, datagram, out);
        };
        if self.handshakes.contains_key(&client) && is_of_handshake(datagram) {
            return self.proceed(now, client, datagram, out);
        }
        let session = &mut established.session;
        if session.handle_datagram(now, client, datagram, &mut self.buffer, out) == Fate::Ends {
            debug!(%client, "DTLS session ended");
            self.end(client, out);
        }
    }

    /// Retransmits unanswered handshake messages, and gives up handshakes that take too long.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut DtlsOutput) {
        let due = |(client, handshake): (&ClientAddr, &Handshake)| {
            (handshake.session.wake_at <= now).then_some(*client)
        };
        let due: Vec<ClientAddr> = self.handshakes.iter().filter_map(due).collect();
        for client in due {
            let Some(handshake) = self.handshakes.get_mut(&client) else { continue };
            let session = &mut handshake.session;
            if session.handle_timeout(now, client, &mut self.buffer, out) == Fate::Ends {
                self.give_up(client);
            }
        }
    }

    /// The time at which [`DtlsSessions::handle_timeout`] must be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.handshakes.values().map(|handshake| handshake.session.wake_at).min()
    }

    /// Encrypts a message for a client; `false` when the client has no session or the message is too long for a record.
    pub fn send(&mut self, client: ClientAddr, message: &[u8], out: &mut DtlsOutput) -> bool {
        let Some(established) = self.sessions.get_mut(&client) else { return false };
        if message.len() > MAX_MESSAGE {
            return false;
        }
        let fate = established.session.send(client, message, &mut self.buffer, out);
        if fate == Fate::Ends {
            self.end(client, out);
        }
        fate == Fate::Lives
    }

    /// Closes sessions that have had no allocation for too long.
    pub fn sweep(
        &mut self,
        now: Instant,
        has_allocation: impl Fn(ClientAddr) -> bool,
        out: &mut DtlsOutput,
    ) {
        let mut idle = Vec::new();
        for (client, established) in &mut self.sessions {
            let patience = self.quota.patience(*client);
            if established.idle.is_over(now, has_allocation(*client), patience) {
                idle.push(*client);
            }
        }
        for client in idle {
            debug!(%client, "closing a DTLS session without an allocation");
            self.close(client, out);
        }
    }

    /// Closes all sessions with close_notify alerts.
    pub fn close_all(&mut self, out: &mut DtlsOutput) {
        let clients: Vec<ClientAddr> = self.sessions.keys().copied().collect();
        for client in clients {
            self.close(client, out);
        }
    }

    /// The number of established sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The number of handshakes in progress.
    pub fn handshakes(&self) -> usize {
        self.handshakes.len()
    }

    /// The number of handshakes refused because of a limit, in total or per network.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The number of handshakes that were started and failed.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    fn handle_hello(
        &mut self,
        now: Instant,
        client: ClientAddr,
        hello: &ClientHello<'_>,
        is_allowed: impl FnOnce() -> bool,
        out: &mut DtlsOutput,
    ) {
        let is_repeated = |session: &Session| session.random == hello.random;
        if self.sessions.get(&client).is_some_and(|had| is_repeated(&had.session)) {
            return;
        }
        let is_under_way =
            self.handshakes.get(&client).is_some_and(|had| is_repeated(&had.session));
        if is_under_way && !hello.cookie.is_empty() {
            return self.proceed(now, client, hello.datagram, out);
        }
        // A valid cookie proves that the client receives at this address, so a flood with its forged address can't
        // block it.
        let Some(cookie) = self.cookies.good_one(now, client, hello) else {
            if is_allowed() {
                self.send_back(now, client, hello, out);
            }
            return;
        };
        match self.make_room(now, client) {
            true => self.begin(now, client, hello, cookie, out),
            false => self.refused += 1,
        }
    }

    /// Answers a hello without a valid cookie; keeps no state.
    fn send_back(
        &self,
        now: Instant,
        client: ClientAddr,
        hello: &ClientHello<'_>,
        out: &mut DtlsOutput,
    ) {
        if hello.is_too_old() {
            return out.transmit(client, |bytes| hello.refuse_with(Alert::ProtocolVersion, bytes));
        }
        let cookie = self.cookies.issue(now, client, &hello.random);
        out.transmit(client, |bytes| hello.answer_with(&cookie, bytes));
    }

    fn begin(
        &mut self,
        now: Instant,
        client: ClientAddr,
        hello: &ClientHello<'_>,
        cookie: Cookie,
        out: &mut DtlsOutput,
    ) {
        let DtlsSessions { config, identity, buffer, .. } = self;
        let mut session = Session::new(now, config, identity, client, hello, buffer);
        let mark = out.events.len();
        let fate = session.handle_hello(now, client, hello, cookie, buffer, out);
        self.handshakes.insert(client, Handshake { session, began: now });
        if fate == Fate::Ends || out.events.len() == mark {
            // The client has nothing in common with the server, or its hello is malformed. The library fails or stays
            // silent.
            out.transmit(client, |bytes| hello.refuse_with(Alert::HandshakeFailure, bytes));
            self.give_up(client);
        }
    }

    /// Reserves room for a handshake from this address. A previous attempt from the address is given up.
    fn make_room(&mut self, now: Instant, client: ClientAddr) -> bool {
        if self.handshakes.contains_key(&client) {
            self.give_up(client);
        }
        let is_near = |other: &&ClientAddr| other.network() == client.network();
        if self.handshakes.keys().filter(is_near).count() >= MOST_HANDSHAKES_OF_NETWORK {
            return false;
        }
        if self.handshakes.len() >= MOST_HANDSHAKES {
            let ages = self.handshakes.iter().map(|(client, handshake)| (handshake.began, *client));
            match ages.min() {
                Some((began, oldest)) if began + HANDSHAKE_WORTH <= now => self.give_up(oldest),
                _ => return false,
            }
        }
        self.quota.take(client)
    }

    /// Handles a handshake datagram. Ignores it if the client has no handshake.
    fn proceed(&mut self, now: Instant, client: ClientAddr, datagram: &[u8], out: &mut DtlsOutput) {
        let Some(handshake) = self.handshakes.get_mut(&client) else { return };
        let mark = out.events.len();
        let session = &mut handshake.session;
        let fate = session.handle_datagram(now, client, datagram, &mut self.buffer, out);
        let is_connected = session.is_connected;
        if is_connected {
            self.replace_former(now, client, mark, out);
        }
        match (fate, is_connected) {
            (Fate::Lives, _) => {}
            (Fate::Ends, true) => self.end(client, out),
            (Fate::Ends, false) => self.give_up(client),
        }
    }

    /// Completes a handshake. The client's previous session, if any, ends first.
    fn replace_former(
        &mut self,
        now: Instant,
        client: ClientAddr,
        mark: usize,
        out: &mut DtlsOutput,
    ) {
        let Some(Handshake { session, .. }) = self.handshakes.remove(&client) else { return };
        let established = Established { session, idle: IdleSince::new(now) };
        if self.sessions.insert(client, established).is_some() {
            self.quota.free(client);
            out.events.insert(mark, DtlsEvent::Ended(client));
        }
        debug!(%client, "DTLS session established");
    }

    fn give_up(&mut self, client: ClientAddr) {
        if self.handshakes.remove(&client).is_some() {
            self.quota.free(client);
            self.failed += 1;
        }
    }

    /// Removes a session that the client closed or that failed.
    fn end(&mut self, client: ClientAddr, out: &mut DtlsOutput) {
        if self.sessions.remove(&client).is_some() {
            self.quota.free(client);
            out.events.push(DtlsEvent::Ended(client));
        }
    }

    fn close(&mut self, client: ClientAddr, out: &mut DtlsOutput) {
        if let Some(established) = self.sessions.get_mut(&client) {
            established.session.close(client, &mut self.buffer, out);
            self.end(client, out);
        }
    }
}

impl fmt::Debug for DtlsSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsSessions")
            .field("sessions", &self.sessions.len())
            .field("handshakes", &self.handshakes.len())
            .finish_non_exhaustive()
    }
}
