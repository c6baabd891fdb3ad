//! One peer's picture of the room, from the server's messages.

use std::collections::{BTreeMap, BTreeSet};

use madang_wire::{ChatMessage, Event, Participant, Signal, Slot};

use crate::stamp::{Kind, SenderId};

/// The maximum number of chat messages, and of events, to keep; later ones are dropped.
const MAX_KEPT: usize = 100_000;

/// A peer's picture of its room, as the server describes it.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The participants in the room by id, this peer included.
    pub participants: BTreeMap<String, Participant>,
    /// The content of the receiving slots, by mid.
    pub slots: BTreeMap<String, Slot>,
    /// Chat messages in order of arrival.
    pub chat: Vec<ChatMessage>,
    /// Events in order of arrival.
    pub events: Vec<Event>,
    /// Replies by `correlation-id`.
    pub replies: BTreeMap<String, Signal>,
    /// The `receipt` ids of frames that the server has acknowledged.
    pub receipts: BTreeSet<String>,
    /// Streams that play: audio that is received, and video since a key frame.
    pub media: BTreeSet<(SenderId, Kind)>,
    /// Whether the peer connection is connected.
    pub is_media_connected: bool,
    /// The reason why the session has ended, if it has.
    pub ended: Option<String>,
}

impl Observed {
    /// Applies a message from `/user/queue/signal`.
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
            | Signal::IceServers { .. }
            | Signal::CodecMismatch { .. }
            | Signal::BitrateExceeded { .. }
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

    /// Applies an event of the room.
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

    /// Adds a chat message of the room.
    pub fn handle_chat(&mut self, message: ChatMessage) {
        if self.chat.len() < MAX_KEPT {
            self.chat.push(message);
        }
    }

    /// Whether a message with this text has arrived.
    pub fn has_read(&self, text: &str) -> bool {
        self.chat.iter().any(|message| message.text == text)
    }

    /// Whether audio and video of all these senders play.
    pub fn receives(&self, senders: &[SenderId]) -> bool {
        let has_both =
            |sender: &SenderId| Kind::ALL.iter().all(|kind| self.media.contains(&(*sender, *kind)));
        senders.iter().all(has_both)
    }
}
