//! The UDP socket of a worker: many datagrams per call in both directions, with GRO, GSO, recvmmsg and sendmmsg where
//! the kernel supports them.
#![expect(clippy::disallowed_methods, reason = "this is where the media plane's sockets are made")]

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use tokio::io::Interest;

use super::sendmmsg::{Message, Sender};
use crate::transport::batch::SendBatch;
use crate::transport::path::{Path, canonical};

/// The buffer size requested from the kernel for each direction, in bytes: a fifth of a second at 80 Mbit/s. The kernel
/// may grant less.
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;

/// A bound socket that is not registered with a runtime yet.
pub(super) struct MediaSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    local_addr: SocketAddr,
}

impl MediaSocket {
    /// Binds an address, which the error names.
    pub(super) fn bind(address: SocketAddr) -> io::Result<MediaSocket> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("can't bind UDP {address} for media: {error}"))
        };
        let socket = UdpSocket::bind(address).map_err(failed)?;
        let local_addr = socket.local_addr().map_err(failed)?;
        let state = UdpSocketState::new((&socket).into()).map_err(failed)?;
        if state.may_fragment() {
            tracing::warn!(
                "the system does not support the don't-fragment flag; large media packets may be fragmented"
            );
        }
        let sizes = [
            state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER),
            state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER),
        ];
        for refused in sizes.into_iter().filter_map(Result::err) {
            tracing::warn!(%refused, "could not set the buffer size of the media socket; keeping the system's default");
        }
        Ok(MediaSocket { socket, state, local_addr })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Registers the socket with the current thread's runtime.
    pub(super) fn into_async(self) -> io::Result<BatchSocket> {
        Ok(BatchSocket {
            socket: tokio::net::UdpSocket::from_std(self.socket)?,
            is_ipv6: self.local_addr.is_ipv6(),
            has_all_addresses: self.local_addr.ip().is_unspecified(),
            names_sources: false,
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
    /// The socket is bound to every address of the host.
    has_all_addresses: bool,
    /// Each message names its source address, because the system would choose another one for at least one path. On
    /// IPv4 this costs 130 ns per datagram and 200 ns per run, a twentieth of the kernel's total; most hosts never need
    /// it.
    names_sources: bool,
    /// The kernel supports UDP GSO.
    has_gso: bool,
    state: UdpSocketState,
    sender: Sender,
    /// Each buffer takes one run of datagrams that the kernel has joined (GRO), of at most 64 KiB.
    buffers: [Box<[u8]>; BATCH_SIZE],
    metas: [RecvMeta; BATCH_SIZE],
}

impl BatchSocket {
    /// Waits until a datagram can be received.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives what is available, and returns the number of runs, to be read with [`Self::datagram`]; 0 if there are
    /// none.
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

    /// A datagram of a received run, and its path; `None` behind the last.
    pub(super) fn datagram(&mut self, run: usize, at: usize) -> Option<(Path, &mut [u8])> {
        let meta = &self.metas[run];
        let local = meta.dst_ip.filter(|_| self.has_all_addresses);
        let path = Path::Udp(canonical(meta.addr), local.map(|ip| ip.to_canonical()));
        let stride = meta.stride.max(1);
        let received = self.buffers[run].get_mut(..meta.len)?;
        received.chunks_mut(stride).nth(at).map(|datagram| (path, datagram))
    }

    /// Must be called for each path before the first datagram is sent on it. If the path requires it, source addresses
    /// are named from then on.
    pub(super) fn prepare_for(&mut self, path: Path) {
        if let Path::Udp(remote, Some(local)) = path
            && !self.names_sources
        {
            // If the system's choice is unknown, name the source to be safe.
            self.names_sources = source_towards(remote).ok() != Some(local);
        }
    }

    /// Sends the UDP datagrams of a batch, in order. Waits while the kernel's buffers are full; datagrams refused for
    /// another reason are counted and skipped.
    pub(super) fn send(&mut self, batch: &SendBatch) -> Sent {
        let mut sent = Sent::default();
        let mut done = 0;
        let mut patience = PATIENCE;
        loop {
            let BatchSocket { socket, sender, .. } = self;
            let messages =
                messages(batch, self.is_ipv6, self.has_gso, self.names_sources).skip(done);
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
                    // The queue of the network device is full.
                    sent.waits += 1;
                    patience -= 1;
                    std::thread::sleep(PACE);
                }
                Err(error)
                    if is_gso_refused(&error) && sender.sends_first_of(socket.as_fd(), next) =>
                {
                    tracing::info!(%error, "the kernel does not support UDP GSO; sending datagrams one at a time");
                    self.has_gso = false;
                    // Earlier runs counted as one message each, and from now on count as several; the first datagram of
                    // this one has been sent.
                    done = plain_messages(batch, done) + 1;
                }
                Err(error) => {
                    tracing::trace!(%error, "the kernel refused to send a datagram");
                    let segment = next.segment.map_or(next.bytes.len().max(1), usize::from);
                    sent.refused += next.bytes.len().div_ceil(segment) as u64;
                    done += 1;
                    patience = PATIENCE;
                }
            }
        }
    }
}

