//! SQL of retail prices.

use billing_db::Conn;
use billing_db::schema::retail_price;
use billing_primitives::{Date, OrganizationId, PartnerId, RetailPriceId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::RetailPrice;
use crate::page::Page;

/// False when there is a price of that partner, plan, customer and day already.
pub async fn insert(conn: &mut Conn, row: &RetailPrice) -> QueryResult<bool> {
    let written = diesel::insert_into(retail_price::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(written == 1)
}

/// The stored price of the same partner, plan, customer and day.
pub async fn same_key(conn: &mut Conn, row: &RetailPrice) -> QueryResult<Option<RetailPrice>> {
    retail_price::table
        .filter(retail_price::organization_id.eq(row.organization_id))
        .filter(retail_price::partner_id.eq(row.partner_id))
        .filter(retail_price::plan_id.eq(row.plan_id))
        .filter(retail_price::customer_id.is_not_distinct_from(row.customer_id))
        .filter(retail_price::effective_on.eq(row.effective_on))
        .select(RetailPrice::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[RetailPriceId],
) -> QueryResult<Vec<RetailPrice>> {
    retail_price::table
        .filter(retail_price::organization_id.eq(organization))
        .filter(retail_price::id.eq_any(ids))
        .select(RetailPrice::as_select())
        .load(conn)
        .await
}

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<RetailPriceId>,
) -> QueryResult<Vec<RetailPrice>> {
    let mut query = retail_price::table
        .filter(retail_price::organization_id.eq(organization))
        .filter(retail_price::partner_id.eq(partner))
        .order(retail_price::id)
        .limit(page.limit())
        .select(RetailPrice::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(retail_price::id.gt(after));
    }
    query.load(conn).await
}

/// All prices of a partner that begin on `through` or before.
pub async fn through(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    through: Date,
) -> QueryResult<Vec<RetailPrice>> {
    retail_price::table
        .filter(retail_price::organization_id.eq(organization))
        .filter(retail_price::partner_id.eq(partner))
        .filter(retail_price::effective_on.le(through))
        .select(RetailPrice::as_select())
        .load(conn)
        .await
}
