//! SDP offers and answers: the part of JSEP (RFC 9429) needed by a server that only answers.

mod answer;
mod codec;
mod description;
mod extension;
#[cfg(any(test, fuzzing))]
pub(crate) mod invariants;
mod offer;
mod simulcast;

#[cfg(test)]
mod tests;

pub(crate) use answer::{Answerer, Slot, write as write_answer};
pub(crate) use codec::{Payload, best_match};
pub(crate) use extension::{Extension, ExtensionMap};
pub use offer::published_lines;
pub(crate) use offer::{Negotiable, Offer, OfferedMedia, Use};
pub(crate) use simulcast::{MAX_LAYERS, Rid};
