//! RTCP: streams that end, and datagrams in reduced size.

use std::time::Duration;

use super::client::{Client, World};
use super::{camera_of, pair};
use crate::{Event, Mid, PeerId};

#[test]
fn bye_ends_speech_and_stops_waiting_for_packets() {
    let mut world = World::new();
    let (mut a, mut b) = (world.join(1), world.join(2));
    for sequence in 0..10 {
        a.send_audio(&mut world, sequence);
    }
    a.send_audio(&mut world, 12);
    world.advance(Duration::from_millis(50));
    world.exchange(&mut [&mut a, &mut b]);
    let asked = a.nacked.len();
    assert!(asked > 0, "two packets are missing");

    let microphone = a.ssrc(0);
    a.send_bye(&mut world, &[microphone]);
    world.advance(Duration::from_millis(200));
    world.exchange(&mut [&mut a, &mut b]);
    let speakers = world.events.iter().filter_map(|event| match event {
        Event::Speakers { levels, .. } => Some(levels.len()),
        _ => None,
    });
    assert_eq!(speakers.collect::<Vec<_>>(), [1, 0], "before the usual hangover time");
    assert_eq!(a.nacked.len(), asked);

    a.send_audio(&mut world, 13);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.last().map(|packet| &packet.payload[..]), Some(&b"opus"[..]));
}

#[test]
fn bye_cancels_key_frame_requests() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, false);
    world.exchange(&mut [&mut a, &mut b]);
    let (asked, camera) = (a.plis, a.ssrc(1));
    a.send_bye(&mut world, &[camera]);
    world.advance(Duration::from_secs(2));
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.plis, asked);
    a.send_video(&mut world, 2, false);
    world.advance(Duration::from_millis(100));
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.plis, asked + 1, "a receiver waits when the stream continues");
}

#[test]
fn bye_for_the_stream_of_another_peer_is_ignored() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    let camera = a.ssrc(1);
    b.send_bye(&mut world, &[camera, 5]);
    a.send_video(&mut world, 2, false);
    a.send_video(&mut world, 4, false);
    world.advance(Duration::from_millis(50));
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 3);
    assert!(a.nacked.contains(&3), "missing packets of the stream are still requested");
}

#[test]
fn remb_is_based_on_the_time_at_which_video_leaves_the_server() {
    let mut world = World::new();
    let extension = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    let with_extension =
        |sdp: String| sdp.replace("a=rtpmap", &format!("a=extmap:9 {extension}\r\na=rtpmap"));
    let mut a = world.join_with(1, with_extension);
    let mut b = world.join_with(2, with_extension);
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    for sequence in 1..=4 {
        a.send_video(&mut world, sequence, sequence == 1);
        world.advance(Duration::from_millis(250));
    }
    a.send_audio(&mut world, 1);
    world.exchange(&mut [&mut a, &mut b]);

    let times: Vec<Vec<u8>> = b.received.iter().map(|packet| packet.extension(9)).collect();
    let number = |time: &Vec<u8>| u32::from_be_bytes([0, time[0], time[1], time[2]]);
    let steps: Vec<u32> = times[..4].windows(2).map(|t| number(&t[1]) - number(&t[0])).collect();
    assert_eq!(steps, [1 << 16; 3], "a quarter of a second");
    assert!(times[4].is_empty(), "audio has no send time");

    let (first, late) = (b.received[0].sequence_number, b.received.len());
    b.send_nack(&mut world, "4", &[first]);
    world.exchange(&mut [&mut a, &mut b]);
    assert!(
        number(&b.received[late].extension(9)) > number(&times[3]),
        "a retransmission has a later send time"
    );
}

/// A publisher whose offer has reduced-size RTCP or not, and the length in bytes of the first NACK to it.
fn asked(is_reduced: bool) -> (Client, usize) {
    let mut world = World::new();
    let mut a = world.join_with(1, |sdp| {
        let line = if is_reduced { "a=rtcp-mux\r\na=rtcp-rsize\r\n" } else { "a=rtcp-mux\r\n" };
        sdp.replace("a=rtcp-mux\r\n", line)
    });
    let mut b = world.join(2);
    a.send_video(&mut world, 1, true);
    a.send_video(&mut world, 3, false);
    world.forget_sent();
    world.longest_control = 0;
    world.advance(Duration::from_millis(15));
    world.exchange(&mut [&mut a, &mut b]);
    assert!(a.nacked.contains(&2));
    (a, world.longest_control)
}

#[test]
fn reduced_size_is_sent_where_it_is_offered() {
    let overhead = 16 + 4;
    let (a, longest) = asked(true);
    assert_eq!((a.receiver_reports, longest), (0, 16 + overhead), "a NACK alone");
    let (a, longest) = asked(false);
    assert_eq!(
        (a.receiver_reports, longest),
        (1, 8 + 28 + 16 + overhead),
        "a NACK behind a report"
    );
}

#[test]
fn reduced_size_is_accepted_from_every_peer() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    let number = b.received[0].sequence_number;
    world.advance(Duration::from_secs(1));
    b.send_nack(&mut world, "4", &[number]);
    b.send_pli(&mut world, "4");
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2);
    assert_eq!(a.plis, 2);
}
