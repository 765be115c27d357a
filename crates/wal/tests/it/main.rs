//! Tests of the log as its users see it.

mod contract;
mod crash;
mod crash_points;
mod damage;
mod etcd;
mod faults;
mod last64k;
mod lifecycle;
mod reader;
mod tail;
mod trace;
mod util;
