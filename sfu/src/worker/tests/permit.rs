//! Media that must not be forwarded, and clients that send it nevertheless.

use std::time::Duration;

use super::client::{Client, World};
use super::simulcast::{Camera, with_layers};
use super::spread::{A, B, Spread, heard_by, running, speakers};
use super::{camera_of, pair};
use crate::{Mid, PeerId};

const MICROPHONE: &str = "0";
const CAMERA: &str = "1";

fn permit(world: &mut World, peer: u64, mid: &str, is_permitted: bool) {
    world.worker.permit(world.now, PeerId(peer), &Mid::new(mid), is_permitted);
    world.collect();
}

fn numbers(client: &Client, mid: &str) -> Vec<u16> {
    let ssrc = client.slot_ssrc(mid);
    let packets = client.received.iter().filter(|packet| packet.ssrc == ssrc);
    packets.map(|packet| packet.sequence_number).collect()
}

#[test]
fn a_muted_microphone_frees_its_slot_and_is_not_heard() {
    let (mut world, mut a, mut b) = pair();
    for sequence in 0..10 {
        a.send_audio(&mut world, sequence);
    }
    world.advance(Duration::from_millis(200));
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!((b.received.len(), speakers(&world)), (10, vec![vec![1]]));
    world.events.clear();

    permit(&mut world, 1, MICROPHONE, false);
    assert_eq!(heard_by(&world, 2), [None]);
    for sequence in 10..60 {
        a.send_audio(&mut world, sequence);
        world.advance(Duration::from_millis(20));
    }
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 10);
    assert_eq!(speakers(&world), [vec![]], "a muted peer is no active speaker");
    assert_eq!(heard_by(&world, 2), [None], "packets of a muted microphone change nothing");
    assert_eq!(world.worker.stats().dropped_forbidden, 50);

    permit(&mut world, 1, MICROPHONE, true);
    a.send_audio(&mut world, 60);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(heard_by(&world, 2), [None, Some(1)]);
    assert_eq!(b.received.len(), 11);
}

#[test]
fn the_slot_of_a_muted_speaker_goes_to_the_next_peer() {
    let mut world = World::new();
    let peers: Vec<Client> = (1..=5).map(|id| world.join(id)).collect();
    world.events.clear();
    permit(&mut world, 2, MICROPHONE, false);
    assert_eq!(heard_by(&world, 5), [Some(4)]);
    permit(&mut world, 2, MICROPHONE, true);
    assert_eq!(heard_by(&world, 5), [Some(4)], "the peer is last in line again");
    drop(peers);
}

#[test]
fn a_muted_camera_stops_at_once_and_begins_with_a_key_frame() {
    let (mut world, mut a, mut b) = pair();
    for sequence in 1..=5 {
        a.send_video(&mut world, sequence, sequence == 1);
    }
    world.exchange(&mut [&mut a, &mut b]);
    let asked = a.plis;

    // One packet has arrived, but has not been forwarded yet.
    let mut waiting = a.video(6, false);
    world.worker.handle_datagram(world.now, a.path(), &mut waiting);
    permit(&mut world, 1, CAMERA, false);
    for sequence in 7..40 {
        a.send_video(&mut world, sequence, sequence == 20);
        b.send_pli(&mut world, "4");
        world.advance(Duration::from_millis(33));
    }
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 5);
    assert_eq!(a.plis, asked, "no key frame is requested of forbidden media");

    permit(&mut world, 1, CAMERA, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.plis, asked + 1);
    for sequence in 40..50 {
        a.send_video(&mut world, sequence, sequence == 44);
    }
    world.exchange(&mut [&mut a, &mut b]);
    let got = numbers(&b, "4");
    assert_eq!(got.len(), 5 + 6, "packets from the key frame on");
    assert!(got.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
}

#[test]
fn packets_from_before_are_not_sent_afterwards() {
    let (mut world, mut a, mut b) = pair();
    for sequence in [1, 2, 4, 5] {
        a.send_video(&mut world, sequence, sequence == 1);
    }
    world.exchange(&mut [&mut a, &mut b]);
    let sent = numbers(&b, "4");
    permit(&mut world, 1, CAMERA, false);
    let mut late = world.join(3);
    world.worker.assign(world.now, PeerId(3), &Mid::new("4"), camera_of(1).as_ref());
    b.send_nack(&mut world, "4", &sent);
    a.nacked.clear();
    world.advance(Duration::from_secs(1));
    world.exchange(&mut [&mut a, &mut b, &mut late]);
    assert!(a.nacked.is_empty(), "missing packets are not waited for");

    permit(&mut world, 1, CAMERA, true);
    b.send_nack(&mut world, "4", &sent);
    a.send_video(&mut world, 3, false);
    a.send_video_again(&mut world, 3, false);
    a.send_video(&mut world, 6, false);
    world.exchange(&mut [&mut a, &mut b, &mut late]);
    assert_eq!((b.received.len(), late.received.len()), (4, 0));

    a.send_video(&mut world, 7, true);
    a.send_video_again(&mut world, 3, false);
    world.exchange(&mut [&mut a, &mut b, &mut late]);
    assert_eq!((b.received.len(), late.received.len()), (5, 1));
}

#[test]
fn a_muted_publisher_still_gets_feedback_for_its_bandwidth_estimation() {
    let (mut world, mut a, mut b) = pair();
    permit(&mut world, 1, CAMERA, false);
    for sequence in 1..100 {
        a.send_video(&mut world, sequence, sequence == 1);
        world.advance(Duration::from_millis(20));
    }
    world.exchange(&mut [&mut a, &mut b]);
    assert!(a.arrival_reports > 10 && a.receiver_reports > 0);
    assert!(b.received.is_empty());
}

