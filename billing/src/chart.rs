//! The chart of accounts: each business fact has exactly one posting. Pure.

use billing_ledger::{AccountKey, Posting, Transfer};
use billing_primitives::{
    CreditNoteId, Currency, Date, InvoiceId, Money, MoneyError, PartnerId, PaymentId, SettlementEntryId,
};

/// Kinds of accounts, as the ledger stores them.
pub mod kind {
    pub const BAD_DEBTS: &str = "bad_debts";
    pub const BANK: &str = "bank";
    pub const CREDIT_BALANCE: &str = "credit_balance";
    pub const OUTPUT_VAT: &str = "output_vat";
    pub const RECEIVABLE: &str = "receivable";
    pub const ROUNDING: &str = "rounding";
    pub const WHOLESALE_REVENUE: &str = "wholesale_revenue";

    pub const ALL: &[&str] = &[BAD_DEBTS, BANK, CREDIT_BALANCE, OUTPUT_VAT, RECEIVABLE, ROUNDING, WHOLESALE_REVENUE];
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

/// Debits the first account and credits the second; the other way round below zero.
fn there_or_back((debit, credit): (AccountKey, AccountKey), amount: Money) -> Result<Transfer, MoneyError> {
    if !amount.is_negative() {
        return Ok(Transfer { debit, credit, amount });
    }
    Ok(Transfer { debit: credit, credit: debit, amount: Money::zero(amount.currency).checked_sub(amount)? })
}
