//! The built-in TURN server: its sockets, its credentials, and its connection to the media engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use madang_sfu::io::{Handle as SfuHandle, RelayedDatagram};
use madang_turn::DtlsListener;
use madang_wire::{IceServer, Secret};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::addresses::Addresses;
use super::turn_urls::{AtHttps, Reached};
use super::{io, turn_tls};
use crate::edge::tls::Certificate;
use crate::rooms::room::IceServers;
use crate::{Settings, secrets};

/// TURN before the media engine exists: bound sockets and a checked configuration.
pub(super) struct BoundTurn {
    listeners: madang_turn::Listeners,
    /// The listener of `turn.tls_listen`.
    tls: Option<(TcpListener, TlsAcceptor)>,
    reached: Reached,
    secret: String,
    /// The lifetime of participants' credentials.
    lifetime: Duration,
    config: madang_turn::Config,
}

/// The running TURN server.
pub(super) struct Turn {
    handle: madang_turn::Handle,
    reached: Reached,
    secret: String,
    lifetime: Duration,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl BoundTurn {
    /// Binds the sockets, and reads or makes the secret.
    pub(super) async fn bind(
        settings: &Settings,
        addresses: &Addresses,
        certificate: Option<&Arc<Certificate>>,
    ) -> anyhow::Result<BoundTurn> {
        let secret = secrets::load_or_make(&settings.data_dir, "turn.secret")?;
        let config = config(settings, addresses, &secret);
        config.check().map_err(refused)?;
        let mut listeners = io::listen_turn(addresses.turn).await?;
        let mut tls = None;
        if let Some((listen, certificate)) = settings.turn.tls_listen.zip(certificate) {
            let (listener, dtls) = bind_secure(listen, certificate).await?;
            tls = Some((listener, TlsAcceptor::from(certificate.server_config()?)));
            listeners.dtls = dtls;
        }
        if addresses.turn_hosts.is_empty() {
            warn!(
                "clients get no URL for `turn.listen`: none of the addresses in `media.public_ip` has its address family"
            );
        }
        let reached = Reached {
            hosts: addresses.turn_hosts.clone(),
            udp: listeners.udp.local_addr()?,
            tcp: listeners.tcp.local_addr()?,
            tls: tls.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
            dtls: listeners.dtls.as_ref().map(|dtls| dtls.socket.local_addr()).transpose()?,
            public_port: settings.turn.public_port,
            tls_public_port: settings.turn.tls_public_port,
        };
        let lifetime = settings.turn.credentials_lifetime;
        Ok(BoundTurn { listeners, tls, reached, secret, lifetime, config })
    }

    /// Starts to serve clients. Besides configured peers, they reach only the `media` addresses of the engine behind
    /// `sfu`.
    pub(super) fn start(
        self,
        media: &[SocketAddr],
        sfu: SfuHandle,
        (handle, mailbox): (madang_turn::Handle, madang_turn::Mailbox),
    ) -> anyhow::Result<Turn> {
        let BoundTurn { listeners, tls, reached, secret, lifetime, config } = self;
        let config = madang_turn::Config { media: media.to_vec(), ..config };
        let server = madang_turn::Server::new(&config, rand::random()).map_err(refused)?;
        let deliver = move |datagram: madang_turn::Datagram| {
            let madang_turn::Datagram { relayed, media, payload } = datagram;
            sfu.deliver_relayed(RelayedDatagram { relayed, media, payload });
        };
        let stop = CancellationToken::new();
        let serve = madang_turn::run(listeners, server, mailbox, deliver, stop.clone());
        let tls = tls.map(|(listener, acceptor)| {
            turn_tls::serve(listener, acceptor, handle.clone(), stop.clone())
        });
        let task = tokio::spawn(async move {
            let serve = async {
                if let Err(error) = serve.await {
                    error!(%error, "the TURN server stopped");
                }
            };
            match tls {
                Some(tls) => _ = tokio::join!(serve, tls),
                None => serve.await,
            }
        });
        Ok(Turn { handle, reached, secret, lifetime, task, stop })
    }
}

/// Binds the sockets of `turn.tls_listen`. If the key of the certificate does not suit DTLS, only TLS is served.
async fn bind_secure(
    listen: SocketAddr,
    certificate: &Certificate,
) -> anyhow::Result<(TcpListener, Option<DtlsListener>)> {
    let identity = certificate.for_dtls();
    if identity.is_none() {
        warn!(
            "TURN is not served over DTLS, because `http.tls.key` is not an ECDSA key on P-256 or P-384; it is \
             served over TLS only. For both, use a certificate with such a key (certbot: --key-type ecdsa)"
        );
    }
    let (tcp, udp) = io::listen_turn_tls(listen, identity.is_some()).await?;
    let dtls = udp.zip(identity).map(|(socket, identity)| DtlsListener { socket, identity });
    Ok((tcp, dtls))
}

impl Turn {
    /// The addresses at which TURN is served, besides the port of HTTPS.
    pub(super) fn reached(&self) -> &Reached {
        &self.reached
    }

