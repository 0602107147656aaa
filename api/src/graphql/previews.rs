//! What a month would come to now. Nothing is written, and the later documents equal it to the cent.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use billing::invoicing::draft::{CreditNoteDraft, InvoiceDraft};
use billing::invoicing::rules::totals::Totals;
use billing::invoicing::{self, Computed};
use billing::{Refusal, partners, tiers};
use billing_primitives::{self as primitives, CustomerId, InvoiceId, PlanId};

use super::catalog::Plan;
use super::connection::{Connection, List, USUAL_PAGE};
use super::customers::Customer;
use super::errors::Code;
use super::invoice_lines::{InvoiceLine, InvoiceLineId, LineFacts};
use super::invoices::{Invoice, VatCategory, VatTotal};
use super::partners::Partner;
use super::scalars::{Count, Currency, Money, Month};
use super::scope::{Scope, id};
use super::tiers::TierReason;

/// What a partner's month would come to now.
#[derive(Clone, SimpleObject)]
#[graphql(complex)]
pub struct BillingRunPreview {
    /// Why the partner would be left out; with amounts when it can be drafted and only finalizing is refused.
    pub refusal: Option<PreviewRefusal>,
    /// The tier of the month, and why; null when nothing can be drafted.
    pub tier: Option<TierOutcome>,
    /// The invoice; null when nothing can be drafted or there is nothing to bill.
    pub invoice: Option<PreviewInvoice>,
    /// What would be taken back of earlier months.
    pub credit_notes: Vec<PreviewCreditNote>,
    #[graphql(skip)]
    partner: Arc<partners::Partner>,
}

impl From<Computed> for BillingRunPreview {
    fn from(computed: Computed) -> Self {
        let partner = Arc::new(computed.partner);
        let out_of_order = computed.earlier_open.map(|open| Refusal::EarlierMonthOpen { open });
        match computed.outcome {
            Err(refusal) => {
                let refusal = Some(PreviewRefusal::from(&refusal));
                BillingRunPreview { refusal, tier: None, invoice: None, credit_notes: Vec::new(), partner }
            }
            Ok(month) => BillingRunPreview {
                refusal: out_of_order.or(month.obstacle).as_ref().map(PreviewRefusal::from),
                tier: Some(month.evaluation.into()),
                invoice: month.invoice.map(PreviewInvoice::from),
                credit_notes: month.credit_notes.into_iter().map(PreviewCreditNote::from).collect(),
                partner,
            },
        }
    }
}

#[ComplexObject]
impl BillingRunPreview {
    /// Whose month it is.
    async fn partner(&self) -> Partner {
        Partner::from(partners::Partner::clone(&self.partner))
    }
}

/// Why a partner would be left out of a run.
#[derive(Debug, Clone, SimpleObject)]
pub struct PreviewRefusal {
    /// What programs compare, such as `PRICE_MISSING`.
    pub code: String,
    /// What people read, in English.
    pub message: String,
}

impl From<&Refusal> for PreviewRefusal {
    fn from(refusal: &Refusal) -> Self {
        PreviewRefusal { code: refusal.code().to_owned(), message: refusal.to_string() }
    }
}

/// What a month's tier would be.
#[derive(Debug, Clone, SimpleObject)]
pub struct TierOutcome {
    /// Users of all the partner's customers: seat-days of plans that count users / days of the month, rounded down.
    pub users: Count,
    /// The code of the tier that the users reach.
    pub measured_tier: String,
    /// The code of the tier that is billed.
    pub billed_tier: String,
    /// The discount of the billed tier, in hundredths of a per cent.
    pub discount_bps: i32,
    /// Why this tier is billed.
    pub reason: TierReason,
    /// Months in a row, this one included, that are forgiven.
    pub months_below: i32,
}

impl From<tiers::Evaluation> for TierOutcome {
    fn from(evaluation: tiers::Evaluation) -> Self {
        TierOutcome {
            users: Count(evaluation.users),
            measured_tier: evaluation.measured,
            billed_tier: evaluation.billed,
            discount_bps: evaluation.discount.get(),
            reason: evaluation.reason.into(),
            months_below: evaluation.months_below,
        }
    }
}

/// An invoice that is computed and not stored.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PreviewInvoice {
    /// The currency of all its amounts.
    pub currency: Currency,
    /// Sum of the nets of its lines.
    pub net_total: Money,
    /// Sum of its VAT totals.
    pub vat_total: Money,
    /// What would have to be paid: net and VAT.
    pub gross_total: Money,
    /// The VAT total in the currency of the organization's books, where that is another one.
    pub vat_in_books: Option<Money>,
    /// How many lines it has.
    pub line_count: i32,
    /// Its VAT per category and rate.
    pub vat: Vec<VatTotal>,
    #[graphql(skip)]
    draft: Arc<InvoiceDraft>,
}

impl From<InvoiceDraft> for PreviewInvoice {
    fn from(draft: InvoiceDraft) -> Self {
        PreviewInvoice {
            currency: draft.currency.into(),
            net_total: draft.totals.net.into(),
            vat_total: draft.totals.vat.into(),
            gross_total: draft.totals.gross.into(),
            vat_in_books: draft.books.map(|books| books.amount.into()),
            line_count: i32::try_from(draft.lines.len()).unwrap_or(i32::MAX),
            vat: vat(&draft.totals),
            draft: Arc::new(draft),
        }
    }
}

