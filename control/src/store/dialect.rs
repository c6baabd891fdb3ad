//! The kind of database behind the URL, and how its SQL differs.
//!
//! Every question has one SQL text, with `?` for each value. Three things differ, and are defined here: placeholders,
//! how a writing transaction begins, and how a row is locked.

use std::borrow::Cow;
use std::fmt::Write;

use sqlx::any::AnyArguments;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, SqlSafeStr};

/// The kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

impl Dialect {
    /// The dialect for the scheme of the URL.
    pub(super) fn of(url: &str) -> Option<Dialect> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Dialect::Sqlite),
            "postgres" | "postgresql" => Some(Dialect::Postgres),
            "mysql" | "mariadb" => Some(Dialect::MySql),
            _ => None,
        }
    }

    /// Builds a query. `sql` contains a `?` for each value, in the order in which they are bound, and no other question
    /// mark.
    pub(super) fn query<'q>(
        self,
        sql: impl Into<Cow<'static, str>>,
    ) -> Query<'q, Any, AnyArguments> {
        sqlx::query(AssertSqlSafe(self.spell(sql.into())))
    }

    /// The statement that begins a writing transaction.
    pub(super) fn begin(self) -> &'static str {
        match self {
            // Takes the write lock before anything is read.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres | Dialect::MySql => "BEGIN",
        }
    }

    /// The suffix of a SELECT that locks its rows until the transaction ends.
    pub(super) fn locking(self) -> &'static str {
        match self {
            // The transaction already locks the whole database.
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

    /// The first statements on a connection that writes.
    pub(super) fn greeting(self) -> &'static str {
        match self {
            // A commit is durable when it returns. Readers never wait for the writer.
            Dialect::Sqlite => "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
            // After a row's lock is acquired, the transaction must see what the previous holder committed.
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

    /// The migrations: numbered from 1, applied in order, never edited once released.
    pub(super) fn migrator(self) -> Migrator {
        let numbered = (1..).zip(self.migrations());
        let migrations = numbered.map(|(number, (name, sql))| {
            let kind = MigrationType::Simple;
            Migration::new(number, name.into(), kind, sql.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.collect())
    }
}
