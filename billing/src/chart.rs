//! The chart of accounts: each business fact has exactly one posting. Pure.

use billing_ledger::{AccountKey, Posting, Transfer};
use billing_primitives::{
    CommissionEntryId, CreditNoteId, Currency, Date, EnrollmentId, InvoiceId, Money, MoneyError, PartnerId, PaymentId,
    PayoutId, SettlementEntryId,
};

/// Kinds of accounts, as the ledger stores them.
pub mod kind {
    pub const BAD_DEBTS: &str = "bad_debts";
    pub const BANK: &str = "bank";
    pub const COMMISSION_EXPENSE: &str = "commission_expense";
    pub const COMMISSION_HELD: &str = "commission_held";
    pub const COMMISSION_OFFSET: &str = "commission_offset";
    pub const COMMISSION_PAYABLE: &str = "commission_payable";
    pub const CREDIT_BALANCE: &str = "credit_balance";
    pub const INPUT_VAT: &str = "input_vat";
    pub const OUTPUT_VAT: &str = "output_vat";
    pub const PAYOUT_CLEARING: &str = "payout_clearing";
    pub const RECEIVABLE: &str = "receivable";
    pub const ROUNDING: &str = "rounding";
    pub const WHOLESALE_REVENUE: &str = "wholesale_revenue";

    pub const ALL: &[&str] = &[
        BAD_DEBTS,
        BANK,
        COMMISSION_EXPENSE,
        COMMISSION_HELD,
        COMMISSION_OFFSET,
        COMMISSION_PAYABLE,
        CREDIT_BALANCE,
        INPUT_VAT,
        OUTPUT_VAT,
        PAYOUT_CLEARING,
        RECEIVABLE,
        ROUNDING,
        WHOLESALE_REVENUE,
    ];

    /// Kinds whose accounts each belong to an enrollment.
    pub const OF_ENROLLMENTS: &[&str] = &[COMMISSION_HELD, COMMISSION_OFFSET, COMMISSION_PAYABLE];
}

/// What the partner owes the organization.
pub fn receivable(partner: PartnerId, currency: Currency) -> AccountKey {
    AccountKey { kind: kind::RECEIVABLE, owner: Some(partner.uuid()), currency }
}

/// What the organization owes the partner because it paid or was credited too much.
pub fn credit_balance(partner: PartnerId, currency: Currency) -> AccountKey {
    AccountKey { kind: kind::CREDIT_BALANCE, owner: Some(partner.uuid()), currency }
}

/// An account of the organization itself.
pub fn of_organization(kind: &'static str, currency: Currency) -> AccountKey {
    AccountKey { kind, owner: None, currency }
}

/// A finalized invoice: the partner owes its gross total; the net is revenue, the rest is VAT.
pub fn invoice_finalized(invoice: InvoiceId, partner: PartnerId, on: Date, net: Money, vat: Money) -> Posting {
    let debit = receivable(partner, net.currency);
    let transfers = vec![
        Transfer { debit, credit: of_organization(kind::WHOLESALE_REVENUE, net.currency), amount: net },
        Transfer { debit, credit: of_organization(kind::OUTPUT_VAT, vat.currency), amount: vat },
    ];
    Posting { kind: "invoice.finalized", source: invoice.to_string(), occurred_on: on, transfers }
}

/// A finalized credit note: the mirror of an invoice.
pub fn credit_note_finalized(note: CreditNoteId, partner: PartnerId, on: Date, net: Money, vat: Money) -> Posting {
    let credit = receivable(partner, net.currency);
    let transfers = vec![
        Transfer { debit: of_organization(kind::WHOLESALE_REVENUE, net.currency), credit, amount: net },
        Transfer { debit: of_organization(kind::OUTPUT_VAT, vat.currency), credit, amount: vat },
    ];
    Posting { kind: "credit_note.finalized", source: note.to_string(), occurred_on: on, transfers }
}

/// Money came in for one of the partner's invoices.
pub fn payment_recorded(payment: PaymentId, partner: PartnerId, on: Date, amount: Money) -> Posting {
    let debit = of_organization(kind::BANK, amount.currency);
    let transfers = vec![Transfer { debit, credit: receivable(partner, amount.currency), amount }];
    Posting { kind: "payment.recorded", source: payment.to_string(), occurred_on: on, transfers }
}

/// A payment went back; `reversal` is the reversing payment.
pub fn payment_reversed(reversal: PaymentId, partner: PartnerId, on: Date, amount: Money) -> Posting {
    let credit = of_organization(kind::BANK, amount.currency);
    let transfers = vec![Transfer { debit: receivable(partner, amount.currency), credit, amount }];
    Posting { kind: "payment.reversed", source: reversal.to_string(), occurred_on: on, transfers }
}

