//! A participant, including the state that only the room sees.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use madang_sfu::{Answer, Codec, MediaKind, MediaLine, Mid, NegotiatedCodec, PeerId, Source};
use madang_wire::request::{Mids, View};
use madang_wire::{CodecMismatch, Participant, Slot, SourceKind};

use super::rights::Standing;
use super::slots::{Shown, SlotState};
use crate::auth::Grant;
use crate::broker::SessionId;
use crate::store::Viewer;
use crate::token_bucket::TokenBucket;

/// A participant.
#[derive(Debug)]
pub(super) struct Member {
    /// The part that everybody sees.
    pub(super) public: Participant,
    /// Their permissions.
    pub(super) grant: Arc<Grant>,
    /// The sources that they may publish, by role, grant and room settings.
    pub(super) may_publish: Vec<SourceKind>,
    /// The sources that a moderator has stopped.
    pub(super) stopped: Stopped,
    pub(super) resume_token: String,
    pub(super) presence: Presence,
    /// When they need new ICE servers; `None` if theirs do not expire.
    pub(super) renew_at: Option<Instant>,
    /// Their peer connection, while there is one.
    pub(super) media: Option<Media>,
    /// The source that each published m-line carries, as named by the client.
    pub(super) mids: Mids,
    pub(super) view: View,
    /// Value of `Room::last_spoke` when they last spoke; 0 if never. Higher is more recent.
    pub(super) spoke: u64,
    /// Whether their slots changed since the last `slots` signal.
    pub(super) has_news: bool,
    /// The rate limit of `slots` signals.
    pub(super) slots_allowance: TokenBucket,
    /// The rate limit of what they tell everybody: their state, and reactions.
    pub(super) changes: TokenBucket,
    /// Their m-lines that some viewers can't decode.
    pub(super) mismatches: Vec<CodecMismatch>,
    /// Whether these changed since the last `codec_mismatch` signal.
    pub(super) has_new_mismatches: bool,
}

/// Whether a participant is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Here(SessionId),
    /// The connection dropped; the participant may resume until then.
    Away {
        until: Instant,
    },
}

/// A peer connection.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) peer: PeerId,
    pub(super) published: Vec<MediaLine>,
    pub(super) slots: Vec<SlotState>,
    /// The video codecs negotiated for each m-line.
    pub(super) codecs: HashMap<Mid, Vec<NegotiatedCodec>>,
    /// The codecs in which each m-line sends video, once the engine has seen packets.
    pub(super) sent: HashMap<Mid, Vec<Codec>>,
    /// Whether the engine forwards an m-line, as last sent to it. It forwards m-lines that are absent here.
    pub(super) told: HashMap<Mid, bool>,
}

impl Member {
    pub(super) fn standing(&self) -> Standing {
        Standing::of(self.public.role, &self.grant)
    }

    /// Their authenticated user; `None` for guests.
    pub(super) fn user(&self) -> Option<&str> {
        (!self.grant.is_guest).then_some(self.grant.user.as_str())
    }

    /// Their identity in queries to the store.
    pub(super) fn viewer(&self) -> Viewer {
        Viewer { participant: self.public.id.clone(), user: self.user().map(str::to_owned) }
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        match self.presence {
            Presence::Here(session) => Some(session),
            Presence::Away { .. } => None,
        }
    }

    /// Replaces the m-lines with those of the engine's answer. Slots of the same peer keep what they show.
    pub(super) fn set_media(&mut self, answer: &Answer) {
        let peer = answer.peer;
        let (before, told, mut sent) = match self.media.take() {
            Some(media) if media.peer == peer => (media.slots, media.told, media.sent),
            _ => (Vec::new(), HashMap::new(), HashMap::new()),
        };
        let keep = |line: &MediaLine| {
            let same = before.iter().find(|slot| slot.mid == line.mid && slot.kind == line.kind);
            same.cloned().unwrap_or_else(|| SlotState::empty(line))
        };
        let slots: Vec<SlotState> = answer.slots.iter().map(keep).collect();
        self.has_news |= slots != before;
        let (published, codecs) = (answer.published.clone(), answer.codecs.clone());
        sent.retain(|mid, _| published.iter().any(|line| line.mid == *mid));
        self.media = Some(Media { peer, published, slots, codecs, sent, told });
    }

    /// The sources that they publish, may publish and have named, in the order of [`SourceKind`].
    pub(super) fn sources(&self) -> Vec<SourceKind> {
        let mut kinds: Vec<_> = self.named().map(|shown| shown.kind).collect();
        kinds.sort();
        kinds
    }

    /// Their named sources, as shown in slots.
    pub(super) fn named(&self) -> impl Iterator<Item = Shown> {
        let media = self.media.iter();
        media
            .flat_map(|media| media.published.iter().map(move |line| (media.peer, line)))
            .filter_map(|(peer, line)| {
                let kind = *self.mids.get(line.mid.as_str())?;
                let fits = kind.is_audio() == (line.kind == MediaKind::Audio)
                    && self.may_publish.contains(&kind)
                    && !(self.stopped.screen && is_of_screen(kind));
                let source = Source { peer, mid: line.mid.clone() };
                fits.then(|| Shown { participant: self.public.id.clone(), kind, source })
            })
    }

    /// Returns the content of an audio slot when the engine forwards this m-line to it. An m-line without an audio name counts as the
    /// microphone.
    pub(super) fn heard(&self, source: &Source) -> Shown {
        let kind = self.mids.get(source.mid.as_str()).copied();
        Shown {
            participant: self.public.id.clone(),
            kind: kind.filter(|kind| kind.is_audio()).unwrap_or(SourceKind::Microphone),
            source: source.clone(),
        }
    }

    pub(super) fn slots(&self) -> Option<Vec<Slot>> {
        let media = self.media.as_ref()?;
        Some(media.slots.iter().map(SlotState::to_wire).collect())
    }
}

/// A stopped screen is no longer a source; a stopped microphone or camera remains one, switched off.
fn is_of_screen(kind: SourceKind) -> bool {
    matches!(kind, SourceKind::Screen | SourceKind::ScreenAudio)
}

/// The sources that a moderator has stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stopped {
    /// All audio, because a client can name its microphone as any audio source.
    pub(super) sound: bool,
    pub(super) camera: bool,
    /// The screen, including its audio.
    pub(super) screen: bool,
}

impl Stopped {
    pub(super) fn covers(self, source: SourceKind) -> bool {
        match source {
            SourceKind::Microphone => self.sound,
            SourceKind::Camera => self.camera,
            SourceKind::Screen => self.screen,
            SourceKind::ScreenAudio => self.sound || self.screen,
        }
    }

    /// The stopped sources, as everybody sees them.
    pub(super) fn to_wire(self) -> Vec<SourceKind> {
        let all = [SourceKind::Microphone, SourceKind::Camera, SourceKind::Screen];
        all.into_iter().filter(|source| self.covers(*source)).collect()
    }
}
