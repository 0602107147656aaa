//! Cash: payments and their reversals, credit balances, and what is given up by hand.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::payments::{self, PaymentFilter};
use billing::{Applied, Error, Refusal, invoicing};
use billing_primitives::{InvoiceId, PartnerId, PaymentId};

use super::connection::{Connection, List};
use super::errors;
use super::invoices::Invoice;
use super::partners::Partner;
use super::scalars::{Date, DateTime, Money, MoneyInput};
use super::scope::{Name, Scope, id, one_of};
use crate::payloads;

/// Which way money came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payments::PaymentMethod")]
pub enum PaymentMethod {
    /// By bank transfer.
    Bank,
    /// Through Stripe.
    Stripe,
    /// What was payable to the partner as commission paid it; only finalizing an invoice records it.
    Commission,
}

/// Why money went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payments::ReversalReason")]
pub enum ReversalReason {
    /// The transfer or direct debit failed.
    Bounced,
    /// It was given back.
    Refunded,
    /// The payer disputed it.
    Disputed,
    /// It was recorded by mistake.
    Mistake,
}

/// Money that came in for an invoice, or went back.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Payment {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: Option<String>,
    /// Which way it came.
    pub method: PaymentMethod,
    /// The amount, above zero also when it went back.
    pub amount: Money,
    /// The day it came in; of a reversal the day it went back.
    pub received_on: Date,
    /// What the bank's statement says.
    pub reference: String,
    /// Of a reversal: why it went back.
    pub reversal_reason: Option<ReversalReason>,
    /// When it was recorded.
    pub created_at: DateTime,
    #[graphql(skip)]
    invoice: InvoiceId,
    #[graphql(skip)]
    partner: PartnerId,
    #[graphql(skip)]
    reverses: Option<PaymentId>,
}

impl From<payments::Payment> for Payment {
    fn from(row: payments::Payment) -> Self {
        Payment {
            id: row.id.into(),
            method: row.method.into(),
            amount: row.amount().into(),
            received_on: row.received_on.into(),
            reversal_reason: row.reversal_reason.map(Into::into),
            created_at: row.created_at.into(),
            invoice: row.invoice_id,
            partner: row.partner_id,
            reverses: row.reverses_payment_id,
            external_id: row.external_id,
            reference: row.reference,
        }
    }
}

#[ComplexObject]
impl Payment {
    /// The invoice it was recorded for. What exceeds it pays the partner's oldest open invoices.
    async fn invoice(&self, ctx: &Context<'_>) -> Result<Invoice> {
        Ok(Scope::of(ctx)?.need(self.invoice).await?.into())
    }

    /// Who paid.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// The payment that went back; null: this one came in.
    async fn reverses(&self, ctx: &Context<'_>) -> Result<Option<Payment>> {
        let Some(payment) = self.reverses else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(payment).await?.into()))
    }
}

/// What a partner has paid or been credited beyond what was due. It pays the next invoices, or is paid out by hand.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct CreditBalance {
    /// The balance, never below zero.
    pub balance: Money,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<payments::CreditBalance> for CreditBalance {
    fn from(row: payments::CreditBalance) -> Self {
        CreditBalance { balance: row.amount().into(), partner: row.partner_id }
    }
}

#[ComplexObject]
impl CreditBalance {
    /// Whose it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }
}

#[derive(Default)]
pub struct PaymentQuery;

#[Object]
impl PaymentQuery {
    /// One payment by its id or its external id; null when there is none.
    async fn payment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "What other systems call it.")] external_id: Option<String>,
    ) -> Result<Option<Payment>> {
        let scope = Scope::of(ctx)?;
        let found = match one_of(id, external_id)? {
            Name::Id(id) => scope.find::<PaymentId>(&id).await?,
            Name::External(name) => payments::by_external_id(&scope.billing, scope.organization(), &name).await?,
        };
        Ok(found.map(Payment::from))
    }

    /// Payments and reversals in the order of recording: all, or those of a partner or an invoice.
    async fn payments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "The id of an invoice.")] invoice: Option<ID>,
    ) -> Result<Connection<Payment>> {
        let scope = Scope::of(ctx)?;
        let filter = PaymentFilter {
            partner: partner.map(|partner| id("partner", "partner", &partner)).transpose()?,
            invoice: invoice.map(|invoice| id("invoice", "invoice", &invoice)).transpose()?,
        };
        let list = List::of("payments", scope.organization(), first, after.as_deref())?;
        let slice = payments::list(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |payment| payment.id)
    }
}

/// Money that came in for an invoice.
#[derive(Debug, Clone, InputObject)]
pub struct RecordPaymentInput {
    /// What other systems call it: 1 to 100 characters; a second payment with it is refused.
    external_id: Option<String>,
    /// The id of the invoice, a finalized one.
    invoice: ID,
    /// The amount, above zero, in the currency of the invoice.
    amount: MoneyInput,
    /// The day it came in; not in the future.
    received_on: Date,
    /// What the bank's statement says: at most 200 characters.
    #[graphql(default)]
    reference: String,
    /// Which way it came.
    #[graphql(default_with = "PaymentMethod::Bank")]
    method: PaymentMethod,
}

impl RecordPaymentInput {
    fn payment(self) -> Result<payments::NewPayment, Refusal> {
        Ok(payments::NewPayment {
            external_id: self.external_id,
            invoice: id("invoice", "invoice", &self.invoice)?,
            amount: self.amount.into(),
            received_on: self.received_on.into(),
            reference: self.reference,
            method: self.method.into(),
        })
    }
}

