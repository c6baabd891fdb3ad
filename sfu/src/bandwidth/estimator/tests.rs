//! The estimator over simulated connections: a queue drained at a given rate, and randomness.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::test_now;

const FRAME_US: i64 = 33_333;
const FEEDBACK_US: i64 = 100 * MS;
const PACKET: u64 = 1200;
/// The difference between the clocks of sender and receiver.
const OFFSET_US: i64 = 77_000_000_000;

/// A camera, the connection to its receiver, and the receiver's feedback.
struct Scene {
    estimator: Estimator,
    start: Instant,
    /// In microseconds since the start.
    now: i64,
    /// Bits per second.
    capacity: u64,
    delay: i64,
    /// Packets that would wait longer are lost.
    queue: i64,
    /// A probability.
    random_loss: f64,
    jitter: i64,
    free_at: i64,
    /// When each packet was sent, when it arrives, and its bytes.
    on_the_way: VecDeque<(i64, Option<i64>, u64)>,
    rng: StdRng,
    frame: i64,
    /// Packets that would arrive earlier are held up until then.
    stalled_until: i64,
    /// The estimate every 100 ms.
    seen: Vec<u64>,
    /// The longest wait during the last run.
    waited: i64,
}

impl Scene {
    fn new(capacity: u64) -> Scene {
        Scene {
            estimator: Estimator::default(),
            start: test_now(),
            now: 0,
            capacity,
            delay: 20 * MS,
            queue: 300 * MS,
            random_loss: 0.0,
            jitter: 0,
            free_at: 0,
            on_the_way: VecDeque::new(),
            rng: StdRng::from_seed([3; 32]),
            frame: FRAME_US,
            stalled_until: 0,
            seen: Vec::new(),
            waited: 0,
        }
    }

    /// Sends at the estimated bitrate, starting with `first` and at most `most`.
    fn elastic(&mut self, seconds: i64, first: u64, most: u64) {
        self.run(seconds, |estimate| estimate.unwrap_or(first).min(most));
    }

    /// Sends at a fixed bitrate, whatever the estimate.
    fn steady(&mut self, seconds: i64, rate: u64) {
        self.run(seconds, |_| rate);
    }

    fn run(&mut self, seconds: i64, rate: impl Fn(Option<u64>) -> u64) {
        (self.waited, self.seen) = (0, Vec::new());
        let end = self.now + seconds * 1000 * MS;
        let (mut frame_at, mut feedback_at) = (self.now, self.now + FEEDBACK_US);
        while self.now < end {
            self.now = frame_at.min(feedback_at);
            if self.now == frame_at {
                frame_at += self.frame;
                // Frames vary in size.
                let share = self.rng.random_range(60..140);
                let bits = rate(self.estimator.bits_per_second()) * share / 100 * self.frame as u64
                    / 1_000_000;
                self.send(bits / 8);
            } else {
                feedback_at += FEEDBACK_US;
                self.tell();
                self.seen.push(self.estimator.bits_per_second().unwrap_or_default());
            }
        }
    }

    fn send(&mut self, bytes: u64) {
        let mut left = bytes.max(100);
        while left > 0 {
            let bytes = left.min(PACKET);
            left -= bytes;
            let waits = (self.free_at - self.now).max(0);
            let is_lost = self.rng.random_bool(self.random_loss) || waits > self.queue;
            let came = (!is_lost).then(|| {
                self.free_at =
                    self.now.max(self.free_at) + (bytes * 8 * 1_000_000 / self.capacity) as i64;
                self.waited = self.waited.max(waits);
                let came = self.free_at + self.delay + self.rng.random_range(0..=self.jitter);
                came.max(self.stalled_until)
            });
            self.on_the_way.push_back((self.now, came, bytes));
        }
    }

    fn tell(&mut self) {
        let by = self.now - self.delay;
        let is_there = |came: &Option<i64>| came.is_some_and(|came| came <= by);
        let last = self.on_the_way.iter().rposition(|(_, came, _)| is_there(came));
        for (sent, came, bytes) in self.on_the_way.drain(..last.map_or(0, |last| last + 1)) {
            match came {
                // The server's clock wraps after two seconds.
                Some(came) => self.estimator.arrived(
                    (sent as u32).wrapping_sub(2_000_000),
                    came + OFFSET_US,
                    bytes as u16,
                ),
                None => self.estimator.lost(),
            }
        }
        self.estimator.told(self.start + Duration::from_micros(self.now as u64));
    }

    /// The estimates of the last seconds, in percent of the capacity: least, mean and greatest.
    fn percents(&self, seconds: usize) -> (u64, u64, u64) {
        let last = &self.seen[self.seen.len().saturating_sub(10 * seconds)..];
        let mean = last.iter().sum::<u64>() / last.len() as u64;
        let of = |estimate: u64| estimate * 100 / self.capacity;
        (of(*last.iter().min().unwrap()), of(mean), of(*last.iter().max().unwrap()))
    }
}

#[test]
fn a_sender_that_follows_the_estimate_uses_most_of_the_capacity() {
    for capacity in [250_000, 600_000, 1_000_000, 3_000_000, 8_000_000] {
        for first in [capacity / 4, 3 * capacity] {
            let mut scene = Scene::new(capacity);
            scene.elastic(8, first, u64::MAX);
            scene.elastic(20, first, u64::MAX);
            let (least, mean, greatest) = scene.percents(20);
            assert!((60..=97).contains(&mean), "{capacity}: {mean} %");
            assert!(least >= 50 && greatest <= 130, "{capacity}: {least} to {greatest} %");
            assert!(scene.waited < 250 * MS, "{capacity}: a queue of {} µs", scene.waited);
        }
    }
}

