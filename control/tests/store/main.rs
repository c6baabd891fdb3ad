//! The store's stories on PostgreSQL and MariaDB, as the distribution packages them, and what a database server can do
//! that a file can't: go away.
//!
//! Not part of `cargo test`, because it needs those packages: `cargo test -p madang --test store`.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod away;
mod database;
mod stories;

use database::{Database, Kind};

#[tokio::test]
async fn stories_on_postgresql() {
    on(Kind::Postgres).await;
}

#[tokio::test]
async fn stories_on_mariadb() {
    on(Kind::MariaDb).await;
}

/// One server serves them all.
async fn on(kind: Kind) {
    let mut database = Database::start(kind).await;
    stories::tell_all(async || database.fresh().await).await;
    away::writes_fail_while_the_database_is_away_and_work_again(&mut database).await;
    away::a_password_is_not_told(&database).await;
    if kind == Kind::Postgres {
        away::tls_is_used_when_the_url_asks(&database).await;
    }
    away::costs(&database, kind).await;
}
