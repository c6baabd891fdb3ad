//! The DTLS socket, and the handling of DTLS events.

use std::io;
use std::mem;
use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::run::Run;
use super::sockets::{BatchSocket, Received};
use super::{BATCH, BATCH_OF_CLIENTS, Datagram, Shell, unix_now};
use crate::{ClientAddr, DtlsEvent, DtlsIdentity, DtlsOutput, DtlsSessions, Stats};

/// The listener for clients that use DTLS.
#[derive(Debug)]
pub struct DtlsListener {
    /// The UDP socket.
    pub socket: UdpSocket,
    /// The server's certificate and key. Sessions that start after a change use the new one.
    pub identity: watch::Receiver<DtlsIdentity>,
}

/// The DTLS socket with its sessions.
pub(super) struct DtlsSide {
    pub(super) socket: BatchSocket,
    pub(super) sessions: DtlsSessions,
    identity: watch::Receiver<DtlsIdentity>,
    /// Results of received datagrams and of timeouts.
    output: DtlsOutput,
    /// Results of sending.
    sent: DtlsOutput,
    run: Run<ClientAddr>,
    refused: u64,
}

impl DtlsSide {
    pub(super) fn new(listener: DtlsListener) -> io::Result<DtlsSide> {
        let DtlsListener { socket, mut identity } = listener;
        let present = identity.borrow_and_update().clone();
        let sessions = DtlsSessions::new(Instant::now(), &rand::random(), present);
        Ok(DtlsSide {
            socket: BatchSocket::of_clients(socket)?,
            sessions: sessions.map_err(io::Error::other)?,
            identity,
            output: DtlsOutput::default(),
            sent: DtlsOutput::default(),
            run: Run::new(),
            refused: 0,
        })
    }

    /// Waits until the socket is readable; forever if there is none.
    pub(super) async fn readable(side: &Option<DtlsSide>) -> io::Result<()> {
        match side {
            Some(side) => side.socket.readable().await,
            None => std::future::pending().await,
        }
    }

    /// The time at which the sessions must be called.
    pub(super) fn poll_timeout(side: &Option<DtlsSide>) -> Option<Instant> {
        side.as_ref()?.sessions.poll_timeout()
    }

    /// Encrypts a message and appends it to the run; `true` when this ended the client's session.
    fn send(&mut self, client: ClientAddr, message: &[u8]) -> bool {
        if !self.sessions.send(client, message, &mut self.sent) {
            self.refused += 1;
        }
        let mut sent = mem::take(&mut self.sent);
        let mut has_ended = false;
        for event in sent.events.drain(..) {
            match event {
                DtlsEvent::Transmit(to, range) => self.append(to, &sent.bytes[range]),
                DtlsEvent::Ended(_) => has_ended = true,
                // Sending causes no messages from the client; they are handled when they are received.
                DtlsEvent::Message(..) => {}
            }
        }
        sent.clear();
        self.sent = sent;
        has_ended
    }

    fn append(&mut self, to: ClientAddr, datagram: &[u8]) {
        let DtlsSide { socket, run, refused, .. } = self;
        let start = run.bytes.len();
        run.bytes.extend_from_slice(datagram);
        let most = socket.longest_run();
        run.appended(start, to, most, |to, bytes, segment| {
            *refused += socket.answer(to, bytes, segment);
        });
    }

    pub(super) fn flush(&mut self) {
        let DtlsSide { socket, run, refused, .. } = self;
        run.flush(|to, bytes, segment| *refused += socket.answer(to, bytes, segment));
    }

    pub(super) fn add_to(&self, stats: Stats) -> Stats {
        Stats {
            send_refused: stats.send_refused + self.refused,
            dtls_sessions: self.sessions.len() as u64,
            dtls_handshakes: self.sessions.handshakes() as u64,
            dtls_refused: self.sessions.refused(),
            dtls_failed: self.sessions.failed(),
            ..stats
        }
    }
}

impl<F: Fn(Datagram)> Shell<F> {
    pub(super) fn serve_dtls(&mut self, received: &mut Received) {
        let (now, unix_now) = (Instant::now(), unix_now());
        self.take_identity();
        let mut served = 0;
        for _ in 0..BATCH {
            let Some(side) = &self.dtls else { return };
            let may_be_more = side.socket.receive(received);
            for (from, to, datagram) in received.datagrams() {
                let Shell { dtls: Some(side), server, .. } = self else { return };
                let client = ClientAddr::dtls(from).at(side.socket.reached_at(to));
                let is_allowed = || server.allows_handshake(now, client);
                let DtlsSide { sessions, output, .. } = side;
                sessions.handle_datagram(now, client, datagram, is_allowed, output);
                self.handle_dtls_output(now, unix_now);
                served += 1;
            }
            if !may_be_more || served >= BATCH_OF_CLIENTS {
                return;
            }
        }
    }

    pub(super) fn handle_dtls_timeout(&mut self, now: Instant) {
        let Some(DtlsSide { sessions, output, .. }) = &mut self.dtls else { return };
        sessions.handle_timeout(now, output);
        self.handle_dtls_output(now, unix_now());
    }

    pub(super) fn sweep_dtls(&mut self, now: Instant) {
        let Shell { dtls: Some(side), server, .. } = self else { return };
        let DtlsSide { sessions, output, .. } = side;
        sessions.sweep(now, |client| server.has_allocation(client), output);
        self.handle_dtls_output(now, unix_now());
    }

    /// Tells all clients that the server stops. Without connections, they would not notice otherwise.
    pub(super) fn close_dtls(&mut self) {
        let Some(DtlsSide { sessions, output, .. }) = &mut self.dtls else { return };
        sessions.close_all(output);
        self.handle_dtls_output(Instant::now(), unix_now());
        self.flush();
    }

    pub(super) fn send_by_dtls(&mut self, client: ClientAddr, message: Range<usize>) {
        let Shell { dtls: Some(side), to_clients, server, .. } = self else { return };
        if side.send(client, &to_clients.bytes[message]) {
            server.handle_closed(client);
        }
    }

    fn take_identity(&mut self) {
        let Some(side) = &mut self.dtls else { return };
        // The sender may be gone; the last identity stays in use.
        if side.identity.has_changed().unwrap_or(false) {
            side.sessions.set_identity(side.identity.borrow_and_update().clone());
        }
    }

    fn handle_dtls_output(&mut self, now: Instant, unix_now: Duration) {
        let Some(side) = &mut self.dtls else { return };
        let mut output = mem::take(&mut side.output);
        for event in output.events.drain(..) {
            match event {
                DtlsEvent::Transmit(to, range) => {
                    if let Some(side) = &mut self.dtls {
                        side.append(to, &output.bytes[range]);
                    }
                }
                DtlsEvent::Message(client, range) => {
                    self.handle_message(now, unix_now, client, &output.bytes[range]);
                }
                DtlsEvent::Ended(client) => self.server.handle_closed(client),
            }
        }
        output.clear();
        if let Some(side) = &mut self.dtls {
            side.output = output;
        }
    }
}
