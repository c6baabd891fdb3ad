//! The bandwidth estimator: how much the connection to one receiver carries, judged by TWCC feedback, that is by when
//! packets were sent, when they arrived and how many were lost. It is Google Congestion Control (GCC,
//! draft-ietf-rmcat-gcc-02), adapted to the way this server sends.
//!
//! ```text
//!   sent, came ──→ groups ──→ trend of the delay ──→ over-use? ──→┐
//!       │  └─────────────────→ standing delay ─────→ over-use? ──→├─→ estimate
//!       ├────────────────────→ rate of arrival ──────────────────→│
//!   lost ────────────────────→ share of losses ──────────────────→┘
//! ```
//!
//! - Packets sent within 5 ms form a group (§5.2). The delay of a group is that of the packet which met the shortest
//!   queue: frames are forwarded as they arrive, without pacing, and the length of a frame is no congestion.
//! - The slope of the delay over the last groups is compared with a threshold that adapts to the connection's own
//!   jitter; above it, a queue is growing (§5.3, §5.4; the filter is a linear regression, as in browsers, not a Kalman
//!   filter). A long queue that stands without growing is over-use as well: what is sent are layers, whose bitrate
//!   would not fall by itself to drain the queue.
//! - Over-use means that what arrives is the capacity, and the estimate becomes 85 % of it (§5.5). Otherwise the
//!   estimate grows: by 8 % a second, or by a few packets near the capacity at which congestion was last met, and never
//!   above 1.5 times the bitrate that arrives, since nothing shows that more would come through. Except right after a
//!   decrease, it is never below the bitrate that arrives.
//! - Loss counts only if it is high (§6): low loss is repaired, and random loss says nothing about the bitrate.
//!
//! The estimator reads no clock and allocates nothing.
//!
//! # Why not an existing implementation
//!
//! The GCC of `rtc-interceptor` 0.21.1 was measured over the connections that this module's tests simulate. With 10 %
//! random loss it falls to its floor, since each batch with slightly more loss lowers the estimate and none raises it
//! again. While little is sent, which is usual with layers, it grows to its ceiling, so that nothing follows from it. A
//! sender that follows it varies from 50 to 168 % of the capacity and fills every queue; two seconds after the capacity
//! fell from 1500 to 500 kbit/s, it estimates 1110. Here, those are 80 to 115 %, a queue of at most 150 ms, and less
//! than 500.

use std::time::{Duration, Instant};

