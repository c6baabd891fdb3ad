//! Codecs: what each needs so that a slot is one continuous stream, whatever it carries.

use super::camera_of;
use super::client::{Client, Packet, World};
use crate::{Mid, PeerId};

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
