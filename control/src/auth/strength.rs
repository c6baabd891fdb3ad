//! Rejects secrets that are easy to guess.

/// Minimum length in bytes of a secret for HS256 (RFC 7518 §3.2) and of an API key.
pub const SHORTEST: usize = 32;

/// Minimum number of different characters in a random secret.
const FEWEST_KINDS: usize = 8;

/// Words from examples. Each has at least 7 characters, so that long random text does not contain one by chance.
const WORDS: &[&str] = &[
    "changeit",
    "changeme",
    "changethis",
    "devkeydevkey",
    "example",
    "jwtsecret",
    "mysecret",
    "passphrase",
    "password",
    "placeholder",
    "replaceme",
    "replacethis",
    "secretkey",
    "secretsecret",
    "stringsecret",
    "supersecret",
    "topsecret",
    "yoursecret",
    "bitsecret",
    "bezkoder",
    "springsecurity",
    "springboot",
];

/// Random-looking secrets from widely copied tutorials.
const KNOWN: &[&str] = &[
    "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
    "c2lsdmVybmluZS10ZWNoLXNwcmluZy1ib290LWp3dC10dXRvcmlhbC1zZWNyZXQtc2lsdmVybmluZS10ZWNoLXNwcmluZy1ib290LWp3dC10dXRvcmlhbC1zZWNyZXQK",
    "VlwEyVBsYt9V7zq57TejMnVUyzblYcfPQye08f7MGVA9XkHN",
];

/// Why a text is a weak secret; `None` if it is strong enough. The text continues a sentence that starts with the
/// configuration key.
pub fn weakness(secret: &str) -> Option<String> {
    let folded: String =
        secret.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let is_known = KNOWN.contains(&secret.trim())
        || WORDS.iter().any(|word| folded.contains(word))
        || ["secret", "devkey", "guest", "admin", "madang", "test"].contains(&folded.as_str());
    if is_known {
        return Some("is known from public examples".to_owned());
    }
    if secret.len() < SHORTEST {
        let bytes = secret.len();
        return Some(format!("has {bytes} bytes but needs at least {SHORTEST}"));
    }
    let mut kinds: Vec<char> = secret.chars().collect();
    kinds.sort_unstable();
    kinds.dedup();
    (kinds.len() < FEWEST_KINDS).then(|| "is too repetitive to be random".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_examples_is_no_secret() {
        for secret in [
            "secret",
            "changeme",
            "devkey",
            "your-256-bit-secret",
            "a-string-secret-at-least-256-bits-long",
            "please-CHANGE-ME-before-you-deploy-this",
            "======================BezKoder=Spring===========================",
            "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
            "mySecretKey12345678901234567890123456",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123401234012340123401234012340123401234",
            "J8v-_q2Zk9",
        ] {
            assert!(weakness(secret).is_some(), "{secret}");
        }
    }

    #[test]
    fn random_text_is() {
        for _ in 0..1_000 {
            let hexadecimal =
                format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
            assert_eq!(weakness(&hexadecimal), None, "{hexadecimal}");
        }
        assert_eq!(weakness("kQ3v0m9Xc1hZb7Yt5Lr2Wn8Ud6Sg4Pa0Ef"), None);
    }
}
