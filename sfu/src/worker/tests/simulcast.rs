//! Cameras sent in several encodings at once, and receivers that get one of them.

use std::time::Duration;

use super::client::{Client, RTX, Received, World};
use super::{camera_of, pair};
use crate::{Mid, OfferError, PeerId};

const MID: u8 = 3;
const RID: u8 = 10;
const REPAIRED_RID: u8 = 11;
const RIDS: [&str; 3] = ["q", "h", "f"];
/// The sizes of packets: with 30 frames a second about 43, 115 and 324 kbit/s.
const BYTES: [usize; 3] = [180, 480, 1350];
const FRAME: Duration = Duration::from_millis(33);
/// The number of packets at the start of a stream that carry its mid and RID.
const INTRODUCTION: u16 = 5;

/// Changes an offer so that its camera has layers.
pub(super) fn with_layers(sdp: &str, rids: &[&str]) -> String {
    let lines: String = rids.iter().map(|rid| format!("a=rid:{rid} send\r\n")).collect();
    let extension = |id, name| format!("a=extmap:{id} urn:ietf:params:rtp-hdrext:sdes:{name}\r\n");
    let camera = format!(
        "a=mid:1\r\n{}{}{}{lines}a=simulcast:send {}\r\n",
        extension(MID, "mid"),
        extension(RID, "rtp-stream-id"),
        extension(REPAIRED_RID, "repaired-rtp-stream-id"),
        rids.join(";")
    );
    let announced = |line: &&str| !line.contains("FID") && !line.contains("1 cname");
    let lines: Vec<&str> = sdp.split_inclusive('\n').filter(announced).collect();
    lines.concat().replacen("a=mid:1\r\n", &camera, 1)
}

/// A camera with three encoders; each makes a key frame on request.
pub(super) struct Camera {
    pub(super) client: Client,
    pub(super) is_active: [bool; 3],
    is_key: [bool; 3],
    /// Key frame requests are answered only while this is set.
    pub(super) answers: bool,
    number: u16,
    sent: [u16; 3],
}

impl Camera {
    pub(super) fn new(client: Client) -> Camera {
        let (is_active, is_key) = ([true; 3], [true; 3]);
        Camera { client, is_active, is_key, answers: true, number: 0, sent: [0; 3] }
    }

    pub(super) fn ssrc(&self, layer: usize) -> u32 {
        self.client.ssrc(1) + 10 + layer as u32
    }

    /// Sends the next frame in all active layers.
    pub(super) fn shoot(&mut self, world: &mut World) {
        for datagram in self.frame() {
            world.hand_in(self.client.path(), &datagram);
        }
    }

    /// Returns the packets of the next frame.
    pub(super) fn frame(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        for layer in 0..3 {
            let ssrc = self.ssrc(layer);
            if self.answers && self.client.asked.contains(&ssrc) {
                self.is_key[layer] = true;
                self.client.asked.retain(|asked| *asked != ssrc);
            }
            if self.is_active[layer] {
                let is_key = std::mem::take(&mut self.is_key[layer]);
                datagrams.push(self.packet(layer, self.sent[layer], is_key));
                self.sent[layer] += 1;
            }
        }
        self.number += 1;
        datagrams
    }

    /// Omits a packet of a layer, and returns it as a retransmission with this sequence number.
    fn lose(&mut self, layer: usize, number: u16, is_introduced: bool) -> Vec<u8> {
        let mut payload = self.sequence(layer, self.sent[layer]).to_be_bytes().to_vec();
        payload.extend(self.payload(layer, false));
        self.sent[layer] += 1;
        let rid = RIDS[layer].as_bytes();
        let extensions: &[(u8, &[u8])] =
            if is_introduced { &[(MID, b"1"), (REPAIRED_RID, rid)] } else { &[] };
        let at = (number, self.timestamp(layer));
        self.client.protect(101, self.ssrc(layer) + RTX, at, extensions, &payload)
    }

    fn packet(&self, layer: usize, sent: u16, is_key: bool) -> Vec<u8> {
        let rid = RIDS[layer].as_bytes();
        let extensions: &[(u8, &[u8])] =
            if sent < INTRODUCTION { &[(MID, b"1"), (RID, rid)] } else { &[] };
        let at = (self.sequence(layer, sent), self.timestamp(layer));
        self.client.protect(100, self.ssrc(layer), at, extensions, &self.payload(layer, is_key))
    }

