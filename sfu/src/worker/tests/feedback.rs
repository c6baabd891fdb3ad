//! Receivers that send TWCC feedback.

use std::time::{Duration, Instant};

use super::camera_of;
use super::client::{Client, Received, World};
use super::simulcast::{Camera, with_layers};
use crate::rtcp::twcc::Arrivals;
use crate::{Mid, PeerId};

/// The extension with the transport-wide sequence number.
const NUMBER: u8 = 5;
const FRAME: Duration = Duration::from_millis(33);

/// An offer with TWCC feedback on all m-lines.
pub(super) fn with_feedback(sdp: String) -> String {
    sdp.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-fb:* transport-cc\r\n")
}

fn number(packet: &Received) -> Option<u16> {
    let value = packet.extension(NUMBER);
    (!value.is_empty()).then(|| u16::from_be_bytes([value[0], value[1]]))
}

/// A publisher, and a receiver with TWCC feedback that sees its camera.
fn watched(change: impl Fn(String) -> String) -> (World, Client, Client) {
    let mut world = World::new();
    let a = world.join_with(1, &change);
    let b = world.join_with(2, |sdp| with_feedback(change(sdp)));
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    (world, a, b)
}

#[test]
fn all_packets_to_a_receiver_share_one_sequence_of_numbers() {
    let send_time = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    let (mut world, mut a, mut b) =
        watched(|sdp| sdp.replace("a=rtpmap:", &format!("a=extmap:9 {send_time}\r\na=rtpmap:")));
    for sequence in 1..=3 {
        a.send_video(&mut world, sequence, sequence == 1);
        a.send_audio(&mut world, sequence);
    }
    world.exchange(&mut [&mut a, &mut b]);
    let first = b.received[0].sequence_number;
    b.send_nack(&mut world, "4", &[first]);
    world.exchange(&mut [&mut a, &mut b]);

    let numbers: Vec<_> = b.received.iter().map(number).collect();
    assert_eq!(numbers, (0..7).map(Some).collect::<Vec<_>>());
    assert_eq!(b.received[6].payload_type, 97, "retransmissions too");
    let times = b.received.iter().filter(|packet| !packet.extension(9).is_empty());
    assert_eq!(times.count(), 0, "numbered packets need no send time");
}

#[test]
fn a_receiver_without_feedback_gets_no_numbers() {
    let (mut world, mut a, mut b) = super::pair();
    a.send_video(&mut world, 1, true);
    a.send_audio(&mut world, 1);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.iter().filter_map(number).count(), 0);
}

#[test]
fn a_packet_retransmitted_unchanged_keeps_its_number() {
    let (mut world, mut a, mut b) = watched(|sdp| sdp);
    for sequence in 1..=4 {
        a.send_audio(&mut world, sequence);
        if sequence == 3 {
            world.forget_sent();
        } else {
            world.exchange(&mut [&mut a, &mut b]);
        }
    }
    let lost = b.received[1].sequence_number.wrapping_add(1);
    let heard = b.received[0].ssrc;
    let slot = ["2", "3", "5"].into_iter().find(|mid| b.slot_ssrc(mid) == heard).unwrap();
    b.send_nack(&mut world, slot, &[lost]);
    world.exchange(&mut [&mut a, &mut b]);
    let again = b.received.last().unwrap();
    assert_eq!((again.sequence_number, number(again)), (lost, Some(2)));

    a.send_audio(&mut world, 5);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.last().and_then(number), Some(4), "the sequence continues");
}

#[test]
fn a_packet_whose_number_is_forgotten_is_not_retransmitted() {
    let (mut world, mut a, mut b) = watched(|sdp| sdp);
    let mut c = world.join(3);
    a.send_audio(&mut world, 1);
    world.forget_sent();
    a.send_audio(&mut world, 2);
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    let second = b.received[0].sequence_number;
    let heard = b.received[0].ssrc;
    let slot = ["2", "3", "5"].into_iter().find(|mid| b.slot_ssrc(mid) == heard).unwrap();
    let refused = world.worker.stats().rtx_sent;
    for sequence in 3..=70 {
        a.send_audio(&mut world, sequence);
    }
    world.exchange(&mut [&mut a, &mut b, &mut c]);
    b.send_nack(&mut world, slot, &[second.wrapping_sub(1)]);
    assert_eq!(world.worker.stats().rtx_sent, refused);
}

/// A receiver behind a queue that is drained at a given rate.
struct Narrow {
    world: World,
    camera: Camera,
    receiver: Client,
    arrivals: Arrivals,
    /// Bits per second.
    capacity: u64,
    free_at: Instant,
    /// The transport-wide numbers of the packets in the queue, and when they leave it.
    waiting: Vec<(u16, Instant)>,
    started: Instant,
}

