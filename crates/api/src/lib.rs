//! gRPC services and clients generated from proto/. Holds no logic and no message of its own but the peers'.

#![allow(clippy::all, missing_docs)]

include!(concat!(env!("OUT_DIR"), "/services.rs"));

pub use model::pb::{authpb, membershippb, mvccpb};

/// The compiled proto/ files, as a serialized `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
