//! Calls of one request and one response, which are nearly all there are.
//!
//! tonic treats them as streams of one message, with buffers, decoders and boxes for a stream. Here the request is
//! decoded from the bytes of the connection, and the response is encoded once, into memory of its size.

use crate::body::{Reply, RequestBody};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use prost::Message;
use std::collections::VecDeque;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// Bytes before each message: compression flag and length.
const HEADER: usize = 5;
/// Memory that is taken for a message on its word, before it is there.
const RESERVED_MAX: usize = 256 << 10;

/// Reads the request of a call to its end.
pub(crate) async fn read<M: Message + Default>(
    request: Request<RequestBody>,
) -> Result<tonic::Request<M>, Status> {
    let (parts, mut body) = request.into_parts();
    let mut bytes = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if data.is_empty() {
            continue;
        }
        // Messages of up to 16 KiB come in one frame and stay where they are.
        if bytes.is_empty() && joined.is_empty() {
            if is_whole(&data) {
                bytes = data;
                continue;
            }
            // What is announced may never come.
            joined.reserve(announced(&data).min(RESERVED_MAX).max(data.len()));
        } else if !bytes.is_empty() || is_whole(&joined) {
            return Err(Status::internal(
                "grpc: a second message in a call that takes one request",
            ));
        }
        joined.put(data);
    }
    if !joined.is_empty() {
        bytes = joined.freeze();
    }
    let message = decode(bytes)?;
    Ok(tonic::Request::from_parts(
        MetadataMap::from_headers(parts.headers),
        parts.extensions,
        message,
    ))
}

/// Whether the message that begins here also ends here.
fn is_whole(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER && bytes.len() >= announced(bytes)
}

/// Bytes that the message which begins here takes with its header. The body has refused what is too large.
fn announced(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<HEADER>() {
        Some([_, len @ ..]) => HEADER + u32::from_be_bytes(*len) as usize,
        None => 0,
    }
}

fn decode<M: Message + Default>(mut bytes: Bytes) -> Result<M, Status> {
    let Some([compressed, ..]) = bytes.first_chunk::<HEADER>() else {
        return Err(Status::internal("Missing request message."));
    };
    if *compressed != 0 {
        return Err(Status::unimplemented(
            "grpc: compressed requests are not supported",
        ));
    }
    let len = announced(&bytes) - HEADER;
    bytes.advance(HEADER);
    if bytes.len() < len {
        return Err(Status::internal("unexpected EOF"));
    }
    bytes.truncate(len);
    M::decode(bytes).map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
}

/// The answer to a call.
pub(crate) fn write<M: Message>(result: Result<tonic::Response<M>, Status>) -> Response<Reply> {
    match result {
        Ok(response) => {
            let message = response.get_ref();
            let len = message.encoded_len();
            match begin(len, len) {
                Ok(mut framed) => {
                    // Memory grows as needed: this cannot fail.
                    message.encode_raw(&mut framed);
                    answer(Reply::message(framed.freeze()))
                }
                Err(status) => refuse(status),
            }
        }
        Err(status) => refuse(status),
    }
}

/// The answer to a call, with fields that are encoded already: after those of `before`, ahead of those of `after`.
pub(crate) fn write_around<M: Message>(before: &M, fields: Vec<Bytes>, after: &M) -> Response<Reply> {
    let len: usize = fields.iter().map(Bytes::len).sum();
    let (len_before, len_after) = (before.encoded_len(), after.encoded_len());
    let is_short = len <= JOINED_MAX;
    let room = if is_short {
        len_before + len + len_after
    } else {
        len_before
    };
    let mut framed = match begin(len_before + len + len_after, room) {
        Ok(framed) => framed,
        Err(status) => return refuse(status),
    };
    before.encode_raw(&mut framed);
    if is_short {
        fields.into_iter().for_each(|piece| framed.put(piece));
        after.encode_raw(&mut framed);
        return answer(Reply::message(framed.freeze()));
    }
    let mut pieces = VecDeque::with_capacity(fields.len() + 2);
    pieces.push_back(framed.freeze());
    pieces.extend(fields);
    pieces.push_back(after.encode_to_vec().into());
    pieces.retain(|piece| !piece.is_empty());
    answer(Reply::Pieces(pieces))
}

/// Up to this length pieces are copied into one: sending each costs more.
const JOINED_MAX: usize = 4 << 10;

/// Memory for an answer that begins with the header of a message of `len` bytes, with room for `room` more.
fn begin(len: usize, room: usize) -> Result<BytesMut, Status> {
    let Ok(announced) = u32::try_from(len) else {
        return Err(Status::new(
            Code::ResourceExhausted,
            "grpc: trying to send message larger than max",
        ));
    };
    let mut framed = BytesMut::with_capacity(HEADER + room);
    framed.put_u8(0);
    framed.put_u32(announced);
    Ok(framed)
}

/// The beginning of an answer that is no refusal.
pub(crate) fn answer(reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The answer to a call that failed.
pub(crate) fn refuse(status: Status) -> Response<Reply> {
    status.into_http::<tonic::body::Body>().map(Reply::Stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::etcdserverpb::PutRequest;

    fn framed(message: &PutRequest) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(0);
        bytes.put_u32(message.encoded_len() as u32);
        message.encode_raw(&mut bytes);
        bytes.freeze()
    }

    #[test]
    fn a_request_is_decoded_where_it_lies() {
        let put = PutRequest {
            key: "key".into(),
            value: "value".into(),
            ..Default::default()
        };
        let bytes = framed(&put);
        let decoded: PutRequest = decode(bytes.clone()).unwrap();
        assert_eq!(decoded, put);
        assert!(bytes.as_ptr_range().contains(&decoded.value.as_ptr()));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let put = PutRequest {
            key: "key".into(),
            ..Default::default()
        };
        let bytes = framed(&put);
        for len in 0..bytes.len() {
            assert_eq!(
                decode::<PutRequest>(bytes.slice(..len)).unwrap_err().code(),
                Code::Internal
            );
        }
        let compressed = [&[1], &bytes[1..]].concat();
        assert_eq!(
            decode::<PutRequest>(compressed.into()).unwrap_err().code(),
            Code::Unimplemented
        );
        let garbage = Bytes::from_static(&[0, 0, 0, 0, 1, 0xff]);
        assert_eq!(decode::<PutRequest>(garbage).unwrap_err().code(), Code::Internal);
    }
}
