//! Refusals as JSON.

use super::{JSON, Line};
use crate::body::ResponseBody;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tonic::{Code, Status};

/// The whole answer of a unary call.
pub(super) fn unary(status: &Status) -> Response<ResponseBody> {
    respond(status, object(status))
}

/// The whole answer of a stream that ended before its first message.
pub(super) fn streaming(status: &Status) -> Response<ResponseBody> {
    respond(status, json!({ "error": object(status) }))
}

/// A message of its own.
pub(super) fn text(status: &Status, stream: bool) -> String {
    match stream {
        true => json!({ "error": object(status) }).to_string(),
        false => object(status).to_string(),
    }
}

/// The last line of a stream.
pub(super) fn line(status: &Status) -> Line {
    let mut line = json!({ "error": object(status) }).to_string();
    line.push('\n');
    line.into()
}

fn object(status: &Status) -> serde_json::Value {
    json!({ "code": status.code() as i32, "message": status.message() })
}

fn respond(status: &Status, body: serde_json::Value) -> Response<ResponseBody> {
    let mut response = crate::http::body(http_status(status.code()), JSON, body.to_string());
    if status.code() == Code::Unauthenticated
        && let Ok(message) = HeaderValue::from_str(status.message())
    {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, message);
    }
    response
}

fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
