//! Codecs: what each needs so that a slot is one continuous stream, whatever it carries.

use std::time::Duration;

use super::camera_of;
use super::client::{Client, Packet, World};
use super::simulcast::with_layers;
use crate::{Codec, Event, Mid, PeerId, Receivers};

const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// Three connected peers that offer `video` instead of VP8; the third one's video slot carries the first one's camera.
fn call(video: &str) -> (World, [Client; 3]) {
    let mut world = World::new();
    let clients = [1, 2, 3].map(|id| {
        world.join_with(id, |sdp| {
            let extension = format!("\r\na=extmap:7 {DEPENDENCY_DESCRIPTOR}\r\na=rtpmap");
            sdp.replace("VP8/90000", video).replace("\r\na=rtpmap", &extension)
        })
    });
    show(&mut world, 1);
    (world, clients)
}

/// Puts a camera into the third peer's slot.
fn show(world: &mut World, camera: u64) {
    world.worker.assign(world.now, PeerId(3), &Mid::new("4"), camera_of(camera).as_ref());
}

fn exchange(world: &mut World, [a, b, c]: &mut [Client; 3]) {
    world.exchange(&mut [a, b, c]);
}

#[test]
fn vp9_starts_on_a_key_frame_and_its_counters_continue_across_a_switch() {
    let (mut world, mut clients) = call("VP9/90000");
    let vp9 = |predicted: u8, picture: u16, tl0: u8| {
        let [high, low] = (picture | 0x8000).to_be_bytes();
        vec![0xa8 | predicted, high, low, 0x00, tl0, b'v', b'p', b'9']
    };
    const PREDICTED: u8 = 0x40;
    clients[0].send(&mut world, Packet::video(1).with(&vp9(PREDICTED, 8, 3)));
    clients[0].send(&mut world, Packet::video(2).with(&vp9(0, 9, 4)));
    clients[0].send(&mut world, Packet::video(3).with(&vp9(PREDICTED, 10, 5)));
    exchange(&mut world, &mut clients);
    show(&mut world, 2);
    clients[1].send(&mut world, Packet::video(700).with(&vp9(PREDICTED, 0x7ffe, 250)));
    clients[1].send(&mut world, Packet::video(701).with(&vp9(0, 0x7fff, 255)));
    clients[1].send(&mut world, Packet::video(702).with(&vp9(PREDICTED, 0, 0)));
    exchange(&mut world, &mut clients);

    let got: Vec<_> = clients[2].received.iter().map(|packet| &packet.payload[..]).collect();
    let first = u16::from_be_bytes([got[0][1], got[0][2]]) & 0x7fff;
    let tl0 = got[0][4];
    let expected: Vec<_> = [(0, 0), (PREDICTED, 1), (0, 2), (PREDICTED, 3)]
        .map(|(predicted, n)| vp9(predicted, first + n, tl0.wrapping_add(n as u8)))
        .into();
    assert_eq!(got, expected);
}

#[test]
fn av1_starts_on_a_sequence_header_and_its_frames_are_renumbered() {
    let (mut world, mut clients) = call("AV1/90000");
    let key = [0x18, 0x0a, 1, 2];
    let other = [0x10, 0x32, 1, 2];
    let structure: Vec<u8> = [0x80, 0, 0, 0x80].into_iter().chain(0..30).collect();
    let described = |structure: &[u8], number: u16| {
        let mut element = structure.to_vec();
        element[1..3].copy_from_slice(&number.to_be_bytes());
        element
    };
    let plain = [0xc3, 0, 0];
    clients[0].send(&mut world, Packet::video(1).with(&other).extended(7, &described(&plain, 70)));
    clients[0]
        .send(&mut world, Packet::video(2).with(&key).extended(7, &described(&structure, 71)));
    clients[0].send(&mut world, Packet::video(3).with(&other).extended(7, &described(&plain, 72)));
    exchange(&mut world, &mut clients);
    show(&mut world, 2);
    clients[1]
        .send(&mut world, Packet::video(8).with(&key).extended(7, &described(&structure, 65_535)));
    clients[1].send(&mut world, Packet::video(9).with(&other).extended(7, &described(&plain, 0)));
    exchange(&mut world, &mut clients);

    let got: Vec<_> = clients[2].received.iter().map(|packet| packet.extension(7)).collect();
    let first = u16::from_be_bytes([got[0][1], got[0][2]]);
    let expected: Vec<_> = [(&structure[..], 0), (&plain, 1), (&structure, 2), (&plain, 3)]
        .map(|(what, n)| described(what, first.wrapping_add(n)))
        .into();
    assert_eq!(got, expected);
    assert_eq!(clients[2].received[0].payload, key);
}

