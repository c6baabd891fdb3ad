//! What a run of light peers found.

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
    /// What was measured.
    pub scenario: Scenario,
    /// Where.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// Joining.
    pub joining: Joining,
    /// While nothing changed.
    pub steady: Interval,
    /// With too much to do, when that was asked for.
    pub overload: Option<Overload>,
    /// What the server's process needs, when its id was given.
    pub server: Option<ServerFigures>,
    /// How this program itself did.
    pub generator: Generator,
    /// What went wrong, as sentences. Loss is none: it is in the figures.
    pub problems: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    /// Rooms.
    pub rooms: u32,
    /// Publishers in each.
    pub publishers: u32,
    /// Pure receivers in each.
    pub receivers: u32,
    /// Of the receivers, how many joined at the same moment.
    pub join_storm: u32,
    /// Seconds of steady measuring.
    pub seconds: u32,
    /// Thousands of bits per second of each publisher's video.
    pub video_kbps: u32,
    /// How a frame's packets follow each other.
    pub pacing: Pacing,
    /// Share of packets lost in front of receivers, of a hundred.
    pub receiver_loss_percent: f64,
    /// Delay in front of receivers.
    pub receiver_delay_ms: u64,
    /// One of so many packets was decrypted.
    pub sample: u32,
}

/// Versions of the programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// This one.
    pub loadtest: String,
    /// The server, as it calls itself.
    pub server: String,
}

/// How joining went.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Joining {
    /// Peers that joined.
    pub joined: u64,
    /// From the join request to its reply; of a storm's peers alone, if there was one.
    pub reply_ms: Times,
    /// From the join request to the first media packet; likewise.
    pub first_media_ms: Times,
    /// CPU of the server for each peer of the storm, from the first request to the last one's first media.
    pub server_cpu_ms_per_join: Option<f64>,
}

/// What arrived in some time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// How long.
    pub seconds: f64,
    /// RTP packets that receivers got in a second, which the server therefore forwarded.
    pub packets_per_second: f64,
    /// The same in bits.
    pub megabits_per_second: f64,
    /// User and system time of the server per received packet: CPU seconds per million packets.
    pub server_cpu_us_per_packet: Option<f64>,
    /// The share of one core that the server used, of a hundred.
    pub server_cpu_percent: Option<f64>,
    /// Opus.
    pub audio: Media,
    /// VP8.
    pub video: Media,
}

/// Counts of one kind of media, over all receivers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Media {
    /// Different packets received.
    pub received: u64,
    /// Packets missing for good, also after retransmission.
    pub lost: u64,
    /// The same of a hundred.
    pub lost_percent: f64,
    /// Came more than once.
    pub duplicated: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Packets of the sender that the server left out without a gap.
    pub skipped: u64,
    /// Packets that were missing when a later one came.
    pub missed: u64,
    /// Of those that were decided about, how many came in time, of a hundred.
    pub recovered_percent: Option<f64>,
    /// From a sender's hand to a receiver's socket; of sampled packets.
    pub latency_ms: Times,
}

/// An overload and what came after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overload {
    /// How many times the video's bit rate was sent.
    pub factor: u32,
    /// While it lasted.
    pub during: Interval,
    /// How long after its end everything was normal again: nothing missing, and p99 of the latency below 50 ms.
    pub normal_after_seconds: Option<f64>,
    /// From then on.
    pub after: Interval,
}

/// The server's memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ServerFigures {
    /// Resident memory with all peers.
    pub resident_mb: f64,
    /// What each peer added to it.
    pub resident_kb_per_peer: f64,
}

/// How this program did: whether a figure above is the server's, or this program's own limit.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    /// The share of one core that it used while measuring, of a hundred.
    pub cpu_percent: f64,
    /// The share of one core that everything but this program and the server used meanwhile, of a hundred. When it is
    /// more than a little, the figures are noisy. None without the server's id.
    pub others_cpu_percent: Option<f64>,
    /// Runs of datagrams that came while its socket's buffer was full, from the beginning.
    pub dropped: u64,
    /// Datagrams that its kernel did not take.
    pub refused: u64,
    /// Packets that it could not read: not authentic, not announced, or without a stamp.
    pub unreadable: u64,
    /// Retransmissions that it got on streams of their own.
    pub retransmissions: u64,
    /// Key frames that the server asked its publishers for.
    pub key_frame_requests: u64,
}

impl Interval {
    /// What came between two snapshots, with the latencies of `latency` and the server's CPU time of that while.
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
