//! The table of all keys.

use std::fmt::Write;

use config::Value;

use super::value::Setting;
use super::{Settings, variable};

/// A key of the configuration.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it means, and its default where that is not a plain value.
    meaning: &'static str,
    pub(super) set: fn(&mut Settings, &Value) -> Result<(), String>,
    show: fn(&Settings) -> Option<toml::Value>,
}

macro_rules! keys {
    ($($($field:ident).+: $meaning:literal)*) => {
        &[$(Key {
            name: concat_dotted!($($field).+),
            meaning: $meaning,
            set: |settings, value| {
                settings.$($field).+ = Setting::read(value)?;
                Ok(())
            },
            show: |settings| settings.$($field).+.show(),
        }),*]
    };
}

macro_rules! concat_dotted {
    ($only:ident) => { stringify!($only) };
    ($first:ident . $($rest:ident).+) => { concat!(stringify!($first), ".", concat_dotted!($($rest).+)) };
}

const KEYS: &[Key] = keys! {
    insecure: "serve others, not only this machine, without authentication"
    data_dir: "directory of the database and self-made secrets"
    resume_grace: "how long a participant stays whose connection dropped"
    app_prefixes: "first segments of destinations that are requests to the server"
    broker_prefixes: "first segments of destinations that the broker serves"
    auth.required: "let nobody in without a token"
    auth.secret: "secret that tokens are signed with (HS256), 32 bytes or more. Default: a self-made one, in the file auth.secret in data_dir, unless auth.jwks is set"
    auth.jwks: "file or URL of a JWK set with public keys that verify tokens of another issuer (ES256, ES384, RS256, PS256, EdDSA). Default: none"
    auth.issuer: "what tokens must have as iss. Default: anything"
    auth.audience: "what tokens must have in aud. Default: anything"
    auth.api_keys: "keys of the REST interface, 32 characters or more each. Default: a self-made one, in the file api.key in data_dir"
    broker.relay: "external broker (RabbitMQ, ActiveMQ, Artemis) for topics and queues outside rooms, as stomp://user:password@host:61613/vhost. Default: none, they live in this server"
    rooms.created_by: "who creates rooms: join (whoever joins one first) or rest (operators alone)"
    rooms.chat_retention_days: "days after which chat is deleted, in rooms that don't say; 0: never"
    http.listen: "address of web page, STOMP and metrics (TCP)"
    http.public_port: "port that clients reach http.listen at, where a port mapping lies between; they are told it for TURN inside TLS and for media by TCP. Default: the same"
    http.allowed_origins: "origins besides the server's own whose pages may connect; * is every one"
    http.tls.cert: "PEM file with the certificate for HTTPS and those that lead to its issuer; read again when it changes. Default: HTTP without TLS"
    http.tls.key: "PEM file with the certificate's private key. Default: HTTP without TLS"
    stomp.tcp_listen: "address of plain STOMP, for programs that are not browsers (TCP). Default: nowhere"
    sockjs.cookie: "set the cookie JSESSIONID, which some load balancers need to find a SockJS session's server"
    sockjs.client_url: "where the SockJS iframe page loads sockjs-client from, in the version that the sites' pages have"
    store.url: "database: sqlite:// and the path of a file, or postgres://user:password@host/database, or the same with mysql:// or mariadb://. Default: madang.db in data_dir"
    media.udp_port: "UDP port of the first media worker, the others take the next ones; 0: any free ports"
    media.tcp_port: "TCP port of the first media worker, for clients without UDP; 0: any free ports. Default: the number of media.udp_port"
    media.public_ip: "addresses that clients reach this server at, the preferred one first. Default: the machine's own"
    media.workers: "threads that forward media. Default: number of cores"
    turn.enabled: "run the bundled TURN server"
    turn.listen: "address of the TURN server (UDP and TCP). Default: port 3478 beside the media ports"
    turn.public_port: "port that clients reach turn.listen at, where a port mapping lies between. Default: the same"
    turn.tls_listen: "address of TURN inside TLS (TCP) and DTLS (UDP), with the certificate of HTTPS; conventionally at port 5349. DTLS needs one with an ECDSA key on P-256 or P-384. Default: nowhere; with a certificate, TURN inside TLS is at the port of http.listen in any case"
    turn.tls_public_port: "port that clients reach turn.tls_listen at, where a port mapping lies between. Default: the same"
    turn.tls_host: "host name in the turns: URLs that clients are told. Default: the first name in http.tls.cert that is no wildcard; without one, clients are told none"
    turn.relay_ip: "addresses that relayed clients seem to have, one of a family or one of each. Default: those of media"
    turn.relay_ports: "ports of relayed addresses; sockets are opened for them only when turn.allow_peers names somebody"
    turn.allow_peers: "who else may be relayed to, besides this server's media: addresses or networks, with ports or without, as 192.0.2.0/24:5000-5999 or [2001:db8::7]:53. Private and other special addresses need a rule of their own"
    turn.deny_peers: "who may not, although turn.allow_peers has them"
    turn.users: "users with a lasting password, as name:password; others get short-lived credentials from this server"
    turn.realm: "realm of the TURN credentials; up to 8 bytes keep answers to strangers below twice what they asked"
    turn.allocations: "relayed clients at a time"
    turn.allocations_per_user: "relayed addresses of one user at a time"
    turn.allocations_per_address: "relayed addresses of one client address at a time"
    turn.bits_per_second: "what one relayed client may send, and receive, per second, in bits, 12000 or more; 0: no limit"
    turn.strangers_per_second: "requests without credentials that one client address gets answers to, twice as many at once; 0: no limit"
    webhooks.urls: "whom to tell what happens in rooms: URLs that take a POST of JSON, 16 at most. Default: nobody"
    webhooks.secret: "secret that these calls are signed with. Default: a self-made one, in the file webhook.secret in data_dir"
    limits.frame_bytes: "longest STOMP frame, in bytes; 0: no limit"
    limits.headers: "headers of one STOMP frame; 0: no limit"
    limits.header_bytes: "longest header line of a STOMP frame, in bytes; 0: no limit"
    limits.messages_per_second: "SEND and SUBSCRIBE frames of one session per second, twice as many at once; 0: no limit"
    limits.connections: "WebSocket connections in total; 0: no limit"
    limits.connections_per_address: "WebSocket connections of one client address; 0: no limit"
    limits.connect_timeout: "how long a client may take from opening a connection to its CONNECT"
    limits.request_timeout: "how long an HTTP client may take to send the head of a request, or between two"
    limits.participants_per_room: "participants of one room; 0: no limit"
    limits.rooms: "open rooms; 0: no limit"
    limits.subscriptions: "subscriptions of one session"
    limits.outbox_messages: "messages that wait for one client that reads slowly, before the next two keys apply"
    limits.outbox_bytes: "the same in bytes"
    limits.slow_room_state: "what then happens to speakers, changed participants and the list of rooms: coalesce (only the latest is sent), drop_oldest, or disconnect (with an ERROR)"
    limits.slow_topics: "the same for what clients publish on topics. Too much of anything else, as chat, queues and replies, always disconnects"
    limits.chat_bytes: "longest chat line, in bytes"
};

