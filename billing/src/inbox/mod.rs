//! The inbox of Stripe's events: stored as they came, once each, and processed behind the answer.
//!
//! Receiving verifies and stores, nothing else, so that Stripe gets its 2xx whatever is inside. Processing turns an
//! event into facts, which are kept whether anybody earns on them or not, and derives the commissions they touch. An
//! event that cannot be processed is parked with its reason; any can be processed again.

mod backfill;
mod effects;
mod endpoints;
mod job;
mod process;
mod receive;
pub(crate) mod store;

use billing_db::Conn;
use billing_primitives::{CustomerId, OrganizationId, StripeEndpointId, Timestamp, text_enum};
use diesel::prelude::*;

pub use backfill::{BATCH, Backfilled, backfill};
pub use endpoints::{
    Account, Endpoint, NewEndpoint, account, add_endpoint, endpoints, endpoints_by_ids, replace_secrets, set_account,
};
pub use job::{EventJob, KIND, MAX_ATTEMPTS, retry_open};
pub use process::{Processed, process};
pub use receive::{Received, Rejected, receive, reject};

use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::{Applied, Billing, Caller, audit};

text_enum! {
    /// How far an event is.
    pub enum EventStatus { Received = "RECEIVED", Processed = "PROCESSED", Parked = "PARKED" }
}

text_enum! {
    /// Why an event is parked, or why a processed one came to nothing.
    pub enum EventReason {
        /// The signature was good and the body is not to be understood.
        Unreadable = "UNREADABLE",
        /// A test event at a live organization, or the other way round: quarantined.
        LivemodeMismatch = "LIVEMODE_MISMATCH",
        /// Stripe has to be asked, and no key is set.
        LookupNeeded = "LOOKUP_NEEDED",
        /// Stripe was asked and gave no answer.
        LookupFailed = "LOOKUP_FAILED",
        /// Money went back on a payment of which no invoice is known yet.
        NoInvoice = "NO_INVOICE",
        /// A payment of which no invoice was known within a day, or an event of a connected account.
        NotOurs = "NOT_OURS",
        /// A fault of ours.
        Failed = "FAILED",
        /// A type of event that nothing follows from.
        UnusedType = "UNUSED_TYPE",
        UnknownCustomer = "UNKNOWN_CUSTOMER",
        CurrencyMismatch = "CURRENCY_MISMATCH",
        NoProgram = "NO_PROGRAM",
        NotEnrolled = "NOT_ENROLLED",
        Wholesale = "WHOLESALE",
        PriceMissing = "PRICE_MISSING",
        /// The lines of the invoice do not add up to it: nothing is earned.
        TotalsDiffer = "TOTALS_DIFFER",
        /// The invoice holds no subscription revenue that was paid in money: nothing is earned on it.
        NoRevenue = "NO_REVENUE",
    }
}

/// An event as Stripe sent it, and what became of it.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::stripe_event)]
pub struct StripeEvent {
    pub event_id: String,
    pub endpoint_id: StripeEndpointId,
    /// Such as `invoice.paid`.
    pub kind: String,
    pub api_version: Option<String>,
    pub livemode: bool,
    /// Stripe's id of the customer it is about, as far as it says.
    pub customer: Option<String>,
    pub occurred_at: Timestamp,
    pub received_at: Timestamp,
    /// As it was signed.
    pub body: String,
    pub status: EventStatus,
    pub reason: Option<EventReason>,
    pub detail: Option<String>,
    pub attempts: i32,
    pub processed_at: Option<Timestamp>,
}

/// Which events a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub status: Option<EventStatus>,
    pub reason: Option<EventReason>,
    pub customer: Option<String>,
}

/// A page of events, in the order of their ids.
///
/// # Errors
/// Faults of the database.
pub async fn events(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<String>,
    filter: &EventFilter,
) -> Result<Slice<StripeEvent>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::events(conn, organization, page, filter).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn events_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[String],
) -> Result<Vec<StripeEvent>, Error> {
    billing.db.read(organization, async |conn| Ok(store::events_by_ids(conn, organization, ids).await?)).await
}

/// Processes events again: those named, or every parked one with the reason given. Facts replace facts and differences
/// are booked, so that it never counts twice. Returns how many will be processed.
///
/// # Errors
/// [`Refusal::NotFound`] for an event that is not there; [`Refusal::Invalid`] when neither is given.
pub async fn replay(
    billing: &Billing,
    caller: &Caller,
    ids: &[String],
    reason: Option<EventReason>,
) -> Result<Applied<i64>, Error> {
    let organization = caller.organization;
    if ids.is_empty() && reason.is_none() {
        return Err(Refusal::invalid("events", "name events, or the reason for which they are parked").into());
    }
    let work = async |conn: &mut Conn| {
        let now = billing.clock.now(conn).await?;
        let found = store::reopen(conn, organization, ids, reason).await?;
        if let Some(missing) = ids.iter().find(|id| !found.contains(id)) {
            return Err(Refusal::not_found("events", "Stripe event", missing).into());
        }
        job::enqueue(conn, organization, &found).await?;
        let details = serde_json::json!({ "events": ids, "reason": reason, "found": found.len() });
        audit::record(conn, caller, now, "stripe.replay", organization, details).await?;
        Ok(i64::try_from(found.len()).unwrap_or(i64::MAX))
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// Opens the events of customers again of which nothing could be earned, now that something about them changed.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn look_again(
    conn: &mut Conn,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> Result<(), Error> {
    let events = store::reopen_of_customers(conn, organization, customers).await?;
    job::enqueue(conn, organization, &events).await
}
