//! Redelivery of queue messages after a consumer refuses them or disconnects: each message reaches some consumer, in
//! order, and none is delivered again to a consumer that acknowledged it.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod stomp_client;

use madang::Server;
use madang_wire::{Command, Frame, header};

use stomp_client::{Client, settings, start};

const INDIVIDUALLY: [(&str, &str); 1] = [(header::ACK, "client-individual")];
const UP_TO: [(&str, &str); 1] = [(header::ACK, "client")];

#[tokio::test]
async fn what_a_lost_consumer_did_not_acknowledge_goes_to_the_others_in_order() {
    let (server, _dir) = start().await;
    let mut lost = Client::connect(&server).await;
    lost.subscribe("q", "/queue/작업", &INDIVIDUALLY).await;
    send(&mut lost, "/queue/작업", 1..=6).await;
    let got = receive(&mut lost, 6).await;
    for acknowledged in [&got[1], &got[3]] {
        answer(&mut lost, Command::Ack, acknowledged, &[]).await;
    }
    let mut heir = Client::connect(&server).await;
    heir.subscribe("q", "/queue/작업", &INDIVIDUALLY).await;

    lost.drop_connection();

    let inherited = receive(&mut heir, 4).await;
    assert_eq!(bodies(&inherited), ["1", "3", "5", "6"]);
    // The messages keep their ids, so that a consumer can recognize them.
    assert_eq!(inherited[0].header(header::MESSAGE_ID), got[0].header(header::MESSAGE_ID));
    server.shutdown().await;
}

#[tokio::test]
async fn what_it_had_not_even_read_goes_to_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.messages_per_second = 0;
    let server = Server::start(settings).await.unwrap();
    let mut stuck = Client::connect(&server).await;
    stuck.subscribe("q", "/queue/unread", &UP_TO).await;
    let mut sender = Client::connect(&server).await;
    let body = "x".repeat(20_000);
    // More than the sockets' buffers hold, so that some messages are still in the server.
    for number in 0..300 {
        sender.send("/queue/unread", &[], &format!("{number} {body}")).await;
    }
    sender.send("/topic/nobody", &[(header::RECEIPT, "sent")], "").await;
    sender.receipt("sent").await;

    stuck.drop_connection();
    let mut heir = Client::connect(&server).await;
    heir.subscribe("q", "/queue/unread", &[]).await;

    for number in 0..300 {
        let message = next(&mut heir).await;
        assert!(message.body.starts_with(format!("{number} ").as_bytes()), "{number}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn without_others_they_wait_for_the_next_consumer() {
    let (server, _dir) = start().await;
    let mut first = Client::connect(&server).await;
    first.subscribe("q", "/queue/later", &UP_TO).await;
    send(&mut first, "/queue/later", 1..=3).await;
    let got = receive(&mut first, 3).await;
    answer(&mut first, Command::Ack, &got[0], &[]).await;
    first.send_text("DISCONNECT\nreceipt:bye\n\n\0").await;
    first.receipt("bye").await;
    assert!(first.is_closed().await);

    let mut second = Client::connect(&server).await;
    second.subscribe("q", "/queue/later", &INDIVIDUALLY).await;
    send(&mut second, "/queue/later", 4..=4).await;

    assert_eq!(bodies(&receive(&mut second, 3).await), ["2", "3", "4"]);
    server.shutdown().await;
}

#[tokio::test]
async fn unsubscribing_gives_back_what_was_not_acknowledged() {
    let (server, _dir) = start().await;
    let mut first = Client::connect(&server).await;
    first.subscribe("q", "/queue/left", &UP_TO).await;
    send(&mut first, "/queue/left", 1..=2).await;
    receive(&mut first, 2).await;
    let mut second = Client::connect(&server).await;
    second.subscribe("q", "/queue/left", &[]).await;

    first.send_text("UNSUBSCRIBE\nid:q\n\n\0").await;

    assert_eq!(bodies(&receive(&mut second, 2).await), ["1", "2"]);
    server.shutdown().await;
}

#[tokio::test]
async fn a_refused_message_visits_another_and_comes_back_to_a_sole_consumer() {
    let (server, _dir) = start().await;
    let mut first = Client::connect(&server).await;
    first.subscribe("q", "/queue/refused", &INDIVIDUALLY).await;
    send(&mut first, "/queue/refused", 1..=1).await;
    let message = next(&mut first).await;
    answer(&mut first, Command::Nack, &message, &[]).await;
    let again = next(&mut first).await;
    assert_ne!(again.header(header::ACK), message.header(header::ACK), "another delivery");
    let mut second = Client::connect(&server).await;
    second.subscribe("q", "/queue/refused", &INDIVIDUALLY).await;

    answer(&mut first, Command::Nack, &again, &[]).await;
    let visiting = next(&mut second).await;
    answer(&mut second, Command::Ack, &visiting, &[]).await;

    assert_eq!(visiting.header(header::MESSAGE_ID), message.header(header::MESSAGE_ID));
    // No consumer gets the message any more.
    for client in [first, second] {
        client.drop_connection();
    }
    let mut third = Client::connect(&server).await;
    third.subscribe("q", "/queue/refused", &[]).await;
    send(&mut third, "/queue/refused", 2..=2).await;
    assert_eq!(bodies(&receive(&mut third, 1).await), ["2"]);
    server.shutdown().await;
}

#[tokio::test]
async fn who_acknowledges_gets_nothing_twice_while_another_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.messages_per_second = 0;
    let server = Server::start(settings).await.unwrap();
    let mut steady = Client::connect(&server).await;
    steady.subscribe("q", "/queue/shared", &INDIVIDUALLY).await;
    let mut sender = Client::connect(&server).await;

    for round in 0..10 {
        let mut fickle = Client::connect(&server).await;
        fickle.subscribe("q", "/queue/shared", &INDIVIDUALLY).await;
        send(&mut sender, "/queue/shared", round * 10..=round * 10 + 9).await;
        // Each consumer gets five in turn; this one acknowledges two of them.
        let got = receive(&mut fickle, 5).await;
        for message in &got[..2] {
            answer(&mut fickle, Command::Ack, message, &[]).await;
        }
        fickle.drop_connection();
        let mut heard = Vec::new();
        for message in receive(&mut steady, 8).await {
            answer(&mut steady, Command::Ack, &message, &[]).await;
            heard.push(message);
        }
        heard.extend(got.into_iter().take(2));
        let mut numbers: Vec<u32> =
            bodies(&heard).iter().map(|body| body.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (round * 10..=round * 10 + 9).collect::<Vec<_>>());
    }
    server.shutdown().await;
}

