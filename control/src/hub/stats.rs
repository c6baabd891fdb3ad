//! The statistics of the control plane.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use madang_wire::Command;

use crate::counters::{Counters, Delays};
use crate::limits::SlowPolicy;
use crate::memory;
use crate::relay::RelayStats;
use crate::store::StoreStats;
use crate::webhooks::WebhookStats;

/// A snapshot of the control plane's counters. They count since the start, unless a field says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlStats {
    /// Current number of connections: WebSocket, SockJS and TCP.
    pub sessions: u64,
    /// Current number of subscriptions: at the in-process broker, below `/user`, and at the external broker.
    pub subscriptions: [(&'static str, u64); 3],
    /// Current number of open rooms.
    pub rooms: u64,
    /// Current number of participants in all rooms.
    pub participants: u64,
    /// STOMP frames received, by command; heart-beats are not counted, and commands that never came are absent.
    pub frames_received: Vec<(&'static str, u64)>,
    /// Bytes of STOMP received.
    pub bytes_received: u64,
    /// STOMP frames sent, by command; heart-beats are not counted, and commands that were never sent are absent.
    pub frames_sent: Vec<(&'static str, u64)>,
    /// Bytes of STOMP frames sent.
    pub bytes_sent: u64,
    /// Connections refused because a limit was reached.
    pub connections_refused: u64,
    /// STOMP ERROR frames sent, by their `message`; each ended its connection.
    pub protocol_errors: Vec<(&'static str, u64)>,
    /// `error` messages sent, by code; a code that never occurred is absent.
    pub errors: Vec<(&'static str, u64)>,
    /// Connections of slow consumers, by the policy that was applied.
    pub slow_consumers: [(&'static str, u64); 3],
    /// Messages discarded because a client was a slow consumer, by policy.
    pub discarded: [(&'static str, u64); 3],
    /// The delays from reading a client's SEND to handing its MESSAGEs to the sockets.
    pub fan_out: Delays,
    /// Memory held for clients, in bytes: messages that wait, frames that have arrived in part, open transactions.
    pub held: u64,
    /// The maximum of `held`, in bytes.
    pub held_most: u64,
    /// Chat lines stored.
    pub chat_stored: u64,
    /// The store.
    pub store: StoreStats,
    /// Webhook calls; all 0 if none are configured.
    pub webhooks: WebhookStats,
    /// The relay to the external broker; all 0 without one.
    pub relay: RelayStats,
}

/// The places of subscriptions, in the order of `Counters::subscriptions`.
const SUBSCRIPTIONS: [&str; 3] = ["broker", "user", "relay"];

impl ControlStats {
    /// The current values of the counters, without those of the store, webhooks and the relay.
    pub(super) fn of(counters: &Counters) -> ControlStats {
        let policies = SlowPolicy::ALL.map(SlowPolicy::as_str);
        let (held_most, held) = memory::budget_and_held();
        ControlStats {
            sessions: counters.sessions.load(Relaxed),
            held: held as u64,
            held_most: held_most as u64,
            subscriptions: labelled(SUBSCRIPTIONS, &counters.subscriptions),
            rooms: counters.rooms.load(Relaxed),
            participants: counters.participants.load(Relaxed),
            frames_received: by_command(&counters.frames_received),
            bytes_received: counters.bytes_received.load(Relaxed),
            frames_sent: by_command(&counters.frames_sent),
            bytes_sent: counters.bytes_sent.load(Relaxed),
            connections_refused: counters.connections_refused.load(Relaxed),
            protocol_errors: counters.protocol_errors(),
            errors: counters.errors(),
            slow_consumers: labelled(policies, &counters.slow_consumers),
            discarded: labelled(policies, &counters.discarded),
            fan_out: counters.fan_out(),
            chat_stored: counters.chat_stored.load(Relaxed),
            store: StoreStats::default(),
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
