//! Which layer of each simulcast source a receiver gets: the best that its connection carries.
//!
//! What the connection carries is the receiver's own estimate (REMB), which is about video alone: browsers leave out sound
//! that comes without transport-wide sequence numbers. Slots rise by one layer each in turn until the next
//! step would be too much. Two things keep it from swinging: a step up needs more room than staying needs, and
//! after a step down the next step up waits, longer each time.
//!
//! An estimate can't rise far above what is received, since nobody knows that more would come through. So where it leaves
//! room but not enough for the next layer, that layer is tried: when it is too much, the estimate falls. The first estimate
//! is of the same kind, made while the stream has just begun.

use std::time::{Duration, Instant};

use crate::sdp::MAX_LAYERS;

/// Bits per second of the layers of a source, the least first; `None` for one that isn't sent at present.
pub(crate) type Rates = [Option<u64>; MAX_LAYERS];

/// A slot that shows a simulcast source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    pub(crate) rates: Rates,
    /// The layer that it has, or is about to get.
    pub(crate) layer: usize,
}

/// An estimate that wasn't repeated for so long says nothing any more; browsers repeat it every second.
const ESTIMATE_EXPIRY: Duration = Duration::from_secs(10);
/// After a step down the next step up waits at least so long, and at most so long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What has gone well for so long was no mistake: the next wait is a short one again.
const PROVEN: Duration = Duration::from_secs(30);
/// A layer is tried for so long: an estimate grows by 8 % in a second.
const TRIAL: Duration = Duration::from_secs(12);

/// What one receiver can take, and how that has gone so far.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    /// Bits per second.
    estimate: Option<(u64, Instant)>,
    /// Something was chosen by an estimate that hasn't expired since.
    is_limited: bool,
    /// Since the last step down.
    fell: Option<Fall>,
    trial: Option<Trial>,
}

#[derive(Clone, Copy, Debug)]
struct Fall {
    at: Instant,
    wait: Duration,
}

/// More is sent than the estimate says, to see whether it follows.
#[derive(Clone, Copy, Debug)]
struct Trial {
    until: Instant,
    /// The estimate at its beginning, which must not fall.
    estimate: u64,
}

impl Chooser {
    /// The receiver says what it can take, in bits per second for all that it gets.
    pub(crate) fn estimated(&mut self, now: Instant, bits_per_second: u64) {
        self.estimate = Some((bits_per_second, now));
    }

    /// The layer for each slot; `others` is the video that goes to the receiver beside them, in bits per second.
    pub(crate) fn choose(&mut self, now: Instant, others: u64, slots: &[Ladder]) -> Vec<usize> {
        let fresh = |at: Instant| now.saturating_duration_since(at) < ESTIMATE_EXPIRY;
        let Some((estimate, _)) = self.estimate.filter(|(_, at)| fresh(*at)) else {
            (self.trial, self.is_limited) = (None, false);
            return slots.iter().map(|slot| slot.best().unwrap_or(slot.layer)).collect();
        };
        let limits = self.limits(now, estimate, others, slots);
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

    fn limits(&mut self, now: Instant, estimate: u64, others: u64, slots: &[Ladder]) -> Limits {
        let present: Vec<usize> = slots.iter().map(|slot| slot.layer).collect();
        let sent = total(others, slots, &present);
        if !std::mem::replace(&mut self.is_limited, true) && sent <= estimate + estimate / 2 {
            self.trial = Some(Trial { until: now + TRIAL, estimate });
        }
        if let Some(trial) = self.trial {
            let has_followed = sent <= estimate;
            let has_failed = estimate < trial.estimate - trial.estimate / 20 || now >= trial.until;
            if has_followed || has_failed {
                self.trial = None;
            } else {
                return Limits { to_stay: sent.max(estimate), to_rise: 0 };
            }
        }
        // What is sent varies around its rate, and the estimate around what can be received.
        let to_stay = estimate + estimate / 7;
        let to_rise = if self.may_rise(now) { estimate - estimate / 10 } else { 0 };
        Limits { to_stay, to_rise }
    }

    fn may_rise(&self, now: Instant) -> bool {
        self.fell.is_none_or(|fell| now.saturating_duration_since(fell.at) >= fell.wait)
    }

    /// Whether the estimate leaves room, and is perhaps as high as it can be while so little is sent.
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
        self.trial = None;
    }
}

