//! The public keys of a JWK set (RFC 7517).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Maximum number of keys in a set. A larger set is an error: it is probably not meant for this server.
const MOST_KEYS: usize = 100;
/// Maximum length of a `kid`, in bytes.
const MAX_ID_BYTES: usize = 256;
/// Accepted sizes of RSA moduli, in bytes: 2048 to 8192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Public keys that verify tokens.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// At most [`MOST_KEYS`].
    keys: Vec<Key>,
    /// Why the other keys of the set were skipped, one text per key.
    skipped: Vec<String>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// The algorithms it verifies; a key is never used for other ones (RFC 8725 §3.1).
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

/// Why a text is not a usable JWK set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JwksError(String);

impl Keys {
    /// Parses a JWK set. Keys of unknown types, or not for signatures, are skipped (RFC 7517 §5).
    ///
    /// # Errors
    /// When the text is not a JWK set, or has keys but none that can verify a token.
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

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Why keys of the set were skipped, one text per key.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The algorithms that the keys verify.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.keys.iter().flat_map(|key| key.algorithms.iter().copied())
    }

    /// The keys to try on a token. If the token names a key: the keys of that name or, if there are none, those of the
    /// algorithm without a name. If it names none: all keys of the algorithm.
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

/// An RSA key without `alg` serves both RSA algorithms.
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
    // Some issuers write a leading zero byte for the sign, which does not belong there (RFC 7518 §6.3.1.1).
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

/// The name in a token's `alg` (RFC 7518 §3.1). Algorithms missing here are never accepted.
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

/// The algorithm of this name, if the server supports it.
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
