//! The report as text.

use std::fmt;

use super::{ChatCounts, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { rooms, participants, seconds, chat, .. } = self;
        writeln!(f, "{rooms} rooms × {participants} participants, {seconds} s")?;
        writeln!(f)?;
        writeln!(
            f,
            "{:6} {:>13} {:>9} {:>9} {:>9} {:>7} {:>5} {:>7}   latency ms p50/p99/max",
            "", "streams", "sent", "expected", "received", "lost %", "dup", "reorder"
        )?;
        for (name, media) in [("audio", &self.audio), ("video", &self.video)] {
            writeln!(
                f,
                "{name:6} {:>13} {:>9} {:>9} {:>9} {:>7.3} {:>5} {:>7}   {}",
                format!("{}/{}", media.streams_received, media.streams_expected),
                media.sent,
                media.expected,
                media.received,
                media.lost_percent,
                media.duplicated,
                media.reordered,
                media.latency_ms,
            )?;
        }
        writeln!(f)?;
        writeln!(f, "join, ms p50/p99/max             {}", self.join_ms)?;
        writeln!(f, "first video, ms p50/p99/max      {}", self.first_video_ms)?;
        let ChatCounts { sent, acknowledged, expected, received } = chat;
        writeln!(
            f,
            "chat: {sent} sent, {acknowledged} acknowledged, {received} of {expected} seen"
        )?;
        match self.problems.len() {
            0 => writeln!(f, "everything arrived"),
            count => self.write_problems(count, f),
        }
    }
}

/// The maximum number of problems to print; the rest are counted.
const MAX_PROBLEMS_SHOWN: usize = 20;

impl Report {
    fn write_problems(&self, count: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for problem in self.problems.iter().take(MAX_PROBLEMS_SHOWN) {
            writeln!(f, "problem: {problem}")?;
        }
        if count > MAX_PROBLEMS_SHOWN {
            writeln!(f, "and {} more problems", count - MAX_PROBLEMS_SHOWN)?;
        }
        Ok(())
    }
}
