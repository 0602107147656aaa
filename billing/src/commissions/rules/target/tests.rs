//! Tables of rules, lines and levels, and what a trace says.

use billing_primitives::{Date, PlanId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::programs::terms::{
    AttributionTerms, CommissionBase, Phase, PlanRule, ProgramTier, Reward, Rule, SelfReferral, Trigger,
};
use crate::stripe::DisputePolicy;

fn bps(bps: i64) -> BasisPoints {
    BasisPoints::new(bps).unwrap()
}

fn percent(rate: i64) -> Rule {
    vec![Phase { from_month: 1, reward: Reward::Percent(bps(rate)) }]
}

fn flat(amount: i64) -> Rule {
    vec![Phase { from_month: 1, reward: Reward::Flat(amount) }]
}

fn tier(code: &str, phases: Rule) -> ProgramTier {
    ProgramTier { code: code.to_owned(), name: code.to_owned(), converted_customers: 0, net_revenue_minor: 0, phases }
}

/// BASE earns 10 % and GOLD 20 % in months 1 to 12, then 15 %.
fn terms(plan_rules: Vec<PlanRule>, upline: &[i64]) -> Terms {
    let mut gold = percent(2000);
    gold.push(Phase { from_month: 13, reward: Reward::Percent(bps(1500)) });
    Terms {
        base: CommissionBase::NetRevenue,
        trigger: Trigger::EveryPayment,
        tiers: vec![tier("BASE", percent(1000)), tier("GOLD", gold)],
        plan_rules,
        upline: upline.iter().copied().map(bps).collect(),
        max_share: bps(10_000),
        hold_days: 30,
        cancellation_window_days: None,
        disputes: DisputePolicy::ReverseAtOnce,
        attribution: AttributionTerms { sources: vec![], self_referral: SelfReferral::Block },
        payout_threshold_minor: 0,
        payout_schedule: None,
    }
}

fn earner<'a>(tier: &'a str, overrides: &'a Overrides, settlement: SettlementMode) -> Earner<'a> {
    Earner { enrollment: EnrollmentId::new(), partner: PartnerId::new(), settlement, tier, overrides }
}

fn line(plan: Option<PlanId>, net: i64) -> SourceLine {
    let period_start = Some("2026-03-01".parse().unwrap());
    SourceLine { plan, net, subscription: Some("sub_1".into()), proration: false, period_start, flat_taken: false }
}

fn source(base: i64, lines: &[SourceLine], month_no: u32) -> Source<'_> {
    Source { currency: Currency::DKK, base, lines, month_no, reversed: Share::default() }
}

/// What level 1 of tier GOLD earns in month 1.
fn level_1(base: i64, lines: &[SourceLine], terms: &Terms) -> i64 {
    let overrides = Overrides::default();
    let chain = [earner("GOLD", &overrides, SettlementMode::Payout)];
    targets(&source(base, lines, 1), &Deal { terms, chain: &chain }).unwrap()[0].earned
}

#[test]
fn the_enrollment_comes_before_the_programme_and_the_plan_before_the_default() {
    let [plan, other] = [PlanId::new(), PlanId::new()];
    let rule = |phases| vec![PlanRule { plan, phases }];
    let none = Overrides::default();
    let of_plan = Overrides { phases: Some(percent(4000)), plan_rules: rule(percent(5000)) };
    let default = Overrides { phases: Some(percent(4000)), plan_rules: vec![] };
    let terms = terms(rule(percent(3000)), &[]);
    for (overrides, tier, sold, month_no, earned, origin) in [
        (&of_plan, "GOLD", Some(plan), 1, 5000, "ENROLLMENT_PLAN"),
        (&of_plan, "GOLD", Some(other), 1, 4000, "ENROLLMENT_DEFAULT"),
        (&default, "GOLD", Some(plan), 1, 4000, "ENROLLMENT_DEFAULT"),
        (&none, "GOLD", Some(plan), 1, 3000, "PROGRAM_PLAN"),
        (&none, "GOLD", Some(other), 12, 2000, "TIER"),
        (&none, "GOLD", Some(other), 13, 1500, "TIER"),
        (&none, "BASE", Some(other), 13, 1000, "TIER"),
        (&none, "GOLD", None, 1, 2000, "TIER"),
        (&default, "GOLD", None, 1, 4000, "ENROLLMENT_DEFAULT"),
        // A tier that the version does not know is the lowest one.
        (&none, "PLATINUM", None, 1, 1000, "TIER"),
    ] {
        let chain = [earner(tier, overrides, SettlementMode::Payout)];
        let lines = [line(sold, 10_000)];
        let targets = targets(&source(10_000, &lines, month_no), &Deal { terms: &terms, chain: &chain }).unwrap();
        assert_eq!(targets[0].earned, earned, "{origin} {tier} {month_no}");
        let trace: Value = serde_json::from_str(&targets[0].trace).unwrap();
        assert_eq!(trace["reward"]["lines"][0]["rule"], origin);
    }
}

