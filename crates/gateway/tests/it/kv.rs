//! Keys.

use crate::support::{CLUSTER, MEMBER, Server, get, kv, pairs, put, range, refusal};
use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp};
use futures::TryStreamExt;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::range_request;
use tonic::Code;

#[tokio::test]
async fn what_is_put_is_read_with_its_history_and_a_full_header() {
    let server = Server::start().await;
    let mut client = server.kv().await;

    let first = client.put(put("a", "1")).await.unwrap().into_inner();
    let header = first.header.unwrap();
    assert_eq!(
        (header.cluster_id, header.member_id, header.revision),
        (CLUSTER, MEMBER, 2)
    );
    assert!(header.raft_term > 0);
    assert!(first.prev_kv.is_empty());

    let again = pb::PutRequest {
        prev_kv: true,
        ..put("a", "2")
    };
    let second = client.put(again).await.unwrap().into_inner();
    assert_eq!(second.header.unwrap().revision, 3);
    assert_eq!(kv(&second.prev_kv).value, "1");

    let now = client.range(get("a")).await.unwrap().into_inner();
    let found = kv(&now.kvs[0]);
    assert_eq!(
        (found.create_revision, found.mod_revision, found.version),
        (2, 3, 2)
    );
    assert_eq!((now.count, now.more, now.header.unwrap().revision), (1, false, 3));

    let before = pb::RangeRequest {
        revision: 2,
        ..get("a")
    };
    assert_eq!(
        pairs(&client.range(before).await.unwrap().into_inner().kvs),
        ["a=1"]
    );
    server.stop().await;
}

#[tokio::test]
async fn ranges_are_limited_sorted_counted_and_stripped_as_asked() {
    let server = Server::start().await;
    let mut client = server.etcd().await;
    for (key, value) in [("b", "1"), ("a", "3"), ("c", "2")] {
        client.put(key, value, None).await.unwrap();
    }
    let all = GetOptions::new().with_range("z");
    let keys = |response: etcd_client::GetResponse| -> Vec<String> {
        response
            .kvs()
            .iter()
            .map(|kv| kv.key_str().unwrap().to_owned())
            .collect()
    };

    let limited = client.get("a", Some(all.clone().with_limit(2))).await.unwrap();
    assert_eq!((limited.count(), limited.more()), (3, true));
    assert_eq!(keys(limited), ["a", "b"]);

    let by_value = all.clone().with_sort(SortTarget::Value, SortOrder::Descend);
    assert_eq!(
        keys(client.get("a", Some(by_value)).await.unwrap()),
        ["a", "c", "b"]
    );

    let counted = client
        .get("a", Some(all.clone().with_count_only()))
        .await
        .unwrap();
    assert_eq!((counted.count(), counted.kvs().len()), (3, 0));

    let stripped = client.get("a", Some(all.with_keys_only())).await.unwrap();
    assert!(stripped.kvs().iter().all(|kv| kv.value().is_empty()));

    let serializable = GetOptions::new().with_serializable();
    assert_eq!(
        client.get("a", Some(serializable)).await.unwrap().kvs()[0].value(),
        b"3"
    );
    server.stop().await;
}

