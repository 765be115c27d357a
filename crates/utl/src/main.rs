//! `quorateutl`, also under the name `etcdutl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    utl::run(std::env::args_os().collect())
}
