//! SQL of attributions; rows are only ever added.

use billing_db::Conn;
use billing_db::schema::{attribution, commission, customer, stripe_fact};
use billing_primitives::{AttributionId, CustomerId, OrganizationId};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::by_ids;
use crate::attribution::Attribution;
use crate::page::Page;

by_ids!(attribution, AttributionId => Attribution);

/// Writes the row; its sequence is the database's.
pub async fn insert(conn: &mut Conn, row: &Attribution) -> QueryResult<Attribution> {
    diesel::insert_into(attribution::table)
        .values((
            attribution::organization_id.eq(row.organization_id),
            attribution::id.eq(row.id),
            attribution::customer_id.eq(row.customer_id),
            attribution::enrollment_id.eq(row.enrollment_id),
            attribution::effective_from.eq(row.effective_from),
            attribution::source.eq(row.source),
            attribution::touch_id.eq(row.touch_id),
            attribution::reason.eq(&row.reason),
            attribution::flags.eq(&row.flags),
            attribution::actor.eq(&row.actor),
            attribution::created_at.eq(row.created_at),
        ))
        .returning(Attribution::as_returning())
        .get_result(conn)
        .await
}

pub async fn of(
    conn: &mut Conn,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> QueryResult<Vec<Attribution>> {
    attribution::table
        .filter(attribution::organization_id.eq(organization))
        .filter(attribution::customer_id.eq_any(customers))
        .order((attribution::customer_id, attribution::effective_from, attribution::sequence))
        .select(Attribution::as_select())
        .load(conn)
        .await
}

pub async fn is_attributed(conn: &mut Conn, organization: OrganizationId, id: CustomerId) -> QueryResult<bool> {
    let attributed = attribution::table
        .filter(attribution::organization_id.eq(organization))
        .filter(attribution::customer_id.eq(id));
    diesel::select(exists(attributed)).get_result(conn).await
}

/// Whether the customer has paid Stripe anything, or earned anybody a commission.
pub async fn has_paid(conn: &mut Conn, organization: OrganizationId, id: CustomerId) -> QueryResult<bool> {
    let paid = stripe_fact::table
        .inner_join(
            customer::table.on(customer::organization_id
                .eq(stripe_fact::organization_id)
                .and(customer::stripe_customer_id.eq(stripe_fact::customer))),
        )
        .filter(stripe_fact::organization_id.eq(organization))
        .filter(customer::id.eq(id))
        .filter(stripe_fact::kind.eq("INVOICE"))
        .filter(sql::<Bool>("fact ->> 'status' = 'paid' AND (fact ->> 'total')::bigint > 0"));
    let earned =
        commission::table.filter(commission::organization_id.eq(organization)).filter(commission::customer_id.eq(id));
    diesel::select(exists(paid).or(exists(earned))).get_result(conn).await
}

pub async fn flagged(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<AttributionId>,
) -> QueryResult<Vec<Attribution>> {
    let mut query = attribution::table
        .filter(attribution::organization_id.eq(organization))
        .filter(attribution::flags.ne(Vec::<String>::new()))
        .order(attribution::id.desc())
        .limit(page.limit())
        .select(Attribution::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(attribution::id.lt(after));
    }
    query.load(conn).await
}
