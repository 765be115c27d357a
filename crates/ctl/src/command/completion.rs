//! `completion`

use crate::cli::{grammar, program_name};
use crate::context::write_out;
use crate::exit::{Failure, Result};
use clap::Args;
use clap_complete::Shell;

#[derive(Args, Debug)]
pub struct Flags {
    /// bash, zsh, fish or powershell
    args: Vec<String>,
}

pub fn run(flags: &Flags) -> Result {
    let shell = match &flags.args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bash"] => Shell::Bash,
        ["zsh"] => Shell::Zsh,
        ["fish"] => Shell::Fish,
        ["powershell"] => Shell::PowerShell,
        [other] => {
            let name = program_name();
            return Err(Failure::error(format!(
                "invalid argument {other:?} for \"{name} completion\""
            )));
        }
        args => {
            let message = format!("accepts 1 arg(s), received {}", args.len());
            return Err(Failure::error(message));
        }
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar(), program_name(), &mut script);
    write_out(&script)
}
