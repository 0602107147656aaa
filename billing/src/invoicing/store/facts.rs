//! SQL that reads what a chunk of partners' months depends on: a constant number of statements, however many partners.

use std::collections::HashMap;

use billing_db::Conn;
use billing_db::schema::plan;
use billing_primitives::{
    BasisPoints, Currency, CustomerId, Date, ExchangeRate, InvoiceId, Month, OrganizationId, PartnerId, PlanId,
    SubscriptionId,
};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date as SqlDate, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::late::Mark;
use crate::invoicing::month::PlanFacts;
use crate::vat::VatCategory;

/// A seat change, or a subscription without one, on the days on which the partner owned the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct UsageRow {
    #[diesel(sql_type = SqlUuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = SqlUuid)]
    pub customer_id: CustomerId,
    #[diesel(sql_type = SqlUuid)]
    pub plan_id: PlanId,
    #[diesel(sql_type = SqlUuid)]
    pub subscription_id: SubscriptionId,
    #[diesel(sql_type = Bool)]
    pub flat: bool,
    #[diesel(sql_type = SqlDate)]
    pub owned_from: Date,
    /// First day that counts: owned and subscribed.
    #[diesel(sql_type = SqlDate)]
    pub counts_from: Date,
    /// Last day that counts.
    #[diesel(sql_type = SqlDate)]
    pub counts_to: Date,
    #[diesel(sql_type = Nullable<SqlDate>)]
    pub effective_on: Option<Date>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub sequence: Option<i32>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub quantity: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub delta: Option<i64>,
}

/// Everything that makes seat-days in `month` for some partners, in the order of partner, customer's and plan's
/// external ids, subscription, day and recording. `customers` narrows it down.
///
/// What is looked up row by row is looked up in the order of customers' ids: a partner's customers lie scattered over the
/// tables, but those of many partners lie beside each other, so that a page is met once instead of again and again.
pub async fn usage(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    customers: Option<&[CustomerId]>,
    month: Month,
) -> QueryResult<Vec<UsageRow>> {
    diesel::sql_query(
        "WITH held AS MATERIALIZED (
             SELECT partner_id, customer_id, owned_from FROM customer_owner
             WHERE organization_id = $1 AND partner_id = ANY ($2) AND owned_from <= $4
               AND ($5::uuid[] IS NULL OR customer_id = ANY ($5))
             ORDER BY customer_id, owned_from
         ), owned AS MATERIALIZED (
             SELECT o.partner_id, o.customer_id, o.owned_from,
                 greatest(o.owned_from, $3) AS first_day,
                 least($4, (SELECT min(later.owned_from) - 1 FROM customer_owner later
                     WHERE later.organization_id = $1 AND later.customer_id = o.customer_id
                       AND later.owned_from > o.owned_from)) AS last_day
             FROM held o
         )
         SELECT o.partner_id, o.customer_id, s.plan_id, s.id AS subscription_id, p.pricing = 'FLAT' AS flat,
             o.owned_from, greatest(o.first_day, s.starts_on) AS counts_from, least(o.last_day, s.ends_on - 1) AS counts_to,
             h.effective_on, h.sequence, h.quantity, h.delta
         FROM owned o
         JOIN customer c ON c.organization_id = $1 AND c.id = o.customer_id
         JOIN subscription s ON s.organization_id = $1 AND s.customer_id = o.customer_id
             AND s.starts_on <= o.last_day AND (s.ends_on IS NULL OR s.ends_on > o.first_day)
         JOIN plan p ON p.organization_id = $1 AND p.id = s.plan_id
         LEFT JOIN seat_change h ON h.organization_id = $1 AND h.subscription_id = s.id AND h.effective_on <= o.last_day
         WHERE o.first_day <= o.last_day
         ORDER BY o.partner_id, c.external_id, p.external_id, o.owned_from, s.id, h.effective_on, h.sequence",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(partners.to_vec())
    .bind::<SqlDate, _>(month.first())
    .bind::<SqlDate, _>(month.last())
    .bind::<Nullable<Array<SqlUuid>>, _>(customers.map(<[_]>::to_vec))
    .load(conn)
    .await
}

