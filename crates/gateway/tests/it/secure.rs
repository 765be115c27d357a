//! Connections that begin with a handshake, and the certificates it shows. The handshake here is a single byte, the
//! first one of TLS's: what encrypts is not the gateway's concern.

use crate::support::{Server, locked_down, put, refusal};
use api::etcdserverpb::kv_client::KvClient;
use gateway::{Options, Secure, Secured, Socket};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};

const HANDSHAKE: u8 = 0x16;

/// Believes that every client is ada.
pub struct Greeting;

impl Secure for Greeting {
    fn handshake(&self, mut socket: Socket) -> Pin<Box<dyn Future<Output = io::Result<Secured>> + Send>> {
        Box::pin(async move {
            let first = socket.read_u8().await?;
            if first != HANDSHAKE {
                return Err(io::Error::other("no greeting"));
            }
            Ok(Secured {
                stream: Box::new(socket),
                common_name: Some("ada".into()),
            })
        })
    }
}

async fn greet(server: &Server) -> TokioIo<TcpStream> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_u8(HANDSHAKE).await.unwrap();
    TokioIo::new(stream)
}

async fn kv(server: &Server) -> KvClient<Channel> {
    let address = server.address;
    let connector = tower::service_fn(move |_: Uri| async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_u8(HANDSHAKE).await?;
        Ok::<_, io::Error>(TokioIo::new(stream))
    });
    let channel = Endpoint::from_shared(server.url())
        .unwrap()
        .connect_with_connector(connector)
        .await;
    KvClient::new(channel.unwrap())
}

#[tokio::test]
async fn a_certificates_name_is_the_user() {
    let options = Options {
        certificate_users: true,
        ..Default::default()
    };
    let server = Server::secured(options).await;
    locked_down(&server).await;
    let mut ada = kv(&server).await;
    ada.put(put("a/1", "1")).await.unwrap();
    assert_eq!(
        refusal(ada.put(put("b", "1")).await),
        (Code::PermissionDenied, "etcdserver: permission denied".into())
    );
    // Of the same port, without handshake: nobody.
    assert_eq!(
        refusal(server.kv().await.put(put("a/1", "1")).await),
        (Code::InvalidArgument, "etcdserver: user name is empty".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_certificates_name_means_nothing_unless_it_is_to_be_the_user() {
    let server = Server::secured(Options::default()).await;
    locked_down(&server).await;
    assert_eq!(
        refusal(kv(&server).await.put(put("a/1", "1")).await),
        (Code::InvalidArgument, "etcdserver: user name is empty".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn json_is_refused_to_certificates_that_would_be_ignored() {
    let options = Options {
        certificate_users: true,
        ..Default::default()
    };
    let server = Server::secured(options).await;
    locked_down(&server).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(greet(&server).await)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::post("/v3/kv/put")
        .header("host", "localhost")
        .body(Full::new(bytes::Bytes::from_static(br#"{"key":"YS8x"}"#)))
        .unwrap();
    assert_eq!(
        sender.send_request(request).await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    server.stop().await;
}
