//! Credit notes: what is taken back of finalized invoices. Their amounts are above zero.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::invoicing::{self, documents, goodwill};
use billing::{Applied, Billing, Error, Refusal, explain};
use billing_primitives::{self as primitives, CreditNoteId, OrganizationId};

use super::connection::{Connection, List};
use super::errors;
use super::explain::Explanation;
use super::invoice_lines::{InvoiceLine, InvoiceLineId};
use super::invoices::{DocumentStatus, Invoice, VatCategory};
use super::loaders::CreditLinesOf;
use super::partners::Partner;
use super::runs::BillingRun;
use super::scalars::{Currency, Date, DateTime, Money, MoneyInput, Rate};
use super::scope::{Scope, id};
use crate::payloads;

/// Why something was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "documents::CreditReason")]
pub enum CreditReason {
    /// A month turned out to cost less than was invoiced.
    Correction,
    /// Granted by hand; never billed back.
    Goodwill,
}

/// Takes back part of one invoice.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct CreditNote {
    /// The global id.
    pub id: ID,
    /// Its number, without gaps in its series; null while it is a draft.
    pub number: Option<String>,
    /// Why something was taken back.
    pub reason: CreditReason,
    /// What people said about it.
    pub memo: String,
    /// Whether it may still change.
    pub status: DocumentStatus,
    /// The day it was finalized for.
    pub issue_date: Option<Date>,
    /// The currency of all its amounts: that of the invoice.
    pub currency: Currency,
    /// Sum of its lines.
    pub net_total: Money,
    /// VAT on it, at the rates of the invoice's lines.
    pub vat_total: Money,
    /// What is taken back: net and VAT.
    pub gross_total: Money,
    /// The VAT total in the currency of the organization's books, where that is another one.
    pub vat_in_books: Option<Money>,
    /// The rate at which it was converted: the invoice's.
    pub vat_books_rate: Option<Rate>,
    /// How many lines it has.
    pub line_count: i32,
    /// SHA-256 over everything it says, in hex.
    pub content_hash: String,
    /// When it was made.
    pub created_at: DateTime,
    /// When it was finalized.
    pub finalized_at: Option<DateTime>,
    #[graphql(skip)]
    row: Arc<documents::CreditNote>,
}

impl From<documents::CreditNote> for CreditNote {
    fn from(row: documents::CreditNote) -> Self {
        let money = |minor| Money::from(primitives::Money::new(minor, row.currency));
        let in_books = row.vat_books_minor.zip(row.vat_books_currency);
        CreditNote {
            id: row.id.into(),
            number: row.number.clone(),
            reason: row.reason.into(),
            memo: row.memo.clone(),
            status: row.status.into(),
            issue_date: row.issue_date.map(Into::into),
            currency: row.currency.into(),
            net_total: money(row.net_total_minor),
            vat_total: money(row.vat_total_minor),
            gross_total: money(row.gross_total_minor),
            vat_in_books: in_books.map(|(minor, currency)| primitives::Money::new(minor, currency).into()),
            vat_books_rate: row.vat_books_rate.map(Into::into),
            line_count: row.line_count,
            content_hash: row.content_hash.clone(),
            created_at: row.created_at.into(),
            finalized_at: row.finalized_at.map(Into::into),
            row: Arc::new(row),
        }
    }
}

#[ComplexObject]
impl CreditNote {
    /// The invoice it names.
    async fn invoice(&self, ctx: &Context<'_>) -> Result<Invoice> {
        Ok(Scope::of(ctx)?.need(self.row.invoice_id).await?.into())
    }

    /// Whose invoice it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.row.partner_id).await?.into())
    }

    /// The run that made it; null: it was made by hand.
    async fn billing_run(&self, ctx: &Context<'_>) -> Result<Option<BillingRun>> {
        let Some(run) = self.row.billing_run_id else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(run).await?.into()))
    }

    /// Its lines in their order.
    async fn lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<CreditNoteLine>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("creditNoteLines", scope.organization(), first, after.as_deref())?;
        let lines = scope.list(CreditLinesOf(self.row.id)).await?;
        list.connection(list.cut(lines, |line, after| line.line_number > *after), |line| line.line_number)
    }

    /// Why it comes to its gross total, as it was stored when it was computed.
    async fn explanation(&self, ctx: &Context<'_>) -> Result<Explanation> {
        let lines = Scope::of(ctx)?.list(CreditLinesOf(self.row.id)).await?;
        Ok(explain::of_credit_note(&self.row, &lines).into())
    }
}

