//! The rows of the benchmark and their targets.

use super::floor::Sends;
use super::{Figure, Target};
use crate::light::report::LightReport;

/// A row of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// The arguments of the generator.
    pub(super) arguments: &'static str,
    pub(super) figures: fn(&LightReport) -> Vec<Figure>,
    /// The row's transmissions, with the longest possible runs, for the floor.
    pub(super) floor: &'static [Sends],
}

/// The outgoing audio of one publisher.
const fn voice(receivers: usize) -> Sends {
    Sends { per_second: 50, receivers, segments: 1, length: 120 }
}

/// The outgoing video of one publisher, in frames of so many packets.
const fn camera(receivers: usize, segments: usize) -> Sends {
    Sends { per_second: 30, receivers, segments, length: 1100 }
}

/// One publisher sends 1.5 Mbit/s of video and Opus: 230 packets a second.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "1 → 50",
        arguments: "--receivers 50 --seconds 10",
        figures: |report| vec![cpu(report, Target::AtMost(2.5)), p99(report, Target::None)],
        floor: &[voice(50), camera(50, 6)],
    },
    Row {
        name: "1 → 100",
        arguments: "--receivers 100 --seconds 10",
        figures: |report| vec![cpu(report, Target::None), p99(report, Target::None)],
        floor: &[voice(100), camera(100, 6)],
    },
    Row {
        name: "1 → 500",
        arguments: "--receivers 500 --seconds 10",
        figures: |report| {
            let memory = report.server.map(|server| server.resident_kb_per_peer);
            vec![
                cpu(report, Target::AtMost(1.8)),
                p99(report, Target::None),
                figure("memory, kB a peer", memory, Target::AtMost(100.0)),
                lost(report),
            ]
        },
        floor: &[voice(500), camera(500, 6)],
    },
    Row {
        name: "1 → 500, frames of 8 packets",
        arguments: "--receivers 500 --seconds 10 --video-kbps 2100 --pacing train",
        figures: |report| vec![cpu(report, Target::AtMost(1.1)), p99(report, Target::None)],
        floor: &[voice(500), camera(500, 8)],
    },
    Row {
        name: "4 rooms of 5, all to all",
        arguments: "--rooms 4 --publishers 5 --receivers 0 --seconds 10 --pacing chromium",
        figures: |report| vec![cpu(report, Target::AtMost(4.0)), p99(report, Target::None)],
        // 20 publishers, whose packets are spread over time.
        floor: &[
            Sends { per_second: 20 * 50, ..voice(4) },
            Sends { per_second: 20 * 30 * 6, ..camera(4, 1) },
        ],
    },
    Row {
        // 15 packets per frame.
        name: "1 → 1000, 500,000 packets/s",
        arguments: "--receivers 1000 --seconds 8 --video-kbps 3900 --pacing train",
        figures: |report| {
            vec![
                figure(
                    "forwarded packets/s",
                    Some(report.steady.packets_per_second),
                    Target::AtLeast(495_000.0),
                ),
                lost(report),
                cpu(report, Target::None),
                figure("server, % of its core", report.steady.server_cpu_percent, Target::None),
                p99(report, Target::None),
            ]
        },
        floor: &[],
    },
    Row {
        name: "60 rooms of 1 → 20",
        arguments: "--rooms 60 --receivers 20 --seconds 8 --pacing train",
        figures: |report| {
            vec![
                p99(report, Target::AtMost(1.0)),
                figure("server, % of its core", report.steady.server_cpu_percent, Target::None),
                cpu(report, Target::None),
            ]
        },
        floor: &[],
    },
    Row {
        name: "50 joins at once",
        arguments: "--receivers 2 --join-storm 50 --seconds 2",
        figures: |report| {
            let joining = &report.joining;
            vec![
                figure("first media p50, ms", Some(joining.first_media_ms.p50), Target::None),
                figure(
                    "first media p99, ms",
                    Some(joining.first_media_ms.p99),
                    Target::AtMost(60.0),
                ),
                figure("CPU per join, ms", joining.server_cpu_ms_per_join, Target::AtMost(1.5)),
            ]
        },
        floor: &[],
    },
    Row {
        name: "10 % loss at 20 ms round trip",
        arguments: "--receivers 20 --receiver-loss 10% --receiver-delay 20ms --seconds 15",
        figures: |report| {
            let (audio, video) = (&report.steady.audio, &report.steady.video);
            vec![
                figure("video recovered, %", video.recovered_percent, Target::AtLeast(99.9)),
                figure("audio recovered, %", audio.recovered_percent, Target::AtLeast(95.0)),
            ]
        },
        floor: &[],
    },
    Row {
        // A million packets per second: twice what one core must sustain.
        name: "overload, 1 → 600",
        arguments: "--receivers 600 --overload 9 --seconds 6",
        figures: |report| {
            let overload = report.overload.as_ref();
            let of = |value: fn(&crate::light::report::Overload) -> f64| overload.map(value);
            vec![
                figure(
                    "audio lost meanwhile, %",
                    of(|overload| overload.during.audio.lost_percent),
                    Target::AtMost(1.0),
                ),
                figure(
                    "normal again after, s",
                    overload.and_then(|overload| overload.normal_after_seconds),
                    Target::AtMost(5.0),
                ),
                figure(
                    "packets/s meanwhile",
                    of(|overload| overload.during.packets_per_second),
                    Target::None,
                ),
                figure(
                    "video lost meanwhile, %",
                    of(|overload| overload.during.video.lost_percent),
                    Target::None,
                ),
            ]
        },
        floor: &[],
    },
];

fn figure(name: &'static str, value: Option<f64>, target: Target) -> Figure {
    Figure { name, value, target }
}

fn cpu(report: &LightReport, target: Target) -> Figure {
    figure("server CPU, µs a packet", report.steady.server_cpu_us_per_packet, target)
}

fn p99(report: &LightReport, target: Target) -> Figure {
    let (audio, video) = (report.steady.audio.latency_ms.p99, report.steady.video.latency_ms.p99);
    figure("latency p99, ms", Some(audio.max(video)), target)
}

fn lost(report: &LightReport) -> Figure {
    let lost = report.steady.audio.lost_percent.max(report.steady.video.lost_percent);
    figure("lost, %", Some(lost), Target::AtMost(0.0))
}
