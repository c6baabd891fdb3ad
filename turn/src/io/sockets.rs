//! UDP sockets that receive and send many datagrams per system call, by GRO, GSO and recvmmsg where the kernel supports
//! them.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::task::{Context, Poll, ready};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv6DontFrag;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::debug;

use super::own_addresses::OwnAddresses;
use super::readable;
use crate::ClientAddr;

/// The requested receive and send buffer size for all clients together: a fifth of a second at 80 Mbit/s. The kernel
/// grants what its limits allow.
const CLIENTS_BUFFER: usize = 2 * 1024 * 1024;

/// The requested receive buffer size for one relayed address.
const RELAYED_BUFFER: usize = 512 * 1024;

/// Buffers for one receive call: as many runs as the kernel returns, each of up to 64 KiB.
pub(super) struct Received {
    buffers: [Box<[u8]>; BATCH_SIZE],
    metas: [RecvMeta; BATCH_SIZE],
    runs: usize,
}

impl Received {
    pub(super) fn new() -> Received {
        Received {
            buffers: std::array::from_fn(|_| vec![0; 64 * 1024].into()),
            metas: [RecvMeta::default(); BATCH_SIZE],
            runs: 0,
        }
    }

    /// The datagrams with their source, and their destination if the kernel reports it. Datagrams from port 0 can't be
    /// answered and are skipped.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, &[u8])> {
        let runs = self.metas.iter().zip(&self.buffers).take(self.runs);
        let runs = runs.filter(|(meta, _)| meta.addr.port() != 0);
        runs.flat_map(|(meta, buffer)| {
            let run = buffer.get(..meta.len).unwrap_or_default();
            // A run of zero bytes is one empty datagram.
            let count = meta.len.div_ceil(meta.stride.max(1)).max(1);
            (0..count).map(move |n| {
                let start = n * meta.stride;
                (meta.addr, meta.dst_ip, &run[start..(start + meta.stride).min(meta.len)])
            })
        })
    }
}

/// A socket, with the kernel features available for it.
pub(super) struct BatchSocket {
    socket: AsyncFd<UdpSocket>,
    state: UdpSocketState,
    local: SocketAddr,
    own: OwnAddresses,
}

impl BatchSocket {
    /// Wraps the socket for clients.
    pub(super) fn of_clients(socket: tokio::net::UdpSocket) -> io::Result<BatchSocket> {
        let socket = BatchSocket::new(socket.into_std()?)?;
        let sizes = [
            socket.state.set_recv_buffer_size((&socket.socket).into(), CLIENTS_BUFFER),
            socket.state.set_send_buffer_size((&socket.socket).into(), CLIENTS_BUFFER),
        ];
        for refused in sizes.into_iter().filter_map(Result::err) {
            debug!(%refused, "could not set a socket buffer size; keeping the system's default");
        }
        Ok(socket)
    }

    /// Binds a UDP socket to a relayed address.
    pub(super) fn of_relayed(addr: SocketAddr) -> io::Result<BatchSocket> {
        let socket = bind_relayed(addr, bind)?;
        if let Err(refused) = socket.set_recv_buffer_size(RELAYED_BUFFER) {
            debug!(%refused, "could not set a socket buffer size; keeping the system's default");
        }
        BatchSocket::new(socket.into())
    }

    fn new(socket: UdpSocket) -> io::Result<BatchSocket> {
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        let socket = readable::watch(socket)?;
        let socket = BatchSocket { socket, state, local, own: OwnAddresses::default() };
        // Media never needs fragmentation, but datagrams from peers may be too long once they are framed, and clients
        // may send long datagrams.
        if let Err(error) = socket.allow_fragments(true) {
            debug!(%error, "could not allow IP fragmentation; long datagrams may be lost");
        }
        Ok(socket)
    }

