//! SQL that reads documents for the API and the command line.

use std::collections::HashSet;

use billing_db::Conn;
use billing_db::schema::{credit_note, credit_note_line, invoice, invoice_line, invoice_vat};
use billing_primitives::{CreditNoteId, InvoiceId, Month, OrganizationId, PartnerId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::invoicing::documents::{CreditNote, CreditNoteLine, DocumentStatus, Invoice, InvoiceLine, InvoiceVat};
use crate::page::Page;

/// Which invoices a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvoiceFilter {
    pub partner: Option<PartnerId>,
    pub month: Option<Month>,
    pub status: Option<DocumentStatus>,
}

/// Invoices, the ones made last first.
pub async fn invoices(
    conn: &mut Conn,
    organization: OrganizationId,
    filter: &InvoiceFilter,
    page: &Page<InvoiceId>,
) -> QueryResult<Vec<Invoice>> {
    let mut query = invoice::table
        .filter(invoice::organization_id.eq(organization))
        .order(invoice::id.desc())
        .limit(page.limit())
        .select(Invoice::as_select())
        .into_boxed();
    if let Some(partner) = filter.partner {
        query = query.filter(invoice::partner_id.eq(partner));
    }
    if let Some(month) = filter.month {
        query = query.filter(invoice::month.eq(month));
    }
    if let Some(status) = filter.status {
        query = query.filter(invoice::status.eq(status));
    }
    if let Some(after) = page.after {
        query = query.filter(invoice::id.lt(after));
    }
    query.load(conn).await
}

pub async fn invoices_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[InvoiceId],
) -> QueryResult<Vec<Invoice>> {
    invoice::table
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::id.eq_any(ids))
        .select(Invoice::as_select())
        .load(conn)
        .await
}

pub async fn invoice_by_number(
    conn: &mut Conn,
    organization: OrganizationId,
    number: &str,
) -> QueryResult<Option<Invoice>> {
    invoice::table
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::number.eq(number))
        .select(Invoice::as_select())
        .first(conn)
        .await
        .optional()
}

/// A page of an invoice's lines in their order.
pub async fn lines(
    conn: &mut Conn,
    organization: OrganizationId,
    invoice: InvoiceId,
    page: &Page<i32>,
) -> QueryResult<Vec<InvoiceLine>> {
    invoice_line::table
        .filter(invoice_line::organization_id.eq(organization))
        .filter(invoice_line::invoice_id.eq(invoice))
        .filter(invoice_line::line_number.gt(page.after.unwrap_or(0)))
        .order(invoice_line::line_number)
        .limit(page.limit())
        .select(InvoiceLine::as_select())
        .load(conn)
        .await
}

/// The first lines of several invoices. In the order of invoice and line.
pub async fn first_lines(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
    first: i32,
) -> QueryResult<Vec<InvoiceLine>> {
    lines_between(conn, organization, invoices, 0, first).await
}

/// The lines of several invoices behind number `after`, up to and including `through`: what a list of invoices shows.
/// In the order of invoice and line.
pub async fn lines_between(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
    after: i32,
    through: i32,
) -> QueryResult<Vec<InvoiceLine>> {
    invoice_line::table
        .filter(invoice_line::organization_id.eq(organization))
        .filter(invoice_line::invoice_id.eq_any(invoices))
        .filter(invoice_line::line_number.gt(after))
        .filter(invoice_line::line_number.le(through))
        .order((invoice_line::invoice_id, invoice_line::line_number))
        .select(InvoiceLine::as_select())
        .load(conn)
        .await
}

/// Lines by invoice and number. The statement asks for every number of every invoice; what nobody asked for is left out.
pub async fn lines_by_numbers(
    conn: &mut Conn,
    organization: OrganizationId,
    keys: &[(InvoiceId, i32)],
) -> QueryResult<Vec<InvoiceLine>> {
    let wanted: HashSet<(InvoiceId, i32)> = keys.iter().copied().collect();
    let (invoices, numbers): (Vec<InvoiceId>, Vec<i32>) = keys.iter().copied().unzip();
    let mut rows: Vec<InvoiceLine> = invoice_line::table
        .filter(invoice_line::organization_id.eq(organization))
        .filter(invoice_line::invoice_id.eq_any(invoices))
        .filter(invoice_line::line_number.eq_any(numbers))
        .select(InvoiceLine::as_select())
        .load(conn)
        .await?;
    rows.retain(|row| wanted.contains(&(row.invoice_id, row.line_number)));
    Ok(rows)
}

/// One line.
pub async fn line(
    conn: &mut Conn,
    organization: OrganizationId,
    invoice: InvoiceId,
    number: i32,
) -> QueryResult<Option<InvoiceLine>> {
    invoice_line::table
        .filter(invoice_line::organization_id.eq(organization))
        .filter(invoice_line::invoice_id.eq(invoice))
        .filter(invoice_line::line_number.eq(number))
        .select(InvoiceLine::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn vat_of(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> QueryResult<Vec<InvoiceVat>> {
    invoice_vat::table
        .filter(invoice_vat::organization_id.eq(organization))
        .filter(invoice_vat::invoice_id.eq_any(invoices))
        .order((invoice_vat::invoice_id, invoice_vat::vat_category, invoice_vat::vat_bps))
        .select(InvoiceVat::as_select())
        .load(conn)
        .await
}

/// Credit notes, the ones made last first.
pub async fn credit_notes(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: Option<PartnerId>,
    page: &Page<CreditNoteId>,
) -> QueryResult<Vec<CreditNote>> {
    let mut query = credit_note::table
        .filter(credit_note::organization_id.eq(organization))
        .order(credit_note::id.desc())
        .limit(page.limit())
        .select(CreditNote::as_select())
        .into_boxed();
    if let Some(partner) = partner {
        query = query.filter(credit_note::partner_id.eq(partner));
    }
    if let Some(after) = page.after {
        query = query.filter(credit_note::id.lt(after));
    }
    query.load(conn).await
}

pub async fn credit_notes_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CreditNoteId],
) -> QueryResult<Vec<CreditNote>> {
    credit_note::table
        .filter(credit_note::organization_id.eq(organization))
        .filter(credit_note::id.eq_any(ids))
        .select(CreditNote::as_select())
        .load(conn)
        .await
}

/// The credit notes that name some invoices.
pub async fn credit_notes_of(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> QueryResult<Vec<CreditNote>> {
    credit_note::table
        .filter(credit_note::organization_id.eq(organization))
        .filter(credit_note::invoice_id.eq_any(invoices))
        .order((credit_note::invoice_id, credit_note::id))
        .select(CreditNote::as_select())
        .load(conn)
        .await
}

pub async fn credit_lines_of(
    conn: &mut Conn,
    organization: OrganizationId,
    notes: &[CreditNoteId],
) -> QueryResult<Vec<CreditNoteLine>> {
    credit_note_line::table
        .filter(credit_note_line::organization_id.eq(organization))
        .filter(credit_note_line::credit_note_id.eq_any(notes))
        .order((credit_note_line::credit_note_id, credit_note_line::line_number))
        .select(CreditNoteLine::as_select())
        .load(conn)
        .await
}