/// What a payment, a credit note or a new invoice moves between the partner's invoices and its credit balance: above
/// zero to the balance, below zero out of it.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn credit_balance_moved(
    source: String,
    partner: PartnerId,
    on: Date,
    moved: &[Money],
) -> Result<Posting, MoneyError> {
    let ways = |currency| (receivable(partner, currency), credit_balance(partner, currency));
    let transfers =
        moved.iter().map(|amount| there_or_back(ways(amount.currency), *amount)).collect::<Result<_, _>>()?;
    Ok(Posting { kind: "credit_balance.moved", source, occurred_on: on, transfers })
}

/// What was given up is due again as it comes in after all; below zero: such a payment went back.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn bad_debts_recovered(
    source: String,
    partner: PartnerId,
    on: Date,
    recovered: &[Money],
) -> Result<Posting, MoneyError> {
    let ways = |currency| (receivable(partner, currency), of_organization(kind::BAD_DEBTS, currency));
    let transfers =
        recovered.iter().map(|amount| there_or_back(ways(amount.currency), *amount)).collect::<Result<_, _>>()?;
    Ok(Posting { kind: "bad_debts.recovered", source, occurred_on: on, transfers })
}

/// What is due on an invoice was given up.
pub fn invoice_written_off(step: SettlementEntryId, partner: PartnerId, on: Date, amount: Money) -> Posting {
    let debit = of_organization(kind::BAD_DEBTS, amount.currency);
    let transfers = vec![Transfer { debit, credit: receivable(partner, amount.currency), amount }];
    Posting { kind: "invoice.written_off", source: step.to_string(), occurred_on: on, transfers }
}

/// A small amount due was closed as a rounding difference.
pub fn difference_closed(step: SettlementEntryId, partner: PartnerId, on: Date, amount: Money) -> Posting {
    let debit = of_organization(kind::ROUNDING, amount.currency);
    let transfers = vec![Transfer { debit, credit: receivable(partner, amount.currency), amount }];
    Posting { kind: "invoice.difference_closed", source: step.to_string(), occurred_on: on, transfers }
}

/// The last credit note of an invoice left VAT over, or took back too much of it (below zero). Golden rule R10.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn vat_left(note: CreditNoteId, partner: PartnerId, on: Date, left: Money) -> Result<Posting, MoneyError> {
    let ways = (of_organization(kind::ROUNDING, left.currency), receivable(partner, left.currency));
    let transfers = vec![there_or_back(ways, left)?];
    Ok(Posting { kind: "credit_note.vat_left", source: note.to_string(), occurred_on: on, transfers })
}

/// Money of the credit balance went back to the partner.
pub fn credit_balance_paid_out(step: SettlementEntryId, partner: PartnerId, on: Date, amount: Money) -> Posting {
    let credit = of_organization(kind::BANK, amount.currency);
    let transfers = vec![Transfer { debit: credit_balance(partner, amount.currency), credit, amount }];
    Posting { kind: "credit_balance.paid_out", source: step.to_string(), occurred_on: on, transfers }
}

/// What the organization owes an enrollment once it ripens.
pub fn commission_held(enrollment: EnrollmentId, currency: Currency) -> AccountKey {
    AccountKey { kind: kind::COMMISSION_HELD, owner: Some(enrollment.uuid()), currency }
}

/// What the organization owes an enrollment.
pub fn commission_payable(enrollment: EnrollmentId, currency: Currency) -> AccountKey {
    AccountKey { kind: kind::COMMISSION_PAYABLE, owner: Some(enrollment.uuid()), currency }
}

/// What an enrollment owes: taken back after it was taken out, until a payout nets it.
pub fn commission_offset(enrollment: EnrollmentId, currency: Currency) -> AccountKey {
    AccountKey { kind: kind::COMMISSION_OFFSET, owner: Some(enrollment.uuid()), currency }
}

/// By how much a step changes where a commission's amounts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommissionMoved {
    pub held: Money,
    pub payable: Money,
    pub owed: Money,
}

/// A commission was earned, or turned out smaller (below zero).
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn commission_accrued(
    entry: CommissionEntryId,
    enrollment: EnrollmentId,
    on: Date,
    moved: CommissionMoved,
) -> Result<Posting, MoneyError> {
    commission_expensed("commission.accrued", entry, enrollment, on, moved)
}

/// A part of a commission was taken back.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn commission_clawed_back(
    entry: CommissionEntryId,
    enrollment: EnrollmentId,
    on: Date,
    moved: CommissionMoved,
) -> Result<Posting, MoneyError> {
    commission_expensed("commission.clawed_back", entry, enrollment, on, moved)
}

