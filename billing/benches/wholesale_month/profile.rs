//! Where a run's time goes: each moment counts for the statement that was sent last, so that a statement's share includes
//! what the program does with its answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use billing_db::Observer;

use crate::figures::{decimal, processor_ticks};

/// Time by statement since the last report.
#[derive(Clone, Default)]
pub struct Profile(Arc<Mutex<Times>>);

#[derive(Default)]
struct Times {
    by_statement: HashMap<String, (u64, Duration)>,
    last: Option<(String, Instant)>,
    ticks: u64,
}

impl Times {
    fn sent(&mut self, statement: &str) {
        let now = Instant::now();
        if let Some((last, at)) = self.last.take() {
            let entry = self.by_statement.entry(last).or_default();
            entry.0 += 1;
            entry.1 += now.duration_since(at);
        }
        let words: Vec<&str> = statement.split_whitespace().collect();
        self.last = Some((words.join(" ").chars().take(100).collect(), now));
    }
}

impl Profile {
    pub fn observer(&self) -> Observer {
        let times = Arc::clone(&self.0);
        Arc::new(move |statement| times.lock().unwrap_or_else(PoisonError::into_inner).sent(statement))
    }

    /// Forgets what was before the run.
    pub fn begin(&self) {
        let ticks = processor_ticks().unwrap_or(0);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Times { ticks, ..Times::default() };
    }

    /// Tells where the time since [`Profile::begin`] went, but for statements below half a percent.
    pub fn print(&self, run: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.sent("");
        let ticks = processor_ticks().unwrap_or(0).saturating_sub(times.ticks);
        println!("  processor time of this process: {} s", decimal(u128::from(ticks), 100));
        let mut all: Vec<_> = times.by_statement.drain().filter(|(_, (_, took))| *took * 200 > run).collect();
        all.sort_by_key(|(_, (_, took))| std::cmp::Reverse(*took));
        for (statement, (count, took)) in all {
            println!("  {:>7} ms {count:>5} x {statement}", took.as_millis());
        }
    }
}
