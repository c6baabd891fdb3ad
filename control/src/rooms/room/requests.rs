//! What those in the room may ask.

use madang_wire::request::{Chat, State, View};
use madang_wire::{ErrorCode, Event, LeaveReason, Request, Signal};
use rand::RngExt;

use super::joining::checked_name;
use super::{Effect, Room, rights};
use crate::broker::Requester;
use crate::moment::Moment;
use crate::refusal::{Refusal, refuse};
use crate::store::NewChatMessage;

/// The longest reaction, in bytes; the longest emoji sequences have some 35.
const MAX_EMOJI_BYTES: usize = 64;
/// The most metadata of a participant, in bytes of JSON.
const MAX_METADATA_BYTES: usize = 4 * 1024;
/// The longest id that a chat message has or answers, in bytes.
const MAX_ID_BYTES: usize = 64;
/// The most slots that a view names; more than a page shows.
const MAX_WANTED_SLOTS: usize = 64;

impl Room {
    pub(super) fn handle_members_request(
        &mut self,
        now: Moment,
        from: &Requester,
        message_id: Option<String>,
        request: Request,
    ) -> Result<(), Refusal> {
        let Some(index) = self.index_of_session(from.session) else {
            if self.door.has(from.session) {
                return self.handle_request_at_door(from, &request);
            }
            let message = format!("you are not in the room {}; join it first", self.config.name);
            return refuse(ErrorCode::NoSuchRoom, message);
        };
        match request {
            Request::Offer(offer) => self.handle_offer(from, index, offer),
            // The server is ICE-lite: it answers checks and starts none, so it needs no candidates (RFC 8445 §2.5).
            Request::Candidate(_) => Ok(()),
            Request::Sources(sources) => self.set_mids(index, sources.mids),
            Request::View(view) => self.handle_view(from, index, view),
            Request::State(state) => self.handle_state(index, state),
            Request::Chat(chat) => self.handle_chat(now, from, index, message_id, chat),
            Request::React(react) => self.handle_react(index, react.emoji),
            Request::Moderate(moderate) => self.handle_moderate(now, from, index, moderate),
            Request::Leave(_) => {
                self.remove_member(index, LeaveReason::Left);
                self.reply(from, Signal::Left {});
                Ok(())
            }
            Request::Join(_) => {
                refuse(ErrorCode::BadRequest, "this session is in the room already")
            }
        }
    }

    fn handle_request_at_door(
        &mut self,
        from: &Requester,
        request: &Request,
    ) -> Result<(), Refusal> {
        if !matches!(request, Request::Leave(_)) {
            return refuse(ErrorCode::Waiting, "you are not in the room yet");
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
            let message = format!("a view names at most {MAX_WANTED_SLOTS} slots");
            return refuse(ErrorCode::TooLarge, message);
        }
        self.members[index].view = view;
        self.show();
        let member = &mut self.members[index];
        member.has_news = false;
        let slots = member.slots().unwrap_or_default();
        self.reply(from, Signal::Slots { slots });
        Ok(())
    }

    fn handle_state(&mut self, index: usize, state: State) -> Result<(), Refusal> {
        let State { muted, camera_off, hand_raised, name, metadata } = state;
        let name = name.as_deref().map(checked_name).transpose()?;
        if let Some(metadata) = &metadata {
            let bytes = serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len());
            if bytes > MAX_METADATA_BYTES {
                let message = format!("metadata has at most {MAX_METADATA_BYTES} bytes");
                return refuse(ErrorCode::TooLarge, message);
            }
        }
        let stopped = self.members[index].stopped;
        if (stopped.sound && muted == Some(false)) || (stopped.camera && camera_off == Some(false))
        {
            let message =
                "a moderator switched this off; only a moderator can let you switch it on";
            return refuse(ErrorCode::NotAllowed, message);
        }
        let public = &mut self.members[index].public;
        let before = public.clone();
        public.muted = muted.unwrap_or(public.muted);
        public.camera_off = camera_off.unwrap_or(public.camera_off);
        public.hand_raised = hand_raised.unwrap_or(public.hand_raised);
        public.name = name.unwrap_or_else(|| before.name.clone());
        public.metadata = metadata.unwrap_or_else(|| before.metadata.clone());
        if *public != before {
            let participant = public.clone();
            self.publish(Event::ParticipantChanged { participant });
            self.permit(index);
            self.show();
        }
        Ok(())
    }

    fn handle_chat(
        &mut self,
        now: Moment,
        from: &Requester,
        index: usize,
        message_id: Option<String>,
        chat: Chat,
    ) -> Result<(), Refusal> {
        rights::check_chat(self.members[index].standing(), &self.kept.record.settings)?;
        let Chat { text, to, reply_to } = chat;
        let most = self.config.limits.chat_bytes;
        if text.trim().is_empty() {
            return refuse(ErrorCode::BadRequest, "a chat message needs a text");
        }
        if text.len() > most {
            return refuse(ErrorCode::TooLarge, format!("a chat message has at most {most} bytes"));
        }
        for (name, id) in [("reply_to", &reply_to), ("message-id", &message_id)] {
            if id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
                let message = format!("{name} has at most {MAX_ID_BYTES} bytes");
                return refuse(ErrorCode::TooLarge, message);
            }
        }
        let addressee = to.as_ref().map(|to| self.index_of_participant(to));
        if addressee == Some(None) {
            return refuse(
                ErrorCode::NoSuchParticipant,
                "whom this message is for is not in the room",
            );
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
        self.effects.push_back(Effect::StoreChat { from: from.clone(), message });
        Ok(())
    }

    fn handle_react(&mut self, index: usize, emoji: String) -> Result<(), Refusal> {
        if emoji.is_empty() {
            return refuse(ErrorCode::BadRequest, "a reaction needs an emoji");
        }
        if emoji.len() > MAX_EMOJI_BYTES {
            return refuse(
                ErrorCode::TooLarge,
                format!("emoji has at most {MAX_EMOJI_BYTES} bytes"),
            );
        }
        let participant = self.members[index].public.id.clone();
        self.publish(Event::Reaction { participant, emoji });
        Ok(())
    }
}
