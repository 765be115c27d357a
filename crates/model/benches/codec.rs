//! What messages cost on their way in and out: requests as clients send them, entries of the log, answers made of stored
//! bytes.
//!
//! `cargo bench -p model --bench codec`; under `cargo test` each runs once, to show that it works.

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use model::pb::etcdserverpb::{PutRequest, RangeResponse, ResponseHeader, TxnRequest, WatchResponse};
use model::pb::etcdserverpb::{RequestOp, request_op};
use model::{Command, EventKind, Request, encode_event, encode_key_value};
use prost::Message;

fn main() {
    divan::main();
}

fn put() -> PutRequest {
    PutRequest {
        key: "/registry/pods/default/web-0".into(),
        value: vec![b'v'; 256].into(),
        ..Default::default()
    }
}

fn header() -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: 0xcdf8_181e_3277_a000,
        member_id: 0x8e9e_05c5_2164_6940,
        revision: 1_000_000,
        raft_term: 2,
    })
}

fn stored() -> Bytes {
    let put = put();
    encode_key_value(&put.key, 900_000, 1_000_000, 7, &put.value, 0)
}

#[divan::bench]
fn decode_put(bencher: Bencher<'_, '_>) {
    let bytes = Bytes::from(put().encode_to_vec());
    bencher.bench(|| PutRequest::decode(bytes.clone()).expect("what was encoded"));
}

#[divan::bench(args = [100])]
fn decode_txn(bencher: Bencher<'_, '_>, operations: usize) {
    let operation = RequestOp {
        request: Some(request_op::Request::RequestPut(put())),
    };
    let txn = TxnRequest {
        success: vec![operation; operations],
        ..Default::default()
    };
    let bytes = Bytes::from(txn.encode_to_vec());
    bencher
        .counter(ItemsCount::new(operations))
        .bench(|| TxnRequest::decode(bytes.clone()).expect("what was encoded"));
}

#[divan::bench]
fn encode_entry(bencher: Bencher<'_, '_>) {
    let command = Command::new(7, Request::Put(put()));
    bencher.bench(|| command.encode());
}

#[divan::bench]
fn decode_entry(bencher: Bencher<'_, '_>) {
    let entry = Command::new(7, Request::Put(put())).encode();
    bencher.bench(|| Command::decode(entry.clone()).expect("what was encoded"));
}

#[divan::bench]
fn encode_stored_key(bencher: Bencher<'_, '_>) {
    let put = put();
    bencher.bench(|| encode_key_value(&put.key, 900_000, 1_000_000, 7, black_box(&put.value), 0));
}

#[divan::bench(args = [1, 1_000])]
fn encode_range(bencher: Bencher<'_, '_>, keys: usize) {
    let response = RangeResponse {
        header: header(),
        kvs: vec![stored(); keys],
        more: false,
        count: keys as i64,
    };
    bencher
        .counter(ItemsCount::new(keys))
        .bench(|| response.encode_to_vec());
}

#[divan::bench(args = [1, 100])]
fn encode_events(bencher: Bencher<'_, '_>, events: usize) {
    let response = WatchResponse {
        header: header(),
        watch_id: 3,
        events: vec![encode_event(EventKind::Put, &stored(), &[]); events],
        ..Default::default()
    };
    bencher
        .counter(ItemsCount::new(events))
        .bench(|| response.encode_to_vec());
}
