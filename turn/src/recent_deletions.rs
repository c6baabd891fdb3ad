//! Allocations that were just deleted, so that a repeated goodbye is answered like the first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use stun_types::message::TransactionId;

use crate::ClientAddr;

/// How long a client repeats a request (RFC 8489 §6.2.1: 39.5 s).
const RETRANSMISSION_TIME: Duration = Duration::from_secs(40);

/// When full, the oldest is forgotten: its repetition is answered with 437, which a client that said goodbye takes for
/// success (RFC 8656 §8.3).
const CAPACITY: usize = 1024;

/// The deleting Refresh requests of the last 40 seconds.
#[derive(Debug, Default)]
pub(crate) struct RecentDeletions {
    recent: VecDeque<(Instant, ClientAddr, TransactionId)>,
}

impl RecentDeletions {
    pub(crate) fn remember(
        &mut self,
        now: Instant,
        client: ClientAddr,
        transaction: TransactionId,
    ) {
        if self.recent.len() >= CAPACITY {
            self.recent.pop_front();
        }
        self.recent.push_back((now + RETRANSMISSION_TIME, client, transaction));
    }

    pub(crate) fn contains(
        &mut self,
        now: Instant,
        client: ClientAddr,
        transaction: TransactionId,
    ) -> bool {
        while self.recent.front().is_some_and(|&(until, ..)| until <= now) {
            self.recent.pop_front();
        }
        self.recent.iter().any(|&(_, sender, id)| sender == client && id == transaction)
    }
}
