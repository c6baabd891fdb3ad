//! Why a request was refused.

use madang_wire::ErrorCode;

/// Why a request was refused: what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Tells programs the kind.
    pub code: ErrorCode,
    /// Tells people the reason.
    pub message: String,
}

impl Refusal {
    /// A refusal of this kind, for this reason.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}

pub(crate) fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(code, message))
}
