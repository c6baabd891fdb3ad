//! Tests of a worker and its peers, in virtual time and without sockets.

mod allocation;
pub(crate) mod client;
mod codecs;
mod connections;
mod excess;
mod feedback;
mod lip_sync;
mod permit;
mod repair;
mod rollover;
mod rtcp;
mod simulcast;
mod slots;
mod spread;
mod transport;

use std::time::Duration;

use client::{Client, World};

use crate::transport::ice::CONSENT_EXPIRY;
use crate::transport::path::Path;
use crate::{Event, MediaKind, Mid, OfferError, PeerId, Source};

pub(crate) fn camera_of(peer: u64) -> Option<Source> {
    Some(Source { peer: PeerId(peer), mid: Mid::new("1") })
}

/// Two connected peers; the second one's first video slot carries the first one's camera.
fn pair() -> (World, Client, Client) {
    let mut world = World::new();
    let a = world.join(1);
    let b = world.join(2);
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    (world, a, b)
}

#[test]
fn video_starts_on_a_key_frame_in_a_slot_with_its_own_numbers() {
    let (mut world, mut a, mut b) = pair();
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.plis, 1, "a key frame is requested from the publisher");

    a.send_video(&mut world, 10, false);
    a.send_video(&mut world, 11, true);
    a.send_video(&mut world, 12, false);
    world.exchange(&mut [&mut a, &mut b]);

    let video: Vec<_> =
        b.received.iter().filter(|packet| packet.ssrc == b.slot_ssrc("4")).collect();
    assert_eq!(video.len(), 2, "packets before the key frame are left out");
    assert_eq!(video[0].payload_type, 96);
    assert_eq!(video[1].sequence_number, video[0].sequence_number.wrapping_add(1));
    assert_eq!(&video[0].payload[video[0].payload.len() - 5..], b"hello");
    assert!(a.received.is_empty(), "no peer gets its own media");
}

#[test]
fn a_switch_keeps_the_slot_continuous() {
    let (mut world, mut a, mut b) = pair();
    let mut c = world.join(3);
    a.send_video(&mut world, 1, true);
    a.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut b, &mut c]);

    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(3).as_ref());
    world.advance(Duration::from_millis(20));
    a.send_video(&mut world, 3, false);
    c.send_video(&mut world, 9000, false);
    c.send_video(&mut world, 9001, true);
    world.exchange(&mut [&mut a, &mut b, &mut c]);

    let numbers: Vec<u16> = b.received.iter().map(|packet| packet.sequence_number).collect();
    let first = numbers[0];
    assert_eq!(numbers, [first, first + 1, first + 2]);
    assert!(
        b.received
            .windows(2)
            .all(|pair| { pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32 >= 0 })
    );
}

#[test]
fn audio_slots_are_filled_and_reported() {
    let mut world = World::new();
    let mut peers: Vec<Client> = (1..=3).map(|id| world.join(id)).collect();
    world.events.clear();
    let mut d = world.join(4);

    let heard: Vec<_> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::AudioSlot { peer: PeerId(4), source: Some(source), .. } => Some(source.peer.0),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [1, 2, 3]);

    peers[1].send_audio(&mut world, 5);
    let [a, b, c] = &mut peers[..] else { unreachable!("three peers") };
    world.exchange(&mut [a, b, c, &mut d]);
    assert_eq!(d.received.len(), 1);
    assert_eq!(d.received[0].payload, b"opus");
    assert_eq!(peers[0].received.len(), 1);
    assert!(peers[1].received.is_empty());
}

#[test]
fn a_speaker_replaces_a_silent_peer() {
    let mut world = World::new();
    let mut peers: Vec<Client> = (1..=5).map(|id| world.join(id)).collect();
    world.events.clear();

    for sequence in 0..10 {
        peers[4].send_audio(&mut world, sequence);
    }
    world.advance(Duration::from_millis(300));

    let to_first: Vec<_> = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::AudioSlot { peer: PeerId(1), source: Some(source), .. } if source.peer == PeerId(5)))
        .collect();
    assert_eq!(to_first.len(), 1);
    let speakers = world.events.iter().find_map(|event| match event {
        Event::Speakers { levels, .. } => Some(levels.clone()),
        _ => None,
    });
    assert_eq!(speakers.unwrap()[0].0, PeerId(5));
}

#[test]
fn a_later_offer_keeps_streams_and_adds_slots() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    let ssrc = b.slot_ssrc("4");

    let answer = world.offer(2, &b.offer_with_slots(3, 4)).unwrap();
    b.learn(&answer.sdp);

    assert_eq!(b.slot_ssrc("4"), ssrc);
    let video = answer.slots.iter().filter(|slot| slot.kind == MediaKind::Video).count();
    assert_eq!(video, 4);
    a.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2, "the slot continues");
}

