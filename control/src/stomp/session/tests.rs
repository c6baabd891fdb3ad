#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use madang_wire::{Command, Decoded, Decoder, Frame, Headers, Limits, Prefixes, Version, header};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::auth::{AuthError, Grant};
use crate::broker::Message;
use crate::moment::Moment;

#[test]
fn connect_agrees_on_version_and_heart_beats() {
    let mut client = Client::new();
    client.send("CONNECT\naccept-version:1.0,1.1,1.2\nhost:x\nheart-beat:5000,20000\n\n\0");

    let connected = client.next();
    assert_eq!(connected.command, Command::Connected);
    assert_eq!(connected.header(header::VERSION), Some("1.2"));
    assert_eq!(connected.header(header::HEART_BEAT), Some("1000,10000"));
    assert_eq!(connected.header(header::USER_NAME), Some("guest"));
    assert!(connected.header(header::SESSION).is_some());
    assert_eq!(client.actions(), [Action::Attach]);
}

#[test]
fn a_client_without_a_version_speaks_1_0() {
    let mut client = Client::new();
    client.send("CONNECT\n\n\0");

    assert_eq!(client.next().header(header::VERSION), Some("1.0"));
}

#[test]
fn violations_are_answered_by_an_error_that_ends_the_session() {
    for (bytes, says) in [
        ("SEND\n\n\0", "needs the header destination"),
        ("SUBSCRIBE\ndestination:/topic/a\n\n\0", "needs the header id"),
        ("SUBSCRIBE\nid:1\n\n\0", "needs the header destination"),
        ("SUBSCRIBE\nid:1\ndestination:/topic/a\nack:maybe\n\n\0", "ack must be auto"),
        ("UNSUBSCRIBE\n\n\0", "needs the header id"),
        ("ACK\n\n\0", "needs the header id"),
        ("BEGIN\n\n\0", "needs the header transaction"),
        ("COMMIT\ntransaction:t\n\n\0", "no transaction \"t\" is open"),
        ("ABORT\ntransaction:t\n\n\0", "no transaction \"t\" is open"),
        ("SEND\ndestination:/topic/a\ntransaction:t\n\n\0", "no transaction \"t\" is open"),
        ("CONNECT\naccept-version:1.2\n\n\0", "one CONNECT"),
        ("MESSAGE\n\n\0", "is for servers"),
        ("HELLO\n\n\0", "unknown command"),
        ("SEND\ndestination\n\n\0", "no colon"),
        ("SEND\ncontent-length:many\n\n\0", "content-length"),
    ] {
        let mut client = Client::connected();
        client.send(bytes);

        let error = client.next();
        assert_eq!(error.command, Command::Error, "{bytes:?}");
        let body = String::from_utf8_lossy(&error.body).into_owned();
        assert!(body.contains(says), "{bytes:?}: {body}");
        assert!(client.session.is_over(), "{bytes:?}");
        client.send("SEND\ndestination:/topic/a\n\n\0");
        assert_eq!(client.actions(), []);
    }
}

#[test]
fn an_error_names_the_frame_it_is_about() {
    let mut client = Client::connected();
    client.send("SUBSCRIBE\nreceipt:r-7\ndestination:/topic/a\n\n\0");

    assert_eq!(client.next().header(header::RECEIPT_ID), Some("r-7"));
}

#[test]
fn nothing_is_heard_before_connect() {
    let mut client = Client::new();
    client.send("SEND\ndestination:/topic/a\n\nhello\0");

    assert_eq!(client.next().command, Command::Error);
    assert_eq!(client.actions(), []);
}

#[test]
fn unknown_versions_are_refused_with_those_that_are_known() {
    let mut client = Client::new();
    client.send("CONNECT\naccept-version:3.0\n\n\0");

    let error = client.next();
    assert_eq!(error.command, Command::Error);
    assert_eq!(error.header(header::VERSION), Some("1.0,1.1,1.2"));
}

#[test]
fn what_comes_behind_connect_waits_for_the_verdict() {
    let mut client = Client::new();
    let frames = "CONNECT\naccept-version:1.2\npasscode:a.b.c\nreceipt:r\n\n\0SEND\ndestination:/topic/a\n\n\0";
    client.send(frames);
    client.session.handle_bytes(client.now, b"SEND\ndestination:/topic/b\n\n\0");
    assert!(matches!(client.actions()[..], [Action::Authenticate(Some(_))]));
    assert!(client.is_quiet());

    client.session.handle_admitted(client.moment(), &Grant::guest("하나".to_owned()));

    assert_eq!(client.next().header(header::USER_NAME), Some("하나"));
    assert_eq!(client.next().command, Command::Receipt);
    let actions = client.actions();
    assert!(
        matches!(actions[..], [Action::Attach, Action::Send { .. }, Action::Send { .. }]),
        "{actions:?}"
    );
}

