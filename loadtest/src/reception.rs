//! Counts what one peer receives, per sender and kind, and checks it against the server's messages.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use madang_wire::Slot;

use crate::arrivals::{Arrival, Arrivals};
use crate::histogram::Histogram;
use crate::slot_log::{Flow, SlotLog};
use crate::stamp::{Kind, SenderId, Stamp};
use crate::vp8;

/// Everything that one peer has received.
#[derive(Clone, Debug)]
pub struct Reception {
    me: SenderId,
    /// Bounded by twice the number of peers in the run.
    streams: BTreeMap<(SenderId, Kind), Stream>,
    /// Bounded by the peer's own offer.
    slots: BTreeMap<String, ReceivingSlot>,
    latency: BTreeMap<Kind, Histogram>,
    own: u64,
    wrong_kind: u64,
    switches_without_key_frame: u64,
}

/// The received part of one stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The packets that arrived.
    pub arrivals: Arrivals,
    /// The arrival of the first packet (for video: the first of a key frame), in microseconds of the run's clock.
    pub first_us: Option<u64>,
    /// The arrival of the last packet, in microseconds of the run's clock.
    pub last_us: u64,
}

#[derive(Clone, Debug, Default)]
struct ReceivingSlot {
    log: SlotLog,
    unstamped: u64,
    /// The RTP sequence number of the previous packet.
    last_rtp_seq: Option<u16>,
    /// Whether the slot's current sender can't be decoded before the next key frame.
    needs_key_frame: bool,
}

/// A received packet, reduced to what matters here.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The m-line on which it arrived.
    pub mid: &'a str,
    /// The kind of that m-line.
    pub kind: Kind,
    /// Its RTP sequence number.
    pub rtp_seq: u16,
    /// Its RTP payload.
    pub payload: &'a Bytes,
}

/// The consequences of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A stream that plays from now on.
    pub begins: Option<(SenderId, Kind)>,
    /// Whether a decoder would have to request a key frame.
    pub needs_key_frame: bool,
}

impl Reception {
    /// Creates the reception of a peer that has received nothing yet.
    pub fn new(me: SenderId) -> Reception {
        Reception {
            me,
            streams: BTreeMap::new(),
            slots: BTreeMap::new(),
            latency: BTreeMap::new(),
            own: 0,
            wrong_kind: 0,
            switches_without_key_frame: 0,
        }
    }

    /// Handles the server's message about the content of the slots.
    pub fn handle_slots(&mut self, now_us: u64, slots: &[Slot]) {
        for slot in slots {
            let log = &mut self.slots.entry(slot.mid.clone()).or_default().log;
            log.announce(now_us, slot.participant.as_deref());
        }
    }

    /// Handles a received packet.
    pub fn handle_packet(&mut self, now_us: u64, packet: Received<'_>) -> Outcome {
        let Received { mid, kind, rtp_seq, payload } = packet;
        // A packet of padding only: a bandwidth probe.
        if payload.is_empty() {
            return Outcome::default();
        }
        let (stamp, is_start) = read(kind, payload);
        let slot = self.slots.entry(mid.to_owned()).or_default();
        let Some(stamp) = stamp else {
            slot.unstamped += 1;
            return Outcome::default();
        };
        self.own += u64::from(stamp.sender == self.me);
        self.wrong_kind += u64::from(stamp.kind != kind);
        let flow = slot.log.packet(now_us, stamp.sender);
        let stream = self.streams.entry((stamp.sender, kind)).or_default();
        if stream.arrivals.record(stamp.seq, flow) == Arrival::Duplicate {
            return Outcome::default();
        }
        stream.last_us = stream.last_us.max(now_us);
        let follows = slot.last_rtp_seq.replace(rtp_seq) == Some(rtp_seq.wrapping_sub(1));
        if flow == Flow::Switches {
            // Only if nothing was lost in between is it certain that no key frame was sent.
            self.switches_without_key_frame += u64::from(follows && !is_start);
            slot.needs_key_frame = true;
        }
        slot.needs_key_frame &= !is_start;
        let latency = now_us.saturating_sub(stamp.sent_us);
        self.latency.entry(kind).or_default().record(latency);
        let mut outcome = Outcome { begins: None, needs_key_frame: slot.needs_key_frame };
        if is_start && stream.first_us.is_none() {
            stream.first_us = Some(now_us);
            outcome.begins = Some((stamp.sender, kind));
        }
        outcome
    }

    /// The stream of a sender, if anything of it has arrived.
    pub fn stream(&self, sender: SenderId, kind: Kind) -> Option<&Stream> {
        self.streams.get(&(sender, kind))
    }

    /// All streams of a kind.
    pub fn streams(&self, kind: Kind) -> impl Iterator<Item = (SenderId, &Stream)> {
        let of_kind = move |(key, stream)| {
            let (sender, its_kind): &(SenderId, Kind) = key;
            (*its_kind == kind).then_some((*sender, stream))
        };
        self.streams.iter().filter_map(of_kind)
    }

    /// The latency of packets of a kind.
    pub fn latency(&self, kind: Kind) -> Histogram {
        self.latency.get(&kind).cloned().unwrap_or_default()
    }

