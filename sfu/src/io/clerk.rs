//! Reads offers and writes answers, away from the threads of the workers.
//!
//! The SDP of a large call takes milliseconds, in which a worker could forward thousands of packets. So a worker gets an
//! [`Offer`] that is already read and sorted, changes its tables, and returns an [`Agreement`], from which the answer is
//! written here.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::sdp::Offer;
use crate::worker::Agreement;
use crate::{Answer, OfferError, Receivers};

/// Works on SDP with the runtime's threads for blocking work, on few of them at a time.
#[derive(Clone, Debug)]
pub(super) struct Clerk {
    /// Half of the cores, so that offers alone can't occupy those that the workers need. The others wait in order. Each
    /// caller waits for its answer before it makes another offer, so there are at most as many as callers.
    places: Arc<Semaphore>,
}

impl Clerk {
    pub(super) fn new() -> Clerk {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Clerk { places: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// Reads an offer, and puts first what most of the receivers can decode.
    pub(super) async fn read(
        &self,
        sdp: String,
        receivers: Receivers,
    ) -> Result<Box<Offer>, OfferError> {
        self.work(move || Offer::read(&sdp, &receivers).map(Box::new)).await?
    }

    /// Writes the answer to an offer.
    pub(super) async fn write(
        &self,
        offer: Box<Offer>,
        agreement: Agreement,
    ) -> Result<Answer, OfferError> {
        self.work(move || agreement.answer(&offer)).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OfferError> {
        // Neither fails unless the process is ending: the semaphore is never closed, and the work does not panic.
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Err(OfferError::Overloaded);
        };
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| OfferError::Overloaded)
    }
}
