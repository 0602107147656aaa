//! What a source earns for each level of partners, and where that amount stands. Pure: no I/O, no clock.
//!
//! [`targets`] says what the commissions of a source should come to from everything known; [`buckets::book`] says which
//! steps lead there from what is booked. Both are functions of their arguments alone, so neither the order of facts
//! nor their repetition can matter.

pub mod buckets;
pub mod clawback;
pub mod levels;
pub mod phase;
pub mod reward;
pub mod state;
pub mod target;
pub mod timing;
pub mod version;

pub use buckets::{Buckets, EntryKind, Standing, Step, book};
pub use clawback::Share;
pub use reward::SourceLine;
pub use state::{CommissionState, state};
pub use target::{Deal, Earner, Source, Target, targets};
pub use timing::{cancelled_inside, payable_at};
pub use version::{VersionFrom, in_force};