/// What a credit note takes back of one invoice line.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct CreditNoteLine {
    /// Its place on the credit note, from 1.
    pub line_number: i32,
    /// What is taken back, before VAT.
    pub net: Money,
    /// How it is taxed: as the invoice line.
    pub vat_category: VatCategory,
    /// Its VAT rate in hundredths of a per cent.
    pub vat_rate_bps: i32,
    #[graphql(skip)]
    of: InvoiceLineId,
}

impl From<documents::CreditNoteLine> for CreditNoteLine {
    fn from(row: documents::CreditNoteLine) -> Self {
        CreditNoteLine {
            line_number: row.line_number,
            net: primitives::Money::new(row.net_minor, row.currency).into(),
            vat_category: row.vat_category.into(),
            vat_rate_bps: row.vat_bps.get(),
            of: InvoiceLineId { invoice: row.invoice_id, number: row.invoice_line_number },
        }
    }
}

#[ComplexObject]
impl CreditNoteLine {
    /// The line that it takes back from.
    async fn invoice_line(&self, ctx: &Context<'_>) -> Result<InvoiceLine> {
        Ok(Scope::of(ctx)?.need(self.of).await?.into())
    }
}

#[derive(Default)]
pub struct CreditNoteQuery;

#[Object]
impl CreditNoteQuery {
    /// One credit note by its id; null when there is none.
    async fn credit_note(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<CreditNote>> {
        Ok(Scope::of(ctx)?.find::<CreditNoteId>(&id).await?.map(CreditNote::from))
    }

    /// Credit notes, the ones made last first: all, or those of a partner.
    async fn credit_notes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
    ) -> Result<Connection<CreditNote>> {
        let scope = Scope::of(ctx)?;
        let partner = partner.map(|partner| id("partner", "partner", &partner)).transpose()?;
        let list = List::of("creditNotes", scope.organization(), first, after.as_deref())?;
        let slice = invoicing::credit_notes(&scope.billing, scope.organization(), partner, &list.page).await?;
        list.connection(slice, |note| note.id)
    }
}

/// A credit note by hand: part of a finalized invoice is given up.
#[derive(Debug, Clone, InputObject)]
pub struct CreateCreditNoteInput {
    /// The id of the invoice.
    invoice: ID,
    /// What is given up of which lines: at least one.
    lines: Vec<CreateCreditNoteLineInput>,
    /// Why: 1 to 200 characters, as they will stand on the document.
    memo: String,
}

/// What is given up of one invoice line.
#[derive(Debug, Clone, InputObject)]
pub struct CreateCreditNoteLineInput {
    /// The number of the line.
    line_number: i32,
    /// What is taken back, before VAT: above zero, and at most what its credit notes have left of it.
    amount: MoneyInput,
}

impl CreateCreditNoteInput {
    fn note(self) -> Result<goodwill::NewCreditNote, Refusal> {
        Ok(goodwill::NewCreditNote {
            invoice: id("invoice", "invoice", &self.invoice)?,
            lines: self.lines.into_iter().map(|line| (line.line_number, line.amount.into())).collect(),
            memo: self.memo,
        })
    }
}

payloads! {
    /// What making a credit note came to.
    CreateCreditNotePayload {
        /// The finalized credit note.
        credit_note: CreditNote as documents::CreditNote
    }
}

#[derive(Default)]
pub struct CreditNoteMutation;

#[Object]
impl CreditNoteMutation {
    /// Makes and finalizes a credit note of reason GOODWILL. It lowers what is due at once; what exceeds that goes to
    /// the partner's credit balance. It is never billed back.
    async fn create_credit_note(
        &self,
        ctx: &Context<'_>,
        input: CreateCreditNoteInput,
    ) -> Result<CreateCreditNotePayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            match goodwill::create(&scope.billing, &scope.caller, &input.note()?).await? {
                Applied::Now(id) => Ok(Applied::Now(note(&scope.billing, scope.organization(), id).await?)),
                Applied::Before(id) => Ok(Applied::Before(note(&scope.billing, scope.organization(), id).await?)),
            }
        };
        let mut payload: CreateCreditNotePayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "amount", &["lines"]);
        errors::place(&mut payload.user_errors, "currency", &["lines"]);
        Ok(payload)
    }
}

async fn note(
    billing: &Billing,
    organization: OrganizationId,
    id: CreditNoteId,
) -> Result<documents::CreditNote, Error> {
    let found = invoicing::credit_notes_by_ids(billing, organization, &[id]).await?.pop();
    found.ok_or_else(|| Error::Corrupt(format!("{id} was made and does not exist")))
}
