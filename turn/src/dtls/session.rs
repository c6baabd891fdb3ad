//! One client's DTLS.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Dtls, Output};

use super::hello::{ClientHello, Cookie, Random};
use super::{DtlsEvent, DtlsIdentity, DtlsOutput, cookie};
use crate::ClientAddr;

/// Far more than one datagram leads to; guards against a loop in a library that talks to strangers.
const MOST_OUTPUTS: usize = 256;

/// A handshake, and what comes after it.
pub(super) struct Session {
    dtls: Dtls,
    /// Of the ClientHello that it began with.
    pub(super) random: Random,
    pub(super) is_connected: bool,
    /// When a handshake wants to send again, or is given up.
    pub(super) wake_at: Instant,
}

/// Whether a session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    Ends,
}

impl Session {
    /// The session of a client that sent `hello` with a good cookie. The hello itself is still to be handled.
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
        // The library counts messages, and numbers its own, from the first hello on, which was answered without it.
        let mut forgotten = DtlsOutput::default();
        for message_seq in 0..hello.message_seq {
            let former = hello.former(message_seq);
            session.handle_datagram(now, client, &former, buffer, &mut forgotten);
        }
        session
    }

    /// Takes the ClientHello with the cookie that was found to be good.
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

    /// Takes a datagram of the client.
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

    /// Sends again what the client has not answered in time.
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

    /// Encrypts a message, which becomes one record in one datagram.
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

    /// Says goodbye with a close_notify alert.
    pub(super) fn close(&mut self, client: ClientAddr, buffer: &mut [u8], out: &mut DtlsOutput) {
        if self.dtls.close().is_ok() {
            self.drain(client, buffer, out);
        }
    }

    /// Fetches all that the library has to tell, as it wants it after each call.
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
                // The answer to the client's goodbye came before.
                Output::CloseNotify | Output::BufferTooSmall { .. } => return Fate::Ends,
                _ => {}
            }
        }
        Fate::Ends
    }
}
