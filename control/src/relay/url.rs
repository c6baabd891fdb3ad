//! Where the external broker is, and as whom the server signs in.

use std::fmt;
use std::str::FromStr;

use madang_wire::Secret;

/// The port of STOMP, when none is given.
const DEFAULT_PORT: u16 = 61613;

/// `stomp://user:password@host:port/vhost`. It prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayUrl {
    /// Host name or address; an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The login; none is sent when it is empty.
    pub login: String,
    /// Its password.
    pub passcode: Secret,
    /// RabbitMQ's virtual host, `/` by default. ActiveMQ and Artemis do not care.
    pub vhost: String,
}

impl FromStr for RelayUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<RelayUrl, &'static str> {
        let rest = text.strip_prefix("stomp://").ok_or("it does not begin with stomp://")?;
        // A password may have an unescaped @ or / in it; what follows the last @ has neither credentials nor secrets.
        let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (authority, vhost) = match place.split_once('/') {
            Some((authority, "")) => (authority, "/".to_owned()),
            Some((authority, vhost)) => (authority, decode(vhost).ok_or("its path is not UTF-8")?),
            None => (place, "/".to_owned()),
        };
        let (login, passcode) = credentials.split_once(':').unwrap_or((credentials, ""));
        let decoded = (decode(login), decode(passcode));
        let (Some(login), Some(passcode)) = decoded else {
            return Err("its user or password is not UTF-8");
        };
        let (host, port) = host_and_port(authority)?;
        Ok(RelayUrl { host, port, login, passcode: Secret::new(passcode), vhost })
    }
}

impl RelayUrl {
    /// `host:port`, for people.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The text without the password, should a broker repeat it.
    pub(super) fn without_secret(&self, text: &str) -> String {
        match self.passcode.expose() {
            // So short a secret would make the text unreadable, and is none.
            passcode if passcode.len() < 4 || passcode == self.login => text.to_owned(),
            passcode => text.replace(passcode, "…"),
        }
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stomp://")?;
        if !self.login.is_empty() {
            write!(f, "{}:…@", self.login)?;
        }
        write!(f, "{}:{}", self.host, self.port)?;
        if self.vhost != "/" { write!(f, "/{}", self.vhost) } else { Ok(()) }
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayUrl({self})")
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), &'static str> {
    let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[after_address..].rfind(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_address + colon);
            (host, port[1..].parse().ok().filter(|port| *port != 0).ok_or("its port is invalid")?)
        }
        None => (authority, DEFAULT_PORT),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "?#".contains(c)) {
        return Err("it has no host");
    }
    Ok((host.to_owned(), port))
}

/// Percent-decoding (RFC 3986 §2.1). A percent sign that begins no escape stands for itself.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_read() {
        let url: RelayUrl =
            "stomp://app%40home:p%3Aa@ss@broker.example:61614/prod".parse().unwrap();

        assert_eq!((url.host.as_str(), url.port), ("broker.example", 61614));
        assert_eq!((url.login.as_str(), url.passcode.expose()), ("app@home", "p:a@ss"));
        assert_eq!(url.vhost, "prod");
    }

    #[test]
    fn what_is_not_given_has_a_default() {
        let url: RelayUrl = "stomp://[::1]".parse().unwrap();

        assert_eq!((url.address().as_str(), url.login.as_str()), ("[::1]:61613", ""));
        assert_eq!(url.vhost, "/");
    }

    #[test]
    fn the_password_does_not_print() {
        let url: RelayUrl = "stomp://app:very-secret@host:1".parse().unwrap();

        for text in [url.to_string(), format!("{url:?}"), url.without_secret("no very-secret here")]
        {
            assert!(!text.contains("very-secret"), "{text}");
        }
    }

    #[test]
    fn what_is_no_broker_is_refused() {
        for text in [
            "",
            "host:61613",
            "http://host",
            "stomp://",
            "stomp://a:b@",
            "stomp://h:0",
            "stomp://h:x",
        ] {
            assert!(text.parse::<RelayUrl>().is_err(), "{text}");
        }
    }
}
