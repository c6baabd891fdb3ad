//! Starts the parts of the server, connects them, and stops them in order.
//!
//! ```text
//!            ┌──────── http ────────┐
//! browsers ─▶│ pages, /ws, /metrics │─▶ hub ─▶ rooms ─▶ store
//!            └──────────────────────┘            │
//! browsers ─▶ media engine ◀────── commands ─────┘
//!               ▲     │  datagrams of relayed clients, by closures
//! browsers ─▶  TURN ◀─┘
//! ```
//!
//! The server starts in phases: ports, data, media, then the hub and the edge. The parts that a part needs exist before
//! it. Shutdown goes the other way, so that accepted work is finished: `/readyz` fails and sessions get their ERROR,
//! the ports close, webhook events are stored, media and TURN end, the store closes.
#![expect(
    clippy::disallowed_methods,
    reason = "starting reads the clock, and stopping has deadlines"
)]

mod addresses;
mod data_lock;
mod io;
pub mod open_files;
mod turn;
mod turn_tls;
mod turn_urls;

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use madang_sfu::io::{
    Config as SfuConfig, Engine, Handle as SfuHandle, RelayedDatagram, StartError,
};
use madang_sfu::{BitrateLimits, Event};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::addresses::Addresses;
use self::data_lock::DataLock;
use self::turn::{BoundTurn, Turn};
use self::turn_urls::{AtHttps, Reached};
use crate::auth::{self, ApiKeys, Auth, KeyKeeper};
use crate::config::url_here;
use crate::edge::api::Api;
use crate::edge::metrics::Snapshot;
use crate::edge::tls::Certificate;
use crate::edge::{self, Edge, api, http, sockjs, tcp};
use crate::hub::{Hub, HubConfig};
use crate::rooms::room::IceServers;
use crate::store::Store;
use crate::webhooks::{WebhookConfig, Webhooks};
use crate::{Settings, config, memory, secrets};

/// How long shutdown waits for one task, for example for HTTP responses in progress.
const TASK_DEADLINE: Duration = Duration::from_secs(5);

/// How long shutdown waits until queued webhook events are stored.
const WEBHOOK_DEADLINE: Duration = Duration::from_secs(5);

/// The running server. Dropping it leaves its parts running; [`Server::shutdown`] stops them.
pub struct Server {
    settings: Settings,
    http_addr: SocketAddr,
    stomp_addr: Option<SocketAddr>,
    draining: CancellationToken,
    hub: Hub,
    /// Stops the tasks of the hub immediately.
    stop_hub: CancellationToken,
    /// The tasks that serve clients and refresh keys, in the order in which they are stopped.
    tasks: Vec<RunningTask>,
    turn: Option<Turn>,
    engine: Engine,
    store: Store,
    webhooks: Webhooks,
    auth: Auth,
    /// Released last, once nothing is written any more.
    data_lock: DataLock,
}

impl Server {
    /// Starts all parts. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The mistakes in the settings, or the resource that could not be opened with the key that configures it.
    pub async fn start(settings: Settings) -> anyhow::Result<Server> {
        settings.check()?;
        memory::set_budget(settings.limits.memory_bytes);
        // Ports come first: a second server on the same machine fails before it touches any data.
        let ports = Ports::open(&settings).await?;
        let data = Data::open(&settings).await?;
        let media = start_media(&settings, &ports).await?;
        Ok(serve(settings, ports, data, media))
    }

    /// The URL of the web client for a browser on this machine.
    pub fn url(&self) -> String {
        url_here(&self.settings.http, self.http_addr)
    }

    /// The local address of HTTP: web client, STOMP, REST and metrics.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The local address of STOMP over plain TCP; `None` if it is off.
    pub fn stomp_addr(&self) -> Option<SocketAddr> {
        self.stomp_addr
    }

    /// The first UDP media address of each worker, as announced to clients.
    pub fn media_addresses(&self) -> &[SocketAddr] {
        self.engine.media_addresses()
    }