    /// Waits until the socket is readable. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await.map(drop)
    }

    /// Like [`BatchSocket::readable`], as a poll function for callers without a task of their own.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(ready!(self.socket.poll_read_ready(context)).map(drop))
    }

    /// Receives the available datagrams; `true` when there may be more.
    pub(super) fn receive(&self, received: &mut Received) -> bool {
        let Received { buffers, metas, runs } = received;
        let mut slices = buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        *runs = 0;
        let result = self.socket.try_io(Interest::READABLE, |socket| {
            *runs = self.state.recv(socket.into(), &mut slices, metas)?;
            // Fewer runs than requested means that nothing is left. Reporting WouldBlock now saves the call that would
            // find that out; a datagram that arrives meanwhile causes an event of its own.
            if *runs < BATCH_SIZE { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match result {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                debug!(%error, "could not receive datagrams");
                false
            }
        }
    }

    /// The server's address in the 5-tuple of a datagram.
    pub(super) fn reached_at(&self, ip: Option<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.unwrap_or(self.local.ip()), self.local.port())
    }

    /// Sends to a client, from the address to which the client sends. A socket bound to one address has no choice.
    pub(super) fn answer(&mut self, client: ClientAddr, bytes: &[u8], segment: usize) -> u64 {
        let ip = client.server.ip();
        let is_chosen = self.local.ip().is_unspecified() && self.own.contain(ip);
        self.send_from(is_chosen.then_some(ip), client.addr, bytes, segment)
    }

    /// Sends a run of datagrams of `segment` bytes; returns how many were refused. It never waits: waiting on a full
    /// socket would delay the packets of all others, and lost packets are retransmitted.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8], segment: usize) -> u64 {
        self.send_from(None, to, bytes, segment)
    }

    /// Like [`BatchSocket::send`], but refuses datagrams that would need IP fragmentation.
    pub(super) fn send_whole(&self, to: SocketAddr, bytes: &[u8], segment: usize) -> u64 {
        if let Err(error) = self.allow_fragments(false) {
            debug!(%error, "could not forbid IP fragmentation; dropping the datagrams");
            return count(bytes, segment);
        }
        let refused = self.send(to, bytes, segment);
        if let Err(error) = self.allow_fragments(true) {
            debug!(%error, "could not allow IP fragmentation again");
        }
        refused
    }

    /// Allows or forbids IP fragmentation; the library forbids it. An IPv6 socket needs both options, because it may
    /// send to IPv4 addresses.
    fn allow_fragments(&self, allowed: bool) -> io::Result<()> {
        let fd = &self.socket;
        if self.local.is_ipv6() {
            let discovery = match allowed {
                true => Ipv6PathMtuDiscovery::WANT,
                false => Ipv6PathMtuDiscovery::PROBE,
            };
            set_ipv6_mtu_discover(fd, discovery)?;
            setsockopt(fd, Ipv6DontFrag, &!allowed)?;
        }
        let discovery = match allowed {
            true => Ipv4PathMtuDiscovery::DONT,
            false => Ipv4PathMtuDiscovery::PROBE,
        };
        Ok(set_ip_mtu_discover(fd, discovery)?)
    }

    fn send_from(
        &self,
        src_ip: Option<IpAddr>,
        to: SocketAddr,
        bytes: &[u8],
        segment: usize,
    ) -> u64 {
        let transmit = Transmit {
            destination: self.reachable(to),
            ecn: None,
            contents: bytes,
            segment_size: (bytes.len() > segment).then_some(segment),
            src_ip,
        };
        match self.state.try_send((&self.socket).into(), &transmit) {
            Ok(()) => 0,
            Err(_) => count(bytes, segment),
        }
    }

    /// The maximum number of datagrams in a run.
    pub(super) fn longest_run(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// An IPv6 socket reaches IPv4 addresses in IPv4-mapped form (RFC 4291 §2.5.5.2).
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.local.is_ipv6() => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), to.port())
            }
            _ => to,
        }
    }
}

/// Binds a socket to a relayed address. If this machine does not have the address, because it is behind a NAT, binds to
/// all addresses instead.
pub(super) fn bind_relayed<S>(
    addr: SocketAddr,
    bind: impl Fn(SocketAddr) -> io::Result<S>,
) -> io::Result<S> {
    match bind(addr) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let all: IpAddr = match addr.ip() {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            bind(SocketAddr::new(all, addr.port()))
        }
        bound => bound,
    }
}

/// The number of datagrams in a run.
fn count(bytes: &[u8], segment: usize) -> u64 {
    bytes.len().div_ceil(segment.max(1)).max(1) as u64
}

fn bind(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM.nonblocking(), None)?;
    if addr.is_ipv6() {
        // The same port of IPv4 may belong to another client.
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}