/// A part of a commission that was taken back is earned after all.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn commission_restored(
    entry: CommissionEntryId,
    enrollment: EnrollmentId,
    on: Date,
    moved: CommissionMoved,
) -> Result<Posting, MoneyError> {
    commission_expensed("commission.restored", entry, enrollment, on, moved)
}

fn commission_expensed(
    kind: &'static str,
    entry: CommissionEntryId,
    enrollment: EnrollmentId,
    on: Date,
    moved: CommissionMoved,
) -> Result<Posting, MoneyError> {
    let currency = moved.held.currency;
    let expense = of_organization(kind::COMMISSION_EXPENSE, currency);
    let transfers = vec![
        there_or_back((expense, commission_held(enrollment, currency)), moved.held)?,
        there_or_back((expense, commission_payable(enrollment, currency)), moved.payable)?,
        there_or_back((commission_offset(enrollment, currency), expense), moved.owed)?,
    ];
    Ok(Posting { kind, source: entry.to_string(), occurred_on: on, transfers })
}

/// What was held ripened.
pub fn commission_matured(entry: CommissionEntryId, enrollment: EnrollmentId, on: Date, amount: Money) -> Posting {
    let debit = commission_held(enrollment, amount.currency);
    let transfers = vec![Transfer { debit, credit: commission_payable(enrollment, amount.currency), amount }];
    Posting { kind: "commission.matured", source: entry.to_string(), occurred_on: on, transfers }
}

/// What a payout takes out of what is payable: the net is on its way to the partner, the rest nets its debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutParts {
    pub net: Money,
    pub offset: Money,
}

/// A payout was approved: its net waits in clearing for the bank.
pub fn payout_approved(payout: PayoutId, enrollment: EnrollmentId, on: Date, parts: PayoutParts) -> Posting {
    let transfers = payout_transfers(of_organization(kind::PAYOUT_CLEARING, parts.net.currency), enrollment, parts);
    Posting { kind: "payout.approved", source: payout.to_string(), occurred_on: on, transfers }
}

/// An approved payout is payable again, its debt open again: it failed, or its run is a draft again.
pub fn payout_returned(payout: PayoutId, enrollment: EnrollmentId, on: Date, parts: PayoutParts) -> Posting {
    let clearing = of_organization(kind::PAYOUT_CLEARING, parts.net.currency);
    let mirrored = |transfer: Transfer| Transfer { debit: transfer.credit, credit: transfer.debit, ..transfer };
    let transfers = payout_transfers(clearing, enrollment, parts).into_iter().map(mirrored).collect();
    Posting { kind: "payout.returned", source: payout.to_string(), occurred_on: on, transfers }
}

/// The bank transferred a payout.
pub fn payout_paid(payout: PayoutId, on: Date, net: Money) -> Posting {
    let debit = of_organization(kind::PAYOUT_CLEARING, net.currency);
    let transfers = vec![Transfer { debit, credit: of_organization(kind::BANK, net.currency), amount: net }];
    Posting { kind: "payout.paid", source: payout.to_string(), occurred_on: on, transfers }
}

/// A transferred payout came back from the partner's bank.
pub fn payout_bounced(payout: PayoutId, on: Date, net: Money) -> Posting {
    let debit = of_organization(kind::BANK, net.currency);
    let transfers = vec![Transfer { debit, credit: of_organization(kind::PAYOUT_CLEARING, net.currency), amount: net }];
    Posting { kind: "payout.bounced", source: payout.to_string(), occurred_on: on, transfers }
}

/// What is payable to a partner pays one of its invoices instead.
pub fn payout_credited(
    payout: PayoutId,
    enrollment: EnrollmentId,
    partner: PartnerId,
    on: Date,
    parts: PayoutParts,
) -> Posting {
    let transfers = payout_transfers(receivable(partner, parts.net.currency), enrollment, parts);
    Posting { kind: "payout.credited", source: payout.to_string(), occurred_on: on, transfers }
}

fn payout_transfers(net: AccountKey, enrollment: EnrollmentId, parts: PayoutParts) -> Vec<Transfer> {
    let debit = commission_payable(enrollment, parts.net.currency);
    let offset = commission_offset(enrollment, parts.net.currency);
    vec![Transfer { debit, credit: net, amount: parts.net }, Transfer { debit, credit: offset, amount: parts.offset }]
}

/// Debits the first account and credits the second; the other way round below zero.
fn there_or_back((debit, credit): (AccountKey, AccountKey), amount: Money) -> Result<Transfer, MoneyError> {
    if !amount.is_negative() {
        return Ok(Transfer { debit, credit, amount });
    }
    Ok(Transfer { debit: credit, credit: debit, amount: Money::zero(amount.currency).checked_sub(amount)? })
}
