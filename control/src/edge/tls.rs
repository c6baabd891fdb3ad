//! The certificate of HTTPS and of TURN over TLS and DTLS, reloaded when its files change.
//!
//! Programs renew certificates every few weeks by replacing the files. A new certificate is loaded within
//! `LOOK_INTERVAL` and used for new connections. If it can't be used, the previous one stays.
#![expect(clippy::disallowed_methods, reason = "the certificate files are polled here")]

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use madang_turn::DtlsIdentity;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Time between two checks of the files.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// The protocols for ALPN (RFC 7301): HTTP/1.1 only, because it opens WebSockets, and those of RFC 7443. The choice
/// is not binding: coturn's client offers all of them and speaks TURN.
const ALPN: [&[u8]; 3] = [b"http/1.1", b"stun.turn", b"stun.nat-discovery"];

/// The files of the certificate and its key, both in PEM (RFC 7468).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, followed by the chain to its issuer.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// Why certificate and key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is not PEM.
    #[error("`{key}`: {path} can't be read: {reason}")]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// The problem with it.
        reason: String,
    },
    /// The key does not belong to the certificate, or one of them is not supported.
    #[error("`http.tls.cert` and `http.tls.key` can't be used together: {0}")]
    Unfit(#[from] rustls::Error),
}

/// The current certificate.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: Files,
    present: RwLock<Arc<CertifiedKey>>,
    /// The current certificate for DTLS; `None` if DTLS does not support the key that was loaded first.
    dtls: Option<watch::Sender<DtlsIdentity>>,
}

/// The content of the files.
struct Loaded {
    certified: CertifiedKey,
    /// `None` if DTLS does not support the key.
    dtls: Option<DtlsIdentity>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// If they can't be used.
    pub(crate) fn load(files: Files) -> Result<Arc<Certificate>, TlsError> {
        let Loaded { certified, dtls } = read(&files)?;
        let dtls = dtls.map(watch::Sender::new);
        Ok(Arc::new(Certificate { files, present: RwLock::new(Arc::new(certified)), dtls }))
    }

    /// The certificate for DTLS and its replacements; `None` if DTLS does not support the key.
    pub(crate) fn for_dtls(&self) -> Option<watch::Receiver<DtlsIdentity>> {
        self.dtls.as_ref().map(watch::Sender::subscribe)
    }

