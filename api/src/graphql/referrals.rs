//! How partners bring customers: codes, links and lead forms.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::attribution::{self, LeadFilter, codes, leads, links, rules};
use billing_primitives::{CustomerId, EnrollmentId, PartnerId, ReferralCodeId, TouchId};

use super::attribution::Touch;
use super::connection::{Connection, List};
use super::customers::Customer;
use super::loaders::LinksOf;
use super::partners::Partner;
use super::scalars::DateTime;
use super::scope::{Scope, id};
use crate::payloads;

/// Whether a referral code brings anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "attribution::CodeStatus")]
pub enum ReferralCodeStatus {
    /// It does, while its partner is active and enrolled.
    Active,
    /// It does not: whoever uses it is answered as with a code that nobody has.
    Disabled,
}

/// What became of a lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "attribution::LeadStatus")]
pub enum LeadStatus {
    /// Nothing yet.
    Open,
    /// It registered.
    Converted,
    /// It was given up.
    Closed,
}

/// A partner's code. It never changes and is never given to anybody else; capital and small letters are the same.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct ReferralCode {
    /// The global id.
    pub id: ID,
    /// What customers type, and links carry.
    pub code: String,
    /// Whether it was made with the partner.
    pub is_default: bool,
    /// Whether it brings anything.
    pub status: ReferralCodeStatus,
    /// The promotion code at Stripe that means this one.
    pub stripe_promotion_code: Option<String>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: ReferralCodeId,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<attribution::ReferralCode> for ReferralCode {
    fn from(row: attribution::ReferralCode) -> Self {
        ReferralCode {
            id: row.id.into(),
            code: row.code,
            is_default: row.is_default,
            status: row.status.into(),
            stripe_promotion_code: row.stripe_promotion_code,
            created_at: row.created_at.into(),
            key: row.id,
            partner: row.partner_id,
        }
    }
}

#[ComplexObject]
impl ReferralCode {
    /// Whose it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// Pages with this code in their addresses, in the order in which they were made.
    async fn links(&self, ctx: &Context<'_>) -> Result<Vec<ReferralLink>> {
        let links = Scope::of(ctx)?.list(LinksOf(self.key)).await?;
        Ok(links.into_iter().map(ReferralLink::from).collect())
    }
}

/// A page of the seller's with a partner's code in its address.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct ReferralLink {
    /// The global id.
    pub id: ID,
    /// What it is for.
    pub name: String,
    /// The page it leads to, without the code.
    pub destination: String,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    code: ReferralCodeId,
}

impl From<attribution::ReferralLink> for ReferralLink {
    fn from(row: attribution::ReferralLink) -> Self {
        ReferralLink {
            id: row.id.into(),
            name: row.name,
            destination: row.destination,
            created_at: row.created_at.into(),
            code: row.referral_code_id,
        }
    }
}

#[ComplexObject]
impl ReferralLink {
    /// The code it carries.
    async fn code(&self, ctx: &Context<'_>) -> Result<ReferralCode> {
        Ok(Scope::of(ctx)?.need(self.code).await?.into())
    }

    /// The address to pass on: the page with the code as `ref`.
    async fn url(&self, ctx: &Context<'_>) -> Result<String> {
        let code = Scope::of(ctx)?.need(self.code).await?;
        Ok(rules::link(&self.destination, &code.code))
    }
}

/// Somebody left an address with a partner's form.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Lead {
    /// The global id.
    pub id: ID,
    /// Who it is.
    pub name: String,
    /// The address it left; whoever registers with it has been brought by the partner.
    pub email: String,
    /// Where it works.
    pub company: Option<String>,
    /// What it wrote.
    pub message: String,
    /// What became of it.
    pub status: LeadStatus,
    /// When the form was sent.
    pub created_at: DateTime,
    #[graphql(skip)]
    enrollment: EnrollmentId,
    #[graphql(skip)]
    touch: TouchId,
    #[graphql(skip)]
    customer: Option<CustomerId>,
}

impl From<attribution::Lead> for Lead {
    fn from(row: attribution::Lead) -> Self {
        Lead {
            id: row.id.into(),
            name: row.name,
            email: row.email,
            company: row.company,
            message: row.message,
            status: row.status.into(),
            created_at: row.created_at.into(),
            enrollment: row.enrollment_id,
            touch: row.touch_id,
            customer: row.customer_id,
        }
    }
}

