//! What can go wrong between a request and its answer.

use model::pb::etcdserverpb::WatchResponse;
use std::path::PathBuf;
use thiserror::Error;
use tonic::{Code, Status};

/// Why there is no answer, or no good one. Displays as etcd's Go client has it.
#[derive(Clone, Debug, Error)]
pub enum Error {
    /// The server refused. Texts that etcd defines stand alone, others are shown with their status code.
    #[error("{}", describe(*code, message))]
    Refused {
        /// Status code.
        code: Code,
        /// The server's text.
        message: String,
    },
    /// The time allowed for the call ran out; the request may or may not have been carried out.
    #[error("context deadline exceeded")]
    Timeout,
    /// An endpoint is no address.
    #[error("invalid endpoint {endpoint:?}: {reason}")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The server ended a watch, with this response. Its compact revision is not 0 where the start is compacted away.
    #[error("{}", watch_ended(.0))]
    WatchEnded(Box<WatchResponse>),
    /// The lease of a session is gone, and what it held with it.
    #[error("session expired")]
    SessionExpired,
    /// An answer is not what the protocol says.
    #[error("malformed response: {0}")]
    Malformed(String),
}

/// Result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Texts that etcd's client does not know by heart although they are in etcd's table of errors.
const SHOWN_WITH_CODE: &[&str] = &[
    "etcdserver: invalid client api version",
    "etcdserver: permission not given",
    "etcdserver: request timed out, waiting for the applied index took too long",
    "etcdserver: request timed out, leader transfer took too long",
    "etcdserver: unknown method",
];

fn watch_ended(response: &WatchResponse) -> String {
    if response.compact_revision != 0 {
        return model::Rejection::Compacted.message().to_owned();
    }
    describe(Code::FailedPrecondition, &response.cancel_reason)
}

fn describe(code: Code, message: &str) -> String {
    let known = message == "etcdserver: cluster ID mismatch"
        || message == "etcdserver: invalid auth management"
        || (message.starts_with("etcdserver: ")
            && !SHOWN_WITH_CODE.contains(&message)
            && model::Rejection::ALL
                .iter()
                .any(|known| known.message() == message));
    if known {
        message.to_owned()
    } else {
        format!("rpc error: code = {} desc = {message}", name(code))
    }
}

/// The name that gRPC libraries other than Rust's give a code.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

impl Error {
    /// Whether the server gave this refusal.
    pub fn is(&self, rejection: model::Rejection) -> bool {
        matches!(self, Error::Refused { message, .. } if message == rejection.message())
    }

    /// Whether another endpoint, or the same a little later, may do better.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Error::Refused {
                code: Code::Unavailable,
                ..
            }
        )
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        // tonic has a text and another code for deadlines that it finds to be over, here or at the server.
        let expired = status.code() == Code::Cancelled && status.message() == "Timeout expired";
        if expired || status.code() == Code::DeadlineExceeded {
            return Error::Timeout;
        }
        let mut message = status.message().to_owned();
        let mut code = status.code();
        // tonic's own errors say "transport error"; what happened is in their sources.
        let mut source = std::error::Error::source(&status);
        while let Some(error) = source {
            // No status came from the server: the connection broke, which other clients call unavailable.
            if code == Code::Unknown && error.is::<tonic::transport::Error>() {
                code = Code::Unavailable;
            }
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = error.source();
        }
        Error::Refused { code, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_etcd_stand_alone() {
        let shown = |code, message| Error::from(Status::new(code, message)).to_string();
        assert_eq!(
            shown(Code::PermissionDenied, "etcdserver: permission denied"),
            "etcdserver: permission denied"
        );
        assert_eq!(
            shown(Code::InvalidArgument, "etcdserver: permission not given"),
            "rpc error: code = InvalidArgument desc = etcdserver: permission not given"
        );
        assert_eq!(
            shown(Code::Unknown, "lessor is not primary"),
            "rpc error: code = Unknown desc = lessor is not primary"
        );
    }
}
