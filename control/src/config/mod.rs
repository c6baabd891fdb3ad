//! The configuration.
//!
//! ```text
//! defaults < file (--config) < environment (MADANG_HTTP__LISTEN) < flags (--listen, --set http.listen=…)
//! ```
//!
//! `keys` is the table of all keys: name, meaning, and the field of [`Settings`] behind it. Reading, `madang check`,
//! `madang --help` and the documents walk that table. A key that is not in it is a mistake. All mistakes are reported at
//! once, before the first port opens.

mod checks;
mod keys;
mod mistakes;
mod url_here;
mod value;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use config::{Environment, File, FileFormat, Value, ValueKind};
use madang_turn::PeerRule;
use madang_wire::Secret;

pub use self::mistakes::{Mistake, Mistakes};
pub(crate) use self::url_here::url_here;
pub(crate) use self::value::duration;

use crate::auth::AuthSettings;
use crate::edge::{sockjs, tls};
use crate::hub::HubConfig;
use crate::limits::Limits;
use crate::relay::RelayUrl;
use crate::rooms::RoomCreation;
use crate::secrets::shown_url;
use crate::store::StoreUrl;

/// The merged configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The port of HTTP.
    pub http: Http,
    /// The key `insecure`.
    pub insecure: bool,
    /// Authentication.
    pub auth: AuthSettings,
    /// The key `data_dir`.
    pub data_dir: PathBuf,
    /// The database.
    pub store: Store,
    /// The media engine.
    pub media: Media,
    /// The built-in TURN server.
    pub turn: Turn,
    /// STOMP over plain TCP.
    pub stomp: Stomp,
    /// SockJS.
    pub sockjs: sockjs::Config,
    /// Limits per client, per room and in total.
    pub limits: Limits,
    /// The key `resume_grace`.
    pub resume_grace: Duration,
    /// The key `app_prefixes`.
    pub app_prefixes: Vec<String>,
    /// The key `broker_prefixes`.
    pub broker_prefixes: Vec<String>,
    /// The external broker.
    pub broker: Broker,
    /// Calls to other programs.
    pub webhooks: Webhooks,
    /// The metrics page.
    pub metrics: Metrics,
    /// Defaults for rooms that don't override them.
    pub rooms: Rooms,
}

/// `rooms.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rooms {
    pub created_by: RoomCreation,
    pub chat_retention_days: u32,
}

/// `broker.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Broker {
    pub relay: Option<RelayUrl>,
}

/// `webhooks.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Default, PartialEq)]
pub struct Webhooks {
    pub urls: Vec<String>,
    pub secret: Option<Secret>,
}

/// Omits the credentials in the URLs.
impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|url| shown_url(url)).collect();
        f.debug_struct("Webhooks").field("urls", &urls).field("secret", &self.secret).finish()
    }
}

/// `metrics.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    pub token: Option<Secret>,
}

/// `http.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    pub listen: SocketAddr,
    pub public_port: Option<u16>,
    pub allowed_origins: Vec<String>,
    pub tls: HttpTls,
}

/// `http.tls.*`: both or neither.
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpTls {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl HttpTls {
    /// The paths of certificate and key; None without TLS.
    pub fn files(&self) -> Option<tls::Files> {
        let (cert, key) = (self.cert.clone()?, self.key.clone()?);
        Some(tls::Files { cert, key })
    }
}

/// `stomp.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stomp {
    pub tcp_listen: Option<SocketAddr>,
}

/// `store.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    pub url: Option<StoreUrl>,
}

/// `media.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    pub udp_port: u16,
    pub tcp_port: Option<u16>,
    pub public_ip: Vec<IpAddr>,
    pub workers: usize,
    pub audio_bits_per_second: u64,
    pub video_bits_per_second: u64,
    pub participant_bits_per_second: u64,
}

/// `turn.*`
#[expect(missing_docs, reason = "`keys` has the meaning of each key")]
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    pub enabled: bool,
    pub listen: Option<SocketAddr>,
    pub public_port: Option<u16>,
    pub tls_listen: Option<SocketAddr>,
    pub tls_public_port: Option<u16>,
    pub tls_host: Option<String>,
    pub relay_ip: Vec<IpAddr>,
    pub relay_ports: RangeInclusive<u16>,
    pub allow_peers: Vec<PeerRule>,
    pub deny_peers: Vec<PeerRule>,
    pub users: Vec<TurnUser>,
    pub credentials_lifetime: Duration,
    pub realm: String,
    pub allocations: usize,
    pub allocations_per_user: usize,
    pub allocations_per_address: usize,
    pub bits_per_second: usize,
    pub strangers_per_second: u32,
}

/// A TURN user with a permanent password, written `name:password`.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnUser {
    /// Contains no colon.
    pub name: String,
    /// The text after the first colon; may contain colons.
    pub password: Secret,
}