#[ComplexObject]
impl Lead {
    /// The partner whose form it was.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        let scope = Scope::of(ctx)?;
        let enrollment = scope.need(self.enrollment).await?;
        Ok(scope.need(enrollment.partner_id).await?.into())
    }

    /// The touch that the form left.
    async fn touch(&self, ctx: &Context<'_>) -> Result<Touch> {
        Ok(Scope::of(ctx)?.need(self.touch).await?.into())
    }

    /// The customer it became.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        let Some(customer) = self.customer else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(customer).await?.into()))
    }
}

#[derive(Default)]
pub struct ReferralQuery;

#[Object]
impl ReferralQuery {
    /// Leads, the latest first: all, or those of a partner or in a state.
    async fn leads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "What became of them.")] status: Option<LeadStatus>,
    ) -> Result<Connection<Lead>> {
        let scope = Scope::of(ctx)?;
        let partner = partner.map(|partner| id("partner", "partner", &partner)).transpose()?;
        let filter = LeadFilter { partner, status: status.map(Into::into) };
        let list = List::of("leads", scope.organization(), first, after.as_deref())?;
        let slice = attribution::leads(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |lead| lead.id)
    }
}

/// Another code of a partner.
#[derive(Debug, Clone, InputObject)]
pub struct CreateReferralCodeInput {
    /// The id of the partner.
    partner: ID,
    /// The id of the partner's enrollment that it means; without one, that in the default programme.
    enrollment: Option<ID>,
    /// 3 to 40 letters, digits, `-` and `_`; capital and small letters are the same.
    code: String,
    /// The promotion code at Stripe (`promo_…`) that means this one.
    stripe_promotion_code: Option<String>,
}

/// A code's new status.
#[derive(Debug, Clone, InputObject)]
pub struct SetReferralCodeStatusInput {
    /// The id of the code.
    code: ID,
    /// Whether it brings anything.
    status: ReferralCodeStatus,
}

/// A new link.
#[derive(Debug, Clone, InputObject)]
pub struct CreateReferralLinkInput {
    /// The id of the code it carries.
    code: ID,
    /// What it is for.
    name: String,
    /// The page it leads to, beginning with `https://` or `http://`.
    destination: String,
}

/// A lead that comes to nothing.
#[derive(Debug, Clone, InputObject)]
pub struct CloseLeadInput {
    /// The id of the lead.
    lead: ID,
}

payloads! {
    /// What making a code came to.
    CreateReferralCodePayload {
        /// The new code.
        referral_code: ReferralCode as attribution::ReferralCode
    }
    /// What setting a code's status came to.
    SetReferralCodeStatusPayload {
        /// The code as it is now.
        referral_code: ReferralCode as attribution::ReferralCode
    }
    /// What making a link came to.
    CreateReferralLinkPayload {
        /// The new link.
        referral_link: ReferralLink as attribution::ReferralLink
    }
    /// What closing a lead came to.
    CloseLeadPayload {
        /// The lead as it is now.
        lead: Lead as attribution::Lead
    }
}

#[derive(Default)]
pub struct ReferralMutation;

#[Object]
impl ReferralMutation {
    /// Makes another code of a partner.
    async fn create_referral_code(
        &self,
        ctx: &Context<'_>,
        input: CreateReferralCodeInput,
    ) -> Result<CreateReferralCodePayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let code = codes::NewCode {
                partner: id("partner", "partner", &input.partner)?,
                enrollment: input.enrollment.map(|given| id("enrollment", "enrollment", &given)).transpose()?,
                code: input.code,
                stripe_promotion_code: input.stripe_promotion_code,
            };
            codes::create(&scope.billing, &scope.caller, &code).await
        };
        scope.command(work).await
    }

    /// Disables a code, or enables it again. What it brought stays.
    async fn set_referral_code_status(
        &self,
        ctx: &Context<'_>,
        input: SetReferralCodeStatusInput,
    ) -> Result<SetReferralCodeStatusPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let code = id("code", "referral code", &input.code)?;
            codes::set_status(&scope.billing, &scope.caller, code, input.status.into()).await
        };
        scope.command(work).await
    }

    /// Makes a link that carries a code.
    async fn create_referral_link(
        &self,
        ctx: &Context<'_>,
        input: CreateReferralLinkInput,
    ) -> Result<CreateReferralLinkPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let code = id("code", "referral code", &input.code)?;
            let link = links::NewLink { code, name: input.name, destination: input.destination };
            links::create(&scope.billing, &scope.caller, &link).await
        };
        scope.command(work).await
    }

    /// Closes a lead that comes to nothing.
    async fn close_lead(&self, ctx: &Context<'_>, input: CloseLeadInput) -> Result<CloseLeadPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let lead = id("lead", "lead", &input.lead)?;
            leads::set_status(&scope.billing, &scope.caller, lead, attribution::LeadStatus::Closed).await
        };
        scope.command(work).await
    }
}
