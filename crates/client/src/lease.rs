//! Keeping a lease alive.

use crate::{Client, Error, Result};
use api::etcdserverpb::lease_client::LeaseClient;
use futures::StreamExt;
use model::pb::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use std::time::Duration;
use tokio::time::Instant;

impl Client {
    /// Renews a lease once. A lease that is gone has a TTL of 0 in the answer.
    pub async fn keep_alive_once(&self, id: i64) -> Result<LeaseKeepAliveResponse> {
        let request = LeaseKeepAliveRequest { id };
        let call = self.open(request, |channel, request| async move {
            let request = request.map(tokio_stream::once);
            LeaseClient::new(channel).lease_keep_alive(request).await
        });
        let mut responses = call.await?;
        match responses.next().await {
            Some(response) => Ok(response?),
            None => Err(Error::Malformed("the stream ended without an answer".into())),
        }
    }

    /// Renews a lease again and again while [`KeepAlive::next`] is called.
    pub fn keep_alive(&self, id: i64) -> KeepAlive {
        KeepAlive {
            client: self.clone(),
            id,
            due: None,
            expires: None,
        }
    }
}

/// Renewals of one lease, three in each TTL.
pub struct KeepAlive {
    client: Client,
    id: i64,
    due: Option<Instant>,
    /// When the lease is surely gone unless it is renewed before.
    expires: Option<Instant>,
}

const PAUSE: Duration = Duration::from_millis(500);

impl KeepAlive {
    /// Waits until the next renewal is due, and renews; `None` once the lease is gone. Failures are made up for as
    /// long as the lease can still live. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Option<LeaseKeepAliveResponse>> {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
        loop {
            let now = Instant::now();
            if self.expires.is_some_and(|expires| now >= expires) {
                return Ok(None);
            }
            let renewal = self.client.keep_alive_once(self.id);
            let renewed = match self.expires {
                Some(expires) => tokio::time::timeout_at(expires, renewal)
                    .await
                    .unwrap_or(Err(Error::Timeout)),
                None => renewal.await,
            };
            match renewed {
                Ok(response) if response.ttl <= 0 => return Ok(None),
                Ok(response) => {
                    // Counted from before the request: the server's clock started later.
                    let ttl = Duration::from_secs(response.ttl as u64);
                    self.expires = Some(now + ttl);
                    self.due = Some(now + ttl / 3);
                    return Ok(Some(response));
                }
                Err(error) if self.expires.is_none() && !error.is_unavailable() => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