#[test]
fn a_muted_camera_is_muted_in_all_its_layers() {
    let mut world = World::new();
    let mut camera = Camera::new(world.join_with(1, |sdp| with_layers(&sdp, &["q", "h", "f"])));
    let mut b = world.join(2);
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    let mut run = |world: &mut World, b: &mut Client, frames: usize| {
        b.received.clear();
        for _ in 0..frames {
            camera.shoot(world);
            world.exchange(&mut [&mut camera.client, b]);
            world.advance(Duration::from_millis(33));
            world.exchange(&mut [&mut camera.client, b]);
        }
        b.received.iter().map(|packet| packet.payload.len()).collect::<Vec<_>>()
    };
    run(&mut world, &mut b, 90);
    permit(&mut world, 1, CAMERA, false);
    assert!(run(&mut world, &mut b, 90).is_empty());
    permit(&mut world, 1, CAMERA, true);
    let sizes = run(&mut world, &mut b, 90);
    assert!(sizes.len() > 70, "the video is back within half a second: {}", sizes.len());
    assert_eq!(sizes.last(), Some(&1350), "the best layer");
}

#[test]
fn the_setting_holds_through_offers_and_for_future_m_lines() {
    let mut world = World::new();
    let mut a = Client::new(1);
    let whole = a.offer_with_slots(3, 1);
    let without = whole.replacen("a=mid:1\r\na=sendonly", "a=mid:1\r\na=inactive", 1);
    let answer = world.offer(1, &without).unwrap();
    permit(&mut world, 1, CAMERA, false);
    permit(&mut world, 7, CAMERA, false);
    a.learn(&answer.sdp);
    world.connect(&mut a);
    let mut b = world.join(2);
    for sdp in [&whole, &without, &whole] {
        world.offer(1, sdp).unwrap();
    }
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert!(b.received.is_empty());

    permit(&mut world, 1, CAMERA, true);
    a.send_video(&mut world, 2, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1);
}

#[test]
fn settings_for_m_lines_that_never_come_are_bounded() {
    let (mut world, mut a, mut b) = pair();
    permit(&mut world, 1, CAMERA, false);
    for n in 0..1000 {
        permit(&mut world, 1, &format!("x{n}"), false);
    }
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert!(b.received.is_empty(), "settings of existing m-lines are kept");
}

#[test]
fn receivers_on_the_other_worker_get_no_forbidden_media() {
    let (mut spread, mut a, mut b) = running();
    spread.worlds[B].events.clear();
    let crossed = spread.worlds[A].worker.stats().crossed;
    permit(&mut spread.worlds[A], 1, CAMERA, false);
    permit(&mut spread.worlds[A], 1, MICROPHONE, false);
    spread.cross();
    let mut c = spread.join(B, 3);
    spread.assign(B, 3, 1);
    for sequence in 11..30 {
        a.send_video(&mut spread.worlds[A], sequence, sequence == 15);
        a.send_audio(&mut spread.worlds[A], sequence);
        spread.advance(Duration::from_millis(20));
        spread.settle(&mut [&mut a], &mut [&mut b, &mut c]);
    }
    assert_eq!((b.received.len(), c.received.len()), (10, 0));
    assert_eq!(spread.worlds[A].worker.stats().crossed, crossed);
    assert_eq!(heard_by(&spread.worlds[B], 2).first(), Some(&None));
    assert!(heard_by(&spread.worlds[B], 3).iter().all(|heard| *heard != Some(1)));

    let asked = a.plis;
    permit(&mut spread.worlds[A], 1, CAMERA, true);
    permit(&mut spread.worlds[A], 1, MICROPHONE, true);
    spread.settle(&mut [&mut a], &mut [&mut b, &mut c]);
    assert_eq!(a.plis, asked + 1);
    for sequence in 30..40 {
        a.send_video(&mut spread.worlds[A], sequence, sequence == 34);
    }
    a.send_audio(&mut spread.worlds[A], 30);
    spread.settle(&mut [&mut a], &mut [&mut b, &mut c]);
    assert_eq!((numbers(&b, "4").len(), numbers(&c, "4").len()), (10 + 6, 6));
    assert!(b.received.iter().any(|packet| packet.payload == b"opus"));
}

#[test]
fn a_worker_that_joins_the_room_later_knows_the_setting() {
    let mut spread = Spread::new();
    let mut a = spread.join(A, 1);
    permit(&mut spread.worlds[A], 1, CAMERA, false);
    permit(&mut spread.worlds[A], 1, MICROPHONE, false);
    let mut b = spread.join(B, 2);
    spread.assign(B, 2, 1);
    a.send_video(&mut spread.worlds[A], 1, true);
    a.send_audio(&mut spread.worlds[A], 1);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert!(b.received.is_empty() && heard_by(&spread.worlds[B], 2).is_empty());
    permit(&mut spread.worlds[A], 1, MICROPHONE, true);
    spread.cross();
    assert_eq!(heard_by(&spread.worlds[B], 2), [Some(1)]);
}

#[test]
fn packets_lost_between_workers_before_are_not_repaired_afterwards() {
    let (mut spread, mut a, mut b) = running();
    a.send_video(&mut spread.worlds[A], 11, false);
    assert_eq!(spread.waiting(A).len(), 1, "this packet is lost");
    a.send_video(&mut spread.worlds[A], 12, false);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(b.received.len(), 11);
    spread.worlds[B].advance(Duration::from_millis(2));
    permit(&mut spread.worlds[A], 1, CAMERA, false);
    permit(&mut spread.worlds[A], 1, CAMERA, true);
    spread.advance(Duration::from_millis(50));
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(b.received.len(), 11);
}
