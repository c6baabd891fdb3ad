//! Makes tokens.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header};
use madang_wire::{Role, Secret, SourceKind};
use serde::Serialize;

use super::{DestinationsClaim, Scope};

/// Maximum lifetime of a token.
pub const LONGEST_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Signs tokens with the server's own secret (HS256).
#[derive(Clone)]
pub struct Minter {
    key: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
}

/// The contents of a token to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The user (`sub`).
    pub user: String,
    /// The display name if the user does not choose one.
    pub name: Option<String>,
    /// The rooms that it opens.
    pub scope: Scope,
    /// The highest role that it gives; `None` leaves the role to the room.
    pub role: Option<Role>,
    /// The sources that it permits publishing, as far as the role permits; `None` for all.
    pub publish: Option<Vec<SourceKind>>,
    /// Whether it permits moderating; `None` leaves that to the role.
    pub moderate: Option<bool>,
    /// The destinations outside rooms that it opens; `None` for the default of its scope.
    pub destinations: Option<DestinationsClaim>,
    /// Its lifetime, at least one second and at most [`LONGEST_TTL`].
    pub ttl: Duration,
}

/// A signed token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The JWT.
    pub token: Secret,
    /// Its `jti`, which revokes it.
    pub id: String,
    /// Its `exp`.
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    iat: i64,
    exp: i64,
    room: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<&'a [SourceKind]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moderate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destinations: Option<&'a DestinationsClaim>,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

impl Minter {
    /// Creates a minter with this secret. Its tokens have `iss` and `aud` if the server requires them.
    pub fn new(secret: &Secret, issuer: Option<String>, audience: Option<String>) -> Minter {
        Minter { key: EncodingKey::from_secret(secret.expose().as_bytes()), issuer, audience }
    }

    /// Makes a token with a unique `jti`. The caller must check whether [`super::Verifier`] accepts it: it rejects a
    /// user that is empty or too long, for example.
    ///
    /// # Errors
    /// When the lifetime is out of range, or the token can't be signed.
    pub fn mint(&self, new: &NewToken, now: Timestamp) -> Result<Minted, String> {
        let id = format!("{:032x}", rand::random::<u128>());
        let expires_at = Some(new.ttl)
            .filter(|ttl| (Duration::from_secs(1)..=LONGEST_TTL).contains(ttl))
            .and_then(|ttl| now.checked_add(ttl).ok())
            .ok_or("a token must be valid for at least one second and at most ten years")?;
        let claims = Claims {
            sub: &new.user,
            name: new.name.as_deref(),
            iat: now.as_second(),
            exp: expires_at.as_second(),
            room: match &new.scope {
                Scope::Every => "*",
                Scope::One(name) => name.as_str(),
            },
            role: new.role,
            publish: new.publish.as_deref(),
            moderate: new.moderate,
            destinations: new.destinations.as_ref(),
            jti: &id,
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        let token = jsonwebtoken::encode(&Header::default(), &claims, &self.key)
            .map_err(|error| format!("the token can't be signed: {error}"))?;
        let expires_at = Timestamp::from_second(claims.exp).unwrap_or(expires_at);
        Ok(Minted { token: Secret::new(token), id, expires_at })
    }
}