    /// The first TCP media address of each worker, as announced to clients.
    pub fn media_tcp_addresses(&self) -> &[SocketAddr] {
        self.engine.media_tcp_addresses()
    }

    /// The local UDP address of TURN; `None` if it is off.
    pub fn turn_addr(&self) -> Option<SocketAddr> {
        Some(self.reached()?.udp)
    }

    /// The local address of TURN over TLS at `turn.tls_listen`; `None` if it is off.
    pub fn turn_tls_addr(&self) -> Option<SocketAddr> {
        self.reached()?.tls
    }

    /// The local address of TURN over DTLS; `None` if it is off.
    pub fn turn_dtls_addr(&self) -> Option<SocketAddr> {
        self.reached()?.dtls
    }

    fn reached(&self) -> Option<&Reached> {
        self.turn.as_ref().map(Turn::reached)
    }

    /// A few lines of text for the operator after the start: version, addresses, authentication.
    pub fn summary(&self) -> String {
        let udp = self.media_addresses().iter().map(|addr| format!("{addr}/udp"));
        let tcp = self.media_tcp_addresses().iter().map(|addr| format!("{addr}/tcp"));
        let media: Vec<String> = udp.chain(tcp).collect();
        let turn = self.reached().map_or("off".to_owned(), |turn| {
            let plain = format!("{}/udp, {}/tcp", turn.udp, turn.tcp);
            let tls = turn.tls.map(|addr| format!("{addr}/tcp (TLS)"));
            let dtls = turn.dtls.map(|addr| format!("{addr}/udp (DTLS)"));
            let all: Vec<String> = [Some(plain), tls, dtls].into_iter().flatten().collect();
            all.join(", ")
        });
        let shared = match (&self.settings.http.tls.cert, &self.turn) {
            (None, _) => "",
            (Some(_), None) => " (TLS; also media)",
            (Some(_), Some(_)) => " (TLS; also TURN and media)",
        };
        let http = format!("{}/tcp{shared}", self.http_addr);
        let stomp = self.stomp_addr().map(|addr| ("stomp", format!("{addr}/tcp")));
        let lines = [
            Some(("data", self.settings.data_dir.display().to_string())),
            Some(("http", http)),
            stomp,
            Some(("media", media.join(", "))),
            Some(("turn", turn)),
        ];
        let mut text = format!("Madang {}\n", env!("CARGO_PKG_VERSION"));
        for (name, value) in lines.into_iter().flatten() {
            writeln!(text, "  {name:<6} {value}").expect("writing to a String can't fail");
        }
        text.push_str(&self.authentication());
        if !self.http_addr.ip().is_loopback() && self.settings.http.tls.cert.is_none() {
            text.push_str(
                "Other machines need HTTPS (http.tls.cert, or a proxy in front): without it, browsers deny camera and \
                 microphone.\n",
            );
        }
        text
    }

    /// A line of text that says who can enter rooms.
    fn authentication(&self) -> String {
        if !self.auth.is_required() {
            return "Authentication is off: whoever can reach this server can enter every room.\n"
                .to_owned();
        }
        let jwks = self.settings.auth.jwks.as_ref();
        let issuer = jwks.map(|jwks| format!("their issuer, whose public keys are in {jwks}"));
        let here = self.auth.minter().map(|_| "`madang token`".to_owned());
        let makers: Vec<String> = here.into_iter().chain(issuer).collect();
        format!("Authentication is on: tokens come from {}.\n", makers.join(" or "))
    }

    /// The control plane, for programs that embed the server.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Stops accepting work: `/readyz` fails, and sessions end with an ERROR. Pages and metrics stay available.
    pub async fn drain(&self) {
        self.draining.cancel();
        self.hub.drain().await;
    }

