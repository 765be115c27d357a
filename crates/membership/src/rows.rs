//! How membership is stored. Rows are written by the caller, in the batch of the change itself.

use crate::{Downgrade, Error, Member, Version};
use bytes::{BufMut, Bytes, BytesMut};
use model::MemberId;
use serde::{Deserialize, Serialize};

/// Which family of the store a row belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowFamily {
    /// The members family.
    Members,
    /// The meta family, which others use too; our keys begin with `cluster/`.
    Meta,
}

/// A row to write; without a value, a row to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Row {
    pub family: RowFamily,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// What a row of the members family says.
pub(crate) enum Stored {
    Member(Member),
    Removed(MemberId),
}

const MEMBER: u8 = b'm';
const REMOVED: u8 = b'r';
pub(crate) const VERSION: &[u8] = b"cluster/version";
pub(crate) const DOWNGRADE: &[u8] = b"cluster/downgrade";

pub(crate) fn member(member: &Member) -> Row {
    row(RowFamily::Members, key(MEMBER, member.id), Some(json(member)))
}

pub(crate) fn no_member(id: MemberId) -> Row {
    row(RowFamily::Members, key(MEMBER, id), None)
}

pub(crate) fn removed(id: MemberId) -> Row {
    row(RowFamily::Members, key(REMOVED, id), Some(Bytes::new()))
}

pub(crate) fn version(version: Version) -> Row {
    let value = version.to_string().into_bytes();
    row(RowFamily::Meta, Bytes::from_static(VERSION), Some(value.into()))
}

pub(crate) fn downgrade(downgrade: Downgrade) -> Row {
    let value = match downgrade {
        Downgrade::Off => DowngradeRow::default(),
        Downgrade::To(version) => DowngradeRow {
            target_version: version.to_string(),
            enabled: true,
        },
    };
    row(RowFamily::Meta, Bytes::from_static(DOWNGRADE), Some(json(&value)))
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Stored, Error> {
    let damaged = |what: &str| Error::DamagedRow(format!("{what} under key {key:02x?}"));
    let (kind, id) = key.split_first().ok_or_else(|| damaged("empty key"))?;
    let id = id.try_into().map_err(|_| damaged("no member id"))?;
    let id = MemberId(u64::from_be_bytes(id));
    match *kind {
        MEMBER => {
            let member: Member = serde_json::from_slice(value).map_err(|_| damaged("unreadable member"))?;
            if member.id != id {
                return Err(damaged("another member"));
            }
            Ok(Stored::Member(member))
        }
        REMOVED => Ok(Stored::Removed(id)),
        _ => Err(damaged("unknown row")),
    }
}

pub(crate) fn decode_version(value: &[u8]) -> Result<Version, Error> {
    let damaged = || Error::DamagedRow(format!("cluster version {value:02x?}"));
    std::str::from_utf8(value)
        .map_err(|_| damaged())?
        .parse()
        .map_err(|_| damaged())
}

pub(crate) fn decode_downgrade(value: &[u8]) -> Result<Downgrade, Error> {
    let damaged = |_| Error::DamagedRow(format!("downgrade job {value:02x?}"));
    let row: DowngradeRow = serde_json::from_slice(value).map_err(|error| damaged(error.to_string()))?;
    if !row.enabled {
        return Ok(Downgrade::Off);
    }
    let target = row
        .target_version
        .parse()
        .map_err(|error: Error| damaged(error.to_string()))?;
    Ok(Downgrade::To(target))
}

/// etcd's JSON form of the downgrade job.
#[derive(Default, Serialize, Deserialize)]
struct DowngradeRow {
    #[serde(rename = "target-version", default)]
    target_version: String,
    #[serde(default)]
    enabled: bool,
}

pub(crate) fn json<T: Serialize>(value: &T) -> Bytes {
    // Fails for maps with keys that are no strings, and for writers that fail: there are neither.
    serde_json::to_vec(value)
        .expect("plain structs have a JSON form")
        .into()
}

fn key(kind: u8, id: MemberId) -> Bytes {
    let mut key = BytesMut::with_capacity(9);
    key.put_u8(kind);
    key.put_u64(id.0);
    key.freeze()
}

fn row(family: RowFamily, key: Bytes, value: Option<Bytes>) -> Row {
    Row { family, key, value }
}
