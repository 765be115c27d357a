//! Whether what clients saw can be explained by operations that took effect one after the other, each between its call
//! and its answer: linearizability of registers with compare-and-swap.
//!
//! The search is Wing and Gong's with Lowe's memory of configurations, key by key, since a history is linearizable if
//! that of each key is. Knows no server and no clock: times are numbers that the caller took from one.

mod check;
mod operation;

pub use check::{Verdict, check, check_key};
pub use operation::{Answer, Call, Operation};
