//! Measures how often this disk can sync a small write, which limits a server that commits one message at a time.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;

const TIME: Duration = Duration::from_secs(1);
/// The size of a database page.
const PAGE: [u8; 4096] = [0; 4096];

/// Syncs per second in the directory for temporary files, where the server's database is as well.
pub(crate) fn syncs_per_second() -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile().context("creating a temporary file")?;
    let (started, mut syncs) = (Instant::now(), 0_u32);
    while started.elapsed() < TIME {
        file.write_all(&PAGE)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / started.elapsed().as_secs_f64())
}
