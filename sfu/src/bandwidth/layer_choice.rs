//! Chooses which layer of each simulcast source a receiver gets: the best that its connection carries.
//!
//! The bandwidth estimate comes from the best source there is ([`Basis`]): our own estimator, if the receiver sends
//! TWCC feedback ([`crate::bandwidth::estimator`]); else the receiver's own estimate (REMB), which covers video only,
//! because browsers leave out audio without transport-wide sequence numbers. Slots take turns to rise by one layer
//! until the next step would be too much. Two things prevent oscillation: a step up needs more room than staying does,
//! and after a step down the next step up waits, longer each time.
//!
//! An estimate can't rise far above the bitrate received, since nothing shows that more would come through. So if it
//! leaves room, but not enough for the next layer, that layer is tried: if it is too much, the estimate falls. For the
//! same reason no layer is taken away while the estimate grows, nor immediately after the first estimate, which is made
//! when the stream has just begun.
//!
//! A receiver that sends neither still reports packet loss. If the loss is high, the bitrate that came through becomes
//! the estimate, which then grows as a receiver's own would.

use std::time::{Duration, Instant};

use crate::sdp::MAX_LAYERS;

/// Bits per second of each layer of a source, the lowest layer first; `None` for a layer that is not being sent.
pub(crate) type Rates = [Option<u64>; MAX_LAYERS];

/// A slot that shows a simulcast source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    pub(crate) rates: Rates,
    /// The layer that the slot shows, or is about to show.
    pub(crate) layer: usize,
}

/// An estimate that was not repeated for this long is void; browsers repeat theirs every second.
const ESTIMATE_EXPIRY: Duration = Duration::from_secs(10);
/// The shortest and the longest wait between a step down and the next step up.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// If a step up has held for this long it was no mistake, and the next wait is the shortest again.
const PROVEN: Duration = Duration::from_secs(30);
/// A loss rate above this, in 256ths, means that the connection is full. A merely bad one loses less, which
/// retransmission repairs.
const MUCH_LOSS: u8 = 40;
/// How long it takes until the loss rate shows the effect of a change.
const REACTION: Duration = Duration::from_secs(2);
/// An estimate that has not risen for this long has stopped growing; a growing one is updated several times a second.
const GROWTH: Duration = Duration::from_secs(3);
/// How long an estimate may be slightly too low before a layer is taken away.
const PASSING: Duration = Duration::from_millis(1500);
/// How long a layer is tried: an estimate grows by 8 % a second.
const TRIAL: Duration = Duration::from_secs(12);

/// The bandwidth of one receiver's connection, and the outcome of earlier choices.
#[derive(Debug, Default)]
pub(crate) struct LayerChooser {
    /// Bits per second, and when it was set.
    estimate: Option<(u64, Instant)>,
    basis: Basis,
    /// The estimate at its last significant change; when it last rose, and when it last dropped by much.
    mark: Option<u64>,
    rose_at: Option<Instant>,
    dropped_at: Option<Instant>,
    /// Packets lost of 256, in each of the last two reports since the last estimate from loss.
    losses: [u8; 2],
    /// Since when the bitrate sent exceeds the estimate.
    over_since: Option<Instant>,
    /// A choice was limited by an estimate that has not expired since.
    is_limited: bool,
    /// The last step down.
    fell: Option<Fall>,
    trial: Option<Trial>,
}

/// The basis of an estimate, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Basis {
    /// TWCC feedback from the receiver.
    Feedback,
    /// The receiver's own estimate (REMB).
    #[default]
    Receiver,
    /// The packet loss that the receiver reports.
    Loss,
}

#[derive(Clone, Copy, Debug)]
struct Fall {
    at: Instant,
    wait: Duration,
}

/// A trial of a higher layer: more is sent than the estimate allows, to see whether the estimate follows.
#[derive(Clone, Copy, Debug)]
struct Trial {
    until: Instant,
    /// The estimate at the start of the trial. If it falls, the trial has failed.
    estimate: u64,
}

impl LayerChooser {
    /// Takes an estimate made from the receiver's TWCC feedback, in bits per second of everything sent to it, audio
    /// included.
    pub(crate) fn measured(&mut self, now: Instant, bits_per_second: u64) {
        self.set_estimate(now, Basis::Feedback, bits_per_second);
    }

