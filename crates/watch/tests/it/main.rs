//! The hub from outside: scripts with recorded output, and the guarantees under random traffic.

mod guarantees;
mod many;
mod script;
mod together;
mod traffic;
mod world;
