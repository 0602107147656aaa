//! Tables of what terms may say and of what holds when.

use billing_primitives::{
    BasisPoints, Date, EnrollmentId, EnrollmentTermsId, OrganizationId, PartnerId, PlanId, ProgramId, ProgramVersionId,
    Timestamp,
};
use serde_json::json;

use super::*;
use crate::programs::terms::{
    AttributionTerms, CommissionBase, Overrides, Phase, PlanRule, Reward, SelfReferral, SettlementMode, TouchSource,
    Trigger, Window,
};
use crate::programs::versions::VersionStatus;
use crate::stripe::DisputePolicy;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn bps(rate: i64) -> BasisPoints {
    BasisPoints::new(rate).unwrap()
}

fn percent(from_month: u32, rate: i64) -> Phase {
    Phase { from_month, reward: Reward::Percent(bps(rate)) }
}

fn tier(code: &str, converted_customers: i64, net_revenue_minor: i64, rate: i64) -> ProgramTier {
    let phases = vec![percent(1, rate), percent(13, rate / 2)];
    ProgramTier { code: code.to_owned(), name: code.to_owned(), converted_customers, net_revenue_minor, phases }
}

fn terms() -> Terms {
    Terms {
        base: CommissionBase::NetRevenue,
        trigger: Trigger::EveryPayment,
        tiers: vec![tier("SILVER", 0, 0, 2_000), tier("GOLD", 10, 100_000, 3_000)],
        plan_rules: Vec::new(),
        upline: vec![bps(1_000), bps(500)],
        max_share: bps(4_000),
        hold_days: 30,
        cancellation_window_days: Some(14),
        disputes: DisputePolicy::ALL[0],
        attribution: AttributionTerms {
            sources: vec![
                Window { source: TouchSource::Code, days: 90 },
                Window { source: TouchSource::Link, days: 30 },
            ],
            self_referral: SelfReferral::Block,
        },
        payout_threshold_minor: 50_000,
        payout_schedule: Some("0 6 5 * *".to_owned()),
    }
}

