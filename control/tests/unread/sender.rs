//! A client over any transport that carries frames both ways, with a system that buffers little for it.

use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use madang::Server;
use madang_wire::{Command, Decoded, Decoder, Frame, Limits};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// What a client's own system buffers, in bytes; it takes twice as much.
const BUFFER: u32 = 32 * 1024;

pub(crate) const TOPIC: &str = "/topic/echo";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transport {
    WebSocket,
    WebSocketInTls,
    SockJsWebSocket,
    Tcp,
}

impl Transport {
    pub(crate) const ALL: [Transport; 4] = [
        Transport::WebSocket,
        Transport::WebSocketInTls,
        Transport::SockJsWebSocket,
        Transport::Tcp,
    ];
}

pub(crate) struct Sender {
    wire: Wire,
    decoder: Decoder,
    /// What came in pongs.
    pub(crate) pongs: Vec<String>,
}

enum Wire {
    WebSocket(Box<WebSocketStream<Stream>>),
    /// Its messages are SockJS frames.
    SockJs(Box<WebSocketStream<Stream>>),
    Tcp(Stream),
}

type Stream = Box<dyn Bytes>;

pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

impl Sender {
    /// `dir` is where the server's certificate is, if it has one.
    pub(crate) async fn connect(server: &Server, dir: &Path, transport: Transport) -> Sender {
        let open = |path: &str, stream: Stream| {
            let url = format!("ws://localhost{path}");
            async move { Box::new(tokio_tungstenite::client_async(url, stream).await.unwrap().0) }
        };
        let wire = match transport {
            Transport::WebSocket => {
                Wire::WebSocket(open("/ws", Box::new(connect(server.http_addr()).await)).await)
            }
            Transport::WebSocketInTls => {
                Wire::WebSocket(open("/ws", in_tls(server, dir).await).await)
            }
            Transport::SockJsWebSocket => {
                let stream = Box::new(connect(server.http_addr()).await);
                Wire::SockJs(open("/ws/000/unread/websocket", stream).await)
            }
            Transport::Tcp => Wire::Tcp(Box::new(connect(server.stomp_addr().unwrap()).await)),
        };
        let mut sender =
            Sender { wire, decoder: Decoder::new(Limits::default()), pongs: Vec::new() };
        sender.say("CONNECT\naccept-version:1.2\nhost:x\n\n\0").await;
        assert_eq!(sender.hear().await.unwrap().command, Command::Connected);
        sender
    }

    /// Connects, and hears what it sends to [`TOPIC`].
    pub(crate) async fn subscribe(server: &Server, dir: &Path, transport: Transport) -> Sender {
        let mut sender = Sender::connect(server, dir, transport).await;
        sender.subscribe_to(TOPIC).await;
        sender
    }

    pub(crate) async fn subscribe_to(&mut self, topic: &str) {
        self.say(&format!("SUBSCRIBE\nid:s\ndestination:{topic}\nreceipt:s\n\n\0")).await;
        assert_eq!(self.hear().await.unwrap().command, Command::Receipt);
    }

    /// Sends what comes back.
    pub(crate) async fn echo(&mut self, body: &str) {
        self.try_echo(body).await.unwrap();
    }

    pub(crate) async fn try_echo(&mut self, body: &str) -> Result<(), String> {
        self.try_say(&format!("SEND\ndestination:{TOPIC}\n\n{body}\0")).await
    }

    pub(crate) async fn say(&mut self, frame: &str) {
        self.try_say(frame).await.unwrap();
    }

    async fn try_say(&mut self, frame: &str) -> Result<(), String> {
        let said = match &mut self.wire {
            Wire::WebSocket(socket) => socket.send(Message::text(frame)).await,
            Wire::SockJs(socket) => {
                let frame = serde_json::to_string(&[frame]).unwrap();
                socket.send(Message::text(frame)).await
            }
            Wire::Tcp(stream) => {
                return stream.write_all(frame.as_bytes()).await.map_err(|error| error.to_string());
            }
        };
        said.map_err(|error| error.to_string())
    }

    /// Sends a WebSocket ping.
    pub(crate) async fn ping(&mut self, payload: &str) {
        match &mut self.wire {
            Wire::WebSocket(socket) => {
                socket.send(Message::Ping(payload.to_owned().into())).await.unwrap();
            }
            Wire::SockJs(_) | Wire::Tcp(_) => panic!("only WebSockets have pings"),
        }
    }

    /// The next frame; `None` when the connection ended.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame().unwrap() {
                Some(Decoded::Frame(frame)) => return Some(frame),
                Some(Decoded::HeartBeat) => {}
                None => {
                    let bytes = self.receive().await?;
                    self.decode(&bytes);
                }
            }
        }
    }

    /// The last frame before the connection ends. All is read before any of it is looked at: the server waits two seconds.
    pub(crate) async fn last_frame(&mut self) -> Frame {
        let mut messages = Vec::new();
        while let Some(bytes) = self.receive().await {
            messages.push(bytes);
        }
        let mut last = None;
        for bytes in messages {
            self.decode(&bytes);
            while let Some(decoded) = self.decoder.next_frame().unwrap() {
                last = Some(decoded);
            }
        }
        match last {
            Some(Decoded::Frame(frame)) => frame,
            other => panic!("{other:?}"),
        }
    }

    /// Bytes as they came; `None` when the connection ended.
    async fn receive(&mut self) -> Option<Vec<u8>> {
        let socket = match &mut self.wire {
            Wire::Tcp(stream) => {
                let mut bytes = vec![0; 64 * 1024];
                let length = stream.read(&mut bytes).await.ok().filter(|length| *length > 0)?;
                bytes.truncate(length);
                return Some(bytes);
            }
            Wire::WebSocket(socket) | Wire::SockJs(socket) => socket,
        };
        match socket.next().await?.ok()? {
            message @ (Message::Text(_) | Message::Binary(_)) => Some(message.into_data().to_vec()),
            Message::Pong(payload) => {
                self.pongs.push(String::from_utf8(payload.to_vec()).unwrap());
                Some(Vec::new())
            }
            _ => Some(Vec::new()),
        }
    }

    fn decode(&mut self, bytes: &[u8]) {
        if !matches!(self.wire, Wire::SockJs(_)) {
            return self.decoder.push(bytes).unwrap();
        }
        // Other SockJS frames carry no messages.
        let messages = bytes.strip_prefix(b"a").unwrap_or(b"[]");
        for message in serde_json::from_slice::<Vec<String>>(messages).unwrap() {
            self.decoder.push(message.as_bytes()).unwrap();
        }
    }
}

/// A connection with small buffers at this end.
pub(crate) async fn connect(to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BUFFER).unwrap();
    socket.set_send_buffer_size(8 * BUFFER).unwrap();
    let stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn in_tls(server: &Server, dir: &Path) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(std::fs::read(dir.join("cert.der")).unwrap().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connect(server.http_addr()).await;
    Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
}

/// Writes `cert.pem`, `key.pem`, and `cert.der` for [`in_tls`].
pub(crate) fn make_certificate(dir: &Path) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("cert.der"), cert.der()).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
}
