//! The sign of life of the workers of a process, for its health endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the workers last got through to the queue: by asking it for jobs or by renewing a lease.
///
/// Measured by the process's own steady clock, so that a wall clock that is set back or forth changes nothing.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    made: Instant,
    /// Milliseconds after `made`, plus one; 0: never.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    pub(crate) fn beat(&self) {
        let since = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(since + 1, Ordering::Relaxed);
    }

    /// How long ago the last beat was; none before the first.
    ///
    /// Idle workers beat each second, busy ones three times a lease: older than a lease means that something is wrong.
    pub fn age(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.made.elapsed().saturating_sub(Duration::from_millis(last)))
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat { made: Instant::now(), last: Arc::new(AtomicU64::new(0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_age_before_the_first_beat() {
        let heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.age(), None);
        heartbeat.clone().beat();
        assert!(heartbeat.age().unwrap() < Duration::from_secs(5));
    }
}
