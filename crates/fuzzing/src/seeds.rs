//! Where mutations begin: inputs that are sound, made by the product's own encoders.

mod files;
mod network;
mod requests;
mod texts;

/// The inputs of a target, by name; those of certificates are other ones at each call.
pub fn seeds(target: &str) -> Vec<(&'static str, Vec<u8>)> {
    match target {
        "answers" => network::answers(),
        "apply" => requests::apply(),
        "backup" => files::backup(),
        "certificates" => files::certificates(),
        "dns" => network::dns(),
        "flags" => texts::flags(),
        "gateway" => network::gateway(),
        "json" => texts::json(),
        "link" => network::link(),
        "peer" => network::peer(),
        "raft" => network::raft(),
        "requests" => requests::requests(),
        "rows" => files::rows(),
        "store" => files::store(),
        "tokens" => texts::tokens(),
        "wal" => files::wal(),
        "words" => texts::words(),
        "yaml" => texts::yaml(),
        other => panic!("there is no target {other}"),
    }
}

/// A byte in front.
fn with(kind: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(bytes.as_ref());
    out
}

/// Behind its length, as [`crate::wire::Input::piece`] reads it.
fn put_piece(out: &mut Vec<u8>, piece: &[u8]) {
    out.extend((piece.len() as u16).to_le_bytes());
    out.extend_from_slice(piece);
}
