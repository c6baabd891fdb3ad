//! DTLS between clients of the DTLS library and the server's sessions, over a wire whose loss each test sets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::certificate::generate_self_signed_certificate;
use dimpl::{Dtls, DtlsCertificate, Output};
use madang_turn::{
    ClientAddr, Config, DtlsEvent, DtlsIdentity, DtlsOutput, DtlsSessions, Server, UnfitKey,
};
use proptest::prelude::*;
use proptest::sample::Index;
use turn_types::attribute::XorRelayedAddress;

use crate::world::{
    ALICE, Login, MEDIA, World, allocate, bind, channel_data, code, config, refresh, test_now,
};
use stun_types::message::Message;

const BOB: &str = "203.0.113.6:40000";

#[test]
fn a_handshake_gets_through_a_lossy_wire() {
    let mut connected = 0;
    for seed in 0..30 {
        let mut world = Wire::new();
        (world.lost_per_1000, world.seed) = (200, seed);
        let mut alice = world.client(ALICE);
        world.connect(&mut alice);
        world.lost_per_1000 = 0;
        assert_eq!(world.sessions.handshakes(), 0);
        if !alice.is_connected {
            continue;
        }

        world.says(&mut alice, b"one");
        assert!(world.tells(&mut alice, b"two"));

        assert_eq!(world.messages, [(addr(ALICE), b"one".to_vec())]);
        assert_eq!(alice.heard, [b"two"]);
        assert_eq!(world.sessions.len(), 1);
        connected += 1;
    }
    // Both ends give up after 10 s. Few handshakes lose so many packets that this is too short.
    assert!(connected > 20, "{connected}");
}

#[test]
fn a_stranger_leaves_nothing_behind_and_gets_less_than_was_sent() {
    let mut world = Wire::new();
    let hello = world.client(ALICE).hello();

    for n in 0..100_000_u32 {
        let ip: [u8; 4] = (0x0a00_0000 + n).to_be_bytes();
        let sent = world.hears(ClientAddr::dtls((ip, 4000).into()), &hello);
        assert_eq!(sent.len(), 1);
        assert!(sent[0].1.len() < hello.len());
    }

    assert_eq!((world.sessions.handshakes(), world.sessions.len()), (0, 0));
    assert_eq!(world.sessions.poll_timeout(), None);
}

#[test]
fn a_stranger_who_is_not_welcome_gets_nothing() {
    let mut world = Wire::new();
    let hello = world.client(ALICE).hello();
    let mut out = DtlsOutput::default();

    world.sessions.handle_datagram(world.now, addr(ALICE), &hello, || false, &mut out);

    assert!(out.events.is_empty());
}

#[test]
fn a_client_that_has_nothing_in_common_with_the_server_is_told_so() {
    let mut world = Wire::new();
    let mut alice = world.client(ALICE);
    let mut old = alice.hello();
    // The version in the hello, as opposed to that of its record: DTLS 1.0.
    old[26] = 0xff;
    let too_old = world.hears(addr(ALICE), &old);
    let answers = world.hears(addr(ALICE), &alice.hello());
    alice.hear(world.now, &answers[0].1);
    let mut strange = alice.hello();
    // After version, random, session and cookie: the list of cipher suites, replaced by unknown ones.
    let suites = 25 + 34 + 1 + 33;
    let length = usize::from(u16::from_be_bytes([strange[suites], strange[suites + 1]]));
    strange[suites + 2..suites + 2 + length].fill(0);
    let nothing_shared = world.hears(addr(ALICE), &strange);

    // Fatal alerts (RFC 5246 §7.2): protocol_version, handshake_failure.
    for (answers, alert) in [(too_old, 70), (nothing_shared, 40)] {
        let [(_, datagram)] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((datagram[0], &datagram[13..]), (21, &[2, alert][..]));
    }
    assert_eq!((world.sessions.handshakes(), world.sessions.len()), (0, 0));
}

