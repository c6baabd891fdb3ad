//! The command line of light peers.

use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use serde::{Deserialize, Serialize};

/// Options for light peers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Light peers")]
pub struct LightOptions {
    /// Use light peers: many peers at little cost. --participants, --ice and chat do not apply to them
    #[arg(long)]
    pub light: bool,
    /// Light: participants per room that publish (and receive each other)
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=49))]
    pub publishers: u32,
    /// Light: participants per room that only receive
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(0..=10_000))]
    pub receivers: u32,
    /// Light: how the packets of a video frame are spaced
    #[arg(long, value_enum, default_value_t = Pacing::Burst)]
    pub pacing: Pacing,
    /// Light: number of receivers that join at the same moment, after all others
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    pub join_storm: Option<u32>,
    /// Light: packet loss in front of each receiver, such as 10%
    #[arg(long, default_value = "0%", value_parser = share)]
    pub receiver_loss: f64,
    /// Light: delay in front of each receiver, such as 20ms; it is also the round-trip time
    #[arg(long, default_value = "0ms", value_parser = milliseconds)]
    pub receiver_delay: Duration,
    /// Light: after measuring, send this many times the video for the same time again, and measure the recovery
    #[arg(long, value_name = "FACTOR", num_args = 0..=1, default_missing_value = "4",
          value_parser = value_parser!(u32).range(2..=50))]
    pub overload: Option<u32>,
    /// Light: decrypt one of this many packets. Default: all, when there are few
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    pub sample: Option<u32>,
    /// Light: process id of the server on this machine, to measure its CPU time and memory
    #[arg(long)]
    pub server_pid: Option<u32>,
}

/// How the packets of a video frame are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// At once, in bursts of up to 8 packets, with one system call per packet
    Burst,
    /// As `burst`, but with one system call per burst, which arrives as one (GRO), as from a network card
    Train,
    /// Spread over 12 ms, as by Chromium's pacer
    Chromium,
}

/// The network conditions in front of a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The fraction of packets that are lost, 0 to 1.
    pub loss: f64,
    /// The delay in microseconds. All of the round-trip delay is on this path.
    pub delay_us: u64,
}

/// Below this number of packets per second, all are decrypted.
const FEW: u64 = 20_000;
/// Otherwise, one of this many packets is decrypted.
const SAMPLE: u32 = 64;

impl LightOptions {
    /// The number of peers in each room.
    pub fn peers_per_room(&self) -> u32 {
        self.publishers + self.receivers + self.join_storm.unwrap_or(0)
    }

    /// The number of streams of one kind that the peers of a room receive together.
    pub fn streams_per_room(&self) -> u64 {
        let receivers = u64::from(self.receivers + self.join_storm.unwrap_or(0));
        let publishers = u64::from(self.publishers);
        publishers * receivers + publishers * (publishers - 1)
    }

    /// The sampling interval for decryption at this packet rate: one of how many packets.
    pub fn one_in(&self, packets_per_second: u64) -> u32 {
        self.sample.unwrap_or(if packets_per_second < FEW { 1 } else { SAMPLE })
    }

    /// The network conditions in front of receivers.
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
