//! The engines of this crate against the contract and against their own promises.

mod faulty;
mod memory;
