//! Reading and printing values.
//!
//! A file has types; environment variables and flags are text. All are read by the same rules: a list may be text with
//! commas, a number may be a text of digits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};
use madang_turn::{BadRule, PeerRule};
use madang_wire::Secret;

use super::TurnUser;
use crate::auth::JwksSource;
use crate::limits::SlowPolicy;
use crate::relay::RelayUrl;
use crate::rooms::RoomCreation;
use crate::store::StoreUrl;

/// A type of setting. The error of `read` continues a sentence that starts with the key.
pub(super) trait Setting: Sized {
    /// Whether values of this type contain a password or another secret.
    const IS_SECRET: bool = false;

    fn read(value: &Value) -> Result<Self, String>;
    fn show(&self) -> Option<toml::Value>;
}

impl Setting for bool {
    fn read(value: &Value) -> Result<bool, String> {
        let said = match &value.kind {
            ValueKind::Boolean(said) => Some(*said),
            ValueKind::String(text) => match text.as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        said.ok_or_else(|| "must be true or false".to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        Some(toml::Value::Boolean(*self))
    }
}

macro_rules! whole_number {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn read(value: &Value) -> Result<$number, String> {
                let number = match &value.kind {
                    ValueKind::I64(number) => <$number>::try_from(*number).ok(),
                    ValueKind::String(text) => text.replace('_', "").parse().ok(),
                    _ => None,
                };
                number.ok_or_else(|| format!("must be a whole number from 0 to {}", <$number>::MAX))
            }

            fn show(&self) -> Option<toml::Value> {
                Some(toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
            }
        }
    )*};
}
whole_number!(u16, u32, u64, usize);

