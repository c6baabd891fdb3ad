//! The credential of a CONNECT frame.

use madang_wire::{Headers, Secret, header};

use super::AuthError;

/// A credential of a CONNECT frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    /// The token, or a password; see [`Credential::is_password`].
    pub(crate) token: Secret,
    /// The header that contained it.
    pub(crate) place: Place,
}

/// The header that contained a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The `Authorization` header.
    Authorization,
    /// The `passcode` header; `login` names its user, if the client sent it.
    Passcode { login: Option<String> },
}

impl Credential {
    /// Finds the credential among the headers of a CONNECT frame, if there is one. An empty `passcode` counts as none,
    /// because some clients always send one.
    ///
    /// # Errors
    /// When the `Authorization` header has another scheme than `Bearer` (RFC 6750 §2.1).
    pub(crate) fn of(headers: &Headers) -> Result<Option<Credential>, AuthError> {
        // The name is not case-sensitive, because clients know it from HTTP.
        let is_it = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case(header::AUTHORIZATION);
        if let Some((_, value)) = headers.iter().find(is_it) {
            let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
                let reason =
                    "the Authorization header must be `Bearer` followed by a token".to_owned();
                return Err(AuthError::Malformed(reason));
            }
            let token = Secret::new(token.trim());
            return Ok(Some(Credential { token, place: Place::Authorization }));
        }
        let given = |name| headers.get(name).map(str::trim).filter(|text| !text.is_empty());
        Ok(given(header::PASSCODE).map(|passcode| Credential {
            token: Secret::new(passcode),
            place: Place::Passcode { login: given(header::LOGIN).map(str::to_owned) },
        }))
    }

    /// Whether it is a password rather than a token. Some libraries send one without being asked, such as
    /// `guest`/`guest`.
    pub(crate) fn is_password(&self) -> bool {
        matches!(self.place, Place::Passcode { .. }) && self.token.expose().split('.').count() != 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_in_authorization_or_passcode() {
        let at = |place| Some(Credential { token: Secret::new("a.b.c"), place });
        let passcode = |login: &str| {
            at(Place::Passcode { login: Some(login.to_owned()).filter(|login| !login.is_empty()) })
        };
        for (headers, found) in [
            (&[][..], None),
            (&[("Authorization", "Bearer a.b.c")], at(Place::Authorization)),
            (&[("authorization", "bearer  a.b.c ")], at(Place::Authorization)),
            (&[("AUTHORIZATION", "BEARER a.b.c"), ("passcode", "x")], at(Place::Authorization)),
            (&[("passcode", "a.b.c")], passcode("")),
            (&[("login", ""), ("passcode", "a.b.c")], passcode("")),
            (&[("login", "하나"), ("passcode", "a.b.c")], passcode("하나")),
            (&[("login", "하나")], None),
            (&[("login", ""), ("passcode", "")], None),
        ] {
            let headers: Headers = headers.iter().copied().collect();
            assert_eq!(Credential::of(&headers), Ok(found), "{headers:?}");
        }
    }

    #[test]
    fn other_schemes_are_refused_rather_than_taken_for_nothing() {
        for value in ["Basic YTpi", "a.b.c", "Bearer", "Bearer ", ""] {
            let headers: Headers = [("Authorization", value)].into_iter().collect();
            assert!(Credential::of(&headers).is_err(), "{value:?}");
        }
    }
}
