//! The UDP socket of a worker: many datagrams per call in both directions, by GRO, GSO, recvmmsg and sendmmsg where the
//! kernel has them.
#![expect(clippy::disallowed_methods, reason = "this is where the media plane's sockets are made")]

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use tokio::io::Interest;

use super::sendmmsg::{Message, Sender};
use crate::batch::SendBatch;
use crate::path::{Path, canonical};

/// Wanted of the kernel for each direction: a fifth of a second of 80 Mbit/s. It gives what its limits allow.
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;

/// A bound socket that no runtime knows yet.
pub(super) struct MediaSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    local_addr: SocketAddr,
}

impl MediaSocket {
    /// Binds an address; the error names it.
    pub(super) fn bind(address: SocketAddr) -> io::Result<MediaSocket> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("can't bind UDP {address} for media: {error}"))
        };
        let socket = UdpSocket::bind(address).map_err(failed)?;
        let local_addr = socket.local_addr().map_err(failed)?;
        let state = UdpSocketState::new((&socket).into()).map_err(failed)?;
        if state.may_fragment() {
            tracing::warn!("the system sends media in fragments where it fits no other way");
        }
        let sizes = [
            state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER),
            state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER),
        ];
        for refused in sizes.into_iter().filter_map(Result::err) {
            tracing::warn!(%refused, "the media socket keeps the system's buffer size");
        }
        Ok(MediaSocket { socket, state, local_addr })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Hands it to the runtime of the calling thread.
    pub(super) fn into_async(self) -> io::Result<BatchSocket> {
        Ok(BatchSocket {
            socket: tokio::net::UdpSocket::from_std(self.socket)?,
            is_ipv6: self.local_addr.is_ipv6(),
            has_gso: self.state.max_gso_segments() > 1,
            state: self.state,
            sender: Sender::new(),
            buffers: std::array::from_fn(|_| vec![0; 64 * 1024].into()),
            metas: [RecvMeta::default(); BATCH_SIZE],
        })
    }
}

/// A socket in a runtime, with its receive buffers.
pub(super) struct BatchSocket {
    socket: tokio::net::UdpSocket,
    is_ipv6: bool,
    /// The kernel cuts runs of datagrams.
    has_gso: bool,
    state: UdpSocketState,
    sender: Sender,
    /// Each takes one run of datagrams that the kernel joined (GRO), 64 KiB at most.
    buffers: [Box<[u8]>; BATCH_SIZE],
    metas: [RecvMeta; BATCH_SIZE],
}

impl BatchSocket {
    /// Waits until something can be received.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives what is there; returns how many runs, to be read with [`Self::datagram`]. 0 when there is nothing.
    pub(super) fn receive(&mut self) -> io::Result<usize> {
        let BatchSocket { socket, state, buffers, metas, .. } = self;
        let mut slices = buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let received =
            socket.try_io(Interest::READABLE, || state.recv((&*socket).into(), &mut slices, metas));
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// A datagram of a received run and its sender; `None` behind the last.
    pub(super) fn datagram(&mut self, run: usize, at: usize) -> Option<(SocketAddr, &mut [u8])> {
        let meta = &self.metas[run];
        let from = canonical(meta.addr);
        let stride = meta.stride.max(1);
        let received = self.buffers[run].get_mut(..meta.len)?;
        received.chunks_mut(stride).nth(at).map(|datagram| (from, datagram))
    }

    /// Sends what a batch has for UDP, in order. Waits while the kernel's buffers are full; what it refuses for another
    /// reason is counted and left out.
    pub(super) fn send(&mut self, batch: &SendBatch) -> Sent {
        let mut sent = Sent::default();
        let mut done = 0;
        let mut patience = PATIENCE;
        loop {
            let BatchSocket { socket, sender, .. } = self;
            let messages = messages(batch, self.is_ipv6, self.has_gso).skip(done);
            let mut rest = messages.clone().peekable();
            let Some(next) = rest.peek().copied() else { return sent };
            match sender.send(socket.as_fd(), rest) {
                Ok(taken) => {
                    done += taken;
                    patience = PATIENCE;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sent.waits += 1;
                    std::thread::sleep(PACE);
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && patience > 0 => {
                    // The network device's queue is full.
                    sent.waits += 1;
                    patience -= 1;
                    std::thread::sleep(PACE);
                }
                Err(error) if next.segment.is_some() && is_gso_refused(&error) => {
                    tracing::info!(%error, "the kernel cuts no runs of datagrams; they go one by one");
                    self.has_gso = false;
                    // Runs before this one count as one message each, from here on as several.
                    done = plain_messages(batch, done);
                }
                Err(error) => {
                    tracing::trace!(%error, "a datagram was refused");
                    let segment = next.segment.map_or(next.bytes.len().max(1), usize::from);
                    sent.refused += next.bytes.len().div_ceil(segment) as u64;
                    done += 1;
                    patience = PATIENCE;
                }
            }
        }
    }
}

/// Tries for one message while the device's queue is full.
const PATIENCE: u32 = 15;
/// Until a full buffer is tried again: what the smallest common one holds takes a 10 Gbit/s device about so long. The
/// thread sleeps, since nothing else in it is more urgent.
const PACE: Duration = Duration::from_micros(200);

/// How the sending of a batch went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Datagrams that the kernel refused for good.
    pub(super) refused: u64,
    /// Times that its buffers were full.
    pub(super) waits: u64,
}

/// What the kernel says when it, or the device, can't segment: udp(7), and EIO of devices without checksum offload.
fn is_gso_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP))
}

/// The runs of a batch that go by UDP, as messages.
fn messages(
    batch: &SendBatch,
    is_ipv6: bool,
    has_gso: bool,
) -> impl Iterator<Item = Message<'_>> + Clone {
    let runs = batch.runs().filter_map(|(run, bytes)| match run.path {
        Path::Udp(to) => Some((to, bytes, run.segment)),
        _ => None,
    });
    runs.flat_map(move |(to, bytes, segment)| {
        let chunk = if has_gso { bytes.len() } else { segment };
        bytes.chunks(chunk).map(move |bytes| Message {
            to: reachable(to, is_ipv6),
            bytes,
            segment: (bytes.len() > segment).then_some(segment as u16),
        })
    })
}

/// How many messages without segmentation the first `runs` messages with it are.
fn plain_messages(batch: &SendBatch, runs: usize) -> usize {
    let runs = messages(batch, false, true).take(runs);
    runs.map(|run| run.segment.map_or(1, |segment| run.bytes.len().div_ceil(segment.into()))).sum()
}

/// An IPv6 socket reaches IPv4 by mapped addresses; RFC 4291 §2.5.5.2.
fn reachable(to: SocketAddr, is_ipv6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if is_ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        _ => to,
    }
}
