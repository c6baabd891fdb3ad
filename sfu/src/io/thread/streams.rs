//! The TCP part of a worker's event loop.

use std::time::Instant;

use super::Shell;
use crate::io::tcp::TcpEvent;
use crate::transport::path::{ConnectionId, Protocol, demux};

/// TCP events per turn of the event loop.
pub(super) const EVENTS_AT_ONCE: usize = 64;

impl Shell {
    pub(super) fn handle_tcp(&mut self, now: Instant, first: TcpEvent) {
        self.handle_tcp_event(now, first);
        for _ in 1..EVENTS_AT_ONCE {
            let Some(event) = self.tcp.try_event() else {
                return;
            };
            self.handle_tcp_event(now, event);
        }
    }

    fn handle_tcp_event(&mut self, now: Instant, event: TcpEvent) {
        match event {
            TcpEvent::Accepted(stream, remote) => self.tcp.accept(now, stream, remote),
            TcpEvent::HandedOver(stream, remote) => self.tcp.adopt(now, stream, remote),
            TcpEvent::Received(connection, bytes) => {
                self.receive_stream(now, connection, &bytes);
            }
            TcpEvent::Writable(connection) => self.tcp.write(connection),
            TcpEvent::Ended(connection) => self.end_stream(connection),
        }
    }

    /// Until a valid ICE check has arrived, a connection may send nothing but STUN.
    fn receive_stream(&mut self, now: Instant, connection: ConnectionId, bytes: &[u8]) {
        let Some(mut reading) = self.tcp.begin_reading(connection) else {
            return;
        };
        let mut rest = bytes;
        while let Some(datagram) = reading.deframer.next(&mut rest) {
            let protocol = demux(datagram);
            if !reading.is_proven && protocol != Some(Protocol::Stun) {
                self.tcp.refuse(connection);
                return;
            }
            self.worker.handle_demuxed(now, reading.path, protocol, datagram);
            reading.is_proven = reading.is_proven || self.worker.is_validated(reading.path);
            if self.worker.is_burst_full() {
                self.flush();
            }
        }
        if !reading.is_proven && reading.deframer.has_skipped() {
            self.tcp.refuse(connection);
            return;
        }
        self.tcp.end_reading(connection, reading);
    }

    fn end_stream(&mut self, connection: ConnectionId) {
        if let Some(path) = self.tcp.close(connection) {
            self.worker.forget_path(path);
        }
    }
}
