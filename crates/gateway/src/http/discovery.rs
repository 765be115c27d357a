//! Discovery URLs, as etcd's public discovery service gave them out: members that do not know each other yet register
//! under one and wait there for the rest. etcd up to 3.6 speaks it (`--discovery`), in the words of its version 2 API.
//!
//! ```text
//! GET /new?size=3                         a fresh URL for a cluster of three, http://…/discovery/TOKEN
//! GET /discovery/TOKEN/_config/size       how many members there are to be
//! GET /discovery/TOKEN                    who has registered; with wait=true, the next that registers
//! PUT /discovery/TOKEN/ID  value=…        registers, unless the id is there already
//! ```
//!
//! What is registered is stored where etcd's v3 discovery keeps it, so both can be used for one cluster; and it is
//! attached to a lease, so that forgotten tokens do not stay for ever. With authentication on, the `Authorization`
//! header must name a user who may write there.

use crate::body::ResponseBody;
use crate::caller::Proof;
use crate::route::Connection;
use crate::shared::{Phase, Shared};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use model::LeaseId;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::mvccpb::KeyValue;
use node::Caller;
use prost::Message;
use serde_json::{Value, json};
use std::time::Duration;
use tonic::{Code, Status};

const REGISTRY: &str = "/_etcd/registry/";
/// Members of one cluster; etcd recommends up to seven.
const SIZE_MAX: u32 = 100;
const SIZE_DEFAULT: u32 = 3;
/// How long a token is good for, in seconds: a week.
const LIFE: i64 = 7 * 24 * 3600;
const FORM_BYTES_MAX: usize = 64 * 1024;
const ID_BYTES_MAX: usize = 64;
/// How often somebody who waits is looked after.
const POLL: Duration = Duration::from_millis(200);

/// Numbers of errors in version 2.
const KEY_NOT_FOUND: u32 = 100;
const NODE_EXISTS: u32 = 105;
const INVALID_FORM: u32 = 210;

/// Whether a path is one of these.
pub(super) fn has(path: &str) -> bool {
    path == "/new" || path.starts_with("/discovery/")
}

/// Answers a request to one of them.
pub(super) async fn answer(connection: &Connection, request: Request<Incoming>) -> Response<ResponseBody> {
    let shared = &connection.core.shared;
    let caller = match shared.identify(&proof(&request)).await {
        Ok(caller) => caller,
        Err(status) => return refusal(&status),
    };
    let service = Service { shared, caller };
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').skip(1).filter(|part| !part.is_empty()).collect();
    let result = match (request.method(), &parts[..]) {
        (&Method::GET | &Method::PUT, ["new"]) => service.begin(connection, &request).await,
        (&Method::GET, ["discovery", token, "_config", "size"]) => service.size(token).await,
        (&Method::GET, ["discovery", token]) => match wait_index(&request) {
            None => service.members(token).await,
            Some(from) => service.wait(token, None, from).await,
        },
        (&Method::GET, ["discovery", token, id]) => match wait_index(&request) {
            None => service.member(token, id).await,
            Some(from) => service.wait(token, Some(id), from).await,
        },
        (&Method::PUT, ["discovery", token, id]) => {
            let (token, id) = (token.to_string(), id.to_string());
            service.register(&token, &id, request.into_body()).await
        }
        (&Method::GET, _) => Ok(super::not_found()),
        _ => Ok(super::method_not_allowed()),
    };
    result.unwrap_or_else(|status| refusal(&status))
}

struct Service<'a> {
    shared: &'a Shared,
    caller: Caller,
}