    /// Takes the receiver's own estimate (REMB), in bits per second of all video sent to it.
    pub(crate) fn estimated(&mut self, now: Instant, bits_per_second: u64) {
        if self.basis(now) != Some(Basis::Feedback) {
            self.set_estimate(now, Basis::Receiver, bits_per_second);
        }
    }

    /// The basis of the current estimate; `None` if there is none.
    pub(crate) fn basis(&self, now: Instant) -> Option<Basis> {
        self.fresh_estimate(now).map(|_| self.basis)
    }

    /// Takes a loss rate reported by the receiver, in 256ths, over the time since the last one.
    pub(crate) fn lost(&mut self, of_256: u8) {
        self.losses = [self.losses[1], of_256];
    }

    fn set_estimate(&mut self, now: Instant, basis: Basis, bits_per_second: u64) {
        // Estimates with different bases are not comparable.
        let mark = self.mark.filter(|_| basis == self.basis).unwrap_or(bits_per_second);
        let has_risen = bits_per_second > mark + mark / 100;
        let has_dropped = bits_per_second < mark - mark / 20;
        if has_risen {
            self.rose_at = Some(now);
        } else if has_dropped {
            self.dropped_at = Some(now);
        }
        self.mark = Some(if has_risen || has_dropped { bits_per_second } else { mark });
        (self.estimate, self.basis) = (Some((bits_per_second, now)), basis);
    }

    /// Chooses a layer for each slot. `others` is the bitrate of everything else sent to the receiver, in bits per
    /// second.
    pub(crate) fn choose(&mut self, now: Instant, others: u64, slots: &[Ladder]) -> Vec<usize> {
        let present: Vec<usize> = slots.iter().map(|slot| slot.layer).collect();
        let sent = total(others, slots, &present);
        self.estimate_by_loss(now, sent);
        let Some(estimate) = self.fresh_estimate(now) else {
            (self.trial, self.is_limited) = (None, false);
            return slots.iter().map(|slot| slot.best().unwrap_or(slot.layer)).collect();
        };
        let limits = self.limits(now, estimate, sent);
        let chosen = climb(others, slots, limits);
        let is_down = |(slot, &layer): (&Ladder, &usize)| {
            layer < slot.layer && slot.rates[slot.layer].is_some()
        };
        if slots.iter().zip(&chosen).any(is_down) {
            self.fall(now);
            return chosen;
        }
        let is_same = slots.iter().zip(&chosen).all(|(slot, &layer)| slot.layer == layer);
        if is_same && self.may_try(now, estimate, total(others, slots, &chosen)) {
            self.try_more(now, estimate, slots, chosen)
        } else {
            chosen
        }
    }

    fn fresh_estimate(&self, now: Instant) -> Option<u64> {
        let fresh = |at: Instant| now.saturating_duration_since(at) < ESTIMATE_EXPIRY;
        self.estimate.filter(|(_, at)| fresh(*at)).map(|(estimate, _)| estimate)
    }

    /// Makes an estimate from packet loss, unless there is a better basis.
    fn estimate_by_loss(&mut self, now: Instant, sent: u64) {
        let present = self.fresh_estimate(now);
        if present.is_some() && self.basis != Basis::Loss {
            self.losses = [0; 2];
            return;
        }
        let since = self.estimate.map(|(_, at)| now.saturating_duration_since(at));
        // A single report may show only a burst.
        let [before, lately] = self.losses;
        if before.min(lately) > MUCH_LOSS && since.is_none_or(|since| since >= REACTION) {
            let through = sent.saturating_mul(256 - u64::from(lately)) / 256;
            self.is_limited = true;
            self.set_estimate(now, Basis::Loss, present.unwrap_or(u64::MAX).min(through));
            self.dropped_at = Some(now);
            self.losses = [0; 2];
        } else if let Some(estimate) = present
            && since.is_some_and(|since| since >= REACTION)
        {
            let grown = estimate + estimate * 4 / 25;
            let grown = grown.min(sent + sent / 2).max(estimate);
            self.set_estimate(now, Basis::Loss, grown);
        }
    }

