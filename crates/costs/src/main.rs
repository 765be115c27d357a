//! What requests cost without network, disk, threads and clocks: the bytes of a request are decoded, applied, committed
//! and shown to watchers as a member does it, on stores in memory, and the answer is encoded.
//!
//! Made to be counted by callgrind: `costs OPERATION COUNT` prepares the same state for any count, so that twice the
//! count costs exactly that many operations more. tests/it holds what was counted against ceilings.txt.

mod log;
mod member;
mod operations;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = &arguments[..] else {
        return usage();
    };
    let operation = operations::ALL.iter().find(|operation| operation.name == name);
    let (Some(operation), Ok(count)) = (operation, count.parse()) else {
        return usage();
    };
    match (operation.run)(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("costs: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: costs OPERATION COUNT, where OPERATION is one of:");
    for operation in operations::ALL {
        eprintln!("  {:8} {}", operation.name, operation.about);
    }
    ExitCode::from(64)
}
