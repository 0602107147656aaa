//! Where a commission's amount stands, and the steps that move it (product rules 3.4 and 3.7).
//!
//! Every step keeps: what is earned less what is reversed is the sum of the buckets, where what is owed counts against
//! it. No bucket goes below zero; only what is merely counted may, for a base below zero. What is owed and what is
//! taken are not undone by later earnings: payouts may have netted or transferred them.

use billing_primitives::{MoneyError, text_enum};
use serde::Serialize;

use crate::programs::terms::SettlementMode;

text_enum! {
    /// What a step of a commission is.
    pub enum EntryKind {
        /// What is earned changes.
        Accrual = "ACCRUAL",
        /// More is reversed.
        Clawback = "CLAWBACK",
        /// Less is reversed.
        Restoration = "RESTORATION",
        /// What was held is payable.
        Maturity = "MATURITY",
        /// What was payable goes into an approved payout.
        Payout = "PAYOUT",
        /// A payout failed, or its run is a draft again.
        PayoutReturned = "PAYOUT_RETURNED",
        /// What was payable is credited to an invoice.
        Credit = "CREDIT",
    }
}

/// The amounts of a commission, or how a step changes them. Minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Buckets {
    /// Only reported, never payable.
    pub counted: i64,
    pub held: i64,
    pub payable: i64,
    /// Gone into payouts and credits.
    pub taken: i64,
    /// Taken back after it was gone, or earned below zero: a debt of the enrollment.
    pub owed: i64,
}

impl Buckets {
    /// What is earned less what is reversed.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn net(&self) -> Result<i64, MoneyError> {
        let parts = [self.counted, self.held, self.payable, self.taken].map(i128::from);
        fitting(parts.iter().sum::<i128>() - i128::from(self.owed))
    }

    /// What statements show of it.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn stated(&self) -> Result<i64, MoneyError> {
        fitting(i128::from(self.payable) + i128::from(self.taken) - i128::from(self.owed))
    }

    /// The amounts after a step.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn after(&self, change: &Buckets) -> Result<Buckets, MoneyError> {
        let add = |a: i64, b: i64| a.checked_add(b).ok_or(MoneyError::Overflow);
        Ok(Buckets {
            counted: add(self.counted, change.counted)?,
            held: add(self.held, change.held)?,
            payable: add(self.payable, change.payable)?,
            taken: add(self.taken, change.taken)?,
            owed: add(self.owed, change.owed)?,
        })
    }
}

/// What a commission comes to: `reversed` of `earned` is taken back. Minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub earned: i64,
    pub reversed: i64,
}

/// One step of a commission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub kind: EntryKind,
    /// Change of what is earned less what is reversed; 0 for a move between buckets.
    pub amount: i64,
    pub change: Buckets,
}

impl Step {
    fn moving(kind: EntryKind, change: Buckets) -> Step {
        Step { kind, amount: 0, change }
    }
}

/// The steps from what is booked to the target; none where they are the same.
///
/// What is gained comes before what is lost, so that the loss finds it and no debt arises that is none. The settlement
/// decides where new amounts go; what stands somewhere stays there.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn book(
    now: Buckets,
    booked: Standing,
    target: Standing,
    settlement: SettlementMode,
) -> Result<Vec<Step>, MoneyError> {
    let earned = difference(target.earned, booked.earned)?;
    let restored = difference(booked.reversed, target.reversed)?;
    let kind = if restored > 0 { EntryKind::Restoration } else { EntryKind::Clawback };
    let mut differences = [(EntryKind::Accrual, earned), (kind, restored)];
    differences.sort_by_key(|(_, amount)| *amount < 0);

    let mut now = now;
    let mut steps = Vec::new();
    for (kind, amount) in differences {
        if amount == 0 {
            continue;
        }
        let change = if amount > 0 { gain(now, amount, settlement) } else { loss(now, amount, settlement)? };
        now = now.after(&change)?;
        steps.push(Step { kind, amount, change });
    }
    Ok(steps)
}

/// What is held becomes payable; none when nothing is.
pub fn mature(now: Buckets) -> Option<Step> {
    let change = Buckets { held: -now.held, payable: now.held, ..Buckets::default() };
    (now.held > 0).then_some(Step::moving(EntryKind::Maturity, change))
}

/// Takes `amount` of what is payable out, as a [`EntryKind::Payout`] or a [`EntryKind::Credit`]; none when it is not above
/// zero or not there.
pub fn take(now: Buckets, amount: i64, kind: EntryKind) -> Option<Step> {
    let change = Buckets { payable: -amount, taken: amount, ..Buckets::default() };
    (1..=now.payable).contains(&amount).then_some(Step::moving(kind, change))
}

/// Gives `amount` that a payout took out back; none when it is not above zero or was not taken.
pub fn give_back(now: Buckets, amount: i64) -> Option<Step> {
    let change = Buckets { payable: amount, taken: -amount, ..Buckets::default() };
    (1..=now.taken).contains(&amount).then_some(Step::moving(EntryKind::PayoutReturned, change))
}

/// Where an amount above zero goes: what was counted below zero is filled up first.
fn gain(now: Buckets, amount: i64, settlement: SettlementMode) -> Buckets {
    let counted = match settlement {
        SettlementMode::ReportOnly => amount,
        SettlementMode::Payout | SettlementMode::Credit => amount.min(now.counted.saturating_neg()).max(0),
    };
    Buckets { counted, held: amount - counted, ..Buckets::default() }
}

/// Where an amount below zero comes from: held, payable, counted, and the rest is owed. What is only reported owes no
/// more than was taken out.
fn loss(now: Buckets, amount: i64, settlement: SettlementMode) -> Result<Buckets, MoneyError> {
    let mut left = amount.checked_neg().ok_or(MoneyError::Overflow)?;
    let mut from = |there: i64| {
        let part = left.min(there).max(0);
        left -= part;
        part
    };
    let (held, payable, counted) = (from(now.held), from(now.payable), from(now.counted));
    let (owed, uncounted) = match settlement {
        SettlementMode::ReportOnly => (from(now.taken.saturating_sub(now.owed)), left),
        SettlementMode::Payout | SettlementMode::Credit => (left, 0),
    };
    Ok(Buckets { counted: -counted - uncounted, held: -held, payable: -payable, taken: 0, owed })
}

fn difference(to: i64, from: i64) -> Result<i64, MoneyError> {
    to.checked_sub(from).ok_or(MoneyError::Overflow)
}

fn fitting(amount: i128) -> Result<i64, MoneyError> {
    i64::try_from(amount).map_err(|_| MoneyError::Overflow)
}

#[cfg(test)]
mod tests;
