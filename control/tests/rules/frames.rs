//! STOMP Frames, Value Encoding, Body, Standard Headers, Repeated Header Entries.

use crate::exchange::{
    after, connected, hears, is_closed, other, rule, sends, sends_raw, subscribed,
};
use crate::hold;

#[tokio::test]
async fn frames_are_lines_and_a_body() {
    const FRAMES: &str = "STOMP Frames";
    hold(vec![
        rule(FRAMES, "lines end with a line feed", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\na:1\n\nx"),
            hears("MESSAGE\na:1\n\nx"),
        ])),
        rule(FRAMES, "or with a carriage return and a line feed", after(subscribed("1.2"), [
            sends("SEND\r\ndestination:/topic/t\r\na:1\r\n\r\nx"),
            hears("MESSAGE\na:1\n\nx"),
        ])),
        rule("1.1: STOMP Frames", "1.1 has no carriage returns; they do no harm", after(subscribed("1.1"), [
            sends("SEND\r\ndestination:/topic/t\r\na:1\r\n\r\nx"),
            hears("MESSAGE\na:1\n\nx"),
        ])),
        rule(FRAMES, "line ends may stand between frames", after(subscribed("1.2"), [
            sends_raw("\n\r\n\nSEND\ndestination:/topic/t\n\n1\0\n\r\n\nSEND\ndestination:/topic/t\n\n2\0\n\n"),
            hears("MESSAGE\n\n1"),
            hears("MESSAGE\n\n2"),
        ])),
        rule(FRAMES, "frames may follow each other in one message", after(subscribed("1.2"), [
            sends_raw("SEND\ndestination:/topic/t\n\n1\0SEND\ndestination:/topic/t\n\n2\0"),
            hears("MESSAGE\n\n1"),
            hears("MESSAGE\n\n2"),
        ])),
        rule(FRAMES, "a frame may come in several messages, cut within a character too", after(subscribed("1.2"), [
            sends_raw("SE"),
            sends_raw("ND\ndestination:/topic/t\n"),
            sends_raw(&"\n안녕".as_bytes()[..3]),
            sends_raw(&"\n안녕\0".as_bytes()[3..]),
            hears("MESSAGE\n\n안녕"),
        ])),
        rule(FRAMES, "commands are case-sensitive", after(connected("1.2"), [
            sends("send\ndestination:/topic/t\n\nx"),
            hears("ERROR\nmessage:malformed frame\n\n…unknown command \"send\"…"),
            is_closed(),
        ])),
        rule(FRAMES, "there are no other commands", after(connected("1.2"), [
            sends("PUBLISH\ndestination:/topic/t\n\nx"),
            hears("ERROR\nmessage:malformed frame\n\n…unknown command \"PUBLISH\"…"),
            is_closed(),
        ])),
        rule(FRAMES, "a header has a name and a value", after(connected("1.2"), [
            sends("SEND\ndestination\n\nx"),
            hears("ERROR\nmessage:malformed frame\n\n…a header line has no colon…"),
            is_closed(),
        ])),
        rule(FRAMES, "a blank line ends the headers", after(connected("1.2"), [
            sends("SEND\ndestination:/topic/t"),
            hears("ERROR\nmessage:malformed frame\n\n…a frame has no empty line after its headers…"),
            is_closed(),
        ])),
        rule(FRAMES, "a value may be empty", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\nempty:\n\n"),
            hears("MESSAGE\nempty:\n\n"),
        ])),
    ])
    .await;
}

