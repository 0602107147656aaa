//! Stripe: the addresses it posts to, and the events that came, with what became of them.
//!
//! Signing secrets and API keys go in and never come out.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::inbox;
use billing_primitives::StripeEndpointId;

use super::connection::{Connection, List};
use super::errors::{self, UserError};
use super::loaders::StripeEventKey;
use super::scalars::{Count, DateTime};
use super::scope::{Payload, Scope, id};
use crate::payloads;
use crate::webhooks::stripe_path;

/// How far an event of Stripe's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "inbox::EventStatus")]
pub enum StripeEventStatus {
    /// Stored; what it says is about to be looked at.
    Received,
    /// Done, whether anything came of it or not.
    Processed,
    /// Somebody has to look at it, or it waits for another event; it can be processed again.
    Parked,
}

/// Why an event of Stripe's is parked, or why a processed one came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "inbox::EventReason")]
pub enum StripeEventReason {
    /// The signature was good and the body is not to be understood.
    Unreadable,
    /// A test event at a live organization, or the other way round: quarantined.
    LivemodeMismatch,
    /// Stripe has to be asked, and no key is set.
    LookupNeeded,
    /// Stripe was asked and gave no answer.
    LookupFailed,
    /// Money went back on a payment of which no invoice is known yet.
    NoInvoice,
    /// A payment of which no invoice became known within a day, or an event of a connected account.
    NotOurs,
    /// A fault of this service.
    Failed,
    /// Nothing follows from events of its type.
    UnusedType,
    /// The customer at Stripe is nobody known here.
    UnknownCustomer,
    /// The invoice is in another currency than the programme.
    CurrencyMismatch,
    /// Nobody is credited with the customer, or no version of the programme held that day.
    NoProgram,
    /// The partner was not enrolled that day.
    NotEnrolled,
    /// A partner sold to the customer.
    Wholesale,
    /// The plan had no list price that day.
    PriceMissing,
    /// The lines of the invoice do not add up to it.
    TotalsDiffer,
    /// The invoice holds no subscription revenue that was paid in money: nothing is earned on it.
    NoRevenue,
}

/// An address that Stripe posts events to.
#[derive(Debug, Clone, SimpleObject)]
pub struct StripeEndpoint {
    /// The global id.
    pub id: ID,
    /// What it is for.
    pub name: String,
    /// The path of the address to give to Stripe, behind the host of this service.
    pub webhook_path: String,
    /// Requests turned away because they were forged, stale or too large.
    pub rejected: Count,
    /// From when on nothing is received there.
    pub disabled_at: Option<DateTime>,
    /// When it was made.
    pub created_at: DateTime,
}

impl From<inbox::Endpoint> for StripeEndpoint {
    fn from(row: inbox::Endpoint) -> Self {
        StripeEndpoint {
            id: row.id.into(),
            webhook_path: stripe_path(row.id),
            name: row.name,
            rejected: Count(row.rejected),
            disabled_at: row.disabled_at.map(Into::into),
            created_at: row.created_at.into(),
        }
    }
}

/// That Stripe can be asked for what events do not say. The key is never shown.
#[derive(Debug, Clone, SimpleObject)]
pub struct StripeAccount {
    /// When the key was set.
    pub set_at: DateTime,
}

impl From<inbox::Account> for StripeAccount {
    fn from(account: inbox::Account) -> Self {
        StripeAccount { set_at: account.set_at.into() }
    }
}

/// An event as Stripe sent it, and what became of it.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct StripeEvent {
    /// Stripe's id of it; of what could not be read a hash.
    pub event_id: String,
    /// Its type, such as `invoice.paid`.
    pub kind: String,
    /// The version of Stripe's API that it is written in.
    pub api_version: Option<String>,
    /// Whether it is about real money.
    pub livemode: bool,
    /// Stripe's id of the customer that it is about, as far as it says.
    pub stripe_customer: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime,
    /// When it came.
    pub received_at: DateTime,
    /// The body as it was signed.
    pub body: String,
    /// How far it is.
    pub status: StripeEventStatus,
    /// Why it is parked, or why it came to nothing.
    pub reason: Option<StripeEventReason>,
    /// The same in words.
    pub detail: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was processed.
    pub processed_at: Option<DateTime>,
    #[graphql(skip)]
    endpoint: StripeEndpointId,
}

