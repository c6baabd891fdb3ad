//! The cost of a relayed packet and of an allocation in this server and in coturn, measured one after the other with
//! the same load: `cargo bench -p madang-turn`. It needs Linux, and Debian's package coturn for the comparison.
//!
//! Each server is a separate process, whose CPU time and memory come from the kernel. The packets have 1200 bytes and
//! go through channels, in bursts of 8 in each direction every millisecond, as video does, for one of 8 clients in
//! turn. A burst is sent in one system call (GSO), like packets that a network card delivers together; a receiver
//! without GRO gets it as 8 packets. A flood is half a million Allocate requests without credentials.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a bench is about real sockets and real time")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use madang_turn::{Config, Credentials, Listeners, Secret, Server, credentials, mailbox, run};
use quinn_udp::{Transmit, UdpSocketState};
use stun_types::attribute::{Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWrite,
    MessageWriteExt, MessageWriteVec,
};
use tokio_util::sync::CancellationToken;
use turn_types::attribute::{ChannelNumber, RequestedTransport, XorPeerAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND};

const SECRET: &str = "the secret of both";
const CLIENTS: usize = 8;
const BURST: usize = 8;
const PAYLOAD: usize = 1200;
const TICK: Duration = Duration::from_millis(1);
const RELAYING: Duration = Duration::from_secs(3);
const ALLOCATIONS: usize = 800;
const GROUP: usize = 16;
const FLOOD: usize = 500_000;
const STRANGERS: usize = 1000;
const AT_ONCE: usize = 50;
const ROUNDS: usize = 3;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("serve") {
        return serve(arguments.next().as_deref() == Some("media"));
    }
    println!("{}", machine());
    let kinds = [Kind::Coturn, Kind::Sockets, Kind::Media];
    let mut rows = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (kind, rows) in kinds.iter().zip(&mut rows) {
            rows.extend(measure(*kind));
        }
    }
    println!(
        "{:<26}{:>12}{:>8}{:>18}{:>8}{:>14}{:>14}",
        "", "µs a packet", "lost", "µs an allocation", "of 16", "bytes of it", "kB of a flood"
    );
    let mut first = None;
    for (kind, rows) in kinds.iter().zip(&rows) {
        let Some(row) = median(rows) else {
            println!("{:<26} is not installed", kind.name());
            continue;
        };
        let Row { packet, lost, alone, in_group, bytes, flood } = row;
        let (name, flood) = (kind.name(), flood / 1024.0);
        println!(
            "{name:<26}{packet:>12.2}{lost:>8}{alone:>18.1}{in_group:>8.1}{bytes:>14.0}{flood:>14.0}"
        );
        let base: &Row = first.get_or_insert(row);
        println!(
            "{:<26}{:>11.2}×{:>8}{:>17.2}×{:>7.2}×{:>13.2}×",
            "",
            packet / base.packet,
            "",
            alone / base.alone,
            in_group / base.in_group,
            bytes / base.bytes
        );
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Coturn,
    /// To an external peer, through the socket of the relayed address.
    Sockets,
    /// To the media engine in the same process, which echoes here.
    Media,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// CPU time of the server per packet, in microseconds.
    packet: f64,
    lost: usize,
    /// CPU time per allocation when each client waits for the previous one, in microseconds. Most of it is kernel work:
    /// suspending the server and waking the client, which runs on the same machine.
    alone: f64,
    /// CPU time per allocation when clients arrive in groups of [`GROUP`], in microseconds.
    in_group: f64,
    /// Resident memory per allocation, in bytes.
    bytes: f64,
    /// Resident memory that a flood without credentials leaves behind, in kB.
    flood: f64,
}

/// The row with the median cost of a packet; the other columns have medians of their own.
fn median(rows: &[Row]) -> Option<Row> {
    let middle = |value: fn(&Row) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Some(Row {
        packet: middle(|row| row.packet)?,
        lost: rows.iter().map(|row| row.lost).sum(),
        alone: middle(|row| row.alone)?,
        in_group: middle(|row| row.in_group)?,
        bytes: middle(|row| row.bytes)?,
        flood: middle(|row| row.flood)?,
    })
}

fn measure(kind: Kind) -> Option<Row> {
    let server = Running::start(kind)?;
    let pairs = pairs(&server, kind);
    let (packet, lost) = relay(&server, kind, &pairs);
    let mut clients = Vec::new();
    let (alone, bytes) = allocate(&server, 1, &mut clients);
    let (in_group, _) = allocate(&server, GROUP, &mut clients);
    let flood = flood(&server);
    // Keep all allocations until here, so that no other client gets their clients' ports.
    drop((pairs, clients));
    Some(Row { packet, lost, alone, in_group, bytes, flood })
}

/// A client, the peer to which it has a channel, and its relayed address.
type Pair = (Client, UdpSocket, SocketAddr);

