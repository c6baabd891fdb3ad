//! A TURN server, its clock, and authenticated clients.
#![allow(dead_code, reason = "the target without credentials uses only a part")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use madang_turn::{
    ClientAddr, Command, Config, Credentials, PeerConnectionId, Secret, Server, credentials,
};
use stun_types::attribute::{Nonce, RawAttribute, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageType, MessageWrite,
    MessageWriteExt, MessageWriteVec,
};
use turn_types::attribute::ConnectionId;

/// A client address, and the user whose credentials it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    addr: ClientAddr,
    user: &'static str,
}

/// Alice's connections or addresses, then Bob's, numbered from 0; each has two.
pub(crate) fn client(number: u8, by: fn(SocketAddr) -> ClientAddr) -> Client {
    let is_alice = number & 2 == 0;
    let port = 40_000 + u16::from(number & 1);
    let addr = by(([203, 0, 113, if is_alice { 5 } else { 6 }], port).into());
    Client { addr, user: if is_alice { "alice" } else { "bob" } }
}

const MEDIA: ([u8; 4], u16) = ([198, 51, 100, 7], 5004);

pub(crate) struct World {
    pub(crate) server: Server,
    /// The number of datagrams relayed to the media engine.
    pub(crate) relayed: usize,
    relay_port: u16,
    now: Instant,
    unix_now: Duration,
    buffer: Vec<u8>,
    /// Connection attempts to peers, and data connections of clients.
    calls: Vec<PeerConnectionId>,
    data: Vec<ClientAddr>,
    /// The id of the last peer connection that a client was told about.
    connection: u32,
}

impl World {
    pub(crate) fn new() -> World {
        World::with_peers("")
    }

    /// A world whose clients may also reach other peers, in the syntax of `turn.allow_peers`.
    pub(crate) fn with_peers(allow: &str) -> World {
        let rules = allow.split_terminator(',');
        let config = Config {
            allow_peers: rules.map(|rule| rule.parse().expect("the rule is good")).collect(),
            secret: secret(),
            media: vec![MEDIA.into()],
            relay_ips: vec![[198, 51, 100, 7].into()],
            relay_ports: 49_152..=49_155,
            max_allocations_per_user: 1,
            strangers_per_second: 0,
            ..Config::default()
        };
        World {
            server: Server::new(&config, 1).expect("the configuration is good"),
            relayed: 0,
            relay_port: 0,
            now: Instant::now(),
            unix_now: Duration::from_secs(1_700_000_100),
            buffer: Vec::new(),
            calls: Vec::new(),
            data: Vec::new(),
            connection: 0,
        }
    }

    pub(crate) fn advance(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
        self.unix_now += Duration::from_secs(secs);
        self.server.handle_timeout(self.now);
        self.carry_out();
    }

    /// Sends a datagram; returns the total length of the answers.
    pub(crate) fn send(&mut self, from: Client, datagram: &[u8]) -> usize {
        let from = from.addr;
        if let Some(relay) = self.server.handle_datagram(self.now, self.unix_now, from, datagram) {
            assert_eq!(relay.peer, SocketAddr::from(MEDIA));
            assert!(relay.payload.len() <= datagram.len());
            self.relayed += 1;
            self.relay_port = relay.relayed.port();
        }
        let mut bytes = 0;
        while let Some(answer) = self.server.poll_transmit() {
            assert_eq!(answer.client, from);
            self.note(&answer.payload);
            bytes += answer.payload.len();
        }
        self.carry_out();
        bytes
    }

    /// Carries out the server's commands about sockets and connections; all succeed.
    fn carry_out(&mut self) {
        while let Some(command) = self.server.poll_command() {
            match command {
                Command::Open(relayed) | Command::Listen(relayed) => {
                    self.server.handle_opened(self.now, relayed, true);
                }
                Command::Connect { id, .. } => self.calls.push(id),
                Command::Disconnect(id) => self.calls.retain(|call| *call != id),
                Command::Join { client, .. } => self.data.push(client),
                Command::CloseClient(client) => self.data.retain(|data| *data != client),
                Command::Close(_) => {}
            }
        }
        while let Some(answer) = self.server.poll_transmit() {
            self.note(&answer.payload);
        }
    }

    fn note(&mut self, answer: &[u8]) {
        let answer = Message::from_bytes(answer).expect("an answer is STUN");
        if let Ok(connection) = answer.attribute::<ConnectionId>() {
            self.connection = connection.id();
        }
    }

