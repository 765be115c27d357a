//! Streams of one connection share its window: a small answer must not wait for all of a large one.

use crate::support::{Server, get, put, range, within};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::pb::etcdserverpb as pb;
use prost::Message;
use tokio::net::TcpStream;

/// HTTP/2's default window of a connection, which grpc-go's clients begin with.
const WINDOW: u32 = 65_535;
const KEYS: usize = 4;
const VALUE: usize = 1_000_000;

#[tokio::test]
async fn a_small_answer_overtakes_a_large_one() {
    let server = Server::start().await;
    let mut client = server.kv().await;
    for number in 0..KEYS {
        let request = pb::PutRequest {
            key: format!("large/{number}").into(),
            value: vec![b'x'; VALUE].into(),
            ..put("", "")
        };
        client.put(request).await.unwrap();
    }
    client.put(put("small", "1")).await.unwrap();

    let mut connection = connect(&server.url()).await;
    // Nobody reads this one: it takes all that the connection may carry.
    let mut large = call(&mut connection, &range("large/", "large0")).await;
    let mut small = call(&mut connection, &get("small")).await;
    let (mut answer, mut passed_by) = (Vec::new(), 0);
    within(async {
        loop {
            // Reading a frame of the large answer makes room for as much of whatever is next.
            tokio::select! {
                biased;
                frame = small.frame() => match frame.unwrap().unwrap().into_data() {
                    Ok(data) => answer.extend_from_slice(&data),
                    Err(_trailers) => break,
                },
                frame = large.frame() => {
                    passed_by += frame.unwrap().unwrap().into_data().unwrap().len();
                }
            }
        }
    })
    .await;
    let answer = pb::RangeResponse::decode(&answer[5..]).unwrap();
    assert_eq!(answer.count, 1);
    assert!(
        passed_by < KEYS * VALUE / 4,
        "{passed_by} bytes went before the small answer"
    );
    server.stop().await;
}

async fn connect(url: &str) -> SendRequest<Full<Bytes>> {
    let address = url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(8 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends a range and waits for the headers of the answer, which no window holds back.
async fn call(connection: &mut SendRequest<Full<Bytes>>, request: &pb::RangeRequest) -> Incoming {
    let mut body = vec![0];
    body.extend_from_slice(&(request.encoded_len() as u32).to_be_bytes());
    body.extend_from_slice(&request.encode_to_vec());
    let request = Request::post("http://localhost/etcdserverpb.KV/Range")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(body))
        .unwrap();
    within(connection.send_request(request))
        .await
        .map(Response::into_body)
        .unwrap()
}
