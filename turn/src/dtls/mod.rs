//! DTLS 1.2 (RFC 6347) between UDP and the server, for clients that ask for `turns:` by UDP (RFC 8656 §3.1).
//!
//! ```text
//!   datagram ─▶ ClientHello without a good cookie ─▶ HelloVerifyRequest, and nothing is kept
//!           └─▶ ClientHello with one ─▶ handshake ─▶ session ─▶ messages
//! ```
//!
//! A handshake at an address that has a session already leaves that one alone until it is finished (RFC 6347 §4.2.8): a
//! client that was started again gets in, and nobody who can't receive at the address ends anything.

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

/// Handshakes under way. When full, the oldest makes room if it has had [`HANDSHAKE_WORTH`]; else the newcomer is not
/// answered and asks again.
const MOST_HANDSHAKES: usize = 256;
/// Those of one IPv4 address or one IPv6 /64 network. When there are so many, a newcomer is not answered.
const MOST_HANDSHAKES_OF_NETWORK: usize = 16;
/// How long one may take, with repetitions.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long one is worth more than the next.
const HANDSHAKE_WORTH: Duration = Duration::from_secs(2);
/// What a record can carry (RFC 5246 §6.2.1).
const MAX_MESSAGE: usize = 1 << 14;
/// A record with all that surrounds it: what the library may hand out at once.
const MAX_RECORD: usize = MAX_MESSAGE + 2048;
/// The longest datagram of a handshake, so that it fits every path without fragments.
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
    /// Of both.
    quota: ConnectionQuota,
    /// Handshakes that were too many.
    refused: u64,
    /// Handshakes that were given up, or broken off.
    failed: u64,
    /// Where the library writes.
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

/// What follows from a call. The caller empties it and hands it in again, so that nothing is allocated for a packet.
#[derive(Debug, Default)]
pub struct DtlsOutput {
    /// What the ranges are of.
    pub bytes: Vec<u8>,
    /// In the order in which it happened.
    pub events: Vec<DtlsEvent>,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtlsEvent {
    /// A datagram is to be sent.
    Transmit(ClientAddr, Range<usize>),
    /// A client's message was decrypted.
    Message(ClientAddr, Range<usize>),
    /// A client's session has ended, and with it whatever the client had.
    Ended(ClientAddr),
}

impl DtlsOutput {
    /// Forgets everything.
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
    /// No sessions yet. Cookies are made with `secret`, which nobody else knows.
    ///
    /// # Errors
    /// When the cryptographic library doesn't do what it should; the text is its own.
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

    /// Who the server is for those who come from here on.
    pub fn set_identity(&mut self, identity: DtlsIdentity) {
        self.identity = identity;
    }

    /// Takes a datagram from a client. `is_allowed` is asked before a stranger is sent a cookie.
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
            debug!(%client, "a DTLS session ended");
            self.end(client, out);
        }
    }

    /// Sends again what was not answered, and gives up what takes too long.
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

    /// When [`DtlsSessions::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.handshakes.values().map(|handshake| handshake.session.wake_at).min()
    }

    /// Encrypts a message for a client; `false` when it has no session, or the message is too long for a record.
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

    /// Closes what has had no allocation for a while.
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
            debug!(%client, "closed a DTLS session without an allocation");
            self.close(client, out);
        }
    }

    /// Says goodbye to everybody.
    pub fn close_all(&mut self, out: &mut DtlsOutput) {
        let clients: Vec<ClientAddr> = self.sessions.keys().copied().collect();
        for client in clients {
            self.close(client, out);
        }
    }

    /// Sessions at the moment.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Handshakes under way.
    pub fn handshakes(&self) -> usize {
        self.handshakes.len()
    }

    /// Handshakes refused because there were enough, in all or from one address.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Handshakes that were begun and came to nothing.
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
        // Who has a good one receives at this address: no flood of others in its name is in the way.
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

    /// Answers who has no good cookie; nothing is kept.
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
            // It has nothing in common with the server. The library breaks off or says nothing, as to a malformed hello.
            out.transmit(client, |bytes| hello.refuse_with(Alert::HandshakeFailure, bytes));
            self.give_up(client);
        }
    }

    /// Takes a place for a handshake from this address; its former attempt, if there is one, is over.
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

    /// A datagram of a handshake; also one of nobody's.
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

    /// The handshake is finished. Whatever the client had before ends first.
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
        debug!(%client, "a DTLS session began");
    }

    fn give_up(&mut self, client: ClientAddr) {
        if self.handshakes.remove(&client).is_some() {
            self.quota.free(client);
            self.failed += 1;
        }
    }

    /// A session is over, because its client said so or it broke.
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
