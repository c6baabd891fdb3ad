//! Reads public keys from a file or a URL.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use reqwest::{Client, Url, redirect};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::{JwksSource, Keys};

/// Maximum size of a JWK set, in bytes.
const MOST_BYTES: usize = 256 * 1024;
/// Deadline of a whole fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads keys repeatedly.
pub(super) enum Reader {
    File {
        path: PathBuf,
        /// The stamp of the last version that was read.
        stamp: Option<Stamp>,
    },
    Url {
        client: Client,
        url: Url,
    },
}

/// Changes when the file does: its modification time and length.
type Stamp = (Option<SystemTime>, u64);

impl Reader {
    pub(super) fn new(source: &JwksSource) -> Result<Reader, String> {
        Ok(match source {
            JwksSource::File(path) => Reader::File { path: path.clone(), stamp: None },
            JwksSource::Url(url) => {
                let client = Client::builder()
                    .timeout(FETCH_TIMEOUT)
                    // Keys come only from where the operator says.
                    .redirect(redirect::Policy::none())
                    .user_agent(concat!("madang/", env!("CARGO_PKG_VERSION")))
                    .build()
                    .map_err(|error| reason(&error))?;
                Reader::Url { client, url: url.clone() }
            }
        })
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Reader::File { .. })
    }

    /// Reads the current keys; `None` if nothing changed since the last read.
    pub(super) async fn read(&mut self) -> Result<Option<Keys>, String> {
        let text = match self {
            Reader::Url { client, url } => fetch(client, url).await?,
            Reader::File { path, stamp } => match read_changed(path, stamp).await? {
                Some(text) => text,
                None => return Ok(None),
            },
        };
        Keys::parse(&text).map(Some).map_err(|error| error.to_string())
    }
}

async fn fetch(client: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let mut response = client.get(url.clone()).send().await.map_err(|error| reason(&error))?;
    if !response.status().is_success() {
        return Err(format!("the server answered {}", response.status()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        text.extend_from_slice(&chunk);
        if text.len() > MOST_BYTES {
            return Err(too_long());
        }
    }
    Ok(text)
}

/// Reads a file, unless it is unchanged since the last read. A file with invalid content counts as read, so that the
/// error is reported once.
async fn read_changed(path: &Path, last: &mut Option<Stamp>) -> Result<Option<Vec<u8>>, String> {
    let refused = |error: std::io::Error| error.to_string();
    let file = match File::open(path).await {
        Ok(file) => file,
        Err(error) => {
            *last = None;
            return Err(refused(error));
        }
    };
    let metadata = file.metadata().await.map_err(refused)?;
    let stamp = (metadata.modified().ok(), metadata.len());
    if *last == Some(stamp) {
        return Ok(None);
    }
    *last = Some(stamp);
    let mut text = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut text).await.map_err(refused)?;
    if text.len() > MOST_BYTES { Err(too_long()) } else { Ok(Some(text)) }
}

fn too_long() -> String {
    format!("it has more than {MOST_BYTES} bytes")
}

/// The error with its chain of sources: the outermost error says only that something failed.
fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
