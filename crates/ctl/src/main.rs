//! `quoratectl`, also under the name `etcdctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ctl::run(std::env::args_os().collect())
}
