//! Cash: payments and their reversals, credit balances, write-offs, and what an invoice's settlement comes to.
//!
//! A finalized invoice never changes; what happens to it afterwards lives in its settlement, in steps that are only
//! ever added. The sums of a settlement, the steps behind them and the books say the same ([`reconcile`] proves it):
//! the receivable of a partner is what is due on its invoices less what stands in bad debts.
//!
//! Locks, always in this order: the partner's row, its settlements in the order of their ids. Whoever holds the first
//! is alone with the partner's cash.

mod commands;
mod documents;
mod journal;
mod reconcile;
pub mod rules;
pub(crate) mod store;

use billing_primitives::{
    Currency, Date, InvoiceId, Money, OrganizationId, PartnerId, PaymentId, SettlementEntryId, Timestamp, text_enum,
};
use diesel::prelude::*;

use crate::error::Error;
use crate::events::{self, NewEvent};
use crate::page::{Page, Slice};
use crate::{Billing, organizations};

pub use commands::{
    BalancePayout, close_difference, pay_out_credit_balance, record_payment, reverse_payment, write_off,
};
pub(crate) use documents::{CommissionPayment, Credited, NewSettlement, credited, due_of, opened, paid_by_commission};
pub(crate) use reconcile::reconcile;

text_enum! {
    /// Derived from an invoice's settlement and today's date; never stored.
    pub enum PaymentStatus {
        Paid = "PAID",
        Uncollectible = "UNCOLLECTIBLE",
        Overdue = "OVERDUE",
        PartiallyPaid = "PARTIALLY_PAID",
        Unpaid = "UNPAID",
    }
}

text_enum! {
    /// Which way the money came.
    pub enum PaymentMethod {
        Bank = "BANK",
        Stripe = "STRIPE",
        /// What was payable to the partner as commission pays its invoice; only finalizing records it.
        Commission = "COMMISSION",
    }
}

text_enum! {
    /// Why money went back.
    pub enum ReversalReason { Bounced = "BOUNCED", Refunded = "REFUNDED", Disputed = "DISPUTED", Mistake = "MISTAKE" }
}

text_enum! {
    /// What a step of a settlement is.
    pub enum StepKind {
        Payment = "PAYMENT",
        CreditNote = "CREDIT_NOTE",
        Rounding = "ROUNDING",
        /// The credit balance pays; below zero: it gets back what it had paid.
        FromBalance = "FROM_BALANCE",
        /// Below zero: what exceeds the invoice goes to the credit balance; above zero: it comes back.
        ToBalance = "TO_BALANCE",
        WriteOff = "WRITE_OFF",
        /// Out of the credit balance, to the partner; of no invoice.
        PaidOut = "PAID_OUT",
    }
}

/// Money that came in for an invoice, or (`reverses_payment_id`) went back.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::payment)]
pub struct Payment {
    pub organization_id: OrganizationId,
    pub id: PaymentId,
    pub external_id: Option<String>,
    pub invoice_id: InvoiceId,
    pub partner_id: PartnerId,
    pub method: PaymentMethod,
    /// Above zero, of a reversal, too.
    pub amount_minor: i64,
    pub currency: Currency,
    /// Of a reversal: the day on which the money went back.
    pub received_on: Date,
    pub reference: String,
    pub reverses_payment_id: Option<PaymentId>,
    pub reversal_reason: Option<ReversalReason>,
    pub created_at: Timestamp,
}

impl Payment {
    pub fn amount(&self) -> Money {
        Money::new(self.amount_minor, self.currency)
    }
}

/// A payment as its recorder tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayment {
    pub external_id: Option<String>,
    pub invoice: InvoiceId,
    pub amount: Money,
    pub received_on: Date,
    /// What the bank's statement says; may be empty.
    pub reference: String,
    pub method: PaymentMethod,
}

/// What a finalized invoice has come to. `due = gross - credited - paid - rounding`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settlement {
    pub invoice: InvoiceId,
    pub partner: PartnerId,
    pub number: String,
    pub issue_date: Date,
    pub due_date: Date,
    pub gross: Money,
    pub credited: Money,
    /// By payments and from the credit balance, less what exceeded the invoice and went to the balance.
    pub paid: Money,
    pub rounding: Money,
    pub due: Money,
    /// The part of what is due that was given up.
    pub written_off: Money,
    pub status: PaymentStatus,
}

