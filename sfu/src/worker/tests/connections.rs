//! Which offers belong to one peer connection.

use std::time::Duration;

use super::client::{Client, Received, World};
use super::{camera_of, pair};
use crate::{Event, Mid, OfferError, PeerId};

/// Offers again, in the name of the client of peer 1, and returns the peer that the offer was for.
fn peer_of(world: &mut World, sdp: &str) -> PeerId {
    world.offer_again(1, 9, sdp).unwrap().peer
}

#[test]
fn the_origin_line_does_not_identify_a_connection() {
    let (mut world, mut a, mut b) = pair();
    let offer = a.offer_with_slots(3, 1).replace("o=- 1 1 ", "o=- 77 2 ");

    let answer = world.offer_again(1, 9, &offer).unwrap();

    assert_eq!(answer.peer, PeerId(1));
    let before = a.server_ufrag().to_owned();
    a.learn(&answer.sdp);
    assert_eq!(a.server_ufrag(), before, "no ICE restart either");
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1, "media continues");
}

#[test]
fn another_certificate_is_another_connection_whatever_the_origin_line_says() {
    let (mut world, mut a, mut b) = pair();
    let mut other = Client::new(5);

    let answer = world.offer_again(1, 9, &other.offer_with_slots(3, 1)).unwrap();

    assert_eq!(answer.peer, PeerId(9));
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1, "the caller has not removed the first one yet");
    other.learn(&answer.sdp);
    world.connect(&mut other);
    assert!(other.is_connected());
    world.worker.remove(PeerId(1));
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(9).as_ref());
    other.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut other, &mut b]);
    assert_eq!(b.received.len(), 2);
}

#[test]
fn one_certificate_of_several_is_enough() {
    let mut world = World::new();
    let (mut a, other) = (Client::new(1), Client::new(5));
    let line = |client: &Client| format!("a=fingerprint:sha-256 {}\r\n", client.fingerprint());
    let (one, both) = (a.offer_with_slots(3, 1), format!("{}{}", line(&other), line(&a)));
    let answer = world.offer(1, &one.replace(&line(&a), &both)).unwrap();
    a.learn(&answer.sdp);
    world.connect(&mut a);

    assert!(a.is_connected());
    assert_eq!(peer_of(&mut world, &one), PeerId(1));
}

#[test]
fn a_tls_id_identifies_the_association_where_both_offers_have_one() {
    let mut world = World::new();
    let a = Client::new(1);
    let offer = |id: &str| {
        let line = format!("a=tls-id:{id}\r\na=extmap-allow-mixed\r\n");
        a.offer_with_slots(3, 1).replace("a=extmap-allow-mixed\r\n", &line)
    };
    let answer = world.offer(1, &offer("abc3de65cddef001be82")).unwrap();
    let own = answer.sdp.lines().find_map(|line| line.strip_prefix("a=tls-id:")).unwrap();
    assert!((20..=255).contains(&own.len()), "{own}");

    assert_eq!(peer_of(&mut world, &offer("abc3de65cddef001be82")), PeerId(1));
    let plain = world.offer_again(1, 9, &a.offer_with_slots(3, 1)).unwrap();
    assert_eq!(plain.peer, PeerId(1));
    assert!(!plain.sdp.contains("tls-id"));
    assert_eq!(peer_of(&mut world, &offer("dcb3ae65cddef0532d42")), PeerId(9));
}

#[test]
fn a_connection_that_has_ended_is_not_found_again() {
    let (mut world, a, _b) = pair();
    world.worker.remove(PeerId(1));

    assert_eq!(peer_of(&mut world, &a.offer_with_slots(3, 1)), PeerId(9));
}

#[test]
fn a_refused_offer_leaves_the_connection_as_it_was() {
    let (mut world, mut a, mut b) = pair();

    assert!(matches!(world.offer_again(1, 9, "garbage"), Err(OfferError::BadSdp(_))));

    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);
    assert_eq!(world.worker.stats().peers, 2);
}

/// The page of a client has been reloaded, and offers for its new connection.
fn reload(world: &mut World, peer: u64, before: &Client) -> Client {
    let mut after = before.reloaded();
    let answer = world.offer_again(peer, 9, &after.offer_with_slots(3, 1)).unwrap();
    assert_eq!(answer.peer, PeerId(peer), "it could be an ICE restart");
    after.learn(&answer.sdp);
    after
}

fn has_ended(world: &World) -> bool {
    world.events.iter().any(|event| matches!(event, Event::Disconnected { .. }))
}