/// Microseconds in a millisecond.
const MS: i64 = 1000;
/// Packets sent within this time form a group (§5.2).
const GROUP_US: i64 = 5 * MS;
/// Packets held up on the way, as by a radio, arrive in one burst. They form one group if the burst is at most this
/// long.
const HELD_UP_US: i64 = 100 * MS;
/// After a pause this long, the delay before it says nothing about the trend.
const PAUSE_US: i64 = 1000 * MS;
/// The number of groups over which the trend is taken, and the least number needed. A group usually is a frame.
const TREND_GROUPS: usize = 16;
const LEAST_GROUPS: usize = 10;
/// The weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// The slope is multiplied by the number of groups that support it, up to this many, and by the gain.
const MOST_DELTAS: u32 = 60;
const TREND_GAIN: f64 = 4.0;
/// The adaptive threshold, in milliseconds (§5.4, table 1).
const FIRST_THRESHOLD: f64 = 12.5;
const THRESHOLDS: (f64, f64) = (6.0, 600.0);
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// A trend that exceeds the threshold by more than this does not adapt it.
const SPIKE: f64 = 15.0;
/// The trend must exceed the threshold for longer than this.
const OVERUSE_MS: f64 = 10.0;
/// A delay that exceeds the shortest one by less than this is not due to a queue.
const SHORT_QUEUE_US: i64 = 15 * MS;
/// A queue that was this long during all of [`STANDING_WINDOW_US`] is over-use, even if it does not grow.
const STANDING_QUEUE_US: i64 = 150 * MS;
const STANDING_WINDOW_US: i64 = 1000 * MS;
/// The shortest delay is taken over the last two windows of this length: a longer route is not a queue.
const BASE_WINDOW_US: i64 = 15_000 * MS;
/// The number of slices over which the bitrate of arrival is taken.
const SLICES: usize = 6;
const SLICE_US: i64 = 100 * MS;
/// The shortest time and the fewest packets over which loss is counted.
const LOSS_WINDOW: Duration = Duration::from_secs(1);
const LOSS_PACKETS: u32 = 20;
/// Loss above this share in two windows in a row means that the connection is full.
const MUCH_LOSS: f64 = 0.15;
/// Loss above this share means so at once.
const MOST_LOST: f64 = 0.4;
/// Loss above this share stops the growth of the estimate (§6).
const SOME_LOSS: f64 = 0.1;
/// The factor applied to the bitrate of arrival on over-use (§5.5).
const DECREASE: f64 = 0.85;
/// Growth per second (§5.5).
const INCREASE: f64 = 1.08;
/// Growth near the capacity, in bits per second per second: one packet per response time of 200 ms (§5.5).
const ADDITIVE_INCREASE: f64 = 48_000.0;
/// The estimate is at most this many times the bitrate of arrival (§5.5).
const MOST_ABOVE: f64 = 1.5;
/// How long a decrease takes to show its effect.
const RESPONSE: Duration = Duration::from_millis(300);
/// How long after a decrease the earlier queue has certainly drained.
const DRAINED: Duration = Duration::from_secs(3);
/// The lowest estimate, in bits per second: less is no usable connection.
const LEAST: f64 = 10_000.0;

/// Estimates what one receiver's connection carries. See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Estimator {
    sent: Unwrapped,
    group: Option<Group>,
    trend: Trend,
    detector: Detector,
    queue: Queue,
    arrivals: Arrivals,
    losses: Losses,
    control: Control,
}

impl Estimator {
    /// Takes the arrival of a packet. `sent` is the time it left, in microseconds that wrap; `came` the time it
    /// arrived, by the receiver's clock, in microseconds.
    pub(crate) fn arrived(&mut self, sent: u32, came: i64, bytes: u16) {
        self.arrivals.add(came, bytes);
        self.losses.expected += 1;
        let sent = self.sent.unwrap(sent);
        let delay = came - sent;
        match &mut self.group {
            Some(group) if sent < group.sent => {}
            Some(group) if group.takes(sent, came, delay) => group.add(came, delay),
            group => {
                if let Some(closed) = group.replace(Group::new(sent, came, delay)) {
                    self.judge(closed, sent - closed.sent);
                }
            }
        }
    }

    /// Counts a packet reported as not received.
    pub(crate) fn lost(&mut self) {
        self.losses.expected += 1;
        self.losses.lost += 1;
    }

    /// Takes back a packet counted as lost that has arrived late; a call of [`Self::arrived`] follows.
    pub(crate) fn found(&mut self) {
        self.losses.expected = self.losses.expected.saturating_sub(1);
        self.losses.lost = self.losses.lost.saturating_sub(1);
    }

    /// Ends the feedback received at this time, and updates the estimate.
    pub(crate) fn told(&mut self, now: Instant) {
        let lost = self.losses.close(now);
        let Some(rate) = self.arrivals.bits_per_second() else {
            return;
        };
        let usage = if self.queue.stands() { Usage::Over } else { self.detector.usage };
        self.control.steer(now, usage, rate, lost);
    }

    /// The estimate, in bits per second of everything sent. `None` until there is one.
    pub(crate) fn bits_per_second(&self) -> Option<u64> {
        self.control.estimate.map(|estimate| estimate as u64)
    }

    fn judge(&mut self, group: Group, until_next: i64) {
        self.queue.add(group);
        let slope = self.trend.add(group);
        let queue = self.queue.now();
        self.detector.judge(slope, self.trend.deltas, queue, until_next);
        if until_next > PAUSE_US {
            self.trend = Trend::default();
        }
    }
}

