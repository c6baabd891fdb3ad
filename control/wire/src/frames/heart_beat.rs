//! The `heart-beat` header.

use std::fmt;

/// One side's heart-beat settings in CONNECT or CONNECTED (STOMP 1.2, "Heart-beating").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartBeat {
    /// The smallest interval at which it can send, in milliseconds; 0 if it can't send heart-beats.
    pub can_send_ms: u32,
    /// The interval at which it wants to receive, in milliseconds; 0 if it wants none.
    pub wants_ms: u32,
}

impl HeartBeat {
    /// Parses `<can send>,<wants>`; `None` for anything else.
    pub fn parse(value: &str) -> Option<HeartBeat> {
        let (can_send, wants) = value.split_once(',')?;
        // `parse` alone would accept a sign.
        let is_digit = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| text.trim().parse().ok().filter(|_| is_digit(text.trim()));
        Some(HeartBeat { can_send_ms: number(can_send)?, wants_ms: number(wants)? })
    }

    /// The interval in milliseconds at which this side sends to `other`; `None` when it sends no heart-beats.
    pub fn interval_to(self, other: HeartBeat) -> Option<u32> {
        if self.can_send_ms == 0 || other.wants_ms == 0 {
            return None;
        }
        Some(self.can_send_ms.max(other.wants_ms))
    }
}

impl fmt::Display for HeartBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.can_send_ms, self.wants_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_the_slower_of_both() {
        let client = HeartBeat::parse("4000,10000").unwrap();
        let server = HeartBeat { can_send_ms: 15000, wants_ms: 0 };

        assert_eq!(server.interval_to(client), Some(15000));
        assert_eq!(client.interval_to(server), None);
    }

    #[test]
    fn anything_but_two_numbers_is_refused() {
        for text in ["", "1", "a,b", "1,2,3", "-1,0", "+1,0", "99999999999,1"] {
            assert_eq!(HeartBeat::parse(text), None, "{text}");
        }
    }
}
