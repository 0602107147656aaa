//! Documents that are computed but not stored, and the hash that ties a stored one to its content. Pure.

use std::fmt::Write;

use billing_primitives::{
    BasisPoints, Currency, CustomerId, Date, ExchangeRate, InvoiceId, Money, Month, PartnerId, PlanId,
};
use sha2::{Digest, Sha256};

use super::documents::{CreditNote, CreditNoteLine, Invoice, InvoiceLine, LineKind};
use super::rules::totals::Totals;
use crate::vat::VatTreatment;

/// A line that is computed but not stored. Amounts are minor units of the document's currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftLine {
    pub kind: LineKind,
    pub customer: CustomerId,
    pub plan: PlanId,
    pub month: Month,
    pub unit_price: i64,
    pub seat_days: i64,
    pub gross: i64,
    pub discount_bps: BasisPoints,
    pub discount: i64,
    pub net: i64,
    pub treatment: VatTreatment,
    /// JSON with its keys in order and without blanks, so that it reads back as the same text.
    pub trace: String,
}

/// A VAT total in the currency of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BooksVat {
    pub amount: Money,
    pub rate: ExchangeRate,
    /// Day of the rate.
    pub date: Date,
}

/// An invoice that is computed but not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceDraft {
    pub partner: PartnerId,
    pub month: Month,
    pub currency: Currency,
    pub lines: Vec<DraftLine>,
    pub totals: Totals,
    pub books: Option<BooksVat>,
    pub users: i64,
    pub billed_tier: String,
    pub discount_bps: BasisPoints,
    /// JSON, as in [`DraftLine::trace`].
    pub parties: String,
    /// JSON, as in [`DraftLine::trace`].
    pub trace: String,
}

/// What a credit note takes back of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftCreditLine {
    pub invoice_line_number: i32,
    pub net: i64,
    pub treatment: VatTreatment,
    /// JSON, as in [`DraftLine::trace`].
    pub trace: String,
}

/// A credit note that is computed but not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditNoteDraft {
    pub invoice: InvoiceId,
    pub partner: PartnerId,
    pub currency: Currency,
    pub lines: Vec<DraftCreditLine>,
    pub totals: Totals,
    /// The VAT total in the currency of the books, at the rate of the invoice.
    pub books: Option<(Money, ExchangeRate)>,
    pub memo: String,
    /// JSON, as in [`DraftLine::trace`].
    pub trace: String,
}

/// Writes content into a hash; each part ends in a line break, so that no part runs into the next.
struct Content(Sha256, String);

impl Content {
    fn new(kind: &str) -> Self {
        let mut content = Content(Sha256::new(), String::with_capacity(512));
        content.line(format_args!("{kind}"));
        content
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.1.clear();
        // Writing into a String cannot fail.
        let _ = self.1.write_fmt(text);
        self.1.push('\n');
        self.0.update(self.1.as_bytes());
    }

    fn hex(self) -> String {
        hex::encode(self.0.finalize())
    }
}

struct Head<'a> {
    partner: PartnerId,
    month: Month,
    totals: [i64; 3],
    currency: Currency,
    books: Option<(i64, Currency, ExchangeRate, Date)>,
    users: i64,
    tier: &'a str,
    discount: BasisPoints,
    parties: &'a str,
    trace: &'a str,
}

fn invoice_content(head: &Head<'_>) -> Content {
    let mut content = Content::new("invoice");
    let [net, vat, gross] = head.totals;
    content.line(format_args!("{} {} {} {net} {vat} {gross}", head.partner, head.month, head.currency));
    if let Some((minor, currency, rate, date)) = head.books {
        content.line(format_args!("{minor} {currency} {rate} {date}"));
    }
    content.line(format_args!("{} {} {}", head.users, head.tier, head.discount));
    content.line(format_args!("{}", head.parties));
    content.line(format_args!("{}", head.trace));
    content
}

impl InvoiceDraft {
    /// Hash of everything but what finalizing adds (number and dates).
    pub fn content_hash(&self) -> String {
        let mut content = invoice_content(&Head {
            partner: self.partner,
            month: self.month,
            totals: [self.totals.net.minor, self.totals.vat.minor, self.totals.gross.minor],
            currency: self.currency,
            books: self.books.map(|books| (books.amount.minor, books.amount.currency, books.rate, books.date)),
            users: self.users,
            tier: &self.billed_tier,
            discount: self.discount_bps,
            parties: &self.parties,
            trace: &self.trace,
        });
        for (index, line) in self.lines.iter().enumerate() {
            let number = index + 1;
            content.line(format_args!(
                "{number} {} {} {} {} {} {} {} {} {} {} {} {} {}",
                line.kind,
                line.customer.uuid(),
                line.plan.uuid(),
                line.month,
                line.unit_price,
                line.seat_days,
                line.gross,
                line.discount_bps.get(),
                line.discount,
                line.net,
                line.treatment.category,
                line.treatment.rate.get(),
                line.trace
            ));
        }
        content.hex()
    }
}

