//! Conversions that Stripe does not tell of: another system says that a customer's subscription became active.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::commissions;

use super::catalog::Plan;
use super::customers::Customer;
use super::scalars::{Count, DateTime};
use super::scope::{Scope, id};
use crate::payloads;

/// Who said that a customer converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "commissions::ConversionSource")]
pub enum ConversionSource {
    /// A subscription at Stripe.
    Stripe,
    /// Another system.
    Api,
}

/// A customer's conversion, as it stands: of several reports the earliest.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Conversion {
    /// When the customer's subscription became active.
    pub converted_at: DateTime,
    /// Who said so.
    pub source: ConversionSource,
    /// Stripe's id of the subscription.
    pub stripe_subscription: Option<String>,
    /// Its seats.
    pub seats: Count,
    /// When it was noted.
    pub created_at: DateTime,
    #[graphql(skip)]
    row: commissions::Conversion,
}

impl From<commissions::Conversion> for Conversion {
    fn from(row: commissions::Conversion) -> Self {
        Conversion {
            converted_at: row.converted_at.into(),
            source: row.source.into(),
            stripe_subscription: row.stripe_subscription_id.clone(),
            seats: Count(row.seats),
            created_at: row.created_at.into(),
            row,
        }
    }
}

#[ComplexObject]
impl Conversion {
    /// Who converted.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.row.customer_id).await?.into())
    }

    /// The plan.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Option<Plan>> {
        let Some(plan) = self.row.plan_id else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(plan).await?.into()))
    }
}

/// A customer's subscription became active.
#[derive(Debug, Clone, InputObject)]
pub struct RecordConversionInput {
    /// The id of the customer.
    customer: ID,
    /// The id of the plan; without one, a commission on list prices earns nothing.
    plan: Option<ID>,
    /// The seats of a plan that is priced per seat.
    #[graphql(default_with = "Count(1)")]
    seats: Count,
    /// When; now unless said.
    converted_at: Option<DateTime>,
}

payloads! {
    /// What recording a conversion came to.
    RecordConversionPayload {
        /// The conversion that stands: of several reports the earliest.
        conversion: Conversion as commissions::Conversion
    }
}

#[derive(Default)]
pub struct ConversionMutation;

#[Object]
impl ConversionMutation {
    /// Records that a customer's subscription became active, where Stripe does not say so. A customer converts once: an
    /// earlier report stands.
    async fn record_conversion(
        &self,
        ctx: &Context<'_>,
        input: RecordConversionInput,
    ) -> Result<RecordConversionPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let report = commissions::ReportedConversion {
                customer: id("customer", "customer", &input.customer)?,
                plan: input.plan.map(|plan| id("plan", "plan", &plan)).transpose()?,
                seats: input.seats.0,
                converted_at: input.converted_at.map(Into::into),
            };
            commissions::record_conversion(&scope.billing, &scope.caller, &report).await
        };
        scope.command(work).await
    }
}
