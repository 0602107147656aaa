//! What people do about cash: record and reverse payments, give up, close differences, pay out.
//!
//! Each is one transaction: lock, decide, write, audit.

use billing_db::{Conn, Constraint};
use billing_primitives::{Currency, Date, InvoiceId, Money, OrganizationId, PartnerId, PaymentId, Timestamp};

use super::journal::{self, Journal};
use super::{CreditBalance, NewPayment, Payment, PaymentMethod, ReversalReason, Settlement, StepKind, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::events;
use crate::organizations::rules::{external_id, text};
use crate::{Applied, Billing, audit, chart, organizations, partners};

/// Records money that came in for an invoice. What exceeds it pays the partner's oldest open invoices, and what is left
/// stays in its credit balance; a write-off is taken back up to the amount.
///
/// # Errors
/// [`Refusal::AmountNotPositive`], [`Refusal::CurrencyMix`], [`Refusal::NotFinalized`], [`Refusal::Invalid`] (a date in
/// the future), [`Refusal::ExternalIdTaken`], [`Refusal::NotFound`], [`Refusal::AmountOverflow`].
pub async fn record_payment(billing: &Billing, caller: &Caller, input: &NewPayment) -> Result<Applied<Payment>, Error> {
    let recorded = billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| pay(conn, billing, caller, input).await)
        .await;
    recorded.map_err(|error| match (error.refused_by(), &input.external_id) {
        (Some(Constraint::Unique("payment_organization_id_external_id_key")), Some(external_id)) => taken(external_id),
        _ => error,
    })
}

fn taken(external_id: &str) -> Error {
    Refusal::ExternalIdTaken { what: "payment", external_id: external_id.to_owned() }.into()
}

/// As [`record_payment`], inside a transaction.
async fn pay(conn: &mut Conn, billing: &Billing, caller: &Caller, input: &NewPayment) -> Result<Payment, Error> {
    let organization = caller.organization;
    let (now, today) = present(conn, billing, organization).await?;
    if input.method == PaymentMethod::Commission {
        return Err(Refusal::invalid("method", "commissions are credited when invoices are finalized").into());
    }
    not_in_the_future("receivedOn", input.received_on, today)?;
    let external_id = input.external_id.as_deref().map(external_id).transpose()?;
    if let Some(external_id) = &external_id
        && store::by_external_id(conn, organization, external_id).await?.is_some()
    {
        return Err(taken(external_id));
    }
    let (partner, currency) = finalized(conn, organization, input.invoice).await?;
    let amount = input.amount;
    if amount.currency != currency {
        return Err(Refusal::CurrencyMix { left: amount.currency, right: currency }.into());
    }
    let payment = Payment {
        organization_id: organization,
        id: PaymentId::new(),
        external_id,
        invoice_id: input.invoice,
        partner_id: partner,
        method: input.method,
        amount_minor: amount.minor,
        currency,
        received_on: input.received_on,
        reference: reference(&input.reference)?,
        reverses_payment_id: None,
        reversal_reason: None,
        created_at: now,
    };
    let mut accounts = journal::lock(conn, organization, &[partner], &[input.invoice]).await?;
    let account = journal::of(&mut accounts, (partner, currency))?;
    let steps = account.now.pay(input.invoice, amount.minor)?;
    store::insert_payments(conn, std::slice::from_ref(&payment)).await?;
    let mut journal = Journal::new(organization, input.received_on, now);
    journal.post(chart::payment_recorded(payment.id, partner, input.received_on, amount));
    journal.steps(account.key, &payment.id.to_string(), "", steps)?;
    journal.tell(super::told(events::kind::PAYMENT_RECORDED, &payment));
    journal.write(conn, accounts.values()).await?;
    let details = serde_json::json!({ "invoice": payment.invoice_id, "amount": amount, "receivedOn": payment.received_on,
        "externalId": payment.external_id, "method": payment.method, "reference": payment.reference });
    audit::record(conn, caller, now, "payment.record", payment.id, details).await?;
    Ok(payment)
}

/// Takes a payment back as a whole. Its invoice is due again; what exceeded the invoice leaves the credit balance, and
/// if that has been used meanwhile, the newest uses are taken back so that those invoices open again.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::ReversesReversal`], [`Refusal::AlreadyReversed`], [`Refusal::PaidByCommission`],
/// [`Refusal::DateBefore`] (before the payment), [`Refusal::Invalid`] (in the future).
pub async fn reverse_payment(
    billing: &Billing,
    caller: &Caller,
    id: PaymentId,
    reason: ReversalReason,
    on: Date,
) -> Result<Applied<Payment>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| {
            reverse(conn, billing, caller, id, reason, on).await
        })
        .await
}

