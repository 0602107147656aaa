//! SQL of payments, settlements, their steps and credit balances.

use billing_db::schema::{credit_balance, credit_note, event, invoice, payment, settlement, settlement_entry};
use billing_db::{Conn, DbError};
use billing_primitives::{CreditNoteId, Timestamp};
use billing_primitives::{Currency, Date, InvoiceId, Money, OrganizationId, PartnerId, PaymentId, SettlementEntryId};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::rules::{self, Standing, Step, Use};
use super::{CreditBalance, NewSettlement, Payment, PaymentFilter, Settlement, SettlementEntry, StepKind};
use crate::events;
use crate::page::Page;

/// A settlement as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = settlement)]
pub struct SettlementRow {
    pub invoice_id: InvoiceId,
    pub partner_id: PartnerId,
    pub currency: Currency,
    pub gross_minor: i64,
    pub credited_minor: i64,
    pub paid_minor: i64,
    pub rounding_minor: i64,
    pub from_balance_minor: i64,
    pub to_balance_minor: i64,
    pub written_off_minor: i64,
    pub due_date: Date,
    pub issue_date: Date,
    pub number: String,
}

impl SettlementRow {
    pub fn standing(&self) -> Standing {
        Standing {
            invoice: self.invoice_id,
            issue_date: self.issue_date,
            number: self.number.clone(),
            gross: self.gross_minor,
            credited: self.credited_minor,
            paid: self.paid_minor,
            rounding: self.rounding_minor,
            from_balance: self.from_balance_minor,
            to_balance: self.to_balance_minor,
            written_off: self.written_off_minor,
        }
    }

    pub fn settlement(&self, today: Date) -> Settlement {
        let standing = self.standing();
        let money = |minor| Money::new(minor, self.currency);
        Settlement {
            invoice: self.invoice_id,
            partner: self.partner_id,
            number: self.number.clone(),
            issue_date: self.issue_date,
            due_date: self.due_date,
            gross: money(standing.gross),
            credited: money(standing.credited),
            paid: money(standing.paid + standing.from_balance - standing.to_balance),
            rounding: money(standing.rounding),
            due: money(standing.due()),
            written_off: money(standing.bad()),
            status: rules::status(&standing, self.due_date, today),
        }
    }
}

