//! Names of the headers that client and server use.

/// STOMP versions that a client supports, comma-separated (CONNECT).
pub const ACCEPT_VERSION: &str = "accept-version";
/// Acknowledgement mode of a subscription: `auto`, `client` or `client-individual`.
pub const ACK: &str = "ack";
/// `Bearer <JWT>` (CONNECT).
pub const AUTHORIZATION: &str = "Authorization";
/// Length of the body in bytes.
pub const CONTENT_LENGTH: &str = "content-length";
/// Media type of the body.
pub const CONTENT_TYPE: &str = "content-type";
/// Chosen by the client in a request; the reply carries the same value.
pub const CORRELATION_ID: &str = "correlation-id";
/// The destination of a frame.
pub const DESTINATION: &str = "destination";
/// Heart-beat intervals, see [`crate::HeartBeat`].
pub const HEART_BEAT: &str = "heart-beat";
/// The number of stored chat messages to deliver at the start of a subscription.
pub const HISTORY: &str = "history";
/// Virtual host (CONNECT).
pub const HOST: &str = "host";
/// Identifies a subscription, or a message to acknowledge (STOMP 1.2).
pub const ID: &str = "id";
/// User name (CONNECT).
pub const LOGIN: &str = "login";
/// A short text about the error (ERROR).
pub const MESSAGE: &str = "message";
/// Identifies a MESSAGE.
pub const MESSAGE_ID: &str = "message-id";
/// Password (CONNECT).
pub const PASSCODE: &str = "passcode";
/// Requests a RECEIPT.
pub const RECEIPT: &str = "receipt";
/// The frame that a RECEIPT or an ERROR refers to.
pub const RECEIPT_ID: &str = "receipt-id";
/// Resume token of a `join` that takes over a participant.
pub const RESUME: &str = "resume";
/// Sequence number of a chat message within its room.
pub const SEQ: &str = "seq";
/// Name and version of the server (CONNECTED).
pub const SERVER: &str = "server";
/// Identifies the session (CONNECTED).
pub const SESSION: &str = "session";
/// The sequence number after which a chat subscription gets all stored messages.
pub const SINCE: &str = "since";
/// The subscription to which a MESSAGE belongs.
pub const SUBSCRIPTION: &str = "subscription";
/// Identifies a transaction.
pub const TRANSACTION: &str = "transaction";
/// Name of the session's user (CONNECTED).
pub const USER_NAME: &str = "user-name";
/// The version chosen by the server (CONNECTED).
pub const VERSION: &str = "version";

/// The `content-type` of every body that the server writes or reads.
pub const JSON: &str = "application/json";
