//! A SockJS session over HTTP requests, without I/O.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::frame::{self, Close};
use crate::memory::{self, Held};

/// How long a session lives without a receiving connection, and how long its close frame can be fetched.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// A receiving connection gets a heart-beat after this time of silence: many proxies close silent connections.
pub(super) const HEART_BEAT: Duration = Duration::from_secs(25);

/// Back-pressure: while this many messages or bytes wait for the client, the STOMP session keeps the rest within its
/// own limits.
const ENOUGH_MESSAGES: usize = 64;
const ENOUGH_BYTES: usize = 256 * 1024;

/// The memory of a message besides its letters, in bytes.
const STRING: usize = size_of::<String>();

/// A session whose receiving connections come and go.
///
/// The client's side attaches, takes frames with `poll_frame` and detaches. The server's side pushes and takes
/// messages. Call `handle_timeout` at the time that `poll_timeout` returns; remove the session when `is_gone`.
#[derive(Debug)]
pub(super) struct Session {
    state: State,
    receiver: Receiver,
    /// Whether the open frame was sent.
    is_greeted: bool,
    owes_heart_beat: bool,
    /// Messages for the client; bounded by [`Session::has_room`].
    outgoing: VecDeque<String>,
    outgoing_held: Held,
    /// Messages from the client's last request. The next request is accepted once they are taken.
    incoming: VecDeque<String>,
    incoming_held: Held,
}

#[derive(Debug)]
enum State {
    Open,
    Closed(Close),
    /// The session can be removed.
    Gone,
}

#[derive(Debug)]
enum Receiver {
    Absent { since: Instant },
    Attached { heard: Instant },
}

impl Session {
    pub(super) fn new(now: Instant) -> Session {
        Session {
            state: State::Open,
            receiver: Receiver::Absent { since: now },
            is_greeted: false,
            owes_heart_beat: false,
            outgoing: VecDeque::new(),
            outgoing_held: Held::default(),
            incoming: VecDeque::new(),
            incoming_held: Held::default(),
        }
    }

    /// Attaches a receiving connection. Returns false if there is one already.
    pub(super) fn handle_attach(&mut self, now: Instant) -> bool {
        let is_free = matches!(self.receiver, Receiver::Absent { .. });
        if is_free {
            self.receiver = Receiver::Attached { heard: now };
        }
        is_free
    }

    /// Detaches the receiving connection, whose response is complete.
    pub(super) fn handle_detach(&mut self, now: Instant) {
        self.receiver = Receiver::Absent { since: now };
        self.owes_heart_beat = false;
    }

    /// Ends the session after its receiving connection broke: the last frames written to it may be lost.
    pub(super) fn handle_interrupted(&mut self, now: Instant) {
        self.handle_detach(now);
        if matches!(self.state, State::Open) {
            self.clear();
            self.state = State::Closed(Close::INTERRUPTED);
        }
    }

    /// Accepts messages from the client. Returns false while earlier ones wait.
    pub(super) fn handle_messages(&mut self, messages: &mut Vec<String>) -> bool {
        let is_free = self.incoming.is_empty();
        if is_free && matches!(self.state, State::Open) {
            self.incoming_held.set(messages.iter().map(|message| STRING + message.len()).sum());
            self.incoming.extend(messages.drain(..));
        }
        is_free
    }

    /// Queues a message for the client. Ends the session if it then holds more than it may at present.
    pub(super) fn push(&mut self, message: String) {
        if !matches!(self.state, State::Open) {
            return;
        }
        self.outgoing_held.set(self.outgoing_held.bytes() + STRING + message.len());
        if self.outgoing_held.is_too_much() {
            self.clear();
            return self.close(Close::SHORT_OF_MEMORY);
        }
        self.outgoing.push_back(message);
    }

    /// Ends the session by the server. The client gets the queued messages, then the reason.
    pub(super) fn close(&mut self, close: Close) {
        if matches!(self.state, State::Open) {
            self.state = State::Closed(close);
            self.incoming.clear();
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.receiver {
            Receiver::Absent { since } if since + TIMEOUT <= now => self.forget(),
            // A client that has not taken the last heart-beat or the close frame does not read.
            Receiver::Attached { heard } if heard + HEART_BEAT <= now && self.is_unheard() => {
                self.forget();
            }
            Receiver::Attached { heard } if heard + HEART_BEAT <= now => {
                self.owes_heart_beat = true;
                self.receiver = Receiver::Attached { heard: now };
            }
            _ => {}
        }
    }

    /// Drops all messages and marks the session for removal.
    pub(super) fn forget(&mut self) {
        self.clear();
        self.state = State::Gone;
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        match self.receiver {
            Receiver::Absent { since } => since + TIMEOUT,
            Receiver::Attached { heard } => heard + HEART_BEAT,
        }
    }

    /// Returns the next frame for the attached connection.
    pub(super) fn poll_frame(&mut self, now: Instant) -> Option<String> {
        let frame = self.next_frame()?;
        self.receiver = Receiver::Attached { heard: now };
        self.owes_heart_beat = false;
        Some(frame)
    }

    fn next_frame(&mut self) -> Option<String> {
        if !self.is_greeted {
            self.is_greeted = true;
            return Some(frame::OPEN.to_owned());
        }
        if !self.outgoing.is_empty() {
            self.outgoing_held.set(0);
            return Some(frame::messages(self.outgoing.drain(..)));
        }
        match &self.state {
            State::Closed(close) => Some(close.to_frame()),
            State::Gone => Some(Close::GO_AWAY.to_frame()),
            State::Open => self.owes_heart_beat.then(|| frame::HEART_BEAT.to_owned()),
        }
    }

    /// Returns the next message from the client.
    pub(super) fn take_message(&mut self) -> Option<String> {
        let message = self.incoming.pop_front()?;
        if self.incoming.is_empty() {
            self.incoming_held.set(0);
        }
        Some(message)
    }

    /// Whether the server may push another message.
    pub(super) fn has_room(&self) -> bool {
        self.outgoing.len() < ENOUGH_MESSAGES
            && self.outgoing_held.bytes() < memory::enough(ENOUGH_BYTES)
    }

    /// Whether the session has ended.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    fn is_unheard(&self) -> bool {
        self.owes_heart_beat || self.is_over()
    }