    /// Drains, then stops all parts in order. Tasks and webhooks have deadlines; see the module.
    pub async fn shutdown(self) {
        self.drain().await;
        self.stop_hub.cancel();
        for task in self.tasks {
            task.stop().await;
        }
        if tokio::time::timeout(WEBHOOK_DEADLINE, self.webhooks.shutdown()).await.is_err() {
            warn!("webhook events still queued at shutdown may be lost");
        }
        self.engine.shutdown().await;
        if let Some(turn) = self.turn {
            turn.shutdown().await;
        }
        self.store.close().await;
        drop(self.data_lock);
    }
}

/// A task that runs until its token is cancelled.
struct RunningTask {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningTask {
    fn spawn(
        name: &'static str,
        stop: CancellationToken,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> RunningTask {
        RunningTask { name, stop, task: tokio::spawn(run) }
    }

    /// Asks the task to end, and aborts it after [`TASK_DEADLINE`].
    async fn stop(self) {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        match tokio::time::timeout(TASK_DEADLINE, self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(task = self.name, %error, "a task panicked"),
            Err(_) => {
                warn!(task = self.name, "a task did not end in time and is aborted");
                abort.abort();
            }
        }
    }
}

/// The first phase: the sockets of HTTP and STOMP, the certificate, and the addresses of media.
struct Ports {
    http: TcpListener,
    http_addr: SocketAddr,
    stomp: Option<(SocketAddr, TcpListener)>,
    certificate: Option<Arc<Certificate>>,
    tls: Option<Arc<ServerConfig>>,
    addresses: Addresses,
}

impl Ports {
    async fn open(settings: &Settings) -> anyhow::Result<Ports> {
        let certificate = settings.http.tls.files().map(Certificate::load).transpose()?;
        let tls = certificate.as_ref().map(Certificate::server_config).transpose()?;
        let http = io::listen_tcp(settings.http.listen).await?;
        let http_addr = http.local_addr()?;
        let stomp = match settings.stomp.tcp_listen {
            Some(address) => {
                let listener = io::listen_stomp(address).await?;
                Some((listener.local_addr()?, listener))
            }
            None => None,
        };
        let addresses = Addresses::choose(settings, io::local_addresses).context(
            "can't find this machine's network address; set the address that clients reach with \
             --set media.public_ip=ADDRESS",
        )?;
        Ok(Ports { http, http_addr, stomp, certificate, tls, addresses })
    }

