//! Places for HTTP connections: who gives way when there are too many.
//!
//! A connection that becomes a WebSocket no longer has a place. When all places are taken, a further connection
//!
//! 1. replaces the oldest without a request in progress, so that connections that never send a request keep nobody out.
//!    The first request of a connection has [`GRACE`] to arrive;
//! 2. else replaces the oldest of the address that has the most, if that is more than [`SHARE`] and another address;
//! 3. else takes a spare place, which it has until [`SPARE`] others have come. That is long enough for a page, an answer
//!    of the REST interface, a health check or the handshake of a WebSocket, also while a flood goes on.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use madang_turn::client_network;
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use crate::tally::Tally;

/// Maximum number of HTTP connections at a time, besides those in spare places.
const MOST: usize = 4096;
/// The number of spare places.
const SPARE: usize = 256;
/// With more places than this, an address gives way to another. One address may be a proxy for many people, so it may
/// have all places as long as nobody else needs them.
const SHARE: usize = MOST / 4;
/// A connection younger than this does not give way: its request may be on the way.
const GRACE: Duration = Duration::from_millis(250);
/// With fewer connections than this, the list is not searched for those that have ended.
const FEW: usize = 16;

/// The open connections.
#[derive(Default)]
pub(super) struct Places {
    tasks: JoinSet<()>,
    /// Oldest first; some may have ended. Holds at most twice [`MOST`], and at most twice the open ones.
    taken: VecDeque<Taken>,
    /// Connections in spare places, oldest first; at most [`SPARE`].
    spare: VecDeque<AbortHandle>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The number of connections with a request in progress, besides those in spare places.
    busy: AtomicUsize,
    /// The number of connections by IPv4 address or IPv6 /64 network, besides those in spare places.
    by_address: Mutex<Tally<IpAddr>>,
}

struct Taken {
    task: AbortHandle,
    since: Instant,
    from: IpAddr,
    requests: Requests,
}

impl Places {
    /// Runs a connection from an address in a place of its own.
    pub(super) fn take<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        now: Instant,
        from: IpAddr,
        connection: impl FnOnce(Requests) -> F,
    ) {
        while self.tasks.try_join_next().is_some() {}
        self.spare.retain(|task| !task.is_finished());
        let from = client_network(from);
        let is_full = self.open() >= MOST;
        if is_full && !self.free_idle(now) && !self.free_of_heaviest(from) {
            return self.take_spare(connection);
        }
        // A handle keeps the memory of its task after the task has ended, as it does for a WebSocket.
        if self.taken.len() >= 2 * self.tasks.len().max(FEW) {
            self.taken.retain(|taken| !taken.task.is_finished());
        }
        let requests = Requests { own: Arc::default(), of: Some(Arc::clone(&self.shared)) };
        let counted = Counted::new(&self.shared, from);
        let running = connection(requests.clone());
        let task = self.tasks.spawn(async move {
            running.await;
            drop(counted);
        });
        self.taken.push_back(Taken { task, since: now, from, requests });
    }

    /// Waits until some connection has ended; for ever if there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Waits until all connections have ended.
    pub(super) async fn all_ended(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// The number of connections besides those in spare places.
    fn open(&self) -> usize {
        self.tasks.len().saturating_sub(self.spare.len())
    }

    fn take_spare<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        connection: impl FnOnce(Requests) -> F,
    ) {
        if self.spare.len() == SPARE
            && let Some(oldest) = self.spare.pop_front()
        {
            oldest.abort();
        }
        let requests = Requests { own: Arc::default(), of: None };
        self.spare.push_back(self.tasks.spawn(connection(requests)));
    }

    /// Closes the oldest connection without a request in progress; returns whether there was one. Others that are examined
    /// move to the back of the queue, so that they are not examined each time.
    fn free_idle(&mut self, now: Instant) -> bool {
        if self.shared.busy.load(Relaxed) >= self.open() {
            return false;
        }
        for _ in 0..self.taken.len() {
            let Some(taken) = self.taken.pop_front() else { break };
            if taken.task.is_finished() {
                continue;
            }
            let is_young = now.saturating_duration_since(taken.since) < GRACE;
            if taken.requests.own.load(Relaxed) == 0 && !is_young {
                debug!("closed an idle connection to make room for another");
                taken.task.abort();
                return true;
            }
            self.taken.push_back(taken);
        }
        false
    }

    /// Closes the oldest connection of the address that has the most; returns whether there is one with more than its
    /// share, and another one than `newcomer`.
    fn free_of_heaviest(&mut self, newcomer: IpAddr) -> bool {
        let heaviest = self.shared.by_address().highest().map(|(from, count)| (*from, count));
        let Some((from, _)) = heaviest.filter(|(from, count)| *count > SHARE && *from != newcomer)
        else {
            return false;
        };
        let is_its = |taken: &Taken| taken.from == from && !taken.task.is_finished();
        let Some(taken) = self.taken.iter().position(is_its).and_then(|at| self.taken.remove(at))
        else {
            return false;
        };
        debug!(%from, "closed a connection of the address that has the most");
        taken.task.abort();
        true
    }
}

