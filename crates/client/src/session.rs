//! A lease that lives as long as its owner.

use crate::{Client, Result};
use model::pb::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A lease that is renewed in the background until the session is closed or dropped. What hangs on it vanishes with
/// it, at once when closed, after the TTL when dropped.
pub struct Session {
    client: Client,
    lease: i64,
    expired: watch::Receiver<bool>,
    renewal: JoinHandle<()>,
}

impl Session {
    /// Begins a session with a lease of `ttl` seconds.
    pub async fn begin(client: &Client, ttl: i64) -> Result<Session> {
        let lease = client.lease_grant(LeaseGrantRequest { ttl, id: 0 }).await?.id;
        let (report, expired) = watch::channel(false);
        let mut keep_alive = client.with_timeout(None).keep_alive(lease);
        let renewal = tokio::spawn(async move {
            while let Ok(Some(_)) = keep_alive.next().await {}
            report.send_replace(true);
        });
        Ok(Session {
            client: client.clone(),
            lease,
            expired,
            renewal,
        })
    }

    /// Id of the lease.
    pub fn lease(&self) -> i64 {
        self.lease
    }

    /// The client it was begun with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until the lease is gone.
    pub async fn expired(&self) {
        let mut expired = self.expired.clone();
        // An error means that the renewal has ended, which is the same.
        _ = expired.wait_for(|expired| *expired).await;
    }

    /// Ends the session and revokes the lease.
    pub async fn close(self) -> Result<()> {
        self.renewal.abort();
        self.client
            .lease_revoke(LeaseRevokeRequest { id: self.lease })
            .await?;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
