//! A room on two workers.

use std::time::Duration;

use super::allocation::allocations;
use super::camera_of;
use super::client::{Client, World};
use super::simulcast::{Camera, with_layers};
use crate::test_now;
use crate::transport::batch::SendBatch;
use crate::worker::message::Remote;
use crate::{Event, Mid, PeerId};

/// Two workers, and the messages between them.
pub(super) struct Spread {
    pub(super) worlds: [World; 2],
}

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

impl Spread {
    pub(super) fn new() -> Spread {
        let now = test_now();
        Spread { worlds: [0, 1].map(|number| World::of_worker(now, number, 2)) }
    }

    pub(super) fn join(&mut self, worker: usize, peer: u64) -> Client {
        let client = self.worlds[worker].join(peer);
        self.cross();
        client
    }

    /// Delivers messages between the workers, until both are quiet.
    pub(super) fn cross(&mut self) {
        loop {
            let messages = [A, B].map(|from| self.waiting(from));
            if messages.iter().all(Vec::is_empty) {
                return;
            }
            for (from, messages) in messages.into_iter().enumerate() {
                for message in messages {
                    self.hand_in(from, message);
                }
            }
        }
    }

    /// The messages that a worker has for the other one.
    pub(super) fn waiting(&mut self, from: usize) -> Vec<Remote> {
        let messages = std::iter::from_fn(|| self.worlds[from].worker.poll_remote());
        messages.inspect(|(to, _)| assert_eq!(*to, 1 - from)).map(|(_, message)| message).collect()
    }

    fn hand_in(&mut self, from: usize, message: Remote) {
        let to = &mut self.worlds[1 - from];
        assert!(to.worker.has_room_for(&message), "earlier bursts have been sent");
        to.worker.handle_remote(to.now, from, message);
        to.collect();
    }

    /// Delivers everything between workers and clients, until all are quiet.
    pub(super) fn settle(&mut self, on_a: &mut [&mut Client], on_b: &mut [&mut Client]) {
        for _ in 0..3 {
            self.cross();
            self.worlds[A].exchange(on_a);
            self.worlds[B].exchange(on_b);
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        for _ in 0..by.as_millis() {
            self.worlds.iter_mut().for_each(|world| world.advance(Duration::from_millis(1)));
            self.cross();
        }
    }

    /// Puts a camera into the first video slot of a peer on a worker.
    pub(super) fn assign(&mut self, worker: usize, peer: u64, camera: u64) {
        let world = &mut self.worlds[worker];
        world.worker.assign(world.now, PeerId(peer), &Mid::new("4"), camera_of(camera).as_ref());
        world.collect();
    }
}

/// Peer 1 on A is seen by peer 2 on B: a key frame and nine more packets.
pub(super) fn running() -> (Spread, Client, Client) {
    let mut spread = Spread::new();
    let mut a = spread.join(A, 1);
    let mut b = spread.join(B, 2);
    spread.assign(B, 2, 1);
    spread.cross();
    for sequence in 1..=10 {
        a.send_video(&mut spread.worlds[A], sequence, sequence == 1);
    }
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(b.received.len(), 10);
    (spread, a, b)
}

fn numbers(client: &Client) -> Vec<u16> {
    client.received.iter().map(|packet| packet.sequence_number).collect()
}

pub(super) fn heard_by(world: &World, listener: u64) -> Vec<Option<u64>> {
    let slots = world.events.iter().filter_map(|event| match event {
        Event::AudioSlot { peer, source, .. } if *peer == PeerId(listener) => Some(source.as_ref()),
        _ => None,
    });
    slots.map(|source| source.map(|source| source.peer.0)).collect()
}

pub(super) fn speakers(world: &World) -> Vec<Vec<u64>> {
    let said = world.events.iter().filter_map(|event| match event {
        Event::Speakers { levels, .. } => Some(levels),
        _ => None,
    });
    said.map(|levels| levels.iter().map(|(peer, _)| peer.0).collect()).collect()
}

#[test]
fn video_of_one_worker_starts_on_a_key_frame_at_the_other() {
    let mut spread = Spread::new();
    let mut a = spread.join(A, 1);
    let mut b = spread.join(B, 2);
    spread.assign(B, 2, 1);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(a.plis, 1, "the publisher's own worker requests a key frame");

    for sequence in 10..14 {
        a.send_video(&mut spread.worlds[A], sequence, sequence == 11);
    }
    spread.settle(&mut [&mut a], &mut [&mut b]);

    let first = b.received[0].sequence_number;
    assert_eq!(
        numbers(&b),
        [first, first + 1, first + 2],
        "packets before the key frame are left out"
    );
    assert!(b.received.iter().all(|packet| packet.ssrc == b.slot_ssrc("4")));
}

#[test]
fn video_crosses_only_while_somebody_there_receives_it() {
    let (mut spread, mut a, mut b) = running();
    let crossed = |spread: &Spread| spread.worlds[A].worker.stats().crossed;
    assert_eq!(crossed(&spread), 10, "once, and not before there was a receiver");
    let mut c = spread.join(B, 3);
    spread.assign(B, 3, 1);
    spread.settle(&mut [&mut a], &mut [&mut b, &mut c]);
    assert_eq!(c.received.len(), 10, "from the key frame cached at B");
    a.send_video(&mut spread.worlds[A], 11, false);
    spread.settle(&mut [&mut a], &mut [&mut b, &mut c]);
    assert_eq!((b.received.len(), c.received.len()), (11, 11));
    assert_eq!(crossed(&spread), 11, "once for all receivers there");

    let world = &mut spread.worlds[B];
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), None);
    world.worker.remove(PeerId(3));
    spread.cross();
    a.send_video(&mut spread.worlds[A], 12, false);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(crossed(&spread), 11);
}

