//! How users and roles are stored. Rows are written by the caller, in the batch of the command itself.
//!
//! | key | value |
//! | --- | --- |
//! | `enabled` | one byte, 1 or 0 |
//! | `revision` | auth revision, eight bytes big endian |
//! | `user/` name | `authpb.User` |
//! | `role/` name | `authpb.Role` |

use crate::Error;
use bytes::Bytes;
use model::pb::authpb;
use prost::Message;

/// A row of the auth family to write; without a value, a row to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Row {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// What a row says.
pub(crate) enum Stored {
    Enabled(bool),
    Revision(u64),
    User(String, authpb::User),
    Role(String, authpb::Role),
}

const ENABLED: &[u8] = b"enabled";
const REVISION: &[u8] = b"revision";
const USER: &[u8] = b"user/";
const ROLE: &[u8] = b"role/";

pub(crate) fn enabled(enabled: bool) -> Row {
    let value = if enabled { &[1] } else { &[0] };
    put(Bytes::from_static(ENABLED), Bytes::from_static(value))
}

pub(crate) fn revision(revision: u64) -> Row {
    put(
        Bytes::from_static(REVISION),
        Bytes::copy_from_slice(&revision.to_be_bytes()),
    )
}

pub(crate) fn user(user: &authpb::User) -> Row {
    put([USER, &user.name].concat().into(), user.encode_to_vec().into())
}

pub(crate) fn no_user(name: &str) -> Row {
    delete([USER, name.as_bytes()].concat().into())
}

pub(crate) fn role(role: &authpb::Role) -> Row {
    put([ROLE, &role.name].concat().into(), role.encode_to_vec().into())
}

pub(crate) fn no_role(name: &str) -> Row {
    delete([ROLE, name.as_bytes()].concat().into())
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Stored, Error> {
    let damaged = || Error::DamagedRow(format!("row {}", key.escape_ascii()));
    let name = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| damaged());
    if let Some(key) = key.strip_prefix(USER) {
        let user = authpb::User::decode(value).map_err(|_| damaged())?;
        return if user.name == key {
            Ok(Stored::User(name(key)?, user))
        } else {
            Err(damaged())
        };
    }
    if let Some(key) = key.strip_prefix(ROLE) {
        let role = authpb::Role::decode(value).map_err(|_| damaged())?;
        return if role.name == key {
            Ok(Stored::Role(name(key)?, role))
        } else {
            Err(damaged())
        };
    }
    match (key, value) {
        (ENABLED, [1]) => Ok(Stored::Enabled(true)),
        (ENABLED, [0]) => Ok(Stored::Enabled(false)),
        (REVISION, value) => {
            let value = value.try_into().map_err(|_| damaged())?;
            Ok(Stored::Revision(u64::from_be_bytes(value)))
        }
        _ => Err(damaged()),
    }
}

fn put(key: Bytes, value: Bytes) -> Row {
    Row {
        key,
        value: Some(value),
    }
}

fn delete(key: Bytes) -> Row {
    Row { key, value: None }
}
