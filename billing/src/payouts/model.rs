//! The rows of statements, runs and payouts. Amounts are minor units of the row's currency.

use billing_primitives::{
    BasisPoints, CommissionEntryId, CommissionId, CommissionStatementId, Currency, Date, EnrollmentId, InvoiceId,
    Money, Month, OrganizationId, PartnerId, PaymentId, PayoutId, PayoutRunId, ProgramId, Timestamp, text_enum,
};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::iban::Iban;
use super::rules::LeftOut;
use super::state::{PayoutStatus, RunStatus};

text_enum! {
    /// Which way a payout goes.
    pub enum PayoutMethod {
        /// To the partner's bank, in a run.
        Transfer = "TRANSFER",
        /// It pays one of the partner's invoices.
        Credit = "CREDIT",
    }
}

text_enum! {
    /// Where a step stands on a statement.
    pub enum Part {
        /// Became payable; also clawbacks of what no statement had shown, below zero.
        Earned = "EARNED",
        /// A clawback of what an earlier statement had shown, below zero.
        ClawedBack = "CLAWED_BACK",
    }
}

/// What became payable to an enrollment in a month and what was taken back (golden rule R8). It is no invoice.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::commission_statement)]
pub struct Statement {
    pub id: CommissionStatementId,
    pub enrollment_id: EnrollmentId,
    pub partner_id: PartnerId,
    pub program_id: ProgramId,
    pub month: Month,
    pub currency: Currency,
    /// Statements before this one, less what was paid out or credited.
    pub carried_minor: i64,
    pub earned_minor: i64,
    /// Not below zero.
    pub clawed_back_minor: i64,
    pub vat_bps: BasisPoints,
    pub earned_vat_minor: i64,
    pub clawed_back_vat_minor: i64,
    /// Carried + earned - clawed back.
    pub balance_minor: i64,
    pub trace: serde_json::Value,
    pub created_at: Timestamp,
}

impl Statement {
    /// An amount of it.
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }
}

/// One step of a commission on the one statement that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::commission_statement_entry)]
pub struct StatementEntry {
    pub commission_entry_id: CommissionEntryId,
    pub statement_id: CommissionStatementId,
    pub commission_id: CommissionId,
    pub part: Part,
    /// Clawbacks are below zero.
    pub amount_minor: i64,
    pub currency: Currency,
}

impl StatementEntry {
    pub fn amount(&self) -> Money {
        Money::new(self.amount_minor, self.currency)
    }
}

/// What is due to the partners of one programme, bundled.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::payout_run)]
pub struct PayoutRun {
    pub organization_id: OrganizationId,
    pub id: PayoutRunId,
    pub program_id: ProgramId,
    /// Of a scheduled run: its period; by hand: the maker's own key.
    pub run_key: String,
    /// The last day of a month: what statements up to it have shown is taken.
    pub cut_off: Date,
    pub status: RunStatus,
    pub currency: Currency,
    /// Of the programme's version in force on the cut-off.
    pub threshold_minor: i64,
    pub made_by: String,
    pub approved_by: Option<String>,
    pub created_at: Timestamp,
    pub computed_at: Timestamp,
    pub approved_at: Option<Timestamp>,
    pub sent_at: Option<Timestamp>,
}

/// A run to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayoutRun {
    pub program: ProgramId,
    pub run_key: String,
    /// The last day of a month that is over; none: of the one before today's.
    pub cut_off: Option<Date>,
}

/// What one partner gets of one programme at once.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::payout)]
pub struct Payout {
    pub id: PayoutId,
    /// None of a credit.
    pub payout_run_id: Option<PayoutRunId>,
    pub enrollment_id: EnrollmentId,
    pub partner_id: PartnerId,
    pub program_id: ProgramId,
    pub method: PayoutMethod,
    pub status: PayoutStatus,
    pub currency: Currency,
    /// Commissions taken out, the sum of its items.
    pub payable_minor: i64,
    /// Debts of earlier clawbacks that were netted.
    pub offset_minor: i64,
    /// `payable_minor - offset_minor`, above zero.
    pub net_minor: i64,
    pub vat_bps: BasisPoints,
    pub vat_minor: i64,
    pub holder: Option<String>,
    pub iban: Option<Iban>,
    /// Of a credit: the invoice it pays, and as which payment.
    pub invoice_id: Option<InvoiceId>,
    pub payment_id: Option<PaymentId>,
    /// When it is PAID.
    pub settled_on: Option<Date>,
    /// What the bank's statement says, or the proof.
    pub reference: Option<String>,
    /// Why it FAILED.
    pub failure: Option<String>,
    pub trace: serde_json::Value,
    pub created_at: Timestamp,
}

impl Payout {
    /// An amount of it.
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    pub fn net(&self) -> Money {
        self.money(self.net_minor)
    }
}

/// How much of a commission a payout took out.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::payout_item)]
pub struct PayoutItem {
    pub payout_id: PayoutId,
    pub commission_id: CommissionId,
    pub amount_minor: i64,
    pub currency: Currency,
}

impl PayoutItem {
    pub fn amount(&self) -> Money {
        Money::new(self.amount_minor, self.currency)
    }
}

/// Who gets nothing from a run although something is due or owed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::payout_left_out)]
pub struct LeftOutRow {
    pub payout_run_id: PayoutRunId,
    pub enrollment_id: EnrollmentId,
    pub reason: LeftOut,
    /// What is due less what is owed.
    pub balance_minor: i64,
    pub currency: Currency,
}

impl LeftOutRow {
    pub fn balance(&self) -> Money {
        Money::new(self.balance_minor, self.currency)
    }
}

/// What a run comes to, over its payouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTotals {
    pub run: PayoutRunId,
    pub payouts: i64,
    pub payable: Money,
    pub offset: Money,
    /// What is transferred, failed payouts left out.
    pub net: Money,
    pub paid: Money,
    pub left_out: i64,
}

/// Which statements a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatementFilter {
    pub enrollment: Option<EnrollmentId>,
    pub partner: Option<PartnerId>,
    pub month: Option<Month>,
}

/// Which runs a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFilter {
    pub program: Option<ProgramId>,
    pub status: Option<RunStatus>,
}

/// Which payouts a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PayoutFilter {
    pub run: Option<PayoutRunId>,
    pub enrollment: Option<EnrollmentId>,
    pub partner: Option<PartnerId>,
    pub status: Option<PayoutStatus>,
}
