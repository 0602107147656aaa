//! The wake-up for an event: enqueued in the transaction that stores it, so that neither exists without the other.

use billing_db::Conn;
use billing_db::queue::{self, NewJob};
use billing_primitives::OrganizationId;
use serde::{Deserialize, Serialize};

use super::store;
use crate::Billing;
use crate::error::Error;

/// The name of the kind in the queue; it is stored, so it never changes.
pub const KIND: &str = "stripe_event";

/// Claims after which a wake-up is parked.
pub const MAX_ATTEMPTS: i32 = 8;

/// For how long an event waits for its invoice, in seconds.
pub(super) const WAITS: i64 = 86_400;

/// Open events that one sweep wakes at most.
const SWEPT: i64 = 5_000;

/// What a worker is told: the payload in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventJob {
    pub event: String,
}

impl EventJob {
    /// The wake-up as the queue takes it. It has no unique key: one that runs already may have read too early.
    pub fn of(&self, organization: OrganizationId) -> NewJob {
        NewJob {
            kind: KIND.to_owned(),
            organization: Some(organization),
            payload: serde_json::json!(self),
            unique_key: None,
            run_at: None,
            max_attempts: MAX_ATTEMPTS,
        }
    }
}

/// # Errors
/// Faults of the database.
pub(super) async fn enqueue(conn: &mut Conn, organization: OrganizationId, events: &[String]) -> Result<(), Error> {
    let jobs: Vec<NewJob> = events.iter().map(|event| EventJob { event: event.clone() }.of(organization)).collect();
    queue::enqueue_all(conn, &jobs).await?;
    Ok(())
}

/// Wakes the events that wait for an invoice or for an answer of Stripe's; returns how many. A sweep on schedule: what an
/// event waited for may have come by another way.
///
/// # Errors
/// Faults of the database.
pub async fn retry_open(billing: &Billing, organization: OrganizationId) -> Result<usize, Error> {
    let work = async |conn: &mut Conn| {
        let open = store::open_events(conn, organization, SWEPT).await?;
        enqueue(conn, organization, &open).await?;
        Ok(open.len())
    };
    billing.db.scoped(organization, work).await
}
