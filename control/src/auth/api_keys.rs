//! The keys of the REST interface, for the operator.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use madang_wire::Secret;

/// API keys, each with access to everything.
#[derive(Clone, Debug)]
pub struct ApiKeys(Vec<Secret>);

impl ApiKeys {
    /// Accepts these keys.
    pub fn new(keys: Vec<Secret>) -> ApiKeys {
        ApiKeys(keys)
    }

    /// Whether this is one of the keys. The comparison takes constant time, so it reveals nothing about the keys but
    /// their lengths.
    pub fn accept(&self, key: &str) -> bool {
        let is_it = |known: &Secret| {
            verify_slices_are_equal(known.expose().as_bytes(), key.as_bytes()).is_ok()
        };
        self.0.iter().filter(|known| is_it(known)).count() > 0
    }
}
