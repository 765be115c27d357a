//! One raft log entry: one request, in the wire form of etcd's `InternalRaftRequest`.
//!
//! The generated message has forty optional fields and is two kilobytes large; an entry holds exactly one of them.
//! So the outer message is read and written here, and only the request inside is left to the generated code.

use crate::pb::{etcdserverpb as pb, membershippb};
use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint,
    key_len, skip_field,
};
use thiserror::Error;

/// A request with the facts that travel with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// Finds the caller that waits for the answer: unique in the cluster; 0 where nobody waits.
    pub id: u64,
    /// Who asked; empty without authentication.
    pub username: String,
    /// Auth revision of the caller's token.
    pub auth_revision: u64,
    /// What to do.
    pub request: Request,
}

/// Bytes that are no command: damage, or a log of another program.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// Not the wire format.
    #[error("log entry is no valid request: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Well-formed, but no request that this version knows is in it.
    #[error("log entry holds no known request (field {0})")]
    Unknown(u32),
}

const HEADER: u32 = 100;
const ID: u32 = 1;

macro_rules! requests {
    ($($tag:literal $name:ident($message:path);)*) => {
        /// What a log entry asks for; the numbers below are the fields of `InternalRaftRequest`.
        #[derive(Clone, PartialEq, Debug)]
        #[allow(missing_docs)]
        pub enum Request {
            $($name($message),)*
        }

        impl Request {
            fn tag(&self) -> u32 {
                match self { $(Request::$name(_) => $tag,)* }
            }

            /// Bytes of the encoded request, without the command around it.
            pub fn encoded_len(&self) -> usize {
                match self { $(Request::$name(message) => message.encoded_len(),)* }
            }

            fn encode(&self, out: &mut BytesMut) {
                // A BytesMut grows as needed: encoding into it cannot fail.
                match self { $(Request::$name(message) => message.encode_raw(out),)* }
            }

            fn decode(tag: u32, bytes: Bytes) -> Result<Request, DecodeError> {
                match tag {
                    $($tag => Ok(Request::$name(Message::decode(bytes)?)),)*
                    _ => Err(DecodeError::Unknown(tag)),
                }
            }
        }
    };
}

requests! {
    3 Range(pb::RangeRequest);
    4 Put(pb::PutRequest);
    5 DeleteRange(pb::DeleteRangeRequest);
    6 Txn(pb::TxnRequest);
    7 Compaction(pb::CompactionRequest);
    8 LeaseGrant(pb::LeaseGrantRequest);
    9 LeaseRevoke(pb::LeaseRevokeRequest);
    10 Alarm(pb::AlarmRequest);
    11 LeaseCheckpoint(pb::LeaseCheckpointRequest);
    1000 AuthEnable(pb::AuthEnableRequest);
    1011 AuthDisable(pb::AuthDisableRequest);
    1012 Authenticate(pb::InternalAuthenticateRequest);
    1013 AuthStatus(pb::AuthStatusRequest);
    1100 AuthUserAdd(pb::AuthUserAddRequest);
    1101 AuthUserDelete(pb::AuthUserDeleteRequest);
    1102 AuthUserGet(pb::AuthUserGetRequest);
    1103 AuthUserChangePassword(pb::AuthUserChangePasswordRequest);
    1104 AuthUserGrantRole(pb::AuthUserGrantRoleRequest);
    1105 AuthUserRevokeRole(pb::AuthUserRevokeRoleRequest);
    1106 AuthUserList(pb::AuthUserListRequest);
    1107 AuthRoleList(pb::AuthRoleListRequest);
    1200 AuthRoleAdd(pb::AuthRoleAddRequest);
    1201 AuthRoleDelete(pb::AuthRoleDeleteRequest);
    1202 AuthRoleGet(pb::AuthRoleGetRequest);
    1203 AuthRoleGrantPermission(pb::AuthRoleGrantPermissionRequest);
    1204 AuthRoleRevokePermission(pb::AuthRoleRevokePermissionRequest);
    1300 ClusterVersionSet(membershippb::ClusterVersionSetRequest);
    1301 ClusterMemberAttrSet(membershippb::ClusterMemberAttrSetRequest);
    1302 DowngradeInfoSet(membershippb::DowngradeInfoSetRequest);
}

