//! The command line.

mod bench;
mod light;

use clap::{Parser, Subcommand, ValueEnum, value_parser};
use madang_wire::{RoomName, Secret};
use tokio_tungstenite::tungstenite::http::Uri;

pub use bench::BenchOptions;
pub use light::{Conditions, LightOptions, Pacing};

/// Joins rooms of a Madang server with synthetic participants and measures what arrives.
///
/// Everyone publishes stamped audio and video, receives everyone else, and writes one chat line. The exit code is 0
/// when everything that should arrive did, 1 when something did not, and 2 when there was nothing to measure.
#[derive(Clone, Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_parser = server_url)]
    pub url: Uri,
    /// Token that everyone connects with, for a server that wants one: for every room (`madang token --room '*'`), or for
    /// the one that is used
    #[arg(long, value_parser = secret)]
    pub token: Option<Secret>,
    /// How many rooms.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000))]
    pub rooms: u32,
    /// How many participants in each room.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(2..=200))]
    pub participants: u32,
    /// How long to measure after everyone has joined, in seconds.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// Name of the room; with several, they are numbered.
    #[arg(long, default_value = "loadtest", value_parser = RoomName::parse)]
    pub room: RoomName,
    /// Which ways media may take.
    #[arg(long, value_enum, default_value_t = Ice::All)]
    pub ice: Ice,
    /// Bits per second of each publisher's video, in thousands. Default: 500, and 1500 for light peers.
    #[arg(long, value_parser = value_parser!(u32).range(50..=20_000))]
    pub video_kbps: Option<u32>,
    /// Print the result as JSON to standard output.
    #[arg(long)]
    pub json: bool,
    /// Many peers at little cost.
    #[command(flatten)]
    pub light: LightOptions,
}

/// What to do instead of one run.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure a release server on this machine and compare it with its targets, in about six minutes
    Bench(BenchOptions),
}

/// Which ways media may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ice {
    /// The best.
    All,
    /// Only through the TURN servers that the server names.
    Relay,
}

impl Options {
    /// Slots for audio that everyone offers, as browsers do.
    pub const AUDIO_SLOTS: usize = 3;
    /// The most slots for video that a page shows.
    const MAX_VIDEO_SLOTS: usize = 49;
    /// The most participants that one process simulates.
    const MAX_PEERS: u32 = 2000;
    /// The same of light ones.
    const MAX_LIGHT_PEERS: u32 = 10_000;

    /// What the types of the options can't say.
    ///
    /// # Errors
    /// When there would be more participants than one process can simulate.
    pub fn check(&self) -> Result<(), String> {
        let (peers, max) = match self.light.light {
            true => (self.rooms * self.light.peers_per_room(), Options::MAX_LIGHT_PEERS),
            false => (self.rooms * self.participants, Options::MAX_PEERS),
        };
        if peers > max {
            return Err(format!(
                "{peers} participants are too many for one process; at most {max}"
            ));
        }
        match self.rooms {
            1 => Ok(()),
            rooms => self.numbered(rooms).map(|_| ()),
        }
    }

    /// Thousands of bits per second of each publisher's video.
    pub fn video_kbps(&self) -> u32 {
        self.video_kbps.unwrap_or(if self.light.light { 1500 } else { 500 })
    }

    /// Slots for video that everyone offers.
    pub fn video_slots(&self) -> usize {
        (self.participants as usize - 1).min(Options::MAX_VIDEO_SLOTS)
    }

    /// The names of the rooms.
    pub fn room_names(&self) -> Vec<RoomName> {
        match self.rooms {
            1 => vec![self.room.clone()],
            // `check` has looked at the longest of them.
            rooms => (1..=rooms).filter_map(|number| self.numbered(number).ok()).collect(),
        }
    }

    fn numbered(&self, number: u32) -> Result<RoomName, String> {
        RoomName::parse(&format!("{}-{number}", self.room)).map_err(|error| error.to_string())
    }
}

fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

fn server_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.authority(), url.path()) {
        (Some("http"), Some(_), "/") => Ok(url),
        _ => Err("expected http://HOST:PORT".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(arguments.split(' '))
    }

    #[test]
    fn the_defaults_are_a_small_room_on_this_machine() {
        let options = parse("loadtest").unwrap();

        assert_eq!(options.url, "http://127.0.0.1:8080/");
        assert_eq!((options.rooms, options.participants, options.video_slots()), (1, 3, 2));
        assert_eq!(options.room_names(), [RoomName::parse("loadtest").unwrap()]);
    }

    #[test]
    fn several_rooms_are_numbered() {
        let options = parse("loadtest --rooms 2 --room 회의").unwrap();

        let names: Vec<String> = options.room_names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["회의-1", "회의-2"]);
    }

    #[test]
    fn light_peers_have_their_own_numbers() {
        let options = parse("loadtest --light --rooms 4 --publishers 5 --receivers 2").unwrap();

        assert_eq!((options.video_kbps(), options.light.peers_per_room()), (1500, 7));
        assert_eq!(options.light.streams_per_room(), 5 * 2 + 5 * 4);
        assert_eq!((options.light.one_in(1000), options.light.one_in(1_000_000)), (1, 64));
    }

    #[test]
    fn a_bad_network_is_read() {
        let options =
            parse("loadtest --light --receiver-loss 10% --receiver-delay 20ms --overload").unwrap();

        let conditions = options.light.conditions();
        assert_eq!((conditions.loss, conditions.delay_us), (0.1, 20_000));
        assert_eq!(options.light.overload, Some(4));
        assert!(matches!(
            parse("loadtest bench --only rooms").unwrap().command,
            Some(Command::Bench(_))
        ));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        for arguments in [
            "loadtest --participants 1",
            "loadtest --participants 201",
            "loadtest --rooms 0",
            "loadtest --url ftp://x",
            "loadtest --url http://x/ws",
            "loadtest --url 127.0.0.1:8080",
            "loadtest --room a/b",
            "loadtest --ice none",
            "loadtest --light --receiver-loss 10",
            "loadtest --light --receiver-loss 100%",
            "loadtest --light --receiver-delay 1s",
            "loadtest --light --publishers 0",
        ] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
        assert!(parse("loadtest --rooms 100 --participants 100").unwrap().check().is_err());
        let long = format!("loadtest --rooms 2 --room {}", "a".repeat(64));
        assert!(parse(&long).unwrap().check().is_err());
    }
}
