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
    /// Where settings come from.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// What to do; serve when there is none.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that are settings.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Read settings from a TOML file (also MADANG_CONFIG)
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Serve web page and STOMP at this address [default: 127.0.0.1:8080]
    #[arg(short, long, value_name = "ADDR", global = true)]
    listen: Option<String>,
    /// Keep database and secrets in this directory [default: ./madang-data]
    #[arg(short, long, value_name = "DIR", global = true)]
    data_dir: Option<String>,
    /// Serve others, not only this machine, without authentication
    #[arg(long, global = true)]
    insecure: bool,
    /// Set any key, as --set media.workers=2; may be given again
    #[arg(short, long, value_name = "KEY=VALUE", global = true, value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

/// What the program can do besides serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the merged configuration, or everything that is wrong with it
    Check,
    /// Print every key with its meaning and default
    Keys {
        /// The form of the output
        #[arg(long, value_enum, default_value_t = KeysFormat::Toml)]
        format: KeysFormat,
    },
    /// Print a token that opens a room, and on standard error the address of the page that enters with it
    Token(TokenArgs),
    /// Ask a running server for /healthz; the exit code is 0 when it is well
    Healthcheck,
}

/// How `madang keys` prints.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeysFormat {
    /// An example file in which every key is commented out.
    Toml,
    /// A document with a table.
    Markdown,
}

impl Cli {
    /// Reads the process's arguments. Prints help or a usage error and exits when they ask for it.
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
        _ => Err("it looks like media.workers=2".to_owned()),
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
