//! Ids, computed as etcd does, so that a cluster keeps its ids whichever of the two serves it.

use model::{ClusterId, MemberId};
use sha1::{Digest, Sha1};

/// Member id: SHA-1 over the sorted peer URLs, the token, and the time in Unix seconds where the member joins a running
/// cluster (the token is empty then); first eight bytes (etcd server/etcdserver/api/membership/member.go).
pub fn member_id(peer_urls: &[String], token: &str, unix_seconds: Option<i64>) -> MemberId {
    let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    for url in urls {
        hash.update(url);
    }
    hash.update(token);
    if let Some(seconds) = unix_seconds {
        hash.update(seconds.to_string());
    }
    MemberId(first_eight(hash))
}

/// Cluster id: SHA-1 over the sorted ids of the first members.
pub fn cluster_id(members: impl IntoIterator<Item = MemberId>) -> ClusterId {
    let mut ids: Vec<u64> = members.into_iter().map(|id| id.0).collect();
    ids.sort_unstable();
    let mut hash = Sha1::new();
    for id in ids {
        hash.update(id.to_be_bytes());
    }
    ClusterId(first_eight(hash))
}

fn first_eight(hash: Sha1) -> u64 {
    let hash: [u8; 20] = hash.finalize().into();
    hash[..8].iter().fold(0, |id, byte| id << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_member_and_its_cluster_have_the_ids_everybody_knows() {
        let member = member_id(&["http://localhost:2380".into()], "etcd-cluster", None);
        assert_eq!(member.to_string(), "8e9e05c52164694d");
        assert_eq!(cluster_id([member]).to_string(), "cdf818194e3a8c32");
    }

    #[test]
    fn neither_the_order_of_urls_nor_of_members_matters() {
        let (a, b) = ("http://a:1".to_owned(), "http://b:1".to_owned());
        assert_eq!(
            member_id(&[a.clone(), b.clone()], "t", Some(7)),
            member_id(&[b, a], "t", Some(7))
        );
        assert_eq!(
            cluster_id([MemberId(1), MemberId(2)]),
            cluster_id([MemberId(2), MemberId(1)])
        );
    }
}