impl Setting for String {
    fn read(value: &Value) -> Result<String, String> {
        match &value.kind {
            ValueKind::String(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err("must be text".to_owned()),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(toml::Value::String(self.clone()))
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Result<PathBuf, String> {
        String::read(value).map(PathBuf::from).map_err(|_| "must be a path".to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        self.to_string_lossy().into_owned().show()
    }
}

impl Setting for SocketAddr {
    fn read(value: &Value) -> Result<SocketAddr, String> {
        let text = String::read(value).unwrap_or_default();
        let address = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port| (Ipv4Addr::LOCALHOST, port).into()),
            None => text.parse().ok(),
        };
        address.ok_or_else(|| {
            "must be an address with a port, as 127.0.0.1:8080 or [::1]:8080".to_owned()
        })
    }

    fn show(&self) -> Option<toml::Value> {
        self.to_string().show()
    }
}

impl Setting for IpAddr {
    fn read(value: &Value) -> Result<IpAddr, String> {
        let address = String::read(value).ok().and_then(|text| text.parse().ok());
        address.ok_or_else(|| "must be an IP address, as 203.0.113.7 or 2001:db8::7".to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        self.to_string().show()
    }
}

/// It shows without its password.
impl Setting for RelayUrl {
    const IS_SECRET: bool = true;

    fn read(value: &Value) -> Result<RelayUrl, String> {
        let text = String::read(value).unwrap_or_default();
        text.parse()
            .map_err(|reason| format!("must be as stomp://user:password@host:61613, but {reason}"))
    }

    fn show(&self) -> Option<toml::Value> {
        self.to_string().show()
    }
}

/// Prints as "(hidden)".
impl Setting for Secret {
    const IS_SECRET: bool = true;

    fn read(value: &Value) -> Result<Secret, String> {
        String::read(value).map(|text| Secret::new(text.trim()))
    }

    fn show(&self) -> Option<toml::Value> {
        "(hidden)".to_owned().show()
    }
}

/// It shows without its password.
impl Setting for TurnUser {
    const IS_SECRET: bool = true;

    fn read(value: &Value) -> Result<TurnUser, String> {
        let text = String::read(value).unwrap_or_default();
        let parts =
            text.split_once(':').filter(|(name, word)| !name.is_empty() && !word.is_empty());
        let (name, password) = parts.ok_or("must have users as name:password")?;
        Ok(TurnUser { name: name.to_owned(), password: Secret::new(password) })
    }

    fn show(&self) -> Option<toml::Value> {
        format!("{}:(hidden)", self.name).show()
    }
}

impl Setting for PeerRule {
    fn read(value: &Value) -> Result<PeerRule, String> {
        let text = String::read(value).unwrap_or_default();
        text.parse().map_err(|reason: BadRule| {
            format!(
                "must have addresses or networks, optionally with ports, as 192.0.2.0/24:5000-5999, \
                 but of `{text}` {reason}"
            )
        })
    }

    fn show(&self) -> Option<toml::Value> {
        self.to_string().show()
    }
}

impl Setting for JwksSource {
    fn read(value: &Value) -> Result<JwksSource, String> {
        JwksSource::parse(&String::read(value)?)
    }

    fn show(&self) -> Option<toml::Value> {
        self.to_string().show()
    }
}

/// It shows without its password.
impl Setting for StoreUrl {
    const IS_SECRET: bool = true;

    fn read(value: &Value) -> Result<StoreUrl, String> {
        let text = String::read(value).unwrap_or_default();
        text.parse().map_err(|reason: String| format!("is no database URL: {reason}"))
    }

    fn show(&self) -> Option<toml::Value> {
        self.to_string().show()
    }
}

impl Setting for SlowPolicy {
    fn read(value: &Value) -> Result<SlowPolicy, String> {
        let text = String::read(value).unwrap_or_default();
        text.parse().map_err(|()| "must be coalesce, drop_oldest or disconnect".to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        self.as_str().to_owned().show()
    }
}

impl Setting for RoomCreation {
    fn read(value: &Value) -> Result<RoomCreation, String> {
        let text = String::read(value).unwrap_or_default();
        text.parse().map_err(|()| "must be join or rest".to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        self.as_str().to_owned().show()
    }
}

/// Whole seconds, or text with a unit.
impl Setting for Duration {
    fn read(value: &Value) -> Result<Duration, String> {
        let duration = match &value.kind {
            ValueKind::I64(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            ValueKind::String(text) => duration(text),
            _ => None,
        };
        duration.ok_or_else(|| "must be a time, as 20s, 500ms or 2m".to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        match self.subsec_millis() {
            0 => format!("{}s", self.as_secs()).show(),
            _ => format!("{}ms", self.as_millis()).show(),
        }
    }
}

/// Parses a time in `ms`, `s`, `m`, `min`, `h` or `d`; without a unit, in seconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" | "min" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(60 * 60)?)),
        "d" => Some(Duration::from_secs(number.checked_mul(24 * 60 * 60)?)),
        _ => None,
    }
}

/// A range of ports from 1 to 65535, both ends included.
impl Setting for RangeInclusive<u16> {
    fn read(value: &Value) -> Result<RangeInclusive<u16>, String> {
        let text = String::read(value).unwrap_or_default();
        let range = text.split_once('-').and_then(|(first, last)| {
            let first: u16 = first.trim().parse().ok()?;
            let last: u16 = last.trim().parse().ok()?;
            (0 < first && first <= last).then_some(first..=last)
        });
        range.ok_or_else(|| "must be a range of ports, as 49152-65535".to_owned())
    }

    fn show(&self) -> Option<toml::Value> {
        format!("{}-{}", self.start(), self.end()).show()
    }
}

impl<T: Setting> Setting for Vec<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn read(value: &Value) -> Result<Vec<T>, String> {
        match &value.kind {
            ValueKind::String(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| T::read(&Value::from(item))).collect()
            }
            ValueKind::Array(items) => items.iter().map(T::read).collect(),
            _ => Err("must be a list, or text with commas".to_owned()),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(self.iter().filter_map(T::show).collect()))
    }
}

/// `None` means that the key is not set; the server determines the value at start.
impl<T: Setting> Setting for Option<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn read(value: &Value) -> Result<Option<T>, String> {
        T::read(value).map(Some)
    }

    fn show(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::show)
    }
}
