//! The TURN server as a state machine: it takes datagrams and the time, and returns datagrams and commands.

mod connections;
mod opening;
mod relay;
mod requests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_types::message::{BINDING, MessageClass};
use tracing::trace;
use turn_types::message::{
    ALLOCATE, CHANNEL_BIND, CONNECT, CONNECTION_BIND, CREATE_PERMISSION, REFRESH, SEND,
};

use crate::allocation::Allocation;
use crate::allocation::table::AllocationTable;
use crate::auth::Authenticator;
use crate::config::{Config, Mistake};
use crate::peer_connections::{PeerConnectionId, PeerConnectionTable};
use crate::peers::Peers;
use crate::quota::rate::Rate;
use crate::quota::unauthenticated::{Origin, UnauthenticatedQuota};
use crate::recent_deletions::RecentDeletions;
use crate::request::parse_message;
use crate::{ClientAddr, Path, Stats, Transport};
use opening::Opening;

/// The maximum number of answers waiting for [`Server::poll_transmit`]. When full, further answers are dropped and
/// counted. A caller that polls after each datagram never has more than one.
const MAX_WAITING_ANSWERS: usize = 1024;

/// The maximum number of allocations waiting for their sockets; a further Allocate is refused with 508. A caller that
/// carries out commands after each datagram never has more than one.
const MAX_OPENINGS: usize = 64;

/// A TURN and STUN server without sockets and clocks.
///
/// The loop around it ([`crate::run`] is one):
///
/// ```text
/// loop {
///     wait for a datagram from a client, one from the media engine, or poll_timeout()
///     from a client:     if let Some(relay) = handle_datagram(…) { hand relay.payload to the media engine }
///                        while let Some(command) = poll_command() { carry it out; for Open and Listen, handle_opened(…) }
///                        while let Some(answer) = poll_transmit() { send it }
///     from the engine:   if let Some(client) = handle_media(…, &mut buffer) { send the buffer to the client }
///     from a socket:     if let Some(client) = handle_peer(…, &mut buffer) { send the buffer to the client }
///     from a listener:   if let Some(id) = handle_incoming(…) { keep the connection } else { close it }
///     a Connect's end:   handle_connected(…)
///     at the timeout:    handle_timeout(now), and commands as above
/// }
/// ```
///
/// `unix_now` is the time since 1970 by the wall clock, because credentials and nonces contain times that other
/// programs read. Everything else is measured with the monotonic `now`, which must not go backwards.
#[derive(Debug)]
pub struct Server {
    authenticator: Authenticator,
    peers: Peers,
    table: AllocationTable,
    connections: PeerConnectionTable,
    recent_deletions: RecentDeletions,
    answers: VecDeque<Transmit>,
    commands: VecDeque<Command>,
    openings: VecDeque<Opening>,
    unauthenticated: UnauthenticatedQuota,
    rate: Rate,
    default_lifetime: Duration,
    max_lifetime: Duration,
    /// The transaction id of the next Data indication. Indications are not answered, so their ids need not be random.
    next_indication: u128,
    stats: Stats,
}

/// A datagram for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The destination.
    pub client: ClientAddr,
    /// The content of the datagram.
    pub payload: Vec<u8>,
}

/// A client's datagram for a peer. The payload is a slice of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToPeer<'a> {
    /// The client's relayed transport address, which the peer sees as the sender.
    pub relayed: SocketAddr,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The path to the peer.
    pub path: Path,
    /// The payload to send to the peer.
    pub payload: &'a [u8],
    /// Whether the datagram must not be fragmented (DONT-FRAGMENT, RFC 8656 §18.9).
    pub dont_fragment: bool,
}

/// An action on relayed addresses and peer connections that the caller must carry out. Only a server with peers besides
/// media issues commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bind a UDP socket to this address, and report to [`Server::handle_opened`].
    Open(SocketAddr),
    /// Listen for TCP connections at this address, and report to [`Server::handle_opened`].
    Listen(SocketAddr),
    /// Close the socket of this address, if there is one. Connections to peers stay open.
    Close(SocketAddr),
    /// Connect to a peer by TCP, and report to [`Server::handle_connected`].
    Connect {
        /// The id of the connection.
        id: PeerConnectionId,
        /// The local address. A listener has the same address.
        relayed: SocketAddr,
        /// The peer's address.
        peer: SocketAddr,
    },
    /// Close the connection to a peer, or stop connecting.
    Disconnect(PeerConnectionId),
    /// Copy bytes between the connection to a peer and this client's connection, after the answers to the client are
    /// sent. When either ends, report to [`Server::handle_closed`] with the client's address.
    Join {
        /// The connection to the peer. It belongs to the client's connection from then on.
        id: PeerConnectionId,
        /// The client's data connection.
        client: ClientAddr,
    },
    /// Close a client's data connection, together with the peer's connection.
    CloseClient(ClientAddr),
}

impl Server {
    /// Creates a server without allocations. `seed` determines the order in which relay ports are handed out.
    ///
    /// # Errors
    /// Returns all mistakes in the configuration.
    pub fn new(config: &Config, seed: u64) -> Result<Server, Vec<Mistake>> {
        config.check()?;
        Ok(Server {
            authenticator: Authenticator::new(config),
            peers: Peers::new(&config.media, &config.allow_peers, &config.deny_peers),
            table: AllocationTable::new(config, seed),
            connections: PeerConnectionTable::new(seed),
            recent_deletions: RecentDeletions::default(),
            answers: VecDeque::new(),
            commands: VecDeque::new(),
            openings: VecDeque::new(),
            unauthenticated: UnauthenticatedQuota::new(config.strangers_per_second, seed),
            rate: config.rate(),
            default_lifetime: config.default_lifetime,
            max_lifetime: config.max_lifetime,
            next_indication: 0,
            stats: Stats::default(),
        })
    }

