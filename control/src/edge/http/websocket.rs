//! A WebSocket, optimized for many connections that carry the same messages.
//!
//! tungstenite reads: it handles fragments, masks, UTF-8, pings and the closing handshake. This module writes: messages
//! of the server are neither masked nor fragmented, so each is a header of a few bytes before parts that all receivers
//! share. One system call writes several messages, and long parts are not copied.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Role, WebSocketConfig, WebSocketContext,
};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::stream::HttpStream;
use crate::memory::Held;
use crate::stomp::socket::Outgoing;

/// Size of the read buffer, in bytes. Each connection has one from its start, and most connections are idle.
const READ_BUFFER: usize = 1024;
/// How much output is gathered before a write in the middle of a turn, in bytes. The end of a turn always writes.
const WRITE_BUFFER: usize = 32 * 1024;
/// Parts of messages that have at least this length, in bytes, are not copied.
const SHARED: usize = 2 * 1024;
/// Maximum capacity that an empty buffer keeps for the next messages, in bytes.
const KEPT: usize = 4 * 1024;
/// Each byte of a message that arrives counts so many times: while the buffer grows, the one before is there as well,
/// and the allocator keeps memory that clients have left for a while.
const GROWTH: usize = 3;
/// Maximum number of parts in one system call.
const SLICES: usize = 32;

/// The server's end of a WebSocket.
pub struct WebSocket {
    /// Boxed, because every future on the way to the session has room for what passes through it.
    context: Box<WebSocketContext>,
    wire: Wire,
    /// Whether reading failed. After bytes that are no WebSocket message, the start of the next one is unknown.
    is_broken: bool,
}

impl WebSocket {
    /// Takes over a connection after the handshake. `read_ahead` is what followed the request's head. A message longer
    /// than `message_bytes` is an error.
    pub(super) fn new(stream: HttpStream, read_ahead: Bytes, message_bytes: usize) -> WebSocket {
        // Copied, because even an empty part would keep the whole buffer of HTTP in memory.
        let read_ahead = Bytes::copy_from_slice(&read_ahead);
        WebSocket {
            context: Box::new(context(message_bytes)),
            wire: Wire {
                stream,
                read_ahead,
                output: Output::default(),
                pong: None,
                unfinished: Held::default(),
            },
            is_broken: false,
        }
    }

    /// Puts a message into the buffer.
    pub(crate) fn put(&mut self, is_text: bool, parts: impl AsRef<[Bytes]>) {
        let parts = parts.as_ref();
        let length = parts.iter().map(Bytes::len).sum();
        self.wire.output.put_header(if is_text { TEXT } else { BINARY }, length);
        parts.iter().for_each(|part| self.wire.output.put(part));
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        if self.is_broken {
            return self.wire.poll_drop(cx).map(|()| Err(Error::ConnectionClosed));
        }
        match self.context.read(&mut Turn { wire: &mut self.wire, cx: Some(cx) }) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            read => {
                self.is_broken = read.is_err();
                if matches!(read, Err(Error::Io(_) | Error::Capacity(_))) {
                    // It has the part of a message that has arrived. A new one suffices to write the end of the connection.
                    *self.context = context(0);
                }
                self.wire.unfinished.set(0);
                Poll::Ready(read)
            }
        }
    }

    /// Lets tungstenite put a control frame into the buffer.
    fn put_control(&mut self, message: Message) -> Result<(), Error> {
        self.context.write(&mut Turn { wire: &mut self.wire, cx: None }, message)
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let read = this.read(cx);
        // Reading may produce pongs and the answer to a Close.
        if let Poll::Ready(Err(error)) = this.wire.poll_write(cx) {
            return Poll::Ready(Some(Err(error.into())));
        }
        read.map(|read| match read {
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => None,
            read => Some(read),
        })
    }
}

impl Sink<Outgoing> for WebSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.wire.output.length < WRITE_BUFFER {
            true => Poll::Ready(Ok(())),
            false => self.wire.poll_write(cx).map_err(Error::from),
        }
    }

    fn start_send(mut self: Pin<&mut Self>, outgoing: Outgoing) -> Result<(), Error> {
        match outgoing {
            Outgoing::Frame(frame) => {
                let is_text = frame.is_text();
                self.put(is_text, frame.into_parts());
                Ok(())
            }
            Outgoing::Ping => self.put_control(Message::Ping(Bytes::new())),
            Outgoing::Close(code) => {
                let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::default() };
                self.put_control(Message::Close(Some(frame)))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wire.poll_write(cx).map_err(Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_flush(cx)
    }
}

fn context(message_bytes: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes));
    WebSocketContext::new(Role::Server, Some(config))
}

