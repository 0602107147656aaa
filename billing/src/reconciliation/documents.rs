//! Documents: their content is what was hashed when they were finalized, and their numbers have no gaps.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{CreditNoteId, InvoiceId, Money, OrganizationId, PartnerId};

use super::{Check, store};
use crate::error::Error;
use crate::invoicing::documents::{CreditNote, CreditNoteLine, Invoice, InvoiceLine, InvoiceVat};
use crate::invoicing::draft::{finalized_hash, stored_credit_note_hash, stored_invoice_hash};
use crate::invoicing::rules::totals;
use crate::invoicing::store::finalize::{Series, count_numbers, last_numbers};
use crate::invoicing::store::read;
use crate::organizations::{self, Organization};

/// As many numbers as documents in each series, the highest of them the counter's last.
pub async fn numbers(conn: &mut Conn, organization: OrganizationId) -> Result<Check, Error> {
    let mut check = Check::new("numbers without gaps per series");
    let organization = organizations::current(conn, organization).await?;
    let last: HashMap<String, i64> = last_numbers(conn, organization.id).await?.into_iter().collect();
    for (series, name, prefix) in [
        (Series::Invoice, "INVOICE", &organization.invoice_prefix),
        (Series::CreditNote, "CREDIT_NOTE", &organization.credit_note_prefix),
    ] {
        let (documents, highest) = count_numbers(conn, organization.id, series, prefix).await?;
        let counter = last.get(name).copied().unwrap_or_default();
        check.count(usize::try_from(documents).unwrap_or_default());
        if documents != highest || counter != highest {
            let found = format!("{name}: {documents} documents, highest number {highest}, counter {counter}");
            check.differences.push(found);
        }
    }
    Ok(check)
}

/// Totals and hashes of some partners' finalized documents.
pub async fn contents(conn: &mut Conn, organization: &Organization, partners: &[PartnerId]) -> Result<Check, Error> {
    let mut check = Check::new("documents");
    // A few invoices at a time: one of them may have as many lines as a partner has customers.
    for invoices in store::invoices(conn, organization.id, partners).await?.chunks(50) {
        let ids: Vec<InvoiceId> = invoices.iter().map(|invoice| invoice.id).collect();
        let mut lines =
            grouped(read::first_lines(conn, organization.id, &ids, i32::MAX).await?, |line| line.invoice_id);
        let mut vat = grouped(read::vat_of(conn, organization.id, &ids).await?, |vat| vat.invoice_id);
        for invoice in invoices {
            let lines = lines.remove(&invoice.id).unwrap_or_default();
            let vat = vat.remove(&invoice.id).unwrap_or_default();
            let number = invoice.number.clone().unwrap_or_default();
            check.expect(totals_hold(invoice, &lines, &vat)?, || {
                format!("{number}: totals do not follow from its lines")
            });
            check.expect(hash_holds(invoice, &lines), || format!("{number}: its content is not what was finalized"));
        }
    }
    for notes in store::credit_notes(conn, organization.id, partners).await?.chunks(50) {
        let ids: Vec<CreditNoteId> = notes.iter().map(|note| note.id).collect();
        let lines = read::credit_lines_of(conn, organization.id, &ids).await?;
        let mut lines = grouped(lines, |line| line.credit_note_id);
        for note in notes {
            let lines = lines.remove(&note.id).unwrap_or_default();
            let number = note.number.clone().unwrap_or_default();
            check.expect(note_totals_hold(note, &lines)?, || format!("{number}: totals do not follow from its lines"));
            check.expect(note_hash_holds(note, &lines), || format!("{number}: its content is not what was finalized"));
        }
    }
    Ok(check)
}

fn grouped<K: std::hash::Hash + Eq, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, Vec<T>> {
    let mut groups: HashMap<K, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}

fn totals_hold(invoice: &Invoice, lines: &[InvoiceLine], vat: &[InvoiceVat]) -> Result<bool, Error> {
    let nets = lines.iter().map(|line| (line.treatment(), line.money(line.net_minor)));
    let totals = totals::totals(invoice.currency, nets)?;
    let rates_hold = totals.per_rate.len() == vat.len()
        && totals.per_rate.iter().all(|total| {
            vat.iter().any(|stored| {
                (stored.vat_category, stored.vat_bps) == (total.treatment.category, total.treatment.rate)
                    && (stored.taxable_minor, stored.tax_minor) == (total.taxable.minor, total.tax.minor)
            })
        });
    let books = match (invoice.vat_books_rate, invoice.vat_books_currency) {
        (Some(rate), Some(currency)) => Some(rate.convert(totals.vat, currency)?),
        _ => None,
    };
    Ok(rates_hold
        && (totals.net, totals.vat, totals.gross) == (invoice.net(), invoice.vat(), invoice.gross())
        && books == invoice.vat_books()
        && usize::try_from(invoice.line_count).is_ok_and(|count| count == lines.len()))
}

fn hash_holds(invoice: &Invoice, lines: &[InvoiceLine]) -> bool {
    let (Some(number), Some(issued)) = (&invoice.number, invoice.issue_date) else { return false };
    let content = stored_invoice_hash(invoice, lines);
    finalized_hash(&content, number, issued, invoice.due_date) == invoice.content_hash
}

fn note_totals_hold(note: &CreditNote, lines: &[CreditNoteLine]) -> Result<bool, Error> {
    let money = |minor| Money::new(minor, note.currency);
    let nets = lines.iter().map(|line| (line.treatment(), money(line.net_minor)));
    let totals = totals::totals(note.currency, nets)?;
    let stored = (note.net_total_minor, note.vat_total_minor, note.gross_total_minor);
    Ok((totals.net.minor, totals.vat.minor, totals.gross.minor) == stored
        && usize::try_from(note.line_count).is_ok_and(|count| count == lines.len()))
}

fn note_hash_holds(note: &CreditNote, lines: &[CreditNoteLine]) -> bool {
    let (Some(number), Some(issued)) = (&note.number, note.issue_date) else { return false };
    finalized_hash(&stored_credit_note_hash(note, lines), number, issued, None) == note.content_hash
}
