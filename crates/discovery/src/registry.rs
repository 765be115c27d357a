//! Members register as keys of a cluster that runs already, and wait there for the others (etcd
//! server/etcdserver/api/v3discovery).
//!
//! ```text
//! /_etcd/registry/TOKEN/_config/size      how many members there are to be, in decimal
//! /_etcd/registry/TOKEN/members/ID        name=url,name=url: who registered; the first ones are the cluster
//! ```

use crate::{Error, Result};
use bytes::Bytes;
use client::{Client, kv};
use model::pb::etcdserverpb::{PutRequest, RangeRequest, WatchCreateRequest};
use std::future::Future;
use std::time::Duration;

const PREFIX: &str = "/_etcd/registry";
/// Pauses between attempts double from two seconds up to 2 to the power of this.
const PAUSE_EXPONENT_MAX: u32 = 8;

/// One cluster-to-be on a discovery cluster.
pub struct Registry {
    client: Client,
    token: String,
}

/// Who has registered.
struct Found {
    size: usize,
    /// Keys and what they say, first come first.
    members: Vec<(String, String)>,
    revision: i64,
}

impl Registry {
    /// `client` should have a timeout for each of its calls.
    pub fn new(client: Client, token: &str) -> Registry {
        Registry {
            client,
            token: token.to_owned(),
        }
    }

    /// Registers a member and waits until the cluster has as many as it is to have; answers its first members as
    /// `name=url,…`. A member that registered before finds its place again. What the network prevents is tried for
    /// ever.
    ///
    /// Fails if the token is unknown, or all places are taken.
    pub async fn join(&self, id: &str, member: &str) -> Result<String> {
        let key = format!("{}/members/{id}", self.prefix());
        patiently("cluster status check", || self.find())
            .await?
            .place(&key)?;
        patiently("register member itself", || self.register(&key, member)).await?;
        tracing::info!(key, member, "registered with the discovery service");
        loop {
            let found = patiently("cluster status check", || self.find()).await?;
            found.place(&key)?;
            if found.members.len() >= found.size {
                return Ok(full_or_first(found.members, found.size));
            }
            tracing::info!(
                size = found.size,
                found = found.members.len(),
                "waiting for peers from discovery service"
            );
            self.change(found.revision + 1).await?;
        }
    }

    fn prefix(&self) -> String {
        format!("{PREFIX}/{}", self.token)
    }

    async fn find(&self) -> Result<Found> {
        let size = self
            .range(format!("{}/_config/size", self.prefix()), false)
            .await?
            .0;
        let size = match &size[..] {
            [] => return Err(Error::SizeNotFound),
            [(_, size), ..] => size.trim().parse().ok().filter(|size| *size > 0),
        };
        let size = size.ok_or(Error::BadSize)?;
        let (members, revision) = self.range(format!("{}/members/", self.prefix()), true).await?;
        Ok(Found {
            size,
            members,
            revision,
        })
    }

    /// Keys and values in order of their creation, and the revision they were read at.
    async fn range(&self, key: String, prefix: bool) -> Result<(Vec<(String, String)>, i64)> {
        let request = RangeRequest {
            range_end: match prefix {
                true => kv::prefix_end(key.as_bytes()),
                false => Bytes::new(),
            },
            key: key.into(),
            ..Default::default()
        };
        let response = self.client.range(request).await?;
        let mut found = kv::key_values(&response.kvs)?;
        found.sort_by_key(|kv| kv.create_revision);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let pairs = found.iter().map(|kv| (text(&kv.key), text(&kv.value)));
        let revision = response.header.map_or(0, |header| header.revision);
        Ok((pairs.collect(), revision))
    }

    async fn register(&self, key: &str, member: &str) -> Result<()> {
        let request = PutRequest {
            key: key.to_owned().into(),
            value: member.to_owned().into(),
            ..Default::default()
        };
        self.client.put(request).await?;
        Ok(())
    }

    /// Waits for a change of the members at or after a revision.
    async fn change(&self, revision: i64) -> Result<()> {
        let prefix = format!("{}/members/", self.prefix());
        let mut watcher = self.client.watch(WatchCreateRequest {
            range_end: kv::prefix_end(prefix.as_bytes()),
            key: prefix.into(),
            start_revision: revision,
            ..Default::default()
        });
        // A watch that is ended, say by a compaction, tells nothing of the members: they are read anew.
        while watcher
            .next()
            .await
            .is_ok_and(|response| response.events.is_empty())
        {}
        Ok(())
    }
}

impl Found {
    /// Whether this member is among the first, or there is a place left.
    fn place(&self, key: &str) -> Result<()> {
        let first = self.members.iter().take(self.size);
        let registered = first.clone().any(|(found, _)| found == key);
        match registered || first.count() < self.size {
            true => Ok(()),
            false => Err(Error::Full),
        }
    }
}

/// The first members as one text.
pub fn full_or_first(members: Vec<(String, String)>, size: usize) -> String {
    let members: Vec<String> = members.into_iter().take(size).map(|(_, member)| member).collect();
    members.join(",")
}

/// Tries until the network lets it; what the token or the user lacks is final.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(
    step: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let mut retries = 0;
    loop {
        let error = match attempt().await {
            Err(error @ (Error::Client(_) | Error::Service(_))) => error,
            done => return done,
        };
        retries = (retries + 1).min(PAUSE_EXPONENT_MAX);
        let pause = Duration::from_secs(1 << retries);
        tracing::warn!(step, %error, backoff = ?pause, "retry connecting to discovery service");
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(size: usize, members: &[&str]) -> Found {
        Found {
            size,
            members: members
                .iter()
                .map(|name| (name.to_string(), format!("{name}=http://{name}:2380")))
                .collect(),
            revision: 7,
        }
    }

    #[test]
    fn the_first_to_come_are_the_cluster() {
        assert!(found(3, &[]).place("a").is_ok());
        assert!(found(3, &["b", "c"]).place("a").is_ok());
        assert!(found(3, &["b", "c", "a"]).place("a").is_ok());
        assert!(matches!(found(3, &["b", "c", "d"]).place("a"), Err(Error::Full)));
        // It was too late before, and another start makes it no earlier.
        assert!(matches!(
            found(3, &["b", "c", "d", "a"]).place("a"),
            Err(Error::Full)
        ));
        assert_eq!(
            full_or_first(found(2, &["b", "a", "c"]).members, 2),
            "b=http://b:2380,a=http://a:2380"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_tried_again() {
        let mut attempts = 0;
        let done = patiently("test", || {
            attempts += 1;
            let attempt = attempts;
            async move {
                match attempt {
                    1 => Err(Error::Service("asleep".into())),
                    2 => Err(Error::Client(client::Error::Timeout)),
                    _ => Err::<(), _>(Error::SizeNotFound),
                }
            }
        })
        .await;
        assert!(matches!(done, Err(Error::SizeNotFound)));
        assert_eq!(attempts, 3);
    }
}
