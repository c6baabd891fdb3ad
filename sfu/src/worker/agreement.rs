//! The outcome of an offer at a worker. Another thread writes the answer from it, because that takes time, and the
//! worker's thread has packets to forward.

use crate::sdp::{self, Answerer, Negotiable, Offer, OfferedMedia, Use};
use crate::transport::ice::{Candidate, Credentials};
use crate::{Answer, MediaLine, Mid, PeerId};

/// Everything that an answer says beside what the offer does.
pub(crate) struct Agreement {
    /// The peer that the offer was for.
    pub(crate) peer: PeerId,
    pub(super) session_id: u64,
    pub(super) version: u64,
    pub(super) credentials: Credentials,
    pub(super) fingerprint: String,
    /// Only for offers that have one.
    pub(super) tls_id: Option<String>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) cname: String,
    /// The open slots, by m-line.
    pub(super) slots: Vec<(Mid, sdp::Slot)>,
}

impl Agreement {
    /// Writes the answer to the offer.
    pub(crate) fn answer(&self, offer: &Offer) -> Answer {
        let answerer = Answerer {
            session_id: self.session_id,
            version: self.version,
            credentials: &self.credentials,
            fingerprint: &self.fingerprint,
            tls_id: self.tls_id.as_deref(),
            candidates: &self.candidates,
            cname: &self.cname,
        };
        let slot_of = |line: &OfferedMedia| {
            self.slots.iter().find(|(mid, _)| *mid == line.mid).map(|(_, slot)| *slot)
        };
        let lines = |wanted: fn(&Use) -> Option<&Negotiable>| {
            let media = offer.media.iter();
            let line = |line: &OfferedMedia| {
                wanted(&line.purpose)
                    .map(|negotiable| MediaLine { mid: line.mid.clone(), kind: negotiable.kind })
            };
            media.filter_map(line).collect()
        };
        Answer {
            peer: self.peer,
            sdp: sdp::write_answer(&answerer, offer, slot_of),
            published: lines(|purpose| match purpose {
                Use::Publish(negotiable) => Some(negotiable),
                Use::Receive(_) | Use::Inactive(_) | Use::Carry | Use::Refuse => None,
            }),
            slots: lines(|purpose| match purpose {
                Use::Receive(negotiable) => Some(negotiable),
                Use::Publish(_) | Use::Inactive(_) | Use::Carry | Use::Refuse => None,
            }),
            codecs: offer.video_codecs(),
        }
    }
}
