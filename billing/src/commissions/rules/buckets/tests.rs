//! Tables of single steps, and histories of facts, ripening and payouts in any order.

use proptest::prelude::*;

use super::*;
use crate::commissions::rules::clawback::{Share, reversed_target};

const NOTHING: Buckets = Buckets { counted: 0, held: 0, payable: 0, taken: 0, owed: 0 };

fn standing(earned: i64, reversed: i64) -> Standing {
    Standing { earned, reversed }
}

fn buckets(counted: i64, held: i64, payable: i64, taken: i64, owed: i64) -> Buckets {
    Buckets { counted, held, payable, taken, owed }
}

/// Kinds, amounts and changes of what is booked from a standing to another.
fn booked(
    now: Buckets,
    from: (i64, i64),
    to: (i64, i64),
    settlement: SettlementMode,
) -> Vec<(EntryKind, i64, Buckets)> {
    let steps = book(now, standing(from.0, from.1), standing(to.0, to.1), settlement).unwrap();
    steps.iter().map(|step| (step.kind, step.amount, step.change)).collect()
}

#[test]
fn what_is_earned_is_held_and_what_is_reversed_is_taken_where_it_stands() {
    use EntryKind::{Accrual, Clawback, Restoration};
    for (now, from, to, expected) in [
        (NOTHING, (0, 0), (100, 0), vec![(Accrual, 100, buckets(0, 100, 0, 0, 0))]),
        (NOTHING, (0, 0), (0, 0), vec![]),
        // The negative commission of a negative base is a debt at once.
        (NOTHING, (0, 0), (-40, 0), vec![(Accrual, -40, buckets(0, 0, 0, 0, 40))]),
        // First held, then payable, then the debt.
        (buckets(0, 100, 0, 0, 0), (100, 0), (100, 30), vec![(Clawback, -30, buckets(0, -30, 0, 0, 0))]),
        (buckets(0, 20, 30, 50, 0), (100, 0), (100, 25), vec![(Clawback, -25, buckets(0, -20, -5, 0, 0))]),
        (buckets(0, 20, 30, 50, 0), (100, 0), (100, 70), vec![(Clawback, -70, buckets(0, -20, -30, 0, 20))]),
        (buckets(0, 0, 0, 100, 0), (100, 0), (100, 100), vec![(Clawback, -100, buckets(0, 0, 0, 0, 100))]),
        // A restored amount ripens again; the debt may have been netted already and stays.
        (buckets(0, 0, 0, 100, 60), (100, 60), (100, 20), vec![(Restoration, 40, buckets(0, 40, 0, 0, 0))]),
        // A target that fell takes back like a clawback.
        (buckets(0, 0, 10, 90, 0), (100, 0), (70, 0), vec![(Accrual, -30, buckets(0, 0, -10, 0, 20))]),
    ] {
        assert_eq!(booked(now, from, to, SettlementMode::Payout), expected, "{now:?} {from:?} {to:?}");
        assert_eq!(booked(now, from, to, SettlementMode::Credit), expected, "{now:?} {from:?} {to:?}");
    }
}

#[test]
fn gains_come_before_losses_so_that_no_debt_arises_that_is_none() {
    use EntryKind::{Accrual, Clawback, Restoration};
    let first_seen_refunded = booked(NOTHING, (0, 0), (100, 100), SettlementMode::Payout);
    let expected = vec![(Accrual, 100, buckets(0, 100, 0, 0, 0)), (Clawback, -100, buckets(0, -100, 0, 0, 0))];
    assert_eq!(first_seen_refunded, expected);
    // Paid, refunded, and now both the refund and a part of what was earned turn out to be wrong.
    let wrong = booked(buckets(0, 0, 0, 100, 100), (100, 100), (60, 0), SettlementMode::Payout);
    let expected = vec![(Restoration, 100, buckets(0, 100, 0, 0, 0)), (Accrual, -40, buckets(0, -40, 0, 0, 0))];
    assert_eq!(wrong, expected);
}

#[test]
fn what_is_only_reported_is_counted_and_never_owed() {
    use EntryKind::{Accrual, Clawback, Restoration};
    for (now, from, to, expected) in [
        (NOTHING, (0, 0), (100, 0), vec![(Accrual, 100, buckets(100, 0, 0, 0, 0))]),
        (NOTHING, (0, 0), (-40, 0), vec![(Accrual, -40, buckets(-40, 0, 0, 0, 0))]),
        (buckets(100, 0, 0, 0, 0), (100, 0), (100, 60), vec![(Clawback, -60, buckets(-60, 0, 0, 0, 0))]),
        (buckets(40, 0, 0, 0, 0), (100, 60), (100, 0), vec![(Restoration, 60, buckets(60, 0, 0, 0, 0))]),
    ] {
        assert_eq!(booked(now, from, to, SettlementMode::ReportOnly), expected, "{now:?} {from:?} {to:?}");
    }
}

