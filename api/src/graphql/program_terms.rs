//! The terms of programmes: what they look like, and how they are said.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Result, SimpleObject};
use billing::programs::terms;
use billing::{Refusal, stripe};
use billing_primitives::{self as primitives, BasisPoints, PlanId};

use super::attribution::TouchSource;
use super::catalog::Plan;
use super::errors::{self, UserError};
use super::scalars::{Count, MinorUnits, Money};
use super::scope::{Scope, id};

/// What a commission is computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "terms::CommissionBase")]
pub enum CommissionBase {
    /// What the customer paid, net of VAT, discounts and one-off items.
    NetRevenue,
    /// One month of the plan's list price; with the trigger `CONVERSION` only.
    ListPrice,
}

/// What earns a commission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "terms::Trigger")]
pub enum CommissionTrigger {
    /// Each paid invoice.
    EveryPayment,
    /// The customer's subscription becoming active, once.
    Conversion,
}

/// When a chargeback takes revenue back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "stripe::DisputePolicy")]
pub enum DisputePolicy {
    /// When the money is withdrawn; it comes back when the dispute is won.
    ReverseAtOnce,
    /// When it is lost; until then nothing of the invoice is paid out.
    HoldUntilLost,
}

/// What happens when a partner refers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "terms::SelfReferral")]
pub enum SelfReferral {
    /// It is not credited.
    Block,
    /// It is credited, and marked for somebody to look at.
    Flag,
}

/// How a partner gets what it earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "terms::SettlementMode")]
pub enum SettlementMode {
    /// By payout runs.
    Payout,
    /// What is payable pays the partner's next wholesale invoices.
    Credit,
    /// Counted and never paid.
    ReportOnly,
}

/// Everything that a version of a programme says.
#[derive(Debug, Clone, SimpleObject)]
pub struct ProgramTerms {
    /// What a commission is computed on.
    pub base: CommissionBase,
    /// What earns a commission.
    pub trigger: CommissionTrigger,
    /// Levels of partners, from the lowest to the highest.
    pub tiers: Vec<ProgramTier>,
    /// What plans earn instead of tier and phase.
    pub plan_rules: Vec<CommissionPlanRule>,
    /// Of level 2, 3 and so on, on the commission of the level below, in hundredths of a per cent; empty: one level.
    pub upline_bps: Vec<i32>,
    /// All levels of one source together never exceed this share of its base, in hundredths of a per cent.
    pub max_share_bps: i32,
    /// Days from the payment until a commission is payable.
    pub hold_days: u32,
    /// A subscription that ends within so many days after its first payment earns nothing; null: there is no window.
    pub cancellation_window_days: Option<u32>,
    /// When a chargeback takes revenue back.
    pub disputes: DisputePolicy,
    /// How customers are credited to partners.
    pub attribution: AttributionTerms,
    /// What a payout is at least.
    pub payout_threshold: Money,
    /// When payout runs start, as a cron expression in the organization's time zone; null: by hand only.
    pub payout_schedule: Option<String>,
}

impl ProgramTerms {
    pub fn new(terms: terms::Terms, currency: primitives::Currency) -> Self {
        let tier = |tier| ProgramTier::new(tier, currency);
        let rule = |rule| CommissionPlanRule::new(rule, currency);
        ProgramTerms {
            base: terms.base.into(),
            trigger: terms.trigger.into(),
            tiers: terms.tiers.into_iter().map(tier).collect(),
            plan_rules: terms.plan_rules.into_iter().map(rule).collect(),
            upline_bps: terms.upline.into_iter().map(BasisPoints::get).collect(),
            max_share_bps: terms.max_share.get(),
            hold_days: terms.hold_days,
            cancellation_window_days: terms.cancellation_window_days,
            disputes: terms.disputes.into(),
            attribution: terms.attribution.into(),
            payout_threshold: money(terms.payout_threshold_minor, currency),
            payout_schedule: terms.payout_schedule,
        }
    }
}

fn money(minor: i64, currency: primitives::Currency) -> Money {
    primitives::Money::new(minor, currency).into()
}

/// A level of partners. It is reached by both requirements together.
#[derive(Debug, Clone, SimpleObject)]
pub struct ProgramTier {
    /// What stays the same from one version to the next.
    pub code: String,
    /// Its name, as people read it.
    pub name: String,
    /// Attributed customers with a base still above zero that it asks.
    pub converted_customers: Count,
    /// Net bases of the twelve months before that it asks.
    pub net_revenue: Money,
    /// What it earns, by months of the customer.
    pub phases: Vec<CommissionPhase>,
}

