//! Which of a participant's m-lines the engine forwards.
//!
//! The `sources` that a client names are only a claim. Its permissions, the stops of moderators and its own `muted` are
//! enforced: for each published m-line, the room tells the engine whether to forward the packets.

use madang_sfu::{MediaKind, MediaLine, Mid, PeerId};
use madang_wire::{Signal, SourceKind};

use super::member::Member;
use super::{Effect, Room, rights};

/// Number of entries in `Media::told` above which those of removed m-lines are dropped.
const MAX_TOLD: usize = 256;

impl Member {
    /// The source that an m-line counts as when permissions are checked. Without a name of the same media kind, audio
    /// counts as a microphone and video as a camera.
    fn carries(&self, mid: &Mid, kind: MediaKind) -> SourceKind {
        let is_audio = kind == MediaKind::Audio;
        let named = self.mids.get(mid.as_str()).copied();
        named.filter(|named| named.is_audio() == is_audio).unwrap_or(match kind {
            MediaKind::Audio => SourceKind::Microphone,
            MediaKind::Video => SourceKind::Camera,
        })
    }

    fn is_forwarded(&self, mid: &Mid, kind: MediaKind) -> bool {
        let source = self.carries(mid, kind);
        let is_muted = source == SourceKind::Microphone && self.public.muted;
        self.may_publish.contains(&source) && !self.stopped.covers(source) && !is_muted
    }
}

impl Room {
    /// Recomputes what a member may publish, and passes the changes to the engine and to everybody.
    pub(super) fn update_rights(&mut self, index: usize) {
        let settings = &self.kept.record.settings;
        let Member { grant, public, .. } = &self.members[index];
        let all = [
            SourceKind::Microphone,
            SourceKind::Camera,
            SourceKind::Screen,
            SourceKind::ScreenAudio,
        ];
        let may = |source: &SourceKind| rights::may_publish(public.role, grant, settings, *source);
        self.members[index].may_publish = all.into_iter().filter(may).collect();
        self.update_sources(index);
    }

    /// Tells the engine which published m-lines to forward, where that changed.
    pub(super) fn permit(&mut self, index: usize) {
        let Some(media) = &self.members[index].media else { return };
        let lines: Vec<_> =
            media.published.iter().map(|line| (line.mid.clone(), line.kind)).collect();
        self.tell_engine(index, &lines);
        self.forget_told(index);
    }

    /// Drops the entries of removed m-lines once there are more than [`MAX_TOLD`].
    fn forget_told(&mut self, index: usize) {
        let Some(media) = &mut self.members[index].media else { return };
        if media.told.len() <= MAX_TOLD {
            return;
        }
        let (peer, published) = (media.peer, &media.published);
        let effects = &mut self.effects;
        media.told.retain(|mid, is_permitted| {
            let stays = published.iter().any(|line| line.mid == *mid);
            if !stays && !*is_permitted {
                effects.push_back(Effect::Permit { peer, mid: mid.clone(), is_permitted: true });
            }
            stays
        });
    }

    /// Tells a participant that the engine drops a part of what they send.
    pub(super) fn handle_excess(&mut self, peer: PeerId, mid: &Mid, bits_per_second: u64) {
        let Some(member) = self.index_of_peer(peer).map(|index| &self.members[index]) else {
            return;
        };
        if let Some(session) = member.session() {
            let source = member.mids.get(mid.as_str()).copied();
            let mid = mid.as_str().to_owned();
            let signal = Signal::BitrateExceeded { mid, source, bits_per_second };
            self.effects.push_back(Effect::Signal { to: session.into(), signal });
        }
    }

    /// Forbids the m-lines of an offer that must not be forwarded, before the engine sees the offer: on an established
    /// connection, packets may follow at once.
    pub(super) fn forbid_in_advance(&mut self, index: usize, sdp: &str) {
        let member = &self.members[index];
        if member.media.is_none() {
            return;
        }
        let forbidden = |line: MediaLine| {
            (!member.is_forwarded(&line.mid, line.kind)).then_some((line.mid, line.kind))
        };
        let lines: Vec<_> =
            madang_sfu::published_lines(sdp).into_iter().filter_map(forbidden).collect();
        self.tell_engine(index, &lines);
    }

    fn tell_engine(&mut self, index: usize, lines: &[(Mid, MediaKind)]) {
        let member = &self.members[index];
        let Some(media) = &member.media else { return };
        let mut news = Vec::new();
        for (mid, kind) in lines {
            let is_permitted = member.is_forwarded(mid, *kind);
            if media.told.get(mid).copied().unwrap_or(true) != is_permitted {
                news.push((media.peer, mid.clone(), is_permitted));
            }
        }
        for (peer, mid, is_permitted) in news {
            if let Some(media) = &mut self.members[index].media {
                media.told.insert(mid.clone(), is_permitted);
            }
            self.effects.push_back(Effect::Permit { peer, mid, is_permitted });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::member::Stopped;
    use super::*;

    #[test]
    fn a_muted_microphone_is_muted_by_any_name() {
        let muted = Stopped { sound: true, ..Stopped::default() };

        assert!(muted.covers(SourceKind::Microphone) && muted.covers(SourceKind::ScreenAudio));
        assert!(!muted.covers(SourceKind::Screen) && !muted.covers(SourceKind::Camera));
        assert_eq!(muted.to_wire(), [SourceKind::Microphone]);
    }
}
