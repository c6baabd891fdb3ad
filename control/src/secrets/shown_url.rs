//! URLs as they are shown to people.

/// Stands for what is not shown.
const HIDDEN: &str = "***";

/// The URL without its user and password and without the values of its query: each may be a credential. Text that is not
/// a well-formed URL hides too much rather than too little.
pub(crate) fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (rest, fragment) = cut(rest, '#');
    let (place, query) = cut(rest, '?');
    let authority = place.find('/').unwrap_or(place.len());
    // A password may contain a slash that somebody forgot to escape.
    let at = match place[..authority].rfind('@') {
        None if reqwest::Url::parse(url).is_err() => place.rfind('@'),
        at => at,
    };
    let mut shown = String::new();
    if !scheme.is_empty() {
        shown.push_str(scheme);
        shown.push_str("://");
    }
    match at {
        Some(at) => {
            shown.push_str(HIDDEN);
            shown.push_str(&place[at..]);
        }
        None => shown.push_str(place),
    }
    if let Some(query) = query {
        let values = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => HIDDEN.to_owned(),
        });
        shown.push('?');
        shown.push_str(&values.collect::<Vec<_>>().join("&"));
    }
    if fragment.is_some() {
        shown.push('#');
        shown.push_str(HIDDEN);
    }
    shown
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_the_place_is_not() {
        for (url, expected) in [
            ("https://x.example/h", "https://x.example/h"),
            (
                "https://u:p@x.example:8443/h?token=t&a=b",
                "https://***@x.example:8443/h?token=***&a=***",
            ),
            ("https://secret@x.example", "https://***@x.example"),
            ("https://x.example/@user?secret", "https://x.example/@user?***"),
            ("https://x.example/h#secret", "https://x.example/h#***"),
            ("https://u:p@ss@x.example/h", "https://***@x.example/h"),
            ("https://u:p/w@x.example/h", "https://***@x.example/h"),
            ("u:p@x.example", "***@x.example"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), expected, "{url}");
        }
    }
}