/// One step of an invoice towards paid (above zero) or back (below zero).
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::settlement_entry)]
pub struct SettlementEntry {
    pub id: SettlementEntryId,
    /// Steps of one partner follow each other in this order.
    pub sequence: i64,
    pub partner_id: PartnerId,
    pub invoice_id: Option<InvoiceId>,
    pub kind: StepKind,
    pub amount_minor: i64,
    /// How much of a write-off the step took back; below zero: put in force again.
    pub recovered_minor: i64,
    pub currency: Currency,
    /// Id of the payment, credit note or invoice that caused the step, else the step's own; the books name it, too.
    pub source: String,
    pub memo: String,
    pub occurred_on: Date,
    pub created_at: Timestamp,
}

impl SettlementEntry {
    pub fn amount(&self) -> Money {
        Money::new(self.amount_minor, self.currency)
    }
}

/// What a partner has paid or been credited beyond what was due.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::credit_balance)]
pub struct CreditBalance {
    pub partner_id: PartnerId,
    pub currency: Currency,
    pub balance_minor: i64,
}

impl CreditBalance {
    pub fn amount(&self) -> Money {
        Money::new(self.balance_minor, self.currency)
    }
}

/// Which payments a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PaymentFilter {
    pub partner: Option<PartnerId>,
    pub invoice: Option<InvoiceId>,
}

/// Settlements of invoices, with the status of today; drafts have none.
///
/// # Errors
/// Faults of the database.
pub async fn settlements_of(
    billing: &Billing,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> Result<Vec<Settlement>, Error> {
    let work = async |conn: &mut billing_db::Conn| {
        let seller = organizations::current(conn, organization).await?;
        let today = organizations::today(conn, billing, &seller).await?;
        let rows = store::settlements(conn, organization, invoices).await?;
        Ok::<_, Error>(rows.iter().map(|row| row.settlement(today)).collect())
    };
    billing.db.read(organization, work).await
}

/// Payments and reversals of invoices, in the order in which they were recorded.
///
/// # Errors
/// Faults of the database.
pub async fn of_invoices(
    billing: &Billing,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> Result<Vec<Payment>, Error> {
    billing.db.read(organization, async |conn| Ok(store::of_invoices(conn, organization, invoices).await?)).await
}

/// A page of payments and reversals in the order in which they were recorded.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<PaymentId>,
    filter: &PaymentFilter,
) -> Result<Slice<Payment>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page, filter).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(billing: &Billing, organization: OrganizationId, ids: &[PaymentId]) -> Result<Vec<Payment>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<Payment>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_external_id(conn, organization, external_id).await?)).await
}

/// Credit balances of partners; a partner that never had one in a currency has no row.
///
/// # Errors
/// Faults of the database.
pub async fn credit_balances_of(
    billing: &Billing,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> Result<Vec<CreditBalance>, Error> {
    billing.db.read(organization, async |conn| Ok(store::balances(conn, organization, partners).await?)).await
}

/// Steps of invoices' settlements, in the order in which they happened.
///
/// # Errors
/// Faults of the database.
pub async fn entries_of(
    billing: &Billing,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> Result<Vec<SettlementEntry>, Error> {
    billing.db.read(organization, async |conn| Ok(store::entries_of(conn, organization, invoices).await?)).await
}

/// Tells the outbox about invoices that have become overdue, each once; returns how many are new. For a daily job.
///
/// # Errors
/// Faults of the database.
pub async fn overdue(billing: &Billing, organization: OrganizationId) -> Result<usize, Error> {
    let work = async |conn: &mut billing_db::Conn| {
        let seller = organizations::current(conn, organization).await?;
        let now = billing.clock.now(conn).await?;
        let found = store::overdue(conn, organization, now.date_in(&seller.time_zone)).await?;
        let told: Vec<NewEvent> = found.iter().map(overdue_event).collect();
        events::record(conn, organization, now, &told).await
    };
    billing.db.scoped(organization, work).await
}

fn overdue_event(row: &store::SettlementRow) -> NewEvent {
    let due = Money::new(row.standing().due(), row.currency);
    let payload = serde_json::json!({ "invoice": row.invoice_id, "partner": row.partner_id, "dueDate": row.due_date, "due": due });
    NewEvent::new(events::kind::INVOICE_OVERDUE, row.invoice_id, payload)
}

/// What the outbox says of a payment.
fn told(kind: &'static str, payment: &Payment) -> NewEvent {
    let payload = serde_json::json!({
        "payment": payment.id,
        "invoice": payment.invoice_id,
        "partner": payment.partner_id,
        "amount": payment.amount(),
        "reverses": payment.reverses_payment_id,
        "reason": payment.reversal_reason,
    });
    NewEvent::new(kind, payment.id, payload)
}