#[test]
fn av1_starts_without_a_dependency_descriptor_too() {
    let (mut world, mut clients) = call("AV1/90000");
    clients[0].send(&mut world, Packet::video(1).with(&[0x10, 0x32, 1, 2]));
    clients[0].send(&mut world, Packet::video(2).with(&[0x18, 0x0a, 1, 2]));
    exchange(&mut world, &mut clients);
    assert_eq!(clients[2].received.len(), 1);
}

#[test]
fn another_profile_is_not_forwarded_to_the_slot() {
    let (mut world, mut clients) = call("VP9/90000");
    world
        .offer(
            3,
            &clients[2]
                .offer_with_slots(3, 1)
                .replace("VP8/90000", "VP9/90000\r\na=fmtp:96 profile-id=2"),
        )
        .unwrap();
    clients[0].send(&mut world, Packet::video(1).with(&[0x08, 0x82, 0x49]));
    exchange(&mut world, &mut clients);
    assert!(clients[2].received.is_empty());
}

#[test]
fn a_cached_h264_key_frame_starts_with_its_parameter_sets() {
    let (mut world, mut clients) = call("H264/90000");
    show(&mut world, 2);
    for (sequence, nal) in [(1, 0x67), (2, 0x68), (3, 0x65), (4, 0x65)] {
        clients[0].send(&mut world, Packet::video(sequence).at(3000).with(&[nal, 1, 2]));
    }
    clients[0].send(&mut world, Packet::video(5).at(6000).with(&[0x61, 1, 2]));
    show(&mut world, 1);
    exchange(&mut world, &mut clients);
    let got: Vec<u8> = clients[2].received.iter().map(|packet| packet.payload[0]).collect();
    assert_eq!(got, [0x67, 0x68, 0x65, 0x65, 0x61]);
}

/// A peer that offers RED in front of Opus, with these payload types.
fn with_redundancy(world: &mut World, id: u64, red: u8, opus: u8) -> Client {
    world.join_with(id, |sdp| {
        let opus_line = format!("a=rtpmap:{opus} opus/48000/2\r\n");
        let red_lines = format!("a=rtpmap:{red} red/48000/2\r\na=fmtp:{red} {opus}/{opus}\r\n");
        sdp.replace("SAVPF 111\r\n", &format!("SAVPF {red} {opus}\r\n"))
            .replace("a=rtpmap:111 opus/48000/2\r\n", &format!("{opus_line}{red_lines}"))
    })
}

/// One earlier packet and the current one, as RED blocks with this payload type.
fn redundant(opus: u8) -> Vec<u8> {
    let mut payload = vec![0x80 | opus, 0x0f, 0x00, 0x03, opus];
    payload.extend(b"oldnew");
    payload
}

#[test]
fn red_is_forwarded_where_it_was_negotiated_and_unwrapped_elsewhere() {
    let mut world = World::new();
    let mut speaker = with_redundancy(&mut world, 1, 63, 111);
    let mut knows = with_redundancy(&mut world, 2, 116, 109);
    let mut plain = world.join(3);

    speaker.send(&mut world, Packet::audio(5).typed(63).with(&redundant(111)));
    speaker.send(&mut world, Packet::audio(6).typed(63).with(&[0xef, 0x0f]));
    speaker.send(&mut world, Packet::audio(7).typed(111).with(b"opus"));
    world.exchange(&mut [&mut speaker, &mut knows, &mut plain]);

    let seen = |client: &Client| -> Vec<(u8, Vec<u8>)> {
        let packets = client.received.iter();
        packets.map(|packet| (packet.payload_type, packet.payload.clone())).collect()
    };
    let damaged = (116, vec![0xed, 0x0f]);
    assert_eq!(seen(&knows), [(116, redundant(109)), damaged, (109, b"opus".into())]);
    assert_eq!(seen(&plain), [(111, b"new".into()), (111, b"opus".into())]);
    let numbers: Vec<u16> = plain.received.iter().map(|packet| packet.sequence_number).collect();
    assert_eq!(numbers[1], numbers[0] + 1, "a packet that can't be unwrapped leaves no gap");
}

const VP8: Codec = Codec::Vp8;

/// The lines of H264 in packetization mode 1 with a profile.
fn h264(payload_type: u8, profile: &str) -> String {
    format!(
        "a=rtpmap:{payload_type} H264/90000\r\na=rtcp-fb:{payload_type} nack pli\r\n\
         a=fmtp:{payload_type} packetization-mode=1;profile-level-id={profile}\r\n"
    )
}

