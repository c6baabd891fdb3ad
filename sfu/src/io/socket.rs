//! The UDP socket of a worker: many datagrams per call in both directions, by GRO, GSO and recvmmsg where the kernel
//! has them.
#![expect(clippy::disallowed_methods, reason = "this is where the media plane's sockets are made")]

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;

use crate::path::canonical;

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
            state: self.state,
            buffers: std::array::from_fn(|_| vec![0; 64 * 1024].into()),
            metas: [RecvMeta::default(); BATCH_SIZE],
        })
    }
}

/// A socket in a runtime, with its receive buffers.
pub(super) struct BatchSocket {
    socket: tokio::net::UdpSocket,
    is_ipv6: bool,
    state: UdpSocketState,
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

    /// Sends a run of datagrams, all `segment` bytes long but the last. Waits while the kernel's buffer is full.
    pub(super) async fn send(&self, to: SocketAddr, run: &[u8], segment: usize) -> io::Result<()> {
        let segments = self.state.max_gso_segments().max(1);
        for contents in run.chunks(segments * segment) {
            let transmit = Transmit {
                destination: self.reachable(to),
                ecn: None,
                contents,
                segment_size: (contents.len() > segment).then_some(segment),
                src_ip: None,
            };
            self.send_one(&transmit).await?;
        }
        Ok(())
    }

    async fn send_one(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        loop {
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                self.state.try_send((&self.socket).into(), transmit)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.writable().await?;
                }
                other => return other,
            }
        }
    }

    /// An IPv6 socket reaches IPv4 by mapped addresses; RFC 4291 §2.5.5.2.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.is_ipv6 => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), to.port())
            }
            _ => to,
        }
    }
}
