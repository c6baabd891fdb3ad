//! Simulcast (RFC 8853): the same video in several encodings at once, identified by RIDs (RFC 8851).
//!
//! ```text
//!   offer                                    answer
//!   a=rid:q send                             a=rid:q recv
//!   a=rid:f send max-width=1280              a=rid:f recv max-width=1280
//!   a=simulcast:send q;f                     a=simulcast:recv q;f
//! ```
//!
//! An `a=rid` that can't be used is discarded: one that is malformed, or all that have the same RID (RFC 8851 §6.3). Of
//! a RID that `a=simulcast` names several times, the first mention counts. What is discarded is left out of the answer,
//! so nothing is sent under it; the m-line is usable without.

use super::description::Section;
use super::extension::{Extension, ExtensionMap};

/// Layers of one m-line. Further layers are left out of the answer, so they are not sent (RFC 8853 §5.3.2).
pub(crate) const MAX_LAYERS: usize = 3;
/// `a=rid` lines of one m-line, and streams and alternatives in its `a=simulcast`. Further ones are discarded.
const MAX_RIDS: usize = 16;
/// The longest RID: the most that a header extension element in one-byte form can carry (RFC 8285 §4.2).
const MAX_RID_BYTES: usize = 16;

/// The restriction identifier (RID) of an encoding, unique within its m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rid(Box<str>);

impl Rid {
    /// RFC 8851 §10, with the erratum that restricts it to what RFC 8852 can carry.
    fn parse(text: &str) -> Option<Rid> {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_valid = (1..=MAX_RID_BYTES).contains(&text.len()) && text.bytes().all(is_known);
        is_valid.then(|| Rid(text.into()))
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
pub(super) fn offered(media: &Section<'_>, extensions: &ExtensionMap) -> Vec<OfferedLayer> {
    let can_tell =
        [Extension::Mid, Extension::StreamId].iter().all(|kind| extensions.id_of(*kind).is_some());
    let Some(list) = send_list(media).filter(|_| can_tell) else {
        return Vec::new();
    };
    let rids = rids(media);
    let mut layers: Vec<OfferedLayer> = Vec::new();
    for stream in list.split(';').take(MAX_RIDS) {
        // The first alternative is the preferred one. An alternative without its a=rid does not count (RFC 8853
        // §5.3.2).
        let mut known = stream.split(',').take(MAX_RIDS).map(bare_rid);
        let layer = known.find_map(|rid| rids.iter().find(|layer| layer.rid.as_str() == rid));
        layers.extend(layer.filter(|layer| !layers.contains(layer)).cloned());
        if layers.len() == MAX_LAYERS {
            break;
        }
    }
    layers
}

/// RFC 8853 §5.1: `~` marks a stream that is initially paused.
fn bare_rid(alternative: &str) -> &str {
    alternative.strip_prefix('~').unwrap_or(alternative)
}

/// The streams behind `send` in `a=simulcast`. Receiving simulcast is not supported. Earlier drafts of RFC 8853 wrote
/// `rid=` in front of them.
fn send_list<'a>(media: &Section<'a>) -> Option<&'a str> {
    let mut words = media.first("simulcast")?.value.split_ascii_whitespace();
    words.by_ref().find(|word| *word == "send")?;
    let list = words.next()?;
    Some(list.strip_prefix("rid=").unwrap_or(list))
}

fn rids(media: &Section<'_>) -> Vec<OfferedLayer> {
    let offered = media.all("rid").take(MAX_RIDS).filter_map(|attribute| {
        let mut words = attribute.value.splitn(3, [' ', '\t']);
        let rid = Rid::parse(words.next()?)?;
        let is_sent = words.next() == Some("send");
        let restrictions = words.next().unwrap_or_default().trim().to_owned();
        Some((is_sent, OfferedLayer { rid, restrictions }))
    });
    let offered: Vec<_> = offered.collect();
    let is_unique = |layer: &OfferedLayer| {
        offered.iter().filter(|(_, other)| other.rid == layer.rid).count() == 1
    };
    let sent = offered.iter().filter(|(is_sent, layer)| *is_sent && is_unique(layer));
    sent.map(|(_, layer)| layer.clone()).collect()
}
