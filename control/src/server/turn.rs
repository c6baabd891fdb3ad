//! The bundled TURN server: its sockets, its credentials, and its way to the media engine.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use madang_sfu::io::{Handle as SfuHandle, RelayedDatagram};
use madang_turn::DtlsListener;
use madang_wire::{IceServer, Secret};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::addresses::Addresses;
use super::{io, turn_tls};
use crate::hub::IceServers;
use crate::tls::Certificate;
use crate::{Settings, secrets};

/// How long credentials are good for, in seconds: longer than any meeting.
const CREDENTIALS_SECS: u64 = 12 * 60 * 60;

/// All that TURN needs before the media engine is there.
pub(super) struct BoundTurn {
    listeners: madang_turn::Listeners,
    udp: SocketAddr,
    tcp: SocketAddr,
    secure: Option<(Secure, TcpListener, TlsAcceptor)>,
    host: IpAddr,
    secret: String,
    config: madang_turn::Config,
}

/// Where TURN is served inside TLS and DTLS, at ports of its own.
#[derive(Clone, Copy)]
pub(super) struct Secure {
    /// By TCP.
    pub(super) tls: SocketAddr,
    /// By UDP: the same port, unless that was chosen by the system. None when the certificate's key is none for DTLS.
    pub(super) dtls: Option<SocketAddr>,
}

/// The running TURN server.
pub(super) struct Turn {
    handle: madang_turn::Handle,
    udp: SocketAddr,
    tcp: SocketAddr,
    secure: Option<Secure>,
    host: IpAddr,
    secret: String,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl BoundTurn {
    /// Binds the sockets and reads the secret, or makes one.
    pub(super) async fn bind(
        settings: &Settings,
        addresses: &Addresses,
        certificate: Option<&Arc<Certificate>>,
    ) -> anyhow::Result<BoundTurn> {
        let secret = secrets::load_or_make(&settings.data_dir, "turn.secret")?;
        let config = config(settings, addresses, &secret);
        config.check().map_err(refused)?;
        let mut listeners = io::listen_turn(addresses.turn).await?;
        let (udp, tcp) = (listeners.udp.local_addr()?, listeners.tcp.local_addr()?);
        let secure = match settings.turn.tls_listen.zip(certificate) {
            Some((listen, certificate)) => {
                let (secure, dtls) = bind_secure(listen, certificate).await?;
                listeners.dtls = dtls;
                Some(secure)
            }
            None => None,
        };
        Ok(BoundTurn { listeners, udp, tcp, secure, host: addresses.turn_host, secret, config })
    }

    /// Serves clients, who reach the `media` addresses of the engine behind `sfu` and no others.
    pub(super) fn start(
        self,
        media: &[SocketAddr],
        sfu: SfuHandle,
        (handle, mailbox): (madang_turn::Handle, madang_turn::Mailbox),
    ) -> anyhow::Result<Turn> {
        let config = madang_turn::Config { media: media.to_vec(), ..self.config };
        let server = madang_turn::Server::new(&config, rand::random()).map_err(refused)?;
        let deliver = move |datagram: madang_turn::Datagram| {
            let madang_turn::Datagram { relayed, media, payload } = datagram;
            sfu.deliver_relayed(RelayedDatagram { relayed, media, payload });
        };
        let stop = CancellationToken::new();
        let BoundTurn { listeners, udp, tcp, secure, host, secret, .. } = self;
        let serve = madang_turn::run(listeners, server, mailbox, deliver, stop.clone());
        let at = secure.as_ref().map(|(at, ..)| *at);
        let tls = secure.map(|(_, listener, acceptor)| {
            turn_tls::serve(listener, acceptor, handle.clone(), stop.clone())
        });
        let task = tokio::spawn(async move {
            let serve = async {
                if let Err(error) = serve.await {
                    error!(%error, "TURN is not served any more");
                }
            };
            match tls {
                Some(tls) => _ = tokio::join!(serve, tls),
                None => serve.await,
            }
        });
        Ok(Turn { handle, udp, tcp, secure: at, host, secret, task, stop })
    }
}

/// Binds the port of TLS and DTLS. Where the certificate is none for DTLS, there is TLS alone.
async fn bind_secure(
    listen: SocketAddr,
    certificate: &Arc<Certificate>,
) -> anyhow::Result<((Secure, TcpListener, TlsAcceptor), Option<DtlsListener>)> {
    let identity = certificate.for_dtls();
    if identity.is_none() {
        warn!(
            "TURN is not served by DTLS, which needs an ECDSA key on P-256 or P-384, and `http.tls.key` is another one; \
             clients have TLS. For both, get a certificate with such a key (certbot: --key-type ecdsa)"
        );
    }
    let (tcp, udp) = io::listen_turn_tls(listen, identity.is_some()).await?;
    let dtls = udp.zip(identity).map(|(socket, identity)| DtlsListener { socket, identity });
    let secure = Secure {
        tls: tcp.local_addr()?,
        dtls: dtls.as_ref().map(|dtls| dtls.socket.local_addr()).transpose()?,
    };
    let acceptor = TlsAcceptor::from(certificate.server_config()?);
    Ok(((secure, tcp, acceptor), dtls))
}

impl Turn {
    /// Where it is served by UDP.
    pub(super) fn udp_addr(&self) -> SocketAddr {
        self.udp
    }

    /// Where it is served by TCP: the same port, unless that was chosen by the system.
    pub(super) fn tcp_addr(&self) -> SocketAddr {
        self.tcp
    }

