//! One room: who is in it, what they publish, and what each of them is shown.
//!
//! `Room` is pure: requests, engine events and time go in, `Effect`s come out. `task` owns a room, feeds it from a
//! bounded mailbox and carries the effects out. The path of a request:
//!
//! ```text
//! mailbox ─▶ handle_request ─▶ effects ─┬─▶ sfu: offer ─▶ handle_answer ─▶ effects …
//!                                       ├─▶ store ─▶ handle_stored
//!                                       └─▶ broker: signals, events
//! ```
//!
//! A room does not know STOMP, sockets or clocks, and never waits.

mod admin;
mod codecs;
mod config;
mod deleting;
mod door;
mod effect;
mod ice_servers;
mod joining;
mod kept;
mod member;
mod moderation;
mod offers;
mod peer_numbers;
mod pending;
mod publishing;
mod reader;
mod removing;
mod requests;
pub(crate) mod rights;
mod showing;
mod slots;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use madang_sfu::{Event as EngineEvent, PeerId};
use madang_wire::{
    ChatMessage, Event, LeaveReason, Request, RoomName, RoomSummary, Signal, SourceKind,
};
use rand::rngs::StdRng;

pub use admin::{Admin, AdminReply, AdminRequest, Configure, RoomState};
pub(crate) use config::RoomConfig;
pub(crate) use effect::{Asked, Audience, Deleter, Effect};
pub use ice_servers::IceServers;
pub(crate) use kept::{Change, Keeping, Kept};
pub(crate) use peer_numbers::room_of;
pub(crate) use reader::Reader;
pub(crate) use rights::Standing;

use self::door::Door;
use self::member::{Member, Presence, Stopped};
use self::peer_numbers::peer_of;
use self::pending::Pending;
use crate::broker::{Requester, SessionId};
use crate::moment::Moment;
use crate::refusal::Refusal;

/// One room.
pub(crate) struct Room {
    config: RoomConfig,
    kept: Kept,
    /// In join order; bounded by `Limits::participants_per_room`.
    members: Vec<Member>,
    /// Offers that the engine has not answered yet, at most one per member or joiner, by the new peer that they may be
    /// for.
    pending: HashMap<PeerId, Pending>,
    /// The clients that are not in the room yet.
    door: Door,
    /// The sources that moderators have stopped, by user: leaving and rejoining does not lift a stop. At most
    /// `moderation::MAX_STOPPED`.
    stopped: HashMap<String, Stopped>,
    /// The number of the last peer of this room; see [`peer_of`].
    last_peer: u32,
    /// `seq` of the last chat message.
    chat_seq: u64,
    /// Increases with every speaker that the engine reports.
    last_spoke: u64,
    /// When to send `slots` signals that had to wait.
    news_at: Option<Instant>,
    /// The source of ids and tokens.
    random: StdRng,
    effects: VecDeque<Effect>,
}

impl Room {
    /// An empty room.
    pub(crate) fn new(config: RoomConfig, kept: Kept, random: StdRng) -> Room {
        Room {
            config,
            chat_seq: kept.record.last_seq,
            kept,
            members: Vec::new(),
            pending: HashMap::new(),
            door: Door::default(),
            stopped: HashMap::new(),
            last_peer: 0,
            last_spoke: 0,
            news_at: None,
            random,
            effects: VecDeque::new(),
        }
    }

    /// Handles a request of a session.
    pub(crate) fn handle_request(&mut self, now: Moment, asked: Asked) {
        let account = asked.account();
        let Asked { from, grant, resume, message_id, request, .. } = asked;
        let handled = match (request, resume) {
            (Request::Join(join), Some(token)) => {
                self.handle_resume(now, &from, &grant, &token, join)
            }
            (Request::Join(join), None) => self.handle_join(now, &from, &grant, account, join),
            (request, _) => self.handle_members_request(now, &from, account, message_id, request),
        };
        self.tell_refusal(&from, handled);
        self.tell_news(now.instant);
    }

    fn tell_refusal(&mut self, to: &Requester, handled: Result<(), Refusal>) {
        if let Err(Refusal { code, message }) = handled {
            self.reply(to, Signal::Error { code, message });
        }
    }

    /// Handles an event of the media engine.
    pub(crate) fn handle_engine(&mut self, now: Moment, event: EngineEvent) {
        match event {
            EngineEvent::Connected { .. } => {}
            EngineEvent::Disconnected { peer, .. } => self.handle_disconnected(peer),
            EngineEvent::AudioSlot { peer, slot, source } => {
                self.handle_audio_slot(peer, &slot, source.as_ref());
            }
            EngineEvent::Sending { peer, mid, codecs } => self.handle_sending(peer, mid, codecs),
            EngineEvent::Excess { peer, mid, bits_per_second } => {
                self.handle_excess(peer, &mid, bits_per_second);
            }
            EngineEvent::Speakers { levels, .. } => self.handle_speakers(&levels),
        }
        self.tell_news(now.instant);
    }

