//! The server's DTLS certificate and key.

use std::fmt;

use dimpl::DtlsCertificate;
use dimpl::crypto::aws_lc_rs::default_provider;

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct DtlsIdentity {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
}

/// The key or certificate can't be used for DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DTLS needs a certificate with an ECDSA key on P-256 or P-384")]
pub struct UnfitKey;

impl DtlsIdentity {
    /// Creates an identity from a certificate in DER and its private key in DER (PKCS #8 or SEC 1). Clients receive
    /// this certificate only, without the chain to its issuer.
    ///
    /// # Errors
    /// When DTLS does not support the key, for example an RSA key, or the certificate is empty.
    pub fn new(certificate: Vec<u8>, private_key: Vec<u8>) -> Result<DtlsIdentity, UnfitKey> {
        // Check here: a session would panic on such a key.
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
