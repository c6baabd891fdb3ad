//! MESSAGE, RECEIPT, ERROR.

use crate::exchange::{
    Rule, Step, after, connected, hears, is_closed, other, rule, sends, sends_raw, subscribed,
};
use crate::hold;

#[tokio::test]
async fn messages() {
    hold(vec![
        rule(
            "MESSAGE",
            "it has destination, message-id and subscription",
            after(
                subscribed("1.2"),
                [
                    sends("SEND\ndestination:/topic/t\n\nx"),
                    hears("MESSAGE\ndestination:/topic/t\nmessage-id:*\nsubscription:t\n\nx"),
                ],
            ),
        ),
        rule(
            "MESSAGE",
            "its id is a fresh one",
            after(
                subscribed("1.2"),
                [
                    sends("SEND\ndestination:/topic/t\n\nx"),
                    hears("MESSAGE\nmessage-id:*\n\nx"),
                    sends("SEND\ndestination:/topic/t\nmine:{message-id}\n\nx"),
                    // The client sends the first message's id as a header, and finds both.
                    hears("MESSAGE\nmine:{message-id}\nmessage-id:*\n\nx"),
                ],
            ),
        ),
        rule(
            "MESSAGE",
            "its destination is where it was sent, not what was subscribed",
            after(
                connected("1.2"),
                [
                    sends("SUBSCRIBE\nid:1\ndestination:/topic/**\n\n"),
                    sends("SEND\ndestination:/topic/a/b\n\nx"),
                    hears("MESSAGE\ndestination:/topic/a/b\n\nx"),
                ],
            ),
        ),
        rule(
            "MESSAGE",
            "bodies that are not text arrive as they are",
            after(
                subscribed("1.2"),
                [
                    sends(b"SEND\ndestination:/topic/t\ncontent-length:4\n\n\xff\0\xfe\xfd"),
                    hears("MESSAGE\ncontent-length:4\n\n\u{fffd}\0\u{fffd}\u{fffd}"),
                ],
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_frame_with_a_receipt_header_gets_a_receipt() {
    let receipt = |frame: &str| [sends(frame), hears("RECEIPT\nreceipt-id:r\n\n")];
    let begun = || after(subscribed("1.2"), [sends("BEGIN\ntransaction:t\n\n")]);
    let says = "the frame was received and acted upon";
    let row = |exchange: Vec<Step>| -> Rule { rule("RECEIPT", says, exchange) };
    hold(vec![
        row(after(connected("1.2"), receipt("SEND\ndestination:/topic/nobody\nreceipt:r\n\nx"))),
        row(after(
            connected("1.2"),
            receipt("SUBSCRIBE\nid:1\ndestination:/topic/t\nreceipt:r\n\n"),
        )),
        row(after(subscribed("1.2"), receipt("UNSUBSCRIBE\nid:t\nreceipt:r\n\n"))),
        row(after(connected("1.2"), receipt("ACK\nid:1\nreceipt:r\n\n"))),
        row(after(connected("1.2"), receipt("NACK\nid:1\nreceipt:r\n\n"))),
        row(after(connected("1.2"), receipt("BEGIN\ntransaction:t\nreceipt:r\n\n"))),
        row(after(begun(), receipt("SEND\ndestination:/topic/t\ntransaction:t\nreceipt:r\n\nx"))),
        row(after(begun(), receipt("ACK\nid:1\ntransaction:t\nreceipt:r\n\n"))),
        row(after(begun(), receipt("COMMIT\ntransaction:t\nreceipt:r\n\n"))),
        row(after(begun(), receipt("ABORT\ntransaction:t\nreceipt:r\n\n"))),
        row(after(after(connected("1.2"), receipt("DISCONNECT\nreceipt:r\n\n")), [is_closed()])),
        row(after(connected("1.1"), receipt("SEND\ndestination:/topic/nobody\nreceipt:r\n\nx"))),
        row(after(connected("1.0"), receipt("SEND\ndestination:/topic/nobody\nreceipt:r\n\nx"))),
        rule(
            "RECEIPT",
            "receipts come in the order of the frames",
            after(
                connected("1.2"),
                [sends_raw(
                    (1..=9)
                        .map(|n| format!("BEGIN\ntransaction:{n}\nreceipt:{n}\n\n\0"))
                        .collect::<String>(),
                )]
                .into_iter()
                .chain((1..=9).map(|n| hears(format!("RECEIPT\nreceipt-id:{n}\n\n")))),
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn errors() {
    hold(vec![
        rule("ERROR", "it has a short and a long text, and names the frame", after(connected("1.2"), [
            sends("SEND\nreceipt:a\\cb\n\nx"),
            hears(
                "ERROR\nmessage:missing header\nreceipt-id:a\\cb\ncontent-type:text/plain\ncontent-length:34\n\n\
                 SEND needs the header destination.",
            ),
            is_closed(),
        ])),
        rule("ERROR", "after it nothing is heard", after(
            subscribed("1.2"),
            connected("1.2").into_iter().map(other).chain([
                other(sends_raw("SEND\n\n\0SEND\ndestination:/topic/t\n\nno\0")),
                other(hears("ERROR\nmessage:missing header\n\n…")),
                other(is_closed()),
                sends("SEND\ndestination:/topic/t\n\nyes"),
                hears("MESSAGE\n\nyes"),
            ]),
        )),
        rule("ERROR", "what came before it was heard", after(subscribed("1.2"), [
            sends_raw("SEND\ndestination:/topic/t\nreceipt:1\n\nx\0SEND\nreceipt:2\n\n\0"),
            hears("ERROR\nreceipt-id:2\n\n…"),
            is_closed(),
        ])),
        rule("Client Frames", "MESSAGE is the server's", after(connected("1.2"), [
            sends("MESSAGE\ndestination:/topic/t\nmessage-id:1\nsubscription:1\n\nx"),
            hears("ERROR\nmessage:not a client's frame\n\n…MESSAGE is for servers…"),
            is_closed(),
        ])),
        rule("Client Frames", "RECEIPT is the server's", after(connected("1.2"), [
            sends("RECEIPT\nreceipt-id:1\n\n"),
            hears("ERROR\nmessage:not a client's frame\n\n…RECEIPT is for servers…"),
            is_closed(),
        ])),
        rule("Client Frames", "ERROR is the server's", after(connected("1.2"), [
            sends("ERROR\nmessage:x\n\nx"),
            hears("ERROR\nmessage:not a client's frame\n\n…ERROR is for servers…"),
            is_closed(),
        ])),
        rule("Client Frames", "CONNECTED is the server's", after(connected("1.2"), [
            sends("CONNECTED\nversion:1.2\n\n"),
            hears("ERROR\nmessage:not a client's frame\n\n…CONNECTED is for servers…"),
            is_closed(),
        ])),
    ])
    .await;
}