#[tokio::test]
async fn values_are_encoded_as_the_version_says() {
    const ENCODING: &str = "Value Encoding";
    hold(vec![
        rule(
            ENCODING,
            "line feed, colon, backslash and return are escaped",
            after(
                subscribed("1.2"),
                [
                    sends(
                        r"SEND
destination:/topic/t
note:a\nb\cc\\d\re

x",
                    ),
                    hears("MESSAGE\nnote:a\\nb\\cc\\\\d\\re\n\nx"),
                ],
            ),
        ),
        rule(
            ENCODING,
            "in names too",
            after(
                subscribed("1.2"),
                [sends("SEND\ndestination:/topic/t\na\\cb:1\n\nx"), hears("MESSAGE\na\\cb:1\n\nx")],
            ),
        ),
        rule(
            ENCODING,
            "what is escaped means the character itself",
            after(
                subscribed("1.2"),
                [
                    sends("SEND\ndestination:\\c/nowhere\nreceipt:a\\cb\n\nx"),
                    hears("RECEIPT\nreceipt-id:a\\cb\n\n"),
                ],
            ),
        ),
        rule(
            ENCODING,
            "an undefined escape is an error",
            after(
                connected("1.2"),
                [
                    sends("SEND\ndestination:/topic/t\nnote:a\\tb\n\nx"),
                    hears("ERROR\nmessage:malformed frame\n\n…undefined escape…"),
                    is_closed(),
                ],
            ),
        ),
        rule(
            ENCODING,
            "so is a backslash at the end",
            after(
                connected("1.2"),
                [
                    sends("SEND\ndestination:/topic/t\nnote:a\\\n\nx"),
                    hears("ERROR\nmessage:malformed frame\n\n…undefined escape…"),
                    is_closed(),
                ],
            ),
        ),
        rule(
            "1.1: Value Encoding",
            "1.1 escapes all but the return",
            after(
                subscribed("1.1"),
                [
                    sends(
                        r"SEND
destination:/topic/t
note:a\nb\cc\\d

x",
                    ),
                    hears("MESSAGE\nnote:a\\nb\\cc\\\\d\n\nx"),
                ],
            ),
        ),
        rule(
            "1.1: Value Encoding",
            "for which it has no escape",
            after(
                connected("1.1"),
                [
                    sends("SEND\ndestination:/topic/t\nnote:a\\rb\n\nx"),
                    hears("ERROR\nmessage:malformed frame\n\n…undefined escape…"),
                    is_closed(),
                ],
            ),
        ),
        rule(
            "1.0: Frames",
            "1.0 escapes nothing",
            after(
                subscribed("1.0"),
                [
                    sends("SEND\ndestination:/topic/t\nnote:a\\cb:c\\td\n\nx"),
                    hears("MESSAGE\nnote:a\\cb:c\\td\n\nx"),
                ],
            ),
        ),
        rule(
            ENCODING,
            "what the receiver's version can't say is a space, never another header",
            after(
                subscribed("1.0"),
                connected("1.2").into_iter().map(other).chain([
                    other(sends("SEND\ndestination:/topic/t\nnote:a\\nevil\\c1\\rb\n\nx")),
                    hears("MESSAGE\nnote:a evil:1 b\n!evil\n\nx"),
                ]),
            ),
        ),
        rule(
            ENCODING,
            "CONNECT and CONNECTED are not escaped",
            vec![
                sends("CONNECT\naccept-version:1.2\nhost:x\nlogin:a\\tb\npasscode:c:d\n\n"),
                hears("CONNECTED\nversion:1.2\n\n"),
            ],
        ),
        rule(
            ENCODING,
            "headers are UTF-8",
            after(
                subscribed("1.2"),
                [
                    sends("SEND\ndestination:/topic/t\n이름:김하나 😀\n\nx"),
                    hears("MESSAGE\n이름:김하나 😀\n\nx"),
                ],
            ),
        ),
        rule(
            ENCODING,
            "and nothing else",
            after(
                connected("1.2"),
                [
                    sends(b"SEND\ndestination:/topic/t\nnote:\xff\n\nx"),
                    hears("ERROR\nmessage:malformed frame\n\n…a header is not UTF-8…"),
                    is_closed(),
                ],
            ),
        ),
        rule(
            ENCODING,
            "a colon that was not escaped belongs to the value",
            after(
                subscribed("1.2"),
                [
                    sends("SEND\ndestination:/topic/t\nnote:a:b\n\nx"),
                    hears("MESSAGE\nnote:a\\cb\n\nx"),
                ],
            ),
        ),
        rule(
            "Augmented BNF",
            "spaces belong to names and values",
            after(
                subscribed("1.2"),
                [
                    sends("SEND\ndestination:/topic/t\nfoo : bar \n\nx"),
                    hears("MESSAGE\nfoo : bar \n\nx"),
                ],
            ),
        ),
        rule(
            "1.1: Augmented BNF",
            "in 1.1 as well",
            after(
                subscribed("1.1"),
                [
                    sends("SEND\ndestination:/topic/t\nfoo: bar \n\nx"),
                    hears("MESSAGE\nfoo: bar \n\nx"),
                ],
            ),
        ),
        rule(
            "1.0: Frames",
            "1.0 trims them",
            after(
                subscribed("1.0"),
                [
                    sends("SEND\ndestination: /topic/t\nfoo : bar \n\nx"),
                    hears("MESSAGE\nfoo:bar\n\nx"),
                ],
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn bodies_are_as_long_as_the_header_says() {
    const LENGTH: &str = "Header content-length";
    hold(vec![
        rule(LENGTH, "a body of this length may have NULs in it", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\ncontent-length:5\n\na\0b\0c"),
            hears("MESSAGE\ncontent-length:5\n\na\0b\0c"),
        ])),
        rule(LENGTH, "without it the first NUL ends the frame", after(subscribed("1.2"), [
            sends_raw("SEND\ndestination:/topic/t\n\na\0b"),
            hears("MESSAGE\ncontent-length:1\n\na"),
            sends_raw("\n"),
            hears("ERROR\nmessage:malformed frame\n\n…unknown command \"b\"…"),
            is_closed(),
        ])),
        rule(LENGTH, "it counts bytes, not characters", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\ncontent-length:6\n\n안녕"),
            hears("MESSAGE\ncontent-length:6\n\n안녕"),
        ])),
        rule(LENGTH, "a NUL has to follow", after(connected("1.2"), [
            sends("SEND\ndestination:/topic/t\ncontent-length:1\n\nab"),
            hears("ERROR\nmessage:malformed frame\n\n…no NUL follows the body's content-length bytes…"),
            is_closed(),
        ])),
        rule(LENGTH, "it is a number", after(connected("1.2"), [
            sends("SEND\ndestination:/topic/t\ncontent-length:-1\n\nab"),
            hears("ERROR\nmessage:malformed frame\n\n…content-length is not a number…"),
            is_closed(),
        ])),
        rule(LENGTH, "an empty body needs none", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\ncontent-length:0\n\n"),
            hears("MESSAGE\n!content-length\n\n"),
        ])),
        rule("1.0: Frames", "1.0 has it too", after(subscribed("1.0"), [
            sends("SEND\ndestination:/topic/t\ncontent-length:3\n\na\0b"),
            hears("MESSAGE\ncontent-length:3\n\na\0b"),
        ])),
        rule("Header content-type", "the type goes with the body", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\ncontent-type:text/plain;charset=utf-8\n\n안녕"),
            hears("MESSAGE\ncontent-type:text/plain;charset=utf-8\n\n안녕"),
        ])),
        rule("Body", "only SEND, MESSAGE and ERROR have one", after(connected("1.2"), [
            sends("SUBSCRIBE\nid:1\ndestination:/topic/t\n\nx"),
            hears("ERROR\nmessage:malformed frame\n\n…a SUBSCRIBE frame has no body…"),
            is_closed(),
        ])),
        rule("Body", "also when its length is announced", after(connected("1.2"), [
            sends("BEGIN\ntransaction:1\ncontent-length:1\n\nx"),
            hears("ERROR\nmessage:malformed frame\n\n…a BEGIN frame has no body…"),
            is_closed(),
        ])),
        rule("Repeated Header Entries", "only the first counts", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\ndestination:/topic/elsewhere\nreceipt:1\nreceipt:2\n\nx"),
            hears("MESSAGE\ndestination:/topic/t\n\nx"),
            hears("RECEIPT\nreceipt-id:1\n\n"),
        ])),
        rule("Repeated Header Entries", "all are passed on, the first one first", after(subscribed("1.2"), [
            sends("SEND\ndestination:/topic/t\nfoo:World\nfoo:Hello\n\nx"),
            hears("MESSAGE\nfoo:World\nfoo:Hello\n\nx"),
        ])),
    ])
    .await;
}
