//! REST, over real HTTP to a whole server.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod document;
mod gate;
mod messages;
mod people;
mod refusals;
mod rest;
mod rooms;
mod tokens;

#[path = "../stomp_client/mod.rs"]
mod stomp_client;
