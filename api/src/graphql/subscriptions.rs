//! Subscriptions: a customer's plan over time, and the dated changes of its seats.

use async_graphql::{ComplexObject, Context, ID, InputObject, Object, Result, SimpleObject};
use billing::subscriptions::{self, Seats};
use billing::{Refusal, catalog};
use billing_primitives::{CustomerId, PlanId, SubscriptionId};

use super::catalog::Plan;
use super::connection::{Connection, List};
use super::customers::Customer;
use super::errors;
use super::loaders::SeatChangesOf;
use super::scalars::{Date, DateTime};
use super::scope::{Name, Scope, id, one_of};
use crate::payloads;

/// A customer's plan over time.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Subscription {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: String,
    /// The first day that is billed.
    pub starts_on: Date,
    /// The first day that is not billed; null: it runs on.
    pub ends_on: Option<Date>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: SubscriptionId,
    #[graphql(skip)]
    customer: CustomerId,
    #[graphql(skip)]
    plan: PlanId,
}

impl From<subscriptions::Subscription> for Subscription {
    fn from(row: subscriptions::Subscription) -> Self {
        Subscription {
            id: row.id.into(),
            external_id: row.external_id,
            starts_on: row.starts_on.into(),
            ends_on: row.ends_on.map(Into::into),
            created_at: row.created_at.into(),
            key: row.id,
            customer: row.customer_id,
            plan: row.plan_id,
        }
    }
}

#[ComplexObject]
impl Subscription {
    /// Whose it is.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.customer).await?.into())
    }

    /// What it is to.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        let plan: catalog::Plan = Scope::of(ctx)?.need(self.plan).await?;
        Ok(plan.into())
    }

    /// How its seats changed, in the order of recording. A flat plan has no seat changes.
    async fn seat_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<SeatChange>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("seatChanges", scope.organization(), first, after.as_deref())?;
        // Read in one statement with those of its neighbours, in the order in which they count.
        let mut changes = scope.list(SeatChangesOf(self.key)).await?;
        changes.sort_by_key(|change| change.sequence);
        list.connection(list.cut(changes, |change, after| change.sequence > *after), |change| change.sequence)
    }
}

/// A dated change of a subscription's seats: either a new number or a difference.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct SeatChange {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: String,
    /// The order of recording within the subscription, from 1.
    pub sequence: i32,
    /// The first day on which it counts.
    pub effective_on: Date,
    /// The new number of seats, whatever was held; null when it is a difference.
    pub quantity: Option<i64>,
    /// So many more seats, fewer when negative; null when it is a new number.
    pub delta: Option<i64>,
    /// When it was recorded.
    pub created_at: DateTime,
    #[graphql(skip)]
    subscription: SubscriptionId,
}

impl From<subscriptions::SeatChange> for SeatChange {
    fn from(row: subscriptions::SeatChange) -> Self {
        SeatChange {
            id: row.id.into(),
            external_id: row.external_id,
            sequence: row.sequence,
            effective_on: row.effective_on.into(),
            quantity: row.quantity,
            delta: row.delta,
            created_at: row.created_at.into(),
            subscription: row.subscription_id,
        }
    }
}

#[ComplexObject]
impl SeatChange {
    /// The subscription whose seats changed.
    async fn subscription(&self, ctx: &Context<'_>) -> Result<Subscription> {
        Ok(Scope::of(ctx)?.need(self.subscription).await?.into())
    }
}

#[derive(Default)]
pub struct SubscriptionQuery;

#[Object]
impl SubscriptionQuery {
    /// One subscription by its id or its external id; null when there is none.
    async fn subscription(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "What other systems call it.")] external_id: Option<String>,
    ) -> Result<Option<Subscription>> {
        let scope = Scope::of(ctx)?;
        let found = match one_of(id, external_id)? {
            Name::Id(id) => scope.find::<SubscriptionId>(&id).await?,
            Name::External(name) => subscriptions::by_external_id(&scope.billing, scope.organization(), &name).await?,
        };
        Ok(found.map(Subscription::from))
    }

    /// Subscriptions in the order of their external ids: all, or those of a customer.
    async fn subscriptions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a customer.")] customer: Option<ID>,
    ) -> Result<Connection<Subscription>> {
        let scope = Scope::of(ctx)?;
        let customer = customer.map(|customer| id("customer", "customer", &customer)).transpose()?;
        let list = List::of("subscriptions", scope.organization(), first, after.as_deref())?;
        let slice = subscriptions::list(&scope.billing, scope.organization(), &list.page, customer).await?;
        list.connection(slice, |subscription| subscription.external_id.clone())
    }
}

