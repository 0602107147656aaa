//! Invoices: a partner's months. What a document says never changes once it is finalized; what happened to it since
//! stands in its settlement.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, ID, Object, Result, SimpleObject};
use billing::invoicing::{self, InvoiceFilter, documents};
use billing::vat;
use billing_primitives::InvoiceId;

use super::connection::{Connection, List};
use super::credit_notes::CreditNote;
use super::errors::Code;
use super::explain::Explanation;
use super::invoice_lines::{InvoiceLine, LinesOf};
use super::loaders::{CreditNotesOf, PaymentsOf, SettlementsOf, VatOf};
use super::partners::Partner;
use super::payments::Payment;
use super::runs::BillingRun;
use super::scalars::{Count, Currency, Date, DateTime, Money, Month, Rate};
use super::scope::{Scope, id};
use super::settlements::{PaymentStatus, Settlement};

/// Whether a document may still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "documents::DocumentStatus")]
pub enum DocumentStatus {
    /// It follows the facts until it is finalized; it has no number.
    Draft,
    /// It is numbered, in the books, and never changes.
    Finalized,
}

/// VAT category of EN 16931 (code list UNCL 5305).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "vat::VatCategory")]
pub enum VatCategory {
    /// Standard rate, code S.
    Standard,
    /// Reverse charge: the buyer owes the VAT, code AE.
    ReverseCharge,
    /// Outside the scope of EU VAT, code O.
    OutsideScope,
}

/// Seller or buyer as they stand on a document, copied when it was made.
#[derive(Debug, Clone, SimpleObject)]
pub struct Party {
    /// What other systems call it.
    pub external_id: String,
    /// The legal name.
    pub name: String,
    /// Street and house number.
    pub street: String,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// The country it is taxed in, two capital letters.
    pub country: String,
    /// Where it is written to.
    pub email: String,
    /// Its VAT number, beginning with the country.
    pub vat_number: Option<String>,
    /// Its number in the register of companies; only the seller's is known.
    pub registration_number: Option<String>,
    /// Of a buyer: what the check of its VAT number said, and when.
    pub vat_check: Option<String>,
}

impl From<documents::Party> for Party {
    fn from(party: documents::Party) -> Self {
        Party {
            external_id: party.external_id,
            name: party.name,
            street: party.street,
            postal_code: party.postal_code,
            city: party.city,
            country: party.country,
            email: party.email,
            vat_number: party.vat_number,
            registration_number: party.registration_number,
            vat_check: party.vat_check,
        }
    }
}

/// VAT of one category and rate of a document: computed once on the sum of its nets, never per line.
#[derive(Debug, Clone, SimpleObject)]
pub struct VatTotal {
    /// The category.
    pub category: VatCategory,
    /// The rate in hundredths of a per cent: 2500 is 25 %.
    pub rate_bps: i32,
    /// What it is computed on.
    pub taxable: Money,
    /// The VAT.
    pub tax: Money,
}

/// Something that stops nobody and that somebody should look at.
#[derive(Debug, Clone, SimpleObject)]
pub struct Warning {
    /// What programs compare, such as `VAT_NUMBER_UNCHECKED`.
    pub code: String,
    /// What people read.
    pub message: String,
}

impl From<documents::Warning> for Warning {
    fn from(row: documents::Warning) -> Self {
        Warning { code: row.code, message: row.message }
    }
}

impl From<documents::InvoiceVat> for VatTotal {
    fn from(row: documents::InvoiceVat) -> Self {
        let money = |minor| billing_primitives::Money::new(minor, row.currency).into();
        VatTotal {
            category: row.vat_category.into(),
            rate_bps: row.vat_bps.get(),
            taxable: money(row.taxable_minor),
            tax: money(row.tax_minor),
        }
    }
}

