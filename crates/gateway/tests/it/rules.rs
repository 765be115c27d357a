//! What holds for all calls: paths, versions, leaders, limits, the health service, reflection, metrics.

use crate::support::{Server, get, put, refusal, within};
use http::Request;
use model::pb::etcdserverpb as pb;
use std::time::Duration;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test]
async fn an_unknown_path_is_answered_in_grpc_go_words() {
    let server = Server::start().await;
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    for (path, text) in [
        (
            "/etcdserverpb.KV/Get",
            "unknown method Get for service etcdserverpb.KV",
        ),
        ("/no.Such/Thing", "unknown service no.Such"),
    ] {
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<pb::RangeRequest, pb::RangeResponse>::default();
        let result = grpc
            .unary(
                tonic::Request::new(get("a")),
                http::uri::PathAndQuery::from_static(path),
                codec,
            )
            .await;
        assert_eq!(refusal(result), (Code::Unimplemented, text.into()));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_leader_that_is_there_satisfies_those_who_need_one() {
    let server = Server::start().await;
    let mut request = tonic::Request::new(get("a"));
    request
        .metadata_mut()
        .insert("hasleader", "true".parse().unwrap());
    server.kv().await.range(request).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let server = Server::start().await;
    // Through the JSON gateway: gRPC clients keep deadlines themselves, and this server is the one to be tested.
    let lock = || Request::post("/v3/lock/lock").header("grpc-timeout", "50m");
    let (status, _, _) = crate::http::send(&server, lock(), r#"{"name":"cQ=="}"#).await;
    assert_eq!(status, http::StatusCode::OK);
    let (status, _, body) = crate::http::send(&server, lock(), r#"{"name":"cQ=="}"#).await;
    assert_eq!(status, http::StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(body, r#"{"code":4,"message":"context deadline exceeded"}"#);
    server.stop().await;
}

#[tokio::test]
async fn the_health_service_knows_the_empty_name() {
    let server = Server::start().await;
    let mut client = HealthClient::new(server.channel().await);
    let check = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    let serving = client.check(check("")).await.unwrap().into_inner();
    assert_eq!(serving.status(), ServingStatus::Serving);
    assert_eq!(
        refusal(client.check(check("KV")).await),
        (Code::NotFound, "unknown service".into())
    );
    let mut watch = client.watch(check("")).await.unwrap().into_inner();
    assert_eq!(
        within(watch.message()).await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    server.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = within(answers.message())
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("no list: {answer:?}")
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["etcdserverpb.KV", "v3lockpb.Lock", "grpc.health.v1.Health"] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is not in {names:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn calls_are_counted_by_how_they_end() {
    let server = Server::start().await;
    let mut kv = server.kv().await;
    for version in ["3.7", "3.7", "3.6"] {
        let mut request = tonic::Request::new(put("a", "1"));
        request
            .metadata_mut()
            .insert("client-api-version", version.parse().unwrap());
        kv.put(request).await.unwrap();
    }
    refusal(kv.put(put("", "1")).await);
    let mut watch = server.watch().await;
    let (keep, receiver) = tokio::sync::mpsc::channel::<pb::WatchRequest>(1);
    let stream = watch
        .watch(tokio_stream::wrappers::ReceiverStream::new(receiver))
        .await
        .unwrap();
    drop((stream, keep));
    let labels = "grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"";
    let expected = [
        format!("grpc_server_started_total{{{labels}}} 4"),
        format!("grpc_server_handled_total{{grpc_code=\"OK\",{labels}}} 3"),
        format!("grpc_server_handled_total{{grpc_code=\"InvalidArgument\",{labels}}} 1"),
        format!("grpc_server_msg_sent_total{{{labels}}} 3"),
        format!("grpc_server_msg_received_total{{{labels}}} 4"),
        "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_stream\"} 1".to_owned(),
        "etcd_server_client_requests_total{client_api_version=\"3.7\",type=\"unary\"} 2".to_owned(),
        "etcd_server_client_requests_total{client_api_version=\"3.6\",type=\"unary\"} 1".to_owned(),
        "etcd_server_client_requests_total{client_api_version=\"unknown\",type=\"unary\"} 1".to_owned(),
    ];
    within(async {
        loop {
            let text = crate::http::get(&server, "/metrics").await.1;
            let missing: Vec<_> = expected
                .iter()
                .filter(|line| !text.lines().any(|found| found == *line))
                .collect();
            if missing.is_empty() {
                break;
            }
            // The end of the watch takes its way to the server.
            assert!(
                missing.iter().all(|line| line.contains("Canceled")),
                "{missing:?} are not in {text}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.stop().await;
}
