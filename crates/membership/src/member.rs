//! One member.

use crate::Error;
use crate::id::member_id;
use crate::urls::check_urls;
use model::MemberId;
use model::pb::etcdserverpb as pb;
use serde::{Deserialize, Deserializer, Serialize};

/// A member of the cluster. Its JSON form is etcd's: stored, carried in conf changes, and served to peers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    #[serde(with = "member_id_number")]
    pub id: MemberId,
    /// Where its peers reach it, sorted.
    #[serde(rename = "peerURLs", default, deserialize_with = "null_is_empty")]
    pub peer_urls: Vec<String>,
    /// Whether it only listens: no vote, and none needed from it.
    #[serde(rename = "isLearner", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_learner: bool,
    /// Its name; empty until it has started once and published itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where clients reach it; empty until it has published itself.
    #[serde(
        rename = "clientURLs",
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub client_urls: Vec<String>,
}

impl Member {
    /// A member with the id that follows from its URLs, see [`member_id`]. The URLs are checked and sorted.
    pub fn new(
        name: &str,
        peer_urls: &[String],
        token: &str,
        unix_seconds: Option<i64>,
        is_learner: bool,
    ) -> Result<Member, Error> {
        let peer_urls = check_urls(peer_urls)?;
        Ok(Member {
            id: member_id(&peer_urls, token, unix_seconds),
            peer_urls,
            is_learner,
            name: name.to_owned(),
            client_urls: Vec::new(),
        })
    }

    /// A member of which nothing but this is known.
    pub(crate) fn unnamed(id: MemberId, peer_urls: Vec<String>) -> Member {
        Member {
            id,
            peer_urls,
            is_learner: false,
            name: String::new(),
            client_urls: Vec::new(),
        }
    }

    /// Whether it has ever started: then it has published its name.
    pub fn is_started(&self) -> bool {
        !self.name.is_empty()
    }

    /// The wire form.
    pub fn to_pb(&self) -> pb::Member {
        pb::Member {
            id: self.id.0,
            name: self.name.clone(),
            peer_urls: self.peer_urls.clone(),
            client_urls: self.client_urls.clone(),
            is_learner: self.is_learner,
        }
    }
}

/// Go writes an absent list as `null`.
fn null_is_empty<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(input)?.unwrap_or_default())
}

mod member_id_number {
    use model::MemberId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(id: &MemberId, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(id.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<MemberId, D::Error> {
        u64::deserialize(input).map(MemberId)
    }
}
