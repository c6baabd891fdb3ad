//! Runs: datagrams of equal length to one destination in one buffer, which the kernel splits (UDP GSO). This pays most
//! of the cost of a datagram once per run.

/// The maximum length of a run in bytes; the kernel accepts at most one UDP datagram's worth.
const MAX_RUN: usize = 65_000;

/// The longest datagram in a run. The kernel refuses a run whose datagrams would need IP fragmentation, so longer
/// datagrams are sent alone. With its headers (40 bytes of IPv6, 8 of UDP), this length fits into the 1400 bytes that
/// tunnels commonly allow.
const MAX_SEGMENT: usize = 1350;

/// A run under construction. Only its last datagram may be shorter than the others.
#[derive(Debug)]
pub(super) struct Run<D> {
    destination: Option<D>,
    segment: usize,
    is_complete: bool,
    /// The buffer to which callers append a datagram before they call [`Run::appended`].
    pub(super) bytes: Vec<u8>,
    count: usize,
}

impl<D: Copy + PartialEq> Run<D> {
    pub(super) fn new() -> Run<D> {
        Run { destination: None, segment: 0, is_complete: false, bytes: Vec::new(), count: 0 }
    }

    /// Adds the bytes appended from `start` on as a datagram for `destination`. If it can't continue the run, passes
    /// the run to `send` (destination, bytes, length of each datagram) and starts a new run with it.
    pub(super) fn appended(
        &mut self,
        start: usize,
        destination: D,
        most: usize,
        send: impl FnMut(D, &[u8], usize),
    ) {
        let length = self.bytes.len() - start;
        let continues = self.destination == Some(destination)
            && !self.is_complete
            && (1..=self.segment).contains(&length)
            && self.segment <= MAX_SEGMENT
            && self.count < most
            && self.bytes.len() <= MAX_RUN;
        if !continues {
            self.flush_until(start, send);
            self.destination = Some(destination);
            self.segment = length;
        }
        self.count += 1;
        // An empty datagram is sent alone, because it takes no bytes in the buffer.
        self.is_complete = length < self.segment || length == 0;
    }

    /// Passes the remaining run to `send`.
    pub(super) fn flush(&mut self, send: impl FnMut(D, &[u8], usize)) {
        self.flush_until(self.bytes.len(), send);
    }

    fn flush_until(&mut self, end: usize, mut send: impl FnMut(D, &[u8], usize)) {
        if let Some(destination) = self.destination.take() {
            send(destination, &self.bytes[..end], self.segment);
        }
        self.bytes.drain(..end);
        (self.count, self.is_complete) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The test splits runs as the kernel would.
        #[test]
        fn what_is_appended_comes_out_in_order(
            datagrams in proptest::collection::vec((0..3_u8, 0..5_usize), 0..200),
            most in 1..20_usize,
        ) {
            let mut run = Run::new();
            let mut sent = Vec::new();
            let mut cut = |to: u8, bytes: &[u8], segment: usize| {
                assert!(bytes.len() <= segment * most);
                match segment {
                    0 => sent.push((to, Vec::new())),
                    _ => sent.extend(bytes.chunks(segment).map(|chunk| (to, chunk.to_vec()))),
                }
            };
            let mut expected = Vec::new();
            for (n, (to, length)) in datagrams.into_iter().enumerate() {
                let datagram = vec![n as u8; length * 100];
                let start = run.bytes.len();
                run.bytes.extend_from_slice(&datagram);
                run.appended(start, to, most, &mut cut);
                expected.push((to, datagram));
            }
            run.flush(&mut cut);
            prop_assert_eq!(sent, expected);
            prop_assert!(run.bytes.is_empty());
        }
    }
}