#[test]
fn a_flood_in_somebodys_name_does_not_keep_out_who_has_a_cookie() {
    let mut world = Wire::new();
    let mut alice = world.client(ALICE);
    let answers = world.hears(addr(ALICE), &alice.hello());
    alice.hear(world.now, &answers[0].1);

    let mut out = DtlsOutput::default();
    world.sessions.handle_datagram(world.now, addr(ALICE), &alice.hello(), || false, &mut out);

    assert_eq!(world.sessions.handshakes(), 1);
}

#[test]
fn hellos_count_against_what_a_network_may_ask() {
    let mut world = Wire::new();
    let mut turn = World::with(Config { strangers_per_second: 10, ..config() });
    let hello = world.client(ALICE).hello();

    let mut out = DtlsOutput::default();
    for port in 0..1000 {
        let from = ClientAddr::dtls(([203, 0, 113, 5], port).into());
        let is_allowed = || turn.server.allows_handshake(turn.now, from);
        world.sessions.handle_datagram(world.now, from, &hello, is_allowed, &mut out);
    }

    // A burst of twice the rate.
    assert_eq!(out.events.len(), 20);
    assert_eq!(turn.server.stats().dropped_strangers, 980);
}

#[test]
fn a_cookie_is_good_at_one_address_and_for_a_minute() {
    let mut world = Wire::new();
    let mut alice = world.client(ALICE);
    let answers = world.hears(addr(ALICE), &alice.hello());
    alice.hear(world.now, &answers[0].1);
    let with_cookie = alice.hello();

    let elsewhere = world.hears(addr(BOB), &with_cookie);
    let at_another_port = addr(ALICE).at("198.51.100.1:5350".parse().unwrap());
    let at_another_port = world.hears(at_another_port, &with_cookie);
    world.now += Duration::from_secs(61);
    let late = world.hears(addr(ALICE), &with_cookie);

    for answers in [elsewhere, at_another_port, late] {
        // Another HelloVerifyRequest (RFC 6347 §4.2.1).
        assert_eq!((answers.len(), answers[0].1[13]), (1, 3));
    }
    assert_eq!(world.sessions.handshakes(), 0);
}

#[test]
fn a_client_that_was_started_again_gets_in_and_its_former_allocation_ends() {
    let mut world = Wire::new();
    let mut former = world.client(ALICE);
    world.connect(&mut former);
    world.says(&mut former, b"before");
    let mut again = world.client(ALICE);

    let answers = world.hears(addr(ALICE), &again.hello());
    again.hear(world.now, &answers[0].1);
    world.hears(addr(ALICE), &again.hello());
    // The handshake is in progress, and the previous session still exists.
    assert_eq!((world.sessions.handshakes(), world.sessions.len()), (1, 1));
    world.says(&mut former, b"still here");
    world.connect(&mut again);
    world.says(&mut again, b"after");

    let texts = [&b"before"[..], b"still here", b"after"].map(|text| (addr(ALICE), text.to_vec()));
    assert_eq!(world.messages, texts);
    assert_eq!(world.ended, [addr(ALICE)]);
    assert_eq!((world.sessions.handshakes(), world.sessions.len()), (0, 1));
}

#[test]
fn forged_datagrams_end_nobodys_session() {
    let mut world = Wire::new();
    let mut alice = world.client(ALICE);
    let hello = alice.hello();
    world.connect(&mut alice);
    let stranger = world.client(ALICE).hello();
    // An unencrypted fatal alert, one in the client's next epoch, and a malformed handshake message.
    let alert = [&[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2][..], &[2, 40]].concat();
    let mut encrypted = alert.clone();
    encrypted[4] = 1;
    let finished = [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 24][..], &[20; 24]].concat();

    for forged in [&hello, &stranger, &alert, &encrypted, &finished, &vec![0xff; 1000]] {
        world.hears(addr(ALICE), forged);
        assert_eq!(world.sessions.handshakes(), 0);
    }
    world.says(&mut alice, b"still here");

    assert_eq!(world.messages, [(addr(ALICE), b"still here".to_vec())]);
    assert_eq!(world.ended, []);
}

