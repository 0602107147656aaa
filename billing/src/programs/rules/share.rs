//! No rate may give away more than a programme's share: that of level 1 with everything that climbs from it.
//!
//! A level earns its rate of the level below, so a rate p and upline rates u1, u2, … come to p (1 + u1 (1 + u2 (…))) of
//! the base. It is compared exactly. Flat amounts and rounding are cut when the commission is computed.

use std::cmp::Ordering;

use billing_primitives::BasisPoints;

use crate::error::Refusal;
use crate::programs::enrollments::EnrollmentTerms;
use crate::programs::terms::{Overrides, Phase, PlanRule, Reward, SettlementMode, Terms};

const WHOLE: u128 = 10_000;

/// # Errors
/// [`Refusal::Invalid`] with the field of the first rate that gives away too much.
pub fn check_terms(terms: &Terms) -> Result<(), Refusal> {
    for tier in &terms.tiers {
        check_rule(terms, &terms.upline, "tiers", &tier.code, &tier.phases)?;
    }
    check_plan_rules(terms, &terms.upline, &terms.plan_rules)
}

/// What an enrollment earns by agreement, under these terms. What is only counted feeds no upline.
///
/// # Errors
/// As [`check_terms`].
pub fn check_agreed_share(terms: &Terms, (settlement, overrides): (SettlementMode, &Overrides)) -> Result<(), Refusal> {
    let upline = if settlement == SettlementMode::ReportOnly { &[] } else { terms.upline.as_slice() };
    if let Some(phases) = &overrides.phases {
        check_rule(terms, upline, "phases", "the default", phases)?;
    }
    check_plan_rules(terms, upline, &overrides.plan_rules)
}

/// All that is agreed with enrollments of the programme, under terms to be published.
///
/// # Errors
/// [`Refusal::Invalid`] with the first enrollment that would get too much.
pub fn check_agreed(terms: &Terms, agreed: &[EnrollmentTerms]) -> Result<(), Refusal> {
    for row in agreed {
        check_agreed_share(terms, (row.settlement, &row.overrides)).map_err(|refusal| {
            Refusal::invalid("uplineBps", format!("with what {} has by agreement, {refusal}", row.enrollment_id))
        })?;
    }
    Ok(())
}

fn check_plan_rules(terms: &Terms, upline: &[BasisPoints], rules: &[PlanRule]) -> Result<(), Refusal> {
    rules.iter().try_for_each(|rule| check_rule(terms, upline, "planRules", &rule.plan.to_string(), &rule.phases))
}

fn check_rule(
    terms: &Terms,
    upline: &[BasisPoints],
    field: &'static str,
    of: &str,
    phases: &[Phase],
) -> Result<(), Refusal> {
    for phase in phases {
        if let Reward::Percent(rate) = phase.reward
            && exceeds(rate, upline, terms.max_share)
        {
            let (month, most) = (phase.from_month, terms.max_share);
            let with = if upline.is_empty() { "comes" } else { "and its upline come" };
            let reason = format!("{of}: {rate} from month {month} on {with} to more than {most} of the base");
            return Err(Refusal::invalid(field, reason));
        }
    }
    Ok(())
}

/// Whether a rate with all that climbs from it comes to more than `most`.
fn exceeds(rate: BasisPoints, upline: &[BasisPoints], most: BasisPoints) -> bool {
    // Nine levels: at most 10 x 10000^9, which 128 bits hold.
    let (levels, whole) = upline.iter().rev().fold((1, 1), |(levels, whole), up| {
        let whole_above = whole * WHOLE;
        (whole_above + parts(*up) * levels, whole_above)
    });
    let rate = parts(rate);
    // rate x levels / whole > most, without a product that would not fit.
    rate > 0 && compare((levels, whole), (parts(most), rate)) == Ordering::Greater
}

fn parts(rate: BasisPoints) -> u128 {
    u128::from(rate.get().unsigned_abs())
}

/// Compares two fractions by their whole parts, then what is left of them upside down. Denominators are above zero.
fn compare(a: (u128, u128), b: (u128, u128)) -> Ordering {
    (a.0 / a.1).cmp(&(b.0 / b.1)).then_with(|| match (a.0 % a.1, b.0 % b.1) {
        (0, 0) => Ordering::Equal,
        (0, _) => Ordering::Less,
        (_, 0) => Ordering::Greater,
        (left_of_a, left_of_b) => compare((b.1, left_of_b), (a.1, left_of_a)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bps(rate: i64) -> BasisPoints {
        BasisPoints::new(rate).unwrap()
    }

    #[test]
    fn all_levels_together_are_compared_exactly() {
        for (rate, upline, most, more) in [
            (0, vec![10_000], 0, false),
            (1, vec![], 0, true),
            (3_000, vec![], 3_000, false),
            (3_001, vec![], 3_000, true),
            // 20 % (1 + 10 % (1 + 50 %)) = 23 %
            (2_000, vec![1_000, 5_000], 2_300, false),
            (2_000, vec![1_000, 5_000], 2_299, true),
            (2_000, vec![1_000, 5_001], 2_300, true),
            (1_000, vec![10_000; 9], 10_000, false),
            (1_001, vec![10_000; 9], 10_000, true),
            // 90 % of 90 % of … : 10 % x (1 - 0.9^10) / (1 - 0.9) = 65.13215599 %
            (1_000, vec![9_000; 9], 6_513, true),
            (1_000, vec![9_000; 9], 6_514, false),
            (10_000, vec![1], 10_000, true),
            (9_999, vec![1], 10_000, false),
        ] {
            let upline: Vec<BasisPoints> = upline.into_iter().map(bps).collect();
            assert_eq!(exceeds(bps(rate), &upline, bps(most)), more, "{rate} {upline:?} {most}");
        }
    }
}
