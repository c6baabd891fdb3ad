//! SEND.

use crate::exchange::{after, connected, hears, is_closed, rule, sends, sends_raw, subscribed};
use crate::hold;

#[tokio::test]
async fn sending() {
    const SEND: &str = "SEND";
    hold(vec![
        rule(SEND, "it needs a destination", after(connected("1.2"), [
            sends("SEND\nreceipt:r\n\nx"),
            hears("ERROR\nmessage:missing header\nreceipt-id:r\n\n…needs the header destination…"),
            is_closed(),
        ])),
        rule(SEND, "headers of the client's own reach the subscribers", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\npriority:9\n색:초록\n\nx"),
            hears("MESSAGE\npriority:9\n색:초록\n\nx"),
        ])),
        rule(SEND, "those between client and server do not", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\nreceipt:r\nlogin:a\npasscode:b\nsubscription:s\nmessage-id:m\nack:1\n\nx"),
            hears("MESSAGE\nsubscription:t\nmessage-id:*\n!receipt\n!login\n!passcode\n!ack\n\nx"),
            hears("RECEIPT\nreceipt-id:r\n\n"),
        ])),
        rule(SEND, "destinations may be in any script", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:1\ndestination:/topic/소식/오늘\n\n"),
            sends("SEND\ndestination:/topic/소식/오늘\n\n안녕"),
            hears("MESSAGE\ndestination:/topic/소식/오늘\n\n안녕"),
        ])),
        rule(SEND, "messages keep their order", after(subscribed("1.2"), [
            sends_raw((1..=3).map(|n| format!("SEND\ndestination:/topic/t\n\n{n}\0")).collect::<String>()),
            sends("SEND\ndestination:/topic/t\n\n4"),
            hears("MESSAGE\n\n1"),
            hears("MESSAGE\n\n2"),
            hears("MESSAGE\n\n3"),
            hears("MESSAGE\n\n4"),
        ])),
        rule(SEND, "a destination that there is not is refused by a message, not an ERROR", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:s\ndestination:/user/queue/signal\n\n"),
            sends("SEND\ndestination:/nowhere\ncorrelation-id:c\n\nx"),
            hears("MESSAGE\nsubscription:s\ncorrelation-id:c\n\n…\"bad_request\"…"),
        ])),
        rule(SEND, "a message has one destination", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:s\ndestination:/user/queue/signal\n\n"),
            sends("SEND\ndestination:/topic/*\n\nx"),
            hears("MESSAGE\nsubscription:s\n\n…are for SUBSCRIBE…"),
        ])),
        rule("1.0: SEND", "1.0 sends alike", after(subscribed("1.0"), [
            sends("SEND\ndestination:/topic/t\n\nx"),
            hears("MESSAGE\ndestination:/topic/t\nmessage-id:*\n\nx"),
        ])),
    ])
    .await;
}
