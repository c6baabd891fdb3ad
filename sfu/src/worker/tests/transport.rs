//! Paths of media: roaming, foreign addresses, consent, TCP.

use std::time::Duration;

use super::client::{Client, World};
use super::pair;
use crate::transport::dtls::MTU;
use crate::transport::framing::{Backlog, Deframer};
use crate::transport::ice::CONSENT_EXPIRY;
use crate::transport::path::{ConnectionId, Path};
use crate::{Event, PeerId};

const SECOND: Duration = Duration::from_secs(1);

fn elsewhere(port: u16) -> Path {
    Path::Udp(([203, 0, 113, 9], port).into(), None)
}

fn connection(id: u32) -> Path {
    Path::Tcp(ConnectionId(id), ([203, 0, 113, 9], 7000).into())
}

#[test]
fn media_follows_a_nominating_check_to_another_address() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);

    b.move_to_path(elsewhere(1));
    b.probe(&mut world);
    a.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1, "a check without nomination moves nothing");

    b.check(&mut world);
    a.send_video(&mut world, 3, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2);
}

#[test]
fn a_publisher_that_moves_continues_without_a_handshake() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    let under_way = a.video(2, false);
    let before = a.path();

    a.move_to_path(elsewhere(1));
    a.check(&mut world);
    a.send_video(&mut world, 3, false);
    world.hand_in(before, &under_way);
    world.exchange(&mut [&mut a, &mut b]);

    assert_eq!(b.received.len(), 3, "packets in flight from the old address count");
}

#[test]
fn an_abandoned_address_is_foreign_once_its_consent_has_expired() {
    let (mut world, mut a, mut b) = pair();
    let left = a.path();
    a.move_to_path(elsewhere(1));
    for _ in 0..CONSENT_EXPIRY.as_secs() + 1 {
        a.check(&mut world);
        b.check(&mut world);
        world.advance(SECOND);
    }

    let dropped = world.worker.stats().dropped_unvalidated;
    let datagram = a.video(1, true);
    world.hand_in(left, &datagram);
    assert_eq!(world.worker.stats().dropped_unvalidated, dropped + 1);

    a.send_video(&mut world, 2, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1, "media arrives from the address that is checked");
}

#[test]
fn nothing_is_sent_to_a_path_whose_consent_has_expired() {
    let (mut world, mut a, mut b) = pair();
    for _ in 0..CONSENT_EXPIRY.as_secs() / 2 {
        world.advance(SECOND);
        a.check(&mut world);
    }
    let silent = b.path();
    b.move_to_path(elsewhere(1));
    b.probe(&mut world);
    for _ in 0..=CONSENT_EXPIRY.as_secs() / 2 {
        world.advance(SECOND);
        a.check(&mut world);
    }
    world.forget_sent();

    a.send_video(&mut world, 1, true);

    assert!(!world.has_sent_to(silent));
    assert!(world.has_sent_to(b.path()), "the other path takes over");
}

#[test]
fn datagrams_from_foreign_addresses_are_dropped() {
    let (mut world, mut a, mut b) = pair();
    world.exchange(&mut [&mut a, &mut b]);
    let before = world.worker.stats();
    let datagram = a.video(1, true);
    let Path::Udp(same, _) = a.path() else { unreachable!("clients start on UDP") };

    // The same client at another address of this host is a different pair of addresses.
    let to_another = Path::Udp(same, Some([192, 0, 2, 2].into()));
    let foreign = [elsewhere(1), to_another, Path::Relay(same), Path::Tcp(ConnectionId(1), same)];
    for path in foreign {
        world.hand_in(path, &datagram);
        world.hand_in(path, b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\0");
        world.hand_in(path, b"\x80\xc8\0\0");
    }
    let stats = world.worker.stats();
    assert_eq!(stats.dropped_unvalidated - before.dropped_unvalidated, 3 * foreign.len() as u64);

    // An address validated for one peer is valid for that peer only.
    world.hand_in(b.path(), &datagram);
    assert_eq!(world.worker.stats().dropped_srtp, before.dropped_srtp + 1);
    world.exchange(&mut [&mut a, &mut b]);
    assert!(b.received.is_empty());
}

#[test]
fn an_invalid_check_validates_nothing() {
    let (mut world, mut a, mut b) = pair();
    world.exchange(&mut [&mut a, &mut b]);
    let home = b.path();
    let password = b.forget_password();
    b.move_to_path(elsewhere(1));
    world.forget_sent();
    b.check(&mut world);
    assert!(!world.worker.is_validated(elsewhere(1)));
    assert!(!world.has_sent_to(elsewhere(1)), "no response either");

    b.remember_password(password);
    b.move_to_path(home);
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);
}

