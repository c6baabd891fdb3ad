//! Where the database is, and connections to it.
#![expect(clippy::disallowed_methods, reason = "connecting waits between two attempts")]

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

use super::dialect::Dialect;
use super::url::StoreUrl;

/// How often an SQLite file is greeted that others are just opening, before it is given up.
const GREETINGS: u32 = 100;

const BETWEEN_GREETINGS: Duration = Duration::from_millis(50);

/// Where the database is.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) dialect: Dialect,
    writing: AnyConnectOptions,
    /// The same for connections that only read.
    reading: AnyConnectOptions,
}

impl Address {
    /// Understands the URL of a database; creates SQLite's file when it is missing.
    pub(super) fn find(url: &StoreUrl) -> Result<Address, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let dialect = url.dialect;
        let (writing, reading) = match dialect {
            Dialect::Sqlite => {
                let file = StoreUrl::of_file(&sqlite_file(url.expose())?);
                (file.expose().to_owned(), format!("{}?mode=ro", file.expose()))
            }
            Dialect::Postgres | Dialect::MySql => {
                (url.expose().to_owned(), url.expose().to_owned())
            }
        };
        Ok(Address { dialect, writing: writing.parse()?, reading: reading.parse()? })
    }

    /// A connection that writes.
    pub(super) async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = self.writing.connect().await?;
        let mut tries = 0;
        // The change to the write-ahead log does not wait for others that open the file, as all else does.
        while let Err(error) = sqlx::raw_sql(self.dialect.greeting()).execute(&mut connection).await
        {
            tries += 1;
            if self.dialect != Dialect::Sqlite || tries == GREETINGS {
                return Err(error);
            }
            tokio::time::sleep(BETWEEN_GREETINGS).await;
        }
        Ok(connection)
    }

    /// Brings the schema up to date, while others who want to do so wait.
    pub(super) async fn migrate(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        // `run_direct` is `run` without the types that keep a future from being sent between threads.
        let migrator = self.dialect.migrator();
        match self.dialect {
            Dialect::Sqlite => {
                let mut locked = connection.begin_with(self.dialect.begin()).await?;
                migrator.run_direct(None, &mut *locked, false).await?;
                locked.commit().await
            }
            // The migrator locks others out.
            Dialect::Postgres => Ok(migrator.run_direct(None, connection, false).await?),
            // So it does here, but MariaDB understands "wait for ever" as "do not wait". A connection that ends releases
            // its locks.
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

    /// Connections that read; they are opened when they are needed.
    pub(super) fn readers(&self, options: AnyPoolOptions) -> AnyPool {
        options.connect_lazy_with(self.reading.clone())
    }
}

/// The file that an SQLite URL names, which exists from here on.
fn sqlite_file(url: &str) -> Result<PathBuf, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?;
    let path = options.get_filename();
    let found = create_for_owner(path).and_then(|()| path.canonicalize());
    found.map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display())).into()
    })
}

/// Chat is nobody else's business: the file is its owner's alone, and SQLite gives its log the same mode.
fn create_for_owner(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