impl ProgramTier {
    pub fn new(tier: terms::ProgramTier, currency: primitives::Currency) -> Self {
        ProgramTier {
            code: tier.code,
            name: tier.name,
            converted_customers: Count(tier.converted_customers),
            net_revenue: money(tier.net_revenue_minor, currency),
            phases: phases(tier.phases, currency),
        }
    }
}

/// A reward from a month of the customer on, until the next phase begins: a rate or a flat amount.
#[derive(Debug, Clone, SimpleObject)]
pub struct CommissionPhase {
    /// 1 is the month of the customer's first paid period.
    pub from_month: u32,
    /// Of the base, in hundredths of a per cent; null: a flat amount.
    pub rate_bps: Option<i32>,
    /// Once per subscription and period, never above the base; null: a rate.
    pub flat: Option<Money>,
}

/// Phases as the API shows them.
pub fn phases(rule: terms::Rule, currency: primitives::Currency) -> Vec<CommissionPhase> {
    let phase = |phase: terms::Phase| match phase.reward {
        terms::Reward::Percent(rate) => {
            CommissionPhase { from_month: phase.from_month, rate_bps: Some(rate.get()), flat: None }
        }
        terms::Reward::Flat(minor) => {
            CommissionPhase { from_month: phase.from_month, rate_bps: None, flat: Some(money(minor, currency)) }
        }
    };
    rule.into_iter().map(phase).collect()
}

/// What a plan earns instead.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct CommissionPlanRule {
    /// What it earns, by months of the customer.
    pub phases: Vec<CommissionPhase>,
    #[graphql(skip)]
    plan: PlanId,
}

impl CommissionPlanRule {
    pub fn new(rule: terms::PlanRule, currency: primitives::Currency) -> Self {
        CommissionPlanRule { phases: phases(rule.phases, currency), plan: rule.plan }
    }
}

#[ComplexObject]
impl CommissionPlanRule {
    /// The plan.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        Ok(Scope::of(ctx)?.need(self.plan).await?.into())
    }
}

/// How customers are credited to partners.
#[derive(Debug, Clone, SimpleObject)]
pub struct AttributionTerms {
    /// Sources in the order in which they win; one that is not named does not compete.
    pub sources: Vec<AttributionWindow>,
    /// What happens when a partner refers itself.
    pub self_referral: SelfReferral,
}

impl From<terms::AttributionTerms> for AttributionTerms {
    fn from(terms: terms::AttributionTerms) -> Self {
        let window = |window: terms::Window| AttributionWindow { source: window.source.into(), days: window.days };
        AttributionTerms {
            sources: terms.sources.into_iter().map(window).collect(),
            self_referral: terms.self_referral.into(),
        }
    }
}

/// How long a touch of a source competes.
#[derive(Debug, Clone, SimpleObject)]
pub struct AttributionWindow {
    /// The source.
    pub source: TouchSource,
    /// Days from the touch on.
    pub days: u32,
}

/// What refusals of [`ProgramTermsInput`] are about.
const TERMS_FIELDS: [&str; 11] = [
    "attribution",
    "base",
    "cancellationWindowDays",
    "holdDays",
    "maxShareBps",
    "payoutSchedule",
    "payoutThresholdMinor",
    "planRules",
    "tiers",
    "trigger",
    "uplineBps",
];

/// The longest code that a message repeats, in characters; longer ones are refused anyway.
const MOST_QUOTED: usize = 50;

