//! Loss repair and late joiners: NACK, RTX, and the key frame cache.

use std::time::Duration;

use super::client::{Client, Received, World};
use super::{camera_of, pair};
use crate::{Event, Mid, PeerId};

/// The packets received from the first peer's camera, as one stream: retransmissions have their original numbers.
fn video(client: &Client) -> Vec<(u16, &[u8])> {
    let original = |packet: &Received| u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
    let packets = client.received.iter().map(|packet| match packet.payload_type {
        97 => (original(packet), &packet.payload[2..]),
        _ => (packet.sequence_number, &packet.payload[..]),
    });
    packets.collect()
}

/// A call in which the first peer has sent a key frame and nine more packets.
fn running() -> (World, Client, Client) {
    let (mut world, mut a, mut b) = pair();
    for sequence in 1..=10 {
        a.send_video(&mut world, sequence, sequence == 1);
    }
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 10);
    (world, a, b)
}

#[test]
fn nack_of_a_receiver_is_answered_with_rtx() {
    let (mut world, mut a, mut b) = running();
    let sent: Vec<(u16, Vec<u8>)> =
        video(&b).iter().map(|(number, payload)| (*number, payload.to_vec())).collect();
    b.received.clear();

    b.send_nack(&mut world, "4", &[sent[3].0, sent[7].0]);
    world.exchange(&mut [&mut a, &mut b]);

    assert!(b.received.iter().all(|packet| packet.payload_type == 97));
    let again = video(&b);
    assert_eq!(again[0], (sent[3].0, &sent[3].1[..]));
    assert_eq!(again[1], (sent[7].0, &sent[7].1[..]));
    assert!(a.nacked.is_empty(), "the publisher gets no NACK");
}

#[test]
fn nack_repeated_within_a_round_trip_is_answered_once() {
    let (mut world, mut a, mut b) = running();
    let number = video(&b)[5].0;
    b.received.clear();
    for _ in 0..5 {
        b.send_nack(&mut world, "4", &[number]);
    }
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);

    world.advance(Duration::from_millis(200));
    b.send_nack(&mut world, "4", &[number]);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2);
}

#[test]
fn nack_for_packets_never_sent_is_ignored() {
    let (mut world, mut a, mut b) = running();
    let last = video(&b)[9].0;
    b.received.clear();
    b.send_nack(&mut world, "4", &[last.wrapping_add(1), last.wrapping_sub(5000)]);
    world.exchange(&mut [&mut a, &mut b]);
    assert!(b.received.is_empty());
}

#[test]
fn rtx_of_a_publisher_repairs_loss_on_the_way_to_the_server() {
    let (mut world, mut a, mut b) = running();
    b.received.clear();
    a.send_video(&mut world, 12, false);
    world.advance(Duration::from_millis(1));
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.nacked, [11]);
    assert_eq!(b.received.len(), 1, "later packets are not held back (no head-of-line blocking)");

    a.send_video_again(&mut world, 11, false);
    a.send_video_again(&mut world, 11, false);
    world.exchange(&mut [&mut a, &mut b]);

    let numbers: Vec<u16> = b.received.iter().map(|packet| packet.sequence_number).collect();
    assert_eq!(numbers.len(), 2, "the second retransmission is ignored");
    assert_eq!(numbers[1], numbers[0].wrapping_sub(1), "it fills the gap");
    assert_eq!(world.worker.stats().rtx_received, 1);
    world.advance(Duration::from_millis(500));
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.nacked, [11], "it is not requested again");
}

#[test]
fn nack_is_repeated_until_the_packet_arrives() {
    let (mut world, mut a, mut b) = running();
    a.send_video(&mut world, 12, false);
    world.advance(Duration::from_millis(400));
    world.exchange(&mut [&mut a, &mut b]);
    let asked = a.nacked.len();
    assert!((3..=10).contains(&asked), "{asked} requests in 400 ms");
    world.advance(Duration::from_secs(5));
    world.exchange(&mut [&mut a, &mut b]);
    assert!(a.nacked.len() <= 10, "requests stop");
}

#[test]
fn reorder_late_packets_keep_their_places() {
    let (mut world, mut a, mut b) = running();
    b.received.clear();
    for sequence in [13, 11, 14, 12] {
        a.send_video(&mut world, sequence, false);
    }
    world.exchange(&mut [&mut a, &mut b]);
    let numbers: Vec<u16> = b.received.iter().map(|packet| packet.sequence_number).collect();
    let first = *numbers.iter().min().unwrap();
    let places: Vec<u16> = numbers.iter().map(|number| number - first).collect();
    assert_eq!(places, [2, 0, 3, 1]);
}

#[test]
fn a_long_outage_causes_a_key_frame_request_instead() {
    let (mut world, mut a, mut b) = running();
    let asked = a.plis;
    world.advance(Duration::from_secs(1));
    a.send_video(&mut world, 1000, false);
    world.advance(Duration::from_millis(100));
    world.exchange(&mut [&mut a, &mut b]);
    assert!(a.nacked.is_empty());
    assert_eq!(a.plis, asked + 1);
}

#[test]
fn key_frame_cache_starts_a_late_joiner_without_the_publisher() {
    let (mut world, mut a, mut b) = running();
    let asked = a.plis;
    let mut c = world.join(3);
    world.worker.assign(world.now, PeerId(3), &Mid::new("4"), camera_of(1).as_ref());
    world.exchange(&mut [&mut a, &mut b, &mut c]);

    assert_eq!(c.received.len(), 10, "all packets since the key frame");
    assert_eq!(a.plis, asked);
    a.send_video(&mut world, 11, false);
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    let numbers: Vec<u16> = c.received.iter().map(|packet| packet.sequence_number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn key_frame_cache_with_a_gap_is_not_used() {
    let (mut world, mut a, mut b) = running();
    world.advance(Duration::from_millis(300));
    a.send_video(&mut world, 12, false);
    let mut c = world.join(3);
    world.worker.assign(world.now, PeerId(3), &Mid::new("4"), camera_of(1).as_ref());
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    assert!(c.received.is_empty());
    assert_eq!(a.plis, 2);
}

#[test]
fn key_frame_cache_is_not_used_for_an_old_key_frame() {
    let (mut world, mut a, mut b) = running();
    for sequence in 11..100 {
        a.send_video(&mut world, sequence, false);
    }
    let mut c = world.join(3);
    world.worker.assign(world.now, PeerId(3), &Mid::new("4"), camera_of(1).as_ref());
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    assert!(c.received.is_empty());
}

#[test]
fn a_publisher_gets_feedback_about_arrivals() {
    let (mut world, mut a, mut b) = running();
    world.advance(Duration::from_millis(120));
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.arrival_reports, 1);
    assert!(world.events.iter().all(|event| !matches!(event, Event::Disconnected { .. })));
}