#[tokio::test]
async fn aborting_a_transaction_takes_back_its_send_and_its_ack() {
    let (server, _dir) = start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/results", &[]).await;
    client.subscribe("q", "/queue/tx", &INDIVIDUALLY).await;
    send(&mut client, "/queue/tx", 1..=2).await;
    let got = receive(&mut client, 2).await;
    let tx = [(header::TRANSACTION, "t")];

    client.send_text("BEGIN\ntransaction:t\n\n\0").await;
    client.send("/topic/results", &tx, "\"dropped\"").await;
    answer(&mut client, Command::Ack, &got[0], &tx).await;
    client.send_text("ABORT\ntransaction:t\nreceipt:aborted\n\n\0").await;
    client.receipt("aborted").await;
    client.send_text("BEGIN\ntransaction:t\n\n\0").await;
    client.send("/topic/results", &tx, "\"kept\"").await;
    answer(&mut client, Command::Ack, &got[1], &tx).await;
    client.send_text("COMMIT\ntransaction:t\nreceipt:committed\n\n\0").await;
    client.receipt("committed").await;

    assert_eq!(client.message("t").await, "kept");
    client.drop_connection();
    let mut heir = Client::connect(&server).await;
    heir.subscribe("q", "/queue/tx", &[]).await;
    send(&mut heir, "/queue/tx", 3..=3).await;
    assert_eq!(bodies(&receive(&mut heir, 2).await), ["1", "3"], "the ABORT left 1 unacknowledged");
    server.shutdown().await;
}

#[tokio::test]
async fn an_open_transaction_ends_with_its_consumer() {
    let (server, _dir) = start().await;
    let mut lost = Client::connect(&server).await;
    lost.subscribe("q", "/queue/open-tx", &UP_TO).await;
    send(&mut lost, "/queue/open-tx", 1..=2).await;
    let got = receive(&mut lost, 2).await;
    lost.send_text("BEGIN\ntransaction:t\n\n\0").await;
    answer(&mut lost, Command::Ack, &got[1], &[(header::TRANSACTION, "t")]).await;

    lost.drop_connection();
    let mut heir = Client::connect(&server).await;
    heir.subscribe("q", "/queue/open-tx", &[]).await;

    assert_eq!(bodies(&receive(&mut heir, 2).await), ["1", "2"]);
    server.shutdown().await;
}

/// Sends numbers and waits until they are accepted.
async fn send(client: &mut Client, destination: &str, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        let receipt = format!("sent-{number}");
        client.send(destination, &[(header::RECEIPT, &receipt)], &number.to_string()).await;
        client.receipt(&receipt).await;
    }
}

async fn next(client: &mut Client) -> Frame {
    client.wait_for(|frame| frame.header(header::SUBSCRIPTION) == Some("q")).await
}

async fn receive(client: &mut Client, count: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    for _ in 0..count {
        frames.push(next(client).await);
    }
    frames
}

fn bodies(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| std::str::from_utf8(&frame.body).unwrap()).collect()
}

/// Sends ACK or NACK and waits until the server has handled it.
async fn answer(client: &mut Client, with: Command, message: &Frame, headers: &[(&str, &str)]) {
    let mut frame = Frame::new(with)
        .with_header(header::ID, message.header(header::ACK).unwrap())
        .with_header(header::RECEIPT, "answered");
    for (name, value) in headers {
        frame.headers.push(*name, *value);
    }
    client.send_frame(&frame).await;
    client.receipt("answered").await;
}
