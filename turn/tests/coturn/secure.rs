//! coturn's clients inside TLS and DTLS, with OpenSSL as the other implementation.

use std::sync::Arc;

use madang_turn::{ClientAddr, DtlsIdentity, DtlsListener};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{Peer, Running, relays_by, relays_tcp, sockets_of_one_port};

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_channels() {
    by_tls(&["-c", "-t", "-S"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_send_indications() {
    by_tls(&["-c", "-t", "-S", "-s"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_through_two_relays_inside_tls() {
    relays_tcp(&Secure::start().await.running, &["-S"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dtls_with_channels() {
    by_dtls(&["-c", "-S"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dtls_with_send_indications() {
    by_dtls(&["-c", "-S", "-s"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dtls_with_many_clients() {
    by_dtls(&["-c", "-S", "-s", "-m", "12"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dtls_with_messages_that_go_in_fragments() {
    by_dtls(&["-c", "-S", "-s", "-l", "4000"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dtls_with_either_curve_and_each_cipher() {
    let secure = Secure::with(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()).await;
    for cipher in [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ] {
        let ca = secure.certificate();
        let args = ["-c", "-S", "-s", "-F", cipher, "-E", ca.as_str()];
        relays_by(&secure.running, "127.0.0.1", &args, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_inside_dtls_and_tls() {
    let secure = Secure::start().await;
    let peer = Peer::start("127.0.0.1");

    for transport in [&["-S"][..], &["-S", "-t"]] {
        let credentials = ["-c", "-u", "alice", "-W", "another secret"];
        let output = secure.running.uclient(&peer, &[transport, &credentials].concat()).await;
        assert!(output.text.contains("Cannot complete Allocation"), "{}", output.text);
    }

    let stats = secure.running.handle.stats();
    assert_eq!(stats.allocations_created, 0, "{stats:?}");
    assert!(stats.refused.unauthorized > 0, "{stats:?}");
}

async fn by_tls(args: &[&str]) {
    let secure = Secure::start().await;
    relays_by(&secure.running, "127.0.0.1", args, 1).await;
    assert!(secure.running.handle.stats().to_peer_packets > 0);
}

/// The clients verify the server's certificate.
async fn by_dtls(args: &[&str]) {
    let secure = Secure::start().await;
    let ca = secure.certificate();
    relays_by(&secure.running, "127.0.0.1", &[args, &["-E", &ca]].concat(), 1).await;
    let stats = secure.running.handle.stats();
    assert_eq!((stats.dtls_failed, stats.dtls_refused, stats.connections), (0, 0, 0), "{stats:?}");
}

/// A server with a certificate, for TLS and DTLS at one port number.
struct Secure {
    running: Running,
    dir: TempDir,
    _identity: watch::Sender<DtlsIdentity>,
}

impl Secure {
    async fn start() -> Secure {
        Secure::with(KeyPair::generate().unwrap()).await
    }

    async fn with(key: KeyPair) -> Secure {
        let cert = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let cert = cert.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cert.pem"), cert.pem()).unwrap();
        let identity = DtlsIdentity::new(cert.der().to_vec(), key.serialize_der()).unwrap();
        let (sender, identity) = watch::channel(identity);
        let (socket, tcp) = sockets_of_one_port().await;
        let running = Running::with(Some(DtlsListener { socket, identity })).await;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let (acceptor, handle) = (TlsAcceptor::from(Arc::new(config)), running.handle.clone());
        tokio::spawn(async move {
            while let Ok((stream, from)) = tcp.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    handle.accept(stream, ClientAddr::tls(from)).await;
                }
            }
        });
        Secure { running, dir, _identity: sender }
    }

    fn certificate(&self) -> String {
        self.dir.path().join("cert.pem").display().to_string()
    }
}