/// All plans of the organization, as far as rating needs them.
pub async fn plans(conn: &mut Conn, organization: OrganizationId) -> QueryResult<HashMap<PlanId, PlanFacts>> {
    let rows: Vec<(PlanId, String, bool)> = plan::table
        .filter(plan::organization_id.eq(organization))
        .select((plan::id, plan::external_id, plan::counts_users))
        .load(conn)
        .await?;
    let facts = |(id, external_id, counts_users)| (id, PlanFacts { external_id, counts_users });
    Ok(rows.into_iter().map(facts).collect())
}

#[derive(QueryableByName)]
struct RateRow {
    #[diesel(sql_type = Text)]
    from_currency: Currency,
    #[diesel(sql_type = SqlDate)]
    date: Date,
    #[diesel(sql_type = Text)]
    rate: String,
}

/// For each currency the latest rate to `books` dated within the seven days up to `day`.
pub async fn rates(
    conn: &mut Conn,
    organization: OrganizationId,
    books: Currency,
    day: Date,
) -> QueryResult<HashMap<Currency, (Date, ExchangeRate)>> {
    let rows: Vec<RateRow> = diesel::sql_query(
        "SELECT DISTINCT ON (from_currency) from_currency, date, rate::text AS rate FROM exchange_rate
         WHERE organization_id = $1 AND to_currency = $2 AND date <= $3 AND date >= $4
         ORDER BY from_currency, date DESC",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Text, _>(books)
    .bind::<SqlDate, _>(day)
    .bind::<SqlDate, _>(day.plus_days(-7))
    .load(conn)
    .await?;
    // A stored rate passed the same parser when it was recorded.
    Ok(rows.into_iter().filter_map(|row| Some((row.from_currency, (row.date, row.rate.parse().ok()?)))).collect())
}

/// The first month in which each partner has a subscription running; none where there is none.
pub async fn first_months(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<HashMap<PartnerId, Month>> {
    #[derive(QueryableByName)]
    struct First {
        #[diesel(sql_type = SqlUuid)]
        partner_id: PartnerId,
        #[diesel(sql_type = SqlDate)]
        day: Date,
    }
    let rows: Vec<First> = diesel::sql_query(
        "SELECT o.partner_id, min(greatest(o.owned_from, s.starts_on)) AS day
         FROM customer_owner o
         JOIN subscription s ON s.organization_id = $1 AND s.customer_id = o.customer_id
             AND (s.ends_on IS NULL OR s.ends_on > greatest(o.owned_from, s.starts_on))
         WHERE o.organization_id = $1 AND o.partner_id = ANY ($2)
         GROUP BY o.partner_id",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(partners.to_vec())
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.partner_id, row.day.month())).collect())
}

/// A finalized line of a marked month, with what credit notes took back of it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct InvoicedRow {
    #[diesel(sql_type = SqlUuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = SqlUuid)]
    pub customer_id: CustomerId,
    #[diesel(sql_type = SqlUuid)]
    pub plan_id: PlanId,
    #[diesel(sql_type = SqlDate)]
    pub month: Month,
    #[diesel(sql_type = SqlUuid)]
    pub invoice_id: InvoiceId,
    #[diesel(sql_type = Integer)]
    pub line_number: i32,
    #[diesel(sql_type = Bool)]
    pub is_adjustment: bool,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub unit_price_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub net_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub corrected_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub credited_minor: i64,
    #[diesel(sql_type = Text)]
    pub vat_category: VatCategory,
    #[diesel(sql_type = Integer)]
    pub vat_bps: BasisPoints,
    #[diesel(sql_type = Text)]
    pub number: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub vat_books_rate: Option<ExchangeRate>,
}

