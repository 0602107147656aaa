//! The book of commissions: the one way in which their amounts move.
//!
//! Every step is an entry, the amounts of a commission are the sums of its entries, and what moves money is posted in
//! the same breath, so the three cannot drift apart. However many steps, it costs the same few statements.

use std::collections::BTreeMap;

use billing_db::Conn;
use billing_ledger::Posting;
use billing_primitives::{
    AttributionId, CommissionEntryId, CommissionId, Currency, CustomerId, Date, EnrollmentId, Money, OrganizationId,
    PartnerId, ProgramId, ProgramVersionId, Timestamp, text_enum,
};
use diesel::prelude::*;

use super::rules::{Buckets, EntryKind, Step};
use super::store::{entries, rows};
use crate::chart;
use crate::error::{Error, Refusal};
use crate::programs::terms::SettlementMode;

text_enum! {
    /// What a commission is earned on.
    pub enum SourceKind { StripeInvoice = "STRIPE_INVOICE", Conversion = "CONVERSION" }
}

/// What one partner earns at one level on one source, and where the amount stands. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::commission)]
pub struct Commission {
    pub organization_id: OrganizationId,
    pub id: CommissionId,
    pub source_kind: SourceKind,
    /// The Stripe invoice, or the converted customer.
    pub source_id: String,
    pub level: i32,
    pub enrollment_id: EnrollmentId,
    pub partner_id: PartnerId,
    pub program_id: ProgramId,
    pub program_version_id: ProgramVersionId,
    pub customer_id: CustomerId,
    pub attribution_id: AttributionId,
    /// How the enrollment was settled when it was earned.
    pub settlement: SettlementMode,
    pub currency: Currency,
    pub base_minor: i64,
    pub base_reversed_minor: i64,
    pub earned_minor: i64,
    pub reversed_minor: i64,
    /// REPORT_ONLY: counted and never payable.
    pub counted_minor: i64,
    pub held_minor: i64,
    pub payable_minor: i64,
    /// Gone into approved payouts or credited to invoices.
    pub taken_minor: i64,
    /// A debt: taken back after it was taken out, or earned below zero.
    pub owed_minor: i64,
    pub earned_at: Timestamp,
    pub payable_at: Timestamp,
    /// A dispute, an inquiry or somebody keeps it from ripening.
    pub on_hold: bool,
    pub trace: serde_json::Value,
    pub created_at: Timestamp,
}

impl Commission {
    /// Where the amount stands.
    pub fn buckets(&self) -> Buckets {
        Buckets {
            counted: self.counted_minor,
            held: self.held_minor,
            payable: self.payable_minor,
            taken: self.taken_minor,
            owed: self.owed_minor,
        }
    }

    /// An amount of it.
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }
}

/// One step of a commission, as it was written. Amounts are changes, in minor units.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::commission_entry)]
pub struct Entry {
    pub id: CommissionEntryId,
    /// Steps of one commission follow each other in this order.
    pub sequence: i64,
    pub commission_id: CommissionId,
    pub enrollment_id: EnrollmentId,
    pub kind: EntryKind,
    /// Of what is earned less what is reversed; moves between the amounts are 0.
    pub amount_minor: i64,
    pub counted_minor: i64,
    pub held_minor: i64,
    pub payable_minor: i64,
    pub taken_minor: i64,
    pub owed_minor: i64,
    /// What a statement shows of it.
    pub stated_minor: i64,
    pub currency: Currency,
    pub occurred_on: Date,
    /// The Stripe event, the payout or the command behind it.
    pub cause: String,
    pub actor: String,
    pub trace: serde_json::Value,
    pub created_at: Timestamp,
}

impl Entry {
    /// An amount of it.
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }
}

/// A step on its way into the book.
#[derive(Debug, Clone)]
pub(crate) struct BookedStep {
    /// Its row is locked by the caller, or is opened in the same breath.
    pub commission: CommissionId,
    pub enrollment: EnrollmentId,
    pub currency: Currency,
    pub step: Step,
    /// The Stripe event, the payout or the command behind it.
    pub cause: String,
    /// JSON, see [`crate::trace::json`].
    pub trace: String,
}

