//! Which version of a programme an attribution earns by on a day.

use billing_primitives::{Date, ProgramVersionId};

/// From when on a published version holds, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionFrom {
    pub id: ProgramVersionId,
    pub effective_from: Date,
    /// Attributions from before `effective_from` keep what they had.
    pub new_customers_only: bool,
}

/// The latest version in force on `paid_on` that holds for an attribution from `attributed_from`; none before the first.
///
/// `versions` in any order.
pub fn in_force(versions: &[VersionFrom], attributed_from: Date, paid_on: Date) -> Option<ProgramVersionId> {
    let begun = versions.iter().filter(|version| version.effective_from <= paid_on);
    let held = begun.filter(|version| !version.new_customers_only || attributed_from >= version.effective_from);
    held.max_by_key(|version| version.effective_from).map(|version| version.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_that_holds_for_the_attribution() {
        let version = |from: &str, new_customers_only| VersionFrom {
            id: ProgramVersionId::new(),
            effective_from: from.parse().unwrap(),
            new_customers_only,
        };
        let [first, for_new, last] =
            [version("2026-01-01", false), version("2026-03-01", true), version("2026-06-01", false)];
        let versions = [last, first, for_new];
        for (attributed_from, paid_on, expected) in [
            ("2025-06-01", "2025-12-31", None),
            ("2025-06-01", "2026-01-01", Some(first)),
            ("2026-02-28", "2026-05-31", Some(first)),
            ("2026-03-01", "2026-05-31", Some(for_new)),
            ("2026-04-01", "2026-03-15", Some(for_new)),
            ("2026-03-01", "2026-02-28", Some(first)),
            ("2026-02-28", "2026-06-01", Some(last)),
            ("2026-03-01", "2026-06-01", Some(last)),
        ] {
            let found = in_force(&versions, attributed_from.parse().unwrap(), paid_on.parse().unwrap());
            assert_eq!(found, expected.map(|version| version.id), "{attributed_from} {paid_on}");
        }
    }
}