/// The hash of a stored invoice's content as its rows stand, before number and dates.
pub fn stored_invoice_hash(invoice: &Invoice, lines: &[InvoiceLine]) -> String {
    let (parties, trace) = (invoice.parties.to_string(), invoice.trace.to_string());
    let books = invoice
        .vat_books()
        .and_then(|vat| Some((vat.minor, vat.currency, invoice.vat_books_rate?, invoice.vat_books_rate_date?)));
    let mut content = invoice_content(&Head {
        partner: invoice.partner_id,
        month: invoice.month,
        totals: [invoice.net_total_minor, invoice.vat_total_minor, invoice.gross_total_minor],
        currency: invoice.currency,
        books,
        users: invoice.users,
        tier: &invoice.billed_tier,
        discount: invoice.discount_bps,
        parties: &parties,
        trace: &trace,
    });
    for line in lines {
        content.line(format_args!(
            "{} {} {} {} {} {} {} {} {} {} {} {} {} {}",
            line.line_number,
            line.kind,
            line.customer_id.uuid(),
            line.plan_id.uuid(),
            line.month,
            line.unit_price_minor,
            line.seat_days,
            line.gross_minor,
            line.discount_bps.get(),
            line.discount_minor,
            line.net_minor,
            line.vat_category,
            line.vat_bps.get(),
            line.trace
        ));
    }
    content.hex()
}

/// The hash of a finalized document: its content with what finalizing added.
pub fn finalized_hash(content_hash: &str, number: &str, issue_date: Date, due_date: Option<Date>) -> String {
    let mut content = Content::new("finalized");
    content.line(format_args!("{content_hash} {number} {issue_date}"));
    if let Some(due_date) = due_date {
        content.line(format_args!("{due_date}"));
    }
    content.hex()
}

impl CreditNoteDraft {
    /// Hash of everything but what finalizing adds (number and date).
    pub fn content_hash(&self) -> String {
        let totals = [self.totals.net.minor, self.totals.vat.minor, self.totals.gross.minor];
        let books = self.books.map(|(vat, rate)| (vat.minor, vat.currency, rate));
        let mut content =
            note_content(self.invoice, self.partner, self.currency, totals, books, &self.memo, &self.trace);
        for (index, line) in self.lines.iter().enumerate() {
            let number = index + 1;
            note_line(&mut content, number, line.invoice_line_number, line.net, line.treatment, &line.trace);
        }
        content.hex()
    }
}

/// The hash of a stored credit note's content as its rows stand, before number and date.
pub fn stored_credit_note_hash(note: &CreditNote, lines: &[CreditNoteLine]) -> String {
    let totals = [note.net_total_minor, note.vat_total_minor, note.gross_total_minor];
    let books = match (note.vat_books_minor, note.vat_books_currency, note.vat_books_rate) {
        (Some(minor), Some(currency), Some(rate)) => Some((minor, currency, rate)),
        _ => None,
    };
    let trace = note.trace.to_string();
    let mut content = note_content(note.invoice_id, note.partner_id, note.currency, totals, books, &note.memo, &trace);
    for (index, line) in lines.iter().enumerate() {
        let trace = line.trace.to_string();
        note_line(&mut content, index + 1, line.invoice_line_number, line.net_minor, line.treatment(), &trace);
    }
    content.hex()
}

fn note_content(
    invoice: InvoiceId,
    partner: PartnerId,
    currency: Currency,
    [net, vat, gross]: [i64; 3],
    books: Option<(i64, Currency, ExchangeRate)>,
    memo: &str,
    trace: &str,
) -> Content {
    let mut content = Content::new("credit note");
    content.line(format_args!("{invoice} {partner} {currency} {net} {vat} {gross}"));
    if let Some((minor, currency, rate)) = books {
        content.line(format_args!("{minor} {currency} {rate}"));
    }
    content.line(format_args!("{memo}"));
    content.line(format_args!("{trace}"));
    content
}

fn note_line(content: &mut Content, number: usize, of: i32, net: i64, treatment: VatTreatment, trace: &str) {
    let (category, rate) = (treatment.category, treatment.rate.get());
    content.line(format_args!("{number} {of} {net} {category} {rate} {trace}"));
}
