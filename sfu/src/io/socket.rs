//! The UDP socket of a worker: many datagrams per call in both directions, by GRO, GSO, recvmmsg and sendmmsg where the
//! kernel has them.
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
    /// Bound to every address of the host.
    has_all_addresses: bool,
    /// What is sent says from which address, since the system would choose another for one path at least. It costs IPv4
    /// 130 ns for a datagram and 200 ns for a run, a twentieth of all that the kernel takes, and most hosts never need it.
    names_sources: bool,
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

    /// A datagram of a received run and the path it came on; `None` behind the last.
    pub(super) fn datagram(&mut self, run: usize, at: usize) -> Option<(Path, &mut [u8])> {
        let meta = &self.metas[run];
        let local = meta.dst_ip.filter(|_| self.has_all_addresses);
        let path = Path::Udp(canonical(meta.addr), local.map(|ip| ip.to_canonical()));
        let stride = meta.stride.max(1);
        let received = self.buffers[run].get_mut(..meta.len)?;
        received.chunks_mut(stride).nth(at).map(|datagram| (path, datagram))
    }

    /// To be told of each path before the first is sent there: from then on, sources are named if this one has to be.
    pub(super) fn prepare_for(&mut self, path: Path) {
        if let Path::Udp(remote, Some(local)) = path
            && !self.names_sources
        {
            // Who can't be told what the system would choose had better say.
            self.names_sources = source_towards(remote).ok() != Some(local);
        }
    }

    /// Sends what a batch has for UDP, in order. Waits while the kernel's buffers are full; what it refuses for another
    /// reason is counted and left out.
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
                    // The network device's queue is full.
                    sent.waits += 1;
                    patience -= 1;
                    std::thread::sleep(PACE);
                }
                Err(error)
                    if is_gso_refused(&error) && sender.sends_first_of(socket.as_fd(), next) =>
                {
                    tracing::info!(%error, "the kernel cuts no runs of datagrams; they go one by one");
                    self.has_gso = false;
                    // Runs before this one count as one message each, from here on as several; one of those is sent.
                    done = plain_messages(batch, done) + 1;
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

/// What the kernel says when it, or the device, can't segment: udp(7), and EIO of devices without checksum offload. It
/// says the same of other things, as of a source that is no longer an address of this host.
fn is_gso_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP))
}

/// The runs of a batch that go by UDP, as messages.
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

/// How many messages without segmentation the first `runs` messages with it are.
fn plain_messages(batch: &SendBatch, runs: usize) -> usize {
    let runs = messages(batch, false, true, false).take(runs);
    runs.map(|run| run.segment.map_or(1, |segment| run.bytes.len().div_ceil(segment.into()))).sum()
}

/// Which of its addresses the system would send from. Nothing is sent: connecting a UDP socket only asks for the route.
fn source_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// An IPv6 socket reaches IPv4 by mapped addresses; RFC 4291 §2.5.5.2.
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
    async fn a_source_that_the_host_has_lost_takes_segmentation_from_nobody() {
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
