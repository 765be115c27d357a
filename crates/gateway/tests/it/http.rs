//! The HTTP paths beside gRPC, on the same port.

use crate::support::Server;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

pub async fn send(
    server: &Server,
    request: http::request::Builder,
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    send_as(server, request, body, false).await
}

async fn send_as(
    server: &Server,
    request: http::request::Builder,
    body: &str,
    http2: bool,
) -> (StatusCode, HeaderMap, String) {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http();
    let (mut parts, _) = request.body(()).unwrap().into_parts();
    parts.uri = format!("{}{}", server.url(), parts.uri).parse().unwrap();
    let request = Request::from_parts(parts, Full::new(Bytes::copy_from_slice(body.as_bytes())));
    let response = crate::support::within(client.request(request)).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = crate::support::within(body.collect()).await.unwrap().to_bytes();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

pub async fn get(server: &Server, path: &str) -> (StatusCode, String) {
    let (status, _, body) = send(server, Request::get(path), "").await;
    (status, body)
}

#[tokio::test]
async fn versions_are_told_over_either_protocol() {
    let server = Server::start().await;
    for http2 in [false, true] {
        let (status, headers, body) = send_as(&server, Request::get("/version"), "", http2).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (
                StatusCode::OK,
                &http::HeaderValue::from_static("application/json")
            )
        );
        assert!(
            body.starts_with("{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\""),
            "{body}"
        );
    }
    let (status, headers, body) = send(&server, Request::post("/version"), "").await;
    assert_eq!(
        (status, &body[..]),
        (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
    );
    assert_eq!(headers["allow"], "GET");
    server.stop().await;
}

#[tokio::test]
async fn a_member_with_a_leader_is_healthy() {
    let server = Server::start().await;
    let ok = (StatusCode::OK, "{\"health\":\"true\",\"reason\":\"\"}".to_owned());
    assert_eq!(get(&server, "/health").await, ok);
    assert_eq!(get(&server, "/health?serializable=true").await, ok);
    assert_eq!(get(&server, "/livez").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(
        get(&server, "/readyz/linearizable_read").await,
        (StatusCode::OK, "ok\n".to_owned())
    );
    assert_eq!(
        get(&server, "/readyz?verbose&exclude=linearizable_read").await.1,
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]non_learner ok\nok\n"
    );
    assert_eq!(get(&server, "/readyz/nonsense").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        send(&server, Request::post("/health"), "").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    server.stop().await;
}

#[tokio::test]
async fn an_alarm_makes_a_member_unhealthy_unless_excluded() {
    use model::pb::etcdserverpb as pb;
    let server = Server::start().await;
    let alarm = |kind: pb::AlarmType| pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Activate.into(),
        member_id: 1,
        alarm: kind.into(),
    };
    let mut client = server.maintenance().await;
    client.alarm(alarm(pb::AlarmType::Nospace)).await.unwrap();
    assert_eq!(
        get(&server, "/health").await,
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n".to_owned()
        )
    );
    assert_eq!(get(&server, "/health?exclude=NOSPACE").await.0, StatusCode::OK);
    assert_eq!(get(&server, "/readyz").await.0, StatusCode::OK);
    client.alarm(alarm(pb::AlarmType::Corrupt)).await.unwrap();
    let (status, body) = get(&server, "/readyz/data_corruption").await;
    assert_eq!(
        (status, &body[..]),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "[-]data_corruption failed: alarm activated: CORRUPT\n\n"
        )
    );
    server.stop().await;
}

#[tokio::test]
async fn metrics_and_variables_are_there_to_be_read() {
    let server = Server::start().await;
    let (status, headers, body) = send(&server, Request::get("/metrics"), "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    for line in [
        "grpc_server_started_total{grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 0",
        "etcd_server_health_success 0",
        "promhttp_metric_handler_requests_in_flight 1",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} is not in {body}");
    }
    let vars: serde_json::Value = serde_json::from_str(&get(&server, "/debug/vars").await.1).unwrap();
    assert!(vars["cmdline"].is_array());
    assert_eq!(
        get(&server, "/nothing").await,
        (StatusCode::NOT_FOUND, "404 page not found\n".to_owned())
    );
    server.stop().await;
}

#[tokio::test]
async fn browsers_are_told_what_they_may_and_strange_hosts_are_sent_away() {
    let options = gateway::Options {
        cors: vec!["https://a.example".into()],
        hosts: vec!["127.0.0.1".into()],
        ..Default::default()
    };
    let server = Server::with(options).await;
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("/v3/kv/put")
        .header("origin", "https://a.example");
    let (status, headers, _) = send(&server, preflight, "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], "https://a.example");
    let (status, _, body) = send(
        &server,
        Request::get("/version").header("host", "evil.example"),
        "",
    )
    .await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert!(body.contains("--host-whitelist \"evil.example\""));
    server.stop().await;
}
