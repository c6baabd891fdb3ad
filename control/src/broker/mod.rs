//! The in-process broker: delivers published messages to subscribers.
//!
//! The broker is a table behind a lock: destination → subscribers. Publishing takes a read lock, encodes nothing, and
//! puts one shared message into the outbox of each subscriber. It never waits for a subscriber, so that a slow consumer
//! causes no head-of-line blocking for the others.
//!
//! Messages of one publisher reach every subscriber in the order in which they were published. A message to a topic or
//! queue without subscribers is dropped. A message of a queue that a subscriber gave back (by NACK, or by leaving
//! without an ACK) is not dropped: it goes to another subscriber or else back to the same one, or waits for the next
//! subscriber.

mod message;
mod outbox;
mod parcel;
mod patterns;
mod receipt;
mod signals;
mod slow;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use madang_wire::{Pattern, RoomName};

pub(crate) use message::{Kind, Message, SessionId, SubscriptionId};
pub(crate) use outbox::{Discarded, Limit, Outbox};
pub(crate) use parcel::{Delivery, Parcel};
pub(crate) use receipt::Receipt;
pub(crate) use signals::{Requester, Signals};

use self::patterns::{Patterns, Subscribers};
use crate::auth::Grant;

/// The table of subscriptions. Clones are the same table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broker(Arc<RwLock<Table>>);

/// Bounded by the limits on sessions and on subscriptions per session (`Limits`).
#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<SessionId, Attached>,
    /// Subscribers of a pattern without stars, by destination.
    literal: HashMap<String, Subscribers>,
    /// Subscribers of a pattern with stars.
    patterns: Patterns,
    /// Sessions by user name.
    users: HashMap<String, Vec<SessionId>>,
    /// The round-robin position of queues. One number for all queues, because clients choose the names of queues, and
    /// their number has no bound.
    turn: AtomicUsize,
    /// Messages of queues that were given back when there was no subscriber, oldest first.
    returned: Returned,
}

/// Messages that wait for a subscriber. Bounded in messages and bytes for all queues together; when full, the oldest
/// are dropped.
#[derive(Debug, Default)]
struct Returned {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
}

/// The maximum number of messages that wait for the next subscriber of their queues.
const MOST_RETURNED: usize = 10_000;
/// The maximum memory that they take, in bytes.
const MOST_RETURNED_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
struct Attached {
    grant: Arc<Grant>,
    outbox: Outbox,
    subscriptions: HashMap<SubscriptionId, Pattern>,
}

impl Broker {
    /// Registers a session, under the name of its user.
    pub(crate) fn attach(&self, session: SessionId, grant: &Arc<Grant>, outbox: &Outbox) {
        let mut table = self.write();
        table.users.entry(grant.user.clone()).or_default().push(session);
        let (grant, outbox) = (Arc::clone(grant), outbox.clone());
        table.sessions.insert(session, Attached { grant, outbox, subscriptions: HashMap::new() });
    }

    /// Removes a session and its subscriptions; returns the number of subscriptions.
    pub(crate) fn detach(&self, session: SessionId) -> usize {
        let mut table = self.write();
        let Some(attached) = table.sessions.remove(&session) else {
            return 0;
        };
        if let Some(sessions) = table.users.get_mut(&attached.grant.user) {
            sessions.retain(|id| *id != session);
            if sessions.is_empty() {
                table.users.remove(&attached.grant.user);
            }
        }
        for (subscription, pattern) in &attached.subscriptions {
            table.remove(pattern, (session, *subscription));
        }
        attached.subscriptions.len()
    }

    /// Adds a subscription of an attached session, which gets the returned messages that wait and match.
    pub(crate) fn subscribe(&self, session: SessionId, id: SubscriptionId, pattern: Pattern) {
        let mut table = self.write();
        let returned = table.returned.take(&pattern);
        table.add(session, id, pattern);
        if let Some(attached) = table.sessions.get(&session) {
            for message in returned {
                attached.outbox.push(Parcel::Subscribed(id, message));
            }
        }
    }