    fn limits(&mut self, now: Instant, estimate: u64, sent: u64) -> Limits {
        if !std::mem::replace(&mut self.is_limited, true) && sent <= estimate + estimate / 2 {
            self.trial = Some(Trial { until: now + TRIAL, estimate });
        }
        if let Some(trial) = self.trial {
            let has_followed = sent <= estimate;
            let has_failed = estimate < trial.estimate - trial.estimate / 20
                || (now >= trial.until && !self.is_growing(now));
            if has_followed || has_failed {
                self.trial = None;
            } else {
                return Limits { to_stay: sent.max(estimate), to_rise: 0 };
            }
        }
        // The bitrate sent varies around its mean, and the estimate around the capacity.
        let bearable = estimate + estimate / 7;
        let to_stay = if self.is_growing(now) || self.may_pass(now, estimate, bearable, sent) {
            bearable.max(sent)
        } else {
            bearable
        };
        let to_rise = if self.may_rise(now) { estimate - estimate / 10 } else { 0 };
        Limits { to_stay, to_rise }
    }

    /// Whether the estimate is rising and has met no congestion lately.
    fn is_growing(&self, now: Instant) -> bool {
        let lately = |at: Option<Instant>, window| {
            at.is_some_and(|at| now.saturating_duration_since(at) < window)
        };
        lately(self.rose_at, GROWTH) && !lately(self.dropped_at, FIRST_WAIT)
    }

    /// Whether a bitrate above the estimate may be a passing congestion. One takes 15 % off the estimate, which soon
    /// recovers unless another one follows.
    fn may_pass(&mut self, now: Instant, estimate: u64, bearable: u64, sent: u64) -> bool {
        if sent <= bearable {
            self.over_since = None;
            return true;
        }
        let since = *self.over_since.get_or_insert(now);
        now.saturating_duration_since(since) < PASSING && sent <= estimate + estimate / 3
    }

    fn may_rise(&self, now: Instant) -> bool {
        self.fell.is_none_or(|fell| now.saturating_duration_since(fell.at) >= fell.wait)
    }

    /// Whether the estimate leaves room, and may be as high as it can get while so little is sent.
    fn may_try(&self, now: Instant, estimate: u64, sent: u64) -> bool {
        self.trial.is_none() && self.may_rise(now) && sent + sent / 4 <= estimate
    }

    fn try_more(
        &mut self,
        now: Instant,
        estimate: u64,
        slots: &[Ladder],
        mut chosen: Vec<usize>,
    ) -> Vec<usize> {
        let mut steps = slots.iter().zip(&mut chosen);
        let step = steps.find_map(|(slot, layer)| Some((slot.above(*layer)?, layer)));
        if let Some((above, layer)) = step {
            *layer = above;
            self.trial = Some(Trial { until: now + TRIAL, estimate });
        }
        chosen
    }

    fn fall(&mut self, now: Instant) {
        let wait = match self.fell {
            Some(fell) if now.saturating_duration_since(fell.at) < fell.wait + PROVEN => {
                (fell.wait * 2).min(LONGEST_WAIT)
            }
            _ => FIRST_WAIT,
        };
        self.fell = Some(Fall { at: now, wait });
        (self.trial, self.over_since) = (None, None);
    }
}

/// In bits per second of everything sent to the receiver.
#[derive(Clone, Copy)]
struct Limits {
    to_stay: u64,
    to_rise: u64,
}

impl Ladder {
    fn best(&self) -> Option<usize> {
        self.rates.iter().rposition(Option::is_some)
    }

    fn least(&self) -> Option<usize> {
        self.rates.iter().position(Option::is_some)
    }

    /// The next higher layer that is being sent.
    fn above(&self, layer: usize) -> Option<usize> {
        (layer + 1..MAX_LAYERS).find(|&above| self.rates[above].is_some())
    }

    fn rate(&self, layer: usize) -> u64 {
        self.rates[layer].unwrap_or_default()
    }
}

fn total(others: u64, slots: &[Ladder], layers: &[usize]) -> u64 {
    let rates = slots.iter().zip(layers).map(|(slot, &layer)| slot.rate(layer));
    rates.fold(others, u64::saturating_add)
}