#[test]
fn percents_of_several_rules_are_rounded_once() {
    let plan = PlanId::new();
    let terms = terms(vec![PlanRule { plan, phases: percent(3333) }], &[]);
    for (base, nets, expected) in [
        // (3 × 3333 + 3 × 2000) / 10000 = 1.5999: line by line it would be 1 + 1.
        (6, (3, 3), 2),
        // Half of it was paid.
        (3, (3, 3), 1),
        // One line takes back more than the other brings.
        (100, (300, -200), 60),
        (-100, (-50, -50), -27),
        // Lines that add up to nothing share nothing.
        (100, (50, -50), 0),
        (0, (50, 50), 0),
    ] {
        let lines = [line(Some(plan), nets.0), line(None, nets.1)];
        assert_eq!(level_1(base, &lines, &terms), expected, "{base} {nets:?}");
    }
    assert_eq!(level_1(100, &[], &terms), 0);
}

#[test]
fn a_flat_amount_is_earned_once_per_subscription_and_period() {
    let plan = PlanId::new();
    let terms = terms(vec![PlanRule { plan, phases: flat(500) }], &[]);
    let whole = line(Some(plan), 10_000);
    let proration = SourceLine { proration: true, ..whole.clone() };
    let taken = SourceLine { flat_taken: true, ..whole.clone() };
    let other = SourceLine { subscription: Some("sub_2".into()), ..whole.clone() };
    let next = SourceLine { period_start: Some("2026-04-01".parse::<Date>().unwrap()), ..whole.clone() };
    let by_percent = line(None, 10_000);
    for (base, lines, expected) in [
        (10_000, vec![&whole], 500),
        (20_000, vec![&whole, &whole], 500),
        (20_000, vec![&whole, &proration], 500),
        (20_000, vec![&whole, &other], 1000),
        (20_000, vec![&whole, &next], 1000),
        (10_000, vec![&proration], 0),
        (10_000, vec![&taken], 0),
        // Another line of the same period says that it was taken.
        (20_000, vec![&whole, &taken], 0),
        // The percent line earns on its half of the base.
        (20_000, vec![&whole, &by_percent], 500 + 2000),
        // Never above the base.
        (300, vec![&whole], 300),
        (600, vec![&whole, &other], 600),
        (0, vec![&whole], 0),
        // Below zero only the percent part is the mirror.
        (-20_000, vec![&whole, &by_percent], -2000),
        (-300, vec![&whole], 0),
    ] {
        let lines: Vec<SourceLine> = lines.into_iter().cloned().collect();
        assert_eq!(level_1(base, &lines, &terms), expected, "{base} {lines:?}");
    }
}

#[test]
fn what_a_flat_amount_has_above_the_base_feeds_no_upline() {
    let plan = PlanId::new();
    let terms = terms(vec![PlanRule { plan, phases: flat(500) }], &[1000]);
    let overrides = Overrides::default();
    let chain = [earner("GOLD", &overrides, SettlementMode::Payout); 2];
    let lines = [line(Some(plan), 300)];
    let targets = targets(&source(300, &lines, 1), &Deal { terms: &terms, chain: &chain }).unwrap();
    assert_eq!([targets[0].earned, targets[1].earned], [300, 0]);
    let traces = targets.iter().map(|target| serde_json::from_str(&target.trace).unwrap());
    let [first, second]: [Value; 2] = traces.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!([&first["reward"]["flat"], &first["reward"]["amount"]], [500, 300]);
    assert_eq!([&second["levelBelow"], &second["rounded"]], [300, 30]);
}

