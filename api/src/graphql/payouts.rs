//! Payouts: what one partner gets of one programme at once, what became of it, and where partners are paid.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::payouts::{self, PayoutFilter};
use billing_primitives::{EnrollmentId, InvoiceId, PartnerId, PaymentId, PayoutId, PayoutRunId};

use super::connection::{Connection, List};
use super::enrollments::Enrollment;
use super::invoices::Invoice;
use super::partners::Partner;
use super::payments::Payment;
use super::payout_runs::PayoutRun;
use super::scalars::{Date, DateTime, Money};
use super::scope::{Scope, id};
use crate::payloads;

/// Which way a payout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payouts::PayoutMethod")]
pub enum PayoutMethod {
    /// To the partner's bank, in a run.
    Transfer,
    /// It pays one of the partner's invoices.
    Credit,
}

/// Where a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payouts::PayoutStatus")]
pub enum PayoutStatus {
    /// Of a draft run: computed again with it.
    Draft,
    /// Its amount is fixed and its commissions are taken.
    Approved,
    /// The bank has it.
    Sent,
    /// It was transferred, or credited to an invoice.
    Paid,
    /// It was not transferred, or came back: its commissions are payable again.
    Failed,
    /// Nobody knows whether it was transferred; it is never sent again without proof.
    Unknown,
}

/// What one partner gets of one programme at once.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Payout {
    /// The global id.
    pub id: ID,
    /// Which way it goes.
    pub method: PayoutMethod,
    /// Where it stands.
    pub status: PayoutStatus,
    /// Commissions taken out, before debts are netted.
    pub payable: Money,
    /// Debts of earlier clawbacks that are netted.
    pub offset: Money,
    /// What is transferred or credited: payable - offset.
    pub net: Money,
    /// In whose name the account is; null of a credit.
    pub holder: Option<String>,
    /// The account it goes to, masked; null of a credit.
    pub iban: Option<String>,
    /// The day it was transferred or credited; null while it is not.
    pub settled_on: Option<Date>,
    /// What the bank's statement says, or what proves what happened.
    pub reference: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was computed first.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: PayoutId,
    #[graphql(skip)]
    run: Option<PayoutRunId>,
    #[graphql(skip)]
    enrollment: EnrollmentId,
    #[graphql(skip)]
    partner: PartnerId,
    #[graphql(skip)]
    invoice: Option<InvoiceId>,
    #[graphql(skip)]
    payment: Option<PaymentId>,
}

impl From<payouts::Payout> for Payout {
    fn from(row: payouts::Payout) -> Self {
        Payout {
            id: row.id.into(),
            method: row.method.into(),
            status: row.status.into(),
            payable: row.money(row.payable_minor).into(),
            offset: row.money(row.offset_minor).into(),
            net: row.net().into(),
            iban: row.iban.as_ref().map(payouts::Iban::masked),
            settled_on: row.settled_on.map(Into::into),
            created_at: row.created_at.into(),
            key: row.id,
            run: row.payout_run_id,
            enrollment: row.enrollment_id,
            partner: row.partner_id,
            invoice: row.invoice_id,
            payment: row.payment_id,
            holder: row.holder,
            reference: row.reference,
            failure: row.failure,
        }
    }
}

#[ComplexObject]
impl Payout {
    /// The run it is of; null of a credit.
    async fn payout_run(&self, ctx: &Context<'_>) -> Result<Option<PayoutRun>> {
        let Some(run) = self.run else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(run).await?.into()))
    }

    /// For which programme the partner gets it.
    async fn enrollment(&self, ctx: &Context<'_>) -> Result<Enrollment> {
        Ok(Scope::of(ctx)?.need(self.enrollment).await?.into())
    }

    /// Who gets it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// Of a credit: the invoice it pays.
    async fn invoice(&self, ctx: &Context<'_>) -> Result<Option<Invoice>> {
        let Some(invoice) = self.invoice else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(invoice).await?.into()))
    }

    /// Of a credit: the payment that it is on the invoice.
    async fn payment(&self, ctx: &Context<'_>) -> Result<Option<Payment>> {
        let Some(payment) = self.payment else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(payment).await?.into()))
    }

    /// Out of which commissions it is paid; of a draft nothing is taken yet.
    async fn items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<PayoutItem>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("payoutItems", scope.organization(), first, after.as_deref())?;
        let slice = payouts::items_of(&scope.billing, scope.organization(), self.key, &list.page).await?;
        list.connection(slice, |item| item.commission_id)
    }
}