impl BookedStep {
    /// A step of this commission.
    pub fn of(commission: &Commission, step: Step, cause: String, trace: String) -> BookedStep {
        let Commission { id, enrollment_id, currency, .. } = *commission;
        BookedStep { commission: id, enrollment: enrollment_id, currency, step, cause, trace }
    }
}

/// Who writes, for which day, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pen<'a> {
    pub actor: &'a str,
    pub occurred_on: Date,
    pub now: Timestamp,
}

/// Opens commissions and writes steps in the order given: their entries, the amounts of their commissions, and what they
/// move in the ledger. Of a commission there may be several; the rows of those that are not opened here must be locked.
/// What goes into a payout, comes back from it or is credited to an invoice is posted by the payout, as one sum.
///
/// # Errors
/// [`Refusal::AmountOverflow`]; faults of the database, among them a check violation where an amount would fall below
/// zero.
pub(crate) async fn write(
    conn: &mut Conn,
    organization: OrganizationId,
    opened: &[Commission],
    steps: &[BookedStep],
    pen: Pen<'_>,
) -> Result<Vec<CommissionEntryId>, Error> {
    let mut sums = sums(steps)?;
    if !opened.is_empty() {
        // A row that is written with its amounts is not written twice.
        let first: Vec<Moved> = opened.iter().map(|row| sums.remove(&row.id).unwrap_or_default()).collect();
        rows::open(conn, organization, opened, &first).await?;
    }
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<CommissionEntryId> = steps.iter().map(|_| CommissionEntryId::new()).collect();
    entries::insert(conn, organization, &ids, steps, opened, pen).await?;
    if !sums.is_empty() {
        entries::move_buckets(conn, organization, &sums).await?;
    }
    let postings: Vec<Posting> = ids
        .iter()
        .zip(steps)
        .filter_map(|(id, booked)| posting(*id, booked, pen.occurred_on).transpose())
        .collect::<Result<_, _>>()?;
    billing_ledger::post(conn, organization, &postings).await?;
    Ok(ids)
}

/// What an entry moves in the ledger; nothing when it moves no money or its payout posts it.
fn posting(id: CommissionEntryId, booked: &BookedStep, on: Date) -> Result<Option<Posting>, Refusal> {
    let (enrollment, currency) = (booked.enrollment, booked.currency);
    let change = booked.step.change;
    let money = |minor| Money::new(minor, currency);
    let moved =
        chart::CommissionMoved { held: money(change.held), payable: money(change.payable), owed: money(change.owed) };
    Ok(match booked.step.kind {
        EntryKind::Accrual => Some(chart::commission_accrued(id, enrollment, on, moved)?),
        EntryKind::Clawback => Some(chart::commission_clawed_back(id, enrollment, on, moved)?),
        EntryKind::Restoration => Some(chart::commission_restored(id, enrollment, on, moved)?),
        EntryKind::Maturity => Some(chart::commission_matured(id, enrollment, on, money(change.payable))),
        EntryKind::Payout | EntryKind::PayoutReturned | EntryKind::Credit => None,
    })
}

/// What a batch of steps does to one commission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub earned: i64,
    pub reversed: i64,
    pub change: Buckets,
}

/// By commission, in the order of their ids: what its steps come to.
fn sums(steps: &[BookedStep]) -> Result<BTreeMap<CommissionId, Moved>, Refusal> {
    let mut sums: BTreeMap<CommissionId, Moved> = BTreeMap::new();
    for booked in steps {
        let moved = sums.entry(booked.commission).or_default();
        let Step { kind, amount, change } = booked.step;
        match kind {
            EntryKind::Accrual => moved.earned = plus(moved.earned, amount)?,
            EntryKind::Clawback | EntryKind::Restoration => {
                moved.reversed = plus(moved.reversed, amount.checked_neg().ok_or(Refusal::AmountOverflow)?)?
            }
            EntryKind::Maturity | EntryKind::Payout | EntryKind::PayoutReturned | EntryKind::Credit => (),
        }
        moved.change = moved.change.after(&change)?;
    }
    Ok(sums)
}

fn plus(left: i64, right: i64) -> Result<i64, Refusal> {
    left.checked_add(right).ok_or(Refusal::AmountOverflow)
}
