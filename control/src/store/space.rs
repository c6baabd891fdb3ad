//! The free space on the disk of an SQLite file.
#![expect(clippy::disallowed_methods, reason = "the interval between two looks is timed here")]

use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::statvfs;
use tokio::time::Instant;
use tracing::{info, warn};

use super::trouble::{Shortage, Trouble};

/// Interval between two looks at the disk. At 100 MB a second, 20 MB are written meanwhile.
const INTERVAL: Duration = Duration::from_millis(200);
/// The part of a disk that is kept free at most, so that a small disk can be used too.
const LARGEST_PART: u64 = 10;
/// The part of the kept space that must be free beyond it before chat is stored again, so that it does not stop and
/// start with each message.
const MARGIN: u64 = 16;

/// Watches that some space stays free: an SQLite file needs it to delete anything, and other programs need it too.
pub(super) struct Space {
    file: PathBuf,
    /// In bytes; 0 watches nothing.
    keep: u64,
    looked_at: Option<Instant>,
    /// Receives what is found.
    trouble: Trouble,
}

impl Space {
    pub(super) fn new(file: PathBuf, keep: u64, trouble: Trouble) -> Space {
        Space { file, keep, looked_at: None, trouble }
    }

    /// Looks at the disk, unless that was done just now.
    pub(super) async fn look(&mut self) {
        if self.looked_at.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        self.looked_at = Some(Instant::now());
        let file = self.file.clone();
        // A file system that does not answer must not stop other tasks.
        let found = tokio::task::spawn_blocking(move || statvfs(&file)).await;
        let Ok(Ok(found)) = found else { return };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let all = found.f_blocks.saturating_mul(found.f_frsize);
        // Some virtual file systems have no size.
        if all > 0 {
            self.found(free, all);
        }
    }

    fn found(&mut self, free: u64, all: u64) {
        let keep = self.keep.min(all / LARGEST_PART);
        let was_short = self.trouble.shortage().is_some();
        let is_short = free < if was_short { keep + keep / MARGIN } else { keep };
        let shortage = is_short.then_some(Shortage { free, keep });
        match &shortage {
            Some(shortage) if !was_short => warn!("{shortage}; chat is refused until there is"),
            None if was_short => info!(free, "the disk has space again; chat is stored"),
            _ => {}
        }
        self.trouble.set_free(free, shortage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn chat_stops_below_the_kept_space_and_goes_on_well_above_it() {
        let (mut space, trouble) = space(160 * MIB);

        let short = [200, 159, 165, 171, 165, 159].map(|free| {
            space.found(free * MIB, 10_000 * MIB);
            trouble.shortage().is_some()
        });

        assert_eq!(short, [false, true, true, false, false, true]);
    }

    #[test]
    fn a_small_disk_is_not_too_small() {
        let (mut space, trouble) = space(256 * MIB);

        space.found(50 * MIB, 100 * MIB);
        let half = trouble.shortage();
        space.found(9 * MIB, 100 * MIB);

        assert_eq!(half, None);
        assert_eq!(trouble.shortage(), Some(Shortage { free: 9 * MIB, keep: 10 * MIB }));
    }

    fn space(keep: u64) -> (Space, Trouble) {
        let trouble = Trouble::default();
        (Space::new(PathBuf::new(), keep, trouble.clone()), trouble)
    }
}
