//! Which version, terms and tier hold on a day, and when a version may begin. Pure.

mod application;
mod check;
mod difference;
mod share;

use billing_primitives::{Date, Month};

pub use application::application;
pub use check::{check_overrides, check_terms};
pub use difference::{Change, difference};
pub use share::{check_agreed, check_agreed_share};

use super::enrollments::{Enrollment, EnrollmentTerms};
use super::terms::{ProgramTier, Terms};
use super::versions::ProgramVersion;
use crate::error::Refusal;

/// A version begins behind every published one and, but for the first, not in the past.
///
/// # Errors
/// [`Refusal::DateBefore`].
pub fn check_effective_from(from: Date, today: Date, published: &[ProgramVersion]) -> Result<(), Refusal> {
    let Some(last) = published.iter().filter_map(|version| version.effective_from).max() else { return Ok(()) };
    not_before("effectiveFrom", from, today.max(last.next()))
}

/// # Errors
/// [`Refusal::DateBefore`].
pub fn not_before(field: &'static str, date: Date, earliest: Date) -> Result<(), Refusal> {
    if date < earliest { Err(Refusal::DateBefore { field, date, earliest }) } else { Ok(()) }
}

/// The version that holds on `day` for a customer attributed on `attributed_on`. `published` in the order of days.
pub fn version_for(published: &[ProgramVersion], day: Date, attributed_on: Date) -> Option<&ProgramVersion> {
    let begun = published.iter().rev().filter_map(|version| Some((version, version.effective_from?)));
    begun
        .filter(|(_, from)| *from <= day)
        .find(|(version, from)| !version.new_customers_only || attributed_on >= *from)
        .map(|(version, _)| version)
}

/// The version that holds on `day` for a customer attributed then: the one by which tiers are evaluated.
pub fn version_on(published: &[ProgramVersion], day: Date) -> Option<&ProgramVersion> {
    version_for(published, day, day)
}

/// The versions that hold for some customer on `day` or later: those from then on, the one in force, and, as long as
/// that is for new customers only, the one before.
pub fn applying(published: &[ProgramVersion], day: Date) -> &[ProgramVersion] {
    let begun = published.iter().take_while(|version| version.effective_from.is_some_and(|from| from <= day)).count();
    let mut first = begun.saturating_sub(1);
    while first > 0 && published.get(first).is_some_and(|version| version.new_customers_only) {
        first -= 1;
    }
    published.get(first..).unwrap_or_default()
}

/// The terms of an enrollment on `day`; of one day the row written last holds. `rows` are of one enrollment, by day and
/// then in the order of writing.
pub fn in_force(rows: &[EnrollmentTerms], day: Date) -> Option<&EnrollmentTerms> {
    rows.iter().rev().find(|row| row.effective_from <= day)
}

/// Whether an enrollment earns on `day`.
pub fn is_active(enrollment: &Enrollment, day: Date) -> bool {
    enrollment.enrolled_from <= day && enrollment.ended_from.is_none_or(|end| day < end)
}

/// The tier that converted customers and net revenue (minor units) reach: the last one whose requirements are both met.
pub fn tier_for(terms: &Terms, converted_customers: i64, net_revenue_minor: i64) -> Option<&ProgramTier> {
    terms
        .tiers
        .iter()
        .rev()
        .find(|tier| tier.converted_customers <= converted_customers && tier.net_revenue_minor <= net_revenue_minor)
        // Net revenue may lie below zero; the first tier requires nothing.
        .or_else(|| terms.tiers.first())
}

/// The tier of a stored evaluation under these terms; without one, or when they have no tier of its code, the lowest.
pub fn tier_named<'a>(terms: &'a Terms, code: Option<&str>) -> Option<&'a ProgramTier> {
    terms.tiers.iter().find(|tier| Some(tier.code.as_str()) == code).or_else(|| terms.tiers.first())
}

/// The tier above the one of this code.
pub fn next_tier<'a>(terms: &'a Terms, code: &str) -> Option<&'a ProgramTier> {
    let place = terms.tiers.iter().position(|tier| tier.code == code)?;
    terms.tiers.get(place.saturating_add(1))
}

/// The first day of the twelve months before `month`.
pub fn revenue_since(month: Month) -> Date {
    (0..12).fold(month, |month, _| month.previous()).first()
}

#[cfg(test)]
mod tests;
