//! STOMP, one session per connection: a WebSocket, a SockJS session, or plain TCP.
//!
//! ```text
//! Socket ────▶ connection ─▶ Session ─▶ actions: subscribe, send, disconnect …
//!     ▲            │            ▲ │
//!     └────────────┘◀── frames ─┘ │   ┌─ broker, rooms, other sessions
//!                                 └── Outbox ◀─ parcels
//! ```
//!
//! `Session` decides and does no I/O. `connection` is its task: it owns the `Socket` and the timers, and carries out
//! the session's actions. Everything else reaches a session through its `Outbox`.

pub(crate) mod connection;
pub(crate) mod dispatch;
mod expiry;

mod replays;
mod sent;
mod session;

pub(crate) mod socket;
mod subscriptions;

mod transactions;

pub(crate) use sent::Sent;
pub(crate) use session::{Action, End, Session, SessionConfig, SessionError};
pub(crate) use subscriptions::{REPLAY_PAGE, Replay};
