//! Joining a running cluster.

use crate::{Cluster, Error, Member};

/// Gives the members of `local` (from `--initial-cluster`) the ids they have in the running cluster, matched by peer
/// URLs. `resolve` turns a URL into one with addresses instead of names, for members that were named differently; it
/// may return the URL as it is.
pub fn assign_ids(
    local: &Cluster,
    running: &Cluster,
    mut resolve: impl FnMut(&str) -> String,
) -> Result<Cluster, Error> {
    let mut unmatched: Vec<&Member> = local.members().collect();
    if unmatched.len() != running.members().len() {
        return Err(Error::Mismatch("member count is unequal".into()));
    }
    let mut same = |a: &Member, b: &Member| {
        a.peer_urls == b.peer_urls || {
            let mut resolved = |urls: &[String]| {
                let mut urls: Vec<String> = urls.iter().map(|url| resolve(url)).collect();
                urls.sort();
                urls
            };
            resolved(&a.peer_urls) == resolved(&b.peer_urls)
        }
    };
    let mut members = Vec::new();
    for theirs in running.members() {
        let Some(at) = unmatched.iter().position(|ours| same(ours, theirs)) else {
            let (id, urls) = (theirs.id, theirs.peer_urls.join(","));
            return Err(Error::Mismatch(format!(
                "PeerURLs: no match found for existing member ({id}, [{urls}])"
            )));
        };
        let ours = unmatched.swap_remove(at);
        members.push(Member {
            id: theirs.id,
            is_learner: theirs.is_learner,
            ..ours.clone()
        });
    }
    Ok(Cluster::from_members(running.id(), members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InitialCluster;
    use model::{ClusterId, MemberId};

    fn local(initial: &str) -> Cluster {
        Cluster::bootstrap(&InitialCluster::parse(initial).unwrap(), "other-token").unwrap()
    }

    fn running(urls: &[&str]) -> Cluster {
        let member = |(i, url): (usize, &&str)| Member::unnamed(MemberId(i as u64 + 1), vec![(*url).into()]);
        let mut members: Vec<Member> = urls.iter().enumerate().map(member).collect();
        members[0].is_learner = true;
        Cluster::from_members(ClusterId(9), members)
    }

    #[test]
    fn a_joining_member_takes_the_ids_of_the_running_cluster() {
        let local = local("a=http://a:1,b=http://b:1");
        let joined = assign_ids(&local, &running(&["http://b:1", "http://a:1"]), str::to_owned).unwrap();
        assert_eq!(joined.id(), ClusterId(9));
        let b = joined.member_by_name("b").unwrap();
        assert_eq!((b.id, b.is_learner), (MemberId(1), true));
        assert_eq!(joined.member_by_name("a").unwrap().id, MemberId(2));
    }

    #[test]
    fn names_and_addresses_match_once_resolved() {
        let resolve = |url: &str| url.replace("localhost", "127.0.0.1");
        let running = running(&["http://127.0.0.1:1"]);
        assert!(assign_ids(&local("a=http://localhost:1"), &running, resolve).is_ok());
        assert!(assign_ids(&local("a=http://localhost:1"), &running, str::to_owned).is_err());
    }

    #[test]
    fn other_clusters_are_refused() {
        for (initial, theirs, said) in [
            (
                "a=http://a:1",
                vec!["http://a:1", "http://b:1"],
                "member count is unequal",
            ),
            (
                "a=http://a:1,c=http://c:1",
                vec!["http://a:1", "http://b:1"],
                "no match found for existing member (2",
            ),
            // One of ours may stand for one of theirs only.
            (
                "a=http://a:1,c=http://c:1",
                vec!["http://a:1", "http://a:1"],
                "no match found for existing member (2",
            ),
        ] {
            let error = assign_ids(&local(initial), &running(&theirs), str::to_owned).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
