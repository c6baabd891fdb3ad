//! A STOMP client that does not mind when the server dies.

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use madang::auth::{Minter, NewToken, Scope};
use madang_wire::{Command, Decoded, Decoder, Frame, Limits, Secret, Version, encode, header};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::server::SECRET;

pub(crate) const ROOM: &str = "마당";

/// A connection. Its methods return None when it is gone.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: Decoder,
}

impl Client {
    /// Connects as a user.
    pub(crate) async fn connect(address: &str, user: &str) -> Option<Client> {
        let (socket, _) =
            tokio_tungstenite::connect_async(format!("ws://{address}/ws")).await.ok()?;
        let mut client = Client { socket, decoder: Decoder::new(Limits::default()) };
        let connect = Frame::new(Command::Connect)
            .with_header("accept-version", "1.2")
            .with_header(header::HOST, "test")
            .with_header(header::AUTHORIZATION, format!("Bearer {}", token(user)));
        client.send(&connect).await?;
        let connected = client.next().await?;
        assert_eq!(connected.command, Command::Connected, "{connected:?}");
        Some(client)
    }

    /// Joins the room; returns the `joined` message.
    pub(crate) async fn join(&mut self) -> Option<serde_json::Value> {
        self.subscribe("/user/queue/signal", &[]).await?;
        self.request("join", &[], r#"{"name":"하늘"}"#).await?;
        let joined = self.next().await?;
        let joined: serde_json::Value = serde_json::from_slice(&joined.body).unwrap();
        assert_eq!(joined["type"], "joined", "{joined}");
        Some(joined)
    }

    pub(crate) async fn subscribe(
        &mut self,
        destination: &str,
        headers: &[(&str, &str)],
    ) -> Option<()> {
        let frame = Frame::new(Command::Subscribe)
            .with_header(header::ID, destination)
            .with_header(header::DESTINATION, destination);
        self.send(&with(frame, headers)).await
    }

    pub(crate) async fn request(
        &mut self,
        action: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<()> {
        let frame = Frame::new(Command::Send)
            .with_header(header::DESTINATION, format!("/app/rooms/{ROOM}/{action}"));
        self.send(&with(frame, headers).with_body(body.to_owned())).await
    }

    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame().unwrap() {
                Some(Decoded::Frame(frame)) => return Some(frame),
                Some(Decoded::HeartBeat) => continue,
                None => {}
            }
            match self.socket.next().await?.ok()? {
                Message::Text(text) => self.decoder.push(text.as_bytes()).unwrap(),
                Message::Binary(bytes) => self.decoder.push(&bytes).unwrap(),
                _ => {}
            }
        }
    }

    async fn send(&mut self, frame: &Frame) -> Option<()> {
        let bytes = encode(frame, Version::V1_2);
        self.socket.send(Message::binary(bytes)).await.ok()
    }
}

fn with(mut frame: Frame, headers: &[(&str, &str)]) -> Frame {
    for (name, value) in headers {
        frame.headers.push(*name, *value);
    }
    frame
}

fn token(user: &str) -> String {
    let minter = Minter::new(&Secret::new(SECRET), None, None);
    let token = NewToken {
        user: user.to_owned(),
        name: None,
        scope: Scope::Every,
        role: None,
        publish: None,
        moderate: None,
        destinations: None,
        ttl: std::time::Duration::from_secs(3600),
    };
    minter.mint(&token, Timestamp::now()).unwrap().token.expose().to_owned()
}
