//! Who may use the REST interface as the operator.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use madang_wire::Secret;

/// Keys that open everything.
#[derive(Clone, Debug)]
pub struct ApiKeys(Vec<Secret>);

impl ApiKeys {
    /// These keys.
    pub fn new(keys: Vec<Secret>) -> ApiKeys {
        ApiKeys(keys)
    }

    /// Whether this is one of them; how long that takes tells nothing about them but their lengths.
    pub fn accept(&self, key: &str) -> bool {
        let is_it = |known: &Secret| {
            verify_slices_are_equal(known.expose().as_bytes(), key.as_bytes()).is_ok()
        };
        self.0.iter().filter(|known| is_it(known)).count() > 0
    }
}
