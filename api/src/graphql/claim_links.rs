//! Claim links: a partner prepares a customer and passes it on with a link that works once.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::attribution::{self, claims};
use billing_primitives::{CustomerId, PartnerId, PlanId};

use super::catalog::Plan;
use super::customers::Customer;
use super::errors::UserError;
use super::partners::Partner;
use super::scalars::{Count, DateTime};
use super::scope::{Payload, Scope, id};
use crate::payloads;

/// How a partner brings a customer by a claim link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "attribution::ClaimKind")]
pub enum ClaimKind {
    /// The organization sells to it, and the partner earns.
    Affiliate,
    /// The partner sells to it.
    Wholesale,
}

/// A partner prepares a customer and passes it on with a link that works once.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct ClaimLink {
    /// The global id.
    pub id: ID,
    /// How the partner brings the customer.
    pub kind: ClaimKind,
    /// The external id that the customer will have.
    pub customer_external_id: String,
    /// The name that the customer will have.
    pub customer_name: String,
    /// The only address that may use it; null: whoever has it may.
    pub email: Option<String>,
    /// Seats of a reseller's customer, if the plan is per seat.
    pub seats: Count,
    /// The first instant at which it opens nothing.
    pub expires_at: DateTime,
    /// When it was used.
    pub used_at: Option<DateTime>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    partner: PartnerId,
    #[graphql(skip)]
    plan: Option<PlanId>,
    #[graphql(skip)]
    customer: Option<CustomerId>,
}

impl From<attribution::ClaimLink> for ClaimLink {
    fn from(row: attribution::ClaimLink) -> Self {
        ClaimLink {
            id: row.id.into(),
            kind: row.kind.into(),
            customer_external_id: row.customer_external_id,
            customer_name: row.customer_name,
            email: row.email,
            seats: Count(row.seats),
            expires_at: row.expires_at.into(),
            used_at: row.used_at.map(Into::into),
            revoked_at: row.revoked_at.map(Into::into),
            created_at: row.created_at.into(),
            partner: row.partner_id,
            plan: row.plan_id,
            customer: row.customer_id,
        }
    }
}

#[ComplexObject]
impl ClaimLink {
    /// Who made it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// What a reseller's customer is subscribed to.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Option<Plan>> {
        let Some(plan) = self.plan else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(plan).await?.into()))
    }

    /// The customer who used it.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        let Some(customer) = self.customer else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(customer).await?.into()))
    }
}

/// A customer to pass on.
#[derive(Debug, Clone, InputObject)]
pub struct CreateClaimLinkInput {
    /// The id of the partner.
    partner: ID,
    /// How it brings the customer.
    kind: ClaimKind,
    /// The id of an affiliate's enrollment; without one, that in the default programme.
    enrollment: Option<ID>,
    /// The external id that the customer will have: 1 to 100 characters.
    customer_external_id: String,
    /// The name that the customer will have.
    customer_name: String,
    /// The only address that may use it; without one, whoever has it may.
    email: Option<String>,
    /// The id of the plan that a reseller's customer is subscribed to.
    plan: Option<ID>,
    /// Seats, if that plan is per seat; 1 unless said.
    seats: Option<Count>,
    /// For how many days it opens something: 1 to 365, 30 unless said.
    expires_in_days: Option<i32>,
}

/// A link that shall open nothing any more.
#[derive(Debug, Clone, InputObject)]
pub struct RevokeClaimLinkInput {
    /// The id of the link.
    claim_link: ID,
}

/// A link to use.
#[derive(Debug, Clone, InputObject)]
pub struct RedeemClaimLinkInput {
    /// The token of the link.
    token: String,
    /// The address of whoever uses it.
    email: String,
}

payloads! {
    /// What revoking a claim link came to.
    RevokeClaimLinkPayload {
        /// The link as it is now.
        claim_link: ClaimLink as attribution::ClaimLink
    }
    /// What using a claim link came to.
    RedeemClaimLinkPayload {
        /// The customer.
        customer: Customer as billing::customers::Customer
    }
}

/// What making a claim link came to.
#[derive(SimpleObject)]
pub struct CreateClaimLinkPayload {
    /// The new link.
    pub claim_link: Option<ClaimLink>,
    /// The token to pass on. This is the only answer that ever shows it; a repetition under the same idempotency key
    /// has null.
    pub token: Option<String>,
    /// Why nothing was done; empty when it was.
    pub user_errors: Vec<UserError>,
}

impl Payload<claims::CreatedClaim> for CreateClaimLinkPayload {
    fn done(outcome: claims::CreatedClaim) -> Self {
        let token = outcome.token.map(|token| token.reveal().to_owned());
        CreateClaimLinkPayload { claim_link: Some(outcome.link.into()), token, user_errors: Vec::new() }
    }

    fn refused(error: UserError) -> Self {
        CreateClaimLinkPayload { claim_link: None, token: None, user_errors: vec![error] }
    }
}

#[derive(Default)]
pub struct ClaimLinkMutation;

#[Object]
impl ClaimLinkMutation {
    /// Makes a link by which a customer becomes the partner's. Its token is shown once, in this answer.
    async fn create_claim_link(
        &self,
        ctx: &Context<'_>,
        input: CreateClaimLinkInput,
    ) -> Result<CreateClaimLinkPayload> {
        let scope = Scope::of(ctx)?;
        scope.shows_secret();
        let work = async {
            let claim = claims::NewClaim {
                partner: id("partner", "partner", &input.partner)?,
                kind: input.kind.into(),
                enrollment: input.enrollment.map(|given| id("enrollment", "enrollment", &given)).transpose()?,
                customer_external_id: input.customer_external_id,
                customer_name: input.customer_name,
                email: input.email,
                plan: input.plan.map(|plan| id("plan", "plan", &plan)).transpose()?,
                seats: input.seats.map(|seats| seats.0),
                expires_in_days: input.expires_in_days.map(i64::from),
            };
            claims::create(&scope.billing, &scope.caller, &claim).await
        };
        scope.command(work).await
    }

    /// Ends a claim link that nobody has used.
    async fn revoke_claim_link(
        &self,
        ctx: &Context<'_>,
        input: RevokeClaimLinkInput,
    ) -> Result<RevokeClaimLinkPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let link = id("claimLink", "claim link", &input.claim_link)?;
            claims::revoke(&scope.billing, &scope.caller, link).await
        };
        scope.command(work).await
    }

    /// Uses a claim link: its customer is made and is the partner's from today on, or credited to it. Whatever is wrong
    /// with the token is the same refusal.
    async fn redeem_claim_link(
        &self,
        ctx: &Context<'_>,
        input: RedeemClaimLinkInput,
    ) -> Result<RedeemClaimLinkPayload> {
        let scope = Scope::of(ctx)?;
        scope.command(claims::redeem(&scope.billing, &scope.caller, &input.token, &input.email)).await
    }
}
