//! Customers: who uses what is sold, and who sells to them on which day.

use async_graphql::{ComplexObject, Context, ID, InputObject, Object, Result, SimpleObject};
use billing::customers::rules::owner_on;
use billing::{attribution, customers};
use billing_primitives::{CustomerId, PartnerId};

use super::attribution::{Attribution, Touch};
use super::connection::{Connection, List};
use super::errors::Code;
use super::loaders::{AttributionsOf, OwnersOf, SubscriptionsOf, TouchesOf};
use super::partners::Partner;
use super::scalars::{Date, DateTime};
use super::scope::{Name, Scope, id, one_of};
use super::subscriptions::Subscription;
use crate::payloads;

/// The end customer (elsewhere: tenant, workspace). On every day it is sold to directly, or through one partner.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Customer {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: String,
    /// Its name, as it stands on invoice lines.
    pub name: String,
    /// Its country, two capital letters.
    pub country: Option<String>,
    /// The address it registered with.
    pub email: Option<String>,
    /// The id under which Stripe bills it.
    pub stripe_customer_id: Option<String>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: CustomerId,
}

impl From<customers::Customer> for Customer {
    fn from(row: customers::Customer) -> Self {
        Customer {
            id: row.id.into(),
            external_id: row.external_id,
            name: row.name,
            country: row.country,
            email: row.email,
            stripe_customer_id: row.stripe_customer_id,
            created_at: row.created_at.into(),
            key: row.id,
        }
    }
}

#[ComplexObject]
impl Customer {
    /// Who sold to it over time, the earliest first.
    async fn owners(&self, ctx: &Context<'_>) -> Result<Vec<Ownership>> {
        let owners = Scope::of(ctx)?.list(OwnersOf(self.key)).await?;
        Ok(owners.into_iter().map(Ownership::from).collect())
    }

    /// Who sells to it on a day; null on days before the first.
    async fn owner(&self, ctx: &Context<'_>, #[graphql(desc = "The day.")] on: Date) -> Result<Option<Ownership>> {
        let owners = Scope::of(ctx)?.list(OwnersOf(self.key)).await?;
        Ok(owner_on(&owners, on.0).copied().map(Ownership::from))
    }

    /// What it has subscribed to, in the order of the external ids.
    async fn subscriptions(&self, ctx: &Context<'_>) -> Result<Vec<Subscription>> {
        let rows = Scope::of(ctx)?.list(SubscriptionsOf(self.key)).await?;
        Ok(rows.into_iter().map(Subscription::from).collect())
    }

    /// To whom it is credited on a day; null: to nobody.
    async fn attribution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The day.")] on: Date,
    ) -> Result<Option<Attribution>> {
        let rows = Scope::of(ctx)?.list(AttributionsOf(self.key)).await?;
        Ok(attribution::rules::on(&rows, on.0).cloned().map(Attribution::from))
    }

    /// To whom it was credited over time, the earliest day first; of one day the last row holds.
    async fn attributions(&self, ctx: &Context<'_>) -> Result<Vec<Attribution>> {
        let rows = Scope::of(ctx)?.list(AttributionsOf(self.key)).await?;
        Ok(rows.into_iter().map(Attribution::from).collect())
    }

    /// What is known to have brought it, the earliest first; at most a hundred.
    async fn touches(&self, ctx: &Context<'_>) -> Result<Vec<Touch>> {
        let rows = Scope::of(ctx)?.list(TouchesOf(self.key)).await?;
        Ok(rows.into_iter().map(|row| row.touch.into()).collect())
    }
}

/// Who sells to a customer from a day on, until the next ownership begins.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Ownership {
    /// The first day, inclusive.
    pub owned_from: Date,
    #[graphql(skip)]
    partner: Option<PartnerId>,
}

impl From<customers::Ownership> for Ownership {
    fn from(row: customers::Ownership) -> Self {
        Ownership { owned_from: row.owned_from.into(), partner: row.partner_id }
    }
}

#[ComplexObject]
impl Ownership {
    /// The partner; null: the organization sells to it directly.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>> {
        let Some(partner) = self.partner else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(partner).await?.into()))
    }
}

