//! The command line.

pub mod healthcheck;
mod token;

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use self::token::{Made, TokenArgs};

use crate::config::{CONFIG_VARIABLE, Sources, help};

/// Video rooms that a team can run itself.
#[derive(Debug, Parser)]
#[command(name = "madang", version, about, max_term_width = 120)]
pub struct Cli {
    /// The flags that are settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// The subcommand; without one, the program runs the server.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The flags that are settings, common to all subcommands.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Read settings from a TOML file [env: MADANG_CONFIG]
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Serve the web client, STOMP and REST at this address [default: 127.0.0.1:8080]
    #[arg(short, long, value_name = "ADDR", global = true)]
    listen: Option<String>,
    /// Keep the database and secrets in this directory [default: ./madang-data]
    #[arg(short, long, value_name = "DIR", global = true)]
    data_dir: Option<String>,
    /// Serve clients on other machines without authentication
    #[arg(long, global = true)]
    insecure: bool,
    /// Set any key, for example --set media.workers=2; can be repeated
    #[arg(short, long, value_name = "KEY=VALUE", global = true, value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

/// The subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the merged configuration without secrets, or all of its mistakes
    Check,
    /// Print every key with its meaning and default
    Keys {
        /// Output format
        #[arg(long, value_enum, default_value_t = KeysFormat::Toml)]
        format: KeysFormat,
    },
    /// Print a token for a room, and on standard error the URL of the page that joins with it
    Token(TokenArgs),
    /// Ask a running server for /healthz; exit with 0 if it is healthy
    Healthcheck,
}

/// The output formats of `madang keys`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeysFormat {
    /// An example file in which every key is commented out
    Toml,
    /// A Markdown document with a table
    Markdown,
}

impl Cli {
    /// Reads the process's arguments. If they ask for help or are wrong, prints the help or the error and exits.
    pub fn from_arguments() -> Cli {
        let keys =
            format!("Keys (file, --set), their environment variables and defaults:\n{}", help());
        let matches = Cli::command().after_long_help(keys).get_matches();
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

impl SettingsArgs {
    /// The sources of the configuration, with the given environment.
    pub fn into_sources(self, environment: HashMap<String, String>) -> Sources {
        let named = [
            ("http.listen", self.listen),
            ("data_dir", self.data_dir),
            ("insecure", self.insecure.then(|| "true".to_owned())),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let file = self.config.or_else(|| environment.get(CONFIG_VARIABLE).map(PathBuf::from));
        Sources { file, flags: named.chain(self.set).collect(), environment }
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected KEY=VALUE, for example media.workers=2".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_keys() {
        let cli = Cli::parse_from([
            "madang",
            "check",
            "--listen",
            "[::1]:0",
            "--insecure",
            "--set",
            "turn.enabled = false",
        ]);

        let sources = cli.settings.into_sources(HashMap::new());

        let flags: Vec<_> = sources.flags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected =
            [("http.listen", "[::1]:0"), ("insecure", "true"), ("turn.enabled", "false")];
        assert_eq!(flags, expected);
        assert!(matches!(cli.command, Some(Command::Check)));
    }

    #[test]
    fn the_file_may_come_from_the_environment() {
        let environment = HashMap::from([(CONFIG_VARIABLE.to_owned(), "a.toml".to_owned())]);

        let from_environment = SettingsArgs::default().into_sources(environment.clone()).file;
        let flag = SettingsArgs { config: Some("b.toml".into()), ..SettingsArgs::default() };

        assert_eq!(from_environment, Some("a.toml".into()));
        assert_eq!(flag.into_sources(environment).file, Some("b.toml".into()));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
