//! The sockets of light peers: few sockets, with many datagrams per system call.
//!
//! A server distinguishes peers by address and port. On loopback one socket serves many peers, each with its own
//! address in 127.0.0.0/8; elsewhere each peer has a socket.
#![expect(clippy::disallowed_methods, reason = "this module creates the sockets of light peers")]

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

/// The number of peers that share a socket on loopback.
const PEERS_PER_SOCKET: usize = 32;
/// 127.0.1.1, the address of each socket's first peer.
const FIRST_ADDRESS: u32 = 0x7F00_0101;
/// The requested receive buffer size of each socket; the kernel grants what its limits allow.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;
/// The longest run of datagrams that the kernel joins (GRO).
const RUN_BYTES: usize = 64 * 1024;
const WAKER: Token = Token(usize::MAX);

/// All sockets; see the module documentation.
pub struct Sockets {
    poll: Poll,
    events: Events,
    sockets: Vec<Socket>,
    local: IpAddr,
    buffers: [Box<[u8]>; BATCH_SIZE],
    metas: [RecvMeta; BATCH_SIZE],
    /// Datagrams that the kernel refused to send.
    pub refused: u64,
}

struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    port: u16,
}

impl Sockets {
    /// Creates an empty set of sockets for a local address, and the waker for [`Self::wait`].
    ///
    /// # Errors
    /// When the system can't poll sockets.
    pub fn new(local: IpAddr) -> Result<(Sockets, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let sockets = Sockets {
            poll,
            events: Events::with_capacity(1024),
            sockets: Vec::new(),
            local,
            buffers: std::array::from_fn(|_| vec![0; RUN_BYTES].into()),
            metas: [RecvMeta::default(); BATCH_SIZE],
            refused: 0,
        };
        Ok((sockets, waker))
    }

    /// Ensures that there is a socket for peer `number`.
    ///
    /// # Errors
    /// When no more sockets can be opened.
    pub fn open_for(&mut self, number: usize) -> Result<()> {
        while self.sockets.len() <= number / self.peers_per_socket() {
            let address = match self.is_shared() {
                true => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                false => self.local,
            };
            let socket = std::net::UdpSocket::bind(SocketAddr::new(address, 0))
                .context("opening a UDP socket (is `ulimit -n` high enough?)")?;
            let state = UdpSocketState::new((&socket).into())?;
            state.set_recv_buffer_size((&socket).into(), RECEIVE_BUFFER)?;
            let port = socket.local_addr()?.port();
            let mut socket = UdpSocket::from_std(socket);
            let token = Token(self.sockets.len());
            self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
            self.sockets.push(Socket { socket, state, port });
        }
        Ok(())
    }

    fn is_shared(&self) -> bool {
        self.local.is_loopback() && self.local.is_ipv4()
    }

    fn peers_per_socket(&self) -> usize {
        if self.is_shared() { PEERS_PER_SOCKET } else { 1 }
    }

    /// The address of peer `number`, whose socket exists. On loopback only.
    ///
    /// # Panics
    /// When the socket does not exist.
    pub fn address_of(&self, number: usize) -> SocketAddr {
        let place = (number % PEERS_PER_SOCKET) as u32;
        let port = self.sockets[number / PEERS_PER_SOCKET].port;
        SocketAddr::new(Ipv4Addr::from(FIRST_ADDRESS + place).into(), port)
    }

    /// The ports of all sockets.
    pub fn ports(&self) -> Vec<u16> {
        self.sockets.iter().map(|socket| socket.port).collect()
    }

    /// Waits for datagrams or the waker; returns the readable sockets.
    ///
    /// # Errors
    /// When polling fails.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Vec<usize>> {
        match self.poll.poll(&mut self.events, Some(limit)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            other => other?,
        }
        let tokens = self.events.iter().map(|event| event.token());
        Ok(tokens.filter(|token| *token != WAKER).map(|token| token.0).collect())
    }

    /// Reads at most one batch from a socket. `take` gets the peer's number, the kernel's metadata of the run, and the
    /// datagram. Returns whether there may be more.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn receive(
        &mut self,
        at: usize,
        mut take: impl FnMut(usize, &RecvMeta, &mut [u8]),
    ) -> io::Result<bool> {
        let (per_socket, is_shared) = (self.peers_per_socket(), self.is_shared());
        let Sockets { sockets, buffers, metas, .. } = self;
        let Some(Socket { socket, state, .. }) = sockets.get(at) else {
            return Ok(false);
        };
        let mut slices = buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let runs = match state.recv(socket.into(), &mut slices, metas) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // The consequence of an ICMP error about an earlier datagram.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(true),
            other => other?,
        };
        for (meta, buffer) in metas.iter().zip(buffers).take(runs) {
            let place = match (is_shared, meta.dst_ip) {
                (true, Some(IpAddr::V4(ip))) => u32::from(ip).wrapping_sub(FIRST_ADDRESS) as usize,
                (true, _) => continue,
                (false, _) => 0,
            };
            if place >= per_socket {
                continue;
            }
            for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                take(at * per_socket + place, meta, datagram);
            }
        }
        Ok(runs == BATCH_SIZE)
    }

    /// Sends a peer's datagrams: `run` contains one, or several of `segment` bytes each except the last.
    pub fn send(&mut self, number: usize, to: SocketAddr, run: &[u8], segment: usize) {
        let per_socket = self.peers_per_socket();
        let place = (number % per_socket) as u32;
        let source = IpAddr::V4(Ipv4Addr::from(FIRST_ADDRESS + place));
        let Some(Socket { socket, state, .. }) = self.sockets.get(number / per_socket) else {
            return;
        };
        let segments = state.max_gso_segments().max(1);
        let is_shared = self.local.is_loopback() && self.local.is_ipv4();
        for contents in run.chunks(segments * segment.max(1)) {
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents,
                segment_size: (contents.len() > segment).then_some(segment),
                src_ip: is_shared.then_some(source),
            };
            if state.try_send(socket.into(), &transmit).is_err() {
                self.refused += contents.len().div_ceil(segment.max(1)) as u64;
            }
        }
    }
}
