//! Checks beyond the types of single keys: ranges, secrets, and combinations of keys.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Uri;
use rustls::pki_types::ServerName;

use super::{Mistake, Mistakes, Settings, variable};
use crate::auth::weakness;
use crate::secrets::shown_url;
use crate::webhooks::MOST_URLS;

/// Maximum of `media.workers`: more than any machine has cores. A typing error must not start thousands of threads.
const MOST_WORKERS: usize = 256;
/// Maximum of `media.public_ip`: each address becomes two ICE candidates, and every browser tries each of them.
const MOST_PUBLIC_IPS: usize = 8;
/// Minimum of `turn.credentials_lifetime`.
const LEAST_CREDENTIALS_LIFETIME: Duration = Duration::from_secs(10);

pub(super) fn check(settings: &Settings, mistakes: &mut Mistakes) {
    let found = [
        insecure(settings, "http.listen", settings.http.listen),
        settings.stomp.tcp_listen.and_then(|listen| insecure(settings, "stomp.tcp_listen", listen)),
        client_url(settings),
        half_tls(settings),
        turn_without_tls(settings),
        tls_host(settings),
        workers(settings),
        ports(settings, "media.udp_port", settings.media.udp_port),
        settings.media.tcp_port.and_then(|port| ports(settings, "media.tcp_port", port)),
        public_ip(settings),
        realm(settings),
        relay_ip(settings),
        bits_per_second(settings),
        credentials_lifetime(settings),
        frames_fit_outbox(settings),
    ];
    let origins = settings.http.allowed_origins.iter().filter_map(|text| origin(text));
    let found = found
        .into_iter()
        .flatten()
        .chain(origins)
        .chain(prefixes(settings))
        .chain(positive_limits(settings))
        .chain(positive_times(settings))
        .chain(weak_secrets(settings))
        .chain(webhook_urls(settings))
        .chain(public_ports(settings))
        .chain(forgeable_keys(settings))
        .chain(repeated_users(settings));
    found.for_each(|reason| mistakes.push(Mistake::refused(reason)));
}

fn insecure(settings: &Settings, key: &str, listen: SocketAddr) -> Option<String> {
    if settings.insecure || settings.auth.required || listen.ip().is_loopback() {
        return None;
    }
    Some(format!(
        "`{key}` is {listen}, which other machines can reach, but authentication is off: anybody could enter every \
         room. Require tokens (--set auth.required=true, {required}=true), listen on 127.0.0.1:{port}, or \
         pass --insecure (key `insecure`, {variable}=true) if that is intended",
        port = listen.port(),
        required = variable("auth.required"),
        variable = variable("insecure"),
    ))
}

/// Port 0 lets the system choose when binding a socket, but clients cannot connect to it.
fn public_ports(settings: &Settings) -> impl Iterator<Item = String> {
    let ports = [
        ("http.public_port", settings.http.public_port),
        ("turn.public_port", settings.turn.public_port),
        ("turn.tls_public_port", settings.turn.tls_public_port),
    ];
    let zeros = ports.into_iter().filter(|(_, port)| *port == Some(0));
    zeros.map(|(key, _)| format!("`{key}` must be 1 to 65535"))
}

fn weak_secrets(settings: &Settings) -> impl Iterator<Item = String> {
    let secret = settings.auth.secret.iter().map(|secret| ("auth.secret", secret));
    let token = settings.metrics.token.iter().map(|secret| ("metrics.token", secret));
    let secret = secret.chain(token);
    let keys = settings.auth.api_keys.iter().map(|key| ("auth.api_keys", key));
    let webhooks = settings.webhooks.secret.iter().map(|secret| ("webhooks.secret", secret));
    secret.chain(keys).chain(webhooks).filter_map(|(key, secret)| {
        let weakness = weakness(secret.expose())?;
        Some(format!(
            "a secret in `{key}` {weakness}. `openssl rand -base64 32` makes a strong one; without the key, the server \
             makes one itself"
        ))
    })
}

/// Calls to one URL are made in order, so each URL may appear only once.
fn webhook_urls(settings: &Settings) -> impl Iterator<Item = String> {
    let urls = &settings.webhooks.urls;
    let too_many = (urls.len() > MOST_URLS).then(|| {
        format!("`webhooks.urls` has {count} URLs; the maximum is {MOST_URLS}", count = urls.len())
    });
    let wrong = urls.iter().enumerate().filter_map(|(index, url)| {
        let is_url = reqwest::Url::parse(url)
            .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if !is_url {
            return Some(format!(
                "`webhooks.urls` has `{shown}`, which is not an http:// or https:// URL",
                shown = shown_url(url),
            ));
        }
        let is_repeated = urls[..index].contains(url);
        is_repeated.then(|| format!("`webhooks.urls` has `{}` twice", shown_url(url)))
    });
    wrong.chain(too_many)
}

