//! Expiry and retransmission.

use std::time::Duration;

use stun_types::message::MessageClass;
use turn_types::attribute::{Lifetime, RequestedTransport};
use turn_types::message::ALLOCATE;

use crate::world::{
    ALICE, Ask, Login, MEDIA, World, allocate, bind, channel_data, code, indication, lifetime,
    permission, refresh, relayed,
};

#[test]
fn lifetimes_are_kept_between_default_and_maximum() {
    for (wished, granted) in
        [(0, 600), (1, 600), (600, 600), (601, 601), (3600, 3600), (u32::MAX, 3600)]
    {
        let mut world = World::new();
        let answer = world.ask_as(ALICE, "alice", allocate().with(&Lifetime::new(wished)));
        assert_eq!(lifetime(&answer), granted, "Allocate wished {wished}");

        if wished > 0 {
            let answer = world.ask_as(ALICE, "alice", refresh(wished));
            assert_eq!(lifetime(&answer), granted, "Refresh wished {wished}");
        }
    }
}

#[test]
fn an_allocation_ends_at_its_deadline_and_not_before() {
    let mut world = World::new();
    world.allocated();
    let deadline = world.now + Duration::from_secs(600);

    assert_eq!(world.server.poll_timeout(), Some(deadline));
    world.server.handle_timeout(deadline - Duration::from_nanos(1));
    assert_eq!(world.server.stats().allocations, 1);
    world.server.handle_timeout(deadline);

    assert_eq!(world.server.stats().allocations, 0);
    assert_eq!(world.server.stats().allocations_expired, 1);
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
fn an_expired_allocation_is_gone_even_when_nobody_called_the_timeout() {
    let mut world = World::new();
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", permission(MEDIA));

    world.advance(600);

    assert_eq!(world.media_sends(relayed, MEDIA, b"late"), None);
    assert_eq!(code(&world.ask_as(ALICE, "alice", refresh(600))), 437);
}

#[test]
fn a_refreshed_allocation_lives_on() {
    let mut world = World::new();
    world.allocated();

    for _ in 0..20 {
        world.advance(599);
        assert_eq!(code(&world.ask_as(ALICE, "alice", refresh(600))), 0);
    }

    assert_eq!(world.server.stats().allocations, 1);
    world.advance(600);
    world.server.handle_timeout(world.now);
    assert_eq!(world.server.stats().allocations, 0);
}

#[test]
fn a_call_outlives_its_credentials() {
    let mut world = World::new();
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", bind(0x4000, MEDIA));
    let login = world.expired_login(ALICE, "alice");

    for _ in 0..3 * 24 * 15 {
        world.advance(240);
        let login = Login { nonce: world.login(ALICE, "alice").nonce, ..login.clone() };
        assert_eq!(code(&world.ask(ALICE, &bind(0x4000, MEDIA).signed(&login))), 0);
        assert_eq!(code(&world.ask(ALICE, &refresh(600).signed(&login))), 0);
        assert!(world.media_sends(relayed, MEDIA, b"media").is_some());
    }
}

#[test]
fn an_allocation_without_media_does_not_outlive_its_credentials_for_long() {
    let mut world = World::new();
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", permission(MEDIA));
    world.advance(100);
    world.ask_as(ALICE, "alice", refresh(3600));
    assert!(world.media_sends(relayed, MEDIA, b"media").is_some());
    let expired = world.expired_login(ALICE, "alice");
    let mut refreshed_after = |secs| {
        world.advance(secs);
        let login = Login { nonce: world.login(ALICE, "alice").nonce, ..expired.clone() };
        // The engine answers to nothing that the client sends.
        world.send(ALICE, &indication(MEDIA, b"check"));
        code(&world.ask(ALICE, &refresh(3600).signed(&login)))
    };

    assert_eq!(refreshed_after(3599), 0);
    assert_eq!(refreshed_after(1), 401);
    assert_eq!(refreshed_after(1000), 401);
    assert_eq!(code(&world.ask_as(ALICE, "alice", refresh(600))), 0, "current ones work");
}

#[test]
fn a_permission_lasts_300_seconds_in_both_directions() {
    let mut world = World::new();
    let relayed = world.allocated();
    world.ask_as(ALICE, "alice", permission(MEDIA));

    world.advance(299);
    assert!(world.send(ALICE, &indication(MEDIA, b"x")).is_some());
    assert!(world.media_sends(relayed, MEDIA, b"x").is_some());
    world.advance(1);

    assert_eq!(world.send(ALICE, &indication(MEDIA, b"x")), None);
    assert_eq!(world.media_sends(relayed, MEDIA, b"x"), None);
    assert_eq!(world.server.stats().dropped_no_permission, 2);
}

#[test]
fn asking_again_renews_a_permission() {
    let mut world = World::new();
    world.allocated();
    world.ask_as(ALICE, "alice", permission(MEDIA));
    world.advance(250);

    world.ask_as(ALICE, "alice", permission(MEDIA));
    world.advance(250);

    assert!(world.send(ALICE, &indication(MEDIA, b"x")).is_some());
}

#[test]
fn a_channel_lasts_600_seconds_but_needs_its_permission() {
    let mut world = World::new();
    world.ask_as(ALICE, "alice", allocate().with(&Lifetime::new(3600)));
    world.ask_as(ALICE, "alice", bind(0x4000, MEDIA));

    world.advance(299);
    assert!(world.send(ALICE, &channel_data(0x4000, b"x")).is_some());
    world.advance(1);
    assert_eq!(world.send(ALICE, &channel_data(0x4000, b"x")), None);
    assert_eq!(world.server.stats().dropped_no_permission, 1);

    world.ask_as(ALICE, "alice", permission(MEDIA));
    world.advance(299);
    assert!(world.send(ALICE, &channel_data(0x4000, b"x")).is_some());
    world.advance(1);
    assert_eq!(world.send(ALICE, &channel_data(0x4000, b"x")), None);
    assert_eq!(world.server.stats().dropped_no_channel, 1);
}

#[test]
fn binding_again_renews_channel_and_permission() {
    let mut world = World::new();
    world.ask_as(ALICE, "alice", allocate().with(&Lifetime::new(3600)));

    for _ in 0..8 {
        assert_eq!(code(&world.ask_as(ALICE, "alice", bind(0x4000, MEDIA))), 0);
        world.advance(290);
        assert!(world.send(ALICE, &channel_data(0x4000, b"x")).is_some());
    }
}

#[test]
fn an_expired_number_can_be_bound_to_another_peer() {
    let mut world = World::new();
    world.ask_as(ALICE, "alice", allocate().with(&Lifetime::new(3600)));
    world.ask_as(ALICE, "alice", bind(0x4000, MEDIA));
    let other = "198.51.100.8:5004";

    world.advance(599);
    assert_eq!(code(&world.ask_as(ALICE, "alice", bind(0x4000, other))), 400);
    world.advance(1);

    assert_eq!(code(&world.ask_as(ALICE, "alice", bind(0x4000, other))), 0);
}

#[test]
fn repeated_requests_get_the_same_answer() {
    let mut world = World::new();
    let login = world.login(ALICE, "alice");
    let requests = [
        allocate().with(&Lifetime::new(900)).fingerprint().signed(&login),
        permission(MEDIA).signed(&login),
        bind(0x4000, MEDIA).signed(&login),
        refresh(700).signed(&login),
        refresh(0).signed(&login),
    ];

    for request in requests {
        let first = world.ask(ALICE, &request);
        world.advance(2);
        let second = world.ask(ALICE, &request);

        assert_eq!(code(&first), 0);
        assert!(login.has_signed(&first));
        assert_eq!(first, second);
    }
    assert_eq!(world.server.stats().allocations_created, 1);
    assert_eq!(world.server.stats().allocations_deleted, 1);
}

#[test]
fn a_late_goodbye_spares_the_next_allocation() {
    let mut world = World::new();
    world.allocated();
    let login = world.login(ALICE, "alice");
    let goodbye = refresh(0).signed(&login);
    world.ask(ALICE, &goodbye);
    world.allocated();

    let answer = world.ask(ALICE, &goodbye);

    assert_eq!(code(&answer), 0);
    assert_eq!(world.server.stats().allocations, 1);
}

#[test]
fn a_repeated_allocate_of_somebody_else_is_no_repetition() {
    let mut world = World::new();
    let alice = world.login(ALICE, "alice");
    let mallory = world.login(ALICE, "mallory");
    let transaction = 0x1234.into();
    let with_transaction = || {
        Ask::new(MessageClass::Request, ALLOCATE, transaction)
            .with(&RequestedTransport::new(RequestedTransport::UDP))
    };
    world.ask(ALICE, &with_transaction().signed(&alice));

    let answer = world.ask(ALICE, &with_transaction().signed(&mallory));

    assert_eq!(code(&answer), 437);
}

#[test]
fn a_released_port_is_given_out_last() {
    let mut world = World::new();
    let first = world.allocated();
    world.ask_as(ALICE, "alice", refresh(0));

    for _ in 0..50 {
        let next = relayed(&world.ask_as(ALICE, "alice", allocate()));
        world.ask_as(ALICE, "alice", refresh(0));
        assert_ne!(next, first);
    }
}

#[test]
fn a_long_session_survives_the_change_of_nonces() {
    let mut world = World::new();
    let mut login = world.login(ALICE, "alice");
    world.ask(ALICE, &allocate().signed(&login));
    let mut stale = 0;

    for _ in 0..60 {
        world.advance(500);
        let mut answer = world.ask(ALICE, &refresh(600).signed(&login));
        if code(&answer) == 438 {
            stale += 1;
            login = world.login(ALICE, "alice");
            answer = world.ask(ALICE, &refresh(600).signed(&login));
        }
        assert_eq!(code(&answer), 0);
    }

    // 30,000 seconds, with nonces that last 1800 to 3600 seconds.
    assert!((8..=16).contains(&stale), "{stale}");
}
