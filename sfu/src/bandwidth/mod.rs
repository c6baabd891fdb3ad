//! Bandwidth estimation (BWE) for each receiver, and what follows from it: which layers it gets, and how much may be
//! retransmitted to it.

pub(crate) mod budget;
pub(crate) mod estimator;
pub(crate) mod layer_choice;
pub(crate) mod send_history;
