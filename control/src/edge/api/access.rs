//! The caller of a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::problem::Problem;
use crate::auth::Grant;

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// The holder of an API key, who may do everything.
    Operator,
    /// The holder of a token.
    User(Arc<Grant>),
    /// A caller without a credential.
    Nobody,
}

impl Caller {
    /// Refuses all callers but the operator.
    pub(super) fn check_operator(&self) -> Result<(), Problem> {
        match self {
            Caller::Operator => Ok(()),
            Caller::User(_) => Err(Problem::not_allowed("this needs an API key")),
            Caller::Nobody => Err(Problem::not_authenticated("this needs an API key")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        Ok(caller.unwrap_or(Caller::Nobody))
    }
}

/// Returns the credential in `Authorization: Bearer …`, or `None` if there is no such header.
pub(in crate::edge) fn bearer(headers: &HeaderMap) -> Option<Result<&str, Problem>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let wrong = "the header authorization must be `Bearer`, a space, and an API key or a token";
    Some(token.ok_or_else(|| Problem::not_authenticated(wrong)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        let found = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(text));
            bearer(&headers).map(|token| token.map(str::to_owned).ok())
        };

        assert_eq!(found("Bearer abc"), Some(Some("abc".to_owned())));
        assert_eq!(found("bearer  abc"), Some(Some("abc".to_owned())));
        assert_eq!(found("Basic abc"), Some(None));
        assert_eq!(found("Bearer"), Some(None));
        assert!(bearer(&HeaderMap::new()).is_none());
    }
}