impl Request {
    /// Whether it changes users, roles, or whether anybody is asked who they are. Only root may, and what is read or
    /// written after it is judged by other permissions than before.
    pub fn changes_permissions(&self) -> bool {
        matches!(
            self,
            Request::AuthEnable(_)
                | Request::AuthDisable(_)
                | Request::AuthUserAdd(_)
                | Request::AuthUserDelete(_)
                | Request::AuthUserChangePassword(_)
                | Request::AuthUserGrantRole(_)
                | Request::AuthUserRevokeRole(_)
                | Request::AuthRoleAdd(_)
                | Request::AuthRoleDelete(_)
                | Request::AuthRoleGrantPermission(_)
                | Request::AuthRoleRevokePermission(_)
        )
    }
}

impl Command {
    /// A command nobody is asked to authorize.
    pub fn new(id: u64, request: Request) -> Command {
        Command {
            id,
            username: String::new(),
            auth_revision: 0,
            request,
        }
    }

    fn header(&self) -> pb::RequestHeader {
        pb::RequestHeader {
            id: self.id,
            username: self.username.clone(),
            auth_revision: self.auth_revision,
        }
    }

    /// The log entry's bytes.
    pub fn encode(&self) -> Bytes {
        let header = self.header();
        let header_len = header.encoded_len();
        let request_len = self.request.encoded_len();
        let tag = self.request.tag();
        let mut out = BytesMut::with_capacity(
            key_len(tag)
                + encoded_len_varint(request_len as u64)
                + request_len
                + key_len(HEADER)
                + 5
                + header_len,
        );
        encode_key(tag, WireType::LengthDelimited, &mut out);
        encode_varint(request_len as u64, &mut out);
        self.request.encode(&mut out);
        encode_key(HEADER, WireType::LengthDelimited, &mut out);
        encode_varint(header_len as u64, &mut out);
        header.encode_raw(&mut out);
        out.freeze()
    }

    /// Reads a log entry. Keys and values share the entry's memory.
    pub fn decode(mut bytes: Bytes) -> Result<Command, DecodeError> {
        let mut header = pb::RequestHeader::default();
        let mut id = 0;
        let mut request = None;
        let mut unknown = 0;
        while bytes.has_remaining() {
            let (tag, wire_type) = decode_key(&mut bytes)?;
            match (tag, wire_type) {
                (ID, WireType::Varint) => id = decode_varint(&mut bytes)?,
                (_, WireType::LengthDelimited) => {
                    let len = decode_varint(&mut bytes)? as usize;
                    if len > bytes.remaining() {
                        // prost offers no constructor for its error: let it find the same fault itself.
                        let short = pb::RequestHeader::decode(&[0x12, 0x01][..]);
                        return Err(short.err().map_or(DecodeError::Unknown(tag), DecodeError::from));
                    }
                    let inner = bytes.split_to(len);
                    match tag {
                        HEADER => header = Message::decode(inner)?,
                        _ => match Request::decode(tag, inner) {
                            Ok(found) => request = Some(found),
                            Err(DecodeError::Unknown(tag)) => unknown = tag,
                            Err(error) => return Err(error),
                        },
                    }
                }
                _ => skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?,
            }
        }
        let request = request.ok_or(DecodeError::Unknown(unknown))?;
        if header.id == 0 {
            header.id = id;
        }
        Ok(Command {
            id: header.id,
            username: header.username,
            auth_revision: header.auth_revision,
            request,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put() -> pb::PutRequest {
        pb::PutRequest {
            key: "key".into(),
            value: "value".into(),
            lease: -3,
            prev_kv: true,
            ..Default::default()
        }
    }

    #[test]
    fn an_entry_is_an_internal_raft_request() {
        let command = Command {
            id: 77,
            username: "ada".into(),
            auth_revision: 5,
            request: Request::Put(put()),
        };
        let message = pb::InternalRaftRequest {
            header: Some(pb::RequestHeader {
                id: 77,
                username: "ada".into(),
                auth_revision: 5,
            }),
            put: Some(put()),
            ..Default::default()
        };
        assert_eq!(
            pb::InternalRaftRequest::decode(command.encode()).unwrap(),
            message
        );
        assert_eq!(Command::decode(message.encode_to_vec().into()).unwrap(), command);
    }

    #[test]
    fn what_is_no_command_says_so() {
        assert_eq!(Command::decode(Bytes::new()), Err(DecodeError::Unknown(0)));
        assert!(matches!(
            Command::decode(Bytes::from_static(b"\x22\xff\x01")),
            Err(DecodeError::Malformed(_))
        ));
        let entry = Command::new(1, Request::Put(put())).encode();
        for cut in 1..entry.len() {
            let _ = Command::decode(entry.slice(..cut));
        }
    }
}
