//! A server, a clock, and clients that send exactly what a test specifies.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use madang_turn::{ClientAddr, Command, Config, Credentials, Secret, Server, credentials};
use stun_types::attribute::{
    Attribute, AttributeType, AttributeWrite, ErrorCode, Nonce, PasswordAlgorithm,
    PasswordAlgorithmValue, PasswordAlgorithms, RawAttribute, Realm, Software, Username,
};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials,
    MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, Method, TransactionId,
};
use turn_types::attribute::{
    ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

pub(crate) const MEDIA: &str = "198.51.100.7:5004";
pub(crate) const MEDIA_OTHER_PORT: &str = "198.51.100.7:5005";
pub(crate) const ALICE: &str = "203.0.113.5:40000";

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) now: Instant,
    pub(crate) unix_now: Duration,
    /// The commands that the server has issued so far.
    pub(crate) commands: Vec<Command>,
    /// Ports used by other programs.
    pub(crate) taken: Vec<u16>,
}

/// An arbitrary first instant, to which tests add durations: the standard library offers no other constructor.
#[expect(clippy::disallowed_methods, reason = "tests only add durations to this instant")]
pub(crate) fn test_now() -> Instant {
    Instant::now()
}

impl World {
    pub(crate) fn new() -> World {
        World::with(config())
    }

    pub(crate) fn with(config: Config) -> World {
        World {
            server: Server::new(&config, 1).unwrap(),
            now: test_now(),
            unix_now: Duration::from_secs(1_700_000_100),
            commands: Vec::new(),
            taken: Vec::new(),
        }
    }

    pub(crate) fn advance(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
        self.unix_now += Duration::from_secs(secs);
    }

    /// Sends a datagram; returns what the server hands to the media engine: sender, receiver, payload.
    pub(crate) fn send(
        &mut self,
        client: &str,
        datagram: &[u8],
    ) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        self.server
            .handle_datagram(self.now, self.unix_now, client_addr(client), datagram)
            .map(|relay| (relay.relayed, relay.peer, relay.payload.to_vec()))
    }

    /// Sends a datagram; returns the answer, empty when there is none.
    pub(crate) fn ask(&mut self, client: &str, datagram: &[u8]) -> Vec<u8> {
        assert_eq!(self.send(client, datagram), None);
        let done = self.carry_out_commands();
        self.commands.extend(done);
        let Some(answer) = self.server.poll_transmit() else {
            return Vec::new();
        };
        assert_eq!(answer.client, client_addr(client));
        assert_eq!(self.server.poll_transmit(), None);
        answer.payload
    }

    pub(crate) fn credentials(&self, user: &str) -> Credentials {
        credentials(&config().secret, user, self.unix_now.as_secs(), 86_400)
    }

    /// Valid credentials with a current nonce.
    pub(crate) fn login(&mut self, client: &str, user: &str) -> Login {
        let challenge = self.ask(client, &allocate().unsigned());
        Login::new(self.credentials(user), &challenge)
    }

    /// Credentials that expire at this moment, with a current nonce.
    pub(crate) fn expired_login(&mut self, client: &str, user: &str) -> Login {
        let challenge = self.ask(client, &allocate().unsigned());
        let expired = credentials(&config().secret, user, self.unix_now.as_secs(), 0);
        Login::new(expired, &challenge)
    }

    /// Valid credentials from a request that is long enough to be offered SHA-256.
    pub(crate) fn login_sha256(&mut self, client: &str, user: &str) -> Login {
        let software = Software::new("a client with a name").unwrap();
        let challenge = self.ask(client, &allocate().with(&software).unsigned());
        Login::new(self.credentials(user), &challenge)
    }

    /// Signs a request for `user` and sends it.
    pub(crate) fn ask_as(&mut self, client: &str, user: &str, request: Ask) -> Vec<u8> {
        let login = self.login(client, user);
        self.ask(client, &request.signed(&login))
    }

    /// Creates Alice's allocation; returns its relayed address.
    pub(crate) fn allocated(&mut self) -> SocketAddr {
        let answer = self.ask_as(ALICE, "alice", allocate());
        relayed(&answer)
    }

    /// Sends from the media engine; returns what the client receives.
    pub(crate) fn media_sends(
        &mut self,
        relayed: SocketAddr,
        media: &str,
        payload: &[u8],
    ) -> Option<(ClientAddr, Vec<u8>)> {
        let mut out = vec![0xee; 7];
        let (now, media) = (self.now, media.parse().unwrap());
        let client = self.server.handle_media(now, relayed, media, payload, &mut out)?;
        Some((client, out.split_off(7)))
    }

    /// Sends from a peer to the socket of a relayed address; returns what the client receives.
    pub(crate) fn peer_sends(
        &mut self,
        relayed: SocketAddr,
        peer: &str,
        payload: &[u8],
    ) -> Option<(ClientAddr, Vec<u8>)> {
        let mut out = Vec::new();
        let (now, peer) = (self.now, peer.parse().unwrap());
        let client = self.server.handle_peer(now, relayed, peer, payload, &mut out)?;
        Some((client, out))
    }

    /// Carries out the server's commands; returns them.
    pub(crate) fn carry_out_commands(&mut self) -> Vec<Command> {
        let mut done = Vec::new();
        while let Some(command) = self.server.poll_command() {
            if let Command::Open(relayed) | Command::Listen(relayed) = command {
                let is_open = !self.taken.contains(&relayed.port());
                self.server.handle_opened(self.now, relayed, is_open);
            }
            done.push(command);
        }
        done
    }
}