/// What was invoiced for marked customers, plans and months: lines and adjustments, the oldest invoice first.
pub async fn invoiced(conn: &mut Conn, organization: OrganizationId, marks: &[Mark]) -> QueryResult<Vec<InvoicedRow>> {
    diesel::sql_query(
        "SELECT m.partner_id, l.customer_id, l.plan_id, l.month, l.invoice_id, l.line_number,
             l.kind = 'ADJUSTMENT' AS is_adjustment, l.currency, l.unit_price_minor, l.net_minor,
             coalesce(sum(k.net_minor) FILTER (WHERE n.reason = 'CORRECTION'), 0)::bigint AS corrected_minor,
             coalesce(sum(k.net_minor) FILTER (WHERE n.id IS NOT NULL), 0)::bigint AS credited_minor,
             l.vat_category, l.vat_bps, i.number, i.vat_books_rate
         FROM unnest($2, $3, $4, $5) AS m (partner_id, customer_id, plan_id, month)
         JOIN invoice_line l ON l.organization_id = $1 AND l.customer_id = m.customer_id AND l.plan_id = m.plan_id
             AND l.month = m.month
         JOIN invoice i ON i.organization_id = $1 AND i.id = l.invoice_id AND i.partner_id = m.partner_id
             AND i.status = 'FINALIZED'
         LEFT JOIN credit_note_line k ON k.organization_id = $1 AND k.invoice_id = l.invoice_id
             AND k.invoice_line_number = l.line_number
         LEFT JOIN credit_note n ON n.organization_id = $1 AND n.id = k.credit_note_id AND n.status = 'FINALIZED'
         GROUP BY m.partner_id, l.organization_id, l.invoice_id, l.line_number, i.organization_id, i.id
         ORDER BY i.month, l.line_number",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(marks.iter().map(|mark| mark.partner).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(marks.iter().map(|mark| mark.customer).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(marks.iter().map(|mark| mark.plan).collect::<Vec<_>>())
    .bind::<Array<SqlDate>, _>(marks.iter().map(|mark| mark.month).collect::<Vec<_>>())
    .load(conn)
    .await
}

/// The discounts that some partners' finalized months were billed with.
pub async fn discounts(
    conn: &mut Conn,
    organization: OrganizationId,
    marks: &[Mark],
) -> QueryResult<HashMap<(PartnerId, Month), BasisPoints>> {
    use billing_db::schema::tier_evaluation as evaluation;
    let partners: Vec<PartnerId> = marks.iter().map(|mark| mark.partner).collect();
    let months: Vec<Month> = marks.iter().map(|mark| mark.month).collect();
    let rows: Vec<(PartnerId, Month, BasisPoints)> = evaluation::table
        .filter(evaluation::organization_id.eq(organization))
        .filter(evaluation::partner_id.eq_any(partners))
        .filter(evaluation::month.eq_any(months))
        .select((evaluation::partner_id, evaluation::month, evaluation::discount_bps))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(partner, month, bps)| ((partner, month), bps)).collect())
}

#[derive(QueryableByName)]
struct LineLeft {
    #[diesel(sql_type = Integer)]
    line_number: i32,
    #[diesel(sql_type = BigInt)]
    left_minor: i64,
}

/// What is left of each line of an invoice after all its credit notes, in minor units.
pub async fn left_of_lines(
    conn: &mut Conn,
    organization: OrganizationId,
    invoice: InvoiceId,
) -> QueryResult<HashMap<i32, i64>> {
    let rows: Vec<LineLeft> = diesel::sql_query(
        "SELECT l.line_number, (l.net_minor - coalesce(sum(k.net_minor), 0))::bigint AS left_minor
         FROM invoice_line l
         LEFT JOIN (credit_note_line k
             JOIN credit_note n ON n.organization_id = $1 AND n.id = k.credit_note_id AND n.status = 'FINALIZED')
             ON k.organization_id = $1 AND k.invoice_id = l.invoice_id AND k.invoice_line_number = l.line_number
         WHERE l.organization_id = $1 AND l.invoice_id = $2
         GROUP BY l.line_number, l.net_minor",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<SqlUuid, _>(invoice)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.line_number, row.left_minor)).collect())
}

/// Everything that was invoiced for a month of some partners, as marks.
pub async fn invoiced_marks(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    month: Month,
) -> QueryResult<Vec<Mark>> {
    use billing_db::schema::{invoice, invoice_line};
    invoice_line::table
        .inner_join(invoice::table.on(
            invoice::organization_id.eq(invoice_line::organization_id).and(invoice::id.eq(invoice_line::invoice_id)),
        ))
        .filter(invoice_line::organization_id.eq(organization))
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::partner_id.eq_any(partners))
        .filter(invoice::status.eq("FINALIZED"))
        .filter(invoice_line::month.eq(month))
        .select((invoice::partner_id, invoice_line::customer_id, invoice_line::plan_id, invoice_line::month))
        .distinct()
        .load(conn)
        .await
}
