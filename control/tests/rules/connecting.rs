//! Connecting, Protocol Negotiation, Heart-beating, DISCONNECT, Connection Lingering.

use crate::exchange::{
    after, connected, hears, is_closed, other, rule, sends, sends_raw, subscribed,
};
use crate::hold;

#[tokio::test]
async fn connecting() {
    hold(vec![
        rule("CONNECT or STOMP Frame", "CONNECT is answered by CONNECTED", vec![
            sends("CONNECT\naccept-version:1.2\nhost:x\n\n"),
            hears("CONNECTED\nversion:1.2\nserver:*\nsession:*\nuser-name:*\nheart-beat:*\n\n"),
        ]),
        rule("CONNECT or STOMP Frame", "so is STOMP", vec![
            sends("STOMP\naccept-version:1.2\nhost:x\n\n"),
            hears("CONNECTED\nversion:1.2\n\n"),
        ]),
        rule("CONNECT or STOMP Frame", "line ends may come before it", vec![
            sends_raw("\n\r\nCONNECT\r\naccept-version:1.2\r\nhost:x\r\n\r\n\0"),
            hears("CONNECTED\nversion:1.2\n\n"),
        ]),
        rule("CONNECT or STOMP Frame", "every virtual host is this server", vec![
            sends("CONNECT\naccept-version:1.2\nhost:/some-vhost\n\n"),
            hears("CONNECTED\nversion:1.2\n\n"),
        ]),
        rule("CONNECT or STOMP Frame", "a client that forgets the host is let in", vec![
            sends("CONNECT\naccept-version:1.2\n\n"),
            hears("CONNECTED\nversion:1.2\n\n"),
        ]),
        rule("CONNECT or STOMP Frame", "it may have login and passcode", vec![
            sends("CONNECT\naccept-version:1.2\nhost:x\nlogin:하나\npasscode:열려라 참깨\n\n"),
            hears("CONNECTED\nversion:1.2\n!login\n!passcode\n\n"),
        ]),
        rule("1.0: CONNECT", "1.0 may have spaces after colons", vec![
            sends("CONNECT\nlogin: a\npasscode: b\n\n"),
            hears("CONNECTED\nversion:1.0\nsession:*\n\n"),
        ]),
        rule("CONNECT or STOMP Frame", "nothing comes before it", vec![
            sends("SEND\ndestination:/topic/t\nreceipt:r\n\nx"),
            hears("ERROR\nmessage:not connected\nversion:1.0,1.1,1.2\nreceipt-id:r\n\n…must be CONNECT, not SEND…"),
            is_closed(),
        ]),
        rule("CONNECT or STOMP Frame", "it comes once", after(connected("1.2"), [
            sends("CONNECT\naccept-version:1.2\nhost:x\n\n"),
            hears("ERROR\nmessage:already connected\n\n…one CONNECT…"),
            is_closed(),
        ])),
        rule("Standard Headers: receipt", "a receipt of CONNECT is not owed, and given", vec![
            sends("CONNECT\naccept-version:1.2\nhost:x\nreceipt:r\n\n"),
            hears("CONNECTED\nversion:1.2\n\n"),
            hears("RECEIPT\nreceipt-id:r\n\n"),
        ]),
    ])
    .await;
}

#[tokio::test]
async fn the_version_is_negotiated() {
    const NEGOTIATION: &str = "Protocol Negotiation";
    let chosen = |accepted: &str, version: &str| {
        vec![
            sends(format!("CONNECT\naccept-version:{accepted}\nhost:x\n\n")),
            hears(format!("CONNECTED\nversion:{version}\n\n")),
        ]
    };
    let refused = |accepted: &str| {
        vec![
            sends(format!("CONNECT\naccept-version:{accepted}\nhost:x\nreceipt:r\n\n")),
            hears(
                "ERROR\nmessage:unsupported version\nversion:1.0,1.1,1.2\ncontent-type:text/plain\nreceipt-id:r\n\n\
                 The server supports STOMP 1.0, 1.1 and 1.2.",
            ),
            is_closed(),
        ]
    };
    hold(vec![
        rule(NEGOTIATION, "the highest common version is used", chosen("1.0,1.1,1.2", "1.2")),
        rule(NEGOTIATION, "whichever comes first", chosen("1.2,1.0,1.1", "1.2")),
        rule(NEGOTIATION, "1.1", chosen("1.0,1.1", "1.1")),
        rule(NEGOTIATION, "1.0", chosen("1.0", "1.0")),
        rule(NEGOTIATION, "also beside unknown ones", chosen("1.0,2.0,9.9", "1.0")),
        rule(NEGOTIATION, "spaces between them do no harm", chosen("1.0, 1.1, 1.2", "1.2")),
        rule(
            NEGOTIATION,
            "who names none speaks 1.0",
            vec![sends("CONNECT\n\n"), hears("CONNECTED\nversion:1.0\n\n")],
        ),
        rule(NEGOTIATION, "without a common one there is an ERROR that names ours", refused("2.1")),
        rule(NEGOTIATION, "1.20 is not 1.2", refused("1.20")),
        rule(NEGOTIATION, "nothing is no version", refused("")),
    ])
    .await;
}

