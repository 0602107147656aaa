//! Where a commission stands, in one word (product rule 3.7). Pure: derived from its amounts, never stored.

use billing_primitives::text_enum;

use super::buckets::{Buckets, Standing};

text_enum! {
    /// Where a commission stands. Where its parts stand in different places, the one that is least far counts.
    pub enum CommissionState {
        /// Waits for its day, for an open dispute, or for somebody.
        Held = "HELD",
        /// Ripe: the next statement and run take it. What was earned below zero is due the other way.
        Payable = "PAYABLE",
        /// Taken by a payout that nobody has seen paid.
        InPayout = "IN_PAYOUT",
        /// Paid out, or credited to an invoice.
        Paid = "PAID",
        /// Only reported, never payable.
        Counted = "COUNTED",
        /// Nothing of it is left.
        Reversed = "REVERSED",
    }
}

/// The state of a commission; `in_payout` is how much of what is taken lies in payouts that are not PAID.
pub fn state(standing: Standing, now: Buckets, in_payout: i64) -> CommissionState {
    if standing.earned == standing.reversed {
        CommissionState::Reversed
    } else if now.held > 0 {
        CommissionState::Held
    } else if now.payable > 0 {
        CommissionState::Payable
    } else if now.counted != 0 {
        CommissionState::Counted
    } else if in_payout > 0 {
        CommissionState::InPayout
    } else if now.taken > 0 {
        CommissionState::Paid
    } else {
        CommissionState::Payable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_least_far_counts() {
        let none = Buckets::default();
        for (earned, reversed, now, in_payout, expected) in [
            (100, 0, Buckets { held: 100, ..none }, 0, CommissionState::Held),
            (100, 0, Buckets { payable: 100, ..none }, 0, CommissionState::Payable),
            (100, 0, Buckets { taken: 100, ..none }, 100, CommissionState::InPayout),
            (100, 0, Buckets { taken: 100, ..none }, 0, CommissionState::Paid),
            (100, 0, Buckets { counted: 100, ..none }, 0, CommissionState::Counted),
            (100, 100, none, 0, CommissionState::Reversed),
            // Taken back after it was paid.
            (100, 100, Buckets { taken: 100, owed: 100, ..none }, 0, CommissionState::Reversed),
            (100, 40, Buckets { taken: 100, owed: 40, ..none }, 0, CommissionState::Paid),
            // Restored after a part was paid.
            (100, 0, Buckets { held: 40, taken: 60, ..none }, 60, CommissionState::Held),
            (100, 0, Buckets { taken: 100, ..none }, 40, CommissionState::InPayout),
            // Moved to somebody else.
            (0, 0, none, 0, CommissionState::Reversed),
            (-100, 0, Buckets { owed: 100, ..none }, 0, CommissionState::Payable),
            (-100, 0, Buckets { counted: -100, ..none }, 0, CommissionState::Counted),
        ] {
            assert_eq!(state(Standing { earned, reversed }, now, in_payout), expected, "{now:?}");
        }
    }
}