/// A partner's month: one aggregated invoice over all of its customers.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Invoice {
    /// The global id.
    pub id: ID,
    /// Its number, without gaps in its series; null while it is a draft.
    pub number: Option<String>,
    /// Whether it may still change.
    pub status: DocumentStatus,
    /// The month that is billed.
    pub month: Month,
    /// The day it was finalized for.
    pub issue_date: Option<Date>,
    /// The day by which it is to be paid.
    pub due_date: Option<Date>,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// Sum of the nets of its lines.
    pub net_total: Money,
    /// Sum of its VAT totals.
    pub vat_total: Money,
    /// What is to be paid: net and VAT.
    pub gross_total: Money,
    /// The VAT total in the currency of the organization's books, where that is another one.
    pub vat_in_books: Option<Money>,
    /// The rate at which it was converted.
    pub vat_books_rate: Option<Rate>,
    /// The day of that rate.
    pub vat_books_rate_date: Option<Date>,
    /// Users of the month, which its tier is measured by.
    pub users: Count,
    /// The code of the tier that is billed.
    pub billed_tier: String,
    /// The discount of that tier, in hundredths of a per cent.
    pub discount_bps: i32,
    /// How many lines it has.
    pub line_count: i32,
    /// SHA-256 over everything it says, in hex.
    pub content_hash: String,
    /// When it was first drafted.
    pub created_at: DateTime,
    /// When it was finalized.
    pub finalized_at: Option<DateTime>,
    #[graphql(skip)]
    row: Arc<documents::Invoice>,
}

impl From<documents::Invoice> for Invoice {
    fn from(row: documents::Invoice) -> Self {
        Invoice {
            id: row.id.into(),
            number: row.number.clone(),
            status: row.status.into(),
            month: row.month.into(),
            issue_date: row.issue_date.map(Into::into),
            due_date: row.due_date.map(Into::into),
            currency: row.currency.into(),
            net_total: row.net().into(),
            vat_total: row.vat().into(),
            gross_total: row.gross().into(),
            vat_in_books: row.vat_books().map(Into::into),
            vat_books_rate: row.vat_books_rate.map(Into::into),
            vat_books_rate_date: row.vat_books_rate_date.map(Into::into),
            users: Count(row.users),
            billed_tier: row.billed_tier.clone(),
            discount_bps: row.discount_bps.get(),
            line_count: row.line_count,
            content_hash: row.content_hash.clone(),
            created_at: row.created_at.into(),
            finalized_at: row.finalized_at.map(Into::into),
            row: Arc::new(row),
        }
    }
}

impl Invoice {
    async fn settled(&self, ctx: &Context<'_>) -> Result<Option<billing::payments::Settlement>> {
        Ok(Scope::of(ctx)?.list(SettlementsOf(self.row.id)).await?.pop())
    }
}

