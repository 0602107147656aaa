//! What is sold and at which list prices: plans, price lists and their versions.

use std::cmp::Reverse;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::{Refusal, catalog};
use billing_primitives::{self as primitives, PartnerId, PlanId, PriceListId, PriceListVersionId};

use super::connection::{Connection, List};
use super::errors;
use super::loaders::{PricesOf, StripeIdsOf, VersionsOf};
use super::partners::Partner;
use super::scalars::{Currency, Date, DateTime, Money, MoneyInput};
use super::scope::{Name, Scope, id, one_of};
use crate::payloads;

/// What a plan's price is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "catalog::Pricing")]
pub enum Pricing {
    /// The seats of each day.
    PerSeat,
    /// One, on every day it runs.
    Flat,
}

/// What is sold per month.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Plan {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: String,
    /// Its name, as it stands on invoice lines.
    pub name: String,
    /// What its price is multiplied with.
    pub pricing: Pricing,
    /// Whether its seats count as users towards the partner's tier.
    pub counts_users: bool,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: PlanId,
}

impl From<catalog::Plan> for Plan {
    fn from(row: catalog::Plan) -> Self {
        Plan {
            id: row.id.into(),
            external_id: row.external_id,
            name: row.name,
            pricing: row.pricing.into(),
            counts_users: row.counts_users,
            created_at: row.created_at.into(),
            key: row.id,
        }
    }
}

#[ComplexObject]
impl Plan {
    /// Ids of the prices and products at Stripe that are this plan.
    async fn stripe_ids(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        let rows = Scope::of(ctx)?.list(StripeIdsOf(self.key)).await?;
        Ok(rows.into_iter().map(|row| row.stripe_id).collect())
    }
}

/// List prices in one currency: the organization's own, or those agreed with one partner.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PriceList {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: String,
    /// The currency of its prices.
    pub currency: Currency,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: PriceListId,
    #[graphql(skip)]
    partner: Option<PartnerId>,
}

impl From<catalog::PriceList> for PriceList {
    fn from(row: catalog::PriceList) -> Self {
        PriceList {
            id: row.id.into(),
            external_id: row.external_id,
            currency: row.currency.into(),
            created_at: row.created_at.into(),
            key: row.id,
            partner: row.partner_id,
        }
    }
}

#[ComplexObject]
impl PriceList {
    /// The partner it was agreed with; null: the organization's own list.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>> {
        let Some(partner) = self.partner else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(partner).await?.into()))
    }

    /// Its versions, the latest first.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<PriceListVersion>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("priceListVersions", scope.organization(), first, after.as_deref())?;
        let mut versions = scope.list(VersionsOf(self.key)).await?;
        versions.sort_by_key(|version| Reverse(version.effective_on));
        let slice = list.cut(versions, |version, after| version.effective_on < *after);
        list.connection(slice, |version| version.effective_on)
    }
}

/// A complete list of prices from a day on, until the next version begins. It never changes.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PriceListVersion {
    /// The global id.
    pub id: ID,
    /// The first day on which its prices hold.
    pub effective_on: Date,
    /// When it was published.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: PriceListVersionId,
    #[graphql(skip)]
    price_list: PriceListId,
}

impl From<catalog::PriceListVersion> for PriceListVersion {
    fn from(row: catalog::PriceListVersion) -> Self {
        PriceListVersion {
            id: row.id.into(),
            effective_on: row.effective_on.into(),
            created_at: row.created_at.into(),
            key: row.id,
            price_list: row.price_list_id,
        }
    }
}

#[ComplexObject]
impl PriceListVersion {
    /// The list it is a version of.
    async fn price_list(&self, ctx: &Context<'_>) -> Result<PriceList> {
        Ok(Scope::of(ctx)?.need(self.price_list).await?.into())
    }

    /// Its prices, one for each plan that can be billed under it.
    async fn prices(&self, ctx: &Context<'_>) -> Result<Vec<Price>> {
        let prices = Scope::of(ctx)?.list(PricesOf(self.key)).await?;
        Ok(prices.into_iter().map(Price::from).collect())
    }
}

/// The price of one seat, or of a flat plan, for a whole month.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Price {
    /// The list price, without discount and without VAT.
    pub unit_price: Money,
    #[graphql(skip)]
    plan: PlanId,
}

impl From<catalog::Price> for Price {
    fn from(row: catalog::Price) -> Self {
        Price { unit_price: primitives::Money::new(row.unit_price_minor, row.currency).into(), plan: row.plan_id }
    }
}

#[ComplexObject]
impl Price {
    /// The plan it is for.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        Ok(Scope::of(ctx)?.need(self.plan).await?.into())
    }
}

#[derive(Default)]
pub struct CatalogQuery;

#[Object]
impl CatalogQuery {
    /// One plan by its id or its external id; null when there is none.
    async fn plan(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "What other systems call it.")] external_id: Option<String>,
    ) -> Result<Option<Plan>> {
        let scope = Scope::of(ctx)?;
        let found = match one_of(id, external_id)? {
            Name::Id(id) => scope.find::<PlanId>(&id).await?,
            Name::External(name) => catalog::plans::by_external_id(&scope.billing, scope.organization(), &name).await?,
        };
        Ok(found.map(Plan::from))
    }

    /// All plans, in the order of their external ids.
    async fn plans(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Plan>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("plans", scope.organization(), first, after.as_deref())?;
        let slice = catalog::plans::list(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |plan| plan.external_id.clone())
    }

    /// One price list by its id or its external id; null when there is none.
    async fn price_list(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "What other systems call it.")] external_id: Option<String>,
    ) -> Result<Option<PriceList>> {
        let scope = Scope::of(ctx)?;
        let found = match one_of(id, external_id)? {
            Name::Id(id) => scope.find::<PriceListId>(&id).await?,
            Name::External(name) => {
                catalog::price_list_by_external_id(&scope.billing, scope.organization(), &name).await?
            }
        };
        Ok(found.map(PriceList::from))
    }

    /// All price lists, in the order of their external ids.
    async fn price_lists(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<PriceList>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("priceLists", scope.organization(), first, after.as_deref())?;
        let slice = catalog::price_lists(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |list| list.external_id.clone())
    }
}

