//! Plain STOMP over TCP, for programs that are not browsers.
#![expect(clippy::disallowed_methods, reason = "the accept loop pauses after errors")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use madang_wire::Encoded;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::codec::{Decoder, Encoder, Framed};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::hub::Hub;
use crate::stomp::socket::Outgoing;

/// Initial size of a connection's read buffer, in bytes.
const READ_BUFFER: usize = 4096;
/// TCP probes a silent client after a minute, then every 15 seconds, so a client without heart-beats that is gone is
/// noticed.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
/// Pause after a failed `accept`, which would fail again at once, for example while all file descriptors are in use.
const REST: Duration = Duration::from_millis(200);

/// Serves until `shutdown` is cancelled and the hub has ended the sessions. The hub limits the number of connections;
/// one above the limit gets an ERROR.
pub(crate) async fn serve(listener: TcpListener, hub: Hub, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let hub = hub.clone();
                connections
                    .spawn(async move { hub.serve(TcpSocket::new(stream), from.ip()).await });
            }
            Err(error) => {
                warn!(%error, "could not accept a STOMP connection");
                tokio::time::sleep(REST).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// A TCP connection that behaves like a WebSocket. Its messages are the bytes that arrive together.
struct TcpSocket {
    framed: Framed<TcpStream, Chunks>,
    owes_pong: bool,
    is_closing: bool,
}

impl TcpSocket {
    fn new(stream: TcpStream) -> TcpSocket {
        // The connection works without both options.
        let tuned = stream
            .set_nodelay(true)
            .and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE));
        if let Err(error) = tuned {
            debug!(%error, "can't set a TCP option");
        }
        let framed = Framed::with_capacity(stream, Chunks, READ_BUFFER);
        TcpSocket { framed, owes_pong: false, is_closing: false }
    }
}

impl Stream for TcpSocket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.owes_pong) {
            return Poll::Ready(Some(Ok(Message::Pong(Bytes::new()))));
        }
        let chunk = ready!(Pin::new(&mut self.framed).poll_next(cx));
        Poll::Ready(chunk.map(|chunk| chunk.map(Message::Binary).map_err(Error::from)))
    }
}

impl Sink<Outgoing> for TcpSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.framed).poll_ready(cx).map_err(Error::from)
    }

    fn start_send(mut self: Pin<&mut Self>, outgoing: Outgoing) -> Result<(), Error> {
        match outgoing {
            Outgoing::Frame(frame) => Pin::new(&mut self.framed).start_send(frame)?,
            // TCP keep-alive replaces pings: it ends the stream of a connection that is gone.
            Outgoing::Ping => self.owes_pong = true,
            Outgoing::Close(_) => self.is_closing = true,
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(Pin::new(&mut self.framed).poll_flush(cx))?;
        if self.is_closing {
            return Pin::new(self.framed.get_mut()).poll_shutdown(cx).map_err(Error::from);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.is_closing = true;
        self.poll_flush(cx)
    }
}

/// Passes bytes on as they arrive. The session finds out where frames end.
struct Chunks;

impl Decoder for Chunks {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
        Ok((!buffer.is_empty()).then(|| buffer.split().freeze()))
    }
}

impl Encoder<Encoded> for Chunks {
    type Error = io::Error;

    fn encode(&mut self, frame: Encoded, buffer: &mut BytesMut) -> io::Result<()> {
        frame.into_parts().iter().for_each(|part| buffer.extend_from_slice(part));
        Ok(())
    }
}
