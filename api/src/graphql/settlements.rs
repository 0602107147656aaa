//! Settlements: what a finalized invoice has come to, step by step.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{ComplexObject, Context, Enum, Result, SimpleObject};
use billing::payments;
use billing_primitives::InvoiceId;

use super::connection::{Connection, List};
use super::loaders::Rows;
use super::scalars::{Date, DateTime, Money};
use super::scope::Scope;

/// Where an invoice stands: derived from its settlement and today's date, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payments::PaymentStatus")]
pub enum PaymentStatus {
    /// Nothing is due.
    Paid,
    /// What is due was given up.
    Uncollectible,
    /// The due date has passed.
    Overdue,
    /// Some of it has been paid or credited.
    PartiallyPaid,
    /// Nothing has been paid yet.
    Unpaid,
}

/// What a step of a settlement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payments::StepKind")]
pub enum StepKind {
    /// A payment, or below zero its reversal.
    Payment,
    /// A credit note.
    CreditNote,
    /// A difference that went to the rounding account.
    Rounding,
    /// The credit balance pays; below zero: it gets back what it had paid.
    FromBalance,
    /// Below zero: what exceeds the invoice goes to the credit balance; above zero: it comes back.
    ToBalance,
    /// What was due was given up.
    WriteOff,
    /// Out of the credit balance, to the partner; of no invoice.
    PaidOut,
}

/// What a finalized invoice has come to: due = gross - credited - paid - rounding.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Settlement {
    /// Where the invoice stands today.
    pub status: PaymentStatus,
    /// By credit notes.
    pub credited: Money,
    /// By payments and from the credit balance, less what exceeded the invoice and went to the balance.
    pub paid: Money,
    /// Differences that went to the rounding account.
    pub rounding: Money,
    /// What is still to be paid.
    pub due: Money,
    /// The part of what is due that was given up.
    pub written_off: Money,
    #[graphql(skip)]
    invoice: InvoiceId,
}

impl From<payments::Settlement> for Settlement {
    fn from(row: payments::Settlement) -> Self {
        Settlement {
            status: row.status.into(),
            credited: row.credited.into(),
            paid: row.paid.into(),
            rounding: row.rounding.into(),
            due: row.due.into(),
            written_off: row.written_off.into(),
            invoice: row.invoice,
        }
    }
}

#[ComplexObject]
impl Settlement {
    /// What happened, in this order.
    async fn steps(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<SettlementStep>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("settlementSteps", scope.organization(), first, after.as_deref())?;
        let steps = scope.list(StepsOf(self.invoice)).await?;
        list.connection(list.cut(steps, |step, after| step.sequence > *after), |step| step.sequence)
    }
}

/// One step of an invoice towards paid (above zero) or back (below zero).
#[derive(Debug, Clone, SimpleObject)]
pub struct SettlementStep {
    /// What it is.
    pub kind: StepKind,
    /// How far it goes.
    pub amount: Money,
    /// How much of a write-off it took back; below zero: put in force again.
    pub recovered: Money,
    /// The id of the payment, credit note or invoice that caused it, else its own.
    pub source: String,
    /// Why, where somebody had to say so.
    pub memo: String,
    /// The day it is for.
    pub occurred_on: Date,
    /// When it was written.
    pub created_at: DateTime,
}

impl From<payments::SettlementEntry> for SettlementStep {
    fn from(row: payments::SettlementEntry) -> Self {
        SettlementStep {
            kind: row.kind.into(),
            amount: row.amount().into(),
            recovered: billing_primitives::Money::new(row.recovered_minor, row.currency).into(),
            source: row.source,
            memo: row.memo,
            occurred_on: row.occurred_on.into(),
            created_at: row.created_at.into(),
        }
    }
}

/// The steps of an invoice's settlement, in the order in which they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct StepsOf(InvoiceId);

impl Loader<StepsOf> for Rows {
    type Value = Vec<payments::SettlementEntry>;
    type Error = Arc<billing::Error>;

    async fn load(&self, keys: &[StepsOf]) -> Result<HashMap<StepsOf, Self::Value>, Self::Error> {
        let invoices: Vec<InvoiceId> = keys.iter().map(|key| key.0).collect();
        let mut lists: HashMap<StepsOf, Self::Value> = keys.iter().map(|key| (*key, Vec::new())).collect();
        for step in payments::entries_of(&self.billing, self.organization, &invoices).await? {
            if let Some(invoice) = step.invoice_id {
                lists.entry(StepsOf(invoice)).or_default().push(step);
            }
        }
        Ok(lists)
    }
}
