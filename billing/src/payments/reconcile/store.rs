//! SQL of the checks.

use billing_db::Conn;
use billing_primitives::{Currency, InvoiceId, OrganizationId, PartnerId};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;

/// Findings of one kind that are named; where there are more, something is wrong altogether.
pub const MOST_FINDINGS: i64 = 1000;

/// A fact of an invoice that two tables tell differently.
#[derive(Debug, QueryableByName)]
pub struct Difference {
    #[diesel(sql_type = Uuid)]
    pub invoice_id: InvoiceId,
    #[diesel(sql_type = Text)]
    pub what: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub expected: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub found: Option<String>,
}

/// An amount of a partner in one currency.
#[derive(Debug, QueryableByName)]
pub struct PartnerSum {
    #[diesel(sql_type = Uuid)]
    pub partner_id: PartnerId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub expected_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub found_minor: i64,
}

async fn differences(conn: &mut Conn, organization: OrganizationId, sql: &str) -> QueryResult<Vec<Difference>> {
    diesel::sql_query(sql).bind::<Uuid, _>(organization).bind::<BigInt, _>(MOST_FINDINGS).load(conn).await
}

async fn sums(conn: &mut Conn, organization: OrganizationId, sql: &str) -> QueryResult<Vec<PartnerSum>> {
    diesel::sql_query(sql).bind::<Uuid, _>(organization).load(conn).await
}

/// Every finalized invoice has exactly one settlement, which says what the invoice says.
pub async fn unlike_their_invoices(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<Difference>> {
    differences(
        conn,
        organization,
        "SELECT coalesce(i.id, s.invoice_id) AS invoice_id, c.what, c.expected, c.found
         FROM (SELECT * FROM invoice WHERE organization_id = $1 AND status = 'FINALIZED') AS i
         FULL JOIN (SELECT * FROM settlement WHERE organization_id = $1) AS s ON s.invoice_id = i.id
         CROSS JOIN LATERAL (VALUES
             ('gross', i.gross_total_minor::text, s.gross_minor::text),
             ('currency', i.currency, s.currency),
             ('partner', i.partner_id::text, s.partner_id::text),
             ('number', i.number, s.number),
             ('issue date', i.issue_date::text, s.issue_date::text),
             ('due date', i.due_date::text, s.due_date::text)) AS c (what, expected, found)
         WHERE c.expected IS DISTINCT FROM c.found
           AND (c.what = 'gross' OR i.id IS NOT NULL AND s.invoice_id IS NOT NULL)
         ORDER BY 1, 2 LIMIT $2",
    )
    .await
}

/// The sums of a settlement are those of its steps.
pub async fn unlike_their_steps(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<Difference>> {
    differences(
        conn,
        organization,
        "WITH stepped AS (
             SELECT invoice_id,
                 coalesce(sum(amount_minor) FILTER (WHERE kind = 'CREDIT_NOTE'), 0) AS credited,
                 coalesce(sum(amount_minor) FILTER (WHERE kind = 'PAYMENT'), 0) AS paid,
                 coalesce(sum(amount_minor) FILTER (WHERE kind = 'ROUNDING'), 0) AS rounding,
                 coalesce(sum(amount_minor) FILTER (WHERE kind = 'FROM_BALANCE'), 0) AS from_balance,
                 -coalesce(sum(amount_minor) FILTER (WHERE kind = 'TO_BALANCE'), 0) AS to_balance,
                 coalesce(sum(amount_minor) FILTER (WHERE kind = 'WRITE_OFF'), 0) - sum(recovered_minor) AS written_off
             FROM settlement_entry WHERE organization_id = $1 AND invoice_id IS NOT NULL GROUP BY invoice_id)
         SELECT s.invoice_id, c.what, c.expected::text AS expected, c.found::text AS found
         FROM settlement s
         LEFT JOIN stepped e ON e.invoice_id = s.invoice_id
         CROSS JOIN LATERAL (VALUES
             ('credited', coalesce(e.credited, 0), s.credited_minor),
             ('paid', coalesce(e.paid, 0), s.paid_minor),
             ('rounding', coalesce(e.rounding, 0), s.rounding_minor),
             ('paid from the credit balance', coalesce(e.from_balance, 0), s.from_balance_minor),
             ('moved to the credit balance', coalesce(e.to_balance, 0), s.to_balance_minor),
             ('written off', coalesce(e.written_off, 0), s.written_off_minor)) AS c (what, expected, found)
         WHERE s.organization_id = $1 AND c.expected <> c.found
         ORDER BY 1, 2 LIMIT $2",
    )
    .await
}

/// The sums of a settlement are those of its payments and finalized credit notes.
pub async fn unlike_their_sources(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<Difference>> {
    differences(
        conn,
        organization,
        "WITH money AS (
             SELECT invoice_id,
                 sum(CASE WHEN reverses_payment_id IS NULL THEN amount_minor ELSE -amount_minor END) AS paid
             FROM payment WHERE organization_id = $1 GROUP BY invoice_id),
         notes AS (
             SELECT invoice_id, sum(gross_total_minor) AS credited
             FROM credit_note WHERE organization_id = $1 AND status = 'FINALIZED' GROUP BY invoice_id)
         SELECT s.invoice_id, c.what, c.expected::text AS expected, c.found::text AS found
         FROM settlement s
         LEFT JOIN money m ON m.invoice_id = s.invoice_id
         LEFT JOIN notes n ON n.invoice_id = s.invoice_id
         CROSS JOIN LATERAL (VALUES
             ('paid', coalesce(m.paid, 0), s.paid_minor),
             ('credited', coalesce(n.credited, 0), s.credited_minor)) AS c (what, expected, found)
         WHERE s.organization_id = $1 AND c.expected <> c.found
         ORDER BY 1, 2 LIMIT $2",
    )
    .await
}

/// A credit balance is what its steps have brought and taken.
pub async fn balances_unlike_steps(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<PartnerSum>> {
    sums(
        conn,
        organization,
        "SELECT coalesce(e.partner_id, b.partner_id) AS partner_id, coalesce(e.currency, b.currency) AS currency,
             coalesce(e.balance, 0)::bigint AS expected_minor, coalesce(b.balance_minor, 0) AS found_minor
         FROM (
             SELECT partner_id, currency, -sum(amount_minor) AS balance FROM settlement_entry
             WHERE organization_id = $1 AND kind IN ('FROM_BALANCE', 'TO_BALANCE', 'PAID_OUT')
             GROUP BY partner_id, currency) AS e
         FULL JOIN (SELECT * FROM credit_balance WHERE organization_id = $1) AS b
             ON b.partner_id = e.partner_id AND b.currency = e.currency
         WHERE coalesce(e.balance, 0) <> coalesce(b.balance_minor, 0)
         ORDER BY 1, 2",
    )
    .await
}

/// What partners owe: what is due less what stands in bad debts.
pub async fn receivables(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<PartnerSum>> {
    sums(
        conn,
        organization,
        "SELECT partner_id, currency, 0::bigint AS expected_minor,
             sum(due_minor - least(written_off_minor, due_minor))::bigint AS found_minor
         FROM settlement WHERE organization_id = $1 GROUP BY partner_id, currency",
    )
    .await
}

/// What partners have in credit.
pub async fn held(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<PartnerSum>> {
    sums(
        conn,
        organization,
        "SELECT partner_id, currency, 0::bigint AS expected_minor, balance_minor AS found_minor
         FROM credit_balance WHERE organization_id = $1",
    )
    .await
}