    /// Violations by the server, as phrases about this peer. `sender_of` maps participants to peers of this run.
    pub fn lies(&self, sender_of: impl Fn(&str) -> Option<SenderId> + Copy) -> Vec<String> {
        let mut lies = Vec::new();
        let mut lie = |packets: u64, text: String| {
            if packets > 0 {
                lies.push(format!("{text} ({packets} packets)"));
            }
        };
        lie(self.own, "received its own media".to_owned());
        lie(self.wrong_kind, "received audio as video or video as audio".to_owned());
        lie(
            self.switches_without_key_frame,
            "had video slots switched without a key frame".to_owned(),
        );
        for (mid, slot) in &self.slots {
            let has_strangers = slot.log.participants().any(|p| sender_of(p).is_none());
            if has_strangers {
                continue;
            }
            lie(slot.unstamped, format!("received damaged packets in slot {mid}"));
            let text = format!("received someone else in slot {mid} than `slots` announced");
            lie(slot.log.contradictions(sender_of), text);
        }
        lies
    }
}

/// Reads the stamp, and whether decoding can start at this packet.
fn read(kind: Kind, payload: &Bytes) -> (Option<Stamp>, bool) {
    match kind {
        Kind::Audio => (Stamp::read(payload), true),
        Kind::Video => match vp8::read(payload) {
            Some(received) => (received.stamp, received.starts_key_frame),
            None => (None, false),
        },
    }
}

/// No code can panic while it holds the lock, so poisoning is harmless.
pub fn lock(reception: &Mutex<Reception>) -> MutexGuard<'_, Reception> {
    reception.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: SenderId = SenderId(0);
    const OTHER: SenderId = SenderId(1);

    fn sender_of(participant: &str) -> Option<SenderId> {
        match participant {
            "me" => Some(ME),
            "other" => Some(OTHER),
            _ => None,
        }
    }

    fn voice(sender: SenderId, seq: u32) -> Bytes {
        let mut payload = Vec::new();
        Stamp { sender, kind: Kind::Audio, seq, sent_us: 1000 }.write(30, &mut payload);
        payload.into()
    }

    fn picture(sender: SenderId, is_key: bool, seq: u32) -> Bytes {
        let stamp = Stamp { sender, kind: Kind::Video, seq, sent_us: 1000 };
        vp8::packetize(1, is_key, 200, || stamp).remove(0)
    }

    fn announced(participant: &str) -> Reception {
        let mut reception = Reception::new(ME);
        let slot = Slot {
            mid: "2".into(),
            participant: Some(participant.into()),
            source: None,
            layer: None,
            reason: None,
        };
        reception.handle_slots(0, &[slot]);
        reception
    }

    fn came(reception: &mut Reception, kind: Kind, rtp_seq: u16, payload: &Bytes) -> Outcome {
        let packet = Received { mid: "2", kind, rtp_seq, payload };
        reception.handle_packet(1000 + u64::from(rtp_seq), packet)
    }

    #[test]
    fn what_was_announced_and_came_is_counted() {
        let mut reception = announced("other");

        let first = came(&mut reception, Kind::Audio, 1, &voice(OTHER, 5));
        let second = came(&mut reception, Kind::Audio, 2, &voice(OTHER, 6));

        assert_eq!((first.begins, second.begins), (Some((OTHER, Kind::Audio)), None));
        let stream = reception.stream(OTHER, Kind::Audio).unwrap();
        assert_eq!((stream.arrivals.received(), stream.first_us), (2, Some(1001)));
        assert_eq!(reception.latency(Kind::Audio).max_us(), 2);
        assert!(reception.lies(sender_of).is_empty());
    }

    #[test]
    fn video_is_seen_from_its_first_key_frame_on() {
        let mut reception = announced("other");

        let inter = came(&mut reception, Kind::Video, 1, &picture(OTHER, false, 1));
        let key = came(&mut reception, Kind::Video, 2, &picture(OTHER, true, 2));
        let later = came(&mut reception, Kind::Video, 3, &picture(OTHER, false, 3));

        assert_eq!(inter, Outcome { begins: None, needs_key_frame: true });
        let begins = Some((OTHER, Kind::Video));
        assert_eq!(key, Outcome { begins, needs_key_frame: false });
        assert_eq!(later, Outcome::default());
        assert!(reception.lies(sender_of).is_empty());
    }

    #[test]
    fn a_switch_without_a_key_frame_is_a_lie_unless_it_may_have_been_lost() {
        for (rtp_seq, is_key, expected) in [(2, false, 1), (2, true, 0), (3, false, 0)] {
            let mut reception = Reception::new(ME);
            came(&mut reception, Kind::Video, 1, &picture(OTHER, true, 1));

            came(&mut reception, Kind::Video, rtp_seq, &picture(SenderId(2), is_key, 1));

            assert_eq!(reception.switches_without_key_frame, expected);
        }
    }

    #[test]
    fn lies_are_named() {
        for (payload, expected) in [
            (voice(ME, 1), "its own media"),
            (voice(OTHER, 1).slice(1..), "damaged"),
            (voice(SenderId(9), 1), "someone else"),
        ] {
            let mut reception = announced("other");
            came(&mut reception, Kind::Audio, 1, &payload);
            assert!(reception.lies(sender_of)[0].contains(expected), "{expected}");
        }
    }

    #[test]
    fn a_stranger_in_the_room_is_no_lie() {
        let mut reception = announced("a browser");

        came(&mut reception, Kind::Audio, 1, &Bytes::from_static(b"real sound"));

        assert!(reception.lies(sender_of).is_empty());
    }
}
