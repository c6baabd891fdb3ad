//! Coming in, coming back, and starting media.

use madang_sfu::{Answer, MediaKind, OfferError, PeerId};
use madang_wire::request::{Join, Mids, Offer};
use madang_wire::{ErrorCode, Event, Joined, Participant, Role, Secret, Signal, SourceKind};
use rand::RngExt;

use super::member::{Member, Origin, Presence};
use super::{Effect, Moment, Refusal, Requester, Room, peer_of, refuse};
use crate::auth::Grant;
use crate::broker::SessionId;
use crate::hub::is_reached;

/// The longest name of a participant, in characters.
const MAX_NAME_CHARS: usize = 64;
/// The most m-lines that a client may name.
const MAX_MIDS: usize = 64;
/// The longest `a=mid`, in bytes.
const MAX_MID_BYTES: usize = 64;

/// An offer on its way through the engine.
#[derive(Debug)]
pub(super) struct Pending {
    from: Requester,
    origin: Origin,
    purpose: Purpose,
}

#[derive(Debug)]
enum Purpose {
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

impl Room {
    pub(super) fn handle_join(
        &mut self,
        now: Moment,
        from: &Requester,
        grant: &Grant,
        join: Join,
    ) -> Result<(), Refusal> {
        if !grant.opens(&self.config.name) {
            let message = format!("your token does not open the room {}", self.config.name);
            return refuse(ErrorCode::NotAllowed, message);
        }
        let name = checked_name(&join.name)?;
        let mids = join.mids.unwrap_or_default();
        check_mids(&mids)?;
        let is_on_the_way = self.pending.values().any(|pending| !pending.survives(from.session));
        if is_on_the_way || self.index_of_session(from.session).is_some() {
            return refuse(ErrorCode::BadRequest, "this session is in the room already");
        }
        let joining =
            self.pending.values().filter(|pending| pending.participant().is_none()).count();
        let most = self.config.limits.participants_per_room;
        if is_reached(most, self.members.len() + joining) {
            return refuse(ErrorCode::RoomFull, format!("this room has its {most} participants"));
        }
        let member = self.new_member(now, from.session, name, join.role, mids);
        match join.sdp {
            None => self.admit(now, from, member, None),
            Some(sdp) => self.offer(from, None, sdp, Purpose::Join(Box::new(member))),
        }
        Ok(())
    }

    /// Who has the token is the participant, whichever session they come with.
    pub(super) fn handle_resume(
        &mut self,
        now: Moment,
        from: &Requester,
        token: &str,
        join: Join,
    ) -> Result<(), Refusal> {
        let Some(index) = self.members.iter().position(|member| member.resume_token == token)
        else {
            let message = "nobody can be resumed by this token: it is wrong, or its time ran out; join without it";
            return refuse(ErrorCode::NoSuchParticipant, message);
        };
        if self.index_of_session(from.session).is_some_and(|present| present != index) {
            return refuse(ErrorCode::BadRequest, "this session is in the room already");
        }
        if let Some(mids) = &join.mids {
            check_mids(mids)?;
        }
        let Some(sdp) = join.sdp else {
            self.take_over(now, from, index, join.mids, None);
            return Ok(());
        };
        let participant = self.members[index].public.id.clone();
        self.check_no_offer_of(&participant)?;
        let purpose = Purpose::Resume { participant, mids: join.mids };
        self.offer(from, Some(index), sdp, purpose);
        Ok(())
    }

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
        let published = self.members[index].media.iter().flat_map(|media| &media.published);
        for line in published {
            let is_audio = line.kind == MediaKind::Audio;
            if let Some(kind) =
                mids.get(line.mid.as_str()).filter(|kind| kind.is_audio() != is_audio)
            {
                let message = format!("the m-line {:?} can't carry {kind}", line.mid.as_str());
                return refuse(ErrorCode::BadRequest, message);
            }
        }
        self.members[index].mids = mids;
        self.update_sources(index);
        self.show();
        Ok(())
    }

    /// Takes the engine's answer to an [`Effect::Offer`].
    pub(crate) fn handle_answer(
        &mut self,
        now: Moment,
        peer: PeerId,
        answer: Result<Answer, OfferError>,
    ) {
        let Some(Pending { from, origin, purpose }) = self.pending.remove(&peer) else {
            // Whoever asked has left in the meantime.
            if answer.is_ok() && self.index_of_peer(peer).is_none() {
                self.effects.push_back(Effect::RemovePeer { peer });
            }
            return;
        };
        match answer {
            Err(error) => self.reply(&from, refused(&error)),
            Ok(answer) => match purpose {
                Purpose::Join(mut member) => {
                    member.set_media(peer, origin, &answer);
                    self.admit(now, &from, *member, Some(answer.sdp));
                }
                Purpose::Resume { participant, mids } => {
                    let Some(index) = self.index_of_participant(&participant) else {
                        return;
                    };
                    self.set_media(index, peer, origin, &answer);
                    self.take_over(now, &from, index, mids, Some(answer.sdp));
                }
                Purpose::Offer { participant } => {
                    let Some(index) = self.index_of_participant(&participant) else {
                        return;
                    };
                    self.set_media(index, peer, origin, &answer);
                    self.reply(&from, Signal::Answer { sdp: answer.sdp });
                    self.update_sources(index);
                    self.show();
                }
            },
        }
        self.tell_news();
    }