#[test]
fn a_repeated_datagram_is_one_message() {
    let mut world = Wire::new();
    let mut alice = world.client(ALICE);
    world.connect(&mut alice);
    alice.dtls.send_application_data(b"once").unwrap();
    let datagrams = alice.poll();

    world.hears(addr(ALICE), &datagrams[0]);
    world.hears(addr(ALICE), &datagrams[0]);

    assert_eq!(world.messages.len(), 1);
}

#[test]
fn handshakes_are_few_and_the_oldest_makes_room() {
    let mut world = Wire::new();
    for n in 0..20 {
        world.begin(&format!("203.0.113.5:{}", 40_000 + n));
    }
    assert_eq!((world.sessions.handshakes(), world.sessions.refused()), (16, 4));

    for n in 0..300 {
        world.begin(&format!("10.0.{}.{}:4000", n / 100, n % 100));
    }
    assert_eq!(world.sessions.handshakes(), 256);
    assert_eq!(world.sessions.refused(), 4 + 16 + 300 - 256);
    assert_eq!(world.sessions.failed(), 0);
    world.now += Duration::from_secs(3);
    let mut late = world.client("192.0.2.1:4000");
    world.connect(&mut late);
    assert!(late.is_connected);
    assert_eq!((world.sessions.handshakes(), world.sessions.failed()), (255, 1));

    world.now += Duration::from_secs(8);
    world.passes();
    assert_eq!((world.sessions.handshakes(), world.sessions.failed()), (0, 256));
    assert_eq!(world.sessions.poll_timeout(), None);
    // Their quota is free again.
    world.begin(ALICE);
    assert_eq!(world.sessions.handshakes(), 1);
}

#[test]
fn what_the_client_does_not_answer_is_sent_again() {
    let mut world = Wire::new();
    world.begin(ALICE);
    let at = world.sessions.poll_timeout().unwrap();

    world.now = at;
    let sent = world.passes();

    assert!(!sent.is_empty() && sent.iter().all(|(to, _)| *to == addr(ALICE)));
    assert!(world.sessions.poll_timeout().unwrap() > at);
}

#[test]
fn a_session_without_an_allocation_is_closed_after_half_a_minute() {
    let mut world = Wire::new();
    let [mut alice, mut bob] = [ALICE, BOB].map(|client| world.client(client));
    world.connect(&mut alice);
    world.connect(&mut bob);

    for seconds in [0, 29, 30] {
        world.now += Duration::from_secs(if seconds == 30 { 1 } else { seconds });
        let mut out = DtlsOutput::default();
        world.sessions.sweep(world.now, |client| client == addr(BOB), &mut out);
        for (to, datagram) in world.take(out) {
            assert_eq!(to, addr(ALICE));
            alice.hear(world.now, &datagram);
        }
    }

    assert!(alice.is_closed && !bob.is_closed);
    assert_eq!((world.sessions.len(), &world.ended[..]), (1, &[addr(ALICE)][..]));
    assert!(!world.tells(&mut alice, b"late"));
}

#[test]
fn everybody_is_told_when_the_server_ends() {
    let mut world = Wire::new();
    let mut alice = world.client(ALICE);
    world.connect(&mut alice);

    let mut out = DtlsOutput::default();
    world.sessions.close_all(&mut out);
    for (_, datagram) in world.take(out) {
        alice.hear(world.now, &datagram);
    }

    assert!(alice.is_closed);
    assert!(world.sessions.is_empty());
}

