//! Joins the parts.
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
//! Start goes from the inside out: whatever a part needs is there before it. Shutdown goes from the outside in, so that
//! what was taken is finished: readiness falls, sessions hear farewell, the port closes, media ends, the store closes.
#![expect(
    clippy::disallowed_methods,
    reason = "starting reads the clock, and stopping has deadlines"
)]

mod addresses;
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
use madang_sfu::Event;
use madang_sfu::io::{
    Config as SfuConfig, Engine, Handle as SfuHandle, RelayedDatagram, StartError,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::addresses::Addresses;
use self::turn::{BoundTurn, Turn};
use self::turn_urls::{AtHttps, Reached};
use crate::auth::{self, Auth};
use crate::config::url_here;
use crate::edge::api::Api;
use crate::edge::metrics::Snapshot;
use crate::edge::tls::Certificate;
use crate::edge::{self, Edge, api, http, sockjs, tcp};
use crate::hub::{Hub, HubConfig};
use crate::rooms::room::IceServers;
use crate::store::Store;
use crate::webhooks::{WebhookConfig, Webhooks};
use crate::{Settings, config, secrets};

/// How long shutdown waits for HTTP answers under way.
const HTTP_DEADLINE: Duration = Duration::from_secs(5);

/// How long it waits until what webhooks have to tell is stored.
const WEBHOOK_DEADLINE: Duration = Duration::from_secs(5);

/// The running server. Dropping it leaves it running; [`Server::shutdown`] ends it.
pub struct Server {
    settings: Settings,
    http_addr: SocketAddr,
    http: JoinHandle<()>,
    stop_http: CancellationToken,
    stomp: Option<(SocketAddr, JoinHandle<()>)>,
    draining: CancellationToken,
    hub: Hub,
    stop_hub: CancellationToken,
    turn: Option<Turn>,
    engine: Engine,
    store: Store,
    webhooks: Webhooks,
    auth: Auth,
    /// Keeps the public keys up to date.
    keys: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts all parts. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The settings' mistakes, or what could not be opened, with the key that would change it.
    pub async fn start(settings: Settings) -> anyhow::Result<Server> {
        settings.check()?;
        let certificate = settings.http.tls.files().map(Certificate::load).transpose()?;
        let tls = certificate.as_ref().map(Certificate::server_config).transpose()?;
        // First, so that a server that runs already says so before anything is touched.
        let listener = io::listen_tcp(settings.http.listen).await?;
        let http_addr = listener.local_addr()?;
        let stomp_listener = match settings.stomp.tcp_listen {
            Some(address) => Some(io::listen_stomp(address).await?),
            None => None,
        };
        let stomp_addr = stomp_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let addresses = Addresses::choose(&settings, io::local_addresses).context(
            "this machine's network address can't be found; give the one that clients reach with \
             --set media.public_ip=ADDRESS",
        )?;

        secrets::create_data_dir(&settings.data_dir).with_context(|| {
            format!("the data directory {} can't be created", settings.data_dir.display())
        })?;
        let (auth, keys) = Auth::open(&settings.auth, &settings.data_dir).await?;
        let api_keys = auth::api_keys(&settings.auth, &settings.data_dir)?;
        let store = Store::open(&settings.store_url()).await?;
        auth.recall(&store, Timestamp::now()).await?;
        let webhooks = start_webhooks(&settings, &store).await?;

        let https_port = settings.http.public_port.unwrap_or(http_addr.port());
        let shared_tcp = match certificate.is_some() {
            true => addresses.at_https(http_addr, https_port),
            false => Vec::new(),
        };
        let Media { engine, sfu, events, turn } =
            start_media(&settings, &addresses, certificate.as_ref(), shared_tcp).await?;

        let stop_hub = CancellationToken::new();
        let keys = keys.map(|keeper| tokio::spawn(keeper.run(stop_hub.clone())));
        let config = hub_config(&settings, webhooks.clone());
        let ice_servers = ice_servers(
            &settings,
            turn.as_ref(),
            certificate.as_deref().map(|certificate| (certificate, https_port)),
        );
        let stop = stop_hub.clone();
        let hub =
            Hub::start(config, auth.clone(), store.clone(), sfu.clone(), events, ice_servers, stop);
        let (draining, stop_http) = (CancellationToken::new(), CancellationToken::new());
        let api = Api::new(api::Config {
            hub: hub.clone(),
            store: store.clone(),
            auth: auth.clone(),
            api_keys,
            webhooks: webhooks.clone(),
            origins: http::Origins::new(&settings.http.allowed_origins),
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
            origins: http::Origins::new(&settings.http.allowed_origins),
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
            request_timeout: settings.limits.request_timeout,
        };
        let serve = edge::serve(listener, edge, https, stop_http.clone());
        let watch = watch_certificate(certificate, stop_http.clone());
        let http = tokio::spawn(async { _ = tokio::join!(serve, watch) });
        let stomp = stomp_addr.zip(stomp_listener).map(|(address, listener)| {
            let serve = tcp::serve(listener, hub.clone(), draining.clone());
            (address, tokio::spawn(serve))
        });
        Ok(Server {
            settings,
            http_addr,
            http,
            stop_http,
            stomp,
            draining,
            hub,
            stop_hub,
            turn,
            engine,
            store,
            webhooks,
            auth,
            keys,
        })
    }

    /// The page to open on this machine.
    pub fn url(&self) -> String {
        url_here(&self.settings.http, self.http_addr)
    }

    /// Where web page and STOMP are served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where plain STOMP is served; None when it is off.
    pub fn stomp_addr(&self) -> Option<SocketAddr> {
        self.stomp.as_ref().map(|(address, _)| *address)
    }

    /// The media addresses that clients are told, one per worker.
    pub fn media_addresses(&self) -> &[SocketAddr] {
        self.engine.media_addresses()
    }

    /// The same over TCP.
    pub fn media_tcp_addresses(&self) -> &[SocketAddr] {
        self.engine.media_tcp_addresses()
    }

    /// Where TURN is served by UDP; None when it is off.
    pub fn turn_addr(&self) -> Option<SocketAddr> {
        Some(self.reached()?.udp)
    }

    /// Where TURN is served inside TLS by `turn.tls_listen`; None when it isn't.
    pub fn turn_tls_addr(&self) -> Option<SocketAddr> {
        self.reached()?.tls
    }

    /// Where TURN is served inside DTLS; None when it isn't.
    pub fn turn_dtls_addr(&self) -> Option<SocketAddr> {
        self.reached()?.dtls
    }

    fn reached(&self) -> Option<&Reached> {
        self.turn.as_ref().map(Turn::reached)
    }

    /// What an operator wants to know after the start, a few lines of text.
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
                "Others need HTTPS (http.tls.cert, or a proxy in front): browsers give camera and microphone to no other page.\n",
            );
        }
        text
    }

    /// Who gets in, a line of text.
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

    /// The control plane, for programs that the server is a part of.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Takes no more work: `/readyz` says so, and sessions hear farewell. Pages and metrics are still there.
    pub async fn drain(&self) {
        self.draining.cancel();
        self.hub.drain().await;
    }

    /// Ends everything, politely and within a bounded time.
    pub async fn shutdown(self) {
        self.drain().await;
        self.stop_hub.cancel();

        self.stop_http.cancel();
        let abort = self.http.abort_handle();
        match tokio::time::timeout(HTTP_DEADLINE, self.http).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "the HTTP task broke"),
            Err(_) => {
                warn!("some HTTP requests were not finished in time");
                abort.abort();
            }
        }

        if let Some((_, stomp)) = self.stomp
            && stomp.await.is_err()
        {
            error!("the STOMP listener broke");
        }

        if let Some(keys) = self.keys
            && keys.await.is_err()
        {
            error!("the task that keeps the public keys broke");
        }

        if tokio::time::timeout(WEBHOOK_DEADLINE, self.webhooks.shutdown()).await.is_err() {
            warn!("what happened last may not be told by webhooks");
        }
        self.engine.shutdown().await;
        if let Some(turn) = self.turn {
            turn.shutdown().await;
        }
        self.store.close().await;
    }
}

