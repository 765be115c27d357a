//! The watch hub: hands every committed change to the streams that watch its key, in order, each once, whole revisions
//! at a time, and brings those that fell behind up to date from memory or from the store's history.
//!
//! Knows nothing of sockets, users, threads or clocks: a gateway owns the streams, a thread of the node calls
//! [`Hub::tick`] with the time, and wake-ups travel through [`std::task::Waker`].

mod catch_up;
mod error;
mod fragment;
mod hub;
mod index;
mod options;
mod progress;
mod queue;
mod requests;
mod response;
mod ring;
mod state;
mod stats;
mod stream;
mod sync;
mod watcher;

#[cfg(all(test, feature = "shuttle"))]
mod models;

pub use error::Error;
pub use hub::Hub;
pub use options::{Options, StreamOptions};
pub use response::{EncodedEvents, Response};
pub use stats::Stats;
pub use stream::{Control, Responses};

/// The watch id of responses that speak for no single watcher.
pub const NO_WATCH: i64 = -1;