/// A payment that went back as a whole.
#[derive(Debug, Clone, InputObject)]
pub struct ReversePaymentInput {
    /// The id of the payment.
    payment: ID,
    /// Why it went back.
    reason: ReversalReason,
    /// The day it went back; not in the future, and not before it came in.
    on: Date,
}

/// An invoice to give up.
#[derive(Debug, Clone, InputObject)]
pub struct WriteOffInvoiceInput {
    /// The id of the invoice.
    invoice: ID,
    /// Why: 1 to 200 characters.
    reason: String,
}

/// An invoice of which next to nothing is due.
#[derive(Debug, Clone, InputObject)]
pub struct CloseDifferenceInput {
    /// The id of the invoice.
    invoice: ID,
}

/// Money of a credit balance that was transferred back to the partner.
#[derive(Debug, Clone, InputObject)]
pub struct PayOutCreditBalanceInput {
    /// The id of the partner.
    partner: ID,
    /// The amount, above zero and at most the balance.
    amount: MoneyInput,
    /// The day of the transfer; not in the future.
    on: Date,
    /// What the transfer says: at most 200 characters.
    #[graphql(default)]
    reference: String,
}

impl PayOutCreditBalanceInput {
    fn payout(self) -> Result<payments::BalancePayout, Refusal> {
        Ok(payments::BalancePayout {
            partner: id("partner", "partner", &self.partner)?,
            amount: self.amount.into(),
            on: self.on.into(),
            reference: self.reference,
        })
    }
}

payloads! {
    /// What recording a payment came to.
    RecordPaymentPayload {
        /// The payment as it was recorded.
        payment: Payment as payments::Payment
    }
    /// What reversing a payment came to.
    ReversePaymentPayload {
        /// The reversal.
        payment: Payment as payments::Payment
    }
    /// What writing an invoice off came to.
    WriteOffInvoicePayload {
        /// The invoice, with what it has come to.
        invoice: Invoice as invoicing::documents::Invoice
    }
    /// What closing a difference came to.
    CloseDifferencePayload {
        /// The invoice, with what it has come to.
        invoice: Invoice as invoicing::documents::Invoice
    }
    /// What paying out came to.
    PayOutCreditBalancePayload {
        /// What is left.
        credit_balance: CreditBalance as payments::CreditBalance
    }
}

#[derive(Default)]
pub struct PaymentMutation;

#[Object]
impl PaymentMutation {
    /// Records money that came in for an invoice. What exceeds the invoice pays the partner's oldest open ones, and what
    /// is left stays in its credit balance; a write-off is taken back up to the amount.
    async fn record_payment(&self, ctx: &Context<'_>, input: RecordPaymentInput) -> Result<RecordPaymentPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { payments::record_payment(&scope.billing, &scope.caller, &input.payment()?).await };
        let mut payload: RecordPaymentPayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "currency", &["amount", "currency"]);
        Ok(payload)
    }

    /// Takes a payment back as a whole: its invoice is due again, and what it had put into the credit balance leaves it.
    async fn reverse_payment(&self, ctx: &Context<'_>, input: ReversePaymentInput) -> Result<ReversePaymentPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let payment = id("payment", "payment", &input.payment)?;
            let (reason, on) = (input.reason.into(), input.on.into());
            payments::reverse_payment(&scope.billing, &scope.caller, payment, reason, on).await
        };
        scope.command(work).await
    }

    /// Gives up what is due on an invoice: it is uncollectible until it is paid after all.
    async fn write_off_invoice(
        &self,
        ctx: &Context<'_>,
        input: WriteOffInvoiceInput,
    ) -> Result<WriteOffInvoicePayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let invoice = id("invoice", "invoice", &input.invoice)?;
            settled(scope, payments::write_off(&scope.billing, &scope.caller, invoice, &input.reason).await?).await
        };
        scope.command(work).await
    }

    /// Closes an invoice of which no more than the tolerance is due: the rest goes to the rounding account.
    async fn close_difference(&self, ctx: &Context<'_>, input: CloseDifferenceInput) -> Result<CloseDifferencePayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let invoice = id("invoice", "invoice", &input.invoice)?;
            settled(scope, payments::close_difference(&scope.billing, &scope.caller, invoice).await?).await
        };
        scope.command(work).await
    }

    /// Records what was transferred back to a partner out of its credit balance.
    async fn pay_out_credit_balance(
        &self,
        ctx: &Context<'_>,
        input: PayOutCreditBalanceInput,
    ) -> Result<PayOutCreditBalancePayload> {
        let scope = Scope::of(ctx)?;
        let work = async { payments::pay_out_credit_balance(&scope.billing, &scope.caller, &input.payout()?).await };
        scope.command(work).await
    }
}

/// The invoice of a settlement that was just changed.
async fn settled(
    scope: &Scope,
    applied: Applied<payments::Settlement>,
) -> Result<Applied<invoicing::documents::Invoice>, Error> {
    let is_new = matches!(applied, Applied::Now(_));
    let id = applied.into_inner().invoice;
    let found = invoicing::invoices_by_ids(&scope.billing, scope.organization(), &[id]).await?.pop();
    let invoice = found.ok_or_else(|| Error::Corrupt(format!("{id} is settled and does not exist")))?;
    Ok(if is_new { Applied::Now(invoice) } else { Applied::Before(invoice) })
}
