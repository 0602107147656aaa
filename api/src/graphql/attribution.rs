//! Who brought a customer: touches as evidence, the attribution that holds, and what somebody should look at.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::attribution::{self, registration, touches};
use billing::customers;
use billing::programs::terms;
use billing_primitives::{CustomerId, EnrollmentId, ReferralCodeId, TouchId};
use futures::future::try_join_all;

use super::connection::{Connection, List};
use super::customers::Customer;
use super::errors::UserError;
use super::loaders::AttributionsOf;
use super::partners::Partner;
use super::referrals::ReferralCode;
use super::scalars::{Date, DateTime};
use super::scope::{Payload, Scope, id};
use crate::payloads;

/// How a partner was seen to bring somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "terms::TouchSource")]
pub enum TouchSource {
    /// A link with the partner's code.
    Link,
    /// The partner's landing page.
    LandingPage,
    /// The partner's code, typed in.
    Code,
    /// A promotion code at Stripe.
    PromotionCode,
    /// A form of the partner's.
    LeadForm,
    /// A claim link.
    ClaimLink,
    /// By hand, with a reason.
    Manual,
}

/// A partner was seen to bring somebody: evidence, kept whoever wins.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Touch {
    /// The global id.
    pub id: ID,
    /// How.
    pub source: TouchSource,
    /// When.
    pub occurred_at: DateTime,
    /// The page that was visited.
    pub url: Option<String>,
    /// The page it was visited from.
    pub referrer: Option<String>,
    /// The visitor's browser.
    pub user_agent: Option<String>,
    /// Whether it did not compete because its partner refers itself.
    pub blocked_as_self_referral: bool,
    /// When it was recorded.
    pub created_at: DateTime,
    #[graphql(skip)]
    enrollment: EnrollmentId,
    #[graphql(skip)]
    code: Option<ReferralCodeId>,
    #[graphql(skip)]
    customer: Option<CustomerId>,
}

impl From<attribution::Touch> for Touch {
    fn from(row: attribution::Touch) -> Self {
        let told = |name: &str| row.evidence[name].as_str().map(str::to_owned);
        Touch {
            id: row.id.into(),
            source: row.source.into(),
            occurred_at: row.occurred_at.into(),
            url: told("url"),
            referrer: told("referrer"),
            user_agent: told("userAgent"),
            blocked_as_self_referral: row.evidence["selfReferral"].as_bool().unwrap_or_default(),
            created_at: row.created_at.into(),
            enrollment: row.enrollment_id,
            code: row.referral_code_id,
            customer: row.customer_id,
        }
    }
}

#[ComplexObject]
impl Touch {
    /// The partner it speaks for.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        partner(Scope::of(ctx)?, self.enrollment).await
    }

    /// The code that was used.
    async fn code(&self, ctx: &Context<'_>) -> Result<Option<ReferralCode>> {
        let Some(code) = self.code else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(code).await?.into()))
    }

    /// Whom it brought; null: whoever it was has not registered.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        let Some(customer) = self.customer else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(customer).await?.into()))
    }
}

async fn partner(scope: &Scope, enrollment: EnrollmentId) -> Result<Partner> {
    let enrollment = scope.need(enrollment).await?;
    Ok(scope.need(enrollment.partner_id).await?.into())
}

/// To whom a customer is credited from a day on, until the next attribution begins.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Attribution {
    /// The global id.
    pub id: ID,
    /// Invoices paid from this day on count.
    pub effective_from: Date,
    /// How it came about.
    pub source: TouchSource,
    /// Why, if it was by hand.
    pub reason: Option<String>,
    /// What somebody should look at, such as `SELF_REFERRAL`.
    pub flags: Vec<String>,
    /// Who wrote it.
    pub actor: String,
    /// When it was written.
    pub created_at: DateTime,
    #[graphql(skip)]
    customer: CustomerId,
    #[graphql(skip)]
    enrollment: Option<EnrollmentId>,
    #[graphql(skip)]
    touch: Option<TouchId>,
}