#[ComplexObject]
impl Invoice {
    /// Who pays it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.row.partner_id).await?.into())
    }

    /// The run that made it.
    async fn billing_run(&self, ctx: &Context<'_>) -> Result<BillingRun> {
        Ok(Scope::of(ctx)?.need(self.row.billing_run_id).await?.into())
    }

    /// The organization as it stands on the document.
    async fn seller(&self) -> Result<Party> {
        Ok(self.row.parties()?.seller.into())
    }

    /// The partner as it stands on the document.
    async fn buyer(&self) -> Result<Party> {
        Ok(self.row.parties()?.buyer.into())
    }

    /// Its lines in their order.
    async fn lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<InvoiceLine>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("invoiceLines", scope.organization(), first, after.as_deref())?;
        let lines = scope.list(LinesOf::page(self.row.id, &list.page)).await?;
        list.connection(list.cut(lines, |line, after| line.line_number > *after), |line| line.line_number)
    }

    /// Its VAT per category and rate.
    async fn vat(&self, ctx: &Context<'_>) -> Result<Vec<VatTotal>> {
        let totals = Scope::of(ctx)?.list(VatOf(self.row.id)).await?;
        Ok(totals.into_iter().map(VatTotal::from).collect())
    }

    /// What somebody should look at before the document is sent.
    async fn warnings(&self, ctx: &Context<'_>) -> Result<Vec<Warning>> {
        let totals = Scope::of(ctx)?.list(VatOf(self.row.id)).await?;
        let parties = self.row.parties()?;
        let found = documents::Warning::of_invoice(&parties, totals.iter().map(|total| total.vat_category));
        Ok(found.into_iter().map(Warning::from).collect())
    }

    /// The credit notes that name it, in the order in which they were made.
    async fn credit_notes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<CreditNote>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("invoiceCreditNotes", scope.organization(), first, after.as_deref())?;
        let notes = scope.list(CreditNotesOf(self.row.id)).await?;
        list.connection(list.cut(notes, |note, after| note.id > *after), |note| note.id)
    }

    /// Payments and reversals, in the order of recording.
    async fn payments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Payment>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("invoicePayments", scope.organization(), first, after.as_deref())?;
        let payments = scope.list(PaymentsOf(self.row.id)).await?;
        list.connection(list.cut(payments, |payment, after| payment.id > *after), |payment| payment.id)
    }

    /// Where it stands today; null while it is a draft.
    async fn payment_status(&self, ctx: &Context<'_>) -> Result<Option<PaymentStatus>> {
        Ok(self.settled(ctx).await?.map(|settlement| settlement.status.into()))
    }

    /// What is still to be paid; null while it is a draft.
    async fn due(&self, ctx: &Context<'_>) -> Result<Option<Money>> {
        Ok(self.settled(ctx).await?.map(|settlement| settlement.due.into()))
    }

    /// What it has come to since it was finalized; null while it is a draft.
    async fn settlement(&self, ctx: &Context<'_>) -> Result<Option<Settlement>> {
        Ok(self.settled(ctx).await?.map(Settlement::from))
    }

    /// Why it comes to its gross total, as it was stored when it was computed.
    async fn explanation(&self, ctx: &Context<'_>) -> Result<Explanation> {
        let vat = Scope::of(ctx)?.list(VatOf(self.row.id)).await?;
        Ok(billing::explain::of_invoice(&self.row, &vat).into())
    }
}

/// A page of invoices, the ones made last first.
pub async fn page(
    scope: &Scope,
    filter: &InvoiceFilter,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<Invoice>> {
    let list = List::of("invoices", scope.organization(), first, after)?;
    let slice = invoicing::invoices(&scope.billing, scope.organization(), filter, &list.page).await?;
    list.connection(slice, |invoice| invoice.id)
}

#[derive(Default)]
pub struct InvoiceQuery;

#[Object]
impl InvoiceQuery {
    /// One invoice by its id or its number; null when there is none.
    async fn invoice(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "The number of a finalized one.")] number: Option<String>,
    ) -> Result<Option<Invoice>> {
        let scope = Scope::of(ctx)?;
        let found = match (id, number) {
            (Some(id), None) => scope.find::<InvoiceId>(&id).await?,
            (None, Some(number)) => invoicing::invoice_by_number(&scope.billing, scope.organization(), &number).await?,
            _ => return Err(Code::BadUserInput.error("give id or number, one of the two")),
        };
        Ok(found.map(Invoice::from))
    }

    /// Invoices, the ones made last first: all, or those of a partner, a month or a status.
    async fn invoices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "The month that is billed.")] month: Option<Month>,
        #[graphql(desc = "Whether they may still change.")] status: Option<DocumentStatus>,
    ) -> Result<Connection<Invoice>> {
        let scope = Scope::of(ctx)?;
        let filter = InvoiceFilter {
            partner: partner.map(|partner| self::id("partner", "partner", &partner)).transpose()?,
            month: month.map(Into::into),
            status: status.map(Into::into),
        };
        page(scope, &filter, first, after.as_deref()).await
    }
}
