//! How much the connection to one receiver carries, judged by when packets were sent and when they came, and how many
//! didn't. After draft-ietf-rmcat-gcc-02, with what this server's way of sending asks for.
//!
//! ```text
//!   sent, came ──→ groups ──→ trend of the delay ──→ over-use? ──→┐
//!       │  └─────────────────→ standing delay ─────→ over-use? ──→├─→ estimate
//!       ├────────────────────→ rate of arrival ──────────────────→│
//!   lost ────────────────────→ share of losses ──────────────────→┘
//! ```
//!
//! - Packets that were sent within 5 ms are a group (§5.2). Its delay is that of the packet which met the shortest queue:
//!   frames are forwarded as they come, not paced, and the length of a frame is no congestion.
//! - The slope of the delay over the last groups, compared with a threshold that follows the connection's own unrest,
//!   tells that a queue grows (§5.3, §5.4; the filter is a linear regression, as in what browsers use, not a Kalman filter).
//!   A queue that stands at length without growing is too long as well: what is sent are layers, not a rate that would
//!   fall by itself to drain it.
//! - When the connection is over-used, what came through is what it carries, and 85 % of that the estimate (§5.5). Else the
//!   estimate grows: by 8 % a second, near to where congestion was met last only by some packets; never above one and a
//!   half of what comes, since nobody knows that more would come through. What comes is always possible.
//! - Losses count only when they are many (§6): few are repaired, and random ones say nothing of the rate.
//!
//! There is no clock here, and nothing is allocated.
//!
//! # Why it is our own
//!
//! The GCC of `rtc-interceptor` 0.21.1, measured over the connections that this module's tests simulate: with 10 % random
//! loss it falls to its floor, since each batch with a little more than that takes something away and none gives it
//! back. While little is sent, which is the usual case with layers, it grows to its ceiling, so that nothing follows from
//! it. And what follows it swings from 50 to 168 % of the capacity and fills every queue; after the capacity fell from
//! 1500 to 500 kbit/s, it says 1110 two seconds later. Here that is 80 to 115 %, a queue of 150 ms at the worst,
//! and less than 500.

use std::time::{Duration, Instant};

/// Microseconds.
const MS: i64 = 1000;
/// Packets sent within this are one group. §5.2.
const GROUP_US: i64 = 5 * MS;
/// What was held up, by a radio say, comes at once. It is one group, as long as that takes at most so long.
const HELD_UP_US: i64 = 100 * MS;
/// After a pause like this, what was before says nothing of the delay's trend.
const PAUSE_US: i64 = 1000 * MS;
/// Groups over which the trend is taken, and how many there must be: a group is a frame in most cases.
const TREND_GROUPS: usize = 16;
const LEAST_GROUPS: usize = 10;
/// How much of the past stays in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// The trend counts as much as there are groups to show it, up to so many, and times the gain.
const MOST_DELTAS: u32 = 60;
const TREND_GAIN: f64 = 4.0;
/// The adaptive threshold, in milliseconds: §5.4, table 1.
const FIRST_THRESHOLD: f64 = 12.5;
const THRESHOLDS: (f64, f64) = (6.0, 600.0);
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// A trend so far above the threshold doesn't move it.
const SPIKE: f64 = 15.0;
/// The trend must be above the threshold for more than so long.
const OVERUSE_MS: f64 = 10.0;
/// A delay this much longer than the shortest is none that a queue makes.
const SHORT_QUEUE_US: i64 = 15 * MS;
/// A queue that has been this long all the time for [`STANDING_WINDOW_US`] is over-use, however flat.
const STANDING_QUEUE_US: i64 = 150 * MS;
const STANDING_WINDOW_US: i64 = 1000 * MS;
/// The shortest delay is that of the last two windows of this length: a way that has become longer is no queue.
const BASE_WINDOW_US: i64 = 15_000 * MS;
/// The rate of arrival is taken over so many slices.
const SLICES: usize = 6;
const SLICE_US: i64 = 100 * MS;
/// Losses are counted over so long and so many packets at least.
const LOSS_WINDOW: Duration = Duration::from_secs(1);
const LOSS_PACKETS: u32 = 20;
/// With more than this share lost, again and again, it is the connection that is full.
const MUCH_LOSS: f64 = 0.15;
/// With this, once is enough.
const MOST_LOST: f64 = 0.4;
/// With more than this the estimate doesn't grow. §6.
const SOME_LOSS: f64 = 0.1;
/// Of what came through. §5.5.
const DECREASE: f64 = 0.85;
/// A second. §5.5.
const INCREASE: f64 = 1.08;
/// Near to the capacity: a packet in each response time of 200 ms, in bits per second and second. §5.5.
const ADDITIVE_INCREASE: f64 = 48_000.0;
/// The estimate can be so far above what comes. §5.5.
const MOST_ABOVE: f64 = 1.5;
/// After a decrease it takes so long until its effect is seen.
const RESPONSE: Duration = Duration::from_millis(300);
/// After this the queue of before has been emptied.
const DRAINED: Duration = Duration::from_secs(3);
/// In bits per second: less is no connection.
const LEAST: f64 = 10_000.0;

