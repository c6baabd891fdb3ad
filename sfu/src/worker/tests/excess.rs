//! Publishers that send more than they may.

use std::time::Duration;

use super::camera_of;
use super::client::{Client, Packet, World};
use crate::{BitrateLimits, Event, Mid, PeerId};

/// A camera at 33 packets a second, of some bytes each: a key frame, if it is the first, and else others.
fn send(world: &mut World, client: &mut Client, number: u16, bytes: usize) {
    let mut payload = vec![0; bytes];
    let key_frame: &[u8] = &[0x10, 0x00, 0x00, 0x00, 0x9d, 0x01, 0x2a];
    let other: &[u8] = &[0x10, 0x01, 0x00, 0x00];
    let start = if number == 1 { key_frame } else { other };
    payload[..start.len()].copy_from_slice(start);
    client.send(world, Packet::video(number).with(&payload));
    world.advance(Duration::from_millis(30));
}

/// A publisher and a viewer of its camera, after some seconds of video at about 265 kbit/s.
fn watched(limits: BitrateLimits, seconds: u16) -> (World, Client, Client) {
    let mut world = World::with_limits(limits);
    let (mut a, mut b) = (world.join(1), world.join(2));
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    for number in 1..=seconds * 33 {
        send(&mut world, &mut a, number, 950);
        world.exchange(&mut [&mut a, &mut b]);
        if number % 200 == 0 {
            a.check(&mut world);
            b.check(&mut world);
        }
    }
    (world, a, b)
}

fn told(world: &World) -> Vec<(PeerId, &str, u64)> {
    let events = world.events.iter().filter_map(|event| match event {
        Event::Excess { peer, mid, bits_per_second } => {
            Some((*peer, mid.as_str(), *bits_per_second))
        }
        _ => None,
    });
    events.collect()
}

#[test]
fn what_is_within_the_limits_passes_whole() {
    let limits = BitrateLimits { audio: 0, video: 300_000, peer: 300_000 };
    let (world, _a, b) = watched(limits, 10);
    assert_eq!(b.received.len(), 330);
    assert_eq!(world.worker.stats().dropped_excess, 0);
    assert_eq!(told(&world), []);
}

#[test]
fn an_m_line_passes_up_to_its_limit_and_its_publisher_is_told() {
    let limits = BitrateLimits { audio: 0, video: 130_000, peer: 0 };
    let (world, a, b) = watched(limits, 12);
    // Half of the bitrate, and the burst of a second.
    let expected = 198 + 17;
    assert!(b.received.len().abs_diff(expected) < 10, "{}", b.received.len());
    assert_eq!(world.worker.stats().dropped_excess as usize + b.received.len(), 396);
    assert!(a.nacked.is_empty(), "what was dropped is not requested again: {:?}", a.nacked);
    let told = told(&world);
    assert!((2..=3).contains(&told.len()), "every five seconds: {told:?}");
    assert!(told.iter().all(|told| *told == (PeerId(1), "1", 130_000)));
}

#[test]
fn all_m_lines_of_a_peer_have_a_limit_together() {
    let limits = BitrateLimits { audio: 0, video: 0, peer: 130_000 };
    let (mut world, mut a, mut b) = watched(limits, 2);
    assert!(world.worker.stats().dropped_excess > 0);
    let before = b.received.len();
    a.send_audio(&mut world, 1);
    world.exchange(&mut [&mut a, &mut b]);
    assert!(b.received.len() <= before + 1);
    assert!(told(&world).contains(&(PeerId(1), "1", 130_000)));
}

#[test]
fn a_publisher_that_slows_down_is_whole_again() {
    let limits = BitrateLimits { audio: 0, video: 130_000, peer: 0 };
    let (mut world, mut a, mut b) = watched(limits, 5);
    world.advance(Duration::from_secs(2));
    world.exchange(&mut [&mut a, &mut b]);
    b.received.clear();
    for number in 166..=196 {
        send(&mut world, &mut a, number, 300);
        world.exchange(&mut [&mut a, &mut b]);
    }
    assert_eq!(b.received.len(), 31);
}
