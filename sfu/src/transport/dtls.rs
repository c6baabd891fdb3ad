//! The DTLS transport of one peer: the handshake, the check of the peer's fingerprint, and the SRTP keys that it
//! exports.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Dtls, DtlsCertificate, Output};

use super::srtp::{self, Profile};

/// The longest datagram that the server makes itself, in bytes. It is as short as browsers', to fit every path without
/// fragmentation, tunnels included.
pub(crate) const MTU: usize = 1200;

/// The SHA-256 digest of a certificate (RFC 8122 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

/// The certificate and settings that all DTLS transports of this server share.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
}

impl Identity {
    /// Generates a self-signed certificate, as WebRTC expects (RFC 8827 §6.5).
    ///
    /// # Errors
    /// If the cryptographic library can't make one; the text is the library's.
    pub(crate) fn generate() -> Result<Identity, String> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| error.to_string())?;
        let config = dimpl::Config::builder()
            .mtu(MTU)
            // ICE has validated the address before DTLS starts, so a cookie would only cost a round trip.
            .use_server_cookie(false)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Identity { certificate, config: Arc::new(config) })
    }

    /// The value of `a=fingerprint` without the hash name: upper-case hexadecimal pairs with colons.
    pub(crate) fn fingerprint_text(&self) -> String {
        self.certificate.fingerprint_str()
    }
}

/// The outcome of handling a datagram or a timeout.
pub(crate) enum DtlsEvent {
    /// The handshake is complete; SRTP can flow.
    Keys(Box<Keys>),
    /// The transport has ended, for this reason (text for a log).
    Closed(&'static str),
}

/// The SRTP contexts of both directions.
pub(crate) struct Keys {
    pub(crate) profile: Profile,
    pub(crate) inbound: srtp::Inbound,
    pub(crate) outbound: srtp::Outbound,
}

/// One peer's DTLS transport. The server always is the DTLS server (`a=setup:passive`).
pub(crate) struct Transport {
    dtls: Dtls,
    remote: Vec<Fingerprint>,
    verified: bool,
    keyed: bool,
    wake_at: Option<Instant>,
}

impl Transport {
    /// Waits for the ClientHello of a peer with one of these certificates.
    ///
    /// The version is 1.2: as a 1.3 server the library accepts no RSA certificates, which some clients have. It prefers
    /// AEAD_AES_256_GCM, then AEAD_AES_128_GCM, then AES128_CM_HMAC_SHA1_80, whatever the order of the client.
    pub(crate) fn new(now: Instant, identity: &Identity, remote: Vec<Fingerprint>) -> Transport {
        let mut dtls =
            Dtls::new_12(Arc::clone(&identity.config), identity.certificate.clone(), now);
        dtls.set_active(false);
        Transport { dtls, remote, verified: false, keyed: false, wake_at: None }
    }

    /// Handles one datagram, and passes datagrams in response to `send`.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        send: impl FnMut(&[u8]),
    ) -> Option<DtlsEvent> {
        if self.dtls.handle_timeout(now).is_err() {
            return Some(DtlsEvent::Closed("DTLS timed out"));
        }
        if self.dtls.handle_packet(datagram).is_err() {
            return Some(DtlsEvent::Closed("DTLS failed"));
        }
        self.drain(send)
    }

    /// Sends due retransmissions.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        send: impl FnMut(&[u8]),
    ) -> Option<DtlsEvent> {
        if self.wake_at.is_none_or(|at| now < at) {
            return None;
        }
        if self.dtls.handle_timeout(now).is_err() {
            return Some(DtlsEvent::Closed("DTLS timed out"));
        }
        self.drain(send)
    }

    /// Sends a close_notify alert.
    pub(crate) fn close(&mut self, send: impl FnMut(&[u8])) {
        if self.dtls.close().is_ok() {
            self.drain(send);
        }
    }

    fn drain(&mut self, mut send: impl FnMut(&[u8])) -> Option<DtlsEvent> {
        let mut buffer = [0; 2048];
        let mut event = None;
        // Each output is one of the few records of a flight, or one state change. The bound guards against an endless
        // loop in the library, whose input is untrusted.
        for _ in 0..256 {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => send(packet),
                Output::Timeout(at) => {
                    self.wake_at = Some(at);
                    break;
                }
                Output::PeerCert(der) => {
                    self.verified = self.remote.contains(&fingerprint_of(der));
                    if !self.verified {
                        return Some(DtlsEvent::Closed(
                            "the DTLS certificate does not match the offer's fingerprint",
                        ));
                    }
                }
                Output::KeyingMaterial(material, profile) if self.verified && !self.keyed => {
                    self.keyed = true;
                    event = Some(keys(&material, profile));
                }
                Output::CloseNotify => return Some(DtlsEvent::Closed("the peer closed DTLS")),
                Output::BufferTooSmall { .. } => {
                    return Some(DtlsEvent::Closed("a DTLS record exceeds the buffer"));
                }
                _ => {}
            }
        }
        event
    }
}

fn keys(material: &[u8], profile: dimpl::SrtpProfile) -> DtlsEvent {
    let profile = match profile {
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
        _ => return DtlsEvent::Closed("DTLS chose an unsupported SRTP profile"),
    };
    match srtp::contexts(profile, material, false) {
        Some((inbound, outbound)) => DtlsEvent::Keys(Box::new(Keys { profile, inbound, outbound })),
        None => DtlsEvent::Closed("DTLS exported too little SRTP keying material"),
    }
}

fn fingerprint_of(der: &[u8]) -> Fingerprint {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Fingerprint(bytes)
}