    /// Handles a datagram from a client, or a message from its connection. Returns the payload to relay, if any;
    /// answers wait in [`Server::poll_transmit`].
    pub fn handle_datagram<'a>(
        &mut self,
        now: Instant,
        unix_now: Duration,
        client: ClientAddr,
        datagram: &'a [u8],
    ) -> Option<ToPeer<'a>> {
        self.handle_timeout(now);
        // RFC 7983 §7: the first byte distinguishes the protocols.
        match datagram.first() {
            Some(0x00..=0x03) => self.handle_stun(now, unix_now, client, datagram),
            Some(0x40..=0x4f) => self.handle_channel_data(now, client, datagram),
            _ => self.drop_malformed(client),
        }
    }

    /// Ends everything that has expired. Every other input does so as well; calling this at [`Server::poll_timeout`]
    /// frees memory and quotas on time on a quiet server.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(ended) = self.table.pop_expired(now) {
            self.end(&ended);
            self.stats.allocations_expired += 1;
        }
        self.end_overdue_connections(now);
    }

    /// The client's connection or DTLS session is closed: its allocation and its data connections end.
    pub fn handle_closed(&mut self, client: ClientAddr) {
        self.end_data(client);
        if let Some(closed) = self.table.remove(client) {
            self.end(&closed);
            self.stats.allocations_closed += 1;
            // Answers to the closed connection can't be sent.
            self.answers.retain(|answer| answer.client != client);
        }
    }

    /// Whether the rate limit for unauthenticated requests allows this client, whose address may be forged, to start a
    /// DTLS handshake. Each call counts against the limit of its network.
    pub fn allows_handshake(&mut self, now: Instant, client: ClientAddr) -> bool {
        self.allows_unauthenticated(now, client, Origin::Claimed)
    }

    fn allows_unauthenticated(&mut self, now: Instant, client: ClientAddr, origin: Origin) -> bool {
        let is_allowed = self.unauthenticated.allow(now, client.network(), origin);
        self.stats.dropped_strangers += u64::from(!is_allowed);
        is_allowed
    }

    /// Whether a client has an allocation.
    pub fn has_allocation(&self, client: ClientAddr) -> bool {
        self.table.of_client(client).is_some()
    }

    /// The next answer to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.answers.pop_front()
    }

    /// The next command to carry out. There are at most as many as relayed addresses and peer connections were opened
    /// and closed since the last call.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The time at which [`Server::handle_timeout`] must be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.table.next_deadline().into_iter().chain(self.connections.next_deadline()).min()
    }

    /// A snapshot of the counters.
    pub fn stats(&self) -> Stats {
        Stats {
            allocations: self.table.len() as u64,
            peer_connections: self.connections.len() as u64,
            ..self.stats
        }
    }

    fn handle_stun<'a>(
        &mut self,
        now: Instant,
        unix_now: Duration,
        client: ClientAddr,
        datagram: &'a [u8],
    ) -> Option<ToPeer<'a>> {
        let Some(message) = parse_message(datagram) else {
            return self.drop_malformed(client);
        };
        match (message.class(), message.method()) {
            (MessageClass::Request, BINDING) => self.handle_binding(now, client, &message),
            (
                MessageClass::Request,
                ALLOCATE | REFRESH | CREATE_PERMISSION | CHANNEL_BIND | CONNECT | CONNECTION_BIND,
            ) => self.handle_request(now, unix_now, client, &message),
            (MessageClass::Indication, SEND) => {
                return self.handle_send(now, client, datagram, &message);
            }
            // A Binding indication keeps a NAT binding alive and needs no further action (RFC 8489 §6.3.2).
            (MessageClass::Indication, BINDING) => {}
            _ => self.stats.dropped_unexpected += 1,
        }
        None
    }

    /// Counts a malformed datagram. It is not answered, and nothing is relayed.
    fn drop_malformed(&mut self, client: ClientAddr) -> Option<ToPeer<'static>> {
        trace!(%client, "dropped a malformed datagram");
        self.stats.dropped_malformed += 1;
        None
    }

    /// Ends what belongs to an allocation that is gone: its sockets and its connections to peers.
    fn end(&mut self, allocation: &Allocation) {
        *self.allocations_by(allocation.client.transport) -= 1;
        if allocation.relays_tcp() {
            self.stats.allocations_relaying_tcp -= 1;
            for relayed in allocation.relayed.iter() {
                self.end_connections(allocation.client, relayed);
            }
        }
        if self.peers.has_others() {
            self.commands.extend(allocation.relayed.iter().map(Command::Close));
        }
    }

    fn allocations_by(&mut self, transport: Transport) -> &mut u64 {
        match transport {
            Transport::Udp => &mut self.stats.allocations_udp,
            Transport::Tcp => &mut self.stats.allocations_tcp,
            Transport::Tls => &mut self.stats.allocations_tls,
            Transport::Dtls => &mut self.stats.allocations_dtls,
        }
    }

    fn answer(&mut self, client: ClientAddr, payload: Vec<u8>) {
        if self.answers.len() >= MAX_WAITING_ANSWERS {
            self.stats.dropped_answers += 1;
            return;
        }
        self.answers.push_back(Transmit { client, payload });
    }
}
