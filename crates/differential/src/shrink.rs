//! Cutting a history down to what still shows the difference.

use crate::compare::Difference;
use crate::step::Step;
use crate::trial::{Setup, Verdict};
use std::time::Duration;

/// Drops steps as long as the same request, or some watcher, is still answered differently; stops after `budget`.
/// `sent` is the history as it was sent when the difference showed. Each attempt has servers of its own. What comes back names revisions by number.
pub async fn shrink(
    setup: &Setup,
    history: &[Step],
    sent: &[Step],
    difference: Difference,
    budget: Duration,
) -> (Vec<Step>, Difference) {
    let kind = difference.kind(history);
    let last = difference.last_step(history);
    let mut least = history[..=last].to_vec();
    let mut sent = sent[..=last].to_vec();
    let mut shown = difference;
    let deadline = tokio::time::Instant::now() + budget;
    let mut chunk = least.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < least.len() {
            if tokio::time::Instant::now() > deadline {
                return (sent, shown);
            }
            let end = (at + chunk).min(least.len());
            let candidate = [&least[..at], &least[end..]].concat();
            match setup.play(&candidate).await {
                Ok(trial) => match trial.verdict {
                    Verdict::Differs(difference) if difference.kind(&candidate) == kind => {
                        let last = difference.last_step(&candidate);
                        sent = trial.sent[..=last].to_vec();
                        least = candidate[..=last].to_vec();
                        shown = difference;
                    }
                    _ => at = end,
                },
                Err(_) => at = end,
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    (sent, shown)
}