#[test]
fn a_client_that_may_not_connect_is_told_why_and_nothing_else_happens() {
    for connect in ["passcode:a.b.c", "Authorization:Basic YTpi"] {
        let mut client = Client::new();
        client
            .send(&format!("CONNECT\n{connect}\nreceipt:r\n\n\0SEND\ndestination:/topic/a\n\n\0"));
        client.actions();
        client.session.handle_refused(&AuthError::BadSignature);

        let error = client.next();
        assert_eq!(error.header(header::MESSAGE), Some("not authenticated"));
        assert_eq!(error.header(header::RECEIPT_ID), Some("r"));
        assert!(!error.body.is_empty());
        assert_eq!(client.session.end(), Some(End::Error(SessionError::NotAuthenticated)));
        assert_eq!(client.actions(), []);
    }
}

#[test]
fn rights_end_with_the_token() {
    let mut client = Client::new();
    client.send("CONNECT\naccept-version:1.2\npasscode:a.b.c\n\n\0");
    client.actions();
    let expires_at = Timestamp::from_second(100).ok();
    let grant = Grant { expires_at, ..Grant::guest("하나".to_owned()) };
    client.session.handle_admitted(client.moment(), &grant);
    client.next();

    client.later(Duration::from_secs(99));
    assert!(client.is_quiet());
    assert_eq!(client.session.poll_timeout(), Some(client.now + Duration::from_secs(1)));
    client.later(Duration::from_secs(1));

    assert_eq!(client.next().header(header::MESSAGE), Some("token expired"));
    assert_eq!(client.session.end(), Some(End::Error(SessionError::TokenExpired)));
}

#[test]
fn every_frame_with_a_receipt_gets_one() {
    let mut client = Client::connected();
    for frame in [
        "SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:r\n\n\0",
        "BEGIN\ntransaction:t\nreceipt:r\n\n\0",
        "SEND\ndestination:/topic/a\ntransaction:t\nreceipt:r\n\n\0",
        "ACK\nid:1\nreceipt:r\n\n\0",
        "NACK\nid:1\nreceipt:r\n\n\0",
        "ABORT\ntransaction:t\nreceipt:r\n\n\0",
        "UNSUBSCRIBE\nid:1\nreceipt:r\n\n\0",
    ] {
        client.send(frame);
        let receipt = client.next();
        assert_eq!(receipt.command, Command::Receipt, "{frame:?}");
        assert_eq!(receipt.header(header::RECEIPT_ID), Some("r"));
    }
}

#[test]
fn the_receipt_of_a_send_is_left_to_who_carries_it_out() {
    let mut client = Client::connected();
    client.send("SEND\ndestination:/app/rooms/a/chat\nreceipt:r\n\n{}\0");

    assert!(client.is_quiet());
    let actions = client.actions();
    assert!(
        matches!(&actions[..], [Action::Send { receipt: Some(receipt), .. }] if receipt == "r")
    );
}

#[test]
fn a_transaction_is_carried_out_in_order_at_its_commit() {
    let mut client = Client::connected();
    client.send("BEGIN\ntransaction:t\n\n\0");
    client.send("SEND\ndestination:/topic/a\ntransaction:t\n\n1\0");
    client.send("SEND\ndestination:/topic/b\ntransaction:t\n\n2\0");
    assert_eq!(client.actions(), []);

    client.send("COMMIT\ntransaction:t\nreceipt:r\n\n\0");

    let actions = client.actions();
    let [Action::Send { messages, receipt }] = &actions[..] else { panic!("{actions:?}") };
    let destinations: Vec<_> =
        messages.iter().map(|sent| sent.headers.get(header::DESTINATION).unwrap()).collect();
    assert_eq!(destinations, ["/topic/a", "/topic/b"]);
    assert_eq!(receipt.as_deref(), Some("r"));
}

#[test]
fn an_aborted_transaction_leaves_nothing() {
    let mut client = Client::connected();
    client.send("BEGIN\ntransaction:t\n\n\0");
    client.send("SEND\ndestination:/topic/a\ntransaction:t\n\n1\0");
    client.send("ABORT\ntransaction:t\n\n\0");

    assert_eq!(client.actions(), []);
}

