//! Events of the media engine on their way to a room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use madang_sfu::Event;
use tokio::sync::Notify;

/// Events of the engine for one room.
///
/// Adding an event never waits, so a busy room cannot hold up the engine. The inbox stays bounded because an event
/// replaces those that it makes obsolete: there is one list of speakers, one state per audio slot and per published
/// m-line, and one disconnection per peer.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    events: Mutex<VecDeque<Event>>,
    arrived: Notify,
}

impl Inbox {
    /// Adds an event and removes those that it makes obsolete.
    pub(crate) fn push(&self, event: Event) {
        let mut events = self.lock();
        events.retain(|earlier| !replaces(&event, earlier));
        events.push_back(event);
        drop(events);
        self.arrived.notify_one();
    }

    /// Waits for the next event. Only one task may wait. Cancel safe: no event is lost if the future is dropped.
    pub(crate) async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.lock().pop_front() {
                return event;
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replaces(event: &Event, earlier: &Event) -> bool {
    match (event, earlier) {
        (Event::Speakers { .. }, Event::Speakers { .. }) => true,
        (Event::AudioSlot { peer, slot, .. }, Event::AudioSlot { peer: p, slot: s, .. }) => {
            (peer, slot) == (p, s)
        }
        (Event::Sending { peer, mid, .. }, Event::Sending { peer: p, mid: m, .. }) => {
            (peer, mid) == (p, m)
        }
        (Event::Excess { peer, mid, .. }, Event::Excess { peer: p, mid: m, .. }) => {
            (peer, mid) == (p, m)
        }
        (
            Event::Disconnected { peer, .. },
            Event::Connected { peer: p }
            | Event::AudioSlot { peer: p, .. }
            | Event::Sending { peer: p, .. }
            | Event::Excess { peer: p, .. },
        ) => peer == p,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use madang_sfu::{Mid, PeerId, RoomId};

    use super::*;

    #[tokio::test]
    async fn what_is_out_of_date_gives_way() {
        let inbox = Inbox::default();
        let (peer, room) = (PeerId(1), RoomId(1));
        let slot = |n: &str| Event::AudioSlot { peer, slot: Mid::new(n), source: None };
        let speakers = |level| Event::Speakers { room, levels: vec![(peer, level)] };

        for event in [speakers(1), slot("a"), slot("b"), speakers(2), slot("a")] {
            inbox.push(event);
        }

        assert_eq!(inbox.next().await, slot("b"));
        assert_eq!(inbox.next().await, speakers(2));
        assert_eq!(inbox.next().await, slot("a"));
    }

    #[tokio::test]
    async fn a_peers_end_makes_its_slots_obsolete() {
        let inbox = Inbox::default();
        let peer = PeerId(1);
        let end = Event::Disconnected { peer, reason: "gone" };

        inbox.push(Event::Connected { peer });
        inbox.push(Event::AudioSlot { peer, slot: Mid::new("a"), source: None });
        inbox.push(end.clone());

        assert_eq!(inbox.next().await, end);
    }
}
