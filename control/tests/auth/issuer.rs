//! Somebody else who makes tokens: key pairs, and a web server with their public halves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A key of an issuer.
pub(crate) struct Key {
    id: &'static str,
    pair: Ed25519KeyPair,
}

impl Key {
    pub(crate) fn new(id: &'static str) -> Key {
        Key { id, pair: Ed25519KeyPair::generate().unwrap() }
    }

    /// A token for every room.
    pub(crate) fn token(&self, user: &str) -> String {
        let exp = Timestamp::now().as_second() + 600;
        let claims = json!({ "sub": user, "exp": exp, "room": "*" });
        let header = json!({ "alg": "EdDSA", "kid": self.id });
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        format!("{signed}.{}", BASE64.encode(self.pair.sign(signed.as_bytes())))
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = BASE64.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "x": x })
    }
}

/// The set of these keys' public halves.
pub(crate) fn jwks(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// A web server that answers every request alike.
pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Issuer {
    pub(crate) async fn start(body: &str) -> Issuer {
        Issuer::start_at("127.0.0.1:0".parse().unwrap(), body).await
    }

    pub(crate) async fn start_at(address: SocketAddr, body: &str) -> Issuer {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(ok(body))), Arc::new(AtomicUsize::new(0)));
        let (answers, count) = (Arc::clone(&answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, SeqCst);
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let answer = answers.lock().unwrap().clone();
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Issuer { address, answer, asked, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// From here on it publishes this.
    pub(crate) fn publish(&self, body: &str) {
        *self.answer.lock().unwrap() = ok(body);
    }

    /// From here on it answers so, in HTTP.
    pub(crate) fn answer(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.to_owned();
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn encode(value: &Value) -> String {
    BASE64.encode(value.to_string())
}