impl Narrow {
    fn new(capacity: u64) -> Narrow {
        let mut world = World::new();
        let camera = Camera::new(world.join_with(1, |sdp| with_layers(&sdp, &["q", "h", "f"])));
        let receiver = world.join_with(2, with_feedback);
        world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
        let started = world.now;
        let arrivals = Arrivals::default();
        let (free_at, waiting) = (started, Vec::new());
        Narrow { world, camera, receiver, arrivals, capacity, free_at, waiting, started }
    }

    /// Returns the sizes of the video packets received.
    fn run(&mut self, seconds: u64) -> Vec<usize> {
        let mut sizes = Vec::new();
        for at in 0..seconds * 30 {
            self.camera.shoot(&mut self.world);
            self.world.exchange(&mut [&mut self.camera.client, &mut self.receiver]);
            self.world.advance(FRAME);
            self.world.exchange(&mut [&mut self.camera.client, &mut self.receiver]);
            for packet in self.receiver.received.drain(..) {
                let now = self.world.now;
                let start = self.free_at.max(now);
                if start - now > Duration::from_millis(300) {
                    continue;
                }
                let bits = 8 * (packet.payload.len() as u64 + 40);
                self.free_at = start + Duration::from_micros(bits * 1_000_000 / self.capacity);
                self.waiting.extend(number(&packet).map(|number| (number, self.free_at)));
                sizes.push(packet.payload.len());
            }
            if at % 3 == 0 {
                self.tell();
            }
            if at % 150 == 0 {
                self.camera.client.check(&mut self.world);
                self.receiver.check(&mut self.world);
            }
        }
        sizes
    }

    fn tell(&mut self) {
        let now = self.world.now;
        for (number, at) in self.waiting.extract_if(.., |(_, at)| *at <= now) {
            self.arrivals.packet(at, number);
        }
        let mut payload = Vec::new();
        if self.arrivals.write(self.started, &mut payload) {
            self.receiver.send_transport_feedback(&mut self.world, &payload);
        }
    }
}

fn share(sizes: &[usize], size: usize) -> usize {
    sizes.iter().filter(|other| **other == size).count() * 100 / sizes.len().max(1)
}

#[test]
fn a_slow_connection_gets_the_layer_that_fits_and_a_fast_one_the_best() {
    let mut narrow = Narrow::new(5_000_000);
    narrow.run(5);
    let sizes = narrow.run(10);
    assert_eq!(share(&sizes, 1350), 100, "there is room for the best layer");
    let stats = narrow.world.worker.stats();
    assert_eq!((stats.estimated_by_feedback, stats.estimated_by_receiver), (1, 0));
    assert_eq!(stats.layers_down, 0);

    narrow.capacity = 180_000;
    narrow.run(3);
    let sizes = narrow.run(20);
    assert!(share(&sizes, 480) > 80, "{} % of the middle layer", share(&sizes, 480));
    assert!(narrow.world.worker.stats().layers_down >= 1);

    narrow.capacity = 5_000_000;
    narrow.run(30);
    let sizes = narrow.run(10);
    assert_eq!(share(&sizes, 1350), 100, "the best layer comes back");
}

#[test]
fn a_connection_that_is_slow_from_the_start_is_noticed_soon() {
    let mut narrow = Narrow::new(100_000);
    narrow.run(6);
    let sizes = narrow.run(20);
    assert!(share(&sizes, 180) > 80, "{} % of the lowest layer", share(&sizes, 180));
}

#[test]
fn remb_is_ignored_beside_feedback() {
    let mut narrow = Narrow::new(5_000_000);
    for _ in 0..10 {
        narrow.run(1);
        narrow.receiver.send_estimate(&mut narrow.world, 50_000, 0);
    }
    let sizes = narrow.run(2);
    assert_eq!(share(&sizes, 1350), 100);
    assert_eq!(narrow.world.worker.stats().layers_down, 0);
}

#[test]
fn feedback_about_packets_never_sent_is_ignored() {
    let (mut world, mut a, mut b) = watched(|sdp| sdp);
    a.send_video(&mut world, 1, true);
    let nonsense: [&[u8]; 4] = [
        &[0, 9, 0, 200, 0, 0, 0, 0, 0, 200],
        &[0xff, 0xf0, 0xff, 0xff, 0, 0, 0, 0, 0x1f, 0xff, 0x3f, 0xff],
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[0; 4],
    ];
    for payload in nonsense {
        b.send_transport_feedback(&mut world, payload);
    }
    a.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut b]);
    assert_eq!(b.received.len(), 2);
    assert_eq!(world.worker.stats().estimated_by_feedback, 0);
}
