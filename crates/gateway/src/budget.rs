//! Memory for requests that are on their way in: what all connections together may fill before it is known what the
//! requests ask for.

use crate::rejected;
use model::Rejection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tonic::Status;

/// Messages below this size are not counted: the number of calls bounds them, and their way stays free of memory that
/// all threads write to.
const SMALL: usize = 64 * 1024;

/// What is left.
pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// Of so many bytes.
    pub fn new(bytes: usize) -> Arc<Budget> {
        Arc::new(Budget {
            left: AtomicUsize::new(bytes),
        })
    }
}

/// One request's part, given back when dropped.
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    held: usize,
}

impl Reservation {
    /// Of nothing, at first.
    pub fn new(budget: &Arc<Budget>) -> Reservation {
        Reservation {
            budget: Arc::clone(budget),
            held: 0,
        }
    }

    /// Makes it at least this large, or refuses as overloaded.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        if bytes < SMALL || bytes <= self.held {
            return Ok(());
        }
        let more = bytes - self.held;
        self.budget
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(more))
            .map_err(|_| rejected(Rejection::TooManyRequests))?;
        self.held = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held > 0 {
            self.budget.left.fetch_add(self.held, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_requests_share_what_there_is_and_give_it_back() {
        let budget = Budget::new(3 * SMALL);
        let mut first = Reservation::new(&budget);
        first.grow(SMALL).unwrap();
        first.grow(2 * SMALL).unwrap();
        let mut second = Reservation::new(&budget);
        assert_eq!(
            second.grow(2 * SMALL).unwrap_err().message(),
            "etcdserver: too many requests"
        );
        second.grow(SMALL - 1).unwrap();
        second.grow(SMALL).unwrap();
        drop(first);
        second.grow(3 * SMALL).unwrap();
        drop(second);
        assert_eq!(budget.left.load(Relaxed), 3 * SMALL);
    }
}