#[test]
fn a_goodbye_ends_the_allocation_at_once() {
    let (mut world, mut turn) = (Wire::new(), World::new());
    let mut alice = world.client(ALICE);
    world.connect(&mut alice);
    let client = addr(ALICE);
    let challenge = turn_asks(&mut turn, client, &allocate().unsigned());
    let login = Login::new(turn.credentials("alice"), &challenge);
    assert_eq!(code(&turn_asks(&mut turn, client, &allocate().signed(&login))), 0);
    assert_eq!(turn.server.stats().allocations_dtls, 1);

    alice.dtls.close().unwrap();
    for datagram in alice.poll() {
        world.hears(addr(ALICE), &datagram);
    }
    for ended in world.ended.drain(..) {
        turn.server.handle_closed(ended);
    }

    let stats = turn.server.stats();
    assert_eq!((stats.allocations, stats.allocations_dtls, stats.allocations_closed), (0, 0, 1));
    assert_eq!(world.sessions.len(), 0);
}

#[test]
fn the_server_knows_the_client_by_its_transport() {
    let mut turn = World::new();
    let by_udp = ClientAddr::udp(ALICE.parse().unwrap());
    let by_dtls = addr(ALICE);
    let of_udp = Login::new(
        turn.credentials("alice"),
        &turn_asks(&mut turn, by_udp, &allocate().unsigned()),
    );
    let challenge = turn_asks(&mut turn, by_dtls, &allocate().unsigned());
    let of_dtls = Login::new(turn.credentials("alice"), &challenge);
    let guessed = Login { password: "a guess".to_owned(), ..of_dtls.clone() };

    // The nonce of one transport is stale for the other.
    assert_eq!(code(&turn_asks(&mut turn, by_dtls, &allocate().signed(&of_udp))), 438);
    assert_eq!(code(&turn_asks(&mut turn, by_dtls, &allocate().signed(&guessed))), 401);
    let allocated = turn_asks(&mut turn, by_dtls, &allocate().signed(&of_dtls));
    assert_eq!(code(&allocated), 0);
    assert_eq!(code(&turn_asks(&mut turn, by_udp, &refresh(600).signed(&of_udp))), 437);
    assert_eq!(code(&turn_asks(&mut turn, by_dtls, &bind(0x4000, MEDIA).signed(&of_dtls))), 0);

    // Messages are not padded: a record has its own length.
    let message = Message::from_bytes(&allocated).unwrap();
    let relayed = message.attribute::<XorRelayedAddress>().unwrap();
    let relayed = relayed.addr(message.transaction_id());
    let framed = turn.media_sends(relayed, MEDIA, b"three");
    assert_eq!(framed, Some((by_dtls, channel_data(0x4000, b"three"))));
}

#[test]
fn a_renewed_certificate_is_shown_to_those_who_come_later() {
    let mut world = Wire::new();
    let [mut alice, mut bob] = [ALICE, BOB].map(|client| world.client(client));
    world.connect(&mut alice);
    let renewed = generate_self_signed_certificate().unwrap();
    world.sessions.set_identity(identity(&renewed));
    world.connect(&mut bob);

    assert_eq!(bob.certificate, renewed.certificate);
    assert_ne!(alice.certificate, renewed.certificate);
    world.says(&mut alice, b"still here");
    assert_eq!(world.messages.len(), 1);
}

#[test]
fn a_key_that_is_not_for_dtls_is_refused_before_anybody_comes() {
    let made = generate_self_signed_certificate().unwrap();
    for key in [&[][..], b"-----BEGIN PRIVATE KEY-----", &made.certificate, &[0x30; 120]] {
        assert_eq!(DtlsIdentity::new(made.certificate.clone(), key.to_vec()), Err(UnfitKey));
    }
    assert_eq!(DtlsIdentity::new(Vec::new(), made.private_key), Err(UnfitKey));
}

