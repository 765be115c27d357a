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

use crate::body::RequestBody;
use crate::methods::{Method, Service};
use crate::shared::Shared;
use api::etcdserverpb::auth_server::AuthServer;
use api::etcdserverpb::cluster_server::ClusterServer;
use api::etcdserverpb::kv_server::KvServer;
use api::etcdserverpb::lease_server::LeaseServer;
use api::etcdserverpb::maintenance_server::MaintenanceServer;
use api::etcdserverpb::watch_server::WatchServer;
use api::v3electionpb::election_server::ElectionServer;
use api::v3lockpb::lock_server::LockServer;
use http::{Request, Response};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use tonic::body::Body;
use tonic_health::pb::health_server::HealthServer;
use tower::Service as _;
use tower::util::BoxCloneSyncService;

/// A handler's answer.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A stream of responses.
type Responses<T> = Pin<Box<dyn futures::Stream<Item = Result<T, tonic::Status>> + Send>>;

/// All services. Each RPC thread has its own, so that their reference counts stay with its processor.
pub(crate) struct Services {
    kv: KvServer<kv::Kv>,
    watch: WatchServer<watch::Watch>,
    lease: LeaseServer<lease::Lease>,
    cluster: ClusterServer<cluster::Cluster>,
    maintenance: MaintenanceServer<maintenance::Maintenance>,
    auth: AuthServer<auth::Auth>,
    lock: LockServer<lock::Lock>,
    election: ElectionServer<election::Election>,
    health: HealthServer<health::Health>,
    health_list: health::List,
    reflection: Option<[Reflection; 2]>,
}

type Reflection = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;

impl Services {
    pub fn new(shared: &Arc<Shared>) -> Services {
        let shared = || Arc::clone(shared);
        // The limit is kept by the request's body, with grpc-go's text.
        let max = usize::MAX;
        Services {
            kv: KvServer::new(kv::Kv(shared())).max_decoding_message_size(max),
            watch: WatchServer::new(watch::Watch(shared())).max_decoding_message_size(max),
            lease: LeaseServer::new(lease::Lease(shared())).max_decoding_message_size(max),
            cluster: ClusterServer::new(cluster::Cluster(shared())).max_decoding_message_size(max),
            maintenance: MaintenanceServer::new(maintenance::Maintenance(shared()))
                .max_decoding_message_size(max),
            auth: AuthServer::new(auth::Auth(shared())).max_decoding_message_size(max),
            lock: LockServer::new(lock::Lock(shared())).max_decoding_message_size(max),
            election: ElectionServer::new(election::Election(shared())).max_decoding_message_size(max),
            health: HealthServer::new(health::Health(shared())).max_decoding_message_size(max),
            health_list: health::List(shared()),
            reflection: reflection(),
        }
    }

    /// Answers a call that has passed the checks.
    pub fn call(&self, method: Method, request: Request<RequestBody>) -> Answer {
        match method.service() {
            Service::Kv => self.kv.clone().call(request),
            Service::Watch => self.watch.clone().call(request),
            Service::Lease => self.lease.clone().call(request),
            Service::Cluster => self.cluster.clone().call(request),
            Service::Maintenance => self.maintenance.clone().call(request),
            Service::Auth => self.auth.clone().call(request),
            Service::Lock => self.lock.clone().call(request),
            Service::Election => self.election.clone().call(request),
            Service::Health if method == Method::HealthList => self.health_list.call(request),
            Service::Health => self.health.clone().call(request),
            Service::Reflection => self.reflect(0, request),
            Service::ReflectionAlpha => self.reflect(1, request),
        }
    }

    fn reflect(&self, version: usize, request: Request<RequestBody>) -> Answer {
        match &self.reflection {
            Some(services) => Box::pin(services[version].clone().call(request)),
            None => Box::pin(async { Ok(tonic::Status::unimplemented("no descriptors").into_http()) }),
        }
    }
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
