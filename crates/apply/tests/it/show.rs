//! Answers as text.

use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::response_op::Response;
use model::pb::mvccpb::KeyValue;
use model::{Rejection, Reply};
use prost::Message;

pub fn result(result: &Result<Reply, Rejection>) -> String {
    match result {
        Ok(reply) => self::reply(reply),
        Err(rejection) => format!("refused: {}", rejection.message()),
    }
}

fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Put(reply) => put(reply),
        Reply::DeleteRange(reply) => delete(reply),
        Reply::Range(reply) => range(reply),
        Reply::Txn(reply) => txn(reply),
        Reply::Compaction(reply) => format!("ok, {}", revision(&reply.header)),
        Reply::LeaseGrant(reply) => format!(
            "lease {} ttl={}, {}",
            reply.id,
            reply.ttl,
            revision(&reply.header)
        ),
        Reply::LeaseRevoke(reply) => format!("ok, {}", revision(&reply.header)),
        Reply::Alarm(reply) => match &reply.alarms[..] {
            [] => "no alarms".to_owned(),
            alarms => alarms
                .iter()
                .map(|alarm| format!("{:?} of member {}", alarm.alarm(), alarm.member_id))
                .collect::<Vec<_>>()
                .join(", "),
        },
        Reply::Authenticate(reply) => format!("token {}", reply.token),
        _ => "ok".to_owned(),
    }
}

fn put(reply: &pb::PutResponse) -> String {
    let mut text = revision(&reply.header);
    if !reply.prev_kv.is_empty() {
        text += &format!(", before {}", kv(&reply.prev_kv));
    }
    text
}

fn delete(reply: &pb::DeleteRangeResponse) -> String {
    let mut text = format!("{}, {} deleted", revision(&reply.header), reply.deleted);
    if !reply.prev_kvs.is_empty() {
        let before: Vec<_> = reply.prev_kvs.iter().map(|before| kv(before)).collect();
        text += &format!(", before {}", before.join(" "));
    }
    text
}

fn range(reply: &pb::RangeResponse) -> String {
    let kvs: Vec<_> = reply.kvs.iter().map(|found| kv(found)).collect();
    format!("{}, [{}]", revision(&reply.header), kvs.join(" "))
}

fn txn(reply: &pb::TxnResponse) -> String {
    let responses: Vec<_> = reply
        .responses
        .iter()
        .map(|response| match response.response.as_ref().unwrap() {
            Response::ResponsePut(reply) => format!("put {}", put(reply)),
            Response::ResponseDeleteRange(reply) => format!("delete {}", delete(reply)),
            Response::ResponseRange(reply) => format!("get {}", range(reply)),
            Response::ResponseTxn(reply) => format!("txn {}", txn(reply)),
        })
        .collect();
    let branch = if reply.succeeded { "then" } else { "else" };
    format!(
        "{}, {branch} {{{}}}",
        revision(&reply.header),
        responses.join("; ")
    )
}

fn revision(header: &Option<pb::ResponseHeader>) -> String {
    format!("rev {}", header.as_ref().map_or(0, |header| header.revision))
}

fn kv(encoded: &[u8]) -> String {
    let kv = KeyValue::decode(encoded).unwrap();
    let mut text = format!(
        "{}={} c{} m{} v{}",
        String::from_utf8_lossy(&kv.key),
        String::from_utf8_lossy(&kv.value),
        kv.create_revision,
        kv.mod_revision,
        kv.version
    );
    if kv.lease != 0 {
        text += &format!(" l{}", kv.lease);
    }
    text
}