#[test]
fn key_frame_cache_starts_the_first_receiver_elsewhere_without_the_publisher() {
    let mut spread = Spread::new();
    let mut a = spread.join(A, 1);
    for sequence in 1..=10 {
        a.send_video(&mut spread.worlds[A], sequence, sequence == 1);
    }
    let mut b = spread.join(B, 2);
    spread.assign(B, 2, 1);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!((b.received.len(), a.plis), (10, 0));

    let world = &mut spread.worlds[B];
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), None);
    a.send_video(&mut spread.worlds[A], 11, false);
    spread.assign(B, 2, 1);
    a.send_video(&mut spread.worlds[A], 12, false);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(
        (b.received.len(), a.plis),
        (22, 0),
        "again from the cache, with the packets that arrived meanwhile"
    );
}

#[test]
fn nack_is_answered_by_the_receivers_worker() {
    let (mut spread, mut a, mut b) = running();
    let lost = numbers(&b)[3];
    b.received.clear();
    b.send_nack(&mut spread.worlds[B], "4", &[lost]);
    spread.worlds[B].exchange(&mut [&mut b]);
    assert_eq!(b.received.len(), 1);
    assert_eq!(b.received[0].payload[..2], lost.to_be_bytes());
    assert!(spread.waiting(B).is_empty(), "the publisher's worker gets no message");
    assert!(a.nacked.is_empty());
    spread.settle(&mut [&mut a], &mut [&mut b]);
}

#[test]
fn a_receivers_key_frame_request_reaches_the_publisher() {
    let (mut spread, mut a, mut b) = running();
    let asked = a.plis;
    spread.advance(Duration::from_secs(1));
    b.send_pli(&mut spread.worlds[B], "4");
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(a.plis, asked + 1);
}

#[test]
fn retransmissions_of_a_publisher_reach_the_other_worker() {
    let (mut spread, mut a, mut b) = running();
    let last = numbers(&b)[9];
    a.send_video(&mut spread.worlds[A], 12, false);
    spread.advance(Duration::from_millis(2));
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(a.nacked, [11], "one worker requests each lost packet");
    a.send_video_again(&mut spread.worlds[A], 11, false);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(numbers(&b)[10..], [last + 2, last + 1]);
}

#[test]
fn lip_sync_holds_across_workers() {
    let (mut spread, mut a, mut b) = running();
    // Sampled at the same time; the video takes 70 ms longer.
    a.send_audio(&mut spread.worlds[A], 1);
    spread.advance(Duration::from_millis(70));
    a.send_video(&mut spread.worlds[A], 11, false);
    for (mid, timestamp) in [(0, 960), (1, 11 * 3000)] {
        a.send_sender_report(&mut spread.worlds[A], mid, 3_900_000_000.0, timestamp);
    }
    spread.settle(&mut [&mut a], &mut [&mut b]);
    spread.advance(Duration::from_millis(1100));
    spread.settle(&mut [&mut a], &mut [&mut b]);

    let sampled_at = |ssrc: u32, rate: f64| {
        let packet = b.received.iter().rev().find(|packet| packet.ssrc == ssrc).unwrap();
        let (_, wall, timestamp) = b.reports.iter().rev().find(|said| said.0 == ssrc).unwrap();
        wall + f64::from(packet.timestamp.wrapping_sub(*timestamp) as i32) / rate
    };
    let sound = sampled_at(b.slot_ssrc("2"), 48_000.0);
    let picture = sampled_at(b.slot_ssrc("4"), 90_000.0);
    assert!((sound - picture).abs() < 0.001, "{sound} {picture}");
}

