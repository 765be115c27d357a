//! `completion`

use crate::Result;
use crate::cli::{Completion, grammar, program_name};
use clap_complete::Shell;
use ctl::{Failure, write_out};

pub fn run(flags: &Completion) -> Result {
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
