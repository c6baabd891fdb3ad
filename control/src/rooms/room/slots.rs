//! Decides what a participant's receiving slots show. `Room` carries the decisions out.

use std::collections::HashMap;

use madang_sfu::{MediaKind, MediaLine, Mid, Source};
use madang_wire::request::{View, WantedSlot};
use madang_wire::{Slot, SlotReason, SourceKind};

/// A published source that its participant has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) participant: String,
    pub(super) kind: SourceKind,
    /// The source's address in the media engine.
    pub(super) source: Source,
}

/// A receiving m-line and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotState {
    pub(super) mid: Mid,
    pub(super) kind: MediaKind,
    pub(super) shown: Option<Shown>,
    /// The voice that the view pins in this audio slot.
    pub(super) pinned: Option<Source>,
    pub(super) reason: SlotReason,
    /// Whether the source is sent in codecs that the viewer can't decode.
    pub(super) is_undecodable: bool,
}

impl SlotState {
    pub(super) fn empty(line: &MediaLine) -> SlotState {
        let MediaLine { mid, kind } = line.clone();
        let (shown, pinned, reason) = (None, None, SlotReason::Idle);
        SlotState { mid, kind, shown, pinned, reason, is_undecodable: false }
    }

    pub(super) fn source(&self) -> Option<&Source> {
        self.shown.as_ref().map(|shown| &shown.source)
    }

    pub(super) fn to_wire(&self) -> Slot {
        Slot {
            mid: self.mid.as_str().to_owned(),
            participant: self.shown.as_ref().map(|shown| shown.participant.clone()),
            source: self.shown.as_ref().map(|shown| shown.kind),
            layer: None,
            reason: Some(if self.is_undecodable { SlotReason::Codec } else { self.reason }),
        }
    }
}

/// Pins the voices that `view` names for audio slots, and returns the slots whose pin changed. A slot that the view does
/// not name, or whose voice is not there, is left to the active speakers.
pub(super) fn pin(
    slots: &mut [SlotState],
    view: &View,
    voices: &[Shown],
) -> Vec<(Mid, Option<Source>)> {
    let (mut changed, wanted) = (Vec::new(), by_mid(view));
    for slot in slots.iter_mut().filter(|slot| slot.kind == MediaKind::Audio) {
        let named = wanted
            .get(slot.mid.as_str())
            .and_then(|wanted| named(wanted, SourceKind::Microphone, voices.iter()));
        let pinned = named.map(|voice| voice.source.clone());
        if slot.pinned != pinned {
            slot.pinned.clone_from(&pinned);
            changed.push((slot.mid.clone(), pinned));
        }
    }
    changed
}

/// Fills the video slots of one participant; returns whether any of them changed. `sources` are all video sources of
/// the room by priority; those of `viewer` are left out.
///
/// The slots that `view` names show what it asks for. If `view.auto` is set, the remaining slots show the first of
/// `sources` that are not shown yet. Of these, a source that is already in a slot stays there.
pub(super) fn fill(slots: &mut [SlotState], view: &View, viewer: &str, sources: &[Shown]) -> bool {
    let wanted = by_mid(view);
    let wanted_for = |slot: &SlotState| wanted.get(slot.mid.as_str()).copied();
    let others = || sources.iter().filter(|shown| shown.participant != viewer);

    let mut next: Vec<(Option<Shown>, SlotReason)> = slots
        .iter()
        .map(|slot| match wanted_for(slot) {
            Some(wanted) => requested(wanted, others()),
            None => (None, SlotReason::Idle),
        })
        .collect();
    if view.auto {
        let free = |slot: &SlotState| is_video(slot) && wanted_for(slot).is_none();
        let count = slots.iter().filter(|slot| free(slot)).count();
        let on_show = |shown: &Shown| next.iter().any(|(there, _)| there.as_ref() == Some(shown));
        let mut chosen: Vec<&Shown> = others().filter(|s| !on_show(s)).take(count).collect();
        let stays: Vec<bool> =
            slots.iter().map(|slot| free(slot) && take(&mut chosen, slot.shown.as_ref())).collect();
        let mut rest = chosen.into_iter();
        for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| free(slot)) {
            let shown = if stays[index] { slot.shown.clone() } else { rest.next().cloned() };
            let reason = if shown.is_some() { SlotReason::Auto } else { SlotReason::Idle };
            next[index] = (shown, reason);
        }
    }

    let mut is_different = false;
    for (slot, (shown, reason)) in slots.iter_mut().zip(next).filter(|(slot, _)| is_video(slot)) {
        is_different |= slot.shown != shown || slot.reason != reason;
        slot.is_undecodable &= slot.shown == shown;
        (slot.shown, slot.reason) = (shown, reason);
    }
    is_different
}

fn is_video(slot: &SlotState) -> bool {
    slot.kind == MediaKind::Video
}

/// The entries of a view; of several for one slot, the first counts.
fn by_mid(view: &View) -> HashMap<&str, &WantedSlot> {
    view.slots.iter().rev().map(|wanted| (wanted.mid.as_str(), wanted)).collect()
}

