//! How a command ends, with etcdctl's exit codes.

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command did not succeed: what to say, and with which code to exit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// For the standard error, after `Error: `; `None` if everything is said already.
    pub message: Option<String>,
}

/// Result of a command.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of a kind that has no name here, such as that of a program which was run.
    pub fn with_code(code: u8, message: impl Display) -> Failure {
        Failure {
            code,
            message: Some(message.to_string()),
        }
    }

    /// The request failed.
    pub fn error(message: impl Display) -> Failure {
        Failure::with_code(1, message)
    }

    /// There is no connection, or it broke.
    pub fn connection(message: impl Display) -> Failure {
        Failure::with_code(2, message)
    }

    /// The standard input holds something that is not understood.
    pub fn input(message: impl Display) -> Failure {
        Failure::with_code(3, message)
    }

    /// A valid flag with a value that is not supported.
    pub fn feature(message: impl Display) -> Failure {
        Failure::with_code(4, message)
    }

    /// The command was cut short.
    pub fn interrupted(message: impl Display) -> Failure {
        Failure::with_code(5, message)
    }

    /// A file or pipe failed.
    pub fn io(message: impl Display) -> Failure {
        Failure::with_code(6, message)
    }

    /// The command line is wrong.
    pub fn arguments(message: impl Display) -> Failure {
        Failure::with_code(128, message)
    }

    /// Everything is said already.
    pub fn silent(code: u8) -> Failure {
        Failure { code, message: None }
    }

    /// Tells the user.
    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            eprintln!("Error: {message}");
        }
        ExitCode::from(self.code)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Failure {
        Failure::error(error)
    }
}
