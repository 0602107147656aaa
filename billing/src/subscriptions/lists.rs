//! Reads of subscriptions and seat changes: each in a transaction that writes nothing.

use billing_primitives::{CustomerId, OrganizationId, SeatChangeId, SubscriptionId};

use super::{SeatChange, Subscription, store};
use crate::Billing;
use crate::error::Error;
use crate::page::{Page, Slice};

/// A page of subscriptions in the order of their external ids, all of them or those of a customer.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<String>,
    customer: Option<CustomerId>,
) -> Result<Slice<Subscription>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page, customer).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[SubscriptionId],
) -> Result<Vec<Subscription>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<Subscription>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_external_id(conn, organization, external_id).await?)).await
}

/// All subscriptions of these customers, by customer and external id.
///
/// # Errors
/// Faults of the database.
pub async fn of_customers(
    billing: &Billing,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> Result<Vec<Subscription>, Error> {
    billing.db.read(organization, async |conn| Ok(store::of_customers(conn, organization, customers).await?)).await
}

/// A page of a subscription's seat changes in the order of recording.
///
/// # Errors
/// Faults of the database.
pub async fn seat_changes(
    billing: &Billing,
    organization: OrganizationId,
    id: SubscriptionId,
    page: &Page<i32>,
) -> Result<Slice<SeatChange>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::seat_changes(conn, organization, id, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// All seat changes of these subscriptions, by subscription and then in the order in which they count.
///
/// # Errors
/// Faults of the database.
pub async fn seat_changes_of(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[SubscriptionId],
) -> Result<Vec<SeatChange>, Error> {
    billing.db.read(organization, async |conn| Ok(store::seat_changes_of(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn seat_changes_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[SeatChangeId],
) -> Result<Vec<SeatChange>, Error> {
    billing.db.read(organization, async |conn| Ok(store::seat_changes_by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn seat_change_by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<SeatChange>, Error> {
    let work = async |conn: &mut _| Ok(store::seat_change_by_external_id(conn, organization, external_id).await?);
    billing.db.read(organization, work).await
}