impl From<inbox::StripeEvent> for StripeEvent {
    fn from(row: inbox::StripeEvent) -> Self {
        StripeEvent {
            event_id: row.event_id,
            kind: row.kind,
            api_version: row.api_version,
            livemode: row.livemode,
            stripe_customer: row.customer,
            occurred_at: row.occurred_at.into(),
            received_at: row.received_at.into(),
            body: row.body,
            status: row.status.into(),
            reason: row.reason.map(Into::into),
            detail: row.detail,
            attempts: row.attempts,
            processed_at: row.processed_at.map(Into::into),
            endpoint: row.endpoint_id,
        }
    }
}

#[ComplexObject]
impl StripeEvent {
    /// Where it came in.
    async fn endpoint(&self, ctx: &Context<'_>) -> Result<StripeEndpoint> {
        Ok(Scope::of(ctx)?.need(self.endpoint).await?.into())
    }
}

#[derive(Default)]
pub struct StripeQuery;

#[Object]
impl StripeQuery {
    /// The addresses that Stripe posts to, in the order in which they were made.
    async fn stripe_endpoints(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<StripeEndpoint>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("stripeEndpoints", scope.organization(), first, after.as_deref())?;
        let all = inbox::endpoints(&scope.billing, scope.organization()).await?;
        list.connection(list.cut(all, |row, after| row.id > *after), |row| row.id)
    }

    /// Whether Stripe can be asked for what events do not say; null: no key is set.
    async fn stripe_account(&self, ctx: &Context<'_>) -> Result<Option<StripeAccount>> {
        let scope = Scope::of(ctx)?;
        Ok(inbox::account(&scope.billing, scope.organization()).await?.map(Into::into))
    }

    /// One event of Stripe's; null when it has not come.
    async fn stripe_event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Stripe's id of the event.")] event_id: String,
    ) -> Result<Option<StripeEvent>> {
        Ok(Scope::of(ctx)?.load(StripeEventKey(event_id)).await?.map(Into::into))
    }

    /// Events of Stripe's in the order of their ids: all, or those of a status, a reason or a customer.
    async fn stripe_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "How far they are.")] status: Option<StripeEventStatus>,
        #[graphql(desc = "Why they are parked, or came to nothing.")] reason: Option<StripeEventReason>,
        #[graphql(desc = "Stripe's id of a customer.")] stripe_customer: Option<String>,
    ) -> Result<Connection<StripeEvent>> {
        let scope = Scope::of(ctx)?;
        let filter = inbox::EventFilter {
            status: status.map(Into::into),
            reason: reason.map(Into::into),
            customer: stripe_customer,
        };
        let list = List::of("stripeEvents", scope.organization(), first, after.as_deref())?;
        let slice = inbox::events(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |event| event.event_id.clone())
    }
}

/// A new address for Stripe.
#[derive(Debug, Clone, InputObject)]
pub struct CreateStripeEndpointInput {
    /// What it is for: 1 to 200 characters.
    name: String,
    /// The signing secrets, `whsec_…`: 1 to 10, and two while one is rolled. They are never shown again.
    secrets: Vec<String>,
}

/// The signing secrets of an endpoint.
#[derive(Debug, Clone, InputObject)]
pub struct ReplaceStripeEndpointSecretsInput {
    /// The id of the endpoint.
    endpoint: ID,
    /// All signing secrets from now on, `whsec_…`: 1 to 10, and two while one is rolled. They are never shown again.
    secrets: Vec<String>,
}

