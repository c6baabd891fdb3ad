//! The claims of a token whose signature is valid.

use jiff::Timestamp;
use madang_wire::{Role, RoomName, SourceKind};
use serde::Deserialize;
use serde_json::Number;

use super::error::excerpt;
use super::{AuthError, Destinations, DestinationsClaim, Grant, Scope};

/// Maximum length of `sub` and `jti`, in characters.
const MAX_ID_CHARS: usize = 128;
/// Maximum length of `name`, in characters, as in a `join`.
const MAX_NAME_CHARS: usize = 64;
/// How far the issuer's clock may be ahead of the server's when `nbf` is checked, in seconds. `exp` has no leeway:
/// rights end at that moment.
const CLOCK_LEEWAY_SECS: i64 = 30;

/// The claims that the server uses (protocol §8, RFC 7519 §4.1). Others are ignored.
#[derive(Deserialize)]
pub(super) struct Claims {
    sub: Option<String>,
    name: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
    room: Option<String>,
    role: Option<Role>,
    publish: Option<Vec<SourceKind>>,
    moderate: Option<bool>,
    destinations: Option<DestinationsClaim>,
    jti: Option<String>,
    iss: Option<String>,
    aud: Option<Audience>,
}

/// One audience or several (RFC 7519 §4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The issuer and audience that tokens must name; anything if `None`.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// The required `iss`.
    pub(super) issuer: Option<String>,
    /// The audience that `aud` must contain.
    pub(super) audience: Option<String>,
}

impl Claims {
    pub(super) fn parse(json: &[u8]) -> Result<Claims, AuthError> {
        serde_json::from_slice(json).map_err(|error| wrong(excerpt(&error.to_string())))
    }

    /// Checks the claims at this time and turns them into a grant.
    pub(super) fn into_grant(
        self,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Grant, AuthError> {
        self.check_origin(expected)?;
        let expires_at = self.check_times(now)?;
        let user = checked_id("sub", self.sub.ok_or_else(|| missing("sub", "the user"))?)?;
        let name = self.name.map(checked_name).transpose()?.filter(|name| !name.is_empty());
        let room =
            self.room.ok_or_else(|| missing("room", "a room's name, or * for every room"))?;
        if self.publish.iter().flatten().any(|source| *source == SourceKind::ScreenAudio) {
            return Err(wrong(
                "`publish` may list microphone, camera and screen; screen includes its sound",
            ));
        }
        let scope = scope(&room)?;
        let destinations = Destinations::of(self.destinations, scope.room())
            .map_err(|error| wrong(format!("`destinations`: {error}")))?;
        Ok(Grant {
            user,
            is_guest: false,
            name,
            scope,
            role: self.role,
            publish: self.publish,
            moderate: self.moderate,
            destinations,
            expires_at: Some(expires_at),
            token_id: self.jti.map(|id| checked_id("jti", id)).transpose()?,
        })
    }

    fn check_origin(&self, expected: &Expected) -> Result<(), AuthError> {
        if let Some(issuer) = &expected.issuer
            && self.iss.as_ref() != Some(issuer)
        {
            return Err(wrong(format!("`iss` must be {issuer:?}")));
        }
        let Some(audience) = &expected.audience else {
            return Ok(());
        };
        let is_for_us = match &self.aud {
            None => false,
            Some(Audience::One(one)) => one == audience,
            Some(Audience::Many(many)) => many.contains(audience),
        };
        if is_for_us { Ok(()) } else { Err(wrong(format!("`aud` must contain {audience:?}"))) }
    }

    /// The expiry time, if the token is valid at this time.
    fn check_times(&self, now: Timestamp) -> Result<Timestamp, AuthError> {
        let Some(exp) = &self.exp else {
            return Err(missing("exp", "the expiry time, in seconds since 1970"));
        };
        let at = time("exp", exp)?;
        if at <= now {
            return Err(AuthError::Expired { at, now });
        }
        if let Some(nbf) = &self.nbf {
            let from = time("nbf", nbf)?;
            if from.as_second().saturating_sub(CLOCK_LEEWAY_SECS) > now.as_second() {
                return Err(AuthError::TooEarly { from, now });
            }
        }
        Ok(at)
    }
}

fn scope(room: &str) -> Result<Scope, AuthError> {
    match room {
        "*" => Ok(Scope::Every),
        name => {
            let name = RoomName::parse(name).map_err(|error| wrong(format!("`room`: {error}")))?;
            Ok(Scope::One(name))
        }
    }
}

/// Parses a NumericDate, which may have a fraction (RFC 7519 §2).
fn time(claim: &str, number: &Number) -> Result<Timestamp, AuthError> {
    let seconds = number.as_i64().or_else(|| {
        // The cast saturates; a time out of range is rejected below.
        number.as_f64().map(|seconds| seconds.floor() as i64)
    });
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| wrong(format!("`{claim}` must be a time in seconds since 1970")))
}

fn checked_id(claim: &str, text: String) -> Result<String, AuthError> {
    if text.trim().is_empty()
        || text.chars().count() > MAX_ID_CHARS
        || text.chars().any(char::is_control)
    {
        let most = MAX_ID_CHARS;
        return Err(wrong(format!(
            "`{claim}` must have 1 to {most} characters and no control characters"
        )));
    }
    Ok(text)
}

fn checked_name(name: String) -> Result<String, AuthError> {
    let name = name.trim().to_owned();
    if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        let most = MAX_NAME_CHARS;
        return Err(wrong(format!(
            "`name` must have at most {most} characters and no control characters"
        )));
    }
    Ok(name)
}

fn wrong(reason: impl Into<String>) -> AuthError {
    AuthError::Claims(reason.into())
}

fn missing(claim: &str, meaning: &str) -> AuthError {
    wrong(format!("`{claim}` is missing ({meaning})"))
}