/// Unwraps a clock of 32 bits.
#[derive(Debug, Default)]
struct Unwrapped {
    last: Option<(u32, i64)>,
}

impl Unwrapped {
    fn unwrap(&mut self, value: u32) -> i64 {
        let (before, so_far) = self.last.unwrap_or((value, 0));
        let unwrapped = so_far + i64::from(value.wrapping_sub(before) as i32);
        self.last = Some((value, unwrapped));
        unwrapped
    }
}

/// Packets that were sent together, or arrived together because something held them up. All times are in microseconds;
/// the clocks of sender and receiver are unrelated.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// When the first packet was sent, and when it arrived.
    sent: i64,
    first_came: i64,
    /// When the last packet arrived.
    last_came: i64,
    /// When the packet with the shortest delay arrived, and its delay.
    came: i64,
    delay: i64,
}

impl Group {
    fn new(sent: i64, came: i64, delay: i64) -> Group {
        Group { sent, first_came: came, last_came: came, came, delay }
    }

    fn takes(&self, sent: i64, came: i64, delay: i64) -> bool {
        let came_with_it = came - self.last_came <= GROUP_US
            && came - self.first_came <= HELD_UP_US
            && delay < self.delay;
        sent - self.sent <= GROUP_US || came_with_it
    }

    fn add(&mut self, came: i64, delay: i64) {
        self.last_came = self.last_came.max(came);
        if delay < self.delay {
            (self.delay, self.came) = (delay, came);
        }
    }
}

/// The slope of the delay over the last groups.
#[derive(Debug, Default)]
struct Trend {
    /// The first group: the origin of times and delays.
    origin: Option<Group>,
    smoothed: f64,
    /// A ring of arrival times and smoothed delays, in milliseconds.
    points: [(f64, f64); TREND_GROUPS],
    deltas: u32,
}

impl Trend {
    /// Returns the slope, in milliseconds of delay per millisecond of time; zero while there are too few groups.
    fn add(&mut self, group: Group) -> f64 {
        let origin = *self.origin.get_or_insert(group);
        let milliseconds = |us: i64| us as f64 / MS as f64;
        let delay = milliseconds(group.delay - origin.delay);
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * delay;
        let place = self.deltas as usize % TREND_GROUPS;
        self.points[place] = (milliseconds(group.came - origin.came), self.smoothed);
        self.deltas = self.deltas.saturating_add(1);
        let points = &self.points[..TREND_GROUPS.min(self.deltas as usize)];
        if points.len() < LEAST_GROUPS {
            return 0.0;
        }
        let mean = |part: fn(&(f64, f64)) -> f64| {
            points.iter().map(part).sum::<f64>() / points.len() as f64
        };
        let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
        let sums = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
            (above + (x - x_mean) * (y - y_mean), below + (x - x_mean) * (x - x_mean))
        });
        if sums.1 > 0.0 { sums.0 / sums.1 } else { 0.0 }
    }
}

/// The use of the connection, as its delay shows it (§5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Usage {
    #[default]
    Normal,
    /// A queue is growing.
    Over,
    /// A queue is shrinking.
    Under,
}

/// The over-use detector: compares the trend with an adaptive threshold.
#[derive(Debug)]
struct Detector {
    usage: Usage,
    threshold: f64,
    before: f64,
    /// For how many milliseconds and groups the trend has exceeded the threshold.
    over: Option<(f64, u32)>,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector { usage: Usage::Normal, threshold: FIRST_THRESHOLD, before: 0.0, over: None }
    }
}

