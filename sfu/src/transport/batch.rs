//! The send batch: datagrams in one contiguous buffer, divided into runs that the kernel can segment (UDP GSO).

use super::path::Path;

/// Bytes of one batch. It holds a burst of 128 full packets, and is small enough to stay in the second-level cache.
const CAPACITY: usize = 192 * 1024;
/// The longest packet that is written or accepted: an Ethernet MTU.
pub(crate) const MAX_PACKET: usize = 1500;
/// The kernel's UDP_MAX_SEGMENTS.
const MAX_SEGMENTS: usize = 64;
/// The longest run in bytes: an IP packet of 65,535 bytes without the headers.
const MAX_RUN: usize = 65_000;

/// Datagrams to send, in order.
pub(crate) struct SendBatch {
    bytes: Box<[u8]>,
    used: usize,
    runs: Vec<Run>,
}

/// Consecutive datagrams to one path. All have the same length except the last, which may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) path: Path,
    start: usize,
    end: usize,
    /// The length in bytes of each datagram except the last.
    pub(crate) segment: usize,
}

impl SendBatch {
    pub(crate) fn new() -> SendBatch {
        // Enough runs for a full buffer, except for the rare case of many very short datagrams to different paths.
        SendBatch { bytes: vec![0; CAPACITY].into(), used: 0, runs: Vec::with_capacity(1024) }
    }

    /// Whether this many more datagrams of [`MAX_PACKET`] bytes fit without an allocation.
    pub(crate) fn has_room_for(&self, datagrams: usize) -> bool {
        self.used + datagrams * MAX_PACKET <= CAPACITY
            && self.runs.len() + datagrams <= self.runs.capacity()
    }

    /// The buffer for the next datagram: at least [`MAX_PACKET`] bytes while [`Self::has_room_for`] one.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..]
    }

    /// Adds the first `length` bytes of [`Self::spare`] as a datagram to `path`.
    pub(crate) fn push(&mut self, path: Path, length: usize) {
        let (start, end) = (self.used, self.used + length);
        self.used = end;
        match self.runs.last_mut() {
            Some(run) if run.path == path && run.takes(length) => run.end = end,
            _ => self.runs.push(Run { path, start, end, segment: length }),
        }
    }

    /// Adds a copy of a datagram; `false` if there is no room for it, or it is longer than [`MAX_PACKET`].
    pub(crate) fn push_copy(&mut self, path: Path, datagram: &[u8]) -> bool {
        if !self.has_room_for(1) || datagram.len() > MAX_PACKET {
            return false;
        }
        self.spare()[..datagram.len()].copy_from_slice(datagram);
        self.push(path, datagram.len());
        true
    }

    /// The runs with their bytes, in the order in which they must be sent.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&Run, &[u8])> + Clone {
        self.runs.iter().map(|run| (run, &self.bytes[run.start..run.end]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Empties the batch, but keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.runs.clear();
    }
}

impl Run {
    /// Whether a datagram of this length can be the next segment of the run.
    fn takes(&self, length: usize) -> bool {
        let so_far = self.end - self.start;
        let ends_full = so_far.is_multiple_of(self.segment);
        ends_full
            && length <= self.segment
            && so_far / self.segment < MAX_SEGMENTS
            && so_far + length <= MAX_RUN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path::Udp(([127, 0, 0, 1], port).into(), None)
    }

    fn lengths(datagrams: &[(u16, usize)]) -> Vec<(u16, usize, usize)> {
        let mut batch = SendBatch::new();
        for &(port, length) in datagrams {
            assert!(batch.push_copy(path(port), &vec![7; length]));
        }
        batch
            .runs()
            .map(|(run, bytes)| (run.path.addr().port(), run.segment, bytes.len()))
            .collect()
    }

    #[test]
    fn datagrams_of_one_length_form_a_run_that_a_shorter_one_ends() {
        assert_eq!(
            lengths(&[(1, 100), (1, 100), (1, 60), (1, 60), (2, 60), (1, 60)]),
            [(1, 100, 260), (1, 60, 60), (2, 60, 60), (1, 60, 60)]
        );
    }

    #[test]
    fn a_longer_datagram_starts_a_run() {
        assert_eq!(lengths(&[(1, 60), (1, 100)]), [(1, 60, 60), (1, 100, 100)]);
    }

    #[test]
    fn runs_stay_within_the_limits_of_the_kernel() {
        let runs = lengths(&[(1, 1200); 100]);
        assert_eq!(runs, [(1, 1200, 54 * 1200), (1, 1200, 46 * 1200)]);
        let runs = lengths(&[(1, 100); 100]);
        assert_eq!(runs, [(1, 100, 6400), (1, 100, 3600)]);
    }

    #[test]
    fn a_full_batch_refuses_datagrams() {
        let mut batch = SendBatch::new();
        let mut taken = 0;
        while batch.push_copy(path(taken), &[0; 1200]) {
            taken += 1;
        }
        assert!(usize::from(taken) >= 128, "{taken}");
        batch.clear();
        assert!(batch.is_empty() && batch.push_copy(path(1), &[0; 1200]));
    }
}