/// Everything that a version of a programme says. Amounts are minor units of the programme's currency.
#[derive(Debug, Clone, InputObject)]
pub struct ProgramTermsInput {
    /// What a commission is computed on.
    #[graphql(default_with = "CommissionBase::NetRevenue")]
    base: CommissionBase,
    /// What earns a commission.
    #[graphql(default_with = "CommissionTrigger::EveryPayment")]
    trigger: CommissionTrigger,
    /// Levels of partners, from the lowest to the highest; the first one requires nothing.
    tiers: Vec<ProgramTierInput>,
    /// What plans earn instead of tier and phase.
    #[graphql(default)]
    plan_rules: Vec<CommissionPlanRuleInput>,
    /// Of level 2, 3 and so on, on the commission of the level below, in hundredths of a per cent; at most 9.
    #[graphql(default)]
    upline_bps: Vec<i32>,
    /// All levels of one source together never exceed this share of its base; rates that would are refused.
    #[graphql(default = 10_000)]
    max_share_bps: i32,
    /// Days from the payment until a commission is payable, 0 to 3650.
    #[graphql(default = 30)]
    hold_days: i32,
    /// A subscription that ends within so many days after its first payment earns nothing; without it there is no window.
    cancellation_window_days: Option<i32>,
    /// When a chargeback takes revenue back.
    #[graphql(default_with = "DisputePolicy::ReverseAtOnce")]
    disputes: DisputePolicy,
    /// How customers are credited to partners.
    attribution: AttributionTermsInput,
    /// What a payout is at least, in minor units.
    #[graphql(default_with = "MinorUnits(0)")]
    payout_threshold_minor: MinorUnits,
    /// When payout runs start, as a cron expression of five fields; without one by hand only.
    payout_schedule: Option<String>,
}

impl ProgramTermsInput {
    pub fn terms(self) -> Result<terms::Terms, Refusal> {
        let tiers = self.tiers.into_iter().map(ProgramTierInput::tier).collect::<Result<_, _>>()?;
        let upline = self.upline_bps.into_iter().map(|rate| bps("uplineBps", rate)).collect::<Result<_, _>>()?;
        let window = self.cancellation_window_days.map(|days| count("cancellationWindowDays", days)).transpose()?;
        Ok(terms::Terms {
            base: self.base.into(),
            trigger: self.trigger.into(),
            tiers,
            plan_rules: plan_rules(self.plan_rules)?,
            upline,
            max_share: bps("maxShareBps", self.max_share_bps)?,
            hold_days: count("holdDays", self.hold_days)?,
            cancellation_window_days: window,
            disputes: self.disputes.into(),
            attribution: self.attribution.terms()?,
            payout_threshold_minor: self.payout_threshold_minor.0,
            payout_schedule: self.payout_schedule,
        })
    }
}

/// A level of partners.
#[derive(Debug, Clone, InputObject)]
pub struct ProgramTierInput {
    /// What stays the same from one version to the next: letters, digits, - and _.
    code: String,
    /// Its name, as people read it.
    name: String,
    /// Attributed customers with a base still above zero that it asks.
    #[graphql(default_with = "Count(0)")]
    converted_customers: Count,
    /// Net bases of the twelve months before that it asks, in minor units.
    #[graphql(default_with = "MinorUnits(0)")]
    net_revenue_minor: MinorUnits,
    /// What it earns, by months of the customer.
    phases: Vec<CommissionPhaseInput>,
}

impl ProgramTierInput {
    fn tier(self) -> Result<terms::ProgramTier, Refusal> {
        let phases = rule("tiers", &self.code, self.phases)?;
        Ok(terms::ProgramTier {
            code: self.code,
            name: self.name,
            converted_customers: self.converted_customers.0,
            net_revenue_minor: self.net_revenue_minor.0,
            phases,
        })
    }
}

/// A reward from a month of the customer on: a rate or a flat amount, one of the two.
#[derive(Debug, Clone, InputObject)]
pub struct CommissionPhaseInput {
    /// 1 is the month of the customer's first paid period, with which the first phase begins.
    from_month: i32,
    /// Of the base, in hundredths of a per cent: 2000 is 20 %.
    rate_bps: Option<i32>,
    /// In minor units of the programme's currency, once per subscription and period, never above the base.
    flat_minor: Option<MinorUnits>,
}

/// Reads phases; `field` is where they stand, and `of` whose they are.
///
/// # Errors
/// [`Refusal::Invalid`] with `field`; the reason says which phase.
pub fn rule(field: &'static str, of: &str, phases: Vec<CommissionPhaseInput>) -> Result<terms::Rule, Refusal> {
    let phase = |(place, phase): (usize, CommissionPhaseInput)| {
        let wrong = |reason: String| {
            let of: String = of.chars().take(MOST_QUOTED).collect();
            Refusal::invalid(field, format!("{of}: phases[{place}]: {reason}"))
        };
        let from_month = u32::try_from(phase.from_month);
        let from_month = from_month.map_err(|_| wrong(format!("fromMonth {} is below zero", phase.from_month)))?;
        let reward = match (phase.rate_bps, phase.flat_minor) {
            (Some(rate), None) => {
                let rate = BasisPoints::new(rate.into()).map_err(|error| wrong(error.to_string()))?;
                terms::Reward::Percent(rate)
            }
            (None, Some(flat)) => terms::Reward::Flat(flat.0),
            _ => return Err(wrong("a phase has rateBps or flatMinor, one of the two".to_owned())),
        };
        Ok(terms::Phase { from_month, reward })
    };
    phases.into_iter().enumerate().map(phase).collect()
}

