//! Queues on a broker: what happens to messages that a consumer did not, or would not, acknowledge.

use std::collections::BTreeSet;

use madang::Server;
use madang_wire::{Command, Frame, header};

use crate::broker::{Broker, Kind};
use crate::stomp_client::{self, Client};
use crate::{acknowledge, next, not_ready, ready};

const INDIVIDUALLY: [(&str, &str); 1] = [(header::ACK, "client-individual")];
const TRANSACTION: (&str, &str) = (header::TRANSACTION, "t");

pub(crate) async fn what_a_lost_consumer_left_comes_in_order(server: &Server) {
    let mut lost = Client::connect(server).await;
    lost.subscribe("q", "/queue/left", &INDIVIDUALLY).await;
    send(&mut lost, "/queue/left", 1..=6).await;
    for number in 1..=6 {
        let message = next(&mut lost, "q").await;
        assert_eq!(message.body, number.to_string());
        if [2, 4].contains(&number) {
            acknowledge(&mut lost, Command::Ack, &message).await;
        }
    }

    lost.drop_connection();
    let mut heir = Client::connect(server).await;
    heir.subscribe("q", "/queue/left", &INDIVIDUALLY).await;

    for number in [1, 3, 5, 6] {
        let message = next(&mut heir, "q").await;
        assert_eq!(message.body, number.to_string());
        acknowledge(&mut heir, Command::Ack, &message).await;
    }
}

pub(crate) async fn nobody_gets_what_another_acknowledged(server: &Server) {
    let [mut a, mut b, mut sender] = [
        Client::connect(server).await,
        Client::connect(server).await,
        Client::connect(server).await,
    ];
    for client in [&mut a, &mut b] {
        // One at a time, so that neither keeps what the other could have. The first header is RabbitMQ's.
        let one = [("prefetch-count", "1"), ("activemq.prefetchSize", "1")];
        client.subscribe("q", "/queue/shared", &[&INDIVIDUALLY[..], &one].concat()).await;
    }
    send(&mut sender, "/queue/shared", 1..=20).await;

    let (mut by_a, mut by_b) = (BTreeSet::new(), BTreeSet::new());
    while by_a.len() + by_b.len() < 20 {
        let (from_a, message) = tokio::select! {
            message = next(&mut a, "q") => (true, message),
            message = next(&mut b, "q") => (false, message),
        };
        let (client, seen) = if from_a { (&mut a, &mut by_a) } else { (&mut b, &mut by_b) };
        acknowledge(client, Command::Ack, &message).await;
        assert!(seen.insert(message.body), "twice");
    }

    assert!(by_a.is_disjoint(&by_b), "{by_a:?} {by_b:?}");
}

/// A NACK means to RabbitMQ that somebody should get the message again, and to ActiveMQ that nobody should: it keeps it in
/// the queue of dead letters, if it is a persistent one.
pub(crate) async fn a_refused_message_is_the_brokers(server: &Server, kind: Kind) {
    let mut client = Client::connect(server).await;
    client.subscribe("q", "/queue/refused", &INDIVIDUALLY).await;
    let persistent = [("persistent", "true"), (header::RECEIPT, "stored")];
    client.send("/queue/refused", &persistent, "7").await;
    client.receipt("stored").await;
    let message = next(&mut client, "q").await;

    acknowledge(&mut client, Command::Nack, &message).await;

    let queue = match kind {
        Kind::RabbitMq => "q",
        Kind::ActiveMq => {
            client.subscribe("dead", "/queue/ActiveMQ.DLQ", &INDIVIDUALLY).await;
            "dead"
        }
    };
    let again = next(&mut client, queue).await;
    assert_eq!(again.body, "7");
    if kind == Kind::RabbitMq {
        assert_eq!(again.header("redelivered"), Some("true"));
    }
    acknowledge(&mut client, Command::Ack, &again).await;
}

pub(crate) async fn an_abort_takes_back_send_and_ack(server: &Server) {
    let mut client = Client::connect(server).await;
    client.subscribe("results", "/topic/results", &[]).await;
    client.subscribe("q", "/queue/tx", &INDIVIDUALLY).await;
    send(&mut client, "/queue/tx", 1..=2).await;

    for end in ["ABORT", "COMMIT"] {
        let message = next(&mut client, "q").await;
        client.send_text("BEGIN\ntransaction:t\n\n\0").await;
        client.send("/topic/results", &[TRANSACTION], &format!("\"{end}\"")).await;
        let id = message.header(header::ACK).unwrap();
        client.send_text(&format!("ACK\nid:{}\ntransaction:t\n\n\0", id.replace(':', "\\c"))).await;
        client.send_text(&format!("{end}\ntransaction:t\nreceipt:{end}\n\n\0")).await;
        client.receipt(end).await;
    }

    assert_eq!(client.message("results").await, "COMMIT");
    client.drop_connection();
    let mut heir = Client::connect(server).await;
    heir.subscribe("q", "/queue/tx", &INDIVIDUALLY).await;
    send(&mut heir, "/queue/tx", [3]).await;
    for number in [1, 3] {
        let message = next(&mut heir, "q").await;
        assert_eq!(message.body, number.to_string(), "1 was taken back by the ABORT, 2 was not");
        acknowledge(&mut heir, Command::Ack, &message).await;
    }
}

pub(crate) async fn what_was_unacknowledged_survives_a_restart(
    server: &Server,
    broker: &mut Broker,
) {
    let mut client = Client::connect(server).await;
    client.subscribe("q", "/queue/lasting", &INDIVIDUALLY).await;
    let lasting = [("persistent", "true"), (header::RECEIPT, "stored")];
    client.send("/queue/lasting", &lasting, "\"lasting\"").await;
    client.receipt("stored").await;
    let before = next(&mut client, "q").await;

    broker.stop().await;
    not_ready(server, "is away").await;
    // What can't be done is told, and not confirmed.
    let refused = [(header::CORRELATION_ID, "c"), (header::RECEIPT, "never")];
    client.send("/queue/lasting", &refused, "\"refused\"").await;
    let error = client.wait_for(|frame| frame.header(header::CORRELATION_ID) == Some("c")).await;
    assert_eq!(stomp_client::json(&error)["code"], "overloaded");
    let late = Frame::new(Command::Subscribe)
        .with_header(header::ID, "late")
        .with_header(header::DESTINATION, "/topic/late")
        .with_header(header::RECEIPT, "late");
    client.send_frame(&late).await;
    broker.start_again().await;
    ready(server).await;

    // The subscription that was made meanwhile has its receipt, and works.
    client.receipt("late").await;
    client.send("/topic/late", &[], "\"here\"").await;
    assert_eq!(client.message("late").await, "here");
    // The message comes again; the ACK of its first delivery is confirmed and means nothing.
    let after = next(&mut client, "q").await;
    assert_eq!(after.body, before.body);
    acknowledge(&mut client, Command::Ack, &before).await;
    acknowledge(&mut client, Command::Ack, &after).await;
    let never = client.seen(|frame| frame.header(header::RECEIPT_ID) == Some("never"));
    assert!(!never, "a SEND that was refused was confirmed");
}

/// Sends numbers, and waits until the broker has them.
async fn send(client: &mut Client, destination: &str, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        let receipt = format!("sent-{number}");
        client.send(destination, &[(header::RECEIPT, &receipt)], &number.to_string()).await;
        client.receipt(&receipt).await;
    }
}