    /// A VP8 frame with picture id and TL0PICIDX; the data that the tests check is at its end.
    fn payload(&self, layer: usize, is_key: bool) -> Vec<u8> {
        let [high, low] = (0x8000 | (self.number + 1000 * layer as u16)).to_be_bytes();
        let tl0 = (self.number as u8).wrapping_add(100 * layer as u8);
        let mut payload = vec![0x90, 0xe0, high, low, tl0, 0, u8::from(!is_key)];
        payload.resize(BYTES[layer] - 4, 0);
        payload.extend([layer as u8, u8::from(is_key)]);
        payload.extend(self.number.to_be_bytes());
        payload
    }

    fn sequence(&self, layer: usize, sent: u16) -> u16 {
        7000 * (layer as u16 + 1) + sent
    }

    /// Every encoder starts at a different timestamp.
    fn timestamp(&self, layer: usize) -> u32 {
        u32::from(self.number) * 2970 + 1_000_000 * layer as u32
    }
}

/// The content of a received packet: layer, whether it is a key frame, and the frame number.
fn seen(packet: &Received) -> (usize, bool, u16) {
    let [.., layer, is_key, high, low] = packet.payload[..] else {
        panic!("{} bytes", packet.payload.len())
    };
    (layer.into(), is_key == 1, u16::from_be_bytes([high, low]))
}

struct Scene {
    world: World,
    camera: Camera,
    receiver: Client,
}

impl Scene {
    fn new() -> Scene {
        Scene::listing(&RIDS)
    }

    /// The offer lists the layers in this order.
    fn listing(rids: &[&str]) -> Scene {
        let mut world = World::new();
        let camera = Camera::new(world.join_with(1, |sdp| with_layers(&sdp, rids)));
        let receiver = world.join(2);
        let mut scene = Scene { world, camera, receiver };
        scene.show();
        scene
    }

