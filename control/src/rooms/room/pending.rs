//! Offers that the engine has not answered yet.

use madang_wire::request::Mids;

use crate::broker::{Requester, SessionId};
use crate::rooms::room::Member;

/// An offer that the engine has not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) from: Requester,
    pub(super) purpose: Purpose,
}

/// The request that the engine's answer completes.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Admit this member if the engine accepts the offer. Nobody sees them before.
    Join(Box<Member>),
    /// Resume this participant, with these names for its m-lines.
    Resume { participant: String, mids: Option<Mids> },
    /// Renegotiate the media of this participant.
    Offer { participant: String },
}

impl Pending {
    /// Whether the offer still matters after the session `gone` has ended.
    pub(super) fn survives(&self, gone: SessionId) -> bool {
        self.from.session != gone
    }

    /// The participant who made the offer; `None` for a joiner, who has none yet.
    pub(super) fn participant(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Join(_) => None,
            Purpose::Resume { participant, .. } | Purpose::Offer { participant } => {
                Some(participant)
            }
        }
    }
}
