//! A member makes its name and client URLs known through the log, once per start: with that it counts as started.

use crate::core::Core;
use model::Request;
use model::pb::membershippb::{Attributes, ClusterMemberAttrSetRequest};
use std::sync::Arc;
use std::time::Duration;

/// Between two tries that failed at once.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn run(core: Arc<Core>) {
    while !core.is_stopping() {
        let request = Request::ClusterMemberAttrSet(ClusterMemberAttrSetRequest {
            member_id: core.member.0,
            member_attributes: Some(Attributes {
                name: core.options.name.clone(),
                client_urls: core.options.client_urls.clone(),
            }),
        });
        match core.propose_own(request).await {
            Ok(_) => {
                core.signals.ready.send_replace(true);
                return;
            }
            Err(error) => tracing::warn!(%error, "name and client URLs could not be published yet"),
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(PAUSE) => {}
            () = core.stopping() => return,
        }
    }
}
