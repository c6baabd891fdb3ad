//! A UDP socket that the runtime watches for what can be read, and for nothing else: whoever asks to be told, too, when it
//! can be written to, as tokio's own socket does, is woken after each datagram that left.
#![expect(
    unsafe_code,
    reason = "tokio can't see that the descriptor stays the socket's as long as it is watched"
)]

use std::io;
use std::net::UdpSocket;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Hands a non-blocking socket to the runtime of the calling thread.
pub(super) fn watch(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a UdpSocket owns its descriptor, closes it when it is dropped and names no other in between; the AsyncFd owns
    // the socket.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}
