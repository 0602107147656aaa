//! Stripe: what it posts, what it answers, and what that comes to as revenue of one invoice.
//!
//! Nothing here knows of commissions or of the database. An [`Event`] becomes [`Fact`]s, which whoever stores them
//! replaces by [`replaces`]; [`assess`] derives the revenue of an invoice from all facts about it. Derived, not
//! counted: duplicates, retries and order cannot matter.

mod assess;
mod client;
mod event;
mod facts;
mod lookup;
mod read;
mod reversal;
mod signature;
#[cfg(test)]
mod tests;
mod wire;

pub use assess::{Assessment, DisputePolicy, EligibleLine, Flag, Related, assess};
pub use client::{StripeClient, StripeError};
pub use event::{Envelope, Event, News, ParseError};
pub use facts::*;
pub use lookup::{Lookup, Question};
pub use reversal::Reversal;
pub use signature::{SignatureError, sign, verify};
