//! A TURN server, its clock, and clients with good credentials.
#![allow(dead_code, reason = "strangers need less of it")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use madang_turn::{ClientAddr, Config, Credentials, Secret, Server, credentials};
use stun_types::attribute::{Nonce, RawAttribute, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageType, MessageWrite,
    MessageWriteExt, MessageWriteVec,
};

pub(crate) const ALICE: ([u8; 4], u16) = ([203, 0, 113, 5], 40_000);
pub(crate) const BOB: ([u8; 4], u16) = ([203, 0, 113, 6], 40_000);
const MEDIA: ([u8; 4], u16) = ([198, 51, 100, 7], 5004);

pub(crate) struct World {
    pub(crate) server: Server,
    /// Datagrams that went to the media engine.
    pub(crate) relayed: usize,
    relay_port: u16,
    now: Instant,
    unix_now: Duration,
    nonce: String,
    buffer: Vec<u8>,
}

impl World {
    pub(crate) fn new() -> World {
        let config = Config {
            secret: secret(),
            media: vec![MEDIA.into()],
            relay_ips: vec![[198, 51, 100, 7].into()],
            relay_ports: 49_152..=49_155,
            max_allocations_per_user: 1,
            strangers_per_second: 0,
            ..Config::default()
        };
        let mut world = World {
            server: Server::new(&config, 1).expect("the configuration is good"),
            relayed: 0,
            relay_port: 0,
            now: Instant::now(),
            unix_now: Duration::from_secs(1_700_000_100),
            nonce: String::new(),
            buffer: Vec::new(),
        };
        world.renew_nonce();
        world
    }

    pub(crate) fn advance(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
        self.unix_now += Duration::from_secs(secs);
        self.server.handle_timeout(self.now);
        self.renew_nonce();
    }

    /// Sends a datagram; tells how long the answers are.
    pub(crate) fn send(&mut self, client: ([u8; 4], u16), datagram: &[u8]) -> usize {
        let from = ClientAddr::udp(client.into());
        if let Some(relay) = self.server.handle_datagram(self.now, self.unix_now, from, datagram) {
            assert_eq!(relay.peer, SocketAddr::from(MEDIA));
            assert!(relay.payload.len() <= datagram.len());
            self.relayed += 1;
            self.relay_port = relay.relayed.port();
        }
        let mut bytes = 0;
        while let Some(answer) = self.server.poll_transmit() {
            assert_eq!(answer.client, from);
            assert!(Message::from_bytes(&answer.payload).is_ok());
            bytes += answer.payload.len();
        }
        bytes
    }

    /// Signs a request. Method and class are the first two bytes; attributes follow, each with a byte for its kind and
    /// one for its length.
    pub(crate) fn ask(&mut self, client: ([u8; 4], u16), bytes: &[u8]) {
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
            // The lower half of all kinds, in which those of STUN and TURN are; and a few of the upper.
            let kind =
                if *kind < 0xf0 { u16::from(*kind) } else { 0x8000 | u16::from(*kind & 0x2f) };
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

    /// What the media engine sends to a relayed address; the first byte says how far from the last that was used.
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

    fn sign(&self, client: ([u8; 4], u16), mut message: MessageWriteVec) -> Option<Vec<u8>> {
        let user = if client == ALICE { "alice" } else { "bob" };
        let Credentials { username, password } =
            credentials(&secret(), user, self.unix_now.as_secs(), 600);
        let realm = Config::default().realm;
        message.add_attribute(&Username::new(&username).ok()?).ok()?;
        message.add_attribute(&Realm::new(&realm).ok()?).ok()?;
        message.add_attribute(&Nonce::new(&self.nonce).ok()?).ok()?;
        let key = LongTermKeyCredentials::new(username, password, realm).into();
        message.add_message_integrity(&key, IntegrityAlgorithm::Sha1).ok()?;
        Some(message.finish())
    }

    /// From the answer to a request without any.
    fn renew_nonce(&mut self) {
        let request = [0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let transport = [0, 0x19, 0, 4, 17, 0, 0, 0];
        let request = [&request[..], &transport].concat();
        self.server.handle_datagram(
            self.now,
            self.unix_now,
            ClientAddr::udp(ALICE.into()),
            &request,
        );
        let answer = self.server.poll_transmit().expect("an Allocate is answered");
        let answer = Message::from_bytes(&answer.payload).expect("the answer is STUN");
        let nonce = answer.attribute::<Nonce>().expect("a 401 has a nonce");
        nonce.nonce().clone_into(&mut self.nonce);
    }
}

fn secret() -> Secret {
    Secret::new("the secret of the fuzz targets")
}

/// Pieces, each behind its length in 16 bits; the last one may be cut off.
pub(crate) fn cut(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        bytes = rest;
        Some(piece)
    })
}