    pub(super) fn handle(&self) -> madang_turn::Handle {
        self.handle.clone()
    }

    /// The ICE servers that clients get, with credentials made for each of them.
    pub(super) fn ice_servers(&self, at_https: Option<&AtHttps>) -> IceServers {
        let secret = madang_turn::Secret::new(self.secret.as_str());
        let (stun, turn) = (self.reached.stun(), self.reached.turn(at_https));
        IceServers::new(self.lifetime, move |user, lifetime| {
            let now = io::unix_now();
            let made = madang_turn::credentials(&secret, user, now, lifetime.as_secs());
            let stun = IceServer { urls: stun.clone(), username: None, credential: None };
            let turn = IceServer {
                urls: turn.clone(),
                username: Some(made.username),
                credential: Some(Secret::new(made.password)),
            };
            // Browsers reject a server without URLs.
            [stun, turn].into_iter().filter(|server| !server.urls.is_empty()).collect()
        })
    }

    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the TURN task panicked");
        }
    }
}

fn config(settings: &Settings, addresses: &Addresses, secret: &str) -> madang_turn::Config {
    let turn = &settings.turn;
    let as_secret = |text: &str| madang_turn::Secret::new(text);
    let users = turn.users.iter();
    madang_turn::Config {
        realm: turn.realm.clone(),
        secret: as_secret(secret),
        users: users.map(|user| (user.name.clone(), as_secret(user.password.expose()))).collect(),
        allow_peers: turn.allow_peers.clone(),
        deny_peers: turn.deny_peers.clone(),
        relay_ips: match turn.relay_ip.is_empty() {
            true => addresses.one_of_each_family(),
            false => turn.relay_ip.clone(),
        },
        relay_ports: turn.relay_ports.clone(),
        max_allocations: turn.allocations,
        max_allocations_per_user: turn.allocations_per_user,
        max_allocations_per_address: turn.allocations_per_address,
        bits_per_second: turn.bits_per_second as u64,
        strangers_per_second: turn.strangers_per_second,
        ..madang_turn::Config::default()
    }
}

fn refused(mistakes: Vec<madang_turn::Mistake>) -> anyhow::Error {
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("can't start TURN: {}", mistakes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_participant_gets_credentials_for_the_configured_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: dir.path().to_owned(), ..Settings::default() };
        settings.turn.listen = "127.0.0.1:0".parse().ok();
        assert_eq!(settings.turn.credentials_lifetime, Duration::from_secs(12 * 60 * 60));
        settings.turn.credentials_lifetime = Duration::from_secs(7200);
        let addresses = Addresses::choose(&settings, || panic!("not needed")).unwrap();
        let bound = BoundTurn::bind(&settings, &addresses, None).await.unwrap();
        let (engine, sfu, _events) = engine();
        let turn = bound.start(engine.media_addresses(), sfu, madang_turn::mailbox()).unwrap();

        let servers = turn.ice_servers(None).of_participant("김하늘");

        let [stun, turn_server] = servers.as_slice() else { panic!("{servers:?}") };
        assert_eq!((&stun.urls, &stun.username), (&turn.reached().stun(), &None));
        assert_eq!(turn_server.urls, turn.reached().turn(None));
        let (expiry, user) = turn_server.username.as_ref().unwrap().split_once(':').unwrap();
        let left = expiry.parse::<u64>().unwrap() - io::unix_now();
        assert_eq!(user, "김하늘");
        assert!((7140..=7200).contains(&left), "{left}");
        assert!(turn_server.credential.is_some());
        turn.shutdown().await;
        engine.shutdown().await;
    }

    type Running =
        (madang_sfu::io::Engine, SfuHandle, tokio::sync::mpsc::Receiver<madang_sfu::Event>);

    fn engine() -> Running {
        let config = madang_sfu::io::Config::at("127.0.0.1:0".parse().unwrap());
        madang_sfu::io::Engine::start(config, Box::new(|_| {})).unwrap()
    }
}
