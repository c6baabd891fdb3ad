//! Simulcast (RFC 8853): the same picture in several encodings at once, told apart by restriction identifiers
//! (RFC 8851).
//!
//! ```text
//!   offer                                    answer
//!   a=rid:q send                             a=rid:q recv
//!   a=rid:f send max-width=1280              a=rid:f recv max-width=1280
//!   a=simulcast:send q;f                     a=simulcast:recv q;f
//! ```

use rtc_sdp::MediaDescription;

use super::extension::{Extension, ExtensionMap};
use crate::OfferError;

/// Layers of one m-line. Further ones are left out of the answer, so that they are not sent (RFC 8853 §5.3.2).
pub(crate) const MAX_LAYERS: usize = 3;
/// `a=rid` lines of one m-line that are looked at; more make the offer unanswerable.
const MAX_RIDS: usize = 16;
/// The longest identifier: what a header extension element of the one-byte form can carry (RFC 8285 §4.2).
const MAX_RID_BYTES: usize = 16;

/// The name of an encoding within its m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rid(Box<str>);

impl Rid {
    /// RFC 8851 §10, with the erratum that keeps it to what RFC 8852 can carry.
    fn parse(text: &str) -> Result<Rid, OfferError> {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > MAX_RID_BYTES || !text.bytes().all(is_known) {
            let reason = format!("an a=rid isn't 1 to {MAX_RID_BYTES} letters, digits, - or _");
            return Err(OfferError::BadSdp(reason));
        }
        Ok(Rid(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As packets have it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// An encoding that a client offers to send, and that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfferedLayer {
    pub(crate) rid: Rid,
    /// What stands behind the direction in its `a=rid`. The answer repeats it: it may not be relaxed (RFC 8851 §6.3).
    restrictions: String,
}

impl OfferedLayer {
    /// `a=rid` of the answer, without the key.
    pub(crate) fn answer(&self) -> String {
        let OfferedLayer { rid: Rid(rid), restrictions } = self;
        if restrictions.is_empty() {
            format!("{rid} recv")
        } else {
            format!("{rid} recv {restrictions}")
        }
    }
}

/// `a=simulcast` of the answer, without the key. `None` when there are no layers.
pub(crate) fn answer(layers: &[OfferedLayer]) -> Option<String> {
    let rids: Vec<&str> = layers.iter().map(|layer| layer.rid.as_str()).collect();
    (!rids.is_empty()).then(|| format!("recv {}", rids.join(";")))
}

/// The layers that an m-line offers to send, in the order of `a=simulcast`. None when there is no simulcast, or packets
/// could not say which layer they belong to because the extensions for that (RFC 8852) aren't offered.
pub(crate) fn offered(
    media: &MediaDescription,
    extensions: &ExtensionMap,
) -> Result<Vec<OfferedLayer>, OfferError> {
    let rids = rids(media)?;
    let can_tell =
        [Extension::Mid, Extension::StreamId].iter().all(|kind| extensions.id_of(*kind).is_some());
    let Some(list) = send_list(media).filter(|_| can_tell) else {
        return Ok(Vec::new());
    };
    let mut named: Vec<&str> = Vec::new();
    let mut layers = Vec::new();
    for stream in list.split(';') {
        for alternative in stream.split(',') {
            let rid = unpaused(alternative);
            if named.contains(&rid) {
                return Err(OfferError::BadSdp(format!("its a=simulcast names {rid:?} twice")));
            }
            named.push(rid);
        }
        // The first alternative is the preferred one. One without its a=rid doesn't exist (RFC 8853 §5.3.2).
        let known = stream.split(',').map(unpaused);
        let found = known.filter_map(|rid| rids.iter().find(|layer| layer.rid.as_str() == rid));
        layers.extend(found.take(1).cloned());
    }
    layers.truncate(MAX_LAYERS);
    Ok(layers)
}

/// RFC 8853 §5.1: `~` says that a stream is paused at first.
fn unpaused(alternative: &str) -> &str {
    alternative.strip_prefix('~').unwrap_or(alternative)
}

/// The streams behind `send` in `a=simulcast`; what it offers to receive isn't done here.
fn send_list(media: &MediaDescription) -> Option<&str> {
    let mut words = media.attribute("simulcast").flatten()?.split_ascii_whitespace();
    words.by_ref().find(|word| *word == "send")?;
    words.next()
}

fn rids(media: &MediaDescription) -> Result<Vec<OfferedLayer>, OfferError> {
    let mut layers: Vec<OfferedLayer> = Vec::new();
    for attribute in media.attributes.iter().filter(|attribute| attribute.key == "rid") {
        let text = attribute.value.as_deref().unwrap_or_default();
        let mut words = text.splitn(3, ' ');
        let rid = Rid::parse(words.next().unwrap_or_default())?;
        if words.next() != Some("send") {
            continue;
        }
        if layers.iter().any(|layer| layer.rid == rid) {
            return Err(OfferError::BadSdp(format!("two a=rid are {:?}", rid.as_str())));
        }
        if layers.len() == MAX_RIDS {
            return Err(OfferError::BadSdp(format!("an m-line has more than {MAX_RIDS} a=rid")));
        }
        let restrictions = words.next().unwrap_or_default().trim().to_owned();
        layers.push(OfferedLayer { rid, restrictions });
    }
    Ok(layers)
}
