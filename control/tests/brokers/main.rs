//! The same stories on RabbitMQ and ActiveMQ, as the distribution packages them.
//!
//! Not part of `cargo test`, because it needs those packages: `cargo test -p madang --test brokers`.
#![expect(clippy::disallowed_methods, reason = "these tests use real sockets and real time")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

mod broker;
mod costs;
mod redelivery;
#[path = "../stomp_client/mod.rs"]
mod stomp_client;

use std::time::Duration;

use broker::{Broker, Kind};
use madang::Server;
use madang_wire::{Command, Frame, header};
use stomp_client::{Client, settings, until_ready_says};
use tempfile::TempDir;

/// Longer than a broker takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn stories_on_rabbitmq() {
    stories(Kind::RabbitMq).await;
}

#[tokio::test]
async fn stories_on_activemq() {
    stories(Kind::ActiveMq).await;
}

/// One broker serves them all: it takes long to start.
async fn stories(kind: Kind) {
    let mut broker = Broker::start(kind).await;
    let (server, _dir) = relaying(&broker.url("right-password")).await;
    ready(&server).await;
    a_topic_reaches_both_clients(&server).await;
    the_tutorials_chat_goes_through_the_broker(&server).await;
    wildcards_are_ours_and_the_brokers(&server, kind).await;
    a_refused_message_comes_again(&server).await;
    a_transaction_is_carried_out_or_dropped_as_a_whole(&server).await;
    redelivery::what_a_lost_consumer_left_comes_in_order(&server).await;
    redelivery::nobody_gets_what_another_acknowledged(&server).await;
    redelivery::a_refused_message_is_the_brokers(&server, kind).await;
    redelivery::an_abort_takes_back_send_and_ack(&server).await;
    a_wrong_password_is_told(&broker).await;
    a_restart_is_survived(&server, &mut broker).await;
    redelivery::what_was_unacknowledged_survives_a_restart(&server, &mut broker).await;
    costs::measure(&broker, kind).await;
    server.shutdown().await;
    broker.stop().await;
}

async fn a_topic_reaches_both_clients(server: &Server) {
    let (mut a, mut b) = (Client::connect(server).await, Client::connect(server).await);
    a.subscribe("s", "/topic/chat/room/5", &[]).await;
    b.subscribe("s", "/topic/chat/room/5", &[]).await;

    for text in ["하나", "둘", "셋"] {
        a.send("/topic/chat/room/5", &[(header::RECEIPT, text)], text).await;
        a.receipt(text).await;
    }

    for client in [&mut a, &mut b] {
        for text in ["하나", "둘", "셋"] {
            let message = next(client, "s").await;
            assert_eq!(message.body, text);
            assert_eq!(message.header(header::DESTINATION), Some("/topic/chat/room/5"));
        }
    }
}

async fn the_tutorials_chat_goes_through_the_broker(server: &Server) {
    let mut client = Client::connect(server).await;
    client.subscribe("t", "/topic/chat/room/5", &[]).await;
    client.subscribe("s", "/sub/chat/room/5", &[]).await;
    let body = r#"{"chatRoomId":5,"type":"MESSAGE","writer":"clientB"}"#;

    client.send("/pub/chat", &[], body).await;

    assert_eq!(next(&mut client, "t").await.body, body);
    assert_eq!(next(&mut client, "s").await.body, body);
}

async fn wildcards_are_ours_and_the_brokers(server: &Server, kind: Kind) {
    let mut client = Client::connect(server).await;
    let own = match kind {
        Kind::RabbitMq => "/topic/wild.#",
        Kind::ActiveMq => "/topic/wild.>",
    };
    client.subscribe("own", own, &[]).await;
    client.subscribe("one", "/topic/wild/*", &[]).await;
    client.subscribe("rest", "/topic/wild/**", &[]).await;

    client.send("/topic/wild/a", &[], "1").await;
    client.send("/topic/wild/a/b", &[], "2").await;

    assert_eq!(next(&mut client, "own").await.header(header::DESTINATION), Some("/topic/wild.a"));
    assert_eq!(next(&mut client, "one").await.header(header::DESTINATION), Some("/topic/wild/a"));
    assert_eq!(next(&mut client, "rest").await.body, "1");
    assert_eq!(
        next(&mut client, "rest").await.header(header::DESTINATION),
        Some("/topic/wild/a/b")
    );
}

