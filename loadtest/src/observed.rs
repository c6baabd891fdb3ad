//! What one peer was told: its picture of the room.

use std::collections::{BTreeMap, BTreeSet};

use madang_wire::{ChatMessage, Event, Participant, Signal, Slot};

use crate::stamp::{Kind, SenderId};

/// Chat messages and events that are kept; when full, later ones are not.
const MAX_KEPT: usize = 100_000;

/// A peer's picture of its room, from what the server sends.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Who is in the room, oneself included, by id.
    pub participants: BTreeMap<String, Participant>,
    /// What the receiving slots carry, by mid.
    pub slots: BTreeMap<String, Slot>,
    /// Chat messages in the order in which they came.
    pub chat: Vec<ChatMessage>,
    /// Events in the order in which they came.
    pub events: Vec<Event>,
    /// Replies by `correlation-id`.
    pub replies: BTreeMap<String, Signal>,
    /// The `receipt` ids of frames that the server has processed.
    pub receipts: BTreeSet<String>,
    /// Streams that are heard, or seen (a key frame came).
    pub media: BTreeSet<(SenderId, Kind)>,
    /// The peer connection is up.
    pub is_media_connected: bool,
    /// Why there is nothing more to come.
    pub ended: Option<String>,
}

impl Observed {
    /// Takes a message from `/user/queue/signal`.
    pub fn handle_signal(&mut self, signal: Signal, correlation: Option<&str>) {
        match &signal {
            Signal::Joined(joined) => {
                let by_id = joined.participants.iter().map(|p| (p.id.clone(), p.clone()));
                self.participants.extend(by_id);
                self.take_slots(joined.slots.as_deref().unwrap_or_default());
            }
            Signal::Slots { slots } => self.take_slots(slots),
            Signal::Kicked { reason } => self.ended = Some(format!("kicked: {reason}")),
            Signal::Moved { url } => self.ended = Some(format!("the room moved to {url}")),
            Signal::Answer { .. }
            | Signal::Done {}
            | Signal::Left {}
            | Signal::Waiting { .. }
            | Signal::Error { .. } => {}
        }
        if let Some(correlation) = correlation {
            self.replies.insert(correlation.to_owned(), signal);
        }
    }

    fn take_slots(&mut self, slots: &[Slot]) {
        self.slots = slots.iter().map(|slot| (slot.mid.clone(), slot.clone())).collect();
    }

    /// Takes an event of the room.
    pub fn handle_event(&mut self, event: Event) {
        match &event {
            Event::ParticipantJoined { participant }
            | Event::ParticipantChanged { participant } => {
                self.participants.insert(participant.id.clone(), participant.clone());
            }
            Event::ParticipantLeft { participant, .. } => {
                self.participants.remove(&participant.id);
            }
            Event::SourceAdded { participant, source } => {
                if let Some(participant) = self.participants.get_mut(participant)
                    && !participant.sources.contains(source)
                {
                    participant.sources.push(*source);
                }
            }
            Event::SourceRemoved { participant, source } => {
                if let Some(participant) = self.participants.get_mut(participant) {
                    participant.sources.retain(|s| s != source);
                }
            }
            Event::RoomEnded { reason } => self.ended = Some(format!("the room ended: {reason}")),
            Event::Speakers { .. }
            | Event::Reaction { .. }
            | Event::RoomChanged { .. }
            | Event::MessageDeleted { .. }
            | Event::Recording { .. } => {}
        }
        if self.events.len() < MAX_KEPT {
            self.events.push(event);
        }
    }

    /// Takes a chat message of the room.
    pub fn handle_chat(&mut self, message: ChatMessage) {
        if self.chat.len() < MAX_KEPT {
            self.chat.push(message);
        }
    }

    /// Whether a message with this text came.
    pub fn has_read(&self, text: &str) -> bool {
        self.chat.iter().any(|message| message.text == text)
    }

    /// Whether all these streams are heard and seen.
    pub fn receives(&self, senders: &[SenderId]) -> bool {
        let has_both =
            |sender: &SenderId| Kind::ALL.iter().all(|kind| self.media.contains(&(*sender, *kind)));
        senders.iter().all(has_both)
    }
}