    /// Removes a subscription.
    pub(crate) fn unsubscribe(&self, session: SessionId, id: SubscriptionId) {
        let mut table = self.write();
        let Some(attached) = table.sessions.get_mut(&session) else {
            return;
        };
        let Some(pattern) = attached.subscriptions.remove(&id) else {
            return;
        };
        table.remove(&pattern, (session, id));
    }

    /// Gives a message to every subscriber of its destination.
    pub(crate) fn publish(&self, message: &Arc<Message>) {
        self.read().give(message, |_| true);
    }

    /// Gives a message about a room to the subscribers of its destination whose grant opens that room and whose session
    /// `may_hear` it.
    pub(crate) fn publish_of_room(
        &self,
        room: &RoomName,
        message: &Arc<Message>,
        may_hear: impl Fn(SessionId) -> bool,
    ) {
        let table = self.read();
        let opens = |session| table.sessions.get(&session).is_some_and(|it| it.grant.opens(room));
        table.give(message, |session| may_hear(session) && opens(session));
    }

    /// Gives a message to one subscriber of its destination, round-robin. Without a subscriber, drops it.
    pub(crate) fn enqueue(&self, message: &Arc<Message>) {
        self.read().hand_to_one(message, |_| true);
    }

    /// Gives a returned message to one subscriber, preferring one in another session than the one that gave it back.
    /// Without a subscriber, the message waits for the next one.
    pub(crate) fn give_back(&self, message: &Arc<Message>, from: SessionId) {
        let mut table = self.write();
        let placed = table.hand_to_one(message, |session| session != from)
            || table.hand_to_one(message, |_| true);
        if !placed {
            table.returned.keep(Arc::clone(message));
        }
    }

    /// Gives a message to the subscriptions of a session below `/user`.
    pub(crate) fn tell(&self, session: SessionId, message: Arc<Message>) {
        if let Some(attached) = self.read().sessions.get(&session) {
            attached.outbox.push(Parcel::Private(message));
        }
    }

    /// Gives a message to the subscriptions below `/user` of all sessions of a user.
    pub(crate) fn tell_user(&self, user: &str, message: &Arc<Message>) {
        let table = self.read();
        for session in table.users.get(user).into_iter().flatten() {
            if let Some(attached) = table.sessions.get(session) {
                attached.outbox.push(Parcel::Private(Arc::clone(message)));
            }
        }
    }

    /// Ends all sessions that use the token with this `jti`.
    pub(crate) fn revoke(&self, token_id: &str) {
        let table = self.read();
        let using = |attached: &&Attached| attached.grant.token_id.as_deref() == Some(token_id);
        table.sessions.values().filter(using).for_each(|attached| attached.outbox.revoke());
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Gives a message to the subscribers of its destination in sessions that `may_have` it.
    fn give(&self, message: &Arc<Message>, may_have: impl Fn(SessionId) -> bool) {
        self.each_subscribers(&message.destination, |them| {
            for ((session, subscription), outbox) in them {
                if may_have(*session) {
                    outbox.push(Parcel::Subscribed(*subscription, Arc::clone(message)));
                }
            }
        });
    }

    /// Gives a message to one subscriber in a session that `may_have` it, round-robin. Returns whether one accepted it.
    fn hand_to_one(&self, message: &Arc<Message>, may_have: impl Fn(SessionId) -> bool) -> bool {
        let mut candidates = Vec::new();
        self.each_subscribers(&message.destination, |them| {
            candidates.extend(them.iter().filter(|((session, _), _)| may_have(*session)));
        });
        if candidates.is_empty() {
            return false;
        }
        let turn = self.turn.fetch_add(1, Relaxed) % candidates.len();
        // A subscriber whose session is just ending accepts nothing; then the next one gets the message.
        candidates.iter().cycle().skip(turn).take(candidates.len()).any(
            |((_, subscription), outbox)| {
                outbox.push(Parcel::Subscribed(*subscription, Arc::clone(message)))
            },
        )
    }

    fn add(&mut self, session: SessionId, id: SubscriptionId, pattern: Pattern) {
        let Some(attached) = self.sessions.get_mut(&session) else {
            return;
        };
        let outbox = attached.outbox.clone();
        attached.subscriptions.insert(id, pattern.clone());
        let text = pattern.as_str().to_owned();
        let subscribers = if pattern.is_literal() {
            self.literal.entry(text).or_default()
        } else {
            self.patterns.entry(&text)
        };
        subscribers.insert((session, id), outbox);
    }

    fn remove(&mut self, pattern: &Pattern, key: (SessionId, SubscriptionId)) {
        let text = pattern.as_str();
        if let Some(subscribers) = self.literal.get_mut(text) {
            subscribers.remove(&key);
            if subscribers.is_empty() {
                self.literal.remove(text);
            }
        }
        if !pattern.is_literal() {
            self.patterns.remove(text, &key);
        }
    }

    /// Calls `each` with the subscribers of the destination, and with those of every pattern that matches it.
    fn each_subscribers<'a>(&'a self, destination: &str, mut each: impl FnMut(&'a Subscribers)) {
        if let Some(them) = self.literal.get(destination) {
            each(them);
        }
        self.patterns.find(destination, &mut each);
    }
}

impl Returned {
    fn keep(&mut self, message: Arc<Message>) {
        self.bytes += message.weight();
        self.messages.push_back(message);
        while self.messages.len() > MOST_RETURNED || self.bytes > MOST_RETURNED_BYTES {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.bytes -= oldest.weight();
        }
    }