#[test]
fn random_loss_without_delay_does_not_lower_the_estimate() {
    let mut scene = Scene::new(10_000_000);
    scene.random_loss = 0.1;
    scene.steady(60, 1_000_000);
    let least = scene.seen[20..].iter().min().unwrap();
    assert!(*least >= 1_000_000, "{least}");
}

#[test]
fn jitter_does_not_lower_the_estimate() {
    for jitter in [5, 15, 30] {
        let mut scene = Scene::new(20_000_000);
        scene.jitter = jitter * MS;
        scene.steady(60, 1_000_000);
        let least = scene.seen[20..].iter().min().unwrap();
        assert!(*least >= 850_000, "{least} with {jitter} ms");
    }
}

#[test]
fn a_drop_in_capacity_shows_within_two_seconds_and_its_end_too() {
    for (full, less) in [(1_500_000, 500_000), (3_000_000, 300_000), (1_000_000, 600_000)] {
        let mut scene = Scene::new(full);
        scene.elastic(15, full / 2, full);
        scene.capacity = less;
        scene.elastic(2, 0, full);
        let after = *scene.seen.last().unwrap();
        assert!(after <= less, "{after} of {less} after two seconds");
        scene.elastic(10, 0, full);
        let (least, mean, _) = scene.percents(8);
        assert!(least >= 40 && mean >= 60, "{least} {mean}");

        scene.capacity = full;
        scene.elastic(40, 0, full);
        let again = scene.seen.iter().position(|seen| *seen > full * 7 / 10);
        assert!(again.is_some_and(|tenths| tenths < 300), "{again:?}");
    }
}

#[test]
fn layers_that_do_not_fit_bring_the_estimate_below_the_capacity() {
    for (capacity, rate) in [(300_000, 1_500_000), (1_000_000, 1_500_000), (1_000_000, 1_100_000)] {
        let mut scene = Scene::new(capacity);
        scene.steady(10, rate);
        let first = scene.seen.iter().position(|seen| (1..=capacity).contains(seen));
        assert!(first.is_some_and(|tenths| tenths < 60), "{first:?}");
        assert!(scene.percents(3).2 <= 105);
    }
}

#[test]
fn the_bitrate_sent_bounds_the_estimate() {
    let mut scene = Scene::new(5_000_000);
    scene.steady(20, 200_000);
    let (low, high) = (*scene.seen.last().unwrap(), *scene.seen.iter().max().unwrap());
    assert!((250_000..=400_000).contains(&low) && high <= 450_000, "{low} {high}");
    scene.steady(5, 500_000);
    assert!(*scene.seen.last().unwrap() >= 600_000, "{:?}", scene.seen.last());
    assert!(*scene.seen.iter().max().unwrap() <= 1_000_000);
}

#[test]
fn a_key_frame_is_no_congestion() {
    let mut scene = Scene::new(1_200_000);
    scene.steady(5, 700_000);
    for _ in 0..10 {
        scene.send(25_000);
        scene.steady(3, 700_000);
        let least = *scene.seen.iter().min().unwrap();
        assert!(least >= 600_000, "{least}");
    }
}

#[test]
fn a_short_stall_is_no_congestion() {
    let mut scene = Scene::new(3_000_000);
    scene.steady(5, 1_000_000);
    for stall in [100, 300, 600] {
        for _ in 0..5 {
            scene.stalled_until = scene.now + stall * MS;
            scene.steady(3, 1_000_000);
            let least = *scene.seen.iter().min().unwrap();
            assert!(least >= 950_000, "{least} after {stall} ms");
        }
    }
}

#[test]
fn ten_frames_a_second_are_enough() {
    let mut scene = Scene::new(1_000_000);
    scene.frame = 100 * MS;
    scene.steady(5, 700_000);
    assert!(*scene.seen[10..].iter().min().unwrap() >= 700_000, "{:?}", scene.seen);
    scene.capacity = 400_000;
    scene.steady(3, 700_000);
    assert!(*scene.seen.last().unwrap() <= 400_000, "{:?}", scene.seen);
}

#[test]
fn a_pause_is_no_congestion() {
    let mut scene = Scene::new(2_000_000);
    scene.steady(5, 1_000_000);
    for pause in [1, 3, 20] {
        scene.now += pause * 1000 * MS;
        scene.steady(5, 1_000_000);
        assert!(*scene.seen.iter().min().unwrap() >= 900_000, "{:?}", scene.seen);
    }
}

#[test]
fn a_longer_route_is_no_lasting_congestion() {
    let mut scene = Scene::new(3_000_000);
    scene.steady(10, 1_000_000);
    scene.delay += 60 * MS;
    scene.steady(20, 1_000_000);
    let (least, last) = (*scene.seen.iter().min().unwrap(), *scene.seen.last().unwrap());
    assert!(least >= 700_000 && last >= 1_000_000, "{least} {last}");
}

#[test]
fn random_feedback_makes_nothing_panic() {
    let mut scene = Scene::new(1_000_000);
    let mut rng = StdRng::from_seed([5; 32]);
    for _ in 0..20_000 {
        scene.estimator.arrived(rng.random(), i64::from(rng.random::<i32>()) * 250, rng.random());
        if rng.random_bool(0.1) {
            scene.estimator.lost();
            scene.now += rng.random_range(0..1000 * MS);
            scene.estimator.told(scene.start + Duration::from_micros(scene.now as u64));
        }
    }
}