    /// The first DNS name in the certificate that is not a wildcard: the name that clients connect to.
    pub(crate) fn host(&self) -> Option<String> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let cert = webpki::EndEntityCert::try_from(present.cert.first()?).ok()?;
        cert.valid_dns_names().find(|name| !name.starts_with('*')).map(str::to_owned)
    }

    /// The TLS configuration of all connections.
    ///
    /// # Errors
    /// If the crypto provider does not support TLS 1.2 and 1.3, which it does.
    pub(crate) fn server_config(self: &Arc<Certificate>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }

    /// Checks the files until `stop` is cancelled.
    pub(crate) async fn watch(self: Arc<Certificate>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let this = Arc::clone(&self);
            // Reading from a network file system may block.
            if tokio::task::spawn_blocking(move || this.look()).await.is_err() {
                warn!("checking the certificate files failed");
            }
        }
    }

    /// Loads the files, and replaces the certificate if they have another one that can be used.
    fn look(&self) {
        match read(&self.files) {
            Ok(Loaded { certified, dtls }) => {
                let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
                if certified.cert != present.cert {
                    *present = Arc::new(certified);
                    info!("reloaded the certificate");
                    self.renew_dtls(dtls);
                }
            }
            // A renewal in progress may have replaced only one of the two files.
            Err(error) => {
                warn!(%error, "could not reload the certificate; keeping the previous one")
            }
        }
    }

    fn renew_dtls(&self, identity: Option<DtlsIdentity>) {
        match (&self.dtls, identity) {
            (Some(dtls), Some(identity)) => _ = dtls.send_replace(identity),
            (Some(_), None) => {
                warn!(
                    "DTLS keeps the previous certificate, because it does not support the key of the new one"
                );
            }
            (None, _) => {}
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(files: &Files) -> Result<Loaded, TlsError> {
    let unread = |key, path: &PathBuf, reason: String| {
        let path = path.display().to_string();
        TlsError::File { key, path, reason }
    };
    let certs = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .map_err(|error| unread("http.tls.cert", &files.cert, error.to_string()))?;
    if certs.is_empty() {
        let reason = "it holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned();
        return Err(unread("http.tls.cert", &files.cert, reason));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unread("http.tls.key", &files.key, error.to_string()))?;
    let leaf = certs.first().map(|cert| cert.to_vec()).unwrap_or_default();
    let dtls = DtlsIdentity::new(leaf, key.secret_der().to_vec()).ok();
    Ok(Loaded { certified: CertifiedKey::from_der(certs, key, &provider())?, dtls })
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, CertifiedKey as Made, KeyPair, PKCS_ED25519, generate_simple_self_signed,
    };

    use super::*;

    #[test]
    fn a_renewed_certificate_is_taken_and_half_of_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files = Files { cert: path("cert.pem"), key: path("key.pem") };
        let make = || generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let write_cert = |made: &Made<_>| std::fs::write(&files.cert, made.cert.pem()).unwrap();
        let write_key = |made: &Made<KeyPair>| {
            std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap()
        };
        let (first, second) = (make(), make());
        write_cert(&first);
        write_key(&first);
        let certificate = Certificate::load(files.clone()).unwrap();
        let present = || certificate.present.read().unwrap().cert[0].as_ref().to_vec();
        let mut for_dtls = certificate.for_dtls().unwrap();

        write_cert(&second);
        certificate.look();
        assert_eq!(present(), first.cert.der().as_ref());
        assert!(!for_dtls.has_changed().unwrap());

        write_key(&second);
        certificate.look();
        assert_eq!(present(), second.cert.der().as_ref());
        let key = second.signing_key.serialize_der();
        let second_of_dtls = DtlsIdentity::new(second.cert.der().to_vec(), key).unwrap();
        assert_eq!(*for_dtls.borrow_and_update(), second_of_dtls);

        // A key that DTLS does not support.
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let third = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let third = third.self_signed(&key).unwrap();
        std::fs::write(&files.cert, third.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        certificate.look();
        assert_eq!(present(), third.der().as_ref());
        assert_eq!(*for_dtls.borrow(), second_of_dtls);
        assert!(Certificate::load(files.clone()).unwrap().for_dtls().is_none());
    }

    #[test]
    fn keys_of_openssl_are_good_for_dtls() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        // Made by `openssl ecparam -genkey` and `openssl req -x509`: SEC 1, which says EC PRIVATE KEY.
        std::fs::write(&files.cert, SEC1_CERT).unwrap();
        std::fs::write(&files.key, SEC1_KEY).unwrap();

        assert!(Certificate::load(files).unwrap().for_dtls().is_some());
    }

    const SEC1_KEY: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIMuUrs0O+Yerwl+8ieUEhJYY7RJO+1aG5PSysQoh1jWXoAoGCCqGSM49
AwEHoUQDQgAEt/Mchj5mvFJr3x2XzLayWX7LXhePM7F/XAyo1IiCZAAbDBUsQ1p2
+Wn0LLegd4NflX10oIuFvicS3S+juCapdA==
-----END EC PRIVATE KEY-----
";

    const SEC1_CERT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBlDCCATugAwIBAgIUalMpoqCuNJClr0NPiElCZMnA1aAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTExNDQwNFoYDzIxMjYxMDI4
MTE0NDA0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS38xyGPma8UmvfHZfMtrJZfsteF48zsX9cDKjUiIJkABsMFSxDWnb5
afQst6B3g1+VfXSgi4W+JxLdL6O4Jql0o2kwZzAdBgNVHQ4EFgQUZz+BloYYUgRR
Lr2QzHyNISRwXMIwHwYDVR0jBBgwFoAUZz+BloYYUgRRLr2QzHyNISRwXMIwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
RwAwRAIgFQUOOX8y41fnCCIRx+ra3QzPxEHAp/oT/+HLlniBVw0CIDk0khAv7cze
R2Le21Pa+Yhez9OoKWJknrgTMLWMpMZx
-----END CERTIFICATE-----
";
}
