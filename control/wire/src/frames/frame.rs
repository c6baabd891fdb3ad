//! STOMP frames and protocol versions.

use std::fmt;

use bytes::Bytes;

use crate::Headers;

/// A version of STOMP. Versions differ in the escaping of headers, see [`crate::encode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// No escaping; header names and values are trimmed.
    V1_0,
    /// Escapes line feed, colon and backslash.
    V1_1,
    /// Escapes carriage return, line feed, colon and backslash.
    V1_2,
}

impl Version {
    /// All versions, the latest first.
    pub const ALL: [Version; 3] = [Version::V1_2, Version::V1_1, Version::V1_0];

    /// The latest version in an `accept-version` header that is supported here; `None` when there is none. A client
    /// without this header speaks 1.0 (STOMP 1.2, "Protocol Negotiation").
    pub fn negotiate(accept_version: Option<&str>) -> Option<Version> {
        let Some(accepted) = accept_version else {
            return Some(Version::V1_0);
        };
        let speaks = |version: &Version| accepted.split(',').any(|v| v.trim() == version.as_str());
        Version::ALL.into_iter().find(speaks)
    }

    /// The version that a WebSocket subprotocol such as `v12.stomp` names.
    pub fn from_subprotocol(name: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.subprotocol() == name)
    }

    /// The name of the WebSocket subprotocol, such as `v12.stomp`.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Version::V1_0 => "v10.stomp",
            Version::V1_1 => "v11.stomp",
            Version::V1_2 => "v12.stomp",
        }
    }

    /// The version as in the headers `version` and `accept-version`, such as `1.2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A command, the first line of a frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command {
            $($(#[$doc])* $name,)*
        }

        impl Command {
            /// All commands.
            pub const ALL: &[Command] = &[$(Command::$name,)*];

            /// The command as written in a frame.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Command::$name => $text,)*
                }
            }

            /// Parses a command, case-sensitively.
            pub fn parse(text: &[u8]) -> Option<Command> {
                Command::ALL.iter().copied().find(|c| c.as_str().as_bytes() == text)
            }
        }
    };
}

commands! {
    /// Client: opens the session.
    Connect = "CONNECT",
    /// Client: synonym of CONNECT (since 1.1).
    Stomp = "STOMP",
    /// Client: sends a message to a destination.
    Send = "SEND",
    /// Client: subscribes to a destination.
    Subscribe = "SUBSCRIBE",
    /// Client: ends a subscription.
    Unsubscribe = "UNSUBSCRIBE",
    /// Client: has processed a message.
    Ack = "ACK",
    /// Client: could not process a message (since 1.1).
    Nack = "NACK",
    /// Client: opens a transaction.
    Begin = "BEGIN",
    /// Client: commits a transaction.
    Commit = "COMMIT",
    /// Client: rolls back a transaction.
    Abort = "ABORT",
    /// Client: ends the session.
    Disconnect = "DISCONNECT",
    /// Server: the session is open.
    Connected = "CONNECTED",
    /// Server: a message of a subscribed destination.
    Message = "MESSAGE",
    /// Server: a frame with `receipt` has been processed.
    Receipt = "RECEIPT",
    /// Server: an error, which ends the session.
    Error = "ERROR",
}

impl Command {
    /// Whether a frame with this command may have a body (STOMP 1.2, "Body").
    pub fn may_have_body(self) -> bool {
        matches!(self, Command::Send | Command::Message | Command::Error)
    }

    /// Whether the headers of this command are escaped, in versions with escaping. Those of CONNECT and CONNECTED are
    /// not, so that 1.0 peers understand them; STOMP is a synonym of CONNECT.
    pub fn escapes_headers(self) -> bool {
        !matches!(self, Command::Connect | Command::Stomp | Command::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A frame. Its headers are stored unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The command.
    pub command: Command,
    /// The headers.
    pub headers: Headers,
    /// The body; empty for commands that have none.
    pub body: Bytes,
}

impl Frame {
    /// Creates a frame without headers and body.
    pub fn new(command: Command) -> Frame {
        Frame { command, headers: Headers::new(), body: Bytes::new() }
    }

    /// Returns the frame with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Frame {
        self.headers.push(name, value);
        self
    }

    /// Returns the frame with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Frame {
        self.body = body.into();
        self
    }

    /// The memory of headers and body, in bytes.
    pub fn weight(&self) -> usize {
        self.headers.weight() + self.body.len()
    }

    /// The value of a header; the first, if it is repeated.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_common_version_is_chosen() {
        assert_eq!(Version::negotiate(Some("1.0,1.1,1.2")), Some(Version::V1_2));
        assert_eq!(Version::negotiate(Some("1.1, 1.0")), Some(Version::V1_1));
        assert_eq!(Version::negotiate(Some("2.0")), None);
        assert_eq!(Version::negotiate(None), Some(Version::V1_0));
    }

    #[test]
    fn commands_are_case_sensitive() {
        assert_eq!(Command::parse(b"SEND"), Some(Command::Send));
        assert_eq!(Command::parse(b"send"), None);
        assert_eq!(Command::parse(b""), None);
    }
}
