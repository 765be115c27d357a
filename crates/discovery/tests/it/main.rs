//! DNS with a name server of our own; discovery through clusters is tested with real ones in crate cluster-tests.

mod srv;
