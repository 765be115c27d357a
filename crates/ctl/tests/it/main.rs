//! The forms of the output, and the command line as a process.

mod printers;
mod process;
