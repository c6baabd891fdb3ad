//! The result of a run of light peers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::process::Machine;
use super::snapshot::Snapshot;
use crate::histogram::Histogram;
use crate::options::Pacing;
use crate::stamp::Kind;
use crate::times::Times;

/// The result of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LightReport {
    /// The parameters of the run.
    pub scenario: Scenario,
    /// The machine on which it ran.
    pub machine: Machine,
    /// The versions of the programs.
    pub versions: Versions,
    /// The figures of joining.
    pub joining: Joining,
    /// The figures while nothing changed.
    pub steady: Interval,
    /// The figures of an overload, if one was requested.
    pub overload: Option<Overload>,
    /// The server's memory, if its process id was given.
    pub server: Option<ServerFigures>,
    /// The figures of this program itself.
    pub generator: Generator,
    /// Problems, as sentences. Loss is not a problem; the figures contain it.
    pub problems: Vec<String>,
}

/// The parameters of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    /// The number of rooms.
    pub rooms: u32,
    /// The number of publishers per room.
    pub publishers: u32,
    /// The number of pure receivers per room.
    pub receivers: u32,
    /// The number of receivers that joined at the same moment.
    pub join_storm: u32,
    /// The duration of steady measuring, in seconds.
    pub seconds: u32,
    /// The bit rate of each publisher's video, in kbit/s.
    pub video_kbps: u32,
    /// The spacing of a frame's packets.
    pub pacing: Pacing,
    /// The packet loss in front of receivers, in percent.
    pub receiver_loss_percent: f64,
    /// The delay in front of receivers, in milliseconds.
    pub receiver_delay_ms: u64,
    /// One of this many packets was decrypted.
    pub sample: u32,
}

/// The versions of the programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// The version of this program.
    pub loadtest: String,
    /// The server's name and version, as it reports them.
    pub server: String,
}

/// The figures of joining.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Joining {
    /// The number of peers that joined.
    pub joined: u64,
    /// From the join request to its reply, in milliseconds; of the storm's peers only, if there was one.
    pub reply_ms: Times,
    /// From the join request to the first media packet, in milliseconds; likewise.
    pub first_media_ms: Times,
    /// The server's CPU time per peer of the storm, from the first request to the first media of the last peer, in
    /// milliseconds.
    pub server_cpu_ms_per_join: Option<f64>,
}

/// The figures of an interval.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// The length of the interval.
    pub seconds: f64,
    /// RTP packets received per second, which the server therefore forwarded.
    pub packets_per_second: f64,
    /// Megabits received per second.
    pub megabits_per_second: f64,
    /// The server's user and system time per received packet, in microseconds.
    pub server_cpu_us_per_packet: Option<f64>,
    /// The server's CPU time, in percent of one core.
    pub server_cpu_percent: Option<f64>,
    /// Audio (Opus).
    pub audio: Media,
    /// Video (VP8).
    pub video: Media,
}

/// Counts of one kind of media, summed over all receivers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Media {
    /// Distinct packets received.
    pub received: u64,
    /// Packets lost for good, even after retransmission.
    pub lost: u64,
    /// Packets lost, in percent of those expected.
    pub lost_percent: f64,
    /// Packets received more than once.
    pub duplicated: u64,
    /// Packets received after a later one.
    pub reordered: u64,
    /// Packets that the server dropped without leaving a gap in the sequence numbers.
    pub skipped: u64,
    /// Packets that were missing when a later one arrived.
    pub missed: u64,
    /// Of the missing packets with a known fate, those that arrived in time, in percent.
    pub recovered_percent: Option<f64>,
    /// From sending to a receiver's socket, in milliseconds; of sampled packets.
    pub latency_ms: Times,
}

/// An overload, and the recovery from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overload {
    /// The factor by which the video's bit rate was increased.
    pub factor: u32,
    /// The figures during the overload.
    pub during: Interval,
    /// The time from its end until everything was normal again, in seconds: no packet missing, and p99 of the latency
    /// below 50 ms.
    pub normal_after_seconds: Option<f64>,
    /// The figures after that.
    pub after: Interval,
}

/// The server's memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ServerFigures {
    /// Resident memory with all peers, in MB.
    pub resident_mb: f64,
    /// The growth per peer, in kB.
    pub resident_kb_per_peer: f64,
}

/// The figures of this program. They show whether a figure above is the server's limit or this program's own.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    /// This program's CPU time while measuring, in percent of one core.
    pub cpu_percent: f64,
    /// The CPU time of all other programs, apart from the server, while measuring, in percent of one core. When it is
    /// more than a little, the figures are noisy. `None` without the server's process id.
    pub others_cpu_percent: Option<f64>,
    /// Runs of datagrams dropped because the socket's buffer was full, since the start.
    pub dropped: u64,
    /// Datagrams that the local kernel refused to send.
    pub refused: u64,
    /// Packets that could not be processed: not authentic, not announced, or without a stamp.
    pub unreadable: u64,
    /// Retransmissions received on RTX streams.
    pub retransmissions: u64,
    /// Key frame requests from the server to the publishers.
    pub key_frame_requests: u64,
}

