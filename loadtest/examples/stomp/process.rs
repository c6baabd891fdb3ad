//! CPU time and memory of the server's process.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

/// Clock ticks per second in `/proc`: always 100 on Linux.
const TICKS: u64 = 100;

/// A process on this machine.
pub(crate) struct Process(PathBuf);

/// The resources that a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time, in µs.
    pub(crate) cpu_us: u64,
    /// Resident memory, in KiB.
    pub(crate) resident_kib: u64,
}

impl Process {
    pub(crate) fn new(pid: u32) -> anyhow::Result<Process> {
        let process = Process(PathBuf::from(format!("/proc/{pid}")));
        process.usage()?;
        Ok(process)
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let read = |name| {
            let path = self.0.join(name);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let stat = read("stat")?;
        // The name of the program is in parentheses and may contain any character.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        let status = read("status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident_kib = resident
            .and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
            .context("/proc reports no memory for the process")?;
        Ok(Usage { cpu_us: ticks * 1_000_000 / TICKS, resident_kib })
    }
}
