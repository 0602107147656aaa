//! SQL of customers and their owners.

use billing_db::schema::{customer, customer_owner};
use billing_db::{Conn, DbError};
use billing_primitives::{CustomerId, Date, OrganizationId, PartnerId, Timestamp};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Customer, Ownership};
use crate::page::Page;

/// False when the external id or the id at Stripe is taken.
pub async fn insert(conn: &mut Conn, row: &Customer) -> QueryResult<bool> {
    let written = diesel::insert_into(customer::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(written == 1)
}

/// Writes the rows whose external ids are free, and says how many.
pub async fn insert_all(conn: &mut Conn, rows: &[Customer]) -> QueryResult<usize> {
    diesel::insert_into(customer::table).values(rows).on_conflict_do_nothing().execute(conn).await
}

pub async fn insert_owners(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &[Ownership],
    now: Timestamp,
) -> Result<(), DbError> {
    let values: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                customer_owner::organization_id.eq(organization),
                customer_owner::customer_id.eq(row.customer_id),
                customer_owner::owned_from.eq(row.owned_from),
                customer_owner::partner_id.eq(row.partner_id),
                customer_owner::created_at.eq(now),
            )
        })
        .collect();
    let written = diesel::insert_into(customer_owner::table).values(values).execute(conn).await?;
    DbError::expect_rows("customer_owner", rows.len(), written)
}

pub async fn update(conn: &mut Conn, row: &Customer) -> Result<(), DbError> {
    let written = diesel::update(customer::table)
        .filter(customer::organization_id.eq(row.organization_id))
        .filter(customer::id.eq(row.id))
        .set((
            customer::name.eq(&row.name),
            customer::country.eq(&row.country),
            customer::email.eq(&row.email),
            customer::stripe_customer_id.eq(&row.stripe_customer_id),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("customer", 1, written)
}

pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: CustomerId) -> QueryResult<Option<Customer>> {
    customer::table
        .filter(customer::organization_id.eq(organization))
        .filter(customer::id.eq(id))
        .select(Customer::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Locks them in the order of their ids.
pub async fn lock_all(conn: &mut Conn, organization: OrganizationId, ids: &[CustomerId]) -> QueryResult<Vec<Customer>> {
    customer::table
        .filter(customer::organization_id.eq(organization))
        .filter(customer::id.eq_any(ids))
        .order(customer::id)
        .select(Customer::as_select())
        .for_no_key_update()
        .load(conn)
        .await
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[CustomerId]) -> QueryResult<Vec<Customer>> {
    customer::table
        .filter(customer::organization_id.eq(organization))
        .filter(customer::id.eq_any(ids))
        .select(Customer::as_select())
        .load(conn)
        .await
}

pub async fn by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<Customer>> {
    customer::table
        .filter(customer::organization_id.eq(organization))
        .filter(customer::external_id.eq(external_id))
        .select(Customer::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn by_stripe_id(
    conn: &mut Conn,
    organization: OrganizationId,
    stripe_customer: &str,
) -> QueryResult<Option<Customer>> {
    customer::table
        .filter(customer::organization_id.eq(organization))
        .filter(customer::stripe_customer_id.eq(stripe_customer))
        .select(Customer::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn by_external_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    external_ids: &[&str],
) -> QueryResult<Vec<Customer>> {
    customer::table
        .filter(customer::organization_id.eq(organization))
        .filter(customer::external_id.eq_any(external_ids))
        .select(Customer::as_select())
        .load(conn)
        .await
}

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<String>,
    owned_by: Option<(PartnerId, Date)>,
) -> QueryResult<Vec<Customer>> {
    let mut query = customer::table
        .filter(customer::organization_id.eq(organization))
        .order(customer::external_id)
        .limit(page.limit())
        .select(Customer::as_select())
        .into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(customer::external_id.gt(after));
    }
    if let Some((partner, day)) = owned_by {
        let later = diesel::alias!(customer_owner as later);
        let handed_over = later
            .filter(later.field(customer_owner::organization_id).eq(organization))
            .filter(later.field(customer_owner::customer_id).eq(customer_owner::customer_id))
            .filter(later.field(customer_owner::owned_from).gt(customer_owner::owned_from))
            .filter(later.field(customer_owner::owned_from).le(day));
        let owned = customer_owner::table
            .filter(customer_owner::organization_id.eq(organization))
            .filter(customer_owner::customer_id.eq(customer::id))
            .filter(customer_owner::partner_id.eq(partner))
            .filter(customer_owner::owned_from.le(day))
            .filter(not(exists(handed_over)));
        query = query.filter(exists(owned));
    }
    query.load(conn).await
}

/// In the order of customer and day.
pub async fn owners_of(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CustomerId],
) -> QueryResult<Vec<Ownership>> {
    customer_owner::table
        .filter(customer_owner::organization_id.eq(organization))
        .filter(customer_owner::customer_id.eq_any(ids))
        .order((customer_owner::customer_id, customer_owner::owned_from))
        .select(Ownership::as_select())
        .load(conn)
        .await
}

/// Whether the partner owns the customer on some day.
pub async fn is_ever_owned_by(
    conn: &mut Conn,
    organization: OrganizationId,
    id: CustomerId,
    partner: PartnerId,
) -> QueryResult<bool> {
    let owned = customer_owner::table
        .filter(customer_owner::organization_id.eq(organization))
        .filter(customer_owner::customer_id.eq(id))
        .filter(customer_owner::partner_id.eq(partner));
    diesel::select(exists(owned)).get_result(conn).await
}
