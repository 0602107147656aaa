//! What every test on PostgreSQL stands on: one private cluster per test program, and an organization per story.
//!
//! Organizations are independent, so stories run beside each other in one database. `AVANCE_TEST_DATABASE_URL` names a
//! server to use instead of the private cluster.

#![expect(clippy::expect_used, reason = "a test ends where something that it needs is not there")]

mod affiliate;
mod app;
mod cluster;
mod crowd;
pub mod desk;
pub mod events;
pub mod scheme;
pub mod source;
pub mod stub;

pub use affiliate::{percent, plain_terms};
pub use app::{App, date, dkk, eur, folder_as, month};
pub use cluster::{Statements, World, console, story, world};