/// What a plan earns instead.
#[derive(Debug, Clone, InputObject)]
pub struct CommissionPlanRuleInput {
    /// The id of the plan.
    plan: ID,
    /// What it earns, by months of the customer.
    phases: Vec<CommissionPhaseInput>,
}

/// # Errors
/// [`Refusal::NotFound`] for a text that is no id, [`Refusal::Invalid`].
fn plan_rules(given: Vec<CommissionPlanRuleInput>) -> Result<Vec<terms::PlanRule>, Refusal> {
    let one = |given: CommissionPlanRuleInput| {
        let plan = id("planRules", "plan", &given.plan)?;
        Ok(terms::PlanRule { plan, phases: rule("planRules", &given.plan, given.phases)? })
    };
    given.into_iter().map(one).collect()
}

/// How customers are credited to partners.
#[derive(Debug, Clone, InputObject)]
pub struct AttributionTermsInput {
    /// Sources in the order in which they win; one that is not named does not compete.
    sources: Vec<AttributionWindowInput>,
    /// What happens when a partner refers itself.
    #[graphql(default_with = "SelfReferral::Block")]
    self_referral: SelfReferral,
}

impl AttributionTermsInput {
    fn terms(self) -> Result<terms::AttributionTerms, Refusal> {
        let window = |given: AttributionWindowInput| {
            let source: terms::TouchSource = given.source.into();
            let below = |_| Refusal::invalid("attribution", format!("{source}: {} days are below zero", given.days));
            Ok(terms::Window { source, days: u32::try_from(given.days).map_err(below)? })
        };
        let sources = self.sources.into_iter().map(window).collect::<Result<_, Refusal>>()?;
        Ok(terms::AttributionTerms { sources, self_referral: self.self_referral.into() })
    }
}

/// How long a touch of a source competes.
#[derive(Debug, Clone, InputObject)]
pub struct AttributionWindowInput {
    /// The source.
    source: TouchSource,
    /// Days from the touch on, 1 to 3650.
    days: i32,
}

/// What an enrollment earns otherwise than its programme says.
#[derive(Debug, Clone, Default, InputObject)]
pub struct OverridesInput {
    /// Instead of tier and phase; without them the programme's hold.
    phases: Option<Vec<CommissionPhaseInput>>,
    /// What plans earn, before everything else.
    #[graphql(default)]
    plan_rules: Vec<CommissionPlanRuleInput>,
}

/// Puts errors about terms where a mutation's input has them: in its `terms`.
pub fn place_terms(errors: &mut [UserError]) {
    for field in TERMS_FIELDS {
        errors::place(errors, field, &["terms", field]);
    }
}

/// As [`place_terms`], for overrides.
pub fn place_overrides(errors: &mut [UserError]) {
    for field in ["phases", "planRules"] {
        errors::place(errors, field, &["overrides", field]);
    }
}

/// Overrides as they were given, or none.
///
/// # Errors
/// [`Refusal::NotFound`] for a text that is no id, [`Refusal::Invalid`].
pub fn overrides(given: Option<OverridesInput>) -> Result<terms::Overrides, Refusal> {
    let given = given.unwrap_or_default();
    let phases = given.phases.map(|phases| rule("phases", "the default", phases)).transpose()?;
    Ok(terms::Overrides { phases, plan_rules: plan_rules(given.plan_rules)? })
}

fn bps(field: &'static str, rate: i32) -> Result<BasisPoints, Refusal> {
    BasisPoints::new(rate.into()).map_err(|error| Refusal::invalid(field, error))
}

fn count(field: &'static str, given: i32) -> Result<u32, Refusal> {
    u32::try_from(given).map_err(|_| Refusal::invalid(field, format!("{given} is below zero")))
}
