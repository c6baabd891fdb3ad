//! The rules of the STOMP 1.2 text, section by section, and where 1.0 and 1.1 differ: what a client sends, and what it
//! hears, on a real WebSocket to a whole server.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod acknowledging;
mod connecting;
mod exchange;
mod frames;
mod limits;
mod sending;
mod server_frames;
mod subscribing;
mod transactions;

#[path = "../stomp_client/mod.rs"]
mod stomp_client;

use exchange::{Rule, check};

/// Checks a table against a server with the defaults.
async fn hold(rules: Vec<Rule>) {
    let (server, _dir) = stomp_client::start().await;
    check(&server, rules).await;
    server.shutdown().await;
}
