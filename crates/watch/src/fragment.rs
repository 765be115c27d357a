//! Cutting a response that is too large into several, for watchers that can put them together again.

use model::pb::etcdserverpb::WatchResponse;
use prost::Message;
use prost::encoding::encoded_len_varint;
use std::collections::VecDeque;

/// What the gateway adds to a header: member, cluster and term, each a tag and a varint.
const HEADER_ADDITIONS: usize = 33;

/// Cuts `response` so that each piece stays below `bytes_max` or holds a single event. All but the last say that more
/// follows. A response that is small enough, or has one event, stays whole.
pub(crate) fn cut(response: WatchResponse, bytes_max: usize) -> VecDeque<WatchResponse> {
    if response.events.len() < 2 || response.encoded_len() + HEADER_ADDITIONS < bytes_max {
        return VecDeque::from([response]);
    }
    let WatchResponse { events, .. } = response;
    let piece = WatchResponse {
        events: Vec::new(),
        fragment: true,
        ..response
    };
    let piece_bytes = piece.encoded_len() + HEADER_ADDITIONS;
    let mut pieces = VecDeque::new();
    let mut current = piece.clone();
    let mut bytes = piece_bytes;
    for event in events {
        let event_bytes = 1 + encoded_len_varint(event.len() as u64) + event.len();
        if !current.events.is_empty() && bytes + event_bytes >= bytes_max {
            pieces.push_back(std::mem::replace(&mut current, piece.clone()));
            bytes = piece_bytes;
        }
        bytes += event_bytes;
        current.events.push(event);
    }
    current.fragment = false;
    pieces.push_back(current);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn response(events: &[usize]) -> WatchResponse {
        WatchResponse {
            watch_id: 7,
            events: events.iter().map(|len| Bytes::from(vec![1; *len])).collect(),
            ..Default::default()
        }
    }

    fn pieces(events: &[usize], bytes_max: usize) -> Vec<(Vec<usize>, bool)> {
        cut(response(events), bytes_max)
            .iter()
            .map(|piece| {
                assert_eq!(piece.watch_id, 7);
                (piece.events.iter().map(Bytes::len).collect(), piece.fragment)
            })
            .collect()
    }

    #[test]
    fn pieces_stay_below_the_limit_or_hold_one_event() {
        assert_eq!(pieces(&[10, 10], 1000), [(vec![10, 10], false)]);
        assert_eq!(pieces(&[5000], 1000), [(vec![5000], false)]);
        assert_eq!(
            pieces(&[400, 400, 400, 5000, 1], 1000),
            [
                (vec![400, 400], true),
                (vec![400], true),
                (vec![5000], true),
                (vec![1], false)
            ]
        );
    }
}
