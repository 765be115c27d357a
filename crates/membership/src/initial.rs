//! The flag `--initial-cluster`.

use crate::Error;
use crate::urls::check_urls;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names and peer URLs of the members a cluster starts with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InitialCluster {
    /// Sorted, checked peer URLs by name.
    pub members: BTreeMap<String, Vec<String>>,
}

impl InitialCluster {
    /// Reads `name=url,name=url`; a name may occur several times, each with one of its URLs.
    pub fn parse(text: &str) -> Result<InitialCluster, Error> {
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let (name, url) = entry.split_once('=').unwrap_or((entry, ""));
            if name.is_empty() {
                return Err(Error::BadInitialCluster(format!("{entry:?} has no name")));
            }
            members.entry(name.to_owned()).or_default().push(url.to_owned());
        }
        if members.is_empty() {
            return Err(Error::BadInitialCluster("nobody is in it".into()));
        }
        for urls in members.values_mut() {
            *urls = check_urls(urls)?;
        }
        Ok(InitialCluster { members })
    }

    /// Checks that this member is in it, under `name` and exactly the URLs that it advertises to its peers (names are
    /// taken literally, not resolved), and that no URL occurs twice. A member that joins a running cluster need not
    /// advertise them (`advertised` is `None`): the cluster knows them already.
    pub fn verify(&self, name: &str, advertised: Option<&[String]>) -> Result<(), Error> {
        let bad = |reason: String| Err(Error::BadInitialCluster(reason));
        let Some(urls) = self.members.get(name) else {
            return bad(format!(
                "couldn't find local name {name:?} in the initial cluster configuration"
            ));
        };
        if let Some(advertised) = advertised {
            if let Some(missing) = urls.iter().find(|url| !advertised.contains(url)) {
                let advertised = advertised.join(",");
                return bad(format!(
                    "--initial-cluster has {name}={missing} but missing from --initial-advertise-peer-urls={advertised}"
                ));
            }
            if let Some(extra) = advertised.iter().find(|url| !urls.contains(url)) {
                return bad(format!(
                    "--initial-advertise-peer-urls has {extra} but missing from --initial-cluster={self}"
                ));
            }
        }
        let mut seen = BTreeSet::new();
        if !self.members.values().flatten().all(|url| seen.insert(url)) {
            return bad(format!("initial cluster {self} has duplicate url"));
        }
        Ok(())
    }
}

impl fmt::Display for InitialCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self
            .members
            .iter()
            .flat_map(|(name, urls)| urls.iter().map(move |url| (name, url)));
        for (i, (name, url)) in pairs.enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{name}={url}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_several_urls() {
        let cluster = InitialCluster::parse("b=http://b:2,,a=http://a:2,a=https://a:1").unwrap();
        assert_eq!(cluster.members["a"], ["http://a:2", "https://a:1"]);
        assert_eq!(cluster.to_string(), "a=http://a:2,a=https://a:1,b=http://b:2");
    }

    #[test]
    fn what_is_no_cluster_is_refused() {
        for bad in [
            "",
            ",",
            "a",
            "a=",
            "=http://a:1",
            "a=http://a",
            "a=http://a:1,b=ftp://b:1",
        ] {
            assert!(InitialCluster::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_member_must_find_itself() {
        let cluster = InitialCluster::parse("a=http://a:1,b=http://b:1").unwrap();
        let urls = |url: &str| vec![url.to_owned()];
        assert_eq!(cluster.verify("a", Some(&urls("http://a:1"))), Ok(()));
        assert_eq!(cluster.verify("a", None), Ok(()));
        for (name, advertised, said) in [
            ("c", urls("http://c:1"), "couldn't find local name \"c\""),
            (
                "a",
                urls("http://x:1"),
                "--initial-cluster has a=http://a:1 but missing",
            ),
            (
                "a",
                [urls("http://a:1"), urls("http://x:1")].concat(),
                "--initial-advertise-peer-urls has http://x:1",
            ),
        ] {
            let error = cluster.verify(name, Some(&advertised)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let twice = InitialCluster::parse("a=http://a:1,b=http://a:1").unwrap();
        assert!(
            twice
                .verify("a", None)
                .unwrap_err()
                .to_string()
                .contains("duplicate url")
        );
    }
}