    /// Reports the result of the oldest connection attempt.
    pub(crate) fn peer_answers(&mut self, is_connected: bool) {
        if !self.calls.is_empty() {
            let id = self.calls.remove(0);
            self.server.handle_connected(self.now, id, is_connected);
            self.carry_out();
        }
    }

    /// A peer whose address ends with `last` connects to the first relayed address.
    pub(crate) fn peer_comes(&mut self, last: u8) {
        let relayed = ([198, 51, 100, 7], 49_152).into();
        let _ = self.server.handle_incoming(self.now, relayed, ([9, 9, 9, last], 80).into());
        self.carry_out();
    }

    /// Closes a client's connection.
    pub(crate) fn close(&mut self, client: Client) {
        self.data.retain(|data| *data != client.addr);
        self.server.handle_closed(client.addr);
        self.carry_out();
    }

    /// The number of data connections.
    pub(crate) fn data(&self) -> usize {
        self.data.len()
    }

    /// Signs and sends a request. The first two bytes are method and class; attributes follow, each with a byte for its
    /// type and one for its length. A CONNECTION-ID without a value gets the id of the last connection.
    pub(crate) fn ask(&mut self, client: Client, bytes: &[u8]) {
        let Some(([high, low], mut rest)) = bytes.split_first_chunk::<2>() else {
            return;
        };
        let Ok(kind) = MessageType::from_bytes(&[high & 0x3f, *low]) else {
            return;
        };
        let mut message = Message::builder(kind, 7u128.into(), MessageWriteVec::new());
        while let Some(([kind, length], behind)) = rest.split_first_chunk::<2>() {
            let (value, behind) = behind.split_at(usize::from(*length).min(behind.len()));
            rest = behind;
            // Types of the lower half, where those of STUN and TURN are, and a few of the upper half.
            let kind =
                if *kind < 0xf0 { u16::from(*kind) } else { 0x8000 | u16::from(*kind & 0x2f) };
            let connection = self.connection.to_be_bytes();
            let names_last = kind == 0x2a && value.is_empty();
            let value = if names_last { &connection } else { value };
            let is_signature = matches!(kind, 0x08 | 0x1c | 0x8028);
            let attribute = RawAttribute::new(kind.into(), value);
            if !is_signature && message.add_attribute(&attribute).is_err() {
                return;
            }
        }
        if let Some(message) = self.sign(client, message) {
            self.send(client, &message);
        }
    }

    /// Sends a datagram from the media engine to a relayed address. The first byte is the distance from the last one
    /// used.
    pub(crate) fn media_sends(&mut self, bytes: &[u8]) {
        let Some((&distance, payload)) = bytes.split_first() else {
            return;
        };
        let relayed = ([198, 51, 100, 7], self.relay_port.wrapping_add(distance.into())).into();
        let (now, media) = (self.now, MEDIA.into());
        self.buffer.clear();
        if self.server.handle_media(now, relayed, media, payload, &mut self.buffer).is_some() {
            assert!((payload.len()..=payload.len() + 51).contains(&self.buffer.len()));
        }
    }

    fn sign(&mut self, client: Client, mut message: MessageWriteVec) -> Option<Vec<u8>> {
        let Credentials { username, password } =
            credentials(&secret(), client.user, self.unix_now.as_secs(), 600);
        let realm = Config::default().realm;
        message.add_attribute(&Username::new(&username).ok()?).ok()?;
        message.add_attribute(&Realm::new(&realm).ok()?).ok()?;
        message.add_attribute(&Nonce::new(&self.nonce(client)).ok()?).ok()?;
        let key = LongTermKeyCredentials::new(username, password, realm).into();
        message.add_message_integrity(&key, IntegrityAlgorithm::Sha1).ok()?;
        Some(message.finish())
    }

    /// The nonce from the answer to a request without credentials.
    fn nonce(&mut self, client: Client) -> String {
        let request = [0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let transport = [0, 0x19, 0, 4, 17, 0, 0, 0];
        let request = [&request[..], &transport].concat();
        self.server.handle_datagram(self.now, self.unix_now, client.addr, &request);
        let answer = self.server.poll_transmit().expect("an Allocate is answered");
        let answer = Message::from_bytes(&answer.payload).expect("the answer is STUN");
        answer.attribute::<Nonce>().expect("a 401 has a nonce").nonce().to_owned()
    }
}

fn secret() -> Secret {
    Secret::new("the secret of the fuzz targets")
}
