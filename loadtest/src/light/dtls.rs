//! The client side of DTLS 1.2, up to the SRTP keys (RFC 5764).

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};

use super::srtp::Keys;

/// The certificate that all peers of a run share.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
}

impl Identity {
    /// Generates a certificate.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate() -> Result<Identity> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .context("generating a certificate")?;
        Ok(Identity { certificate, config: Arc::new(dimpl::Config::default()) })
    }

    /// The value of `a=fingerprint` after the name of the hash.
    pub fn fingerprint(&self) -> String {
        self.certificate.fingerprint_str()
    }
}

/// A DTLS handshake, and the session after it.
pub struct Handshake {
    dtls: Dtls,
    wake_at: Option<Instant>,
}

/// The result of a step of the handshake.
pub enum Step {
    /// The handshake continues.
    Continues,
    /// SRTP can start, with these keys.
    Keys(Box<Keys>),
    /// The handshake failed; the reason, for people.
    Failed(String),
}

impl Handshake {
    /// Starts the handshake; passes the ClientHello to `send`.
    pub fn start(now: Instant, identity: &Identity, send: impl FnMut(&[u8])) -> (Handshake, Step) {
        let config = Arc::clone(&identity.config);
        let mut dtls = Dtls::new_12(config, identity.certificate.clone(), now);
        dtls.set_active(true);
        let mut handshake = Handshake { dtls, wake_at: None };
        let step = match handshake.dtls.handle_timeout(now) {
            Ok(()) => handshake.drain(send),
            Err(error) => Step::Failed(format!("DTLS: {error}")),
        };
        (handshake, step)
    }

    /// Handles a datagram from the server.
    pub fn handle_datagram(&mut self, datagram: &[u8], send: impl FnMut(&[u8])) -> Step {
        match self.dtls.handle_packet(datagram) {
            Ok(()) => self.drain(send),
            Err(error) => Step::Failed(format!("DTLS: {error}")),
        }
    }

    /// Retransmits what is due.
    pub fn handle_timeout(&mut self, now: Instant, send: impl FnMut(&[u8])) -> Step {
        if self.wake_at.is_none_or(|at| now < at) {
            return Step::Continues;
        }
        match self.dtls.handle_timeout(now) {
            Ok(()) => self.drain(send),
            Err(error) => Step::Failed(format!("DTLS: {error}")),
        }
    }

    /// Closes the session with a close_notify alert.
    pub fn close(&mut self, send: impl FnMut(&[u8])) {
        if self.dtls.close().is_ok() {
            self.drain(send);
        }
    }

    fn drain(&mut self, mut send: impl FnMut(&[u8])) -> Step {
        let mut buffer = [0; 2048];
        let mut step = Step::Continues;
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(record) => send(record),
                Output::Timeout(at) => {
                    self.wake_at = Some(at);
                    return step;
                }
                Output::KeyingMaterial(material, profile) => step = keys(&material, profile),
                Output::CloseNotify => return Step::Failed("the server closed DTLS".to_owned()),
                Output::BufferTooSmall { needed } => {
                    return Step::Failed(format!(
                        "a DTLS record has {needed} bytes, more than the buffer"
                    ));
                }
                _ => {}
            }
        }
    }
}

fn keys(material: &[u8], profile: SrtpProfile) -> Step {
    let key_len = match profile {
        SrtpProfile::AEAD_AES_128_GCM => 16,
        SrtpProfile::AEAD_AES_256_GCM => 32,
        other => return Step::Failed(format!("the server chose {other:?}, not AES-GCM")),
    };
    match Keys::of_client(key_len, material) {
        Some(keys) => Step::Keys(Box::new(keys)),
        None => Step::Failed("DTLS exported too little key material for SRTP".to_owned()),
    }
}
