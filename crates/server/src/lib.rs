//! The server: reads its configuration, composes a member from the other crates, and runs it.
//! The only crate that chooses concrete parts; it holds no logic of the system itself.

pub mod address;
pub mod config;
pub mod feature;
pub mod flag;
pub mod logging;
pub mod settings;
pub mod value;
