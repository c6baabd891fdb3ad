//! Receiving m-lines that come and go during one connection.

use std::collections::HashSet;

use super::camera_of;
use super::client::{Client, World};
use crate::{Mid, OfferError, PeerId};

/// The offer of a client whose video slots have these mids; it publishes as other clients do.
fn offer_with(client: &Client, video: &[&str]) -> String {
    let mut offer = client.offer_with_slots(3, video.len());
    // The first video slot is mid 4, and the others follow the last audio slot, mid 5.
    let before = [4].into_iter().chain(6..).map(|mid: usize| mid.to_string());
    let mut names: Vec<String> = (0..video.len() + 5).map(|mid| mid.to_string()).collect();
    let plain = names.join(" ");
    for (mid, name) in before.zip(video) {
        offer = offer.replace(&format!("a=mid:{mid}\r\n"), &format!("a=mid:{name}\r\n"));
        names.iter_mut().filter(|known| **known == mid).for_each(|known| *known = (*name).into());
    }
    offer.replace(&format!("BUNDLE {plain}\r\n"), &format!("BUNDLE {}\r\n", names.join(" ")))
}

fn renegotiate(world: &mut World, client: &mut Client, peer: u64, offer: &str) {
    let answer = world.offer(peer, offer).unwrap();
    client.learn(&answer.sdp);
}

fn show(world: &mut World, slot: &str, publisher: u64) {
    world.worker.assign(world.now, PeerId(2), &Mid::new(slot), camera_of(publisher).as_ref());
}

fn heard(client: &Client, slot: &str) -> usize {
    client.received.iter().filter(|packet| packet.ssrc == client.slot_ssrc(slot)).count()
}

/// The number of slots, open and closed, that a worker keeps for a peer.
fn kept_slots(world: &World, peer: u64) -> usize {
    let key = world.worker.by_id[&PeerId(peer)];
    world.worker.peers[key].slots.len()
}

#[test]
fn m_lines_of_the_past_cost_nothing() {
    let mut world = World::new();
    let mut viewer = world.join(2);
    let mut ssrcs = HashSet::new();
    for round in 0..200 {
        let names: Vec<String> = (0..40).map(|at| format!("r{round}-{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let offer = offer_with(&viewer, &names);
        renegotiate(&mut world, &mut viewer, 2, &offer);
        ssrcs.extend(names.iter().map(|name| viewer.slot_ssrc(name)));
    }
    assert_eq!(kept_slots(&world, 2), 3 + 40);
    assert_eq!(ssrcs.len(), 200 * 40, "no SSRC is given to two m-lines");
}

#[test]
fn an_m_line_in_the_place_of_another_is_a_stream_of_its_own() {
    let mut world = World::new();
    let (mut a, mut c) = (world.join(1), world.join(3));
    let mut viewer = world.join(2);
    let offer = offer_with(&viewer, &["x", "y"]);
    renegotiate(&mut world, &mut viewer, 2, &offer);
    show(&mut world, "x", 1);
    show(&mut world, "y", 3);
    a.send_video(&mut world, 1, true);
    c.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut c, &mut viewer]);
    let kept = kept_slots(&world, 2);

    let offer = offer_with(&viewer, &["y", "z"]);
    renegotiate(&mut world, &mut viewer, 2, &offer);
    a.send_video(&mut world, 2, true);
    c.send_video(&mut world, 2, false);
    world.exchange(&mut [&mut a, &mut c, &mut viewer]);

    assert_eq!(kept_slots(&world, 2), kept);
    assert_ne!(viewer.slot_ssrc("z"), viewer.slot_ssrc("x"));
    assert_eq!(["x", "y", "z"].map(|slot| heard(&viewer, slot)), [1, 2, 0]);

    show(&mut world, "z", 1);
    a.send_video(&mut world, 3, true);
    world.exchange(&mut [&mut a, &mut c, &mut viewer]);
    assert!(heard(&viewer, "z") > 0);
    assert_eq!(["x", "y"].map(|slot| heard(&viewer, slot)), [1, 2]);
}

#[test]
fn an_inactive_slot_goes_on_where_it_was_although_others_are_replaced() {
    let mut world = World::new();
    let (mut a, mut viewer) = (world.join(1), world.join(2));
    let offer = offer_with(&viewer, &["x", "y"]);
    renegotiate(&mut world, &mut viewer, 2, &offer);
    show(&mut world, "x", 1);
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut viewer]);

    let at_rest = |offer: String| {
        let (before, line) = offer.split_once("a=mid:x\r\na=recvonly").unwrap();
        format!("{before}a=mid:x\r\na=inactive{line}")
    };
    for name in ["z", "w", "v"] {
        let offer = at_rest(offer_with(&viewer, &["x", name]));
        renegotiate(&mut world, &mut viewer, 2, &offer);
    }
    let before = viewer.slot_ssrc("x");
    let answer = world.offer(2, &offer_with(&viewer, &["x", "v"])).unwrap();
    assert!(answer.sdp.contains(&format!("a=ssrc:{before} ")), "{}", answer.sdp);
    show(&mut world, "x", 1);
    a.send_video(&mut world, 2, true);
    world.exchange(&mut [&mut a, &mut viewer]);

    let numbers: Vec<u16> = viewer.received.iter().map(|packet| packet.sequence_number).collect();
    assert_eq!(numbers[1], numbers[0].wrapping_add(1));
}

#[test]
fn a_source_that_a_closed_slot_waited_for_does_not_come_to_its_successor() {
    let mut world = World::new();
    let mut viewer = world.join(2);
    let offer = offer_with(&viewer, &["x"]);
    renegotiate(&mut world, &mut viewer, 2, &offer);
    show(&mut world, "x", 7);
    let room = &world.worker.rooms[&crate::RoomId(1)];
    assert_eq!(room.awaited.len(), 1);

    let offer = offer_with(&viewer, &["y"]);
    renegotiate(&mut world, &mut viewer, 2, &offer);

    assert!(world.worker.rooms[&crate::RoomId(1)].awaited.is_empty());
}

#[test]
fn an_offer_with_too_many_m_lines_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let mut viewer = world.join(2);
    let offer = offer_with(&viewer, &["x"]);
    renegotiate(&mut world, &mut viewer, 2, &offer);
    let names: Vec<String> = (0..90).map(|at| format!("n{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();

    let refused = world.offer(2, &offer_with(&viewer, &names));

    let Err(OfferError::BadSdp(reason)) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "it has 95 m-lines in use; at most 80 are allowed");
    assert_eq!(kept_slots(&world, 2), 4);
}
