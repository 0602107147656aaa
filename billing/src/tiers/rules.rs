//! The tier of a month: measured by users, held by a pin, forgiven by grace (golden rules R2 and R11). Pure.
//!
//! Tiers are matched between versions of the table by code and ranked by the version of the month that is billed.

use std::collections::HashSet;
use std::iter;

use billing_primitives::{BasisPoints, Month, OrganizationId, TierTableId, Timestamp, text_enum};
use diesel::{Insertable, Queryable, Selectable};

use super::{NewTier, NewTierTable};
use crate::error::Refusal;
use crate::organizations::rules::text;

/// The most tiers of a table.
pub const MOST_TIERS: usize = 50;

/// The most months of grace that a table may give.
pub const MOST_GRACE: i32 = 12;

text_enum! {
    /// Why a tier is billed.
    pub enum Reason {
        /// It is what the month's users reach.
        Measured = "MEASURED",
        /// The month's users do not reach last month's tier, which is forgiven for a while.
        Grace = "GRACE",
        /// Somebody decided so.
        Pinned = "PINNED",
    }
}

/// A version of the wholesale tiers.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::tier_table)]
pub struct TierTable {
    pub organization_id: OrganizationId,
    pub id: TierTableId,
    /// First month it holds for.
    pub effective_from: Month,
    /// Months in a row below the billed tier that are forgiven.
    pub grace_months: i32,
    /// Not confirmed yet: drafts may be made under it, finalizing is refused.
    pub indicative: bool,
    pub confirmed_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// One wholesale level.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::tier)]
pub struct Tier {
    pub tier_table_id: TierTableId,
    /// What stays the same from one version of the table to the next.
    pub code: String,
    pub name: String,
    /// Inclusive threshold.
    pub from_users: i64,
    pub discount_bps: BasisPoints,
}

/// A table with its tiers in order of rank; there is always one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    pub table: TierTable,
    lowest: Tier,
    above: Vec<Tier>,
}

impl Ranked {
    /// Ranks tiers that come in any order; none when there are no tiers.
    pub fn new(table: TierTable, mut tiers: Vec<Tier>) -> Option<Ranked> {
        tiers.sort_by_key(|tier| tier.from_users);
        let mut tiers = tiers.into_iter();
        let lowest = tiers.next()?;
        Some(Ranked { table, lowest, above: tiers.collect() })
    }

    /// From the lowest to the highest.
    pub fn tiers(&self) -> impl DoubleEndedIterator<Item = &Tier> {
        iter::once(&self.lowest).chain(&self.above)
    }

    /// The last tier whose threshold is at most `users`; below the first threshold the first tier.
    pub fn measure(&self, users: i64) -> &Tier {
        self.above.iter().rfind(|tier| tier.from_users <= users).unwrap_or(&self.lowest)
    }

    pub fn by_code(&self, code: &str) -> Option<&Tier> {
        self.tiers().find(|tier| tier.code == code)
    }
}

/// A month's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    pub users: i64,
    /// Code of the tier that the users reach.
    pub measured: String,
    /// Code of the tier that is billed.
    pub billed: String,
    /// Discount of the billed tier.
    pub discount: BasisPoints,
    pub reason: Reason,
    /// Months in a row, this one included, that grace has forgiven; 0 when the measured tier is billed, or a pinned one.
    pub months_below: i32,
}

/// The outcome of the month before, as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous<'a> {
    pub billed: &'a str,
    pub months_below: i32,
    pub reason: Reason,
}

/// The tier of a month under the table of that month.
pub fn evaluate(table: &Ranked, users: i64, pin: Option<&str>, previous: Option<Previous<'_>>) -> Evaluation {
    let measured = table.measure(users);
    let (billed, reason, months_below) = match pin {
        Some(code) => match table.by_code(code) {
            Some(pinned) => (pinned, Reason::Pinned, 0),
            None => (measured, Reason::Measured, 0),
        },
        None => match previous.and_then(|previous| forgiven(table, measured, previous)) {
            Some((held, months_below)) => (held, Reason::Grace, months_below),
            None => (measured, Reason::Measured, 0),
        },
    };
    Evaluation {
        users,
        measured: measured.code.clone(),
        billed: billed.code.clone(),
        discount: billed.discount_bps,
        reason,
        months_below,
    }
}

