//! Who the server is inside DTLS.

use std::fmt;

use dimpl::DtlsCertificate;
use dimpl::crypto::aws_lc_rs::default_provider;

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct DtlsIdentity {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
}

/// DTLS can't be spoken with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DTLS needs a certificate with an ECDSA key on P-256 or P-384")]
pub struct UnfitKey;

impl DtlsIdentity {
    /// A certificate in DER, and its private key in the DER of PKCS #8 or SEC 1. Clients are shown this one certificate,
    /// without those that lead to its issuer.
    ///
    /// # Errors
    /// When the key is none that DTLS can be spoken with, as one of RSA.
    pub fn new(certificate: Vec<u8>, private_key: Vec<u8>) -> Result<DtlsIdentity, UnfitKey> {
        // A session would panic.
        default_provider().key_provider.load_private_key(&private_key).map_err(|_| UnfitKey)?;
        match certificate.is_empty() {
            true => Err(UnfitKey),
            false => Ok(DtlsIdentity { certificate, private_key }),
        }
    }

    pub(super) fn certificate(&self) -> DtlsCertificate {
        let DtlsIdentity { certificate, private_key } = self.clone();
        DtlsCertificate { certificate, private_key }
    }
}

impl fmt::Debug for DtlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsIdentity").finish_non_exhaustive()
    }
}
