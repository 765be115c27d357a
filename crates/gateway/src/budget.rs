//! Memory that clients make this member hold: requests on their way in, before it is known what they ask for, and
//! answers on their way out, for as long as they are not read (see [`crate::unread`]).

use crate::rejected;
use model::Rejection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tonic::Status;

/// What is held is counted in these steps, and less than a quarter of one not at all: the number of calls bounds that.
const STEP: usize = 16 * 1024;
const QUARTER: usize = STEP / 4;

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

    /// Makes it as large as what is held now, or refuses as overloaded. A request that arrives in one piece never comes
    /// here, so that its way stays free of memory that all threads write to.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Status> {
        let bytes = match bytes {
            ..QUARTER => 0,
            bytes => bytes.div_ceil(STEP) * STEP,
        };
        if bytes > self.held {
            let more = bytes - self.held;
            self.budget
                .left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(more))
                .map_err(|_| rejected(Rejection::TooManyRequests))?;
        } else if bytes < self.held {
            self.budget.left.fetch_add(self.held - bytes, Relaxed);
        }
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
    fn those_who_hold_much_share_what_there_is_and_give_it_back() {
        let budget = Budget::new(3 * STEP);
        let mut first = Reservation::new(&budget);
        first.hold(STEP).unwrap();
        first.hold(STEP + 1).unwrap();
        let mut second = Reservation::new(&budget);
        assert_eq!(
            second.hold(2 * STEP).unwrap_err().message(),
            "etcdserver: too many requests"
        );
        second.hold(STEP).unwrap();
        let mut small = Reservation::new(&budget);
        small.hold(QUARTER - 1).unwrap();
        assert!(small.hold(QUARTER).is_err());
        first.hold(0).unwrap();
        second.hold(3 * STEP).unwrap();
        drop(second);
        assert_eq!(budget.left.load(Relaxed), 3 * STEP);
    }
}
