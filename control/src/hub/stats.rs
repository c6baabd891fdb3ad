//! What the control plane counts.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use madang_wire::{Command, ErrorCode};

use crate::relay::RelayStats;
use crate::stomp::SlowPolicy;
use crate::webhooks::WebhookStats;

/// A snapshot of the control plane's counters; since the start unless a field says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlStats {
    /// WebSocket connections, at the moment.
    pub sessions: u64,
    /// Subscriptions, at the moment: of this server's topics and queues, of `/user`, and of the external broker's.
    pub subscriptions: [(&'static str, u64); 3],
    /// Open rooms, at the moment.
    pub rooms: u64,
    /// Participants in all rooms, at the moment.
    pub participants: u64,
    /// STOMP frames received, by command; heart-beats are not counted, and commands that never came are absent.
    pub frames_received: Vec<(&'static str, u64)>,
    /// Bytes received in WebSocket messages.
    pub bytes_received: u64,
    /// The same of those sent.
    pub frames_sent: Vec<(&'static str, u64)>,
    /// Bytes sent in WebSocket messages.
    pub bytes_sent: u64,
    /// Connections refused because a limit was reached.
    pub connections_refused: u64,
    /// STOMP ERROR frames sent, each of which ended its connection, by their `message`.
    pub protocol_errors: Vec<(&'static str, u64)>,
    /// `error` messages sent, by code; a code that never occurred is absent.
    pub errors: Vec<(&'static str, u64)>,
    /// Connections whose client did not read fast enough, by what had to be done about it.
    pub slow_consumers: [(&'static str, u64); 3],
    /// Messages that slow clients were not sent, by the reason.
    pub discarded: [(&'static str, u64); 3],
    /// From when a client's SEND was read until its MESSAGEs were handed to the sockets.
    pub fan_out: Delays,
    /// Chat lines stored.
    pub chat_stored: u64,
    /// Calls to other programs; all 0 when none are configured.
    pub webhooks: WebhookStats,
    /// The way to the external broker; all 0 without one.
    pub relay: RelayStats,
}

/// The counters themselves, shared by those who count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sessions: AtomicU64,
    /// As [`SUBSCRIPTIONS`].
    pub(crate) subscriptions: [AtomicU64; 3],
    pub(crate) rooms: AtomicU64,
    pub(crate) participants: AtomicU64,
    /// By command.
    pub(crate) frames_received: [AtomicU64; Command::ALL.len()],
    pub(crate) bytes_received: AtomicU64,
    /// By command.
    pub(crate) frames_sent: [AtomicU64; Command::ALL.len()],
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    /// By policy.
    pub(crate) slow_consumers: [AtomicU64; 3],
    /// By policy.
    pub(crate) discarded: [AtomicU64; 3],
    /// By [`Delays::BOUNDS_US`]; the last is for longer ones.
    fan_out: [AtomicU64; Delays::BOUNDS_US.len() + 1],
    fan_out_us: AtomicU64,
    pub(crate) chat_stored: AtomicU64,
    /// At most one entry per variant of `ErrorCode`.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    /// At most one entry per text of an ERROR.
    protocol_errors: Mutex<BTreeMap<&'static str, u64>>,
}

/// How long something took, so and so often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// How many took at most each of [`Delays::BOUNDS_US`] but longer than the bound before.
    pub counts: [u64; Delays::BOUNDS_US.len()],
    /// How many there were in all.
    pub total: u64,
    /// How long they took in all, in µs.
    pub sum_us: u64,
}

impl Delays {
    /// In µs.
    pub const BOUNDS_US: [u64; 11] =
        [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];
}

/// Where subscriptions live.
const SUBSCRIPTIONS: [&str; 3] = ["broker", "user", "relay"];

impl Counters {
    /// Counts an `error` message.
    pub(crate) fn count_error(&self, code: ErrorCode) {
        let mut errors = self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *errors.entry(code.as_str()).or_default() += 1;
    }

    /// Counts an ERROR frame.
    pub(crate) fn count_protocol_error(&self, kind: &'static str) {
        let mut errors = self.protocol_errors.lock().unwrap_or_else(|it| it.into_inner());
        *errors.entry(kind).or_default() += 1;
    }

    /// Counts a delivery that took so long.
    pub(crate) fn count_delivery(&self, delay: Duration) {
        let us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let bucket = Delays::BOUNDS_US.partition_point(|bound| *bound < us);
        up(&self.fan_out[bucket]);
        self.fan_out_us.fetch_add(us, Relaxed);
    }

    fn fan_out(&self) -> Delays {
        let all = self.fan_out.each_ref().map(|count| count.load(Relaxed));
        let mut counts = [0; Delays::BOUNDS_US.len()];
        counts.copy_from_slice(&all[..Delays::BOUNDS_US.len()]);
        Delays { counts, total: all.iter().sum(), sum_us: self.fan_out_us.load(Relaxed) }
    }

    /// What the counters read at the moment.
    pub(crate) fn snapshot(&self) -> ControlStats {
        let errors = self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let protocol_errors = self.protocol_errors.lock().unwrap_or_else(|it| it.into_inner());
        let policies = SlowPolicy::ALL.map(SlowPolicy::as_str);
        ControlStats {
            sessions: self.sessions.load(Relaxed),
            subscriptions: labelled(SUBSCRIPTIONS, &self.subscriptions),
            rooms: self.rooms.load(Relaxed),
            participants: self.participants.load(Relaxed),
            frames_received: by_command(&self.frames_received),
            bytes_received: self.bytes_received.load(Relaxed),
            frames_sent: by_command(&self.frames_sent),
            bytes_sent: self.bytes_sent.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            protocol_errors: protocol_errors.iter().map(|(kind, count)| (*kind, *count)).collect(),
            errors: errors.iter().map(|(code, count)| (*code, *count)).collect(),
            slow_consumers: labelled(policies, &self.slow_consumers),
            discarded: labelled(policies, &self.discarded),
            fan_out: self.fan_out(),
            chat_stored: self.chat_stored.load(Relaxed),
            webhooks: WebhookStats::default(),
            relay: RelayStats::default(),
        }
    }
}

fn labelled(labels: [&'static str; 3], counts: &[AtomicU64; 3]) -> [(&'static str, u64); 3] {
    std::array::from_fn(|index| (labels[index], counts[index].load(Relaxed)))
}

fn by_command(counts: &[AtomicU64; Command::ALL.len()]) -> Vec<(&'static str, u64)> {
    let counts = Command::ALL
        .iter()
        .zip(counts)
        .map(|(command, count)| (command.as_str(), count.load(Relaxed)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Adds one to a gauge or counter.
pub(crate) fn up(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Takes one from a gauge; every call follows an `up` on the same gauge.
pub(crate) fn down(gauge: &AtomicU64) {
    gauge.fetch_sub(1, Relaxed);
}
