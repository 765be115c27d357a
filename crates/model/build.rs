//! Compiles proto/ into message types, without a system protoc.
//!
//! Two changes are made to the descriptors first; neither changes a byte on the wire:
//! * fields that carry a stored `KeyValue` or an encoded `Event` become `bytes`: an embedded message and a byte
//!   string have the same wire form, so that stored bytes are sent as they are instead of being decoded and encoded;
//! * names such as `peerURLs` become `peer_urls`, which Rust's naming would otherwise turn into `peer_ur_ls`.

use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// (message, field): encoded messages that are passed on as bytes.
const RAW: &[(&str, &str)] = &[
    ("RangeResponse", "kvs"),
    ("PutResponse", "prev_kv"),
    ("DeleteRangeResponse", "prev_kvs"),
    ("WatchResponse", "events"),
    ("Event", "kv"),
    ("Event", "prev_kv"),
];

const FILES: &[&str] = &[
    "kv.proto",
    "auth.proto",
    "rpc.proto",
    "membership.proto",
    "lease.proto",
    "raft_internal.proto",
    "v3lock.proto",
    "v3election.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../../proto";
    println!("cargo:rerun-if-changed={proto}");
    let files = FILES.iter().map(|file| format!("{proto}/{file}"));
    let mut set = protox::compile(files, [proto])?;
    adapt(&mut set);
    for file in &mut set.file {
        file.service.clear();
    }
    prost_build::Config::new()
        .bytes(["."])
        .include_file("pb.rs")
        .compile_fds(set)?;
    Ok(())
}

fn adapt(set: &mut FileDescriptorSet) {
    for file in &mut set.file {
        for message in &mut file.message_type {
            adapt_message(message);
        }
    }
}

fn adapt_message(message: &mut DescriptorProto) {
    let name = message.name().to_owned();
    for field in &mut message.field {
        if RAW.contains(&(name.as_str(), field.name())) {
            field.set_type(Type::Bytes);
            field.type_name = None;
        }
        match field.name() {
            "peerURLs" => field.name = Some("peer_urls".into()),
            "clientURLs" => field.name = Some("client_urls".into()),
            _ => {}
        }
    }
}