fn vat(totals: &Totals) -> Vec<VatTotal> {
    let of = |total: &invoicing::rules::totals::VatTotal| VatTotal {
        category: total.treatment.category.into(),
        rate_bps: total.treatment.rate.get(),
        taxable: total.taxable.into(),
        tax: total.tax.into(),
    };
    totals.per_rate.iter().map(of).collect()
}

#[ComplexObject]
impl PreviewInvoice {
    /// Its first lines in their order.
    async fn lines(
        &self,
        #[graphql(desc = "How many: 25 unless said, at most 100.")] first: Option<i32>,
    ) -> Result<Vec<PreviewLine>> {
        let shown = self.draft.lines.iter().zip(1..).take(shown(first)?);
        Ok(shown
            .map(|(line, line_number)| PreviewLine {
                line_number,
                facts: LineFacts::drafted(line, self.draft.currency),
                customer: line.customer,
                plan: line.plan,
            })
            .collect())
    }
}

/// How much of a plain list is shown; it has no pages.
fn shown(first: Option<i32>) -> Result<usize> {
    let first = first.map_or(USUAL_PAGE, i64::from);
    let most = billing::Page::<()>::MOST;
    let wrong = || Code::BadUserInput.error(format!("first is 0 to {most}"));
    usize::try_from(first).ok().filter(|_| first <= most).ok_or_else(wrong)
}

/// A line that is computed and not stored.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PreviewLine {
    /// Its place on the invoice, from 1.
    pub line_number: i32,
    #[graphql(flatten)]
    facts: LineFacts,
    #[graphql(skip)]
    customer: CustomerId,
    #[graphql(skip)]
    plan: PlanId,
}

#[ComplexObject]
impl PreviewLine {
    /// Who used it.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.customer).await?.into())
    }

    /// What was used.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        Ok(Scope::of(ctx)?.need(self.plan).await?.into())
    }
}

/// A credit note that is computed and not stored.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PreviewCreditNote {
    /// What it would say.
    pub memo: String,
    /// Sum of its lines.
    pub net_total: Money,
    /// VAT on it, at the rates of the invoice's lines.
    pub vat_total: Money,
    /// What would be taken back: net and VAT.
    pub gross_total: Money,
    /// How many lines it has.
    pub line_count: i32,
    #[graphql(skip)]
    of: InvoiceId,
    #[graphql(skip)]
    draft: Arc<CreditNoteDraft>,
}

impl From<CreditNoteDraft> for PreviewCreditNote {
    fn from(draft: CreditNoteDraft) -> Self {
        PreviewCreditNote {
            memo: draft.memo.clone(),
            net_total: draft.totals.net.into(),
            vat_total: draft.totals.vat.into(),
            gross_total: draft.totals.gross.into(),
            line_count: i32::try_from(draft.lines.len()).unwrap_or(i32::MAX),
            of: draft.invoice,
            draft: Arc::new(draft),
        }
    }
}

#[ComplexObject]
impl PreviewCreditNote {
    /// The invoice it would name.
    async fn invoice(&self, ctx: &Context<'_>) -> Result<Invoice> {
        Ok(Scope::of(ctx)?.need(self.of).await?.into())
    }

    /// Its first lines in their order.
    async fn lines(
        &self,
        #[graphql(desc = "How many: 25 unless said, at most 100.")] first: Option<i32>,
    ) -> Result<Vec<PreviewCreditNoteLine>> {
        let shown = self.draft.lines.iter().take(shown(first)?);
        Ok(shown
            .map(|line| PreviewCreditNoteLine {
                net: primitives::Money::new(line.net, self.draft.currency).into(),
                vat_category: line.treatment.category.into(),
                vat_rate_bps: line.treatment.rate.get(),
                of: InvoiceLineId { invoice: self.of, number: line.invoice_line_number },
            })
            .collect())
    }
}

/// What a credit note would take back of one invoice line.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PreviewCreditNoteLine {
    /// What is taken back, before VAT.
    pub net: Money,
    /// How it is taxed: as the invoice line.
    pub vat_category: VatCategory,
    /// Its VAT rate in hundredths of a per cent.
    pub vat_rate_bps: i32,
    #[graphql(skip)]
    of: InvoiceLineId,
}

#[ComplexObject]
impl PreviewCreditNoteLine {
    /// The line that it takes back from.
    async fn invoice_line(&self, ctx: &Context<'_>) -> Result<InvoiceLine> {
        Ok(Scope::of(ctx)?.need(self.of).await?.into())
    }
}

#[derive(Default)]
pub struct PreviewQuery;

#[Object]
impl PreviewQuery {
    /// What a month would come to now, partner by partner in the order of their external ids, or for one of them.
    async fn billing_run_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The month.")] month: Month,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<BillingRunPreview>> {
        let scope = Scope::of(ctx)?;
        let partner = partner.map(|partner| id("partner", "partner", &partner)).transpose()?;
        let list = List::of("billingRunPreview", scope.organization(), first, after.as_deref())?;
        let slice = invoicing::preview(&scope.billing, scope.organization(), month.into(), partner, &list.page).await?;
        list.connection(slice, |computed| computed.partner.external_id.clone())
    }
}
