//! Answers that their clients have not taken yet. They lie in the body of the call or in HTTP/2's buffers, and the call
//! has long ended when the last byte leaves. So what counts them goes with the bytes: it is given back when nobody
//! holds a piece of them any more.

use crate::budget::{Budget, Reservation};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tonic::Status;

/// Answers below this size are not counted: the number of calls bounds them.
const COUNTED_FROM: usize = 4 << 10;

/// What a connection's answers may take: a part of what all may, so that one client that does not read leaves
/// something for others.
#[derive(Clone)]
pub(crate) struct Unread {
    all: Limit,
    connection: Limit,
}

#[derive(Clone)]
struct Limit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Limit {
    /// One answer alone may be of any size.
    fn hold(&self, bytes: usize) -> Result<Reservation, Status> {
        let mut held = Reservation::new(&self.budget);
        held.hold(bytes.min(self.bytes))?;
        Ok(held)
    }
}

impl Unread {
    /// For one more connection, where `all` of them together have `bytes_max` bytes.
    pub fn new(all: &Arc<Budget>, bytes_max: usize) -> Unread {
        let connection = bytes_max / 2;
        Unread {
            all: Limit {
                budget: Arc::clone(all),
                bytes: bytes_max,
            },
            connection: Limit {
                budget: Budget::new(connection),
                bytes: connection,
            },
        }
    }

    /// Counts an answer until it is sent, or refuses it as too many requests.
    pub fn count(&self, answer: Bytes) -> Result<Bytes, Status> {
        match self.hold(answer.len())? {
            None => Ok(answer),
            Some(held) => Ok(with(held, answer)),
        }
    }

    /// The same for an answer in several pieces.
    pub fn count_pieces(&self, pieces: VecDeque<Bytes>) -> Result<VecDeque<Bytes>, Status> {
        match self.hold(pieces.iter().map(Bytes::len).sum())? {
            None => Ok(pieces),
            Some(held) => Ok(pieces
                .into_iter()
                .map(|piece| with(Arc::clone(&held), piece))
                .collect()),
        }
    }

    fn hold(&self, bytes: usize) -> Result<Option<Arc<Held>>, Status> {
        if bytes < COUNTED_FROM {
            return Ok(None);
        }
        let held = [self.connection.hold(bytes)?, self.all.hold(bytes)?];
        Ok(Some(Arc::new(held)))
    }
}

/// The connection's part, and that of all.
type Held = [Reservation; 2];

/// Bytes, and what counts them.
struct Counted {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn with(held: Arc<Held>, bytes: Bytes) -> Bytes {
    Bytes::from_owner(Counted { bytes, _held: held })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn bytes_are_counted_until_the_last_piece_of_them_is_gone() {
        let all = Budget::new(4 * MIB);
        let unread = Unread::new(&all, 4 * MIB);
        let answer = || unread.count(Bytes::from(vec![7; MIB]));
        let mut first = answer().unwrap();
        let piece = first.split_to(10);
        let second = answer().unwrap();
        assert_eq!((piece.len(), first.len(), second.len()), (10, MIB - 10, MIB));
        drop(first);
        assert!(answer().is_err(), "a piece of the first is still held");
        drop(piece);
        assert_eq!(answer().unwrap(), vec![7; MIB]);
    }

    #[test]
    fn one_connection_leaves_something_for_others() {
        let all = Budget::new(4 * MIB);
        let [greedy, other] = [(); 2].map(|()| Unread::new(&all, 4 * MIB));
        let large = || Bytes::from(vec![7; 2 * MIB]);
        let _held = greedy.count(large()).unwrap();
        let refused = greedy.count(large()).unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many requests");
        assert!(greedy.count(Bytes::from_static(&[7; COUNTED_FROM - 1])).is_ok());
        let _also = other.count(large()).unwrap();
        assert!(Unread::new(&all, 4 * MIB).count(large()).is_err());
    }

    #[test]
    fn pieces_are_one_answer_and_one_answer_may_be_of_any_size() {
        let all = Budget::new(MIB);
        let unread = Unread::new(&all, MIB);
        let pieces: VecDeque<_> = (0..8u8).map(|n| Bytes::from(vec![n; MIB])).collect();
        let mut counted = unread.count_pieces(pieces.clone()).unwrap();
        assert_eq!(counted, pieces);
        counted.truncate(1);
        assert!(unread.count(Bytes::from(vec![7; COUNTED_FROM])).is_err());
        counted.clear();
        assert!(unread.count(Bytes::from(vec![7; COUNTED_FROM])).is_ok());
    }
}