/// How much of a commission a payout took out.
#[derive(Debug, Clone, SimpleObject)]
pub struct PayoutItem {
    /// The id of the commission.
    pub commission_id: ID,
    /// The amount, above zero.
    pub amount: Money,
}

impl From<payouts::PayoutItem> for PayoutItem {
    fn from(row: payouts::PayoutItem) -> Self {
        PayoutItem { commission_id: row.commission_id.into(), amount: row.amount().into() }
    }
}

/// Where a partner is paid.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PayoutDetails {
    /// In whose name the account is.
    pub holder: String,
    /// The account number, masked.
    pub iban: String,
    /// When the organization confirmed it; null: not yet, or it changed since.
    pub verified_at: Option<DateTime>,
    /// Who confirmed it.
    pub verified_by: Option<String>,
    /// When it last changed or was confirmed.
    pub updated_at: DateTime,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<payouts::PayoutDetails> for PayoutDetails {
    fn from(row: payouts::PayoutDetails) -> Self {
        PayoutDetails {
            iban: row.iban.masked(),
            verified_at: row.verified_at.map(Into::into),
            updated_at: row.updated_at.into(),
            partner: row.partner_id,
            holder: row.holder,
            verified_by: row.verified_by,
        }
    }
}

#[ComplexObject]
impl PayoutDetails {
    /// Who is paid there.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }
}

/// Where the amounts of an enrollment stand.
#[derive(Debug, Clone, SimpleObject)]
pub struct CommissionBalance {
    /// Only counted, never payable: REPORT_ONLY.
    pub counted: Money,
    /// Earned, and not ripe yet.
    pub held: Money,
    /// Ripe, and in no payout; debts are not taken off.
    pub payable: Money,
    /// Taken back after it was paid out, and netted by no payout yet.
    pub debt: Money,
    /// In payouts that are approved and not settled.
    pub in_payout: Money,
    /// Transferred or credited so far.
    pub paid: Money,
}

impl From<payouts::Balance> for CommissionBalance {
    fn from(row: payouts::Balance) -> Self {
        CommissionBalance {
            counted: row.counted.into(),
            held: row.held.into(),
            payable: row.payable.into(),
            debt: row.debt.into(),
            in_payout: row.in_payout.into(),
            paid: row.paid.into(),
        }
    }
}

