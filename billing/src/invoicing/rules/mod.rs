//! What a month costs. Pure: no I/O, no clock; each amount is rounded where its golden rule says so and nowhere else.

pub mod amounts;
pub mod corrections;
pub mod totals;
pub mod usage;