/// Last month's tier, if the month is measured below it and that is forgiven, with the months below in a row.
fn forgiven<'a>(table: &'a Ranked, measured: &Tier, previous: Previous<'_>) -> Option<(&'a Tier, i32)> {
    if previous.reason == Reason::Pinned {
        return None;
    }
    let held = table.by_code(previous.billed)?;
    let months_below = previous.months_below.saturating_add(1);
    let below = measured.from_users < held.from_users;
    (below && months_below <= table.table.grace_months).then_some((held, months_below))
}

/// The users that count for a month: seat-days per day, the rest cut off.
pub fn users(seat_days: i64, month: Month) -> i64 {
    seat_days.div_euclid(i64::from(month.days()))
}

/// A table as it may be published: tiers in order of rank, every code and every threshold once.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn table(
    organization: OrganizationId,
    id: TierTableId,
    input: &NewTierTable,
    now: Timestamp,
) -> Result<Ranked, Refusal> {
    if !(0..=MOST_GRACE).contains(&input.grace_months) {
        return Err(Refusal::invalid("graceMonths", format_args!("0 to {MOST_GRACE} months")));
    }
    let table = TierTable {
        organization_id: organization,
        id,
        effective_from: input.effective_from,
        grace_months: input.grace_months,
        indicative: input.indicative,
        confirmed_at: (!input.indicative).then_some(now),
        created_at: now,
    };
    let tiers = input.tiers.iter().map(|tier| checked(id, tier)).collect::<Result<Vec<Tier>, Refusal>>()?;
    if tiers.len() > MOST_TIERS {
        return Err(Refusal::invalid("tiers", format_args!("at most {MOST_TIERS} tiers")));
    }
    let ranked = Ranked::new(table, tiers).ok_or_else(|| Refusal::invalid("tiers", "at least one tier"))?;
    let mut codes = HashSet::new();
    let mut thresholds = HashSet::new();
    for tier in ranked.tiers() {
        if !codes.insert(tier.code.as_str()) {
            return Err(Refusal::invalid("tiers", format_args!("code {:?} stands there twice", tier.code)));
        }
        if !thresholds.insert(tier.from_users) {
            return Err(Refusal::invalid("tiers", format_args!("two tiers begin at {} users", tier.from_users)));
        }
    }
    Ok(ranked)
}

fn checked(table: TierTableId, input: &NewTier) -> Result<Tier, Refusal> {
    if input.from_users < 0 {
        return Err(Refusal::invalid("fromUsers", "0 users or more"));
    }
    Ok(Tier {
        tier_table_id: table,
        code: text("code", &input.code)?,
        name: text("name", &input.name)?,
        from_users: input.from_users,
        discount_bps: input.discount_bps,
    })
}

/// The first field in which a table that is recorded differs from what is given now; the confirmation is no part of it.
pub fn difference(recorded: &Ranked, given: &Ranked) -> Option<&'static str> {
    let facts = |tier: &Tier| (tier.code.clone(), tier.name.clone(), tier.from_users, tier.discount_bps);
    if recorded.table.grace_months != given.table.grace_months {
        return Some("graceMonths");
    }
    (!recorded.tiers().map(facts).eq(given.tiers().map(facts))).then_some("tiers")
}

/// Whether a pin from `from` through `through` may be made when `last` is the partner's last finalized month.
///
/// # Errors
/// [`Refusal::Invalid`] when it ends before it begins, [`Refusal::MonthFinalized`].
pub fn check_pin(from: Month, through: Option<Month>, last: Option<Month>) -> Result<(), Refusal> {
    if through.is_some_and(|through| through < from) {
        return Err(Refusal::invalid("throughMonth", "lies before the first month"));
    }
    match last {
        Some(last) if from <= last => Err(Refusal::MonthFinalized { month: from }),
        _ => Ok(()),
    }
}