impl Detector {
    fn judge(&mut self, slope: f64, deltas: u32, queue: Length, until_next: i64) {
        let trend = f64::from(deltas.min(MOST_DELTAS)) * slope * TREND_GAIN;
        let passed = until_next as f64 / MS as f64;
        if trend > self.threshold {
            let (so_long, groups) = self
                .over
                .map_or((passed / 2.0, 1), |(so_long, groups)| (so_long + passed, groups + 1));
            self.over = Some((so_long, groups));
            // The trend lags behind, and is an average: over-use needs a queue that exists and is still growing.
            self.usage = match queue {
                Length::Growing if so_long > OVERUSE_MS && groups > 1 && slope >= self.before => {
                    self.over = Some((0.0, 0));
                    Usage::Over
                }
                Length::Growing => self.usage,
                Length::Shrinking => Usage::Under,
                Length::None => Usage::Normal,
            };
        } else {
            self.over = None;
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.before = slope;
        let beyond = trend.abs() - self.threshold;
        if beyond < SPIKE {
            let gain = if beyond < 0.0 { THRESHOLD_DOWN } else { THRESHOLD_UP };
            let threshold = self.threshold + gain * beyond * passed.min(100.0);
            self.threshold = threshold.clamp(THRESHOLDS.0, THRESHOLDS.1);
        }
    }
}

/// The state of the queue.
#[derive(Clone, Copy, Debug)]
enum Length {
    None,
    Growing,
    Shrinking,
}

/// Tracks the length of the queue, and of the part of it that no packet escapes, in microseconds.
#[derive(Debug, Default)]
struct Queue {
    /// The delays of the last groups, the latest first.
    delays: [i64; 5],
    /// The shortest delays: over the long base window, and over the last moments.
    base: Window,
    lately: Window,
}

/// The minimum over the current window and over the one before.
#[derive(Debug, Default)]
struct Window {
    since: i64,
    least: Option<i64>,
    before: Option<i64>,
}

impl Window {
    fn add(&mut self, at: i64, delay: i64, length: i64) {
        if self.least.is_none() || at - self.since >= length {
            (self.before, self.least, self.since) = (self.least, Some(delay), at);
        }
        self.least = self.least.map(|least| least.min(delay));
    }
}

impl Queue {
    fn add(&mut self, group: Group) {
        self.delays.rotate_right(1);
        self.delays[0] = group.delay;
        self.base.add(group.came, group.delay, BASE_WINDOW_US);
        self.lately.add(group.came, group.delay, STANDING_WINDOW_US);
    }

    fn now(&self) -> Length {
        let [now, .., before] = self.delays;
        match self.excess(now) {
            excess if excess < SHORT_QUEUE_US => Length::None,
            _ if now < before => Length::Shrinking,
            _ => Length::Growing,
        }
    }

    /// Whether the queue was long during a whole window.
    fn stands(&self) -> bool {
        let lately = self.lately.before.zip(self.lately.least);
        lately.is_some_and(|(before, least)| self.excess(before.min(least)) > STANDING_QUEUE_US)
    }

    /// By how much a delay exceeds the shortest one.
    fn excess(&self, delay: i64) -> i64 {
        let base = self.base.before.into_iter().chain(self.base.least).min();
        base.map_or(0, |base| delay - base)
    }
}

/// Bytes received, by time of arrival.
#[derive(Debug, Default)]
struct Arrivals {
    /// When the first packet arrived, or the first after a pause as long as all slices; and the current slice.
    began: Option<(i64, i64)>,
    latest: i64,
    slices: [u64; SLICES],
}

impl Arrivals {
    fn add(&mut self, came: i64, bytes: u16) {
        let slice = came.div_euclid(SLICE_US);
        let (_, present) = *self.began.get_or_insert((came, slice));
        let ahead = slice - present;
        if ahead >= SLICES as i64 || ahead <= -(SLICES as i64) {
            // A pause, or the receiver's clock was set: start again.
            self.slices = [0; SLICES];
            (self.began, self.latest) = (Some((came, slice)), came);
        } else if ahead > 0 {
            (present + 1..=slice).for_each(|passed| self.slices[place(passed)] = 0);
            self.began = self.began.map(|(began, _)| (began, slice));
        }
        self.latest = self.latest.max(came);
        self.slices[place(slice)] += u64::from(bytes);
    }