#[test]
fn layer_switch_of_a_receiver_on_the_other_worker() {
    let mut spread = Spread::new();
    let publisher = spread.worlds[A].join_with(1, |sdp| with_layers(&sdp, &["q", "h", "f"]));
    let mut camera = Camera::new(publisher);
    spread.cross();
    let mut b = spread.join(B, 2);
    spread.assign(B, 2, 1);
    let mut run = |spread: &mut Spread, b: &mut Client, estimate: Option<u32>| {
        let before = spread.worlds[A].worker.stats().crossed;
        b.received.clear();
        for at in 0..90 {
            if let Some(estimate) = estimate.filter(|_| at % 30 == 0) {
                b.send_estimate(&mut spread.worlds[B], estimate, 0);
            }
            camera.shoot(&mut spread.worlds[A]);
            spread.settle(&mut [&mut camera.client], &mut [b]);
            spread.advance(Duration::from_millis(33));
            spread.settle(&mut [&mut camera.client], &mut [b]);
        }
        let layers = b.received.iter().map(|packet| packet.payload.len());
        let longest = layers.max().unwrap_or_default();
        (longest, spread.worlds[A].worker.stats().crossed - before)
    };
    assert_eq!(run(&mut spread, &mut b, None).0, 1350);
    let (longest, crossed) = run(&mut spread, &mut b, None);
    assert_eq!((longest, crossed), (1350, 90), "one layer is handed over");
    run(&mut spread, &mut b, Some(60_000));
    let (longest, crossed) = run(&mut spread, &mut b, Some(50_000));
    assert_eq!((longest, crossed), (180, 90), "then the lowest layer");
    let numbers = numbers(&b);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
}

#[test]
fn leaving_empties_the_slots_elsewhere() {
    let (mut spread, mut a, mut b) = running();
    spread.worlds[B].events.clear();
    a.send_video(&mut spread.worlds[A], 11, false);
    spread.worlds[A].worker.remove(PeerId(1));
    spread.settle(&mut [], &mut [&mut b]);
    assert_eq!(b.received.len(), 11);
    assert_eq!(heard_by(&spread.worlds[B], 2), [None]);

    let [on_a, on_b] = spread.worlds.each_ref().map(|world| world.worker.stats());
    assert_eq!((on_a.peers, on_a.rooms, on_b.peers, on_b.rooms), (0, 0, 1, 1));
    let mut c = spread.join(A, 3);
    spread.assign(B, 2, 3);
    c.send_video(&mut spread.worlds[A], 50, true);
    spread.settle(&mut [&mut c], &mut [&mut b]);
    assert_eq!(b.received.len(), 12, "the slot carries the next camera");
}

#[test]
fn a_worker_whose_last_peer_left_the_room_gets_nothing_more() {
    let (mut spread, mut a, _) = running();
    spread.worlds[B].worker.remove(PeerId(2));
    spread.cross();
    let crossed = spread.worlds[A].worker.stats().crossed;
    a.send_video(&mut spread.worlds[A], 11, false);
    a.send_audio(&mut spread.worlds[A], 1);
    spread.cross();
    assert_eq!(spread.worlds[A].worker.stats().crossed, crossed);
    assert_eq!(spread.worlds[B].worker.stats().rooms, 0);
}

#[test]
fn all_peers_hear_each_other_and_speakers_are_reported_once() {
    let mut spread = Spread::new();
    let mut a = spread.join(A, 1);
    let mut b = spread.join(B, 2);
    assert_eq!(heard_by(&spread.worlds[A], 1), [Some(2)]);
    assert_eq!(heard_by(&spread.worlds[B], 2), [Some(1)]);

    for sequence in 0..10 {
        a.send_audio(&mut spread.worlds[A], sequence);
        b.send_audio(&mut spread.worlds[B], sequence);
    }
    spread.settle(&mut [&mut a], &mut [&mut b]);
    spread.advance(Duration::from_millis(100));

    assert_eq!((a.received.len(), b.received.len()), (10, 10));
    let mut said = speakers(&spread.worlds[A]);
    said.iter_mut().for_each(|peers| peers.sort_unstable());
    assert_eq!(said, [[1, 2]]);
    assert!(speakers(&spread.worlds[B]).is_empty());

    spread.worlds[A].worker.remove(PeerId(1));
    spread.cross();
    spread.advance(Duration::from_millis(800));
    assert_eq!(speakers(&spread.worlds[B]), [vec![2], vec![]], "the next worker reports speakers");
}

