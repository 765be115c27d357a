//! From a refusal to what the client sees: the one place that decides codes and texts.

use model::Rejection;
use tonic::{Code, Status};

/// The status of a request that was not answered. Texts are etcd's, byte for byte: clients match on them.
pub fn status(error: node::Error) -> Status {
    match error {
        node::Error::Rejected(rejection) => rejected(rejection),
        node::Error::DeadlineExceeded => Status::deadline_exceeded("context deadline exceeded"),
        node::Error::Fault(text) => Status::unknown(text),
    }
}

/// The status of a refusal.
pub fn rejected(rejection: Rejection) -> Status {
    Status::new(Code::from_i32(rejection.code() as i32), rejection.message())
}

/// The form in which Go prints a status, as it appears in cancel reasons of watches.
pub(crate) fn go_text(status: &Status) -> String {
    format!(
        "rpc error: code = {} desc = {}",
        code_name(status.code()),
        status.message()
    )
}

/// The name grpc-go and its metrics give a code.
pub(crate) fn code_name(code: Code) -> &'static str {
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

/// All codes, by number.
pub(crate) const CODES: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from etcd 3.7.1's table of errors; a change here is a change that clients notice.
    #[test]
    fn codes_and_texts_are_etcds() {
        let mut table = String::new();
        for rejection in Rejection::ALL {
            let status = rejected(*rejection);
            table += &format!("{:<18} {}\n", code_name(status.code()), status.message());
        }
        let fault = status(node::Error::Fault("disk on fire".into()));
        let late = status(node::Error::DeadlineExceeded);
        for status in [fault, late] {
            table += &format!("{:<18} {}\n", code_name(status.code()), status.message());
        }
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/status.golden");
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(golden, &table).unwrap();
        }
        assert_eq!(table, std::fs::read_to_string(golden).unwrap());
    }

    #[test]
    fn a_status_in_a_cancel_reason_reads_as_go_prints_it() {
        assert_eq!(
            go_text(&rejected(Rejection::PermissionDenied)),
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
        );
    }
}