fn forgeable_keys(settings: &Settings) -> Option<String> {
    let source = settings.auth.jwks.as_ref()?;
    source.is_forgeable().then(|| {
        format!(
            "`auth.jwks` is {source}: without TLS, anybody on the network path can replace the keys. Use https://, or \
             a file"
        )
    })
}

fn half_tls(settings: &Settings) -> Option<String> {
    let tls = &settings.http.tls;
    let (given, missing) = match (&tls.cert, &tls.key) {
        (Some(_), None) => ("http.tls.cert", "http.tls.key"),
        (None, Some(_)) => ("http.tls.key", "http.tls.cert"),
        _ => return None,
    };
    Some(format!("`{given}` needs `{missing}` as well: HTTPS requires a certificate and its key"))
}

fn turn_without_tls(settings: &Settings) -> Option<String> {
    let tls = &settings.http.tls;
    let listen = settings.turn.tls_listen.filter(|_| tls.cert.is_none() && tls.key.is_none())?;
    Some(format!(
        "`turn.tls_listen` = {listen} needs `http.tls.cert` and `http.tls.key`: \
         TURN over TLS and DTLS uses the certificate of HTTPS"
    ))
}

/// Browsers reject all ICE servers if the URL of one is malformed, so nobody could join.
fn tls_host(settings: &Settings) -> Option<String> {
    let host = settings.turn.tls_host.as_ref()?;
    ServerName::try_from(host.as_str()).is_err().then(|| {
        format!("`turn.tls_host` must be a host's name, as meet.example.com, or an IP address, not `{host}`")
    })
}

/// The URL is inserted into a page and into its Content-Security-Policy.
fn client_url(settings: &Settings) -> Option<String> {
    let url = &settings.sockjs.client_url;
    let is_plain = url.bytes().all(|c| c.is_ascii_graphic() && !b"\"'<>;,".contains(&c));
    let is_known =
        url.starts_with('/') || url.starts_with("https://") || url.starts_with("http://");
    (!is_plain || !is_known).then(|| {
        format!("`sockjs.client_url` must be a path or a URL, as https://example.com/sockjs.min.js, not `{url}`")
    })
}

fn workers(settings: &Settings) -> Option<String> {
    let workers = settings.media.workers;
    (!(1..=MOST_WORKERS).contains(&workers))
        .then(|| format!("`media.workers` must be from 1 to {MOST_WORKERS}, not {workers}"))
}

fn ports(settings: &Settings, key: &str, first: u16) -> Option<String> {
    let workers = settings.media.workers.clamp(1, MOST_WORKERS);
    let last = usize::from(first) + workers - 1;
    (first != 0 && last > usize::from(u16::MAX)).then(|| {
        format!("`{key}` = {first} leaves no ports for {workers} workers: the last worker would need port {last}")
    })
}

fn public_ip(settings: &Settings) -> Option<String> {
    let ips = &settings.media.public_ip;
    if ips.len() > MOST_PUBLIC_IPS {
        let count = ips.len();
        return Some(format!(
            "`media.public_ip` has {count} addresses; {MOST_PUBLIC_IPS} are the most, because clients try each"
        ));
    }
    let unusable = ips.iter().find(|ip| ip.is_unspecified() || ip.is_multicast())?;
    Some(format!("`media.public_ip` has {unusable}, which clients can't reach"))
}

fn realm(settings: &Settings) -> Option<String> {
    let (bytes, most) = (settings.turn.realm.len(), madang_turn::Config::MAX_REALM_BYTES);
    (bytes > most).then(|| format!("`turn.realm` must have at most {most} bytes, not {bytes}"))
}

fn relay_ip(settings: &Settings) -> Option<String> {
    let ips = &settings.turn.relay_ip;
    let count = |is_ipv4| ips.iter().filter(|ip| ip.to_canonical().is_ipv4() == is_ipv4).count();
    let is_definite = ips.iter().all(|ip| !ip.is_unspecified() && !ip.is_multicast());
    (count(true) > 1 || count(false) > 1 || !is_definite)
        .then(|| "`turn.relay_ip` must be an address, or one of IPv4 and one of IPv6".to_owned())
}

/// With a lower limit, no full-size packet would ever pass.
fn bits_per_second(settings: &Settings) -> Option<String> {
    let (limit, least) = (settings.turn.bits_per_second, madang_turn::Config::MIN_BITS_PER_SECOND);
    (1..least).contains(&(limit as u64)).then(|| {
        format!("`turn.bits_per_second` must be 0, for no limit, or at least {least}, not {limit}")
    })
}

