//! SockJS 0.3 at `/ws`, for clients whose network blocks WebSockets, and for clients that speak only SockJS.
//!
//! ```text
//! GET  /ws/info                                   what the client needs to choose a transport
//! GET  /ws/{server}/{session}/websocket           frames in a WebSocket ────────────────┐
//! POST /ws/{server}/{session}/xhr                 ┐                                     │
//! POST /ws/{server}/{session}/xhr_streaming       │ receiving     ┌─────────┐           ▼
//! GET  /ws/{server}/{session}/eventsource         ├─────────────▶ │ Session │ ◀─▶ STOMP session
//! GET  /ws/{server}/{session}/htmlfile            ┘               └─────────┘  Pipe
//! POST /ws/{server}/{session}/xhr_send            sending ────────────▲
//! GET  /ws/iframe*.html  /ws/sockjs.min.js        for browsers without cross-origin requests
//! ```
//!
//! `session` is the state machine without I/O; `sessions` is the table of sessions over HTTP requests, each with the
//! task that runs its STOMP session; `websocket` needs no table. Every transport leads to the same kind of STOMP
//! session as a plain WebSocket.
//!
//! SockJS carries text only: a message that is not UTF-8 ends the session of a SockJS subscriber with an ERROR that
//! says so. `/ws/websocket`, the raw WebSocket, has no such limit. JSONP is not offered: every browser in use has
//! XMLHttpRequest.
//!
//! `sockjs.min.js` is sockjs-client 1.6.1 (MIT licence) as published; the iframe page loads it. A page with another
//! version of sockjs-client needs that version there too, see the key `sockjs.client_url`.

mod frame;
mod http;
mod page;
mod pipe;
mod receiver;
mod session;
mod sessions;
mod websocket;

pub(crate) use http::routes;
pub(crate) use page::GREETING;
pub use sessions::Sessions;

use super::http::Gate;

/// The state that the routes of SockJS share.
pub struct SockJs {
    /// Checks requests and opens WebSockets.
    pub gate: Gate,
    /// The options.
    pub config: Config,
    /// The sessions over HTTP requests.
    pub sessions: Sessions,
}

/// The options of SockJS.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether to set the cookie `JSESSIONID`, which tells load balancers on which server a session lives.
    pub cookie: bool,
    /// The URL from which the iframe page loads sockjs-client.
    pub client_url: String,
}

impl Default for Config {
    fn default() -> Config {
        Config { cookie: false, client_url: "/ws/sockjs.min.js".to_owned() }
    }
}
