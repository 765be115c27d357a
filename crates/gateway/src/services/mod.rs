//! The handlers: each turns a request into calls of the node, and the answer into a response.

mod auth;
mod cluster;
mod election;
mod health;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod queue;
mod range_stream;
mod snapshot;
mod watch;

pub(crate) use snapshot::SNAPSHOTS_MAX;

use crate::body::{Reply, RequestBody};
use crate::methods::Method;
use crate::shared::Shared;
use crate::unary;
use api::etcdserverpb::auth_server::Auth as _;
use api::etcdserverpb::cluster_server::Cluster as _;
use api::etcdserverpb::kv_server::{Kv as _, KvServer};
use api::etcdserverpb::lease_server::{Lease as _, LeaseServer};
use api::etcdserverpb::maintenance_server::{Maintenance as _, MaintenanceServer};
use api::v3electionpb::election_server::{Election as _, ElectionServer};
use api::v3lockpb::lock_server::Lock as _;
use http::{Request, Response};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use tonic::body::Body;
use tonic_health::pb::health_server::{Health as _, HealthServer};
use tower::Service;
use tower::util::BoxCloneSyncService;

/// A handler's answer.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Response<Reply>> + Send>>;

/// A stream of responses.
pub(crate) type Responses<T> = Pin<Box<dyn futures::Stream<Item = Result<T, tonic::Status>> + Send>>;

/// All services. Each RPC thread has its own, so that their reference counts stay with its processor.
pub(crate) struct Services {
    kv: Arc<kv::Kv>,
    watch: Arc<watch::Watch>,
    lease: Arc<lease::Lease>,
    cluster: Arc<cluster::Cluster>,
    maintenance: Arc<maintenance::Maintenance>,
    auth: Arc<auth::Auth>,
    lock: Arc<lock::Lock>,
    election: Arc<election::Election>,
    health: Arc<health::Health>,
    reflection: Option<[Reflection; 2]>,
}

type Reflection = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;

/// A call of one request and one response.
macro_rules! unary {
    ($service:expr, $request:ident, $method:ident) => {{
        let service = Arc::clone(&$service);
        Box::pin(async move {
            match unary::read($request).await {
                Ok(request) => unary::write(service.$method(request).await),
                Err(status) => unary::refuse(status),
            }
        })
    }};
}

/// Any other call, as tonic does it. The limit for requests is kept by their body, with grpc-go's text.
macro_rules! streaming {
    ($service:expr, $request:ident, $server:ident) => {
        streaming(
            $server::from_arc(Arc::clone(&$service)).max_decoding_message_size(usize::MAX),
            $request,
        )
    };
}

impl Services {
    pub fn new(shared: &Arc<Shared>) -> Services {
        let shared = || Arc::clone(shared);
        Services {
            kv: Arc::new(kv::Kv(shared())),
            watch: Arc::new(watch::Watch(shared())),
            lease: Arc::new(lease::Lease(shared())),
            cluster: Arc::new(cluster::Cluster(shared())),
            maintenance: Arc::new(maintenance::Maintenance(shared())),
            auth: Arc::new(auth::Auth(shared())),
            lock: Arc::new(lock::Lock(shared())),
            election: Arc::new(election::Election(shared())),
            health: Arc::new(health::Health(shared())),
            reflection: reflection(),
        }
    }

