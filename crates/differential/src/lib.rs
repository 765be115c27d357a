//! The same random history against two servers, every answer compared, and what differs cut down to a short script.
//! Knows the servers as binaries and their API as descriptors: no answer is expected, they only have to be the same.

mod catalog;
mod compare;
mod dialect;
mod endpoint;
mod generate;
mod mask;
mod process;
mod session;
mod shrink;
mod step;
mod ties;
mod trial;
mod watching;

pub use catalog::method;
pub use compare::Difference;
pub use dialect::Dialect;
pub use generate::generate;
pub use shrink::shrink;
pub use step::{Step, read_script, write_script};
pub use trial::{Setup, Trial, Verdict};