/// Takes the partners' locks, in the order of their ids.
pub async fn lock_partners(conn: &mut Conn, organization: OrganizationId, partners: &[PartnerId]) -> QueryResult<()> {
    diesel::sql_query(
        "SELECT id FROM partner WHERE organization_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(partners.to_vec())
    .execute(conn)
    .await
    .map(|_| ())
}

/// Locks the settlements that a change of the partners' cash may touch: those that are due, those that use the credit
/// balance, and the named ones.
pub async fn lock_settlements(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    invoices: &[InvoiceId],
) -> QueryResult<Vec<SettlementRow>> {
    let touched = settlement::due_minor
        .gt(0)
        .or(settlement::from_balance_minor.gt(0))
        .or(settlement::invoice_id.eq_any(invoices.to_vec()));
    settlement::table
        .filter(settlement::organization_id.eq(organization))
        .filter(settlement::partner_id.eq_any(partners))
        .filter(touched)
        .order(settlement::invoice_id)
        .select(SettlementRow::as_select())
        .for_update()
        .load(conn)
        .await
}

pub async fn settlements(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> QueryResult<Vec<SettlementRow>> {
    settlement::table
        .filter(settlement::organization_id.eq(organization))
        .filter(settlement::invoice_id.eq_any(invoices))
        .select(SettlementRow::as_select())
        .load(conn)
        .await
}

/// The invoice's partner and currency, and whether it is finalized.
pub async fn invoice_header(
    conn: &mut Conn,
    organization: OrganizationId,
    id: InvoiceId,
) -> QueryResult<Option<(PartnerId, Currency, bool)>> {
    invoice::table
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::id.eq(id))
        .select((invoice::partner_id, invoice::currency, invoice::status.eq("FINALIZED")))
        .first(conn)
        .await
        .optional()
}

/// Invoices past their due date with something due that was not given up, and of which no event has told.
pub async fn overdue(conn: &mut Conn, organization: OrganizationId, today: Date) -> QueryResult<Vec<SettlementRow>> {
    // Events name an invoice as its id is written outside.
    let outside = format!("'{}_' || replace(settlement.invoice_id::text, '-', '')", InvoiceId::PREFIX);
    let told = event::table
        .filter(event::organization_id.eq(organization))
        .filter(event::kind.eq(events::kind::INVOICE_OVERDUE))
        .filter(event::subject.eq(diesel::dsl::sql::<Text>(&outside)));
    settlement::table
        .filter(settlement::organization_id.eq(organization))
        .filter(settlement::due_minor.gt(0))
        .filter(settlement::written_off_minor.eq(0))
        .filter(settlement::due_date.lt(today))
        .filter(not(exists(told)))
        .order((settlement::due_date, settlement::invoice_id))
        .select(SettlementRow::as_select())
        .load(conn)
        .await
}

/// Steps between invoices and the credit balance, in their order.
pub async fn uses(conn: &mut Conn, organization: OrganizationId, invoices: &[InvoiceId]) -> QueryResult<Vec<Use>> {
    let rows: Vec<(Option<InvoiceId>, i64, i64)> = settlement_entry::table
        .filter(settlement_entry::organization_id.eq(organization))
        .filter(settlement_entry::invoice_id.eq_any(invoices))
        .filter(settlement_entry::kind.eq(StepKind::FromBalance))
        .order(settlement_entry::sequence)
        .select((settlement_entry::invoice_id, settlement_entry::amount_minor, settlement_entry::recovered_minor))
        .load(conn)
        .await?;
    let of_an_invoice = |(invoice, amount, recovered): (Option<InvoiceId>, i64, i64)| {
        invoice.map(|invoice| Use { invoice, amount, recovered })
    };
    Ok(rows.into_iter().filter_map(of_an_invoice).collect())
}

/// How much of a write-off the payment took back.
pub async fn recovered_by(conn: &mut Conn, organization: OrganizationId, id: PaymentId) -> QueryResult<i64> {
    settlement_entry::table
        .filter(settlement_entry::organization_id.eq(organization))
        .filter(settlement_entry::source.eq(id.to_string()))
        .filter(settlement_entry::kind.eq(StepKind::Payment))
        .select(settlement_entry::recovered_minor)
        .first(conn)
        .await
}

pub async fn entries_of(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> QueryResult<Vec<SettlementEntry>> {
    settlement_entry::table
        .filter(settlement_entry::organization_id.eq(organization))
        .filter(settlement_entry::invoice_id.eq_any(invoices))
        .order(settlement_entry::sequence)
        .select(SettlementEntry::as_select())
        .load(conn)
        .await
}

pub async fn balances(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<CreditBalance>> {
    credit_balance::table
        .filter(credit_balance::organization_id.eq(organization))
        .filter(credit_balance::partner_id.eq_any(partners))
        .order((credit_balance::partner_id, credit_balance::currency))
        .select(CreditBalance::as_select())
        .load(conn)
        .await
}

/// Net and VAT of an invoice and of one of its finalized credit notes.
pub type InvoiceAndNote = (InvoiceId, i64, i64, CreditNoteId, i64, i64);

pub async fn notes_of(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> QueryResult<Vec<InvoiceAndNote>> {
    let of_invoice = credit_note::organization_id
        .eq(invoice::organization_id)
        .and(credit_note::invoice_id.eq(invoice::id))
        .and(credit_note::status.eq("FINALIZED"));
    invoice::table
        .inner_join(credit_note::table.on(of_invoice))
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::id.eq_any(invoices))
        .select((
            invoice::id,
            invoice::net_total_minor,
            invoice::vat_total_minor,
            credit_note::id,
            credit_note::net_total_minor,
            credit_note::vat_total_minor,
        ))
        .load(conn)
        .await
}

pub async fn insert_payments(conn: &mut Conn, rows: &[Payment]) -> Result<(), DbError> {
    let written = diesel::insert_into(payment::table).values(rows).execute(conn).await?;
    DbError::expect_rows("payment", rows.len(), written)
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[PaymentId]) -> QueryResult<Vec<Payment>> {
    payment::table
        .filter(payment::organization_id.eq(organization))
        .filter(payment::id.eq_any(ids))
        .select(Payment::as_select())
        .load(conn)
        .await
}

pub async fn by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<Payment>> {
    payment::table
        .filter(payment::organization_id.eq(organization))
        .filter(payment::external_id.eq(external_id))
        .select(Payment::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn is_reversed(conn: &mut Conn, organization: OrganizationId, id: PaymentId) -> QueryResult<bool> {
    let reversals =
        payment::table.filter(payment::organization_id.eq(organization)).filter(payment::reverses_payment_id.eq(id));
    diesel::select(exists(reversals)).get_result(conn).await
}

pub async fn of_invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> QueryResult<Vec<Payment>> {
    payment::table
        .filter(payment::organization_id.eq(organization))
        .filter(payment::invoice_id.eq_any(invoices))
        .order(payment::id)
        .select(Payment::as_select())
        .load(conn)
        .await
}

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<PaymentId>,
    filter: &PaymentFilter,
) -> QueryResult<Vec<Payment>> {
    let mut query = payment::table
        .filter(payment::organization_id.eq(organization))
        .order(payment::id)
        .limit(page.limit())
        .select(Payment::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(payment::id.gt(after));
    }
    if let Some(partner) = filter.partner {
        query = query.filter(payment::partner_id.eq(partner));
    }
    if let Some(invoice) = filter.invoice {
        query = query.filter(payment::invoice_id.eq(invoice));
    }
    query.load(conn).await
}

pub async fn insert_settlements(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &[NewSettlement],
) -> Result<(), DbError> {
    let written = diesel::sql_query(
        "INSERT INTO settlement
             (organization_id, invoice_id, partner_id, currency, gross_minor, due_date, issue_date, number)
         SELECT seller.organization_id, s.invoice_id, s.partner_id, s.currency, s.gross, s.due_date, s.issue_date, s.number
         FROM organization seller, unnest($2, $3, $4, $5, $6, $7, $8)
             AS s (invoice_id, partner_id, currency, gross, due_date, issue_date, number)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.invoice).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.partner).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.gross.currency).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.gross.minor).collect::<Vec<_>>())
    .bind::<Array<SqlDate>, _>(rows.iter().map(|row| row.due_date).collect::<Vec<_>>())
    .bind::<Array<SqlDate>, _>(rows.iter().map(|row| row.issue_date).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.number.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("settlement", rows.len(), written)
}

pub async fn update_settlements(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &[&Standing],
) -> Result<(), DbError> {
    let column = |of: fn(&Standing) -> i64| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
    let written = diesel::sql_query(
        "UPDATE settlement SET credited_minor = s.credited, paid_minor = s.paid, rounding_minor = s.rounding,
             from_balance_minor = s.from_balance, to_balance_minor = s.to_balance, written_off_minor = s.written_off
         FROM unnest($2, $3, $4, $5, $6, $7, $8)
             AS s (invoice_id, credited, paid, rounding, from_balance, to_balance, written_off)
         WHERE settlement.organization_id = $1 AND settlement.invoice_id = s.invoice_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.invoice).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|row| row.credited))
    .bind::<Array<BigInt>, _>(column(|row| row.paid))
    .bind::<Array<BigInt>, _>(column(|row| row.rounding))
    .bind::<Array<BigInt>, _>(column(|row| row.from_balance))
    .bind::<Array<BigInt>, _>(column(|row| row.to_balance))
    .bind::<Array<BigInt>, _>(column(|row| row.written_off))
    .execute(conn)
    .await?;
    DbError::expect_rows("settlement", rows.len(), written)
}

