//! Quotas and rate limits.

pub(crate) mod bandwidth;
pub(crate) mod connections;
pub(crate) mod per_holder;
pub(crate) mod rate;
pub(crate) mod unauthenticated;