/// The connection and the output for it.
struct Wire {
    stream: HttpStream,
    read_ahead: Bytes,
    output: Output,
    /// The latest pong for which the output was full. It replaces earlier ones (RFC 6455 §5.5.3), which bounds the
    /// memory of a client that sends pings and reads nothing.
    pong: Option<Box<[u8]>>,
    /// The bytes read since the last whole message, [`GROWTH`] times.
    unfinished: Held,
}

impl Wire {
    /// Writes all output. Ready when nothing is left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.output.length > 0 {
                match ready!(self.output.poll_write(&mut self.stream, cx))? {
                    0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    written => self.output.advance(written),
                }
            }
            match self.pong.take() {
                Some(pong) => self.output.put_slice(&pong),
                None => return Pin::new(&mut self.stream).poll_flush(cx),
            }
        }
    }

    /// Drops all input. Ready when the input has ended.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; READ_BUFFER];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Puts a control frame into the buffer.
    fn put_control(&mut self, frame: &[u8]) {
        if frame[0] == PONG && self.output.length >= WRITE_BUFFER {
            self.pong = Some(frame.into());
        } else {
            self.output.put_slice(frame);
        }
    }
}

/// The stream that tungstenite uses. A write never blocks. A read without a `cx`, and so without a task to wake, gets
/// only what was read ahead.
struct Turn<'a, 'b> {
    wire: &'a mut Wire,
    cx: Option<&'a mut Context<'b>>,
}

impl Read for Turn<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Wire { stream, read_ahead, unfinished, .. } = self.wire;
        if !read_ahead.is_empty() {
            let length = buffer.len().min(read_ahead.len());
            read_ahead.copy_to_slice(&mut buffer[..length]);
            return Ok(length);
        }
        let Some(cx) = &mut self.cx else { return Err(ErrorKind::WouldBlock.into()) };
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(stream).poll_read(cx, &mut buffer) {
            Poll::Ready(read) => read?,
            Poll::Pending => return Err(ErrorKind::WouldBlock.into()),
        }
        let length = buffer.filled().len();
        unfinished.set(unfinished.bytes() + GROWTH * length);
        if unfinished.is_too_much() { Err(ErrorKind::OutOfMemory.into()) } else { Ok(length) }
    }
}

impl Write for Turn<'_, '_> {
    /// Accepts the whole buffer, so that each call is one frame.
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.wire.put_control(frame);
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes to be written. Check `length` before adding to it.
#[derive(Debug, Default)]
struct Output {
    /// Long parts, and what was gathered between them.
    chunks: VecDeque<Bytes>,
    /// Bytes received after the last complete chunk.
    gathered: BytesMut,
    /// Total length, in bytes.
    length: usize,
}

/// The first byte of a header: a whole message of this kind in one frame (RFC 6455 §5.2).
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PONG: u8 = 0x8A;

impl Output {
    fn put_header(&mut self, kind: u8, length: usize) {
        let (mut header, long) = ([0; 10], length as u64);
        header[0] = kind;
        let size = match length {
            0..=125 => {
                header[1] = length as u8;
                2
            }
            126..=0xFFFF => {
                header[1] = 126;
                header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            _ => {
                header[1] = 127;
                header[2..].copy_from_slice(&long.to_be_bytes());
                10
            }
        };
        self.put_slice(&header[..size]);
    }

    fn put_slice(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    fn put(&mut self, part: &Bytes) {
        if part.len() < SHARED {
            return self.put_slice(part);
        }
        if !self.gathered.is_empty() {
            self.chunks.push_back(self.gathered.split().freeze());
        }
        self.chunks.push_back(part.clone());
        self.length += part.len();
    }

    fn poll_write(&self, stream: &mut HttpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.chunks.is_empty() {
            return stream.poll_write(cx, &self.gathered);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let parts = self.chunks.iter().map(Bytes::as_ref).chain([self.gathered.as_ref()]);
        let mut used = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            used += 1;
        }
        stream.poll_write_vectored(cx, &slices[..used])
    }

    fn advance(&mut self, mut written: usize) {
        self.length -= written;
        while let Some(chunk) = self.chunks.front_mut() {
            if written < chunk.len() {
                return chunk.advance(written);
            }
            written -= chunk.len();
            self.chunks.pop_front();
        }
        self.gathered.advance(written);
        if self.length == 0 {
            self.rest();
        }
    }

    /// Frees memory that an idle connection does not need.
    fn rest(&mut self) {
        match self.gathered.capacity() > KEPT {
            true => self.gathered = BytesMut::new(),
            false => self.gathered.clear(),
        }
        if self.chunks.capacity() > SLICES {
            self.chunks = VecDeque::new();
        }
    }
}