    /// Answers a call that has passed the checks.
    pub fn call(&self, method: Method, request: Request<RequestBody>) -> Answer {
        match method {
            Method::Range => {
                let service = Arc::clone(&self.kv);
                Box::pin(async move {
                    match unary::read(request).await {
                        Ok(request) => service.answer_range(request).await,
                        Err(status) => unary::refuse(status),
                    }
                })
            }
            Method::Put => unary!(self.kv, request, put),
            Method::Txn => unary!(self.kv, request, txn),
            Method::DeleteRange => unary!(self.kv, request, delete_range),
            Method::Compact => unary!(self.kv, request, compact),
            Method::RangeStream => streaming!(self.kv, request, KvServer),
            Method::Watch => Box::pin(std::future::ready(self.watch.answer(request))),
            Method::LeaseKeepAlive => streaming!(self.lease, request, LeaseServer),
            Method::LeaseGrant => unary!(self.lease, request, lease_grant),
            Method::LeaseRevoke => unary!(self.lease, request, lease_revoke),
            Method::LeaseTimeToLive => unary!(self.lease, request, lease_time_to_live),
            Method::LeaseLeases => unary!(self.lease, request, lease_leases),
            Method::MemberAdd => unary!(self.cluster, request, member_add),
            Method::MemberRemove => unary!(self.cluster, request, member_remove),
            Method::MemberUpdate => unary!(self.cluster, request, member_update),
            Method::MemberList => unary!(self.cluster, request, member_list),
            Method::MemberPromote => unary!(self.cluster, request, member_promote),
            Method::Alarm => unary!(self.maintenance, request, alarm),
            Method::Status => unary!(self.maintenance, request, status),
            Method::Defragment => unary!(self.maintenance, request, defragment),
            Method::Hash => unary!(self.maintenance, request, hash),
            Method::HashKv => unary!(self.maintenance, request, hash_kv),
            Method::Snapshot => streaming!(self.maintenance, request, MaintenanceServer),
            Method::MoveLeader => unary!(self.maintenance, request, move_leader),
            Method::Downgrade => unary!(self.maintenance, request, downgrade),
            Method::AuthEnable => unary!(self.auth, request, auth_enable),
            Method::AuthDisable => unary!(self.auth, request, auth_disable),
            Method::AuthStatus => unary!(self.auth, request, auth_status),
            Method::Authenticate => unary!(self.auth, request, authenticate),
            Method::UserAdd => unary!(self.auth, request, user_add),
            Method::UserGet => unary!(self.auth, request, user_get),
            Method::UserList => unary!(self.auth, request, user_list),
            Method::UserDelete => unary!(self.auth, request, user_delete),
            Method::UserChangePassword => unary!(self.auth, request, user_change_password),
            Method::UserGrantRole => unary!(self.auth, request, user_grant_role),
            Method::UserRevokeRole => unary!(self.auth, request, user_revoke_role),
            Method::RoleAdd => unary!(self.auth, request, role_add),
            Method::RoleGet => unary!(self.auth, request, role_get),
            Method::RoleList => unary!(self.auth, request, role_list),
            Method::RoleDelete => unary!(self.auth, request, role_delete),
            Method::RoleGrantPermission => unary!(self.auth, request, role_grant_permission),
            Method::RoleRevokePermission => unary!(self.auth, request, role_revoke_permission),
            Method::Lock => unary!(self.lock, request, lock),
            Method::Unlock => unary!(self.lock, request, unlock),
            Method::Campaign => unary!(self.election, request, campaign),
            Method::Proclaim => unary!(self.election, request, proclaim),
            Method::Leader => unary!(self.election, request, leader),
            Method::Observe => streaming!(self.election, request, ElectionServer),
            Method::Resign => unary!(self.election, request, resign),
            Method::HealthCheck => unary!(self.health, request, check),
            Method::HealthList => unary!(self.health, request, list),
            Method::HealthWatch => streaming!(self.health, request, HealthServer),
            Method::Reflect => self.reflect(0, request),
            Method::ReflectAlpha => self.reflect(1, request),
        }
    }

    fn reflect(&self, version: usize, request: Request<RequestBody>) -> Answer {
        match &self.reflection {
            Some(services) => streaming(services[version].clone(), request),
            None => Box::pin(async { unary::refuse(tonic::Status::unimplemented("no descriptors")) }),
        }
    }
}

fn streaming<S>(mut server: S, request: Request<RequestBody>) -> Answer
where
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let answer = server.call(request);
    Box::pin(async move {
        match answer.await {
            Ok(response) => response.map(Reply::Stream),
            Err(never) => match never {},
        }
    })
}

/// Lets tools ask which services there are. The descriptors are part of the program: if they could not be read, the
/// rest is served nevertheless.
fn reflection() -> Option<[Reflection; 2]> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder().build_v1().ok()?;
    let v1alpha = builder().build_v1alpha().ok()?;
    Some([BoxCloneSyncService::new(v1), BoxCloneSyncService::new(v1alpha)])
}
