//! Hands a large response on in pieces. What is handed to HTTP/2 at once is queued as a whole: on a connection that is
//! busy, a watch event would wait behind all megabytes of each range that was answered before it.

use bytes::Bytes;

/// Bytes of a piece: one DATA frame of HTTP/2's default size, after which the next stream has its turn.
const PIECE_BYTES: usize = 16 << 10;

/// What is left of the data that is being sent.
#[derive(Default)]
pub(crate) struct Pieces {
    rest: Bytes,
}

impl Pieces {
    /// Begins with new data; the data before must have been sent. Gives its first piece.
    pub fn begin(&mut self, mut data: Bytes) -> Bytes {
        let piece = data.split_to(data.len().min(PIECE_BYTES));
        self.rest = data;
        piece
    }

    /// The next piece of what was begun.
    pub fn next(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        Some(self.begin(rest))
    }

    /// Whether all has been given.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_small_and_together_the_whole() {
        for len in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7] {
            let data: Bytes = (0..len).map(|at| at as u8).collect();
            let mut pieces = Pieces::default();
            let mut all = pieces.begin(data.clone()).to_vec();
            assert!(all.len() <= PIECE_BYTES);
            while let Some(piece) = pieces.next() {
                assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
                all.extend_from_slice(&piece);
            }
            assert!(pieces.is_empty());
            assert_eq!(all, data);
        }
    }
}
