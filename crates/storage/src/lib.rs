//! The byte store under Quorate: what an engine must offer, an in-memory engine, a faulty one, and the contract
//! suite that every engine passes. Knows nothing of revisions, keys' meaning or raft.

mod backend;
mod batch;
mod failstop;
mod family;

pub mod contract;
pub mod faulty;
pub mod memory;

pub use backend::{Backend, Cursor, Error, Result, Sizes, Snapshot};
pub use batch::{Batch, Op};
pub use failstop::FailStop;
pub use family::Family;
