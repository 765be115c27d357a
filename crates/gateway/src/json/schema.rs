//! How the messages of a call are written as JSON: protojson with the names of the .proto files.

use super::malformed;
use crate::methods::Method;
use bytes::Bytes;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use std::sync::LazyLock;
use tonic::Status;

/// The types of a call's messages.
pub(super) struct Schema {
    request: MessageDescriptor,
    response: MessageDescriptor,
}

/// The types of a method, if the descriptors know it.
pub(super) fn of(method: Method) -> Option<&'static Schema> {
    static SCHEMAS: LazyLock<Vec<Option<Schema>>> = LazyLock::new(|| {
        // The descriptors are part of the program; without them nothing is found, which is what is answered.
        let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap_or_default();
        Method::ALL.iter().map(|method| load(&pool, *method)).collect()
    });
    SCHEMAS.get(method as usize)?.as_ref()
}

fn load(pool: &DescriptorPool, method: Method) -> Option<Schema> {
    let service = pool.get_service_by_name(method.service().name())?;
    let method = service.methods().find(|found| found.name() == method.name())?;
    Some(Schema {
        request: method.input(),
        response: method.output(),
    })
}

impl Schema {
    /// A request in protobuf. Nothing at all is an empty message; fields may be named as in the .proto file or in
    /// camel case, and unknown ones are passed over.
    pub fn request_of(&self, json: &[u8]) -> Result<Vec<u8>, Status> {
        if json.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let options = DeserializeOptions::new().deny_unknown_fields(false);
        let message =
            DynamicMessage::deserialize_with_options(self.request.clone(), &mut deserializer, &options)
                .map_err(malformed)?;
        deserializer.end().map_err(malformed)?;
        Ok(message.encode_to_vec())
    }

    /// A response as JSON: compact, without fields that have their default.
    pub fn json_of(&self, message: Bytes) -> Result<Vec<u8>, Status> {
        let message = DynamicMessage::decode(self.response.clone(), message)
            .map_err(|error| Status::internal(error.to_string()))?;
        let options = SerializeOptions::new().use_proto_field_name(true);
        let mut json = Vec::with_capacity(256);
        message
            .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::etcdserverpb as pb;
    use model::pb::etcdserverpb::compare::TargetUnion;
    use model::pb::etcdserverpb::{request_op, watch_request};

    fn request<T: Message + Default>(method: Method, json: &str) -> T {
        T::decode(&of(method).unwrap().request_of(json.as_bytes()).unwrap()[..]).unwrap()
    }

    fn response(method: Method, message: impl Message) -> String {
        let json = of(method)
            .unwrap()
            .json_of(message.encode_to_vec().into())
            .unwrap();
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn names_may_be_those_of_the_proto_file_or_in_camel_case() {
        for json in [
            r#"{"key":"Zm9v","range_end":"Zm9w","min_mod_revision":"7","sort_order":"DESCEND","bogus":1}"#,
            r#"{"key":"Zm9v","rangeEnd":"Zm9w","minModRevision":7,"sortOrder":2}"#,
        ] {
            let range: pb::RangeRequest = request(Method::Range, json);
            assert_eq!((&range.key[..], &range.range_end[..]), (&b"foo"[..], &b"fop"[..]));
            assert_eq!((range.min_mod_revision, range.sort_order), (7, 2));
        }
    }

    #[test]
    fn bytes_are_base64_of_either_alphabet_with_or_without_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            let put: pb::PutRequest = request(Method::Put, &format!(r#"{{"key":"{text}"}}"#));
            assert_eq!(put.key[..], [0xfb, 0xff], "{text}");
        }
    }

    #[test]
    fn members_of_a_oneof_are_named_directly() {
        let txn: pb::TxnRequest = request(
            Method::Txn,
            r#"{"compare":[{"target":"CREATE","result":"EQUAL","key":"Zm9v","create_revision":"0"}],
                "success":[{"requestPut":{"key":"Zm9v"}},{"request_range":{"key":"Zm9v"}}]}"#,
        );
        assert_eq!(txn.compare[0].target_union, Some(TargetUnion::CreateRevision(0)));
        assert!(matches!(
            txn.success[0].request,
            Some(request_op::Request::RequestPut(_))
        ));
        let watch: pb::WatchRequest = request(Method::Watch, r#"{"create_request":{"key":"Zm9v"}}"#);
        assert!(matches!(
            watch.request_union,
            Some(watch_request::RequestUnion::CreateRequest(_))
        ));
        let _: pb::WatchRequest = request(Method::Watch, r#"{"progress_request":{}}"#);
    }

    #[test]
    fn an_empty_body_is_an_empty_message_and_nonsense_is_refused() {
        let status: pb::StatusRequest = request(Method::Status, " \n");
        assert_eq!(status, pb::StatusRequest {});
        for json in ["{", "[]", "{}{}", r#"{"key":"!"}"#, r#"{"limit":"x"}"#] {
            let error = of(Method::Range)
                .unwrap()
                .request_of(json.as_bytes())
                .unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{json}");
        }
    }

    #[test]
    fn answers_are_written_as_etcd_writes_them() {
        let header = pb::ResponseHeader {
            cluster_id: 14841639068965178418,
            member_id: 1,
            revision: 2,
            raft_term: 2,
        };
        let kv = model::encode_key_value(b"foo", 2, 2, 1, b"bar", 0);
        let range = pb::RangeResponse {
            header: Some(header),
            kvs: vec![kv.clone()],
            count: 1,
            more: false,
        };
        assert_eq!(
            response(Method::Range, range),
            r#"{"header":{"cluster_id":"14841639068965178418","member_id":"1","revision":"2","raft_term":"2"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}"#
        );
        let event = model::encode_event(model::EventKind::Delete, &kv, b"");
        let watch = pb::WatchResponse {
            header: Some(Default::default()),
            created: true,
            events: vec![event],
            ..Default::default()
        };
        assert_eq!(
            response(Method::Watch, watch),
            r#"{"header":{},"created":true,"events":[{"type":"DELETE","kv":{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}}]}"#
        );
        let member = pb::Member {
            id: 5,
            peer_urls: vec!["http://a:1".into()],
            ..Default::default()
        };
        let list = pb::MemberListResponse {
            header: None,
            members: vec![member],
        };
        assert_eq!(
            response(Method::MemberList, list),
            r#"{"members":[{"ID":"5","peerURLs":["http://a:1"]}]}"#
        );
        let hash = pb::HashKvResponse {
            hash: u32::MAX,
            compact_revision: -1,
            ..Default::default()
        };
        assert_eq!(
            response(Method::HashKv, hash),
            r#"{"hash":4294967295,"compact_revision":"-1"}"#
        );
    }
}
