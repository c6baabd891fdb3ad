//! Invariants of every answer, whatever the offer; for tests and fuzz targets.

use super::description::{Description, Media};

/// Panics unless an answer is well-formed and belongs to an offer.
pub(crate) fn check(offer: &str, answer: &str) {
    check_lines(answer);
    let (Ok(offer), Ok(answer)) = (Description::read(offer), Description::read(answer)) else {
        panic!("an answer has m-lines");
    };
    assert_eq!(answer.media.len(), offer.media.len());
    for (offered, answered) in offer.media.iter().zip(&answer.media) {
        let name = |media: &Media<'_>| format!("{} {}", media.medium, media.protocol);
        assert_eq!(name(offered), name(answered));
        assert!(answered.formats().next().is_some(), "{answered:?}");
        assert!(
            !offered.is_port_zero || answered.is_port_zero || offered.section.has("bundle-only")
        );
    }
    check_bundle(&answer);
}

/// Each line is a letter, `=` and a value, and they are in the order of RFC 8866 §9.
fn check_lines(answer: &str) {
    assert!(answer.ends_with("\r\n"));
    let mut kinds = String::new();
    for line in answer.trim_end_matches("\r\n").split("\r\n") {
        let (kind, value) = line.split_once('=').expect("a line has an equals sign");
        assert!(!value.is_empty() && !value.contains(['\0', '\r', '\n']), "{line:?}");
        kinds.push_str(kind);
    }
    let mut sections = kinds.split('m');
    let session = sections.next().and_then(|kinds| kinds.strip_prefix("vost"));
    assert!(session.is_some_and(|kinds| kinds.bytes().all(|kind| kind == b'a')), "{kinds}");
    for section in sections {
        let attributes = section.strip_prefix('c');
        assert!(attributes.is_some_and(|kinds| kinds.bytes().all(|kind| kind == b'a')), "{kinds}");
    }
}

fn mid<'a>(media: &Media<'a>) -> Option<&'a str> {
    media.section.first("mid").map(|attribute| attribute.value)
}

/// The m-lines that are accepted are those of the group, and the first one of the group has the transport.
fn check_bundle(answer: &Description<'_>) {
    let accepted = answer.media.iter().filter(|media| !media.is_port_zero);
    let mut mids: Vec<&str> = accepted.clone().filter_map(mid).collect();
    assert_eq!(mids.len(), accepted.count(), "accepted m-lines have mids");
    let with_candidates: Vec<&str> = answer
        .media
        .iter()
        .filter(|media| media.section.has("end-of-candidates"))
        .filter_map(mid)
        .collect();
    let tagged = match answer.session.first("group") {
        Some(group) => {
            let mut grouped: Vec<&str> = group.value.split(' ').skip(1).collect();
            let tagged = grouped.first().copied();
            grouped.sort_unstable();
            mids.sort_unstable();
            assert_eq!(grouped, mids);
            tagged
        }
        None => {
            assert!(mids.len() <= 1, "{mids:?}");
            mids.first().copied()
        }
    };
    // The tagged m-line, and the last one of each kind.
    assert!(tagged.is_none_or(|tagged| with_candidates.contains(&tagged)), "{with_candidates:?}");
    assert!(with_candidates.len() <= 3, "{with_candidates:?}");
}
