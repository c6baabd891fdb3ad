//! The database behind the URL, and what its SQL has of its own.
//!
//! Every question has one SQL text, with `?` for each value. Three things differ, and stand here: how values are
//! marked, how a transaction begins that will write, and how a row is locked.

use std::borrow::Cow;
use std::fmt::Write;

use sqlx::any::AnyArguments;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, SqlSafeStr};

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
    pub(super) fn greeting(self) -> &'static str {
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
    pub(super) fn migrator(self) -> Migrator {
        let numbered = (1..).zip(self.migrations());
        let migrations = numbered.map(|(number, (name, sql))| {
            let kind = MigrationType::Simple;
            Migration::new(number, name.into(), kind, sql.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.collect())
    }
}
