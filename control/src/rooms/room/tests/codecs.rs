//! Viewers who can't decode what others send.

use madang_sfu::{Codec, NegotiatedCodec, Receivers};
use madang_wire::CodecMismatch;

use super::*;

const VP8: Codec = Codec::Vp8;
const VP9: Codec = Codec::Vp9 { profile: 0 };
const AV1: Codec = Codec::Av1 { profile: 0 };

/// Joins with a camera and two video slots that negotiate these codecs.
fn join(world: &mut World, session: u64, camera: &[Codec], slots: &[Codec]) -> (String, PeerId) {
    let body = format!(
        r#"{{"name":"a","sdp":"v=0\r\no=- {session} 1 IN IP4 0.0.0.0\r\n","mids":{{"cam":"camera"}}}}"#
    );
    world.request(session, "join", &body);
    let peer = world.offered();
    world.answer(peer, Ok(answer_in(camera, slots)));
    let id = world.room.participant_of(SessionId(session)).unwrap().to_owned();
    (id, peer)
}

fn answer_in(camera: &[Codec], slots: &[Codec]) -> Answer {
    let mut answer = answer(&["mic", "cam"], &["v0", "v1"]);
    for (mid, codecs) in [("cam", camera), ("v0", slots), ("v1", slots)] {
        answer.codecs.insert(Mid::new(mid), codecs.iter().map(negotiated).collect());
    }
    answer
}

fn negotiated(codec: &Codec) -> NegotiatedCodec {
    NegotiatedCodec { codec: *codec, mime_type: name(*codec).to_owned(), fmtp: None }
}

fn name(codec: Codec) -> &'static str {
    match codec {
        VP8 => "video/VP8",
        VP9 => "video/VP9",
        _ => "video/AV1",
    }
}

fn sends(world: &mut World, peer: PeerId, codecs: &[Codec]) -> Vec<Effect> {
    let (mid, codecs) = (Mid::new("cam"), codecs.to_vec());
    world.room.handle_engine(world.now, EngineEvent::Sending { peer, mid, codecs });
    world.effects()
}

fn mismatches_for(effects: &[Effect], session: u64) -> Vec<Vec<CodecMismatch>> {
    let all = signals(effects).into_iter().filter_map(|(to, signal)| match signal {
        Signal::CodecMismatch { mismatches } if to == session => Some(mismatches.clone()),
        _ => None,
    });
    all.collect()
}

/// The wanted codecs and the room's codecs in the only mismatch.
fn wishes(effects: &[Effect], session: u64) -> (Vec<String>, Vec<String>) {
    let [mismatches] = &mismatches_for(effects, session)[..] else { panic!("{effects:?}") };
    let [mismatch] = &mismatches[..] else { panic!("{mismatches:?}") };
    let names = |codecs: &[madang_wire::RoomCodec]| {
        codecs.iter().map(|codec| format!("{} {}", codec.mime_type, codec.receivers)).collect()
    };
    (names(&mismatch.wanted), names(&mismatch.room))
}

