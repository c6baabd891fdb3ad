//! The DTLS end of one peer: the handshake, the check of the peer's fingerprint, and the SRTP keys that come of it.

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Dtls, DtlsCertificate, Output};

use super::srtp::{self, Profile};

/// The longest datagram that this server makes itself, in bytes; as short as browsers', so that it fits every path
/// without fragments, also through tunnels.
pub(crate) const MTU: usize = 1200;

/// The SHA-256 digest of a certificate (RFC 8122 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

/// What every DTLS end of this server has in common: its certificate and settings.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
}

impl Identity {
    /// A fresh self-signed certificate, as WebRTC expects one (RFC 8827 §6.5).
    ///
    /// # Errors
    /// When the cryptographic library can't make one; the text is its own.
    pub(crate) fn generate() -> Result<Identity, String> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| error.to_string())?;
        let config = dimpl::Config::builder()
            .mtu(MTU)
            // The address has been validated by ICE when DTLS starts; a cookie would only cost a round trip.
            .use_server_cookie(false)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Identity { certificate, config: Arc::new(config) })
    }

    /// `a=fingerprint`'s value without the hash name: upper-case hexadecimal pairs with colons.
    pub(crate) fn fingerprint_text(&self) -> String {
        self.certificate.fingerprint_str()
    }
}

/// What the handshake led to.
pub(crate) enum DtlsEvent {
    /// SRTP can flow.
    Keys(Box<Keys>),
    /// The transport is over; why, in words for a log.
    Closed(&'static str),
}

/// The SRTP contexts of both directions.
pub(crate) struct Keys {
    pub(crate) profile: Profile,
    pub(crate) inbound: srtp::Inbound,
    pub(crate) outbound: srtp::Outbound,
}

/// One peer's DTLS transport, always the server (`a=setup:passive`).
pub(crate) struct Transport {
    dtls: Dtls,
    remote: Vec<Fingerprint>,
    verified: bool,
    keyed: bool,
    wake_at: Option<Instant>,
}

impl Transport {
    /// A transport that awaits the ClientHello of a peer with one of these certificates.
    ///
    /// Version 1.2, because as a 1.3 server the library takes the client's first SRTP profile, which in Chromium is
    /// AES_CM; in 1.2 it takes AEAD_AES_256_GCM, AEAD_AES_128_GCM, AES128_CM_HMAC_SHA1_80 in this order.
    pub(crate) fn new(now: Instant, identity: &Identity, remote: Vec<Fingerprint>) -> Transport {
        let mut dtls =
            Dtls::new_12(Arc::clone(&identity.config), identity.certificate.clone(), now);
        dtls.set_active(false);
        Transport { dtls, remote, verified: false, keyed: false, wake_at: None }
    }

    /// Takes one datagram and hands what is to be sent to `send`.
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

    /// Retransmits what is due.
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

    /// Says goodbye with a close_notify alert.
    pub(crate) fn close(&mut self, send: impl FnMut(&[u8])) {
        if self.dtls.close().is_ok() {
            self.drain(send);
        }
    }

    fn drain(&mut self, mut send: impl FnMut(&[u8])) -> Option<DtlsEvent> {
        let mut buffer = [0; 2048];
        let mut event = None;
        // Each output is one of a flight's few records or a single state change; the bound guards against a loop
        // in a library that talks to strangers.
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
                        return Some(DtlsEvent::Closed("the certificate isn't the offer's"));
                    }
                }
                Output::KeyingMaterial(material, profile) if self.verified && !self.keyed => {
                    self.keyed = true;
                    event = Some(keys(&material, profile));
                }
                Output::CloseNotify => return Some(DtlsEvent::Closed("the peer closed DTLS")),
                Output::BufferTooSmall { .. } => {
                    return Some(DtlsEvent::Closed("a DTLS record exceeds every MTU"));
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
        _ => return DtlsEvent::Closed("an SRTP profile that was not offered"),
    };
    match srtp::contexts(profile, material, false) {
        Some((inbound, outbound)) => DtlsEvent::Keys(Box::new(Keys { profile, inbound, outbound })),
        None => DtlsEvent::Closed("too little SRTP keying material"),
    }
}

fn fingerprint_of(der: &[u8]) -> Fingerprint {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Fingerprint(bytes)
}
