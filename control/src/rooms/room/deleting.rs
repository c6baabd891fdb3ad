//! Deleting a chat message, by its author or by a moderator.

use madang_wire::{ChatMessage, Event, Role};
use serde_json::Value;

use super::moderation::Moderator;
use super::rights::Standing;
use super::{Effect, Room};
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::rooms::room::Deleter;

impl Room {
    pub(super) fn delete_message(
        &mut self,
        by: &Moderator,
        value: Option<&Value>,
    ) -> Result<(), Refusal> {
        let Some(Value::String(id)) = value else {
            return Err(Refusal::bad_request("the value must be the id of a message"));
        };
        let deleter = Deleter {
            name: by.name.clone(),
            moderates: by.standing.moderates,
            participant: by.participant.clone(),
            user: by.user.clone(),
            from: by.from.clone(),
        };
        self.effects.push_back(Effect::DeleteMessage { deleter, id: id.clone() });
        Ok(())
    }

    /// Handles the result of [`Effect::DeleteMessage`]. `None`: there is no such message, the deleter may not delete
    /// it, or it was deleted before.
    pub(crate) fn handle_deleted(
        &mut self,
        now: Moment,
        deleter: Deleter,
        message: Option<&ChatMessage>,
    ) -> Result<(), Refusal> {
        let Some(message) = message else {
            return Err(Refusal::no_such_message());
        };
        self.publish(Event::MessageDeleted { seq: message.seq, id: message.id.clone() });
        let Deleter { name, participant, user, from, moderates } = deleter;
        let standing = Standing { role: Role::Speaker, moderates };
        let by = Moderator { name, participant, user, standing, from };
        let detail = Some(format!("message {}", message.seq));
        self.keep(now, &by, "delete_message", None, Some(message.from.id.clone()), detail);
        Ok(())
    }
}
