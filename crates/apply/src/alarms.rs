//! Alarms: a fact about one member that changes what the whole cluster accepts.

use bytes::Bytes;
use model::MemberId;
use model::pb::etcdserverpb::{AlarmMember, AlarmType};
use std::collections::BTreeSet;

/// The alarms that are set, by type and member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alarms(BTreeSet<(i32, MemberId)>);

/// Prefix of the alarms' rows in the meta family.
pub(crate) const PREFIX: &[u8] = b"alarm/";

impl Alarms {
    /// Alarms of one type, or of all types for `None` (the wire's word for "no type").
    pub fn list(&self, alarm: i32) -> Vec<AlarmMember> {
        self.0
            .iter()
            .filter(|(set, _)| alarm == AlarmType::None as i32 || *set == alarm)
            .map(|&(alarm, member)| AlarmMember {
                member_id: member.0,
                alarm,
            })
            .collect()
    }

    /// Whether any member is out of space.
    pub fn no_space(&self) -> bool {
        self.any(AlarmType::Nospace)
    }

    /// Whether any member's data is known to be corrupt.
    pub fn corrupt(&self) -> bool {
        self.any(AlarmType::Corrupt)
    }

    /// Whether no alarm is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn any(&self, alarm: AlarmType) -> bool {
        self.0
            .range((alarm as i32, MemberId(0))..)
            .next()
            .is_some_and(|(set, _)| *set == alarm as i32)
    }

    /// Sets an alarm; whether it was not set before.
    pub(crate) fn activate(&mut self, alarm: i32, member: MemberId) -> bool {
        self.0.insert((alarm, member))
    }

    /// Clears an alarm; whether it was set.
    pub(crate) fn deactivate(&mut self, alarm: i32, member: MemberId) -> bool {
        self.0.remove(&(alarm, member))
    }

    /// Key of an alarm's row.
    pub(crate) fn row(alarm: i32, member: MemberId) -> Bytes {
        let mut key = PREFIX.to_vec();
        key.extend(alarm.to_be_bytes());
        key.extend(member.0.to_be_bytes());
        key.into()
    }

    /// Reads a row's key back; false if it is none.
    pub(crate) fn load(&mut self, key: &[u8]) -> bool {
        let Some((alarm, member)) = key
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_first_chunk::<4>())
        else {
            return false;
        };
        let Ok(member) = <[u8; 8]>::try_from(member) else {
            return false;
        };
        self.activate(i32::from_be_bytes(*alarm), MemberId(u64::from_be_bytes(member)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_bring_alarms_back() {
        let mut alarms = Alarms::default();
        alarms.activate(AlarmType::Corrupt as i32, MemberId(7));
        let mut loaded = Alarms::default();
        assert!(loaded.load(&Alarms::row(AlarmType::Corrupt as i32, MemberId(7))));
        assert!(!loaded.load(b"alarm/"));
        assert_eq!(alarms, loaded);
        assert!(loaded.corrupt() && !loaded.no_space());
    }
}
