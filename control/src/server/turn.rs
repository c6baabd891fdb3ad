//! The bundled TURN server: its sockets, its credentials, and its way to the media engine.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use madang_sfu::io::{Handle as SfuHandle, RelayedDatagram};
use madang_wire::{IceServer, Secret};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::addresses::Addresses;
use super::io;
use crate::hub::IceServers;
use crate::{Settings, secrets};

/// How long credentials are good for, in seconds: longer than any meeting.
const CREDENTIALS_SECS: u64 = 12 * 60 * 60;

/// All that TURN needs before the media engine is there.
pub(super) struct BoundTurn {
    listeners: madang_turn::Listeners,
    udp: SocketAddr,
    tcp: SocketAddr,
    host: IpAddr,
    secret: String,
    config: madang_turn::Config,
}

/// The running TURN server.
pub(super) struct Turn {
    handle: madang_turn::Handle,
    udp: SocketAddr,
    tcp: SocketAddr,
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
    ) -> anyhow::Result<BoundTurn> {
        let secret = secrets::load_or_make(&settings.data_dir, "turn.secret")?;
        let config = config(settings, addresses, &secret);
        config.check().map_err(refused)?;
        let listeners = io::listen_turn(addresses.turn).await?;
        let (udp, tcp) = (listeners.udp.local_addr()?, listeners.tcp.local_addr()?);
        Ok(BoundTurn { listeners, udp, tcp, host: addresses.turn_host, secret, config })
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
        let serve = madang_turn::run(self.listeners, server, mailbox, deliver, stop.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                error!(%error, "TURN is not served any more");
            }
        });
        let BoundTurn { udp, tcp, host, secret, .. } = self;
        Ok(Turn { handle, udp, tcp, host, secret, task, stop })
    }
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

    pub(super) fn handle(&self) -> madang_turn::Handle {
        self.handle.clone()
    }

    /// Mints credentials for a participant. `public_port`: the one that clients reach, if it is not the socket's own;
    /// `turns`: host and port at which TURN is spoken inside TLS, if it is.
    pub(super) fn ice_servers(
        &self,
        public_port: Option<u16>,
        turns: Option<String>,
    ) -> IceServers {
        let secret = madang_turn::Secret::new(self.secret.as_str());
        let reached = |at: SocketAddr| SocketAddr::new(self.host, public_port.unwrap_or(at.port()));
        let (udp, tcp) = (reached(self.udp), reached(self.tcp));
        let plain =
            [format!("turn:{udp}?transport=udp"), format!("turn:{tcp}?transport=tcp")].into_iter();
        let urls: Vec<String> =
            plain.chain(turns.map(|turns| format!("turns:{turns}?transport=tcp"))).collect();
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
        let bound = BoundTurn::bind(&settings, &addresses).await.unwrap();
        let (udp, tcp) = (bound.udp.port(), bound.tcp.port());
        let (engine, sfu, _events) = engine();
        let turn = bound.start(engine.media_addresses(), sfu, madang_turn::mailbox()).unwrap();

        let servers = turn.ice_servers(None, Some("meet.example:443".to_owned()))("김하늘");

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
        let mapped = turn.ice_servers(Some(40_000), None)("김하늘");
        assert_eq!(mapped[0].urls, ["stun:[2001:db8::7]:40000"]);
        let by_both = ["udp", "tcp"].map(|by| format!("turn:[2001:db8::7]:40000?transport={by}"));
        assert_eq!(mapped[1].urls, by_both);
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
