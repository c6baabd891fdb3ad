//! The DTLS state of one client.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Dtls, Output};

use super::hello::{ClientHello, Cookie, Random};
use super::{DtlsEvent, DtlsIdentity, DtlsOutput, cookie};
use crate::ClientAddr;

/// The maximum number of outputs per call, far more than one datagram causes. It guards against an endless loop in the
/// library.
const MOST_OUTPUTS: usize = 256;

/// A handshake, and then the session that follows it.
pub(super) struct Session {
    dtls: Dtls,
    /// The random bytes of the ClientHello that started it.
    pub(super) random: Random,
    pub(super) is_connected: bool,
    /// When a handshake must retransmit or is given up.
    pub(super) wake_at: Instant,
}

/// Whether a session continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    Ends,
}

impl Session {
    /// Creates the session of a client that sent `hello` with a valid cookie. The caller then passes the hello to
    /// `handle_hello`.
    pub(super) fn new(
        now: Instant,
        config: &Arc<dimpl::Config>,
        identity: &DtlsIdentity,
        client: ClientAddr,
        hello: &ClientHello<'_>,
        buffer: &mut [u8],
    ) -> Session {
        let dtls = Dtls::new_12(Arc::clone(config), identity.certificate(), now);
        let mut session = Session { dtls, random: hello.random, is_connected: false, wake_at: now };
        // The library counts the client's messages, and numbers its own, from the first hello, which was answered
        // without it.
        let mut forgotten = DtlsOutput::default();
        for message_seq in 0..hello.message_seq {
            let former = hello.former(message_seq);
            session.handle_datagram(now, client, &former, buffer, &mut forgotten);
        }
        session
    }

    /// Handles the ClientHello with the cookie that was found valid.
    pub(super) fn handle_hello(
        &mut self,
        now: Instant,
        client: ClientAddr,
        hello: &ClientHello<'_>,
        cookie: Cookie,
        buffer: &mut [u8],
        out: &mut DtlsOutput,
    ) -> Fate {
        cookie::expecting(self.random, cookie, || {
            self.handle_datagram(now, client, hello.datagram, buffer, out)
        })
    }

    /// Handles a datagram from the client.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        client: ClientAddr,
        datagram: &[u8],
        buffer: &mut [u8],
        out: &mut DtlsOutput,
    ) -> Fate {
        let taken = self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram));
        match taken {
            Ok(()) => self.drain(client, buffer, out),
            Err(_) => Fate::Ends,
        }
    }

    /// Retransmits handshake messages that the client has not answered in time.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        client: ClientAddr,
        buffer: &mut [u8],
        out: &mut DtlsOutput,
    ) -> Fate {
        match self.dtls.handle_timeout(now) {
            Ok(()) => self.drain(client, buffer, out),
            Err(_) => Fate::Ends,
        }
    }

    /// Encrypts a message into one record in one datagram.
    pub(super) fn send(
        &mut self,
        client: ClientAddr,
        message: &[u8],
        buffer: &mut [u8],
        out: &mut DtlsOutput,
    ) -> Fate {
        match self.dtls.send_application_data(message) {
            Ok(_) => self.drain(client, buffer, out),
            Err(_) => Fate::Ends,
        }
    }

    /// Closes the session with a close_notify alert.
    pub(super) fn close(&mut self, client: ClientAddr, buffer: &mut [u8], out: &mut DtlsOutput) {
        if self.dtls.close().is_ok() {
            self.drain(client, buffer, out);
        }
    }

    /// Collects all outputs of the library, which requires this after each call.
    fn drain(&mut self, client: ClientAddr, buffer: &mut [u8], out: &mut DtlsOutput) -> Fate {
        for _ in 0..MOST_OUTPUTS {
            match self.dtls.poll_output(buffer) {
                Output::Packet(datagram) => {
                    let range = out.append(datagram);
                    out.events.push(DtlsEvent::Transmit(client, range));
                }
                Output::ApplicationData(message) => {
                    let range = out.append(message);
                    out.events.push(DtlsEvent::Message(client, range));
                }
                Output::Connected => self.is_connected = true,
                Output::Timeout(at) => {
                    self.wake_at = at;
                    return Fate::Lives;
                }
                // The library has already answered the client's close_notify.
                Output::CloseNotify | Output::BufferTooSmall { .. } => return Fate::Ends,
                _ => {}
            }
        }
        Fate::Ends
    }
}
