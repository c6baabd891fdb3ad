#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use super::*;

#[test]
fn the_login_is_the_configured_one() {
    let mut broker = Broker::new(Version::V1_2);
    broker.link.handle_opened(broker.now);

    let connect = broker.heard();
    assert_eq!(connect.command, Command::Connect);
    assert_eq!(connect.header("login"), Some("madang"));
    assert_eq!(connect.header("passcode"), Some("secret"));
    assert_eq!(connect.header("host"), Some("/"));
    assert!(!broker.link.takes_orders(), "orders wait for CONNECTED");
}

#[test]
fn a_refused_login_is_a_reason_without_the_password() {
    let mut broker = Broker::new(Version::V1_2);
    broker.link.handle_opened(broker.now);
    broker.says("ERROR\nmessage:Bad CONNECT\n\nno secret for madang\0");

    let reason = "it refuses the login: Bad CONNECT: no … for madang".to_owned();
    assert_eq!(broker.events(), [Event::Lost { reason }]);
}

#[test]
fn frames_pass_and_receipts_come_back_under_the_clients_ids() {
    let mut broker = Broker::open(Version::V1_2);
    broker.order("SEND\ndestination:/topic/a/b\nreceipt:mine\npasscode:x\nkeep:1\n\nhi\0");

    let send = broker.heard();
    assert_eq!(send.header("destination"), Some("/topic/a.b"));
    assert_eq!((send.header("keep"), send.header("passcode")), (Some("1"), None));
    assert_eq!(&send.body[..], b"hi");
    broker.says(&format!("RECEIPT\nreceipt-id:{}\n\n\0", send.header("receipt").unwrap()));
    assert_eq!(broker.events(), [receipt("mine")]);
}

#[test]
fn a_message_keeps_its_body_and_gets_the_clients_names() {
    let mut broker = Broker::open(Version::V1_2);
    broker.order("SUBSCRIBE\nid:s\ndestination:/topic/a/*\nack:client\n\n\0");
    assert_eq!(broker.heard().header("destination"), Some("/topic/a.*"));
    broker.says("MESSAGE\nsubscription:s\ndestination:/topic/a.b\nmessage-id:m\nack:T_7\n\nhi\0");

    let message = broker.frame();
    assert_eq!(message.header("destination"), Some("/topic/a/b"));
    assert_eq!(message.header("message-id"), Some("m"));
    assert_eq!(message.header("ack"), Some("relay1-T_7"));
    broker.order("ACK\nid:relay1-T_7\n\n\0");
    assert_eq!(broker.heard().header("id"), Some("T_7"));
}