    fn show(&mut self) {
        let now = self.world.now;
        self.world.worker.assign(now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
        self.exchange();
    }

    fn exchange(&mut self) {
        self.world.exchange(&mut [&mut self.camera.client, &mut self.receiver]);
    }

    fn frame(&mut self) {
        self.camera.shoot(&mut self.world);
        self.exchange();
        self.world.advance(FRAME);
        self.exchange();
    }

    /// Sends frames for this many milliseconds. A receiver with an estimate, in kbit/s, repeats it every second.
    fn run(&mut self, ms: u64, estimate: Option<u32>) {
        for at in 0..ms / FRAME.as_millis() as u64 {
            if let Some(estimate) = estimate.filter(|_| at % 30 == 0) {
                self.receiver.send_estimate(&mut self.world, estimate * 1000 / 8, 3);
            }
            self.frame();
        }
    }

    /// The sequence of layers that the receiver has seen since the last call.
    fn layers(&mut self) -> Vec<usize> {
        self.assert_one_stream();
        let mut layers: Vec<usize> = self.receiver.received.iter().map(|p| seen(p).0).collect();
        layers.dedup();
        self.receiver.received.clear();
        layers
    }

    /// Checks that the packets are one stream: no number is missing, and every switch is at a key frame.
    fn assert_one_stream(&self) {
        let received = &self.receiver.received;
        let ssrc = self.receiver.slot_ssrc("4");
        assert!(received.iter().all(|packet| packet.ssrc == ssrc && packet.payload_type == 96));
        for pair in received.windows(2) {
            let [before, after] = pair else { unreachable!("windows of two") };
            assert_eq!(after.sequence_number, before.sequence_number.wrapping_add(1));
            let later = after.timestamp.wrapping_sub(before.timestamp) as i32;
            assert!((1..90_000).contains(&later), "{later} ticks");
            let picture = |packet: &Received| {
                u16::from_be_bytes([packet.payload[2], packet.payload[3]]) & 0x7fff
            };
            assert_eq!(picture(after), (picture(before) + 1) & 0x7fff);
            assert_eq!(after.payload[4], before.payload[4].wrapping_add(1), "TL0PICIDX");
            let ((layer, is_key, _), (earlier, ..)) = (seen(after), seen(before));
            assert!(layer == earlier || is_key, "{earlier} to {layer} without a key frame");
        }
    }
}

#[test]
fn simulcast_shows_the_best_layer_known_by_rid_and_then_by_ssrc() {
    let mut scene = Scene::new();
    scene.run(3000, None);
    assert_eq!(scene.layers().last(), Some(&2));
    assert_eq!(scene.world.worker.stats().dropped_unnegotiated, 0);
    scene.run(1000, None);
    assert_eq!(scene.layers(), [2], "the slot stays on that layer");
}

#[test]
fn simulcast_layers_are_judged_by_what_they_carry_in_whatever_order_they_are_listed() {
    for rids in [["f", "h", "q"], ["h", "f", "q"], ["q", "f", "h"]] {
        let mut scene = Scene::listing(&rids);
        scene.run(4000, None);
        assert_eq!(scene.layers().last(), Some(&2), "{rids:?}");
        scene.run(2000, None);
        assert_eq!(scene.layers(), [2], "{rids:?}");
        scene.run(20_000, Some(150));
        assert_eq!(scene.layers().last(), Some(&1), "{rids:?}");

        scene.camera.is_active[2] = false;
        scene.run(3000, Some(150));
        scene.camera.is_active[2] = true;
        scene.run(3000, Some(150));
        assert_eq!(scene.layers(), [1], "{rids:?}: a pause changes no rank");
    }
}

#[test]
fn simulcast_a_late_joiner_starts_with_an_existing_layer() {
    let mut scene = Scene::new();
    scene.run(3000, None);
    let mut late = scene.world.join(3);
    scene.world.worker.assign(scene.world.now, PeerId(3), &Mid::new("4"), camera_of(1).as_ref());
    for _ in 0..10 {
        scene.camera.shoot(&mut scene.world);
        let mut clients = [&mut scene.camera.client, &mut scene.receiver, &mut late];
        scene.world.exchange(&mut clients);
        scene.world.advance(FRAME);
        scene.world.exchange(&mut clients);
    }
    assert_eq!(late.received.last().map(|packet| seen(packet).0), Some(2));
}

#[test]
fn simulcast_a_paused_layer_gives_way_and_comes_back() {
    let mut scene = Scene::new();
    scene.run(3000, None);
    scene.layers();

    scene.camera.is_active[2] = false;
    scene.run(3000, None);
    assert_eq!(scene.layers(), [1]);

    scene.camera.is_active = [true, false, false];
    scene.run(3000, None);
    assert_eq!(scene.layers(), [0]);

    scene.camera.is_active = [true; 3];
    scene.run(3000, None);
    assert_eq!(scene.layers().last(), Some(&2));
}

#[test]
fn simulcast_all_layers_paused_leave_the_slot_as_it_is() {
    let mut scene = Scene::new();
    scene.run(2000, None);
    scene.layers();
    scene.camera.is_active = [false; 3];
    scene.run(3000, None);
    assert_eq!(scene.layers(), []);
    let asked = scene.camera.client.plis;
    scene.run(3000, None);
    assert_eq!(scene.camera.client.plis, asked, "no key frame of a paused layer is requested");
    scene.camera.is_active = [true; 3];
    scene.run(1000, None);
    assert_eq!(scene.layers().last(), Some(&2));
}

#[test]
fn simulcast_a_stream_of_no_accepted_layer_is_dropped() {
    let mut scene = Scene::new();
    scene.run(1000, None);
    let dropped = scene.world.worker.stats().dropped_unnegotiated;
    let strangers: [&[(u8, &[u8])]; 4] =
        [&[(MID, b"1"), (RID, b"x")], &[(MID, b"1")], &[], &[(MID, b"0"), (RID, b"q")]];
    for (n, extensions) in strangers.into_iter().enumerate() {
        let ssrc = 77_000 + n as u32;
        let datagram = scene.camera.client.protect(100, ssrc, (1, 1), extensions, b"stranger");
        scene.world.hand_in(scene.camera.client.path(), &datagram);
    }
    assert_eq!(scene.world.worker.stats().dropped_unnegotiated, dropped + 4);
    scene.run(1000, None);
    assert_eq!(scene.layers().last(), Some(&2));
}

#[test]
fn simulcast_takes_three_layers_and_no_more() {
    let mut world = World::new();
    let client = Client::new(1);
    let offered = with_layers(&client.offer_with_slots(3, 1), &["a", "b", "c", "d"]);
    let answer = world.offer(1, &offered).unwrap();
    assert!(answer.sdp.contains("a=simulcast:recv a;b;c\r\n"), "{}", answer.sdp);
    let twice = with_layers(&client.offer_with_slots(3, 1), &["a", "a"]);
    let answer = world.offer(1, &twice).unwrap();
    assert!(!answer.sdp.contains("simulcast"), "{}", answer.sdp);
    let passive = offered.replace("a=setup:actpass", "a=setup:passive");
    assert!(matches!(world.offer(1, &passive), Err(OfferError::BadSdp(_))));
    assert_eq!(world.worker.stats().peers, 1, "the peer stays as it was");
}

#[test]
fn simulcast_layers_of_later_offers_are_bounded() {
    let mut world = World::new();
    let client = Client::new(1);
    let offers = (0..200).map(|n| {
        let rids = [0, 1, 2].map(|layer| format!("r{n}{layer}"));
        let rids = rids.each_ref().map(String::as_str);
        world.offer(1, &with_layers(&client.offer_with_slots(3, 1), &rids)).is_ok()
    });
    let taken = offers.take_while(|is_taken| *is_taken).count();
    assert!((50..100).contains(&taken), "{taken}");
}

#[test]
fn simulcast_ends_with_a_later_offer_and_the_slot_continues() {
    let mut scene = Scene::new();
    scene.run(2000, None);
    scene.layers();
    let two = with_layers(&scene.camera.client.offer_with_slots(3, 1), &["q", "h"]);
    scene.world.offer(1, &two).unwrap();
    scene.camera.is_active[2] = false;
    scene.run(1000, None);
    assert_eq!(scene.layers().last(), Some(&1));

    let plain = scene.camera.client.offer_with_slots(3, 1);
    scene.world.offer(1, &plain).unwrap();
    scene.camera.client.send_video(&mut scene.world, 1, true);
    scene.exchange();
    assert_eq!(scene.receiver.received.len(), 1);
}

#[test]
fn layer_switch_down_happens_at_a_key_frame_and_the_old_layer_continues_until_then() {
    let mut scene = Scene::new();
    scene.run(3000, None);
    scene.layers();
    scene.camera.answers = false;
    scene.run(1000, Some(150));
    assert_eq!(scene.layers(), [2], "no other layer can be shown yet");
    assert!(scene.camera.client.asked.contains(&scene.camera.ssrc(1)), "a key frame is requested");
    scene.camera.answers = true;
    scene.run(1000, Some(150));
    assert_eq!(scene.layers(), [1]);
    scene.run(3000, Some(60));
    assert_eq!(scene.layers(), [1, 0]);
}

#[test]
fn layer_switch_up_happens_when_the_estimate_has_been_high_for_a_while() {
    let mut scene = Scene::new();
    scene.run(2000, None);
    scene.run(2000, Some(150));
    scene.layers();
    scene.run(2000, Some(1000));
    assert_eq!(scene.layers(), [1], "the switch is not immediate");
    scene.run(5000, Some(1000));
    assert_eq!(scene.layers(), [1, 2]);
}

#[test]
fn layer_switch_to_a_layer_that_pauses_is_given_up() {
    let mut scene = Scene::new();
    scene.run(3000, None);
    scene.camera.answers = false;
    scene.run(500, Some(150));
    scene.camera.is_active[1] = false;
    scene.run(2000, Some(150));
    let paused = scene.camera.ssrc(1);
    scene.camera.answers = true;
    scene.camera.client.asked.clear();
    scene.run(1000, Some(150));
    assert!(
        !scene.camera.client.asked.contains(&paused),
        "no key frame of the paused layer is requested"
    );
    assert_eq!(scene.layers().last(), Some(&0));
}

#[test]
fn layer_switch_uses_a_cached_key_frame() {
    let mut scene = Scene::new();
    scene.run(1500, None);
    scene.layers();
    // Every encoder makes a key frame, as at a scene change; then the estimate falls.
    scene.camera.is_key = [true; 3];
    scene.frame();
    scene.camera.answers = false;
    let asked = scene.camera.client.plis;
    scene.run(600, Some(150));
    assert_eq!(scene.layers().last(), Some(&1));
    assert_eq!(scene.camera.client.plis, asked);
}

#[test]
fn layer_switch_of_one_receiver_does_not_affect_another() {
    let mut scene = Scene::new();
    let mut other = scene.world.join(3);
    scene.world.worker.assign(scene.world.now, PeerId(3), &Mid::new("4"), camera_of(1).as_ref());
    for at in 0..150 {
        if at % 30 == 20 {
            scene.receiver.send_estimate(&mut scene.world, 60_000, 0);
        }
        scene.camera.shoot(&mut scene.world);
        let mut clients = [&mut scene.camera.client, &mut scene.receiver, &mut other];
        scene.world.exchange(&mut clients);
        scene.world.advance(FRAME);
        scene.world.exchange(&mut clients);
    }
    assert_eq!(scene.layers().last(), Some(&0));
    assert_eq!(other.received.last().map(|packet| seen(packet).0), Some(2));
}

#[test]
fn remb_without_simulcast_changes_nothing() {
    let (mut world, mut a, mut b) = pair();
    a.send_video(&mut world, 1, true);
    b.send_estimate(&mut world, 1, 0);
    world.advance(Duration::from_secs(1));
    a.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2);
}

