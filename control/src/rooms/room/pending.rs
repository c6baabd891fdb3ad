//! Offers that the engine has not answered.

use madang_wire::request::Mids;

use crate::broker::{Requester, SessionId};
use crate::rooms::room::Member;
use crate::rooms::room::member::Origin;

/// An offer on its way through the engine.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) from: Requester,
    pub(super) origin: Origin,
    pub(super) purpose: Purpose,
}

/// What it is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Who will come in if the offer is good. Nobody sees them before.
    Join(Box<Member>),
    /// A participant who comes back with an offer, and what it publishes.
    Resume { participant: String, mids: Option<Mids> },
    /// A participant's offer.
    Offer { participant: String },
}

impl Pending {
    /// Whether the offer still matters when a session is over.
    pub(super) fn survives(&self, gone: SessionId) -> bool {
        self.from.session != gone
    }

    /// The participant whose offer it is, if they are in the room.
    pub(super) fn participant(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Join(_) => None,
            Purpose::Resume { participant, .. } | Purpose::Offer { participant } => {
                Some(participant)
            }
        }
    }
}
