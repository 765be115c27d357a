//! The small HTTP endpoints of a peer URL, etcd's: answered here, and asked of others.

use crate::{Connector, Error, Requests, Versions};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper_util::rt::TokioIo;
use model::ClusterId;
use model::pb::etcdserverpb as pb;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use url::Url;

const CLUSTER_ID: &str = "x-etcd-cluster-id";

/// Far above what any member answers.
const BODY_BYTES_MAX: usize = 1 << 20;

/// For one request with its connection.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What `GET /members` on a peer URL says.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterMembers {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its members.
    pub members: Vec<pb::Member>,
}

/// Asks whoever listens on a peer URL for the members of its cluster. Redirections are not followed: the URL may have
/// come from a client.
pub async fn members_of(connector: &dyn Connector, url: &str) -> Result<ClusterMembers, Error> {
    let (cluster, members): (_, Vec<Member>) = get(connector, url, "/members").await?;
    let cluster = cluster.ok_or_else(|| unexpected(url, "there is no cluster id"))?;
    Ok(ClusterMembers {
        cluster,
        members: members.into_iter().map(Member::into_pb).collect(),
    })
}

/// Asks whoever listens on a peer URL for its versions.
pub async fn version_of(connector: &dyn Connector, url: &str) -> Result<Versions, Error> {
    Ok(get(connector, url, "/version").await?.1)
}

/// A member as etcd writes it in JSON.
#[derive(Serialize, Deserialize)]
struct Member {
    id: u64,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Option<Vec<String>>,
    #[serde(rename = "isLearner", default, skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "clientURLs", default, skip_serializing_if = "Vec::is_empty")]
    client_urls: Vec<String>,
}

impl Member {
    fn from_pb(member: pb::Member) -> Self {
        Self {
            id: member.id,
            peer_urls: Some(member.peer_urls),
            is_learner: member.is_learner,
            name: member.name,
            client_urls: member.client_urls,
        }
    }

    fn into_pb(self) -> pb::Member {
        pb::Member {
            id: self.id,
            name: self.name,
            peer_urls: self.peer_urls.unwrap_or_default(),
            client_urls: self.client_urls,
            is_learner: self.is_learner,
        }
    }
}

/// Answers a request that is not gRPC.
pub(crate) fn respond(
    method: &Method,
    path: &str,
    cluster: ClusterId,
    requests: &dyn Requests,
) -> Response<Full<Bytes>> {
    let mut response = match path {
        "/version" | "/members" | "/health" | "/downgrade/enabled" if method != Method::GET => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            response
        }
        "/version" => json(&requests.versions()),
        "/members" => json(
            &requests
                .members()
                .into_iter()
                .map(Member::from_pb)
                .collect::<Vec<_>>(),
        ),
        "/health" if requests.healthy() => json(&serde_json::json!({"health": "true"})),
        "/health" => {
            let mut response = json(&serde_json::json!({"health": "false"}));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        "/downgrade/enabled" => text(
            StatusCode::OK,
            if requests.downgrade_enabled() {
                "true"
            } else {
                "false"
            },
        ),
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    if let Ok(cluster) = HeaderValue::try_from(cluster.to_string()) {
        response.headers_mut().insert(CLUSTER_ID, cluster);
    }
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut response = Response::new(Full::from(body));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n"),
    }
}

async fn get<T: DeserializeOwned>(
    connector: &dyn Connector,
    url: &str,
    path: &str,
) -> Result<(Option<ClusterId>, T), Error> {
    let answered = tokio::time::timeout(TIMEOUT, exchange(connector, url, path)).await;
    let (cluster, body) = answered.map_err(|_| Error::TimedOut { peer: url.to_owned() })??;
    let value = serde_json::from_slice(&body).map_err(|error| unexpected(url, error.to_string()))?;
    Ok((cluster, value))
}

async fn exchange(
    connector: &dyn Connector,
    url: &str,
    path: &str,
) -> Result<(Option<ClusterId>, Bytes), Error> {
    let unreachable = |reason: String| Error::Unreachable {
        peer: url.to_owned(),
        reason,
    };
    let target = Url::parse(url).map_err(|error| unexpected(url, error.to_string()))?;
    let host = match (target.host_str(), target.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or("peer").to_owned(),
    };
    let io = connector
        .connect(target)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(error.to_string()))?;
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| unexpected(url, error.to_string()))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(unexpected(url, format!("status {}", response.status())));
        }
        let cluster = response.headers().get(CLUSTER_ID).and_then(|id| id.to_str().ok());
        let cluster = cluster
            .and_then(|id| u64::from_str_radix(id, 16).ok())
            .map(ClusterId);
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        Ok((
            cluster,
            body.map_err(|error| unexpected(url, error.to_string()))?
                .to_bytes(),
        ))
    };
    let mut answer = std::pin::pin!(answer);
    // The connection makes progress only while it is polled; it may end as soon as the answer is there.
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

fn unexpected(url: &str, reason: impl Into<String>) -> Error {
    Error::Unexpected {
        peer: url.to_owned(),
        reason: reason.into(),
    }
}
