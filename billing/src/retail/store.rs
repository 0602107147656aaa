//! SQL of retail prices.

use std::collections::HashMap;

use billing_db::Conn;
use billing_db::schema::{invoice_line, retail_price};
use billing_primitives::{
    Currency, CustomerId, Date, InvoiceId, Money, Month, OrganizationId, PartnerId, PlanId, RetailPriceId,
};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Date as SqlDate, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::RetailPrice;
use super::statement::WholesaleLine;
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

#[derive(QueryableByName)]
struct BilledRow {
    #[diesel(sql_type = SqlUuid)]
    customer_id: CustomerId,
    #[diesel(sql_type = SqlUuid)]
    plan_id: PlanId,
    #[diesel(sql_type = BigInt)]
    net_minor: i64,
    #[diesel(sql_type = Text)]
    currency: Currency,
    #[diesel(sql_type = Bool)]
    adjustment: bool,
}

/// What the finalized documents of a partner's month bill: the lines of its invoice and, below zero, what the credit
/// notes of the same run take back of earlier months. Goodwill is no price and does not count.
pub async fn billed(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    month: Month,
) -> QueryResult<Vec<WholesaleLine>> {
    let rows: Vec<BilledRow> = diesel::sql_query(
        "SELECT l.customer_id, l.plan_id, l.net_minor, l.currency, l.kind = 'ADJUSTMENT' AS adjustment
         FROM invoice i
         JOIN invoice_line l ON l.organization_id = $1 AND l.invoice_id = i.id
         WHERE i.organization_id = $1 AND i.partner_id = $2 AND i.month = $3 AND i.status = 'FINALIZED'
         UNION ALL
         SELECT l.customer_id, l.plan_id, -k.net_minor, k.currency, true
         FROM billing_run r
         JOIN credit_note n ON n.organization_id = $1 AND n.billing_run_id = r.id AND n.partner_id = $2
             AND n.status = 'FINALIZED'
         JOIN credit_note_line k ON k.organization_id = $1 AND k.credit_note_id = n.id
         JOIN invoice_line l ON l.organization_id = $1 AND l.invoice_id = k.invoice_id
             AND l.line_number = k.invoice_line_number
         WHERE r.organization_id = $1 AND r.month = $3",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<SqlUuid, _>(partner)
    .bind::<SqlDate, _>(month)
    .load(conn)
    .await?;
    let line = |row: BilledRow| WholesaleLine {
        customer: row.customer_id,
        plan: row.plan_id,
        net: Money::new(row.net_minor, row.currency),
        adjustment: row.adjustment,
    };
    Ok(rows.into_iter().map(line).collect())
}

/// Whom and what the lines of some invoices are for.
pub async fn sold_on(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> QueryResult<HashMap<(InvoiceId, i32), (CustomerId, PlanId)>> {
    let rows: Vec<((InvoiceId, i32), (CustomerId, PlanId))> = invoice_line::table
        .filter(invoice_line::organization_id.eq(organization))
        .filter(invoice_line::invoice_id.eq_any(invoices))
        .select((
            (invoice_line::invoice_id, invoice_line::line_number),
            (invoice_line::customer_id, invoice_line::plan_id),
        ))
        .load(conn)
        .await?;
    Ok(rows.into_iter().collect())
}
