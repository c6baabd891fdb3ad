//! The command line of `loadtest bench`.

use std::path::PathBuf;

use clap::Args;

/// Measures a release server on this machine: one core for it, one for the load.
#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    /// The server's program. Default: `madang` beside this one.
    #[arg(long)]
    pub(crate) server: Option<PathBuf>,
    /// The core that the server gets.
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: u32,
    /// The core that the generator gets.
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: u32,
    /// Only rows whose names contain this.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Print the result as JSON to standard output.
    #[arg(long = "json")]
    pub json: bool,
}
