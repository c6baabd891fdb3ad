//! The memory that the server holds for its clients: one budget for all of it.
//!
//! The budget counts everything that clients make the server hold: messages (once, however many outboxes share one),
//! frames of open transactions, and the beginnings of frames whose rest has not arrived. One connection may hold a
//! quarter of the rest of the budget. So a single slow client gets all that its own limits allow, while a thousand of
//! them get little each, and together never more than the budget and [`LEAST_SHARE`] each. Switches with shared memory
//! bound their queues by such dynamic thresholds (Choudhury and Hahne, 1998).

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

/// One connection may hold one part in this many of the rest of the budget.
const SHARES: usize = 4;
/// The bytes that a connection may hold even when the budget is used up.
const LEAST_SHARE: usize = 64 * 1024;
/// The default budget is one part in this many of the machine's memory, within these bounds.
const PART: usize = 256;
const LEAST_BUDGET: usize = 64 * 1024 * 1024;
const MOST_BUDGET: usize = 512 * 1024 * 1024;

/// Bytes held by the process. Not a field of the server, because what is held may be dropped anywhere.
static HELD: AtomicUsize = AtomicUsize::new(0);
/// In bytes; see [`set_budget`].
static BUDGET: AtomicUsize = AtomicUsize::new(LEAST_BUDGET);

/// Memory held for a client; dropping it gives it back to the budget.
#[derive(Debug, Default)]
pub(crate) struct Held(usize);

impl Held {
    /// Counts this many bytes.
    pub(crate) fn new(bytes: usize) -> Held {
        HELD.fetch_add(bytes, Relaxed);
        Held(bytes)
    }

    /// Counts this many bytes instead of those counted so far.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes != self.0 {
            *self = Held::new(bytes);
        }
    }

    /// The bytes counted.
    pub(crate) fn bytes(&self) -> usize {
        self.0
    }

    /// Whether this is more than one connection may hold at present.
    pub(crate) fn is_too_much(&self) -> bool {
        self.0 > share()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Relaxed);
    }
}

/// Bytes that are counted as held until their last clone is dropped.
pub(crate) fn counted(bytes: Bytes) -> Bytes {
    Bytes::from_owner(Counted { _held: Held::new(bytes.len()), bytes })
}

struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Sets the budget in bytes; 0 is no limit. Without `bytes`, it is a part of the memory of the machine, or of the
/// process's cgroup.
pub(crate) fn set_budget(bytes: Option<usize>) {
    let budget = match bytes {
        Some(0) => usize::MAX,
        Some(bytes) => bytes,
        None => (available() / PART).clamp(LEAST_BUDGET, MOST_BUDGET),
    };
    BUDGET.store(budget, Relaxed);
}

/// The budget and what is held of it, in bytes.
pub(crate) fn budget_and_held() -> (usize, usize) {
    (BUDGET.load(Relaxed), HELD.load(Relaxed))
}

/// The bytes that one connection may hold at present.
pub(crate) fn share() -> usize {
    let (budget, held) = budget_and_held();
    (budget.saturating_sub(held) / SHARES).max(LEAST_SHARE)
}

/// How many bytes of a connection's output are enough, beyond which more has to wait: `most`, or a quarter of
/// what the connection may hold.
pub(crate) fn enough(most: usize) -> usize {
    most.min(share() / 4)
}

/// The memory of the machine or, if that is less, of the cgroup, in bytes; 0 if neither is known.
fn available() -> usize {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let machine = kilobytes_total(&read("/proc/meminfo"));
    // "max" if there is no limit.
    let cgroup = read("/sys/fs/cgroup/memory.max").trim().parse().ok();
    machine.into_iter().chain(cgroup).min().unwrap_or(0)
}

/// "MemTotal:       16384000 kB", in bytes.
fn kilobytes_total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_held_no_more() {
        let mut held = Held::new(1_000_000_000);
        assert!(budget_and_held().1 >= 1_000_000_000);
        held.set(7);
        assert_eq!(held.bytes(), 7);
        assert!(!held.is_too_much());
        drop(held);
        assert!(budget_and_held().1 < 1_000_000_000);
    }

    #[test]
    fn the_memory_of_the_machine_is_read() {
        let meminfo = "MemTotal:       24683612 kB\nMemFree:         1 kB\n";
        assert_eq!(kilobytes_total(meminfo), Some(24_683_612 * 1024));
        assert_eq!(kilobytes_total("MemTotal: much"), None);
        assert!(available() > 0);
    }
}
