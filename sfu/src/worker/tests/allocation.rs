//! The packet path does not allocate: an allocator counts the allocations of each thread.
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; this implementation passes every call on unchanged"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use super::client::{Client, World};
use super::feedback::with_feedback;
use super::simulcast::{Camera, with_layers};
use super::{camera_of, pair};
use crate::transport::batch::SendBatch;
use crate::{Mid, PeerId};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every method passes its arguments to `System` unchanged and returns its result. The counter is a
// constant-initialised thread-local without a destructor, so counting itself never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The number of allocations that this thread has made.
pub(super) fn allocations() -> usize {
    ALLOCATIONS.get()
}

#[test]
fn forwarding_of_layers_allocates_nothing() {
    let mut world = World::new();
    let mut camera = Camera::new(world.join_with(1, |sdp| with_layers(&sdp, &["q", "h", "f"])));
    let mut b = world.join(2);
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    for _ in 0..60 {
        camera.shoot(&mut world);
        world.advance(Duration::from_millis(33));
        world.exchange(&mut [&mut camera.client, &mut b]);
    }
    let mut datagrams: Vec<_> = (0..100).flat_map(|_| camera.frame()).collect();
    let mut batch = SendBatch::new();
    let sent_before = world.worker.stats().rtp_sent;

    let before = allocations();
    for datagram in &mut datagrams {
        world.worker.handle_datagram(world.now, camera.client.path(), datagram);
        while world.worker.poll_batch(world.now, &mut batch) {
            batch.clear();
        }
    }
    let made = allocations() - before;

    assert_eq!(world.worker.stats().rtp_sent - sent_before, 100, "one layer of three is forwarded");
    assert_eq!(made, 0, "allocations for 300 packets");
}

#[test]
fn forwarding_allocates_nothing() {
    assert_nothing_is_allocated(pair());
}

#[test]
fn forwarding_of_numbered_packets_allocates_nothing() {
    let mut world = World::new();
    let (a, b) = (world.join(1), world.join_with(2, with_feedback));
    world.worker.assign(world.now, PeerId(2), &Mid::new("4"), camera_of(1).as_ref());
    assert_nothing_is_allocated((world, a, b));
}

fn assert_nothing_is_allocated((mut world, mut a, mut b): (World, Client, Client)) {
    a.send_video(&mut world, 1, true);
    world.exchange(&mut [&mut a, &mut b]);
    let mut datagrams: Vec<_> = (2..1002).map(|sequence| a.video(sequence, false)).collect();
    let mut batch = SendBatch::new();
    let sent_before = world.worker.stats().rtp_sent;

    let before = allocations();
    for burst in datagrams.chunks_mut(10) {
        for datagram in burst {
            world.worker.handle_datagram(world.now, a.path(), datagram);
        }
        while world.worker.poll_batch(world.now, &mut batch) {
            batch.clear();
        }
    }
    let made = allocations() - before;

    assert_eq!(world.worker.stats().rtp_sent - sent_before, 1000);
    assert_eq!(made, 0, "allocations for 1000 packets");
}
