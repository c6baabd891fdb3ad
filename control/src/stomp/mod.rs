//! STOMP over WebSocket, one session per connection.
//!
//! ```text
//! WebSocket ─▶ connection ─▶ Session ─▶ actions: subscribe, send, disconnect …
//!     ▲            │            ▲ │
//!     └────────────┘◀── frames ─┘ │   ┌─ broker, rooms, other sessions
//!                                 └── Outbox ◀─ parcels
//! ```
//!
//! `Session` decides and does no I/O; `connection` is its task: the WebSocket, the timers, and whoever carries out
//! what the session asks for. Everybody else reaches a session through its `Outbox`.

pub(crate) mod connection;
mod heart_beats;
mod outbox;
mod rate;
mod replays;
mod session;
mod subscriptions;
mod transactions;

pub(crate) use outbox::{Outbox, Parcel, Receipt};
pub(crate) use session::{Action, Sent, Session, SessionConfig};
pub(crate) use subscriptions::{REPLAY_PAGE, Replay};
