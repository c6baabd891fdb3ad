//! The settings of authentication.

use madang_wire::Secret;

use crate::auth::JwksSource;

/// `auth.*`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthSettings {
    /// Let nobody in without a token.
    pub required: bool,
    /// What tokens are signed with (HS256). Without it and without `jwks`, the server makes one for itself.
    pub secret: Option<Secret>,
    /// Public keys that verify tokens of another issuer.
    pub jwks: Option<JwksSource>,
    /// What tokens must have as `iss`; anything when not given.
    pub issuer: Option<String>,
    /// What tokens must have in `aud`; anything when not given.
    pub audience: Option<String>,
    /// Keys of the REST interface; when empty, the server makes one for itself.
    pub api_keys: Vec<Secret>,
}
