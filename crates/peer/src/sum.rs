//! Checksums of what members send each other. Without TLS nothing else notices a bit that a network card or a router on
//! the way has changed: those of TCP and Ethernet are made anew at every hop, and catch one damage of some ten thousand.

use api::quorate::peer::{RaftBatch, SnapshotBegin};

/// CRC-32C of each part with its length, so that bytes cannot move from one to the next.
#[derive(Default)]
struct Sum(u32);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, &(bytes.len() as u64).to_le_bytes());
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }
}

/// What [`RaftBatch::crc`] must be.
pub(crate) fn of_batch(batch: &RaftBatch) -> u32 {
    let mut sum = Sum::default();
    batch.messages.iter().for_each(|message| sum.add(message));
    sum.0
}

/// What [`SnapshotBegin::crc`] must be.
pub(crate) fn of_begin(begin: &SnapshotBegin) -> u32 {
    let mut sum = Sum::default();
    sum.add(&begin.id.to_le_bytes());
    sum.add(&begin.message);
    for file in &begin.files {
        sum.add(file.name.as_bytes());
        sum.add(&file.bytes.to_le_bytes());
    }
    sum.0
}
