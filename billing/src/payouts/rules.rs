//! What a statement shows and what a payout comes to (golden rule R8), and which account numbers are possible. Pure.
//!
//! Documents show everything at once; the threshold and debts delay only the money. Debts are netted before the
//! threshold is looked at, and nothing below zero is ever collected.

mod iban;

use billing_primitives::{BasisPoints, MoneyError, round_ratio, text_enum};
use serde::Serialize;

pub use iban::{iban_is_valid, normalized_iban};

text_enum! {
    /// Why a partner gets nothing from a run although something is due or owed.
    pub enum LeftOut {
        BelowThreshold = "BELOW_THRESHOLD",
        DetailsMissing = "DETAILS_MISSING",
        DetailsUnverified = "DETAILS_UNVERIFIED",
        PartnerSuspended = "PARTNER_SUSPENDED",
        InDebt = "IN_DEBT",
    }
}

/// An amount of a document, minor units; its VAT is computed once, on the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub net: i64,
    pub vat: i64,
    pub gross: i64,
}

impl Figures {
    fn of(net: i64, vat_bps: BasisPoints) -> Result<Figures, MoneyError> {
        let vat = round_ratio(i128::from(net) * i128::from(vat_bps.get()), 10_000).ok_or(MoneyError::Overflow)?;
        Ok(Figures { net, vat, gross: net.checked_add(vat).ok_or(MoneyError::Overflow)? })
    }
}

/// What a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatementFigures {
    /// What became payable, less clawbacks of what no statement had shown: the self-billed invoice (389).
    pub earned: Figures,
    /// Clawbacks of what an earlier statement had shown, above zero: the self-billed credit note (261).
    pub clawed_back: Option<Figures>,
    pub balance_net: i64,
}

/// The statement of a month: what became payable and clawbacks as amounts above zero.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn statement(
    carried_net: i64,
    earned: &[i64],
    clawbacks_unshown: &[i64],
    clawbacks_shown: &[i64],
    vat_bps: BasisPoints,
) -> Result<StatementFigures, MoneyError> {
    let [became_payable, unshown, shown] = [earned, clawbacks_unshown, clawbacks_shown].map(sum);
    let earned = Figures::of(fitting(became_payable - unshown)?, vat_bps)?;
    let clawed_back = if shown == 0 { None } else { Some(Figures::of(fitting(shown)?, vat_bps)?) };
    let balance_net = fitting(i128::from(carried_net) + i128::from(earned.net) - shown)?;
    Ok(StatementFigures { earned, clawed_back, balance_net })
}

/// What happens to the balance of an enrollment. Minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    pub paid_net: i64,
    pub carried_net: i64,
    /// With VAT: all documents that were not settled.
    pub transfer_gross: i64,
    /// Of the documents that stay unsettled.
    pub open_gross: i64,
}

/// Pays a balance above zero that reaches the threshold, and carries every other one. For a terminated partner the
/// threshold does not count.
///
/// `open_gross`: of all unsettled documents, those of this balance included.
pub fn due(balance_net: i64, open_gross: i64, threshold: i64, terminated: bool) -> Due {
    if balance_net > 0 && (terminated || balance_net >= threshold) {
        Due { paid_net: balance_net, carried_net: 0, transfer_gross: open_gross, open_gross: 0 }
    } else {
        Due { paid_net: 0, carried_net: balance_net, transfer_gross: 0, open_gross }
    }
}

/// How much of one commission a payout may take: what is payable, as far as statements have shown it.
///
/// `stated`: the sum of its steps on statements up to the cut-off, in which what was taken still counts and what is owed
/// counts against it.
pub fn available(payable: i64, stated: i64, taken: i64, owed: i64) -> i64 {
    let shown = i128::from(stated) - i128::from(taken) + i128::from(owed);
    // Between 0 and `payable`, so it fits.
    i64::try_from(shown.min(i128::from(payable)).max(0)).unwrap_or(payable)
}

/// What one payout comes to. Minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PayoutFigures {
    /// Commissions taken out.
    pub payable: i64,
    /// Debts of earlier clawbacks that are netted.
    pub offset: i64,
    /// `payable` less `offset`, above zero.
    pub net: i64,
}

/// Nets the debt first, then looks at the threshold (never for a terminated partner or a credit: `no_threshold`). None
/// where nothing is available and nothing is owed.
///
/// # Errors
/// [`LeftOut::InDebt`] when the debt takes all of it; [`LeftOut::BelowThreshold`].
pub fn payout(
    available_sum: i64,
    debt: i64,
    threshold: i64,
    no_threshold: bool,
) -> Result<Option<PayoutFigures>, LeftOut> {
    let (payable, offset) = (available_sum.max(0), debt.max(0));
    if payable == 0 && offset == 0 {
        return Ok(None);
    }
    let net = payable - offset;
    if net <= 0 {
        return Err(LeftOut::InDebt);
    }
    if net < threshold && !no_threshold {
        return Err(LeftOut::BelowThreshold);
    }
    Ok(Some(PayoutFigures { payable, offset, net }))
}

fn sum(amounts: &[i64]) -> i128 {
    amounts.iter().copied().map(i128::from).sum()
}

fn fitting(amount: i128) -> Result<i64, MoneyError> {
    i64::try_from(amount).map_err(|_| MoneyError::Overflow)
}

#[cfg(test)]
mod tests;
