//! The result of a run.

mod table;

use std::collections::BTreeMap;

use madang_wire::RoomName;
use serde::Serialize;

use crate::histogram::Histogram;
use crate::options::Options;
use crate::reception::Reception;
use crate::stamp::{Kind, SenderId};
use crate::times::Times;
use crate::world::World;

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of rooms.
    pub rooms: u32,
    /// The number of participants in each room.
    pub participants: u32,
    /// How long was measured after all had joined, in seconds.
    pub seconds: u32,
    /// From the join request to its reply, in milliseconds.
    pub join_ms: Times,
    /// From the join request (of the later of two peers) to the first key frame, in milliseconds, over all pairs.
    pub first_video_ms: Times,
    /// Audio (Opus).
    pub audio: Media,
    /// Video (VP8).
    pub video: Media,
    /// Chat messages.
    pub chat: ChatCounts,
    /// Problems, as sentences. Empty when there are none.
    pub problems: Vec<String>,
    #[serde(skip)]
    audio_slots: usize,
    #[serde(skip)]
    video_slots: usize,
}

/// Counts of one kind of media, summed over all receivers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Media {
    /// Pairs of sender and receiver for which a stream was expected.
    pub streams_expected: u64,
    /// Pairs for which a stream was received.
    pub streams_received: u64,
    /// Packets that the senders sent to the server.
    pub sent: u64,
    /// Packets that the receivers should have received.
    pub expected: u64,
    /// Distinct packets that they received.
    pub received: u64,
    /// Packets expected and not received.
    pub lost: u64,
    /// Packets lost, in percent of those expected.
    pub lost_percent: f64,
    /// Packets received more than once.
    pub duplicated: u64,
    /// Packets received after a later one.
    pub reordered: u64,
    /// From sending to receiving, in milliseconds.
    pub latency_ms: Times,
}

/// A stream that is silent for longer than this before the end counts as broken off, in microseconds.
const LONGEST_SILENCE_US: u64 = 1_500_000;

/// Counts of chat messages.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ChatCounts {
    /// Messages sent.
    pub sent: u64,
    /// Messages that the server acknowledged with a RECEIPT.
    pub acknowledged: u64,
    /// Messages that all readers together should have received.
    pub expected: u64,
    /// Messages that they received.
    pub received: u64,
}

/// The measurements of one peer.
#[derive(Debug)]
pub struct Measured {
    /// Its room.
    pub room: RoomName,
    /// Its name in the room.
    pub name: String,
    /// Its number.
    pub sender: SenderId,
    /// The time of the join request, in microseconds of the run's clock.
    pub asked_us: u64,
    /// The duration of joining, in microseconds.
    pub join_took_us: u64,
    /// Whether its peer connection is connected.
    pub is_connected: bool,
    /// The received streams.
    pub reception: Reception,
}

impl Report {
    /// Creates an empty report.
    pub fn new(options: &Options) -> Report {
        Report {
            rooms: options.rooms,
            participants: options.participants,
            seconds: options.seconds,
            join_ms: Times::default(),
            first_video_ms: Times::default(),
            audio: Media::default(),
            video: Media::default(),
            chat: ChatCounts::default(),
            problems: Vec::new(),
            audio_slots: Options::AUDIO_SLOTS,
            video_slots: options.video_slots(),
        }
    }

    /// Sums up the measurements of the peers, which stopped sending at `stopped_us` of the run's clock.
    pub fn add_media(&mut self, world: &World, stopped_us: u64, peers: Vec<Measured>) {
        self.join_ms = Times::of(peers.iter().map(|peer| peer.join_took_us));
        self.first_video_ms = Times::of(first_video_us(world, &peers));
        let mut rooms: BTreeMap<&RoomName, Vec<&Measured>> = BTreeMap::new();
        for peer in &peers {
            rooms.entry(&peer.room).or_default().push(peer);
            self.add_lies(world, peer);
        }
        let longest_silence = stopped_us.saturating_sub(LONGEST_SILENCE_US);
        for kind in Kind::ALL {
            let slots = match kind {
                Kind::Audio => self.audio_slots,
                Kind::Video => self.video_slots,
            };
            let mut media = Media::default();
            let mut latency = Histogram::default();
            for peer in &peers {
                latency.add(&peer.reception.latency(kind));
                media.sent += sent(world, peer.sender, kind);
            }
            for members in rooms.values() {
                for receiver in members {
                    let missing = media.add_receiver(world, kind, slots, receiver, members);
                    self.problems.extend(missing);
                    if members.len() <= slots + 1 {
                        self.problems.extend(broken_off(kind, receiver, members, longest_silence));
                    }
                }
            }
            media.finish(&latency);
            match kind {
                Kind::Audio => self.audio = media,
                Kind::Video => self.video = media,
            }
        }
    }