#[test]
fn an_address_belongs_to_whoever_proved_it_last() {
    let (mut world, mut a, mut b) = pair();
    let home = a.path();
    b.move_to_path(home);
    b.check(&mut world);
    world.forget_sent();

    let datagram = a.video(1, true);
    world.hand_in(home, &datagram);
    assert_eq!(world.worker.stats().dropped_srtp, 1, "the address belongs to the other peer");

    a.move_to_path(elsewhere(1));
    a.check(&mut world);
    a.send_video(&mut world, 2, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);
}

#[test]
fn a_call_works_over_tcp_and_comes_back_on_another_connection() {
    let (mut world, mut a, mut b) = pair();
    let mut c = Client::new(3);
    c.move_to_path(connection(1));
    let answer = world.offer(3, &c.offer_with_slots(3, 1)).unwrap();
    c.learn(&answer.sdp);
    world.connect(&mut c);
    assert!(c.is_connected());

    a.send_audio(&mut world, 1);
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(c.received.len(), 1);

    world.worker.forget_path(connection(1));
    world.forget_sent();
    a.send_audio(&mut world, 2);
    assert!(!world.has_sent_to(connection(1)), "nothing is sent to a closed connection");
    world.exchange(&mut [&mut a, &mut b]);

    // From the same address, but over another connection.
    c.move_to_path(connection(2));
    a.send_audio(&mut world, 3);
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(c.received.len(), 1, "nothing is sent before its check");
    c.check(&mut world);
    a.send_audio(&mut world, 4);
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    assert_eq!(c.received.len(), 2);
    let gone = |event: &Event| matches!(event, Event::Disconnected { peer: PeerId(3), .. });
    assert!(!world.events.iter().any(gone));
}

#[test]
fn media_in_a_stream_arrives_however_the_stream_is_divided() {
    for piece in [1, 2, 3, 7, 64, 1000, 100_000] {
        let (mut world, mut a, mut b) = pair();
        a.move_to_path(connection(1));
        a.check(&mut world);
        let mut stream = Vec::new();
        for number in 1..=5 {
            stream.extend(framed(&a.video(number, number == 1)));
            // Null packets, and lengths beyond the longest datagram.
            stream.extend([0, 0, 0xff, 0xff]);
            stream.extend(vec![0x80; 0xffff]);
        }

        let mut deframer = Deframer::default();
        for mut piece in stream.chunks(piece) {
            while let Some(datagram) = deframer.next(&mut piece) {
                world.hand_in(a.path(), datagram);
            }
        }
        world.exchange(&mut [&mut a, &mut b]);

        assert_eq!(b.received.len(), 5, "in pieces of {piece}");
        assert_eq!(world.worker.stats().dropped_srtp, 0);
    }
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut backlog = Backlog::default();
    assert!(backlog.push(datagram));
    backlog.parts().0.to_vec()
}

#[test]
fn datagrams_made_by_the_server_fit_every_path() {
    let (mut world, mut a, mut b) = pair();
    // As many missing packets as possible, in the pattern that needs the most words in a NACK.
    for number in (0..14_000).step_by(18) {
        a.send_video(&mut world, number, number == 0);
        if number % 180 == 0 {
            world.advance(Duration::from_millis(10));
            world.exchange(&mut [&mut a, &mut b]);
        }
    }
    for peer in 10..20 {
        world.join(peer);
    }
    for _ in 0..3 {
        world.advance(SECOND);
        world.exchange(&mut [&mut a, &mut b]);
    }

    assert!(a.nacked.len() > 250 && b.sender_reports > 0);
    assert!(world.longest_control <= MTU, "{} bytes", world.longest_control);
    assert!(world.longest_control > MTU / 2, "the handshake has long datagrams");
}

/// Whether the peer is still connected after two times the consent's life, in which it does this every second.
fn survives(act: impl Fn(&mut World, &mut Client, u16)) -> bool {
    let (mut world, mut a, mut b) = pair();
    for second in 0..2 * CONSENT_EXPIRY.as_secs() {
        act(&mut world, &mut a, second as u16);
        b.check(&mut world);
        world.advance(SECOND);
    }
    world.exchange(&mut [&mut a, &mut b]);
    world.worker.has_peer(PeerId(1))
}

#[test]
fn authentic_media_is_a_sign_of_life_and_nothing_else_is() {
    assert!(survives(|world, client, second| client.send_video(world, second, true)), "RTP");
    assert!(survives(|world, client, _| client.send_pli(world, "4")), "RTCP");
    assert!(survives(|world, client, _| client.check(world)), "checks");
    assert!(!survives(|_, _, _| ()));
    assert!(!survives(|world, client, second| {
        let mut forged = client.video(second, true);
        let last = forged.len() - 1;
        forged[last] ^= 1;
        world.hand_in(client.path(), &forged);
    }));
    assert!(!survives(|world, client, _| {
        let replayed = client.video(1, true);
        world.hand_in(client.path(), &replayed);
    }));
}