/// In bits per second, for everything together.
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

    /// The next better layer that is sent.
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

/// Everybody gets the least; then one after the other rises by a step, as long as that fits.
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

    const RATES: Rates = [Some(150_000), Some(500_000), Some(1_500_000)];
    const SECOND: Duration = Duration::from_secs(1);

    fn at(layer: usize) -> Ladder {
        Ladder { rates: RATES, layer }
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some first instant")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn without_an_estimate_the_best_is_chosen() {
        let mut chooser = Chooser::default();
        let slot = Ladder { rates: [RATES[0], RATES[1], None], layer: 2 };
        assert_eq!(chooser.choose(start(), 0, &[slot, at(0)]), [1, 2]);
        let paused = Ladder { rates: [None; 3], layer: 1 };
        assert_eq!(chooser.choose(start(), 0, &[paused]), [1], "nothing is better than another");
    }

    #[test]
    fn what_fits_the_estimate_is_chosen_and_slots_share_it() {
        let choose = |estimate, slots: &[Ladder]| {
            let mut chooser = Chooser { is_limited: true, ..Chooser::default() };
            chooser.estimated(start(), estimate);
            chooser.choose(start(), 50_000, slots)
        };
        assert_eq!(choose(100_000, &[at(2)]), [0], "the least comes in any case");
        assert_eq!(choose(600_000, &[at(2)]), [1]);
        assert_eq!(choose(1_200_000, &[at(2), at(2)]), [1, 1]);
        assert_eq!(choose(2_200_000, &[at(2), at(2)]), [2, 1]);
        assert_eq!(choose(930_000, &[at(1), at(1)]), [1, 1]);
        assert_eq!(choose(860_000, &[at(1), at(0)]), [1, 0], "to rise takes more than to stay");
    }

    #[test]
    fn after_a_fall_it_waits_longer_each_time() {
        let mut now = start();
        let mut chooser = Chooser::default();
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
    fn a_layer_is_tried_when_the_estimate_can_not_know() {
        let now = start();
        let mut chooser = Chooser::default();
        // As much as an estimate grows beyond what is received.
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
        let now = start();
        let mut chooser = Chooser::default();
        chooser.estimated(now, 225_000);
        assert_eq!(chooser.choose(now, 0, &[at(0)]), [1]);
        chooser.estimated(now + SECOND, 200_000);
        assert_eq!(chooser.choose(now + SECOND, 0, &[at(1)]), [0]);
        chooser.estimated(now + 3 * SECOND, 225_000);
        assert_eq!(chooser.choose(now + 3 * SECOND, 0, &[at(0)]), [0], "not at once again");
        chooser.estimated(now + 6 * SECOND, 225_000);
        assert_eq!(chooser.choose(now + 6 * SECOND, 0, &[at(0)]), [1]);
    }

    #[test]
    fn the_first_estimate_may_be_too_low_for_a_while() {
        let now = start();
        let mut chooser = Chooser::default();
        chooser.estimated(now, 1_100_000);
        assert_eq!(chooser.choose(now, 0, &[at(2)]), [2]);
        chooser.estimated(now + 5 * SECOND, 1_200_000);
        assert_eq!(chooser.choose(now + 5 * SECOND, 0, &[at(2)]), [2]);
        assert_eq!(chooser.choose(now + TRIAL, 0, &[at(2)]), [1]);
    }

    #[test]
    fn an_estimate_that_is_not_repeated_is_no_limit() {
        let now = start();
        let mut chooser = Chooser::default();
        chooser.estimated(now, 100_000);
        assert_eq!(chooser.choose(now, 0, &[at(2)]), [0]);
        assert_eq!(chooser.choose(now + ESTIMATE_EXPIRY, 0, &[at(0)]), [2]);
    }
}