#[test]
fn of_two_flat_amounts_of_one_period_the_higher_counts() {
    let [small, large] = [PlanId::new(), PlanId::new()];
    let rules = vec![PlanRule { plan: small, phases: flat(200) }, PlanRule { plan: large, phases: flat(700) }];
    let terms = terms(rules, &[]);
    let [one, two] = [line(Some(small), 5000), line(Some(large), 5000)];
    for lines in [[one.clone(), two.clone()], [two, one]] {
        assert_eq!(level_1(10_000, &lines, &terms), 700);
    }
}

/// Earned and reversed of every level of a chain with these settlements.
fn chain_of(settlements: &[SettlementMode], base: i64, reversed: Share, terms: &Terms) -> Vec<(i64, i64)> {
    let overrides = Overrides { phases: Some(percent(9000)), plan_rules: vec![] };
    let none = Overrides::default();
    // Overrides and tier of the upline do not count.
    let of = |index| if index == 0 { &none } else { &overrides };
    let earner = |(index, settlement): (usize, &SettlementMode)| earner("GOLD", of(index), *settlement);
    let chain: Vec<Earner<'_>> = settlements.iter().enumerate().map(earner).collect();
    let lines = [line(None, base)];
    let source = Source { reversed, ..source(base, &lines, 1) };
    let targets = targets(&source, &Deal { terms, chain: &chain }).unwrap();
    for (index, target) in targets.iter().enumerate() {
        assert_eq!(usize::try_from(target.level), Ok(index + 1));
        assert_eq!((target.enrollment, target.settlement), (chain[index].enrollment, settlements[index]));
        if let Some(below) = index.checked_sub(1) {
            let trace: Value = serde_json::from_str(&target.trace).unwrap();
            assert_eq!(trace["bps"], json!(terms.upline[below]));
        }
    }
    targets.iter().map(|target| (target.earned, target.reversed)).collect()
}

#[test]
fn the_upline_earns_as_far_as_there_are_rates_and_nobody_above_a_reported_commission() {
    use SettlementMode::{Credit, Payout, ReportOnly};
    let terms = terms(vec![], &[1000, 500]);
    let nothing = Share::default();
    for (settlements, expected) in [
        (&[][..], &[][..]),
        (&[Payout], &[(2000, 0)]),
        (&[Payout, Credit, Payout], &[(2000, 0), (200, 0), (10, 0)]),
        (&[Payout, Payout, Payout, Payout], &[(2000, 0), (200, 0), (10, 0)]),
        (&[ReportOnly, Payout], &[(2000, 0)]),
        (&[Payout, ReportOnly, Payout], &[(2000, 0), (200, 0)]),
    ] {
        assert_eq!(chain_of(settlements, 9999, nothing, &terms), expected, "{settlements:?}");
    }
    let third = Share { part: 3333, whole: 9999 };
    assert_eq!(chain_of(&[Payout; 3], 9999, third, &terms), [(2000, 667), (200, 67), (10, 3)]);
    let all = Share { part: 9999, whole: 9999 };
    assert_eq!(chain_of(&[Payout; 3], 9999, all, &terms), [(2000, 2000), (200, 200), (10, 10)]);
    // A negative base has neither a cap nor a reversal.
    assert_eq!(chain_of(&[Payout; 3], -9999, all, &terms), [(-2000, 0), (-200, 0), (-10, 0)]);
    let capped = Terms { max_share: bps(2100), ..terms };
    assert_eq!(chain_of(&[Payout; 3], 9999, third, &capped), [(2000, 667), (100, 33), (0, 0)]);
}

