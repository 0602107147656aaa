//! Commissions: what partners earn on what customers paid, derived from stored facts and booked as differences.
//!
//! [`derive::derive`] is the only way to a commission: it loads what a source follows from, decides what every level
//! should come to, and books the difference.

pub mod again;
pub mod book;
pub mod by_hand;
pub mod conversions;
pub(crate) mod decide;
pub(crate) mod derive;
pub mod reads;
pub mod rules;
pub(crate) mod situation;
pub(crate) mod store;

use billing_db::Conn;
use billing_primitives::CustomerId;

use crate::caller::Caller;
use crate::error::Error;
use crate::{Billing, inbox, organizations};

pub use book::{Commission, Entry, SourceKind};
pub use conversions::{Conversion, ConversionSource, ReportedConversion, record_conversion};
pub use decide::Skipped;
pub use reads::{
    CommissionFilter, InPayout, SourceEvent, by_ids, entries_by_ids, entries_of, in_payouts, list, source_events,
};
pub use rules::{CommissionState, EntryKind};
pub use situation::SourceKey;

/// Derives the commissions of these customers again after what they rest on changed: their attribution, their id at
/// Stripe, or which plan a Stripe price means. `cause` names the command for the entries that are booked.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn customers_changed(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    customers: &[CustomerId],
    cause: &str,
) -> Result<(), Error> {
    let organization = caller.organization;
    let zone = organizations::current(conn, organization).await?.time_zone;
    let now = billing.clock.now(conn).await?;
    let asked = situation::Asked { customers, ..situation::Asked::default() };
    let cause = derive::Cause { cause, actor: &caller.actor.to_string() };
    derive::derive(conn, organization, &zone, now, asked, cause).await?;
    // Events that came to nothing may say more now than what they left as facts.
    inbox::look_again(conn, organization, customers).await
}