    fn clear(&mut self) {
        self.outgoing = VecDeque::new();
        self.outgoing_held.set(0);
        self.incoming = VecDeque::new();
        self.incoming_held.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_sends_what_waits_at_once_and_says_why_it_ends() {
        let (mut session, now) = attached();
        session.push("a\"".into());
        session.push("b".into());
        session.close(Close::GO_AWAY);

        assert_eq!(session.poll_frame(now).as_deref(), Some("o"));
        assert_eq!(session.poll_frame(now).as_deref(), Some(r#"a["a\"","b"]"#));
        // Every further request gets the close frame.
        for _ in 0..3 {
            assert_eq!(session.poll_frame(now).as_deref(), Some(r#"c[3000,"Go away!"]"#));
        }
    }

    #[test]
    fn a_second_receiver_is_refused_while_there_is_one() {
        let (mut session, now) = attached();

        assert!(!session.handle_attach(now));
        session.handle_detach(now);
        assert!(session.handle_attach(now));
    }

    #[test]
    fn silence_is_broken_by_heart_beats_alone() {
        let (mut session, now) = attached();
        session.poll_frame(now);

        session.handle_timeout(now + HEART_BEAT - Duration::from_millis(1));
        assert_eq!(session.poll_frame(now), None);
        session.handle_timeout(session.poll_timeout());
        assert_eq!(session.poll_frame(now + HEART_BEAT).as_deref(), Some("h"));
        assert_eq!(session.poll_frame(now + HEART_BEAT), None);
        assert_eq!(session.poll_timeout(), now + 2 * HEART_BEAT);
    }

    #[test]
    fn a_receiver_that_takes_nothing_does_not_keep_it_alive() {
        let (mut session, now) = attached();
        session.poll_frame(now);

        session.handle_timeout(now + HEART_BEAT);
        assert!(!session.is_over());
        session.handle_timeout(now + 2 * HEART_BEAT);
        assert!(session.is_gone());
    }

    #[test]
    fn it_is_gone_five_seconds_after_its_last_receiver() {
        let (mut session, now) = attached();
        session.handle_detach(now + HEART_BEAT);

        session.handle_timeout(now + HEART_BEAT + TIMEOUT - Duration::from_millis(1));
        assert!(!session.is_over());
        session.handle_timeout(session.poll_timeout());
        assert!(session.is_gone());
        assert!(session.is_over());
    }

    #[test]
    fn an_interrupted_receiver_ends_it() {
        let (mut session, now) = attached();
        session.poll_frame(now);
        session.push("lost, perhaps".into());
        session.handle_interrupted(now);

        assert!(session.is_over());
        assert!(session.handle_attach(now));
        let frame = session.poll_frame(now);
        assert_eq!(frame.as_deref(), Some(r#"c[1002,"Connection interrupted"]"#));
    }

    #[test]
    fn an_end_that_was_said_is_not_said_differently_later() {
        let (mut session, now) = attached();
        session.poll_frame(now);
        session.close(Close::GO_AWAY);
        session.handle_interrupted(now);

        assert_eq!(session.poll_frame(now).as_deref(), Some(r#"c[3000,"Go away!"]"#));
    }

    #[test]
    fn the_clients_messages_are_taken_in_order_one_request_after_the_other() {
        let (mut session, _) = attached();

        assert!(session.handle_messages(&mut vec!["a".into(), "b".into()]));
        let mut later = vec!["c".to_owned()];
        assert!(!session.handle_messages(&mut later));
        assert_eq!(session.take_message().as_deref(), Some("a"));
        assert_eq!(session.take_message().as_deref(), Some("b"));
        assert!(session.handle_messages(&mut later));
        assert_eq!(session.take_message().as_deref(), Some("c"));
        assert_eq!(session.take_message(), None);
    }

    #[test]
    fn the_server_waits_while_the_client_does_not_ask() {
        let (mut session, now) = attached();
        session.poll_frame(now);
        let mut pushed = 0;
        while session.has_room() {
            session.push("x".repeat(1000));
            pushed += 1;
        }

        assert_eq!(pushed, ENOUGH_MESSAGES);
        session.poll_frame(now);
        assert!(session.has_room());
        session.push("x".repeat(ENOUGH_BYTES));
        assert!(!session.has_room());
    }

    fn attached() -> (Session, Instant) {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let mut session = Session::new(now);
        assert!(session.handle_attach(now));
        (session, now)
    }
}
