//! SQL of the verification.

pub mod commissions;

use billing_db::Conn;
use billing_db::schema::{credit_note, invoice, late_change, partner, settlement, tier_evaluation};
use billing_primitives::{Currency, CustomerId, Month, OrganizationId, PartnerId, PlanId};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::Check;
use crate::chart::{self, kind};
use crate::error::Error;
use crate::invoicing::documents::{CreditNote, DocumentStatus, Invoice};
use crate::tiers::TierEvaluation;

/// A page of partners in the order of their external ids.
pub async fn partners(
    conn: &mut Conn,
    organization: OrganizationId,
    after: &str,
    limit: i64,
) -> QueryResult<Vec<(PartnerId, String)>> {
    partner::table
        .filter(partner::organization_id.eq(organization))
        .filter(partner::external_id.gt(after))
        .order(partner::external_id)
        .limit(limit)
        .select((partner::id, partner::external_id))
        .load(conn)
        .await
}

/// The finalized invoices of some partners.
pub async fn invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<Invoice>> {
    invoice::table
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::partner_id.eq_any(partners))
        .filter(invoice::status.eq(DocumentStatus::Finalized))
        .order((invoice::partner_id, invoice::month))
        .select(Invoice::as_select())
        .load(conn)
        .await
}

/// The finalized credit notes of some partners.
pub async fn credit_notes(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<CreditNote>> {
    credit_note::table
        .filter(credit_note::organization_id.eq(organization))
        .filter(credit_note::partner_id.eq_any(partners))
        .filter(credit_note::status.eq(DocumentStatus::Finalized))
        .order((credit_note::partner_id, credit_note::id))
        .select(CreditNote::as_select())
        .load(conn)
        .await
}

/// The evaluations of some partners, month by month.
pub async fn evaluations(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<TierEvaluation>> {
    tier_evaluation::table
        .filter(tier_evaluation::organization_id.eq(organization))
        .filter(tier_evaluation::partner_id.eq_any(partners))
        .order((tier_evaluation::partner_id, tier_evaluation::month))
        .select(TierEvaluation::as_select())
        .load(conn)
        .await
}

/// What late facts touched and no run has settled yet.
pub async fn pending(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<(PartnerId, CustomerId, PlanId, Month)>> {
    late_change::table
        .filter(late_change::organization_id.eq(organization))
        .filter(late_change::partner_id.eq_any(partners))
        .select((late_change::partner_id, late_change::customer_id, late_change::plan_id, late_change::month))
        .load(conn)
        .await
}

/// How many settlements there are.
pub async fn settlements(conn: &mut Conn, organization: OrganizationId) -> QueryResult<u64> {
    let count: i64 =
        settlement::table.filter(settlement::organization_id.eq(organization)).count().get_result(conn).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

#[derive(QueryableByName)]
struct Sums {
    #[diesel(sql_type = Text)]
    currency: Currency,
    #[diesel(sql_type = BigInt)]
    documents: i64,
    #[diesel(sql_type = BigInt)]
    net: i64,
    #[diesel(sql_type = BigInt)]
    vat: i64,
    #[diesel(sql_type = BigInt)]
    unsettled: i64,
}

/// Revenue and output VAT are what invoices less credit notes come to; each finalized invoice has its settlement.
pub async fn posted(conn: &mut Conn, organization: OrganizationId, check: &mut Check) -> Result<(), Error> {
    let sums: Vec<Sums> = diesel::sql_query(
        "SELECT d.currency, count(*) AS documents, sum(d.net)::bigint AS net, sum(d.vat)::bigint AS vat,
             count(*) FILTER (WHERE d.unsettled) AS unsettled
         FROM (
             SELECT i.currency, i.net_total_minor AS net, i.vat_total_minor AS vat, s.invoice_id IS NULL AS unsettled
             FROM invoice i
             LEFT JOIN settlement s ON s.organization_id = $1 AND s.invoice_id = i.id
             WHERE i.organization_id = $1 AND i.status = 'FINALIZED'
             UNION ALL
             SELECT currency, -net_total_minor, -vat_total_minor, false FROM credit_note
             WHERE organization_id = $1 AND status = 'FINALIZED'
         ) AS d GROUP BY d.currency ORDER BY d.currency",
    )
    .bind::<SqlUuid, _>(organization)
    .load(conn)
    .await?;
    for sum in sums {
        let account = |kind| chart::of_organization(kind, sum.currency).id(organization);
        let accounts = [account(kind::WHOLESALE_REVENUE), account(kind::OUTPUT_VAT)];
        let balances = billing_ledger::balances(conn, organization, &accounts).await?;
        let credited = |id| balances.iter().find(|b| b.id == id).map_or(0, |b| -b.debit_balance());
        check.checked += u64::try_from(sum.documents).unwrap_or_default();
        for (name, documents, ledger) in
            [("net", sum.net, credited(accounts[0])), ("VAT", sum.vat, credited(accounts[1]))]
        {
            let currency = sum.currency;
            check.expect(documents == ledger, || {
                format!("{name} of the documents in {currency} is {documents}, the ledger has {ledger}")
            });
        }
        if sum.unsettled > 0 {
            check.differences.push(format!("{} invoices in {} have no settlement", sum.unsettled, sum.currency));
        }
    }
    Ok(())
}