impl Interval {
    /// The difference between two snapshots, with the given latencies and the server's CPU time in between.
    pub fn between(
        from: &Snapshot,
        to: &Snapshot,
        latency: &[Histogram; 2],
        server_cpu_us: Option<u64>,
    ) -> Interval {
        let us = to.at_us.saturating_sub(from.at_us).max(1) as f64;
        let packets = to.received().saturating_sub(from.received());
        let bytes = to.bytes.saturating_sub(from.bytes);
        let media = |kind: Kind| {
            let counts = to.of(kind).since(from.of(kind));
            let decided = counts.gaps.recovered + counts.gaps.given_up;
            Media {
                received: counts.received,
                lost: counts.missing,
                lost_percent: percent(counts.missing, counts.received + counts.missing),
                duplicated: counts.duplicated,
                reordered: counts.reordered,
                skipped: counts.skipped,
                missed: counts.gaps.missed,
                recovered_percent: (decided > 0).then(|| percent(counts.gaps.recovered, decided)),
                latency_ms: Times::from(&latency[kind as usize]),
            }
        };
        Interval {
            seconds: us / 1e6,
            packets_per_second: packets as f64 * 1e6 / us,
            megabits_per_second: bytes as f64 * 8.0 / us,
            server_cpu_us_per_packet: server_cpu_us
                .filter(|_| packets > 0)
                .map(|cpu_us| cpu_us as f64 / packets as f64),
            server_cpu_percent: server_cpu_us.map(|cpu_us| cpu_us as f64 * 100.0 / us),
            audio: media(Kind::Audio),
            video: media(Kind::Video),
        }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

impl fmt::Display for LightReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { rooms, publishers, receivers, join_storm, .. } = self.scenario;
        let Machine { cpu, cores, kernel } = &self.machine;
        let Versions { loadtest, server } = &self.versions;
        writeln!(f, "{cores} × {cpu}, Linux {kernel}; loadtest {loadtest}, server {server}")?;
        writeln!(
            f,
            "{rooms} × ({publishers} publishers, {receivers} receivers, {join_storm} of them at once), {:?}",
            self.scenario.pacing
        )?;
        write!(f, "steady    {}", self.steady)?;
        if let Some(overload) = &self.overload {
            write!(f, "overload  {}", overload.during)?;
            match overload.normal_after_seconds {
                Some(seconds) => writeln!(f, "normal again after {seconds:.2} s")?,
                None => writeln!(f, "not normal again")?,
            }
            write!(f, "after     {}", overload.after)?;
        }
        let Joining { joined, reply_ms, first_media_ms, server_cpu_ms_per_join } = &self.joining;
        write!(
            f,
            "joined    {joined}; ms p50/p99/max: reply {reply_ms}, first media {first_media_ms}"
        )?;
        if let Some(ms) = server_cpu_ms_per_join {
            write!(f, "; server CPU {ms:.2} ms each")?;
        }
        writeln!(f)?;
        if let Some(server) = &self.server {
            let ServerFigures { resident_mb, resident_kb_per_peer } = server;
            writeln!(
                f,
                "server    {resident_mb:.1} MB, {resident_kb_per_peer:.1} kB for each peer"
            )?;
        }
        let Generator { cpu_percent, dropped, refused, unreadable, .. } = self.generator;
        let Generator { retransmissions, key_frame_requests, .. } = self.generator;
        writeln!(
            f,
            "generator {cpu_percent:.0} % of a core; {dropped} runs dropped, {refused} datagrams refused, \
             {unreadable} unreadable, {retransmissions} retransmissions, {key_frame_requests} key frames asked for"
        )?;
        if let Some(percent) = self.generator.others_cpu_percent {
            writeln!(f, "others    {percent:.0} % of a core meanwhile")?;
        }
        for problem in self.problems.iter().take(20) {
            writeln!(f, "problem: {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { seconds, packets_per_second, megabits_per_second, .. } = self;
        write!(
            f,
            "{packets_per_second:.0} packets/s, {megabits_per_second:.0} Mbit/s for {seconds:.1} s"
        )?;
        if let (Some(us), Some(percent)) = (self.server_cpu_us_per_packet, self.server_cpu_percent)
        {
            write!(f, "; server {us:.2} µs of CPU per packet, {percent:.0} % of a core")?;
        }
        writeln!(f)?;
        for (name, media) in [("audio", &self.audio), ("video", &self.video)] {
            let Media { received, lost, lost_percent, duplicated, reordered, skipped, .. } = media;
            write!(
                f,
                "  {name}   {received} received, {lost} lost ({lost_percent:.3} %), {duplicated} twice, \
                 {reordered} out of order, {skipped} skipped; latency {} ms",
                media.latency_ms
            )?;
            match media.recovered_percent {
                Some(percent) => writeln!(f, "; {percent:.2} % of {} recovered", media.missed)?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
