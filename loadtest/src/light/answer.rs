//! Parsing the server's SDP answer, as far as a light peer needs it.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use crate::stamp::Kind;

/// The server's end of a media transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// The address of the first UDP candidate.
    pub address: SocketAddr,
    /// The slots on which the server sends.
    pub slots: Vec<SlotLine>,
}

/// An m-line on which the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLine {
    /// The kind of media.
    pub kind: Kind,
    /// Its SSRC.
    pub ssrc: u32,
    /// The SSRC of retransmissions (RTX), if any.
    pub rtx_ssrc: Option<u32>,
}

impl Answer {
    /// Parses an answer.
    ///
    /// # Errors
    /// When the answer lacks something that media needs.
    pub fn parse(sdp: &str) -> Result<Answer> {
        let (_, media) = sdp.split_once("\nm=").context("the answer has no m-line")?;
        let value = |name: &str| values(sdp, name).next().map(str::to_owned);
        let mut slots = Vec::new();
        for section in media.split("\nm=") {
            slots.extend(slot(section)?);
        }
        Ok(Answer {
            ufrag: value("ice-ufrag").context("the answer has no a=ice-ufrag")?,
            password: value("ice-pwd").context("the answer has no a=ice-pwd")?,
            address: values(sdp, "candidate")
                .find_map(udp_candidate)
                .context("the answer has no UDP candidate")?,
            slots,
        })
    }
}

fn slot(section: &str) -> Result<Option<SlotLine>> {
    let kind = match section.split(' ').next() {
        Some("audio") => Kind::Audio,
        Some("video") => Kind::Video,
        other => bail!("the answer has an m-line of unknown kind {other:?}"),
    };
    if section.split(' ').nth(1) == Some("0") {
        bail!("the answer rejects an m-line of {kind}");
    }
    if !section.lines().any(|line| line.trim_end() == "a=sendonly") {
        return Ok(None);
    }
    let number = |text: &str| text.split(' ').next().and_then(|word| word.parse().ok());
    let ssrc = values(section, "ssrc")
        .find_map(number)
        .context("an m-line of the answer has no a=ssrc")?;
    let group = values(section, "ssrc-group").find_map(|group| group.strip_prefix("FID "));
    let pair = group.and_then(|group| group.split_once(' '));
    Ok(Some(match pair {
        Some((first, second)) => SlotLine {
            kind,
            ssrc: first.parse().context("an a=ssrc-group of the answer has no numbers")?,
            rtx_ssrc: number(second),
        },
        None => SlotLine { kind, ssrc, rtx_ssrc: None },
    }))
}

fn values<'a>(sdp: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    sdp.lines().filter_map(move |line| {
        line.trim_end().strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')
    })
}

/// RFC 8839 §5.1: foundation, component, transport, priority, address, port.
fn udp_candidate(line: &str) -> Option<SocketAddr> {
    let words: Vec<&str> = line.split(' ').collect();
    if !words.get(2)?.eq_ignore_ascii_case("udp") {
        return None;
    }
    Some(SocketAddr::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\na=ice-lite\r\nm=audio 9 X 111\r\na=mid:0\r\na=recvonly\r\n\
        a=ice-ufrag:uf\r\na=ice-pwd:pw\r\na=candidate:1 1 tcp 9 127.0.0.1 5 typ host\r\n\
        a=candidate:1 1 udp 9 127.0.0.1 5004 typ host\r\n\
        m=audio 9 X 111\r\na=sendonly\r\na=ssrc:7 cname:x\r\n\
        m=video 9 X 96 97\r\na=sendonly\r\na=ssrc-group:FID 8 9\r\na=ssrc:8 cname:x\r\na=ssrc:9 cname:x\r\n";

    #[test]
    fn an_answer_is_read() {
        let answer = Answer::parse(SDP).unwrap();

        assert_eq!((answer.ufrag.as_str(), answer.password.as_str()), ("uf", "pw"));
        assert_eq!(answer.address.to_string(), "127.0.0.1:5004");
        let audio = SlotLine { kind: Kind::Audio, ssrc: 7, rtx_ssrc: None };
        let video = SlotLine { kind: Kind::Video, ssrc: 8, rtx_ssrc: Some(9) };
        assert_eq!(answer.slots, [audio, video]);
    }

    #[test]
    fn what_is_missing_is_said() {
        for (without, what) in [
            ("a=ice-ufrag:uf\r\n", "ice-ufrag"),
            ("a=candidate:1 1 udp", "candidate"),
            ("a=ssrc:7 cname:x\r\n", "ssrc"),
        ] {
            let error = Answer::parse(&SDP.replace(without, "")).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(Answer::parse("").is_err());
    }
}