/// Offers H264 on the camera's m-line: behind VP8, or instead of it.
fn camera_with_h264(sdp: &str, profile: &str, has_vp8: bool) -> String {
    let types = if has_vp8 { "100 102" } else { "102" };
    sdp.replace("SAVPF 100 101\r\n", &format!("SAVPF {types}\r\n"))
        .replace("a=rtpmap:100 VP8", &format!("{}a=rtpmap:100 VP8", h264(102, profile)))
}

/// Offers these profiles of H264 on video slots, instead of VP8. The payload types start with 110.
fn slots_with_h264(sdp: &str, profiles: &[&str]) -> String {
    let numbered = || (110..).zip(profiles);
    let types: Vec<String> = numbered().map(|(payload_type, _)| payload_type.to_string()).collect();
    let lines: String =
        numbered().map(|(payload_type, profile)| h264(payload_type, profile)).collect();
    sdp.replace("SAVPF 96 97\r\n", &format!("SAVPF {}\r\n", types.join(" ")))
        .replace("a=rtpmap:96 VP8", &format!("{lines}a=rtpmap:96 VP8"))
}

/// A publisher with H264 of a profile, and a viewer whose slot has these profiles; the slot carries the camera.
fn watch_h264(published: &str, received: &[&str]) -> (World, Client, Client) {
    let mut world = World::new();
    let a = world.join_with(1, |sdp| camera_with_h264(&sdp, published, false));
    let b = world.join_with(2, |sdp| slots_with_h264(&sdp, received));
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    (world, a, b)
}

const H264_KEY_FRAME: [u8; 3] = [0x65, 1, 2];
const VP8_KEY_FRAME: [u8; 4] = [0x10, 0, 0, 0];

#[test]
fn a_stream_goes_to_the_payload_type_that_fits_best() {
    for (published, received, expected) in [
        ("640c1f", &["42e01f", "4d001f", "64001f"][..], Some(112)),
        ("640c1f", &["64001f", "640c1f"], Some(111)),
        ("42c01f", &["64001f", "42e01f"], Some(111)),
        ("4d801f", &["42001f", "42e01f"], Some(111)),
        ("42e034", &["42e01f"], Some(110)),
        ("42e01f", &["42001f"], Some(110)),
        ("64001f", &["42e01f", "640c1f"], None),
        ("42001f", &["42e01f", "64001f"], None),
    ] {
        let (mut world, mut a, mut b) = watch_h264(published, received);
        a.send(&mut world, Packet::video(1).typed(102).with(&H264_KEY_FRAME));
        world.exchange(&mut [&mut a, &mut b]);
        let got: Vec<u8> = b.received.iter().map(|packet| packet.payload_type).collect();
        assert_eq!(got, Vec::from_iter(expected), "{published} to {received:?}");
    }
}

#[test]
fn what_counts_is_the_profile_in_the_stream_if_the_negotiated_one_contains_it() {
    for (published, sent, received, expected) in [
        ("42001f", [0x42, 0xc0], "42e01f", 1),
        ("42001f", [0x42, 0x00], "42e01f", 0),
        ("64001f", [0x64, 0x0c], "640c1f", 1),
        ("42e01f", [0x64, 0x00], "42e01f", 1),
    ] {
        let (mut world, mut a, mut b) = watch_h264(published, &[received]);
        let set = [0x67, sent[0], sent[1], 0x1f];
        let aggregate = [&[0x78, 0, 4][..], &set, &[0, 3], &H264_KEY_FRAME].concat();
        for (sequence, payload) in [(1, &set[..]), (2, &H264_KEY_FRAME), (3, &aggregate)] {
            a.send(&mut world, Packet::video(sequence).typed(102).with(payload));
        }
        world.exchange(&mut [&mut a, &mut b]);
        assert_eq!(b.received.len(), 3 * expected, "{published}, {sent:x?} to {received}");
    }
}

#[test]
fn no_key_frame_is_requested_for_a_viewer_that_cannot_decode() {
    let (mut world, mut a, mut b) = watch_h264("64001f", &["42e01f"]);
    for sequence in 1..30 {
        a.send(&mut world, Packet::video(sequence).typed(102).with(&[0x61, 1, 2]));
        world.advance(Duration::from_millis(33));
    }
    b.send_pli(&mut world, "4");
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(a.plis, 0);
}