#[test]
fn a_peer_that_stops_checking_is_forgotten() {
    let (mut world, mut a, mut b) = pair();
    world.advance(CONSENT_EXPIRY / 2);
    b.check(&mut world);
    world.advance(CONSENT_EXPIRY / 2);
    world.exchange(&mut [&mut a, &mut b]);

    let gone = |event: &&Event| matches!(event, Event::Disconnected { peer: PeerId(1), .. });
    assert_eq!(world.events.iter().filter(gone).count(), 1);
    assert_eq!(world.worker.stats().peers, 1);

    a.send_video(&mut world, 1, true);
    assert!(world.worker.stats().dropped_unvalidated > 0);
}

#[test]
fn an_offer_can_bring_a_peer_back_before_its_end_is_reported() {
    let mut world = World::new();
    let client = world.join(1);
    world.advance(2 * CONSENT_EXPIRY);
    assert!(!world.worker.has_peer(PeerId(1)));
    world.offer(1, &client.offer_with_slots(3, 1)).unwrap();
    assert!(world.worker.has_peer(PeerId(1)), "so its end may be reported after its new beginning");
    let gone = |event: &&Event| matches!(event, Event::Disconnected { .. });
    assert_eq!(world.events.iter().filter(gone).count(), 1);
}

#[test]
fn an_ice_restart_does_not_interrupt_media() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);

    b.restart_ice();
    let answer = world.offer(2, &b.offer_with_slots(3, 1)).unwrap();
    b.learn(&answer.sdp);
    a.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2, "before the first check with the new credentials");

    b.move_to(7777);
    b.check(&mut world);
    a.send_video(&mut world, 3, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 3, "over the new path");
}

#[test]
fn replayed_and_tampered_packets_are_dropped() {
    let (mut world, mut a, mut b) = pair();
    let datagram = a.video(1, true);
    for _ in 0..3 {
        world.hand_in(a.path(), &datagram);
    }
    let mut tampered = a.video(2, false);
    let last = tampered.len() - 20;
    tampered[last] ^= 1;
    world.hand_in(a.path(), &tampered);
    world.exchange(&mut [&mut a, &mut b]);

    assert_eq!(b.received.len(), 1);
    assert_eq!(world.worker.stats().dropped_srtp, 3);
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let (mut world, mut a, mut b) = pair();
    let stranger = Path::Udp(([203, 0, 113, 9], 9).into(), None);
    let noise: [&[u8]; 6] =
        [b"", b"\xff\xff", b"\x00\x01\x00\x00", b"\x16\xfe\xfd", b"\x80\x60", b"\x80\xc8\x00\x00"];
    for datagram in noise {
        world.hand_in(stranger, datagram);
        world.hand_in(a.path(), datagram);
    }
    let stats = world.worker.stats();
    assert_eq!(stats.dropped_unknown, 4);
    assert_eq!(stats.dropped_stun, 2);
    assert_eq!(stats.dropped_unvalidated, 3);

    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 1, "the call continues");
}

#[test]
fn media_from_an_address_without_a_check_is_dropped() {
    let (mut world, mut a, mut b) = pair();
    let datagram = a.video(1, true);
    world.hand_in(Path::Udp(([203, 0, 113, 9], 9).into(), None), &datagram);
    let Path::Udp(same, _) = a.path() else { unreachable!("clients are on UDP") };
    world.hand_in(Path::Relay(same), &datagram);
    world.exchange(&mut [&mut a, &mut b]);
    assert!(b.received.is_empty());
}

#[test]
fn a_refused_offer_leaves_no_peer() {
    let mut world = World::new();
    for garbage in ["", "garbage", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nt=0 0\r\n"] {
        assert!(matches!(world.offer(1, garbage), Err(OfferError::BadSdp(_))), "{garbage:?}");
    }
    let huge = "v".repeat(OfferError::MAX_SDP_BYTES + 1);
    assert!(matches!(world.offer(1, &huge), Err(OfferError::TooLarge { .. })));
    assert_eq!(world.worker.stats().peers, 0);
    assert_eq!(world.worker.stats().rooms, 0);
}

#[test]
fn a_certificate_that_does_not_match_the_offer_is_refused() {
    let mut world = World::new();
    let stranger = Client::new(9);
    let mut client = Client::new(1);
    let sdp = client.offer_with_slots(3, 1);
    let answer =
        world.offer(1, &sdp.replace(&client.fingerprint(), &stranger.fingerprint())).unwrap();
    client.learn(&answer.sdp);
    world.connect(&mut client);

    assert!(!client.is_connected());
    assert!(world.events.iter().any(|event| matches!(event, Event::Disconnected { .. })));
}

