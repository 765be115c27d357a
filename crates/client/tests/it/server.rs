//! A server whose answers are written down beforehand, on a port of its own.

use api::etcdserverpb::auth_server::AuthServer;
use api::etcdserverpb::kv_server::{Kv, KvServer};
use api::etcdserverpb::lease_server::{Lease, LeaseServer};
use api::etcdserverpb::watch_server::{Watch, WatchServer};
use client::pb::etcdserverpb::watch_request::RequestUnion;
use client::pb::etcdserverpb::*;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Turn {
    Answer,
    Refuse(Code, &'static str),
    /// Never answers.
    Hang,
}

/// What one watch stream sends before it breaks, or goes on in silence.
#[derive(Clone, Debug)]
pub struct Script {
    pub responses: Vec<WatchResponse>,
    pub breaks: bool,
}

#[derive(Default)]
pub struct State {
    /// For the requests to come; then it answers.
    pub turns: VecDeque<Turn>,
    pub watches: VecDeque<Script>,
    /// TTLs of the answers to keep-alives; then 0.
    pub ttls: VecDeque<i64>,
    /// Names of the requests that came, with their token.
    pub seen: Vec<String>,
    pub created: Vec<WatchCreateRequest>,
    pub tokens: u32,
}

#[derive(Clone)]
pub struct Fake {
    pub state: Arc<Mutex<State>>,
    pub endpoint: String,
    task: Arc<JoinHandle<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        if Arc::strong_count(&self.task) == 1 {
            self.task.abort();
        }
    }
}

impl Fake {
    pub async fn start(turns: impl IntoIterator<Item = Turn>) -> Fake {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            turns: turns.into_iter().collect(),
            ..Default::default()
        }));
        let service = Service(state.clone());
        let server = Server::builder()
            .add_service(KvServer::new(service.clone()))
            .add_service(WatchServer::new(service.clone()))
            .add_service(LeaseServer::new(service.clone()))
            .add_service(AuthServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { server.await.unwrap() });
        Fake {
            state,
            endpoint,
            task: Arc::new(task),
        }
    }

    pub fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }
}

#[derive(Clone)]
pub struct Service(Arc<Mutex<State>>);

impl Service {
    async fn turn<Q, A: Default>(&self, name: &str, request: &Request<Q>) -> Answer<A> {
        let turn = {
            let mut state = self.0.lock().unwrap();
            let token = request
                .metadata()
                .get("token")
                .map(|token| token.to_str().unwrap());
            state.seen.push(format!("{name} {}", token.unwrap_or("-")));
            state.turns.pop_front().unwrap_or(Turn::Answer)
        };
        match turn {
            Turn::Answer => Ok(Response::new(A::default())),
            Turn::Refuse(code, message) => Err(Status::new(code, message)),
            Turn::Hang => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl Kv for Service {
    type RangeStreamStream = BoxStream<'static, Result<RangeStreamResponse, Status>>;

    async fn range(&self, request: Request<RangeRequest>) -> Answer<RangeResponse> {
        self.turn("range", &request).await
    }

    async fn range_stream(&self, _: Request<RangeRequest>) -> Answer<Self::RangeStreamStream> {
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn put(&self, request: Request<PutRequest>) -> Answer<PutResponse> {
        self.turn("put", &request).await
    }

    async fn delete_range(&self, request: Request<DeleteRangeRequest>) -> Answer<DeleteRangeResponse> {
        self.turn("delete", &request).await
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Answer<TxnResponse> {
        self.turn("txn", &request).await
    }

    async fn compact(&self, request: Request<CompactionRequest>) -> Answer<CompactionResponse> {
        self.turn("compact", &request).await
    }
}

#[tonic::async_trait]
impl Watch for Service {
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Answer<Self::WatchStream> {
        let mut requests = request.into_inner();
        let first = requests
            .message()
            .await?
            .and_then(|request| request.request_union);
        let Some(RequestUnion::CreateRequest(create)) = first else {
            return Err(Status::invalid_argument("no create request"));
        };
        let mut state = self.0.lock().unwrap();
        state.created.push(create);
        let script = state.watches.pop_front().expect("a script for the watch");
        let responses = stream::iter(script.responses.into_iter().map(Ok));
        Ok(Response::new(match script.breaks {
            true => responses
                .chain(stream::iter([Err(Status::unavailable("gone"))]))
                .boxed(),
            false => responses.chain(stream::pending()).boxed(),
        }))
    }
}

#[tonic::async_trait]
impl Lease for Service {
    type LeaseKeepAliveStream = BoxStream<'static, Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(&self, request: Request<LeaseGrantRequest>) -> Answer<LeaseGrantResponse> {
        self.turn("grant", &request).await
    }

    async fn lease_revoke(&self, request: Request<LeaseRevokeRequest>) -> Answer<LeaseRevokeResponse> {
        self.turn("revoke", &request).await
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Answer<Self::LeaseKeepAliveStream> {
        let state = self.0.clone();
        let answers = request.into_inner().map(move |request| {
            let id = request?.id;
            let ttl = state.lock().unwrap().ttls.pop_front().unwrap_or(0);
            Ok(LeaseKeepAliveResponse {
                header: None,
                id,
                ttl,
            })
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Answer<LeaseTimeToLiveResponse> {
        self.turn("ttl", &request).await
    }

    async fn lease_leases(&self, request: Request<LeaseLeasesRequest>) -> Answer<LeaseLeasesResponse> {
        self.turn("leases", &request).await
    }
}

macro_rules! auth {
    ($($name:ident($request:ty) -> $answer:ty;)*) => {
        #[tonic::async_trait]
        impl api::etcdserverpb::auth_server::Auth for Service {
            async fn authenticate(&self, request: Request<AuthenticateRequest>) -> Answer<AuthenticateResponse> {
                let mut answer: Response<AuthenticateResponse> = self.turn("authenticate", &request).await?;
                let mut state = self.0.lock().unwrap();
                state.tokens += 1;
                answer.get_mut().token = format!("token{}", state.tokens);
                Ok(answer)
            }

            $(async fn $name(&self, request: Request<$request>) -> Answer<$answer> {
                self.turn(stringify!($name), &request).await
            })*
        }
    };
}

auth! {
    auth_enable(AuthEnableRequest) -> AuthEnableResponse;
    auth_disable(AuthDisableRequest) -> AuthDisableResponse;
    auth_status(AuthStatusRequest) -> AuthStatusResponse;
    user_add(AuthUserAddRequest) -> AuthUserAddResponse;
    user_get(AuthUserGetRequest) -> AuthUserGetResponse;
    user_list(AuthUserListRequest) -> AuthUserListResponse;
    user_delete(AuthUserDeleteRequest) -> AuthUserDeleteResponse;
    user_change_password(AuthUserChangePasswordRequest) -> AuthUserChangePasswordResponse;
    user_grant_role(AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse;
    user_revoke_role(AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse;
    role_add(AuthRoleAddRequest) -> AuthRoleAddResponse;
    role_get(AuthRoleGetRequest) -> AuthRoleGetResponse;
    role_list(AuthRoleListRequest) -> AuthRoleListResponse;
    role_delete(AuthRoleDeleteRequest) -> AuthRoleDeleteResponse;
    role_grant_permission(AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse;
    role_revoke_permission(AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse;
}
