//! SockJS 0.3 at `/ws`, for clients whose network lets no WebSocket through, and for those that know nothing else.
//!
//! ```text
//! GET  /ws/info                                   what the client needs to choose a transport
//! GET  /ws/{server}/{session}/websocket           frames in a WebSocket ────────────────┐
//! POST /ws/{server}/{session}/xhr                 ┐                                     │
//! POST /ws/{server}/{session}/xhr_streaming       │ receiving     ┌─────────┐           ▼
//! GET  /ws/{server}/{session}/eventsource         ├─────────────▶ │ Session │ ◀─▶ STOMP session
//! GET  /ws/{server}/{session}/htmlfile            ┘               └─────────┘  Pipe
//! POST /ws/{server}/{session}/xhr_send            sending ────────────▲
//! GET  /ws/iframe*.html  /ws/sockjs.min.js        for browsers that can't ask another origin
//! ```
//!
//! `session` decides and does no I/O; `sessions` is the table of those that live on HTTP requests, each with the task
//! that runs its STOMP session; `websocket` needs no table. Behind all of them is the STOMP session that a plain
//! WebSocket has.
//!
//! SockJS carries text only: a message that is not UTF-8 ends the session of a SockJS subscriber with an ERROR that says
//! so. `/ws/websocket`, the raw WebSocket, has no such limit. JSONP is not offered: every browser of this century has
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

/// SockJS as it is served.
pub struct SockJs {
    /// The way to STOMP sessions.
    pub gate: Gate,
    /// How it is offered.
    pub config: Config,
    /// Sessions without a WebSocket.
    pub sessions: Sessions,
}

/// How SockJS is offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Set the cookie `JSESSIONID`, by which load balancers know which server a session lives on.
    pub cookie: bool,
    /// Where the iframe page loads sockjs-client from.
    pub client_url: String,
}

impl Default for Config {
    fn default() -> Config {
        Config { cookie: false, client_url: "/ws/sockjs.min.js".to_owned() }
    }
}
