//! Who somebody is, and what they may do.
//!
//! A [`Grant`] is what a connection's credential is worth. It is made when the client connects, and travels with each of
//! its requests to the rooms, which decide by it.

mod grant;

pub use self::grant::{Grant, Scope};
