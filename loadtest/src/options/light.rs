//! The command line of light peers.

use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use serde::{Deserialize, Serialize};

/// What light peers do.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Light peers")]
pub struct LightOptions {
    /// Use light peers: many, at little cost; --participants, --ice and chat are not for them.
    #[arg(long)]
    pub light: bool,
    /// Light: participants of each room that publish (and receive each other).
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=49))]
    pub publishers: u32,
    /// Light: participants of each room that only receive.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(0..=10_000))]
    pub receivers: u32,
    /// Light: how the packets of a video frame follow each other.
    #[arg(long, value_enum, default_value_t = Pacing::Burst)]
    pub pacing: Pacing,
    /// Light: so many receivers join at the same moment, after all others.
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    pub join_storm: Option<u32>,
    /// Light: packets to lose in front of each receiver, as 10%.
    #[arg(long, default_value = "0%", value_parser = share)]
    pub receiver_loss: f64,
    /// Light: delay in front of each receiver, as 20ms; the round trip is as long.
    #[arg(long, default_value = "0ms", value_parser = milliseconds)]
    pub receiver_delay: Duration,
    /// Light: after measuring, send so many times the video for as long again, and watch the recovery.
    #[arg(long, value_name = "FACTOR", num_args = 0..=1, default_missing_value = "4",
          value_parser = value_parser!(u32).range(2..=50))]
    pub overload: Option<u32>,
    /// Light: decrypt one of so many packets. Default: all when there are few.
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    pub sample: Option<u32>,
    /// Light: process id of the server, on this machine, to see what it needs of CPU and memory.
    #[arg(long)]
    pub server_pid: Option<u32>,
}

/// How the packets of a video frame follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// At once, in bursts of up to 8, each packet in a system call of its own.
    Burst,
    /// As `burst`, but a burst goes in one system call, and arrives as one, as from a network card that joins packets.
    Train,
    /// Spread over 12 ms, as by Chromium's pacer.
    Chromium,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// How late they come, in microseconds. All of the round trip's delay lies on this way.
    pub delay_us: u64,
}

/// Below so many packets a second all are decrypted.
const FEW: u64 = 20_000;
/// One of so many otherwise.
const SAMPLE: u32 = 64;

impl LightOptions {
    /// Peers of each room.
    pub fn peers_per_room(&self) -> u32 {
        self.publishers + self.receivers + self.join_storm.unwrap_or(0)
    }

    /// Streams of a kind that one room's peers receive together.
    pub fn streams_per_room(&self) -> u64 {
        let receivers = u64::from(self.receivers + self.join_storm.unwrap_or(0));
        let publishers = u64::from(self.publishers);
        publishers * receivers + publishers * (publishers - 1)
    }

    /// One of how many packets is to be decrypted, when so many come in a second.
    pub fn one_in(&self, packets_per_second: u64) -> u32 {
        self.sample.unwrap_or(if packets_per_second < FEW { 1 } else { SAMPLE })
    }

    /// The network in front of receivers.
    pub fn conditions(&self) -> Conditions {
        let delay_us = u64::try_from(self.receiver_delay.as_micros()).unwrap_or(u64::MAX);
        Conditions { loss: self.receiver_loss, delay_us }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..=99.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected 0% to 99%".to_owned()),
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix("ms").and_then(|number| number.parse::<u64>().ok());
    match number {
        Some(ms) if ms <= 10_000 => Ok(Duration::from_millis(ms)),
        _ => Err("expected 0ms to 10000ms".to_owned()),
    }
}
