//! What waits to be sent to one member.

use bytes::{Buf, Bytes};
use model::MemberId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// As many messages may wait. A member that is alive empties the queue with each frame.
const MESSAGES_MAX: usize = 4096;

/// As many bytes may wait, unless one message alone is larger.
const BYTES_MAX: usize = 64 << 20;

/// One frame carries as much, unless one message alone is larger: later messages must not wait for it too long.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A bounded queue of raft messages. Whatever waits when the connection can take more goes out in one frame.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    overflowed: Notify,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    /// Adds messages. Those that do not fit are dropped: raft repeats what matters, and newer ones would only make the
    /// older ones useless once they have waited that long.
    pub(crate) fn push(&self, messages: Vec<Bytes>) {
        let mut queue = self.queue.lock();
        for message in messages {
            let full = queue.messages.len() >= MESSAGES_MAX || queue.bytes + message.len() > BYTES_MAX;
            if full && !queue.messages.is_empty() {
                self.overflowed.notify_one();
                break;
            }
            queue.bytes += message.len();
            queue.messages.push_back(message);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Waits for messages and takes as many as one frame carries. For one caller at a time.
    pub(crate) async fn batch(&self) -> Vec<Bytes> {
        loop {
            let batch = self.take();
            if !batch.is_empty() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self) -> Vec<Bytes> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        let mut count = 0;
        for message in &queue.messages {
            if count > 0 && bytes + message.len() > BATCH_BYTES_MAX {
                break;
            }
            bytes += message.len();
            count += 1;
        }
        queue.bytes -= bytes;
        queue.messages.drain(..count).collect()
    }

    /// Waits until messages were dropped.
    pub(crate) fn overflowed(&self) -> Notified<'_> {
        self.overflowed.notified()
    }

    /// Drops all that waits.
    pub(crate) fn clear(&self) {
        *self.queue.lock() = Queue::default();
    }
}

/// The member in whose name a raft message is sent: its field 3. `None` if it cannot be found.
pub(crate) fn sender_of(message: &Bytes) -> Option<MemberId> {
    let mut rest = &message[..];
    while rest.has_remaining() {
        let tag = prost::encoding::decode_varint(&mut rest).ok()?;
        match tag & 7 {
            0 => {
                let value = prost::encoding::decode_varint(&mut rest).ok()?;
                if tag >> 3 == 3 {
                    return Some(MemberId(value));
                }
            }
            2 => {
                let length = usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?;
                rest = rest.get(length..)?;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn message(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn what_waits_goes_out_together_up_to_a_bound() {
        let outbox = Outbox::default();
        assert!(outbox.batch().now_or_never().is_none());
        outbox.push(vec![
            message(600 << 10),
            message(100),
            message(600 << 10),
            message(5 << 20),
            message(1),
        ]);
        let sizes = |batch: Vec<Bytes>| batch.iter().map(Bytes::len).collect::<Vec<_>>();
        let next = || outbox.batch().now_or_never().map(sizes);
        assert_eq!(next(), Some(vec![600 << 10, 100]));
        assert_eq!(next(), Some(vec![600 << 10]));
        assert_eq!(next(), Some(vec![5 << 20]));
        assert_eq!(next(), Some(vec![1]));
        assert_eq!(next(), None);
    }

    #[test]
    fn the_newest_are_dropped_when_it_is_full_and_that_is_reported() {
        let outbox = Outbox::default();
        outbox.push((0..MESSAGES_MAX).map(|_| message(1)).collect());
        assert!(outbox.overflowed().now_or_never().is_none());
        outbox.push(vec![message(2)]);
        assert!(outbox.overflowed().now_or_never().is_some());
        let batch = outbox.batch().now_or_never().expect("messages");
        assert!(batch.len() == MESSAGES_MAX && batch.iter().all(|message| message.len() == 1));

        outbox.push(vec![message(BYTES_MAX + 1)]);
        assert!(
            outbox.overflowed().now_or_never().is_none(),
            "one message may be larger than all"
        );
        outbox.push(vec![message(1)]);
        assert!(outbox.overflowed().now_or_never().is_some());
        outbox.clear();
        assert!(outbox.batch().now_or_never().is_none());
    }

    #[test]
    fn the_sender_is_read_from_the_message() {
        let bytes = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert_eq!(
            sender_of(&bytes(b"\x08\x03\x10\x02\x18\x87\x01\x20\x05")),
            Some(MemberId(0x87))
        );
        assert_eq!(sender_of(&bytes(b"\x3a\x02ab\x18\x07")), Some(MemberId(7)));
        for none in [
            &b""[..],
            b"\x08\x03",
            b"\x18",
            b"\x3a\x7f",
            b"\x0b\x18\x07",
            b"\x18\xff\xff",
        ] {
            assert_eq!(sender_of(&Bytes::from_static(none)), None, "{none:?}");
        }
    }
}
