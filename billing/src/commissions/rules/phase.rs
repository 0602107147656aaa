//! Which month of a customer a period belongs to, and what a rule says for it (golden rule R5).
//!
//! Months are counted from the customer's anchor, the start of its first paid period.

use billing_primitives::{BasisPoints, Date};

use crate::programs::terms::{Phase, Reward};

/// The largest n with `anchor + (n - 1) months <= period_start`, where adding months stops at the last day of the month;
/// 1 for a period that begins before the anchor.
pub fn month_no(anchor: Date, period_start: Date) -> u32 {
    let month = period_start.month();
    let touched = anchor.month().through(month).count();
    let begins_on = anchor.day().min(month.days());
    let begun = if period_start.day() < begins_on { touched.saturating_sub(1) } else { touched };
    u32::try_from(begun.max(1)).unwrap_or(u32::MAX)
}

/// The last phase that has begun by the month. A rule without phases earns nothing.
pub fn phase(rule: &[Phase], month_no: u32) -> Phase {
    let begun = rule.iter().rfind(|phase| phase.from_month <= month_no);
    let nothing = Phase { from_month: 1, reward: Reward::Percent(BasisPoints::ZERO) };
    begun.or(rule.first()).copied().unwrap_or(nothing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn months_are_counted_from_the_anchor_and_stop_at_the_months_end() {
        for (anchor, period_start, month) in [
            ("2025-01-31", "2025-01-31", 1),
            ("2025-01-31", "2025-02-27", 1),
            ("2025-01-31", "2025-02-28", 2),
            ("2025-01-31", "2025-03-30", 2),
            ("2025-01-31", "2025-03-31", 3),
            ("2028-01-30", "2028-02-28", 1),
            ("2028-01-30", "2028-02-29", 2),
            ("2024-02-29", "2025-02-28", 13),
            ("2025-03-15", "2026-03-14", 12),
            ("2025-03-15", "2026-03-15", 13),
            ("2025-12-31", "2026-01-31", 2),
            ("2025-03-15", "2025-03-14", 1),
            ("2025-03-15", "2024-12-31", 1),
        ] {
            assert_eq!(month_no(date(anchor), date(period_start)), month, "{anchor} {period_start}");
        }
    }

    #[test]
    fn the_last_phase_begun_holds() {
        let percent = |from_month, bps| Phase { from_month, reward: Reward::Percent(BasisPoints::new(bps).unwrap()) };
        let rule = vec![percent(1, 2000), percent(13, 1000), percent(25, 0)];
        for (month, from_month) in [(1, 1), (12, 1), (13, 13), (24, 13), (25, 25), (600, 25)] {
            assert_eq!(phase(&rule, month).from_month, from_month, "{month}");
        }
        assert_eq!(phase(&[], 7).reward, Reward::Percent(BasisPoints::ZERO));
    }

    proptest! {
        #[test]
        fn a_later_period_is_never_in_an_earlier_month(
            anchor in 0..20_000_i32, first in 0..10_000_i32, more in 0..400_i32,
        ) {
            let anchor = date("1990-01-01").plus_days(anchor);
            let [first, second] = [first, first + more].map(|days| month_no(anchor, anchor.plus_days(days)));
            prop_assert!(first <= second);
            // A month has 28 to 31 days.
            prop_assert!(i64::from(second - first) <= i64::from(more) / 28 + 1);
        }
    }
}
