//! Access to the crate's internals for benchmarks and fuzz targets.

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
#[cfg(fuzzing)]
pub mod fuzz;
mod rig;
