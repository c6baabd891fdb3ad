//! Accepts TCP connections, determines their protocol, and serves HTTP.
#![expect(clippy::disallowed_methods, reason = "the first request of a connection has a deadline")]

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use madang_turn::ClientAddr;
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::peek;
use super::places::{Places, Requests, UnderWay};
use super::protocol::{Protocol, may_be_stun};
use super::stream::HttpStream;

/// Pause after a failed `accept`, which would fail again at once, for example while all file descriptors are in use.
const REST: Duration = Duration::from_millis(200);

/// Maximum size of the request line and headers, in bytes. A larger head is answered with 431 (RFC 6585 §5).
const LONGEST_HEAD: usize = 128 * 1024;

/// The services behind the port.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) router: Router,
    /// See [`crate::hub::Limits`]. Also limits the time until the protocol is known, including a TLS handshake.
    pub(super) request_timeout: Duration,
    /// `Some` if the port is for HTTPS.
    pub(super) tls: Option<Tls>,
}

/// Additional services of an HTTPS port.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// Answers plain HTTP.
    pub(super) plain: Router,
    /// Serves TURN, with and without TLS: networks that allow only HTTPS allow this, too. `None` if TURN is off.
    pub(super) turn: Option<madang_turn::Handle>,
    /// Serves media over TCP.
    pub(super) media: madang_sfu::io::Handle,
}

/// Serves until `shutdown` is cancelled and the requests in progress are answered.
pub(super) async fn serve(listener: TcpListener, entrance: Entrance, shutdown: CancellationToken) {
    let mut places = Places::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = places.ended() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => places.take(Instant::now(), from.ip(), |requests| {
                    connection(stream, from, entrance.clone(), requests, shutdown.clone())
                }),
                Err(error) => rest_after(error).await,
            }
        }
    }
    drop(listener);
    places.all_ended().await;
}

/// The body of a response. Its request is in progress until the body is written.
struct Answering {
    body: Body,
    _request: UnderWay,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    entrance: Entrance,
    requests: Requests,
    shutdown: CancellationToken,
) {
    // An error means that the connection is closed already.
    let Ok(server) = stream.local_addr() else { return };
    // STOMP frames are small and must not wait to be merged.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "can't set TCP_NODELAY");
    }
    let request_timeout = entrance.request_timeout;
    let opened = tokio::select! {
        opened = tokio::time::timeout(request_timeout, open(stream, entrance)) => opened,
        () = shutdown.cancelled() => return,
    };
    match opened {
        Ok(Ok(Opened::Http(stream, router))) => {
            serve_http(stream, from, router, requests, request_timeout, shutdown).await;
        }
        Ok(Ok(Opened::Turn(stream, turn))) => {
            turn.accept(stream, ClientAddr::tls(from).at(server)).await;
        }
        Ok(Ok(Opened::PlainTurn(stream, turn))) => {
            turn.accept(stream, ClientAddr::tcp(from).at(server)).await;
        }
        Ok(Ok(Opened::Media(stream, first, media))) => {
            media.accept_tcp(stream, from, &first).await;
        }
        Ok(Err(error)) => debug!(%error, "a connection failed before its protocol was known"),
        Err(_) => debug!("closed a connection that did not show its protocol in time"),
    }
}

/// A connection whose protocol is known.
enum Opened {
    Http(HttpStream, Router),
    Turn(Box<TlsStream<TcpStream>>, madang_turn::Handle),
    PlainTurn(TcpStream, madang_turn::Handle),
    /// With the bytes that will be read first.
    Media(TcpStream, Vec<u8>, madang_sfu::io::Handle),
}

/// Determines the protocol of a connection. On a port for HTTPS, it depends on the first bytes, also inside TLS.
async fn open(stream: TcpStream, entrance: Entrance) -> io::Result<Opened> {
    let Some(Tls { acceptor, plain, turn, media }) = entrance.tls else {
        return Ok(Opened::Http(HttpStream::Plain(stream), entrance.router));
    };
    let (protocol, first) = peek::protocol(&stream).await?;
    match (protocol, &turn) {
        // The handshake does not need the buffer.
        (Protocol::Tls, _) => drop(first),
        (Protocol::Turn, Some(turn)) => return Ok(Opened::PlainTurn(stream, turn.clone())),
        (Protocol::Ice, _) => return Ok(Opened::Media(stream, first, media)),
        // TURN gets here only if it is off.
        (Protocol::Http | Protocol::Turn, _) => {
            return Ok(Opened::Http(HttpStream::Plain(stream), plain));
        }
    }
    // Boxed, so that connections without TLS do not store the state of a handshake.
    let mut stream = Box::pin(async { acceptor.accept(stream).await.map(Box::new) }).await?;
    if let Some(turn) = turn
        && stream.fill_buf().await?.first().is_some_and(|first| may_be_stun(*first))
    {
        return Ok(Opened::Turn(stream, turn));
    }
    Ok(Opened::Http(HttpStream::Tls(stream), entrance.router))
}

async fn serve_http(
    stream: HttpStream,
    from: SocketAddr,
    router: Router,
    requests: Requests,
    request_timeout: Duration,
    shutdown: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(from));
        let (answering, under_way) = (router.call(request), requests.begin());
        async move {
            let response: Response = answering.await?;
            Ok::<_, std::convert::Infallible>(
                response.map(|body| Answering { body, _request: under_way }),
            )
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(request_timeout)
        .max_header_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "an HTTP connection failed");
    }
}

/// Pauses after an error of `accept` that would repeat at once.
pub(crate) async fn rest_after(error: io::Error) {
    match error.kind() {
        // The client disconnected before its connection was accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            warn!(%error, "could not accept a connection");
            tokio::time::sleep(REST).await;
        }
    }
}
