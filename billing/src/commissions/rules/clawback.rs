//! How much of a commission is taken back when money goes back (golden rule R7).
//!
//! The share is cumulative, so the order and size of partial refunds do not matter, and what is gone whole takes back
//! exactly what was earned.

use billing_primitives::round_ratio;
use serde::Serialize;

/// How much of a base is gone, minor units: `part` of `whole`. A `whole` of 0 says that nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    pub part: i64,
    pub whole: i64,
}

/// What has to be reversed of `earned` in total: `round(earned × part / whole)`, from 0 to `earned`.
///
/// Nothing of what was earned below zero: that is a taking back itself.
pub fn reversed_target(earned: i64, gone: Share) -> i64 {
    if earned <= 0 || gone.whole <= 0 || gone.part <= 0 {
        return 0;
    }
    if gone.part >= gone.whole {
        return earned;
    }
    // A part of `earned` always fits.
    round_ratio(i128::from(earned) * i128::from(gone.part), i128::from(gone.whole)).unwrap_or(earned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(earned: i64, part: i64, whole: i64) -> i64 {
        reversed_target(earned, Share { part, whole })
    }

    #[test]
    fn the_share_of_the_base_is_the_share_of_the_commission() {
        for (earned, part, whole, expected) in [
            (2469, 5000, 12_345, 1000),
            (2000, 6666, 9999, 1333),
            (333, 5000, 10_000, 167),
            (1000, 4999, 4999, 1000),
            (1000, 5000, 4999, 1000),
            (1000, 0, 4999, 0),
            (1000, -1, 4999, 0),
            (1000, 100, 0, 0),
            (1000, 100, -200, 0),
            (0, 100, 200, 0),
            (-500, 100, 200, 0),
            (i64::MAX, i64::MAX - 1, i64::MAX, i64::MAX - 1),
        ] {
            assert_eq!(target(earned, part, whole), expected, "{earned} x {part} / {whole}");
        }
    }

    proptest! {
        #[test]
        fn it_grows_with_what_is_gone_and_never_beyond_what_was_earned(
            earned in -1_000..1_000_000_i64, whole in 0..1_000_000_i64, part in 0..1_000_000_i64, more in 0..1_000_i64,
        ) {
            let (some, further) = (target(earned, part, whole), target(earned, part + more, whole));
            prop_assert!(0 <= some && some <= further && further <= earned.max(0));
        }
    }
}
