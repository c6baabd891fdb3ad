//! Transactions: frames that are held until their COMMIT.

use std::collections::HashMap;

use madang_wire::Frame;

/// The maximum number of open transactions of a session; one more is a protocol violation.
const MAX_OPEN: usize = 16;
/// The maximum number of frames held in all transactions of a session; one more is a protocol violation.
const MAX_FRAMES: usize = 1_000;
/// The maximum size of their bodies and headers in bytes; more is a protocol violation.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The open transactions of a session. The methods return an `Err` with the text of an ERROR frame.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: HashMap<String, Vec<Frame>>,
    /// The number of frames in all of them.
    frames: usize,
    /// The memory of these frames, in bytes.
    bytes: usize,
}

impl Transactions {
    pub(super) fn begin(&mut self, name: &str) -> Result<(), String> {
        if self.open.contains_key(name) {
            return Err(format!("transaction {name:?} is already open"));
        }
        if self.open.len() == MAX_OPEN {
            return Err(format!("a session has at most {MAX_OPEN} open transactions"));
        }
        self.open.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    /// The memory of all frames that wait, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_open(&self, name: &str) -> bool {
        self.open.contains_key(name)
    }

    pub(super) fn add(&mut self, name: &str, frame: Frame) -> Result<(), String> {
        let (frames, bytes) = (self.frames + 1, self.bytes + frame.weight());
        if frames > MAX_FRAMES {
            return Err(format!(
                "the open transactions of a session hold at most {MAX_FRAMES} frames"
            ));
        }
        if bytes > MAX_BYTES {
            return Err(format!(
                "the open transactions of a session hold at most {MAX_BYTES} bytes"
            ));
        }
        self.open.get_mut(name).ok_or_else(|| unknown(name))?.push(frame);
        (self.frames, self.bytes) = (frames, bytes);
        Ok(())
    }

    /// Ends a transaction and returns its frames in order, for the caller to carry out or drop.
    pub(super) fn end(&mut self, name: &str) -> Result<Vec<Frame>, String> {
        let frames = self.open.remove(name).ok_or_else(|| unknown(name))?;
        self.frames -= frames.len();
        self.bytes -= frames.iter().map(Frame::weight).sum::<usize>();
        Ok(frames)
    }
}

fn unknown(name: &str) -> String {
    format!("no transaction {name:?} is open")
}
