//! Wholesale tiers: versions of the table, pins, and what each finalized month came to.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::{Refusal, tiers};
use billing_primitives::{BasisPoints, PartnerId, TierTableId};

use super::connection::{Connection, List};
use super::errors;
use super::loaders::TiersOf;
use super::partners::Partner;
use super::scalars::{Count, DateTime, Month};
use super::scope::{Scope, id};
use crate::payloads;

/// Why a tier is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tiers::Reason")]
pub enum TierReason {
    /// It is what the month's users reach.
    Measured,
    /// The month's users do not reach last month's tier, which is forgiven for a while.
    Grace,
    /// Somebody decided so.
    Pinned,
}

/// A version of the wholesale tiers, from a month on.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct TierTable {
    /// The global id.
    pub id: ID,
    /// The first month it holds for.
    pub effective_from: Month,
    /// Months in a row below the billed tier that are forgiven.
    pub grace_months: i32,
    /// Not confirmed yet: drafts may be made under it, finalizing is refused.
    pub indicative: bool,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime>,
    /// When it was published.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: TierTableId,
}

impl From<tiers::TierTable> for TierTable {
    fn from(row: tiers::TierTable) -> Self {
        TierTable {
            id: row.id.into(),
            effective_from: row.effective_from.into(),
            grace_months: row.grace_months,
            indicative: row.indicative,
            confirmed_at: row.confirmed_at.map(Into::into),
            created_at: row.created_at.into(),
            key: row.id,
        }
    }
}

#[ComplexObject]
impl TierTable {
    /// Its levels, from the lowest to the highest.
    async fn tiers(&self, ctx: &Context<'_>) -> Result<Vec<Tier>> {
        let tiers = Scope::of(ctx)?.list(TiersOf(self.key)).await?;
        Ok(tiers.into_iter().map(Tier::from).collect())
    }
}

/// One wholesale level.
#[derive(Debug, Clone, SimpleObject)]
pub struct Tier {
    /// What stays the same from one version of the table to the next.
    pub code: String,
    /// Its name, as people read it.
    pub name: String,
    /// The number of users from which on it is reached.
    pub from_users: Count,
    /// Its discount on list prices, in hundredths of a per cent: 1500 is 15 %.
    pub discount_bps: i32,
}

impl From<tiers::Tier> for Tier {
    fn from(row: tiers::Tier) -> Self {
        Tier { code: row.code, name: row.name, from_users: Count(row.from_users), discount_bps: row.discount_bps.get() }
    }
}

/// A partner's tier held by decision.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct TierPin {
    /// The global id.
    pub id: ID,
    /// The first month.
    pub from_month: Month,
    /// The last month; null: until it is ended.
    pub through_month: Option<Month>,
    /// The code of the tier.
    pub tier: String,
    /// Why it was decided.
    pub reason: String,
    /// When it was made; of two for one month the one made last holds.
    pub created_at: DateTime,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<tiers::TierPin> for TierPin {
    fn from(row: tiers::TierPin) -> Self {
        TierPin {
            id: row.id.into(),
            from_month: row.from_month.into(),
            through_month: row.through_month.map(Into::into),
            tier: row.tier_code,
            reason: row.reason,
            created_at: row.created_at.into(),
            partner: row.partner_id,
        }
    }
}

#[ComplexObject]
impl TierPin {
    /// Whose tier it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }
}

/// The tier of a partner's finalized month, and why. It is never reopened.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct TierEvaluation {
    /// The month.
    pub month: Month,
    /// Users of all the partner's customers: seat-days of plans that count users / days of the month, rounded down.
    pub users: Count,
    /// The code of the tier that the users reach.
    pub measured_tier: String,
    /// The code of the tier that is billed.
    pub billed_tier: String,
    /// The discount of the billed tier, in hundredths of a per cent.
    pub discount_bps: i32,
    /// Why this tier is billed.
    pub reason: TierReason,
    /// Months in a row, this one included, that were forgiven.
    pub months_below: i32,
    /// When it was written.
    pub created_at: DateTime,
    #[graphql(skip)]
    partner: PartnerId,
    #[graphql(skip)]
    tier_table: TierTableId,
}

impl From<tiers::TierEvaluation> for TierEvaluation {
    fn from(row: tiers::TierEvaluation) -> Self {
        TierEvaluation {
            month: row.month.into(),
            users: Count(row.users),
            measured_tier: row.measured_tier,
            billed_tier: row.billed_tier,
            discount_bps: row.discount_bps.get(),
            reason: row.reason.into(),
            months_below: row.months_below,
            created_at: row.created_at.into(),
            partner: row.partner_id,
            tier_table: row.tier_table_id,
        }
    }
}

#[ComplexObject]
impl TierEvaluation {
    /// Whose month it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// The table it was measured by.
    async fn tier_table(&self, ctx: &Context<'_>) -> Result<TierTable> {
        Ok(Scope::of(ctx)?.need(self.tier_table).await?.into())
    }
}

#[derive(Default)]
pub struct TierQuery;

#[Object]
impl TierQuery {
    /// All tier tables, the newest first.
    async fn tier_tables(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<TierTable>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("tierTables", scope.organization(), first, after.as_deref())?;
        let slice = tiers::list(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |table| table.effective_from)
    }

    /// A partner's pins, in the order in which they were made.
    async fn tier_pins(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the partner.")] partner: ID,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<TierPin>> {
        let scope = Scope::of(ctx)?;
        let partner = id("partner", "partner", &partner)?;
        let list = List::of("tierPins", scope.organization(), first, after.as_deref())?;
        let slice = tiers::pins_of(&scope.billing, scope.organization(), partner, &list.page).await?;
        list.connection(slice, |pin| pin.id)
    }

