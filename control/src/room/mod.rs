//! Rooms: who is in one, what they publish, what each of them is shown.
//!
//! `Room` is pure: requests, engine events and time go in, `Effect`s come out. `task` owns one, feeds it from a
//! bounded mailbox and carries the effects out. How a request goes:
//!
//! ```text
//! mailbox ─▶ handle_request ─▶ effects ─┬─▶ sfu: offer ─▶ handle_answer ─▶ effects …
//!                                       ├─▶ store ─▶ handle_stored
//!                                       └─▶ broker: signals, events
//! ```
//!
//! A room does not know STOMP, sockets or clocks, and never waits.

mod effect;
mod inbox;
mod joining;
mod member;
mod requests;
mod showing;
mod slots;
pub(crate) mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use jiff::Timestamp;
use madang_sfu::Event as EngineEvent;
use madang_sfu::PeerId;
use madang_wire::{
    ChatMessage, ErrorCode, Event, LeaveReason, Request, RoomName, RoomSummary, Signal, SourceKind,
};
use rand::rngs::StdRng;

pub(crate) use effect::{Asked, Effect, Moment, Requester, RoomConfig};
pub(crate) use inbox::Inbox;

use self::joining::Pending;
use self::member::{Member, Presence};
use crate::broker::SessionId;

/// One room.
pub(crate) struct Room {
    config: RoomConfig,
    created_at: Timestamp,
    /// In join order; bounded by `Limits::participants_per_room`.
    members: Vec<Member>,
    /// Offers that the engine has not answered yet, at most one per member or joiner.
    pending: HashMap<PeerId, Pending>,
    /// The peers of this room are numbered; see [`peer_of`].
    last_peer: u32,
    /// `seq` of the last chat message.
    chat_seq: u64,
    /// Rises with every speaker.
    last_spoke: u64,
    /// Makes ids and tokens.
    random: StdRng,
    effects: VecDeque<Effect>,
}

