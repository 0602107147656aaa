//! What level 1 earns on a source (golden rule R5): which rule holds for each line, and what the lines come to together.
//!
//! Percents are rounded once per source, not per line; a flat amount is earned once per subscription and period; and
//! together they never exceed a base that is not below zero.

use std::collections::BTreeMap;

use billing_primitives::{BasisPoints, Date, MoneyError, PlanId, round_ratio};
use serde::Serialize;

use super::phase::phase;
use super::target::{Earner, Source};
use crate::programs::terms::{Phase, PlanRule, Reward, Rule, Terms};
use crate::trace::exact;

/// A line of a source that counts towards its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// None: sold as something no plan names; it earns by the default rule.
    pub plan: Option<PlanId>,
    /// Minor units, without VAT; may be negative.
    pub net: i64,
    pub subscription: Option<String>,
    pub proration: bool,
    pub period_start: Option<Date>,
    /// An earlier paid invoice of this subscription and period exists.
    pub flat_taken: bool,
}

/// Where the rule of a line comes from, in the order in which they win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RuleOrigin {
    EnrollmentPlan,
    EnrollmentDefault,
    ProgramPlan,
    Tier,
}

/// Whether a line earned its flat amount, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FlatOutcome {
    Earned,
    /// Only a line of a whole period earns one.
    Proration,
    /// An earlier paid invoice had the subscription's period.
    TakenBefore,
    /// Another line of the subscription's period earned as much or more.
    OncePerPeriod,
    /// The base is below zero.
    NegativeBase,
}

/// What one line earns by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RatedLine<'a> {
    pub plan: Option<PlanId>,
    pub net: i64,
    pub subscription: Option<&'a str>,
    pub proration: bool,
    pub period_start: Option<Date>,
    pub rule: RuleOrigin,
    /// Of a rule of a tier: the tier that holds, which is the lowest one when the programme has no such tier.
    pub tier: Option<&'a str>,
    pub phase: Phase,
    /// Of a flat amount.
    pub flat: Option<FlatOutcome>,
}

/// What level 1 earns, with everything that led there. Minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Earned<'a> {
    pub lines: Vec<RatedLine<'a>>,
    /// Before it was rounded to `percent`.
    pub exact_percent: String,
    pub percent: i64,
    pub flat: i64,
    /// Together, at most a base that is not below zero.
    pub amount: i64,
}

/// What level 1 earns on a source.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn earned<'a>(source: &Source<'a>, terms: &'a Terms, earner: &Earner<'a>) -> Result<Earned<'a>, MoneyError> {
    let mut lines: Vec<RatedLine<'a>> =
        source.lines.iter().map(|line| rated(line, source.month_no, terms, earner)).collect();
    let (numerator, denominator) = percent(source.base, &lines)?;
    let percent = round_ratio(numerator, denominator).ok_or(MoneyError::Overflow)?;
    let flats = flats(source, &mut lines);
    let together = i128::from(percent) + flats;
    let amount = if source.base < 0 { together } else { together.min(i128::from(source.base)) };
    Ok(Earned {
        lines,
        exact_percent: exact(numerator, denominator),
        percent,
        flat: i64::try_from(flats).map_err(|_| MoneyError::Overflow)?,
        amount: i64::try_from(amount).map_err(|_| MoneyError::Overflow)?,
    })
}

fn rated<'a>(line: &'a SourceLine, month_no: u32, terms: &'a Terms, earner: &Earner<'a>) -> RatedLine<'a> {
    let (rule, tier, phases) = rule_of(line.plan, terms, earner);
    RatedLine {
        plan: line.plan,
        net: line.net,
        subscription: line.subscription.as_deref(),
        proration: line.proration,
        period_start: line.period_start,
        rule,
        tier,
        phase: phase(phases, month_no),
        flat: None,
    }
}

type RuleInForce<'a> = (RuleOrigin, Option<&'a str>, &'a [Phase]);

fn rule_of<'a>(plan: Option<PlanId>, terms: &'a Terms, earner: &Earner<'a>) -> RuleInForce<'a> {
    let of_plan = |rules: &'a [PlanRule]| rules.iter().find(|rule| Some(rule.plan) == plan).map(|rule| &rule.phases);
    let overrides = earner.overrides;
    let candidates: [(RuleOrigin, Option<&'a Rule>); 3] = [
        (RuleOrigin::EnrollmentPlan, of_plan(&overrides.plan_rules)),
        (RuleOrigin::EnrollmentDefault, overrides.phases.as_ref()),
        (RuleOrigin::ProgramPlan, of_plan(&terms.plan_rules)),
    ];
    let first = candidates.into_iter().find_map(|(origin, rule)| Some((origin, None, rule?.as_slice())));
    first.unwrap_or_else(|| {
        let named = terms.tiers.iter().find(|tier| tier.code == earner.tier);
        // A tier that the version does not know (any more) earns as the lowest one.
        let tier = named.or(terms.tiers.first());
        let phases = tier.map(|tier| tier.phases.as_slice()).unwrap_or_default();
        (RuleOrigin::Tier, tier.map(|tier| tier.code.as_str()), phases)
    })
}

/// `base × Σ(net × bps) / (S × 10000)` over the percent lines as a fraction, where S is the sum of all nets; 0 when S is 0.
fn percent(base: i64, lines: &[RatedLine<'_>]) -> Result<(i128, i128), MoneyError> {
    let rate = |line: &RatedLine<'_>| match line.phase.reward {
        Reward::Percent(bps) => bps,
        Reward::Flat(_) => BasisPoints::ZERO,
    };
    let sum: i128 = lines.iter().map(|line| i128::from(line.net)).sum();
    let weighted: i128 = lines.iter().map(|line| i128::from(line.net) * i128::from(rate(line).get())).sum();
    if sum == 0 {
        return Ok((0, 10_000));
    }
    // Reduced, so that lines of one rate read as base × bps / 10000, and with a denominator above zero.
    let divisor = gcd(weighted, sum) * sum.signum();
    let numerator = i128::from(base).checked_mul(weighted / divisor);
    let denominator = (sum / divisor).checked_mul(10_000);
    numerator.zip(denominator).ok_or(MoneyError::Overflow)
}

/// The greatest common divisor of two numbers that are not both 0.
fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.abs()
}

/// The sum of the flat amounts, and on each of their lines whether it counts.
///
/// Where several lines of one subscription and period have one, the highest counts, so their order does not matter.
fn flats(source: &Source<'_>, lines: &mut [RatedLine<'_>]) -> i128 {
    let mut highest = BTreeMap::new();
    for (index, (line, of)) in lines.iter_mut().zip(source.lines).enumerate() {
        let Reward::Flat(amount) = line.phase.reward else { continue };
        if source.base < 0 {
            line.flat = Some(FlatOutcome::NegativeBase);
        } else if of.proration {
            line.flat = Some(FlatOutcome::Proration);
        } else if taken(source.lines, of) {
            line.flat = Some(FlatOutcome::TakenBefore);
        } else {
            line.flat = Some(FlatOutcome::OncePerPeriod);
            let best = highest.entry((&of.subscription, of.period_start)).or_insert((amount, index));
            if amount > best.0 {
                *best = (amount, index);
            }
        }
    }
    for (_, index) in highest.values() {
        lines[*index].flat = Some(FlatOutcome::Earned);
    }
    highest.values().map(|(amount, _)| i128::from(*amount)).sum()
}

fn taken(lines: &[SourceLine], of: &SourceLine) -> bool {
    let same = |line: &&SourceLine| line.subscription == of.subscription && line.period_start == of.period_start;
    lines.iter().filter(same).any(|line| line.flat_taken)
}
