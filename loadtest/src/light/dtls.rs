//! The client's end of DTLS 1.2, up to the SRTP keys (RFC 5764).

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};

use super::srtp::Keys;

/// What the peers of a run have in common: one certificate is enough for all of them.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
}

impl Identity {
    /// Makes a certificate.
    ///
    /// # Errors
    /// When the cryptographic library can't.
    pub fn generate() -> Result<Identity> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .context("making a certificate")?;
        Ok(Identity { certificate, config: Arc::new(dimpl::Config::default()) })
    }

    /// The value of `a=fingerprint` behind the hash's name.
    pub fn fingerprint(&self) -> String {
        self.certificate.fingerprint_str()
    }
}

/// A handshake, and after it what is left to say.
pub struct Handshake {
    dtls: Dtls,
    wake_at: Option<Instant>,
}

/// What a step of the handshake led to.
pub enum Step {
    /// More is to come.
    Continues,
    /// SRTP can flow.
    Keys(Box<Keys>),
    /// It is over; why, for people.
    Failed(String),
}

impl Handshake {
    /// Begins: the ClientHello goes to `send`.
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

    /// Takes a record.
    pub fn handle_datagram(&mut self, datagram: &[u8], send: impl FnMut(&[u8])) -> Step {
        match self.dtls.handle_packet(datagram) {
            Ok(()) => self.drain(send),
            Err(error) => Step::Failed(format!("DTLS: {error}")),
        }
    }

    /// Repeats what is due.
    pub fn handle_timeout(&mut self, now: Instant, send: impl FnMut(&[u8])) -> Step {
        if self.wake_at.is_none_or(|at| now < at) {
            return Step::Continues;
        }
        match self.dtls.handle_timeout(now) {
            Ok(()) => self.drain(send),
            Err(error) => Step::Failed(format!("DTLS: {error}")),
        }
    }

    /// Says goodbye.
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
                    return Step::Failed(format!("a DTLS record of {needed} bytes"));
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
        None => Step::Failed("DTLS exported too little for SRTP".to_owned()),
    }
}