    /// Removes and returns the messages for a new subscription, in order.
    fn take(&mut self, pattern: &Pattern) -> VecDeque<Arc<Message>> {
        let (taken, kept) = std::mem::take(&mut self.messages)
            .into_iter()
            .partition(|message| pattern.matches(&message.destination));
        self.messages = kept;
        self.bytes = self.messages.iter().map(|message| message.weight()).sum();
        taken
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use madang_wire::Headers;

    use super::*;
    use crate::auth::Scope;

    #[test]
    fn a_topic_reaches_every_subscriber_once_per_subscription() {
        let broker = Broker::default();
        let (a, b) = (client(&broker, 1), client(&broker, 2));
        subscribe(&broker, 1, 1, "/topic/a");
        subscribe(&broker, 2, 1, "/topic/a");
        subscribe(&broker, 2, 2, "/topic/*");
        subscribe(&broker, 2, 3, "/topic/b");

        broker.publish(&message("/topic/a"));

        assert_eq!(received(&a), [1]);
        assert_eq!(received(&b), [1, 2]);
    }

    #[test]
    fn a_queue_serves_its_subscribers_by_turns() {
        let broker = Broker::default();
        let (a, b) = (client(&broker, 1), client(&broker, 2));
        subscribe(&broker, 1, 1, "/queue/a");
        subscribe(&broker, 2, 1, "/queue/**");

        for _ in 0..10 {
            broker.enqueue(&message("/queue/a"));
        }

        assert_eq!(received(&a).len(), 5);
        assert_eq!(received(&b).len(), 5);
    }

    #[test]
    fn a_message_that_was_given_back_goes_to_another() {
        let broker = Broker::default();
        let (a, b) = (client(&broker, 1), client(&broker, 2));
        subscribe(&broker, 1, 1, "/queue/a");
        subscribe(&broker, 2, 1, "/queue/a");

        for _ in 0..10 {
            broker.give_back(&message("/queue/a"), SessionId(1));
        }

        assert_eq!(received(&a).len(), 0);
        assert_eq!(received(&b).len(), 10);
    }

    #[test]
    fn a_message_that_was_given_back_returns_when_there_is_no_other() {
        let broker = Broker::default();
        let a = client(&broker, 1);
        subscribe(&broker, 1, 1, "/queue/a");

        broker.give_back(&message("/queue/a"), SessionId(1));

        assert_eq!(received(&a), [1]);
    }

    #[test]
    fn what_nobody_could_take_waits_for_the_next_subscriber() {
        let broker = Broker::default();
        let a = client(&broker, 2);
        for body in ["1", "2"] {
            let message = Message::new("/queue/a", Headers::new(), Bytes::from(body));
            broker.give_back(&Arc::new(message), SessionId(1));
        }
        broker.enqueue(&message("/queue/a"));

        subscribe(&broker, 2, 1, "/queue/b");
        assert_eq!(received(&a).len(), 0);
        subscribe(&broker, 2, 2, "/queue/*");
        subscribe(&broker, 2, 3, "/queue/a");

        let bodies: Vec<_> = std::iter::from_fn(|| a.pop())
            .map(|parcel| match parcel {
                Parcel::Subscribed(SubscriptionId(2), message) => message.body.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(bodies, ["1", "2"]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut returned = Returned::default();
        for _ in 0..MOST_RETURNED + 10 {
            returned.keep(message("/queue/a"));
        }
        assert_eq!(returned.messages.len(), MOST_RETURNED);
        let short = message("/queue/a").weight();
        let body = Bytes::from(vec![0; MOST_RETURNED_BYTES - 1 - short]);
        let long = Arc::new(Message::new("/queue/a", Headers::new(), body));
        returned.keep(Arc::clone(&long));
        assert_eq!(returned.messages.len(), 1);
        assert_eq!(returned.bytes, long.weight());
    }

    #[test]
    fn who_unsubscribed_or_went_gets_nothing_and_leaves_nothing() {
        let broker = Broker::default();
        let (a, b) = (client(&broker, 1), client(&broker, 2));
        subscribe(&broker, 1, 1, "/topic/a");
        subscribe(&broker, 2, 1, "/topic/a");
        subscribe(&broker, 2, 2, "/topic/**");

        broker.unsubscribe(SessionId(1), SubscriptionId(1));
        assert_eq!(broker.detach(SessionId(2)), 2);
        broker.publish(&message("/topic/a"));

        assert_eq!((received(&a), received(&b)), (vec![], vec![]));
        let table = broker.read();
        assert!(table.literal.is_empty() && table.patterns.is_empty());
    }

    #[test]
    fn what_a_room_says_is_for_sessions_that_may_hear_it_and_whose_grant_opens_it() {
        let broker = Broker::default();
        let room = RoomName::parse("마당").unwrap();
        let (a, b) = (client(&broker, 1), client(&broker, 2));
        let elsewhere = Outbox::for_test(100, 100_000);
        let scope = Scope::One(RoomName::parse("others").unwrap());
        let grant = Grant { scope, ..Grant::guest("user-3".to_owned()) };
        broker.attach(SessionId(3), &Arc::new(grant), &elsewhere);
        for session in 1..=3 {
            subscribe(&broker, session, 1, "/topic/**");
        }

        broker.publish_of_room(&room, &message("/topic/a"), |session| session != SessionId(1));

        assert_eq!((received(&a), received(&b), received(&elsewhere)), (vec![], vec![1], vec![]));
    }

    #[test]
    fn a_user_is_reached_at_each_session() {
        let broker = Broker::default();
        let (a, b) = (client(&broker, 1), client(&broker, 2));

        broker.tell_user("user-1", &message("/user/queue/a"));
        broker.tell(SessionId(2), message("/user/queue/a"));
        broker.tell_user("nobody", &message("/user/queue/a"));

        assert!(a.pop().is_some() && a.pop().is_none());
        assert!(b.pop().is_some() && b.pop().is_none());
    }

    fn client(broker: &Broker, id: u64) -> Outbox {
        let outbox = Outbox::for_test(100, 100_000);
        let grant = Arc::new(Grant::guest(format!("user-{id}")));
        broker.attach(SessionId(id), &grant, &outbox);
        outbox
    }

    fn subscribe(broker: &Broker, session: u64, id: u64, pattern: &str) {
        let pattern = Pattern::parse(pattern).unwrap();
        broker.subscribe(SessionId(session), SubscriptionId(id), pattern);
    }

    fn message(destination: &str) -> Arc<Message> {
        Arc::new(Message::json(destination, Bytes::from_static(b"{}")))
    }

    fn received(outbox: &Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.pop())
            .map(|parcel| match parcel {
                Parcel::Subscribed(SubscriptionId(id), _) => id,
                other => panic!("{other:?}"),
            })
            .collect()
    }
}
