//! Which participants can decode what others send, and what publishers should send instead.
//!
//! The engine forwards streams as they are. A viewer whose connection can't decode a stream gets nothing of it: its slot
//! says so (reason `codec`), and the publisher is told which codecs the room can decode.

use std::collections::HashMap;

use madang_sfu::{Codec, MediaKind, Mid, NegotiatedCodec, PeerId, Receivers};
use madang_wire::{CodecMismatch, RoomCodec, Signal, SourceKind};

use super::member::{Media, Member};
use super::{Effect, Room};

/// The codecs that a `codec_mismatch` lists of a room. Browsers have up to 20.
const MAX_ROOM_CODECS: usize = 32;

/// The codecs in which each published m-line may arrive.
type Streams<'a> = HashMap<(PeerId, &'a Mid), Vec<Codec>>;

impl Media {
    /// The codecs in which an m-line sends: those that the engine has seen; before, all those negotiated.
    fn sends(&self, mid: &Mid) -> Vec<Codec> {
        match self.sent.get(mid) {
            Some(sent) => sent.clone(),
            None => self.codecs_of(mid).collect(),
        }
    }

    fn codecs_of(&self, mid: &Mid) -> impl Iterator<Item = Codec> {
        self.codecs.get(mid).into_iter().flatten().map(|negotiated| negotiated.codec)
    }

    /// The codecs of the video slots. Clients offer the same for all of them, so those of the first one count.
    fn received(&self) -> &[NegotiatedCodec] {
        let first = self.slots.iter().find(|slot| slot.kind == MediaKind::Video);
        first.and_then(|slot| self.codecs.get(&slot.mid)).map_or(&[], Vec::as_slice)
    }
}

impl Room {
    /// Returns the codecs that the members who receive video can decode, apart from one member.
    pub(super) fn receivers(&self, except: Option<usize>) -> Receivers {
        let mut receivers = Receivers::default();
        for received in self.received(except) {
            receivers.add(received.iter().map(|negotiated| negotiated.codec).collect());
        }
        receivers
    }

    fn received(&self, except: Option<usize>) -> impl Iterator<Item = &[NegotiatedCodec]> {
        let others = self.members.iter().enumerate().filter(move |(at, _)| Some(*at) != except);
        let received = others.filter_map(|(_, member)| Some(member.media.as_ref()?.received()));
        received.filter(|received| !received.is_empty())
    }

    /// Handles the engine's report that a member sends video in other codecs.
    pub(super) fn handle_sending(&mut self, peer: PeerId, mid: Mid, codecs: Vec<Codec>) {
        let index = self.index_of_peer(peer);
        if let Some(media) = index.and_then(|index| self.members[index].media.as_mut()) {
            media.sent.insert(mid, codecs);
            self.compare_codecs();
        }
    }

    /// Finds out which slots show what their viewer can't decode, and what publishers should send.
    pub(super) fn compare_codecs(&mut self) {
        let streams = self.streams();
        let mut undecodable: HashMap<(PeerId, Mid), u32> = HashMap::new();
        let mut changes = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let Some(media) = &member.media else { continue };
            for (at, slot) in media.slots.iter().enumerate() {
                let Some(source) = slot.source().filter(|_| slot.kind == MediaKind::Video) else {
                    continue;
                };
                let decodes =
                    |sent: &Codec| media.codecs_of(&slot.mid).any(|own| own.decodes(*sent));
                let sent = streams.get(&(source.peer, &source.mid));
                let can_show = sent.is_none_or(|sent| sent.iter().any(decodes));
                if !can_show {
                    *undecodable.entry((source.peer, source.mid.clone())).or_default() += 1;
                }
                if slot.is_undecodable == can_show {
                    changes.push((index, at));
                }
            }
        }
        for (index, at) in changes {
            let member = &mut self.members[index];
            member.has_news = true;
            if let Some(media) = &mut member.media {
                media.slots[at].is_undecodable ^= true;
            }
        }
        for index in 0..self.members.len() {
            let mismatches = self.mismatches(index, &undecodable);
            let member = &mut self.members[index];
            member.has_new_mismatches |= member.mismatches != mismatches;
            member.mismatches = mismatches;
        }
    }

    fn streams(&self) -> Streams<'_> {
        let media = self.members.iter().filter_map(|member| member.media.as_ref());
        let lines = media.flat_map(|media| {
            let video = media.published.iter().filter(|line| line.kind == MediaKind::Video);
            video.map(|line| ((media.peer, &line.mid), media.sends(&line.mid)))
        });
        lines.filter(|(_, codecs)| !codecs.is_empty()).collect()
    }

    /// The m-lines of a member that some viewers can't decode.
    fn mismatches(
        &self,
        index: usize,
        undecodable: &HashMap<(PeerId, Mid), u32>,
    ) -> Vec<CodecMismatch> {
        let member = &self.members[index];
        let Some(media) = member.media.as_ref().filter(|_| !undecodable.is_empty()) else {
            return Vec::new();
        };
        let lines = media.published.iter().filter_map(|line| {
            let viewers = *undecodable.get(&(media.peer, line.mid.clone()))?;
            Some(self.mismatch(index, media, &line.mid, viewers))
        });
        lines.collect()
    }

    fn mismatch(&self, index: usize, media: &Media, mid: &Mid, viewers: u32) -> CodecMismatch {
        let receivers = self.receivers(Some(index));
        let describe = |negotiated: &NegotiatedCodec| RoomCodec {
            mime_type: negotiated.mime_type.clone(),
            sdp_fmtp_line: negotiated.fmtp.clone(),
            receivers: receivers.decoding(negotiated.codec) as u32,
        };
        let negotiated = media.codecs.get(mid).map_or(&[][..], Vec::as_slice);
        let codecs: Vec<Codec> = negotiated.iter().map(|negotiated| negotiated.codec).collect();
        let cover = receivers.cover(&codecs);
        let wanted = cover.iter().filter_map(|codec| {
            negotiated.iter().find(|negotiated| negotiated.codec == *codec).map(describe)
        });
        let mut room: Vec<&NegotiatedCodec> = Vec::new();
        for received in self.received(Some(index)).flatten() {
            if room.len() < MAX_ROOM_CODECS
                && room.iter().all(|known| known.codec != received.codec)
            {
                room.push(received);
            }
        }
        let mut room: Vec<RoomCodec> = room.into_iter().map(describe).collect();
        room.sort_by_key(|codec| std::cmp::Reverse(codec.receivers));
        CodecMismatch {
            mid: mid.as_str().to_owned(),
            source: source_of(&self.members[index], mid),
            viewers,
            receivers: receivers.count() as u32,
            wanted: wanted.collect(),
            room,
        }
    }

    /// Tells the publishers whose mismatches changed.
    pub(super) fn tell_mismatches(&mut self) {
        for member in &mut self.members {
            let Some(session) = member.session() else {
                continue;
            };
            if std::mem::take(&mut member.has_new_mismatches) {
                let signal = Signal::CodecMismatch { mismatches: member.mismatches.clone() };
                self.effects.push_back(Effect::Signal { to: session.into(), signal });
            }
        }
    }
}

fn source_of(member: &Member, mid: &Mid) -> Option<SourceKind> {
    member.mids.get(mid.as_str()).copied()
}