async fn reverse(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: PaymentId,
    reason: ReversalReason,
    on: Date,
) -> Result<Payment, Error> {
    let organization = caller.organization;
    let (now, today) = present(conn, billing, organization).await?;
    let found = store::by_ids(conn, organization, &[id]).await?.pop();
    let payment = found.ok_or_else(|| Refusal::not_found("payment", "payment", id))?;
    if payment.reverses_payment_id.is_some() {
        return Err(Refusal::ReversesReversal { payment: id.to_string() }.into());
    }
    if payment.method == PaymentMethod::Commission {
        return Err(Refusal::PaidByCommission { payment: id.to_string() }.into());
    }
    not_in_the_future("on", on, today)?;
    if on < payment.received_on {
        return Err(Refusal::DateBefore { field: "on", date: on, earliest: payment.received_on }.into());
    }
    let partner = payment.partner_id;
    let mut accounts = journal::lock(conn, organization, &[partner], &[payment.invoice_id]).await?;
    if store::is_reversed(conn, organization, id).await? {
        return Err(Refusal::AlreadyReversed { payment: id.to_string() }.into());
    }
    let recovered = store::recovered_by(conn, organization, id).await?;
    let account = journal::of(&mut accounts, (partner, payment.currency))?;
    let steps = account.now.reverse(payment.invoice_id, payment.amount_minor, recovered)?;
    let reversal = Payment {
        id: PaymentId::new(),
        external_id: None,
        received_on: on,
        reverses_payment_id: Some(id),
        reversal_reason: Some(reason),
        created_at: now,
        ..payment
    };
    store::insert_payments(conn, std::slice::from_ref(&reversal)).await?;
    let mut journal = Journal::new(organization, on, now);
    journal.post(chart::payment_reversed(reversal.id, partner, on, reversal.amount()));
    journal.steps(account.key, &reversal.id.to_string(), "", steps)?;
    journal.tell(super::told(events::kind::PAYMENT_REVERSED, &reversal));
    journal.write(conn, accounts.values()).await?;
    let details = serde_json::json!({ "reversal": reversal.id, "reason": reason, "on": on });
    audit::record(conn, caller, now, "payment.reverse", id, details).await?;
    Ok(reversal)
}

/// Gives up what is due on an invoice: it goes to bad debts, and the invoice is uncollectible until it is paid after
/// all.
///
/// # Errors
/// [`Refusal::NothingDue`], [`Refusal::NotFinalized`], [`Refusal::NotFound`], [`Refusal::Invalid`] (no reason).
pub async fn write_off(
    billing: &Billing,
    caller: &Caller,
    id: InvoiceId,
    reason: &str,
) -> Result<Applied<Settlement>, Error> {
    let act = Act { invoice: id, kind: StepKind::WriteOff, memo: text("reason", reason) };
    billing.db.write(caller.organization, caller.key.as_ref(), async |conn| act.run(conn, billing, caller).await).await
}

/// Closes an invoice of which no more than the tolerance is due (see [`super::rules::tolerance`]): the rest goes to the
/// rounding account.
///
/// # Errors
/// [`Refusal::NothingDue`], [`Refusal::AboveTolerance`], [`Refusal::NotFinalized`], [`Refusal::NotFound`].
pub async fn close_difference(billing: &Billing, caller: &Caller, id: InvoiceId) -> Result<Applied<Settlement>, Error> {
    let act = Act { invoice: id, kind: StepKind::Rounding, memo: Ok(String::new()) };
    billing.db.write(caller.organization, caller.key.as_ref(), async |conn| act.run(conn, billing, caller).await).await
}

/// What is decided by hand about one invoice.
struct Act {
    invoice: InvoiceId,
    kind: StepKind,
    memo: Result<String, Refusal>,
}

