//! Room names.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A valid room name: 1–64 characters of `A-Z a-z 0-9 _ -` or Hangul syllables (U+AC00–U+D7A3), case-sensitive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(value_type = String, pattern = "^[A-Za-z0-9_\\-가-힣]{1,64}$", example = "마당")
)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

/// The reason why a text is not a room name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// It is empty.
    #[error("a room name must not be empty")]
    Empty,
    /// It has more than [`RoomName::MAX_CHARS`].
    #[error("a room name must have at most {max} characters", max = RoomName::MAX_CHARS)]
    TooLong,
    /// It contains a character that is not allowed.
    #[error(
        "a room name must not contain {0:?}; allowed are A-Z, a-z, 0-9, '_', '-' and Hangul syllables"
    )]
    Character(char),
}

impl RoomName {
    /// The maximum number of characters (a Hangul syllable counts as one).
    pub const MAX_CHARS: usize = 64;

    /// Validates a name.
    ///
    /// # Errors
    /// When it is empty, too long, or contains a character that is not allowed.
    pub fn parse(text: &str) -> Result<RoomName, RoomNameError> {
        if text.is_empty() {
            return Err(RoomNameError::Empty);
        }
        for (index, c) in text.chars().enumerate() {
            if index == RoomName::MAX_CHARS {
                return Err(RoomNameError::TooLong);
            }
            if !is_allowed(c) {
                return Err(RoomNameError::Character(c));
            }
        }
        Ok(RoomName(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-' || ('\u{AC00}'..='\u{D7A3}').contains(&c)
}

impl TryFrom<String> for RoomName {
    type Error = RoomNameError;

    fn try_from(text: String) -> Result<RoomName, RoomNameError> {
        RoomName::parse(&text)
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl std::str::FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(text: &str) -> Result<RoomName, RoomNameError> {
        RoomName::parse(text)
    }
}

impl AsRef<str> for RoomName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomName({:?})", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_and_hangul_names_are_valid() {
        for name in ["a", "Team-1_B", "회의실", "주간회의-2", "가", "힣", &"마".repeat(64)]
        {
            assert_eq!(RoomName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_are_counted_in_characters() {
        assert_eq!(RoomName::parse(&"마".repeat(65)), Err(RoomNameError::TooLong));
        assert_eq!(RoomName::parse(&"a".repeat(65)), Err(RoomNameError::TooLong));
        assert_eq!(RoomName::parse(""), Err(RoomNameError::Empty));
    }

    #[test]
    fn other_characters_are_refused() {
        // U+1100 is a conjoining jamo, U+3131 a compatibility jamo: neither is a syllable.
        for c in [' ', '/', '.', '*', '?', '%', 'é', '\u{1100}', '\u{3131}', '\u{D7A4}', '会', '\0']
        {
            assert_eq!(RoomName::parse(&format!("a{c}")), Err(RoomNameError::Character(c)));
        }
    }
}
