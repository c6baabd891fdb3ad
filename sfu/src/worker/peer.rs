//! A peer: how it is connected, what it publishes, and the slots in which it receives.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::association::Association;
use crate::bandwidth::budget::Budget;
use crate::bandwidth::estimator::Estimator;
use crate::bandwidth::layer_choice::LayerChooser;
use crate::bandwidth::send_history::SendHistory;
use crate::codec::Codec;
use crate::incoming::history::History;
use crate::incoming::lip_sync::SenderClock;
use crate::incoming::meter::Meter;
use crate::incoming::nack::NackGenerator;
use crate::incoming::stream::{Reception, Stream};
use crate::incoming::track::Track;
use crate::keys::WorkerNumber;
use crate::media::clock_rate;
use crate::outgoing::slot::Slot;
use crate::outgoing::ssrcs::Ssrcs;
use crate::rtcp::NtpTime;
use crate::rtcp::twcc::{Arrivals, Feedback};
use crate::sdp::{Extension, Offer};
use crate::transport::dtls::{Fingerprint, Keys};
use crate::transport::ice::Agent;
use crate::transport::path::Path;
use crate::transport::srtp::{RtpStream, RtpStreams};
use crate::{MediaKind, Mid, PeerId, RoomId};

/// SSRCs that a peer may have at a time. Beyond, the one silent for the longest time is forgotten.
const MAX_STREAMS: usize = 32;

/// Forbidden m-lines remembered per peer: more than it can have tracks. Beyond, those that it has not published are
/// forgotten, the oldest first.
const MAX_FORBIDDEN: usize = 256;

/// The longest plausible time in seconds between the sampling of a packet and its arrival. A sender report that implies
/// more is not believed.
const MOST_DELAY: u32 = 1;

/// One peer, as a worker represents it.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) room: RoomId,
    pub(crate) link: Link,
    pub(crate) tracks: Vec<Track>,
    /// M-lines whose media is not forwarded, including m-lines that the peer does not have yet.
    pub(crate) forbidden: Vec<Mid>,
    /// One for each m-line on which it receives, and closed ones, as many as an offer can have m-lines in use. Always
    /// empty for a peer of another worker, which serves those slots.
    pub(crate) slots: Vec<Slot>,
    pub(crate) streams: Vec<Stream>,
    /// The bytes received of all its tracks lately.
    pub(crate) received: Meter,
    /// Its wall clock, as derived from its sender reports.
    pub(crate) clock: SenderClock,
    /// The codecs in which it sends each video m-line, as last reported.
    pub(crate) sent_codecs: Vec<(Mid, Vec<Codec>)>,
}

/// How a peer is connected.
#[expect(
    clippy::large_enum_variant,
    reason = "peers of other workers are few, and a receiver's keys are used for each of its packets"
)]
pub(crate) enum Link {
    /// To this worker.
    Direct(Connection),
    /// To another worker, which hands over what the peer publishes.
    Through(WorkerNumber),
}

impl Link {
    /// The connection of a peer of this worker.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        match self {
            Link::Direct(connection) => Some(connection),
            Link::Through(_) => None,
        }
    }

    /// The connection of a peer of this worker.
    pub(crate) fn connection_mut(&mut self) -> Option<&mut Connection> {
        match self {
            Link::Direct(connection) => Some(connection),
            Link::Through(_) => None,
        }
    }

    /// The SRTP keys, once DTLS is connected.
    pub(crate) fn keys(&self) -> Option<&Keys> {
        self.connection()?.keys.as_deref()
    }
}