/// What one receiver's connection carries.
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
    /// A packet that left at `sent`, in microseconds that wrap, came at `came` by the receiver's clock, in microseconds.
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

    /// A packet did not come so far.
    pub(crate) fn lost(&mut self) {
        self.losses.expected += 1;
        self.losses.lost += 1;
    }

    /// One that did not come has come after all; [`Self::arrived`] follows.
    pub(crate) fn found(&mut self) {
        self.losses.expected = self.losses.expected.saturating_sub(1);
        self.losses.lost = self.losses.lost.saturating_sub(1);
    }

    /// The receiver has said what there is to say at this time.
    pub(crate) fn told(&mut self, now: Instant) {
        let lost = self.losses.close(now);
        let Some(rate) = self.arrivals.bits_per_second() else {
            return;
        };
        let usage = if self.queue.stands() { Usage::Over } else { self.detector.usage };
        self.control.steer(now, usage, rate, lost);
    }

    /// The estimate, for all that is sent. `None` before there is any.
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

/// A clock of 32 bits, made one that doesn't wrap.
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

/// Packets that were sent together, or that came together because something held them up. All in microseconds; the clocks
/// of both ends have nothing in common.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// When the first one was sent, and came.
    sent: i64,
    first_came: i64,
    /// When the last one came.
    last_came: i64,
    /// When the fastest one came, and how long that one took.
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
    /// The first group, as the origin of times and delays.
    origin: Option<Group>,
    smoothed: f64,
    /// Time of arrival and smoothed delay, in milliseconds; a ring.
    points: [(f64, f64); TREND_GROUPS],
    deltas: u32,
}

impl Trend {
    /// Milliseconds of delay for each that passes; zero as long as there are too few groups.
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

/// What the delay says of the connection. §5.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Usage {
    #[default]
    Normal,
    /// A queue grows.
    Over,
    /// A queue gets shorter.
    Under,
}

/// Compares the trend with a threshold that follows it slowly.
#[derive(Debug)]
struct Detector {
    usage: Usage,
    threshold: f64,
    before: f64,
    /// For how long, in milliseconds, and how many groups the trend has been above.
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
            // The trend tells late, and tells of a while: there must be a queue, and it must be growing still.
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

/// What there is of a queue at a moment.
#[derive(Clone, Copy, Debug)]
enum Length {
    None,
    Growing,
    Shrinking,
}

/// How long the queue is, and how long the one that no packet escapes, in microseconds.
#[derive(Debug, Default)]
struct Queue {
    /// The last groups' delays, the latest first.
    delays: [i64; 5],
    /// The shortest delays: of a while, of the while before, and of the last moments.
    base: Window,
    lately: Window,
}

/// The minimum of a stretch of time and of the one before.
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

    /// Whether it was long for a whole window.
    fn stands(&self) -> bool {
        let lately = self.lately.before.zip(self.lately.least);
        lately.is_some_and(|(before, least)| self.excess(before.min(least)) > STANDING_QUEUE_US)
    }

    /// How much longer a delay is than the shortest.
    fn excess(&self, delay: i64) -> i64 {
        let base = self.base.before.into_iter().chain(self.base.least).min();
        base.map_or(0, |base| delay - base)
    }
}

/// Bytes by the time of arrival.
#[derive(Debug, Default)]
struct Arrivals {
    /// When the first one came, since there was a pause as long as all slices; and the present slice.
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
            // A pause, or a clock that was set: it begins anew.
            self.slices = [0; SLICES];
            (self.began, self.latest) = (Some((came, slice)), came);
        } else if ahead > 0 {
            (present + 1..=slice).for_each(|passed| self.slices[place(passed)] = 0);
            self.began = self.began.map(|(began, _)| (began, slice));
        }
        self.latest = self.latest.max(came);
        self.slices[place(slice)] += u64::from(bytes);
    }

    /// Bits per second, as soon as most slices are full.
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

/// Which share of the packets is lost.
#[derive(Debug, Default)]
struct Losses {
    since: Option<Instant>,
    expected: u32,
    lost: u32,
    /// Of the window before the last one, and of the last one.
    shares: [f64; 2],
}

/// What a while of losses says.
#[derive(Clone, Copy, Debug)]
struct Lost {
    share: f64,
    /// A window has just ended, with so much lost that the connection must be full.
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

/// The estimate, and where it is in its way up and down. §5.5. In bits per second.
#[derive(Debug, Default)]
struct Control {
    estimate: Option<f64>,
    /// What came through when the connection was full.
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
            // The queue is left to drain.
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
        // What comes comes; but right after a decrease it is what has waited.
        let is_drained = since.is_none_or(|since| since >= DRAINED);
        let proven = if is_drained { rate } else { 0.0 };
        let estimate = self.estimate.unwrap_or(rate).max(proven);
        self.capacity = self.capacity.filter(|capacity| estimate < capacity * 1.15);
        let multiplied = estimate * INCREASE.powf(passed);
        let grown = match (since, self.capacity) {
            _ if lost > SOME_LOSS => estimate,
            // Nothing has spoken against more so far.
            (None, _) => MOST_ABOVE * rate,
            (Some(_), Some(_)) => multiplied.min(estimate + ADDITIVE_INCREASE * passed),
            (Some(_), None) => multiplied,
        };
        self.estimate = Some(grown.min(MOST_ABOVE * rate).max(estimate));
    }
}

#[cfg(test)]
mod tests;
