//! Credit notes by hand: part of a finalized invoice is given up. Never billed back (product rule 2.6).

use std::collections::HashMap;

use billing_db::{Applied, Conn};
use billing_primitives::{CreditNoteId, InvoiceId, Money};

use super::documents::{CreditReason, DocumentStatus, Invoice, InvoiceLine};
use super::draft::DraftCreditLine;
use super::store::write::NoteToStore;
use super::{month, settle, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::rules::text;
use crate::{Billing, audit, organizations, partners, payments};

/// What is given up of which lines, before VAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCreditNote {
    pub invoice: InvoiceId,
    /// Line numbers with the net amount to take back.
    pub lines: Vec<(i32, Money)>,
    pub memo: String,
}

/// Makes and finalizes a credit note of reason GOODWILL.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::NotFinalized`], [`Refusal::AmountNotPositive`], [`Refusal::CurrencyMix`],
/// [`Refusal::CreditExceedsLine`].
pub async fn create(billing: &Billing, caller: &Caller, input: &NewCreditNote) -> Result<Applied<CreditNoteId>, Error> {
    let work = async |conn: &mut Conn| create_in(conn, billing, caller, input).await;
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

async fn create_in(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewCreditNote,
) -> Result<CreditNoteId, Error> {
    let organization = organizations::current(conn, caller.organization).await?;
    let now = billing.clock.now(conn).await?;
    let today = now.date_in(&organization.time_zone);
    let missing = || Refusal::not_found("invoice", "invoice", input.invoice);
    let found = store::read::invoices_by_ids(conn, organization.id, &[input.invoice]).await?;
    let invoice = found.into_iter().next().ok_or_else(missing)?;
    // Whoever credits lines of the partner's invoices takes turns with its runs.
    let partner = partners::lock(conn, organization.id, invoice.partner_id).await?;
    if invoice.status != DocumentStatus::Finalized {
        return Err(Refusal::NotFinalized { what: "invoice" }.into());
    }
    let lines = credited_lines(conn, &invoice, input).await?;
    let memo = text("memo", &input.memo)?;
    let draft = month::credit_note(&organization, &partner, invoice.id, invoice.vat_books_rate, lines, memo)?;
    let id = CreditNoteId::new();
    let content_hash = draft.content_hash();
    let note = NoteToStore { id, run: None, reason: CreditReason::Goodwill, draft: &draft, content_hash };
    store::write::insert_credit_notes(conn, organization.id, now, &[note]).await?;
    let hash = draft.content_hash();
    let (posting, credited, event) = settle::finalize_note(conn, &organization, now, today, id, &hash, &draft).await?;
    billing_ledger::post(conn, organization.id, &[posting]).await?;
    payments::credited(conn, organization.id, today, &[credited]).await?;
    store::finalize::record_finalized(conn, organization.id, "credit_note.finalized", &[event]).await?;
    let details = serde_json::json!({ "invoice": invoice.number, "gross": draft.totals.gross.minor });
    audit::record(conn, caller, now, "credit_note.create", id, details).await?;
    Ok(id)
}

/// The lines to credit, each at most what is left of it after all credit notes.
async fn credited_lines(
    conn: &mut Conn,
    invoice: &Invoice,
    input: &NewCreditNote,
) -> Result<Vec<DraftCreditLine>, Error> {
    let left = store::facts::left_of_lines(conn, invoice.organization_id, invoice.id).await?;
    let mut wanted: HashMap<i32, Money> = HashMap::new();
    for (number, amount) in &input.lines {
        let sum = wanted.entry(*number).or_insert(Money::zero(invoice.currency));
        if !amount.is_positive() {
            return Err(Refusal::AmountNotPositive { amount: *amount }.into());
        }
        *sum = sum.checked_add(*amount)?;
    }
    if wanted.is_empty() {
        return Err(Refusal::invalid("lines", "name at least one line").into());
    }
    let mut numbers: Vec<i32> = wanted.keys().copied().collect();
    numbers.sort_unstable();
    let mut lines = Vec::with_capacity(numbers.len());
    for number in numbers {
        let missing = || Refusal::not_found("lines", "line", number);
        let line = store::read::line(conn, invoice.organization_id, invoice.id, number).await?.ok_or_else(missing)?;
        let net = wanted.get(&number).copied().unwrap_or(Money::zero(invoice.currency));
        let left = Money::new(left.get(&number).copied().unwrap_or(0), invoice.currency);
        if net.minor > left.minor {
            return Err(Refusal::CreditExceedsLine { line: number, left }.into());
        }
        lines.push(credit_line(&line, net, left));
    }
    Ok(lines)
}

fn credit_line(line: &InvoiceLine, net: Money, left: Money) -> DraftCreditLine {
    let why = serde_json::json!({ "rules": ["R10"], "lineNet": line.net_minor, "leftBefore": left.minor });
    DraftCreditLine {
        invoice_line_number: line.line_number,
        net: net.minor,
        treatment: line.treatment(),
        trace: crate::trace::json(&why),
    }
}
