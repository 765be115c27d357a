//! The leader keeps the cluster version: the lowest version of all members, raised once all have moved on, lowered
//! during a downgrade.

use crate::core::Core;
use membership::{Downgrade, Version, decide_cluster_version};
use model::Request;
use model::pb::membershippb::{ClusterVersionSetRequest, DowngradeInfoSetRequest};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks, unless members change or another member begins to lead.
const INTERVAL: Duration = Duration::from_secs(4);
/// What a member may take to say its version.
const ANSWER_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn run(core: Arc<Core>) {
    loop {
        tokio::select! {
            biased;
            () = core.signals.versions.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
            () = core.stopping() => return,
        }
        if core.roles.leading_term().is_some() {
            look(&core).await;
        }
    }
}

async fn look(core: &Arc<Core>) {
    // Members of earlier terms may not have been applied yet.
    if core.read_barrier().await.is_err() {
        return;
    }
    let cluster = core.shared.cluster();
    let mut versions = Vec::with_capacity(cluster.members().len());
    let own: Option<Version> = core.options.version.parse().ok();
    for member in cluster.members() {
        if member.id == core.member {
            versions.push(own);
            continue;
        }
        let asked = core.options.peers.version(member.id);
        let answer = tokio::time::timeout(ANSWER_MAX, asked).await.ok().flatten();
        versions.push(answer.and_then(|version| version.parse().ok()));
    }
    match decide_cluster_version(cluster.version(), cluster.downgrade(), &versions) {
        Ok(Some(version)) => {
            tracing::info!(from = ?cluster.version(), to = %version, "setting the cluster version");
            let request = Request::ClusterVersionSet(ClusterVersionSetRequest {
                ver: version.to_string(),
            });
            if let Err(error) = core.propose_own(request).await {
                tracing::warn!(%error, "the cluster version could not be set yet");
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "members whose versions do not fit together"),
    }
    end_downgrade(core, &versions).await;
}

/// A downgrade is over when all members run the target version.
async fn end_downgrade(core: &Arc<Core>, versions: &[Option<Version>]) {
    let cluster = core.shared.cluster();
    let Downgrade::To(target) = cluster.downgrade() else {
        return;
    };
    let done = versions
        .iter()
        .all(|version| version.map(Version::cluster) == Some(target));
    if !done || cluster.version() != Some(target) {
        return;
    }
    tracing::info!(version = %target, "the cluster has been downgraded");
    let request = Request::DowngradeInfoSet(DowngradeInfoSetRequest {
        enabled: false,
        ver: String::new(),
    });
    if let Err(error) = core.propose_own(request).await {
        tracing::warn!(%error, "the downgrade could not be ended yet");
    }
}
