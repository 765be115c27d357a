//! raft-engine from the outside: scripts for the core, a simulated cluster, and whole engines with their threads.

mod changes;
mod cluster;
mod elections;
mod engine;
mod gate;
mod hostile;
mod machines;
mod restarts;
mod scripts;
mod simulation;
mod terms;
