//! The settings of authentication.

use madang_wire::Secret;

use crate::auth::JwksSource;

/// `auth.*`
#[expect(missing_docs, reason = "`config::keys` has the meaning of each key")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthSettings {
    pub required: bool,
    pub secret: Option<Secret>,
    pub jwks: Option<JwksSource>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub api_keys: Vec<Secret>,
}
