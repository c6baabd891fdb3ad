//! SRTP rollover counters over the end and return of streams.

use super::client::{Client, World};
use super::pair;

/// Sends a key frame as packet `sequence` of the rollover `rollovers`, and returns whether the viewer got it.
fn arrives(
    world: &mut World,
    publisher: &mut Client,
    viewer: &mut Client,
    rollovers: u32,
    sequence: u16,
) -> bool {
    let before = viewer.received.len();
    publisher.rollovers = rollovers;
    publisher.send_video(world, sequence, true);
    world.exchange(&mut [publisher, viewer]);
    viewer.received.len() > before
}

/// Turns the camera off by renegotiation, and on again.
fn toggle(world: &mut World, publisher: &Client, off: fn(String) -> String) {
    let offer = publisher.offer_with_slots(3, 1);
    world.offer(1, &off(offer.clone())).unwrap();
    world.offer(1, &offer).unwrap();
    let source = super::camera_of(1);
    world.worker.assign(world.now, crate::PeerId(2), &crate::Mid::new("4"), source.as_ref());
}

/// Makes the camera inactive.
fn off_air(offer: String) -> String {
    camera(offer, "a=sendonly", "a=inactive")
}

/// Changes the m-line of the camera.
fn camera(offer: String, from: &str, to: &str) -> String {
    let (before, rest) = offer.split_once("m=video").unwrap();
    let (line, after) = rest.split_once("m=audio").unwrap();
    format!("{before}m=video{}m=audio{after}", line.replacen(from, to, 1))
}

#[test]
fn a_camera_that_is_off_for_a_while_continues_whatever_its_rollover_counter() {
    let ways: [fn(String) -> String; 3] = [
        |offer| camera(offer, "a=sendonly", "a=inactive"),
        |offer| camera(offer, "a=sendonly", "a=recvonly"),
        |offer| camera(offer, " 9 ", " 0 "),
    ];
    for off in ways {
        let (mut world, mut a, mut b) = pair();
        assert!(arrives(&mut world, &mut a, &mut b, 0, 0x8ff0));
        assert!(arrives(&mut world, &mut a, &mut b, 0, 0xffff));
        for rollovers in 1..4 {
            assert!(arrives(&mut world, &mut a, &mut b, rollovers, 5));
            assert!(arrives(&mut world, &mut a, &mut b, rollovers, 0x7005));
            toggle(&mut world, &a, off);
            assert!(arrives(&mut world, &mut a, &mut b, rollovers, 0xe000));
        }
    }
}

#[test]
fn the_counter_rolls_over_while_the_camera_is_off() {
    let (mut world, mut a, mut b) = pair();
    assert!(arrives(&mut world, &mut a, &mut b, 0, 0xfff0));
    let offer = a.offer_with_slots(3, 1);
    world.offer(1, &camera(offer.clone(), "a=sendonly", "a=inactive")).unwrap();

    assert!(!arrives(&mut world, &mut a, &mut b, 0, 0xfffe), "packets that were under way");
    assert!(!arrives(&mut world, &mut a, &mut b, 1, 2));
    toggle(&mut world, &a, |offer| offer);

    assert!(arrives(&mut world, &mut a, &mut b, 1, 0x6000));
}

#[test]
fn packets_from_before_a_toggle_cannot_be_replayed_after_it() {
    let (mut world, mut a, mut b) = pair();
    assert!(arrives(&mut world, &mut a, &mut b, 0, 100));
    let old = a.video(100, true);
    toggle(&mut world, &a, |offer| camera(offer, "a=sendonly", "a=inactive"));

    world.hand_in(a.path(), &old);
    world.exchange(&mut [&mut a, &mut b]);

    assert_eq!(b.received.len(), 1);
    assert!(arrives(&mut world, &mut a, &mut b, 0, 101));
}

#[test]
fn a_stream_whose_first_packets_are_lost_around_a_rollover_arrives() {
    let (mut world, mut a, mut b) = pair();
    assert!(arrives(&mut world, &mut a, &mut b, 1, 3));
    assert!(arrives(&mut world, &mut a, &mut b, 1, 4));
}

#[test]
fn a_stream_that_moves_to_another_m_line_continues() {
    let mut world = World::new();
    let mut a = world.join_with(1, |offer| offer.replace("a=ssrc-group", "a=x-ssrc-group"));
    let mut b = world.join(2);
    world.worker.assign(
        world.now,
        crate::PeerId(2),
        &crate::Mid::new("4"),
        super::camera_of(1).as_ref(),
    );
    assert!(arrives(&mut world, &mut a, &mut b, 0, 0xffff));
    assert!(arrives(&mut world, &mut a, &mut b, 1, 1));

    // The m-line of the camera becomes inactive; a new one announces the SSRC.
    let offer = a.offer_with_slots(3, 1);
    let line = offer.split_once("m=video").unwrap().1.split_once("m=audio").unwrap().0.to_owned();
    let moved = line.replace("a=mid:1\r", "a=mid:9\r");
    let offer = camera(offer, "a=sendonly", "a=inactive").replace(" 5\r\n", " 5 9\r\n");
    let offer = offer
        .replace("BUNDLE 0 1 2 3 4\r", "BUNDLE 0 1 2 3 4 5 9\r")
        .replace("BUNDLE 0 1 2 3 4 5\r", "BUNDLE 0 1 2 3 4 5 9\r");
    world.offer(1, &format!("{offer}m=video{moved}")).unwrap();
    let source = crate::Source { peer: crate::PeerId(1), mid: crate::Mid::new("9") };
    world.worker.assign(world.now, crate::PeerId(2), &crate::Mid::new("4"), Some(&source));

    assert!(arrives(&mut world, &mut a, &mut b, 1, 2));
}

#[test]
fn a_layer_that_comes_back_without_naming_itself_is_known() {
    use super::simulcast::{Camera, with_layers};
    let mut world = World::new();
    let rids = ["q", "h", "f"];
    let mut camera = Camera::new(world.join_with(1, |offer| with_layers(&offer, &rids)));
    let mut b = world.join(2);
    let source = super::camera_of(1);
    world.worker.assign(world.now, crate::PeerId(2), &crate::Mid::new("4"), source.as_ref());
    let mut run = |world: &mut World, frames: usize| {
        let before = b.received.len();
        for _ in 0..frames {
            camera.shoot(world);
            world.exchange(&mut [&mut camera.client, &mut b]);
            world.advance(std::time::Duration::from_millis(33));
        }
        let offer = with_layers(&camera.client.offer_with_slots(3, 1), &rids);
        (b.received.len() - before, offer)
    };
    let (received, offer) = run(&mut world, 60);
    assert!(received > 50);

    let answer = world.offer(1, &off_air(offer.clone())).unwrap();
    assert!(answer.published.iter().all(|line| line.mid.as_str() != "1"), "the camera is off");
    world.offer(1, &offer).unwrap();
    world.worker.assign(world.now, crate::PeerId(2), &crate::Mid::new("4"), source.as_ref());

    let (received, _) = run(&mut world, 60);
    assert!(received > 50, "{received}");
}
