//! Discovery URLs, in the words of etcd's version 2 API.

use crate::http::send;
use crate::support::{Server, within};
use http::{Method, Request, StatusCode};
use serde_json::Value;

async fn ask(server: &Server, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    let (status, _, body) = send(server, request, body).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// The path of a new token.
async fn begin(server: &Server, size: &str) -> String {
    let (status, url) = ask(server, Method::GET, &format!("/new{size}"), "").await;
    assert_eq!(status, StatusCode::OK, "{url}");
    let url = url.as_str().unwrap().to_owned();
    let at = url.find("/discovery/").unwrap();
    url[at..].to_owned()
}

#[tokio::test]
async fn members_register_in_the_order_in_which_they_come() {
    let server = Server::start().await;
    let path = begin(&server, "?size=2").await;
    let (_, size) = ask(&server, Method::GET, &format!("{path}/_config/size"), "").await;
    assert_eq!(size["node"]["value"], "2");
    for (id, value) in [
        ("b", "value=two%3Dhttp%3A%2F%2Fb%3A1"),
        ("a", "value=one%3Dhttp%3A%2F%2Fa%3A1"),
    ] {
        let (status, created) = ask(
            &server,
            Method::PUT,
            &format!("{path}/{id}?prevExist=false"),
            value,
        )
        .await;
        assert_eq!(
            (status, &created["action"]),
            (StatusCode::CREATED, &Value::from("create"))
        );
    }
    let (_, found) = ask(&server, Method::GET, &path, "").await;
    let nodes = found["node"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[0]["value"], "two=http://b:1");
    assert!(nodes[0]["createdIndex"].as_i64() < nodes[1]["createdIndex"].as_i64());

    let (status, taken) = ask(&server, Method::PUT, &format!("{path}/a"), "value=other").await;
    assert_eq!(
        (status, taken["errorCode"].as_i64()),
        (StatusCode::PRECONDITION_FAILED, Some(105))
    );
    let (_, kept) = ask(&server, Method::GET, &format!("{path}/a"), "").await;
    assert_eq!(kept["node"]["value"], "one=http://a:1");
    server.stop().await;
}

#[tokio::test]
async fn somebody_who_waits_is_told_of_the_next() {
    let server = Server::start().await;
    let path = begin(&server, "").await;
    let (_, first) = ask(&server, Method::PUT, &format!("{path}/1"), "value=a").await;
    let after = first["node"]["modifiedIndex"].as_i64().unwrap() + 1;
    let waiting = format!("{path}?wait=true&recursive=true&waitIndex={after}");
    let waiter = ask(&server, Method::GET, &waiting, "");
    let comer = async {
        tokio::task::yield_now().await;
        ask(&server, Method::PUT, &format!("{path}/2"), "value=b").await
    };
    let ((_, told), _) = within(async { tokio::join!(waiter, comer) }).await;
    assert_eq!(told["node"]["value"], "b");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_or_wrong_is_refused() {
    let server = Server::start().await;
    for path in [
        "/discovery/nobody",
        "/discovery/nobody/_config/size",
        "/discovery/nobody/1",
    ] {
        let (status, missing) = ask(&server, Method::GET, path, "").await;
        assert_eq!(
            (status, missing["errorCode"].as_i64()),
            (StatusCode::NOT_FOUND, Some(100))
        );
    }
    let (status, _) = ask(&server, Method::PUT, "/discovery/nobody/1", "value=a").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let path = begin(&server, "?size=1").await;
    for (id, body) in [("1", ""), ("1", "value="), ("..%2f", "value=a"), ("x", "value=a")] {
        let (status, _) = ask(&server, Method::PUT, &format!("{path}/{id}"), body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{id} {body}");
    }
    for size in ["0", "101", "-1", "many"] {
        let (status, _) = ask(&server, Method::GET, &format!("/new?size={size}"), "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{size}");
    }
    assert_eq!(
        ask(&server, Method::POST, "/new", "").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    server.stop().await;
}
