//! BEGIN, COMMIT, ABORT.

use crate::exchange::{after, connected, hears, is_closed, other, rule, sends, subscribed};
use crate::hold;

#[tokio::test]
async fn transactions() {
    let begun = |version| after(subscribed(version), [sends("BEGIN\ntransaction:t\n\n")]);
    hold(vec![
        rule("BEGIN", "it needs a name", after(connected("1.2"), [
            sends("BEGIN\nreceipt:r\n\n"),
            hears("ERROR\nmessage:missing header\nreceipt-id:r\n\n…needs the header transaction…"),
            is_closed(),
        ])),
        rule("BEGIN", "a name is used once at a time", after(begun("1.2"), [
            sends("BEGIN\ntransaction:t\nreceipt:r\n\n"),
            hears("ERROR\nmessage:bad transaction\nreceipt-id:r\n\n…\"t\" is already open…"),
            is_closed(),
        ])),
        rule("BEGIN", "transactions do not know each other", after(begun("1.2"), [
            sends("BEGIN\ntransaction:u\n\n"),
            sends("SEND\ndestination:/topic/t\ntransaction:t\n\n1"),
            sends("SEND\ndestination:/topic/t\ntransaction:u\n\n2"),
            sends("COMMIT\ntransaction:u\n\n"),
            hears("MESSAGE\n\n2"),
            sends("COMMIT\ntransaction:t\n\n"),
            hears("MESSAGE\n\n1"),
        ])),
        rule("BEGIN", "another client's have other names", after(
            begun("1.2"),
            connected("1.2").into_iter().map(other).chain([
                other(sends("BEGIN\ntransaction:t\nreceipt:r\n\n")),
                other(hears("RECEIPT\nreceipt-id:r\n\n")),
            ]),
        )),
        rule("COMMIT", "it needs a name", after(connected("1.2"), [
            sends("COMMIT\n\n"),
            hears("ERROR\nmessage:missing header\n\n…needs the header transaction…"),
            is_closed(),
        ])),
        rule("COMMIT", "of an open transaction", after(connected("1.2"), [
            sends("COMMIT\ntransaction:t\nreceipt:r\n\n"),
            hears("ERROR\nmessage:bad transaction\nreceipt-id:r\n\n…no transaction \"t\" is open…"),
            is_closed(),
        ])),
        rule("COMMIT", "what was sent is heard at the COMMIT, in its order", after(begun("1.2"), [
            sends("SEND\ndestination:/topic/t\ntransaction:t\n\n1"),
            sends("SEND\ndestination:/topic/t\ntransaction:t\n\n2"),
            sends("SEND\ndestination:/topic/t\n\n3"),
            hears("MESSAGE\n!transaction\n\n3"),
            sends("COMMIT\ntransaction:t\nreceipt:r\n\n"),
            hears("MESSAGE\n!transaction\n\n1"),
            hears("MESSAGE\n!transaction\n\n2"),
            hears("RECEIPT\nreceipt-id:r\n\n"),
        ])),
        rule("COMMIT", "its name is free again", after(begun("1.2"), [
            sends("COMMIT\ntransaction:t\n\n"),
            sends("BEGIN\ntransaction:t\nreceipt:r\n\n"),
            hears("RECEIPT\nreceipt-id:r\n\n"),
        ])),
        rule("ABORT", "it needs a name", after(connected("1.2"), [
            sends("ABORT\n\n"),
            hears("ERROR\nmessage:missing header\n\n…needs the header transaction…"),
            is_closed(),
        ])),
        rule("ABORT", "of an open transaction", after(connected("1.2"), [
            sends("ABORT\ntransaction:t\n\n"),
            hears("ERROR\nmessage:bad transaction\n\n…no transaction \"t\" is open…"),
            is_closed(),
        ])),
        rule("ABORT", "what was sent is forgotten", after(begun("1.2"), [
            sends("SEND\ndestination:/topic/t\ntransaction:t\n\n1"),
            sends("ABORT\ntransaction:t\nreceipt:r\n\n"),
            hears("RECEIPT\nreceipt-id:r\n\n"),
            sends("SEND\ndestination:/topic/t\n\n2"),
            hears("MESSAGE\n\n2"),
        ])),
        rule("SEND transaction Header", "the transaction must be open", after(connected("1.2"), [
            sends("SEND\ndestination:/topic/t\ntransaction:never\nreceipt:r\n\nx"),
            hears("ERROR\nmessage:bad transaction\nreceipt-id:r\n\n…no transaction \"never\" is open…"),
            is_closed(),
        ])),
        rule("ACK", "the transaction must be open", after(connected("1.2"), [
            sends("ACK\nid:1\ntransaction:never\n\n"),
            hears("ERROR\nmessage:bad transaction\n\n…no transaction \"never\" is open…"),
            is_closed(),
        ])),
        rule("DISCONNECT", "an open transaction is aborted", after(
            subscribed("1.2"),
            connected("1.2").into_iter().map(other).chain([
                other(sends("BEGIN\ntransaction:t\n\n")),
                other(sends("SEND\ndestination:/topic/t\ntransaction:t\n\nlost")),
                other(sends("DISCONNECT\nreceipt:r\n\n")),
                other(hears("RECEIPT\nreceipt-id:r\n\n")),
                other(is_closed()),
                sends("SEND\ndestination:/topic/t\n\nx"),
                hears("MESSAGE\n\nx"),
            ]),
        )),
        rule("1.0: BEGIN", "1.0 has the same", after(begun("1.0"), [
            sends("SEND\ndestination:/topic/t\ntransaction:t\n\nx"),
            sends("COMMIT\ntransaction:t\n\n"),
            hears("MESSAGE\n\nx"),
        ])),
    ])
    .await;
}