/// Why a request was refused: what the client is told.
#[derive(Debug)]
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Room {
    /// An empty room whose last chat message was number `chat_seq`.
    pub(crate) fn new(config: RoomConfig, chat_seq: u64, now: Moment, random: StdRng) -> Room {
        Room {
            config,
            created_at: now.utc,
            members: Vec::new(),
            pending: HashMap::new(),
            last_peer: 0,
            chat_seq,
            last_spoke: 0,
            random,
            effects: VecDeque::new(),
        }
    }

    /// Takes a request.
    pub(crate) fn handle_request(&mut self, now: Moment, asked: Asked) {
        let Asked { from, grant, resume, message_id, request } = asked;
        let handled = match (request, resume) {
            (Request::Join(join), Some(token)) => self.handle_resume(now, &from, &token, join),
            (Request::Join(join), None) => self.handle_join(now, &from, &grant, join),
            (request, _) => self.handle_members_request(now, &from, message_id, request),
        };
        if let Err(Refusal { code, message }) = handled {
            self.effects
                .push_back(Effect::Signal { to: from, signal: Signal::Error { code, message } });
        }
        self.tell_news();
    }

    /// Takes what the media engine says by itself.
    pub(crate) fn handle_engine(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::Connected { .. } => {}
            EngineEvent::Disconnected { peer, .. } => self.handle_disconnected(peer),
            EngineEvent::AudioSlot { peer, slot, source } => {
                self.handle_audio_slot(peer, &slot, source.as_ref());
            }
            EngineEvent::Speakers { levels, .. } => self.handle_speakers(&levels),
        }
        self.tell_news();
    }

    /// A session is over. After a goodbye its participant leaves; otherwise they may come back for a while.
    pub(crate) fn handle_gone(&mut self, now: Moment, session: SessionId, said_goodbye: bool) {
        self.pending.retain(|_, pending| pending.survives(session));
        let Some(index) = self.index_of_session(session) else {
            return;
        };
        if said_goodbye {
            self.remove_member(index, LeaveReason::Left);
        } else {
            let until = now.instant + self.config.resume_grace;
            self.members[index].presence = Presence::Away { until };
        }
        self.tell_news();
    }

    /// A message is stored under this number.
    pub(crate) fn handle_stored(&mut self, message: &ChatMessage) {
        self.chat_seq = message.seq.max(self.chat_seq);
    }

    /// Lets those go who did not come back in time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let is_late =
            |member: &Member| matches!(member.presence, Presence::Away { until } if until <= now);
        while let Some(index) = self.members.iter().position(is_late) {
            self.remove_member(index, LeaveReason::ConnectionLost);
        }
        self.tell_news();
    }

    /// When to call `handle_timeout`.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let away = self.members.iter().filter_map(|member| match member.presence {
            Presence::Here(_) => None,
            Presence::Away { until } => Some(until),
        });
        away.min()
    }

    /// The next effect.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether nobody is here or on the way in.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// The participant of a session.
    pub(crate) fn participant_of(&self, session: SessionId) -> Option<&str> {
        self.index_of_session(session).map(|index| self.members[index].public.id.as_str())
    }

    /// Whether a session belongs to the author or the addressee of a private message; of a public one, always.
    pub(crate) fn may_read(&self, session: SessionId, message: &ChatMessage) -> bool {
        let Some(to) = message.to.as_deref() else {
            return true;
        };
        self.participant_of(session).is_some_and(|id| id == to || id == message.from.id)
    }

    /// The room as the list of rooms shows it.
    pub(crate) fn summary(&self) -> RoomSummary {
        RoomSummary {
            name: self.config.name.clone(),
            participants: u32::try_from(self.members.len()).unwrap_or(u32::MAX),
            created_at: self.created_at,
            locked: false,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &RoomName {
        &self.config.name
    }

    fn remove_member(&mut self, index: usize, reason: LeaveReason) {
        let mut member = self.members.remove(index);
        self.pending.retain(|_, pending| pending.participant() != Some(member.public.id.as_str()));
        if let Some(media) = member.media.take() {
            self.effects.push_back(Effect::RemovePeer { peer: media.peer });
        }
        let participant = member.public;
        self.publish(Event::ParticipantLeft { participant, reason });
        self.count();
        self.show();
    }

    fn count(&mut self) {
        self.effects.push_back(Effect::Count(self.summary().participants));
    }

    /// Brings a member's `sources` up to date and tells everybody what is more or less.
    fn update_sources(&mut self, index: usize) {
        let member = &mut self.members[index];
        let (before, after) = (std::mem::take(&mut member.public.sources), member.sources());
        member.public.sources.clone_from(&after);
        let participant = member.public.id.clone();
        let added = |kind: &&SourceKind| !before.contains(kind);
        let removed = |kind: &&SourceKind| !after.contains(kind);
        for source in before.iter().filter(removed).copied() {
            self.publish(Event::SourceRemoved { participant: participant.clone(), source });
        }
        for source in after.iter().filter(added).copied() {
            self.publish(Event::SourceAdded { participant: participant.clone(), source });
        }
    }

    fn publish(&mut self, event: Event) {
        self.effects.push_back(Effect::Publish(event));
    }

    fn reply(&mut self, to: &Requester, signal: Signal) {
        self.effects.push_back(Effect::Signal { to: to.clone(), signal });
    }

    fn index_of_session(&self, session: SessionId) -> Option<usize> {
        self.members.iter().position(|member| member.presence == Presence::Here(session))
    }

    fn index_of_participant(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.public.id == id)
    }

    fn index_of_peer(&self, peer: PeerId) -> Option<usize> {
        let is_it = |member: &Member| member.media.as_ref().is_some_and(|media| media.peer == peer);
        self.members.iter().position(is_it)
    }
}

/// The number of a room's nth peer: the room's own number above, so that an event of the engine finds its room
/// without a table.
fn peer_of(room: madang_sfu::RoomId, n: u32) -> PeerId {
    PeerId(room.0 << 32 | u64::from(n))
}

/// The room of a peer.
pub(crate) fn room_of(peer: PeerId) -> madang_sfu::RoomId {
    madang_sfu::RoomId(peer.0 >> 32)
}

fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}
