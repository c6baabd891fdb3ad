//! Secrets that the server makes for itself and stores, so that a restart does not invalidate what it has issued.

mod shown_url;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustix::fs::OFlags;
use tracing::warn;

pub(crate) use self::shown_url::shown_url;

/// The size of a generated secret, in random bytes.
const STRENGTH: usize = 32;

/// Minimum length of a secret read from a file, in characters. A secret that an operator wrote may be shorter than a
/// generated one.
const SHORTEST: usize = 16;

/// How much of a file is read, in bytes.
const LONGEST: u64 = 4096;

/// A secret file that can't be read, written or used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the secret in {path}: {source}", path = path.display())]
pub struct SecretError {
    path: PathBuf,
    source: io::Error,
}

/// Creates the data directory if it is missing, accessible to its owner only (mode 0700).
///
/// # Errors
/// If it can't be created.
pub fn create_data_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The secret in the file `name` of the data directory. Makes one if the file is missing.
///
/// # Errors
/// If the file can't be read or written, is a symbolic link, or its content is too short for a secret.
pub fn load_or_make(data_dir: &Path, name: &str) -> Result<String, SecretError> {
    let path = data_dir.join(name);
    read(&path)
        .or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => make(&path),
            _ => Err(error),
        })
        .map_err(|source| SecretError { path, source })
}

fn read(path: &Path) -> io::Result<String> {
    let file = open_itself(path)?;
    keep_private(path, &file)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    let secret = text.trim();
    if secret.len() < SHORTEST {
        let reason = format!(
            "it has fewer than {SHORTEST} characters; remove the file to let the server make one"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(secret.to_owned())
}

/// Opens a file that is not a symbolic link: the mode of a link's target is not the server's business, and whoever can
/// make a link here could have the server read or change any file.
fn open_itself(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.map_err(|error| match path.is_symlink() {
        true => io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a symbolic link; put the secret itself there",
        ),
        false => error,
    })
}

fn keep_private(path: &Path, file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    warn!(file = %path.display(), "other users could read this secret file; its mode is now 0600");
    file.set_permissions(Permissions::from_mode(0o600))
}

/// Makes and stores a secret. The file first has another name, so that a crash leaves no incomplete secret.
fn make(path: &Path) -> io::Result<String> {
    let secret = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; STRENGTH]>());
    let draft = path.with_extension("new");
    // Removes what an earlier crash left: the `mode` below has no effect on an existing file.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("deep/data");
        create_data_dir(&data_dir).unwrap();

        let made = load_or_make(&data_dir, "turn.secret").unwrap();
        let again = load_or_make(&data_dir, "turn.secret").unwrap();
        let other = load_or_make(&data_dir, "other.secret").unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(made, again);
        assert_ne!(made, other);
        assert_eq!(made.len(), 43, "32 bytes in base64");
        assert_eq!(mode(&data_dir), 0o700);
        assert_eq!(mode(&data_dir.join("turn.secret")), 0o600);
    }

    #[test]
    fn a_secret_that_others_could_read_becomes_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("turn.secret");
        fs::write(&path, "operator's own choice\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();

        let secret = load_or_make(dir.path(), "turn.secret").unwrap();

        assert_eq!(secret, "operator's own choice");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_is_refused_and_its_target_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("elsewhere");
        fs::write(&target, "operator's own choice\n").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("turn.secret")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("api.key")).unwrap();

        let errors = ["turn.secret", "api.key"]
            .map(|name| load_or_make(dir.path(), name).unwrap_err().to_string());

        for error in errors {
            assert!(error.contains("symbolic link"), "{error}");
        }
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("turn.secret"), "\n").unwrap();

        let error = load_or_make(dir.path(), "turn.secret").unwrap_err().to_string();

        assert!(error.contains("turn.secret") && error.contains("remove the file"), "{error}");
    }
}