#[test]
fn a_publisher_is_told_that_a_part_of_its_camera_is_dropped() {
    let mut world = World::new();
    let (_, peer) = join(&mut world, 1, &[VP8], &[VP8]);
    join(&mut world, 2, &[VP8], &[VP8]);
    world.effects();

    let (mid, bits_per_second) = (Mid::new("cam"), 8_000_000);
    world.room.handle_engine(world.now, EngineEvent::Excess { peer, mid, bits_per_second });

    let effects = world.effects();
    let [(to, Signal::BitrateExceeded { mid, source, bits_per_second: 8_000_000 })] =
        &signals(&effects)[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((*to, mid.as_str(), *source), (1, "cam", Some(SourceKind::Camera)));
}

#[test]
fn a_slot_says_that_its_viewer_cannot_decode_the_source() {
    let mut world = World::new();
    let (a, a_peer) = join(&mut world, 1, &[VP9, VP8], &[VP9, VP8]);
    join(&mut world, 2, &[VP8], &[VP8]);
    world.effects();

    let slots = slots_for(&sends(&mut world, a_peer, &[VP9]), 2);
    assert_eq!(slots[1].participant.as_deref(), Some(&*a), "it names what it cannot show");
    assert_eq!(slots[1].reason, Some(SlotReason::Codec));
    assert_eq!(slots[2].reason, Some(SlotReason::Idle));

    let slots = slots_for(&sends(&mut world, a_peer, &[VP9, VP8]), 2);
    assert_eq!(slots[1].reason, Some(SlotReason::Auto), "one of its layers can be decoded");
}

#[test]
fn a_publisher_is_told_what_to_send_instead_and_when_all_is_well() {
    let mut world = World::new();
    let (_, a_peer) = join(&mut world, 1, &[VP9, AV1, VP8], &[VP8]);
    join(&mut world, 2, &[VP8], &[VP8, AV1]);
    join(&mut world, 3, &[VP8], &[VP8]);
    world.effects();

    let effects = sends(&mut world, a_peer, &[VP9]);
    let (wanted, room) = wishes(&effects, 1);
    assert_eq!(
        (wanted, room),
        (vec!["video/VP8 2".into()], vec!["video/VP8 2".into(), "video/AV1 1".into()])
    );
    let [mismatches] = &mismatches_for(&effects, 1)[..] else { panic!() };
    let CodecMismatch { mid, source, viewers, receivers, .. } = &mismatches[0];
    assert_eq!(
        (mid.as_str(), *source, *viewers, *receivers),
        ("cam", Some(SourceKind::Camera), 2, 2)
    );
    assert!(mismatches_for(&effects, 2).is_empty());

    assert!(sends(&mut world, a_peer, &[VP9]).is_empty(), "nothing changes");
    assert_eq!(mismatches_for(&sends(&mut world, a_peer, &[VP8]), 1), [[]]);
}

#[test]
fn receivers_of_different_abilities_want_one_codec_each() {
    let mut world = World::new();
    let (_, a_peer) = join(&mut world, 1, &[VP9, AV1, VP8], &[VP8]);
    join(&mut world, 2, &[VP8], &[VP8]);
    join(&mut world, 3, &[VP8], &[AV1]);
    world.effects();
    let (wanted, _) = wishes(&sends(&mut world, a_peer, &[VP9]), 1);
    assert_eq!(wanted, ["video/AV1 1", "video/VP8 1"], "the publisher prefers AV1");
}

#[test]
fn a_camera_that_nobody_could_decode_is_known_before_it_sends() {
    let mut world = World::new();
    join(&mut world, 1, &[VP9], &[VP8]);
    join(&mut world, 2, &[VP8], &[VP8]);
    let effects = world.effects();
    let (wanted, room) = wishes(&effects, 1);
    assert_eq!((wanted, room), (Vec::new(), vec!["video/VP8 1".to_owned()]));
    let slots = joined_in(&effects).slots.clone().unwrap();
    assert_eq!(slots[1].reason, Some(SlotReason::Codec));
}

#[test]
fn a_later_offer_ends_the_mismatch() {
    let mut world = World::new();
    let (_, a_peer) = join(&mut world, 1, &[VP9], &[VP8]);
    let (_, b_peer) = join(&mut world, 2, &[VP8], &[VP8]);
    sends(&mut world, a_peer, &[VP9]);
    world.request(2, "offer", r#"{"sdp":"v=0\r\no=- 2 1 IN IP4 0.0.0.0\r\n"}"#);
    let (fresh, current) = world.offered_again();
    assert_eq!(current, Some(b_peer));
    world.answer_as(fresh, b_peer, answer_in(&[VP8], &[VP8, VP9]));

    let effects = world.effects();
    assert_eq!(mismatches_for(&effects, 1), [[]]);
    assert_eq!(slots_for(&effects, 2)[1].reason, Some(SlotReason::Auto));
}

#[test]
fn a_publisher_that_resumes_is_told_again() {
    let mut world = World::new();
    let (_, a_peer) = join(&mut world, 1, &[VP9], &[VP8]);
    let token = joined_in(&world.effects()).resume_token.expose().to_owned();
    join(&mut world, 2, &[VP8], &[VP8]);
    sends(&mut world, a_peer, &[VP9]);
    world.room.handle_gone(world.now, SessionId(1), false);
    world.effects();

    world.resume(9, &token, r#"{"name":"a"}"#);
    assert_eq!(mismatches_for(&world.effects(), 9).len(), 1);
}

#[test]
fn an_offer_goes_to_the_engine_with_what_the_others_decode() {
    let mut world = World::new();
    join(&mut world, 1, &[VP8], &[VP8]);
    join(&mut world, 2, &[VP8], &[VP8, VP9]);
    world.effects();
    world.request(1, "offer", r#"{"sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"}"#);
    let mut others = Receivers::default();
    others.add(vec![VP8, VP9]);
    let effects = world.effects();
    assert!(
        matches!(&effects[..], [Effect::Offer { receivers, .. }] if *receivers == others),
        "{effects:?}"
    );
}