#[test]
fn older_clients_acknowledge_by_the_messages_id() {
    let mut broker = Broker::open(Version::V1_1);
    broker.order("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
    broker.heard();
    broker.says("MESSAGE\nsubscription:s\ndestination:/queue/a\nmessage-id:m\nack:T_7\n\nhi\0");

    let message = broker.frame();
    assert_eq!((message.header("ack"), message.header("message-id")), (None, Some("relay1-T_7")));
    broker.order("NACK\nsubscription:s\nmessage-id:relay1-T_7\n\n\0");
    let nack = broker.heard();
    assert_eq!((nack.header("id"), nack.header("message-id")), (Some("T_7"), None));
}

#[test]
fn subscriptions_come_back_and_get_the_receipt_that_was_owed() {
    let mut broker = Broker::open(Version::V1_2);
    broker.order("SUBSCRIBE\nid:b\ndestination:/topic/b\nreceipt:b\n\n\0");
    broker.order("SUBSCRIBE\nid:a\ndestination:/topic/**\n\n\0");
    broker.order("SUBSCRIBE\nid:gone\ndestination:/topic/c\n\n\0");
    broker.order("UNSUBSCRIBE\nid:gone\n\n\0");
    broker.lose();
    broker.order("SUBSCRIBE\nid:c\ndestination:/topic/c\n\n\0");

    broker.reopen("ActiveMQ/5.17.2");

    let again: Vec<_> = std::iter::from_fn(|| broker.try_heard()).collect();
    let ids: Vec<_> = again.iter().map(|frame| frame.header("id").unwrap()).collect();
    assert_eq!(ids, ["b", "a", "c"]);
    assert_eq!(again[1].header("destination"), Some("/topic/>"));
    let number = again[0].header("receipt").unwrap();
    broker.says(&format!("RECEIPT\nreceipt-id:{number}\n\n\0"));
    assert!(broker.events().contains(&receipt("b")));
}

#[test]
fn while_it_is_away_sends_are_refused_and_not_confirmed() {
    let mut broker = Broker::open(Version::V1_2);
    broker.lose();
    broker.events();
    broker.order("SEND\ndestination:/topic/a\nreceipt:r\ncorrelation-id:c\n\n\0");

    let events = broker.events();
    let [Event::Refused { message, correlation_id: Some(id) }] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(message.contains("away") && id == "c", "{message}");
}

#[test]
fn a_confirmation_that_never_came_is_told() {
    let mut broker = Broker::open(Version::V1_2);
    broker.order("SEND\ndestination:/topic/a\nreceipt:r\n\n\0");
    broker.lose();

    let events = broker.events();
    assert!(
        matches!(&events[0], Event::Refused { message, .. } if message.contains("\"r\"")),
        "{events:?}"
    );
}

#[test]
fn a_transaction_does_not_survive_its_connection() {
    let mut broker = Broker::open(Version::V1_2);
    broker.order("BEGIN\ntransaction:t\n\n\0");
    broker.lose();
    broker.reopen("x");
    broker.events();
    broker.order("SEND\ndestination:/topic/a\ntransaction:t\n\n\0");
    broker.order("COMMIT\ntransaction:t\nreceipt:r\n\n\0");

    let events = broker.events();
    assert!(events.iter().all(|event| matches!(event, Event::Refused { .. })) && events.len() == 2);
    assert_eq!(broker.try_heard(), None);
}

#[test]
fn an_ack_of_an_earlier_connection_is_confirmed_and_goes_nowhere() {
    let mut broker = Broker::open(Version::V1_2);
    broker.lose();
    broker.reopen("x");
    broker.events();
    broker.order("ACK\nid:relay1-T_7\nreceipt:r\n\n\0");

    assert_eq!(broker.events(), [receipt("r")]);
    assert_eq!(broker.try_heard(), None);
}

#[test]
fn an_error_of_the_broker_is_shown_and_a_shutdown_is_not() {
    let mut broker = Broker::open(Version::V1_2);
    broker.order("SEND\ndestination:/topic/a\nreceipt:r\n\n\0");
    broker.says("ERROR\nmessage:access_refused\nreceipt-id:1\n\nno\0");
    assert_eq!(broker.frame().header("receipt-id"), Some("r"));

    let mut broker = Broker::open(Version::V1_2);
    broker.says("ERROR\nmessage:connection_forced\n\nbye\0");
    assert_eq!(broker.events(), [Event::Lost { reason: "it is shutting down".to_owned() }]);
}

#[test]
fn silence_is_a_lost_connection_and_ours_is_broken() {
    let mut broker = Broker::open(Version::V1_2);
    let due = broker.link.poll_timeout().unwrap();
    broker.link.handle_timeout(due);
    assert_eq!(&broker.link.take_output(due)[..], b"\n");

    let due = broker.now + Duration::from_secs(20);
    // One deadline at a time: ours is due as well.
    broker.link.handle_timeout(due);
    broker.link.handle_timeout(due);
    assert_eq!(broker.events(), [Event::Lost { reason: "it sends no heart-beats".to_owned() }]);
}

#[test]
fn a_goodbye_waits_for_the_broker() {
    let mut broker = Broker::open(Version::V1_2);
    broker.link.handle_order(broker.now, Order::Goodbye(None));
    let goodbye = broker.heard();
    assert_eq!(goodbye.command, Command::Disconnect);
    assert!(!broker.link.is_over());

    broker.says(&format!("RECEIPT\nreceipt-id:{}\n\n\0", goodbye.header("receipt").unwrap()));
    assert!(broker.link.is_over());
}

#[test]
fn what_waits_for_confirmation_is_bounded() {
    let mut broker = Broker::open(Version::V1_2);
    for _ in 0..MOST_OWED {
        assert!(broker.link.takes_orders());
        broker.order("SEND\ndestination:/topic/a\nreceipt:r\n\n\0");
        broker.link.take_output(broker.now);
    }
    assert!(!broker.link.takes_orders());
}

/// The broker's end, and the link that talks to it.
struct Broker {
    link: Link,
    now: Instant,
    decoder: Decoder,
}

impl Broker {
    fn new(version: Version) -> Broker {
        let url = Arc::new("stomp://madang:secret@host".parse().unwrap());
        Broker {
            link: Link::new(url, version, 10_000),
            now: Instant::now(),
            decoder: Decoder::new(Limits::default()),
        }
    }

    fn open(version: Version) -> Broker {
        let mut broker = Broker::new(version);
        broker.reopen("RabbitMQ/3.10.8");
        assert_eq!(broker.events(), [Event::Connected]);
        broker
    }

    fn reopen(&mut self, server: &str) {
        self.decoder = Decoder::new(Limits::default());
        self.link.handle_opened(self.now);
        assert_eq!(self.heard().command, Command::Connect);
        let connected =
            format!("CONNECTED\nversion:1.2\nserver:{server}\nheart-beat:10000,10000\n\n\0");
        self.says(&connected);
    }

    fn lose(&mut self) {
        self.link.handle_lost("gone");
    }

    fn says(&mut self, bytes: &str) {
        self.link.handle_bytes(self.now, bytes.as_bytes());
    }

    fn order(&mut self, frame: &str) {
        let mut decoder = Decoder::new(Limits::default());
        decoder.push(frame.as_bytes()).unwrap();
        let Some(Decoded::Frame(frame)) = decoder.next_frame().unwrap() else {
            panic!("{frame}");
        };
        self.link.handle_order(self.now, Order::Frame(frame));
    }

    fn heard(&mut self) -> Frame {
        self.try_heard().expect("a frame")
    }

    fn try_heard(&mut self) -> Option<Frame> {
        let output = self.link.take_output(self.now);
        self.decoder.push(&output).unwrap();
        match self.decoder.next_frame().unwrap()? {
            Decoded::Frame(frame) => Some(frame),
            Decoded::HeartBeat => None,
        }
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.poll_event()).collect()
    }

    fn frame(&mut self) -> Frame {
        let events = self.events();
        let frame = events.into_iter().find_map(|event| match event {
            Event::Frame(frame) => Some(frame),
            _ => None,
        });
        frame.expect("a frame for the client")
    }
}

fn receipt(id: &str) -> Event {
    Event::Frame(Frame::new(Command::Receipt).with_header(header::RECEIPT_ID, id))
}