/// A peer connection: ICE, DTLS and SRTP, and the state of congestion control.
pub(crate) struct Connection {
    pub(crate) ice: Agent,
    /// The path and time of the last authentic packet of media, which the agent learns of with the next tick.
    pub(crate) last_packet: Option<(Path, Instant)>,
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// The `a=tls-id` of the client's offers.
    pub(crate) tls_id: Option<String>,
    /// Created when the first DTLS datagram arrives on a validated path.
    pub(super) dtls: Option<Association>,
    /// Set once DTLS is connected.
    pub(crate) keys: Option<Box<Keys>>,
    /// The SRTP state of streams that no track carries, for the life of the keys.
    pub(crate) put_aside: RtpStreams,
    /// The SSRCs of everything that the server sends to the peer.
    pub(crate) ssrcs: Ssrcs,
    /// The SSRC of the reports that the server sends to the peer.
    pub(crate) reporter_ssrc: u32,
    pub(crate) session_id: u64,
    pub(crate) session_version: u64,
    pub(crate) reports_at: Instant,
    /// The smoothed round-trip time, from the peer's reports; `None` before the first.
    pub(crate) round_trip: Option<Duration>,
    /// The budget for retransmissions to the peer.
    pub(crate) budget: Budget,
    /// When packets of the peer arrived, for TWCC feedback to it.
    pub(crate) arrivals: Arrivals,
    /// Packets sent to the peer with transport-wide sequence numbers.
    pub(crate) send_history: SendHistory,
    /// Estimates the bandwidth from the peer's TWCC feedback; created with the first.
    pub(crate) estimator: Option<Box<Estimator>>,
    /// Chooses the simulcast layers that the peer receives.
    pub(crate) chooser: LayerChooser,
    /// The peer accepts RTCP in reduced size (RFC 5506).
    pub(crate) has_reduced_size: bool,
}

impl Connection {
    /// Whether an offer comes from the client's end of this connection. Its DTLS association identifies a connection:
    /// a new one has another certificate or, if the client sends it, another `a=tls-id` (RFC 8842 §4). Nothing else
    /// does: some clients change the `o=` line with every offer, others send the same one from all their connections,
    /// and a new ufrag alone is an ICE restart, unless another handshake follows (`association`).
    pub(crate) fn is_offered_by(&self, offer: &Offer) -> bool {
        match (&self.tls_id, &offer.tls_id) {
            // Without an m-line in use, an offer says nothing about the transport.
            _ if offer.ufrag.is_none() => true,
            (Some(known), Some(offered)) => known == offered,
            _ => offer.fingerprints.iter().any(|offered| self.fingerprints.contains(offered)),
        }
    }

    /// Takes a measured round-trip time, smoothed as in RFC 6298 §2.
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        self.round_trip =
            Some(self.round_trip.map_or(round_trip, |so_far| (so_far * 7 + round_trip) / 8));
    }

    /// Takes TWCC feedback from the peer.
    pub(crate) fn told(&mut self, now: Instant, feedback: &Feedback<'_>) {
        let estimator = self.estimator.get_or_insert_default();
        self.send_history.take(feedback, estimator);
        estimator.told(now);
        if let Some(bits_per_second) = estimator.bits_per_second() {
            self.chooser.measured(now, bits_per_second);
        }
    }
}

impl Peer {
    /// Sets whether the media of an m-line is forwarded. `false` if nothing changes.
    pub(crate) fn permit(&mut self, mid: &Mid, is_permitted: bool) -> bool {
        if self.is_permitted(mid) == is_permitted {
            return false;
        }
        if is_permitted {
            self.forbidden.retain(|forbidden| forbidden != mid);
            return true;
        }
        if self.forbidden.len() >= MAX_FORBIDDEN {
            let is_published = |mid: &Mid| self.tracks.iter().any(|track| track.mid == *mid);
            let unpublished = self.forbidden.iter().position(|mid| !is_published(mid));
            self.forbidden.remove(unpublished.unwrap_or_default());
        }
        self.forbidden.push(mid.clone());
        true
    }

    /// Whether the media of an m-line is forwarded.
    pub(crate) fn is_permitted(&self, mid: &Mid) -> bool {
        !self.forbidden.contains(mid)
    }

    /// The index of the stream with this SSRC.
    pub(crate) fn stream(&self, ssrc: u32) -> Option<usize> {
        self.streams.iter().position(|stream| stream.ssrc == ssrc)
    }

