//! The endpoints that are not gRPC.

use crate::util::{CLUSTER, Node, PATIENCE};
use peer::{Error, Plain, members_of, version_of};
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One HTTP/1.1 request as it stands on the wire, and the answer.
async fn raw(url: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .expect("connect");
    let head = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("write");
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .expect("an end")
        .expect("read");
    answer
}

#[tokio::test]
async fn etcds_endpoints_are_answered_on_the_port_of_grpc() {
    let a = Node::start(1).await;
    let members = concat!(
        r#"[{"id":10276657743932975437,"peerURLs":["http://a:2380"],"name":"a","clientURLs":["http://a:2379"]},"#,
        r#"{"id":2,"peerURLs":["http://b:2380"],"isLearner":true}]"#
    );
    let version = r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0","quorate":"0.1.0"}"#;
    for (path, body) in [
        ("/version", version),
        ("/members", members),
        ("/health", r#"{"health":"true"}"#),
        ("/downgrade/enabled", "false"),
    ] {
        let answer = raw(&a.url, &format!("GET {path}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("x-etcd-cluster-id: c1\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        let answer = raw(&a.url, &format!("POST {path}")).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    assert!(raw(&a.url, "GET /other").await.starts_with("HTTP/1.1 404 "));
    a.answers.unhealthy.store(true, Ordering::Relaxed);
    assert!(raw(&a.url, "GET /health").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn members_and_versions_are_asked_by_url() {
    let a = Node::start(1).await;
    let found = members_of(&Plain, &a.url).await.expect("members");
    assert_eq!(found.cluster, CLUSTER);
    let ids: Vec<_> = found
        .members
        .iter()
        .map(|member| (member.id, member.is_learner))
        .collect();
    assert_eq!(ids, [(0x8e9e_05c5_2164_694d, false), (2, true)]);
    assert_eq!(
        version_of(&Plain, &a.url).await.expect("version").quorate,
        "0.1.0"
    );
    for url in [
        "http://127.0.0.1:1",
        "https://127.0.0.1:1",
        "nonsense",
        "ftp://a",
        "http://",
    ] {
        members_of(&Plain, url).await.expect_err(url);
    }
}

/// Answers every connection with the same bytes.
async fn liar(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

#[tokio::test]
async fn redirections_and_nonsense_are_not_followed() {
    let a = Node::start(1).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}/members\r\nContent-Length: 0\r\n\r\n",
        a.url
    );
    let huge = format!(
        "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-ID: c1\r\n\r\n[{}]",
        " ".repeat(2 << 20)
    );
    for answer in [
        redirect,
        huge,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]".to_owned(),
        "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-ID: c1\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
    ] {
        let url = liar(answer).await;
        assert!(matches!(
            members_of(&Plain, &url).await,
            Err(Error::Unexpected { .. })
        ));
    }
    let url = liar("no HTTP at all\r\n\r\n".to_owned()).await;
    members_of(&Plain, &url).await.expect_err("refused");
}
