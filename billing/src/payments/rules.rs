//! What money and credit do to a partner's invoices and to its credit balance. Pure.
//!
//! A [`Position`] is one partner in one currency; every change of it is a list of [`Step`]s, and nothing else changes
//! it. It keeps: no invoice is due below zero, the credit balance is not below zero, and there is money in it only
//! while nothing is due. What exceeds an invoice follows from its sums, so it does not matter in which order payments,
//! their reversals and credit notes arrive.

use std::mem;

use billing_primitives::{Currency, Date, InvoiceId, Money};

use super::{PaymentStatus, StepKind};
use crate::error::Refusal;

/// No sum of a settlement goes beyond this, so no expression over a few of them overflows.
const MOST: i64 = i64::MAX / 16;

/// What an invoice's settlement has come to, in minor units of one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub invoice: InvoiceId,
    pub issue_date: Date,
    pub number: String,
    pub gross: i64,
    pub credited: i64,
    /// Everything that came in for this invoice, less what went back; may exceed what was due.
    pub paid: i64,
    pub rounding: i64,
    pub from_balance: i64,
    pub to_balance: i64,
    /// Given up by hand, less what came in after all. See [`Standing::bad`].
    pub written_off: i64,
}

impl Standing {
    /// A finalized invoice to which nothing has happened yet.
    pub fn new(invoice: InvoiceId, issue_date: Date, number: String, gross: i64) -> Standing {
        Standing {
            invoice,
            issue_date,
            number,
            gross,
            credited: 0,
            paid: 0,
            rounding: 0,
            from_balance: 0,
            to_balance: 0,
            written_off: 0,
        }
    }

    /// What the partner owes on this invoice.
    pub fn due(&self) -> i64 {
        self.gross - self.credited - self.paid - self.rounding - self.from_balance + self.to_balance
    }

    /// The part of what is due that stands in bad debts.
    pub fn bad(&self) -> i64 {
        self.written_off.min(self.due()).max(0)
    }

    /// The part of what is due that stands as a receivable.
    pub fn receivable(&self) -> i64 {
        self.due() - self.bad()
    }

    /// By how much the invoice's own payments and credit notes exceed it.
    fn exceeded(&self) -> i64 {
        (self.credited + self.paid + self.rounding - self.gross).max(0)
    }

    /// Invoices are paid from the credit balance in this order: the oldest first, then by number as it was counted.
    fn age(&self) -> (Date, usize, &str) {
        (self.issue_date, self.number.len(), &self.number)
    }

    fn fits(&self) -> bool {
        let sums = [self.gross, self.credited, self.paid, self.rounding, self.from_balance, self.to_balance];
        sums.iter().all(|sum| (-MOST..=MOST).contains(sum)) && self.written_off <= MOST
    }
}

/// What a settlement comes to for whoever reads the invoice (product rule "Cash").
pub fn status(standing: &Standing, due_date: Date, today: Date) -> PaymentStatus {
    let due = standing.due();
    if due <= 0 {
        PaymentStatus::Paid
    } else if standing.bad() > 0 {
        PaymentStatus::Uncollectible
    } else if today > due_date {
        PaymentStatus::Overdue
    } else if due < standing.gross {
        PaymentStatus::PartiallyPaid
    } else {
        PaymentStatus::Unpaid
    }
}

/// Up to this amount a receivable may be closed as a rounding difference: 1.00 DKK, 0.10 EUR, a tenth of any other
/// currency's unit; where that has no minor units, one unit.
pub fn tolerance(currency: Currency) -> Money {
    let minor = match currency {
        Currency::DKK => 100,
        other => (10_i64.pow(other.minor_digits()) / 10).max(1),
    };
    Money::new(minor, currency)
}

/// VAT that is left over or was credited too much (below zero) when `notes`, as pairs of net and VAT, have credited the
/// whole net of an invoice; none while they have not. Golden rule R10.
pub fn vat_left(invoice_net: i64, invoice_vat: i64, notes: &[(i64, i64)]) -> Option<i64> {
    let net: i128 = notes.iter().map(|(net, _)| i128::from(*net)).sum();
    let vat: i128 = notes.iter().map(|(_, vat)| i128::from(*vat)).sum();
    if net != i128::from(invoice_net) {
        return None;
    }
    i64::try_from(i128::from(invoice_vat) - vat).ok()
}

/// One change of one invoice's settlement, or of the credit balance alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// None: [`StepKind::PaidOut`].
    pub invoice: Option<InvoiceId>,
    pub kind: StepKind,
    /// Above zero: towards paid; below zero: back.
    pub amount: i64,
    /// How much of a write-off the step takes back; below zero: puts in force again.
    pub recovered: i64,
    /// By how much bad debts grow.
    pub bad_debts: i64,
}

/// A part of the credit balance that an invoice uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub invoice: InvoiceId,
    pub amount: i64,
    /// How much of a write-off it took back.
    pub recovered: i64,
}