    /// Handles the end of a session. After a goodbye its participant leaves at once; otherwise it stays for
    /// `resume_grace` and may be resumed.
    pub(crate) fn handle_gone(&mut self, now: Moment, session: SessionId, said_goodbye: bool) {
        self.pending.retain(|_, pending| pending.survives(session));
        if self.door.is_waiting(session) {
            self.door.forget(session);
            self.tell_moderators_who_waits();
        }
        self.door.forget(session);
        let Some(index) = self.index_of_session(session) else {
            return;
        };
        if said_goodbye {
            self.remove_member(index, LeaveReason::Left);
        } else {
            let until = now.instant + self.config.resume_grace;
            self.members[index].presence = Presence::Away { until };
        }
        self.tell_news(now.instant);
    }

    /// Records the `seq` of a stored chat message.
    pub(crate) fn handle_stored(&mut self, message: &ChatMessage) {
        self.chat_seq = message.seq.max(self.chat_seq);
    }

    /// Removes participants who did not resume in time, renews ICE servers, and sends delayed `slots` signals.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.renew_ice_servers(now);
        let is_late =
            |member: &Member| matches!(member.presence, Presence::Away { until } if until <= now);
        while let Some(index) = self.members.iter().position(is_late) {
            self.remove_member(index, LeaveReason::ConnectionLost);
        }
        self.tell_news(now);
    }

    /// Sends new ICE servers to the participants whose former ones end soon. Those who are away get them when they
    /// resume.
    fn renew_ice_servers(&mut self, now: Instant) {
        let next = now.checked_add(self.config.ice_servers.renewal());
        for member in &mut self.members {
            let Presence::Here(session) = member.presence else { continue };
            if member.renew_at.is_some_and(|at| at <= now) {
                member.renew_at = next;
                let signal = self.config.ice_servers.renewed(&member.public.id);
                self.effects.push_back(Effect::Signal { to: session.into(), signal });
            }
        }
    }

    /// When to call `handle_timeout` next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let members = self.members.iter().filter_map(|member| match member.presence {
            Presence::Here(_) => member.renew_at,
            Presence::Away { until } => Some(until),
        });
        members.chain(self.news_at).min()
    }

    /// The next effect to carry out.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether nobody is here, joining or waiting.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty() && self.door.is_empty()
    }

    /// The id of a session's participant.
    pub(crate) fn participant_of(&self, session: SessionId) -> Option<&str> {
        self.index_of_session(session).map(|index| self.members[index].public.id.as_str())
    }

    /// Whether a session may read a chat message: a public one always, a private one as its author or addressee.
    pub(crate) fn may_read(&self, session: SessionId, message: &ChatMessage) -> bool {
        rights::may_read(self.participant_of(session), message)
    }

    /// Which part of the stored chat a session may read.
    pub(crate) fn reader(&self, session: SessionId) -> Reader {
        match self.index_of_session(session) {
            Some(index) => Reader::Viewer(self.members[index].viewer()),
            None if self.is_open() => Reader::Public,
            None => Reader::Nothing,
        }
    }

    /// The room's entry in the list of rooms.
    pub(crate) fn summary(&self) -> RoomSummary {
        RoomSummary {
            name: self.config.name.clone(),
            participants: u32::try_from(self.members.len()).unwrap_or(u32::MAX),
            created_at: self.kept.record.created_at,
            locked: self.kept.record.is_locked,
        }
    }

    /// The room's name.
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

    /// Updates a member's `sources` and what the engine forwards of them, and publishes which sources were added or
    /// removed.
    fn update_sources(&mut self, index: usize) {
        self.permit(index);
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
        let to = self.audience();
        self.effects.push_back(Effect::Publish { event, to });
    }

    /// Returns the receivers of the room's events and chat. Sessions outside the room receive them only while everybody may enter.
    pub(crate) fn audience(&self) -> Audience {
        if self.is_open() {
            return Audience::Everybody;
        }
        let present: HashSet<SessionId> = self.members.iter().filter_map(Member::session).collect();
        Audience::These(Arc::new(present))
    }

    /// Whether nothing keeps anybody out of the room.
    fn is_open(&self) -> bool {
        let record = &self.kept.record;
        !record.is_locked
            && record.password_hash.is_none()
            && !record.settings.waiting_room
            && self.kept.bans.is_empty()
            && !self.door.turns_anybody_away()
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
