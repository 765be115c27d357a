//! Stories of clusters of real processes.

mod bad_input;
mod bench;
mod ctl;
mod discovery;
mod faults;
mod growth;
mod http;
mod lagging;
mod languages;
mod locks;
mod proxy;
mod restore;
mod tls;