async fn watch_certificate(certificate: Option<Arc<Certificate>>, stop: CancellationToken) {
    if let Some(certificate) = certificate {
        certificate.watch(stop).await;
    }
}

/// The media engine, and TURN in front of it.
struct Media {
    engine: Engine,
    sfu: SfuHandle,
    events: mpsc::Receiver<Event>,
    turn: Option<Turn>,
}

async fn start_media(
    settings: &Settings,
    addresses: &Addresses,
    certificate: Option<&Arc<Certificate>>,
    shared_tcp: Vec<SocketAddr>,
) -> anyhow::Result<Media> {
    let bound_turn = match settings.turn.enabled {
        true => Some(BoundTurn::bind(settings, addresses, certificate).await?),
        false => None,
    };
    // Both ends of the way between TURN and media exist before either of them.
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
                return anyhow::Error::new(error).context("media can't start");
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

/// Names TURN to participants, also inside TLS where that is served, each with the port that they reach.
fn ice_servers(
    settings: &Settings,
    turn: Option<&Turn>,
    https: Option<(&Certificate, u16)>,
) -> IceServers {
    let Some(turn) = turn else { return Arc::new(|_: &str| Vec::new()) };
    let at_https = https.and_then(|(certificate, port)| {
        let host = settings.turn.tls_host.clone().or_else(|| certificate.host());
        if host.is_none() {
            warn!(
                "clients are not told of TURN inside TLS, because the certificate has no name of one host; give the one that \
                 they know with --set turn.tls_host=NAME"
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
