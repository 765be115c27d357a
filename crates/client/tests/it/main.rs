//! The client against servers that fail as told.

mod calls;
mod server;
mod streams;