#[tokio::test]
async fn heart_beats_are_agreed_on() {
    const BEATS: &str = "Heart-beating";
    let refused = |value: &str| {
        vec![
            sends(format!("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:{value}\n\n")),
            hears("ERROR\nmessage:bad header\n\n…heart-beat must be two numbers…"),
            is_closed(),
        ]
    };
    hold(vec![
        rule(
            BEATS,
            "without the header the client has none, and hears what there could be",
            vec![
                sends("CONNECT\naccept-version:1.2\nhost:x\n\n"),
                hears("CONNECTED\nheart-beat:1000,10000\n\n"),
            ],
        ),
        rule(
            BEATS,
            "the server sends one as often as the client wants, down to a second",
            vec![
                sends("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:0,1000\n\n"),
                hears("CONNECTED\n\n"),
                hears("\n"),
                hears("\n"),
            ],
        ),
        rule(
            BEATS,
            "and no more often",
            vec![
                sends("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:0,1\n\n"),
                hears("CONNECTED\nheart-beat:1000,10000\n\n"),
                sends("BEGIN\ntransaction:t\nreceipt:r\n\n"),
                hears("RECEIPT\nreceipt-id:r\n\n"),
            ],
        ),
        rule(
            BEATS,
            "a client's are line ends, which mean nothing else",
            after(
                subscribed("1.2"),
                [
                    sends_raw("\n"),
                    sends_raw("\r\n"),
                    sends_raw("\n\n\n"),
                    sends("SEND\ndestination:/topic/t\n\nx"),
                    hears("MESSAGE\n\nx"),
                ],
            ),
        ),
        rule(BEATS, "two numbers, not one", refused("1000")),
        rule(BEATS, "not three", refused("1,2,3")),
        rule(BEATS, "not negative", refused("-1,0")),
        rule(BEATS, "not words", refused("often,seldom")),
    ])
    .await;
}

#[tokio::test]
async fn disconnecting() {
    hold(vec![
        rule("DISCONNECT", "its receipt is the last thing said", after(connected("1.2"), [
            sends("DISCONNECT\nreceipt:77\n\n"),
            hears("RECEIPT\nreceipt-id:77\n\n"),
            is_closed(),
        ])),
        rule("DISCONNECT", "the receipt means that all before was received", after(subscribed("1.2"), [
            sends_raw("SEND\ndestination:/topic/t\nreceipt:1\n\nx\0DISCONNECT\nreceipt:2\n\n\0"),
            hears("MESSAGE\n\nx"),
            hears("RECEIPT\nreceipt-id:1\n\n"),
            hears("RECEIPT\nreceipt-id:2\n\n"),
            is_closed(),
        ])),
        rule("DISCONNECT", "without a receipt it is closed all the same", after(connected("1.2"), [
            sends("DISCONNECT\n\n"),
            is_closed(),
        ])),
        rule("DISCONNECT", "what follows is not heard", after(subscribed("1.2"), [
            sends_raw("DISCONNECT\nreceipt:1\n\n\0SEND\ndestination:/topic/t\nreceipt:2\n\nx\0nonsense"),
            hears("RECEIPT\nreceipt-id:1\n\n"),
            is_closed(),
        ])),
        rule("Connection Lingering", "the last frame arrives although more was sent than is read", after(
            connected("1.2"),
            [
                sends_raw("NONSENSE\n\n\0".to_owned() + &"x".repeat(1_000_000)),
                hears("ERROR\nmessage:malformed frame\n\n…unknown command \"NONSENSE\"…"),
                is_closed(),
            ],
        )),
        rule("DISCONNECT", "the others go on", after(
            subscribed("1.2"),
            connected("1.2").into_iter().map(other).chain([
                other(sends("DISCONNECT\n\n")),
                other(is_closed()),
                sends("SEND\ndestination:/topic/t\n\nx"),
                hears("MESSAGE\n\nx"),
            ]),
        )),
    ])
    .await;
}