#[test]
fn transactions_are_bounded() {
    let mut client = Client::connected();
    for n in 0..17 {
        client.send(&format!("BEGIN\ntransaction:{n}\n\n\0"));
    }

    assert_eq!(client.next().command, Command::Error);
}

#[test]
fn a_message_names_its_subscription() {
    let mut client = Client::connected();
    let id = client.subscribe("id:sub-0\ndestination:/topic/회의");

    client.session.handle_parcel(Parcel::Subscribed(id, message("/topic/회의", "안녕")));

    let frame = client.next();
    assert_eq!(frame.command, Command::Message);
    assert_eq!(frame.header(header::SUBSCRIPTION), Some("sub-0"));
    assert_eq!(frame.header(header::DESTINATION), Some("/topic/회의"));
    assert!(frame.header(header::MESSAGE_ID).is_some());
    assert_eq!(frame.body, "안녕".as_bytes());
}

#[test]
fn private_messages_go_to_the_sessions_own_subscriptions() {
    let mut client = Client::connected();
    client.send("SUBSCRIBE\nid:s\ndestination:/user/queue/signal\n\n\0");
    assert_eq!(client.actions(), [], "the broker need not know");

    client.session.handle_parcel(Parcel::Private(message("/user/queue/signal", "{}")));
    client.session.handle_parcel(Parcel::Private(message("/user/queue/other", "{}")));

    assert_eq!(client.next().header(header::SUBSCRIPTION), Some("s"));
    assert!(client.is_quiet());
}

