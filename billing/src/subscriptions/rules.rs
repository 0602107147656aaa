//! Seats over time. Pure.
//!
//! One order decides: the day a change counts from, then the order of recording. On one day the last new quantity
//! replaces what was held and the deltas recorded after it are added (golden rule R3), so a new quantity is never
//! shifted by an earlier change that is recorded later.

use billing_primitives::Date;

use crate::error::Refusal;

/// The largest quantity or delta of one change.
pub const MOST_SEATS: i64 = 1_000_000_000;

/// The most seats that a timeline may hold: so few that the seat-days of all days from 1970 to 2199 fit into 64 bits.
const MOST_HELD: i64 = i64::MAX / 100_000;

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seats {
    /// A new number, whatever was held.
    Quantity(i64),
    /// So many more (fewer when negative).
    Delta(i64),
}

/// A seat change as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatFact {
    /// First day on which it counts.
    pub effective_on: Date,
    /// Order of recording within the subscription.
    pub sequence: i32,
    pub seats: Seats,
}

/// Days on which one number of seats is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub from: Date,
    /// Inclusive.
    pub to: Date,
    pub seats: i64,
}

impl Segment {
    /// Seats summed over the days.
    pub fn seat_days(&self) -> i64 {
        self.seats * (self.from.days_until(self.to) + 1)
    }
}

/// Days on which the held number changes, with the number held from then on: in order of the days, no two neighbours
/// equal, nothing held before the first. Facts may come in any order; sorted by day and sequence they are cheapest.
///
/// # Errors
/// [`Refusal::AmountOverflow`].
pub fn timeline(facts: &[SeatFact]) -> Result<Vec<(Date, i64)>, Refusal> {
    let order = |fact: &SeatFact| (fact.effective_on, fact.sequence);
    if facts.is_sorted_by_key(order) {
        return in_order(facts.iter());
    }
    let mut sorted: Vec<&SeatFact> = facts.iter().collect();
    sorted.sort_unstable_by_key(|fact| order(fact));
    in_order(sorted.into_iter())
}

fn in_order<'a>(facts: impl ExactSizeIterator<Item = &'a SeatFact>) -> Result<Vec<(Date, i64)>, Refusal> {
    let mut changes: Vec<(Date, i64)> = Vec::with_capacity(facts.len());
    let mut facts = facts.peekable();
    let mut told = 0;
    // Wide enough for any number of changes: only what a day ends with has to fit.
    let mut held = 0_i128;
    while let Some(fact) = facts.next() {
        held = match fact.seats {
            Seats::Quantity(quantity) => i128::from(quantity),
            Seats::Delta(delta) => held + i128::from(delta),
        };
        if facts.peek().is_some_and(|next| next.effective_on == fact.effective_on) {
            continue;
        }
        let seats = i64::try_from(held).map_err(|_| Refusal::AmountOverflow)?;
        if seats.unsigned_abs() > MOST_HELD.unsigned_abs() {
            return Err(Refusal::AmountOverflow);
        }
        if seats != told {
            changes.push((fact.effective_on, seats));
            told = seats;
        }
    }
    Ok(changes)
}

/// Seats held on the days of `from..=to`; days without seats are left out.
pub fn segments(timeline: &[(Date, i64)], from: Date, to: Date) -> Vec<Segment> {
    let mut segments = Vec::new();
    // The change that holds on `from` began on it or before.
    let begun = timeline.partition_point(|(day, _)| *day <= from).saturating_sub(1);
    let mut changes = timeline.iter().skip(begun).peekable();
    while let Some((day, seats)) = changes.next() {
        let first = from.max(*day);
        if first > to {
            break;
        }
        let last = changes.peek().map_or(to, |(next, _)| to.min(next.plus_days(-1)));
        if *seats != 0 && first <= last {
            segments.push(Segment { from: first, to: last, seats: *seats });
        }
    }
    segments
}

/// Seats summed over the days of all segments.
pub fn seat_days(segments: &[Segment]) -> i64 {
    segments.iter().map(Segment::seat_days).sum()
}

/// The days of `from..=to` on which a subscription runs; `ends_on` is the first day that does not count.
pub fn running(starts_on: Date, ends_on: Option<Date>, from: Date, to: Date) -> Option<(Date, Date)> {
    let first = from.max(starts_on);
    let last = ends_on.map_or(to, |end| to.min(end.plus_days(-1)));
    (first <= last).then_some((first, last))
}

