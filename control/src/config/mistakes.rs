//! The mistakes of a configuration, in words that say how to correct them.

use std::fmt;

use config::{ConfigError, Value};

use super::{keys, variable};
use crate::secrets::shown_url;

/// The origin that the `config` crate gives values from environment variables.
const ENVIRONMENT: &str = "the environment";

/// All mistakes of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

/// One mistake, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(String);

impl Mistakes {
    pub(super) fn push(&mut self, mistake: Mistake) {
        self.0.push(mistake);
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, Mistakes> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl Mistake {
    /// There is no such key.
    pub(super) fn unknown(name: &str, value: &Value) -> Mistake {
        let hint = match keys::nearest(name) {
            Some(nearest) => format!("; did you mean {}?", written(nearest, value)),
            None => "; `madang --help` lists all keys".to_owned(),
        };
        Mistake(format!("there is no key {}{}{hint}", written(name, value), place(value)))
    }

    /// The value does not have the key's type. `reason` continues a sentence that starts with the key.
    pub(super) fn wrong(name: &str, value: &Value, reason: String) -> Mistake {
        let (key, place, value) = (written(name, value), place(value), shown(value));
        Mistake(format!("{key}{place} {reason}, not `{value}`"))
    }

    /// Like [`Mistake::wrong`], for a value that must not be printed.
    pub(super) fn wrong_secret(name: &str, value: &Value, reason: String) -> Mistake {
        Mistake(format!("{}{} {reason}", written(name, value), place(value)))
    }

    /// The value has the right type, but the server can't work with it.
    pub(super) fn refused(reason: String) -> Mistake {
        Mistake(reason)
    }
}

impl From<ConfigError> for Mistakes {
    fn from(error: ConfigError) -> Mistakes {
        Mistakes(vec![Mistake(error.to_string())])
    }
}

/// The key as it is spelled in its source: file, environment or flag.
fn written(name: &str, value: &Value) -> String {
    match value.origin() {
        Some(ENVIRONMENT) => variable(name),
        _ => format!("`{name}`"),
    }
}

/// The value without the credentials in its URLs.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains("://") {
        return text;
    }
    text.split(',').map(shown_url).collect::<Vec<_>>().join(",")
}

fn place(value: &Value) -> String {
    match value.origin() {
        None => " (flag)".to_owned(),
        Some(ENVIRONMENT) => " (environment)".to_owned(),
        Some(file) => format!(" ({file})"),
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [Mistake(text)] => write!(f, "the configuration has a mistake: {text}"),
            mistakes => {
                write!(f, "the configuration has {} mistakes:", mistakes.len())?;
                mistakes.iter().try_for_each(|Mistake(text)| write!(f, "\n  - {text}"))
            }
        }
    }
}

impl std::error::Error for Mistakes {}