#[derive(Default)]
pub struct CustomerQuery;

#[Object]
impl CustomerQuery {
    /// One customer by its id or its external id; null when there is none.
    async fn customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "What other systems call it.")] external_id: Option<String>,
    ) -> Result<Option<Customer>> {
        let scope = Scope::of(ctx)?;
        let found = match one_of(id, external_id)? {
            Name::Id(id) => scope.find::<CustomerId>(&id).await?,
            Name::External(name) => customers::by_external_id(&scope.billing, scope.organization(), &name).await?,
        };
        Ok(found.map(Customer::from))
    }

    /// Customers in the order of their external ids: all, or those that a partner owns on a day.
    async fn customers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a partner; needs `ownedOn`.")] owned_by: Option<ID>,
        #[graphql(desc = "The day on which the partner owns them; needs `ownedBy`.")] owned_on: Option<Date>,
    ) -> Result<Connection<Customer>> {
        let scope = Scope::of(ctx)?;
        let owner = match (owned_by, owned_on) {
            (Some(partner), Some(day)) => Some((id::<PartnerId>("ownedBy", "partner", &partner)?, day.0)),
            (None, None) => None,
            _ => return Err(Code::BadUserInput.error("ownedBy and ownedOn go together")),
        };
        let list = List::of("customers", scope.organization(), first, after.as_deref())?;
        let slice = customers::list(&scope.billing, scope.organization(), &list.page, owner).await?;
        list.connection(slice, |customer| customer.external_id.clone())
    }
}

/// A new customer with its first owner.
#[derive(Debug, Clone, InputObject)]
pub struct CreateCustomerInput {
    /// What other systems call it: 1 to 100 characters.
    external_id: String,
    /// Its name, as it will stand on invoice lines.
    name: String,
    /// Its country, two capital letters.
    country: Option<String>,
    /// The address it registered with.
    email: Option<String>,
    /// The id under which Stripe bills it; no other customer has it.
    stripe_customer_id: Option<String>,
    /// The id of the partner that sells to it; without one the organization does so itself.
    owner: Option<ID>,
    /// The first day of this ownership.
    owned_from: Date,
}

/// A customer's whole profile: what is left out is removed.
#[derive(Debug, Clone, InputObject)]
pub struct UpdateCustomerInput {
    /// The id of the customer.
    customer: ID,
    /// Its name, as it will stand on invoice lines.
    name: String,
    /// Its country, two capital letters.
    country: Option<String>,
    /// The address it registered with.
    email: Option<String>,
    /// The id under which Stripe bills it; no other customer has it. Commissions on what Stripe billed move with it.
    stripe_customer_id: Option<String>,
}

payloads! {
    /// What making a customer came to.
    CreateCustomerPayload {
        /// The new customer.
        customer: Customer as customers::Customer
    }
    /// What replacing a customer's profile came to.
    UpdateCustomerPayload {
        /// The customer as it is now.
        customer: Customer as customers::Customer
    }
}

#[derive(Default)]
pub struct CustomerMutation;

#[Object]
impl CustomerMutation {
    /// Makes a customer and its first ownership.
    async fn create_customer(&self, ctx: &Context<'_>, input: CreateCustomerInput) -> Result<CreateCustomerPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let customer = customers::NewCustomer {
                external_id: input.external_id,
                name: input.name,
                country: input.country,
                email: input.email,
                stripe_customer_id: input.stripe_customer_id,
                owner: input.owner.map(|owner| id("owner", "partner", &owner)).transpose()?,
                owned_from: input.owned_from.into(),
            };
            customers::create(&scope.billing, &scope.caller, &customer).await
        };
        scope.command(work).await
    }

    /// Replaces a customer's name, country, address and id at Stripe.
    async fn update_customer(&self, ctx: &Context<'_>, input: UpdateCustomerInput) -> Result<UpdateCustomerPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let customer = id("customer", "customer", &input.customer)?;
            let profile = customers::CustomerProfile {
                name: input.name,
                country: input.country,
                email: input.email,
                stripe_customer_id: input.stripe_customer_id,
            };
            customers::update(&scope.billing, &scope.caller, customer, &profile).await
        };
        scope.command(work).await
    }
}