/// What a flat plan holds in `from..=to`: 1 on each day it runs.
pub fn flat(starts_on: Date, ends_on: Option<Date>, from: Date, to: Date) -> Option<Segment> {
    running(starts_on, ends_on, from, to).map(|(from, to)| Segment { from, to, seats: 1 })
}

/// # Errors
/// [`Refusal::SeatsBelowZero`] with the first day on which fewer than no seats would be held.
pub fn check_not_negative(timeline: &[(Date, i64)]) -> Result<(), Refusal> {
    match timeline.iter().find(|(_, seats)| *seats < 0) {
        Some((day, seats)) => Err(Refusal::SeatsBelowZero { day: *day, seats: *seats }),
        None => Ok(()),
    }
}

/// As [`check_not_negative`], for the days before `ends_on` alone: what was recorded for later days does not count.
///
/// # Errors
/// As [`check_not_negative`], and [`Refusal::AmountOverflow`].
pub fn check_facts(facts: &[SeatFact], ends_on: Option<Date>) -> Result<(), Refusal> {
    let timeline = timeline(facts)?;
    let counting = ends_on.map_or(timeline.len(), |end| timeline.partition_point(|(day, _)| *day < end));
    check_not_negative(&timeline[..counting])
}

/// # Errors
/// [`Refusal::Invalid`] when the number is beyond [`MOST_SEATS`], or a quantity is negative.
pub fn check_size(seats: Seats) -> Result<(), Refusal> {
    match seats {
        Seats::Quantity(0..=MOST_SEATS) => Ok(()),
        Seats::Delta(delta) if delta.unsigned_abs() <= MOST_SEATS.unsigned_abs() => Ok(()),
        Seats::Quantity(_) => Err(Refusal::invalid("quantity", format_args!("0 to {MOST_SEATS} seats"))),
        Seats::Delta(_) => Err(Refusal::invalid("delta", format_args!("-{MOST_SEATS} to {MOST_SEATS} seats"))),
    }
}

/// # Errors
/// [`Refusal::DateBefore`] when a subscription ends before it starts; on the same day it never runs.
pub fn check_end(starts_on: Date, ends_on: Option<Date>) -> Result<(), Refusal> {
    match ends_on {
        Some(date) if date < starts_on => Err(Refusal::DateBefore { field: "endsOn", date, earliest: starts_on }),
        _ => Ok(()),
    }
}

/// # Errors
/// [`Refusal::OutsideSubscription`] when the subscription does not run on `day`.
pub fn check_inside(starts_on: Date, ends_on: Option<Date>, day: Date) -> Result<(), Refusal> {
    match running(starts_on, ends_on, day, day) {
        Some(_) => Ok(()),
        None => Err(Refusal::OutsideSubscription { day, starts_on }),
    }
}

/// Whether two subscriptions run on the same day; the ends are the first days that do not count.
pub fn overlap(left: (Date, Option<Date>), right: (Date, Option<Date>)) -> bool {
    let ends_after = |end: Option<Date>, day: Date| end.is_none_or(|end| end > day);
    let start = left.0.max(right.0);
    ends_after(left.1, start) && ends_after(right.1, start)
}

