//! The address of the database, and connections to it.
#![expect(clippy::disallowed_methods, reason = "connecting waits between two attempts")]

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteError};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

use super::dialect::Dialect;
use super::url::StoreUrl;

/// Maximum attempts to set up a connection to an SQLite file that other processes are opening at the same time.
const GREETINGS: u32 = 100;

const BETWEEN_GREETINGS: Duration = Duration::from_millis(50);

/// The connection options of the database.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) dialect: Dialect,
    writing: AnyConnectOptions,
    /// For read-only connections.
    reading: AnyConnectOptions,
    /// The SQLite file.
    pub(super) file: Option<PathBuf>,
}

impl Address {
    /// Parses the URL of a database. Creates the SQLite file if it is missing.
    pub(super) fn find(url: &StoreUrl) -> Result<Address, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let dialect = url.dialect;
        let (writing, reading, file) = match dialect {
            Dialect::Sqlite => {
                let path = sqlite_file(url.expose())?;
                let file = StoreUrl::of_file(&path);
                (file.expose().to_owned(), format!("{}?mode=ro", file.expose()), Some(path))
            }
            Dialect::Postgres | Dialect::MySql => {
                (url.expose().to_owned(), url.expose().to_owned(), None)
            }
        };
        Ok(Address { dialect, writing: writing.parse()?, reading: reading.parse()?, file })
    }

    /// Opens a connection for writing.
    pub(super) async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = self.writing.connect().await?;
        let mut tries = 0;
        // Switching to the write-ahead log fails instead of waiting while others open the file; other statements wait.
        while let Err(error) = sqlx::raw_sql(self.dialect.greeting()).execute(&mut connection).await
        {
            tries += 1;
            if !is_busy(&error) || tries == GREETINGS {
                return Err(error);
            }
            tokio::time::sleep(BETWEEN_GREETINGS).await;
        }
        Ok(connection)
    }

    /// Brings the schema up to date. Other processes that want to migrate wait.
    pub(super) async fn migrate(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        // `run_direct` is `run` without the types that make the future not `Send`.
        let migrator = self.dialect.migrator();
        match self.dialect {
            Dialect::Sqlite => {
                let mut locked = connection.begin_with(self.dialect.begin()).await?;
                migrator.run_direct(None, &mut *locked, false).await?;
                locked.commit().await
            }
            // The migrator takes a lock against other migrators.
            Dialect::Postgres => Ok(migrator.run_direct(None, connection, false).await?),
            // The migrator takes a lock here too, but MariaDB treats "wait for ever" as "do not wait". Closing a
            // connection releases its locks.
            Dialect::MySql => {
                let lock = "SELECT GET_LOCK(CONCAT('madang.', MD5(DATABASE())), 60)";
                let release = "SELECT RELEASE_LOCK(CONCAT('madang.', MD5(DATABASE())))";
                sqlx::raw_sql(lock).execute(&mut *connection).await?;
                migrator.run_direct(None, &mut *connection, false).await?;
                sqlx::raw_sql(release).execute(connection).await?;
                Ok(())
            }
        }
    }

    /// A pool of read-only connections, which are opened on demand.
    pub(super) fn readers(&self, options: AnyPoolOptions) -> AnyPool {
        options.connect_lazy_with(self.reading.clone())
    }
}

/// Whether another process is setting up the SQLite file.
fn is_busy(error: &sqlx::Error) -> bool {
    let sqlite = |error: &dyn DatabaseError| {
        error.try_downcast_ref::<SqliteError>().and_then(|error| error.code()?.parse::<u32>().ok())
    };
    // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL
    error
        .as_database_error()
        .and_then(sqlite)
        .is_some_and(|code| [5, 6, 15].contains(&(code & 0xff)))
}

/// The file that an SQLite URL names. Creates it if it does not exist.
fn sqlite_file(url: &str) -> Result<PathBuf, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?;
    let path = options.get_filename();
    let found = create_for_owner(path).and_then(|()| path.canonicalize());
    found.map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display())).into()
    })
}

/// Creates the file with mode 0600, because chat is private. SQLite gives its log the mode of the database file.
fn create_for_owner(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
