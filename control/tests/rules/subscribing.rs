//! SUBSCRIBE, UNSUBSCRIBE.

use crate::exchange::{
    after, connected, hears, is_closed, other, rule, sends, sends_raw, subscribed,
};
use crate::hold;

#[tokio::test]
async fn subscribing() {
    const SUBSCRIBE: &str = "SUBSCRIBE";
    hold(vec![
        rule(SUBSCRIBE, "it needs a destination", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:1\nreceipt:r\n\n"),
            hears("ERROR\nmessage:missing header\nreceipt-id:r\n\n…needs the header destination…"),
            is_closed(),
        ])),
        rule("SUBSCRIBE id Header", "it needs an id", after(connected("1.2"), [
            sends("SUBSCRIBE\ndestination:/topic/t\n\n"),
            hears("ERROR\nmessage:missing header\n\n…needs the header id…"),
            is_closed(),
        ])),
        rule("1.1: SUBSCRIBE id Header", "in 1.1 too", after(connected("1.1"), [
            sends("SUBSCRIBE\ndestination:/topic/t\n\n"),
            hears("ERROR\nmessage:missing header\n\n…needs the header id…"),
            is_closed(),
        ])),
        rule("1.0: SUBSCRIBE", "1.0 needs none", after(connected("1.0"), [
            sends("SUBSCRIBE\ndestination:/topic/t\n\n"),
            sends("SEND\ndestination:/topic/t\n\nx"),
            hears("MESSAGE\ndestination:/topic/t\n!subscription\n\nx"),
        ])),
        rule("SUBSCRIBE id Header", "the id comes with each message", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:나\\c1\ndestination:/topic/t\n\n"),
            sends("SEND\ndestination:/topic/t\n\nx"),
            hears("MESSAGE\nsubscription:나\\c1\n\nx"),
        ])),
        rule("SUBSCRIBE id Header", "an id is used once at a time", after(subscribed("1.2"), [
            sends("SUBSCRIBE\nid:t\ndestination:/topic/other\nreceipt:r\n\n"),
            hears("ERROR\nmessage:duplicate subscription\nreceipt-id:r\n\n…is in use…"),
            is_closed(),
        ])),
        rule("SUBSCRIBE id Header", "one destination may have several", after(subscribed("1.2"), [
            sends("SUBSCRIBE\nid:u\ndestination:/topic/t\n\n"),
            sends("SEND\ndestination:/topic/t\n\nx"),
            hears("MESSAGE\nsubscription:t\n\nx"),
            hears("MESSAGE\nsubscription:u\n\nx"),
        ])),
        rule(SUBSCRIBE, "its receipt comes before any message can", after(connected("1.2"), [
            sends_raw(
                "SUBSCRIBE\nid:1\ndestination:/topic/t\nreceipt:r\n\n\0SEND\ndestination:/topic/t\n\nx\0",
            ),
            hears("RECEIPT\nreceipt-id:r\n\n"),
            hears("MESSAGE\n\nx"),
        ])),
        rule(SUBSCRIBE, "a star stands for one segment", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:1\ndestination:/topic/*/kr\n\n"),
            sends("SEND\ndestination:/topic/news/us\n\nno"),
            sends("SEND\ndestination:/topic/a/b/kr\n\nno"),
            sends("SEND\ndestination:/topic/news/kr\n\nyes"),
            hears("MESSAGE\ndestination:/topic/news/kr\n\nyes"),
        ])),
        rule(SUBSCRIBE, "two stars stand for the rest", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:1\ndestination:/topic/news/**\n\n"),
            sends("SEND\ndestination:/topic/other\n\nno"),
            sends("SEND\ndestination:/topic/news/a/b\n\nyes"),
            hears("MESSAGE\ndestination:/topic/news/a/b\n\nyes"),
        ])),
        rule(SUBSCRIBE, "a destination that there is not is refused by a message, and the frame has its receipt", after(
            connected("1.2"),
            [
                sends("SUBSCRIBE\nid:s\ndestination:/user/queue/signal\n\n"),
                sends("SUBSCRIBE\nid:1\ndestination:/nowhere\nreceipt:r\n\n"),
                hears("RECEIPT\nreceipt-id:r\n\n"),
                hears("MESSAGE\nsubscription:s\n\n…\"bad_request\"…"),
            ],
        )),
        rule("SUBSCRIBE ack Header", "auto, client, client-individual, and nothing else", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:1\ndestination:/topic/t\nack:later\n\n"),
            hears("ERROR\nmessage:bad header\n\n…ack must be auto, client or client-individual…"),
            is_closed(),
        ])),
    ])
    .await;
}

/// Not of the STOMP text: destinations as Spring has them.
#[tokio::test]
async fn private_queues() {
    const USER: &str = "User destinations";
    let known = |name: &str| {
        [
            sends("CONNECT\naccept-version:1.2\nhost:x\n\n"),
            hears("CONNECTED\nuser-name:*\n\n"),
            sends(format!("SUBSCRIBE\nid:1\ndestination:{name}\nreceipt:r\n\n")),
            hears("RECEIPT\nreceipt-id:r\n\n"),
        ]
    };
    let to_self = || sends("SEND\ndestination:/user/{user-name}/queue/소식\n\nx");
    hold(vec![
        rule(
            USER,
            "what is sent to a user's queue comes to that user alone",
            after(
                known("/user/queue/소식")
                    .into_iter()
                    .chain(known("/user/queue/소식").map(other))
                    .collect(),
                [to_self(), hears("MESSAGE\nsubscription:1\ndestination:/user/queue/소식\n\nx")],
            ),
        ),
        rule(
            USER,
            "a pattern gets what it stands for",
            after(
                known("/user/queue/**").into(),
                [to_self(), hears("MESSAGE\nsubscription:1\ndestination:/user/queue/소식\n\nx")],
            ),
        ),
        rule(
            USER,
            "messages may be acknowledged as others",
            after(
                known("/user/queue/other").into(),
                [
                    sends("SUBSCRIBE\nid:2\ndestination:/user/queue/소식\nack:client\n\n"),
                    to_self(),
                    hears("MESSAGE\nsubscription:2\nack:*\n\nx"),
                    sends("ACK\nid:{ack}\nreceipt:r\n\n"),
                    hears("RECEIPT\nreceipt-id:r\n\n"),
                ],
            ),
        ),
        rule(
            USER,
            "a user who is not there gets nothing, and the sender no error",
            after(
                known("/user/queue/signal").into(),
                [
                    sends("SEND\ndestination:/user/nobody/queue/a\nreceipt:s\n\nx"),
                    hears("RECEIPT\nreceipt-id:s\n\n"),
                ],
            ),
        ),
        rule(
            USER,
            "nobody listens to another's",
            after(
                known("/user/queue/signal").into(),
                [
                    sends("SUBSCRIBE\nid:2\ndestination:/user/someone/queue/a\n\n"),
                    hears("MESSAGE\nsubscription:1\n\n…\"not_allowed\"…"),
                ],
            ),
        ),
        rule(
            USER,
            "nobody but the server signals",
            after(
                known("/user/queue/signal").into(),
                [
                    sends("SEND\ndestination:/user/{user-name}/queue/signal\n\n{}"),
                    hears("MESSAGE\nsubscription:1\n\n…\"not_allowed\"…"),
                ],
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn unsubscribing() {
    const UNSUBSCRIBE: &str = "UNSUBSCRIBE";
    hold(vec![
        rule(
            UNSUBSCRIBE,
            "it needs an id",
            after(
                subscribed("1.2"),
                [
                    sends("UNSUBSCRIBE\ndestination:/topic/t\n\n"),
                    hears("ERROR\nmessage:missing header\n\n…needs the header id…"),
                    is_closed(),
                ],
            ),
        ),
        rule(
            UNSUBSCRIBE,
            "nothing comes after it",
            after(
                subscribed("1.2"),
                [
                    sends("UNSUBSCRIBE\nid:t\nreceipt:r\n\n"),
                    hears("RECEIPT\nreceipt-id:r\n\n"),
                    sends("SEND\ndestination:/topic/t\nreceipt:s\n\nx"),
                    hears("RECEIPT\nreceipt-id:s\n\n"),
                ],
            ),
        ),
        rule(
            UNSUBSCRIBE,
            "it ends one subscription alone",
            after(
                subscribed("1.2"),
                [
                    sends("SUBSCRIBE\nid:u\ndestination:/topic/t\n\n"),
                    sends("UNSUBSCRIBE\nid:t\n\n"),
                    sends("SEND\ndestination:/topic/t\n\nx"),
                    hears("MESSAGE\nsubscription:u\n\nx"),
                ],
            ),
        ),
        rule(
            UNSUBSCRIBE,
            "the id is free again",
            after(
                subscribed("1.2"),
                [
                    sends("UNSUBSCRIBE\nid:t\n\n"),
                    sends("SUBSCRIBE\nid:t\ndestination:/topic/u\n\n"),
                    sends("SEND\ndestination:/topic/t\n\nno"),
                    sends("SEND\ndestination:/topic/u\n\nyes"),
                    hears("MESSAGE\nsubscription:t\n\nyes"),
                ],
            ),
        ),
        rule(
            UNSUBSCRIBE,
            "one that there is not does no harm",
            after(
                connected("1.2"),
                [sends("UNSUBSCRIBE\nid:never\nreceipt:r\n\n"), hears("RECEIPT\nreceipt-id:r\n\n")],
            ),
        ),
        rule(
            "1.0: UNSUBSCRIBE",
            "1.0 may name the destination",
            after(
                connected("1.0"),
                [
                    sends("SUBSCRIBE\ndestination:/topic/t\n\n"),
                    sends("UNSUBSCRIBE\ndestination:/topic/t\n\n"),
                    sends("SEND\ndestination:/topic/t\nreceipt:r\n\nx"),
                    hears("RECEIPT\nreceipt-id:r\n\n"),
                ],
            ),
        ),
        rule(
            "1.1: UNSUBSCRIBE",
            "1.1 may not",
            after(
                connected("1.1"),
                [
                    sends("UNSUBSCRIBE\ndestination:/topic/t\n\n"),
                    hears("ERROR\nmessage:missing header\n\n…needs the header id…"),
                    is_closed(),
                ],
            ),
        ),
    ])
    .await;
}