impl From<attribution::Attribution> for Attribution {
    fn from(row: attribution::Attribution) -> Self {
        Attribution {
            id: row.id.into(),
            effective_from: row.effective_from.into(),
            source: row.source.into(),
            reason: row.reason,
            flags: row.flags,
            actor: row.actor,
            created_at: row.created_at.into(),
            customer: row.customer_id,
            enrollment: row.enrollment_id,
            touch: row.touch_id,
        }
    }
}

#[ComplexObject]
impl Attribution {
    /// The customer.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.customer).await?.into())
    }

    /// The partner; null: by hand to nobody.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>> {
        let Some(enrollment) = self.enrollment else { return Ok(None) };
        Ok(Some(partner(Scope::of(ctx)?, enrollment).await?))
    }

    /// The touch that won.
    async fn touch(&self, ctx: &Context<'_>) -> Result<Option<Touch>> {
        let Some(touch) = self.touch else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(touch).await?.into()))
    }
}

/// A customer whom more than one partner was seen to bring.
#[derive(Debug, Clone)]
pub struct AttributionConflict {
    customer: CustomerId,
    enrollments: Vec<EnrollmentId>,
}

impl From<attribution::Conflict> for AttributionConflict {
    fn from(row: attribution::Conflict) -> Self {
        AttributionConflict { customer: row.customer_id, enrollments: row.enrollments }
    }
}

/// A customer whom more than one partner was seen to bring.
#[Object]
impl AttributionConflict {
    /// The customer.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.customer).await?.into())
    }

    /// Who was seen to bring it.
    async fn partners(&self, ctx: &Context<'_>) -> Result<Vec<Partner>> {
        let scope = Scope::of(ctx)?;
        try_join_all(self.enrollments.iter().map(|enrollment| partner(scope, *enrollment))).await
    }

    /// Who won: the attribution written last; null: nobody yet.
    async fn winner(&self, ctx: &Context<'_>) -> Result<Option<Attribution>> {
        let rows = Scope::of(ctx)?.list(AttributionsOf(self.customer)).await?;
        Ok(rows.into_iter().max_by_key(|row| row.sequence).map(Attribution::from))
    }
}

#[derive(Default)]
pub struct AttributionQuery;

#[Object]
impl AttributionQuery {
    /// Customers whom more than one partner was seen to bring, the latest first.
    async fn attribution_conflicts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<AttributionConflict>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("attributionConflicts", scope.organization(), first, after.as_deref())?;
        let slice = attribution::conflicts(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |conflict| conflict.customer_id)
    }

    /// Attributions that somebody should look at, the latest first.
    async fn flagged_attributions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Attribution>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("flaggedAttributions", scope.organization(), first, after.as_deref())?;
        let slice = attribution::flagged(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |row| row.id)
    }
}

/// A visit by which a partner brings somebody.
#[derive(Debug, Clone, InputObject)]
pub struct RecordTouchInput {
    /// The partner's code.
    code: String,
    /// `LINK`, `LANDING_PAGE`, `CODE` or `PROMOTION_CODE`.
    source: TouchSource,
    /// The token that the visitor carries from an earlier touch.
    visitor: Option<String>,
    /// The id of the customer it brought, if that is known already.
    customer: Option<ID>,
    /// When it happened; now unless said.
    occurred_at: Option<DateTime>,
    /// The page that was visited.
    url: Option<String>,
    /// The page it was visited from.
    referrer: Option<String>,
    /// The visitor's browser.
    user_agent: Option<String>,
    /// The visitor's address in the network; only a hash of it is kept.
    address: Option<String>,
}

/// Somebody who registers.
#[derive(Debug, Clone, InputObject)]
pub struct RegisterCustomerInput {
    /// What other systems call it: 1 to 100 characters.
    external_id: String,
    /// Its name.
    name: String,
    /// The address it registered with.
    email: Option<String>,
    /// Its country, two capital letters.
    country: Option<String>,
    /// The id under which Stripe bills it.
    stripe_customer_id: Option<String>,
    /// Tokens that touches were answered with, at most 10.
    visitors: Option<Vec<String>>,
    /// The code that it typed in; one that brings nothing is passed over.
    code: Option<String>,
    /// When it registered; now unless said.
    registered_at: Option<DateTime>,
}

