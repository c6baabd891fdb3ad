//! A cheap STOMP client on a WebSocket.

use std::io;

use anyhow::{Context, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::options::Options;

/// The maximum number of bytes per read.
const CHUNK: usize = 16 * 1024;

/// One connected session.
pub(crate) struct Socket {
    stream: TcpStream,
    input: BytesMut,
    /// A STOMP frame that is split over several WebSocket messages.
    frames: BytesMut,
}

impl Socket {
    /// Opens a session. `receive_buffer` is the size of the kernel's receive buffer in bytes, if not the default.
    pub(crate) async fn connect(
        options: &Options,
        heart_beat: &str,
        receive_buffer: Option<u32>,
    ) -> anyhow::Result<Socket> {
        let url = &options.url;
        let (host, port) =
            (url.host().context("the URL of --ws has no host")?, url.port_u16().unwrap_or(80));
        let addr = tokio::net::lookup_host((host, port)).await?.next().context("unknown host")?;
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(addr).await?;
        stream.set_nodelay(true)?;
        let mut request = url.clone().into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "v12.stomp".parse()?);
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        // Nothing can have arrived yet: the server sends only after the client.
        let (input, frames) = (BytesMut::new(), BytesMut::new());
        let mut socket = Socket { stream: socket.into_inner(), input, frames };
        let mut connect = format!(
            "CONNECT\naccept-version:1.2\nhost:{}\nheart-beat:{heart_beat}\n",
            options.host
        );
        for (name, value) in [("login", &options.login), ("passcode", &options.passcode)] {
            if let Some(value) = value {
                connect.push_str(&format!("{name}:{value}\n"));
            }
        }
        socket.send(&format!("{connect}\n\0")).await?;
        socket.expect("CONNECTED").await?;
        Ok(socket)
    }

    /// Subscribes, and waits for the server's RECEIPT.
    pub(crate) async fn subscribe(&mut self, destination: &str) -> anyhow::Result<()> {
        self.send(&format!("SUBSCRIBE\nid:s\ndestination:{destination}\nreceipt:r\n\n\0")).await?;
        self.expect("RECEIPT").await
    }

    async fn expect(&mut self, command: &str) -> anyhow::Result<()> {
        let mut found = None;
        while found.is_none() {
            self.receive(|frame| {
                let text = String::from_utf8_lossy(frame).into_owned();
                found.get_or_insert(text);
            })
            .await?;
        }
        match found {
            Some(frame) if frame.starts_with(command) => Ok(()),
            other => bail!("the server answered {:?}", other.unwrap_or_default()),
        }
    }

    /// Sends one text message.
    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        let mut message = Vec::with_capacity(text.len() + 14);
        message.push(0x81);
        match text.len() {
            short @ 0..=125 => message.push(0x80 | short as u8),
            medium @ 126..=0xFFFF => {
                message.push(0x80 | 126);
                message.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                message.push(0x80 | 127);
                message.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        // A mask of zeros changes nothing and costs nothing.
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(text.as_bytes());
        self.stream.write_all(&message).await
    }

    /// Waits for data, and passes each STOMP frame that it completes to `each`, without its NUL.
    pub(crate) async fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.input.reserve(CHUNK);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((header, length)) = message_head(&self.input) {
            if self.input.len() < header + length {
                break;
            }
            let opcode = self.input[0] & 0x0F;
            self.input.advance(header);
            match opcode {
                0x0..=0x2 if self.frames.is_empty() && self.input[length - 1] == 0 => {
                    self.input[..length]
                        .split(|byte| *byte == 0)
                        .for_each(|frame| hand_out(frame, &mut each));
                }
                0x0..=0x2 => self.frames.extend_from_slice(&self.input[..length]),
                0x8 => return Err(io::ErrorKind::UnexpectedEof.into()),
                // Pings: no scenario lasts so long that they must be answered.
                _ => {}
            }
            self.input.advance(length);
        }
        while let Some(end) = self.frames.iter().position(|byte| *byte == 0) {
            let frame = self.frames.split_to(end + 1);
            hand_out(&frame[..end], &mut each);
        }
        Ok(())
    }
}

/// Passes a frame on without the line ends around it. A heart-beat consists of line ends only.
fn hand_out(frame: &[u8], each: &mut impl FnMut(&[u8])) {
    let frame = frame.trim_ascii_start();
    if !frame.is_empty() {
        each(frame);
    }
}

/// The lengths of a message's header and payload, once the header is complete. Servers do not mask.
fn message_head(input: &[u8]) -> Option<(usize, usize)> {
    match *input.get(1)? & 0x7F {
        126 => Some((4, u16::from_be_bytes([*input.get(2)?, *input.get(3)?]).into())),
        127 => Some((10, u64::from_be_bytes(input.get(2..10)?.try_into().ok()?) as usize)),
        short => Some((2, short.into())),
    }
}