#[test]
fn media_leaves_a_nominated_path_on_which_nothing_arrives() {
    let (mut world, mut a, mut b) = pair();
    let used = b.path();
    b.move_to_path(elsewhere(1));
    b.check(&mut world);
    b.move_to_path(used);
    let mut received = Vec::new();
    for second in 0..6 {
        // As a libnice client does: checks without nomination, and reports.
        b.probe(&mut world);
        b.send_pli(&mut world, "4");
        a.check(&mut world);
        world.advance(SECOND);
        world.forget_sent();
        a.send_video(&mut world, second, true);
        received.push(world.has_sent_to(used));
    }
    assert_eq!(received, [false, false, false, true, true, true]);
}

#[test]
fn media_stays_on_a_nominated_path_that_is_alive() {
    let (mut world, mut a, mut b) = pair();
    let before = b.path();
    for second in 0..20 {
        b.move_to_path(elsewhere(1));
        b.check(&mut world);
        b.move_to_path(before);
        b.probe(&mut world);
        b.send_pli(&mut world, "4");
        world.advance(SECOND);
        a.check(&mut world);
        world.forget_sent();
        a.send_video(&mut world, second, true);
        assert!(world.has_sent_to(elsewhere(1)), "second {second}");
    }
}

#[test]
fn an_ice_restart_whose_answer_is_lost_leaves_the_connection_as_it_is() {
    let (mut world, mut a, mut b) = pair();
    let before = b.clone_credentials();
    for _ in 0..3 {
        b.restart_ice();
        let answer = world.offer(2, &b.offer_with_slots(3, 1)).unwrap();
        b.learn(&answer.sdp);
    }
    let latest = b.replace_credentials(before.clone());
    for second in 0..2 * CONSENT_EXPIRY.as_secs() {
        a.check(&mut world);
        b.check(&mut world);
        a.send_video(&mut world, second as u16, true);
        world.exchange(&mut [&mut a, &mut b]);
        world.advance(SECOND);
    }
    assert_eq!(b.received.len() as u64, 2 * CONSENT_EXPIRY.as_secs());

    // The answer arrives after all: from its first check on, the credentials before are void.
    b.replace_credentials(latest);
    b.move_to(7777);
    b.check(&mut world);
    world.exchange(&mut [&mut a, &mut b]);
    b.replace_credentials(before);
    let dropped = world.worker.stats().dropped_stun;
    b.check(&mut world);
    assert_eq!(world.worker.stats().dropped_stun, dropped + 1);
}

#[test]
fn a_forged_alert_ends_no_handshake() {
    let mut world = World::new();
    let mut client = Client::new(1);
    let answer = world.offer(1, &client.offer_with_slots(3, 1)).unwrap();
    client.learn(&answer.sdp);
    client.check(&mut world);
    // Handshake failure and close_notify in epoch 0.
    let alerts: [&[u8]; 2] = [
        b"\x15\xfe\xfd\0\0\0\0\0\0\0\x01\0\x02\x02\x28",
        b"\x15\xfe\xfd\0\0\0\0\0\0\0\x02\0\x02\x01\0",
    ];
    alerts.iter().for_each(|alert| world.hand_in(client.path(), alert));
    client.start_dtls(&mut world);
    alerts.iter().for_each(|alert| world.hand_in(client.path(), alert));
    world.exchange(&mut [&mut client]);
    alerts.iter().for_each(|alert| world.hand_in(client.path(), alert));

    assert!(client.is_connected());
    assert!(world.worker.has_peer(PeerId(1)));
}

#[test]
fn a_forged_fragment_of_a_client_hello_keeps_the_client_out_no_longer_than_its_next_one() {
    // The first 16 bytes of a ClientHello of 240 bytes, and of one of 241.
    let cut = b"\x16\xfe\xfd\0\0\0\0\0\0\0\x05\0\x1c\x01\0\0\xf0\0\0\0\0\0\0\0\x10\xfe\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut other = cut.to_vec();
    other[16] = 0xf1;
    for forged in [&cut[..], &other] {
        let mut world = World::new();
        let mut client = Client::new(1);
        let answer = world.offer(1, &client.offer_with_slots(3, 1)).unwrap();
        client.learn(&answer.sdp);
        client.check(&mut world);
        world.hand_in(client.path(), forged);
        client.start_dtls(&mut world);
        world.exchange(&mut [&mut client]);

        assert!(client.is_connected());
    }
}
