//! The server: reads its configuration, composes a member from the other crates, and runs it.
//! The only crate that chooses concrete parts; it holds no logic of the system itself.

pub mod command_line;
pub mod run;

pub mod config;
pub mod feature;
pub mod flag;
pub mod settings;
pub mod value;

pub mod gateway_command;
mod tcp_proxy;

pub mod address;
pub mod listen;
mod listeners;
mod secure;
pub mod security;

mod bootstrap;
mod descriptors;
pub mod discover;
mod go_metrics;
mod identity;
mod link;
pub mod logging;
mod metrics;
pub mod rotation;
pub mod signal;
mod store;
mod takeover;
