//! The workers: they claim jobs, run them through a [`Handler`], and enqueue what falls due.
//!
//! A job is a wake-up and never the truth: it may run twice, and whoever runs it reads what is to be done from the
//! business tables. What the queue promises is that a job whose business write committed is run at least once, by one
//! holder of a [`Lease`] at a time, and that one that keeps failing, or keeps killing its process, is parked while the
//! others go on. apalis drives the worker; attempts, leases and parking are ours (`billing_db::queue`).
//!
//! ```text
//! Workers::run ── apalis worker ── backend.rs  claims due jobs, as many as there are free places
//!       │                     └─── runner.rs   runs one: renews its lease, catches panics, writes the outcome
//!       └─────── chores.rs                     enqueues due ticks, reaps lost jobs, deletes old ones
//! ```

mod backend;
mod chores;
mod handler;
mod heartbeat;
mod job;
mod runner;
pub mod schedule;
mod worker;

pub use backend::Wake;
pub use billing_db::queue::Lease;
pub use handler::BillingHandler;
pub use heartbeat::Heartbeat;
pub use job::{Handler, Job, JobError};
pub use schedule::{Planned, Schedule, ScheduleError};
pub use worker::{WorkerSettings, Workers, WorkersError};