impl Key {
    /// Whether its value must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        [
            "auth.secret",
            "auth.api_keys",
            "broker.relay",
            "store.url",
            "turn.users",
            "webhooks.secret",
        ]
        .contains(&self.name)
    }
}

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that was probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    // More than a third of the letters wrong is not a slip of the finger.
    let tolerable = name.chars().count().div_ceil(3);
    let distances = KEYS.iter().map(|key| (edit_distance(key.name, name), key.name));
    distances.min().filter(|(distance, _)| *distance <= tolerable).map(|(_, name)| name)
}

/// A TOML file with every key.
pub(super) fn render(settings: &Settings) -> String {
    let mut text = String::new();
    let mut section = "";
    for key in KEYS {
        let (table, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if table != section {
            write!(text, "\n[{table}]\n").expect("writing to a String can't fail");
            section = table;
        }
        let line = match (key.show)(settings) {
            Some(value) => format!("{name} = {value}\n"),
            None => format!("# {name} is not set: {}\n", key.meaning),
        };
        text.push_str(&line);
    }
    text
}

pub(super) fn help() -> String {
    let defaults = Settings::default();
    let mut text = String::new();
    for key in KEYS {
        // What depends on the machine says so in its meaning.
        let default = match (key.show)(&defaults).filter(|_| !key.meaning.contains("Default:")) {
            Some(value) => format!(" [default: {}]", as_text(&value)),
            None => String::new(),
        };
        let (name, variable, meaning) = (key.name, variable(key.name), key.meaning);
        write!(text, "  {name:<33} {variable}\n      {meaning}{default}\n")
            .expect("writing to a String can't fail");
    }
    text
}

/// A value as an environment variable would have it.
fn as_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) if items.is_empty() => "none".to_owned(),
        toml::Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Letters to insert, remove or replace to make one text of the other (Levenshtein).
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