/// With a shorter lifetime, a client could not use the credentials before they end.
fn credentials_lifetime(settings: &Settings) -> Option<String> {
    let lifetime = settings.turn.credentials_lifetime;
    (lifetime < LEAST_CREDENTIALS_LIFETIME).then(|| {
        format!("`turn.credentials_lifetime` must be at least {LEAST_CREDENTIALS_LIFETIME:?}, not {lifetime:?}")
    })
}

/// It would be ambiguous which password is valid.
fn repeated_users(settings: &Settings) -> impl Iterator<Item = String> {
    let users = &settings.turn.users;
    let repeated = users
        .iter()
        .enumerate()
        .filter(|(index, user)| users[..*index].iter().any(|former| former.name == user.name));
    repeated.map(|(_, user)| format!("`turn.users` has `{}` twice", user.name))
}

/// The limits for which 0 does not mean "no limit".
fn positive_limits(settings: &Settings) -> impl Iterator<Item = String> {
    let limits = &settings.limits;
    let positive = [
        ("subscriptions", limits.subscriptions),
        ("outbox_messages", limits.outbox_messages),
        ("outbox_bytes", limits.outbox_bytes),
        ("chat_bytes", limits.chat_bytes),
    ];
    let zeros = positive.into_iter().filter(|(_, value)| *value == 0);
    zeros.map(|(key, _)| format!("`limits.{key}` must be at least 1"))
}

/// With a timeout of zero, nobody could connect.
fn positive_times(settings: &Settings) -> impl Iterator<Item = String> {
    let limits = &settings.limits;
    let times =
        [("connect_timeout", limits.connect_timeout), ("request_timeout", limits.request_timeout)];
    let zeros = times.into_iter().filter(|(_, time)| time.is_zero());
    zeros.map(|(key, _)| format!("`limits.{key}` must be longer than 0s"))
}

fn frames_fit_outbox(settings: &Settings) -> Option<String> {
    let (frame, outbox) = (settings.limits.frame_bytes, settings.limits.outbox_bytes);
    (frame > outbox).then(|| {
        format!(
            "`limits.outbox_bytes` = {outbox} must hold a frame of `limits.frame_bytes` = {frame}"
        )
    })
}

/// Checks for `scheme://host[:port]`, as a browser serializes an origin (RFC 6454 §6.2).
fn origin(text: &str) -> Option<String> {
    let is_origin = || {
        let uri: Uri = text.parse().ok()?;
        let spelled = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
        (spelled == text).then_some(())
    };
    (text != "*" && is_origin().is_none()).then(|| {
        format!("`http.allowed_origins` has `{text}`; an origin looks like https://example.com")
    })
}

fn prefixes(settings: &Settings) -> Vec<String> {
    let app = settings.app_prefixes.iter().map(|prefix| ("app_prefixes", prefix));
    let broker = settings.broker_prefixes.iter().map(|prefix| ("broker_prefixes", prefix));
    let mut mistakes: Vec<String> = app
        .chain(broker)
        .filter(|(_, prefix)| !is_prefix(prefix))
        .map(|(key, prefix)| format!("`{key}` has `{prefix}`; a prefix is one segment, as /app"))
        .collect();
    let both =
        settings.app_prefixes.iter().filter(|prefix| settings.broker_prefixes.contains(prefix));
    mistakes.extend(both.map(|prefix| {
        format!(
            "`{prefix}` is in `app_prefixes` and in `broker_prefixes`; it can be in one of them only"
        )
    }));
    mistakes
}

/// A prefix is one segment. `/user` is reserved for the server.
fn is_prefix(prefix: &str) -> bool {
    prefix.strip_prefix('/').is_some_and(|segment| {
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        !segment.is_empty() && segment != "user" && segment.chars().all(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn settings_of_turn_that_do_not_say_what_is_meant_are_refused() {
        for (key, value, expected) in [
            (
                "turn.bits_per_second",
                "11999",
                "must be 0, for no limit, or at least 12000, not 11999",
            ),
            ("turn.credentials_lifetime", "9s", "must be at least 10s, not 9s"),
            ("turn.users", "하늘:a,alice:b,하늘:c", "`turn.users` has `하늘` twice"),
        ] {
            let flags = vec![(key.to_owned(), value.to_owned())];

            let mistakes = Settings::load(Sources { flags, ..Sources::default() }).unwrap_err();

            assert!(mistakes.to_string().contains(expected), "{mistakes}");
        }
    }
}
