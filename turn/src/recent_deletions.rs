//! The transaction ids of recently deleted allocations, so that a retransmitted deletion gets the same answer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use stun_types::message::TransactionId;

use crate::ClientAddr;

/// How long a client retransmits a request (RFC 8489 §6.2.1: 39.5 s).
const RETRANSMISSION_TIME: Duration = Duration::from_secs(40);

/// The maximum number of entries. When full, the oldest is removed; a retransmission of it is answered with 437, which
/// a client that is deleting its allocation treats as success (RFC 8656 §8.3).
const CAPACITY: usize = 1024;

/// The deleting Refresh requests (lifetime 0) of the last 40 seconds.
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