fn pairs(server: &Running, kind: Kind) -> Vec<Pair> {
    let pair = |n| {
        let client = Stranger::start(server.addr, &format!("user{n}")).answer_challenge();
        let relayed = client.learn_relayed();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        client.bind(match kind {
            Kind::Coturn | Kind::Sockets => peer.local_addr().unwrap(),
            Kind::Media => MEDIA.parse().unwrap(),
        });
        client.socket.set_nonblocking(true).unwrap();
        (client, peer, relayed)
    };
    (0..CLIENTS).map(pair).collect()
}

fn relay(server: &Running, kind: Kind, pairs: &[Pair]) -> (f64, usize) {
    let mut framed = vec![0x40, 0, (PAYLOAD >> 8) as u8, PAYLOAD as u8];
    framed.resize(4 + PAYLOAD, 7);
    let some_socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocketState::new((&some_socket).into()).unwrap();
    let (before, start) = (server.cpu(), Instant::now());
    let (mut sent, mut received) = (0, 0);
    for tick in 0..(RELAYING.as_millis() / TICK.as_millis()) as usize {
        let (client, peer, relayed) = &pairs[tick % CLIENTS];
        send_burst(&sender, &client.socket, server.addr, &framed);
        // Packets echoed by media are the other direction.
        if !matches!(kind, Kind::Media) {
            send_burst(&sender, peer, *relayed, &framed[4..]);
        }
        sent += 2 * BURST;
        received += drain(pairs, kind);
        let next = start + TICK * (tick as u32 + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    std::thread::sleep(Duration::from_millis(200));
    received += drain(pairs, kind);
    let cpu = server.cpu() - before;
    (cpu.as_secs_f64() * 1e6 / received as f64, sent.saturating_sub(received))
}

/// Sends a burst in one system call, like packets that a network card delivers together. The kernel splits it for a
/// receiver without GRO.
fn send_burst(sender: &UdpSocketState, from: &UdpSocket, to: SocketAddr, datagram: &[u8]) {
    let transmit = Transmit {
        destination: to,
        ecn: None,
        contents: &datagram.repeat(BURST),
        segment_size: Some(datagram.len()),
        src_ip: None,
    };
    sender.try_send(from.into(), &transmit).unwrap();
}

/// Counts the received packets. A packet echoed by media was relayed twice.
fn drain(pairs: &[Pair], kind: Kind) -> usize {
    let mut buffer = [0; 2048];
    let each = if matches!(kind, Kind::Media) { 2 } else { 1 };
    let mut count = 0;
    for (client, peer, _) in pairs {
        while client.socket.recv(&mut buffer).is_ok() {
            count += each;
        }
        while peer.recv(&mut buffer).is_ok() {
            count += 1;
        }
    }
    count
}

/// Sends Allocate requests from many unauthenticated clients, a few at a time, so that the server receives all of them.
fn flood(server: &Running) -> f64 {
    let memory = server.memory();
    let request = transport().finish();
    let mut buffer = [0; 2048];
    for _ in 0..FLOOD / STRANGERS / AT_ONCE {
        for _ in 0..STRANGERS {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(server.addr).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            for _ in 0..AT_ONCE {
                socket.send(&request).unwrap();
            }
            let _ = (0..AT_ONCE).try_for_each(|_| socket.recv(&mut buffer).map(drop));
        }
    }
    server.memory().saturating_sub(memory) as f64
}

/// Creates allocations in groups, as when people join a meeting; returns CPU time and memory per allocation.
fn allocate(server: &Running, group: usize, clients: &mut Vec<Client>) -> (f64, f64) {
    let (cpu, memory, before) = (server.cpu(), server.memory(), clients.len());
    while clients.len() < before + ALLOCATIONS {
        let user = |n| format!("user{}of{group}", clients.len() + n);
        let group: Vec<Stranger> =
            (0..group).map(|n| Stranger::start(server.addr, &user(n))).collect();
        let group: Vec<Client> = group.into_iter().map(Stranger::answer_challenge).collect();
        for client in &group {
            client.learn_relayed();
        }
        clients.extend(group);
    }
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / ALLOCATIONS as f64;
    let memory = server.memory().saturating_sub(memory) as f64 / ALLOCATIONS as f64;
    (cpu, memory)
}

/// A client that has sent an Allocate without credentials.
struct Stranger {
    socket: UdpSocket,
    credentials: Credentials,
}

impl Stranger {
    fn start(server: SocketAddr, user: &str) -> Stranger {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send(&transport().finish()).unwrap();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Stranger { socket, credentials: credentials(&Secret::new(SECRET), user, now, 3600) }
    }

    /// Handles the 401 response and sends an authenticated Allocate.
    fn answer_challenge(self) -> Client {
        let Stranger { socket, credentials: Credentials { username, password } } = self;
        let challenge = receive(&socket);
        let message = Message::from_bytes(&challenge).unwrap();
        let realm = message.attribute::<Realm>().unwrap().realm().to_owned();
        let nonce = message.attribute::<Nonce>().unwrap().nonce().to_owned();
        let key = LongTermKeyCredentials::new(username.clone(), password, realm);
        let client = Client { socket, username, key, nonce };
        client.send(transport());
        client
    }
}

/// A client that has sent an authenticated Allocate.
struct Client {
    socket: UdpSocket,
    username: String,
    key: LongTermKeyCredentials,
    nonce: String,
}

impl Client {
    /// Receives the response with the relayed address.
    fn learn_relayed(&self) -> SocketAddr {
        let answer = self.receive_success();
        let message = Message::from_bytes(&answer).unwrap();
        let relayed = message.attribute::<turn_types::attribute::XorRelayedAddress>().unwrap();
        relayed.addr(message.transaction_id())
    }

    fn bind(&self, peer: SocketAddr) {
        let mut request = Message::builder_request(CHANNEL_BIND, MessageWriteVec::new());
        let transaction = request.transaction_id();
        request.add_attribute(&ChannelNumber::new(0x4000)).unwrap();
        request.add_attribute(&XorPeerAddress::new(peer, transaction)).unwrap();
        self.send(request);
        self.receive_success();
    }

    fn send(&self, mut request: MessageWriteVec) {
        request.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
        request.add_attribute(&Realm::new(self.key.realm()).unwrap()).unwrap();
        request.add_attribute(&Nonce::new(&self.nonce).unwrap()).unwrap();
        let key = self.key.clone().into();
        request.add_message_integrity(&key, IntegrityAlgorithm::Sha1).unwrap();
        self.socket.send(&request.finish()).unwrap();
    }

    fn receive_success(&self) -> Vec<u8> {
        let answer = receive(&self.socket);
        let message = Message::from_bytes(&answer).unwrap();
        assert!(message.has_class(MessageClass::Success), "{message:?}");
        answer
    }
}

fn transport() -> MessageWriteVec {
    let mut request = Message::builder_request(ALLOCATE, MessageWriteVec::new());
    request.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)).unwrap();
    request
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut answer = vec![0; 2048];
    let length = socket.recv(&mut answer).expect("the server answers");
    answer.truncate(length);
    answer
}