/// The first day that changes when the end moves; none when it stays.
pub fn moved(before: Option<Date>, after: Option<Date>) -> Option<Date> {
    if before == after {
        return None;
    }
    match (before, after) {
        (Some(before), Some(after)) => Some(before.min(after)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use billing_primitives::Month;
    use proptest::prelude::*;

    use super::Seats::{Delta, Quantity};
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// Facts in the order of recording, from day and seats.
    fn recorded(changes: &[(&str, Seats)]) -> Vec<SeatFact> {
        let fact = |(sequence, (on, seats)): (i32, &(&str, Seats))| SeatFact {
            effective_on: day(on),
            sequence,
            seats: *seats,
        };
        (1..).zip(changes).map(fact).collect()
    }

    fn held(changes: &[(&str, Seats)]) -> Vec<(String, i64)> {
        let timeline = timeline(&recorded(changes)).unwrap();
        timeline.into_iter().map(|(day, seats)| (day.to_string(), seats)).collect()
    }

    #[test]
    fn one_day_combines_by_the_order_of_recording() {
        let on = "2026-05-09";
        for (changes, expected) in [
            (vec![(on, Delta(3)), (on, Delta(-3))], vec![]),
            (vec![(on, Delta(3)), (on, Delta(4))], vec![(on, 7)]),
            (vec![(on, Delta(3)), (on, Quantity(5))], vec![(on, 5)]),
            (vec![(on, Quantity(5)), (on, Delta(3)), (on, Delta(-1))], vec![(on, 7)]),
            (vec![(on, Quantity(5)), (on, Delta(3)), (on, Quantity(6)), (on, Delta(1))], vec![(on, 7)]),
            (vec![(on, Quantity(5)), (on, Quantity(0))], vec![]),
        ] {
            let expected: Vec<(String, i64)> = expected.into_iter().map(|(day, n)| (day.to_owned(), n)).collect();
            assert_eq!(held(&changes), expected, "{changes:?}");
        }
    }

    #[test]
    fn a_late_change_moves_later_deltas_and_no_later_quantity() {
        let expected = |changes: &[(&str, i64)]| changes.iter().map(|(d, n)| ((*d).to_owned(), *n)).collect::<Vec<_>>();
        let late = ("2026-05-03", Delta(2));
        assert_eq!(
            held(&[("2026-05-01", Quantity(10)), ("2026-05-20", Delta(5)), late]),
            expected(&[("2026-05-01", 10), ("2026-05-03", 12), ("2026-05-20", 17)])
        );
        assert_eq!(
            held(&[("2026-05-01", Quantity(10)), ("2026-05-20", Quantity(15)), late]),
            expected(&[("2026-05-01", 10), ("2026-05-03", 12), ("2026-05-20", 15)])
        );
        // Neighbours that became equal are one.
        assert_eq!(
            held(&[("2026-05-01", Quantity(10)), ("2026-05-20", Quantity(12)), late]),
            expected(&[("2026-05-01", 10), ("2026-05-03", 12)])
        );
    }

    #[test]
    fn only_what_a_day_ends_with_has_to_fit() {
        let on = "2026-05-01";
        let refused = |changes: &[(&str, Seats)]| timeline(&recorded(changes)).unwrap_err();
        assert_eq!(refused(&[(on, Quantity(i64::MAX))]), Refusal::AmountOverflow);
        assert_eq!(refused(&[(on, Delta(i64::MAX)), (on, Delta(i64::MAX))]), Refusal::AmountOverflow);
        assert_eq!(refused(&[(on, Delta(i64::MIN))]), Refusal::AmountOverflow);
        assert_eq!(held(&[(on, Delta(i64::MAX)), (on, Delta(i64::MAX)), (on, Quantity(4))]), [(on.to_owned(), 4)]);
        let most = timeline(&recorded(&[("1970-01-01", Quantity(MOST_HELD))])).unwrap();
        assert!(seat_days(&segments(&most, day("1970-01-01"), day("2199-12-31"))) > 0);
    }

    /// Golden examples 03: the changes of a month, its segments and its seat-days.
    #[test]
    fn the_days_of_a_month() {
        type Changes<'a> = &'a [(&'a str, i64)];
        type Parts<'a> = &'a [(&'a str, &'a str, i64)];
        let cases: [(&str, Changes<'_>, Parts<'_>, i64); 7] = [
            ("2026-04", &[("2026-04-01", 12)], &[("2026-04-01", "2026-04-30", 12)], 360),
            (
                "2026-04",
                &[("2026-04-01", 10), ("2026-04-16", 5)],
                &[("2026-04-01", "2026-04-15", 10), ("2026-04-16", "2026-04-30", 15)],
                375,
            ),
            (
                "2026-05",
                &[("2026-05-03", 7), ("2026-05-11", 4), ("2026-05-20", -6)],
                &[("2026-05-03", "2026-05-10", 7), ("2026-05-11", "2026-05-19", 11), ("2026-05-20", "2026-05-31", 5)],
                215,
            ),
            ("2026-05", &[("2026-05-09", 3), ("2026-05-09", -3)], &[], 0),
            ("2026-07", &[("2026-07-31", 1)], &[("2026-07-31", "2026-07-31", 1)], 1),
            ("2028-02", &[("2028-02-10", 3)], &[("2028-02-10", "2028-02-29", 3)], 60),
            ("2026-03", &[("2026-03-29", 1)], &[("2026-03-29", "2026-03-31", 1)], 3),
        ];
        for (month, changes, parts, days) in cases {
            let changes: Vec<(&str, Seats)> = changes.iter().map(|(on, delta)| (*on, Delta(*delta))).collect();
            let month: Month = month.parse().unwrap();
            let told = segments(&timeline(&recorded(&changes)).unwrap(), month.first(), month.last());
            let expected: Vec<Segment> =
                parts.iter().map(|(from, to, seats)| Segment { from: day(from), to: day(to), seats: *seats }).collect();
            assert_eq!(told, expected, "{changes:?}");
            assert_eq!(seat_days(&told), days, "{changes:?}");
        }
    }

    #[test]
    fn what_was_held_before_the_first_day_counts() {
        let timeline = timeline(&recorded(&[
            ("2026-01-10", Quantity(4)),
            ("2026-03-05", Quantity(0)),
            ("2026-03-08", Quantity(6)),
            ("2026-06-01", Quantity(9)),
        ]))
        .unwrap();
        let within = |from, to| -> Vec<(String, String, i64)> {
            let told = segments(&timeline, day(from), day(to));
            told.iter().map(|s| (s.from.to_string(), s.to.to_string(), s.seats)).collect()
        };
        let part = |from: &str, to: &str, seats| (from.to_owned(), to.to_owned(), seats);
        assert_eq!(within("2025-12-01", "2026-01-09"), []);
        assert_eq!(within("2026-01-01", "2026-01-31"), [part("2026-01-10", "2026-01-31", 4)]);
        assert_eq!(within("2026-02-01", "2026-02-28"), [part("2026-02-01", "2026-02-28", 4)]);
        assert_eq!(
            within("2026-03-01", "2026-03-31"),
            [part("2026-03-01", "2026-03-04", 4), part("2026-03-08", "2026-03-31", 6)]
        );
        assert_eq!(within("2026-03-06", "2026-03-06"), []);
        assert_eq!(within("2026-03-31", "2026-03-01"), []);
    }

    #[test]
    fn a_subscription_runs_until_the_day_before_its_end() {
        let days = |end: Option<&str>, from, to| running(day("2026-04-10"), end.map(day), day(from), day(to));
        let april = ("2026-04-01", "2026-04-30");
        assert_eq!(days(None, april.0, april.1), Some((day("2026-04-10"), day("2026-04-30"))));
        assert_eq!(days(Some("2026-04-20"), april.0, april.1), Some((day("2026-04-10"), day("2026-04-19"))));
        assert_eq!(days(Some("2026-04-10"), april.0, april.1), None);
        assert_eq!(days(None, "2026-03-01", "2026-03-31"), None);
        let flat = flat(day("2026-04-10"), Some(day("2026-04-20")), day("2026-04-01"), day("2026-04-30")).unwrap();
        assert_eq!((flat.seats, flat.seat_days()), (1, 10));
    }

    #[test]
    fn intervals_are_half_open() {
        let run = |from: &str, to: Option<&str>| (day(from), to.map(day));
        for (left, right, expected) in [
            (run("2026-04-01", None), run("2026-06-01", None), true),
            (run("2026-04-01", Some("2026-06-01")), run("2026-06-01", None), false),
            (run("2026-04-01", Some("2026-06-02")), run("2026-06-01", None), true),
            (run("2026-04-01", None), run("2026-03-01", Some("2026-04-01")), false),
            (run("2026-04-01", None), run("2026-03-01", Some("2026-04-02")), true),
            // One that never runs meets nobody.
            (run("2026-04-01", None), run("2026-05-01", Some("2026-05-01")), false),
            (run("2026-05-01", Some("2026-05-01")), run("2026-05-01", Some("2026-05-01")), false),
        ] {
            assert_eq!(overlap(left, right), expected, "{left:?} {right:?}");
            assert_eq!(overlap(right, left), expected, "{right:?} {left:?}");
        }
    }

    #[test]
    fn the_first_day_that_a_new_end_touches() {
        let (early, late) = (Some(day("2026-04-01")), Some(day("2026-06-01")));
        for (before, after, expected) in [
            (early, late, early),
            (late, early, early),
            (None, early, early),
            (late, None, late),
            (early, early, None),
            (None, None, None),
        ] {
            assert_eq!(moved(before, after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn nobody_holds_fewer_than_no_seats() {
        let facts = recorded(&[("2026-04-01", Quantity(3)), ("2026-05-01", Delta(-3)), ("2026-04-10", Delta(-1))]);
        let below = Refusal::SeatsBelowZero { day: day("2026-05-01"), seats: -1 };
        assert_eq!(check_facts(&facts, None), Err(below.clone()));
        assert_eq!(check_facts(&facts, Some(day("2026-05-02"))), Err(below));
        assert_eq!(check_facts(&facts, Some(day("2026-05-01"))), Ok(()));
        assert_eq!(check_facts(&facts[..2], None), Ok(()));
    }

    #[test]
    fn sizes_have_limits() {
        for fits in [Quantity(0), Quantity(MOST_SEATS), Delta(-MOST_SEATS), Delta(MOST_SEATS)] {
            assert_eq!(check_size(fits), Ok(()), "{fits:?}");
        }
        for wrong in [Quantity(-1), Quantity(MOST_SEATS + 1), Delta(-MOST_SEATS - 1), Delta(i64::MIN)] {
            assert!(check_size(wrong).is_err(), "{wrong:?}");
        }
    }

    fn any_facts() -> impl Strategy<Value = Vec<SeatFact>> {
        let seats = prop_oneof![(0_i64..50).prop_map(Quantity), (-20_i64..30).prop_map(Delta)];
        prop::collection::vec((0_i32..60, seats), 0..40).prop_map(|changes| {
            let start = day("2026-03-15");
            let fact = |(sequence, (after, seats))| SeatFact { effective_on: start.plus_days(after), sequence, seats };
            (1..).zip(changes).map(fact).collect()
        })
    }

    /// The rule once more, day by day.
    fn held_on(facts: &[SeatFact], day: Date) -> i64 {
        let mut counting: Vec<&SeatFact> = facts.iter().filter(|fact| fact.effective_on <= day).collect();
        counting.sort_by_key(|fact| (fact.effective_on, fact.sequence));
        let after = counting.iter().rposition(|fact| matches!(fact.seats, Quantity(_))).unwrap_or(0);
        counting[after..]
            .iter()
            .map(|fact| match fact.seats {
                Quantity(n) | Delta(n) => n,
            })
            .sum()
    }

    proptest! {
        #[test]
        fn the_order_in_which_facts_come_does_not_count(
            (facts, shuffled) in any_facts().prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle()))
        ) {
            prop_assert_eq!(timeline(&facts).unwrap(), timeline(&shuffled).unwrap());
        }

        #[test]
        fn segments_are_what_every_day_holds(facts in any_facts(), from in -10_i32..70, days in 0_i32..70) {
            let from = day("2026-03-15").plus_days(from);
            let to = from.plus_days(days);
            let told = segments(&timeline(&facts).unwrap(), from, to);
            let each: Vec<i64> = (0..=days).map(|after| held_on(&facts, from.plus_days(after))).collect();
            prop_assert_eq!(seat_days(&told), each.iter().sum::<i64>());
            for (after, seats) in (0..=days).zip(each) {
                let on = from.plus_days(after);
                let segment = told.iter().find(|segment| segment.from <= on && on <= segment.to);
                prop_assert_eq!(segment.map_or(0, |segment| segment.seats), seats);
            }
            // Neighbours differ.
            for pair in told.windows(2) {
                prop_assert!(pair[0].to < pair[1].from);
                prop_assert!(pair[0].seats != pair[1].seats || pair[0].to.next() < pair[1].from);
            }
        }

        #[test]
        fn a_delta_in_parts_is_the_delta(facts in any_facts(), share in -20_i64..20) {
            let mut parts = Vec::new();
            for fact in &facts {
                let first = fact.sequence * 2;
                match fact.seats {
                    Delta(delta) => {
                        parts.push(SeatFact { sequence: first, seats: Delta(share), ..*fact });
                        parts.push(SeatFact { sequence: first + 1, seats: Delta(delta - share), ..*fact });
                    }
                    Quantity(_) => parts.push(SeatFact { sequence: first, ..*fact }),
                }
            }
            let (from, to) = (day("2026-03-01"), day("2026-05-31"));
            let told = |facts: &[SeatFact]| segments(&timeline(facts).unwrap(), from, to);
            prop_assert_eq!(seat_days(&told(&parts)), seat_days(&told(&facts)));
        }

        #[test]
        fn a_range_is_the_sum_of_its_parts(facts in any_facts(), cut in 0_i32..60) {
            let timeline = timeline(&facts).unwrap();
            let (from, to) = (day("2026-03-15"), day("2026-05-14"));
            let middle = from.plus_days(cut);
            let days = |from, to| seat_days(&segments(&timeline, from, to));
            prop_assert_eq!(days(from, middle) + days(middle.next(), to), days(from, to));
        }
    }
}
