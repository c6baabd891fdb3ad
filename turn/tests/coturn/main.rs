//! Interoperability: coturn's clients against this server.
//!
//! Their option `-Z` requests both families by an attribute number of a draft, so `tests/wire` covers that case
//! instead.
//!
//! Not part of `cargo test`, because it needs Debian's package coturn: `cargo test -p madang-turn --test coturn`.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]
#![expect(clippy::disallowed_methods, reason = "these tests are about real sockets and real time")]

mod secure;

use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use madang_turn::{
    Config, DtlsListener, Handle, Listeners, Secret, Server, Stats, credentials, mailbox, run,
};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "the secret of both";
/// Attempts to start a client with one or two channels. The chance that all of them fail is one in a million.
const ATTEMPTS: usize = 220;
/// Longer than any of these clients takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn udp_with_channels() {
    relays("127.0.0.1", &["-c"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_with_send_indications() {
    relays("127.0.0.1", &["-c", "-s"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_with_channels() {
    relays("127.0.0.1", &["-c", "-t"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_with_send_indications() {
    relays("127.0.0.1", &["-c", "-t", "-s"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dont_fragment_and_padding() {
    relays("127.0.0.1", &["-c", "-g", "-D"], 1).await;
}

/// The RTCP allocation takes the port that the RTP allocation has reserved (EVEN-PORT, RESERVATION-TOKEN).
#[tokio::test(flavor = "multi_thread")]
async fn pairs_of_ports() {
    relays("127.0.0.1", &["-s"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients() {
    relays("127.0.0.1", &["-c", "-s", "-m", "20"], 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_relay_for_an_ipv4_client() {
    relays("::1", &["-c", "-x"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_talk_through_two_relays() {
    relays("127.0.0.1", &["-c", "-s", "-y"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_through_two_relays() {
    relays_tcp(&Running::start().await, &[]).await;
}

/// RFC 6062: two clients, one of which connects to the other's relayed address directly.
#[tokio::test(flavor = "multi_thread")]
async fn tcp_of_a_peer_that_comes() {
    let stats = stream(&Running::start().await, "-P", &[]).await;

    assert_eq!((stats.peer_connections_made, stats.peer_connections_accepted), (0, 1), "{stats:?}");
    assert_eq!((stats.to_peer_bytes, stats.from_peer_bytes), (20_000, 20_000), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_configuration() {
    let running = Running::start().await;
    let peer = Peer::start("127.0.0.1");

    let good = running.uclient(&peer, &["-c", "-u", "carol", "-w", "her password"]).await;
    let bad = running.uclient(&peer, &["-c", "-u", "carol", "-w", "a guess"]).await;

    assert!(good.has_lost_nothing(), "{}", good.text);
    assert!(bad.text.contains("Cannot complete Allocation"), "{}", bad.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused() {
    let running = Running::start().await;
    let peer = Peer::start("127.0.0.1");

    let output = running.uclient(&peer, &["-c", "-u", "alice", "-W", "another secret"]).await;

    assert!(output.text.contains("Cannot complete Allocation"), "{}", output.text);
    assert_eq!(running.handle.stats().allocations_created, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_nobody_allowed_is_refused() {
    let running = Running::start().await;
    let peer = Peer::start("127.0.0.2");

    let output = running.uclient(&peer, &["-c", "-u", "alice", "-W", SECRET]).await;

    assert!(!output.has_lost_nothing() && output.text.contains("error 403"), "{}", output.text);
    assert_eq!(running.handle.stats().to_peer_packets, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stun_client_learns_its_address() {
    let running = Running::start().await;
    let mut client = Command::new("turnutils_stunclient");
    client.args(["-p", &running.addr.port().to_string(), "127.0.0.1"]);

    let output = finish(client).await;

    assert!(output.text.contains("UDP reflexive addr: 127.0.0.1:"), "{}", output.text);
}

/// Everything that is sent comes back, through allocations that are created and deleted.
async fn relays(peer_ip: &str, args: &[&str], allocations: u64) {
    relays_by(&Running::start().await, peer_ip, args, allocations).await;
}

async fn relays_by(running: &Running, peer_ip: &str, args: &[&str], allocations: u64) {
    let peer = Peer::start(peer_ip);
    let credentials = ["-u", "alice", "-W", SECRET];

    let output = running.uclient(&peer, &[args, &credentials].concat()).await;

    assert!(output.has_lost_nothing(), "{}", output.text);
    let stats = running.handle.stats();
    assert!(stats.allocations_created >= allocations, "{stats:?}");
    assert!(stats.to_peer_packets > 0 && stats.from_peer_packets > 0, "{stats:?}");
}

/// RFC 6062: two clients, one of which connects from its relayed address to the other's.
async fn relays_tcp(running: &Running, args: &[&str]) {
    let stats = stream(running, "-T", args).await;

    assert_eq!((stats.peer_connections_made, stats.peer_connections_accepted), (1, 1), "{stats:?}");
    // 40 messages of 1000 bytes, each through both relays.
    assert_eq!((stats.to_peer_bytes, stats.from_peer_bytes), (40_000, 40_000), "{stats:?}");
    assert_eq!((stats.to_peer_packets, stats.from_peer_packets), (0, 0), "{stats:?}");
}

/// The data carried when all clients have gone. The server's counters are used, because the client counts messages that
/// arrive together as one.
async fn stream(running: &Running, mode: &str, args: &[&str]) -> Stats {
    let peer = Peer::start("127.0.0.1");

    let args = [&[mode, "-u", "alice", "-W", SECRET], args].concat();
    let output = running.uclient(&peer, &args).await;

    let text = &output.text;
    assert!(text.contains("tot_send_msgs=40") && !text.contains("100.000000%"), "{text}");
    for _ in 0..1000 {
        let stats = running.handle.stats();
        if stats.connections == 0 && stats.allocations == 0 {
            return stats;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not all allocations have ended: {:?}", running.handle.stats());
}

/// This server; clients may reach two addresses of this machine.
struct Running {
    handle: Handle,
    addr: SocketAddr,
    /// The address for TLS (TCP) and DTLS (UDP).
    secure: Option<SocketAddr>,
    shutdown: CancellationToken,
    _server: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start() -> Running {
        Running::with(None).await
    }

    async fn with(dtls: Option<DtlsListener>) -> Running {
        let (handle, mailbox) = mailbox();
        let secure = dtls.as_ref().map(|dtls| dtls.socket.local_addr().unwrap());
        let (udp, tcp) = sockets_of_one_port().await;
        let addr = udp.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        // Servers of several tests run concurrently; different seeds make them try different ports.
        let server = Server::new(&config(), addr.port().into()).unwrap();
        let listeners = Listeners { udp, tcp, dtls };
        let task = tokio::spawn(run(listeners, server, mailbox, |_| {}, shutdown.clone()));
        Running { handle, addr, secure, shutdown, _server: task }
    }

    /// Sends 20 messages for each allocation. The client picks channel numbers from 0x4000 to 0x7FFF as in RFC 5766
    /// §11; RFC 8656 §12 allows a quarter of them. It is restarted until it picks an allowed one.
    async fn uclient(&self, peer: &Peer, args: &[&str]) -> Output {
        for _ in 0..ATTEMPTS {
            let mut client = Command::new("turnutils_uclient");
            client.args(["-v", "-n", "20", "-l", "1000", "-z", "5"]).args(args);
            client.args(["-e", &peer.addr.ip().to_string(), "-r", &peer.addr.port().to_string()]);
            let to = self.secure.filter(|_| args.contains(&"-S")).unwrap_or(self.addr);
            client.args(["-p", &to.port().to_string(), "127.0.0.1"]);
            let output = finish(client).await;
            if !output.text.contains("channel bind: error 400") {
                return output;
            }
        }
        panic!("the client never chose a channel number that RFC 8656 allows");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Binds UDP and TCP to one port number. The port may be free for one protocol and taken for the other.
async fn sockets_of_one_port() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

fn config() -> Config {
    let loopback: [IpAddr; 2] = ["127.0.0.1", "::1"].map(|ip| ip.parse().unwrap());
    // coturn's clients use this form of the username.
    assert!(credentials(&Secret::new(SECRET), "alice", now(), 60).username.ends_with(":alice"));
    Config {
        secret: Secret::new(SECRET),
        users: vec![("carol".to_owned(), Secret::new("her password"))],
        allow_peers: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        relay_ips: loopback.to_vec(),
        // A client that gives up leaves its two allocations behind.
        max_allocations_per_user: 2 * ATTEMPTS + 100,
        ..Config::default()
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

struct Output {
    text: String,
}

impl Output {
    /// The client reports how many messages it sent and received.
    fn has_lost_nothing(&self) -> bool {
        let lost = |line: &&str| line.contains("Total lost packets 0 (0.000000%)");
        self.text.lines().any(|line| lost(&line))
    }
}

/// Waits for a client that ends by itself.
async fn finish(mut client: Command) -> Output {
    let missing = "a program of the package coturn can be started";
    let run = move || client.output().expect(missing);
    let ended = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(run));
    let output = ended.await.expect("the client ends").unwrap();
    let texts = [output.stdout, output.stderr].concat();
    Output { text: String::from_utf8_lossy(&texts).into_owned() }
}

/// coturn's echo peer.
struct Peer {
    addr: SocketAddr,
    process: Child,
}

impl Peer {
    fn start(ip: &str) -> Peer {
        let ip: IpAddr = ip.parse().unwrap();
        // The peer needs a given port: one that was free just now. With RTCP, it also takes the next one.
        let addr = std::net::UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap();
        let mut peer = Command::new("turnutils_peer");
        peer.args(["-L", &ip.to_string(), "-p", &addr.port().to_string()]);
        let process = peer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let peer = Peer { addr, process };
        peer.wait();
        peer
    }

    fn wait(&self) {
        let probe = std::net::UdpSocket::bind((self.addr.ip(), 0)).unwrap();
        probe.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        for _ in 0..200 {
            probe.send_to(b"?", self.addr).unwrap();
            if probe.recv(&mut [0; 8]).is_ok() {
                return;
            }
        }
        panic!("the peer does not answer");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
