//! SQL of plans, price lists, their versions and prices.

use billing_db::schema::{plan, plan_stripe_ref, price, price_list, price_list_version};
use billing_db::{Conn, DbError};
use billing_primitives::{
    Currency, CustomerId, Date, OrganizationId, PartnerId, PlanId, PriceListId, PriceListVersionId,
};
use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Uuid};
use diesel_async::RunQueryDsl;

use super::stripe_ids::PlanStripeId;
use super::{Plan, Price, PriceList, PriceListVersion};
use crate::page::Page;

/// Prices per statement: five parameters each, and PostgreSQL takes 65535.
const PRICES_AT_ONCE: usize = 5_000;

/// False when the external id is taken.
pub async fn insert_plan(conn: &mut Conn, row: &Plan) -> QueryResult<bool> {
    let written = diesel::insert_into(plan::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(written == 1)
}

pub async fn rename_plan(conn: &mut Conn, row: &Plan) -> Result<(), DbError> {
    let written = diesel::update(plan::table)
        .filter(plan::organization_id.eq(row.organization_id))
        .filter(plan::id.eq(row.id))
        .set(plan::name.eq(&row.name))
        .execute(conn)
        .await?;
    DbError::expect_rows("plan", 1, written)
}

pub async fn lock_plan(conn: &mut Conn, organization: OrganizationId, id: PlanId) -> QueryResult<Option<Plan>> {
    plan::table
        .filter(plan::organization_id.eq(organization))
        .filter(plan::id.eq(id))
        .select(Plan::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

pub async fn plans_by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[PlanId]) -> QueryResult<Vec<Plan>> {
    plan::table
        .filter(plan::organization_id.eq(organization))
        .filter(plan::id.eq_any(ids))
        .select(Plan::as_select())
        .load(conn)
        .await
}

pub async fn plan_by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<Plan>> {
    plan::table
        .filter(plan::organization_id.eq(organization))
        .filter(plan::external_id.eq(external_id))
        .select(Plan::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn plans(conn: &mut Conn, organization: OrganizationId, page: &Page<String>) -> QueryResult<Vec<Plan>> {
    let mut query = plan::table
        .filter(plan::organization_id.eq(organization))
        .order(plan::external_id)
        .limit(page.limit())
        .select(Plan::as_select())
        .into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(plan::external_id.gt(after));
    }
    query.load(conn).await
}

pub async fn insert_list(conn: &mut Conn, row: &PriceList) -> QueryResult<()> {
    diesel::insert_into(price_list::table).values(row).execute(conn).await.map(|_| ())
}

pub async fn lists_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[PriceListId],
) -> QueryResult<Vec<PriceList>> {
    price_list::table
        .filter(price_list::organization_id.eq(organization))
        .filter(price_list::id.eq_any(ids))
        .select(PriceList::as_select())
        .load(conn)
        .await
}

pub async fn list_by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<PriceList>> {
    price_list::table
        .filter(price_list::organization_id.eq(organization))
        .filter(price_list::external_id.eq(external_id))
        .select(PriceList::as_select())
        .first(conn)
        .await
        .optional()
}

/// The one list of a partner (none: of the organization) in a currency.
pub async fn list_of(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: Option<PartnerId>,
    currency: Currency,
) -> QueryResult<Option<PriceList>> {
    price_list::table
        .filter(price_list::organization_id.eq(organization))
        .filter(price_list::partner_id.is_not_distinct_from(partner))
        .filter(price_list::currency.eq(currency))
        .select(PriceList::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn lists(conn: &mut Conn, organization: OrganizationId, page: &Page<String>) -> QueryResult<Vec<PriceList>> {
    let mut query = price_list::table
        .filter(price_list::organization_id.eq(organization))
        .order(price_list::external_id)
        .limit(page.limit())
        .select(PriceList::as_select())
        .into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(price_list::external_id.gt(after));
    }
    query.load(conn).await
}

/// The organization's own lists and those of `partners`.
pub async fn lists_for(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<PriceList>> {
    price_list::table
        .filter(price_list::organization_id.eq(organization))
        .filter(price_list::partner_id.is_null().or(price_list::partner_id.eq_any(partners)))
        .select(PriceList::as_select())
        .load(conn)
        .await
}

/// Writes a version with all its prices.
pub async fn insert_version(conn: &mut Conn, version: &PriceListVersion, prices: &[Price]) -> Result<(), DbError> {
    diesel::insert_into(price_list_version::table).values(version).execute(conn).await?;
    for rows in prices.chunks(PRICES_AT_ONCE) {
        let written = diesel::insert_into(price::table).values(rows).execute(conn).await?;
        DbError::expect_rows("price", rows.len(), written)?;
    }
    Ok(())
}

pub async fn version_on(
    conn: &mut Conn,
    organization: OrganizationId,
    list: PriceListId,
    day: Date,
) -> QueryResult<Option<PriceListVersion>> {
    price_list_version::table
        .filter(price_list_version::organization_id.eq(organization))
        .filter(price_list_version::price_list_id.eq(list))
        .filter(price_list_version::effective_on.eq(day))
        .select(PriceListVersion::as_select())
        .first(conn)
        .await
        .optional()
}

/// The latest first.
pub async fn versions(
    conn: &mut Conn,
    organization: OrganizationId,
    list: PriceListId,
    page: &Page<Date>,
) -> QueryResult<Vec<PriceListVersion>> {
    let mut query = price_list_version::table
        .filter(price_list_version::organization_id.eq(organization))
        .filter(price_list_version::price_list_id.eq(list))
        .order(price_list_version::effective_on.desc())
        .limit(page.limit())
        .select(PriceListVersion::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(price_list_version::effective_on.lt(after));
    }
    query.load(conn).await
}

/// In the order of list and day.
pub async fn versions_of(
    conn: &mut Conn,
    organization: OrganizationId,
    lists: &[PriceListId],
) -> QueryResult<Vec<PriceListVersion>> {
    price_list_version::table
        .filter(price_list_version::organization_id.eq(organization))
        .filter(price_list_version::price_list_id.eq_any(lists))
        .order((price_list_version::price_list_id, price_list_version::effective_on))
        .select(PriceListVersion::as_select())
        .load(conn)
        .await
}

pub async fn versions_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[PriceListVersionId],
) -> QueryResult<Vec<PriceListVersion>> {
    price_list_version::table
        .filter(price_list_version::organization_id.eq(organization))
        .filter(price_list_version::id.eq_any(ids))
        .select(PriceListVersion::as_select())
        .load(conn)
        .await
}

/// In the order of version and plan.
pub async fn prices_of(
    conn: &mut Conn,
    organization: OrganizationId,
    versions: &[PriceListVersionId],
) -> QueryResult<Vec<Price>> {
    price::table
        .filter(price::organization_id.eq(organization))
        .filter(price::price_list_version_id.eq_any(versions))
        .order((price::price_list_version_id, price::plan_id))
        .select(Price::as_select())
        .load(conn)
        .await
}

/// By plan and id.
pub async fn stripe_ids_of(
    conn: &mut Conn,
    organization: OrganizationId,
    plans: &[PlanId],
) -> QueryResult<Vec<PlanStripeId>> {
    plan_stripe_ref::table
        .filter(plan_stripe_ref::organization_id.eq(organization))
        .filter(plan_stripe_ref::plan_id.eq_any(plans))
        .order((plan_stripe_ref::plan_id, plan_stripe_ref::stripe_id))
        .select(PlanStripeId::as_select())
        .load(conn)
        .await
}

/// False when the id belongs to a plan already.
pub async fn insert_stripe_id(conn: &mut Conn, row: &PlanStripeId) -> QueryResult<bool> {
    let written =
        diesel::insert_into(plan_stripe_ref::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(written == 1)
}

pub async fn delete_stripe_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    plan: PlanId,
    ids: &[String],
) -> Result<(), DbError> {
    let gone = diesel::delete(plan_stripe_ref::table)
        .filter(plan_stripe_ref::organization_id.eq(organization))
        .filter(plan_stripe_ref::plan_id.eq(plan))
        .filter(plan_stripe_ref::stripe_id.eq_any(ids))
        .execute(conn)
        .await?;
    DbError::expect_rows("plan_stripe_ref", ids.len(), gone)
}

#[derive(QueryableByName)]
struct Billed {
    #[diesel(sql_type = Uuid)]
    id: CustomerId,
}

/// Customers with a Stripe invoice or subscription for any of these prices or products, in the order of their ids.
pub async fn billed_by_stripe(
    conn: &mut Conn,
    organization: OrganizationId,
    stripe_ids: &[&str],
) -> QueryResult<Vec<CustomerId>> {
    let rows: Vec<Billed> = diesel::sql_query(
        "SELECT c.id FROM customer c
         WHERE c.organization_id = $1 AND c.stripe_customer_id IS NOT NULL AND EXISTS (
             SELECT 1 FROM stripe_fact f
             WHERE f.organization_id = $1 AND f.customer = c.stripe_customer_id
               AND f.kind IN ('INVOICE', 'SUBSCRIPTION')
               AND (EXISTS (SELECT 1 FROM jsonb_path_query(f.fact, '$.**.price') p WHERE p #>> '{}' = ANY($2))
                    OR EXISTS (SELECT 1 FROM jsonb_path_query(f.fact, '$.**.product') p WHERE p #>> '{}' = ANY($2))))
         ORDER BY c.id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Text>, _>(stripe_ids)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
