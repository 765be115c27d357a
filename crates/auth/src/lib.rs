//! Users, roles, permissions and tokens: who somebody is, and whether he may do this.
//!
//! Knows neither clock, disk, raft nor sockets: time comes as an argument, rows to be written go back to the caller,
//! and checking a password is a plain, slow function that the caller runs where it blocks nobody.
//!
//! [`AuthStore`] is the replicated part, changed by applied commands only. [`Rules`] is what it amounts to at one
//! moment, shared with everybody who has to decide. [`Tokens`] turns a token back into a user name.

mod authorize;
mod coverage;
mod error;
mod jwt;
mod keys;
mod manage;
pub mod password;
mod rows;
mod rules;
mod simple;
mod store;
mod tokens;

pub use authorize::{AttachedKeys, NoLeases};
pub use error::Error;
pub use rows::Row;
pub use rules::{Credentials, Principal, Rules};
pub use store::AuthStore;
pub use tokens::{Identity, Tokens};
