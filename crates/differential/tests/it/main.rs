//! The harness on real servers, and a first few histories.

mod endings;
mod histories;
mod scripts;