/// The key with which Stripe is asked.
#[derive(Debug, Clone, InputObject)]
pub struct SetStripeAccountInput {
    /// A restricted key, `rk_…`, that may read invoices, payments, charges, refunds and disputes. It is never shown
    /// again.
    api_key: String,
}

/// Events to process again: those named, and those with the reason.
#[derive(Debug, Clone, InputObject)]
pub struct ReplayStripeEventsInput {
    /// Stripe's ids of events, at most 1000.
    event_ids: Option<Vec<String>>,
    /// All events with this reason.
    reason: Option<StripeEventReason>,
}

payloads! {
    /// What making an endpoint came to.
    CreateStripeEndpointPayload {
        /// The endpoint.
        stripe_endpoint: StripeEndpoint as inbox::Endpoint
    }
    /// What replacing signing secrets came to.
    ReplaceStripeEndpointSecretsPayload {
        /// The endpoint.
        stripe_endpoint: StripeEndpoint as inbox::Endpoint
    }
    /// What setting the key came to.
    SetStripeAccountPayload {
        /// That it is set.
        stripe_account: StripeAccount as inbox::Account
    }
}

/// What processing events again came to.
#[derive(SimpleObject)]
pub struct ReplayStripeEventsPayload {
    /// How many events will be processed.
    pub replayed: Option<Count>,
    /// Why nothing was done; empty when it was.
    pub user_errors: Vec<UserError>,
}

impl Payload<i64> for ReplayStripeEventsPayload {
    fn done(outcome: i64) -> Self {
        ReplayStripeEventsPayload { replayed: Some(Count(outcome)), user_errors: Vec::new() }
    }

    fn refused(error: UserError) -> Self {
        ReplayStripeEventsPayload { replayed: None, user_errors: vec![error] }
    }
}

/// Events that one call names at most.
const MOST_EVENTS: usize = 1000;

#[derive(Default)]
pub struct StripeMutation;

#[Object]
impl StripeMutation {
    /// Makes an address for Stripe to post events to.
    async fn create_stripe_endpoint(
        &self,
        ctx: &Context<'_>,
        input: CreateStripeEndpointInput,
    ) -> Result<CreateStripeEndpointPayload> {
        let scope = Scope::of(ctx)?;
        let new = inbox::NewEndpoint { name: input.name, secrets: input.secrets };
        scope.command(inbox::add_endpoint(&scope.billing, &scope.caller, &new)).await
    }

    /// Replaces the signing secrets of an endpoint: while one is rolled at Stripe, the old and the new one.
    async fn replace_stripe_endpoint_secrets(
        &self,
        ctx: &Context<'_>,
        input: ReplaceStripeEndpointSecretsInput,
    ) -> Result<ReplaceStripeEndpointSecretsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let endpoint = id("endpoint", "Stripe endpoint", &input.endpoint)?;
            inbox::replace_secrets(&scope.billing, &scope.caller, endpoint, &input.secrets).await
        };
        scope.command(work).await
    }

    /// Sets the key with which Stripe is asked for what events do not say.
    async fn set_stripe_account(
        &self,
        ctx: &Context<'_>,
        input: SetStripeAccountInput,
    ) -> Result<SetStripeAccountPayload> {
        let scope = Scope::of(ctx)?;
        scope.command(inbox::set_account(&scope.billing, &scope.caller, &input.api_key)).await
    }

    /// Has events processed again. Facts replace facts and only differences are booked, so it never counts twice.
    async fn replay_stripe_events(
        &self,
        ctx: &Context<'_>,
        input: ReplayStripeEventsInput,
    ) -> Result<ReplayStripeEventsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let events = input.event_ids.unwrap_or_default();
            if events.len() > MOST_EVENTS {
                return Err(billing::Refusal::invalid("eventIds", "at most 1000 at once").into());
            }
            inbox::replay(&scope.billing, &scope.caller, &events, input.reason.map(Into::into)).await
        };
        let mut payload: ReplayStripeEventsPayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "events", &["eventIds"]);
        Ok(payload)
    }
}