#[tokio::test]
async fn deletes_say_what_they_deleted() {
    let server = Server::start().await;
    let mut client = server.kv().await;
    for key in ["a", "b", "c"] {
        client.put(put(key, "x")).await.unwrap();
    }
    let request = pb::DeleteRangeRequest {
        key: "a".into(),
        range_end: "c".into(),
        prev_kv: true,
    };
    let deleted = client.delete_range(request.clone()).await.unwrap().into_inner();
    assert_eq!(
        (deleted.deleted, pairs(&deleted.prev_kvs)),
        (2, vec!["a=x".to_owned(), "b=x".to_owned()])
    );
    assert_eq!(deleted.header.unwrap().revision, 5);
    let nothing = client.delete_range(request).await.unwrap().into_inner();
    assert_eq!((nothing.deleted, nothing.header.unwrap().revision), (0, 5));
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_takes_one_branch_in_one_revision() {
    let server = Server::start().await;
    let mut client = server.etcd().await;
    let txn = |value: &'static str| {
        Txn::new()
            .when([Compare::value("a", CompareOp::Equal, value)])
            .and_then([
                TxnOp::put("a", "then", None),
                TxnOp::put("b", "then", None),
                TxnOp::get("a", None),
            ])
            .or_else([TxnOp::put("a", "else", Some(PutOptions::new().with_prev_key()))])
    };
    let missed = client.txn(txn("else")).await.unwrap();
    assert!(!missed.succeeded());
    let hit = client.txn(txn("else")).await.unwrap();
    assert!(hit.succeeded());
    assert_eq!(hit.header().unwrap().revision(), 3);
    assert_eq!(hit.op_responses().len(), 3);
    let both = client
        .get("a", Some(GetOptions::new().with_range("c")))
        .await
        .unwrap();
    assert!(
        both.kvs()
            .iter()
            .all(|kv| kv.mod_revision() == 3 && kv.value() == b"then")
    );
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_etcds_codes_and_texts() {
    let server = Server::start().await;
    let mut client = server.kv().await;
    client.put(put("a", "1")).await.unwrap();

    let empty = refusal(client.put(put("", "1")).await);
    assert_eq!(
        empty,
        (Code::InvalidArgument, "etcdserver: key is not provided".into())
    );
    let future = refusal(
        client
            .range(pb::RangeRequest {
                revision: 100,
                ..get("a")
            })
            .await,
    );
    assert_eq!(
        future,
        (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision".into()
        )
    );
    let sort = refusal(
        client
            .range(pb::RangeRequest {
                sort_order: 9,
                ..get("a")
            })
            .await,
    );
    assert_eq!(
        sort,
        (Code::InvalidArgument, "etcdserver: invalid sort option".into())
    );
    let lease = refusal(
        client
            .put(pb::PutRequest {
                lease: 7,
                ..put("a", "1")
            })
            .await,
    );
    assert_eq!(
        lease,
        (Code::NotFound, "etcdserver: requested lease not found".into())
    );
    let absent = refusal(
        client
            .put(pb::PutRequest {
                ignore_value: true,
                ..put("new", "")
            })
            .await,
    );
    assert_eq!(
        absent,
        (Code::InvalidArgument, "etcdserver: key not found".into())
    );

    let op = |key: &'static str| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(put(key, "x"))),
    };
    let twice = pb::TxnRequest {
        success: vec![op("k"), op("k")],
        ..Default::default()
    };
    assert_eq!(
        refusal(client.txn(twice).await),
        (
            Code::InvalidArgument,
            "etcdserver: duplicate key given in txn request".into()
        )
    );
    let many = pb::TxnRequest {
        success: vec![op("k"); 129],
        ..Default::default()
    };
    assert_eq!(
        refusal(client.txn(many).await),
        (
            Code::InvalidArgument,
            "etcdserver: too many operations in txn request".into()
        )
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_compacted_is_gone() {
    let server = Server::start().await;
    let mut client = server.kv().await;
    for value in ["1", "2", "3"] {
        client.put(put("a", value)).await.unwrap();
    }
    let compact = pb::CompactionRequest {
        revision: 3,
        physical: true,
    };
    let response = client.compact(compact).await.unwrap().into_inner();
    assert_eq!(response.header.unwrap().revision, 4);
    let compacted = (
        Code::OutOfRange,
        "etcdserver: mvcc: required revision has been compacted".to_owned(),
    );
    assert_eq!(
        refusal(
            client
                .range(pb::RangeRequest {
                    revision: 2,
                    ..get("a")
                })
                .await
        ),
        compacted
    );
    assert_eq!(refusal(client.compact(compact).await), compacted);
    let kept = client
        .range(pb::RangeRequest {
            revision: 3,
            ..get("a")
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(pairs(&kept.kvs), ["a=2"]);
    server.stop().await;
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused_in_two_ways() {
    let server = Server::start().await;
    let mut client = server.kv().await;
    let sized = |bytes: usize| pb::PutRequest {
        value: vec![7; bytes].into(),
        ..put("big", "")
    };
    client.put(sized(1024 * 1024)).await.unwrap();
    assert_eq!(
        refusal(client.put(sized(1600 * 1024)).await),
        (Code::InvalidArgument, "etcdserver: request is too large".into())
    );
    let (code, text) = refusal(client.put(sized(3 * 1024 * 1024)).await);
    assert_eq!(code, Code::ResourceExhausted);
    assert!(
        text.starts_with("grpc: received message larger than max (") && text.ends_with(" vs. 2097152)"),
        "{text}"
    );
    // The connection is none the worse for it.
    client.put(put("small", "1")).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_streamed_range_is_the_range_in_pieces() {
    let server = Server::start().await;
    let mut client = server.kv().await;
    for number in 0..57 {
        let request = pb::PutRequest {
            key: format!("k{number:03}").into(),
            ..put("", "v")
        };
        client.put(request).await.unwrap();
    }
    let whole = client.range(range("k", "l")).await.unwrap().into_inner();
    for limit in [0, 1, 10, 25, 57, 100] {
        let request = pb::RangeRequest {
            limit,
            ..range("k", "l")
        };
        let pieces: Vec<_> = client
            .range_stream(request.clone())
            .await
            .unwrap()
            .into_inner()
            .try_collect()
            .await
            .unwrap();
        let pieces: Vec<pb::RangeResponse> = pieces
            .into_iter()
            .map(|piece| piece.range_response.unwrap())
            .collect();
        let (last, first) = pieces.split_last().unwrap();
        assert!(
            first
                .iter()
                .all(|piece| piece.header.is_none() && piece.count == 0 && !piece.more)
        );
        let expected = client.range(request).await.unwrap().into_inner();
        assert_eq!(
            pieces
                .iter()
                .flat_map(|piece| piece.kvs.clone())
                .collect::<Vec<_>>(),
            expected.kvs
        );
        assert_eq!(
            (last.count, last.more, last.header),
            (whole.count, expected.more, whole.header),
            "limit {limit}"
        );
    }
    let count_only = pb::RangeRequest {
        count_only: true,
        ..range("k", "l")
    };
    let pieces: Vec<_> = client
        .range_stream(count_only)
        .await
        .unwrap()
        .into_inner()
        .try_collect()
        .await
        .unwrap();
    let only = pieces[0].range_response.as_ref().unwrap();
    assert_eq!(
        (pieces.len(), only.count, only.kvs.len(), only.more),
        (1, 57, 0, false)
    );

    let sorted = pb::RangeRequest {
        sort_order: range_request::SortOrder::Descend.into(),
        ..range("k", "l")
    };
    assert_eq!(
        refusal(client.range_stream(sorted).await),
        (
            Code::Unimplemented,
            "RangeStream does not support custom sort orders".into()
        )
    );
    server.stop().await;
}

/// etcd sorts upwards where only what to sort by is named; a stream that leaves that out sends the order of the keys.
#[tokio::test]
async fn a_stream_sorted_by_value_is_sorted_and_still_comes_in_pieces() {
    let server = Server::start().await;
    let mut client = server.kv().await;
    for (key, first) in [("k1", "c"), ("k2", "a"), ("k3", "b")] {
        let request = pb::PutRequest {
            value: (first.to_owned() + &"x".repeat(1_000_000)).into(),
            ..put(key, "")
        };
        client.put(request).await.unwrap();
    }
    let by_value = pb::RangeRequest {
        sort_target: range_request::SortTarget::Value.into(),
        ..range("k", "l")
    };
    let expected = client.range(by_value.clone()).await.unwrap().into_inner();
    let pieces: Vec<_> = client
        .range_stream(by_value)
        .await
        .unwrap()
        .into_inner()
        .map_ok(|piece| piece.range_response.unwrap())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(pieces.len(), 2);
    assert_eq!((pieces[0].count, &pieces[0].header), (0, &None));
    assert_eq!((pieces[1].count, &pieces[1].header), (3, &expected.header));
    let kvs: Vec<_> = pieces.into_iter().flat_map(|piece| piece.kvs).collect();
    assert!(kvs == expected.kvs, "other keys, or another order");
    server.stop().await;
}