/// A page of payouts, the ones made last first.
pub(super) async fn page(
    scope: &Scope,
    filter: &PayoutFilter,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<Payout>> {
    let list = List::of("payouts", scope.organization(), first, after)?;
    let slice = payouts::list(&scope.billing, scope.organization(), &list.page, filter).await?;
    list.connection(slice, |payout| payout.id)
}

#[derive(Default)]
pub struct PayoutQuery;

#[Object]
impl PayoutQuery {
    /// One payout by its id; null when there is none.
    async fn payout(&self, ctx: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Result<Option<Payout>> {
        Ok(Scope::of(ctx)?.find::<PayoutId>(&id).await?.map(Payout::from))
    }

    /// Payouts, the ones made last first: all, or those of a run, an enrollment or a partner.
    #[expect(clippy::too_many_arguments, reason = "each is an argument of the field")]
    async fn payouts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a payout run.")] payout_run: Option<ID>,
        #[graphql(desc = "The id of an enrollment.")] enrollment: Option<ID>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "Where they stand.")] status: Option<PayoutStatus>,
    ) -> Result<Connection<Payout>> {
        let filter = PayoutFilter {
            run: payout_run.map(|run| id("payoutRun", "payout run", &run)).transpose()?,
            enrollment: enrollment.map(|of| id("enrollment", "enrollment", &of)).transpose()?,
            partner: partner.map(|partner| id("partner", "partner", &partner)).transpose()?,
            status: status.map(Into::into),
        };
        page(Scope::of(ctx)?, &filter, first, after.as_deref()).await
    }
}

/// Where a partner wants to be paid.
#[derive(Debug, Clone, InputObject)]
pub struct SetPayoutDetailsInput {
    /// The id of the partner.
    partner: ID,
    /// In whose name the account is: 1 to 200 characters.
    holder: String,
    /// The IBAN; blanks and small letters are taken.
    iban: String,
}

/// Details to confirm.
#[derive(Debug, Clone, InputObject)]
pub struct VerifyPayoutDetailsInput {
    /// The id of the partner.
    partner: ID,
}

/// A payout that was transferred.
#[derive(Debug, Clone, InputObject)]
pub struct MarkPayoutPaidInput {
    /// The id of the payout.
    payout: ID,
    /// The day of the transfer; not in the future.
    on: Date,
    /// What the bank's statement says: at most 200 characters. A payout of which nobody knew needs it as proof.
    #[graphql(default)]
    reference: String,
}

/// A payout that was not transferred, or that came back.
#[derive(Debug, Clone, InputObject)]
pub struct MarkPayoutFailedInput {
    /// The id of the payout.
    payout: ID,
    /// Why: 1 to 200 characters.
    reason: String,
    /// What shows it: at most 200 characters. A payout of which nobody knew needs it as proof.
    #[graphql(default)]
    reference: String,
}

/// A payout of which nobody knows whether it was transferred.
#[derive(Debug, Clone, InputObject)]
pub struct MarkPayoutUnknownInput {
    /// The id of the payout.
    payout: ID,
}

payloads! {
    /// What setting payout details came to.
    SetPayoutDetailsPayload {
        /// The details as they are now.
        payout_details: PayoutDetails as payouts::PayoutDetails
    }
    /// What confirming payout details came to.
    VerifyPayoutDetailsPayload {
        /// The details as they are now.
        payout_details: PayoutDetails as payouts::PayoutDetails
    }
    /// What marking a payout as paid came to.
    MarkPayoutPaidPayload {
        /// The payout as it is now.
        payout: Payout as payouts::Payout
    }
    /// What marking a payout as failed came to.
    MarkPayoutFailedPayload {
        /// The payout as it is now.
        payout: Payout as payouts::Payout
    }
    /// What marking a payout as unknown came to.
    MarkPayoutUnknownPayload {
        /// The payout as it is now.
        payout: Payout as payouts::Payout
    }
}

#[derive(Default)]
pub struct PayoutMutation;

#[Object]
impl PayoutMutation {
    /// Records where a partner is paid. Every change has to be verified again before anything is transferred there.
    async fn set_payout_details(
        &self,
        ctx: &Context<'_>,
        input: SetPayoutDetailsInput,
    ) -> Result<SetPayoutDetailsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let partner = id("partner", "partner", &input.partner)?;
            let new = payouts::NewPayoutDetails { partner, holder: input.holder, iban: input.iban };
            payouts::set_details(&scope.billing, &scope.caller, &new).await
        };
        scope.command(work).await
    }

    /// Confirms where a partner is paid.
    async fn verify_payout_details(
        &self,
        ctx: &Context<'_>,
        input: VerifyPayoutDetailsInput,
    ) -> Result<VerifyPayoutDetailsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let partner = id("partner", "partner", &input.partner)?;
            payouts::verify_details(&scope.billing, &scope.caller, partner).await
        };
        scope.command(work).await
    }

    /// Says that a payout was transferred. Saying it twice changes nothing.
    async fn mark_payout_paid(&self, ctx: &Context<'_>, input: MarkPayoutPaidInput) -> Result<MarkPayoutPaidPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let (payout, on) = (id("payout", "payout", &input.payout)?, input.on.into());
            payouts::mark_paid(&scope.billing, &scope.caller, payout, on, &input.reference).await
        };
        scope.command(work).await
    }

    /// Says that a payout was not transferred, or that the partner's bank returned it: its commissions are payable
    /// again.
    async fn mark_payout_failed(
        &self,
        ctx: &Context<'_>,
        input: MarkPayoutFailedInput,
    ) -> Result<MarkPayoutFailedPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let payout = id("payout", "payout", &input.payout)?;
            payouts::mark_failed(&scope.billing, &scope.caller, payout, &input.reason, &input.reference).await
        };
        scope.command(work).await
    }

    /// Says that nobody knows whether a payout was transferred: it waits for proof.
    async fn mark_payout_unknown(
        &self,
        ctx: &Context<'_>,
        input: MarkPayoutUnknownInput,
    ) -> Result<MarkPayoutUnknownPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let payout = id("payout", "payout", &input.payout)?;
            payouts::mark_unknown(&scope.billing, &scope.caller, payout).await
        };
        scope.command(work).await
    }
}
