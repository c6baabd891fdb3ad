//! Congestion control for each receiver: bandwidth estimation (GCC over TWCC, REMB, or packet loss), the choice of
//! simulcast layers that follows from it, and the budget for retransmissions.

pub(crate) mod budget;
pub(crate) mod estimator;
pub(crate) mod layer_choice;
pub(crate) mod send_history;