#[test]
fn a_slot_shows_the_publisher_once_it_sends_a_codec_that_fits() {
    let mut world = World::new();
    let mut a = world.join_with(1, |sdp| camera_with_h264(&sdp, "42e01f", true));
    let mut b = world.join(2);
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    let h264 = |sequence| Packet::video(sequence).typed(102).with(&H264_KEY_FRAME);
    let vp8 = |sequence| Packet::video(sequence).with(&VP8_KEY_FRAME);
    for (sequence, is_vp8) in [(1, false), (2, true), (3, false), (4, true)] {
        a.send(&mut world, if is_vp8 { vp8(sequence) } else { h264(sequence) });
        world.advance(Duration::from_millis(300));
        world.exchange(&mut [&mut a, &mut b]);
    }
    let got: Vec<_> = b.received.iter().map(|packet| packet.sequence_number).collect();
    assert_eq!(got, [got[0], got[0].wrapping_add(1)], "what can't be decoded leaves no gap");
}

#[test]
fn the_codecs_in_use_are_reported_when_they_change() {
    let mut world = World::new();
    let mut a = world.join_with(1, |sdp| camera_with_h264(&sdp, "42e01f", true));
    let h264 = Codec::H264 { packetization_mode: 1, profile: [0x42, 0xe0] };
    let mut reported = Vec::new();
    for sequence in 1..40 {
        let is_h264 = (10..20).contains(&sequence);
        let packet = Packet::video(sequence);
        a.send(
            &mut world,
            if is_h264 {
                packet.typed(102).with(&H264_KEY_FRAME)
            } else {
                packet.with(&VP8_KEY_FRAME)
            },
        );
        world.advance(Duration::from_millis(100));
        for event in world.events.drain(..) {
            if let Event::Sending { peer, mid, codecs } = event {
                assert_eq!((peer, mid), (PeerId(1), Mid::new("1")));
                reported.push(codecs);
            }
        }
    }
    assert_eq!(reported, [[VP8], [h264], [VP8]]);
}

/// The layers take 50 and 100 kbit/s. The viewer's estimate has room for neither, so it gets the lower one if it can.
#[test]
fn a_viewer_gets_the_simulcast_layer_that_it_can_decode() {
    for decodable in [0, 1] {
        let mut world = World::new();
        let mut a = world
            .join_with(1, |sdp| with_layers(&camera_with_h264(&sdp, "42e01f", true), &["a", "b"]));
        let mut b = world.join(2);
        for frame in 0..180 {
            if frame == 90 {
                world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
            }
            for (layer, rid) in [b"a", b"b"].into_iter().enumerate() {
                let (payload_type, key_frame) = match layer == decodable {
                    true => (100, &VP8_KEY_FRAME[..]),
                    false => (102, &H264_KEY_FRAME[..]),
                };
                let payload = [key_frame, &vec![0; 200 * (layer + 1)]].concat();
                let at = (frame, u32::from(frame) * 3000);
                let extensions: &[(u8, &[u8])] = &[(3, b"1"), (10, rid)];
                let ssrc = a.ssrc(1) + 10 + layer as u32;
                let packet = a.protect(payload_type, ssrc, at, extensions, &payload);
                world.hand_in(a.path(), &packet);
            }
            b.send_estimate(&mut world, 10_000, 0);
            world.advance(Duration::from_millis(33));
            world.exchange(&mut [&mut a, &mut b]);
        }
        assert!(b.received.len() > 60, "layer {decodable}: {} packets", b.received.len());
        let reported = world.events.iter().rev().find_map(|event| match event {
            Event::Sending { codecs, .. } => Some(codecs.len()),
            _ => None,
        });
        assert_eq!(reported, Some(2));
    }
}

#[test]
fn the_answer_puts_first_what_receivers_decode() {
    let mut world = World::new();
    let sdp = camera_with_h264(&Client::new(1).offer_with_slots(3, 1), "640c1f", true);
    let mut receivers = Receivers::default();
    let h264 = Codec::H264 { packetization_mode: 1, profile: [0x64, 0x00] };
    receivers.add(vec![h264]);
    let formats =
        |answer: &str| answer.split("m=video 9 UDP/TLS/RTP/SAVPF ").nth(1).unwrap()[..7].to_owned();

    let answer = world.offer(1, &sdp).unwrap();
    assert_eq!(formats(&answer.sdp), "100 102");
    let answer = world.offer_to(1, &sdp, &receivers).unwrap();
    assert_eq!(formats(&answer.sdp), "102 100");
    let codecs = &answer.codecs[&Mid::new("1")];
    assert_eq!(codecs[0].mime_type, "video/H264");
    assert_eq!(codecs[0].fmtp.as_deref(), Some("packetization-mode=1;profile-level-id=640c1f"));
    receivers.add(vec![VP8]);
    receivers.add(vec![VP8]);
    let answer = world.offer_to(1, &sdp, &receivers).unwrap();
    assert_eq!(formats(&answer.sdp), "100 102", "most of them decode VP8");
}
