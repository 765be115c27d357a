//! The machine from outside: scripts with their recorded answers, and properties of random logs.

mod machine;
mod parse;
mod properties;
mod scripts;
mod show;