#[test]
fn a_trace_explains_the_amount_and_reads_back_as_the_same_text() {
    let plan = PlanId::new();
    let overrides = Overrides::default();
    let terms = Terms { max_share: bps(2150), ..terms(vec![], &[1000]) };
    let chain = ["GOLD", ""].map(|tier| earner(tier, &overrides, SettlementMode::Payout));
    let lines = [line(Some(plan), 12_345)];
    let source = Source { reversed: Share { part: 5000, whole: 12_345 }, ..source(12_345, &lines, 1) };
    let targets = targets(&source, &Deal { terms: &terms, chain: &chain }).unwrap();
    let cap = json!({ "maxShareBps": 2150, "exact": "26541750/10000", "limit": 2654, "total": 2716 });
    let phase = json!({ "fromMonth": 1, "reward": { "percent": 2000 } });
    let told = json!({
        "plan": plan, "net": 12_345, "subscription": "sub_1", "proration": false, "periodStart": "2026-03-01",
        "rule": "TIER", "tier": "GOLD", "phase": phase, "flat": null,
    });
    let expected = [
        json!({
            "base": 12_345, "currency": "DKK", "level": 1, "settlement": "PAYOUT", "monthNo": 1, "tier": "GOLD",
            "reward": { "lines": [told], "exactPercent": "24690000/10000", "percent": 2469, "flat": 0, "amount": 2469 },
            "rounded": 2469, "cap": cap, "earned": 2469,
            "reversal": { "part": 5000, "whole": 12_345, "exact": "12345000/12345", "reversed": 1000 },
            "rules": ["R1", "R5", "R6", "R7"],
        }),
        json!({
            "base": 12_345, "currency": "DKK", "level": 2, "settlement": "PAYOUT",
            "levelBelow": 2469, "bps": 1000, "exact": "2469000/10000", "rounded": 247, "cap": cap, "earned": 185,
            "reversal": { "part": 5000, "whole": 12_345, "exact": "925000/12345", "reversed": 75 },
            "rules": ["R1", "R6", "R7"],
        }),
    ];
    for (target, expected) in targets.iter().zip(expected) {
        assert_eq!(target.trace, expected.to_string());
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let overrides = Overrides::default();
    let terms = terms(vec![], &[10_000]);
    let chain = [earner("GOLD", &overrides, SettlementMode::Payout); 2];
    let lines = [line(None, i64::MAX), line(None, i64::MAX - 2)];
    // The rate is one, so the large sum cancels out.
    assert!(targets(&source(i64::MAX, &lines, 1), &Deal { terms: &terms, chain: &chain }).is_ok());
    let plan = PlanId::new();
    let mixed = Terms { plan_rules: vec![PlanRule { plan, phases: percent(1) }], ..terms };
    let lines = [line(Some(plan), i64::MAX), line(None, i64::MAX - 2)];
    let refused = targets(&source(i64::MAX, &lines, 1), &Deal { terms: &mixed, chain: &chain });
    assert_eq!(refused, Err(MoneyError::Overflow));
}

proptest! {
    #[test]
    fn a_paid_invoice_earns_at_most_its_base_and_mirrors_a_negative_one(
        nets in prop::collection::vec(1..100_000_i64, 1..6),
        paid in 0..10_000_i64,
        share in 0..10_000_i64,
    ) {
        use SettlementMode::Payout;
        let terms = Terms { max_share: bps(share), ..terms(vec![], &[5000, 5000]) };
        let base = nets.iter().sum::<i64>() * paid / 10_000;
        let levels = chain_of(&[Payout; 3], base, Share::default(), &terms);
        let sum: i64 = levels.iter().map(|(earned, _)| earned).sum();
        prop_assert!(sum <= base * share / 10_000 + 1 && sum <= base);

        let uncapped = Terms { max_share: bps(10_000), ..terms };
        let there = chain_of(&[Payout; 3], base, Share::default(), &uncapped);
        let back = chain_of(&[Payout; 3], -base, Share::default(), &uncapped);
        prop_assert!(there.iter().zip(&back).all(|(there, back)| there.0 == -back.0));
    }

    #[test]
    fn the_order_of_lines_does_not_matter(
        lines in prop::collection::vec((0..3_usize, -5_000..20_000_i64, 0..2_usize, any::<bool>()), 1..8),
        turn in 0..8_usize,
    ) {
        let plans = [PlanId::new(), PlanId::new(), PlanId::new()];
        let rules = [flat(300), percent(2500), flat(900)];
        let rules = plans.iter().zip(rules).map(|(plan, phases)| PlanRule { plan: *plan, phases });
        let terms = terms(rules.collect(), &[]);
        let mut lines: Vec<SourceLine> = lines
            .into_iter()
            .map(|(plan, net, subscription, proration)| SourceLine {
                subscription: Some(format!("sub_{subscription}")),
                proration,
                ..line(Some(plans[plan]), net)
            })
            .collect();
        let base: i64 = lines.iter().map(|line| line.net).sum();
        let before = level_1(base, &lines, &terms);
        let by = turn % lines.len();
        lines.rotate_left(by);
        prop_assert_eq!(level_1(base, &lines, &terms), before);
        prop_assert!(base < 0 || before <= base);
    }
}