    fn add_lies(&mut self, world: &World, peer: &Measured) {
        let who = format!("{} in {}", peer.name, peer.room);
        if !peer.is_connected {
            self.problems.push(format!("{who} has no media connection"));
        }
        let lies = peer.reception.lies(|participant| world.sender_of(participant));
        self.problems.extend(lies.into_iter().map(|lie| format!("{who} {lie}")));
    }
}

impl Media {
    /// Adds one receiver; returns sentences about missing streams.
    fn add_receiver(
        &mut self,
        world: &World,
        kind: Kind,
        slots: usize,
        receiver: &Measured,
        members: &[&Measured],
    ) -> Vec<String> {
        let others: Vec<_> = members.iter().filter(|m| m.sender != receiver.sender).collect();
        let who = format!("{} in {}", receiver.name, receiver.room);
        let came = |sender: SenderId| {
            receiver.reception.stream(sender, kind).is_some_and(|s| s.first_us.is_some())
        };
        let has_all_slots = others.len() <= slots;
        for (sender, stream) in receiver.reception.streams(kind) {
            let arrivals = &stream.arrivals;
            self.received += arrivals.received();
            self.duplicated += arrivals.duplicated();
            self.reordered += arrivals.reordered();
            self.expected += match (has_all_slots, sent(world, sender, kind)) {
                (true, count @ 1..) => arrivals.expected_until((count - 1) as u32),
                _ => arrivals.expected_between(),
            };
        }
        let received = others.iter().filter(|other| came(other.sender)).count();
        self.streams_expected += others.len().min(slots) as u64;
        self.streams_received += received.min(slots) as u64;
        if !has_all_slots {
            let enough = received >= slots;
            let text = format!("{who} received {kind} of {received} others in {slots} slots");
            return if enough { Vec::new() } else { vec![text] };
        }
        let missing = others.iter().filter(|other| !came(other.sender));
        missing.map(|other| format!("{who} received no {kind} of {}", other.name)).collect()
    }

    fn finish(&mut self, latency: &Histogram) {
        self.lost = self.expected.saturating_sub(self.received);
        if self.expected > 0 {
            self.lost_percent = self.lost as f64 * 100.0 / self.expected as f64;
        }
        self.latency_ms = Times::from(latency);
    }
}

/// Sentences about streams that were received, but not after `since_us`.
fn broken_off(
    kind: Kind,
    receiver: &Measured,
    members: &[&Measured],
    since_us: u64,
) -> Vec<String> {
    let has_stopped = |sender: &&&Measured| {
        let stream = receiver.reception.stream(sender.sender, kind);
        stream.is_some_and(|stream| stream.first_us.is_some() && stream.last_us < since_us)
    };
    let Measured { name, room, .. } = receiver;
    let sentence =
        |sender: &&Measured| format!("{name} in {room} received no more {kind} of {}", sender.name);
    members.iter().filter(has_stopped).map(sentence).collect()
}

fn sent(world: &World, sender: SenderId, kind: Kind) -> u64 {
    world.sent(sender).map_or(0, |sent| u64::from(sent.count(kind)))
}