/// The source that an entry of a view names; `kind` if it names only the participant.
fn named<'a>(
    wanted: &WantedSlot,
    kind: SourceKind,
    mut sources: impl Iterator<Item = &'a Shown>,
) -> Option<&'a Shown> {
    let participant = wanted.participant.as_ref()?;
    let kind = wanted.source.unwrap_or(kind);
    sources.find(|shown| shown.participant == *participant && shown.kind == kind)
}

fn requested<'a>(
    wanted: &WantedSlot,
    sources: impl Iterator<Item = &'a Shown>,
) -> (Option<Shown>, SlotReason) {
    if wanted.participant.is_none() {
        return (None, SlotReason::View);
    }
    match named(wanted, SourceKind::Camera, sources) {
        Some(shown) => (Some(shown.clone()), SlotReason::View),
        None => (None, SlotReason::NotAvailable),
    }
}

/// Removes `one` from `from`; returns whether it was there.
fn take(from: &mut Vec<&Shown>, one: Option<&Shown>) -> bool {
    let Some(index) = from.iter().position(|shown| Some(*shown) == one) else {
        return false;
    };
    from.remove(index);
    true
}

#[cfg(test)]
mod tests {
    use madang_sfu::PeerId;

    use super::*;

    #[test]
    fn free_slots_are_filled_in_order() {
        let mut slots = slots(3);
        assert!(fill(&mut slots, &View::default(), "me", &cameras(&["a", "me", "b"])));

        assert_eq!(on_show(&slots), ["a", "b", "-"]);
        assert_eq!(slots[2].reason, SlotReason::Idle);
    }

    #[test]
    fn nobody_moves_when_others_come_and_go() {
        let mut slots = slots(3);
        let view = View::default();
        fill(&mut slots, &view, "me", &cameras(&["a", "b", "c"]));

        fill(&mut slots, &view, "me", &cameras(&["b", "c"]));
        assert_eq!(on_show(&slots), ["-", "b", "c"]);
        fill(&mut slots, &view, "me", &cameras(&["d", "c", "b"]));
        assert_eq!(on_show(&slots), ["d", "b", "c"]);
        assert!(!fill(&mut slots, &view, "me", &cameras(&["c", "b", "d"])));
    }

    #[test]
    fn with_too_few_slots_the_first_sources_win_and_stay_where_they_are() {
        let mut slots = slots(2);
        let view = View::default();
        fill(&mut slots, &view, "me", &cameras(&["a", "b", "c"]));

        fill(&mut slots, &view, "me", &cameras(&["c", "a", "b"]));

        assert_eq!(on_show(&slots), ["a", "c"]);
    }

    #[test]
    fn what_is_asked_for_comes_first_and_is_not_shown_twice() {
        let mut slots = slots(3);
        let view = View { slots: vec![wanted("v1", Some("a"))], auto: true };

        fill(&mut slots, &view, "me", &cameras(&["a", "b"]));

        assert_eq!(on_show(&slots), ["b", "a", "-"]);
        assert_eq!(slots[1].reason, SlotReason::View);
    }

    #[test]
    fn a_slot_waits_for_whom_it_is_asked_to_show() {
        let mut slots = slots(2);
        let view = View { slots: vec![wanted("v0", Some("z"))], auto: true };

        fill(&mut slots, &view, "me", &cameras(&["a", "b"]));
        assert_eq!(on_show(&slots), ["-", "a"]);
        assert_eq!(slots[0].reason, SlotReason::NotAvailable);

        fill(&mut slots, &view, "me", &cameras(&["a", "b", "z"]));
        assert_eq!(on_show(&slots), ["z", "a"]);
    }

    #[test]
    fn a_slot_can_be_kept_empty_and_auto_turned_off() {
        let mut slots = slots(2);
        let sources = cameras(&["a", "b"]);

        fill(&mut slots, &View { slots: vec![wanted("v0", None)], auto: true }, "me", &sources);
        assert_eq!(on_show(&slots), ["-", "a"]);
        fill(&mut slots, &View { slots: vec![], auto: false }, "me", &sources);
        assert_eq!(on_show(&slots), ["-", "-"]);
    }

    #[test]
    fn audio_slots_are_left_alone() {
        let audio = MediaLine { mid: Mid::new("a0"), kind: MediaKind::Audio };
        let mut slots = vec![SlotState::empty(&audio)];

        assert!(!fill(&mut slots, &View::default(), "me", &cameras(&["a"])));
    }

    fn slots(count: usize) -> Vec<SlotState> {
        (0..count)
            .map(|n| MediaLine { mid: Mid::new(&format!("v{n}")), kind: MediaKind::Video })
            .map(|line| SlotState::empty(&line))
            .collect()
    }

    fn cameras(names: &[&str]) -> Vec<Shown> {
        let camera = |name: &&str| Shown {
            participant: (*name).to_owned(),
            kind: SourceKind::Camera,
            source: Source { peer: PeerId(name.as_bytes()[0].into()), mid: Mid::new("1") },
        };
        names.iter().map(camera).collect()
    }

    fn wanted(mid: &str, participant: Option<&str>) -> WantedSlot {
        let participant = participant.map(str::to_owned);
        WantedSlot { mid: mid.to_owned(), participant, ..WantedSlot::default() }
    }

    fn on_show(slots: &[SlotState]) -> Vec<&str> {
        slots.iter().map(|s| s.shown.as_ref().map_or("-", |shown| &shown.participant)).collect()
    }
}