    /// Sends an offer to the engine: for the peer that the client's connection is already, or else for another one.
    fn offer(&mut self, from: &Requester, index: Option<usize>, sdp: String, purpose: Purpose) {
        let origin = Origin::of(&sdp);
        let present = index.and_then(|index| self.members[index].media.as_ref());
        let peer = match present.filter(|media| media.origin == origin) {
            Some(media) => media.peer,
            None => {
                self.last_peer = self.last_peer.wrapping_add(1);
                peer_of(self.config.id, self.last_peer)
            }
        };
        self.pending.insert(peer, Pending { from: from.clone(), origin, purpose });
        self.effects.push_back(Effect::Offer { peer, sdp });
    }

    fn check_no_offer_of(&self, participant: &str) -> Result<(), Refusal> {
        if self.pending.values().any(|pending| pending.participant() == Some(participant)) {
            return refuse(ErrorCode::BadRequest, "the offer before this one is not answered yet");
        }
        Ok(())
    }

    /// The peer that was there before, if it is another one, ends.
    fn set_media(&mut self, index: usize, peer: PeerId, origin: Origin, answer: &Answer) {
        let before = self.members[index].media.as_ref().map(|media| media.peer);
        self.members[index].set_media(peer, origin, answer);
        if let Some(before) = before.filter(|before| *before != peer) {
            self.effects.push_back(Effect::RemovePeer { peer: before });
        }
    }

    fn new_member(
        &mut self,
        now: Moment,
        session: SessionId,
        name: String,
        role: Option<Role>,
        mids: Mids,
    ) -> Member {
        // Nobody can prove to be a host without a token.
        let role = match role {
            Some(Role::Listener) => Role::Listener,
            Some(Role::Host | Role::Speaker) | None => Role::Speaker,
        };
        Member {
            public: Participant {
                id: format!("{:016x}", self.random.random::<u64>()),
                name,
                role,
                joined_at: now.utc,
                muted: false,
                camera_off: false,
                hand_raised: false,
                sources: Vec::new(),
                metadata: serde_json::Map::new(),
            },
            resume_token: format!("{:032x}", self.random.random::<u128>()),
            presence: Presence::Here(session),
            media: None,
            mids,
            view: madang_wire::request::View::default(),
            spoke: 0,
            has_news: false,
        }
    }

    fn admit(&mut self, now: Moment, from: &Requester, member: Member, answer: Option<String>) {
        let participant = member.public.clone();
        self.members.push(member);
        let index = self.members.len() - 1;
        self.publish(Event::ParticipantJoined { participant });
        self.update_sources(index);
        self.show();
        self.count();
        self.welcome(now, from, index, answer);
    }

    fn take_over(
        &mut self,
        now: Moment,
        from: &Requester,
        index: usize,
        mids: Option<Mids>,
        answer: Option<String>,
    ) {
        let before = self.members[index].session().filter(|session| *session != from.session);
        if let Some(before) = before {
            let reason = "this participant was taken over by another connection".to_owned();
            self.reply(&before.into(), Signal::Kicked { reason });
        }
        self.members[index].presence = Presence::Here(from.session);
        if let Some(mids) = mids {
            self.members[index].mids = mids;
        }
        self.update_sources(index);
        self.show();
        self.welcome(now, from, index, answer);
    }

    fn welcome(&mut self, now: Moment, from: &Requester, index: usize, answer: Option<String>) {
        let member = &mut self.members[index];
        member.has_news = false;
        let slots = member.slots();
        let (participant, token) = (member.public.clone(), member.resume_token.clone());
        let joined = Joined {
            ice_servers: (self.config.ice_servers)(&participant.id),
            participant,
            resume_token: Secret::new(token),
            participants: self.members.iter().map(|member| member.public.clone()).collect(),
            answer,
            slots,
            chat_seq: self.chat_seq,
            server_time: now.utc,
        };
        self.reply(from, Signal::Joined(Box::new(joined)));
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

/// A participant's name without white space around it.
pub(super) fn checked_name(name: &str) -> Result<String, Refusal> {
    let name = name.trim();
    if name.is_empty() {
        return refuse(ErrorCode::BadRequest, "a participant needs a name");
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return refuse(
            ErrorCode::TooLarge,
            format!("a name has at most {MAX_NAME_CHARS} characters"),
        );
    }
    if name.chars().any(char::is_control) {
        return refuse(ErrorCode::BadRequest, "a name has no control characters");
    }
    Ok(name.to_owned())
}

fn check_mids(mids: &Mids) -> Result<(), Refusal> {
    if mids.len() > MAX_MIDS || mids.keys().any(|mid| mid.len() > MAX_MID_BYTES) {
        let message = format!("at most {MAX_MIDS} m-lines of {MAX_MID_BYTES} bytes can be named");
        return refuse(ErrorCode::TooLarge, message);
    }
    let count = |kind: SourceKind| mids.values().filter(|other| **other == kind).count();
    if let Some(kind) = mids.values().find(|kind| count(**kind) > 1) {
        return refuse(ErrorCode::BadRequest, format!("two m-lines are named {kind}"));
    }
    Ok(())
}
