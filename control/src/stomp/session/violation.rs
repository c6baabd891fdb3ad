//! Frames that break the protocol.

use madang_wire::Frame;

/// Why the session can't go on, for an ERROR frame.
pub(super) struct Violation {
    pub(super) message: &'static str,
    pub(super) detail: String,
}

pub(super) fn required<'a>(frame: &'a Frame, name: &'static str) -> Result<&'a str, Violation> {
    frame.header(name).ok_or_else(|| Violation {
        message: "missing header",
        detail: format!("{} needs the header {name}.", frame.command),
    })
}

pub(super) fn violation<T>(
    message: &'static str,
    detail: impl Into<String>,
) -> Result<T, Violation> {
    Err(Violation { message, detail: detail.into() })
}

pub(super) fn transaction_violation(detail: String) -> Violation {
    Violation { message: "bad transaction", detail }
}
