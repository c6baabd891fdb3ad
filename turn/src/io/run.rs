//! Datagrams of one length to one destination, which the kernel cuts out of one buffer (UDP GSO): most of what a datagram
//! costs is then paid once for all of them.

/// The longest run in bytes: the kernel takes at most one UDP datagram's worth.
const MAX_RUN: usize = 65_000;

/// The longest datagram of a run. The kernel cuts no run into fragments, but refuses it: longer datagrams go alone. With
/// its headers (40 bytes of IPv6, 8 of UDP), this one fits into the 1400 bytes that tunnels commonly leave.
const MAX_SEGMENT: usize = 1350;

/// A run in the making. The last datagram of one may be shorter than the others.
#[derive(Debug)]
pub(super) struct Run<D> {
    destination: Option<D>,
    segment: usize,
    is_complete: bool,
    /// What a datagram is appended to, before [`Run::appended`] is told.
    pub(super) bytes: Vec<u8>,
    count: usize,
}

impl<D: Copy + PartialEq> Run<D> {
    pub(super) fn new() -> Run<D> {
        Run { destination: None, segment: 0, is_complete: false, bytes: Vec::new(), count: 0 }
    }

    /// What was appended from `start` on is a datagram for `destination`. When it doesn't continue the run, the run is
    /// given to `send` (destination, bytes, length of each datagram), and the next one begins with it.
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
        // Empty datagrams go alone: they leave no trace in a buffer.
        self.is_complete = length < self.segment || length == 0;
    }

    /// Gives what there is to `send`.
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
        /// The kernel's cutting is done here by hand.
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
