//! What the commissions of one source come to, level by level, with the reasons (golden rules R1, R5, R6, R7).
//!
//! A target is a function of the facts known and the rules in force, never of what was booked before.

use billing_primitives::{BasisPoints, Currency, EnrollmentId, MoneyError, PartnerId};
use serde::Serialize;

use super::clawback::{Share, reversed_target};
use super::levels;
use super::reward::{Earned, SourceLine, earned};
use crate::programs::terms::{Overrides, SettlementMode, Terms};
use crate::trace::{exact, json};

/// What earns: a paid invoice, or a conversion (which has one line that is the base).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    pub currency: Currency,
    /// Minor units, without VAT; may be below zero.
    pub base: i64,
    /// Only those that count towards the base.
    pub lines: &'a [SourceLine],
    /// See [`super::phase::month_no`].
    pub month_no: u32,
    /// How much of the base is gone.
    pub reversed: Share,
}

/// A partner of the chain on the day the source was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earner<'a> {
    pub enrollment: EnrollmentId,
    pub partner: PartnerId,
    pub settlement: SettlementMode,
    /// Its code. As the overrides, it counts for level 1 only.
    pub tier: &'a str,
    pub overrides: &'a Overrides,
}

/// The rules in force for a source, and who earns by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deal<'a> {
    /// Of level 1's version.
    pub terms: &'a Terms,
    /// Level 1 first, up to the first parent without an active enrollment.
    pub chain: &'a [Earner<'a>],
}

/// What one level's commission should come to. Minor units of the source's currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub level: i32,
    pub enrollment: EnrollmentId,
    pub partner: PartnerId,
    pub settlement: SettlementMode,
    /// Below zero where the base is.
    pub earned: i64,
    /// Of what was earned; never above it.
    pub reversed: i64,
    /// JSON.
    pub trace: String,
}

/// What every level earns on a source: one target for each that has a rate, also when it comes to 0.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn targets(source: &Source<'_>, deal: &Deal<'_>) -> Result<Vec<Target>, MoneyError> {
    let Some(first) = deal.chain.first() else { return Ok(Vec::new()) };
    let height = levels::height(deal.chain, &deal.terms.upline);
    let rates = &deal.terms.upline[..height - 1];
    let first = earned(source, deal.terms, first)?;
    let rounded = levels::climb(first.amount, rates)?;
    let limit = levels::limit(source.base, deal.terms.max_share)?;
    let amounts = limit.map_or_else(|| rounded.clone(), |limit| levels::cut(rounded.clone(), limit));

    let cap = limit.map(|limit| Cap::of(source.base, deal.terms.max_share, limit, &rounded)).transpose()?;

    let mut targets = Vec::with_capacity(height);
    for (index, (earner, earned)) in deal.chain.iter().zip(amounts).enumerate() {
        let basis = match index.checked_sub(1) {
            None => Basis::Source { month_no: source.month_no, tier: earner.tier, reward: &first },
            Some(below) => Basis::below(rounded[below], rates[below]),
        };
        let reversed = reversed_target(earned, source.reversed);
        let level = i32::try_from(index + 1).map_err(|_| MoneyError::Overflow)?;
        let explained = Explained {
            base: source.base,
            currency: source.currency,
            level,
            settlement: earner.settlement,
            basis,
            rounded: rounded[index],
            cap: cap.as_ref(),
            earned,
            reversal: Reversal::of(earned, source.reversed, reversed),
            rules: if index == 0 { &["R1", "R5", "R6", "R7"] } else { &["R1", "R6", "R7"] },
        };
        let (enrollment, partner, settlement) = (earner.enrollment, earner.partner, earner.settlement);
        targets.push(Target { level, enrollment, partner, settlement, earned, reversed, trace: json(&explained) });
    }
    Ok(targets)
}

/// What a target's trace says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained<'a> {
    base: i64,
    currency: Currency,
    level: i32,
    settlement: SettlementMode,
    #[serde(flatten)]
    basis: Basis<'a>,
    /// Before the cap.
    rounded: i64,
    /// None for a base below zero.
    cap: Option<&'a Cap>,
    earned: i64,
    /// None while nothing of the base is gone.
    reversal: Option<Reversal>,
    rules: &'static [&'static str],
}

/// What a level earns on.
#[derive(Serialize)]
#[serde(untagged)]
enum Basis<'a> {
    #[serde(rename_all = "camelCase")]
    Source { month_no: u32, tier: &'a str, reward: &'a Earned<'a> },
    #[serde(rename_all = "camelCase")]
    Below { level_below: i64, bps: BasisPoints, exact: String },
}

impl Basis<'_> {
    fn below(level_below: i64, bps: BasisPoints) -> Self {
        let exact = exact(i128::from(level_below) * i128::from(bps.get()), 10_000);
        Basis::Below { level_below, bps, exact }
    }
}

/// What all levels together may earn.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cap {
    max_share_bps: BasisPoints,
    exact: String,
    limit: i64,
    /// Of all levels before the cap.
    total: i64,
}

impl Cap {
    fn of(base: i64, max_share: BasisPoints, limit: i64, rounded: &[i64]) -> Result<Cap, MoneyError> {
        let exact = exact(i128::from(base) * i128::from(max_share.get()), 10_000);
        let total = rounded.iter().try_fold(0_i64, |sum, amount| sum.checked_add(*amount));
        Ok(Cap { max_share_bps: max_share, exact, limit, total: total.ok_or(MoneyError::Overflow)? })
    }
}

/// How much of a commission goes with its base.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reversal {
    #[serde(flatten)]
    gone: Share,
    /// None where the whole base is gone, or nothing was earned: then no fraction decides.
    exact: Option<String>,
    reversed: i64,
}

impl Reversal {
    fn of(earned: i64, gone: Share, reversed: i64) -> Option<Reversal> {
        let in_part = earned > 0 && gone.part < gone.whole;
        let exact = in_part.then(|| exact(i128::from(earned) * i128::from(gone.part), i128::from(gone.whole)));
        (gone.part > 0 && gone.whole > 0).then_some(Reversal { gone, exact, reversed })
    }
}

#[cfg(test)]
mod tests;
