//! JSON bodies with sender, number and time at fixed positions.

/// The sender, number and time of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: usize,
    pub(crate) seq: u64,
    /// Since the start of the scenario, in µs.
    pub(crate) sent_us: u64,
}

const HEAD: &str = r#"{"publisher":"#;
const DIGITS: usize = 14;
const PUBLISHER: usize = HEAD.len();
const SEQ: usize = PUBLISHER + 4 + r#","seq":"#.len();
const SENT: usize = SEQ + DIGITS + r#","sent":"#.len();

impl Stamp {
    /// A body of `length` bytes. Numbers start with 1, so that they have a fixed length and are valid JSON.
    pub(crate) fn body(self, length: usize) -> String {
        let Stamp { publisher, seq, sent_us } = self;
        let mut body =
            format!(r#"{HEAD}1{publisher:03},"seq":1{seq:013},"sent":1{sent_us:013},"text":""#);
        let padding = length.saturating_sub(body.len() + 2);
        body.extend(std::iter::repeat_n('x', padding));
        body.push_str("\"}");
        body
    }

    /// Reads the stamp of a body.
    pub(crate) fn read(body: &[u8]) -> Option<Stamp> {
        let number = |from: usize, digits: usize| {
            let text = body.get(from + 1..from + digits)?;
            text.iter().try_fold(0u64, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
            })
        };
        Some(Stamp {
            publisher: number(PUBLISHER, 4)? as usize,
            seq: number(SEQ, DIGITS)?,
            sent_us: number(SENT, DIGITS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_and_is_json() {
        let stamp = Stamp { publisher: 3, seq: 12_345, sent_us: 9_876_543_210 };

        let body = stamp.body(200);

        assert_eq!(body.len(), 200);
        assert_eq!(Stamp::read(body.as_bytes()), Some(stamp));
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
    }

    #[test]
    fn anything_else_is_no_stamp() {
        for body in ["", "{}", &"x".repeat(200)] {
            assert_eq!(Stamp::read(body.as_bytes()), None);
        }
    }
}
