//! Calls with bytes in and bytes out: nothing between the history and the wire has an opinion.

use bytes::{Buf, BufMut, Bytes};
use futures::Stream;
use prost_reflect::MethodDescriptor;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// Longer than any server's longest answer here.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// One server, as its clients see it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    channel: Channel,
}

impl Endpoint {
    /// Connects on first use. The URL is `http://host:port`.
    pub(crate) fn new(url: String) -> anyhow::Result<Endpoint> {
        let channel = tonic::transport::Endpoint::from_shared(url)?
            .tcp_nodelay(true)
            .connect_lazy();
        Ok(Endpoint { channel })
    }

    /// Sends the requests, and hands over the stream of answers as soon as the server begins one.
    pub(crate) async fn call(
        &self,
        method: &MethodDescriptor,
        token: Option<&str>,
        requests: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let path = path.parse().expect("names of methods are made for paths");
        let mut client = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let unreachable = |error| Status::unavailable(format!("no connection: {error}"));
        client.ready().await.map_err(unreachable)?;
        let mut request = Request::new(requests);
        if let Some(token) = token {
            let token = token.parse().expect("tokens are made for headers");
            request.metadata_mut().insert("token", token);
        }
        Ok(client.streaming(request, path, Raw).await?.into_inner())
    }
}

/// Messages as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
