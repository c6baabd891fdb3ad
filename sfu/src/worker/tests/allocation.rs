//! The packet path allocates nothing: counted by an allocator that knows which thread asks.
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; this one passes every call on unchanged"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::pair;
use crate::batch::SendBatch;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every method hands its arguments to `System` unchanged and returns what that returns; the counter is a
// constant-initialised thread-local without destructor, so that counting itself never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// So many allocations this thread has made.
pub(super) fn allocations() -> usize {
    ALLOCATIONS.get()
}

#[test]
fn forwarding_allocates_nothing() {
    let (mut world, mut a, mut b) = pair();
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