async fn a_refused_message_comes_again(server: &Server) {
    let mut sender = Client::connect(server).await;
    sender.send("/queue/work", &[(header::RECEIPT, "sent")], "task").await;
    sender.receipt("sent").await;

    let mut first = Client::connect(server).await;
    first.subscribe("w", "/queue/work", &[(header::ACK, "client-individual")]).await;
    let message = next(&mut first, "w").await;
    assert_eq!(message.body, "task");
    // Given back by going away without an ACK, which both brokers answer alike.
    first.drop_connection();

    let mut second = Client::connect(server).await;
    second.subscribe("w", "/queue/work", &[(header::ACK, "client-individual")]).await;
    let message = next(&mut second, "w").await;
    assert_eq!(message.body, "task");
    acknowledge(&mut second, Command::Ack, &message).await;
    // Nothing is left for anybody else.
    second.send("/queue/work", &[], "last").await;
    let message = next(&mut second, "w").await;
    assert_eq!(message.body, "last");
    acknowledge(&mut second, Command::Nack, &message).await;
}

async fn a_transaction_is_carried_out_or_dropped_as_a_whole(server: &Server) {
    let mut client = Client::connect(server).await;
    client.subscribe("s", "/topic/tx", &[]).await;

    for (transaction, text, end) in
        [("t1", "dropped", Command::Abort), ("t2", "kept", Command::Commit)]
    {
        let begin = Frame::new(Command::Begin).with_header(header::TRANSACTION, transaction);
        client.send_frame(&begin).await;
        client.send("/topic/tx", &[(header::TRANSACTION, transaction)], text).await;
        let end = Frame::new(end)
            .with_header(header::TRANSACTION, transaction)
            .with_header(header::RECEIPT, transaction);
        client.send_frame(&end).await;
        client.receipt(transaction).await;
    }

    assert_eq!(next(&mut client, "s").await.body, "kept");
}

async fn a_wrong_password_is_told(broker: &Broker) {
    let (server, _dir) = relaying(&broker.url("wrong-password")).await;

    let answer = not_ready(&server, "refuses the login").await;

    assert!(answer.starts_with("503 "), "{answer}");
    assert!(!answer.contains("wrong-password"), "{answer}");
    server.shutdown().await;
}

async fn a_restart_is_survived(server: &Server, broker: &mut Broker) {
    let mut client = Client::connect(server).await;
    client.subscribe("s", "/topic/restart", &[]).await;

    broker.stop().await;
    not_ready(server, "is away").await;
    let error = client.message_of_type("signal", "error").await;
    assert_eq!(error["code"], "overloaded", "{error}");
    client.send("/topic/restart", &[(header::CORRELATION_ID, "c")], "lost").await;
    let refused = client.wait_for(|frame| frame.header(header::CORRELATION_ID) == Some("c")).await;
    assert_eq!(stomp_client::json(&refused)["code"], "overloaded");

    broker.start_again().await;
    ready(server).await;
    // The subscription is there again once a message comes through.
    let mut sender = Client::connect(server).await;
    for attempt in 0.. {
        assert!(attempt < 100, "the subscription did not come back");
        sender.send("/topic/restart", &[], "back").await;
        let came = tokio::time::timeout(Duration::from_millis(500), next(&mut client, "s")).await;
        if came.is_ok_and(|message| message.body == "back") {
            return;
        }
    }
}

async fn relaying(url: &str) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.broker.relay = Some(url.parse().unwrap());
    settings.limits.messages_per_second = 0;
    (Server::start(settings).await.unwrap(), dir)
}

async fn next(client: &mut Client, subscription: &str) -> Frame {
    client.wait_for(|frame| frame.header(header::SUBSCRIPTION) == Some(subscription)).await
}

async fn acknowledge(client: &mut Client, command: Command, message: &Frame) {
    let id = message.header(header::ACK).unwrap();
    let frame = Frame::new(command)
        .with_header(header::ID, id)
        .with_header(header::RECEIPT, "acknowledged");
    client.send_frame(&frame).await;
    client.receipt("acknowledged").await;
}

async fn ready(server: &Server) {
    until_ready_says(server, "200 OK").await;
}

async fn not_ready(server: &Server, why: &str) -> String {
    until_ready_says(server, why).await
}
