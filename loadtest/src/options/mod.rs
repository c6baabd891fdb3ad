//! The command line: the lowest layer, used by all others.

mod bench;
mod light;

use clap::{Parser, Subcommand, ValueEnum, value_parser};
use madang_wire::{RoomName, Secret};
use tokio_tungstenite::tungstenite::http::Uri;

pub use bench::BenchOptions;
pub use light::{Conditions, LightOptions, Pacing};

/// Joins rooms of a Madang server with synthetic participants and measures what arrives
///
/// Every participant publishes stamped audio and video, receives all others, and sends one chat message. The exit code
/// is 0 when everything expected arrived, 1 when something did not, and 2 when nothing could be measured.
#[derive(Clone, Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to do instead of one run
    #[command(subcommand)]
    pub command: Option<Command>,
    /// URL of the server
    #[arg(long, default_value = "http://127.0.0.1:8080", value_parser = server_url)]
    pub url: Uri,
    /// Token with which all participants connect, if the server requires one: for every room (`madang token --room
    /// '*'`), or for the room in use
    #[arg(long, value_parser = secret)]
    pub token: Option<Secret>,
    /// Number of rooms
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000))]
    pub rooms: u32,
    /// Number of participants per room
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(2..=200))]
    pub participants: u32,
    /// How long to measure after all participants have joined, in seconds
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// Name of the room; several rooms are numbered
    #[arg(long, default_value = "loadtest", value_parser = RoomName::parse)]
    pub room: RoomName,
    /// Which paths media may take
    #[arg(long, value_enum, default_value_t = Ice::All)]
    pub ice: Ice,
    /// Bit rate of each publisher's video, in kbit/s. Default: 500, or 1500 for light peers
    #[arg(long, value_parser = value_parser!(u32).range(50..=20_000))]
    pub video_kbps: Option<u32>,
    /// Print the result as JSON to standard output
    #[arg(long)]
    pub json: bool,
    /// Options for light peers.
    #[command(flatten)]
    pub light: LightOptions,
}

/// An alternative to a single run.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure a release server on this machine and compare it with its targets, in about six minutes
    Bench(BenchOptions),
}

/// Which paths media may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ice {
    /// The best path
    All,
    /// Only through the TURN servers that the server names
    Relay,
}

impl Options {
    /// The number of audio slots that each peer offers, as browsers do.
    pub const AUDIO_SLOTS: usize = 3;
    /// The maximum number of video slots that a page shows.
    const MAX_VIDEO_SLOTS: usize = 49;
    /// The maximum number of participants per process.
    const MAX_PEERS: u32 = 2000;
    /// The maximum number of light participants per process.
    const MAX_LIGHT_PEERS: u32 = 10_000;

    /// Checks what the types of the options can't express.
    ///
    /// # Errors
    /// When there would be too many participants for one process, or the room name becomes too long.
    pub fn check(&self) -> Result<(), String> {
        let (peers, max) = match self.light.light {
            true => (self.rooms * self.light.peers_per_room(), Options::MAX_LIGHT_PEERS),
            false => (self.rooms * self.participants, Options::MAX_PEERS),
        };
        if peers > max {
            return Err(format!(
                "one process can simulate at most {max} participants, not {peers}; use fewer rooms or participants"
            ));
        }
        match self.rooms {
            1 => Ok(()),
            rooms => self.numbered(rooms).map(|_| ()),
        }
    }

    /// The bit rate of each publisher's video, in kbit/s.
    pub fn video_kbps(&self) -> u32 {
        self.video_kbps.unwrap_or(if self.light.light { 1500 } else { 500 })
    }

    /// The number of video slots that each peer offers.
    pub fn video_slots(&self) -> usize {
        (self.participants as usize - 1).min(Options::MAX_VIDEO_SLOTS)
    }

    /// The names of all rooms.
    pub fn room_names(&self) -> Vec<RoomName> {
        match self.rooms {
            1 => vec![self.room.clone()],
            // `check` has validated the longest of them.
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
