//! The terms of a programme: what a published version says and never changes. Plain values.
//!
//! They are stored as one JSON document with the version; amounts are minor units of the programme's currency.

use billing_primitives::{BasisPoints, PlanId, text_enum};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Json;
use serde::{Deserialize, Serialize};

use crate::stripe::DisputePolicy;

text_enum! {
    /// What a commission is computed on.
    pub enum CommissionBase {
        /// What the customer paid, net of VAT, discounts and one-off items.
        NetRevenue = "NET_REVENUE",
        /// One month of the plan's list price; with [`Trigger::Conversion`] only.
        ListPrice = "LIST_PRICE",
    }
}

text_enum! {
    /// What earns a commission.
    pub enum Trigger { EveryPayment = "EVERY_PAYMENT", Conversion = "CONVERSION" }
}

text_enum! {
    /// How a partner gets what it earns.
    pub enum SettlementMode {
        /// By payout runs.
        Payout = "PAYOUT",
        /// What is payable pays the partner's next wholesale invoices.
        Credit = "CREDIT",
        /// Counted and never paid.
        ReportOnly = "REPORT_ONLY",
    }
}

text_enum! {
    /// What happens when a partner refers itself.
    pub enum SelfReferral { Block = "BLOCK", Flag = "FLAG" }
}

text_enum! {
    /// How a touch came about.
    pub enum TouchSource {
        Link = "LINK",
        LandingPage = "LANDING_PAGE",
        Code = "CODE",
        PromotionCode = "PROMOTION_CODE",
        LeadForm = "LEAD_FORM",
        ClaimLink = "CLAIM_LINK",
        Manual = "MANUAL",
    }
}

/// What one source earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reward {
    /// Of the base.
    Percent(BasisPoints),
    /// Minor units, once per subscription and period, never above the base.
    Flat(i64),
}

/// A reward from a month of the customer on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// 1 is the month of the first paid period (golden rule R5).
    pub from_month: u32,
    pub reward: Reward,
}

/// Phases in the order of their months, the first one from month 1.
pub type Rule = Vec<Phase>;

/// What a plan earns instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRule {
    pub plan: PlanId,
    pub phases: Rule,
}

/// A level of partners; the first one requires nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramTier {
    pub code: String,
    pub name: String,
    /// Attributed customers with a base still above zero.
    pub converted_customers: i64,
    /// Net bases of the twelve months before, minor units.
    pub net_revenue_minor: i64,
    pub phases: Rule,
}

/// How long a touch of a source competes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    pub source: TouchSource,
    pub days: u32,
}

/// How customers are credited to partners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttributionTerms {
    /// Sources in the order in which they win, and for how long; one that is not named does not compete.
    pub sources: Vec<Window>,
    pub self_referral: SelfReferral,
}

/// Everything a version of a programme says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Json)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    pub base: CommissionBase,
    pub trigger: Trigger,
    /// In the order of their rank.
    pub tiers: Vec<ProgramTier>,
    pub plan_rules: Vec<PlanRule>,
    /// Of level 2, 3, … on the commission of the level below; empty: strictly one hop.
    #[serde(rename = "uplineBps")]
    pub upline: Vec<BasisPoints>,
    /// All levels of one source together never exceed this share of its base.
    #[serde(rename = "maxShareBps")]
    pub max_share: BasisPoints,
    pub hold_days: u32,
    /// A subscription that ends within so many days after its first payment earns nothing.
    pub cancellation_window_days: Option<u32>,
    pub disputes: DisputePolicy,
    pub attribution: AttributionTerms,
    pub payout_threshold_minor: i64,
    /// Cron in the organization's time zone for payout runs; none: by hand only.
    pub payout_schedule: Option<String>,
}

/// What an enrollment earns otherwise than its programme says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Json)]
#[serde(rename_all = "camelCase")]
pub struct Overrides {
    /// Instead of tier and phase.
    pub phases: Option<Rule>,
    /// Before everything else.
    pub plan_rules: Vec<PlanRule>,
}

/// Kept as the JSON that serde writes.
macro_rules! stored_as_json {
    ($($name:ident),*) => {$(
        impl ToSql<Json, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                serde_json::to_writer(out, self)?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<Json, Pg> for $name {
            fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
                Ok(serde_json::from_slice(bytes.as_bytes())?)
            }
        }
    )*};
}

stored_as_json!(Terms, Overrides);
