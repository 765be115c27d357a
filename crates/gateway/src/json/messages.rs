//! The messages in the body of a gRPC answer.

use crate::body::ResponseBody;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use tonic::Status;

/// Bytes before each message.
const HEADER: usize = 5;

/// The answer to a call, message by message.
pub(super) struct Messages {
    body: ResponseBody,
    buffer: BytesMut,
    ended: bool,
}

impl Messages {
    /// Of an answer that is no refusal.
    pub fn of(response: Response<ResponseBody>) -> Result<Messages, Status> {
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != tonic::Code::Ok => Err(status),
            _ => Ok(Messages {
                body: response.into_body(),
                buffer: BytesMut::new(),
                ended: false,
            }),
        }
    }

    /// The next message; `None` once the call has ended well.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.take() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.put(data),
                    Err(frame) => {
                        self.ended = true;
                        let status = frame.trailers_ref().and_then(Status::from_header_map);
                        if let Some(status) = status.filter(|status| status.code() != tonic::Code::Ok) {
                            return Err(status);
                        }
                    }
                },
                Some(Err(status)) => {
                    self.ended = true;
                    return Err(status);
                }
                None => self.ended = true,
            }
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let [_, len @ ..] = *self.buffer.first_chunk::<HEADER>()?;
        let len = u32::from_be_bytes(len) as usize;
        if self.buffer.len() - HEADER < len {
            return None;
        }
        self.buffer.advance(HEADER);
        Some(self.buffer.split_to(len).freeze())
    }
}

/// A message with its header.
pub(super) fn frame(message: &[u8]) -> Result<Bytes, Status> {
    let len = u32::try_from(message.len()).map_err(|error| Status::resource_exhausted(error.to_string()))?;
    let mut framed = BytesMut::with_capacity(HEADER + message.len());
    framed.put_u8(0);
    framed.put_u32(len);
    framed.put_slice(message);
    Ok(framed.freeze())
}
