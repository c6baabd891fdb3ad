//! What benchmarks and fuzz targets need of the crate's insides.

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
#[cfg(fuzzing)]
pub mod fuzz;
mod rig;