/// A new plan.
#[derive(Debug, Clone, InputObject)]
pub struct CreatePlanInput {
    /// What other systems call it: 1 to 100 characters.
    external_id: String,
    /// Its name, as it will stand on invoice lines.
    name: String,
    /// What its price is multiplied with.
    pricing: Pricing,
    /// Whether its seats count as users; unless said, those of a per-seat plan do. A flat plan counts none.
    counts_users: Option<bool>,
}

/// A plan's new name; nothing else about it can change.
#[derive(Debug, Clone, InputObject)]
pub struct UpdatePlanInput {
    /// The id of the plan.
    plan: ID,
    /// Its name, as it will stand on invoice lines.
    name: String,
}

/// Which of Stripe's prices and products are a plan.
#[derive(Debug, Clone, InputObject)]
pub struct SetPlanStripeIdsInput {
    /// The id of the plan.
    plan: ID,
    /// Ids of prices or products at Stripe, at most 100; what is left out is removed.
    stripe_ids: Vec<String>,
}

/// A version of a price list: all its prices from a day on.
#[derive(Debug, Clone, InputObject)]
pub struct PublishPricesInput {
    /// The external id of the list; it is made when there is none of that name.
    price_list: String,
    /// The currency of the list.
    currency: Currency,
    /// The id of the partner it was agreed with; without one it is the organization's own list.
    partner: Option<ID>,
    /// The first day on which the prices hold; not inside a finalized month.
    effective_on: Date,
    /// One price for each plan that can be billed under the version.
    prices: Vec<PriceInput>,
}

/// The price of one plan.
#[derive(Debug, Clone, InputObject)]
pub struct PriceInput {
    /// The id of the plan.
    plan: ID,
    /// The price of one seat, or of a flat plan, for a whole month, in the currency of the list.
    unit_price: MoneyInput,
}

impl PublishPricesInput {
    fn version(self) -> Result<catalog::PublishPrices, Refusal> {
        let currency = self.currency.0;
        let price = |price: PriceInput| match primitives::Money::from(price.unit_price) {
            money if money.currency == currency => Ok((id("prices", "plan", &price.plan)?, money.minor)),
            money => Err(Refusal::CurrencyMix { left: currency, right: money.currency }),
        };
        Ok(catalog::PublishPrices {
            price_list: self.price_list,
            currency,
            partner: self.partner.map(|partner| id("partner", "partner", &partner)).transpose()?,
            effective_on: self.effective_on.into(),
            prices: self.prices.into_iter().map(price).collect::<Result<_, _>>()?,
        })
    }
}

payloads! {
    /// What making a plan came to.
    CreatePlanPayload {
        /// The new plan.
        plan: Plan as catalog::Plan
    }
    /// What naming a plan came to.
    UpdatePlanPayload {
        /// The plan as it is now.
        plan: Plan as catalog::Plan
    }
    /// What setting a plan's ids at Stripe came to.
    SetPlanStripeIdsPayload {
        /// The plan as it is now.
        plan: Plan as catalog::Plan
    }
    /// What publishing prices came to.
    PublishPricesPayload {
        /// The version that stands.
        price_list_version: PriceListVersion as catalog::PriceListVersion
    }
}

#[derive(Default)]
pub struct CatalogMutation;

#[Object]
impl CatalogMutation {
    /// Makes a plan.
    async fn create_plan(&self, ctx: &Context<'_>, input: CreatePlanInput) -> Result<CreatePlanPayload> {
        let scope = Scope::of(ctx)?;
        let plan = catalog::plans::NewPlan {
            external_id: input.external_id,
            name: input.name,
            pricing: input.pricing.into(),
            counts_users: input.counts_users,
        };
        scope.command(catalog::plans::create(&scope.billing, &scope.caller, &plan)).await
    }

    /// Gives a plan another name.
    async fn update_plan(&self, ctx: &Context<'_>, input: UpdatePlanInput) -> Result<UpdatePlanPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let plan = id("plan", "plan", &input.plan)?;
            catalog::plans::update(&scope.billing, &scope.caller, plan, &input.name).await
        };
        scope.command(work).await
    }

    /// Says which of Stripe's prices and products are a plan; each is one plan at most. Commissions of the customers
    /// that were billed for any of them are derived again.
    async fn set_plan_stripe_ids(
        &self,
        ctx: &Context<'_>,
        input: SetPlanStripeIdsInput,
    ) -> Result<SetPlanStripeIdsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let plan = id("plan", "plan", &input.plan)?;
            catalog::stripe_ids::set(&scope.billing, &scope.caller, plan, &input.stripe_ids).await
        };
        scope.command(work).await
    }

    /// Publishes a version of a price list, and makes the list with its first one. The same version again is answered
    /// with the one that stands.
    async fn publish_prices(&self, ctx: &Context<'_>, input: PublishPricesInput) -> Result<PublishPricesPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { catalog::publish_prices(&scope.billing, &scope.caller, &input.version()?).await };
        let mut payload: PublishPricesPayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "month", &["effectiveOn"]);
        errors::place(&mut payload.user_errors, "externalId", &["priceList"]);
        Ok(payload)
    }
}
