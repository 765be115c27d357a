//! What ends a stream that would go on for ever.

use crate::methods::Method;
use crate::shared::{Phase, Shared};
use model::Rejection;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Resolves to the status that the stream is to end with.
pub(crate) type Cut = Pin<Box<dyn Future<Output = Status> + Send>>;

/// When to end a stream from this side: at its deadline, when the leader is lost and the client asked to know, and
/// when the server drains. Clients of endless streams come back at once at another member, so there is nothing to
/// wait for; streams with an end of their own may reach it.
pub(crate) fn cut(
    shared: &Arc<Shared>,
    method: Method,
    needs_leader: bool,
    timeout: Option<Duration>,
) -> Cut {
    let mut phase = shared.phase.clone();
    let mut leaderless = shared.leaderless.clone();
    Box::pin(async move {
        let last_phase = if method.kind().is_endless() {
            Phase::Draining
        } else {
            Phase::Closed
        };
        let drained = async move {
            // An error means that the sender is gone, and the server with it.
            let _ = phase
                .wait_for(|phase| *phase == last_phase || *phase == Phase::Closed)
                .await;
            crate::rejected(Rejection::Stopped)
        };
        let lost = async move {
            match needs_leader && leaderless.wait_for(|leaderless| *leaderless).await.is_ok() {
                true => crate::rejected(Rejection::NoLeader),
                false => std::future::pending().await,
            }
        };
        let late = async move {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
            crate::status(node::Error::DeadlineExceeded)
        };
        tokio::select! {
            status = drained => status,
            status = lost => status,
            status = late => status,
        }
    })
}
