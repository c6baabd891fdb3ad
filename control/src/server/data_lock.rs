//! One server for each data directory.
//!
//! Two servers on one directory would each open the same rooms, so that participants who should meet do not, and a lock
//! or ban would hold at one of them only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use tracing::warn;

/// The lock file in the data directory. It has the number of the process that holds the lock, and stays when the
/// process ends.
const NAME: &str = "madang.lock";

/// The lock of a data directory. It ends when this is dropped or when the process ends, however that happens.
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// If another server holds it, with its process number, or if the file can't be written.
    pub(super) fn take(data_dir: &Path) -> anyhow::Result<DataLock> {
        let path = data_dir.join(NAME);
        let what = || format!("can't use the lock file {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).with_context(what)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another server (process {pid}) uses the data directory {dir}; stop it first, or set another \
                 data_dir",
                pid = holder(&file).unwrap_or_else(|| "unknown".to_owned()),
                dir = data_dir.display(),
            ),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                warn!(file = %path.display(), "the file system has no locks: nothing keeps a second server out");
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(what),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .with_context(what)?;
        Ok(DataLock { _file: file })
    }
}

/// The process that holds the lock, as far as it has written its number.
fn holder(file: &File) -> Option<String> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    Some(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_server_at_a_time() {
        let dir = tempfile::tempdir().unwrap();

        let first = DataLock::take(dir.path()).unwrap();
        let second = DataLock::take(dir.path()).err().map(|error| error.to_string());
        drop(first);
        let third = DataLock::take(dir.path());

        let second = second.expect("the first one is still there");
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        assert!(third.is_ok());
    }
}
