//! Which sources the slots of each participant show and play.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use madang_sfu::{MediaKind, Mid, PeerId, Source};
use madang_wire::{Event, Signal, SlotReason, SourceKind, Speaker};

use super::slots::{self, Shown, SlotState};
use super::{Effect, Room};

/// `slots` signals that a member gets a second, besides replies, on average over some seconds.
pub(super) const SLOTS_PER_SECOND: u32 = 5;
/// How long `slots` signals wait that exceed this rate.
const NEWS_DELAY: Duration = Duration::from_millis(200);

impl Room {
    /// Recomputes what everybody's video slots show, and assigns the changed ones in the engine.
    pub(super) fn show(&mut self) {
        let (sources, voices) = (self.video_sources(), self.voices());
        let peers: HashSet<PeerId> =
            self.members.iter().filter_map(|m| m.media.as_ref()).map(|media| media.peer).collect();
        for member in &mut self.members {
            let Some(media) = &mut member.media else {
                continue;
            };
            member.has_news |= hush(&mut media.slots, &peers);
            let before: Vec<_> = media.slots.iter().map(|slot| slot.source().cloned()).collect();
            for (slot, pinned) in slots::pin(&mut media.slots, &member.view, &voices) {
                let peer = media.peer;
                self.effects.push_back(Effect::Assign { peer, slot, source: pinned });
            }
            let viewer = member.public.id.as_str();
            if !slots::fill(&mut media.slots, &member.view, viewer, &sources) {
                continue;
            }
            member.has_news = true;
            for (slot, before) in media.slots.iter().zip(before) {
                if slot.kind == MediaKind::Video && slot.source() != before.as_ref() {
                    let (peer, source) = (media.peer, slot.source().cloned());
                    self.effects.push_back(Effect::Assign { peer, slot: slot.mid.clone(), source });
                }
            }
        }
        self.compare_codecs();
    }

    /// All microphones and the sound of all screens.
    fn voices(&self) -> Vec<Shown> {
        let is_voice =
            |shown: &Shown| matches!(shown.kind, SourceKind::Microphone | SourceKind::ScreenAudio);
        self.members.iter().flat_map(|member| member.named()).filter(is_voice).collect()
    }

    /// All sources that can be shown, by priority: screens before cameras, each by most recent speaker, then in join
    /// order. A camera that is off is left out, because a slot would show its last picture forever.
    fn video_sources(&self) -> Vec<Shown> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|member| Reverse(member.spoke));
        let (mut screens, mut cameras) = (Vec::new(), Vec::new());
        for member in members {
            for shown in member.named() {
                match shown.kind {
                    SourceKind::Screen => screens.push(shown),
                    SourceKind::Camera if !member.public.camera_off => cameras.push(shown),
                    SourceKind::Camera | SourceKind::Microphone | SourceKind::ScreenAudio => {}
                }
            }
        }
        screens.append(&mut cameras);
        screens
    }

    /// Sends the slots to every member whose slots changed. A member who has got many of these signals lately gets the
    /// latest state a little later.
    pub(super) fn tell_news(&mut self, now: Instant) {
        self.news_at = None;
        for member in &mut self.members {
            let Some(session) = member.session() else {
                continue;
            };
            if !member.has_news {
                continue;
            }
            if !member.slots_allowance.take(now) {
                self.news_at = now.checked_add(NEWS_DELAY);
                continue;
            }
            member.has_news = false;
            let signal = Signal::Slots { slots: member.slots().unwrap_or_default() };
            self.effects.push_back(Effect::Signal { to: session.into(), signal });
        }
        self.tell_mismatches();
    }

    /// Handles the loss of a peer in the engine: its participant has no media until the next offer.
    pub(super) fn handle_disconnected(&mut self, peer: PeerId) {
        let Some(index) = self.index_of_peer(peer) else {
            return;
        };
        self.members[index].media = None;
        self.members[index].has_news = true;
        self.update_sources(index);
        self.show();
    }

    /// Handles the engine's choice of the speaker in a peer's audio slot.
    pub(super) fn handle_audio_slot(&mut self, peer: PeerId, slot: &Mid, source: Option<&Source>) {
        let heard = source.and_then(|source| {
            let index = self.index_of_peer(source.peer)?;
            Some(self.members[index].heard(source))
        });
        let Some(index) = self.index_of_peer(peer) else {
            return;
        };
        let member = &mut self.members[index];
        let slots = member.media.iter_mut().flat_map(|media| &mut media.slots);
        for slot in slots.filter(|s| s.mid == *slot && s.kind == MediaKind::Audio) {
            slot.reason = match &heard {
                None => SlotReason::Idle,
                Some(heard) if slot.pinned.as_ref() == Some(&heard.source) => SlotReason::View,
                Some(_) => SlotReason::Speaker,
            };
            member.has_news |= slot.shown != heard;
            slot.shown.clone_from(&heard);
        }
    }

    /// Handles the engine's list of active speakers, loudest first.
    pub(super) fn handle_speakers(&mut self, levels: &[(PeerId, u8)]) {
        let mut speakers = Vec::new();
        // The loudest gets the highest number, as the most recent one.
        for (peer, level) in levels.iter().rev() {
            let Some(index) = self.index_of_peer(*peer) else {
                continue;
            };
            self.last_spoke += 1;
            self.members[index].spoke = self.last_spoke;
            let participant = self.members[index].public.id.clone();
            speakers.push(Speaker { participant, level: *level });
        }
        speakers.reverse();
        self.publish(Event::Speakers { speakers });
        self.show();
    }
}

/// Empties audio slots whose speaker no longer has media; returns whether there was one.
fn hush(slots: &mut [SlotState], peers: &HashSet<PeerId>) -> bool {
    let mut is_different = false;
    for slot in slots.iter_mut().filter(|slot| slot.kind == MediaKind::Audio) {
        if slot.source().is_some_and(|source| !peers.contains(&source.peer)) {
            (slot.shown, slot.reason) = (None, SlotReason::Idle);
            is_different = true;
        }
    }
    is_different
}
