//! SQL that writes drafts. Lines are only ever written here, under headers that this transaction made as drafts.

use billing_db::schema::{credit_note, credit_note_line, invoice, invoice_line, invoice_vat};
use billing_db::{Conn, DbError};
use billing_primitives::{BillingRunId, CreditNoteId, InvoiceId, Month, OrganizationId, PartnerId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use crate::invoicing::documents::{CreditReason, DocumentStatus};
use crate::invoicing::draft::{CreditNoteDraft, InvoiceDraft};

/// An invoice or credit note that stands already.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Standing<Id> {
    pub id: Id,
    /// Whom or what it is for: the partner of an invoice, the invoice of a credit note.
    pub of: uuid::Uuid,
    pub status: DocumentStatus,
    pub content_hash: String,
}

/// The invoices that stand for a month of some partners.
pub async fn standing_invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    month: Month,
) -> QueryResult<Vec<Standing<InvoiceId>>> {
    invoice::table
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::partner_id.eq_any(partners))
        .filter(invoice::month.eq(month))
        .select((invoice::id, invoice::partner_id, invoice::status, invoice::content_hash))
        .load(conn)
        .await
}

/// The drafts of credit notes that a run has made for some partners.
pub async fn standing_credit_notes(
    conn: &mut Conn,
    organization: OrganizationId,
    run: BillingRunId,
    partners: &[PartnerId],
) -> QueryResult<Vec<Standing<CreditNoteId>>> {
    credit_note::table
        .filter(credit_note::organization_id.eq(organization))
        .filter(credit_note::billing_run_id.eq(run))
        .filter(credit_note::partner_id.eq_any(partners))
        .filter(credit_note::status.eq(DocumentStatus::Draft))
        .select((credit_note::id, credit_note::invoice_id, credit_note::status, credit_note::content_hash))
        .load(conn)
        .await
}

/// Takes drafts of invoices away, with their lines.
pub async fn delete_invoices(conn: &mut Conn, organization: OrganizationId, ids: &[InvoiceId]) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    lock_drafts(conn, organization, ids).await?;
    diesel::delete(invoice_line::table)
        .filter(invoice_line::organization_id.eq(organization))
        .filter(invoice_line::invoice_id.eq_any(ids))
        .execute(conn)
        .await?;
    diesel::delete(invoice_vat::table)
        .filter(invoice_vat::organization_id.eq(organization))
        .filter(invoice_vat::invoice_id.eq_any(ids))
        .execute(conn)
        .await?;
    let written = diesel::delete(invoice::table)
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::id.eq_any(ids))
        .execute(conn)
        .await?;
    DbError::expect_rows("invoice", ids.len(), written)
}

/// Locks headers that have to be drafts: row-level security hides finalized ones from a locking read.
async fn lock_drafts(conn: &mut Conn, organization: OrganizationId, ids: &[InvoiceId]) -> Result<(), DbError> {
    let locked: Vec<InvoiceId> = invoice::table
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::id.eq_any(ids))
        .filter(invoice::status.eq(DocumentStatus::Draft))
        .order(invoice::id)
        .select(invoice::id)
        .for_update()
        .load(conn)
        .await?;
    DbError::expect_rows("invoice", ids.len(), locked.len())
}

/// Takes drafts of credit notes away, with their lines.
pub async fn delete_credit_notes(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CreditNoteId],
) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    let locked: Vec<CreditNoteId> = credit_note::table
        .filter(credit_note::organization_id.eq(organization))
        .filter(credit_note::id.eq_any(ids))
        .filter(credit_note::status.eq(DocumentStatus::Draft))
        .order(credit_note::id)
        .select(credit_note::id)
        .for_update()
        .load(conn)
        .await?;
    DbError::expect_rows("credit_note", ids.len(), locked.len())?;
    diesel::delete(credit_note_line::table)
        .filter(credit_note_line::organization_id.eq(organization))
        .filter(credit_note_line::credit_note_id.eq_any(ids))
        .execute(conn)
        .await?;
    let written = diesel::delete(credit_note::table)
        .filter(credit_note::organization_id.eq(organization))
        .filter(credit_note::id.eq_any(ids))
        .execute(conn)
        .await?;
    DbError::expect_rows("credit_note", ids.len(), written)
}

