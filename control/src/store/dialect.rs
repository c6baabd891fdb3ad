//! The database behind the URL, and what its SQL has of its own.
//!
//! Every question has one SQL text, with `?` for each value. Three things differ, and stand here: how values are
//! marked, how a transaction begins that will write, and how a row is locked.

use std::borrow::Cow;
use std::fmt::Write;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::query::Query;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr};

use super::url::StoreUrl;

/// How often an SQLite file is greeted that others are just opening, before it is given up.
const GREETINGS: u32 = 100;
const BETWEEN_GREETINGS: Duration = Duration::from_millis(50);

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

impl Dialect {
    /// Finds it by the scheme of the URL.
    pub(super) fn of(url: &str) -> Option<Dialect> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Dialect::Sqlite),
            "postgres" | "postgresql" => Some(Dialect::Postgres),
            "mysql" | "mariadb" => Some(Dialect::MySql),
            _ => None,
        }
    }

    /// A question to this database. `sql` has a `?` for each value, in the order in which they are bound, and no other
    /// question mark.
    pub(super) fn query<'q>(
        self,
        sql: impl Into<Cow<'static, str>>,
    ) -> Query<'q, Any, AnyArguments> {
        sqlx::query(AssertSqlSafe(self.spell(sql.into())))
    }

    /// Begins a transaction that will write.
    pub(super) fn begin(self) -> &'static str {
        match self {
            // The write lock is taken before anything is read.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres | Dialect::MySql => "BEGIN",
        }
    }

    /// What ends a SELECT whose row nobody else may change until the transaction ends.
    pub(super) fn locking(self) -> &'static str {
        match self {
            // The whole database is locked.
            Dialect::Sqlite => "",
            Dialect::Postgres | Dialect::MySql => " FOR UPDATE",
        }
    }

    fn spell(self, sql: Cow<'static, str>) -> Cow<'static, str> {
        if self != Dialect::Postgres {
            return sql;
        }
        let mut spelled = String::with_capacity(sql.len() + 16);
        for (n, part) in sql.split('?').enumerate() {
            if n > 0 {
                write!(spelled, "${n}").expect("writing to a String can't fail");
            }
            spelled.push_str(part);
        }
        spelled.into()
    }

    /// What a connection is told first.
    fn greeting(self) -> &'static str {
        match self {
            // A commit is on the disk when it returns. Readers never wait for the writer.
            Dialect::Sqlite => "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
            // After the lock of a row is had, what its last holder committed must be seen.
            Dialect::Postgres => {
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                 SET synchronous_commit = on; SET client_min_messages = warning"
            }
            Dialect::MySql => "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        }
    }

    fn migrations(self) -> [(&'static str, &'static str); 2] {
        match self {
            Dialect::Sqlite => [
                ("chat", include_str!("../../migrations/sqlite/0001_chat.sql")),
                ("rooms", include_str!("../../migrations/sqlite/0002_rooms.sql")),
            ],
            Dialect::Postgres => [
                ("chat", include_str!("../../migrations/postgres/0001_chat.sql")),
                ("rooms", include_str!("../../migrations/postgres/0002_rooms.sql")),
            ],
            Dialect::MySql => [
                ("chat", include_str!("../../migrations/mysql/0001_chat.sql")),
                ("rooms", include_str!("../../migrations/mysql/0002_rooms.sql")),
            ],
        }
    }

    /// Numbered from 1, applied in order, never edited once released.
    fn migrator(self) -> Migrator {
        let numbered = (1..).zip(self.migrations());
        let migrations = numbered.map(|(number, (name, sql))| {
            let kind = MigrationType::Simple;
            Migration::new(number, name.into(), kind, sql.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.collect())
    }
}

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
