//! A chat bot to start from: joins a room, greets everybody, answers `!time`, and leaves on Ctrl-C.
//!
//! ```text
//! cargo run -p madang                                                     # a server at http://127.0.0.1:8080
//! cargo run -p madang-wire --example bot -- ws://127.0.0.1:8080/ws demo   # the bot, in the room `demo`
//! ```
//!
//! For a server that requires a token, put one into the environment variable `TOKEN`; see `madang token --help`.
#![expect(clippy::disallowed_methods, reason = "the example tells the time")]

use futures_util::{SinkExt, StreamExt};
use madang_wire::request::{Chat, Join, Leave};
use madang_wire::{
    ChatMessage, Command, Decoded, Decoder, ErrorCode, Frame, Limits, Request, Signal, Version,
    encode, header,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:8080/ws".to_owned());
    let room = arguments.next().unwrap_or_else(|| "demo".to_owned());
    let (mut socket, _) = connect_async(url).await?;
    let mut decoder = Decoder::new(Limits::default());
    socket.send(message(&connect())).await?;
    loop {
        let received = tokio::select! {
            received = socket.next() => received.ok_or("the server closed the connection")??,
            _ = tokio::signal::ctrl_c() => break,
        };
        if received.is_text() || received.is_binary() {
            decoder.push(&received.into_data())?;
        }
        while let Some(decoded) = decoder.next_frame()? {
            let Decoded::Frame(frame) = decoded else { continue };
            for reply in replies(&frame, &room)? {
                socket.send(message(&reply)).await?;
            }
        }
    }
    socket.send(message(&request(&room, &Request::Leave(Leave {})))).await?;
    socket.send(message(&Frame::new(Command::Disconnect))).await?;
    Ok(socket.close(None).await?)
}

/// What the bot sends when a frame arrives.
fn replies(frame: &Frame, room: &str) -> Result<Vec<Frame>, Failure> {
    match (frame.command, frame.header(header::SUBSCRIPTION)) {
        (Command::Connected, _) => {
            let join = Join { name: "Time bot".to_owned(), ..Join::default() };
            Ok(vec![subscribe("signal", "/user/queue/signal"), request(room, &Request::Join(join))])
        }
        (Command::Message, Some("signal")) => match serde_json::from_slice(&frame.body)? {
            Signal::Joined(_) => {
                let chat = subscribe("chat", &format!("/topic/rooms/{room}/chat"));
                Ok(vec![chat, say(room, "Hello! Write !time and I tell you the time.")])
            }
            Signal::Error { code, message } if code != ErrorCode::Waiting => Err(message.into()),
            _ => Ok(Vec::new()),
        },
        (Command::Message, Some("chat")) => {
            let message: ChatMessage = serde_json::from_slice(&frame.body)?;
            let time = || say(room, &format!("It is {}.", jiff::Timestamp::now()));
            Ok((message.text.trim() == "!time").then(time).into_iter().collect())
        }
        (Command::Error, _) => Err(String::from_utf8_lossy(&frame.body).into()),
        _ => Ok(Vec::new()),
    }
}

fn connect() -> Frame {
    let frame = Frame::new(Command::Connect)
        .with_header(header::ACCEPT_VERSION, Version::V1_2.as_str())
        .with_header(header::HOST, "madang");
    match std::env::var("TOKEN") {
        Ok(token) => frame.with_header(header::AUTHORIZATION, format!("Bearer {token}")),
        Err(_) => frame,
    }
}

fn subscribe(id: &str, destination: &str) -> Frame {
    Frame::new(Command::Subscribe)
        .with_header(header::ID, id)
        .with_header(header::DESTINATION, destination)
}

fn say(room: &str, text: &str) -> Frame {
    request(room, &Request::Chat(Chat { text: text.to_owned(), ..Chat::default() }))
}

fn request(room: &str, request: &Request) -> Frame {
    Frame::new(Command::Send)
        .with_header(header::DESTINATION, format!("/app/rooms/{room}/{}", request.action()))
        .with_header(header::CONTENT_TYPE, header::JSON)
        .with_body(request.to_json())
}

fn message(frame: &Frame) -> Message {
    Message::binary(encode(frame, Version::V1_2))
}