pub(crate) fn config() -> Config {
    Config {
        secret: Secret::new("the secret of the tests"),
        media: vec![MEDIA.parse().unwrap(), "198.51.100.8:5004".parse().unwrap()],
        relay_ips: vec!["198.51.100.7".parse().unwrap()],
        // Tests send many requests.
        strangers_per_second: 0,
        ..Config::default()
    }
}

/// The usual configuration, with these peers allowed as well.
pub(crate) fn open_to(allow_peers: &str) -> Config {
    let rules = allow_peers.split(',').map(|rule| rule.parse().unwrap());
    Config { allow_peers: rules.collect(), ..config() }
}

/// A configuration with relay addresses of both families.
pub(crate) fn dual_stack() -> Config {
    let relay_ips = ["198.51.100.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
    Config { relay_ips: relay_ips.to_vec(), ..config() }
}

#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) realm: String,
    pub(crate) nonce: String,
}

impl Login {
    /// Combines credentials with the realm and nonce of a 401 response.
    pub(crate) fn new(credentials: Credentials, challenge: &[u8]) -> Login {
        let message = Message::from_bytes(challenge).unwrap();
        Login {
            username: credentials.username,
            password: credentials.password,
            realm: message.attribute::<Realm>().unwrap().realm().to_owned(),
            nonce: message.attribute::<Nonce>().unwrap().nonce().to_owned(),
        }
    }

    fn key(&self) -> MessageIntegrityCredentials {
        LongTermKeyCredentials::new(
            self.username.clone(),
            self.password.clone(),
            self.realm.clone(),
        )
        .into()
    }

    pub(crate) fn has_signed(&self, answer: &[u8]) -> bool {
        let message = Message::from_bytes(answer).unwrap();
        message.validate_integrity(&self.key()).is_ok()
    }
}

/// A message under construction.
pub(crate) struct Ask {
    message: MessageWriteVec,
    transaction: TransactionId,
    has_fingerprint: bool,
}

impl Ask {
    pub(crate) fn request(method: Method) -> Ask {
        Ask::new(MessageClass::Request, method, TransactionId::generate())
    }

    pub(crate) fn new(class: MessageClass, method: Method, transaction: TransactionId) -> Ask {
        Ask {
            message: Message::builder(
                MessageType::from_class_method(class, method),
                transaction,
                MessageWriteVec::new(),
            ),
            transaction,
            has_fingerprint: false,
        }
    }

    pub(crate) fn with(mut self, attribute: &dyn AttributeWrite) -> Ask {
        self.message.add_attribute(attribute).unwrap();
        self
    }

    pub(crate) fn raw(self, kind: u16, value: &[u8]) -> Ask {
        self.with(&RawAttribute::new(kind.into(), value))
    }

    pub(crate) fn peer(self, addr: &str) -> Ask {
        let attribute = XorPeerAddress::new(addr.parse().unwrap(), self.transaction);
        self.with(&attribute)
    }

