//! SQL of commissions: the facts they follow from, who earns on whom, and what is booked.

pub mod by_hand;
pub mod conversions;
pub mod entries;
pub mod facts;
pub mod reads;
pub mod rows;
pub mod standing;
