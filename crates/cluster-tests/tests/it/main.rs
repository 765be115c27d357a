//! Stories of clusters of real processes.

mod bad_input;
mod bench;
mod ctl;
mod damage;
mod discovery;
mod failpoints;
mod faults;
mod growth;
mod hostile;
mod hostile_peers;
mod http;
mod kills;
mod lagging;
mod languages;
mod lines;
mod locks;
mod network;
mod proxy;
mod restore;
mod syscalls;
mod takeover;
mod times;
mod tls;
mod unread;
mod watches;
