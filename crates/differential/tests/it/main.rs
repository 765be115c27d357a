//! The harness on real servers, and a first few histories.

mod histories;
mod scripts;
