//! How often this disk makes a small write durable: what one message at a time can have at most.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;

const TIME: Duration = Duration::from_secs(1);
/// A page of a database.
const PAGE: [u8; 4096] = [0; 4096];

/// Where temporary files are, as the server's database.
pub(crate) fn syncs_per_second() -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile().context("making a file")?;
    let (started, mut syncs) = (Instant::now(), 0_u32);
    while started.elapsed() < TIME {
        file.write_all(&PAGE)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / started.elapsed().as_secs_f64())
}
