//! A participant that chats.
#![expect(clippy::disallowed_methods, reason = "waiting for an answer has a deadline")]

use anyhow::{Context, bail};
use loadtest::stomp::{PATIENCE, Stomp, text};
use madang_wire::request::{Chat, Join};
use madang_wire::{ChatMessage, Command, Destination, Frame, Request, RoomName, Signal, header};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::Uri;

/// A session in one room.
pub(crate) struct Client {
    stomp: Stomp,
    room: RoomName,
    sent: u64,
}

impl Client {
    /// Connects and joins.
    pub(crate) async fn join(url: &Uri, room: &RoomName, name: &str) -> anyhow::Result<Client> {
        let stomp = Stomp::connect(url).await?;
        let mut client = Client { stomp, room: room.clone(), sent: 0 };
        client.stomp.send(&subscribe("signal", Destination::SIGNAL)).await?;
        let join = Join { name: name.to_owned(), ..Join::default() };
        client.send(Request::Join(join), None).await?;
        let joined = async {
            loop {
                let frame = client.next().await?;
                if frame.command != Command::Message {
                    continue;
                }
                match serde_json::from_slice(&frame.body)? {
                    Signal::Joined(_) => return Ok(()),
                    Signal::Error { code, message } => bail!("join was refused: {code}: {message}"),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, joined).await.context("join was not answered")??;
        Ok(client)
    }

    /// Subscribes to the room's chat, starting after message `since`; 0 means all messages.
    pub(crate) async fn follow_chat(&mut self, since: u64) -> anyhow::Result<()> {
        let frame = subscribe("chat", &Destination::chat_of(&self.room));
        self.stomp.send(&frame.with_header(header::SINCE, since.to_string())).await
    }

    /// Sends a message, and waits until the server has stored it.
    pub(crate) async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.say_without_waiting(line).await?;
        self.stored(self.sent).await
    }

    /// Sends a message. [`Client::stored`] waits for the receipt of the nth message.
    pub(crate) async fn say_without_waiting(&mut self, line: &str) -> anyhow::Result<()> {
        self.sent += 1;
        let chat = Chat { text: line.to_owned(), ..Chat::default() };
        self.send(Request::Chat(chat), Some(self.sent)).await
    }

    /// Waits for the receipt of this session's nth message.
    pub(crate) async fn stored(&mut self, nth: u64) -> anyhow::Result<()> {
        let expected = nth.to_string();
        loop {
            let frame =
                timeout(PATIENCE, self.next()).await.context("received no receipt in time")??;
            match frame.command {
                Command::Receipt if frame.header(header::RECEIPT_ID) == Some(&expected) => {
                    return Ok(());
                }
                Command::Receipt => {}
                _ => {
                    bail!("received {} instead of a receipt: {}", frame.command, text(&frame.body))
                }
            }
        }
    }

    /// The next chat message; the client must have subscribed to the chat.
    pub(crate) async fn next_message(&mut self) -> anyhow::Result<ChatMessage> {
        loop {
            let frame = self.next().await?;
            let is_chat = frame.header(header::SUBSCRIPTION) == Some("chat");
            if frame.command == Command::Message && is_chat {
                return Ok(serde_json::from_slice(&frame.body)?);
            }
        }
    }

    async fn send(&mut self, request: Request, receipt: Option<u64>) -> anyhow::Result<()> {
        let destination = Destination::request_to(&self.room, request.action());
        let mut frame = Frame::new(Command::Send).with_header(header::DESTINATION, destination);
        if let Some(receipt) = receipt {
            frame = frame.with_header(header::RECEIPT, receipt.to_string());
        }
        self.stomp.send(&frame.with_body(request.to_json())).await
    }

    async fn next(&mut self) -> anyhow::Result<Frame> {
        let frame = self.stomp.next().await?.context("the server closed the connection")?;
        if frame.command == Command::Error {
            bail!("the server ended the session: {}", text(&frame.body));
        }
        Ok(frame)
    }
}

fn subscribe(id: &str, destination: &str) -> Frame {
    Frame::new(Command::Subscribe)
        .with_header(header::ID, id)
        .with_header(header::DESTINATION, destination)
}
