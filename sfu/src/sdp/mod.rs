//! Offers and answers: the one part of JSEP (RFC 9429) that a server needs which only ever answers.

mod answer;
mod codec;
mod extension;
mod offer;
mod simulcast;

#[cfg(test)]
mod tests;

pub(crate) use answer::{Answerer, Slot, write as write_answer};
pub(crate) use codec::Payload;
pub(crate) use extension::{Extension, ExtensionMap};
pub(crate) use offer::{Negotiable, Offer, OfferedMedia, Use};
pub(crate) use simulcast::{MAX_LAYERS, Rid};
