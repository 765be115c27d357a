//! Streams: objects of the request's body one after the other, and an answer of one line per message.

use super::messages::{self, Messages};
use super::schema::Schema;
use super::split::Splitter;
use super::{JSON, Line, error, malformed};
use crate::body::ResponseBody;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

/// The body of a call whose messages are the objects of an HTTP body; the end of it is the client's half-close.
pub(super) fn requests(
    body: Incoming,
    schema: &'static Schema,
    bytes_max: usize,
) -> UnsyncBoxBody<Bytes, Status> {
    let state = (body, Splitter::new(bytes_max));
    let frames = stream::try_unfold(state, move |(mut body, mut splitter)| async move {
        loop {
            if let Some(object) = splitter.next().map_err(malformed)? {
                let framed = messages::frame(&schema.request_of(&object)?)?;
                return Ok(Some((Frame::data(framed), (body, splitter))));
            }
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        splitter.push(data);
                    }
                }
                Some(Err(error)) => return Err(Status::cancelled(error.to_string())),
                None if splitter.is_inside() => return Err(malformed("unexpected end of the body")),
                None => return Ok(None),
            }
        }
    });
    UnsyncBoxBody::new(StreamBody::new(frames))
}

/// The HTTP answer to a streaming call. An end before the first message decides the status of the answer, a later one
/// is its last line. The permit is kept until the stream ends.
pub(super) async fn responses(
    mut messages: Messages,
    schema: &'static Schema,
    permit: OwnedSemaphorePermit,
) -> Response<ResponseBody> {
    let first = match next_line(&mut messages, schema).await {
        Ok(first) => first,
        Err(status) => return error::streaming(&status),
    };
    let rest = stream::unfold(Some((messages, permit)), move |state| async move {
        let (mut messages, permit) = state?;
        match next_line(&mut messages, schema).await {
            Ok(line) => Some((line?, Some((messages, permit)))),
            Err(status) => Some((error::line(&status), None)),
        }
    });
    let lines = stream::iter(first).chain(rest).map(|line| Ok(Frame::data(line)));
    let body = UnsyncBoxBody::new(StreamBody::new(lines));
    let mut response = Response::new(ResponseBody::Stream(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

async fn next_line(messages: &mut Messages, schema: &Schema) -> Result<Option<Line>, Status> {
    let Some(message) = messages.next().await? else {
        return Ok(None);
    };
    let json = schema.json_of(message)?;
    let mut line = Vec::with_capacity(json.len() + 13);
    line.extend_from_slice(b"{\"result\":");
    line.extend_from_slice(&json);
    line.extend_from_slice(b"}\n");
    Ok(Some(line.into()))
}