    /// The bitrate of arrival, once most slices are filled.
    fn bits_per_second(&self) -> Option<f64> {
        let (began, present) = self.began?;
        let oldest = (present - SLICES as i64 + 1) * SLICE_US;
        let passed = self.latest - began.max(oldest);
        let bytes: u64 = self.slices.iter().sum();
        let is_known = passed >= SLICE_US * (SLICES as i64 - 2);
        is_known.then(|| bytes as f64 * 8e6 / passed as f64)
    }
}

fn place(slice: i64) -> usize {
    slice.rem_euclid(SLICES as i64) as usize
}

/// Tracks the share of packets lost.
#[derive(Debug, Default)]
struct Losses {
    since: Option<Instant>,
    expected: u32,
    lost: u32,
    /// The share in the window before the last one, and in the last one.
    shares: [f64; 2],
}

/// The loss in the last window.
#[derive(Clone, Copy, Debug)]
struct Lost {
    share: f64,
    /// A window has just ended whose loss shows that the connection is full.
    is_much: bool,
}

impl Losses {
    fn close(&mut self, now: Instant) -> Lost {
        let since = *self.since.get_or_insert(now);
        let is_over = now.saturating_duration_since(since) >= LOSS_WINDOW;
        if !is_over || self.expected < LOSS_PACKETS {
            return Lost { share: self.shares[1], is_much: false };
        }
        let share = f64::from(self.lost) / f64::from(self.expected);
        let shares = [self.shares[1], share];
        *self = Losses { since: Some(now), shares, ..Losses::default() };
        let is_much = share > MOST_LOST || shares[0].min(share) > MUCH_LOSS;
        Lost { share, is_much }
    }
}

/// Controls the estimate (§5.5). Rates are in bits per second.
#[derive(Debug, Default)]
struct Control {
    estimate: Option<f64>,
    /// The bitrate of arrival when the connection was last full.
    capacity: Option<f64>,
    steered_at: Option<Instant>,
    decreased_at: Option<Instant>,
}

impl Control {
    fn steer(&mut self, now: Instant, usage: Usage, rate: f64, lost: Lost) {
        let last = self.steered_at.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(last).as_secs_f64().min(1.0);
        match usage {
            Usage::Over => self.decrease(now, rate, DECREASE * rate),
            // Let the queue drain.
            Usage::Under => {}
            Usage::Normal if lost.is_much => {
                let less = self.estimate.unwrap_or(rate) * (1.0 - lost.share / 2.0);
                self.decrease(now, rate, less.max(rate).min(self.estimate.unwrap_or(rate)));
            }
            Usage::Normal => self.increase(now, rate, lost.share, passed),
        }
    }

    fn decrease(&mut self, now: Instant, rate: f64, to: f64) {
        (self.capacity, self.decreased_at) = (Some(rate), Some(now));
        let to = to.max(LEAST);
        self.estimate = Some(self.estimate.map_or(to, |estimate| estimate.min(to)));
    }

    fn increase(&mut self, now: Instant, rate: f64, lost: f64, passed: f64) {
        let since = self.decreased_at.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < RESPONSE) {
            return;
        }
        // The bitrate that arrives is possible; but right after a decrease it includes queued packets.
        let is_drained = since.is_none_or(|since| since >= DRAINED);
        let proven = if is_drained { rate } else { 0.0 };
        let estimate = self.estimate.unwrap_or(rate).max(proven);
        self.capacity = self.capacity.filter(|capacity| estimate < capacity * 1.15);
        let multiplied = estimate * INCREASE.powf(passed);
        let grown = match (since, self.capacity) {
            _ if lost > SOME_LOSS => estimate,
            // There has been no sign of congestion.
            (None, _) => MOST_ABOVE * rate,
            (Some(_), Some(_)) => multiplied.min(estimate + ADDITIVE_INCREASE * passed),
            (Some(_), None) => multiplied,
        };
        self.estimate = Some(grown.min(MOST_ABOVE * rate).max(estimate));
    }
}

#[cfg(test)]
mod tests;