impl Default for Settings {
    fn default() -> Settings {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let hub = HubConfig::default();
        let turn = madang_turn::Config::default();
        let published = madang_sfu::BitrateLimits::default();
        Settings {
            http: Http {
                listen: SocketAddr::new(loopback, 8080),
                public_port: None,
                allowed_origins: Vec::new(),
                tls: HttpTls::default(),
            },
            stomp: Stomp::default(),
            sockjs: sockjs::Config::default(),
            insecure: false,
            auth: AuthSettings::default(),
            data_dir: PathBuf::from("./madang-data"),
            store: Store::default(),
            media: Media {
                udp_port: 5004,
                tcp_port: None,
                public_ip: Vec::new(),
                workers: std::thread::available_parallelism().map_or(1, usize::from),
                audio_bits_per_second: published.audio,
                video_bits_per_second: published.video,
                participant_bits_per_second: published.peer,
            },
            turn: Turn {
                enabled: true,
                listen: None,
                public_port: None,
                tls_listen: None,
                tls_public_port: None,
                tls_host: None,
                relay_ip: Vec::new(),
                relay_ports: turn.relay_ports,
                allow_peers: Vec::new(),
                deny_peers: Vec::new(),
                users: Vec::new(),
                credentials_lifetime: Duration::from_secs(12 * 60 * 60),
                realm: turn.realm,
                allocations: turn.max_allocations,
                allocations_per_user: turn.max_allocations_per_user,
                allocations_per_address: turn.max_allocations_per_address,
                bits_per_second: 0,
                strangers_per_second: turn.strangers_per_second,
            },
            limits: hub.limits,
            resume_grace: hub.resume_grace,
            app_prefixes: hub.app_prefixes,
            broker_prefixes: hub.broker_prefixes,
            broker: Broker { relay: hub.relay },
            webhooks: Webhooks::default(),
            metrics: Metrics::default(),
            rooms: Rooms::default(),
        }
    }
}

/// The sources of settings, in ascending priority.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables. Only those that start with `MADANG_` are read.
    pub environment: HashMap<String, String>,
    /// Keys and values given as flags.
    pub flags: Vec<(String, String)>,
}

/// The environment variable that names the file, as `--config` does. It is not a key.
pub const CONFIG_VARIABLE: &str = "MADANG_CONFIG";

impl Settings {
    /// Merges the sources over the defaults.
    ///
    /// # Errors
    /// All mistakes that were found, at once.
    pub fn load(sources: Sources) -> Result<Settings, Mistakes> {
        let mut mistakes = Mistakes::default();
        let merged = merge(sources).map_err(Mistakes::from)?;

        let mut settings = Settings::default();
        for (name, value) in flatten(merged) {
            match keys::find(&name) {
                Some(key) => {
                    if let Err(reason) = (key.set)(&mut settings, &value) {
                        mistakes.push(match key.is_secret {
                            true => Mistake::wrong_secret(&name, &value, reason),
                            false => Mistake::wrong(&name, &value, reason),
                        });
                    }
                }
                None => mistakes.push(Mistake::unknown(&name, &value)),
            }
        }
        checks::check(&settings, &mut mistakes);
        mistakes.into_result(settings)
    }

    /// Checks the settings as [`Settings::load`] does: each value, and how they fit together.
    ///
    /// # Errors
    /// All mistakes that were found, at once.
    pub fn check(&self) -> Result<(), Mistakes> {
        let mut mistakes = Mistakes::default();
        checks::check(self, &mut mistakes);
        mistakes.into_result(())
    }

    /// Every key with its value, as a TOML file that gives the same settings, secrets apart.
    pub fn to_toml(&self) -> String {
        keys::render(self)
    }

    /// The database to open.
    pub fn store_url(&self) -> StoreUrl {
        let url = self.store.url.clone();
        url.unwrap_or_else(|| StoreUrl::of_file(&self.data_dir.join("madang.db")))
    }
}

/// Every key with its variable, default and meaning, for `madang --help`.
pub fn help() -> String {
    keys::help()
}

/// Every key with its meaning and default, as a TOML file in which all are commented out.
pub fn example() -> String {
    keys::example()
}

/// Every key with its meaning and default, as a document in Markdown.
pub fn document() -> String {
    keys::document()
}

/// The environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("MADANG_{}", key.replace('.', "__").to_uppercase())
}

fn merge(sources: Sources) -> Result<Value, config::ConfigError> {
    let mut builder = config::Config::builder();
    if let Some(path) = &sources.file {
        builder = builder.add_source(File::from(path.as_path()).format(FileFormat::Toml));
    }
    let environment = sources.environment.into_iter().filter(|(name, _)| is_ours(name)).collect();
    builder = builder.add_source(
        Environment::with_prefix("MADANG")
            .prefix_separator("_")
            .separator("__")
            .source(Some(environment)),
    );
    for (key, value) in sources.flags {
        builder = builder.set_override(key, value)?;
    }
    Ok(builder.build()?.cache)
}

/// Whether a variable is a setting. Kubernetes sets `MADANG_PORT`, `MADANG_SERVICE_HOST` and the like in every
/// container if a service is called "madang"; they are not settings.
fn is_ours(variable: &str) -> bool {
    let of_kubernetes = variable == "MADANG_PORT"
        || variable.starts_with("MADANG_PORT_")
        || variable.starts_with("MADANG_SERVICE_");
    variable != CONFIG_VARIABLE && !of_kubernetes
}

/// The leaves of a tree of tables, with dotted names, sorted by name.
fn flatten(root: Value) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    let mut tables = vec![(String::new(), root)];
    while let Some((prefix, value)) = tables.pop() {
        match value.kind {
            ValueKind::Table(table) => {
                for (name, value) in table {
                    let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    tables.push((name, value));
                }
            }
            _ => leaves.push((prefix, value)),
        }
    }
    leaves.retain(|(name, _)| !name.is_empty());
    leaves.sort_by(|(left, _), (right, _)| left.cmp(right));
    leaves
}

#[cfg(test)]
mod tests;
