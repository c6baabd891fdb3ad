//! CPU time and memory of processes, and facts about the machine, from Linux's /proc. All of it is optional: what can't
//! be read is omitted from the report.

use std::fs::{DirEntry, read_dir, read_to_string};

use serde::{Deserialize, Serialize};

/// Linux reports the CPU time of processes in units of 1/100 s, whatever its internal resolution.
const TICK_US: u64 = 10_000;

/// A process, by its id.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// This process.
    pub fn this() -> Process {
        Process(std::process::id())
    }

    /// User and system time so far, in microseconds.
    pub fn cpu_us(self) -> Option<u64> {
        cpu_ticks(&read_to_string(format!("/proc/{}/stat", self.0)).ok()?)
            .map(|ticks| ticks * TICK_US)
    }

    /// Like [`Process::cpu_us`], but for the threads that exist now and with a resolution of a nanosecond instead of
    /// 1/100 s. The time of threads that have ended is missing, so it is for short intervals.
    pub fn threads_cpu_us(self) -> Option<u64> {
        let threads = read_dir(format!("/proc/{}/task", self.0)).ok()?;
        let on_cpu_ns = |thread: DirEntry| {
            let schedule = read_to_string(thread.path().join("schedstat")).ok()?;
            schedule.split(' ').next()?.parse::<u64>().ok()
        };
        Some(threads.flatten().filter_map(on_cpu_ns).sum::<u64>() / 1000)
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(self) -> Option<u64> {
        resident_bytes(&read_to_string(format!("/proc/{}/status", self.0)).ok()?)
    }
}

/// proc(5): the name in parentheses may contain any character; utime and stime are the 12th and 13th field after it.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The busy time of all cores together so far, in microseconds.
pub fn busy_us() -> Option<u64> {
    busy_ticks(&read_to_string("/proc/stat").ok()?).map(|ticks| ticks * TICK_US)
}

/// proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
fn busy_ticks(stat: &str) -> Option<u64> {
    let all: Option<Vec<u64>> = stat
        .lines()
        .next()?
        .split_ascii_whitespace()
        .skip(1)
        .take(8)
        .map(|n| n.parse().ok())
        .collect();
    let idle = 3..5;
    Some(all?.iter().enumerate().filter(|(at, _)| !idle.contains(at)).map(|(_, ticks)| ticks).sum())
}

/// Datagrams dropped at these UDP ports because the socket's buffer was full.
pub fn dropped_at(ports: &[u16]) -> Option<u64> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|table| read_to_string(table).ok());
    tables.iter().flatten().map(|table| drops(table, ports)).reduce(|a, b| a + b)
}

fn drops(table: &str, ports: &[u16]) -> u64 {
    let drops = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        ports.contains(&port).then(|| fields.last()?.parse::<u64>().ok()).flatten()
    };
    table.lines().skip(1).filter_map(drops).sum()
}

/// The machine on which a result was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// The number of cores that this process may use.
    pub cores: usize,
    /// The kernel's version.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    pub fn this() -> Machine {
        let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cpu: name.map_or("unknown", |(_, name)| name).to_owned(),
            cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 1";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (x) S 1"), None);
    }

    #[test]
    fn idle_cores_are_not_busy() {
        assert_eq!(busy_ticks("cpu  10 1 20 1000 500 3 4 5 0 0\ncpu0 1 1"), Some(43));
        assert_eq!(busy_ticks("cpu  x"), None);
    }

    #[test]
    fn memory_is_read() {
        assert_eq!(resident_bytes("VmPeak:\t 9 kB\nVmRSS:\t    12 kB\n"), Some(12 * 1024));
        assert_eq!(resident_bytes("VmPeak:\t 9 kB\n"), None);
    }

    #[test]
    fn drops_are_those_of_the_ports() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             1: 00000000:1388 00000000:0000 07 0:0 00:0 0 0 0 1 2 x 5\n\
             2: 0100007F:1389 00000000:0000 07 0:0 00:0 0 0 0 1 2 x 7\n\
             3: 0100007F:138A 00000000:0000 07 0:0 00:0 0 0 0 1 2 x 11\n";
        assert_eq!(drops(table, &[5000, 5001]), 12);
        assert_eq!(drops(table, &[]), 0);
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(Process::this().resident_bytes().is_some_and(|bytes| bytes > 0));
        assert!(Process::this().cpu_us().is_some() && busy_us().is_some());
        assert!(Process::this().threads_cpu_us().is_some_and(|us| us > 0));
        assert!(Machine::this().cores > 0);
    }
}