    /// The track that an unknown SSRC belongs to: by the extensions in its packet, by the announcement in the offer, or
    /// because only one open track has the payload type. `said` returns the value of an extension in the packet.
    pub(crate) fn track_of<'a>(
        &self,
        ssrc: u32,
        payload_type: u8,
        said: impl Fn(&Track, Extension) -> Option<&'a [u8]>,
    ) -> Option<usize> {
        let is_plain = |track: &Track| track.rid.is_none();
        let open = || self.tracks.iter().enumerate().filter(|(_, track)| track.is_open);
        // RFC 8852: a layer, or its retransmissions. If the packet does not name the m-line, the RID is enough as long
        // as only one layer has it.
        let says_rid = |track: &Track| {
            let kinds = [Extension::StreamId, Extension::RepairedStreamId];
            let rids = kinds.map(|kind| said(track, kind));
            track.rid.as_ref().is_some_and(|rid| rids.contains(&Some(rid.as_bytes())))
        };
        // RFC 9143 §15.
        let says_mid = |track: &Track| {
            said(track, Extension::Mid).map(|mid| mid == track.mid.as_str().as_bytes())
        };
        let mut layers =
            open().filter(|(_, track)| says_rid(track) && says_mid(track) != Some(false));
        if let Some((place, _)) = layers.next() {
            return layers.next().is_none().then_some(place);
        }
        let mut plain = open().filter(|(_, track)| is_plain(track));
        if let Some((place, _)) = plain.find(|(_, track)| track.announced.contains(&ssrc)) {
            return Some(place);
        }
        let mut plain = open().filter(|(_, track)| is_plain(track));
        if let Some((place, _)) = plain.find(|(_, track)| says_mid(track) == Some(true)) {
            return Some(place);
        }
        // A packet of an unknown layer belongs to no other track.
        let mut candidates = open().filter(|(_, track)| {
            track.carries(payload_type).is_some()
                && said(track, Extension::StreamId).is_none()
                && says_mid(track) != Some(false)
        });
        let (place, _) = candidates.next()?;
        (candidates.next().is_none() && self.tracks[place].rid.is_none()).then_some(place)
    }

    /// Adds the stream of a new SSRC whose packet was authentic, and returns its index.
    pub(crate) fn admit(&mut self, ssrc: u32, track: usize, id: u64, rtp: RtpStream) -> usize {
        let stream = Stream {
            ssrc,
            track,
            id,
            rtp,
            reception: Reception::default(),
            moment: None,
            nacks: NackGenerator::default(),
            history: History::new(self.tracks[track].kind),
            key_frame_at: None,
            narrowed: None,
        };
        if self.streams.len() < MAX_STREAMS {
            self.streams.push(stream);
            return self.streams.len() - 1;
        }
        let silent = (0..self.streams.len())
            .min_by_key(|&place| self.streams[place].reception.last_packet_at)
            .unwrap_or_default();
        let evicted = std::mem::replace(&mut self.streams[silent], stream);
        self.put_aside(evicted.ssrc, &evicted.rtp, Some(evicted.track));
        silent
    }

    /// Forgets the streams of which this is true, except for the SRTP state.
    pub(crate) fn end_streams(&mut self, is_over: impl Fn(&Stream) -> bool) {
        let over: Vec<Stream> = self.streams.extract_if(.., |stream| is_over(stream)).collect();
        over.iter().for_each(|stream| self.put_aside(stream.ssrc, &stream.rtp, Some(stream.track)));
    }

    /// Keeps the SRTP state of a stream that no track carries, and the track that it carried last.
    pub(crate) fn put_aside(&mut self, ssrc: u32, rtp: &RtpStream, track: Option<usize>) {
        if let Some(connection) = self.link.connection_mut() {
            connection.put_aside.put_aside(ssrc, rtp, track);
        }
    }

    /// Takes a sender report of one of its streams; `ntp` is the server's wall clock.
    pub(crate) fn reported(&mut self, now: Instant, ntp: NtpTime, ssrc: u32, said: (NtpTime, u32)) {
        if let Some(place) = self.stream(ssrc) {
            let stream = &mut self.streams[place];
            let clock_rate = clock_rate(self.tracks[stream.track].kind);
            stream.reception.sender_report(now, said.0);
            stream.moment = self.clock.report(ntp, said, clock_rate, stream.moment);
        }
    }

    /// The timestamp of one of its streams at `now`, according to its sender reports; `ntp` is the server's wall clock.
    /// `None` before the first report and the first packet, and if packets have come under far other timestamps since:
    /// they have jumped.
    pub(crate) fn timestamp_at(&self, now: Instant, ntp: NtpTime, stream: &Stream) -> Option<u32> {
        let clock_rate = clock_rate(self.tracks[stream.track].kind);
        let exact = self.clock.timestamp_at(ntp, stream.moment.as_ref()?, clock_rate)?;
        let arriving = stream.reception.timestamp_at(now, clock_rate)?;
        let apart = (exact.wrapping_sub(arriving) as i32).unsigned_abs();
        (apart < clock_rate * MOST_DELAY).then_some(exact)
    }

    /// Like [`Self::timestamp_at`], but falls back to the arrival of the last packet. `None` before the first packet.
    pub(crate) fn timestamp_about(
        &self,
        now: Instant,
        ntp: NtpTime,
        stream: &Stream,
    ) -> Option<u32> {
        let clock_rate = clock_rate(self.tracks[stream.track].kind);
        let exact = self.timestamp_at(now, ntp, stream);
        exact.or_else(|| stream.reception.timestamp_at(now, clock_rate))
    }

    /// The index of the stream that an RTX stream repeats: the announced one, if it sends, else the one that carries the
    /// track at present. An announcement may be out of date, since a client may change its SSRCs at any time.
    pub(crate) fn repeated_by(&self, rtx_ssrc: u32, track: usize) -> Option<usize> {
        let pairs = &self.tracks[track].retransmissions;
        let announced = pairs.iter().find(|(_, rtx)| *rtx == rtx_ssrc);
        let announced = announced.and_then(|(ssrc, _)| self.stream(*ssrc));
        announced.or_else(|| self.stream(self.ssrc_of(track)?))
    }

    /// The id of the latest stream of a track that has all packets since its last key frame, at most `most`, and their
    /// range.
    pub(crate) fn since_key_frame(
        &self,
        track: usize,
        most: u64,
    ) -> Option<(u64, RangeInclusive<u64>)> {
        let streams = self.streams.iter().filter(|stream| stream.track == track);
        let whole = streams.filter_map(|stream| Some((stream, stream.since_key_frame(most)?)));
        let (stream, packets) = whole.max_by_key(|(stream, _)| stream.reception.last_packet_at)?;
        Some((stream.id, packets))
    }

    /// The last key frame received on a track, by stream and index.
    pub(crate) fn last_key_frame(&self, track: usize) -> Option<(u64, u64)> {
        let streams = self.streams.iter().filter(|stream| stream.track == track);
        let with = streams.filter_map(|stream| Some((stream, stream.key_frame_at?)));
        let (stream, at) = with.max_by_key(|(stream, _)| stream.reception.last_packet_at)?;
        Some((stream.id, at))
    }

    /// The codec of the latest packet of a track. `None` before the first packet.
    pub(crate) fn codec_of(&self, track: usize) -> Option<Codec> {
        let streams = self.streams.iter().filter(|stream| stream.track == track);
        let stored = streams.filter_map(|stream| {
            let latest = stream.history.packet(stream.reception.highest_index())?;
            Some((stream.reception.last_packet_at, latest.codec))
        });
        stored.max_by_key(|(at, _)| *at).map(|(_, codec)| codec)
    }

    /// The SSRC that carries a track at present; before the first packet the announced one.
    pub(crate) fn ssrc_of(&self, track: usize) -> Option<u32> {
        let track = self.tracks.get(track)?;
        track.live_ssrc().or_else(|| track.announced.first().copied())
    }

    /// How many audio sources the peer can hear at a time.
    pub(crate) fn audio_slots(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_open && slot.kind == MediaKind::Audio).count()
    }
}
