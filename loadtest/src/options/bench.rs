//! The command line of `loadtest bench`.

use std::path::PathBuf;

use clap::Args;

/// Measures a release server on this machine, with one core for the server and one for the load
#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    /// Path of the server program. Default: `madang` beside this program
    #[arg(long)]
    pub(crate) server: Option<PathBuf>,
    /// CPU core for the server
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: u32,
    /// CPU core for the load generator
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: u32,
    /// Run only rows whose names contain this text
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Print the result as JSON to standard output
    #[arg(long = "json")]
    pub json: bool,
}
