//! Users, roles, tokens.

use crate::support::{Server, get, locked_down, put, refusal, within};
use etcd_client::ConnectOptions;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::watch_request::RequestUnion;
use tonic::{Code, Request};

async fn token(server: &Server, user: &str) -> String {
    let request = pb::AuthenticateRequest {
        name: user.into(),
        password: format!("{user}'s"),
    };
    server
        .auth()
        .await
        .authenticate(request)
        .await
        .unwrap()
        .into_inner()
        .token
}

fn with_token<T>(message: T, name: &'static str, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(name, token.parse().unwrap());
    request
}

/// As etcd does: who asks is looked at only after that.
#[tokio::test]
async fn peer_urls_that_cannot_be_are_refused_before_the_token() {
    let server = Server::start().await;
    locked_down(&server).await;
    let mut cluster = server.cluster().await;
    for (url, refused) in [
        ("http://%zz:1", "etcdserver: given member URLs are invalid"),
        ("http://127.0.0.1:9", "etcdserver: invalid auth token"),
    ] {
        let request = pb::MemberAddRequest {
            peer_urls: vec![url.to_owned()],
            is_learner: true,
        };
        let (_, words) = refusal(cluster.member_add(with_token(request, "token", "made.up")).await);
        assert_eq!(words, refused, "{url}");
    }
}

#[tokio::test]
async fn a_token_gives_what_its_user_may() {
    let server = Server::start().await;
    locked_down(&server).await;
    let mut kv = server.kv().await;
    assert_eq!(
        refusal(kv.put(put("a/1", "1")).await),
        (Code::InvalidArgument, "etcdserver: user name is empty".into())
    );
    assert_eq!(
        refusal(kv.put(with_token(put("a/1", "1"), "token", "made.up")).await),
        (Code::Unauthenticated, "etcdserver: invalid auth token".into())
    );
    let ada = token(&server, "ada").await;
    kv.put(with_token(put("a/1", "1"), "token", &ada)).await.unwrap();
    kv.range(with_token(get("a/1"), "authorization", &format!("Bearer {ada}")))
        .await
        .unwrap();
    for refused in [
        refusal(kv.put(with_token(put("b", "1"), "token", &ada)).await),
        refusal(kv.range(with_token(get("b"), "token", &ada)).await),
        refusal(
            kv.compact(with_token(
                pb::CompactionRequest {
                    revision: 2,
                    physical: false,
                },
                "token",
                &ada,
            ))
            .await,
        ),
    ] {
        assert_eq!(
            refused,
            (Code::PermissionDenied, "etcdserver: permission denied".into())
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn the_etcd_client_signs_in_by_itself() {
    let server = Server::start().await;
    locked_down(&server).await;
    let options = ConnectOptions::new().with_user("ada", "ada's");
    let mut client = etcd_client::Client::connect([server.url()], Some(options))
        .await
        .unwrap();
    client.put("a/2", "x", None).await.unwrap();
    assert!(client.put("b", "x", None).await.is_err());
    let options = ConnectOptions::new().with_user("root", "root's");
    let mut root = etcd_client::Client::connect([server.url()], Some(options))
        .await
        .unwrap();
    assert_eq!(root.user_list().await.unwrap().users(), ["ada", "root"]);
    assert_eq!(root.user_get("ada").await.unwrap().roles(), ["writer"]);
    root.auth_disable().await.unwrap();
    server.kv().await.put(put("b", "1")).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_watcher_needs_permission_when_it_is_created() {
    let server = Server::start().await;
    locked_down(&server).await;
    let ada = token(&server, "ada").await;
    let create = |key: &'static str| pb::WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(pb::WatchCreateRequest {
            key: key.into(),
            ..Default::default()
        })),
    };
    let requests = tokio_stream::iter([create("b"), create("a/1")]);
    let request = with_token(requests, "token", &ada);
    let mut responses = server.watch().await.watch(request).await.unwrap().into_inner();
    let refused = within(responses.message()).await.unwrap().unwrap();
    assert!(refused.created && refused.canceled);
    assert_eq!(
        (refused.watch_id, &refused.cancel_reason[..]),
        (
            -1,
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
        )
    );
    assert!(!within(responses.message()).await.unwrap().unwrap().canceled);

    let nobody = tokio_stream::iter([create("a/1")]);
    let mut responses = server.watch().await.watch(nobody).await.unwrap().into_inner();
    let refused = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(
        refused.cancel_reason,
        "rpc error: code = InvalidArgument desc = etcdserver: user name is empty"
    );
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_etcds_codes_and_texts() {
    let server = Server::start().await;
    let mut client = server.auth().await;
    assert_eq!(
        refusal(client.auth_enable(pb::AuthEnableRequest {}).await),
        (
            Code::FailedPrecondition,
            "etcdserver: root user does not exist".into()
        )
    );
    let login = pb::AuthenticateRequest {
        name: "ada".into(),
        password: "wrong".into(),
    };
    assert_eq!(
        refusal(client.authenticate(login.clone()).await),
        (
            Code::FailedPrecondition,
            "etcdserver: authentication is not enabled".into()
        )
    );
    let nameless = pb::AuthUserAddRequest {
        password: "x".into(),
        ..Default::default()
    };
    assert_eq!(
        refusal(client.user_add(nameless).await),
        (Code::InvalidArgument, "etcdserver: user name is empty".into())
    );
    let long = pb::AuthUserAddRequest {
        name: "u".into(),
        password: "x".repeat(73),
        ..Default::default()
    };
    assert_eq!(
        refusal(client.user_add(long).await),
        (Code::Unknown, "bcrypt: password length exceeds 72 bytes".into())
    );
    locked_down(&server).await;
    assert_eq!(
        refusal(client.authenticate(login).await),
        (
            Code::InvalidArgument,
            "etcdserver: authentication failed, invalid user ID or password".into()
        )
    );
    let status = client
        .auth_status(pb::AuthStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(status.enabled && status.auth_revision > 1 && status.header.is_some());
    server.stop().await;
}