#[test]
fn local_and_relayed_subscriptions_share_one_limit() {
    let relaying = |config: &mut SessionConfig| {
        config.relays = true;
        config.limits = Arc::new(crate::limits::Limits { subscriptions: 2, ..Default::default() });
    };
    for (first, second, third) in
        [("/topic/a", "/user/queue/a", "/topic/b"), ("/topic/a", "/user/queue/a", "/user/queue/b")]
    {
        let mut client = Client::with(relaying).connect("host:x");
        for (id, destination) in [first, second, third].into_iter().enumerate() {
            client.send(&format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\n\n\0"));
        }

        let actions = client.actions();

        assert!(matches!(&actions[0], Action::Relay { .. }), "{actions:?}");
        let refused = matches!(&actions[1..], [Action::Refuse { code: ErrorCode::NotAllowed, .. }]);
        assert!(refused, "{third}: {actions:?}");
    }
}

#[test]
fn a_subscription_id_is_in_use_whichever_side_has_it() {
    for (first, second) in [("/topic/a", "/user/queue/a"), ("/user/queue/a", "/topic/a")] {
        let mut client = Client::with(|config| config.relays = true).connect("host:x");
        client.send(&format!("SUBSCRIBE\nid:1\ndestination:{first}\n\n\0"));
        client.send(&format!("SUBSCRIBE\nid:1\ndestination:{second}\n\n\0"));

        let error = client.next();

        assert_eq!(error.header(header::MESSAGE), Some("duplicate subscription"), "{first}");
    }
}

#[test]
fn what_was_unsubscribed_is_silent() {
    let mut client = Client::connected();
    let id = client.subscribe("id:1\ndestination:/topic/a");
    client.send("UNSUBSCRIBE\nid:1\n\n\0");
    assert_eq!(client.actions(), [Action::Unsubscribe { id }]);

    client.session.handle_parcel(Parcel::Subscribed(id, message("/topic/a", "x")));

    assert!(client.is_quiet());
}

#[test]
fn a_refused_subscription_does_not_end_the_session() {
    let mut client = Client::connected();
    for destination in ["/nowhere", "/app/rooms/a/join", "/user/bob/queue/a", "/topic/**/b"] {
        client.send(&format!("SUBSCRIBE\nid:1\ndestination:{destination}\n\n\0"));
        let actions = client.actions();
        assert!(matches!(&actions[..], [Action::Refuse { .. }]), "{destination}: {actions:?}");
    }
    client.send("UNSUBSCRIBE\nid:1\nreceipt:r\n\n\0");
    assert_eq!(client.next().command, Command::Receipt);
}

#[test]
fn subscriptions_are_bounded() {
    let mut client = Client::connected();
    let most = client.session.config.limits.subscriptions;
    for n in 0..most {
        client.subscribe(&format!("id:{n}\ndestination:/topic/a"));
        client.later(Duration::from_secs(1));
    }

    client.send("SUBSCRIBE\nid:more\ndestination:/topic/a\n\n\0");

    let actions = client.actions();
    assert!(matches!(&actions[..], [Action::Refuse { code: ErrorCode::NotAllowed, .. }]));
}

#[test]
fn more_than_the_rate_is_refused_and_the_session_goes_on() {
    let mut client = Client::connected();
    for _ in 0..101 {
        client.send("SEND\ndestination:/topic/a\ncorrelation-id:c\n\n\0");
    }

    let actions = client.actions();
    assert_eq!(actions.iter().filter(|a| matches!(a, Action::Send { .. })).count(), 100);
    let Some(Action::Refuse { code, correlation_id, .. }) = actions.last() else { panic!() };
    assert_eq!((*code, correlation_id.as_deref()), (ErrorCode::RateLimited, Some("c")));
    client.later(Duration::from_secs(1));
    client.send("SEND\ndestination:/topic/a\n\n\0");
    assert!(matches!(&client.actions()[..], [Action::Send { .. }]));
}

#[test]
fn client_acks_are_cumulative_and_individual_ones_are_not() {
    for (mode, given_back) in [("client", 1), ("client-individual", 2)] {
        let mut client = Client::connected();
        let id = client.subscribe(&format!("id:1\ndestination:/queue/a\nack:{mode}"));
        let mut acks = Vec::new();
        for _ in 0..3 {
            client.session.handle_parcel(Parcel::Subscribed(id, message("/queue/a", "x")));
            acks.push(client.next().header(header::ACK).unwrap().to_owned());
        }

        client.send(&format!("ACK\nid:{}\n\n\0", acks[1]));

        assert_eq!(client.session.take_undelivered(VecDeque::new()).len(), given_back, "{mode}");
    }
}

#[test]
fn in_1_1_an_ack_names_message_and_subscription() {
    let mut client = Client::new();
    client.send("CONNECT\naccept-version:1.1\nhost:x\n\n\0");
    client.next();
    client.actions();
    let id = client.subscribe("id:1\ndestination:/queue/a\nack:client");
    client.session.handle_parcel(Parcel::Subscribed(id, message("/queue/a", "x")));
    let message_id = client.next().header(header::MESSAGE_ID).unwrap().to_owned();

    client.send(&format!("ACK\nsubscription:1\nmessage-id:{message_id}\n\n\0"));

    assert!(client.session.take_undelivered(VecDeque::new()).is_empty());
}

#[test]
fn a_nacked_queue_message_is_given_back() {
    let mut client = Client::connected();
    let id = client.subscribe("id:1\ndestination:/queue/a\nack:client-individual");
    let message = message("/queue/a", "x");
    client.session.handle_parcel(Parcel::Subscribed(id, Arc::clone(&message)));
    let ack = client.next().header(header::ACK).unwrap().to_owned();

    client.send(&format!("NACK\nid:{ack}\n\n\0"));

    assert_eq!(client.actions(), [Action::GiveBack(message)]);
}

#[test]
fn who_never_acknowledges_is_ended() {
    let mut client = Client::connected();
    let id = client.subscribe("id:1\ndestination:/topic/a\nack:client");
    for _ in 0..=client.session.config.limits.outbox_messages {
        client.session.handle_parcel(Parcel::Subscribed(id, message("/topic/a", "x")));
    }

    assert!(client.session.is_over());
}

#[test]
fn a_chat_subscription_replays_and_then_goes_live() {
    let mut client = Client::connected();
    client.send("SUBSCRIBE\nid:c\ndestination:/topic/rooms/a/chat\nhistory:10\n\n\0");
    let mut actions = client.actions();
    let Some(Action::Replay { id, room, what }) = actions.pop() else { panic!("{actions:?}") };
    assert!(matches!(&actions[..], [Action::Subscribe { .. }]), "the broker first");
    assert_eq!(what, Replay::Last(10));

    client.session.handle_parcel(Parcel::Subscribed(id, chat(3)));
    client.session.handle_replay(id, room.clone(), &[chat(1), chat(2)]);
    let next = Action::Replay { id, room: room.clone(), what: Replay::Since(2) };
    assert_eq!(client.actions(), [next]);
    client.session.handle_replay(id, room, &[chat(3)]);
    client.session.handle_parcel(Parcel::Subscribed(id, chat(4)));

    let seqs: Vec<_> = (0..4).map(|_| client.next().header("seq").unwrap().to_owned()).collect();
    assert_eq!(seqs, ["1", "2", "3", "4"]);
}

#[test]
fn disconnect_is_acknowledged_after_everything_else() {
    let mut client = Client::connected();
    client.send("DISCONNECT\nreceipt:bye\n\n\0");
    let actions = client.actions();
    assert_eq!(actions, [Action::Disconnect { receipt: Some("bye".into()) }]);
    assert!(client.is_quiet() && !client.session.is_over());

    client.session.handle_parcel(Parcel::Receipt("chat".into()));
    client.session.handle_drained(Some("bye".into()));

    assert_eq!(client.next().header(header::RECEIPT_ID), Some("chat"));
    assert_eq!(client.next().header(header::RECEIPT_ID), Some("bye"));
    assert!(client.session.is_over());
}

#[test]
fn heart_beats_are_sent_when_nothing_else_is() {
    let mut client = Client::connected_with("heart-beat:0,10000");
    client.later(Duration::from_secs(10));

    let sent = client.session.poll_output(client.now).map(|sent| sent.to_bytes());
    assert_eq!(sent, Some(Bytes::from_static(b"\n")));
    assert_eq!(client.session.poll_timeout(), Some(client.now + Duration::from_secs(10)));
}

#[test]
fn heart_beats_that_nobody_reads_do_not_pile_up() {
    let mut client = Client::connected_with("heart-beat:0,10000");
    for _ in 0..3 {
        client.later(Duration::from_secs(10));
    }

    assert!(client.session.poll_output(client.now).is_some());
    assert!(client.is_quiet());
}

#[test]
fn receipts_that_nobody_reads_wait_in_the_outbox() {
    let mut client = Client::connected();
    while !client.session.has_enough_output() {
        client.send("ACK\nid:1\nreceipt:r\n\n\0");
        assert_eq!(client.actions(), []);
    }

    client.send("ACK\nid:1\nreceipt:later\n\n\0");

    assert_eq!(client.actions(), [Action::Receipt("later".into())]);
}

#[test]
fn a_client_that_misses_two_heart_beats_is_gone() {
    let mut client = Client::connected_with("heart-beat:10000,0");
    client.later(Duration::from_secs(19));
    client.send("\n");
    client.later(Duration::from_secs(19));
    assert!(!client.session.is_over());

    client.later(Duration::from_secs(1));

    assert_eq!(client.next().command, Command::Error);
    assert!(client.session.is_over());
}

#[test]
fn silence_means_nothing_while_nothing_is_read() {
    let mut client = Client::connected_with("heart-beat:10000,0");
    client.now += Duration::from_secs(30);
    client.session.handle_unread(client.now);

    client.later(Duration::from_secs(19));
    assert!(!client.session.is_over());
    client.later(Duration::from_secs(1));
    assert!(client.session.is_over());
}

#[test]
fn a_client_that_never_connects_is_ended() {
    let mut client = Client::new();
    client.later(Duration::from_secs(10));

    assert_eq!(client.next().command, Command::Error);
}

#[test]
fn frames_may_come_in_pieces() {
    let mut client = Client::connected();
    for byte in "SEND\ndestination:/topic/회의\n\n안녕\0\r\n\n".as_bytes() {
        client.session.handle_bytes(client.now, &[*byte]);
    }

    assert!(matches!(&client.actions()[..], [Action::Send { .. }]));
}

#[test]
fn nothing_that_a_client_sends_makes_it_panic() {
    const PIECES: &[&str] = &[
        "CONNECT\n",
        "STOMP\n",
        "SEND\n",
        "SUBSCRIBE\n",
        "UNSUBSCRIBE\n",
        "ACK\n",
        "NACK\n",
        "BEGIN\n",
        "COMMIT\n",
        "ABORT\n",
        "DISCONNECT\n",
        "accept-version:1.0,1.1,1.2\n",
        "accept-version:1.1\n",
        "heart-beat:0,0\n",
        "heart-beat:4294967295,1\n",
        "id:1\n",
        "id:2\n",
        "destination:/topic/rooms/a/chat\n",
        "destination:/queue/a\n",
        "destination:/user/queue/a\n",
        "destination:/topic/**\n",
        "ack:client\n",
        "ack:client-individual\n",
        "history:5\n",
        "since:18446744073709551615\n",
        "transaction:t\n",
        "receipt:r\n",
        "message-id:1\n",
        "content-length:3\n",
        "\n",
        "\n\0",
        "\0",
        "\r\n",
        "body",
        "\u{d55c}",
    ];
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..2_000 {
        let mut client = Client::new();
        if random.random() {
            client.send("CONNECT\naccept-version:1.2,1.1\n\n\0");
        }
        for _ in 0..random.random_range(1..60) {
            match random.random_range(0..12) {
                0 => client.later(Duration::from_millis(random.random_range(0..30_000))),
                1 => {
                    let id = SubscriptionId(random.random_range(0..4));
                    let seq = random.random_range(1..9);
                    client.session.handle_parcel(Parcel::Subscribed(id, chat(seq)));
                }
                2 => {
                    let id = SubscriptionId(random.random_range(0..4));
                    let room = RoomName::parse("a").unwrap();
                    client.session.handle_replay(id, room, &[chat(3)]);
                }
                _ => client.send(PIECES[random.random_range(0..PIECES.len())]),
            }
            client.actions();
        }
        while client.session.poll_output(client.now).is_some() {}
    }
}

/// A session with a client that drives it.
struct Client {
    session: Session,
    began: Instant,
    now: Instant,
    /// The actions of the session, except those of its CONNECT.
    acted: Vec<Action>,
    decoder: Decoder,
}

impl Client {
    fn new() -> Client {
        Client::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut SessionConfig)) -> Client {
        let now = Instant::now();
        let mut config = SessionConfig {
            id: "session-1".into(),
            prefixes: Arc::new(Prefixes::default()),
            relays: false,
            limits: Arc::default(),
            counters: Arc::default(),
        };
        change(&mut config);
        let (session, decoder) = (Session::new(config, now), Decoder::new(Limits::default()));
        Client { session, began: now, now, acted: Vec::new(), decoder }
    }

    fn connected() -> Client {
        Client::connected_with("host:x")
    }

    fn connected_with(header: &str) -> Client {
        Client::new().connect(header)
    }

    fn connect(mut self, header: &str) -> Client {
        let client = &mut self;
        client.send(&format!("CONNECT\naccept-version:1.2\n{header}\n\n\0"));
        assert_eq!(client.next().command, Command::Connected);
        client.actions();
        self
    }

    fn send(&mut self, text: &str) {
        self.session.handle_bytes(self.now, text.as_bytes());
        self.admit_guest();
    }

    /// Takes the actions; admits a client without a credential as a guest.
    fn admit_guest(&mut self) {
        let actions = self.actions();
        for action in actions {
            match action {
                Action::Authenticate(None) => {
                    let guest = Grant::guest("guest".to_owned());
                    self.session.handle_admitted(self.moment(), &guest);
                }
                other => self.acted.push(other),
            }
        }
    }

    /// The current moment; the wall clock starts at the Unix epoch.
    fn moment(&self) -> Moment {
        let since = self.now - self.began;
        Moment { instant: self.now, utc: Timestamp::UNIX_EPOCH + since }
    }

    fn subscribe(&mut self, headers: &str) -> SubscriptionId {
        self.send(&format!("SUBSCRIBE\n{headers}\n\n\0"));
        match self.actions().pop() {
            Some(Action::Subscribe { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    fn later(&mut self, by: Duration) {
        self.now += by;
        self.session.handle_timeout(self.moment());
    }

    fn actions(&mut self) -> Vec<Action> {
        let mut actions = std::mem::take(&mut self.acted);
        actions.extend(std::iter::from_fn(|| self.session.poll_action()));
        actions
    }

    fn is_quiet(&self) -> bool {
        !self.session.has_output()
    }

    fn next(&mut self) -> Frame {
        let bytes = self.session.poll_output(self.now).expect("a frame").to_bytes();
        self.decoder.set_version(Version::V1_2);
        self.decoder.push(&bytes).unwrap();
        match self.decoder.next_frame().unwrap() {
            Some(Decoded::Frame(frame)) => frame,
            other => panic!("{other:?}"),
        }
    }
}

fn message(destination: &str, body: &str) -> Arc<Message> {
    Arc::new(Message::new(destination, Headers::new(), Bytes::copy_from_slice(body.as_bytes())))
}

fn chat(seq: u64) -> Arc<Message> {
    let headers = [(header::SEQ, seq.to_string())].into_iter().collect();
    Arc::new(Message::new("/topic/rooms/a/chat", headers, Bytes::from_static(b"{}")))
}
