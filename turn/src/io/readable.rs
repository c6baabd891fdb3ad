//! A UDP socket that the runtime watches for readability only. Watching for writability too, as tokio's own socket
//! does, would cause a wake-up after each datagram sent.
#![expect(
    unsafe_code,
    reason = "tokio can't verify that the descriptor belongs to the socket as long as it is watched"
)]

use std::io;
use std::net::UdpSocket;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a non-blocking socket with the runtime of the current thread.
pub(super) fn watch(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a UdpSocket owns its descriptor, closes it when dropped and never changes it; the AsyncFd owns the
    // socket.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}