/// A new subscription.
#[derive(Debug, Clone, InputObject)]
pub struct CreateSubscriptionInput {
    /// What other systems call it: 1 to 100 characters.
    external_id: String,
    /// The id of the customer.
    customer: ID,
    /// The id of the plan.
    plan: ID,
    /// The first day that is billed.
    starts_on: Date,
    /// The first day that is not billed; without one it runs on.
    ends_on: Option<Date>,
    /// Seats from the first day on. A per-seat plan needs them, a flat one has none.
    seats: Option<i64>,
}

/// The new end of a subscription.
#[derive(Debug, Clone, InputObject)]
pub struct EndSubscriptionInput {
    /// The id of the subscription.
    subscription: ID,
    /// The first day that is not billed, earlier or later than before; without one the end is taken away.
    ends_on: Option<Date>,
}

/// A change of seats: a new number or a difference, one of the two.
#[derive(Debug, Clone, InputObject)]
pub struct ChangeSeatsInput {
    /// What other systems call the change: 1 to 100 characters.
    external_id: String,
    /// The id of the subscription.
    subscription: ID,
    /// The first day on which it counts; it may lie in the past.
    effective_on: Date,
    /// The new number of seats, whatever was held.
    quantity: Option<i64>,
    /// So many more seats, fewer when negative.
    delta: Option<i64>,
}

impl ChangeSeatsInput {
    fn change(self) -> Result<subscriptions::NewSeatChange, Refusal> {
        let seats = match (self.quantity, self.delta) {
            (Some(quantity), None) => Seats::Quantity(quantity),
            (None, Some(delta)) => Seats::Delta(delta),
            _ => return Err(Refusal::invalid("quantity", "give quantity or delta, one of the two")),
        };
        Ok(subscriptions::NewSeatChange {
            external_id: self.external_id,
            subscription: id("subscription", "subscription", &self.subscription)?,
            effective_on: self.effective_on.into(),
            seats,
        })
    }
}

payloads! {
    /// What making a subscription came to.
    CreateSubscriptionPayload {
        /// The new subscription.
        subscription: Subscription as subscriptions::Subscription
    }
    /// What moving the end of a subscription came to.
    EndSubscriptionPayload {
        /// The subscription as it is now.
        subscription: Subscription as subscriptions::Subscription
    }
    /// What recording a change of seats came to.
    ChangeSeatsPayload {
        /// The change as it was recorded.
        seat_change: SeatChange as subscriptions::SeatChange
    }
}

#[derive(Default)]
pub struct SubscriptionMutation;

#[Object]
impl SubscriptionMutation {
    /// Makes a subscription; one to a per-seat plan with its first seat change.
    async fn create_subscription(
        &self,
        ctx: &Context<'_>,
        input: CreateSubscriptionInput,
    ) -> Result<CreateSubscriptionPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let subscription = subscriptions::NewSubscription {
                external_id: input.external_id,
                customer: id("customer", "customer", &input.customer)?,
                plan: id("plan", "plan", &input.plan)?,
                starts_on: input.starts_on.into(),
                ends_on: input.ends_on.map(Into::into),
                seats: input.seats,
            };
            subscriptions::create(&scope.billing, &scope.caller, &subscription).await
        };
        let mut payload: CreateSubscriptionPayload = scope.command(work).await?;
        // It is the quantity of the first change of seats.
        errors::place(&mut payload.user_errors, "quantity", &["seats"]);
        Ok(payload)
    }

    /// Moves the end of a subscription, or takes it away. What is billed already is corrected by the next run.
    async fn end_subscription(&self, ctx: &Context<'_>, input: EndSubscriptionInput) -> Result<EndSubscriptionPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let subscription = id("subscription", "subscription", &input.subscription)?;
            let ends_on = input.ends_on.map(Into::into);
            subscriptions::end(&scope.billing, &scope.caller, subscription, ends_on).await
        };
        scope.command(work).await
    }

    /// Records a change of seats, also for the past. What is billed already is corrected by the next run.
    async fn change_seats(&self, ctx: &Context<'_>, input: ChangeSeatsInput) -> Result<ChangeSeatsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { subscriptions::change_seats(&scope.billing, &scope.caller, &input.change()?).await };
        scope.command(work).await
    }
}
