//! Offers: starting and renegotiating a participant's media.

use madang_sfu::{Answer, MediaKind, OfferError, PeerId};
use madang_wire::request::{Mids, Offer};
use madang_wire::{ErrorCode, Signal, SourceKind};

use super::pending::Pending;
use super::{Effect, Room, peer_of};
use crate::broker::Requester;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::rooms::room::pending::Purpose;

/// The most m-lines that a client may name.
const MAX_MIDS: usize = 64;
/// The longest `a=mid` value, in bytes: as long as the engine accepts.
const MAX_MID_BYTES: usize = 255;

impl Room {
    pub(super) fn handle_offer(
        &mut self,
        from: &Requester,
        index: usize,
        offer: Offer,
    ) -> Result<(), Refusal> {
        let participant = self.members[index].public.id.clone();
        self.check_no_offer_of(&participant)?;
        self.offer(from, Some(index), offer.sdp, Purpose::Offer { participant });
        Ok(())
    }

    pub(super) fn set_mids(&mut self, index: usize, mids: Mids) -> Result<(), Refusal> {
        check_mids(&mids)?;
        let may_publish = &self.members[index].may_publish;
        if let Some(kind) = mids.values().find(|kind| !may_publish.contains(kind)) {
            return Err(Refusal::may_not_publish(*kind));
        }
        let published = self.members[index].media.iter().flat_map(|media| &media.published);
        for line in published {
            let is_audio = line.kind == MediaKind::Audio;
            if let Some(kind) =
                mids.get(line.mid.as_str()).filter(|kind| kind.is_audio() != is_audio)
            {
                let message = format!("the m-line {:?} cannot carry a {kind}", line.mid.as_str());
                return Err(Refusal::bad_request(message));
            }
        }
        self.members[index].mids = mids;
        self.update_sources(index);
        self.show();
        Ok(())
    }

    /// Handles the engine's answer to the [`Effect::Offer`] with this `peer`.
    pub(crate) fn handle_answer(
        &mut self,
        now: Moment,
        peer: PeerId,
        answer: Result<Answer, OfferError>,
    ) {
        let Some(Pending { from, purpose }) = self.pending.remove(&peer) else {
            // The session or its participant has left in the meantime.
            if let Ok(Answer { peer, .. }) = answer
                && self.index_of_peer(peer).is_none()
            {
                self.effects.push_back(Effect::RemovePeer { peer });
            }
            return;
        };
        match answer {
            Err(error) => self.reply(&from, refused(&error)),
            Ok(answer) => match purpose {
                Purpose::Join(mut member) => {
                    member.set_media(&answer);
                    self.admit(now, &from, *member, Some(answer.sdp));
                }
                Purpose::Resume { participant, mids } => {
                    let Some(index) = self.index_of_participant(&participant) else {
                        return;
                    };
                    self.set_media(index, &answer);
                    self.take_over(now, &from, index, mids, Some(answer.sdp));
                }
                Purpose::Offer { participant } => {
                    let Some(index) = self.index_of_participant(&participant) else {
                        return;
                    };
                    self.set_media(index, &answer);
                    self.reply(&from, Signal::Answer { sdp: answer.sdp });
                    self.update_sources(index);
                    self.show();
                }
            },
        }
        self.tell_news(now.instant);
    }

    /// Sends an offer to the engine. The engine tells whether it comes from the `RTCPeerConnection` of the member's
    /// peer or is for a new peer.
    pub(super) fn offer(
        &mut self,
        from: &Requester,
        index: Option<usize>,
        sdp: String,
        purpose: Purpose,
    ) {
        if let Some(index) = index {
            self.forbid_in_advance(index, &sdp);
        }
        let media = index.and_then(|index| self.members[index].media.as_ref());
        let current = media.map(|media| media.peer);
        self.last_peer = self.last_peer.wrapping_add(1);
        let peer = peer_of(self.config.id, self.last_peer);
        self.pending.insert(peer, Pending { from: from.clone(), purpose });
        let receivers = self.receivers(index);
        self.effects.push_back(Effect::Offer { peer, current, sdp, receivers });
    }

    pub(super) fn check_no_offer_of(&self, participant: &str) -> Result<(), Refusal> {
        if self.pending.values().any(|pending| pending.participant() == Some(participant)) {
            return Err(Refusal::offer_pending());
        }
        Ok(())
    }

    /// Applies an answer to a member, and removes the peer that it replaces, if any.
    fn set_media(&mut self, index: usize, answer: &Answer) {
        let before = self.members[index].media.as_ref().map(|media| media.peer);
        self.members[index].set_media(answer);
        if let Some(before) = before.filter(|before| *before != answer.peer) {
            self.effects.push_back(Effect::RemovePeer { peer: before });
        }
    }
}

fn refused(error: &OfferError) -> Signal {
    let code = match error {
        OfferError::BadSdp(_) => ErrorCode::BadSdp,
        OfferError::TooLarge { .. } => ErrorCode::TooLarge,
        OfferError::Overloaded => ErrorCode::Overloaded,
    };
    Signal::Error { code, message: error.to_string() }
}

pub(super) fn check_mids(mids: &Mids) -> Result<(), Refusal> {
    if mids.len() > MAX_MIDS || mids.keys().any(|mid| mid.len() > MAX_MID_BYTES) {
        let message = format!(
            "`mids` must have at most {MAX_MIDS} entries, with mids of at most {MAX_MID_BYTES} bytes"
        );
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    let count = |kind: SourceKind| mids.values().filter(|other| **other == kind).count();
    if let Some(kind) = mids.values().find(|kind| count(**kind) > 1) {
        return Err(Refusal::bad_request(format!("two m-lines are named {kind}")));
    }
    Ok(())
}