#[test]
fn a_new_connection_with_the_same_certificate_replaces_the_one_that_sends() {
    let (mut world, mut before, mut b) = pair();
    before.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut before, &mut b]);

    let mut after = reload(&mut world, 1, &before);
    before.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut before, &mut b]);
    assert_eq!(b.received.len(), 2, "the first one goes on until the second is connected");
    world.connect(&mut after);

    assert!(after.is_connected());
    after.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut after, &mut b]);
    let [.., last, first] = &b.received[..] else { panic!("it is forwarded") };
    assert_eq!(first.sequence_number, last.sequence_number.wrapping_add(1));
    before.send_video(&mut world, 3, true);
    world.exchange(&mut [&mut before, &mut b]);
    assert_eq!(b.received.len(), 3, "the first one's keys are void");
    assert!(!has_ended(&world));
    assert_eq!(world.worker.stats().peers, 2);
}

#[test]
fn a_new_connection_with_the_same_certificate_replaces_the_one_that_receives() {
    let (mut world, mut a, mut before) = pair();
    // The sequence number of the audio slot, which is random at first, rolls over.
    for number in 0..u16::MAX {
        a.send_audio(&mut world, number);
        world.forget_sent();
    }
    a.send_video(&mut world, 1, true);
    world.advance(Duration::from_secs(1));
    world.forget_sent();

    let mut after = reload(&mut world, 2, &before);
    after.check(&mut world);
    after.start_dtls(&mut world);
    world.exchange(&mut [&mut a, &mut after, &mut before]);
    assert!(before.is_closed, "it is told");
    a.send_video(&mut world, 2, false);
    a.send_audio(&mut world, u16::MAX);
    world.exchange(&mut [&mut a, &mut after]);

    let count =
        |ssrc| after.received.iter().filter(|packet: &&Received| packet.ssrc == ssrc).count();
    assert_eq!(count(after.slot_ssrc("4")), 2, "from the key frame in the cache on");
    assert_eq!(count(after.slot_ssrc("2")), 1, "with a rollover counter of 0");
}

#[test]
fn the_old_connection_may_close_while_the_new_one_connects() {
    let (mut world, mut before, mut b) = pair();
    let mut after = reload(&mut world, 1, &before);

    before.close(&mut world);
    assert!(!has_ended(&world));
    world.connect(&mut after);

    after.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut after, &mut b]);
    assert_eq!(b.received.len(), 1);
}

#[test]
fn the_old_connection_may_close_during_the_handshake_of_the_new_one() {
    let (mut world, mut before, mut b) = pair();
    let mut after = reload(&mut world, 1, &before);

    after.check(&mut world);
    after.start_dtls(&mut world);
    before.close(&mut world);
    world.exchange(&mut [&mut after]);

    assert!(after.is_connected() && !has_ended(&world));
    after.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut after, &mut b]);
    assert_eq!(b.received.len(), 1);
}

#[test]
fn long_after_an_ice_restart_the_end_of_dtls_ends_the_peer() {
    let (mut world, mut a, _b) = pair();
    a.restart_ice();
    let answer = world.offer_again(1, 9, &a.offer_with_slots(3, 1)).unwrap();
    a.learn(&answer.sdp);
    a.check(&mut world);
    world.advance(Duration::from_secs(11));

    a.close(&mut world);

    assert!(has_ended(&world));
}

#[test]
fn a_client_hello_alone_ends_nothing() {
    let (mut world, mut a, mut b) = pair();
    let forged = client_hello();
    world.hand_in(a.path(), &forged);
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);

    let mut after = reload(&mut world, 1, &a);
    world.hand_in(a.path(), &forged);
    a.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2, "the association goes on after an ICE restart, too");

    world.connect(&mut after);
    assert!(after.is_connected(), "the client is not kept out");
}

#[test]
fn a_repeated_client_hello_is_no_new_connection() {
    let mut world = World::new();
    let mut a = Client::new(1);
    let answer = world.offer(1, &a.offer_with_slots(3, 1)).unwrap();
    a.learn(&answer.sdp);
    a.check(&mut world);
    world.far = Some(Vec::new());
    a.start_dtls(&mut world);
    let hello = world.far.take().unwrap().remove(0);
    world.hand_in(a.path(), &hello);
    world.exchange(&mut [&mut a]);
    let mut b = world.join(2);
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    a.restart_ice();
    let answer = world.offer_again(1, 9, &a.offer_with_slots(3, 1)).unwrap();
    a.learn(&answer.sdp);
    a.check(&mut world);

    world.hand_in(a.path(), &hello);

    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);
    world.advance(Duration::from_secs(11));
    a.close(&mut world);
    assert!(has_ended(&world), "the association heard the end, and no handshake beside it");
}

#[test]
fn another_certificate_cannot_take_over() {
    let (mut world, mut a, mut b) = pair();
    let mut stranger = Client::new(5);
    let after = reload(&mut world, 1, &a);

    // As if it knew the credentials of the ICE restart.
    stranger.learn_from(&after);
    world.connect(&mut stranger);

    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);
    assert!(!has_ended(&world));
}

/// The ClientHello of somebody who never completes the handshake.
fn client_hello() -> Vec<u8> {
    let mut world = World::new();
    world.far = Some(Vec::new());
    Client::new(7).start_dtls(&mut world);
    world.far.take().unwrap().remove(0)
}