    /// The addresses at which TURN is spoken inside TLS and DTLS, for clients who know the server by the name `host`: at
    /// ports of its own, and at that of HTTPS.
    pub(super) fn turns(
        &self,
        host: &str,
        public_port: Option<u16>,
        https_port: u16,
    ) -> Vec<String> {
        let host = match host.parse::<Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]"),
            Err(_) => host.to_owned(),
        };
        let address = |port, transport| format!("turns:{host}:{port}?transport={transport}");
        let reached = |at: SocketAddr| public_port.unwrap_or(at.port());
        let dtls = self.secure.and_then(|secure| secure.dtls).map(|at| address(reached(at), "udp"));
        let tls = self.secure.map(|secure| address(reached(secure.tls), "tcp"));
        let https = address(https_port, "tcp");
        dtls.into_iter().chain(tls).chain([https]).collect()
    }

    /// Where it is served inside TLS and DTLS, besides the port of HTTPS.
    pub(super) fn secure(&self) -> Option<Secure> {
        self.secure
    }

    pub(super) fn handle(&self) -> madang_turn::Handle {
        self.handle.clone()
    }

    /// Mints credentials for a participant. `public_port`: the one that clients reach, if it is not the socket's own;
    /// `turns`: the addresses at which TURN is spoken inside TLS and DTLS.
    pub(super) fn ice_servers(&self, public_port: Option<u16>, turns: Vec<String>) -> IceServers {
        let secret = madang_turn::Secret::new(self.secret.as_str());
        let reached = |at: SocketAddr| SocketAddr::new(self.host, public_port.unwrap_or(at.port()));
        let (udp, tcp) = (reached(self.udp), reached(self.tcp));
        let plain =
            [format!("turn:{udp}?transport=udp"), format!("turn:{tcp}?transport=tcp")].into_iter();
        let urls: Vec<String> = plain.chain(turns).collect();
        Arc::new(move |participant| {
            let now = io::unix_now();
            let made = madang_turn::credentials(&secret, participant, now, CREDENTIALS_SECS);
            vec![
                IceServer { urls: vec![format!("stun:{udp}")], username: None, credential: None },
                IceServer {
                    urls: urls.clone(),
                    username: Some(made.username),
                    credential: Some(Secret::new(made.password)),
                },
            ]
        })
    }

    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the TURN task broke");
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
    anyhow::anyhow!("TURN can't start: {}", mistakes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_participant_gets_credentials_for_the_address_that_clients_reach() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: dir.path().to_owned(), ..Settings::default() };
        settings.turn.listen = "127.0.0.1:0".parse().ok();
        settings.media.public_ip = vec!["2001:db8::7".parse().unwrap()];
        let addresses = Addresses::choose(&settings, || panic!("not needed")).unwrap();
        let bound = BoundTurn::bind(&settings, &addresses, None).await.unwrap();
        let (udp, tcp) = (bound.udp.port(), bound.tcp.port());
        let (engine, sfu, _events) = engine();
        let turn = bound.start(engine.media_addresses(), sfu, madang_turn::mailbox()).unwrap();

        let servers = turn
            .ice_servers(None, vec!["turns:meet.example:443?transport=tcp".to_owned()])(
            "김하늘"
        );

        assert_eq!(servers[0].urls, [format!("stun:[2001:db8::7]:{udp}")]);
        assert_eq!(servers[0].username, None);
        let by_udp = format!("turn:[2001:db8::7]:{udp}?transport=udp");
        let by_tcp = format!("turn:[2001:db8::7]:{tcp}?transport=tcp");
        let by_tls = "turns:meet.example:443?transport=tcp".to_owned();
        assert_eq!(servers[1].urls, [by_udp, by_tcp, by_tls]);
        let (expiry, user) = servers[1].username.as_ref().unwrap().split_once(':').unwrap();
        let left = expiry.parse::<u64>().unwrap() - io::unix_now();
        assert_eq!(user, "김하늘");
        assert!((CREDENTIALS_SECS - 60..=CREDENTIALS_SECS).contains(&left), "{left}");
        assert!(servers[1].credential.is_some());
        let mapped = turn.ice_servers(Some(40_000), Vec::new())("김하늘");
        assert_eq!(mapped[0].urls, ["stun:[2001:db8::7]:40000"]);
        let by_both = ["udp", "tcp"].map(|by| format!("turn:[2001:db8::7]:40000?transport={by}"));
        assert_eq!(mapped[1].urls, by_both);
        let by_address = |host| turn.turns(host, None, 443);
        assert_eq!(by_address("2001:db8::7"), ["turns:[2001:db8::7]:443?transport=tcp"]);
        assert_eq!(by_address("203.0.113.7"), ["turns:203.0.113.7:443?transport=tcp"]);
        turn.shutdown().await;
        engine.shutdown().await;
    }

    type Running =
        (madang_sfu::io::Engine, SfuHandle, tokio::sync::mpsc::Receiver<madang_sfu::Event>);

    fn engine() -> Running {
        let config = madang_sfu::io::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tcp_port: 0,
            shared_tcp: Vec::new(),
            public_ips: Vec::new(),
            workers: 1,
            peers_per_worker_and_room: madang_sfu::io::Config::PEERS_PER_WORKER_AND_ROOM,
        };
        madang_sfu::io::Engine::start(config, Box::new(|_| {})).unwrap()
    }
}