impl Service<'_> {
    /// A new token.
    async fn begin(
        &self,
        connection: &Connection,
        request: &Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Status> {
        let size = match super::query(request.uri(), "size").next() {
            None => Some(SIZE_DEFAULT),
            Some(text) => text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size)),
        };
        let Some(size) = size else {
            let text = format!("size must be a number from 1 to {SIZE_MAX}\n");
            return Ok(super::text(StatusCode::BAD_REQUEST, text));
        };
        let Some(host) = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
        else {
            return Ok(super::text(
                StatusCode::BAD_REQUEST,
                "the request names no host\n",
            ));
        };
        let lease = pb::LeaseGrantRequest { ttl: LIFE, id: 0 };
        let lease = self
            .shared
            .node
            .lease_grant(lease, &self.caller)
            .await
            .map_err(crate::status)?;
        let token = format!("{:032x}", rand::random::<u128>());
        let put = pb::PutRequest {
            key: size_key(&token),
            value: size.to_string().into(),
            lease: lease.id,
            ..Default::default()
        };
        let done = self
            .shared
            .node
            .propose(model::Request::Put(put), &self.caller)
            .await;
        if let Err(error) = done {
            // Nothing hangs on it; if it cannot be revoked, it runs out.
            let _ = self
                .shared
                .node
                .lease_revoke(LeaseId(lease.id), &self.caller)
                .await;
            return Err(crate::status(error));
        }
        let scheme = match connection.certificate {
            Some(_) => "https",
            None => "http",
        };
        Ok(super::text(
            StatusCode::OK,
            format!("{scheme}://{host}/discovery/{token}"),
        ))
    }

    async fn size(&self, token: &str) -> Result<Response<ResponseBody>, Status> {
        let (found, index) = self.range(size_key(token), false).await?;
        Ok(match found.first() {
            Some(kv) => {
                let node = node(&format!("/discovery/{token}/_config/size"), kv);
                answer_with(StatusCode::OK, "get", node, index)
            }
            None => missing(token, index),
        })
    }

    async fn members(&self, token: &str) -> Result<Response<ResponseBody>, Status> {
        let (size, index) = self.range(size_key(token), false).await?;
        let Some(size) = size.first() else {
            return Ok(missing(token, index));
        };
        let (members, index) = self.range(members_prefix(token), true).await?;
        let nodes: Vec<Value> = members.iter().map(|kv| member_node(token, kv)).collect();
        let directory = json!({
            "key": format!("/discovery/{token}"),
            "dir": true,
            "nodes": nodes,
            "modifiedIndex": size.create_revision,
            "createdIndex": size.create_revision,
        });
        Ok(answer_with(StatusCode::OK, "get", directory, index))
    }

    async fn member(&self, token: &str, id: &str) -> Result<Response<ResponseBody>, Status> {
        let (found, index) = self.range(member_key(token, id), false).await?;
        Ok(match found.first() {
            Some(kv) => answer_with(StatusCode::OK, "get", member_node(token, kv), index),
            None => missing(id, index),
        })
    }

    /// Waits for the first registration at or after an index; as long as it takes, or the client stays.
    async fn wait(&self, token: &str, id: Option<&str>, from: i64) -> Result<Response<ResponseBody>, Status> {
        loop {
            let (members, index) = self.range(members_prefix(token), true).await?;
            let wanted = id.map(|id| member_key(token, id));
            let next = members
                .iter()
                .filter(|kv| kv.mod_revision >= from && wanted.as_ref().is_none_or(|key| *key == kv.key))
                .min_by_key(|kv| kv.mod_revision);
            if let Some(kv) = next {
                return Ok(answer_with(
                    StatusCode::OK,
                    "create",
                    member_node(token, kv),
                    index,
                ));
            }
            if *self.shared.phase.borrow() != Phase::Serving {
                return Err(crate::rejected(model::Rejection::Stopped));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn register(
        &self,
        token: &str,
        id: &str,
        body: Incoming,
    ) -> Result<Response<ResponseBody>, Status> {
        let body = match Limited::new(body, FORM_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                return Ok(error_with(
                    StatusCode::BAD_REQUEST,
                    INVALID_FORM,
                    &error.to_string(),
                    0,
                ));
            }
        };
        let value = url::form_urlencoded::parse(&body)
            .find(|(name, _)| name == "value")
            .map(|(_, value)| value.into_owned());
        let hex =
            !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(value) = value.filter(|value| hex && !value.is_empty()) else {
            let cause = "an id in hexadecimal digits and a value are needed";
            return Ok(error_with(StatusCode::BAD_REQUEST, INVALID_FORM, cause, 0));
        };
        let (size, index) = self.range(size_key(token), false).await?;
        let Some(size) = size.first() else {
            return Ok(missing(token, index));
        };
        let key = member_key(token, id);
        let put = pb::PutRequest {
            key: key.clone(),
            value: value.into(),
            // It goes with the token.
            lease: size.lease,
            ..Default::default()
        };
        let txn = pb::TxnRequest {
            compare: vec![pb::Compare {
                result: CompareResult::Equal as i32,
                target: CompareTarget::Create as i32,
                key: key.clone(),
                target_union: Some(TargetUnion::CreateRevision(0)),
                ..Default::default()
            }],
            success: vec![pb::RequestOp {
                request: Some(pb::request_op::Request::RequestPut(put)),
            }],
            failure: Vec::new(),
        };
        let done = self
            .shared
            .node
            .txn(txn, &self.caller)
            .await
            .map_err(crate::status)?;
        let (found, index) = self.range(key, false).await?;
        Ok(match found.first() {
            Some(kv) if done.succeeded => {
                answer_with(StatusCode::CREATED, "create", member_node(token, kv), index)
            }
            Some(_) => error_with(
                StatusCode::PRECONDITION_FAILED,
                NODE_EXISTS,
                &format!("/discovery/{token}/{id}"),
                index,
            ),
            None => missing(id, index),
        })
    }

    /// Living keys in order of their creation, and the revision they were read at.
    async fn range(&self, key: Bytes, prefix: bool) -> Result<(Vec<KeyValue>, i64), Status> {
        let range_end = match prefix {
            true => {
                // Prefixes end with a slash, the byte before 0.
                let mut end = key.to_vec();
                end.pop();
                end.push(b'0');
                end.into()
            }
            false => Bytes::new(),
        };
        let request = pb::RangeRequest {
            key,
            range_end,
            ..Default::default()
        };
        let response = self
            .shared
            .node
            .range(request, &self.caller)
            .await
            .map_err(crate::status)?;
        let mut found = Vec::with_capacity(response.kvs.len());
        for kv in response.kvs {
            let kv = KeyValue::decode(kv).map_err(|error| Status::internal(error.to_string()))?;
            found.push(kv);
        }
        found.sort_by_key(|kv| kv.create_revision);
        Ok((found, response.header.map_or(0, |header| header.revision)))
    }
}

fn size_key(token: &str) -> Bytes {
    format!("{REGISTRY}{token}/_config/size").into()
}

fn members_prefix(token: &str) -> Bytes {
    format!("{REGISTRY}{token}/members/").into()
}

fn member_key(token: &str, id: &str) -> Bytes {
    format!("{REGISTRY}{token}/members/{id}").into()
}

/// The index from which on somebody wants to wait.
fn wait_index(request: &Request<Incoming>) -> Option<i64> {
    if super::query(request.uri(), "wait").next() != Some("true") {
        return None;
    }
    let index = super::query(request.uri(), "waitIndex").next();
    // Without an index, from now on; with an empty token's history that is the same as from the beginning.
    Some(index.and_then(|index| index.parse().ok()).unwrap_or(0))
}

fn proof(request: &Request<Incoming>) -> Proof {
    match request.headers().get(header::AUTHORIZATION) {
        None => Proof::None,
        Some(token) => {
            let token = String::from_utf8_lossy(token.as_bytes());
            Proof::Token(token.strip_prefix("Bearer ").unwrap_or(&token).to_owned())
        }
    }
}

fn member_node(token: &str, kv: &KeyValue) -> Value {
    let id = String::from_utf8_lossy(&kv.key);
    let id = id.rsplit('/').next().unwrap_or_default();
    node(&format!("/discovery/{token}/{id}"), kv)
}

fn node(key: &str, kv: &KeyValue) -> Value {
    json!({
        "key": key,
        "value": String::from_utf8_lossy(&kv.value),
        "modifiedIndex": kv.mod_revision,
        "createdIndex": kv.create_revision,
    })
}

fn answer_with(status: StatusCode, action: &str, node: Value, index: i64) -> Response<ResponseBody> {
    let body = json!({ "action": action, "node": node });
    with_index(super::body(status, "application/json", body.to_string()), index)
}

fn missing(what: &str, index: i64) -> Response<ResponseBody> {
    error_with(StatusCode::NOT_FOUND, KEY_NOT_FOUND, what, index)
}

fn error_with(status: StatusCode, code: u32, cause: &str, index: i64) -> Response<ResponseBody> {
    let message = match code {
        KEY_NOT_FOUND => "Key not found",
        NODE_EXISTS => "Key already exists",
        _ => "Invalid POST form",
    };
    let body = json!({ "errorCode": code, "message": message, "cause": cause, "index": index });
    with_index(super::body(status, "application/json", body.to_string()), index)
}

fn with_index(mut response: Response<ResponseBody>, index: i64) -> Response<ResponseBody> {
    let headers = response.headers_mut();
    headers.insert("x-etcd-index", HeaderValue::from(index));
    response
}

fn refusal(status: &Status) -> Response<ResponseBody> {
    let code = match status.code() {
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated | Code::InvalidArgument => StatusCode::UNAUTHORIZED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    super::text(code, format!("{}\n", status.message()))
}
