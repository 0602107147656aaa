//! Facts that each hold from a day on, inclusive, until the next one. Pure.

use billing_primitives::Date;

/// Dated facts in the order of their days, no two of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline<T>(Vec<(Date, T)>);

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Timeline(Vec::new())
    }
}

impl<T> Timeline<T> {
    /// Adds a fact; of one day, the fact added last holds.
    pub fn insert(&mut self, from: Date, fact: T) {
        match self.0.binary_search_by_key(&from, |(day, _)| *day) {
            Ok(index) => self.0[index].1 = fact,
            Err(index) => self.0.insert(index, (from, fact)),
        }
    }

    /// What holds on `day`; none before the first fact.
    pub fn on(&self, day: Date) -> Option<&T> {
        let begun = self.0.partition_point(|(from, _)| *from <= day);
        begun.checked_sub(1).map(|index| &self.0[index].1)
    }

    /// The first day after `day` on which another fact begins.
    pub fn next_change(&self, day: Date) -> Option<Date> {
        self.0.get(self.0.partition_point(|(from, _)| *from <= day)).map(|(from, _)| *from)
    }
}

/// The last day, at most `to`, before any of `changes`.
pub(crate) fn until(to: Date, changes: impl IntoIterator<Item = Option<Date>>) -> Date {
    changes.into_iter().flatten().map(|change| change.plus_days(-1)).fold(to, Date::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_fact_holds_until_the_next() {
        let mut line = Timeline::default();
        line.insert(day("2026-03-10"), "b");
        line.insert(day("2026-01-01"), "x");
        line.insert(day("2026-01-01"), "a");
        for (on, fact, next) in [
            ("2025-12-31", None, Some("2026-01-01")),
            ("2026-01-01", Some("a"), Some("2026-03-10")),
            ("2026-03-09", Some("a"), Some("2026-03-10")),
            ("2026-03-10", Some("b"), None),
            ("2027-01-01", Some("b"), None),
        ] {
            assert_eq!(line.on(day(on)).copied(), fact, "{on}");
            assert_eq!(line.next_change(day(on)), next.map(day), "{on}");
        }
    }

    #[test]
    fn a_stretch_ends_before_the_first_change() {
        let to = day("2026-03-31");
        assert_eq!(until(to, [None, None]), to);
        assert_eq!(until(to, [Some(day("2026-04-02"))]), to);
        assert_eq!(until(to, [Some(day("2026-03-20")), Some(day("2026-03-11"))]), day("2026-03-10"));
    }
}