#[test]
fn a_settlement_that_changed_leaves_what_stands_where_it_is() {
    use EntryKind::{Accrual, Clawback};
    // What was paid out before is owed, not counted below zero.
    let paid = buckets(0, 0, 0, 100, 0);
    let expected = vec![(Clawback, -100, buckets(0, 0, 0, 0, 100))];
    assert_eq!(booked(paid, (100, 0), (100, 100), SettlementMode::ReportOnly), expected);
    // What was counted before is taken back there, and only the rest is owed.
    let counted_and_paid = buckets(100, 0, 0, 20, 0);
    let expected = vec![(Clawback, -120, buckets(-100, 0, 0, 0, 20))];
    assert_eq!(booked(counted_and_paid, (120, 0), (120, 120), SettlementMode::Payout), expected);
    let counted_below_zero = buckets(-40, 0, 0, 0, 0);
    let expected = vec![(Accrual, 100, buckets(40, 60, 0, 0, 0))];
    assert_eq!(booked(counted_below_zero, (-40, 0), (60, 0), SettlementMode::Payout), expected);
}

#[test]
fn nothing_moves_that_is_not_there() {
    let now = buckets(0, 30, 20, 10, 0);
    assert_eq!(mature(now).map(|step| step.change), Some(buckets(0, -30, 30, 0, 0)));
    assert_eq!(mature(buckets(5, 0, 20, 10, 0)), None);
    let taken = take(now, 15, EntryKind::Credit).map(|step| (step.kind, step.amount, step.change));
    assert_eq!(taken, Some((EntryKind::Credit, 0, buckets(0, 0, -15, 15, 0))));
    assert_eq!(give_back(now, 10).map(|step| step.change), Some(buckets(0, 0, 10, -10, 0)));
    for amount in [-1, 0, 21] {
        assert_eq!(take(now, amount, EntryKind::Payout), None, "{amount}");
        assert_eq!(give_back(now, amount), None, "{amount}");
    }
}

#[test]
fn the_edge_of_64_bits_is_an_error() {
    let full = buckets(0, i64::MAX, 0, 0, 0);
    let most = standing(i64::MAX, 0);
    assert_eq!(book(full, most, standing(i64::MIN, 0), SettlementMode::Payout), Err(MoneyError::Overflow));
    assert_eq!(book(full, standing(0, 0), most, SettlementMode::Payout), Err(MoneyError::Overflow));
    assert_eq!(buckets(1, i64::MAX, 0, 0, 0).net(), Err(MoneyError::Overflow));
}

/// Something that happens to a commission.
#[derive(Debug, Clone)]
enum Event {
    /// The facts say so much is earned, and so many thousandths of the base are gone.
    Facts(i64, i64),
    Ripe,
    Payout(i64),
    Credit(i64),
    Returned(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (-200..1000_i64, 0..1100_i64).prop_map(|(earned, gone)| Event::Facts(earned, gone)),
        2 => Just(Event::Ripe),
        2 => (1..1000_i64).prop_map(Event::Payout),
        1 => (1..1000_i64).prop_map(Event::Credit),
        1 => (1..1000_i64).prop_map(Event::Returned),
    ]
}

fn settlement() -> impl Strategy<Value = SettlementMode> {
    prop::sample::select(SettlementMode::ALL)
}

#[derive(Debug, Clone, Default)]
struct History {
    now: Buckets,
    booked: Standing,
    steps: Vec<Step>,
}

impl History {
    fn facts(&mut self, target: Standing, settlement: SettlementMode) {
        let steps = book(self.now, self.booked, target, settlement).unwrap();
        self.booked = target;
        for step in steps {
            self.step(step, settlement);
        }
        assert_eq!(book(self.now, self.booked, target, settlement), Ok(vec![]), "booking again does nothing");
    }

    fn step(&mut self, step: Step, settlement: SettlementMode) {
        assert_eq!(step.change.net().unwrap(), step.amount);
        self.now = self.now.after(&step.change).unwrap();
        let Buckets { counted, held, payable, taken, owed } = self.now;
        assert!([held, payable, taken, owed].iter().all(|bucket| *bucket >= 0), "{:?} after {step:?}", self.now);
        // Only what is merely counted falls below zero.
        let falls = counted < 0 && step.change.counted < 0;
        assert!(!falls || settlement == SettlementMode::ReportOnly, "{:?} after {step:?}", self.now);
        self.steps.push(step);
    }