#[test]
fn what_no_record_can_hold_is_not_sent() {
    let mut world = Wire::new();
    let mut alice = world.client(ALICE);
    world.connect(&mut alice);

    assert!(!world.tells(&mut alice, &[1; 16_385]));
    assert!(world.tells(&mut alice, &[2; 16_384]));

    assert_eq!(alice.heard, [[2; 16_384]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a client's datagrams are damaged on the way, nothing panics or grows, and everything ends in time.
    #[test]
    fn spoilt_flights_do_no_harm(
        spoilings in proptest::collection::vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..24),
    ) {
        let mut world = Wire::new();
        let mut alice = world.client(ALICE);
        for round in spoilings.chunks(4) {
            let mut to_client = Vec::new();
            for mut datagram in std::mem::take(&mut alice.waiting) {
                // Delivered undamaged at first, so that there is an exchange to damage.
                to_client.extend(world.hears(addr(ALICE), &datagram));
                for (at, byte, how) in round {
                    let at = at.index(datagram.len());
                    match how {
                        0 => datagram.truncate(at + 1),
                        1 => datagram.extend_from_within(at..),
                        _ => datagram[at] = *byte,
                    }
                    let sent = world.hears(addr(ALICE), &datagram);
                    prop_assert!(sent.iter().map(|(_, sent)| sent.len()).sum::<usize>() < 8000);
                }
            }
            for (_, datagram) in to_client {
                // A forged unencrypted close_notify may have ended the session.
                if alice.dtls.handle_packet(&datagram).is_err() {
                    break;
                }
                let sent = alice.poll();
                alice.waiting.extend(sent);
            }
            prop_assert!(world.sessions.handshakes() <= 1 && world.sessions.len() <= 1);
        }
        world.now += Duration::from_secs(11);
        world.passes();
        prop_assert_eq!(world.sessions.handshakes(), 0);
        prop_assert_eq!(world.sessions.poll_timeout(), None);
    }
}

/// The server's sessions, and what they have produced.
struct Wire {
    sessions: DtlsSessions,
    now: Instant,
    messages: Vec<(ClientAddr, Vec<u8>)>,
    ended: Vec<ClientAddr>,
    lost_per_1000: u64,
    seed: u64,
}

impl Wire {
    fn new() -> Wire {
        let now = test_now();
        let made = generate_self_signed_certificate().unwrap();
        Wire {
            sessions: DtlsSessions::new(now, &[7; 32], identity(&made)).unwrap(),
            now,
            messages: Vec::new(),
            ended: Vec::new(),
            lost_per_1000: 0,
            seed: 1,
        }
    }

    fn client(&self, from: &str) -> Client {
        let config = dimpl::Config::builder().require_client_certificate(false).build().unwrap();
        let certificate = generate_self_signed_certificate().unwrap();
        let mut dtls = Dtls::new_12(Arc::new(config), certificate, self.now);
        dtls.set_active(true);
        let mut client = Client {
            dtls,
            addr: addr(from),
            is_connected: false,
            is_closed: false,
            certificate: Vec::new(),
            heard: Vec::new(),
            waiting: Vec::new(),
            wake_at: self.now,
        };
        client.dtls.handle_timeout(self.now).unwrap();
        client.waiting = client.poll();
        client
    }

    /// Delivers a datagram; returns what the server sends in response.
    fn hears(&mut self, from: ClientAddr, datagram: &[u8]) -> Vec<(ClientAddr, Vec<u8>)> {
        let mut out = DtlsOutput::default();
        self.sessions.handle_datagram(self.now, from, datagram, || true, &mut out);
        self.take(out)
    }

    /// Runs the server's timeouts; returns what it sends.
    fn passes(&mut self) -> Vec<(ClientAddr, Vec<u8>)> {
        let mut out = DtlsOutput::default();
        self.sessions.handle_timeout(self.now, &mut out);
        self.take(out)
    }

    fn take(&mut self, out: DtlsOutput) -> Vec<(ClientAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        for event in out.events {
            match event {
                DtlsEvent::Transmit(to, range) => sent.push((to, out.bytes[range].to_vec())),
                DtlsEvent::Message(from, range) => {
                    self.messages.push((from, out.bytes[range].to_vec()));
                }
                DtlsEvent::Ended(client) => self.ended.push(client),
            }
        }
        sent
    }

    /// Starts a handshake; the server's first flight is lost.
    fn begin(&mut self, from: &str) {
        let mut client = self.client(from);
        let answers = self.hears(client.addr, &client.hello());
        client.hear(self.now, &answers[0].1);
        self.hears(client.addr, &client.hello());
    }

    /// Exchanges datagrams until the client is connected or has given up.
    fn connect(&mut self, client: &mut Client) {
        let end = self.now + Duration::from_secs(60);
        while self.now < end && !(client.is_connected && client.waiting.is_empty()) {
            let mut to_client = Vec::new();
            for datagram in std::mem::take(&mut client.waiting) {
                if !self.is_lost() {
                    to_client.extend(self.hears(client.addr, &datagram));
                }
            }
            to_client.extend(self.passes());
            let mut is_quiet = to_client.is_empty();
            for (to, datagram) in to_client {
                if to == client.addr && !self.is_lost() {
                    client.hear(self.now, &datagram);
                }
            }
            is_quiet &= client.waiting.is_empty();
            if is_quiet {
                let wakes = [Some(client.wake_at), self.sessions.poll_timeout()];
                self.now = wakes.into_iter().flatten().min().unwrap().max(self.now);
                if client.dtls.handle_timeout(self.now).is_err() {
                    // The server's timeouts are its own.
                    self.now = end;
                    self.passes();
                    return;
                }
                client.waiting = client.poll();
            }
        }
    }

    fn says(&mut self, client: &mut Client, message: &[u8]) {
        client.dtls.send_application_data(message).unwrap();
        for datagram in client.poll() {
            self.hears(client.addr, &datagram);
        }
    }

    /// Sends a message to a client, as one datagram.
    fn tells(&mut self, client: &mut Client, message: &[u8]) -> bool {
        let mut out = DtlsOutput::default();
        let is_sent = self.sessions.send(client.addr, message, &mut out);
        let sent = self.take(out);
        assert_eq!(sent.len(), usize::from(is_sent));
        for (_, datagram) in sent {
            client.hear(self.now, &datagram);
        }
        is_sent
    }

    fn is_lost(&mut self) -> bool {
        // SplitMix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 33) % 1000 < self.lost_per_1000
    }
}

/// The client's end.
struct Client {
    dtls: Dtls,
    addr: ClientAddr,
    is_connected: bool,
    is_closed: bool,
    /// The certificate that the server presented.
    certificate: Vec<u8>,
    heard: Vec<Vec<u8>>,
    /// Datagrams waiting to be sent.
    waiting: Vec<Vec<u8>>,
    wake_at: Instant,
}

impl Client {
    /// The last datagram that it wants to send.
    fn hello(&self) -> Vec<u8> {
        self.waiting.last().unwrap().clone()
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) {
        self.dtls.handle_timeout(now).unwrap();
        self.dtls.handle_packet(datagram).unwrap();
        let sent = self.poll();
        self.waiting.extend(sent);
    }

    fn poll(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut buffer = vec![0; 20_000];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => sent.push(packet.to_vec()),
                Output::Timeout(at) => {
                    self.wake_at = at;
                    return sent;
                }
                Output::Connected => self.is_connected = true,
                Output::ApplicationData(message) => self.heard.push(message.to_vec()),
                Output::PeerCert(der) => self.certificate = der.to_vec(),
                Output::CloseNotify => self.is_closed = true,
                Output::BufferTooSmall { needed } => panic!("{needed} bytes at once"),
                _ => {}
            }
        }
    }
}

fn turn_asks(turn: &mut World, client: ClientAddr, message: &[u8]) -> Vec<u8> {
    let server: &mut Server = &mut turn.server;
    assert_eq!(server.handle_datagram(turn.now, turn.unix_now, client, message), None);
    let answer = server.poll_transmit().unwrap();
    assert_eq!(answer.client, client);
    answer.payload
}

fn identity(made: &DtlsCertificate) -> DtlsIdentity {
    DtlsIdentity::new(made.certificate.clone(), made.private_key.clone()).unwrap()
}

fn addr(text: &str) -> ClientAddr {
    ClientAddr::dtls(text.parse().unwrap())
}
