//! Nodes as a gateway and their peers see them: one alone, and clusters in one process.

mod cluster;
mod net;
mod single;
mod stories;