/// The uses that are left of all steps from and back to the balance, in the order in which they were written; what went
/// back was taken from the invoice's newest.
pub fn uses(steps: impl IntoIterator<Item = Use>) -> Vec<Use> {
    let mut left: Vec<Use> = Vec::new();
    for step in steps {
        let mut back = -step.amount;
        if back < 0 {
            left.push(step);
            continue;
        }
        for of in left.iter_mut().rev().filter(|of| of.invoice == step.invoice) {
            back -= of.shrink(back).0;
        }
        left.retain(|of| of.amount > 0);
    }
    left
}

impl Use {
    /// Takes up to `amount` out of the use; returns how much, and how much of a write-off comes into force again.
    fn shrink(&mut self, amount: i64) -> (i64, i64) {
        let taken = self.amount.min(amount);
        self.amount -= taken;
        // Had the use been smaller, it would have taken back this much of the write-off.
        let kept = self.recovered.min(self.amount);
        (taken, mem::replace(&mut self.recovered, kept) - kept)
    }
}

/// One partner in one currency: its invoices that matter (all that are due, all that use the credit balance, and those
/// that something happens to) and its credit balance. After a refusal it is to be thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    currency: Currency,
    invoices: Vec<Standing>,
    balance: i64,
    /// Oldest first.
    uses: Vec<Use>,
    steps: Vec<Step>,
}

impl Position {
    pub fn new(currency: Currency, mut invoices: Vec<Standing>, balance: i64, uses: Vec<Use>) -> Position {
        invoices.sort_by(|a, b| a.age().cmp(&b.age()));
        Position { currency, invoices, balance, uses, steps: Vec::new() }
    }

    /// Oldest first.
    pub fn invoices(&self) -> &[Standing] {
        &self.invoices
    }

    pub fn balance(&self) -> i64 {
        self.balance
    }

    /// Money came in for an invoice.
    ///
    /// # Errors
    /// [`Refusal::AmountNotPositive`], [`Refusal::AmountOverflow`]; [`Refusal::NotFound`] when the invoice is not here.
    pub fn pay(&mut self, invoice: InvoiceId, amount: i64) -> Result<Vec<Step>, Refusal> {
        self.positive(amount)?;
        let at = self.find(invoice)?;
        self.lower(at, StepKind::Payment, amount)?;
        self.finish()
    }

    /// A payment of `amount` that took back `recovered` of a write-off goes back.
    ///
    /// Of what exceeded the invoice only what is in the balance or in use can come back. What was paid out falls due on
    /// the invoice.
    ///
    /// # Errors
    /// As [`Position::pay`].
    pub fn reverse(&mut self, invoice: InvoiceId, amount: i64, recovered: i64) -> Result<Vec<Step>, Refusal> {
        self.positive(amount)?;
        let at = self.find(invoice)?;
        self.raise(at, StepKind::Payment, amount, recovered)?;
        self.finish()
    }

    /// A credit note of `gross`; with the last one of an invoice comes the VAT that is left (see [`vat_left`]).
    ///
    /// # Errors
    /// As [`Position::pay`].
    pub fn credit(&mut self, invoice: InvoiceId, gross: i64, vat_left: i64) -> Result<Vec<Step>, Refusal> {
        self.positive(gross)?;
        let at = self.find(invoice)?;
        // The difference comes first: what is too much then never reaches the balance.
        match vat_left {
            0 => (),
            1.. => self.lower(at, StepKind::Rounding, vat_left)?,
            _ => self.raise(at, StepKind::Rounding, vat_left.saturating_neg(), 0)?,
        }
        self.lower(at, StepKind::CreditNote, gross)?;
        self.finish()
    }

    /// Gives up what is due and was not given up before.
    ///
    /// # Errors
    /// [`Refusal::NothingDue`], and as [`Position::pay`].
    pub fn write_off(&mut self, invoice: InvoiceId) -> Result<Vec<Step>, Refusal> {
        let at = self.find(invoice)?;
        let given_up = self.invoices[at].receivable();
        if given_up <= 0 {
            return Err(Refusal::NothingDue { number: self.invoices[at].number.clone() });
        }
        self.step(at, StepKind::WriteOff, given_up, 0);
        self.finish()
    }

    /// Closes a small amount due as a rounding difference.
    ///
    /// # Errors
    /// [`Refusal::NothingDue`], [`Refusal::AboveTolerance`], and as [`Position::pay`].
    pub fn close_difference(&mut self, invoice: InvoiceId) -> Result<Vec<Step>, Refusal> {
        let at = self.find(invoice)?;
        let due = Money::new(self.invoices[at].due(), self.currency);
        let tolerance = tolerance(self.currency);
        if !due.is_positive() {
            return Err(Refusal::NothingDue { number: self.invoices[at].number.clone() });
        }
        if due.minor > tolerance.minor {
            return Err(Refusal::AboveTolerance { due, tolerance });
        }
        self.lower(at, StepKind::Rounding, due.minor)?;
        self.finish()
    }

