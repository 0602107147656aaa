//! SQL of subscriptions and seat changes.

use billing_db::schema::{seat_change, subscription};
use billing_db::{Conn, DbError};
use billing_primitives::{CustomerId, OrganizationId, PlanId, SeatChangeId, SubscriptionId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{SeatChange, Subscription};
use crate::page::Page;

/// False when the external id is taken.
pub async fn insert(conn: &mut Conn, row: &Subscription) -> QueryResult<bool> {
    let written = diesel::insert_into(subscription::table)
        .values(row)
        .on_conflict((subscription::organization_id, subscription::external_id))
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(written == 1)
}

/// Writes the rows whose external ids are free, and says how many.
pub async fn insert_all(conn: &mut Conn, rows: &[Subscription]) -> QueryResult<usize> {
    diesel::insert_into(subscription::table)
        .values(rows)
        .on_conflict((subscription::organization_id, subscription::external_id))
        .do_nothing()
        .execute(conn)
        .await
}

pub async fn update_end(conn: &mut Conn, row: &Subscription) -> Result<(), DbError> {
    let written = diesel::update(subscription::table)
        .filter(subscription::organization_id.eq(row.organization_id))
        .filter(subscription::id.eq(row.id))
        .set(subscription::ends_on.eq(row.ends_on))
        .execute(conn)
        .await?;
    DbError::expect_rows("subscription", 1, written)
}

pub async fn by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[SubscriptionId],
) -> QueryResult<Vec<Subscription>> {
    subscription::table
        .filter(subscription::organization_id.eq(organization))
        .filter(subscription::id.eq_any(ids))
        .select(Subscription::as_select())
        .load(conn)
        .await
}

pub async fn by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<Subscription>> {
    subscription::table
        .filter(subscription::organization_id.eq(organization))
        .filter(subscription::external_id.eq(external_id))
        .select(Subscription::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn by_external_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    external_ids: &[&str],
) -> QueryResult<Vec<Subscription>> {
    subscription::table
        .filter(subscription::organization_id.eq(organization))
        .filter(subscription::external_id.eq_any(external_ids))
        .select(Subscription::as_select())
        .load(conn)
        .await
}

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<String>,
    customer: Option<CustomerId>,
) -> QueryResult<Vec<Subscription>> {
    let mut query = subscription::table
        .filter(subscription::organization_id.eq(organization))
        .order(subscription::external_id)
        .limit(page.limit())
        .select(Subscription::as_select())
        .into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(subscription::external_id.gt(after));
    }
    if let Some(customer) = customer {
        query = query.filter(subscription::customer_id.eq(customer));
    }
    query.load(conn).await
}

/// In the order of customer and external id.
pub async fn of_customers(
    conn: &mut Conn,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> QueryResult<Vec<Subscription>> {
    subscription::table
        .filter(subscription::organization_id.eq(organization))
        .filter(subscription::customer_id.eq_any(customers))
        .order((subscription::customer_id, subscription::external_id))
        .select(Subscription::as_select())
        .load(conn)
        .await
}

pub async fn of_customer_and_plan(
    conn: &mut Conn,
    organization: OrganizationId,
    customer: CustomerId,
    plan: PlanId,
) -> QueryResult<Vec<Subscription>> {
    subscription::table
        .filter(subscription::organization_id.eq(organization))
        .filter(subscription::customer_id.eq(customer))
        .filter(subscription::plan_id.eq(plan))
        .order(subscription::starts_on)
        .select(Subscription::as_select())
        .load(conn)
        .await
}

/// False when the external id is taken.
pub async fn insert_seat_change(conn: &mut Conn, row: &SeatChange) -> QueryResult<bool> {
    let written = diesel::insert_into(seat_change::table)
        .values(row)
        .on_conflict((seat_change::organization_id, seat_change::external_id))
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(written == 1)
}

/// Writes the rows whose external ids are free, and says how many.
pub async fn insert_seat_changes(conn: &mut Conn, rows: &[SeatChange]) -> QueryResult<usize> {
    diesel::insert_into(seat_change::table)
        .values(rows)
        .on_conflict((seat_change::organization_id, seat_change::external_id))
        .do_nothing()
        .execute(conn)
        .await
}

pub async fn seat_changes_by_external_ids<T: AsRef<str> + Sync>(
    conn: &mut Conn,
    organization: OrganizationId,
    external_ids: &[T],
) -> QueryResult<Vec<SeatChange>> {
    let external_ids: Vec<&str> = external_ids.iter().map(AsRef::as_ref).collect();
    seat_change::table
        .filter(seat_change::organization_id.eq(organization))
        .filter(seat_change::external_id.eq_any(external_ids))
        .select(SeatChange::as_select())
        .load(conn)
        .await
}

pub async fn seat_changes_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[SeatChangeId],
) -> QueryResult<Vec<SeatChange>> {
    seat_change::table
        .filter(seat_change::organization_id.eq(organization))
        .filter(seat_change::id.eq_any(ids))
        .select(SeatChange::as_select())
        .load(conn)
        .await
}

pub async fn seat_change_by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<SeatChange>> {
    seat_change::table
        .filter(seat_change::organization_id.eq(organization))
        .filter(seat_change::external_id.eq(external_id))
        .select(SeatChange::as_select())
        .first(conn)
        .await
        .optional()
}

/// In the order of recording.
pub async fn seat_changes(
    conn: &mut Conn,
    organization: OrganizationId,
    id: SubscriptionId,
    page: &Page<i32>,
) -> QueryResult<Vec<SeatChange>> {
    let mut query = seat_change::table
        .filter(seat_change::organization_id.eq(organization))
        .filter(seat_change::subscription_id.eq(id))
        .order(seat_change::sequence)
        .limit(page.limit())
        .select(SeatChange::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(seat_change::sequence.gt(after));
    }
    query.load(conn).await
}

/// By subscription, in the order in which they count.
pub async fn seat_changes_of(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[SubscriptionId],
) -> QueryResult<Vec<SeatChange>> {
    seat_change::table
        .filter(seat_change::organization_id.eq(organization))
        .filter(seat_change::subscription_id.eq_any(ids))
        .order((seat_change::subscription_id, seat_change::effective_on, seat_change::sequence))
        .select(SeatChange::as_select())
        .load(conn)
        .await
}
