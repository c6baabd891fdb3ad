//! Accepts TCP connections and keeps those that do nothing from piling up.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// HTTP connections at a time; a WebSocket stops counting once it is one. When full, further ones wait in the system's
/// backlog until a place is free.
const MOST_CONNECTIONS: usize = 4096;

/// How long a connection may take to send the head of a request, and how long it may stay silent between two.
const HEAD_DEADLINE: Duration = Duration::from_secs(20);

/// How long accepting rests after the system refused, as it does when all file descriptors are in use.
const REST: Duration = Duration::from_millis(200);

/// Serves until `shutdown`, then until the requests under way are answered.
pub(super) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, from)) => {
                    connections.spawn(connection(stream, from, router.clone(), shutdown.clone()));
                }
                Err(error) => rest_after(error).await,
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) {
    // STOMP frames are small and somebody waits for each of them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY was refused");
    }
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(from));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
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

async fn rest_after(error: io::Error) {
    match error.kind() {
        // The client was gone before we looked.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            warn!(%error, "a connection can't be accepted");
            tokio::time::sleep(REST).await;
        }
    }
}
