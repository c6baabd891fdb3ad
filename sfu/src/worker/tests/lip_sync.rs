//! Sender reports: media sampled at the same time is played at the same time, in whatever slots it arrives.

use std::time::Duration;

use super::camera_of;
use super::client::{Client, Packet, World};
use crate::{Mid, PeerId};

/// RTP clock rates of microphone and camera.
const AUDIO: f64 = 48_000.0;
const VIDEO: f64 = 90_000.0;

/// A publisher's clocks at the start: seconds of the wall clock since 1900, and two timestamps.
#[derive(Clone, Copy)]
struct Clocks {
    wall: f64,
    audio: u32,
    video: u32,
}

fn with_one_audio_slot(sdp: String) -> String {
    ["3", "5"].iter().fold(sdp, |sdp, mid| {
        let line = |direction| format!("a=mid:{mid}\r\na={direction}");
        sdp.replace(&line("recvonly"), &line("inactive"))
    })
}

/// A listener, and two publishers.
struct Scene {
    world: World,
    publishers: [Client; 2],
    listener: Client,
    begun: [Clocks; 2],
    /// Seconds since the start.
    time: f64,
    /// The sequence number of each publisher's last sample.
    sequences: [u16; 2],
}

impl Scene {
    fn new(begun: [Clocks; 2]) -> Scene {
        let mut world = World::new();
        let [a, b, listener] = [1, 2, 3].map(|id| world.join_with(id, with_one_audio_slot));
        let publishers = [a, b];
        let mut scene = Scene { world, publishers, listener, begun, time: 0.0, sequences: [0; 2] };
        scene.show(0);
        scene
    }

    /// Shows a publisher to the listener. Which one it hears depends on who speaks.
    fn show(&mut self, publisher: usize) {
        let camera = camera_of(publisher as u64 + 1);
        self.world.worker.assign(self.world.now, PeerId(3), &Mid::new("4"), camera.as_ref());
        self.exchange();
    }

    fn exchange(&mut self) {
        let [a, b] = &mut self.publishers;
        self.world.exchange(&mut [a, b, &mut self.listener]);
    }

    fn advance(&mut self, ms: u64) {
        self.world.advance(Duration::from_millis(ms));
        self.time += ms as f64 / 1000.0;
        self.exchange();
    }

    fn timestamps(&self, publisher: usize) -> (u32, u32) {
        let Clocks { audio, video, .. } = self.begun[publisher];
        let since = |rate: f64| (self.time * rate).round() as u32;
        (audio.wrapping_add(since(AUDIO)), video.wrapping_add(since(VIDEO)))
    }

    /// Sends one sample of microphone and camera; the video arrives 70 ms later.
    fn sample(&mut self, publisher: usize) {
        self.sequences[publisher] += 1;
        let sequence = self.sequences[publisher];
        let (audio, video) = self.timestamps(publisher);
        let level: [u8; 1] = [0x80 | 10];
        let sound = Packet::audio(sequence).at(audio).extended(1, &level).with(b"clap");
        self.publishers[publisher].send(&mut self.world, sound);
        self.advance(70);
        let key_frame = [0x10, 0, b'c', b'l', b'a', b'p'];
        let picture = Packet::video(sequence).at(video).with(&key_frame);
        self.publishers[publisher].send(&mut self.world, picture);
        self.exchange();
    }

    /// Creates sender reports for the current time.
    fn report(&self, publisher: usize) -> [(usize, f64, u32); 2] {
        let (audio, video) = self.timestamps(publisher);
        let wall = self.begun[publisher].wall + self.time;
        [(0, wall, audio), (1, wall, video)]
    }

    fn deliver(&mut self, publisher: usize, (mid, wall, timestamp): (usize, f64, u32)) {
        self.publishers[publisher].send_sender_report(&mut self.world, mid, wall, timestamp);
    }

    fn deliver_all(&mut self, publisher: usize) {
        self.report(publisher).into_iter().for_each(|report| self.deliver(publisher, report));
    }

    /// By how many ms the receiver plays the last clap's video later than its audio.
    fn skew(&mut self) -> f64 {
        self.listener.reports.clear();
        self.advance(1100);
        let reports = &self.listener.reports;
        let shown = |what: &[u8], rate: f64| {
            let mut packets = self.listener.received.iter().rev();
            let packet = packets.find(|packet| packet.payload == what).unwrap();
            let (_, wall, timestamp) =
                *reports.iter().rev().find(|(ssrc, ..)| *ssrc == packet.ssrc).unwrap();
            wall + f64::from(packet.timestamp.wrapping_sub(timestamp) as i32) / rate
        };
        let picture = shown(&[0x10, 0, b'c', b'l', b'a', b'p'], VIDEO);
        (picture - shown(b"clap", AUDIO)) * 1000.0
    }

