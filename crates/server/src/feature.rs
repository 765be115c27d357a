//! Feature gates, by etcd's names.

use crate::settings::SettingsError;
use crate::value;
use std::collections::BTreeMap;

/// How far a feature has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Stage {
    Alpha,
    Beta,
}

/// Name, default and stage of every gate (etcd server/features/etcd_features.go).
pub const GATES: &[(&str, bool, Stage)] = &[
    ("CompactHashCheck", false, Stage::Alpha),
    ("FastLeaseKeepAlive", true, Stage::Beta),
    ("InitialCorruptCheck", false, Stage::Alpha),
    ("LeaseCheckpoint", false, Stage::Alpha),
    ("LeaseCheckpointPersist", false, Stage::Alpha),
    ("PriorityRequest", false, Stage::Alpha),
    ("SetMemberLocalAddr", false, Stage::Alpha),
    ("StopGRPCServiceOnDefrag", false, Stage::Alpha),
    ("TxnModeWriteWithSharedBuffer", true, Stage::Beta),
];

/// Which gates are open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Features(BTreeMap<&'static str, bool>);

impl Features {
    /// Reads `A=true,B=false`; `AllAlpha` and `AllBeta` set the gates of a stage that are not named themselves.
    pub fn parse(list: &str) -> Result<Features, SettingsError> {
        let mut named = BTreeMap::new();
        let mut stages = Vec::new();
        for part in value::list(list) {
            let (name, text) = part
                .split_once('=')
                .ok_or_else(|| SettingsError(format!("missing bool value for {part}")))?;
            let open = value::boolean(text.trim()).ok_or_else(|| {
                SettingsError(format!(
                    "invalid value of {name}={text}, err: strconv.ParseBool: parsing {text:?}"
                ))
            })?;
            match name.trim() {
                "AllAlpha" => stages.push((Stage::Alpha, open)),
                "AllBeta" => stages.push((Stage::Beta, open)),
                name => {
                    let gate = GATES.iter().find(|gate| gate.0 == name);
                    let gate =
                        gate.ok_or_else(|| SettingsError(format!("unrecognized feature gate: {name}")))?;
                    named.insert(gate.0, open);
                }
            }
        }
        let mut open: BTreeMap<_, _> = GATES.iter().map(|gate| (gate.0, gate.1)).collect();
        for (stage, value) in stages {
            open.extend(
                GATES
                    .iter()
                    .filter(|gate| gate.2 == stage)
                    .map(|gate| (gate.0, value)),
            );
        }
        open.extend(named);
        let features = Features(open);
        if features.is_open("LeaseCheckpointPersist") && !features.is_open("LeaseCheckpoint") {
            return Err(SettingsError(
                "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint"
                    .into(),
            ));
        }
        Ok(features)
    }

    /// Whether the gate of that name is open; unknown ones are closed.
    pub fn is_open(&self, name: &str) -> bool {
        self.0.get(name).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_gives_way_to_a_name() {
        let features = Features::parse("AllAlpha=true,PriorityRequest=false").unwrap();
        assert!(features.is_open("LeaseCheckpoint") && !features.is_open("PriorityRequest"));
        assert!(Features::parse("LeaseCheckpointPersist=true").is_err());
        assert_eq!(Features::parse("X").unwrap_err().0, "missing bool value for X");
    }
}
