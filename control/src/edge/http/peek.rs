//! Peeks at the first bytes of a connection, and leaves them to the part that serves it.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::protocol::{LONGEST, Protocol};

/// Waits until the protocol of a connection is certain. Returns it with a copy of the bytes that have arrived by then.
///
/// # Errors
/// If the connection fails or ends before.
pub(super) async fn protocol(stream: &TcpStream) -> io::Result<(Protocol, Vec<u8>)> {
    // A connection that sends nothing needs no buffer.
    stream.readable().await?;
    let mut first = vec![0; LONGEST];
    let mut seen = 0;
    loop {
        let is_ending = stream.ready(Interest::READABLE).await?.is_read_closed();
        let peeked = stream.try_io(Interest::READABLE, || {
            match recv(stream, &mut *first, RecvFlags::PEEK)?.0 {
                // `WouldBlock` clears the readiness that tokio stores, so that it wakes this task when more arrives.
                length if length <= seen && !is_ending => Err(io::ErrorKind::WouldBlock.into()),
                length => Ok(length),
            }
        });
        seen = match peeked {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if let Some(protocol) = Protocol::of(&first[..seen]) {
            first.truncate(seen);
            return Ok((protocol, first));
        }
        if is_ending {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "real sockets are what is tested here")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_decides_is_told_and_still_to_be_read() {
        let (mut client, mut server) = connected().await;
        let request = b"\0\x01\0\0\x21\x12\xa4\x42";
        let (_, seen) = tokio::join!(
            async {
                for byte in request {
                    client.write_u8(*byte).await.unwrap();
                    tokio::task::yield_now().await;
                }
            },
            protocol(&server),
        );

        assert_eq!(seen.unwrap(), (Protocol::Turn, request.to_vec()));
        let mut read = [0; 8];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, request);
    }

    #[tokio::test]
    async fn an_end_before_that_is_an_error() {
        for beginning in [&b""[..], b"\0", b"\0\x4c\0\x01\0\x38\x21\x12\xa4\x42"] {
            let (mut client, server) = connected().await;
            client.write_all(beginning).await.unwrap();
            client.shutdown().await.unwrap();

            let error = protocol(&server).await.unwrap_err();

            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
