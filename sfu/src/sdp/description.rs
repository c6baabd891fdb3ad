//! Reads SDP (RFC 8866), leniently: an offer is refused for what the answer needs, not for a line that nobody uses.
//!
//! - A line is a letter, `=` and a value, and ends with LF or CR LF. Any other line is skipped.
//! - Only `m=` and `a=` lines matter. All others (`v=`, `o=`, `b=`, `c=`, `k=`, …) may have any value, stand in any
//!   order, or be missing.
//! - White space around keys and values does not count. A line with control characters is skipped, because its value
//!   might be repeated in the answer.
//! - Reading takes linear time, and the number of lines is bounded.

use crate::OfferError;

/// Lines of one offer. The largest offers of browsers, with 54 m-lines, have about 7000.
const MAX_LINES: usize = 40_000;
/// M-lines of one offer, rejected ones included. How many may be in use is another limit.
const MAX_MEDIA: usize = 256;

/// An offer's lines that matter.
#[derive(Debug)]
pub(super) struct Description<'a> {
    /// The session level.
    pub(super) session: Section<'a>,
    pub(super) media: Vec<Media<'a>>,
}

/// An m-line, and the attributes below it.
#[derive(Debug)]
pub(super) struct Media<'a> {
    pub(super) line: Line<'a>,
    /// `audio`, `video`, `application` or another medium.
    pub(super) medium: &'a str,
    /// Whether the port is 0. Its value does not matter otherwise, because ICE finds the address.
    pub(super) is_port_zero: bool,
    pub(super) protocol: &'a str,
    /// The formats, separated by white space.
    formats: &'a str,
    pub(super) section: Section<'a>,
}

/// The attributes of the session or of an m-line, in their order.
#[derive(Debug, Default)]
pub(super) struct Section<'a>(Vec<Attribute<'a>>);

/// One `a=` line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) line: Line<'a>,
    pub(super) key: &'a str,
    /// The text behind the colon; empty without one.
    pub(super) value: &'a str,
}

/// A line, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Counts from 1.
    number: usize,
    text: &'a str,
}

impl<'a> Description<'a> {
    /// Reads an offer.
    ///
    /// # Errors
    /// If it has no m-line, too many lines or m-lines, or an m-line that the answer could not repeat.
    pub(super) fn read(sdp: &'a str) -> Result<Description<'a>, OfferError> {
        let mut session = Section::default();
        let mut media: Vec<Media<'a>> = Vec::new();
        for (number, text) in (1..).zip(sdp.lines()) {
            let line = Line { number, text };
            if number > MAX_LINES {
                return Err(refused(format!("it has more than {MAX_LINES} lines")));
            }
            match text.split_once('=') {
                Some(("m", _)) if media.len() == MAX_MEDIA => {
                    return Err(refused(format!("it has more than {MAX_MEDIA} m-lines")));
                }
                Some(("m", value)) => media.push(Media::read(line, value)?),
                Some(("a", value)) => {
                    let section = media.last_mut().map_or(&mut session, |media| &mut media.section);
                    section.0.extend(Attribute::read(line, value));
                }
                _ => {}
            }
        }
        if media.is_empty() {
            return Err(refused("it has no m-line"));
        }
        Ok(Description { session, media })
    }
}

impl<'a> Media<'a> {
    /// RFC 8866 §5.14: medium, port (and number of ports), protocol, and formats. An m-line without formats is read,
    /// since the answer can repeat it.
    fn read(line: Line<'a>, value: &'a str) -> Result<Media<'a>, OfferError> {
        let mut rest = value.trim();
        let [medium, port, protocol] = [(); 3].map(|()| next_word(&mut rest));
        if protocol.is_empty() || has_control_character(value.trim()) {
            return Err(line.refused("an m-line has a medium, a port and a protocol"));
        }
        let port = port.split('/').next().unwrap_or_default();
        let is_port_zero = !port.is_empty() && port.bytes().all(|digit| digit == b'0');
        let section = Section::default();
        Ok(Media { line, medium, is_port_zero, protocol, formats: rest, section })
    }

    pub(super) fn formats(&self) -> impl Iterator<Item = &'a str> {
        self.formats.split_ascii_whitespace()
    }
}

impl<'a> Attribute<'a> {
    fn read(line: Line<'a>, text: &'a str) -> Option<Attribute<'a>> {
        let (key, value) = text.split_once(':').unwrap_or((text, ""));
        let (key, value) = (key.trim(), value.trim());
        (!has_control_character(value)).then_some(Attribute { line, key, value })
    }
}

impl<'a> Section<'a> {
    /// The attributes with this key.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &Attribute<'a>> {
        self.0.iter().filter(move |attribute| attribute.key == key)
    }

    /// The first attribute with this key.
    pub(super) fn first(&self, key: &str) -> Option<&Attribute<'a>> {
        self.all(key).next()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.first(key).is_some()
    }

    pub(super) fn attributes(&self) -> &[Attribute<'a>] {
        &self.0
    }
}

impl Line<'_> {
    /// The error that names this line and says why the offer can't be answered.
    pub(super) fn refused(self, reason: impl AsRef<str>) -> OfferError {
        /// Characters of a line that an error repeats.
        const REPEATED: usize = 80;
        let Line { number, text } = self;
        let repeated: String = text.chars().take(REPEATED).collect();
        let more = if repeated.len() < text.len() { "…" } else { "" };
        let reason = reason.as_ref();
        refused(format!("line {number} ({:?}{more}): {reason}", repeated))
    }
}

/// The error that says why the offer can't be answered, when no line is to blame.
pub(super) fn refused(reason: impl Into<String>) -> OfferError {
    OfferError::BadSdp(reason.into())
}

fn next_word<'a>(rest: &mut &'a str) -> &'a str {
    let text = rest.trim_ascii_start();
    let end = text.find(|letter: char| letter.is_ascii_whitespace()).unwrap_or(text.len());
    let (word, behind) = text.split_at(end);
    *rest = behind;
    word
}

fn has_control_character(text: &str) -> bool {
    text.chars().any(|letter| letter.is_control() && letter != '\t')
}

/// RFC 8866 §6.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    SendReceive,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

pub(super) fn direction(media: &Section<'_>, session: &Section<'_>) -> Direction {
    let said = |section: &Section<'_>| {
        section.attributes().iter().find_map(|attribute| match attribute.key {
            "sendrecv" => Some(Direction::SendReceive),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::ReceiveOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        })
    };
    said(media).or_else(|| said(session)).unwrap_or(Direction::SendReceive)
}