/// Whether the last month of a pin may move when `last` is the partner's last finalized month: what it was and what it
/// shall be must both leave finalized months as they are.
///
/// # Errors
/// [`Refusal::Invalid`] when it ends before it begins, [`Refusal::MonthFinalized`].
pub fn check_pin_end(
    from: Month,
    before: Option<Month>,
    after: Option<Month>,
    last: Option<Month>,
) -> Result<(), Refusal> {
    if after.is_some_and(|after| after < from) {
        return Err(Refusal::invalid("throughMonth", "lies before the first month"));
    }
    let first_touched = match (before, after) {
        _ if before == after => return Ok(()),
        (Some(before), Some(after)) => before.min(after).next(),
        (Some(end), None) | (None, Some(end)) => end.next(),
        (None, None) => return Ok(()),
    };
    match last {
        Some(last) if first_touched <= last => Err(Refusal::MonthFinalized { month: first_touched }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &[(&str, i64, i64)] =
        &[("Registreret", 0, 1500), ("Certificeret", 500, 3000), ("Premier", 1000, 4000)];

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    fn input(grace_months: i32, tiers: &[(&str, i64, i64)]) -> NewTierTable {
        let tier = |(code, from_users, bps): &(&str, i64, i64)| NewTier {
            code: (*code).to_owned(),
            name: (*code).to_owned(),
            from_users: *from_users,
            discount_bps: BasisPoints::new(*bps).unwrap(),
        };
        NewTierTable {
            effective_from: month("2026-01"),
            grace_months,
            indicative: false,
            tiers: tiers.iter().map(tier).collect(),
        }
    }

    fn made(input: &NewTierTable) -> Result<Ranked, Refusal> {
        table(OrganizationId::new(), TierTableId::new(), input, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    fn ranked(grace_months: i32, tiers: &[(&str, i64, i64)]) -> Ranked {
        made(&input(grace_months, tiers)).unwrap()
    }

    /// Evaluates months one after the other, each under a table of its own: users and pin in, what is billed out.
    fn story(months: &[(&Ranked, i64, Option<&str>)]) -> Vec<Evaluation> {
        let mut told: Vec<Evaluation> = Vec::new();
        for (table, users, pin) in months {
            let previous = told.last().map(|last| Previous {
                billed: &last.billed,
                months_below: last.months_below,
                reason: last.reason,
            });
            told.push(evaluate(table, *users, *pin, previous));
        }
        told
    }

    /// First letters of measured and billed tier, the discount and the reason.
    fn shown(told: &[Evaluation]) -> Vec<String> {
        let letter = |code: &str| code.chars().next().unwrap();
        told.iter()
            .map(|e| format!("{}{} {} {}", letter(&e.measured), letter(&e.billed), e.discount.get(), e.reason))
            .collect()
    }

    /// Golden examples 12.
    #[test]
    fn month_by_month() {
        let (rr, cc, pp) = ("RR 1500 MEASURED", "CC 3000 MEASURED", "PP 4000 MEASURED");
        let (rc, rp, pin) = ("RC 3000 GRACE", "RP 4000 GRACE", "RP 4000 PINNED");
        for (name, grace, users, expected) in [
            ("rise at once", 1, vec![40, 499, 500, 1000], vec![rr, rr, cc, pp]),
            ("recovery ends the count", 1, vec![520, 480, 510, 490, 505], vec![cc, rc, cc, rc, cc]),
            ("falls to what was measured", 1, vec![1200, 300, 300, 300], vec![pp, rp, rr, rr]),
            ("partial recovery", 1, vec![1200, 400, 600, 600], vec![pp, rp, cc, cc]),
            ("the new tier has its own grace", 1, vec![1200, 400, 600, 400, 400], vec![pp, rp, cc, rc, rr]),
            ("no grace", 0, vec![1000, 999, 500, 499], vec![pp, cc, cc, rr]),
            ("grace of two", 2, vec![1000, 10, 10, 10], vec![pp, rp, rp, rr]),
            ("a month without seats", 1, vec![700, 0, 0, 700], vec![cc, rc, rr, cc]),
        ] {
            let table = ranked(grace, DEFAULT);
            let months: Vec<_> = users.into_iter().map(|users| (&table, users, None)).collect();
            assert_eq!(shown(&story(&months)), expected, "{name}");
        }
        let table = ranked(1, DEFAULT);
        let months = [None, Some("Premier"), Some("Premier"), None].map(|pin| (&table, 100, pin));
        assert_eq!(shown(&story(&months)), [rr, pin, pin, rr], "a pin, and the measured tier afterwards");
    }

    #[test]
    fn a_pin_down_ends_with_a_rise_and_leaves_no_grace() {
        let table = ranked(1, DEFAULT);
        let low = Some("Registreret");
        let told = story(&[(&table, 1200, None), (&table, 1200, low), (&table, 1200, None), (&table, 10, None)]);
        assert_eq!(shown(&told), ["PP 4000 MEASURED", "PR 1500 PINNED", "PP 4000 MEASURED", "RP 4000 GRACE"]);
    }

    #[test]
    fn a_pin_inside_grace_forgets_the_count() {
        let table = ranked(2, DEFAULT);
        let told = story(&[
            (&table, 1200, None),
            (&table, 10, None),
            (&table, 10, Some("Certificeret")),
            (&table, 1000, None),
            (&table, 10, None),
            (&table, 10, None),
            (&table, 10, None),
        ]);
        assert_eq!(told.iter().map(|e| e.months_below).collect::<Vec<_>>(), [0, 1, 0, 0, 1, 2, 0]);
        assert_eq!(shown(&told)[6], "RR 1500 MEASURED");
    }

    #[test]
    fn the_discount_is_that_of_the_months_version() {
        let old = ranked(1, DEFAULT);
        let new = ranked(1, &[("Registreret", 0, 1000), ("Certificeret", 300, 2000), ("Premier", 2000, 4500)]);
        let told = story(&[(&old, 1200, None), (&new, 1200, None), (&new, 1200, None), (&new, 100, Some("Premier"))]);
        assert_eq!(shown(&told), ["PP 4000 MEASURED", "CP 4500 GRACE", "CC 2000 MEASURED", "RP 4500 PINNED"]);
    }

    #[test]
    fn the_rank_is_that_of_the_months_version() {
        let old = ranked(1, DEFAULT);
        // What was the lowest tier is the highest now: nobody falls from it by reaching another one less.
        let turned = ranked(1, &[("Premier", 0, 4000), ("Registreret", 1000, 1500)]);
        let told = story(&[(&old, 1200, None), (&turned, 1200, None), (&turned, 5, None)]);
        assert_eq!(shown(&told), ["PP 4000 MEASURED", "RR 1500 MEASURED", "PR 1500 GRACE"]);
    }

    #[test]
    fn a_tier_that_the_version_no_longer_has_falls_to_the_measured_one() {
        let old = ranked(6, DEFAULT);
        let new = ranked(6, &[("Registreret", 0, 1500), ("Certificeret", 500, 3000)]);
        let told = story(&[(&old, 1200, None), (&old, 10, None), (&new, 10, None), (&new, 10, Some("Premier"))]);
        assert_eq!(shown(&told), ["PP 4000 MEASURED", "RP 4000 GRACE", "RR 1500 MEASURED", "RR 1500 MEASURED"]);
    }

    #[test]
    fn the_grace_is_that_of_the_months_version() {
        let (short, long) = (ranked(0, DEFAULT), ranked(2, DEFAULT));
        let told = story(&[(&short, 1000, None), (&long, 0, None), (&long, 0, None), (&short, 0, None)]);
        assert_eq!(shown(&told)[1..], ["RP 4000 GRACE", "RP 4000 GRACE", "RR 1500 MEASURED"]);
    }

    #[test]
    fn thresholds_are_inclusive_and_the_first_tier_holds_below_them() {
        let table = ranked(1, &[("Premier", 1000, 4000), ("Registreret", 100, 1500), ("Certificeret", 500, 3000)]);
        for (users, code) in
            [(0, "Registreret"), (99, "Registreret"), (499, "Registreret"), (500, "Certificeret"), (1000, "Premier")]
        {
            assert_eq!(table.measure(users).code, code, "{users}");
        }
        assert_eq!(table.tiers().map(|tier| tier.from_users).collect::<Vec<_>>(), [100, 500, 1000]);
    }

    #[test]
    fn users_are_cut_off() {
        for (seat_days, in_month, expected) in [
            (15_499, "2026-10", 499),
            (15_500, "2026-10", 500),
            (0, "2026-10", 0),
            (27, "2026-02", 0),
            (28, "2026-02", 1),
            (28, "2028-02", 0),
        ] {
            assert_eq!(users(seat_days, month(in_month)), expected, "{seat_days} in {in_month}");
        }
    }

    #[test]
    fn a_table_has_every_code_and_threshold_once() {
        let refused = |grace, tiers: &[(&str, i64, i64)]| made(&input(grace, tiers)).is_err();
        assert!(refused(1, &[]));
        assert!(refused(1, &[("A", 0, 0), ("A", 1, 0)]));
        assert!(refused(1, &[("A", 0, 0), ("B", 0, 0)]));
        assert!(refused(1, &[("A", -1, 0)]));
        assert!(refused(1, &[(" ", 0, 0)]));
        assert!(refused(-1, &[("A", 0, 0)]));
        assert!(refused(13, &[("A", 0, 0)]));
        assert!(!refused(12, &[("A", 5, 10_000)]));
    }

    #[test]
    fn a_table_differs_by_its_grace_and_tiers_and_not_by_its_confirmation() {
        let base = input(1, DEFAULT);
        let recorded = made(&base).unwrap();
        let against = |given: &NewTierTable| difference(&recorded, &made(given).unwrap());
        let mut turned = base.clone();
        turned.tiers.reverse();
        assert_eq!(against(&turned), None);
        assert_eq!(against(&NewTierTable { indicative: true, ..base.clone() }), None);
        assert_eq!(against(&NewTierTable { grace_months: 2, ..base }), Some("graceMonths"));
        assert_eq!(against(&input(1, &DEFAULT[..2])), Some("tiers"));
    }

    #[test]
    fn pins_leave_finalized_months_alone() {
        let m = |text: &str| Some(month(text));
        let finalized = |text: &str| Err(Refusal::MonthFinalized { month: month(text) });
        assert_eq!(check_pin(month("2026-04"), None, None), Ok(()));
        assert_eq!(check_pin(month("2026-04"), m("2026-04"), m("2026-03")), Ok(()));
        assert_eq!(check_pin(month("2026-04"), None, m("2026-04")), finalized("2026-04"));
        assert!(check_pin(month("2026-04"), m("2026-03"), None).is_err());

        let end = |before, after, last| check_pin_end(month("2026-02"), before, after, last);
        assert_eq!(end(None, m("2026-04"), m("2026-04")), Ok(()));
        assert_eq!(end(None, m("2026-03"), m("2026-04")), finalized("2026-04"));
        assert_eq!(end(m("2026-03"), m("2026-05"), m("2026-04")), finalized("2026-04"));
        assert_eq!(end(m("2026-05"), m("2026-04"), m("2026-04")), Ok(()));
        assert_eq!(end(m("2026-03"), m("2026-03"), m("2026-04")), Ok(()));
        assert!(end(None, m("2026-01"), None).is_err());
    }
}
