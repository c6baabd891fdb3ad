//! Which offers belong to one peer connection.

use super::client::{Client, World};
use super::{camera_of, pair};
use crate::{Mid, OfferError, PeerId};

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