    /// The tiers of a partner's finalized months, the newest first.
    async fn tier_evaluations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the partner.")] partner: ID,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<TierEvaluation>> {
        let scope = Scope::of(ctx)?;
        let partner = id("partner", "partner", &partner)?;
        let list = List::of("tierEvaluations", scope.organization(), first, after.as_deref())?;
        let slice = tiers::evaluations(&scope.billing, scope.organization(), partner, &list.page).await?;
        list.connection(slice, |evaluation| evaluation.month)
    }
}

/// A version of the wholesale tiers.
#[derive(Debug, Clone, InputObject)]
pub struct PublishTierTableInput {
    /// The first month it holds for; not a finalized one.
    effective_from: Month,
    /// Months in a row below the billed tier that are forgiven, 0 to 12.
    #[graphql(default = 1)]
    grace_months: i32,
    /// Whether finalizing is refused until somebody confirms the table.
    #[graphql(default = false)]
    indicative: bool,
    /// Its levels, in any order.
    tiers: Vec<TierInput>,
}

/// One wholesale level.
#[derive(Debug, Clone, InputObject)]
pub struct TierInput {
    /// What stays the same from one version of the table to the next.
    code: String,
    /// Its name, as people read it.
    name: String,
    /// The number of users from which on it is reached.
    from_users: Count,
    /// Its discount on list prices, in hundredths of a per cent: 1500 is 15 %.
    discount_bps: i32,
}

impl PublishTierTableInput {
    fn table(self) -> Result<tiers::NewTierTable, Refusal> {
        let tier = |tier: TierInput| {
            let discount_bps = BasisPoints::new(tier.discount_bps.into());
            Ok(tiers::NewTier {
                code: tier.code,
                name: tier.name,
                from_users: tier.from_users.0,
                discount_bps: discount_bps.map_err(|error| Refusal::invalid("tiers", error))?,
            })
        };
        Ok(tiers::NewTierTable {
            effective_from: self.effective_from.into(),
            grace_months: self.grace_months,
            indicative: self.indicative,
            tiers: self.tiers.into_iter().map(tier).collect::<Result<_, Refusal>>()?,
        })
    }
}

/// A table to confirm.
#[derive(Debug, Clone, InputObject)]
pub struct ConfirmTierTableInput {
    /// The id of the table.
    tier_table: ID,
}

/// A tier to hold for a partner.
#[derive(Debug, Clone, InputObject)]
pub struct PinTierInput {
    /// The id of the partner.
    partner: ID,
    /// The first month; not a finalized one.
    from_month: Month,
    /// The last month; without one it holds until it is ended.
    through_month: Option<Month>,
    /// The code of the tier.
    tier: String,
    /// Why.
    reason: String,
}

/// The end of a pin.
#[derive(Debug, Clone, InputObject)]
pub struct EndTierPinInput {
    /// The id of the pin.
    pin: ID,
    /// The last month.
    through_month: Month,
}

payloads! {
    /// What publishing a tier table came to.
    PublishTierTablePayload {
        /// The table that stands.
        tier_table: TierTable as tiers::TierTable
    }
    /// What confirming a tier table came to.
    ConfirmTierTablePayload {
        /// The table as it is now.
        tier_table: TierTable as tiers::TierTable
    }
    /// What pinning a tier came to.
    PinTierPayload {
        /// The new pin.
        tier_pin: TierPin as tiers::TierPin
    }
    /// What ending a pin came to.
    EndTierPinPayload {
        /// The pin as it is now.
        tier_pin: TierPin as tiers::TierPin
    }
}

#[derive(Default)]
pub struct TierMutation;

#[Object]
impl TierMutation {
    /// Publishes a version of the tier table. The same version again is answered with the one that stands, and one
    /// given as not indicative confirms it.
    async fn publish_tier_table(
        &self,
        ctx: &Context<'_>,
        input: PublishTierTableInput,
    ) -> Result<PublishTierTablePayload> {
        let scope = Scope::of(ctx)?;
        let work = async { tiers::publish(&scope.billing, &scope.caller, &input.table()?).await };
        let mut payload: PublishTierTablePayload = scope.command(work).await?;
        // Tables have no other name than their first month.
        errors::place(&mut payload.user_errors, "month", &["effectiveFrom"]);
        errors::place(&mut payload.user_errors, "externalId", &["effectiveFrom"]);
        Ok(payload)
    }

    /// Confirms an indicative tier table: its months may be finalized from now on.
    async fn confirm_tier_table(
        &self,
        ctx: &Context<'_>,
        input: ConfirmTierTableInput,
    ) -> Result<ConfirmTierTablePayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let table = id("tierTable", "tier table", &input.tier_table)?;
            tiers::confirm(&scope.billing, &scope.caller, table).await
        };
        scope.command(work).await
    }

    /// Holds a tier for a partner, whatever its users reach.
    async fn pin_tier(&self, ctx: &Context<'_>, input: PinTierInput) -> Result<PinTierPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let pin = tiers::NewPin {
                partner: id("partner", "partner", &input.partner)?,
                from_month: input.from_month.into(),
                through_month: input.through_month.map(Into::into),
                tier: input.tier,
                reason: input.reason,
            };
            tiers::pin(&scope.billing, &scope.caller, &pin).await
        };
        let mut payload: PinTierPayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "month", &["fromMonth"]);
        Ok(payload)
    }

    /// Sets the last month of a pin, earlier or later than it was.
    async fn end_tier_pin(&self, ctx: &Context<'_>, input: EndTierPinInput) -> Result<EndTierPinPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let pin = id("pin", "tier pin", &input.pin)?;
            tiers::end_pin(&scope.billing, &scope.caller, pin, input.through_month.into()).await
        };
        let mut payload: EndTierPinPayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "month", &["throughMonth"]);
        Ok(payload)
    }
}
