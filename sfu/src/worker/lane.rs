//! The way from one worker to another: a bounded ring of parcels, in order with messages.
//!
//! ```text
//!   received packet → Lane (one per other worker): Parcel, Parcel, message, Parcel → that worker's inbox
//!                       ↑ parcels that were read, to be filled again
//! ```
//!
//! A packet is copied once for each worker that serves receivers of it. One worker fills a parcel and another reads it;
//! the reference count shows who holds it, so neither side locks or waits. Once as many parcels exist as are in flight
//! at a time, none is allocated.

use std::collections::VecDeque;
use std::sync::Arc;

use super::message::Remote;
use super::parcel::{Crossing, Parcel};
use crate::MediaKind;

/// How many parcels the other worker may be behind (back-pressure). Beyond, packets are dropped and counted, as on a
/// network: that worker requests them again while there is time, and later a key frame.
const UNREAD: usize = 256;
/// The limit for parcels of video. It is lower, so that a worker that can't keep up still gets all audio.
const UNREAD_VIDEO: usize = 192;
/// Read parcels kept in addition to those in flight.
const SPARE: usize = 8;

/// The way to one other worker.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    open_audio: Option<Arc<Parcel>>,
    open_video: Option<Arc<Parcel>>,
    /// The parcels handed over, oldest first. The other worker reads them in this order.
    sent: VecDeque<Arc<Parcel>>,
    /// The queue of things to hand over. Parcels in it count as unread. Messages are few per command and peer, and are
    /// never dropped.
    outgoing: VecDeque<Remote>,
}

impl Lane {
    /// Adds a packet; `false` if the other worker is too far behind.
    pub(crate) fn push(&mut self, kind: MediaKind, crossing: Crossing, opened: &[u8]) -> bool {
        let Some(mut parcel) = self.open(kind).take().or_else(|| self.empty(kind)) else {
            return false;
        };
        let Some(filled) = Arc::get_mut(&mut parcel) else {
            return false;
        };
        filled.push(crossing, opened);
        let is_full = filled.is_full();
        *self.open(kind) = Some(parcel);
        if is_full {
            self.close(kind);
        }
        true
    }

    /// Adds a message behind everything added before.
    pub(crate) fn post(&mut self, message: Remote) {
        self.close_all();
        self.outgoing.push_back(message);
    }

    /// The next message to hand over.
    pub(crate) fn poll(&mut self) -> Option<Remote> {
        if self.outgoing.is_empty() {
            self.close_all();
        }
        self.outgoing.pop_front()
    }

    fn open(&mut self, kind: MediaKind) -> &mut Option<Arc<Parcel>> {
        match kind {
            MediaKind::Audio => &mut self.open_audio,
            MediaKind::Video => &mut self.open_video,
        }
    }

    fn close(&mut self, kind: MediaKind) {
        if let Some(parcel) = self.open(kind).take() {
            self.sent.push_back(Arc::clone(&parcel));
            self.outgoing.push_back(Remote::Packets(parcel));
        }
    }

    fn close_all(&mut self) {
        self.close(MediaKind::Audio);
        self.close(MediaKind::Video);
    }

    /// A parcel that has been read, else a new one; `None` if too many are unread.
    fn empty(&mut self, kind: MediaKind) -> Option<Arc<Parcel>> {
        let is_unread = |parcel: &&Arc<Parcel>| Arc::strong_count(parcel) > 1;
        let unread = self.sent.iter().rev().take_while(is_unread).count();
        let limit = match kind {
            MediaKind::Audio => UNREAD,
            MediaKind::Video => UNREAD_VIDEO,
        };
        if unread >= limit {
            return None;
        }
        let read = self.sent.len() - unread;
        if read > SPARE {
            self.sent.pop_front();
        }
        if read == 0 {
            return Some(Arc::default());
        }
        let mut parcel = self.sent.pop_front()?;
        match Arc::get_mut(&mut parcel) {
            Some(read) => read.clear(),
            None => return Some(Arc::default()),
        }
        Some(parcel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerId;
    use crate::rtp::Codec;

    fn push(lane: &mut Lane, kind: MediaKind, index: u64) -> bool {
        let crossing = Crossing {
            peer: PeerId(1),
            track: 0,
            stream: 1,
            ssrc: 1,
            index,
            codec: Codec::Opus,
            starts_key_frame: false,
            payload: 12..16,
        };
        lane.push(kind, crossing, &index.to_be_bytes())
    }

    fn parcel(lane: &mut Lane) -> Option<Arc<Parcel>> {
        match lane.poll() {
            Some(Remote::Packets(parcel)) => Some(parcel),
            _ => None,
        }
    }

    fn indexes(parcel: &Parcel) -> Vec<u64> {
        let packets = parcel.packets();
        packets
            .map(|(crossing, bytes)| {
                assert_eq!(bytes, crossing.index.to_be_bytes());
                crossing.index
            })
            .collect()
    }

    #[test]
    fn packets_cross_together_and_messages_keep_their_place() {
        let mut lane = Lane::default();
        push(&mut lane, MediaKind::Video, 1);
        push(&mut lane, MediaKind::Video, 2);
        lane.post(Remote::Gone { peer: PeerId(7) });
        push(&mut lane, MediaKind::Video, 3);
        assert_eq!(indexes(&parcel(&mut lane).unwrap()), [1, 2]);
        assert!(matches!(lane.poll(), Some(Remote::Gone { peer: PeerId(7) })));
        assert_eq!(indexes(&parcel(&mut lane).unwrap()), [3]);
        assert!(lane.poll().is_none());
    }

    #[test]
    fn a_full_parcel_is_followed_by_another() {
        let mut lane = Lane::default();
        (0..150).for_each(|index| assert!(push(&mut lane, MediaKind::Audio, index)));
        let sizes: Vec<usize> = std::iter::from_fn(|| parcel(&mut lane)).map(|p| p.len()).collect();
        assert_eq!(sizes, [64, 64, 22]);
    }

    #[test]
    fn parcels_are_reused_once_they_have_been_read() {
        let mut lane = Lane::default();
        let mut addresses = Vec::new();
        for index in 0..100 {
            push(&mut lane, MediaKind::Video, index);
            let parcel = parcel(&mut lane).unwrap();
            assert_eq!(indexes(&parcel), [index]);
            addresses.push(Arc::as_ptr(&parcel));
        }
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 1);
    }

    #[test]
    fn a_worker_that_is_behind_loses_video_first_and_recovers() {
        let mut lane = Lane::default();
        let mut unread = Vec::new();
        let mut fill = |lane: &mut Lane, kind| {
            let mut taken = 0;
            while push(lane, kind, 1) {
                unread.extend(parcel(lane));
                taken += 1;
            }
            taken
        };
        assert_eq!(fill(&mut lane, MediaKind::Video), UNREAD_VIDEO);
        assert_eq!(fill(&mut lane, MediaKind::Audio), UNREAD - UNREAD_VIDEO);
        unread.clear();
        assert!(push(&mut lane, MediaKind::Video, 1));
        for index in 0..UNREAD as u64 {
            push(&mut lane, MediaKind::Audio, index);
            drop(parcel(&mut lane));
        }
        assert!(lane.sent.len() <= SPARE + 2, "memory is given back: {}", lane.sent.len());
    }
}
