//! When a commission ripens, and which endings of a subscription take it back.

use billing_primitives::{TimeZone, Timestamp};

const SECONDS_OF_A_DAY: i64 = 86_400;

/// Holds are counted up to here, more than two thousand years.
const LONGEST_HOLD: i32 = 1_000_000;

/// From when on a commission is payable: the start of the day after the date of `paid_at` + `hold_days`, in the
/// organization's zone.
pub fn payable_at(paid_at: Timestamp, hold_days: u32, zone: &TimeZone) -> Timestamp {
    let days = i32::try_from(hold_days).unwrap_or(LONGEST_HOLD).min(LONGEST_HOLD);
    let held_through = paid_at.date_in(zone).plus_days(days);
    // Where the calendar ends no day begins any more: then so many times 24 hours.
    let counted = || paid_at.plus_seconds((i64::from(days) + 1) * SECONDS_OF_A_DAY);
    zone.start_of(held_through.next()).unwrap_or_else(|_| counted())
}

/// Whether a subscription ended inside the cancellation window, `window_days` times 24 hours from its first payment, while
/// its customer has no other active one. An end that is only requested, or made by a hand-over, is no `ended_at`.
pub fn cancelled_inside(
    ended_at: Option<Timestamp>,
    first_paid_at: Timestamp,
    window_days: u32,
    other_active: bool,
) -> bool {
    let until = first_paid_at.plus_seconds(i64::from(window_days) * SECONDS_OF_A_DAY);
    !other_active && ended_at.is_some_and(|ended_at| ended_at < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn it_ripens_with_the_day_after_the_hold() {
        for (paid_at, hold_days, zone, expected) in [
            ("2026-03-01T10:00:00Z", 0, "Europe/Copenhagen", "2026-03-01T23:00:00Z"),
            ("2026-03-01T23:00:00Z", 0, "Europe/Copenhagen", "2026-03-02T23:00:00Z"),
            ("2026-03-01T22:59:59Z", 30, "Europe/Copenhagen", "2026-03-31T22:00:00Z"),
            ("2026-03-01T22:59:59Z", 30, "UTC", "2026-04-01T00:00:00Z"),
            ("2026-02-27T12:00:00Z", 1, "America/New_York", "2026-03-01T05:00:00Z"),
        ] {
            let zone: TimeZone = zone.parse().unwrap();
            assert_eq!(payable_at(at(paid_at), hold_days, &zone), at(expected), "{paid_at} + {hold_days} in {zone}");
        }
    }

    #[test]
    fn a_hold_beyond_the_calendar_does_not_ripen_early() {
        let zone: TimeZone = "Europe/Copenhagen".parse().unwrap();
        assert!(payable_at(at("2026-03-01T10:00:00Z"), u32::MAX, &zone) >= at("2199-12-31T00:00:00Z"));
    }

    #[test]
    fn only_an_ending_inside_the_window_is_a_cancellation() {
        let paid = at("2026-03-01T10:00:00Z");
        for (ended_at, window_days, other_active, expected) in [
            (None, 14, false, false),
            (Some("2026-03-15T09:59:59Z"), 14, false, true),
            (Some("2026-03-15T10:00:00Z"), 14, false, false),
            (Some("2026-03-10T10:00:00Z"), 14, true, false),
            (Some("2026-02-28T10:00:00Z"), 14, false, true),
            (Some("2026-03-01T10:00:00Z"), 0, false, false),
        ] {
            let inside = cancelled_inside(ended_at.map(at), paid, window_days, other_active);
            assert_eq!(inside, expected, "{ended_at:?} {window_days} {other_active}");
        }
    }
}
