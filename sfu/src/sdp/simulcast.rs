//! Simulcast (RFC 8853): the same video in several encodings at once, identified by RIDs (RFC 8851).
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

/// Layers of one m-line. Further layers are left out of the answer, so they are not sent (RFC 8853 §5.3.2).
pub(crate) const MAX_LAYERS: usize = 3;
/// `a=rid` lines of one m-line. An offer with more is refused.
const MAX_RIDS: usize = 16;
/// The longest RID: the most that a header extension element in one-byte form can carry (RFC 8285 §4.2).
const MAX_RID_BYTES: usize = 16;

/// The restriction identifier (RID) of an encoding, unique within its m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rid(Box<str>);

impl Rid {
    /// RFC 8851 §10, with the erratum that restricts it to what RFC 8852 can carry.
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

    /// The bytes in the header extension.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// An encoding that a client offers to send, and that the server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfferedLayer {
    pub(crate) rid: Rid,
    /// The text behind the direction in its `a=rid`. The answer repeats it, since it must not be relaxed (RFC 8851
    /// §6.3).
    restrictions: String,
}

impl OfferedLayer {
    /// The value of `a=rid` in the answer.
    pub(crate) fn answer(&self) -> String {
        let OfferedLayer { rid: Rid(rid), restrictions } = self;
        if restrictions.is_empty() {
            format!("{rid} recv")
        } else {
            format!("{rid} recv {restrictions}")
        }
    }
}

/// The value of `a=simulcast` in the answer. `None` without layers.
pub(crate) fn answer(layers: &[OfferedLayer]) -> Option<String> {
    let rids: Vec<&str> = layers.iter().map(|layer| layer.rid.as_str()).collect();
    (!rids.is_empty()).then(|| format!("recv {}", rids.join(";")))
}

/// The layers that an m-line offers to send, in the order of `a=simulcast`. Empty without simulcast, or if the
/// extensions that identify a packet's layer (RFC 8852) are not offered.
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
        // The first alternative is the preferred one. An alternative without its a=rid does not count (RFC 8853
        // §5.3.2).
        let known = stream.split(',').map(unpaused);
        let found = known.filter_map(|rid| rids.iter().find(|layer| layer.rid.as_str() == rid));
        layers.extend(found.take(1).cloned());
    }
    layers.truncate(MAX_LAYERS);
    Ok(layers)
}

/// RFC 8853 §5.1: `~` marks a stream that is initially paused.
fn unpaused(alternative: &str) -> &str {
    alternative.strip_prefix('~').unwrap_or(alternative)
}

/// The streams behind `send` in `a=simulcast`. Receiving simulcast is not supported.
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
