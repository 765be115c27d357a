//! Members that talk to each other within one process.

mod http;
mod messages;
mod refusals;
mod requests;
mod silence;
mod snapshots;
mod util;