/// An attribution by hand.
#[derive(Debug, Clone, InputObject)]
pub struct AttributeCustomerInput {
    /// The id of the customer.
    customer: ID,
    /// The id of the enrollment that it is credited to; without one it is nobody's.
    enrollment: Option<ID>,
    /// Invoices paid from this day on count; a past day moves only what no statement has shown.
    from: Date,
    /// Why.
    reason: String,
}

payloads! {
    /// What registering a customer came to.
    RegisterCustomerPayload {
        /// The customer, new or known.
        customer: Customer as customers::Customer
    }
    /// What an attribution by hand came to.
    AttributeCustomerPayload {
        /// The new attribution.
        attribution: Attribution as attribution::Attribution
    }
}

/// What recording a touch came to.
#[derive(SimpleObject)]
pub struct RecordTouchPayload {
    /// The touch.
    pub touch: Option<Touch>,
    /// The token that the visitor carries to its registration; a repetition under the same idempotency key has null.
    pub visitor: Option<String>,
    /// Why nothing was done; empty when it was.
    pub user_errors: Vec<UserError>,
}

impl Payload<touches::RecordedTouch> for RecordTouchPayload {
    fn done(outcome: touches::RecordedTouch) -> Self {
        let visitor = outcome.visitor.map(|token| token.reveal().to_owned());
        RecordTouchPayload { touch: Some(outcome.touch.into()), visitor, user_errors: Vec::new() }
    }

    fn refused(error: UserError) -> Self {
        RecordTouchPayload { touch: None, visitor: None, user_errors: vec![error] }
    }
}

#[derive(Default)]
pub struct AttributionMutation;

#[Object]
impl AttributionMutation {
    /// Records that a partner was seen to bring somebody. A customer that is credited already stays so.
    async fn record_touch(&self, ctx: &Context<'_>, input: RecordTouchInput) -> Result<RecordTouchPayload> {
        let scope = Scope::of(ctx)?;
        scope.shows_secret();
        let work = async {
            let clues = touches::Clues {
                url: input.url,
                referrer: input.referrer,
                user_agent: input.user_agent,
                address: input.address,
            };
            let touch = touches::NewTouch {
                code: input.code,
                source: input.source.into(),
                visitor: input.visitor,
                customer: input.customer.map(|customer| id("customer", "customer", &customer)).transpose()?,
                occurred_at: input.occurred_at.map(Into::into),
                clues,
            };
            touches::record(&scope.billing, &scope.caller, &touch).await
        };
        scope.command(work).await
    }

    /// Registers a customer, sold to directly; its touches compete and the result locks. Of a customer that is known by
    /// its external id, what is missing is filled in.
    async fn register_customer(
        &self,
        ctx: &Context<'_>,
        input: RegisterCustomerInput,
    ) -> Result<RegisterCustomerPayload> {
        let scope = Scope::of(ctx)?;
        let registered = registration::Registration {
            external_id: input.external_id,
            name: input.name,
            email: input.email,
            country: input.country,
            stripe_customer_id: input.stripe_customer_id,
            visitors: input.visitors.unwrap_or_default(),
            code: input.code,
            registered_at: input.registered_at.map(Into::into),
            clues: touches::Clues::default(),
        };
        scope.command(registration::register(&scope.billing, &scope.caller, &registered)).await
    }

    /// Credits a customer to a partner, or to nobody, from a day on; for the first time or anew.
    async fn attribute_customer(
        &self,
        ctx: &Context<'_>,
        input: AttributeCustomerInput,
    ) -> Result<AttributeCustomerPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let by_hand = registration::ByHand {
                customer: id("customer", "customer", &input.customer)?,
                enrollment: input.enrollment.map(|given| id("enrollment", "enrollment", &given)).transpose()?,
                from: input.from.into(),
                reason: input.reason,
            };
            registration::attribute(&scope.billing, &scope.caller, &by_hand).await
        };
        scope.command(work).await
    }
}
