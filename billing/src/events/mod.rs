//! The outbox: what happened, written in the transaction in which it happened, for whoever delivers it.

mod store;

use billing_db::Conn;
use billing_primitives::{EventId, OrganizationId, Timestamp};
use diesel::prelude::*;

use crate::Billing;
use crate::error::Error;
use crate::page::{Page, Slice};

/// Kinds of events, as the API names them.
pub mod kind {
    pub const INVOICE_OVERDUE: &str = "invoice.overdue";
    pub const INVOICE_PAID: &str = "invoice.paid";
    pub const PAYMENT_RECORDED: &str = "payment.recorded";
    pub const PAYMENT_REVERSED: &str = "payment.reversed";
    pub const PAYOUT_FAILED: &str = "payout.failed";
    pub const PAYOUT_PAID: &str = "payout.paid";
}

/// Something that happened to one object, as it stands in the outbox.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::event)]
pub struct Event {
    pub id: EventId,
    pub kind: String,
    /// The object's id.
    pub subject: String,
    pub payload: serde_json::Value,
    pub created_at: Timestamp,
}

/// Which events a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    pub kind: Option<String>,
    pub subject: Option<String>,
}

/// A page of events, the ones that happened last first.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<EventId>,
    filter: &EventFilter,
) -> Result<Slice<Event>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page, filter).await?))
        .await?;
    Ok(page.slice(rows))
}

/// Events by their ids, in no order.
///
/// # Errors
/// Faults of the database.
pub async fn by_ids(billing: &Billing, organization: OrganizationId, ids: &[EventId]) -> Result<Vec<Event>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// Something that happened to one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewEvent {
    pub kind: &'static str,
    /// The object's id.
    pub subject: String,
    pub payload: serde_json::Value,
}

impl NewEvent {
    pub fn new(kind: &'static str, subject: impl ToString, payload: serde_json::Value) -> NewEvent {
        NewEvent { kind, subject: subject.to_string(), payload }
    }
}

/// Writes events in one statement; one that may happen only once and did is left out. Returns how many are new.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn record(
    conn: &mut Conn,
    organization: OrganizationId,
    now: Timestamp,
    events: &[NewEvent],
) -> Result<usize, Error> {
    if events.is_empty() {
        return Ok(0);
    }
    Ok(store::insert(conn, organization, now, events).await?)
}
