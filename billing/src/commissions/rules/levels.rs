//! What the levels above the first earn, and how much all of them together may (golden rule R6).
//!
//! Each level earns on the rounded commission of the level below. Only after that what exceeds the cap is cut, from the
//! highest level down.

use billing_primitives::{BasisPoints, MoneyError, round_ratio};

use super::target::Earner;
use crate::programs::terms::SettlementMode;

/// How many earners from level 1 on earn: as many as the programme has rates for, and nobody above one whose commission is
/// only reported.
pub fn height(chain: &[Earner<'_>], upline: &[BasisPoints]) -> usize {
    let reported = chain.iter().position(|earner| earner.settlement == SettlementMode::ReportOnly);
    let fed = reported.map_or(chain.len(), |index| index + 1);
    fed.min(upline.len() + 1)
}

/// What each level earns, `first` itself included: level n+1 `round(commission of level n × bps / 10000)`.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn climb(first: i64, rates: &[BasisPoints]) -> Result<Vec<i64>, MoneyError> {
    let mut amounts = vec![first];
    let mut below = first;
    for rate in rates {
        below = round_ratio(i128::from(below) * i128::from(rate.get()), 10_000).ok_or(MoneyError::Overflow)?;
        amounts.push(below);
    }
    Ok(amounts)
}

/// The most that all levels together may earn: `round(base × max_share / 10000)`; nothing limits them below zero.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn limit(base: i64, max_share: BasisPoints) -> Result<Option<i64>, MoneyError> {
    if base < 0 {
        return Ok(None);
    }
    let limit = round_ratio(i128::from(base) * i128::from(max_share.get()), 10_000);
    limit.map(Some).ok_or(MoneyError::Overflow)
}

/// Takes what exceeds the limit off the highest level first, none below zero.
pub fn cut(mut amounts: Vec<i64>, limit: i64) -> Vec<i64> {
    let sum: i128 = amounts.iter().copied().map(i128::from).sum();
    let mut excess = (sum - i128::from(limit)).max(0);
    for amount in amounts.iter_mut().rev() {
        let off = excess.min(i128::from(*amount).max(0));
        excess -= off;
        // At most the amount itself, so it fits.
        *amount -= i64::try_from(off).unwrap_or(*amount);
    }
    amounts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates(bps: &[i64]) -> Vec<BasisPoints> {
        bps.iter().map(|bps| BasisPoints::new(*bps).unwrap()).collect()
    }

    #[test]
    fn each_level_earns_on_the_rounded_commission_below() {
        for (first, upline, expected) in [
            (2469, &[1000][..], &[2469, 247][..]),
            (45, &[5000, 5000], &[45, 23, 12]),
            (1, &[1000, 1000], &[1, 0, 0]),
            (0, &[1000], &[0, 0]),
            (1000, &[], &[1000]),
            // A negative commission is the mirror of a positive one.
            (-45, &[5000, 5000], &[-45, -23, -12]),
        ] {
            assert_eq!(climb(first, &rates(upline)).unwrap(), expected, "{first} {upline:?}");
        }
    }

    #[test]
    fn what_exceeds_the_cap_is_cut_from_the_highest_level_down() {
        for (amounts, limit, expected) in [
            (&[100, 50, 25][..], 175, &[100, 50, 25][..]),
            (&[100, 50, 25], 170, &[100, 50, 20]),
            (&[100, 50, 25], 120, &[100, 20, 0]),
            (&[100, 50, 25], 60, &[60, 0, 0]),
            (&[100, 50, 25], 0, &[0, 0, 0]),
            (&[-100, -50], 0, &[-100, -50]),
        ] {
            assert_eq!(cut(amounts.to_vec(), limit), expected, "{amounts:?} {limit}");
        }
        let share = BasisPoints::new(2500).unwrap();
        assert_eq!([limit(10, share), limit(0, share), limit(-10, share)], [Ok(Some(3)), Ok(Some(0)), Ok(None)]);
    }

    proptest! {
        #[test]
        fn all_levels_together_keep_the_cap(
            base in 0..1_000_000_i64, first in 0..1_000_000_i64,
            upline in prop::collection::vec(0..10_001_i64, 0..9), share in 0..10_001_i64,
        ) {
            let rounded = climb(first, &rates(&upline)).unwrap();
            let limit = limit(base, BasisPoints::new(share).unwrap()).unwrap().unwrap();
            let amounts = cut(rounded.clone(), limit);
            prop_assert_eq!(amounts.iter().sum::<i64>(), rounded.iter().sum::<i64>().min(limit));
            // Nobody loses anything while somebody above still has something.
            for level in 0..amounts.len() {
                prop_assert!(0 <= amounts[level] && amounts[level] <= rounded[level]);
                if amounts[level] < rounded[level] {
                    prop_assert!(amounts[level + 1..].iter().all(|above| *above == 0));
                }
            }
        }
    }
}
