//! The DTLS sessions of the TURN server, with a client whose datagrams are modified on the way, and other senders.
//! There are few handshakes and at most one session, and no one is sent much more than the server received.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dimpl::certificate::generate_self_signed_certificate;
use dimpl::{Dtls, DtlsCertificate, Output};
use madang_sfu::fuzz::pieces;
use madang_turn::{ClientAddr, DtlsEvent, DtlsIdentity, DtlsOutput, DtlsSessions};

libfuzzer_sys::fuzz_target!(|events: &[u8]| {
    let mut wire = Wire::new();
    for event in pieces(events) {
        let Some((&how, rest)) = event.split_first() else {
            continue;
        };
        match how & 7 {
            0 => wire.advance(u64::from(how >> 3) * 100),
            1 => wire.hears(client_at(how), rest),
            2 => wire.hears(client(), rest),
            3 => wire.client_says(rest),
            4 => wire.client = Wire::client(wire.now),
            _ => wire.client_sends(how & 8 == 0, rest),
        }
        wire.check();
    }
    wire.advance(11_000);
    assert_eq!(wire.sessions.handshakes(), 0);
});

/// The client that establishes sessions.
fn client() -> ClientAddr {
    client_at(200)
}

fn client_at(last: u8) -> ClientAddr {
    ClientAddr::dtls(([203, 0, 113, last], 40_000).into())
}

struct Wire {
    sessions: DtlsSessions,
    client: Dtls,
    now: Instant,
    received: usize,
    sent: usize,
}

impl Wire {
    fn new() -> Wire {
        let now = Instant::now();
        let DtlsCertificate { certificate, private_key } = certificate();
        let identity = DtlsIdentity::new(certificate, private_key).expect("it is one of ECDSA");
        let sessions = DtlsSessions::new(now, &[7; 32], identity).expect("the settings are good");
        Wire { sessions, client: Wire::client(now), now, received: 0, sent: 0 }
    }

    fn client(now: Instant) -> Dtls {
        let mut dtls = Dtls::new_12(Arc::default(), certificate(), now);
        dtls.set_active(true);
        let _ = dtls.handle_timeout(now);
        dtls
    }

    fn advance(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        let mut out = DtlsOutput::default();
        self.sessions.handle_timeout(self.now, &mut out);
        self.deliver(out);
    }

    fn hears(&mut self, from: ClientAddr, datagram: &[u8]) {
        self.received += datagram.len();
        let mut out = DtlsOutput::default();
        self.sessions.handle_datagram(self.now, from, datagram, || true, &mut out);
        self.deliver(out);
    }

    /// Delivers what the client has to send, with some bytes changed, unless it is lost.
    fn client_sends(&mut self, arrives: bool, changes: &[u8]) {
        let _ = self.client.handle_timeout(self.now);
        let mut buffer = vec![0; 20_000];
        let mut sent = Vec::new();
        while let Some(datagram) = next_packet(&mut self.client, &mut buffer) {
            sent.push(datagram);
        }
        for mut datagram in sent {
            for change in changes.chunks_exact(2) {
                let length = datagram.len();
                if let Some(byte) = datagram.get_mut(usize::from(change[0]) % length.max(1)) {
                    *byte ^= change[1];
                }
            }
            if arrives {
                self.hears(client(), &datagram);
            }
        }
    }

    fn client_says(&mut self, message: &[u8]) {
        let _ = self.client.send_application_data(message);
        self.client_sends(true, &[]);
    }

    fn deliver(&mut self, out: DtlsOutput) {
        for event in &out.events {
            match event {
                DtlsEvent::Transmit(to, range) => {
                    self.sent += range.len();
                    if *to == client() {
                        let _ = self.client.handle_packet(&out.bytes[range.clone()]);
                    }
                }
                DtlsEvent::Message(from, _) => assert_eq!(*from, client()),
                DtlsEvent::Ended(_) => {}
            }
        }
    }

    fn check(&self) {
        assert!(self.sessions.len() <= 1 && self.sessions.handshakes() <= 16);
        let Wire { sent, received, .. } = self;
        assert!(*sent <= 8 * received + 64 * 1024, "{sent} bytes for {received}");
    }
}

fn next_packet(client: &mut Dtls, buffer: &mut [u8]) -> Option<Vec<u8>> {
    // The library returns a few records of a flight at a time, and reports when there are no more.
    (0..256).find_map(|_| match client.poll_output(buffer) {
        Output::Packet(packet) => Some(Some(packet.to_vec())),
        Output::Timeout(_) => Some(None),
        _ => None,
    })?
}

fn certificate() -> DtlsCertificate {
    static MADE: OnceLock<DtlsCertificate> = OnceLock::new();
    MADE.get_or_init(|| generate_self_signed_certificate().expect("a certificate can be made"))
        .clone()
}