#[test]
fn an_assignment_that_overtakes_the_publication_is_kept() {
    let mut spread = Spread::new();
    let mut b = spread.join(B, 2);
    let mut a = spread.worlds[A].join(1);
    spread.assign(B, 2, 1);
    spread.cross();
    a.send_video(&mut spread.worlds[A], 1, true);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(b.received.len(), 1);
}

#[test]
fn workers_that_open_a_room_at_the_same_time_discover_each_other() {
    let mut spread = Spread::new();
    let mut a = spread.worlds[A].join(1);
    let mut b = spread.worlds[B].join(2);
    spread.cross();
    a.send_audio(&mut spread.worlds[A], 1);
    b.send_audio(&mut spread.worlds[B], 1);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!((a.received.len(), b.received.len()), (1, 1));
}

#[test]
fn a_peer_that_comes_back_on_the_other_worker_is_one_peer() {
    let (mut spread, _, mut b) = running();
    let mut again = spread.worlds[B].join(1);
    spread.worlds[A].worker.remove(PeerId(1));
    spread.cross();
    spread.assign(B, 2, 1);
    again.send_video(&mut spread.worlds[B], 1, true);
    spread.settle(&mut [], &mut [&mut b, &mut again]);
    assert_eq!(b.received.len(), 11);
    assert_eq!(spread.worlds[B].worker.stats().peers, 2);
}

#[test]
fn a_full_ring_drops_packets_and_nothing_else() {
    let (mut spread, mut a, mut b) = running();
    let mut unread = Vec::new();
    for sequence in 11..=400 {
        a.send_video(&mut spread.worlds[A], sequence, false);
        unread.extend(spread.waiting(A));
    }
    a.send_audio(&mut spread.worlds[A], 1);
    let mut c = spread.worlds[A].join(3);
    unread.extend(spread.waiting(A));
    let stats = spread.worlds[A].worker.stats();
    assert!(stats.crossing_refused > 100, "{stats:?}");

    spread.worlds[B].events.clear();
    unread.into_iter().for_each(|message| spread.hand_in(A, message));
    spread.settle(&mut [&mut a, &mut c], &mut [&mut b]);
    assert_eq!(heard_by(&spread.worlds[B], 2), [Some(3)], "messages are not dropped");
    assert!(b.received.iter().any(|packet| packet.payload == b"opus"), "audio is not dropped");

    b.received.clear();
    spread.advance(Duration::from_secs(1));
    a.send_video(&mut spread.worlds[A], 401, true);
    a.send_video(&mut spread.worlds[A], 402, false);
    spread.settle(&mut [&mut a, &mut c], &mut [&mut b]);
    let video = b.received.iter().filter(|packet| packet.ssrc == b.slot_ssrc("4"));
    assert!(video.count() >= 2, "the video continues");
}

#[test]
fn packets_that_did_not_fit_are_handed_over_later() {
    let (mut spread, mut a, mut b) = running();
    a.send_video(&mut spread.worlds[A], 11, false);
    assert_eq!(spread.waiting(A).len(), 1, "this packet is lost");
    a.send_video(&mut spread.worlds[A], 12, false);
    spread.settle(&mut [&mut a], &mut [&mut b]);
    assert_eq!(b.received.len(), 11);
    spread.advance(Duration::from_millis(2));
    spread.settle(&mut [&mut a], &mut [&mut b]);
    let last = numbers(&b)[9];
    assert_eq!(numbers(&b)[10..], [last + 2, last + 1]);
    assert!(a.nacked.is_empty(), "the publisher gets no NACK");
}

#[test]
fn crossing_allocates_nothing() {
    let (mut spread, a, _) = running();
    let mut datagrams: Vec<_> = (11..1011).map(|sequence| a.video(sequence, false)).collect();
    let mut batch = SendBatch::new();
    let [from, to] = &mut spread.worlds;
    let mut before = allocations();
    for (round, burst) in datagrams.chunks_mut(10).enumerate() {
        // The first rounds allocate the parcels.
        if round == 10 {
            before = allocations();
        }
        for datagram in burst {
            from.worker.handle_datagram(from.now, a.path(), datagram);
        }
        while let Some((_, message)) = from.worker.poll_remote() {
            to.worker.handle_remote(to.now, A, message);
        }
        while to.worker.poll_batch(to.now, &mut batch) {
            batch.clear();
        }
    }
    assert_eq!(allocations() - before, 0, "allocations for 900 packets");
    assert_eq!(to.worker.stats().rtp_sent, 1010);
}