    /// Money of the credit balance goes back to the partner.
    ///
    /// # Errors
    /// [`Refusal::AmountNotPositive`], [`Refusal::BalanceTooSmall`].
    pub fn pay_out(&mut self, amount: i64) -> Result<Vec<Step>, Refusal> {
        self.positive(amount)?;
        if amount > self.balance {
            return Err(Refusal::BalanceTooSmall { balance: Money::new(self.balance, self.currency) });
        }
        self.balance -= amount;
        self.steps.push(Step { invoice: None, kind: StepKind::PaidOut, amount, recovered: 0, bad_debts: 0 });
        self.finish()
    }

    /// The credit balance pays what is due: the oldest invoice first, written-off ones included, for they are still
    /// owed. Every other change ends with this.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`].
    pub fn finish(&mut self) -> Result<Vec<Step>, Refusal> {
        for at in 0..self.invoices.len() {
            let standing = &self.invoices[at];
            let amount = self.balance.min(standing.due());
            if amount > 0 {
                let (invoice, recovered) = (standing.invoice, standing.bad().min(amount));
                self.step(at, StepKind::FromBalance, amount, recovered);
                self.uses.push(Use { invoice, amount, recovered });
                self.balance -= amount;
            }
        }
        if self.balance > MOST || !self.invoices.iter().all(Standing::fits) {
            return Err(Refusal::AmountOverflow);
        }
        Ok(mem::take(&mut self.steps))
    }

    /// Something comes in on one invoice. It makes room for it by giving back what it uses of the credit balance; what
    /// still exceeds it goes to the balance.
    fn lower(&mut self, at: usize, kind: StepKind, amount: i64) -> Result<(), Refusal> {
        let beyond = amount - self.invoices[at].due();
        self.give_back(beyond.min(self.invoices[at].from_balance), Some(self.invoices[at].invoice))?;
        let standing = &self.invoices[at];
        let exceeding = (amount - standing.due()).max(0);
        let recovered = standing.bad().min(amount);
        self.step(at, kind, amount, recovered);
        self.step(at, StepKind::ToBalance, -exceeding, 0);
        self.balance += exceeding;
        Ok(())
    }

    /// Something goes back on one invoice, and with it what exceeded the invoice because of it.
    fn raise(&mut self, at: usize, kind: StepKind, amount: i64, restored: i64) -> Result<(), Refusal> {
        let exceeded = self.invoices[at].exceeded();
        self.step(at, kind, -amount, -restored);
        let in_use: i64 = self.uses.iter().map(|one| one.amount).sum();
        let back = (exceeded - self.invoices[at].exceeded()).min(self.balance + in_use);
        self.give_back(back - self.balance, None)?;
        self.step(at, StepKind::ToBalance, back, 0);
        self.balance -= back;
        Ok(())
    }

    /// The newest uses (of one invoice, or of all) give `amount` back to the balance; those invoices open again.
    fn give_back(&mut self, mut amount: i64, of: Option<InvoiceId>) -> Result<(), Refusal> {
        for index in (0..self.uses.len()).rev() {
            let invoice = self.uses[index].invoice;
            if amount <= 0 || of.is_some_and(|of| of != invoice) {
                continue;
            }
            let at = self.find(invoice)?;
            let (taken, restored) = self.uses[index].shrink(amount);
            self.step(at, StepKind::FromBalance, -taken, -restored);
            self.balance += taken;
            amount -= taken;
        }
        self.uses.retain(|one| one.amount > 0);
        Ok(())
    }

    fn step(&mut self, at: usize, kind: StepKind, amount: i64, recovered: i64) {
        if amount == 0 {
            return;
        }
        let standing = &mut self.invoices[at];
        let bad = standing.bad();
        match kind {
            StepKind::Payment => standing.paid += amount,
            StepKind::CreditNote => standing.credited += amount,
            StepKind::Rounding => standing.rounding += amount,
            StepKind::FromBalance => standing.from_balance += amount,
            StepKind::ToBalance => standing.to_balance -= amount,
            StepKind::WriteOff => standing.written_off += amount,
            StepKind::PaidOut => (),
        }
        standing.written_off -= recovered;
        let bad_debts = standing.bad() - bad;
        self.steps.push(Step { invoice: Some(standing.invoice), kind, amount, recovered, bad_debts });
    }

    fn find(&self, invoice: InvoiceId) -> Result<usize, Refusal> {
        let at = self.invoices.iter().position(|standing| standing.invoice == invoice);
        at.ok_or_else(|| Refusal::not_found("invoice", "invoice", invoice))
    }

    fn positive(&self, minor: i64) -> Result<(), Refusal> {
        match minor {
            ..=0 => Err(Refusal::AmountNotPositive { amount: Money::new(minor, self.currency) }),
            1..=MOST => Ok(()),
            _ => Err(Refusal::AmountOverflow),
        }
    }
}

#[cfg(test)]
mod tests;
