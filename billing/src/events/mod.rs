//! The outbox: what happened, written in the transaction in which it happened, for whoever delivers it.

mod store;

use billing_db::Conn;
use billing_primitives::{OrganizationId, Timestamp};

use crate::error::Error;

/// Kinds of events, as the API names them.
pub mod kind {
    pub const INVOICE_OVERDUE: &str = "invoice.overdue";
    pub const INVOICE_PAID: &str = "invoice.paid";
    pub const PAYMENT_RECORDED: &str = "payment.recorded";
    pub const PAYMENT_REVERSED: &str = "payment.reversed";
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

/// # Errors
/// Faults of the database.
pub(crate) async fn record(
    conn: &mut Conn,
    organization: OrganizationId,
    now: Timestamp,
    kind: &'static str,
    subject: impl ToString,
    payload: serde_json::Value,
) -> Result<(), Error> {
    record_all(conn, organization, now, &[NewEvent::new(kind, subject, payload)]).await.map(|_| ())
}

/// Writes many events in one statement; one that may happen only once and did is left out. Returns how many are new.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn record_all(
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
