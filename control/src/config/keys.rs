//! The table of all keys. The meaning of a key stands here alone; `madang --help`, `madang check`, docs/configuration.md and
//! docs/madang.example.toml are made from it.

use std::fmt::Write;

use config::Value;

use super::value::Setting;
use super::{Settings, variable};
use crate::secrets::shown_url;

/// A key of the configuration.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Its meaning with units and range, and its default if that is not a plain value.
    meaning: &'static str,
    /// Whether its value must not be printed. The type of the field determines this.
    pub(super) is_secret: bool,
    pub(super) set: fn(&mut Settings, &Value) -> Result<(), String>,
    show: fn(&Settings) -> Option<toml::Value>,
}

macro_rules! keys {
    ($($($field:ident).+: $meaning:literal)*) => {
        &[$(Key {
            name: concat_dotted!($($field).+),
            meaning: $meaning,
            is_secret: is_secret(|settings| &settings.$($field).+),
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

const fn is_secret<T: Setting>(_field: fn(&Settings) -> &T) -> bool {
    T::IS_SECRET
}

const KEYS: &[Key] = keys! {
    insecure: "serve clients on other machines without authentication"
    data_dir: "directory of the SQLite file and of secrets that the server makes for itself"
    resume_grace: "how long a participant stays in the room after its connection dropped"
    app_prefixes: "destination prefixes of requests to the server"
    broker_prefixes: "destination prefixes that the broker serves; /queue is point-to-point, all others are publish/subscribe"
    auth.required: "require a token from every client"
    auth.secret: "secret for signing and verifying tokens (HS256), at least 32 bytes. Default: made by the server, in the file auth.secret in data_dir, unless auth.jwks is set"
    auth.jwks: "file or https:// URL of a JWK set: public keys that verify tokens of another issuer (ES256, ES384, RS256, PS256, EdDSA). Default: none"
    auth.issuer: "required `iss` of tokens. Default: any"
    auth.audience: "required value in `aud` of tokens. Default: any"
    auth.api_keys: "keys of the REST interface, at least 32 characters each. Default: one made by the server, in the file api.key in data_dir"
    broker.relay: "external broker (RabbitMQ, ActiveMQ, Artemis) for topics and queues outside rooms, as stomp://user:password@host:61613/vhost. Default: none; topics and queues live in this server"
    rooms.created_by: "who creates rooms: join (the first to join one) or rest (only operators, through REST)"
    rooms.chat_retention_days: "days after which chat is deleted, for rooms without a setting of their own; 0: never"
    http.listen: "address of the web client, STOMP, SockJS, REST and metrics (TCP)"
    http.public_port: "port at which clients reach http.listen through a port mapping; the server announces it for TURN over TLS and for media over TCP. Default: the port of http.listen"
    http.allowed_origins: "other origins whose pages may connect, as https://app.example; * allows all. The server's own pages always may"
    http.tls.cert: "PEM file with the certificate for HTTPS, followed by the chain to its issuer; reloaded when it changes. Default: none, HTTP without TLS"
    http.tls.key: "PEM file with the private key of the certificate. Default: none, HTTP without TLS"
    stomp.tcp_listen: "address of STOMP over plain TCP, for programs that are not browsers. Default: none"
    sockjs.cookie: "set the cookie JSESSIONID, which some load balancers need to route a SockJS session to one server"
    sockjs.client_url: "URL from which the SockJS iframe page loads sockjs-client; must be the version that the pages use"
    store.url: "database: sqlite:// and the path of a file, or postgres://user:password@host/database, mysql://… or mariadb://…. Default: madang.db in data_dir"
    media.udp_port: "UDP port of the first media worker; each further worker takes the next port; 0: any free ports"
    media.tcp_port: "TCP port of the first media worker, for clients whose network blocks UDP; 0: any free ports. Default: the number of media.udp_port"
    media.public_ip: "addresses at which clients reach this server's media and TURN ports, the preferred one first. Default: the machine's own addresses"
    media.workers: "threads that forward media. Default: the number of cores"
    media.audio_bits_per_second: "most that a participant may send on one m-line with audio, in bits per second; packets beyond are dropped; 0: no limit"
    media.video_bits_per_second: "most that a participant may send on one m-line with video, in bits per second, for each simulcast layer; packets beyond are dropped; 0: no limit"
    media.participant_bits_per_second: "most that a participant may send on all m-lines together, in bits per second; packets beyond are dropped; 0: no limit"
    turn.enabled: "run the built-in TURN server"
    turn.listen: "address of the TURN server (UDP and TCP). Default: port 3478 at the address of the media ports"
    turn.public_port: "port at which clients reach turn.listen through a port mapping. Default: the port of turn.listen"
    turn.tls_listen: "address of TURN over TLS (TCP) and DTLS (UDP) with the certificate of HTTPS, conventionally port 5349. DTLS requires an ECDSA key on P-256 or P-384. Default: none; with a certificate, http.listen serves TURN over TLS in any case"
    turn.tls_public_port: "port at which clients reach turn.tls_listen through a port mapping. Default: the port of turn.tls_listen"
    turn.tls_host: "host name in the turns: URLs that clients get. Default: the first name in http.tls.cert that is not a wildcard; without one, clients get no turns: URL"
    turn.relay_ip: "addresses of relayed clients: one, or one per address family. Default: the addresses of media"
    turn.relay_ports: "ports of relayed addresses; the server opens sockets on them only if turn.allow_peers is set"
    turn.allow_peers: "peers that TURN may relay to besides this server's media: addresses or networks, optionally with ports, as 192.0.2.0/24:5000-5999 or [2001:db8::7]:53. Private and other special addresses need a rule that lies within their range"
    turn.deny_peers: "peers that TURN must not relay to even if turn.allow_peers contains them"
    turn.users: "users with a permanent password, as name:password. Participants get short-lived credentials and need no entry"
    turn.credentials_lifetime: "how long the TURN credentials of a participant are valid, at least 10s; the server renews them before they end"
    turn.realm: "realm of the TURN credentials; with at most 8 bytes, answers to unauthenticated requests stay below twice the size of the request"
    turn.allocations: "maximum number of allocations at a time"
    turn.allocations_per_user: "maximum number of allocations of one user at a time"
    turn.allocations_per_address: "maximum number of allocations of one client address at a time"
    turn.bits_per_second: "rate limit of one allocation in each direction, in bits per second, at least 12000; 0: no limit"
    turn.strangers_per_second: "unauthenticated requests per second that one client address gets answers to, with twice as many in a burst; 0: no limit"
    webhooks.urls: "URLs that get a POST with JSON for what happens in rooms, at most 16. Default: none"
    webhooks.secret: "secret that signs webhook calls. Default: made by the server, in the file webhook.secret in data_dir"
    metrics.token: "token that /metrics requires, as `Authorization: Bearer …`, at least 32 characters; only with it does /readyz say what is wrong. Default: none; both are open to everybody"
    limits.frame_bytes: "maximum size of a STOMP frame, in bytes; 0: no limit"
    limits.headers: "maximum number of headers in a STOMP frame; 0: no limit"
    limits.header_bytes: "maximum size of a header line in a STOMP frame, in bytes; 0: no limit"
    limits.messages_per_second: "SEND and SUBSCRIBE frames per second and session, with twice as many in a burst; 0: no limit"
    limits.offers_per_second: "joins and renegotiations with an SDP offer per second and session, with three times as many in a burst; 0: no limit"
    limits.connections: "maximum number of STOMP connections; 0: no limit"
    limits.connections_per_address: "maximum number of STOMP connections from one client address; 0: no limit"
    limits.connect_timeout: "time from opening a connection to CONNECT"
    limits.request_timeout: "time for sending the head of an HTTP request, and for staying silent between two requests"
    limits.changes_per_second: "changes of its state and reactions of one participant per second, with twice as many in a burst; 0: no limit"
    limits.participants_per_room: "maximum number of participants in a room; 0: no limit"
    limits.rooms: "maximum number of open rooms, of which one in twenty is for operators (REST) alone; 0: no limit"
    limits.rooms_per_user: "maximum number of open rooms that one user, or all guests of one client address (IPv6: /64), have opened; 0: no limit"
    limits.subscriptions: "maximum number of subscriptions in a session"
    limits.outbox_messages: "messages that may wait for a slow client before limits.slow_room_state and limits.slow_topics apply"
    limits.outbox_bytes: "bytes that may wait for a slow client before limits.slow_room_state and limits.slow_topics apply"
    limits.memory_bytes: "memory held for all clients together, in bytes: messages that wait to be sent, frames that have arrived in part, and open transactions; one client may hold a quarter of the rest of it; 0: no limit. Default: 1/256 of the memory of the machine or cgroup, at least 64 MiB and at most 512 MiB"
    limits.slow_room_state: "policy for speakers, changed participants and the list of rooms when a client is too slow: coalesce (send only the latest), drop_oldest, or disconnect (with an ERROR)"
    limits.slow_topics: "policy for messages that clients publish on topics, with the same values. Chat, queues and replies always disconnect a client that is too slow"
    limits.chat_bytes: "maximum size of a chat message, in bytes"
    limits.user_chat_bytes_per_minute: "chat of one user, or of all guests of one client address (IPv6: /64), that is stored in a minute, in bytes; a message counts its text and 200 bytes; 0: no limit"
    limits.room_chat_bytes_per_minute: "chat of one room that is stored in a minute, in bytes; 0: no limit"
    limits.chat_bytes_per_minute: "chat of all rooms that is stored in a minute, in bytes; 0: no limit"
    limits.store_free_bytes: "space that has to be free on the disk of an SQLite file, in bytes, or a tenth of a smaller disk; while less is free, chat is refused; 0: the disk is not watched"
};

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that the writer of an unknown name probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    // With more than a third of the letters wrong, it is not a typing error.
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
        // Types with a password hide it by themselves.
        let hide = |value| if key.is_secret { value } else { without_credentials(value) };
        let line = match (key.show)(settings).map(hide) {
            Some(value) => format!("{name} = {value}\n"),
            None => format!("# {name} is not set: {}\n", key.meaning),
        };
        text.push_str(&line);
    }
    text
}

pub(super) fn help() -> String {
    let mut text = String::new();
    for key in KEYS {
        let default = match key.default() {
            Some(value) => format!(" [default: {}]", as_text(&value)),
            None => String::new(),
        };
        let (name, variable, meaning) = (key.name, variable(key.name), key.meaning);
        write!(text, "  {name:<33} {variable}\n      {meaning}{default}\n")
            .expect("writing to a String can't fail");
    }
    text
}

/// A TOML file in which every key is commented out.
pub(super) fn example() -> String {
    let mut text = "# Every key of Madang with its default. Remove the `#` in front of a key, and of its section, to set it.\n\
                    # Made by `madang keys --format toml`.\n"
        .to_owned();
    let mut section = "";
    for key in KEYS {
        let (table, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if table != section {
            write!(text, "\n#[{table}]\n").expect("writing to a String can't fail");
            section = table;
        }
        let default = key.default().map_or_else(|| "…".to_owned(), |value| value.to_string());
        write!(text, "\n# {}\n#{name} = {default}\n", key.meaning)
            .expect("writing to a String can't fail");
    }
    text
}

/// The keys as a document in Markdown.
pub(super) fn document() -> String {
    let mut text = "# Configuration keys\n\n\
        [operations.md](operations.md#configuration) explains how keys are set; [madang.example.toml](madang.example.toml) has \
        them as a file.\nThe environment variable of a key is `MADANG_` and the key in upper case, with `__` for the dots.\n\n\
        <!-- Made by `madang keys --format markdown`. -->\n\n| key | default | meaning |\n| --- | --- | --- |\n"
        .to_owned();
    for key in KEYS {
        let (meaning, default) = match (key.meaning.split_once(" Default: "), key.default()) {
            (Some((meaning, default)), _) => (meaning, default.to_owned()),
            (None, Some(value)) => (key.meaning, format!("`{}`", as_text(&value))),
            (None, None) => (key.meaning, "none".to_owned()),
        };
        writeln!(text, "| `{}` | {default} | {} |", key.name, meaning.trim_end_matches('.'))
            .expect("writing to a String can't fail");
    }
    text
}

impl Key {
    /// Its default, unless that is not a plain value; then its meaning says what it is.
    fn default(&self) -> Option<toml::Value> {
        (self.show)(&Settings::default()).filter(|_| !self.meaning.contains("Default:"))
    }
}

/// The value with its URLs as they are shown.
fn without_credentials(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) if text.contains("://") => shown_url(&text).into(),
        toml::Value::Array(items) => {
            toml::Value::Array(items.into_iter().map(without_credentials).collect())
        }
        other => other,
    }
}

/// A value as it is written in an environment variable.
fn as_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) if items.is_empty() => "none".to_owned(),
        toml::Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The number of letters to insert, remove or replace to turn one text into the other (Levenshtein distance).
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