    /// The port at which clients reach HTTP.
    fn https_port(&self, settings: &Settings) -> u16 {
        settings.http.public_port.unwrap_or(self.http_addr.port())
    }
}

/// The second phase: the data directory, the store, authentication, and webhooks.
struct Data {
    lock: DataLock,
    auth: Auth,
    keys: Option<KeyKeeper>,
    api_keys: ApiKeys,
    store: Store,
    webhooks: Webhooks,
}

impl Data {
    async fn open(settings: &Settings) -> anyhow::Result<Data> {
        secrets::create_data_dir(&settings.data_dir).with_context(|| {
            format!("can't create the data directory {}", settings.data_dir.display())
        })?;
        let lock = DataLock::take(&settings.data_dir)?;
        let (auth, keys) = Auth::open(&settings.auth, &settings.data_dir).await?;
        let api_keys = auth::api_keys(&settings.auth, &settings.data_dir)?;
        let free = settings.limits.store_free_bytes as u64;
        let store = Store::open_keeping(&settings.store_url(), free).await?;
        auth.recall(&store, Timestamp::now()).await?;
        let webhooks = start_webhooks(settings, &store).await?;
        Ok(Data { lock, auth, keys, api_keys, store, webhooks })
    }
}

/// The last phase, after the media engine: the hub, then the ports that lead to it.
fn serve(settings: Settings, ports: Ports, data: Data, media: Media) -> Server {
    let https_port = ports.https_port(&settings);
    let Ports { http: listener, http_addr, stomp, certificate, tls, .. } = ports;
    let Data { lock: data_lock, auth, keys, api_keys, store, webhooks } = data;
    let Media { engine, sfu, events, turn } = media;

    let stop_hub = CancellationToken::new();
    let https = certificate.as_deref().map(|certificate| (certificate, https_port));
    let ice_servers = ice_servers(&settings, turn.as_ref(), https);
    let config = hub_config(&settings, webhooks.clone());
    let hub = Hub::start(
        config,
        auth.clone(),
        store.clone(),
        sfu.clone(),
        events,
        ice_servers,
        stop_hub.clone(),
    );

    let draining = CancellationToken::new();
    let origins = http::Origins::new(&settings.http.allowed_origins);
    let api = Api::new(api::Config {
        hub: hub.clone(),
        store: store.clone(),
        auth: auth.clone(),
        api_keys,
        webhooks: webhooks.clone(),
        origins: origins.clone(),
        body_timeout: settings.limits.request_timeout,
        draining: draining.clone(),
    });
    let https = tls.map(|config| http::Https {
        config,
        turn: turn.as_ref().map(Turn::handle),
        media: sfu.clone(),
    });
    let gate = http::Gate {
        hub: hub.clone(),
        origins,
        frame_bytes: settings.limits.frame_bytes,
        draining: draining.clone(),
    };
    let edge = Edge {
        sockjs: sockjs::SockJs {
            gate: gate.clone(),
            config: settings.sockjs.clone(),
            sessions: sockjs::Sessions::new(hub.clone(), draining.clone()),
        },
        gate,
        api,
        snapshot: snapshots(hub.clone(), sfu, turn.as_ref()),
        metrics_token: settings.metrics.token.clone().map(|token| ApiKeys::new(vec![token])),
        request_timeout: settings.limits.request_timeout,
    };

    let stop_http = CancellationToken::new();
    let serve_http = edge::serve(listener, edge, https, stop_http.clone());
    let watch = watch_certificate(certificate, stop_http.clone());
    let mut tasks = vec![RunningTask::spawn("http", stop_http, async {
        tokio::join!(serve_http, watch);
    })];
    let stomp_addr = stomp.map(|(address, listener)| {
        let serve_stomp = tcp::serve(listener, hub.clone(), draining.clone());
        tasks.push(RunningTask::spawn("stomp", draining.clone(), serve_stomp));
        address
    });
    if let Some(keeper) = keys {
        tasks.push(RunningTask::spawn("keys", stop_hub.clone(), keeper.run(stop_hub.clone())));
    }
    Server {
        settings,
        http_addr,
        stomp_addr,
        draining,
        hub,
        stop_hub,
        tasks,
        turn,
        engine,
        store,
        webhooks,
        auth,
        data_lock,
    }
}

async fn watch_certificate(certificate: Option<Arc<Certificate>>, stop: CancellationToken) {
    if let Some(certificate) = certificate {
        certificate.watch(stop).await;
    }
}

/// The third phase: the media engine, and TURN in front of it.
struct Media {
    engine: Engine,
    sfu: SfuHandle,
    events: mpsc::Receiver<Event>,
    turn: Option<Turn>,
}

async fn start_media(settings: &Settings, ports: &Ports) -> anyhow::Result<Media> {
    let (addresses, certificate) = (&ports.addresses, ports.certificate.as_ref());
    let shared_tcp = match certificate.is_some() {
        true => addresses.at_https(ports.http_addr, ports.https_port(settings)),
        false => Vec::new(),
    };
    let bound_turn = match settings.turn.enabled {
        true => Some(BoundTurn::bind(settings, addresses, certificate).await?),
        false => None,
    };
    // TURN and media deliver to each other, so both mailboxes exist before either part starts.
    let (turn_handle, mailbox) = madang_turn::mailbox();
    let (engine, sfu, events) = start_engine(settings, addresses, shared_tcp, turn_handle.clone())?;
    let turn = bound_turn
        .map(|bound| bound.start(engine.media_addresses(), sfu.clone(), (turn_handle, mailbox)));
    match turn.transpose() {
        Ok(turn) => Ok(Media { engine, sfu, events, turn }),
        Err(error) => {
            engine.shutdown().await;
            Err(error)
        }
    }
}

fn start_engine(
    settings: &Settings,
    addresses: &Addresses,
    shared_tcp: Vec<SocketAddr>,
    turn: madang_turn::Handle,
) -> anyhow::Result<(Engine, SfuHandle, mpsc::Receiver<Event>)> {
    let config = SfuConfig {
        listen: addresses.media,
        tcp_port: addresses.media_tcp_port,
        shared_tcp,
        public_ips: addresses.advertised.clone(),
        workers: settings.media.workers,
        peers_per_worker_and_room: madang_sfu::io::Config::PEERS_PER_WORKER_AND_ROOM,
        bitrate_limits: BitrateLimits {
            audio: settings.media.audio_bits_per_second,
            video: settings.media.video_bits_per_second,
            peer: settings.media.participant_bits_per_second,
        },
    };
    let relay = move |datagram: RelayedDatagram| {
        let RelayedDatagram { relayed, media, payload } = datagram;
        turn.deliver(madang_turn::Datagram { relayed, media, payload });
    };
    let (workers, first) = (settings.media.workers, addresses.media);
    Engine::start(config, Box::new(relay)).map_err(|error| {
        let (protocol, key, error) = match error {
            StartError::Udp(error) => ("UDP", "media.udp_port", error),
            StartError::Tcp(error) => ("TCP", "media.tcp_port", error),
            StartError::System(error) => {
                return anyhow::Error::new(error).context("can't start the media engine");
            }
        };
        let ip = first.ip();
        let what = format!("media can't listen ({workers} {protocol} ports on {ip}; {error})");
        io::explain(
            error,
            what,
            &format!("--set {key}=…, {} or the key `{key}`", config::variable(key)),
        )
    })
}

/// The ICE servers that participants get: STUN and TURN, also over TLS where that is served, with the public ports.
fn ice_servers(
    settings: &Settings,
    turn: Option<&Turn>,
    https: Option<(&Certificate, u16)>,
) -> IceServers {
    let Some(turn) = turn else { return IceServers::none() };
    let at_https = https.and_then(|(certificate, port)| {
        let host = settings.turn.tls_host.clone().or_else(|| certificate.host());
        if host.is_none() {
            warn!(
                "clients get no URL for TURN over TLS, because the certificate names no host (only wildcards or \
                 addresses); set the host name with --set turn.tls_host=NAME"
            );
        }
        Some(AtHttps { host: host?, port })
    });
    turn.ice_servers(at_https.as_ref())
}

fn hub_config(settings: &Settings, webhooks: Webhooks) -> HubConfig {
    HubConfig {
        limits: settings.limits.clone(),
        resume_grace: settings.resume_grace,
        app_prefixes: settings.app_prefixes.clone(),
        broker_prefixes: settings.broker_prefixes.clone(),
        relay: settings.broker.relay.clone(),
        rooms_created_by: settings.rooms.created_by,
        webhooks,
        chat_retention_days: settings.rooms.chat_retention_days,
    }
}

async fn start_webhooks(settings: &Settings, store: &Store) -> anyhow::Result<Webhooks> {
    let config::Webhooks { urls, secret } = settings.webhooks.clone();
    if urls.is_empty() {
        return Ok(Webhooks::off());
    }
    let secret = match secret {
        Some(secret) => secret.expose().to_owned(),
        None => secrets::load_or_make(&settings.data_dir, "webhook.secret")?,
    };
    Webhooks::start(WebhookConfig { urls, secret }, store.clone()).await
}

fn snapshots(
    hub: Hub,
    sfu: SfuHandle,
    turn: Option<&Turn>,
) -> Box<dyn Fn() -> Snapshot + Send + Sync> {
    let turn = turn.map(Turn::handle);
    Box::new(move || Snapshot {
        sfu: sfu.stats(),
        turn: turn.as_ref().map(madang_turn::Handle::stats),
        control: hub.stats(),
    })
}
