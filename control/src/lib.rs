//! The control plane of Madang, and the program that joins all parts.
//!
//! This crate is policy: who may, who is here, what is remembered. Bytes and time are the business of `madang-sfu` and
//! `madang-turn`, which know no user, room name or database; what stands on the wire is `madang-wire`'s.
//!
//! # The journey of a command
//!
//! ```text
//! WebSocket → STOMP frame → Session → Broker → room mailbox → Room decides → effects: sfu, store, replies
//!    http        stomp       stomp    broker       room          room          sfu     store   stomp
//! ```
//!
//! 1. [`http`] takes the connection, checks its origin and hands the WebSocket to [`hub`]. [`sockjs`] makes one of HTTP requests
//!    where there is none; `stomp::tcp` takes clients that need no browser.
//! 2. [`stomp`] reads frames. `Session` is a state machine without I/O; `connection` is its task, outbox and timers.
//! 3. [`broker`] knows which session subscribed to which destination. [`app`] reads requests to `/app/**`.
//!    Where topics and queues live on an external broker, [`relay`] is the way there.
//! 4. [`room`] holds a pure `Room` per open room, owned by one task with a bounded mailbox. It decides and returns
//!    effects; the task carries them out.
//! 5. [`auth`] says at the beginning of all this who the client is, and what they may do.
//! 6. [`store`] remembers. A chat line is on the disk before anyone hears of it.
//!
//! Beside it, [`api`] is how programs ask that are no participants, and [`webhooks`] how they are told.
//!
//! # The main types
//!
//! - [`Settings`]: everything that can be configured, checked before the first port opens.
//! - [`Server`]: the running whole. The program, and tests, start and stop it.
//! - [`Store`](store::Store), [`Hub`](hub::Hub): what the parts above share.
//!
//! # Invariants
//!
//! - No lock is held across an `await`; rooms and sessions have one owner each and are reached through bounded queues.
//! - Nothing here touches a media packet. Datagrams between the TURN server and the media engine pass by closures.
//! - Clocks and sockets appear only in modules that say so with `#![expect(clippy::disallowed_methods)]`.

pub mod api;

pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod counters;
pub mod healthcheck;
pub(crate) mod heart_beats;
pub mod http;
pub mod hub;
pub mod limits;
pub mod metrics;
mod moment;
pub mod open_files;

pub mod refusal;
pub mod relay;

pub mod rooms;
pub mod secrets;
pub mod server;
pub mod sockjs;
pub mod stomp;
pub mod store;
pub mod tls;
mod token_bucket;
pub mod webhooks;

pub use config::Settings;
pub use server::Server;