#[derive(Insertable)]
#[diesel(table_name = invoice)]
struct NewInvoice<'a> {
    organization_id: OrganizationId,
    id: InvoiceId,
    billing_run_id: BillingRunId,
    partner_id: PartnerId,
    month: Month,
    status: DocumentStatus,
    currency: billing_primitives::Currency,
    net_total_minor: i64,
    vat_total_minor: i64,
    gross_total_minor: i64,
    vat_books_minor: Option<i64>,
    vat_books_currency: Option<billing_primitives::Currency>,
    vat_books_rate: Option<billing_primitives::ExchangeRate>,
    vat_books_rate_date: Option<billing_primitives::Date>,
    users: i64,
    billed_tier: &'a str,
    discount_bps: billing_primitives::BasisPoints,
    parties: serde_json::Value,
    trace: serde_json::Value,
    line_count: i32,
    content_hash: &'a str,
    created_at: Timestamp,
}

/// An invoice to be stored as a draft.
pub struct InvoiceToStore<'a> {
    pub id: InvoiceId,
    pub draft: &'a InvoiceDraft,
    pub content_hash: &'a str,
}

/// Writes drafts of invoices: headers, VAT and lines, three statements.
pub async fn insert_invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    run: BillingRunId,
    now: Timestamp,
    invoices: &[InvoiceToStore<'_>],
) -> Result<(), DbError> {
    if invoices.is_empty() {
        return Ok(());
    }
    let headers =
        invoices.iter().map(|invoice| header(organization, run, now, invoice)).collect::<Result<Vec<_>, _>>()?;
    diesel::insert_into(invoice::table).values(headers).execute(conn).await?;
    insert_vat(conn, organization, invoices).await?;
    insert_lines(conn, organization, invoices).await
}

fn header<'a>(
    organization_id: OrganizationId,
    billing_run_id: BillingRunId,
    created_at: Timestamp,
    invoice: &InvoiceToStore<'a>,
) -> Result<NewInvoice<'a>, DbError> {
    let draft = invoice.draft;
    Ok(NewInvoice {
        organization_id,
        id: invoice.id,
        billing_run_id,
        partner_id: draft.partner,
        month: draft.month,
        status: DocumentStatus::Draft,
        currency: draft.currency,
        net_total_minor: draft.totals.net.minor,
        vat_total_minor: draft.totals.vat.minor,
        gross_total_minor: draft.totals.gross.minor,
        vat_books_minor: draft.books.map(|books| books.amount.minor),
        vat_books_currency: draft.books.map(|books| books.amount.currency),
        vat_books_rate: draft.books.map(|books| books.rate),
        vat_books_rate_date: draft.books.map(|books| books.date),
        users: draft.users,
        billed_tier: &draft.billed_tier,
        discount_bps: draft.discount_bps,
        parties: parsed(&draft.parties)?,
        trace: parsed(&draft.trace)?,
        line_count: i32::try_from(draft.lines.len()).unwrap_or(i32::MAX),
        content_hash: invoice.content_hash,
        created_at,
    })
}

fn parsed(json: &str) -> Result<serde_json::Value, DbError> {
    serde_json::from_str(json)
        .map_err(|error| DbError::Query(diesel::result::Error::SerializationError(Box::new(error))))
}

async fn insert_vat(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceToStore<'_>],
) -> Result<(), DbError> {
    let rows = invoices.iter().flat_map(|invoice| {
        invoice.draft.totals.per_rate.iter().map(move |total| {
            (
                invoice_vat::organization_id.eq(organization),
                invoice_vat::invoice_id.eq(invoice.id),
                invoice_vat::vat_category.eq(total.treatment.category),
                invoice_vat::vat_bps.eq(total.treatment.rate),
                invoice_vat::taxable_minor.eq(total.taxable.minor),
                invoice_vat::tax_minor.eq(total.tax.minor),
                invoice_vat::currency.eq(total.tax.currency),
            )
        })
    });
    diesel::insert_into(invoice_vat::table).values(rows.collect::<Vec<_>>()).execute(conn).await?;
    Ok(())
}

