//! raft-engine from the outside: scripts for the core, a simulated cluster, and whole engines with their threads.

mod cluster;
mod scripts;
mod simulation;
