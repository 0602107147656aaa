//! What terms and agreements may say. Every refusal names the field in the API's spelling.

use std::collections::BTreeSet;

use super::share;
use crate::error::{Refusal, quoted};
use crate::organizations::rules::{payout_schedule, text};
use crate::programs::terms::{
    AttributionTerms, CommissionBase, Overrides, Phase, PlanRule, ProgramTier, Reward, Rule, Terms, Trigger,
};

/// Levels above the first.
const MOST_UPLINE: usize = 9;

/// Ten years.
const MOST_DAYS: u32 = 3_650;

/// A hundred years: later phases are typing errors.
const MOST_MONTHS: u32 = 1_200;

/// Tiers, phases and plan rules of one version: beyond that nobody reads them any more.
const MOST_ENTRIES: usize = 200;

/// # Errors
/// [`Refusal::Invalid`] with the first field that cannot be right.
pub fn check_terms(terms: &Terms) -> Result<(), Refusal> {
    if terms.base == CommissionBase::ListPrice && terms.trigger == Trigger::EveryPayment {
        return Err(Refusal::invalid("base", "LIST_PRICE goes with the trigger CONVERSION only"));
    }
    check_tiers(&terms.tiers)?;
    check_plan_rules(&terms.plan_rules)?;
    if terms.upline.len() > MOST_UPLINE {
        return Err(Refusal::invalid("uplineBps", format!("at most {MOST_UPLINE} levels above the first")));
    }
    check_days("holdDays", terms.hold_days, 0)?;
    if let Some(days) = terms.cancellation_window_days {
        check_days("cancellationWindowDays", days, 1)?;
    }
    check_attribution(&terms.attribution)?;
    if terms.payout_threshold_minor < 0 {
        return Err(Refusal::invalid("payoutThresholdMinor", "is below zero"));
    }
    if let Some(cron) = &terms.payout_schedule {
        payout_schedule(cron)?;
    }
    share::check_terms(terms)
}

/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn check_overrides(overrides: &Overrides) -> Result<(), Refusal> {
    if let Some(phases) = &overrides.phases {
        check_phases("phases", "the default", phases)?;
    }
    check_plan_rules(&overrides.plan_rules)
}

fn check_tiers(tiers: &[ProgramTier]) -> Result<(), Refusal> {
    let wrong = |reason: String| Err(Refusal::invalid("tiers", reason));
    let Some(first) = tiers.first() else { return wrong("there is at least one tier".to_owned()) };
    if tiers.len() > MOST_ENTRIES {
        return wrong(format!("at most {MOST_ENTRIES}"));
    }
    if first.converted_customers != 0 || first.net_revenue_minor != 0 {
        return wrong(format!("{}: the first tier requires nothing", first.code));
    }
    let mut codes = BTreeSet::new();
    for tier in tiers {
        check_code(&tier.code)?;
        text("tiers", &tier.name)?;
        if !codes.insert(&tier.code) {
            return wrong(format!("{} stands twice", tier.code));
        }
        check_phases("tiers", &tier.code, &tier.phases)?;
    }
    for (lower, upper) in tiers.iter().zip(tiers.iter().skip(1)) {
        let (customers, revenue) = (
            upper.converted_customers.cmp(&lower.converted_customers),
            upper.net_revenue_minor.cmp(&lower.net_revenue_minor),
        );
        if customers.is_lt() || revenue.is_lt() {
            return wrong(format!("{} requires less than {}, the tier below it", upper.code, lower.code));
        }
        if customers.is_eq() && revenue.is_eq() {
            return wrong(format!("{} requires no more than {}, the tier below it", upper.code, lower.code));
        }
    }
    Ok(())
}

/// Codes stand in paths and in evaluations.
fn check_code(code: &str) -> Result<(), Refusal> {
    let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if plain && (1..=50).contains(&code.len()) {
        return Ok(());
    }
    Err(Refusal::invalid("tiers", format!("{:?} is no code: 1 to 50 letters, digits, - and _", quoted(code))))
}

fn check_phases(field: &'static str, of: &str, phases: &Rule) -> Result<(), Refusal> {
    let wrong = |reason: String| Err(Refusal::invalid(field, format!("{of}: {reason}")));
    match phases.first() {
        None => return wrong("there is at least one phase".to_owned()),
        Some(Phase { from_month: 1, .. }) => {}
        Some(first) => return wrong(format!("the first phase begins with month 1, not {}", first.from_month)),
    }
    if phases.len() > MOST_ENTRIES {
        return wrong(format!("at most {MOST_ENTRIES} phases"));
    }
    for (phase, next) in phases.iter().zip(phases.iter().skip(1)) {
        if next.from_month <= phase.from_month {
            return wrong(format!("overlapping phases: month {} follows month {}", next.from_month, phase.from_month));
        }
    }
    for phase in phases {
        if phase.from_month > MOST_MONTHS {
            return wrong(format!("month {} lies beyond month {MOST_MONTHS}", phase.from_month));
        }
        if matches!(phase.reward, Reward::Flat(minor) if minor < 0) {
            return wrong(format!("the reward from month {} is below zero", phase.from_month));
        }
    }
    Ok(())
}

fn check_plan_rules(rules: &[PlanRule]) -> Result<(), Refusal> {
    if rules.len() > MOST_ENTRIES {
        return Err(Refusal::invalid("planRules", format!("at most {MOST_ENTRIES}")));
    }
    let mut plans = BTreeSet::new();
    for rule in rules {
        if !plans.insert(rule.plan) {
            return Err(Refusal::invalid("planRules", format!("{} has two rules", rule.plan)));
        }
        check_phases("planRules", &rule.plan.to_string(), &rule.phases)?;
    }
    Ok(())
}

fn check_attribution(attribution: &AttributionTerms) -> Result<(), Refusal> {
    let mut sources = BTreeSet::new();
    for window in &attribution.sources {
        if !sources.insert(window.source) {
            return Err(Refusal::invalid("attribution", format!("{} stands twice", window.source)));
        }
        check_days("attribution", window.days, 1)?;
    }
    Ok(())
}

fn check_days(field: &'static str, days: u32, least: u32) -> Result<(), Refusal> {
    if (least..=MOST_DAYS).contains(&days) {
        return Ok(());
    }
    Err(Refusal::invalid(field, format!("{days} is not {least} to {MOST_DAYS} days")))
}
