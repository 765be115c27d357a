//! Who speaks, and to whom.

use crate::outbox::sender_of;
use bytes::Bytes;
use model::{ClusterId, MemberId};
use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

const CLUSTER: &str = "quorate-cluster-id";
const MEMBER: &str = "quorate-member-id";
const TO: &str = "quorate-to";
const VERSION: &str = "quorate-version";
const URLS: &str = "quorate-peer-urls";

/// More than any member has.
const URLS_MAX: usize = 16;

/// Said to members of other clusters.
pub(crate) const CLUSTER_MISMATCH: &str = "request cluster ID mismatch";
/// Said to who takes us for another member, e.g. because of an address that was given away.
pub(crate) const MEMBER_MISMATCH: &str = "request member ID mismatch";
/// Said to members that were removed.
pub(crate) const REMOVED: &str = "the member has been permanently removed from the cluster";

/// How this member shows itself to others.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Members of other clusters are refused.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// Version of the server, `major.minor.patch`.
    pub version: String,
    /// Where others reach this member: told them with each connection, since they may not yet have applied the entry
    /// that adds it.
    pub peer_urls: Vec<String>,
}

/// Who sent a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sender {
    pub(crate) member: MemberId,
    pub(crate) version: String,
    pub(crate) peer_urls: Vec<String>,
}

impl Identity {
    /// Puts us and the addressee into a request.
    pub(crate) fn stamp(&self, metadata: &mut MetadataMap, to: MemberId) {
        let mut put = |name, value: String| {
            // What cannot stand in a header is left out; the other side then says what it misses.
            if let Ok(value) = MetadataValue::try_from(value) {
                metadata.insert(name, value);
            }
        };
        put(CLUSTER, self.cluster.to_string());
        put(MEMBER, self.member.to_string());
        put(TO, to.to_string());
        put(VERSION, self.version.clone());
        put(URLS, self.peer_urls.join(","));
    }

    /// The sender of a request, if it is meant for us.
    pub(crate) fn check(&self, metadata: &MetadataMap) -> Result<Sender, Status> {
        let text = |name| {
            metadata
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let id = |name| {
            u64::from_str_radix(text(name), 16)
                .map_err(|_| Status::invalid_argument(format!("{name} is missing or no number")))
        };
        let (cluster, member, to) = (ClusterId(id(CLUSTER)?), MemberId(id(MEMBER)?), MemberId(id(TO)?));
        if cluster != self.cluster {
            tracing::warn!(
                local_cluster = %self.cluster, remote_cluster = %cluster, remote_member = %member,
                "{CLUSTER_MISMATCH}"
            );
            return Err(Status::failed_precondition(CLUSTER_MISMATCH));
        }
        if to != self.member || member == self.member {
            tracing::warn!(local_member = %self.member, remote_member = %member, meant = %to, "{MEMBER_MISMATCH}");
            return Err(Status::failed_precondition(MEMBER_MISMATCH));
        }
        let urls = text(URLS).split(',').filter(|url| !url.is_empty()).take(URLS_MAX);
        let peer_urls = urls.map(str::to_owned).collect();
        Ok(Sender {
            member,
            version: text(VERSION).to_owned(),
            peer_urls,
        })
    }
}

impl Sender {
    /// Whether the sender may send this raft message: only in its own name.
    pub(crate) fn signed(&self, message: &Bytes) -> bool {
        sender_of(message) == Some(self.member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster: u64, member: u64) -> Identity {
        Identity {
            cluster: ClusterId(cluster),
            member: MemberId(member),
            version: "3.7.1".to_owned(),
            peer_urls: vec!["http://a:1".to_owned(), "http://b:2".to_owned()],
        }
    }

    #[test]
    fn the_addressee_learns_who_speaks() {
        let mut metadata = MetadataMap::new();
        identity(0xabc, 1).stamp(&mut metadata, MemberId(2));
        let sender = identity(0xabc, 2).check(&metadata).expect("accepted");
        assert_eq!((sender.member, sender.peer_urls.len()), (MemberId(1), 2));
    }

    #[test]
    fn others_refuse() {
        let mut metadata = MetadataMap::new();
        identity(0xabc, 1).stamp(&mut metadata, MemberId(2));
        let refusal = |by: Identity| by.check(&metadata).expect_err("refused").message().to_owned();
        assert_eq!(refusal(identity(0xdef, 2)), CLUSTER_MISMATCH);
        assert_eq!(refusal(identity(0xabc, 3)), MEMBER_MISMATCH);
        assert_eq!(refusal(identity(0xabc, 1)), MEMBER_MISMATCH);
        let nobody = identity(0xabc, 2)
            .check(&MetadataMap::new())
            .expect_err("refused");
        assert_eq!(nobody.code(), tonic::Code::InvalidArgument);
    }
}
