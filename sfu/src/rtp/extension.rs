//! RTP header extension elements (RFC 8285 §4), in one-byte and two-byte form.

/// The profile of elements with one-byte headers.
pub(super) const ONE_BYTE: u16 = 0xbede;

/// The profile of elements with two-byte headers; the low four bits are application bits.
pub(super) const TWO_BYTE: u16 = 0x1000;

const APPLICATION_BITS: u16 = 0x000f;

/// Iterates over the elements of a packet as `(id, data)`, without padding. Stops at the first malformed element.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions<'a> {
    two_byte: bool,
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// Without elements if the profile is not one of RFC 8285.
    pub(super) fn new(profile: u16, elements: &'a [u8]) -> Extensions<'a> {
        match profile {
            ONE_BYTE => Extensions { two_byte: false, rest: elements },
            _ if profile & !APPLICATION_BITS == TWO_BYTE => {
                Extensions { two_byte: true, rest: elements }
            }
            _ => Extensions::default(),
        }
    }

    /// RFC 8285 §4.2: id 15, and id 0 with a length, end the list.
    fn next_one_byte(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let (&head, rest) = self.rest.split_first()?;
            if head == 0 {
                self.rest = rest;
                continue;
            }
            let (id, len) = (head >> 4, usize::from(head & 0x0f) + 1);
            if id == 0 || id == 15 {
                return None;
            }
            let (data, rest) = rest.split_at_checked(len)?;
            self.rest = rest;
            return Some((id, data));
        }
    }

    /// RFC 8285 §4.3.
    fn next_two_byte(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let (&id, rest) = self.rest.split_first()?;
            if id == 0 {
                self.rest = rest;
                continue;
            }
            let (&len, rest) = rest.split_first()?;
            let (data, rest) = rest.split_at_checked(len.into())?;
            self.rest = rest;
            return Some((id, data));
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let element = if self.two_byte { self.next_two_byte() } else { self.next_one_byte() };
        if element.is_none() {
            self.rest = &[];
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_elements_are_read() {
        let bytes = [0x10, 0xaa, 0x00, 0x00, 0x22, 1, 2, 3];
        assert_eq!(elements(ONE_BYTE, &bytes), [(1, vec![0xaa]), (2, vec![1, 2, 3])]);
    }

    #[test]
    fn two_byte_elements_are_read() {
        let bytes = [1, 0, 0, 15, 1, 0xaa, 200, 2, 3, 4];
        let expected = [(1, vec![]), (15, vec![0xaa]), (200, vec![3, 4])];
        assert_eq!(elements(TWO_BYTE, &bytes), expected);
        assert_eq!(elements(TWO_BYTE | 0x7, &bytes), expected);
    }

    #[test]
    fn id_15_ends_the_one_byte_list() {
        assert_eq!(elements(ONE_BYTE, &[0x10, 1, 0xf0, 2, 0x20, 3]), [(1, vec![1])]);
    }

    #[test]
    fn id_0_with_a_length_ends_the_one_byte_list() {
        assert_eq!(elements(ONE_BYTE, &[0x10, 1, 0x01, 0, 0, 0x20, 3]), [(1, vec![1])]);
    }

    #[test]
    fn an_element_beyond_the_end_ends_the_list() {
        assert_eq!(elements(ONE_BYTE, &[0x10, 1, 0x23, 0, 0]), [(1, vec![1])]);
        assert_eq!(elements(TWO_BYTE, &[1, 1, 1, 2, 9, 0]), [(1, vec![1])]);
        assert_eq!(elements(TWO_BYTE, &[1, 1, 1, 2]), [(1, vec![1])]);
    }

    #[test]
    fn other_profiles_have_no_elements() {
        assert_eq!(elements(0x1010, &[1, 1, 1]), []);
        assert_eq!(elements(0xbedd, &[0x10, 1]), []);
    }

    fn elements(profile: u16, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        Extensions::new(profile, bytes).map(|(id, data)| (id, data.to_vec())).collect()
    }
}