impl Shared {
    fn by_address(&self) -> MutexGuard<'_, Tally<IpAddr>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in the count of its address. Dropping it removes it.
struct Counted {
    shared: Arc<Shared>,
    from: IpAddr,
}

impl Counted {
    fn new(shared: &Arc<Shared>, from: IpAddr) -> Counted {
        shared.by_address().add(from);
        Counted { shared: Arc::clone(shared), from }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.by_address().remove(&self.from);
    }
}

/// The requests of a connection that are in progress: from their head to the end of the response.
#[derive(Clone)]
pub(super) struct Requests {
    own: Arc<AtomicUsize>,
    /// Counts the connections that have any, unless the connection is in a spare place.
    of: Option<Arc<Shared>>,
}

impl Requests {
    pub(super) fn begin(&self) -> UnderWay {
        if self.own.fetch_add(1, Relaxed) == 0
            && let Some(shared) = &self.of
        {
            shared.busy.fetch_add(1, Relaxed);
        }
        UnderWay(self.clone())
    }
}

/// A request in progress. Dropping it ends the request.
pub(super) struct UnderWay(Requests);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.own.fetch_sub(1, Relaxed) == 1
            && let Some(shared) = &self.0.of
        {
            shared.busy.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use std::future::pending;

    use super::*;

    const HEAVY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// Takes a place for a connection that does not end, with or without a request in progress.
    fn take(places: &mut Places, from: IpAddr, is_busy: bool) -> AbortHandle {
        take_at(places, Instant::now(), from, is_busy)
    }

    fn take_at(places: &mut Places, now: Instant, from: IpAddr, is_busy: bool) -> AbortHandle {
        places.take(now, from, |requests| {
            let request = is_busy.then(|| requests.begin());
            async move {
                pending::<()>().await;
                drop(request);
            }
        });
        let newest = places.taken.back().map(|taken| &taken.task);
        places.spare.back().or(newest).unwrap().clone()
    }

    async fn is_closed(task: &AbortHandle) -> bool {
        // Each turn of the runtime polls some of the tasks.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        task.is_finished()
    }

    #[tokio::test]
    async fn the_oldest_idle_connection_gives_way() {
        let mut places = Places::default();
        let busy = take(&mut places, HEAVY, true);
        let idle = take(&mut places, OTHER, false);
        (2..MOST).for_each(|_| drop(take(&mut places, HEAVY, true)));

        take_at(&mut places, Instant::now() + GRACE, HEAVY, true);

        assert!(is_closed(&idle).await);
        assert!(!is_closed(&busy).await);
        assert!(places.spare.is_empty());
    }

    #[tokio::test]
    async fn a_request_has_time_to_arrive() {
        let mut places = Places::default();
        let start = Instant::now();
        let young = take_at(&mut places, start, OTHER, false);
        (1..MOST).for_each(|_| drop(take_at(&mut places, start, HEAVY, true)));

        take_at(&mut places, start + GRACE - Duration::from_millis(1), HEAVY, true);
        assert!(!is_closed(&young).await);
        take_at(&mut places, start + GRACE, HEAVY, true);

        assert!(is_closed(&young).await);
    }

    #[tokio::test]
    async fn an_address_with_most_places_gives_way_to_others() {
        let mut places = Places::default();
        let oldest = take(&mut places, HEAVY, true);
        (1..MOST).for_each(|_| drop(take(&mut places, HEAVY, true)));

        let other = take(&mut places, OTHER, true);

        assert!(is_closed(&oldest).await);
        (0..2 * SPARE).for_each(|_| drop(take(&mut places, HEAVY, true)));
        assert!(!is_closed(&other).await, "its own newcomers take spare places");
        assert_eq!(places.spare.len(), SPARE);
        assert_eq!(places.shared.by_address().of(&OTHER), 1);
    }

    #[tokio::test]
    async fn a_newcomer_has_a_spare_place_until_many_others_have_come() {
        let mut places = Places::default();
        (0..MOST).for_each(|_| drop(take(&mut places, HEAVY, true)));

        let newcomer = take(&mut places, HEAVY, true);
        (1..SPARE).for_each(|_| drop(take(&mut places, HEAVY, true)));
        assert!(!is_closed(&newcomer).await);
        take(&mut places, HEAVY, true);

        assert!(is_closed(&newcomer).await);
        assert_eq!(places.spare.len(), SPARE);
    }

    #[tokio::test]
    async fn what_ended_is_not_counted() {
        let mut places = Places::default();
        places.take(Instant::now(), HEAVY, |_| std::future::ready(()));
        places.ended().await;
        assert!(places.shared.by_address().is_empty());
        places.all_ended().await;
    }
}
