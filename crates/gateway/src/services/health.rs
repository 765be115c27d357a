//! `grpc.health.v1`: one service, the empty name, that serves as long as this server does.

use super::Responses;
use crate::shared::Shared;
use futures::stream;
use std::collections::HashMap;
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

pub(crate) struct Health(pub Arc<Shared>);

impl Shared {
    fn serving(&self, defragmentations: usize) -> HealthCheckResponse {
        let serving = defragmentations == 0 || !self.options.not_serving_on_defragment;
        response(if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        })
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        let running = *self.0.defragmenting.borrow();
        Ok(Response::new(self.0.serving(running)))
    }

    type WatchStream = Responses<HealthCheckResponse>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if !request.get_ref().service.is_empty() {
            // It might be registered one day: the stream stays open, says the specification.
            let unknown = stream::once(async { Ok(response(ServingStatus::ServiceUnknown)) });
            return Ok(Response::new(Box::pin(futures::StreamExt::chain(
                unknown,
                stream::pending(),
            ))));
        }
        let running = self.0.defragmenting.subscribe();
        let state = (Arc::clone(&self.0), running, None);
        let changes = stream::unfold(state, |(shared, mut running, last)| async move {
            loop {
                let now = shared.serving(*running.borrow_and_update());
                if last.as_ref() != Some(&now) {
                    return Some((Ok(now), (shared, running, Some(now))));
                }
                running.changed().await.ok()?;
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

/// Of the newer `List` call, which the generated service does not know yet.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthListRequest {}

/// All services and how they are.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthListResponse {
    #[prost(map = "string, message", tag = "1")]
    statuses: HashMap<String, HealthCheckResponse>,
}

impl Health {
    pub async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let running = *self.0.defragmenting.borrow();
        let statuses = HashMap::from([(String::new(), self.0.serving(running))]);
        Ok(Response::new(HealthListResponse { statuses }))
    }
}
