//! A STOMP session over a WebSocket.
#![expect(
    clippy::disallowed_methods,
    reason = "connecting has a deadline, and heart-beats have an interval"
)]

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use madang_wire::{
    Command, Decoded, Decoder, Frame, HeartBeat, Limits, Secret, Version, encode, header,
};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message, Utf8Bytes, http::Uri};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// How long the server may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// As in browsers: a small frame must not wait for the acknowledgement of the previous one.
const DISABLE_NAGLE: bool = true;
const HEART_BEAT: HeartBeat = HeartBeat { can_send_ms: 10_000, wants_ms: 10_000 };

/// An open session. Call [`Stomp::next`] continuously: it also sends the heart-beats.
#[derive(Debug)]
pub struct Stomp {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: Decoder,
    version: Version,
    heart_beats: Option<Interval>,
    /// Name and version of the server.
    pub server: Option<String>,
}

impl Stomp {
    /// Connects to `/ws` of the server at `url` (`http://host:port`), as a guest.
    ///
    /// # Errors
    /// When no server answers there, or not in STOMP.
    pub async fn connect(url: &Uri) -> Result<Stomp> {
        Stomp::connect_as(url, None).await
    }

    /// Connects like [`Stomp::connect`], with a token if there is one.
    ///
    /// # Errors
    /// When no server answers there, or not in STOMP, or it rejects the token.
    pub async fn connect_as(url: &Uri, token: Option<&Secret>) -> Result<Stomp> {
        let authority = url.authority().context("the URL has no host")?;
        let uri: Uri = format!("ws://{authority}/ws").parse()?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(Version::V1_2.subprotocol());
        let (socket, _) =
            timeout(PATIENCE, connect_async_with_config(request, None, DISABLE_NAGLE))
                .await
                .context("the server does not answer")?
                // Without the source error, whose text this one contains.
                .map_err(|error| anyhow!("{error}"))?;
        let decoder = Decoder::new(Limits::default());
        let mut stomp =
            Stomp { socket, decoder, version: Version::V1_2, heart_beats: None, server: None };
        timeout(PATIENCE, stomp.open(authority.as_str(), token))
            .await
            .context("received no CONNECTED frame")??;
        Ok(stomp)
    }

    async fn open(&mut self, host: &str, token: Option<&Secret>) -> Result<()> {
        let mut connect = Frame::new(Command::Connect)
            .with_header(header::ACCEPT_VERSION, Version::V1_2.as_str())
            .with_header(header::HOST, host)
            .with_header(header::HEART_BEAT, HEART_BEAT.to_string());
        if let Some(token) = token {
            connect.headers.push(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        self.send(&connect).await?;
        let Some(frame) = self.next().await? else {
            bail!("the server closed the WebSocket after CONNECT");
        };
        if frame.command != Command::Connected {
            bail!("CONNECT was answered with {}: {}", frame.command, text(&frame.body));
        }
        self.server = frame.header(header::SERVER).map(str::to_owned);
        let theirs = frame.header(header::HEART_BEAT).and_then(HeartBeat::parse);
        if let Some(ms) = HEART_BEAT.interval_to(theirs.unwrap_or_default()) {
            let mut heart_beats = interval(Duration::from_millis(u64::from(ms)));
            heart_beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            self.heart_beats = Some(heart_beats);
        }
        Ok(())
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, frame: &Frame) -> Result<()> {
        self.write(encode(frame, self.version)).await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let message = match Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(bytes),
        };
        Ok(self.socket.send(message).await?)
    }

    /// The next frame; `None` when the server has closed the connection. Cancel safe.
    ///
    /// # Errors
    /// When the connection fails, or the data is not STOMP.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            match self.decoder.next_frame()? {
                Some(Decoded::Frame(frame)) => return Ok(Some(frame)),
                Some(Decoded::HeartBeat) => continue,
                None => {}
            }
            tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.decoder.push(text.as_bytes())?,
                    Some(Ok(Message::Binary(bytes))) => self.decoder.push(&bytes)?,
                    Some(Ok(Message::Close(_))) | None => return Ok(None),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(anyhow!("{error}")),
                },
                () = tick(self.heart_beats.as_mut()) => self.write(Bytes::from_static(b"\n")).await?,
            }
        }
    }
}

async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The start of a frame's body, for error messages.
pub fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned()
}
