//! Names of the headers that both sides use.

/// Versions that a client speaks, comma-separated (CONNECT).
pub const ACCEPT_VERSION: &str = "accept-version";
/// How a subscription acknowledges: `auto`, `client` or `client-individual`.
pub const ACK: &str = "ack";
/// `Bearer <JWT>` (CONNECT).
pub const AUTHORIZATION: &str = "Authorization";
/// Length of the body in bytes.
pub const CONTENT_LENGTH: &str = "content-length";
/// Media type of the body.
pub const CONTENT_TYPE: &str = "content-type";
/// Chosen by the client on a request; its reply carries the same.
pub const CORRELATION_ID: &str = "correlation-id";
/// Where a frame goes or comes from.
pub const DESTINATION: &str = "destination";
/// Heart-beat intervals, see [`crate::HeartBeat`].
pub const HEART_BEAT: &str = "heart-beat";
/// How many stored chat messages a subscription wants first.
pub const HISTORY: &str = "history";
/// Virtual host (CONNECT).
pub const HOST: &str = "host";
/// Identifies a subscription, or an acknowledged message (STOMP 1.2).
pub const ID: &str = "id";
/// User name (CONNECT).
pub const LOGIN: &str = "login";
/// A short text about the error (ERROR).
pub const MESSAGE: &str = "message";
/// Identifies a MESSAGE.
pub const MESSAGE_ID: &str = "message-id";
/// Password (CONNECT).
pub const PASSCODE: &str = "passcode";
/// Asks for a RECEIPT.
pub const RECEIPT: &str = "receipt";
/// Which frame a RECEIPT (or an ERROR) is about.
pub const RECEIPT_ID: &str = "receipt-id";
/// Resume token on a `join` that takes a participant over.
pub const RESUME: &str = "resume";
/// Sequence number of a chat message in its room.
pub const SEQ: &str = "seq";
/// What the server is (CONNECTED).
pub const SERVER: &str = "server";
/// Identifies the session (CONNECTED).
pub const SESSION: &str = "session";
/// The sequence number after which a chat subscription wants all stored messages.
pub const SINCE: &str = "since";
/// Which subscription a MESSAGE belongs to.
pub const SUBSCRIPTION: &str = "subscription";
/// Identifies a transaction.
pub const TRANSACTION: &str = "transaction";
/// Who the session belongs to (CONNECTED).
pub const USER_NAME: &str = "user-name";
/// The version that the server chose (CONNECTED).
pub const VERSION: &str = "version";

/// The `content-type` of every body that the server writes or understands.
pub const JSON: &str = "application/json";