    fn happen(&mut self, event: &Event, settlement: SettlementMode) {
        let step = match event {
            Event::Facts(earned, gone) => {
                let reversed = reversed_target(*earned, Share { part: *gone, whole: 1000 });
                return self.facts(standing(*earned, reversed), settlement);
            }
            Event::Ripe => mature(self.now),
            Event::Payout(amount) => take(self.now, (*amount).min(self.now.payable), EntryKind::Payout),
            Event::Credit(amount) => take(self.now, (*amount).min(self.now.payable), EntryKind::Credit),
            Event::Returned(amount) => give_back(self.now, (*amount).min(self.now.taken)),
        };
        if let Some(step) = step {
            self.step(step, settlement);
        }
    }

    fn sum(&self, kinds: &[EntryKind]) -> i64 {
        self.steps.iter().filter(|step| kinds.contains(&step.kind)).map(|step| step.amount).sum()
    }

    fn check(&self) {
        let Standing { earned, reversed } = self.booked;
        assert_eq!(self.now.net(), Ok(earned - reversed));
        assert_eq!(self.sum(&[EntryKind::Accrual]), earned);
        // Never restored twice: what came back is at most what was taken back.
        assert_eq!(self.sum(&[EntryKind::Clawback, EntryKind::Restoration]), -reversed);
        assert!(reversed >= 0);
        let stated: i64 = self.steps.iter().map(|step| step.change.stated().unwrap()).sum();
        assert_eq!(self.now.stated(), Ok(stated));
        // Golden rule R7: the sum of all entries is never below min(0, target).
        assert!(self.steps.iter().map(|step| step.amount).sum::<i64>() >= earned.min(0));
    }
}

proptest! {
    #[test]
    fn the_buckets_hold_what_is_earned_less_what_is_reversed(
        events in prop::collection::vec(event(), 0..40),
        settlement in settlement(),
    ) {
        let mut history = History::default();
        for event in &events {
            history.happen(event, settlement);
            history.check();
        }
    }

    #[test]
    fn only_what_is_reported_is_counted(events in prop::collection::vec(event(), 0..40)) {
        let mut reported = History::default();
        for event in &events {
            reported.happen(event, SettlementMode::ReportOnly);
            let Buckets { counted, .. } = reported.now;
            prop_assert_eq!(reported.now, Buckets { counted, ..NOTHING });
        }
        let mut paid = History::default();
        for event in &events {
            paid.happen(event, SettlementMode::Payout);
            prop_assert_eq!(paid.now.counted, 0);
        }
    }

    #[test]
    fn a_settlement_may_change_at_any_time(
        events in prop::collection::vec((event(), settlement()), 0..40),
    ) {
        let mut history = History::default();
        for (event, settlement) in &events {
            history.happen(event, *settlement);
            history.check();
        }
    }

    #[test]
    fn the_order_of_partial_refunds_does_not_matter(
        earned in 0..100_000_i64,
        refunds in prop::collection::vec(1..500_i64, 1..12),
        turn in 0..12_usize,
    ) {
        let whole: i64 = refunds.iter().sum();
        let run = |refunds: &[i64]| {
            let mut history = History::default();
            history.facts(standing(earned, 0), SettlementMode::Payout);
            let mut part = 0;
            for refund in refunds {
                part += refund;
                let reversed = reversed_target(earned, Share { part, whole });
                history.facts(standing(earned, reversed), SettlementMode::Payout);
                history.check();
            }
            history
        };
        let mut turned = refunds.clone();
        turned.rotate_left(turn % refunds.len());
        turned.reverse();
        let [history, other] = [run(&refunds), run(&turned)];
        prop_assert_eq!(history.now, other.now);
        prop_assert_eq!(history.now, NOTHING);
        prop_assert_eq!(history.sum(&[EntryKind::Clawback]), -earned);
    }

    #[test]
    fn what_is_refunded_and_restored_leaves_what_was_earned(
        earned in 1..100_000_i64,
        events in prop::collection::vec(event(), 0..20),
        gone in prop::collection::vec(0..1000_i64, 1..8),
    ) {
        let mut history = History::default();
        history.facts(standing(earned, 0), SettlementMode::Payout);
        for (event, part) in events.iter().filter(|event| !matches!(event, Event::Facts(..))).zip(gone) {
            history.happen(event, SettlementMode::Payout);
            let reversed = reversed_target(earned, Share { part, whole: 1000 });
            history.facts(standing(earned, reversed), SettlementMode::Payout);
        }
        history.facts(standing(earned, 0), SettlementMode::Payout);
        history.check();
        prop_assert_eq!(history.now.net(), Ok(earned));
        prop_assert_eq!(history.sum(&[EntryKind::Clawback, EntryKind::Restoration]), 0);
    }
}