/// How often a message is tried while the device's queue is full.
const PATIENCE: u32 = 15;
/// The wait before a full buffer is tried again: about the time that a 10 Gbit/s device needs for the smallest common
/// buffer. The thread sleeps, since it has nothing more urgent to do.
const PACE: Duration = Duration::from_micros(200);

/// The result of sending a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Datagrams that the kernel finally refused.
    pub(super) refused: u64,
    /// Times that the kernel's buffers were full.
    pub(super) waits: u64,
}

/// Whether the error is one that the kernel returns if it or the device can't segment: udp(7), and EIO from devices
/// without checksum offload. It also has other causes, such as a source address that the host no longer has.
fn is_gso_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP))
}

/// The runs of a batch that are sent by UDP, as messages.
fn messages(
    batch: &SendBatch,
    is_ipv6: bool,
    has_gso: bool,
    names_sources: bool,
) -> impl Iterator<Item = Message<'_>> + Clone {
    let runs = batch.runs().filter_map(move |(run, bytes)| match run.path {
        Path::Udp(to, local) => Some((to, local.filter(|_| names_sources), bytes, run.segment)),
        _ => None,
    });
    runs.flat_map(move |(to, source, bytes, segment)| {
        let chunk = if has_gso { bytes.len() } else { segment };
        bytes.chunks(chunk).map(move |bytes| Message {
            to: reachable(to, is_ipv6),
            source,
            bytes,
            segment: (bytes.len() > segment).then_some(segment as u16),
        })
    })
}

/// The number of unsegmented messages that the first `runs` messages consist of.
fn plain_messages(batch: &SendBatch, runs: usize) -> usize {
    let runs = messages(batch, false, true, false).take(runs);
    runs.map(|run| run.segment.map_or(1, |segment| run.bytes.len().div_ceil(segment.into()))).sum()
}

/// The source address that the system would choose. Connecting a UDP socket only looks up the route; nothing is sent.
fn source_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// An IPv6 socket reaches IPv4 by mapped addresses (RFC 4291 §2.5.5.2).
fn reachable(to: SocketAddr, is_ipv6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if is_ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        _ => to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everywhere() -> BatchSocket {
        MediaSocket::bind("[::]:0".parse().unwrap()).unwrap().into_async().unwrap()
    }

    #[tokio::test]
    async fn sources_are_named_once_the_system_would_choose_another() {
        let mut socket = everywhere();
        // Client, address of this host that it reaches, whether sources are named from then on.
        let table = [
            ("127.0.0.1:9", Some("127.0.0.1"), false),
            ("[::1]:9", Some("::1"), false),
            ("127.0.0.1:9", None, false),
            ("127.0.0.1:9", Some("127.0.0.2"), true),
            ("127.0.0.1:9", Some("127.0.0.1"), true),
        ];
        for row @ (remote, local, named) in table {
            let local = local.map(|ip| ip.parse().unwrap());
            socket.prepare_for(Path::Udp(remote.parse().unwrap(), local));
            assert_eq!(socket.names_sources, named, "{row:?}");
        }
    }

    #[tokio::test]
    async fn a_source_address_that_the_host_has_lost_does_not_disable_segmentation() {
        let client = UdpSocket::bind("[::1]:0").unwrap();
        let to = client.local_addr().unwrap();
        let mut socket = everywhere();
        let has_gso = socket.has_gso;
        let mut batch = SendBatch::new();
        for source in ["2001:db8::9", "::1"] {
            let path = Path::Udp(to, Some(source.parse().unwrap()));
            socket.prepare_for(path);
            assert!(batch.push_copy(path, b"one") && batch.push_copy(path, b"two"));
        }

        let sent = socket.send(&batch);

        assert_eq!((sent.refused, socket.has_gso), (2, has_gso));
        for expected in [b"one", b"two"] {
            let mut datagram = [0; 3];
            assert_eq!(client.recv(&mut datagram).unwrap(), 3);
            assert_eq!(&datagram, expected);
        }
    }
}