pub async fn put_balances(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &[CreditBalance],
) -> Result<(), DbError> {
    let written = diesel::sql_query(
        "INSERT INTO credit_balance (organization_id, partner_id, currency, balance_minor)
         SELECT seller.organization_id, b.partner_id, b.currency, b.balance
         FROM organization seller, unnest($2, $3, $4) AS b (partner_id, currency, balance)
         WHERE seller.organization_id = $1
         ON CONFLICT (organization_id, partner_id, currency) DO UPDATE SET balance_minor = excluded.balance_minor",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.partner_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.currency).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.balance_minor).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("credit_balance", rows.len(), written)
}

/// A step on its way into the table.
#[derive(Debug, Clone)]
pub struct NewEntry {
    pub id: SettlementEntryId,
    pub partner: PartnerId,
    pub currency: Currency,
    pub step: Step,
    pub source: String,
    pub memo: String,
}

pub async fn insert_entries(
    conn: &mut Conn,
    organization: OrganizationId,
    on: Date,
    now: Timestamp,
    rows: &[NewEntry],
) -> Result<(), DbError> {
    // The sequence is counted in the order of the rows: later ones are newer.
    let written = diesel::sql_query(
        "INSERT INTO settlement_entry (organization_id, id, partner_id, invoice_id, kind, amount_minor,
             recovered_minor, currency, source, memo, occurred_on, created_at, sequence)
         SELECT seller.organization_id, e.id, e.partner_id, e.invoice_id, e.kind, e.amount, e.recovered, e.currency,
             e.source, e.memo, $2, $3,
             e.place + coalesce((SELECT max(before.sequence) FROM settlement_entry before
                                 WHERE before.organization_id = $1 AND before.partner_id = e.partner_id), 0)
         FROM organization seller, unnest($4, $5, $6, $7, $8, $9, $10, $11, $12) WITH ORDINALITY
             AS e (id, partner_id, invoice_id, kind, amount, recovered, currency, source, memo, place)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<SqlDate, _>(on)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.partner).collect::<Vec<_>>())
    .bind::<Array<Nullable<Uuid>>, _>(rows.iter().map(|row| row.step.invoice).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.step.kind.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.step.amount).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.step.recovered).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.currency).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.source.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.memo.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("settlement_entry", rows.len(), written)
}