/// One thing wrong, and the field that the refusal names.
type Wrong = (&'static str, fn(&mut Terms));

#[test]
fn terms_that_cannot_be_right_are_refused_with_their_field() {
    assert_eq!(check_terms(&terms()), Ok(()));
    let plan = PlanId::from_uuid(uuid::Uuid::nil());
    let rule = PlanRule { plan, phases: vec![percent(1, 100)] };
    let wrongs: Vec<Wrong> = vec![
        ("base", |t| t.base = CommissionBase::ListPrice),
        ("tiers", |t| t.tiers.clear()),
        ("tiers", |t| t.tiers[1].code = "SILVER".to_owned()),
        ("tiers", |t| t.tiers[1].code = "A]B".to_owned()),
        ("tiers", |t| t.tiers[1].name = " ".to_owned()),
        ("tiers", |t| t.tiers[0].converted_customers = 1),
        ("tiers", |t| t.tiers[0].net_revenue_minor = -1),
        ("tiers", |t| t.tiers[1].net_revenue_minor = -1),
        ("tiers", |t| (t.tiers[1].converted_customers, t.tiers[1].net_revenue_minor) = (0, 0)),
        ("tiers", |t| t.tiers.push(tier("PLATINUM", 9, 200_000, 3_000))),
        ("tiers", |t| t.tiers[0].phases.clear()),
        ("tiers", |t| t.tiers[0].phases[0].from_month = 2),
        ("tiers", |t| t.tiers[0].phases[1].from_month = 1),
        ("tiers", |t| t.tiers[0].phases[1].from_month = 1_201),
        ("tiers", |t| t.tiers[0].phases[1].reward = Reward::Flat(-1)),
        ("uplineBps", |t| t.upline = vec![bps(1); 10]),
        ("holdDays", |t| t.hold_days = 3_651),
        ("cancellationWindowDays", |t| t.cancellation_window_days = Some(0)),
        ("attribution", |t| t.attribution.sources[0].days = 0),
        ("attribution", |t| t.attribution.sources[1].source = TouchSource::Code),
        ("payoutThresholdMinor", |t| t.payout_threshold_minor = -1),
        ("payoutSchedule", |t| t.payout_schedule = Some("every day".to_owned())),
        ("payoutSchedule", |t| t.payout_schedule = Some("0 0 30 2 *".to_owned())),
        ("payoutSchedule", |t| t.payout_schedule = Some("0 * * * *".to_owned())),
        // 30 % (1 + 10 % (1 + 5 %)) = 33.15 %
        ("tiers", |t| t.max_share = bps(3_314)),
    ];
    for (place, (field, change)) in wrongs.into_iter().enumerate() {
        let mut terms = terms();
        change(&mut terms);
        let refusal = check_terms(&terms).expect_err(&place.to_string());
        assert_eq!((refusal.code(), refusal.field()), ("INVALID", Some(field)), "{place}: {refusal}");
    }
    let of = |plan_rules| Terms { plan_rules, ..terms() };
    for plan_rules in [
        vec![rule.clone(), rule.clone()],
        vec![PlanRule { plan, phases: Vec::new() }],
        vec![PlanRule { plan, phases: vec![percent(1, 3_700)] }],
    ] {
        assert_eq!(check_terms(&of(plan_rules)).unwrap_err().field(), Some("planRules"));
    }
    assert_eq!(check_terms(&of(vec![rule])), Ok(()));
    assert_eq!(check_terms(&Terms { max_share: bps(3_315), ..terms() }), Ok(()));
    let conversion = Terms { base: CommissionBase::ListPrice, trigger: Trigger::Conversion, ..terms() };
    assert_eq!(check_terms(&conversion), Ok(()));
}

fn agreed(from: &str, settlement: SettlementMode, rate: i64) -> EnrollmentTerms {
    EnrollmentTerms {
        organization_id: OrganizationId::new(),
        id: EnrollmentTermsId::new(),
        enrollment_id: EnrollmentId::new(),
        effective_from: date(from),
        settlement,
        overrides: Overrides { phases: Some(vec![percent(1, rate)]), plan_rules: Vec::new() },
        created_at: now(),
    }
}

#[test]
fn what_is_agreed_keeps_the_share_and_what_is_only_counted_feeds_nobody() {
    // With the upline 1.105 times as much: 40 % is the most.
    for (settlement, rate, fits) in [
        (SettlementMode::Payout, 3_619, true),
        (SettlementMode::Payout, 3_620, false),
        (SettlementMode::Credit, 3_620, false),
        (SettlementMode::ReportOnly, 4_000, true),
        (SettlementMode::ReportOnly, 4_001, false),
    ] {
        let row = agreed("2026-01-01", settlement, rate);
        let checked = check_agreed_share(&terms(), (settlement, &row.overrides));
        assert_eq!(checked.is_ok(), fits, "{settlement} {rate}");
        assert_eq!(check_agreed(&terms(), &[row]).is_ok(), fits, "{settlement} {rate}");
    }
    let none = Overrides { phases: Some(Vec::new()), plan_rules: Vec::new() };
    assert_eq!(check_overrides(&none).unwrap_err().field(), Some("phases"));
    assert_eq!(check_overrides(&Overrides::default()), Ok(()));
}

#[test]
fn of_one_day_the_row_written_last_holds() {
    let row = |from| agreed(from, SettlementMode::Payout, 1_000);
    let rows = [row("2026-01-01"), row("2026-03-01"), row("2026-03-01")];
    for (day, holds) in
        [("2025-12-31", None), ("2026-01-01", Some(0)), ("2026-02-28", Some(0)), ("2026-03-01", Some(2))]
    {
        assert_eq!(in_force(&rows, date(day)), holds.map(|place: usize| &rows[place]), "{day}");
    }
}

#[test]
fn an_enrollment_earns_until_the_day_before_its_end() {
    let enrollment = |ended: Option<&str>| Enrollment {
        organization_id: OrganizationId::new(),
        id: EnrollmentId::new(),
        program_id: ProgramId::new(),
        partner_id: PartnerId::new(),
        enrolled_from: date("2026-01-10"),
        ended_from: ended.map(date),
        created_at: now(),
    };
    for (ended, day, active) in [
        (None, "2026-01-09", false),
        (None, "2026-01-10", true),
        (Some("2026-02-01"), "2026-01-31", true),
        (Some("2026-02-01"), "2026-02-01", false),
        (Some("2026-01-10"), "2026-01-10", false),
    ] {
        assert_eq!(is_active(&enrollment(ended), date(day)), active, "{ended:?} {day}");
    }
}

fn version(number: i32, from: &str, new_customers_only: bool) -> ProgramVersion {
    ProgramVersion {
        organization_id: OrganizationId::new(),
        id: ProgramVersionId::new(),
        program_id: ProgramId::new(),
        number,
        status: VersionStatus::Published,
        effective_from: Some(date(from)),
        new_customers_only,
        terms: terms(),
        created_at: now(),
        published_at: Some(now()),
    }
}

#[test]
fn a_version_for_new_customers_leaves_earlier_ones_what_they_had() {
    let published = [
        version(1, "2026-01-01", false),
        version(2, "2026-02-01", true),
        version(3, "2026-03-01", true),
        version(4, "2026-04-01", false),
    ];
    for (day, attributed, holds) in [
        ("2025-12-31", "2025-12-01", None),
        ("2026-01-31", "2025-12-01", Some(1)),
        ("2026-02-01", "2026-01-31", Some(1)),
        ("2026-02-01", "2026-02-01", Some(2)),
        ("2026-03-31", "2026-01-31", Some(1)),
        ("2026-03-31", "2026-02-28", Some(2)),
        ("2026-03-31", "2026-03-01", Some(3)),
        ("2026-04-01", "2025-12-01", Some(4)),
    ] {
        let found = version_for(&published, date(day), date(attributed)).map(|version| version.number);
        assert_eq!(found, holds, "{day} {attributed}");
    }
    assert_eq!(version_on(&published, date("2026-03-31")).map(|version| version.number), Some(3));
    for (day, first) in [
        ("2025-12-31", 1),
        ("2026-01-31", 1),
        ("2026-02-01", 1),
        ("2026-03-31", 1),
        ("2026-04-01", 4),
        ("2027-01-01", 4),
    ] {
        assert_eq!(applying(&published, date(day))[0].number, first, "{day}");
    }
    assert!(applying(&[], date("2026-01-01")).is_empty());
}

#[test]
fn only_the_first_version_is_dated_back() {
    let today = date("2026-03-10");
    let one = [version(1, "2026-01-01", false)];
    let later = [version(1, "2026-01-01", false), version(2, "2026-05-01", false)];
    let rows: [(&[ProgramVersion], &str, Option<&str>); 6] = [
        (&[], "2020-01-01", None),
        (&one, "2026-03-10", None),
        (&one, "2026-03-09", Some("2026-03-10")),
        (&later, "2026-05-02", None),
        (&later, "2026-05-01", Some("2026-05-02")),
        (&later, "2026-03-10", Some("2026-05-02")),
    ];
    for (published, from, earliest) in rows {
        let refused = earliest.map(|earliest| Refusal::DateBefore {
            field: "effectiveFrom",
            date: date(from),
            earliest: date(earliest),
        });
        assert_eq!(check_effective_from(date(from), today, published).err(), refused, "{from}");
    }
}

#[test]
fn the_tier_is_the_last_one_of_which_both_requirements_are_met() {
    let terms = terms();
    for (customers, revenue, reached) in [
        (0, 0, "SILVER"),
        (0, -5, "SILVER"),
        (9, 1_000_000, "SILVER"),
        (1_000, 99_999, "SILVER"),
        (10, 100_000, "GOLD"),
        (i64::MAX, i64::MAX, "GOLD"),
    ] {
        assert_eq!(tier_for(&terms, customers, revenue).map(|tier| tier.code.as_str()), Some(reached));
    }
    assert_eq!(tier_named(&terms, Some("GOLD")).map(|tier| tier.code.as_str()), Some("GOLD"));
    for gone in [None, Some("BRONZE")] {
        assert_eq!(tier_named(&terms, gone).map(|tier| tier.code.as_str()), Some("SILVER"));
    }
    assert_eq!(next_tier(&terms, "SILVER").map(|tier| tier.code.as_str()), Some("GOLD"));
    assert_eq!(next_tier(&terms, "GOLD"), None);
    assert_eq!(revenue_since("2026-03".parse().unwrap()), date("2025-03-01"));
}

#[test]
fn what_differs_is_named_by_its_path() {
    let before = terms();
    assert!(difference(&before, &before).is_empty());
    let mut after = before.clone();
    after.hold_days = 14;
    after.cancellation_window_days = None;
    after.upline.pop();
    after.tiers[1].phases[1].reward = Reward::Flat(500);
    after.tiers[1].phases.push(percent(25, 100));
    after.attribution.sources.reverse();
    let changes = difference(&before, &after);
    let said: Vec<_> = changes.iter().map(|c| (c.path.as_str(), c.before.clone(), c.after.clone())).collect();
    let reward = |json| Some(json);
    assert_eq!(
        said,
        [
            ("attribution.sources", Some(json!(["CODE", "LINK"])), Some(json!(["LINK", "CODE"]))),
            ("cancellationWindowDays", Some(json!(14)), None),
            ("holdDays", Some(json!(30)), Some(json!(14))),
            ("tiers[GOLD].phases[13].reward", reward(json!({ "percent": 1_500 })), reward(json!({ "flat": 500 }))),
            ("tiers[GOLD].phases[25]", None, Some(json!({ "fromMonth": 25, "reward": { "percent": 100 } }))),
            ("uplineBps[1]", Some(json!(500)), None),
        ]
    );
}
