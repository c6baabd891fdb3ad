//! The public keys of a JWK set (RFC 7517).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Keys that a set may have. More are an error: whoever publishes so many publishes something else.
const MOST_KEYS: usize = 100;
/// Longest `kid`, in bytes.
const MAX_ID_BYTES: usize = 256;
/// Sizes of RSA moduli that are accepted, in bytes: 2048 to 8192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Public keys that verify tokens.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// At most [`MOST_KEYS`].
    keys: Vec<Key>,
    /// Why some of the set are not among them.
    skipped: Vec<String>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// What it verifies; the same key is never used for more than that (RFC 8725 §3.1).
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

/// Why something is no set of keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JwksError(String);

impl Keys {
    /// Reads a JWK set. Keys of kinds that are not known, or not for signatures, are skipped (RFC 7517 §5).
    ///
    /// # Errors
    /// When it is no JWK set, or has keys but none that could verify a token.
    pub fn parse(text: &[u8]) -> Result<Keys, JwksError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text)
            .map_err(|error| JwksError(format!("it is not a JWK set: {error}")))?;
        let count = set.keys.len();
        if count > MOST_KEYS {
            return Err(JwksError(format!("it has {count} keys; at most {MOST_KEYS} are allowed")));
        }
        let mut keys = Keys::default();
        for (index, key) in set.keys.into_iter().enumerate() {
            match read(key) {
                Ok(key) => keys.keys.push(key),
                Err(reason) => keys.skipped.push(format!("key {index}: {reason}")),
            }
        }
        if count > 0 && keys.keys.is_empty() {
            let skipped = keys.skipped.join("; ");
            return Err(JwksError(format!("none of its keys can verify a token: {skipped}")));
        }
        Ok(keys)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Why keys of the set were skipped.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The algorithms for which there is a key.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.keys.iter().flat_map(|key| key.algorithms.iter().copied())
    }

    /// The keys that a token may be signed with: those that it names, or else those of its algorithm that have no name,
    /// or all of the algorithm when it names none.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<&DecodingKey> {
        let fitting = || self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let named = |id| fitting().filter(move |key| key.id.as_deref() == id).map(|key| &key.key);
        match id {
            None => fitting().map(|key| &key.key).collect(),
            Some(_) if named(id).next().is_some() => named(id).collect(),
            Some(_) => named(None).collect(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// A JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

fn read(key: Value) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(key).map_err(|error| error.to_string())?;
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return Err("its `use` is not `sig`".to_owned());
    }
    if jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return Err("its `key_ops` do not include `verify`".to_owned());
    }
    if jwk.kid.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
        return Err(format!("its kid has more than {MAX_ID_BYTES} bytes"));
    }
    let (algorithms, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => (&[Algorithm::ES256][..], ec(&jwk, 32)?),
        ("EC", Some("P-384")) => (&[Algorithm::ES384][..], ec(&jwk, 48)?),
        ("OKP", Some("Ed25519")) => (&[Algorithm::EdDSA][..], ed25519(&jwk)?),
        ("RSA", _) => (rsa_algorithms(&jwk), rsa(&jwk)?),
        ("oct", _) => return Err("a shared secret does not belong in a JWK set".to_owned()),
        (kind, curve) => {
            return Err(format!(
                "keys of the type {kind:?} {} are not supported",
                curve.unwrap_or("")
            ));
        }
    };
    if let Some(named) = &jwk.alg
        && !algorithms.iter().any(|algorithm| name(*algorithm) == named)
    {
        return Err(format!("its `alg` {named:?} is not supported for this type of key"));
    }
    Ok(Key { id: jwk.kid, algorithms, key })
}

/// A key that does not say what it is for serves both of RSA's algorithms.
fn rsa_algorithms(jwk: &Jwk) -> &'static [Algorithm] {
    match jwk.alg.as_deref() {
        Some("RS256") => &[Algorithm::RS256],
        Some("PS256") => &[Algorithm::PS256],
        _ => &[Algorithm::RS256, Algorithm::PS256],
    }
}

fn ec(jwk: &Jwk, bytes: usize) -> Result<DecodingKey, String> {
    let (x, y) = (part("x", &jwk.x)?, part("y", &jwk.y)?);
    if x.len() != bytes || y.len() != bytes {
        return Err(format!("x and y must have {bytes} bytes each"));
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519(jwk: &Jwk) -> Result<DecodingKey, String> {
    let x = part("x", &jwk.x)?;
    if x.len() != 32 {
        return Err("x must have 32 bytes".to_owned());
    }
    Ok(DecodingKey::from_ed_der(&x))
}

fn rsa(jwk: &Jwk) -> Result<DecodingKey, String> {
    let (n, e) = (part("n", &jwk.n)?, part("e", &jwk.e)?);
    // Some write the sign's zero byte, which does not belong there (RFC 7518 §6.3.1.1).
    let n = &n[n.iter().take_while(|byte| **byte == 0).count()..];
    if !RSA_MODULUS_BYTES.contains(&n.len()) {
        let bits = n.len() * 8;
        return Err(format!("its modulus has {bits} bits; 2048 to 8192 are accepted"));
    }
    Ok(DecodingKey::from_rsa_raw_components(n, &e))
}

fn part(name: &str, text: &Option<String>) -> Result<Vec<u8>, String> {
    let text = text.as_ref().ok_or_else(|| format!("{name} is missing"))?;
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|error| format!("{name} is not base64url: {error}"))
}

/// As in a token's `alg` (RFC 7518 §3.1). Algorithms that are not here are not accepted anywhere.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::RS256 => "RS256",
        Algorithm::PS256 => "PS256",
        Algorithm::EdDSA => "EdDSA",
        _ => "none that is accepted",
    }
}

/// The algorithm of that name, if it is one that this server knows.
pub(super) fn algorithm(called: &str) -> Option<Algorithm> {
    [
        Algorithm::HS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::EdDSA,
    ]
    .into_iter()
    .find(|algorithm| name(*algorithm) == called)
}
