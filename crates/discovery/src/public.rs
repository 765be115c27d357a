//! Discovery by URL: the way of etcd up to 3.6, which speaks the keys of etcd's version 2 API over HTTP.
//!
//! ```text
//! GET URL/_config/size                    how many members there are to be
//! GET URL                                 who has registered, each with the index at which it came
//! PUT URL/ID  value=name=url,…            registers, unless the id is there already
//! ```

use crate::registry::{full_or_first, patiently};
use crate::{Error, Result, http1};
use http::{Method, StatusCode};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// How often the service is asked for those who are missing.
const POLL: Duration = Duration::from_secs(1);

/// Registers a member at a discovery URL and waits until the cluster has as many as it is to have; answers its first
/// members as `name=url,…`. A member that registered before finds its place again.
///
/// Fails if the URL is unknown, or all places are taken.
pub async fn join_public(url: &str, id: &str, member: &str) -> Result<String> {
    let base = parse(url)?;
    let size = patiently("cluster status check", || size(&base)).await?;
    place(
        &patiently("cluster status check", || members(&base)).await?,
        size,
        id,
    )?;
    patiently("register member itself", || register(&base, id, member)).await?;
    tracing::info!(url, id, member, "registered with the discovery service");
    let mut waiting = usize::MAX;
    loop {
        let found = patiently("cluster status check", || members(&base)).await?;
        place(&found, size, id)?;
        if found.len() >= size {
            return Ok(full_or_first(found, size));
        }
        if waiting != found.len() {
            waiting = found.len();
            tracing::info!(size, found = waiting, "waiting for peers from discovery service");
        }
        tokio::time::sleep(POLL).await;
    }
}

fn parse(url: &str) -> Result<Url> {
    let wrong = |reason: &str| Error::Url {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let parsed = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(wrong("its scheme must be http or https"));
    }
    if parsed.path().trim_matches('/').is_empty() {
        return Err(wrong("it has no token; GET /new?size=N gives one"));
    }
    Ok(parsed)
}

/// A place below the URL.
fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    // Fails for URLs that are no base; ours have a host.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// An answer about keys.
#[derive(Deserialize)]
struct Answer {
    node: Node,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Node {
    key: String,
    value: String,
    nodes: Vec<Node>,
    #[serde(rename = "createdIndex")]
    created: u64,
}

async fn size(base: &Url) -> Result<usize> {
    match get(&below(base, &["_config", "size"])).await? {
        None => Err(Error::SizeNotFound),
        Some(node) => {
            let size = node.value.trim().parse().ok().filter(|size| *size > 0);
            size.ok_or(Error::BadSize)
        }
    }
}

/// Ids and what they registered, first come first.
async fn members(base: &Url) -> Result<Vec<(String, String)>> {
    get(base).await?.map(listed).ok_or(Error::SizeNotFound)
}

/// The members in an answer about all keys of a cluster, first come first: id and `name=url,…` of each. For tests.
pub fn members_listed(answer: &[u8]) -> serde_json::Result<Vec<(String, String)>> {
    serde_json::from_slice::<Answer>(answer).map(|answer| listed(answer.node))
}

fn listed(node: Node) -> Vec<(String, String)> {
    let mut nodes = node.nodes;
    nodes.sort_by_key(|node| node.created);
    let last = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    nodes
        .into_iter()
        .map(|node| (last(&node.key), node.value))
        // The directory of the size is no member.
        .filter(|(id, _)| id != "_config")
        .collect()
}

async fn register(base: &Url, id: &str, member: &str) -> Result<()> {
    let own = below(base, &[id]);
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("value", member);
    let mut create = own.clone();
    create.set_query(Some("prevExist=false"));
    match http1::ask(Method::PUT, &create, Some(form.finish())).await? {
        (StatusCode::OK | StatusCode::CREATED, _) => Ok(()),
        // There is an entry. If it is ours, an earlier start of this member made it.
        (StatusCode::PRECONDITION_FAILED, _) => match get(&own).await? {
            Some(node) if node.value == member => Ok(()),
            _ => Err(Error::DuplicateId),
        },
        (status, body) => Err(unexpected(&own, status, &body)),
    }
}

async fn get(url: &Url) -> Result<Option<Node>> {
    match http1::ask(Method::GET, url, None).await? {
        (StatusCode::NOT_FOUND, _) => Ok(None),
        (StatusCode::OK, body) => serde_json::from_slice::<Answer>(&body)
            .map(|answer| Some(answer.node))
            .map_err(|error| Error::Service(format!("{url} answers with something else: {error}"))),
        (status, body) => Err(unexpected(url, status, &body)),
    }
}

fn place(members: &[(String, String)], size: usize, id: &str) -> Result<()> {
    let first = members.iter().take(size);
    match first.clone().any(|(found, _)| found == id) || first.count() < size {
        true => Ok(()),
        false => Err(Error::Full),
    }
}

fn unexpected(url: &Url, status: StatusCode, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(200).collect();
    Error::Service(format!("{url} answers {status}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_url_has_a_scheme_and_a_token() {
        assert!(parse("http://127.0.0.1:2379/discovery/abc").is_ok());
        for wrong in ["", "abc", "ftp://a/b", "http://a:1", "http://a:1/"] {
            assert!(matches!(parse(wrong), Err(Error::Url { .. })), "{wrong:?}");
        }
        let url = parse("https://discovery.example/token/").unwrap();
        assert_eq!(
            below(&url, &["_config", "size"]).as_str(),
            "https://discovery.example/token/_config/size"
        );
    }

    #[test]
    fn answers_of_version_2_are_understood() {
        let json = r#"{"action":"get","node":{"key":"/t","dir":true,"nodes":[{"key":"/t/2","value":"b=http://b:1",
            "modifiedIndex":7,"createdIndex":7},{"key":"/t/1","value":"a=http://a:1","createdIndex":5}],
            "modifiedIndex":3,"createdIndex":3}}"#;
        let answer: Answer = serde_json::from_str(json).unwrap();
        assert_eq!(answer.node.nodes.len(), 2);
        assert_eq!(answer.node.nodes[1].created, 5);
    }
}