/// The time from the join request, or from the start of sending if that is later, to the first key frame, for each
/// received stream.
fn first_video_us(world: &World, peers: &[Measured]) -> Vec<u64> {
    let mut times = Vec::new();
    for receiver in peers {
        for (sender, stream) in receiver.reception.streams(Kind::Video) {
            let began = world.sent(sender).and_then(|sent| sent.began_us());
            if let (Some(first), Some(began)) = (stream.first_us, began) {
                times.push(first.saturating_sub(began.max(receiver.asked_us)));
            }
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use clap::Parser;
    use madang_wire::Slot;

    use super::*;
    use crate::reception::Received;
    use crate::stamp::Stamp;

    #[test]
    fn packets_that_did_not_come_are_lost() {
        let (world, mut peers) = two_peers();
        hears(&world, &mut peers, 0, 1, &[0, 1, 2, 4]);
        hears(&world, &mut peers, 1, 0, &[0, 1, 2, 3, 3, 4]);

        let report = report(&world, peers);

        let audio = &report.audio;
        assert_eq!((audio.streams_expected, audio.streams_received), (2, 2));
        assert_eq!((audio.sent, audio.expected, audio.received), (10, 10, 9));
        assert_eq!((audio.lost, audio.lost_percent, audio.duplicated), (1, 10.0, 1));
    }

    #[test]
    fn a_stream_that_did_not_come_is_named() {
        let (world, mut peers) = two_peers();
        hears(&world, &mut peers, 0, 1, &[0]);

        let report = report(&world, peers);

        let expected = "peer 1 in room received no audio of peer 0".to_owned();
        assert!(report.problems.contains(&expected), "{:?}", report.problems);
        assert_eq!(report.problems.len(), 3, "the other two are about video");
        assert!(report.to_string().contains(&expected));
    }

    #[test]
    fn a_stream_that_broke_off_is_named() {
        let (world, mut peers) = two_peers();
        hears(&world, &mut peers, 0, 1, &[0]);
        let now_us = world.clock.now_us();

        let options = Options::parse_from(["loadtest", "--participants", "2"]);
        let mut report = Report::new(&options);
        report.add_media(&world, now_us + 10 * LONGEST_SILENCE_US, peers);

        let expected = "peer 0 in room received no more audio of peer 1".to_owned();
        assert!(report.problems.contains(&expected), "{:?}", report.problems);
    }

    #[test]
    fn a_lie_is_named_with_the_peer_that_heard_it() {
        let (world, mut peers) = two_peers();
        hears(&world, &mut peers, 0, 0, &[0]);

        let report = report(&world, peers);

        let expected = "peer 0 in room received its own media (1 packets)".to_owned();
        assert!(report.problems.contains(&expected), "{:?}", report.problems);
    }

    #[test]
    fn the_report_is_json() {
        let (world, peers) = two_peers();
        let json = serde_json::to_value(report(&world, peers)).unwrap();

        assert_eq!(json["participants"], 2);
        assert!(json["video"]["latency_ms"]["p99"].is_number());
        assert!(json["problems"].is_array());
    }

    /// Each has sent five audio packets.
    fn two_peers() -> (std::sync::Arc<World>, Vec<Measured>) {
        let world = World::new();
        let measured = |number: u32| {
            let sent = world.add_peer();
            world.name(&format!("p-{number}"), sent.sender);
            for _ in 0..5 {
                sent.next(Kind::Audio);
            }
            Measured {
                room: RoomName::parse("room").unwrap(),
                name: format!("peer {number}"),
                sender: sent.sender,
                asked_us: 0,
                join_took_us: 1000,
                is_connected: true,
                reception: Reception::new(sent.sender),
            }
        };
        let peers = vec![measured(0), measured(1)];
        (world, peers)
    }

    fn hears(world: &World, peers: &mut [Measured], me: usize, other: u32, numbers: &[u32]) {
        let reception = &mut peers[me].reception;
        let slot = Slot {
            mid: "2".into(),
            participant: Some(format!("p-{other}")),
            source: None,
            layer: None,
            reason: None,
        };
        let now_us = world.clock.now_us();
        reception.handle_slots(now_us, &[slot]);
        for (rtp_seq, seq) in (0..).zip(numbers) {
            let sender = SenderId(other);
            let mut payload = Vec::new();
            Stamp { sender, kind: Kind::Audio, seq: *seq, sent_us: 0 }.write(0, &mut payload);
            let payload = &Bytes::from(payload);
            let packet = Received { mid: "2", kind: Kind::Audio, rtp_seq, payload };
            reception.handle_packet(now_us, packet);
        }
    }

    fn report(world: &World, peers: Vec<Measured>) -> Report {
        let options = Options::parse_from(["loadtest", "--participants", "2"]);
        let mut report = Report::new(&options);
        report.add_media(world, world.clock.now_us(), peers);
        report
    }
}