    fn assert_in_sync(&mut self) {
        let skew = self.skew();
        assert!(skew.abs() < 1.0, "the video is {skew} ms later than the audio");
    }
}

/// One publisher's clock is right; the other's has never been set.
const BEGUN: [Clocks; 2] = [
    Clocks { wall: 3_908_988_800.0, audio: 0xffff_ff00, video: 7 },
    Clocks { wall: 1000.0, audio: 5, video: 0x8000_0000 },
];

#[test]
fn lip_sync_is_exact_whatever_the_delays() {
    let mut scene = Scene::new(BEGUN);
    scene.deliver_all(0);
    scene.sample(0);
    scene.deliver_all(0);
    scene.sample(0);
    scene.assert_in_sync();
}

#[test]
fn lip_sync_holds_across_a_switch() {
    let mut scene = Scene::new(BEGUN);
    for publisher in [0, 1] {
        scene.sample(publisher);
        scene.deliver_all(publisher);
    }
    for publisher in [1, 0, 1] {
        scene.show(publisher);
        for _ in 0..30 {
            scene.sample(publisher);
        }
        scene.assert_in_sync();
        scene.deliver_all(publisher);
        scene.assert_in_sync();
    }
}

#[test]
fn lip_sync_tolerates_late_reports() {
    let mut scene = Scene::new(BEGUN);
    scene.sample(0);
    scene.deliver_all(0);
    let [sound, picture] = scene.report(0);
    scene.advance(900);
    scene.deliver(0, sound);
    scene.advance(400);
    scene.deliver_all(0);
    scene.deliver(0, picture);
    scene.sample(0);
    scene.assert_in_sync();
}

#[test]
fn lip_sync_tolerates_a_wall_clock_that_jumps() {
    let mut scene = Scene::new(BEGUN);
    scene.sample(0);
    scene.deliver_all(0);
    scene.advance(1000);
    scene.begun[0].wall -= 7200.0;
    let [sound, picture] = scene.report(0);
    scene.deliver(0, sound);
    scene.sample(0);
    scene.assert_in_sync();
    scene.deliver(0, picture);
    scene.sample(0);
    scene.assert_in_sync();
}

#[test]
fn sender_reports_stay_on_one_line_across_a_switch() {
    let mut scene = Scene::new(BEGUN);
    for publisher in [0, 1] {
        scene.sample(publisher);
        scene.deliver_all(publisher);
    }
    let mut line = Vec::new();
    for publisher in [0, 1, 0] {
        scene.show(publisher);
        for _ in 0..5 {
            scene.sample(publisher);
        }
        scene.skew();
        let slot = scene.listener.received.iter().rev().find(|packet| packet.payload[0] == 0x10);
        let ssrc = slot.unwrap().ssrc;
        line.extend(scene.listener.reports.iter().filter(|report| report.0 == ssrc).copied());
    }
    let (_, first_wall, first) = line[0];
    for (_, wall, timestamp) in line {
        let since = f64::from(timestamp.wrapping_sub(first)) / VIDEO;
        assert!(
            (wall - first_wall - since).abs() < 0.001,
            "{since} s instead of {}",
            wall - first_wall
        );
    }
}

#[test]
fn timestamps_that_jump_go_on_smoothly_in_the_slot() {
    let mut scene = Scene::new(BEGUN);
    scene.sample(0);
    scene.deliver_all(0);
    for jump in [10_000_000, -20_000_000, i32::MAX] {
        scene.sample(0);
        scene.begun[0].audio = scene.begun[0].audio.wrapping_add_signed(jump);
        scene.begun[0].video = scene.begun[0].video.wrapping_sub(jump.unsigned_abs());
        scene.sample(0);
        scene.skew();
        scene.sample(0);
        scene.deliver_all(0);
        scene.sample(0);
        scene.assert_in_sync();
    }
    let received = &scene.listener.received;
    for (kind, rate) in [(b'c', AUDIO), (0x10, VIDEO)] {
        let packets: Vec<_> = received.iter().filter(|packet| packet.payload[0] == kind).collect();
        assert_eq!(packets.len(), 13);
        for pair in packets.windows(2) {
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32;
            let seconds = f64::from(step) / rate;
            assert!((0.001..1.5).contains(&seconds), "{seconds} s in a stream at {rate}");
        }
    }
}