/// One array per column: the number of binds does not grow with the lines.
async fn insert_lines(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceToStore<'_>],
) -> Result<(), DbError> {
    let all: Vec<_> = invoices
        .iter()
        .flat_map(|invoice| (1_i32..).zip(&invoice.draft.lines).map(move |(number, line)| (invoice, number, line)))
        .collect();
    macro_rules! column {
        ($row:pat => $value:expr) => {
            all.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    let written = diesel::sql_query(
        "INSERT INTO invoice_line (organization_id, invoice_id, line_number, kind, customer_id, plan_id, month,
             currency, unit_price_minor, seat_days, gross_minor, discount_bps, discount_minor, net_minor,
             vat_category, vat_bps, trace)
         SELECT seller.organization_id, l.*
         FROM organization seller,
              unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::json[]) AS l
         WHERE seller.organization_id = $1",
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Array<SqlUuid>, _>(column!((invoice, _, _) => invoice.id))
    .bind::<Array<Integer>, _>(column!((_, number, _) => *number))
    .bind::<Array<Text>, _>(column!((_, _, line) => line.kind))
    .bind::<Array<SqlUuid>, _>(column!((_, _, line) => line.customer))
    .bind::<Array<SqlUuid>, _>(column!((_, _, line) => line.plan))
    .bind::<Array<SqlDate>, _>(column!((_, _, line) => line.month))
    .bind::<Array<Text>, _>(column!((invoice, _, _) => invoice.draft.currency))
    .bind::<Array<BigInt>, _>(column!((_, _, line) => line.unit_price))
    .bind::<Array<BigInt>, _>(column!((_, _, line) => line.seat_days))
    .bind::<Array<BigInt>, _>(column!((_, _, line) => line.gross))
    .bind::<Array<Integer>, _>(column!((_, _, line) => line.discount_bps))
    .bind::<Array<BigInt>, _>(column!((_, _, line) => line.discount))
    .bind::<Array<BigInt>, _>(column!((_, _, line) => line.net))
    .bind::<Array<Text>, _>(column!((_, _, line) => line.treatment.category))
    .bind::<Array<Integer>, _>(column!((_, _, line) => line.treatment.rate))
    .bind::<Array<Text>, _>(column!((_, _, line) => line.trace.as_str()))
    .execute(conn)
    .await?;
    DbError::expect_rows("invoice_line", all.len(), written)
}

/// A credit note to be stored as a draft.
pub struct NoteToStore<'a> {
    pub id: CreditNoteId,
    pub run: Option<BillingRunId>,
    pub reason: CreditReason,
    pub draft: &'a CreditNoteDraft,
    pub content_hash: String,
}

/// Writes drafts of credit notes with their lines.
pub async fn insert_credit_notes(
    conn: &mut Conn,
    organization: OrganizationId,
    now: Timestamp,
    notes: &[NoteToStore<'_>],
) -> Result<(), DbError> {
    for note in notes {
        let draft = note.draft;
        diesel::insert_into(credit_note::table)
            .values((
                credit_note::organization_id.eq(organization),
                credit_note::id.eq(note.id),
                credit_note::invoice_id.eq(draft.invoice),
                credit_note::partner_id.eq(draft.partner),
                credit_note::billing_run_id.eq(note.run),
                credit_note::reason.eq(note.reason),
                credit_note::memo.eq(&draft.memo),
                credit_note::status.eq(DocumentStatus::Draft),
                credit_note::currency.eq(draft.currency),
                credit_note::net_total_minor.eq(draft.totals.net.minor),
                credit_note::vat_total_minor.eq(draft.totals.vat.minor),
                credit_note::gross_total_minor.eq(draft.totals.gross.minor),
                credit_note::vat_books_minor.eq(draft.books.map(|(vat, _)| vat.minor)),
                credit_note::vat_books_currency.eq(draft.books.map(|(vat, _)| vat.currency)),
                credit_note::vat_books_rate.eq(draft.books.map(|(_, rate)| rate)),
                credit_note::trace.eq(parsed(&draft.trace)?),
                credit_note::line_count.eq(i32::try_from(draft.lines.len()).unwrap_or(i32::MAX)),
                credit_note::content_hash.eq(&note.content_hash),
                credit_note::created_at.eq(now),
            ))
            .execute(conn)
            .await?;
        insert_credit_lines(conn, organization, note).await?;
    }
    Ok(())
}

async fn insert_credit_lines(
    conn: &mut Conn,
    organization: OrganizationId,
    note: &NoteToStore<'_>,
) -> Result<(), DbError> {
    let rows = (1_i32..).zip(&note.draft.lines).map(|(number, line)| {
        Ok((
            credit_note_line::organization_id.eq(organization),
            credit_note_line::credit_note_id.eq(note.id),
            credit_note_line::line_number.eq(number),
            credit_note_line::invoice_id.eq(note.draft.invoice),
            credit_note_line::invoice_line_number.eq(line.invoice_line_number),
            credit_note_line::net_minor.eq(line.net),
            credit_note_line::currency.eq(note.draft.currency),
            credit_note_line::vat_category.eq(line.treatment.category),
            credit_note_line::vat_bps.eq(line.treatment.rate),
            credit_note_line::trace.eq(parsed(&line.trace)?),
        ))
    });
    let rows = rows.collect::<Result<Vec<_>, DbError>>()?;
    diesel::insert_into(credit_note_line::table).values(rows).execute(conn).await?;
    Ok(())
}
