//! Keys: writes through the log, reads from a view.

use super::Handle;
use crate::{Caller, Error, Result};
use apply::{LeaseKeys, txn};
use model::pb::etcdserverpb as pb;
use model::{KeyRange, Rejection, Reply, Request, Revision};
use mvcc::{Read, View, WireRange};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A range with a smaller limit is read where the request runs; a larger one could hold up the requests beside it.
const INLINE_LIMIT: i64 = 500;

impl Handle {
    /// Sends a request through raft and waits until it has been applied here. For everything that is a
    /// [`Request`] and has no method of its own below: puts, deletes, and all of auth's but Authenticate. Passwords
    /// must be hashed before ([`Handle::hash_password`]).
    pub async fn propose(&self, request: Request, caller: &Caller) -> Result<Reply> {
        self.core.propose(request, caller).await
    }

    /// Resolves when the store holds everything that was committed at the time of the call: what is read
    /// afterwards is linearizable. All callers that wait at one time share one ReadIndex.
    pub async fn read_barrier(&self) -> Result<()> {
        Ok(self.core.read_barrier().await?)
    }

    /// A range, linearizable unless it asks for a serializable one.
    pub async fn range(&self, request: pb::RangeRequest, caller: &Caller) -> Result<pb::RangeResponse> {
        self.read(request, caller, |view, request| view.range(request))
            .await
    }

    /// [`Handle::range`], encoded.
    pub async fn range_wire(&self, request: pb::RangeRequest, caller: &Caller) -> Result<WireRange> {
        self.read(request, caller, |view, request| view.range_wire(request))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        request: pb::RangeRequest,
        caller: &Caller,
        read: fn(&View, &pb::RangeRequest) -> mvcc::Result<T>,
    ) -> Result<T> {
        let started = self.core.clock.now();
        let view = self.range_view(&request, caller).await?;
        let inline = request.range_end.is_empty() || request.count_only || is_short(&request);
        let result = match inline {
            true => read(&view, &request),
            false => self.core.blocking(move || read(&view, &request)).await?,
        };
        let took = self.core.clock.now().saturating_sub(started);
        self.core.metrics.ranged(result.is_ok(), took);
        let answer = result.map_err(Error::from)?;
        self.check_still_current(caller)?;
        Ok(answer)
    }

    /// What comes before a stream of ranges: the barrier unless serializable, and the permission. All chunks are to
    /// be read at one revision.
    pub async fn range_view(&self, request: &pb::RangeRequest, caller: &Caller) -> Result<Arc<View>> {
        if !request.serializable {
            self.core.require_voter()?;
            self.core.read_barrier().await?;
        }
        let keys = KeyRange::new(request.key.clone(), request.range_end.clone());
        self.rules().require_read(caller.principal(), &keys)?;
        Ok(self.view())
    }

    /// A transaction; one that only reads does not go through raft.
    pub async fn txn(&self, request: pb::TxnRequest, caller: &Caller) -> Result<pb::TxnResponse> {
        self.core.require_voter()?;
        if !txn::is_read_only(&request) {
            return match self.core.propose(Request::Txn(request), caller).await? {
                Reply::Txn(response) => Ok(response),
                other => Err(unexpected(&other)),
            };
        }
        if !txn::is_serializable(&request) {
            self.core.read_barrier().await?;
        }
        let leases = LeaseKeys(&self.core.shared.lessor);
        self.rules()
            .authorize_txn(caller.principal(), &request, &leases)?;
        let view = self.view();
        let ops = || request.success.iter().chain(&request.failure);
        let inline = ops().all(|op| match &op.request {
            Some(pb::request_op::Request::RequestRange(range)) => {
                range.range_end.is_empty() || range.count_only || is_short(range)
            }
            _ => true,
        });
        let inline = inline && request.compare.iter().all(|compare| compare.range_end.is_empty());
        self.core.metrics.txns.inc();
        let response = match inline {
            true => txn::read_only(view.as_ref(), &request),
            false => {
                self.core
                    .blocking(move || txn::read_only(view.as_ref(), &request))
                    .await?
            }
        };
        let response = response.map_err(Error::from)?;
        self.check_still_current(caller)?;
        Ok(response)
    }

    /// Compacts; with `physical` returns when this member has removed the history as well. Needs root.
    pub async fn compact(
        &self,
        request: pb::CompactionRequest,
        caller: &Caller,
    ) -> Result<pb::CompactionResponse> {
        self.authorize_root(caller)?;
        let (revision, physical) = (Revision(request.revision), request.physical);
        let reply = self.core.propose(Request::Compaction(request), caller).await?;
        let Reply::Compaction(response) = reply else {
            return Err(unexpected(&reply));
        };
        if physical {
            let (sender, swept) = oneshot::channel();
            let done = Box::new(move || {
                let _ = sender.send(());
            });
            self.core.shared.store.when_swept(revision, done);
            swept.await.map_err(|_| Rejection::Stopped)?;
        }
        Ok(response)
    }

    /// Whether the caller may watch these keys: reading permission, on the range exactly as it will be watched.
    pub fn authorize_watch(&self, keys: &KeyRange, caller: &Caller) -> Result<()> {
        Ok(self.rules().require_read(caller.principal(), keys)?)
    }

    /// Users or roles may have changed since the caller was allowed to read: then what was read must not get out.
    fn check_still_current(&self, caller: &Caller) -> Result<(), Rejection> {
        let rules = self.rules();
        // Also nobody's revision, 0: authentication was switched on meanwhile.
        if rules.is_enabled() && caller.auth_revision != rules.revision() {
            return Err(Rejection::AuthOldRevision);
        }
        Ok(())
    }
}

/// Whether a range answers at most a handful of keys without looking at many more.
fn is_short(request: &pb::RangeRequest) -> bool {
    let filtered = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ] != [0; 4];
    (1..=INLINE_LIMIT).contains(&request.limit) && !filtered && request.sort_order == 0
}

/// The log answered something else than was asked for: a fault of this program.
pub(super) fn unexpected(reply: &Reply) -> Error {
    tracing::error!(?reply, "a reply of another kind than the request");
    Error::Fault("a reply of another kind than the request".to_owned())
}
