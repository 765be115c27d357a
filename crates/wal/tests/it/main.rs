//! Tests of the log as its users see it.

mod contract;
mod crash;
mod damage;
mod etcd;
mod faults;
mod lifecycle;
mod reader;
mod tail;
mod trace;
mod util;
