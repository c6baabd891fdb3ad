//! Requests of sessions that are in the room.

use madang_wire::request::{Chat, State, View};
use madang_wire::{Event, LeaveReason, Request, Signal};
use rand::RngExt;

use super::joining::checked_name;
use super::{Effect, Room, rights};
use crate::broker::Requester;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::rooms::account::Account;
use crate::store::NewChatMessage;

/// The longest reaction, in bytes; the longest emoji sequences have about 35.
const MAX_EMOJI_BYTES: usize = 64;
/// The most metadata of a participant, in bytes of JSON.
const MAX_METADATA_BYTES: usize = 4 * 1024;
/// The longest `message-id` or `reply_to` of a chat message, in bytes.
const MAX_ID_BYTES: usize = 64;
/// The most slots that a view may name; a page shows fewer.
const MAX_WANTED_SLOTS: usize = 64;

impl Room {
    pub(super) fn handle_members_request(
        &mut self,
        now: Moment,
        from: &Requester,
        account: Account,
        message_id: Option<String>,
        request: Request,
    ) -> Result<(), Refusal> {
        let Some(index) = self.index_of_session(from.session) else {
            if self.door.has(from.session) {
                return self.handle_request_at_door(from, &request);
            }
            return Err(Refusal::not_in_room(&self.config.name));
        };
        match request {
            Request::Offer(offer) => self.handle_offer(from, index, offer),
            // The server is ICE-lite: it answers checks and starts none, so it needs no candidates (RFC 8445 §2.5).
            Request::Candidate(_) => Ok(()),
            Request::Sources(sources) => self.set_mids(index, sources.mids),
            Request::View(view) => self.handle_view(from, index, view),
            Request::State(state) => self.handle_state(now, index, state),
            Request::Chat(chat) => self.handle_chat(now, from, index, account, message_id, chat),
            Request::React(react) => self.handle_react(now, index, react.emoji),
            Request::Moderate(moderate) => self.handle_moderate(now, from, index, moderate),
            Request::Leave(_) => {
                self.remove_member(index, LeaveReason::Left);
                self.reply(from, Signal::Left {});
                Ok(())
            }
            Request::Join(_) => Err(Refusal::already_in_room()),
        }
    }

    fn handle_request_at_door(
        &mut self,
        from: &Requester,
        request: &Request,
    ) -> Result<(), Refusal> {
        if !matches!(request, Request::Leave(_)) {
            return Err(Refusal::still_waiting());
        }
        let was_waiting = self.door.is_waiting(from.session);
        self.door.leave(from.session);
        self.reply(from, Signal::Left {});
        if was_waiting {
            self.tell_moderators_who_waits();
        }
        Ok(())
    }

    fn handle_view(&mut self, from: &Requester, index: usize, view: View) -> Result<(), Refusal> {
        if view.slots.len() > MAX_WANTED_SLOTS {
            return Err(Refusal::too_long("`slots`", MAX_WANTED_SLOTS, "entries"));
        }
        self.members[index].view = view;
        self.show();
        let member = &mut self.members[index];
        member.has_news = false;
        let slots = member.slots().unwrap_or_default();
        self.reply(from, Signal::Slots { slots });
        Ok(())
    }

    fn handle_state(&mut self, now: Moment, index: usize, state: State) -> Result<(), Refusal> {
        let State { muted, camera_off, hand_raised, name, metadata } = state;
        let name = name.as_deref().map(checked_name).transpose()?;
        if let Some(metadata) = &metadata {
            let bytes = serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len());
            if bytes > MAX_METADATA_BYTES {
                return Err(Refusal::too_long("`metadata`", MAX_METADATA_BYTES, "bytes"));
            }
        }
        let stopped = self.members[index].stopped;
        if (stopped.sound && muted == Some(false)) || (stopped.camera && camera_off == Some(false))
        {
            return Err(Refusal::stopped_by_moderator());
        }
        self.take_change(now, index)?;
        let public = &mut self.members[index].public;
        let before = public.clone();
        public.muted = muted.unwrap_or(public.muted);
        public.camera_off = camera_off.unwrap_or(public.camera_off);
        public.hand_raised = hand_raised.unwrap_or(public.hand_raised);
        public.name = name.unwrap_or_else(|| before.name.clone());
        public.metadata = metadata.unwrap_or_else(|| before.metadata.clone());
        if *public != before {
            let participant = public.clone();
            let is_shown_otherwise = participant.camera_off != before.camera_off;
            self.publish(Event::ParticipantChanged { participant });
            self.permit(index);
            if is_shown_otherwise {
                self.show();
            }
        }
        Ok(())
    }

    /// Counts a change that everybody in the room is told of.
    fn take_change(&mut self, now: Moment, index: usize) -> Result<(), Refusal> {
        match self.members[index].changes.take(now.instant) {
            true => Ok(()),
            false => Err(Refusal::too_many_changes(self.config.limits.changes_per_second)),
        }
    }

    fn handle_chat(
        &mut self,
        now: Moment,
        from: &Requester,
        index: usize,
        account: Account,
        message_id: Option<String>,
        chat: Chat,
    ) -> Result<(), Refusal> {
        rights::check_chat(self.members[index].standing(), &self.kept.record.settings)?;
        let Chat { text, to, reply_to } = chat;
        let most = self.config.limits.chat_bytes;
        if text.trim().is_empty() {
            return Err(Refusal::empty("the text of a chat message"));
        }
        if text.len() > most {
            return Err(Refusal::too_long("a chat message", most, "bytes"));
        }
        for (name, id) in [("`reply_to`", &reply_to), ("`message-id`", &message_id)] {
            if id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
                return Err(Refusal::too_long(name, MAX_ID_BYTES, "bytes"));
            }
        }
        let addressee = to.as_ref().map(|to| self.index_of_participant(to));
        if addressee == Some(None) {
            return Err(Refusal::no_such_participant());
        }
        let user_of = |index: usize| self.members[index].user().map(str::to_owned);
        let to_user = addressee.flatten().and_then(user_of);
        let author = &self.members[index].public;
        let message = NewChatMessage {
            id: format!("{:032x}", self.random.random::<u128>()),
            from_id: author.id.clone(),
            from_name: author.name.clone(),
            from_user: user_of(index),
            text,
            to,
            to_user,
            reply_to,
            message_id,
            sent_at: now.utc,
        };
        self.effects.push_back(Effect::StoreChat { from: from.clone(), account, message });
        Ok(())
    }

    fn handle_react(&mut self, now: Moment, index: usize, emoji: String) -> Result<(), Refusal> {
        if emoji.is_empty() {
            return Err(Refusal::empty("`emoji`"));
        }
        if emoji.len() > MAX_EMOJI_BYTES {
            return Err(Refusal::too_long("`emoji`", MAX_EMOJI_BYTES, "bytes"));
        }
        self.take_change(now, index)?;
        let participant = self.members[index].public.id.clone();
        self.publish(Event::Reaction { participant, emoji });
        Ok(())
    }
}
