//! Accepts TCP connections and keeps those that do nothing from piling up.
#![expect(clippy::disallowed_methods, reason = "the first request of a connection has a deadline")]

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

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
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::peek;
use super::protocol::{Protocol, may_be_stun};
use super::stream::HttpStream;

/// HTTP connections at a time; a WebSocket stops counting once it is one. When full, a further one takes the place of
/// the oldest that has no request under way, so that connections which never ask for anything keep nobody out; when all
/// have one, it waits in the system's backlog.
const MOST_CONNECTIONS: usize = 4096;

/// Below so many, nothing is gained by forgetting those that have ended.
const FEW_CONNECTIONS: usize = 16;

/// How long accepting rests after the system refused, as it does when all file descriptors are in use.
const REST: Duration = Duration::from_millis(200);

/// Of a request's line and headers, in bytes. A longer head is answered with 431 (RFC 6585 §5).
const LONGEST_HEAD: usize = 128 * 1024;

/// What clients find behind the port.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) router: Router,
    /// See [`crate::hub::Limits`]; a TLS handshake may take as long.
    pub(super) request_timeout: Duration,
    /// When the port is for HTTPS.
    pub(super) tls: Option<Tls>,
}

/// What a port of HTTPS has besides.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// What is said to those who come without TLS.
    pub(super) plain: Router,
    /// Who serves those who speak TURN, inside or without: networks that let nothing out but HTTPS let that out, too.
    pub(super) turn: Option<madang_turn::Handle>,
    /// Who serves those whose media come by TCP.
    pub(super) media: madang_sfu::io::Handle,
}

/// Serves until `shutdown`, then until the requests under way are answered.
pub(super) async fn serve(listener: TcpListener, entrance: Entrance, shutdown: CancellationToken) {
    let mut places = Places::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = places.tasks.join_next() => {}
            accepted = listener.accept(), if places.may_take() => match accepted {
                Ok((stream, from)) => places.take(|requests| {
                    connection(stream, from, entrance.clone(), requests, shutdown.clone())
                }),
                Err(error) => rest_after(error).await,
            }
        }
    }
    drop(listener);
    while places.tasks.join_next().await.is_some() {}
}

/// The connections that there may be.
#[derive(Default)]
struct Places {
    tasks: JoinSet<()>,
    /// Oldest first; some may have ended. Bounded by twice [`MOST_CONNECTIONS`], and by twice as many as there are.
    taken: VecDeque<(AbortHandle, Requests)>,
    /// Connections with a request under way.
    busy: Arc<AtomicUsize>,
}

impl Places {
    fn may_take(&self) -> bool {
        self.tasks.len() < MOST_CONNECTIONS || self.busy.load(Relaxed) < self.tasks.len()
    }

    fn take<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        connection: impl FnOnce(Requests) -> F,
    ) {
        if self.tasks.len() >= MOST_CONNECTIONS {
            self.free_one();
        }
        // A handle keeps the memory of its task, also of one that has ended, as those of WebSockets have.
        if self.taken.len() >= 2 * self.tasks.len().max(FEW_CONNECTIONS) {
            self.taken.retain(|(task, _)| !task.is_finished());
        }
        let requests = Requests { own: Arc::default(), busy: Arc::clone(&self.busy) };
        let task = self.tasks.spawn(connection(requests.clone()));
        self.taken.push_back((task, requests));
    }

    /// Closes the oldest connection without a request. Those with one go behind the others, so that they are not looked at
    /// each time.
    fn free_one(&mut self) {
        for _ in 0..self.taken.len() {
            let Some((task, requests)) = self.taken.pop_front() else { return };
            if task.is_finished() {
                continue;
            }
            if requests.own.load(Relaxed) == 0 {
                debug!("a connection without a request makes room for another");
                return task.abort();
            }
            self.taken.push_back((task, requests));
        }
    }
}

/// The requests of a connection that are under way: from their head to the end of the response.
#[derive(Clone)]
struct Requests {
    own: Arc<AtomicUsize>,
    /// How many connections have any.
    busy: Arc<AtomicUsize>,
}

impl Requests {
    fn begin(&self) -> UnderWay {
        if self.own.fetch_add(1, Relaxed) == 0 {
            self.busy.fetch_add(1, Relaxed);
        }
        UnderWay(self.clone())
    }
}

/// One of them.
struct UnderWay(Requests);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.own.fetch_sub(1, Relaxed) == 1 {
            self.0.busy.fetch_sub(1, Relaxed);
        }
    }
}

/// The body of a response, which is under way until it is written.
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
    // An error means that it is broken already.
    let Ok(server) = stream.local_addr() else { return };
    // STOMP frames are small and somebody waits for each of them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY was refused");
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
        Ok(Err(error)) => debug!(%error, "a connection was not opened"),
        Err(_) => debug!("what a connection is for did not become clear in time"),
    }
}

/// What a connection turned out to be for.
enum Opened {
    Http(HttpStream, Router),
    Turn(Box<TlsStream<TcpStream>>, madang_turn::Handle),
    PlainTurn(TcpStream, madang_turn::Handle),
    /// With what will be read first.
    Media(TcpStream, Vec<u8>, madang_sfu::io::Handle),
}

/// Finds out what is spoken where the port is for TLS, by the first bytes, and then inside of it.
async fn open(stream: TcpStream, entrance: Entrance) -> io::Result<Opened> {
    let Some(Tls { acceptor, plain, turn, media }) = entrance.tls else {
        return Ok(Opened::Http(HttpStream::Plain(stream), entrance.router));
    };
    let (protocol, first) = peek::protocol(&stream).await?;
    match (protocol, &turn) {
        // The handshake need not keep it.
        (Protocol::Tls, _) => drop(first),
        (Protocol::Turn, Some(turn)) => return Ok(Opened::PlainTurn(stream, turn.clone())),
        (Protocol::Ice, _) => return Ok(Opened::Media(stream, first, media)),
        // TURN comes here where it is off.
        (Protocol::Http | Protocol::Turn, _) => {
            return Ok(Opened::Http(HttpStream::Plain(stream), plain));
        }
    }
    // In a box: connections without TLS need not keep room for a handshake.
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
        debug!(%error, "an HTTP connection broke");
    }
}

/// Lets time pass after an error that will not be over at once.
pub(crate) async fn rest_after(error: io::Error) {
    match error.kind() {
        // The client was gone before we looked.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            warn!(%error, "could not accept a connection");
            tokio::time::sleep(REST).await;
        }
    }
}