    pub(crate) fn fingerprint(mut self) -> Ask {
        self.has_fingerprint = true;
        self
    }

    pub(crate) fn unsigned(mut self) -> Vec<u8> {
        if self.has_fingerprint {
            self.message.add_fingerprint().unwrap();
        }
        self.message.finish()
    }

    /// Signs with SHA-256 (RFC 8489) and includes the offered list of algorithms.
    pub(crate) fn signed_sha256(self, login: &Login) -> Vec<u8> {
        let sha256 = PasswordAlgorithmValue::SHA256;
        self.with(&PasswordAlgorithms::new(&[sha256]))
            .with(&PasswordAlgorithm::new(sha256))
            .signed_with(login, IntegrityAlgorithm::Sha256)
    }

    pub(crate) fn signed(self, login: &Login) -> Vec<u8> {
        self.signed_with(login, IntegrityAlgorithm::Sha1)
    }

    pub(crate) fn signed_with(self, login: &Login, algorithm: IntegrityAlgorithm) -> Vec<u8> {
        let mut ask = self
            .with(&Username::new(&login.username).unwrap())
            .with(&Realm::new(&login.realm).unwrap())
            .with(&Nonce::new(&login.nonce).unwrap());
        ask.sign(login, algorithm);
        ask.unsigned()
    }

    pub(crate) fn sign(&mut self, login: &Login, algorithm: IntegrityAlgorithm) {
        self.message.add_message_integrity(&login.key(), algorithm).unwrap();
    }
}

/// An Allocate for UDP without options.
pub(crate) fn allocate() -> Ask {
    Ask::request(ALLOCATE).with(&RequestedTransport::new(RequestedTransport::UDP))
}

pub(crate) fn refresh(seconds: u32) -> Ask {
    Ask::request(REFRESH).with(&Lifetime::new(seconds))
}

pub(crate) fn permission(peer: &str) -> Ask {
    Ask::request(CREATE_PERMISSION).peer(peer)
}

pub(crate) fn bind(number: u16, peer: &str) -> Ask {
    Ask::request(CHANNEL_BIND).with(&ChannelNumber::new(number)).peer(peer)
}

pub(crate) fn indication(peer: &str, payload: &[u8]) -> Vec<u8> {
    Ask::new(MessageClass::Indication, SEND, TransactionId::generate())
        .peer(peer)
        .with(&Data::new(payload))
        .unsigned()
}

pub(crate) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = number.to_be_bytes().to_vec();
    datagram.extend((payload.len() as u16).to_be_bytes());
    datagram.extend(payload);
    datagram
}

/// Parses a client address; UDP unless it names a transport: `192.0.2.1:1/tcp`.
pub(crate) fn client_addr(text: &str) -> ClientAddr {
    let (addr, transport) = text.split_once('/').unwrap_or((text, "udp"));
    let addr = addr.parse().unwrap();
    match transport {
        "udp" => ClientAddr::udp(addr),
        "tcp" => ClientAddr::tcp(addr),
        "tls" => ClientAddr::tls(addr),
        "dtls" => ClientAddr::dtls(addr),
        other => panic!("{other}"),
    }
}

pub(crate) fn relayed(answer: &[u8]) -> SocketAddr {
    let message = Message::from_bytes(answer).unwrap();
    message.attribute::<XorRelayedAddress>().unwrap().addr(message.transaction_id())
}

pub(crate) fn lifetime(answer: &[u8]) -> u32 {
    let message = Message::from_bytes(answer).unwrap();
    message.attribute::<Lifetime>().unwrap().seconds()
}

/// The error code of an answer; 0 for success.
pub(crate) fn code(answer: &[u8]) -> u16 {
    let message = Message::from_bytes(answer).unwrap();
    match message.class() {
        MessageClass::Success => 0,
        MessageClass::Error => message.attribute::<ErrorCode>().unwrap().code(),
        other => panic!("an answer of class {other:?}"),
    }
}

pub(crate) fn kinds(answer: &[u8]) -> Vec<AttributeType> {
    let message = Message::from_bytes(answer).unwrap();
    let mut kinds = Vec::new();
    for (_offset, attribute) in message.iter_attributes() {
        kinds.push(attribute.get_type());
    }
    kinds
}