/// A server process.
struct Running {
    process: Child,
    addr: SocketAddr,
}

impl Running {
    fn start(kind: Kind) -> Option<Running> {
        match kind {
            Kind::Coturn => Running::coturn(),
            Kind::Sockets => Some(Running::ours("sockets")),
            Kind::Media => Some(Running::ours("media")),
        }
    }

    fn ours(mode: &str) -> Running {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process = command.args(["serve", mode]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Running { process, addr: line.trim().parse().unwrap() }
    }

    fn coturn() -> Option<Running> {
        // coturn needs a given port: one that was free just now.
        let addr = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let secret = format!("--static-auth-secret={SECRET}");
        let mut command = Command::new("turnserver");
        command.args(["-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", &addr.port().to_string()]);
        command.args(["--use-auth-secret", &secret, "--realm=madang", "--allow-loopback-peers"]);
        command.args([
            "--no-cli",
            "--no-tls",
            "--no-dtls",
            "--no-stdout-log",
            "--log-file=/dev/null",
        ]);
        command.args(["--pidfile=/dev/null"]).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running { process: command.spawn().ok()?, addr };
        let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
        probe.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        for _ in 0..100 {
            probe.send_to(&transport().finish(), addr).unwrap();
            if probe.recv(&mut [0; 1500]).is_ok() {
                return Some(running);
            }
        }
        panic!("coturn doesn't answer");
    }

    /// The CPU time of all threads, in nanosecond resolution.
    fn cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanoseconds = threads.map(|thread| {
            let times = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
            times.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The resident memory in bytes.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const MEDIA: &str = "127.0.0.1:5004";

/// Runs as the server process: prints its address, and serves until it is killed.
fn serve(is_media: bool) {
    let config = Config {
        secret: Secret::new(SECRET),
        media: vec![MEDIA.parse().unwrap()],
        allow_peers: if is_media { vec![] } else { vec!["127.0.0.1".parse().unwrap()] },
        max_allocations_per_address: 10_000,
        strangers_per_second: 0,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (handle, mailbox) = mailbox();
        let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = udp.local_addr().unwrap();
        let tcp = tokio::net::TcpListener::bind(addr).await.unwrap();
        println!("{addr}");
        std::io::stdout().flush().unwrap();
        let server = Server::new(&config, 1).unwrap();
        let echo = move |datagram| handle.deliver(datagram);
        let listeners = Listeners { udp, tcp, dtls: None };
        run(listeners, server, mailbox, echo, CancellationToken::new()).await.unwrap();
    });
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Coturn => "coturn",
            Kind::Sockets => "this server, to a peer",
            Kind::Media => "this server, to its media",
        }
    }
}

/// The machine to which the figures belong.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let coturn = Command::new("turnserver").arg("--version").output();
    let coturn = coturn.map_or("none".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    });
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "madang-turn {}, coturn {coturn}, {cores} × {}, Linux {}, load {}",
        env!("CARGO_PKG_VERSION"),
        model.unwrap_or("unknown"),
        kernel.trim(),
        load.split_whitespace().next().unwrap_or("unknown"),
    )
}
