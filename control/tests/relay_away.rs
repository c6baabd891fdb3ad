//! A relay whose broker is unreachable, comes, goes and reports errors. The broker here is scripted by each test;
//! `brokers` runs real ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]
#![expect(clippy::disallowed_methods, reason = "the broker's socket is opened here")]

mod stomp_client;

use std::net::SocketAddr;
use std::time::Duration;

use madang::Server;
use madang_wire::{Command, Decoded, Decoder, Frame, Limits, Version, encode, header};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use stomp_client::{Client, settings, until_ready_says};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn without_a_broker_rooms_work_and_topics_say_why_they_do_not() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (server, _dir) = relaying(nobody).await;
    let readiness = until_ready_says(&server, "it can't be reached").await;
    let (mut client, _) = Client::join(&server, "회의", "하나").await;

    client.chat("회의", "들려요?").await;
    let headers = [(header::RECEIPT, "never"), (header::CORRELATION_ID, "c")];
    client.send("/topic/a", &headers, "x").await;
    let refused = client.wait_for(|frame| frame.header(header::CORRELATION_ID) == Some("c")).await;
    client.send("/user/nobody/queue/a", &[(header::RECEIPT, "last")], "x").await;
    client.receipt("last").await;

    assert!(readiness.starts_with("503 "), "{readiness}");
    let refused = stomp_client::json(&refused);
    assert_eq!(refused["code"], "overloaded");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("is away") && message.contains("SEND was dropped"), "{message}");
    assert!(!client.seen(|frame| frame.header(header::RECEIPT_ID) == Some("never")));
    server.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_comes_late_gets_the_subscriptions_and_the_client_its_receipt() {
    let (listener, address) = broker().await;
    drop(listener);
    let (server, _dir) = relaying(address).await;
    until_ready_says(&server, "it can't be reached").await;
    let mut client = Client::connect(&server).await;
    client.send_text("SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:subscribed\n\n\0").await;
    let told = client.message("signal").await;

    let listener = TcpListener::bind(address).await.unwrap();
    let servers_own = Broker::accept(&listener).await;
    let mut broker = Broker::accept(&listener).await;
    let subscribe = broker.hears(Command::Subscribe).await;
    broker.confirms(&subscribe).await;

    assert_eq!(told["code"], "overloaded");
    assert!(told["message"].as_str().unwrap().contains("begins when it is back"), "{told}");
    client.receipt("subscribed").await;
    until_ready_says(&server, "200 OK").await;
    // The broker disappears without a farewell.
    drop((broker, servers_own));
    server.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_no_doubt_about_what_was_done() {
    let (listener, address) = broker().await;
    let (server, _dir) = relaying(address).await;
    let servers_own = Broker::accept(&listener).await;
    let mut client = Client::connect(&server).await;
    client.send_text("SUBSCRIBE\nid:q\ndestination:/queue/a\nack:client-individual\n\n\0").await;
    let mut broker = Broker::accept(&listener).await;
    broker.hears(Command::Subscribe).await;
    broker
        .says("MESSAGE\nsubscription:q\ndestination:/queue/a\nmessage-id:m-1\nack:a-1\n\nx")
        .await;
    let message = client.wait_for(|frame| frame.header(header::SUBSCRIPTION) == Some("q")).await;
    client.send("/queue/b", &[(header::RECEIPT, "unknown")], "y").await;
    broker.hears(Command::Send).await;

    drop(broker);

    // The SEND was not confirmed, so the client is told that its outcome is unknown.
    let told = client.message("signal").await;
    let text = told["message"].as_str().unwrap();
    assert!(text.contains("\"unknown\"") && text.contains("not known"), "{text}");
    // The server subscribes again; the ACK of the first delivery means nothing on the second connection.
    let mut broker = Broker::accept(&listener).await;
    assert_eq!(broker.hears(Command::Subscribe).await.header(header::ID), Some("q"));
    let ack = message.header(header::ACK).unwrap();
    client.send_text(&format!("ACK\nid:{ack}\nreceipt:acked\n\n\0")).await;
    client.receipt("acked").await;
    broker
        .says("MESSAGE\nsubscription:q\ndestination:/queue/a\nmessage-id:m-1\nack:a-1\n\nx")
        .await;
    let again = client.wait_for(|frame| frame.header(header::SUBSCRIPTION) == Some("q")).await;
    let ack = again.header(header::ACK).unwrap();
    client.send_text(&format!("ACK\nid:{ack}\nreceipt:acked\n\n\0")).await;
    let acked = broker.hears(Command::Ack).await;
    assert_eq!(acked.header(header::ID), Some("a-1"));
    broker.confirms(&acked).await;
    client.receipt("acked").await;
    // The broker disappears without a farewell.
    drop((broker, servers_own));
    server.shutdown().await;
}

#[tokio::test]
async fn an_open_transaction_is_lost_with_its_connection_and_its_commit_says_so() {
    let (listener, address) = broker().await;
    let (server, _dir) = relaying(address).await;
    let servers_own = Broker::accept(&listener).await;
    let mut client = Client::connect(&server).await;
    client.send_text("BEGIN\ntransaction:t\n\n\0").await;
    client.send("/queue/a", &[(header::TRANSACTION, "t")], "x").await;
    let mut broker = Broker::accept(&listener).await;
    broker.hears(Command::Begin).await;
    broker.hears(Command::Send).await;

    drop(broker);
    let mut broker = Broker::accept(&listener).await;
    client.send_text("COMMIT\ntransaction:t\nreceipt:never\n\n\0").await;
    let told = client.message("signal").await;
    client.send("/queue/a", &[(header::RECEIPT, "sent")], "y").await;
    let next = broker.hears(Command::Send).await;
    broker.confirms(&next).await;

    let text = told["message"].as_str().unwrap();
    assert!(text.contains("has lost the transaction") && text.contains("COMMIT"), "{text}");
    assert_eq!(next.body, "y", "nothing of the transaction comes later");
    client.receipt("sent").await;
    assert!(!client.seen(|frame| frame.header(header::RECEIPT_ID) == Some("never")));
    // The broker disappears without a farewell.
    drop((broker, servers_own));
    server.shutdown().await;
}

#[tokio::test]
async fn an_error_of_the_broker_ends_the_session_that_it_is_about_and_no_other() {
    let (listener, address) = broker().await;
    let (server, _dir) = relaying(address).await;
    let mut servers_own = Broker::accept(&listener).await;
    let mut client = Client::connect(&server).await;
    let mut other = Client::connect(&server).await;
    client.send("/topic/forbidden", &[(header::RECEIPT, "mine")], "x").await;
    let mut broker = Broker::accept(&listener).await;
    let send = broker.hears(Command::Send).await;
    let number = send.header(header::RECEIPT).unwrap();

    broker.says(&format!("ERROR\nmessage:access_refused\nreceipt-id:{number}\n\nnot you")).await;

    let error = client.wait_for(|frame| frame.command == Command::Error).await;
    assert_eq!(error.header(header::MESSAGE), Some("access_refused"));
    assert_eq!(error.header(header::RECEIPT_ID), Some("mine"));
    assert_eq!(error.body, "not you");
    assert!(client.is_closed().await);
    other.send("/pub/chat", &[], r#"{"chatRoomId":5}"#).await;
    let sent = servers_own.hears(Command::Send).await;
    assert_eq!(sent.header(header::DESTINATION), Some("/topic/chat.room.5"));
    // The broker disappears without a farewell.
    drop((broker, servers_own));
    server.shutdown().await;
}

#[tokio::test]
async fn what_a_broker_says_that_is_no_stomp_is_its_end_and_it_is_tried_again() {
    let (listener, address) = broker().await;
    let (server, _dir) = relaying(address).await;
    for nonsense in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"CONNECTED\nversion\n\n\0", &[0xff; 64]]
    {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        until_ready_says(&server, "it sent a malformed frame").await;
        drop(stream);
    }

    let broker = Broker::accept(&listener).await;

    until_ready_says(&server, "200 OK").await;
    // The broker disappears without a farewell.
    drop(broker);
    server.shutdown().await;
}

/// The broker's end of a connection.
struct Broker {
    stream: TcpStream,
    decoder: Decoder,
}

impl Broker {
    /// Accepts the next connection and its login.
    async fn accept(listener: &TcpListener) -> Broker {
        let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await;
        let (stream, _) = accepted.expect("nobody connects").unwrap();
        let mut broker = Broker { stream, decoder: Decoder::new(Limits::default()) };
        let connect = broker.hears(Command::Connect).await;
        assert_eq!(connect.header(header::HOST), Some("vhost"));
        assert_eq!(connect.header(header::LOGIN), Some("madang"));
        broker.says("CONNECTED\nversion:1.2\nheart-beat:0,0\nserver:test\n\n").await;
        broker
    }

    /// Receives the next frame, which must be of this kind.
    async fn hears(&mut self, command: Command) -> Frame {
        loop {
            match self.decoder.next_frame().unwrap() {
                Some(Decoded::Frame(frame)) => {
                    assert_eq!(frame.command, command, "{frame:?}");
                    return frame;
                }
                Some(Decoded::HeartBeat) => {}
                None => {
                    let mut chunk = [0; 4096];
                    let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await;
                    let count = read.unwrap_or_else(|_| panic!("no {command} comes")).unwrap();
                    assert_ne!(count, 0, "the connection ended before {command}");
                    self.decoder.push(&chunk[..count]).unwrap();
                }
            }
        }
    }

    async fn says(&mut self, frame: &str) {
        self.stream.write_all(format!("{frame}\0").as_bytes()).await.unwrap();
    }

    async fn confirms(&mut self, frame: &Frame) {
        let id = frame.header(header::RECEIPT).expect("a receipt is asked for");
        let receipt = Frame::new(Command::Receipt).with_header(header::RECEIPT_ID, id);
        self.stream.write_all(&encode(&receipt, Version::V1_2)).await.unwrap();
    }
}

async fn broker() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn relaying(broker: SocketAddr) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.broker.relay = Some(format!("stomp://madang:secret@{broker}/vhost").parse().unwrap());
    (Server::start(settings).await.unwrap(), dir)
}
