//! The control plane of Madang, and the program that joins all parts.
//!
//! This crate is policy: who may do what, who is present, what is stored. Media belongs to `madang-sfu` and relaying to
//! `madang-turn`, which know no user, room name or database. The wire format belongs to `madang-wire`.
//!
//! # The journey of a command
//!
//! ```text
//! WebSocket → frame → Session → Dispatch → Rooms → mailbox → Room decides → effects: store, sfu, replies
//!   edge      stomp    stomp     stomp     rooms    rooms    rooms/room              │
//!                                                                     Broker → outboxes → WebSocket
//! ```
//!
//! 1. [`edge`] accepts the connection, checks the page's origin and hands the socket to [`hub`]. SockJS makes a socket out
//!    of HTTP requests; STOMP over TCP needs neither.
//! 2. [`stomp`] reads frames. `Session` is a state machine without I/O; `connection` is its task with the timers.
//! 3. `stomp::dispatch` decides what happens to a SEND. Requests to `/app/rooms/{room}/…` are posted to the room's
//!    mailbox; messages to topics and queues go to [`broker`], or through [`relay`] to an external broker.
//! 4. [`rooms`] owns one task per open room. The task feeds a pure `Room`, which decides and returns effects, and carries
//!    them out. A chat message is committed to [`store`] before the sender gets its RECEIPT and before it is delivered.
//! 5. [`broker`] puts messages into the outbox of each subscriber; each connection's task writes its own outbox.
//!
//! [`auth`] determines at CONNECT who the client is and what it may do. `edge::api` is the REST interface for programs
//! that are not participants; [`webhooks`] tells such programs what happens.
//!
//! # Layers
//!
//! Imports point down this list; `tests/layers` enforces it.
//!
//! ```text
//! cli           arguments and subcommands
//! server        starts the parts, stops them in order
//! config        all settings
//! edge          the ports of clients: HTTP, SockJS, REST, metrics, STOMP over TCP
//! hub           what all connections share
//! stomp         one session per connection
//! rooms         rooms: directory, tasks, and the pure Room
//! relay         topics and queues on an external broker
//! broker        subscriptions and outboxes
//! webhooks      calls to other programs
//! auth          tokens, keys, grants
//! store         SQL
//! leaves        limits, counters, refusal, moment, deadline, token_bucket, heart_beats, secrets
//! ```
//!
//! # The main types
//!
//! - [`Settings`]: everything that can be configured, checked before the first port opens.
//! - [`Server`]: all running parts. The program and the tests start and stop it.
//! - [`Store`](store::Store), [`Hub`](hub::Hub): shared by the parts above.
//!
//! # Invariants
//!
//! - No lock is held across an `await`. Rooms and sessions have one owner each and are reached through bounded queues.
//! - Nothing here touches a media packet. Datagrams between the TURN server and the media engine pass through closures.
//! - Clocks and sockets appear only in modules that say so with `#![expect(clippy::disallowed_methods)]`.

pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod counters;
mod deadline;
pub mod edge;
mod heart_beats;
pub mod hub;
pub mod limits;
mod memory;
mod moment;
pub mod refusal;
pub mod relay;
pub mod rooms;
pub mod secrets;
pub mod server;
pub mod stomp;
pub mod store;
mod tally;
mod token_bucket;
pub mod webhooks;

pub use config::Settings;
pub use server::Server;
