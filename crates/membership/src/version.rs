//! Versions of servers and of the cluster.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// A semantic version without its decorations. A cluster version has patch 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    /// The lowest cluster version there is: assumed while not every member has answered.
    pub const LOWEST: Version = Version::new(3, 0);

    /// `major.minor.0`.
    pub const fn new(major: u32, minor: u32) -> Version {
        Version {
            major,
            minor,
            patch: 0,
        }
    }

    /// The cluster version that goes with a server version.
    pub fn cluster(self) -> Version {
        Version::new(self.major, self.minor)
    }

    /// `3.7`, as etcd's downgrade replies and metrics show it.
    pub fn major_minor(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = Error;

    /// Reads `3.7` or `3.7.1`; a pre-release or build suffix after the patch number is ignored.
    fn from_str(text: &str) -> Result<Version, Error> {
        let bad = || Error::BadVersion(text.to_owned());
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse().map_err(|_| bad()),
            false => Err(bad()),
        };
        let plain = text.split(['-', '+']).next().unwrap_or(text);
        let mut parts = plain.split('.');
        let (Some(major), Some(minor), patch, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        if patch.is_none() && plain.len() != text.len() {
            return Err(bad());
        }
        Ok(Version {
            major: number(major)?,
            minor: number(minor)?,
            patch: number(patch.unwrap_or("0"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_written() {
        for (text, shown) in [
            ("3.7", "3.7.0"),
            ("3.7.1", "3.7.1"),
            ("3.7.0-alpha.1", "3.7.0"),
            ("10.0.3+git", "10.0.3"),
        ] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "3",
            "3.",
            ".7",
            "3.7.1.2",
            "3.x",
            "3.+7",
            "-3.7",
            "3.7-rc",
            "3.99999999999",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