#[test]
fn remb_that_is_not_repeated_expires() {
    let mut scene = Scene::new();
    scene.run(2000, None);
    scene.run(1000, Some(60));
    scene.layers();
    scene.run(8000, None);
    assert!(!scene.layers().contains(&2));
    scene.run(3000, None);
    assert_eq!(scene.layers().last(), Some(&2));
}

#[test]
fn rtx_rid_a_retransmission_finds_its_layer() {
    let mut scene = Scene::new();
    scene.run(2000, None);
    scene.layers();
    let lost = scene.camera.sequence(2, scene.camera.sent[2]);
    let again = scene.camera.lose(2, 40, true);
    let of_another = scene.camera.lose(1, 40, true);
    scene.run(100, None);
    assert!(scene.camera.client.nacked.contains(&lost));
    let repaired = scene.world.worker.stats().rtx_received;
    for datagram in [again, of_another] {
        scene.world.hand_in(scene.camera.client.path(), &datagram);
    }
    scene.exchange();
    assert_eq!(scene.world.worker.stats().rtx_received, repaired + 2);

    // From now on it is known by its SSRC.
    let later = scene.camera.lose(2, 41, false);
    scene.run(100, None);
    scene.world.hand_in(scene.camera.client.path(), &later);
    scene.exchange();
    assert_eq!(scene.world.worker.stats().rtx_received, repaired + 3);
    let mut numbers: Vec<u16> = scene.receiver.received.iter().map(|p| p.sequence_number).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert!(numbers.len() >= 8);
}

#[test]
fn rtx_rid_before_the_first_packet_of_its_layer_does_no_harm() {
    let mut scene = Scene::new();
    let early = scene.camera.lose(2, 1, true);
    scene.world.hand_in(scene.camera.client.path(), &early);
    scene.run(2000, None);
    assert_eq!(scene.layers().last(), Some(&2));
}

#[test]
fn bye_of_a_layer_pauses_it_at_once() {
    let mut scene = Scene::new();
    scene.run(2000, None);
    scene.layers();
    scene.camera.is_active[2] = false;
    let best = scene.camera.ssrc(2);
    scene.camera.client.send_bye(&mut scene.world, &[best]);
    scene.run(500, None);
    assert_eq!(scene.layers(), [1]);
    scene.camera.is_active[2] = true;
    scene.run(1500, None);
    assert_eq!(scene.layers(), [1], "the switch is not immediate, because the layer may end again");
    scene.run(1500, None);
    assert_eq!(scene.layers(), [1, 2], "the same stream may continue");
}