impl Act {
    async fn run(&self, conn: &mut Conn, billing: &Billing, caller: &Caller) -> Result<Settlement, Error> {
        let organization = caller.organization;
        let memo = self.memo.clone()?;
        let (now, today) = present(conn, billing, organization).await?;
        let (partner, currency) = finalized(conn, organization, self.invoice).await?;
        let mut accounts = journal::lock(conn, organization, &[partner], &[self.invoice]).await?;
        let account = journal::of(&mut accounts, (partner, currency))?;
        let (action, steps) = match self.kind {
            StepKind::WriteOff => ("invoice.write_off", account.now.write_off(self.invoice)?),
            _ => ("invoice.close_difference", account.now.close_difference(self.invoice)?),
        };
        let minor = steps.iter().find(|step| step.kind == self.kind).map_or(0, |step| step.amount);
        let amount = Money::new(minor, currency);
        let mut journal = Journal::new(organization, today, now);
        let step = journal.act(account.key, &memo, steps)?;
        journal.post(match self.kind {
            StepKind::WriteOff => chart::invoice_written_off(step, partner, today, amount),
            _ => chart::difference_closed(step, partner, today, amount),
        });
        journal.write(conn, accounts.values()).await?;
        let details = serde_json::json!({ "amount": amount, "reason": memo });
        audit::record(conn, caller, now, action, self.invoice, details).await?;
        let row = store::settlements(conn, organization, &[self.invoice]).await?.pop();
        let row = row.ok_or_else(|| Refusal::not_found("invoice", "invoice", self.invoice))?;
        Ok(row.settlement(today))
    }
}

/// Money of a credit balance that goes back to the partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancePayout {
    pub partner: PartnerId,
    pub amount: Money,
    pub on: Date,
    pub reference: String,
}

/// Pays out of a partner's credit balance what the organization has transferred back to it.
///
/// # Errors
/// [`Refusal::BalanceTooSmall`], [`Refusal::AmountNotPositive`], [`Refusal::NotFound`], [`Refusal::Invalid`] (a date in
/// the future).
pub async fn pay_out_credit_balance(
    billing: &Billing,
    caller: &Caller,
    input: &BalancePayout,
) -> Result<Applied<CreditBalance>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| pay_out(conn, billing, caller, input).await)
        .await
}

async fn pay_out(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &BalancePayout,
) -> Result<CreditBalance, Error> {
    let (organization, amount) = (caller.organization, input.amount);
    let (now, today) = present(conn, billing, organization).await?;
    not_in_the_future("on", input.on, today)?;
    let memo = reference(&input.reference)?;
    let partner = partners::lock(conn, organization, input.partner).await?.id;
    if !amount.is_positive() {
        return Err(Refusal::AmountNotPositive { amount }.into());
    }
    let mut accounts = journal::lock(conn, organization, &[partner], &[]).await?;
    let nothing = Refusal::BalanceTooSmall { balance: Money::zero(amount.currency) };
    let account = journal::of(&mut accounts, (partner, amount.currency)).map_err(|_| nothing)?;
    let steps = account.now.pay_out(amount.minor)?;
    let balance_minor = account.now.balance();
    let mut journal = Journal::new(organization, input.on, now);
    let step = journal.act(account.key, &memo, steps)?;
    journal.post(chart::credit_balance_paid_out(step, partner, input.on, amount));
    journal.write(conn, accounts.values()).await?;
    let details = serde_json::json!({ "amount": amount, "on": input.on, "reference": memo });
    audit::record(conn, caller, now, "credit_balance.pay_out", partner, details).await?;
    Ok(CreditBalance { partner_id: partner, currency: amount.currency, balance_minor })
}

/// Now, and the day it is for the organization.
async fn present(conn: &mut Conn, billing: &Billing, organization: OrganizationId) -> Result<(Timestamp, Date), Error> {
    let seller = organizations::current(conn, organization).await?;
    let now = billing.clock.now(conn).await?;
    Ok((now, now.date_in(&seller.time_zone)))
}

/// Partner and currency of a finalized invoice.
async fn finalized(
    conn: &mut Conn,
    organization: OrganizationId,
    id: InvoiceId,
) -> Result<(PartnerId, Currency), Error> {
    match store::invoice_header(conn, organization, id).await? {
        None => Err(Refusal::not_found("invoice", "invoice", id).into()),
        Some((_, _, false)) => Err(Refusal::NotFinalized { what: "invoice" }.into()),
        Some((partner, currency, true)) => Ok((partner, currency)),
    }
}

fn not_in_the_future(field: &'static str, day: Date, today: Date) -> Result<(), Refusal> {
    if day > today { Err(Refusal::invalid(field, "lies in the future")) } else { Ok(()) }
}

/// A line of a bank statement: at most 200 characters, no control characters; may be empty.
fn reference(given: &str) -> Result<String, Refusal> {
    if given.trim().is_empty() { Ok(String::new()) } else { text("reference", given) }
}
