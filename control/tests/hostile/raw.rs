//! HTTP and WebSocket byte by byte, as no library would send them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The first octet of a WebSocket frame (RFC 6455 §5.2): the last frame of a message of this kind.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// The upgrade of a WebSocket.
pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A connection.
pub(crate) struct Raw(pub(crate) TcpStream);

/// What an HTTP server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Raw {
    pub(crate) async fn connect(server: SocketAddr) -> Raw {
        Raw(TcpStream::connect(server).await.unwrap())
    }

    /// A WebSocket at this path.
    pub(crate) async fn upgrade(server: SocketAddr, path: &str) -> Raw {
        let mut raw = Raw::connect(server).await;
        raw.request("GET", path, &UPGRADE, "").await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        self.send(format!("{head}{headers}\r\n{body}").as_bytes()).await;
    }

    /// Sends bytes. Who refuses them may close before it has them all.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// Sends a WebSocket frame as clients must: masked.
    pub(crate) async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&frame(first, true, payload)).await;
    }

    /// The head of a response, with its empty line.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte().await.expect("a response"));
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// The response; one of unknown length until its connection is closed.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => {
                let mut body = vec![0; length.parse().unwrap()];
                self.0.read_exact(&mut body).await.unwrap();
                body
            }
            None => self.rest().await,
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head:?}"));
        Answer { status, text: head + &String::from_utf8_lossy(&body) }
    }

    /// All that comes until the connection is closed.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A connection that is reset has ended as well.
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest));
        let _ = read.await.expect("the connection is not closed");
        rest
    }

    /// The next WebSocket frame of the server: its first octet and its payload. `None` when there is none any more.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.byte().await?;
        let length = match self.byte().await? {
            126 => u16::from_be_bytes([self.byte().await?, self.byte().await?]).into(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }

    /// The text messages that come before the close frame, and its code. No code: the connection just ended.
    pub(crate) async fn until_closed(&mut self) -> (String, Option<u16>) {
        let mut texts = String::new();
        while let Some((first, payload)) = self.frame().await {
            match first {
                CLOSE => {
                    let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                    return (texts, code);
                }
                _ => texts.push_str(&String::from_utf8_lossy(&payload)),
            }
        }
        (texts, None)
    }

    async fn byte(&mut self) -> Option<u8> {
        let read = tokio::time::timeout(PATIENCE, self.0.read_u8()).await;
        read.expect("the server says nothing").ok()
    }
}

/// A WebSocket frame.
pub(crate) fn frame(first: u8, is_masked: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if is_masked { 0x80 } else { 0 };
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => bytes.push(mask_bit | length as u8),
        Ok(length) => {
            bytes.push(mask_bit | 126);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(mask_bit | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if is_masked {
        // A mask that changes nothing is one too.
        bytes.extend([0; 4]);
    }
    bytes.extend(payload);
    bytes
}