#[test]
fn leaving_empties_the_slots_of_others_and_the_room() {
    let (mut world, mut a, mut b) = pair();
    world.events.clear();
    world.worker.remove(PeerId(1));
    world.exchange(&mut [&mut a, &mut b]);

    let emptied =
        |event: &&Event| matches!(event, Event::AudioSlot { peer: PeerId(2), source: None, .. });
    assert_eq!(world.events.iter().filter(emptied).count(), 1);
    world.worker.remove(PeerId(2));
    let stats = world.worker.stats();
    assert_eq!((stats.peers, stats.rooms), (0, 0));
}

#[test]
fn reports_go_to_both_sides() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    world.advance(Duration::from_millis(1100));
    world.exchange(&mut [&mut a, &mut b]);

    assert!(a.receiver_reports > 0);
    assert!(b.sender_reports > 0);
}

/// Sends a video packet under another SSRC on the m-line of the camera.
fn send_as(world: &mut World, client: &Client, ssrc: u32, sequence: u16, payload: &[u8]) {
    let timestamp = u32::from(sequence) * 3000;
    let datagram = client.protect(100, ssrc, (sequence, timestamp), &[], payload);
    world.hand_in(client.path(), &datagram);
}

const KEY_FRAME: [u8; 7] = [0x10, 0x00, 0x00, 0x00, 0x9d, 0x01, 0x2a];
const DELTA_FRAME: [u8; 4] = [0x10, 0x01, 0x00, 0x00];

#[test]
fn of_several_streams_at_once_on_an_m_line_one_is_forwarded() {
    let mut world = World::new();
    let group = "a=ssrc-group:SIM 1001 1002 1003\r\na=ssrc:1001 cname:x\r\na=ssrc:1002 cname:x\r\na=ssrc:1003 cname:x\r\n";
    let mut a =
        world.join_with(1, |offer| offer.replace("a=mid:1\r\n", &format!("a=mid:1\r\n{group}")));
    let mut b = world.join(2);
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    world.exchange(&mut [&mut a, &mut b]);

    for frame in 0..200u16 {
        for ssrc in 1001..=1003 {
            let asked = a.asked.contains(&ssrc);
            a.asked.retain(|asked| *asked != ssrc);
            let payload: &[u8] = if frame == 0 || asked { &KEY_FRAME } else { &DELTA_FRAME };
            send_as(&mut world, &a, ssrc, 100 + frame, payload);
        }
        world.advance(Duration::from_millis(33));
        world.exchange(&mut [&mut a, &mut b]);
    }

    assert_eq!(b.received.len(), 200);
    assert!(a.plis <= 2, "{} requests", a.plis);

    // The first one stops, and another takes over.
    for frame in 200..260u16 {
        for ssrc in 1002..=1003 {
            let payload: &[u8] = if a.asked.contains(&ssrc) { &KEY_FRAME } else { &DELTA_FRAME };
            a.asked.retain(|asked| *asked != ssrc);
            send_as(&mut world, &a, ssrc, 100 + frame, payload);
        }
        world.advance(Duration::from_millis(33));
        world.exchange(&mut [&mut a, &mut b]);
    }
    assert!(b.received.len() > 240, "{}", b.received.len());
}

#[test]
fn a_pinned_voice_is_heard_whoever_speaks() {
    let mut world = World::new();
    let mut peers: Vec<Client> = (1..=6).map(|id| world.join(id)).collect();
    let microphone = Source { peer: PeerId(6), mid: Mid::new("0") };
    world.worker.assign(world.now, PeerId(1), &Mid::new("2"), Some(&microphone));
    for sequence in 0..100 {
        peers[1..].iter_mut().for_each(|peer| peer.send_audio(&mut world, sequence));
        world.advance(Duration::from_millis(20));
        world.exchange(&mut peers.iter_mut().collect::<Vec<_>>());
    }
    let ssrc = peers[0].slot_ssrc("2");
    let pinned = peers[0].received.iter().filter(|packet| packet.ssrc == ssrc);
    assert_eq!(pinned.count(), 100, "although others spoke before");
    let others = ["3", "5"].map(|mid| peers[0].slot_ssrc(mid));
    let heard = |ssrc| peers[0].received.iter().filter(|packet| packet.ssrc == ssrc).count();
    assert!(others.map(heard).iter().all(|count| *count > 90), "{:?}", others.map(heard));

    world.events.clear();
    world.worker.assign(world.now, PeerId(1), &Mid::new("2"), None);
    world.collect();
    let freed = |event: &&Event| matches!(event, Event::AudioSlot { peer: PeerId(1), .. });
    assert!(world.events.iter().find(freed).is_some(), "the slot goes to an active speaker");
}
