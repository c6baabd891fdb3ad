//! ACK, NACK, and the modes of acknowledgement.

use crate::exchange::{Step, after, connected, hears, is_closed, other, rule, sends};
use crate::hold;

#[tokio::test]
async fn the_modes() {
    hold(vec![
        rule(
            "SUBSCRIBE ack Header",
            "auto is the default: nothing is to be acknowledged",
            after(
                consumer("1.2", "/queue/default", ""),
                [sends("SEND\ndestination:/queue/default\n\nx"), hears("MESSAGE\n!ack\n\nx")],
            ),
        ),
        rule(
            "SUBSCRIBE ack Header",
            "auto is given when it is sent",
            after(
                consumer("1.2", "/queue/auto", "ack:auto\n"),
                [
                    sends("SEND\ndestination:/queue/auto\n\nx"),
                    hears("MESSAGE\n!ack\n\nx"),
                    sends("DISCONNECT\n\n"),
                    is_closed(),
                ]
                .into_iter()
                .chain(second("/queue/auto"))
                .chain([
                    other(sends("SEND\ndestination:/queue/auto\n\ny")),
                    other(hears("MESSAGE\n\ny")),
                ]),
            ),
        ),
        rule(
            "SUBSCRIBE ack Header",
            "client: an ACK is for all messages up to that one",
            after(
                three("/queue/client", "client"),
                [
                    sends("ACK\nid:{ack}\n\n"),
                    sends("SEND\ndestination:/queue/client\n\n4"),
                    hears("MESSAGE\nack:*\n\n4"),
                    sends("DISCONNECT\n\n"),
                    is_closed(),
                ]
                .into_iter()
                .chain(second("/queue/client"))
                .chain([other(hears("MESSAGE\n\n4"))]),
            ),
        ),
        rule(
            "SUBSCRIBE ack Header",
            "client-individual: an ACK is for that one alone",
            after(
                three("/queue/individual", "client-individual"),
                [sends("ACK\nid:{ack}\n\n"), sends("DISCONNECT\n\n"), is_closed()]
                    .into_iter()
                    .chain(second("/queue/individual"))
                    .chain([other(hears("MESSAGE\n\n1")), other(hears("MESSAGE\n\n2"))]),
            ),
        ),
        rule(
            "SUBSCRIBE ack Header",
            "a topic's messages may be acknowledged too; nobody else gets them",
            after(
                consumer("1.2", "/topic/acked", "ack:client\n"),
                [
                    sends("SEND\ndestination:/topic/acked\n\nx"),
                    hears("MESSAGE\nack:*\n\nx"),
                    sends("NACK\nid:{ack}\nreceipt:r\n\n"),
                    hears("RECEIPT\nreceipt-id:r\n\n"),
                ],
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn acknowledging() {
    const ACK: &str = "ACK";
    hold(vec![
        rule(
            ACK,
            "it needs the id from the message's header ack",
            after(
                connected("1.2"),
                [
                    sends("ACK\nmessage-id:1\nsubscription:1\nreceipt:r\n\n"),
                    hears("ERROR\nmessage:missing header\nreceipt-id:r\n\n…needs the header id…"),
                    is_closed(),
                ],
            ),
        ),
        rule(
            "1.1: ACK",
            "1.1 names the message and its subscription",
            after(
                consumer("1.1", "/queue/ack11", "ack:client-individual\n"),
                [
                    sends("SEND\ndestination:/queue/ack11\n\nx"),
                    hears("MESSAGE\nsubscription:q\nmessage-id:*\n!ack\n\nx"),
                    sends("ACK\nsubscription:q\nmessage-id:{message-id}\n\n"),
                    sends("DISCONNECT\n\n"),
                    is_closed(),
                ]
                .into_iter()
                .chain(second("/queue/ack11"))
                .chain([
                    other(sends("SEND\ndestination:/queue/ack11\n\ny")),
                    other(hears("MESSAGE\n\ny")),
                ]),
            ),
        ),
        rule(
            "1.1: ACK",
            "an ACK for another subscription acknowledges nothing",
            after(
                consumer("1.1", "/queue/ack11b", "ack:client-individual\n"),
                [
                    sends("SEND\ndestination:/queue/ack11b\n\nx"),
                    hears("MESSAGE\nsubscription:q\nmessage-id:*\n\nx"),
                    sends("ACK\nsubscription:other\nmessage-id:{message-id}\n\n"),
                    sends("DISCONNECT\n\n"),
                    is_closed(),
                ]
                .into_iter()
                .chain(second("/queue/ack11b"))
                .chain([other(hears("MESSAGE\n\nx"))]),
            ),
        ),
        rule(
            "1.1: ACK",
            "it needs the message's id",
            after(
                connected("1.1"),
                [
                    sends("ACK\nid:1\nsubscription:1\n\n"),
                    hears("ERROR\nmessage:missing header\n\n…needs the header message-id…"),
                    is_closed(),
                ],
            ),
        ),
        rule(
            "1.0: ACK",
            "1.0 names the message",
            after(
                consumer("1.0", "/queue/ack10", "ack:client\n"),
                [
                    sends("SEND\ndestination:/queue/ack10\n\nx"),
                    hears("MESSAGE\nmessage-id:*\n!ack\n\nx"),
                    sends("ACK\nmessage-id:{message-id}\n\n"),
                    sends("DISCONNECT\n\n"),
                    is_closed(),
                ]
                .into_iter()
                .chain(second("/queue/ack10"))
                .chain([
                    other(sends("SEND\ndestination:/queue/ack10\n\ny")),
                    other(hears("MESSAGE\n\ny")),
                ]),
            ),
        ),
        rule(
            ACK,
            "one for nothing does no harm",
            after(
                connected("1.2"),
                [sends("ACK\nid:17\nreceipt:r\n\n"), hears("RECEIPT\nreceipt-id:r\n\n")],
            ),
        ),
        rule(
            ACK,
            "twice is once",
            after(
                consumer("1.2", "/queue/twice", "ack:client\n"),
                [
                    sends("SEND\ndestination:/queue/twice\n\nx"),
                    hears("MESSAGE\nack:*\n\nx"),
                    sends("ACK\nid:{ack}\nreceipt:1\n\n"),
                    hears("RECEIPT\nreceipt-id:1\n\n"),
                    sends("ACK\nid:{ack}\nreceipt:2\n\n"),
                    hears("RECEIPT\nreceipt-id:2\n\n"),
                ],
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn refusing() {
    const NACK: &str = "NACK";
    hold(vec![
        rule(
            NACK,
            "it needs the id from the message's header ack",
            after(
                connected("1.2"),
                [
                    sends("NACK\nreceipt:r\n\n"),
                    hears(
                        "ERROR\nmessage:missing header\nreceipt-id:r\n\n…NACK needs the header id…",
                    ),
                    is_closed(),
                ],
            ),
        ),
        rule(
            NACK,
            "what is refused goes to another consumer",
            after(
                consumer("1.2", "/queue/refused", "ack:client-individual\n"),
                [sends("SEND\ndestination:/queue/refused\n\nx"), hears("MESSAGE\nack:*\n\nx")]
                    .into_iter()
                    .chain(second("/queue/refused"))
                    .chain([sends("NACK\nid:{ack}\n\n"), other(hears("MESSAGE\n\nx"))]),
            ),
        ),
        rule(
            NACK,
            "or back, when there is no other",
            after(
                consumer("1.2", "/queue/alone", "ack:client-individual\n"),
                [
                    sends("SEND\ndestination:/queue/alone\n\nx"),
                    hears("MESSAGE\nack:*\nmessage-id:*\n\nx"),
                    sends("NACK\nid:{ack}\nreceipt:r\n\n"),
                    hears("RECEIPT\nreceipt-id:r\n\n"),
                    hears("MESSAGE\nmessage-id:{message-id}\nack:*\n\nx"),
                    sends("ACK\nid:{ack}\n\n"),
                ],
            ),
        ),
        rule(
            NACK,
            "in mode client it refuses all messages up to that one, in their order",
            after(
                three("/queue/refused-all", "client"),
                second("/queue/refused-all").into_iter().chain([
                    sends("NACK\nid:{ack}\n\n"),
                    other(hears("MESSAGE\n\n1")),
                    other(hears("MESSAGE\n\n2")),
                    other(hears("MESSAGE\n\n3")),
                ]),
            ),
        ),
        rule(
            "1.1: NACK",
            "1.1 names the message and its subscription",
            after(
                consumer("1.1", "/queue/nack11", "ack:client\n"),
                [
                    sends("SEND\ndestination:/queue/nack11\n\nx"),
                    hears("MESSAGE\nmessage-id:*\n\nx"),
                ]
                .into_iter()
                .chain(second("/queue/nack11"))
                .chain([
                    sends("NACK\nsubscription:q\nmessage-id:{message-id}\n\n"),
                    other(hears("MESSAGE\nmessage-id:*\n\nx")),
                ]),
            ),
        ),
    ])
    .await;
}

/// A client with a subscription `q`.
fn consumer(version: &str, destination: &str, header: &str) -> Vec<Step> {
    let subscribe =
        format!("SUBSCRIBE\nid:q\ndestination:{destination}\n{header}receipt:subscribed\n\n");
    after(connected(version), [sends(subscribe), hears("RECEIPT\nreceipt-id:subscribed\n\n")])
}

/// Another client that consumes the same.
fn second(destination: &str) -> Vec<Step> {
    consumer("1.2", destination, "").into_iter().map(other).collect()
}

/// A client that got three messages; `{ack}` is the last one's.
fn three(destination: &str, mode: &str) -> Vec<Step> {
    let mut steps = consumer("1.2", destination, &format!("ack:{mode}\n"));
    for number in 1..=3 {
        steps.push(sends(format!("SEND\ndestination:{destination}\n\n{number}")));
        steps.push(hears(format!("MESSAGE\nack:*\n\n{number}")));
    }
    steps
}