/// Gives every slot its lowest layer; then the slots take turns to rise by one layer, as long as that fits.
fn climb(others: u64, slots: &[Ladder], limits: Limits) -> Vec<usize> {
    let least = |slot: &Ladder| slot.least().unwrap_or(slot.layer);
    let mut layers: Vec<usize> = slots.iter().map(least).collect();
    let mut sum = total(others, slots, &layers);
    let mut has_risen = true;
    while has_risen {
        has_risen = false;
        for (slot, layer) in slots.iter().zip(&mut layers) {
            let Some(above) = slot.above(*layer) else {
                continue;
            };
            let risen = sum.saturating_sub(slot.rate(*layer)).saturating_add(slot.rate(above));
            let limit = if above <= slot.layer { limits.to_stay } else { limits.to_rise };
            if risen <= limit {
                (*layer, sum, has_risen) = (above, risen, true);
            }
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_now;

    const RATES: Rates = [Some(150_000), Some(500_000), Some(1_500_000)];
    const SECOND: Duration = Duration::from_secs(1);

    fn at(layer: usize) -> Ladder {
        Ladder { rates: RATES, layer }
    }

    #[test]
    fn without_an_estimate_the_best_layer_is_chosen() {
        let mut chooser = LayerChooser::default();
        let slot = Ladder { rates: [RATES[0], RATES[1], None], layer: 2 };
        assert_eq!(chooser.choose(test_now(), 0, &[slot, at(0)]), [1, 2]);
        let paused = Ladder { rates: [None; 3], layer: 1 };
        assert_eq!(
            chooser.choose(test_now(), 0, &[paused]),
            [1],
            "no layer is better than another"
        );
    }

    #[test]
    fn layers_that_fit_the_estimate_are_chosen_and_slots_share_it() {
        let choose = |estimate, slots: &[Ladder]| {
            let mut chooser = LayerChooser { is_limited: true, ..LayerChooser::default() };
            chooser.estimated(test_now(), estimate);
            chooser.choose(test_now(), 50_000, slots)
        };
        assert_eq!(choose(100_000, &[at(2)]), [0], "the lowest layer is sent in any case");
        assert_eq!(choose(600_000, &[at(2)]), [1]);
        assert_eq!(choose(1_200_000, &[at(2), at(2)]), [1, 1]);
        assert_eq!(choose(2_200_000, &[at(2), at(2)]), [2, 1]);
        assert_eq!(choose(930_000, &[at(1), at(1)]), [1, 1]);
        assert_eq!(choose(860_000, &[at(1), at(0)]), [1, 0], "rising needs more room than staying");
    }

    #[test]
    fn a_moment_of_congestion_takes_no_layer_away() {
        let now = test_now();
        let mut chooser = LayerChooser { is_limited: true, ..LayerChooser::default() };
        let steps =
            [(0, 510_000), (1000, 425_000), (2000, 450_000), (3000, 425_000), (4400, 425_000)];
        for (ms, estimate) in steps {
            let now = now + Duration::from_millis(ms);
            chooser.estimated(now, estimate);
            assert_eq!(chooser.choose(now, 0, &[at(1)]), [1], "{ms}");
        }
        assert_eq!(chooser.choose(now + Duration::from_millis(4600), 0, &[at(1)]), [0], "it lasts");
    }

    #[test]
    fn the_wait_after_a_step_down_grows_each_time() {
        let mut now = test_now();
        let mut chooser = LayerChooser::default();
        let mut layer = 2;
        let mut rose = Vec::new();
        let mut since = now;
        for _ in 0..120 {
            let before = layer;
            let estimate = if layer == 2 { 600_000 } else { 3_000_000 };
            chooser.estimated(now, estimate);
            layer = chooser.choose(now, 0, &[at(layer)])[0];
            match layer.cmp(&before) {
                std::cmp::Ordering::Less => since = now,
                std::cmp::Ordering::Greater => rose.push((now - since).as_secs()),
                std::cmp::Ordering::Equal => {}
            }
            now += SECOND;
        }
        assert_eq!(rose, [5, 10, 20, 40]);
    }

    #[test]
    fn a_layer_is_tried_when_the_estimate_is_bounded_by_what_is_sent() {
        let now = test_now();
        let mut chooser = LayerChooser::default();
        // The most by which an estimate exceeds the bitrate received.
        chooser.estimated(now, 225_000);
        assert_eq!(chooser.choose(now, 0, &[at(0)]), [1]);
        let mut estimate = 225_000;
        for second in 1..12 {
            estimate = (estimate * 108 / 100).min(750_000);
            chooser.estimated(now + SECOND * second, estimate);
            assert_eq!(chooser.choose(now + SECOND * second, 0, &[at(1)]), [1], "{second}");
        }
    }

    #[test]
    fn a_trial_ends_when_the_estimate_falls() {
        let now = test_now();
        let mut chooser = LayerChooser::default();
        chooser.estimated(now, 225_000);
        assert_eq!(chooser.choose(now, 0, &[at(0)]), [1]);
        chooser.estimated(now + SECOND, 200_000);
        assert_eq!(chooser.choose(now + SECOND, 0, &[at(1)]), [0]);
        chooser.estimated(now + 3 * SECOND, 225_000);
        assert_eq!(chooser.choose(now + 3 * SECOND, 0, &[at(0)]), [0], "not at once again");
        chooser.estimated(now + 6 * SECOND, 225_000);
        assert_eq!(chooser.choose(now + 6 * SECOND, 0, &[at(0)]), [1]);
    }

    /// The layer in each second, for a receiver that only reports loss, over a connection of this capacity.
    fn by_loss(capacity: u64, seconds: u32) -> Vec<usize> {
        let now = test_now();
        let mut chooser = LayerChooser::default();
        let mut layer = 2;
        let seen = (0..seconds).map(|second| {
            let sent = RATES[layer].unwrap();
            let lost = sent.saturating_sub(capacity) * 256 / sent;
            chooser.lost(lost as u8);
            layer = chooser.choose(now + SECOND * second, 0, &[at(layer)])[0];
            layer
        });
        seen.collect()
    }

    #[test]
    fn high_loss_makes_an_estimate() {
        assert!(by_loss(2_000_000, 60).iter().all(|&layer| layer == 2));
        assert!(by_loss(1_400_000, 60).iter().all(|&layer| layer == 2), "7 % is repaired");
        for (capacity, fitting) in [(600_000, 1), (200_000, 0)] {
            let seen = by_loss(capacity, 120);
            let more = seen[5..].iter().filter(|&&layer| layer > fitting).count();
            let less = seen[5..].iter().filter(|&&layer| layer < fitting).count();
            assert!(more <= 15 && less <= 40, "{capacity}: {seen:?}");
        }
    }

    #[test]
    fn no_layer_is_taken_away_while_the_estimate_grows() {
        let now = test_now();
        let mut chooser = LayerChooser { is_limited: true, ..LayerChooser::default() };
        for second in 0..10 {
            chooser.estimated(now + SECOND * second, 200_000 + 20_000 * u64::from(second));
            let chosen = chooser.choose(now + SECOND * second, 0, &[at(1)]);
            assert_eq!(chosen, [if second == 0 { 0 } else { 1 }]);
        }
        let stopped = now + 9 * SECOND + GROWTH;
        assert_eq!(chooser.choose(stopped, 0, &[at(1)]), [1]);
        assert_eq!(chooser.choose(stopped + PASSING, 0, &[at(1)]), [0], "it has stopped");

        let mut chooser = LayerChooser { is_limited: true, ..LayerChooser::default() };
        for (second, estimate) in [(0, 500_000), (1, 550_000), (2, 350_000), (3, 360_000)] {
            chooser.estimated(now + SECOND * second, estimate);
            let chosen = chooser.choose(now + SECOND * second, 0, &[at(1)]);
            assert_eq!(chosen, [if second < 2 { 1 } else { 0 }], "since there was congestion");
        }
    }

    #[test]
    fn the_first_estimate_may_be_too_low_for_a_while() {
        let now = test_now();
        let mut chooser = LayerChooser::default();
        chooser.estimated(now, 1_100_000);
        assert_eq!(chooser.choose(now, 0, &[at(2)]), [2]);
        chooser.estimated(now + 5 * SECOND, 1_200_000);
        assert_eq!(chooser.choose(now + 5 * SECOND, 0, &[at(2)]), [2]);
        assert_eq!(chooser.choose(now + TRIAL, 0, &[at(2)]), [2]);
        assert_eq!(chooser.choose(now + TRIAL + PASSING, 0, &[at(2)]), [1]);
    }

    #[test]
    fn an_expired_estimate_is_no_limit() {
        let now = test_now();
        let mut chooser = LayerChooser::default();
        chooser.estimated(now, 100_000);
        assert_eq!(chooser.choose(now, 0, &[at(2)]), [0]);
        assert_eq!(chooser.choose(now + ESTIMATE_EXPIRY, 0, &[at(0)]), [2]);
    }
}
