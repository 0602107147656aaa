//! What partners charge their customers.

use async_graphql::{ComplexObject, Context, ID, InputObject, Object, Result, SimpleObject};
use billing::{Refusal, retail};
use billing_primitives::{self as primitives, CustomerId, PartnerId, PlanId};

use super::catalog::Plan;
use super::connection::{Connection, List};
use super::customers::Customer;
use super::errors;
use super::partners::Partner;
use super::scalars::{Date, DateTime, Money, MoneyInput};
use super::scope::{Scope, id};
use crate::payloads;

/// What a partner charges for a seat, or a flat plan, and month from a day on, until its next price. It never changes.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct RetailPrice {
    /// The global id.
    pub id: ID,
    /// The first day on which it holds.
    pub effective_on: Date,
    /// The price for a whole month, without VAT, in the partner's currency.
    pub unit_price: Money,
    /// When it was set.
    pub created_at: DateTime,
    #[graphql(skip)]
    partner: PartnerId,
    #[graphql(skip)]
    plan: PlanId,
    #[graphql(skip)]
    customer: Option<CustomerId>,
}

impl From<retail::RetailPrice> for RetailPrice {
    fn from(row: retail::RetailPrice) -> Self {
        RetailPrice {
            id: row.id.into(),
            effective_on: row.effective_on.into(),
            unit_price: primitives::Money::new(row.unit_price_minor, row.currency).into(),
            created_at: row.created_at.into(),
            partner: row.partner_id,
            plan: row.plan_id,
            customer: row.customer_id,
        }
    }
}

#[ComplexObject]
impl RetailPrice {
    /// Who charges it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// The plan it is for.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        Ok(Scope::of(ctx)?.need(self.plan).await?.into())
    }

    /// The customer it is for; null: all customers without a price of their own.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        let Some(customer) = self.customer else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(customer).await?.into()))
    }
}

#[derive(Default)]
pub struct RetailQuery;

#[Object]
impl RetailQuery {
    /// A partner's retail prices, in the order in which they were set.
    async fn retail_prices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the partner.")] partner: ID,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<RetailPrice>> {
        let scope = Scope::of(ctx)?;
        let partner = id("partner", "partner", &partner)?;
        let list = List::of("retailPrices", scope.organization(), first, after.as_deref())?;
        let slice = retail::list(&scope.billing, scope.organization(), partner, &list.page).await?;
        list.connection(slice, |price| price.id)
    }
}

/// A retail price from a day on.
#[derive(Debug, Clone, InputObject)]
pub struct SetRetailPriceInput {
    /// The id of the partner.
    partner: ID,
    /// The id of the plan.
    plan: ID,
    /// The id of the customer it is for; without one it is for all customers without a price of their own.
    customer: Option<ID>,
    /// The first day on which it holds.
    effective_on: Date,
    /// The price for a whole month, without VAT, in the partner's currency.
    unit_price: MoneyInput,
}

impl SetRetailPriceInput {
    fn price(self) -> Result<retail::NewRetailPrice, Refusal> {
        Ok(retail::NewRetailPrice {
            partner: id("partner", "partner", &self.partner)?,
            plan: id("plan", "plan", &self.plan)?,
            customer: self.customer.map(|customer| id("customer", "customer", &customer)).transpose()?,
            effective_on: self.effective_on.into(),
            unit_price: self.unit_price.into(),
        })
    }
}

payloads! {
    /// What setting a retail price came to.
    SetRetailPricePayload {
        /// The price that stands.
        retail_price: RetailPrice as retail::RetailPrice
    }
}

#[derive(Default)]
pub struct RetailMutation;

#[Object]
impl RetailMutation {
    /// Sets what a partner charges from a day on. The same price again is answered with the one that stands; another
    /// one of that day is refused.
    async fn set_retail_price(&self, ctx: &Context<'_>, input: SetRetailPriceInput) -> Result<SetRetailPricePayload> {
        let scope = Scope::of(ctx)?;
        let work = async { retail::set(&scope.billing, &scope.caller, &input.price()?).await };
        let mut payload: SetRetailPricePayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "currency", &["unitPrice", "currency"]);
        // The recorded price of that day is another one; retail prices have no name of their own.
        errors::place(&mut payload.user_errors, "externalId", &["unitPrice"]);
        Ok(payload)
    }
}
